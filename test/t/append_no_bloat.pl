# no_bloat: appending updates and deletes no row, whatever happens to appends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraLoad;
use SierraTest;
use Test::More;

my $node = new_server('no_bloat');
create_store($node, 4);

my $load = SierraLoad->new(dsn => dsn_of($node), sessions => 3, seed => 65)->start;
my $dbh  = connect_to($node);
my $rolled_back = 0;
for my $i (1 .. 200) {
    # One partition only: with several, in any order, it could deadlock with the load.
    $dbh->begin_work;
    $dbh->do(q{SELECT * FROM emappend(NULL, ARRAY['own', 'own'], ARRAY['e', 'e'],
        event_ids => ARRAY[gen_random_uuid(), gen_random_uuid()], tags => ARRAY['["a"]', '["a", "b"]']::json[])});
    $dbh->do('SAVEPOINT before');
    $dbh->do(q{SELECT * FROM eappend('own', 'Undone')});
    $dbh->do('ROLLBACK TO before');
    $dbh->do(q{SELECT * FROM eappend('own', 'Done')});
    $i % 2 ? $dbh->commit : $dbh->rollback;
    $rolled_back += $i % 2 ? 1 : 4;
    $dbh->begin_work;
    $dbh->do(q{SELECT * FROM eappend($1, 'Undone', partition_key => 'tenant')}, undef, "keyed-$i");
    $i % 2 ? $dbh->commit : $dbh->rollback;
    $rolled_back += 1 - $i % 2;
    sqlstate_of($dbh, q{SELECT * FROM eappend('own', 'Refused', expected_version => 'empty')}) eq 'SE001'
      or die 'expected a refusal';
}
ok($load->stop, 'appends continued beside');
no_complaints([ $load->complaints($dbh) ], 'and none failed');

# Sessions report statistics now and then and when they end.  Wait until the
# figures include every event, so that zeros among them mean something.
my $appended = one_value($dbh, 'SELECT count(*) FROM es.events') + $rolled_back;
$dbh->do('SELECT pg_stat_force_next_flush()');
wait_until('the statistics are complete', sub {
    one_value($dbh, q{SELECT sum(n_tup_ins) FROM pg_stat_user_tables
                       WHERE schemaname = 'es' AND relname LIKE 'events\_%'}) >= $appended
});
my $statistics = q{
    SELECT t.relname, t.n_tup_ins, t.n_tup_upd, t.n_tup_hot_upd, t.n_tup_del
      FROM pg_stat_user_tables AS t WHERE t.schemaname = 'es' ORDER BY t.relname};
my %tables = map { $_->{relname} => $_ } @{ all_rows($dbh, $statistics) };
is_deeply([ sort keys %tables ], [ 'aggregates', 'event_ids', 'event_tags', 'events', (map { "events_$_" } 0 .. 3), 'projection_states', 'projections', 'saga_instances', 'sagas', 'snapshots',
        'stream_keys', 'subscription_consumers', 'subscription_cursors', 'subscription_streams', 'subscriptions', 'timers', 'upcasters' ],
    'there are statistics of every table');
for my $table (values %tables) {
    is($table->{$_}, 0, "no_bloat: $_ of $table->{relname}") for qw(n_tup_upd n_tup_hot_upd n_tup_del);
}
is(one_value($dbh, q{SELECT count(*) FROM pg_class WHERE relnamespace = 'es'::regnamespace AND relkind IN ('r', 'p', 'm', 'S')}),
    21, 'and there are no other tables');
store_is_sound($dbh, 'after rollbacks');

done_testing();
