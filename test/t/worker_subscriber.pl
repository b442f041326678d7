# On a subscriber of logical replication, jobs wait: no attempt is counted, nothing is
# appended, and calls say why.  When the subscription is dropped, they run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;

my $publisher  = new_server('publisher', allows_streaming => 'logical');
my $subscriber = new_server('subscriber', allows_streaming => 'logical');
$subscriber->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 1
sierra_es.sweep_interval = '100ms'
max_worker_processes = 16
CONF
$subscriber->restart;

# The functions exist on both, the rows come with the store.
create_store($_, 2) for $publisher, $subscriber;
my ($source, $copy) = map { connect_to($_) } $publisher, $subscriber;
for my $dbh ($source, $copy) {
    $dbh->do('SET client_min_messages = error');
    $dbh->do($_) for split /;;\n/, <<'SQL';
CREATE TABLE seen (position bigint);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO public.seen VALUES ($1.global_position)';;
CREATE FUNCTION act(data jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO public.seen VALUES (-1)'
SQL
}
$source->do($_) for split /;;\n/, <<'SQL';
SELECT create_projection('seen', 'see(sierra_event)');;
SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')]);;
SELECT start_saga('saga', saga_id => 'saga-1');;
SELECT eschedule(now(), 'a', 'Due');;
SELECT eappend('a', 'Happened');;
CREATE PUBLICATION whole_store FOR TABLES IN SCHEMA es
SQL
my $publisher_dsn = $publisher->connstr . ' dbname=postgres';
$copy->do("CREATE SUBSCRIPTION follower CONNECTION '$publisher_dsn' PUBLICATION whole_store");
$subscriber->wait_for_subscription_sync($publisher, 'follower');
$source->do(q{SELECT eappend('a', 'Happened') FROM generate_series(1, 5)});
$publisher->wait_for_catchup('follower');

# Runners have been here: they run another store of this database.
$copy->do('SELECT create_event_store($1, 2)', undef, 'beside');
$copy->do('SET sierra_es.store = beside');
$copy->do(q{SELECT create_projection('seen', 'see(sierra_event)')});
for my $count (1 .. 5) {
    $copy->do(q{SELECT eappend('b', 'Happened')});
    wait_until('the store beside it runs', sub { one_value($copy, 'SELECT processed FROM beside.projections') >= $count });
}
$copy->do('RESET sierra_es.store');

my $progress = q{SELECT (SELECT string_agg(p.state || ' ' || p.attempts + p.interruptions || ' ' || p.processed, ',') FROM es.projections AS p),
                        (SELECT string_agg(i.status || ' ' || i.attempts + i.interruptions, ',') FROM es.saga_instances AS i),
                        (SELECT string_agg((t.attempts + t.interruptions)::text, ',') FROM es.timers AS t)};
sub progress { return join '; ', @{ $_[0]->selectall_arrayref($progress)->[0] } }
is(progress($copy), 'running 0 0; running 0; 0', 'projection, saga and timer wait, without an attempt');
for my $call ('SELECT run_projections()', 'SELECT run_sagas()', 'SELECT run_timers()', 'CALL run_event_jobs()') {
    is(sqlstate_of($copy, $call), '55000', "$call says that the publisher runs them");
}
is(sqlstate_of($copy, q{SELECT run_projection('seen')}), '0A000', 'so does run_projection()');
is(progress($copy), 'running 0 0; running 0; 0', 'and nothing is counted');
no_complaints([ everify_rows($copy) ], 'everify() finds nothing on a subscriber');

$copy->do('DROP SUBSCRIPTION follower');
wait_until('the projection has run', sub { one_value($copy, 'SELECT processed FROM es.projections') >= 7 });
wait_until('the saga has ended', sub { one_value($copy, 'SELECT status FROM es.saga_instances') eq 'completed' });
wait_until('the timer has run', sub { !one_value($copy, 'SELECT count(*) FROM es.timers') });
pass('without the subscription, all of them run');
unlike(progress($copy), qr/running [1-9]|stopped/, 'and none has failed');
store_is_sound($copy, 'after all');

done_testing();
