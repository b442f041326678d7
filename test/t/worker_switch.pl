# What runs by itself can be switched off for a database and for a store; a restored copy
# runs nothing until it is switched on.  While a store is not complete, its jobs wait,
# and no attempt is counted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node  = new_server('switch');
my $files = PostgreSQL::Test::Utils::tempdir();
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 1
sierra_es.sweep_interval = '100ms'
max_worker_processes = 16
CONF
$node->restart;

my $dbh = connect_to($node);
$dbh->do('SET client_min_messages = error');
$dbh->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('es', 2), create_event_store('beside', 2);;
CREATE TABLE seen (position bigint);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO public.seen VALUES ($1.global_position)';;
CREATE FUNCTION act(data jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO public.seen VALUES (-1)';;
SELECT create_projection('seen', 'see(sierra_event)');;
SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')]);;
SET sierra_es.store = beside;;
SELECT create_projection('seen', 'see(sierra_event)');;
RESET sierra_es.store
SQL

# What a projection of a store has handled, and whether it has ever failed.
sub handled {
    my ($session, $store) = @_;
    return one_value($session, 'SELECT processed FROM event_projections($1)', $store);
}

sub attempts {
    my ($session) = @_;
    return one_value($session, q{SELECT attempts + interruptions || ' ' || state FROM es.projections});
}

sub append {
    my ($session, $store) = @_;
    $session->do('SELECT set_config($1, $2, false)', undef, 'sierra_es.store', $store);
    $session->do(q{SELECT eappend('a', 'Happened')});
    $session->do('RESET sierra_es.store');
    return;
}

sub catches_up {
    my ($session, $store, $count, $what) = @_;
    wait_until($what, sub { handled($session, $store) >= $count });
    pass($what);
    return;
}

# Waits until a runner has read the settings again: it does so each time it looks for jobs,
# and there is one runner.  The second event is found by a look that began after this call.
my $beside = 1;

sub runner_has_looked {
    for (1 .. 2) {
        append($dbh, 'beside');
        $beside++;
        wait_until('the store beside it runs', sub { handled($dbh, 'beside') >= $beside });
    }
    return;
}

append($dbh, $_) for 'es', 'beside';
catches_up($dbh, $_, 1, "jobs of store $_ run by default") for 'es', 'beside';

# ---------------------------------------------------------------------------
# One store
# ---------------------------------------------------------------------------

$dbh->do(q{ALTER DATABASE postgres SET sierra_es.paused_stores = 'other, es'});
runner_has_looked();
append($dbh, 'es');
runner_has_looked();
pass('a store beside it runs');
is(handled($dbh, 'es'), 1, 'a store that is paused does not');
my ($out, $notice) = ('', '');
$node->psql('postgres', 'CALL run_event_jobs()', stdout => \$out, stderr => \$notice);
like($notice, qr/NOTICE:  jobs of event store "es" are switched off/, 'nor with run_event_jobs(), which says so');
is(handled($dbh, 'es'), 1, 'nothing ran');
is(one_value($dbh, q{SELECT run_projection('seen')}), 1, 'a call for one projection runs it');
append($dbh, 'es');
$dbh->do('ALTER DATABASE postgres RESET sierra_es.paused_stores');
catches_up($dbh, 'es', 3, 'after RESET, its jobs run');

# The value of the server holds for a database that sets nothing, also in a runner that
# is there already.
$dbh->do(q{ALTER DATABASE postgres SET sierra_es.paused_stores = ''});
$node->append_conf('postgresql.conf', q{sierra_es.paused_stores = 'es'});
$node->restart;
$dbh = connect_to($node);
$dbh->do('SET client_min_messages = error');
append($dbh, 'es');
catches_up($dbh, 'es', 4, 'the database has its own value, whatever the server has');
$dbh->do('ALTER DATABASE postgres RESET sierra_es.paused_stores');
runner_has_looked();
append($dbh, 'es');
runner_has_looked();
is(handled($dbh, 'es'), 4, 'RESET: that of the server holds');
$node->append_conf('postgresql.conf', q{sierra_es.paused_stores = ''});
$node->reload;
catches_up($dbh, 'es', 5, 'a reload switches it on');

# ---------------------------------------------------------------------------
# A database that is restored
# ---------------------------------------------------------------------------

$dbh->do(q{ALTER DATABASE postgres SET sierra_es.paused_stores = 'es'});
runner_has_looked();
$dbh->do(q{SELECT eschedule(now(), 'a', 'Due')});
$dbh->do(q{SELECT start_saga('saga', saga_id => 'saga-1')});
$node->command_ok([ 'pg_dump', '-Fc', '-d', 'postgres', '-f', "$files/dump" ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE template0');
$node->safe_psql('postgres', 'ALTER DATABASE copy SET sierra_es.run_jobs = off');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j2', '-d', 'copy', "$files/dump" ], 'pg_restore');
my $copy   = connect_to($node, 'copy');
my $before = one_value($copy, 'SELECT count(*) FROM es.events');
$copy->do('SELECT sierra_call_runners()');
runner_has_looked();
pass('another database runs its jobs');
is(one_value($copy, 'SELECT count(*) FROM es.events'), $before, 'a copy that is switched off runs neither timers nor sagas');
is(one_value($copy, q{SELECT status FROM event_sagas()}), 'running', 'its saga waits');
$copy->do('ALTER DATABASE copy SET sierra_es.run_jobs = on');
$copy->do('SELECT sierra_call_runners()');
wait_until('the saga has ended', sub { one_value($copy, q{SELECT status FROM event_sagas()}) eq 'completed' });
wait_until('the timer has run', sub { one_value($copy, q{SELECT count(*) FROM es.events WHERE event_name = 'Due'}) == 1 });
pass('switched on, it runs both');
$copy->disconnect;

# ---------------------------------------------------------------------------
# A restore that has not made all keys
# ---------------------------------------------------------------------------

# Everything but the keys of one partition: the guards are there, as with pg_restore --jobs.
$node->safe_psql('postgres', 'CREATE DATABASE late TEMPLATE template0');
my ($list) = run_command([ 'pg_restore', '-l', "$files/dump" ]);
my @entries = grep { !/^;/ } split /\n/, $list;
my $key     = qr/ (CONSTRAINT|INDEX|INDEX ATTACH) es events_1/;
my @keys    = grep { $_ =~ $key } @entries;
append_to_file("$files/early", join("\n", grep { $_ !~ $key } @entries) . "\n");
append_to_file("$files/keys",  join("\n", @keys) . "\n");
cmp_ok(scalar @keys, '>', 1, 'the partition has keys');
my $log = -s $node->logfile;
$node->command_ok([ 'pg_restore', '--exit-on-error', '-L', "$files/early", '-d', 'late', "$files/dump" ], 'pg_restore without keys');
my $late = connect_to($node, 'late');
wait_until('a runner has found the store',
    sub { slurp_file($node->logfile, $log) =~ /ERROR:  event store "es" is not complete/ });
pass('a runner says that the store is not complete');
is(attempts($late), '0 running', 'no attempt is counted');
is(sqlstate_of($late, 'CALL run_event_jobs()'), 'SE005', 'run_event_jobs() refuses too');
is(attempts($late), '0 running', 'and counts nothing');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-L', "$files/keys", '-d', 'late', "$files/dump" ], 'pg_restore of keys');
wait_until('the saga of the restored store has ended',
    sub { one_value($late, q{SELECT status FROM event_sagas('es')}) eq 'completed' });
pass('with its keys, the store runs');
wait_until('the projection has run', sub { one_value($late, 'SELECT processed = (SELECT count(*) FROM es.events) FROM es.projections') });
like(attempts($late), qr/^0 /, 'and nothing has failed');
no_complaints([ everify_rows($late) ], 'everify() finds nothing');

done_testing();
