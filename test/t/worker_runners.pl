# Runners: timers and projections run by themselves, in every store and database
# of the server, in turn, each event exactly once whatever ends in the meantime.

use strict;
use warnings;

use FindBin;
use List::Util qw(max);
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_server('runners', allows_streaming => 1);
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 1
sierra_es.sweep_interval = '500ms'
max_worker_processes = 16
CONF
$node->restart;

# Makes the store of a database with the tables that the tests below count.
sub prepare {
    my ($database) = @_;
    my $session = connect_to($node, $database);
    $session->do('CREATE EXTENSION IF NOT EXISTS sierra_es');
    $session->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('es', 2);;
CREATE TABLE seen (position bigint PRIMARY KEY);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO seen VALUES ($1.global_position)';;
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql
AS 'SELECT to_jsonb($1::text::bigint + 1)';;
SELECT create_projection('seen', 'see(sierra_event)');;
SELECT create_projection('tally', 'tally(jsonb, sierra_event)', initial => '0', key => $$'all'$$)
SQL
    return $session;
}

# Appends, and waits until both projections have handled this event and all
# before it, once each.
sub follows {
    my ($name, $session) = @_;
    my $position = one_value($session, q{SELECT global_position FROM eappend('order-1', 'Happened')});
    is(one_value($session, q{SELECT ewait_projection('seen', $1, '30 s') AND ewait_projection('tally', $1, '30 s')}, $position),
        1, "$name: projections have an append");
    is(one_value($session, q{
        SELECT (SELECT count(*) FROM es.events) = (SELECT count(*) FROM seen)
           AND (SELECT count(*) FROM es.events) = (SELECT state::text::bigint FROM estates('tally'))}),
        1, "$name: each event once");
    return;
}

my $dbh = prepare('postgres');

