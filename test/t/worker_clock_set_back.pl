# The wall clock of a server is set back by an hour while it runs: runners, notifications
# and sessions that wait continue, because they measure durations by another clock.

use strict;
use warnings;

use DBD::Pg qw(:async);
use Fcntl;
use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraListen;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $directory = PostgreSQL::Test::Utils::tempdir();
my $library = "$directory/shift_clock.so";
system('cc', '-shared', '-fPIC', '-o', $library, "$FindBin::Bin/../lib/shift_clock.c", '-ldl') == 0
  or die 'cannot compile shift_clock.c';

sub shift_clock {
    my ($seconds) = @_;
    # The server has mapped the file, so it must stay the same one.
    sysopen my $file, "$directory/clock", O_WRONLY | O_CREAT or die $!;
    syswrite $file, pack('q', $seconds);
    close $file;
    return;
}
shift_clock(0);
chmod 0644, "$directory/clock";

my $node = new_server('clock');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 1
sierra_es.sweep_interval = '200ms'
CONF
$node->stop;
{
    local $ENV{LD_PRELOAD} = $library;
    local $ENV{SIERRA_CLOCK_FILE} = "$directory/clock";
    $node->start;
}
my $dbh = connect_to($node);
$dbh->do('CREATE DATABASE other');
my %session = (postgres => $dbh, other => connect_to($node, 'other'));
for my $session (values %session) {
    $session->do($_) for split /;;\n/, <<'SQL';
CREATE EXTENSION IF NOT EXISTS sierra_es;;
SELECT create_event_store('es', 1);;
CREATE TABLE seen (position bigint PRIMARY KEY);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF $1.event_name = 'Failing' AND (SELECT count(*) FROM retried) = 0 THEN RAISE 'not yet'; END IF;
    INSERT INTO seen VALUES ($1.global_position);
END $$;;
CREATE TABLE retried (n int);;
SELECT create_projection('seen', 'see(sierra_event)', retry_after => '500ms', max_attempts => 100);;
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS $$SELECT '{}'::jsonb$$;;
SELECT create_saga('short', ARRAY[saga_step('only', 'act(jsonb)')]);;
SELECT esub('consumer')
SQL
}
my %listener = map { $_ => SierraListen->new($node, $_) } keys %session;

sub append {
    my ($session) = @_;
    return one_value($session, q{SELECT global_position FROM eappend('order-1', 'Happened')});
}

# What is measured by the clock of the test must take seconds, not an hour.
my $sagas = 0;
sub works {
    my ($when) = @_;
    $sagas++;
    for my $database (sort keys %session) {
        my $session = $session{$database};
        my $position = append($session);
        ok(scalar($listener{$database}->heard_until('es', $position)), "$when: NOTIFY in $database");
        is(one_value($session, q{SELECT ewait_projection('seen', $1, '150 s')}, $position), 1, "$when: a projection in $database");
        $session->do('SELECT start_saga($1, $2, $3)', undef, 'short', '{}', "saga-short-$sagas");
        wait_until('the saga has run', sub { one_value($session, q{SELECT status = 'completed' FROM event_sagas() WHERE saga_id = $1}, "saga-short-$sagas") });
        $session->do(q{SELECT eschedule(clock_timestamp() + interval '300 ms', $1, 'Due')}, undef, "late-$sagas");
        wait_until('the timer has run', sub { one_value($session, q{SELECT count(*) FROM escan($1)}, "late-$sagas") });
        pass("$when: a saga and a timer in $database");
    }
    return;
}

sub restore_a_row {
    my ($session) = @_;
    $session->begin_work;
    $session->do('SET LOCAL sierra_es.restore = on');
    my $position = one_value($session, 'SELECT max(global_position) + 100 FROM es.events');
    $session->do(q{INSERT INTO es.events SELECT max(partition_sequence) + 1, 0, $1::bigint, now(), gen_random_uuid(), gen_random_uuid(),
                   gen_random_uuid(), 0, 'restored-' || $1::text, 'Happened' FROM es.events_0}, undef, $position);
    $session->commit;
    return $position;
}
works('at first');
my $before = one_value($dbh, 'SELECT clock_timestamp()');

# A session waits, and a runner sleeps, while the clock is set back.
my $consumer = connect_to($node);
$consumer->do(q{SELECT eack('consumer', (SELECT max(global_position) FROM es.events))});
my $waits = $consumer->prepare(q{SELECT count(*) FROM enext('consumer', wait => '3 s')}, { pg_async => PG_ASYNC });
my $began = time;
$waits->execute;
wait_until('it waits', sub { one_value($dbh, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1511}) });
shift_clock(-3600);
is(one_value($dbh, q{SELECT clock_timestamp() < $1::timestamptz - interval '30 min'}, $before), 1, 'the clock of the server is set back');
$consumer->pg_result;
cmp_ok(time - $began, '<', 1000, 'the time of a waiting enext() ends');
is_deeply($waits->fetchall_arrayref, [ [0] ], 'without an event');
works('after the clock was set back');

$listener{postgres}->forget;
my $position = restore_a_row($dbh);
ok(scalar($listener{postgres}->heard_until('es', $position)), 'a sweep finds what rang nothing');
is(one_value($dbh, q{SELECT ewait_projection('seen', $1, '150 s')}, $position), 1, 'so does the look for jobs');
$began = time;
is(one_value($dbh, q{SELECT ewait('consumer', $1, '200 ms')}, $position), 0, 'ewait() ends');
cmp_ok(time - $began, '<', 1000, 'after its time');
is(one_value($dbh, q{SELECT count(*) FROM event_databases() WHERE waiting > interval '10 minutes' OR waiting < interval '0'}), 0,
    'event_databases() measures by the same clock');

# Times of retries are stored, and so of the wall clock: from now on they are right.
$dbh->do(q{SELECT eappend('order-2', 'Failing')});
wait_until('it has failed', sub { one_value($dbh, q{SELECT attempts > 0 FROM event_projections() WHERE projection = 'seen'}) });
$dbh->do('INSERT INTO retried VALUES (1)');
wait_until('it is tried again', sub { one_value($dbh, q{SELECT state = 'running' FROM event_projections() WHERE projection = 'seen'}) });
pass('a failure is tried again');

# And forth, and back once more.
shift_clock(3600);
works('after the clock was set forward');
shift_clock(-3600);
works('after it was set back again');

$_->end for values %listener;
$_->disconnect for $consumer, values %session;
$node->stop;
done_testing();
