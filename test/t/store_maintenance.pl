# durable, commit_order: tables and indexes of a store are rebuilt, vacuumed and
# added to while sessions append to it and read it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraLoad;
use SierraReader;
use SierraTest;
use Test::More;

my $node = new_server('maintenance');
create_store($node, 4);

my @readers = map { SierraReader->new(dsn => dsn_of($node), kind => $_)->start } SierraReader->kinds;
my $load    = SierraLoad->new(dsn => dsn_of($node), sessions => 3, seed => 60)->start;
$load->wait_for(100);

my @tables = ((map { "es.events_$_" } 0 .. 3), 'es.stream_keys', 'es.event_ids', 'es.event_tags');
my @rounds = (
    [ 'REINDEX TABLE CONCURRENTLY', map { "REINDEX TABLE CONCURRENTLY $_" } @tables ],
    [ 'REINDEX SCHEMA CONCURRENTLY', 'REINDEX SCHEMA CONCURRENTLY es' ],
    [ 'REINDEX TABLE of the whole', 'REINDEX TABLE es.events' ],
    [ 'CREATE INDEX CONCURRENTLY', map { qq{CREATE INDEX CONCURRENTLY maintenance_$_ ON es.events_$_ ("timestamp")} } 0 .. 3 ],
    [ 'REINDEX INDEX CONCURRENTLY', map { "REINDEX INDEX CONCURRENTLY es.events_${_}_sequence" } 0 .. 3 ],
    [ 'CREATE UNIQUE INDEX CONCURRENTLY', map { qq{CREATE UNIQUE INDEX CONCURRENTLY unique_$_ ON es.events_$_ (global_position)} } 0 .. 3 ],
    [ 'DROP INDEX CONCURRENTLY', map { "DROP INDEX CONCURRENTLY es.maintenance_$_" } 0 .. 3 ],
    [ 'VACUUM', map { "VACUUM $_" } @tables, 'es.events' ],
    [ 'VACUUM FREEZE', map { "VACUUM (FREEZE, DISABLE_PAGE_SKIPPING) $_" } @tables ],
    [ 'ANALYZE', 'ANALYZE es.events', map { "ANALYZE $_" } @tables ],
    [ 'VACUUM FULL', map { "VACUUM (FULL, ANALYZE) $_" } @tables ],
    [ 'CLUSTER', map { "CLUSTER es.events_$_ USING events_${_}_stream" } 0 .. 3 ],
);

my $dbh = connect_to($node);
for my $round (@rounds) {
    my ($name, @statements) = @$round;
    is(join(' ', map { sqlstate_of($dbh, $_) } @statements), ' ' x $#statements, "$name beside load");
    $load->wait_for(20);
}
ok($load->stop, 'the sessions continued');
ok((!grep { !$_->stop } @readers), 'the readers read on');

no_complaints([ $load->complaints($dbh) ],
    'durable: no append failed, and every one is there with its numbers');
no_complaints([ map { $_->complaints($dbh) } @readers ],
    'commit_order: the readers saw everything once and in order');
store_is_sound($dbh, 'after maintenance');

# The tables, read without any index, and what is found through the new ones.
$dbh->do('SET enable_indexscan = off');
$dbh->do('SET enable_bitmapscan = off');
my $stored = events_by_number($dbh);
my $found  = all_rows($dbh, 'SELECT event_id FROM generate_series(0, 3) AS p, epscan(p)');
is(join(' ', map { $_->{event_id} } @$found), join(' ', map { $_->{event_id} } @$stored),
    'indexes on sequences find every event');
no_complaints([
        grep { one_value($dbh, 'SELECT count(*) FROM eget($1)', $_) != 1 }
        map { $_->{event_id} } @$stored
    ],
    'so do those on event ids');
my %count;
$count{ $_->{stream_id} }++ for @$stored;
no_complaints([
        grep { one_value($dbh, 'SELECT count(*) FROM escan($1)', $_) != $count{$_} } sort keys %count
    ],
    'and those on streams');
append_continues($dbh, [ SierraLoad->streams ], 'gapless: appends continue');

done_testing();
