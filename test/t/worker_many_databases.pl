# Many databases on a server with the default settings: in each of them notifications
# are sent, waiting sessions are woken, and projections, sagas and timers run, by at most
# sierra_es.max_runners processes in the whole server.

use strict;
use warnings;

use DBD::Pg qw(:async);
use FindBin;
use List::Util qw(max sum);
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraListen;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $count = $ENV{SIERRA_TEST_DATABASES} // 40;
my $node = new_server('many');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.sweep_interval = '1h'
max_connections = 120
CONF
$node->restart;
my $dbh = connect_to($node);
is(one_value($dbh, 'SHOW max_worker_processes'), 8, 'max_worker_processes has its default');
is(one_value($dbh, 'SHOW sierra_es.max_runners'), 2, 'so has sierra_es.max_runners');

# A copy of a database with the extension is like one in which it was created.
my $template = connect_to($node);
$template->do($_) for split /;;\n/, <<'SQL';
CREATE DATABASE shop_1;;
SELECT 1
SQL
my $shop = connect_to($node, 'shop_1');
$shop->do($_) for split /;;\n/, <<'SQL';
CREATE EXTENSION sierra_es;;
SELECT create_event_store('es', 4);;
CREATE TABLE seen (position bigint PRIMARY KEY);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO seen VALUES ($1.global_position)';;
SELECT create_projection('seen', 'see(sierra_event)');;
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS $$SELECT '{}'::jsonb$$;;
SELECT create_saga('short', ARRAY[saga_step('only', 'act(jsonb)')]);;
SELECT esub('consumer')
SQL
$_->disconnect for $shop, $template;
$dbh->do("CREATE DATABASE shop_$_ TEMPLATE shop_1") for 2 .. $count;
my @names = map { "shop_$_" } 1 .. $count;
my %session = map { $_ => connect_to($node, $_) } @names;
my %listener = map { $_ => SierraListen->new($node, $_) } @names;

my $most = 0;
sub count_processes {
    my ($processes) = one_value($dbh, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'sierra_es%'});
    $most = max($most, $processes);
    return;
}

sub append {
    my ($database) = @_;
    return one_value($session{$database}, q{SELECT global_position FROM eappend('order-1', 'Happened')});
}

# The figures are for people; a slow machine must not fail.
sub report {
    my ($name, @seconds) = @_;
    my @sorted = sort { $a <=> $b } @seconds;
    note(sprintf '%s: median %.0f ms, slowest %.0f ms', $name, $sorted[ $#sorted / 2 ] * 1000, $sorted[-1] * 1000);
    return;
}

# ---------------------------------------------------------------------------
# NOTIFY
# ---------------------------------------------------------------------------

my @took;
for my $database (@names) {
    my $began = time;
    $listener{$database}->heard_until('es', append($database));
    push @took, time - $began;
    count_processes();
}
is(scalar @took, $count, 'an append is heard in each database');
report('one database after the other: append to NOTIFY', @took);

my $began = time;
my %position = map { $_ => append($_) } @names;
@took = ();
for my $database (@names) {
    $listener{$database}->heard_until('es', $position{$database});
    push @took, time - $began;
    count_processes();
}
is(scalar @took, $count, 'appends in all databases at once are heard');
report('all databases at once: append to NOTIFY', @took);

# Runners come and leave all the time.  Nothing is lost in between: without a call, the
# next visit would come after a minute.
my $slowest = 0;
for my $round (1 .. 150) {
    my @some = map { $names[ rand @names ] } 1 .. 1 + $round % 4;
    my $start = time;
    my %appended = map { $_ => append($_) } @some;
    for my $database (keys %appended) {
        $listener{$database}->heard_until('es', $appended{$database});
        $slowest = max($slowest, time - $start);
    }
    count_processes();
}
cmp_ok($slowest, '<', 40, 'no append waits for the next visit');
note(sprintf 'at random: slowest %.0f ms', $slowest * 1000);

# ---------------------------------------------------------------------------
# Sessions that wait: no runner is needed for them
# ---------------------------------------------------------------------------

@took = ();
my $wrong = 0;
for my $database (@names) {
    my $consumer = connect_to($node, $database);
    my $sth = $consumer->prepare(q{SELECT global_position FROM enext('consumer', wait => '10 minutes')}, { pg_async => PG_ASYNC });
    $consumer->do(q{SELECT eack('consumer', (SELECT max(global_position) FROM es.events))});
    $sth->execute;
    wait_until('it waits', sub { one_value($session{$database}, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1511
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())}) });
    sleep 0.02;
    my $position = append($database);
    my $committed = time;
    $consumer->pg_result;
    push @took, time - $committed;
    my $rows = $sth->fetchall_arrayref;
    $wrong++ unless @$rows == 1 && $rows->[0][0] == $position;
    $consumer->disconnect;
    count_processes();
}
is($wrong, 0, 'a waiting enext() is woken in each database');
report('commit of the append to the answer of enext()', @took);