sub runners {
    my ($database, $session) = @_;
    return all_rows($session // $dbh, 'SELECT * FROM event_runners() WHERE database = $1 ORDER BY pid', $database);
}

sub runner_pid {
    my ($database, $old, $session) = @_;
    my $pid;
    wait_until("$database has a runner", sub {
        $pid = (map { $_->{pid} } @{ runners($database, $session) })[0];
        defined $pid && $pid != ($old // 0)
    });
    return $pid;
}

# ---------------------------------------------------------------------------
# What runs by itself
# ---------------------------------------------------------------------------

follows('at once', $dbh);
$dbh->do(q{SELECT eschedule(clock_timestamp(), 'late-1', 'Due')});
wait_until('the timer has run', sub { one_value($dbh, q{SELECT count(*) FROM es.events WHERE stream_id = 'late-1'}) });
follows('after a timer', $dbh);
my $due = one_value($dbh, q{SELECT clock_timestamp() + '1500ms'});
$dbh->do(q{SELECT eschedule($1, 'late-2', 'Due')}, undef, $due);
wait_until('the later timer has run', sub { one_value($dbh, q{SELECT count(*) FROM es.events WHERE stream_id = 'late-2'}) });
cmp_ok(one_value($dbh, q{SELECT extract(epoch FROM "timestamp" - $1::timestamptz) FROM es.events WHERE stream_id = 'late-2'}, $due),
    '>=', 0, 'a timer does not run before its time');
is(one_value($dbh, q{SELECT "timestamp" < $1::timestamptz + interval '400ms' FROM es.events WHERE stream_id = 'late-2'}, $due),
    1, 'and less than a sweep after it');

# A prepared transaction sends no signal when it commits.
$dbh->begin_work;
$dbh->do(q{SELECT eappend('prepared-1', 'Happened')});
$dbh->do(q{PREPARE TRANSACTION 'p'});
$dbh->do(q{COMMIT}) if !$dbh->{AutoCommit};
$dbh->{AutoCommit} = 1;
sleep 1;
my $other = connect_to($node);
$other->do(q{COMMIT PREPARED 'p'});
$other->disconnect;
wait_until('the prepared event is handled', sub { one_value($dbh, q{SELECT count(*) = (SELECT count(*) FROM es.events) FROM seen}) });
pass('COMMIT PREPARED');

# Long enough to be seen.
is($dbh->selectrow_array(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'sierra_es runner'}), 1, 'one runner');
my $row = runners('postgres')->[0];
cmp_ok($row->{events}, '>', 5, 'event_runners() counts events');
cmp_ok($row->{jobs}, '>', 3, 'and jobs');
sleep 2;
cmp_ok(runners('postgres')->[0]{jobs} - $row->{jobs}, '<', 20, 'without new events nothing is run again and again');
$dbh->do(q{CREATE FUNCTION doze(e sierra_event) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(3)'});
$dbh->do(q{SELECT create_projection('dozing', 'doze(sierra_event)', start_from => 'latest')});
$dbh->do(q{SELECT eappend('order-1', 'Happened')});
wait_until('the job is shown', sub { (runners('postgres')->[0]{job} // '') eq 'projection "dozing" of store es' });
is(one_value($dbh, q{SELECT query FROM pg_stat_activity WHERE backend_type = 'sierra_es runner'}),
    'projection "dozing" of store es', 'pg_stat_activity says what runs');
$dbh->do(q{SELECT drop_projection('dozing')});

# An event that fails is tried again without a call, and logged once.
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE TABLE wanted (ok boolean);;
CREATE FUNCTION fail_once(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN IF NOT EXISTS (SELECT FROM wanted) THEN RAISE 'not yet wanted'; END IF; END $$;;
SELECT create_projection('failing', 'fail_once(sierra_event)', retry_after => '300ms', max_attempts => 20)
SQL
wait_until('it failed', sub { one_value($dbh, q{SELECT state = 'retrying' FROM event_projections() WHERE projection = 'failing'}) });
follows('beside a projection that fails', $dbh);
$dbh->do('INSERT INTO wanted VALUES (true)');
wait_until('it is tried again', sub { one_value($dbh, q{SELECT state = 'running' AND processed > 0 FROM event_projections() WHERE projection = 'failing'}) });
pass('a failure is tried again');
$dbh->do(q{SELECT drop_projection('failing')});

# A transient error is not counted, but each pause is longer than the one before:
# 0.1, 0.2, 0.4 s, and so on.  If it cannot be recorded, the runner pauses for 1, 2, 4 s.
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE SEQUENCE tries;;
CREATE FUNCTION be_interrupted(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('tries'); -- stays
    RAISE 'interrupted' USING ERRCODE = 'serialization_failure';
END $$;;
SELECT create_projection('interrupted', 'be_interrupted(sierra_event)', batch_size => 1, max_attempts => 1)
SQL
sub tries_within {
    my ($seconds) = @_;
    my ($before) = one_value($dbh, 'SELECT last_value FROM tries');
    sleep $seconds;
    return one_value($dbh, 'SELECT last_value FROM tries') - $before;
}
wait_until('it was interrupted', sub { one_value($dbh, q{SELECT interruptions > 0 FROM es.projections WHERE projection = 'interrupted'}) });
my $tries = tries_within(4);
cmp_ok($tries, '<=', 6, 'a projection that is always interrupted is tried less and less');
cmp_ok($tries, '>=', 1, 'but is tried');
is(one_value($dbh, q{SELECT state = 'running' AND attempts = 0 FROM event_projections() WHERE projection = 'interrupted'}), 1,
    'and no attempt is counted');
follows('beside it', $dbh);
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE FUNCTION refuse_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'full' USING ERRCODE = 'disk_full'; END $$;;
CREATE TRIGGER refuse_update BEFORE UPDATE ON es.projections FOR EACH ROW
    WHEN (NEW.projection = 'interrupted' AND NEW.interruptions > 0) EXECUTE FUNCTION refuse_update();;
UPDATE es.projections SET interruptions = 0, retry_at = NULL WHERE projection = 'interrupted'
SQL
$tries = tries_within(4);
cmp_ok($tries, '<=', 4, 'also if its interruptions cannot be recorded');
cmp_ok($tries, '>=', 1, 'but is tried then, too');
is(one_value($dbh, q{SELECT interruptions FROM es.projections WHERE projection = 'interrupted'}), 0, 'nothing was recorded');
follows('beside that', $dbh);
$dbh->do('DROP TRIGGER refuse_update ON es.projections');
$dbh->do(q{SELECT drop_projection('interrupted')});

# ---------------------------------------------------------------------------
# Fairness
# ---------------------------------------------------------------------------

$dbh->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('busy', 2);;
SET sierra_es.store = 'busy';;
CREATE FUNCTION slowly(e sierra_event) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); END';;
SELECT count(eappend('s-' || n % 7, 'E')) FROM generate_series(1, 100000) AS n;;
SELECT create_projection('slow', 'slowly(sierra_event)');;
RESET sierra_es.store
SQL
sleep 3;    # until it is in full swing
$due = one_value($dbh, 'SELECT clock_timestamp()');
for my $n (1 .. 10) {
    $dbh->do(q{SELECT eschedule(clock_timestamp(), 'fair-1', 'Due')});
    sleep 0.4;
}
wait_until('timers have run', sub { one_value($dbh, q{SELECT count(*) = 10 FROM es.events WHERE stream_id = 'fair-1'}) });
my $late = one_value($dbh, q{
    SELECT max(extract(epoch FROM e."timestamp" - to_timestamp(('x' || lpad(left(replace(e.event_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint / 1000.0)))
      FROM es.events AS e WHERE e.stream_id = 'fair-1'});
cmp_ok($late, '<', 1, 'one runner: timers of a store wait less than a slice for a backlog of another');
note("the latest timer was $late s late");
is(one_value($dbh, q{SELECT processed BETWEEN 200 AND 50000 FROM busy.projections}), 1, 'which continues meanwhile');

# With more places another runner comes to help.
$node->append_conf('postgresql.conf', 'sierra_es.max_runners = 3');
$node->reload;
follows('beside a backlog', $dbh);
$dbh->do(q{CREATE FUNCTION slowly2(e sierra_event) RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.005); END'});
$dbh->do(q{SET sierra_es.store = 'busy'});
$dbh->do(q{SELECT create_projection('slow2', 'slowly2(sierra_event)')});
$dbh->do(q{RESET sierra_es.store});
wait_until('two runners are at work', sub {
    my %jobs = map { ($_->{job} // '') => 1 } @{ runners('postgres') };
    $jobs{'projection "slow" of store busy'} && $jobs{'projection "slow2" of store busy'}
});
pass('a busy database gets a second runner');
is(one_value($dbh, q{SELECT drop_event_store('busy', true) IS NOT NULL}), 1, 'a store is dropped while runners are at it');
my @failed;
for my $round (1 .. 15) {
    $dbh->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('busy', 2);;
SET sierra_es.store = 'busy';;
SELECT count(eappend('s-' || n % 7, 'E')) FROM generate_series(1, 2000) AS n;;
SELECT create_projection(p, (p || '(sierra_event)')::regprocedure, batch_size => 1) FROM unnest('{slowly,slowly2}'::text[]) AS p;;
SELECT count(eschedule(clock_timestamp() + n * interval '1 ms', 's-1', 'Due')) FROM generate_series(1, 200) AS n;;
RESET sierra_es.store
SQL
    sleep 0.01 * $round;
    push @failed, sqlstate_of($dbh, q{SELECT drop_event_store('busy', true)});
}
no_complaints([ grep { $_ ne '' } @failed ], 'and again and again');
$node->append_conf('postgresql.conf', 'sierra_es.max_runners = 1');
$node->reload;
wait_until('they are fewer', sub { @{ runners('postgres') } == 1 });
follows('after the others left', $dbh);

# ---------------------------------------------------------------------------
# More databases than runners
# ---------------------------------------------------------------------------

my %session = (postgres => $dbh);
for my $database (qw(shop bank)) {
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    $session{$database} = prepare($database);
}
for my $round (1 .. 2) {
    follows("one runner, database $_", $session{$_}) for sort keys %session;
}
# The runner moves on: a database that waits for the place gets it when the
# runner is idle, or still starting.
my $latest = 0;
for my $round (1 .. 12) {
    my $delay = (0.1, 0.5, 1)[$round % 3];
    $session{$_}->do(q{SELECT eschedule(clock_timestamp() + $1 * interval '1 s', $2, 'Due')}, undef, $delay, "later-$round") for sort keys %session;
    my $began = time;
    for my $database (sort keys %session) {
        wait_until("timers of $database", sub { one_value($session{$database}, q{SELECT count(*) FROM es.events WHERE stream_id = $1}, "later-$round") });
    }
    $latest = max($latest, time - $began - $delay);
}
cmp_ok($latest, '<', 5, 'one runner: timers of all databases');
note("the latest was $latest s late");

# All are busy at the same time: each gets its share.
for my $database (sort keys %session) {
    $session{$database}->do(q{CREATE OR REPLACE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql
                              AS 'SELECT pg_sleep(0.002); INSERT INTO seen VALUES ($1.global_position)'});
    $session{$database}->do(q{SELECT count(eappend('many-' || n % 5, 'E')) FROM generate_series(1, 1000) AS n});
}
my %first;
wait_until('all have begun', sub {
    $first{$_} //= one_value($session{$_}, q{SELECT processed FROM es.projections WHERE projection = 'seen'}) for keys %session;
    !grep { one_value($session{$_}, q{SELECT processed FROM es.projections WHERE projection = 'seen'}) <= $first{$_} } keys %session
});
is((grep { one_value($session{$_}, q{SELECT count(*) < (SELECT count(*) FROM es.events) FROM seen}) } keys %session) > 0, 1,
    'one runner: all databases get on before the first is done');
follows("after its turn, database $_", $session{$_}) for sort keys %session;

# ---------------------------------------------------------------------------
# Runners that end
# ---------------------------------------------------------------------------

my $shop = $session{shop};
$shop->do(q{SELECT count(eappend('many-' || n % 5, 'E')) FROM generate_series(1, 2000) AS n});
for my $n (1 .. 3) {
    my $pid;
    wait_until('a runner is at it', sub { $pid = (grep { defined $_->{job} } @{ runners('shop') })[0]; $pid });
    $dbh->do('SELECT pg_terminate_backend($1)', undef, $pid->{pid});
    sleep 0.1;
}
follows('after SIGTERM in a job', $shop);
my $pid;
$shop->do(q{SELECT count(eappend('many-' || n % 5, 'E')) FROM generate_series(1, 2000) AS n});
wait_until('a runner is at it', sub { $pid = (grep { defined $_->{job} } @{ runners('shop') })[0]; $pid });
kill 'KILL', $pid->{pid};
wait_until('the server has restarted', sub { !$dbh->ping && eval { connect_to($node)->disconnect; 1 } });
%session = map { $_ => connect_to($node, $_) } keys %session;
($dbh, $shop) = @session{qw(postgres shop)};
follows("after kill -9, database $_", $session{$_}) for sort keys %session;

# ---------------------------------------------------------------------------
# Reload
# ---------------------------------------------------------------------------

sub set_max_runners {
    my ($count) = @_;
    $node->append_conf('postgresql.conf', "sierra_es.max_runners = $count");
    $node->reload;
    return;
}
set_max_runners(2);
follows('two runners', $dbh);
set_max_runners(0);
wait_until('there are none', sub { one_value($dbh, 'SELECT count(*) = 0 FROM event_runners()') });
my $position = one_value($dbh, q{SELECT global_position FROM eappend('order-1', 'Happened')});
is(one_value($dbh, q{SELECT ewait_projection('seen', $1, '1500ms')}, $position), 0, 'sierra_es.max_runners = 0: nothing runs by itself');
$dbh->do(q{SELECT eschedule(clock_timestamp(), 'by-hand', 'Due')});
$dbh->do('CALL run_event_jobs()');
is(one_value($dbh, q{SELECT ewait_projection('seen', $1, '0') AND (SELECT count(*) = 1 FROM es.events WHERE stream_id = 'by-hand')}, $position), 1,
    'but for run_event_jobs()');
is(one_value($dbh, q{SELECT count(*) = (SELECT count(*) FROM es.events) FROM seen}), 1, 'which continues until nothing is due');
set_max_runners(1);
follows('one runner again', $dbh);

# ---------------------------------------------------------------------------
# The first job in a database that had none for a while
# ---------------------------------------------------------------------------

# Only the signal of a commit wakes a runner; one without any jobs leaves after
# 5 s.
$node->append_conf('postgresql.conf', "sierra_es.sweep_interval = '1min'");
set_max_runners(4);
my $began;
$node->safe_psql('postgres', 'CREATE DATABASE quiet');
$session{quiet} = prepare('quiet');
follows('a new database', $session{quiet});
sub drop_projections {
    my ($session) = @_;
    $session->do('SELECT drop_projection(projection) FROM event_projections()');
    $session->do('TRUNCATE seen');
    $session->do(q{SELECT eappend('other-1', 'Happened')});
    return;
}
drop_projections($session{quiet});
sleep 6;
$session{quiet}->do(q{SELECT create_projection('seen', 'see(sierra_event)')});
is(one_value($session{quiet}, q{SELECT ewait_projection('seen', (SELECT max(global_position) FROM es.events), '10 s')}), 1,
    'a projection made when a runner was about to leave');
drop_projections($session{quiet});
sleep 6;
$session{quiet}->do(q{SELECT eappend('other-1', 'Happened')});
wait_until('a runner without jobs leaves', sub { !@{ runners('quiet') } });
$session{quiet}->do(q{SELECT eappend('other-1', 'Happened')});
wait_until('an append brings one, which leaves again', sub { !@{ runners('quiet') } });
$session{quiet}->do(q{CREATE FUNCTION act(data jsonb, saga_id text) RETURNS jsonb LANGUAGE sql AS $$SELECT '{}'::jsonb$$});
$session{quiet}->do(q{SELECT create_saga('short', ARRAY[saga_step('only', 'act(jsonb, text)')])});
$session{quiet}->do(q{SELECT start_saga('short', '{}', 'saga-short-1')});
$began = time;
wait_until('the saga is run', sub { one_value($session{quiet}, q{SELECT status = 'completed' FROM event_sagas() WHERE saga_id = 'saga-short-1'}) });
cmp_ok(time - $began, '<', 10, 'a saga calls it back');
$session{quiet}->disconnect;
delete $session{quiet};
$node->append_conf('postgresql.conf', "sierra_es.sweep_interval = '500ms'");
$node->reload;

# ---------------------------------------------------------------------------
# Statements that need the database, and the extension
# ---------------------------------------------------------------------------

set_max_runners(4);
$session{bank}->do(q{CREATE OR REPLACE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql
                     AS 'SELECT pg_sleep(60); INSERT INTO seen VALUES ($1.global_position)'});
$session{bank}->do(q{SELECT eappend('order-1', 'Happened')});
wait_until('a long job is under way', sub { grep { ($_->{job} // '') =~ /seen/ } @{ runners('bank') } });
$session{bank}->disconnect;
$began = time;
is(sqlstate_of($dbh, 'DROP DATABASE bank'), '', 'DROP DATABASE while a runner is at a long job');
cmp_ok(time - $began, '<', 10, 'without waiting for that');
$shop->do(q{SELECT eappend('order-1', 'Happened')});
runner_pid('shop');
$shop->disconnect;
for my $statement ('ALTER DATABASE shop RENAME TO market', 'CREATE DATABASE copy TEMPLATE market') {
    runner_pid($statement =~ /DATABASE shop/ ? 'shop' : 'market');
    is(sqlstate_of($dbh, $statement), '', $statement);
}
my $market = connect_to($node, 'market');
follows('renamed', $market);
my $copy = connect_to($node, 'copy');
follows('the copy', $copy);
$_->disconnect for $copy;
my $before = runner_pid('market');
$market->do('DROP EXTENSION sierra_es CASCADE');
wait_until('the runner is gone', sub { !@{ runners('market') } });
pass('DROP EXTENSION ends the runner');
$market->disconnect;
is(sqlstate_of($dbh, "DROP DATABASE $_"), '', "DROP DATABASE $_") for qw(market copy);

# A database without anything to run has no runner for long.
$node->safe_psql('postgres', 'CREATE DATABASE plain');
$node->safe_psql('plain', q{CREATE EXTENSION sierra_es; SELECT create_event_store(); SELECT eappend('order-1', 'Happened')});
wait_until('nobody stays', sub { sleep 6; !@{ runners('plain') } });
$node->safe_psql('plain', q{SELECT eschedule(clock_timestamp(), 'order-2', 'Due')});
wait_until('the timer has run', sub { $node->safe_psql('plain', 'SELECT count(*) FROM es.events') == 2 });
pass('a database without anything to run: a runner comes when there is');

# ---------------------------------------------------------------------------
# Standby and promotion
# ---------------------------------------------------------------------------

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('runners_standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
my $on_standby = connect_to($standby);
is(one_value($on_standby, 'SELECT count(*) FROM event_runners()'), 0, 'a standby has no runners');
$dbh->disconnect;
$node->stop('fast');
$standby->promote;
follows('after the promotion', $on_standby);
$on_standby->disconnect;
$standby->stop;

# ---------------------------------------------------------------------------
# No room
# ---------------------------------------------------------------------------

$node->append_conf('postgresql.conf', <<'CONF');
max_worker_processes = 2
max_logical_replication_workers = 0
sierra_es.max_runners = 4
CONF
$node->start;
$dbh = connect_to($node);
wait_until('the log says so', sub { slurp_file($node->logfile) =~ /could not start a runner of sierra_es/ });
sleep 3;
my @complaints = slurp_file($node->logfile) =~ /could not start a runner of sierra_es/g;
is(@complaints, 1, 'no room for a runner: logged once');
like(slurp_file($node->logfile), qr/HINT:  Increase "max_worker_processes", or decrease "sierra_es.max_runners"/, 'with a hint');
$dbh->disconnect;
$node->stop;
done_testing();
