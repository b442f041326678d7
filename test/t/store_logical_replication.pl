# portable_positions: logical replication of a whole store.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraLoad;
use SierraReader;
use SierraTest;
use Test::More;

my $publisher  = new_server('publisher', allows_streaming => 'logical');
my $subscriber = new_server('subscriber', allows_streaming => 'logical');

# Enough partitions for some to stay empty.
create_store($_, 64) for $publisher, $subscriber;
my ($source, $copy) = map { connect_to($_) } $publisher, $subscriber;

# This session has appended before: later it must notice the rows that arrived
# in the meantime.
$copy->begin_work;
$copy->do(q{SELECT * FROM eappend('early', 'Undone')});
$copy->rollback;

# Some events come with the initial copy, the others as they are appended.
my @loads = SierraLoad->new(dsn => dsn_of($publisher), sessions => 3, seed => 50)->start;
$loads[0]->wait_for(150);
ok($loads[0]->stop, 'the publisher took appends');
$source->do('CREATE PUBLICATION whole_store FOR TABLES IN SCHEMA es');
push @loads, SierraLoad->new(dsn => dsn_of($publisher), sessions => 3, seed => 51)->start;
my @readers = map { SierraReader->new(dsn => dsn_of($subscriber), kind => $_)->start }
  qw(partitions streams);
my $publisher_dsn = $publisher->connstr . ' dbname=postgres';
$copy->do("CREATE SUBSCRIPTION follower CONNECTION '$publisher_dsn' PUBLICATION whole_store");
$subscriber->wait_for_subscription_sync($publisher, 'follower');
$loads[1]->wait_for(300);
ok($loads[1]->stop, 'appends continue beside the copy');
$publisher->wait_for_catchup('follower');
ok((!grep { !$_->stop } @readers), 'readers read beside it');

same_text(store_text($copy), store_text($source), 'byte_exact: the subscriber has every event');
no_complaints([ map { $_->complaints($copy) } @loads ], 'with the numbers that were acknowledged');
no_complaints([ map { $_->complaints($copy) } @readers ],
    'readers of streams and partitions saw everything once and in order');
no_complaints([ number_faults(events_by_number($copy)) ], 'gapless: on the subscriber');
no_complaints([ everify_rows($copy) ],
    'everify() finds nothing: that the sequence is behind is right while the subscription writes');

is(sqlstate_of($copy, "SELECT * FROM $_"), '0A000', "$_ refuses on a subscriber, rather than skip events")
  for 'eall()', q{eall(tags => ARRAY['a'])}, q{equery('[{"tags": ["a"]}]')};
is(sqlstate_of($copy, q{SELECT * FROM eappend('shared-0', 'Happened')}), '55000',
    'appends are refused there: their numbers belong to the publisher');
for my $statement (
    'INSERT INTO es.events SELECT * FROM es.events',
    'INSERT INTO es.event_ids VALUES (gen_random_uuid(), 0)',
    q{INSERT INTO es.event_tags VALUES ('a', 0, 0, 0)},
    'UPDATE es.events SET payload = NULL',
    'UPDATE es.events_0 SET payload = NULL',
    'DELETE FROM es.events',
    'DELETE FROM es.stream_keys',
    'DELETE FROM es.event_tags',
    'TRUNCATE es.events',
    "COPY es.events_0 FROM PROGRAM 'true'"
  )
{
    is(sqlstate_of($copy, $statement), 'SE006', "append_only: $statement");
}
my $cursor = one_value($source, 'SELECT global_position FROM es.events ORDER BY 1 OFFSET 100 LIMIT 1');

# A prepared or open append on the publisher is not visible.
$source->begin_work;
$source->do(q{SELECT * FROM eappend('shared-0', 'Open')});
is(one_value($copy, q{SELECT esver('shared-0')}),
    one_value($source, q{SELECT max(stream_version) - 1 FROM es.events WHERE stream_id = 'shared-0'}),
    'an open append does not show');
$source->rollback;

# The subscriber takes over.
$copy->do('DROP SUBSCRIPTION follower');
my $follow = 'SELECT e::text FROM eall(?, NULL) AS e';
for my $after (-1, $cursor) {
    same_text(
        join("\n", @{ $copy->selectcol_arrayref($follow, undef, $after) }),
        join("\n", @{ $source->selectcol_arrayref($follow, undef, $after) }),
        "eall($after) works, and returns what the publisher returns"
    );
}
my $tagged = q{SELECT e::text FROM eall(-1, NULL, tags => ARRAY['number:2', 'stream:shared-3']) AS e};
same_text(join("\n", @{ $copy->selectcol_arrayref($tagged) }), join("\n", @{ $source->selectcol_arrayref($tagged) }),
    'events are found by their tags');
cmp_ok(one_value($copy, "SELECT count(*) FROM ($tagged) AS e"), '>', 10, 'there are some');
my $new = one_value($copy, q{SELECT 'new-' || i FROM generate_series(1, 10000) AS i
    WHERE sierra_partition_id(sierra_stream_key('new-' || i), 64) NOT IN (SELECT partition_id FROM es.events) LIMIT 1});
append_continues($copy, [ $new, SierraLoad->streams ],
    'gapless: without the subscription, appends continue');
store_is_sound($copy, 'after appends');
my $load = SierraLoad->new(dsn => dsn_of($subscriber), sessions => 3, seed => 52)->start;
my $reader = SierraReader->new(dsn => dsn_of($subscriber), kind => 'all')->start;
$load->wait_for(150);
ok($load->stop, 'the former subscriber takes load');
ok($reader->stop, 'and readers');
no_complaints([ (map { $_->complaints($copy) } @loads, $load), $reader->complaints($copy) ],
    'durable: everything that either server acknowledged is there');
store_is_sound($copy, 'after load');

done_testing();