# ---------------------------------------------------------------------------
# Jobs
# ---------------------------------------------------------------------------

sub all_run {
    my ($what, $work, $done) = @_;
    my $start = time;
    my %left = map { $_ => 1 } @names;
    $session{$_}->do($work) for @names;
    wait_until($what, sub {
        for my $database (keys %left) {
            delete $left{$database} if one_value($session{$database}, $done);
        }
        count_processes();
        !%left
    });
    pass("$what in each database");
    note(sprintf '%s in all databases after %.1f s', $what, time - $start);
    return;
}
all_run('projections', q{SELECT eappend('order-2', 'Happened')}, 'SELECT (SELECT count(*) FROM seen) >= (SELECT count(*) FROM es.events)');
all_run('sagas', q{SELECT start_saga('short', '{}', 'saga-short-1')}, q{SELECT status = 'completed' FROM event_sagas() WHERE saga_id = 'saga-short-1'});
all_run('timers', q{SELECT eschedule(clock_timestamp() + interval '1 s', 'late-1', 'Due')}, q{SELECT count(*) FROM es.events WHERE stream_id = 'late-1'});
cmp_ok($most, '<=', 3, "never more than a launcher and two runners ($most)");
cmp_ok($most, '>=', 2, 'and a runner has been seen');

# ---------------------------------------------------------------------------
# What waits, for how long, and what to change
# ---------------------------------------------------------------------------

sub row_of {
    my ($database) = @_;
    return all_rows($dbh, 'SELECT *, waiting > interval $$0$$ AS has_waited FROM event_databases() WHERE database = $1', $database)->[0];
}
wait_until('nothing waits', sub { !one_value($dbh, 'SELECT count(*) FROM event_databases() WHERE waiting IS NOT NULL') });
is(one_value($dbh, q{SELECT count(*) FROM event_databases() WHERE database LIKE 'shop%' AND state IN ('quiet', 'served') AND hint IS NULL}), $count,
    'event_databases(): nothing waits in any of them');
is(one_value($dbh, q{SELECT count(*) FROM event_databases() WHERE database LIKE 'shop%' AND next_visit IS NULL AND state = 'quiet'}), 0,
    'and each is visited again');
for my $database (@names[ 0 .. 1 ]) {
    $session{$database}->do(q{CREATE OR REPLACE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(600)'});
    append($database);
}
wait_until('both runners are in a long job', sub { one_value($dbh, q{SELECT count(*) = 2 FROM event_runners() WHERE job LIKE 'projection%'}) });
append('shop_3');
wait_until('a database waits', sub { row_of('shop_3')->{has_waited} });
is(row_of('shop_3')->{state}, 'waiting', 'a database waits');
like(row_of('shop_3')->{hint}, qr/^All 2 runners are in use\..*"sierra_es\.max_runners"/, 'for a runner');
$node->append_conf('postgresql.conf', 'sierra_es.max_runners = 3');
$node->reload;
wait_until('it is served', sub { one_value($session{shop_3}, 'SELECT (SELECT count(*) FROM seen) >= (SELECT count(*) FROM es.events)') });
wait_until('it does not wait', sub { !defined row_of('shop_3')->{waiting} });
pass('with one more it waits no longer');
$node->append_conf('postgresql.conf', 'sierra_es.max_runners = 0');
$node->reload;
append('shop_4');
wait_until('a database waits for runners', sub { (row_of('shop_4')->{hint} // '') =~ /^There are no runners\./ });
is(row_of('shop_4')->{state}, 'waiting', 'without runners, a database waits');

$_->end for values %listener;
$_->disconnect for $dbh, values %session;
done_testing();
