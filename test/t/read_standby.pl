# portable_positions, gapless: a physical standby serves reads, and continues
# the numbers when it is promoted under load.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraLoad;
use SierraReader;
use SierraTest;
use Test::More;

my $primary = new_server('primary', allows_streaming => 1);
create_store($primary, 8);
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

my $load = SierraLoad->new(dsn => dsn_of($primary), sessions => 3, seed => 20)->start;
$load->wait_for(200);
ok($load->stop, 'the primary took appends');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));

my $on_primary = connect_to($primary);
my $on_standby = connect_to($standby);

# What each read function returns, as text.
sub reads {
    my ($dbh) = @_;
    my %reads;
    for my $stream (SierraLoad->streams) {
        $reads{"esver($stream)"} = one_value($dbh, 'SELECT esver(?)', $stream);
        $reads{"escan($stream)"} =
          join "\n", @{ $dbh->selectcol_arrayref('SELECT e::text FROM escan(?) AS e', undef, $stream) };
    }
    for my $partition (0 .. 7) {
        $reads{"epseq($partition)"} = one_value($dbh, 'SELECT epseq(?::integer)', $partition);
        $reads{"epscan($partition)"} = join "\n",
          @{ $dbh->selectcol_arrayref('SELECT e::text FROM epscan(?::integer, backward => true) AS e',
                undef, $partition) };
    }
    for my $id (@{ $dbh->selectcol_arrayref('SELECT event_id FROM es.events ORDER BY 1 LIMIT 50') }) {
        $reads{"eget($id)"} = one_value($dbh, 'SELECT e::text FROM eget(?) AS e', $id);
    }
    return \%reads;
}

cmp_ok(one_value($on_standby, 'SELECT count(*) FROM es.events'), '>', 200, 'the standby has events');
is_deeply(reads($on_standby), reads($on_primary), 'the standby reads what the primary reads');
store_is_sound($on_standby, 'on the standby');
is(sqlstate_of($on_standby, 'SELECT * FROM eall()'), '0A000',
    'eall() refuses on a standby, rather than skip events');
is(sqlstate_of($on_standby, q{SELECT * FROM eappend('shared-0', 'Happened')}),
    '25006', 'eappend() refuses on a standby');
is(sqlstate_of($on_standby, q{SELECT * FROM emappend(NULL, '[{"stream_id": "s", "event_name": "e"}]')}),
    '25006', 'emappend() refuses on a standby');
is(sqlstate_of($on_standby, q{SELECT * FROM eappend('shared-0', 'Happened', condition => '{"query": [], "after": -1}')}),
    '25006', 'so does an append that would lock the store');

# A prepared transaction is replicated with its lock.  It has a store of its
# own: in the same store, appends to its partition would wait.
create_store($primary, 2, 'held');
$on_primary->do('SET sierra_es.store = held');
$on_primary->do(q{SELECT * FROM eappend('order', 'Placed')});
$on_primary->begin_work;
my $prepared = $on_primary->selectrow_hashref(q{SELECT * FROM eappend('order', 'Paid')});
$on_primary->do(q{PREPARE TRANSACTION 'on the way'});
$on_primary->disconnect;

# An appending session gets its answer when the standby has the append, too.
$primary->append_conf('postgresql.conf', q{synchronous_standby_names = '*'});
$primary->reload;
$primary->poll_query_until('postgres', q{SELECT sync_state = 'sync' FROM pg_stat_replication})
  or die 'the standby is not synchronous';
my $failover =
  SierraLoad->new(dsn => dsn_of($primary, $standby), sessions => 3, seed => 21, reconnect => 1);
my @readers = map { SierraReader->new(dsn => dsn_of($standby), kind => $_)->start }
  qw(partitions streams);
$failover->start;
$failover->wait_for(200);
$primary->stop('immediate');
$standby->promote;
$failover->wait_for(200);
is(one_value($on_standby, 'SELECT pg_is_in_recovery()'), 0, 'the standby is promoted');
ok($failover->stop, 'the sessions went over to the standby');
ok((!grep { !$_->stop } @readers), 'the readers read on through the promotion');

no_complaints([ map { $_->complaints($on_standby) } $load, $failover ],
    'durable: every acknowledged append is on the standby with its numbers');
no_complaints([ map { $_->complaints($on_standby) } @readers ],
    'commit_order: the readers saw everything once and in order');
store_is_sound($on_standby, 'after the promotion');
append_continues($on_standby, [ SierraLoad->streams ],
    'gapless: after the promotion, appends continue the numbers');
same_text(
    join("\n", @{ $on_standby->selectcol_arrayref('SELECT e::text FROM eall(max_count => NULL) AS e') }),
    join("\n", @{ $on_standby->selectcol_arrayref(
                'SELECT e::text FROM (SELECT global_position, partition_id, partition_sequence,
                        stream_id, stream_version, event_id, event_name, "timestamp", partition_key,
                        transaction_id, metadata, payload, payload_bytes, tags
                   FROM es.events ORDER BY global_position) AS e') }),
    'eall() works after the promotion'
);

$on_standby->do('SET sierra_es.store = held');
$on_standby->do('SET lock_timeout = 100');
is(sqlstate_of($on_standby, q{SELECT * FROM eappend('order', 'Delivered')}),
    '55P03', 'the prepared append keeps its partition locked after the promotion');
is(one_value($on_standby, 'SELECT count(*) FROM eall()'), 1, 'and holds eall() back');
$on_standby->do(q{COMMIT PREPARED 'on the way'});
is_deeply(
    all_rows($on_standby, 'SELECT stream_version, event_id FROM escan($1)', 'order')->[1],
    { map { $_ => $prepared->{$_} } qw(stream_version event_id) },
    'gapless: committed there, it has the number it was given on the primary'
);
is(one_value($on_standby, q{SELECT stream_version FROM eappend('order', 'Delivered')}),
    2, 'and the next append the next one');
store_is_sound($on_standby, 'of the store with the prepared append', 'held');

done_testing();
