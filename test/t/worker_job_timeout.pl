# What takes longer than sierra_es.job_timeout in a runner is cancelled, and counts as a failed attempt: an
# event of a projection, a step of a saga, a timer.  What does not let itself be cancelled ends the runner.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(time);

my $node = new_server('job_timeout');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 2
sierra_es.sweep_interval = '200ms'
sierra_es.job_timeout = '500ms'
CONF
$node->restart;
my $dbh = connect_to($node);
is(one_value($dbh, q{SELECT setting || unit FROM pg_settings WHERE name = 'sierra_es.job_timeout'}), '500ms', 'the setting');
is(one_value($dbh, q{SELECT boot_val FROM pg_settings WHERE name = 'sierra_es.job_timeout'}), '600000', 'is ten minutes by default');
$dbh->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('es', 1);;
CREATE TABLE seen (stream_id text);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF e.event_name = 'Slow' THEN PERFORM pg_sleep(600); END IF;
    INSERT INTO seen VALUES (e.stream_id);
END $$;;
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF e.event_name = 'Slow' THEN PERFORM pg_sleep(600); END IF;
    RETURN to_jsonb(state::text::bigint + 1);
END $$;;
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb FROM pg_sleep(600)';;
CREATE FUNCTION undo(data jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT jsonb_build_object(''undone'', true)'
SQL

# Many events, and the slow one is not the first: those before it are handled, and it is found.
$dbh->do(q{SELECT count(eappend('s' || n, CASE n WHEN 50 THEN 'Slow' ELSE 'Quick' END)) FROM generate_series(1, 100) AS n});
$dbh->do(q{SELECT create_projection('parks', 'see(sierra_event)', on_error => 'park', max_attempts => 1)});
wait_until('all others are handled', sub { one_value($dbh, 'SELECT count(*) FROM seen') == 99 });
is(one_value($dbh, 'SELECT count(DISTINCT stream_id) FROM seen'), 99, 'each once');
like(one_value($dbh, q{SELECT reason FROM event_failures() WHERE stream_id = 's50' AND state = 'parked'}),
    qr/^54000: it took longer than "sierra_es\.job_timeout"/, 'the slow event failed and is parked');
$dbh->do(q{SELECT create_projection('stops', 'tally(jsonb, sierra_event)', initial => '0', max_attempts => 2, retry_after => '0')});
wait_until('it stops', sub { one_value($dbh, q{SELECT state = 'stopped' FROM event_projections() WHERE projection = 'stops'}) });
my ($stopped) = @{ all_rows($dbh, q{SELECT attempts, failed_stream, processed FROM event_projections() WHERE projection = 'stops'}) };
is_deeply($stopped, { attempts => 2, failed_stream => 's50', processed => 49 }, 'a fold stops at the slow event, after its attempts');

# A handler that begins other parts of a job inside of its own has no more time.
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE FUNCTION extend(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 6000 LOOP
        PERFORM pg_sleep(0.1);
        PERFORM sierra_internal.append_timers('es', '{}');
        PERFORM run_timers(), run_sagas(), run_projection('parks');
    END LOOP;
END $$;;
SELECT create_projection('extends', 'extend(sierra_event)', streams => '{s1}', on_error => 'park', max_attempts => 1)
SQL
wait_until('it is parked', sub { one_value($dbh, q{SELECT count(*) FROM event_failures() WHERE subscription = 'projection:extends:1' AND state = 'parked'}) });
like(one_value($dbh, q{SELECT reason FROM event_failures() WHERE subscription = 'projection:extends:1'}), qr/^54000: /, 'nested parts do not extend the time');

# A step of a saga.
$dbh->do(q{SELECT create_saga('slow', ARRAY[saga_step('quick', 'undo(jsonb)', 'undo(jsonb)'), saga_step('slow', 'act(jsonb)', max_attempts => 2, retry_after => '0')])});
$dbh->do(q{SELECT start_saga('slow', saga_id => 'saga-1')});
wait_until('it is compensated', sub { one_value($dbh, q{SELECT status = 'compensated' FROM event_sagas() WHERE saga_id = 'saga-1'}) });
is(one_value($dbh, q{SELECT count(*) FROM escan('saga-1') WHERE event_name = 'SagaStepFailed' AND payload ->> 'sqlstate' = '54000'}), 2,
    'each attempt of the step was counted');

# A timer whose event a trigger of the owner delays; the timers after it are appended.
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE FUNCTION delay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name = 'DueSlow' THEN PERFORM pg_sleep(600); END IF;
    RETURN NULL;
END $$;;
CREATE TRIGGER delay AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION delay();;
SELECT eschedule('2020-01-01', 't1', 'DueSlow');;
SELECT count(eschedule('2020-01-02', 't2', 'Due')) FROM generate_series(1, 3)
SQL
wait_until('the others are appended', sub { one_value($dbh, q{SELECT count(*) FROM escan('t2')}) == 3 });
like(one_value($dbh, q{SELECT last_error FROM event_timers() WHERE stream_id = 't1' AND attempts > 0}), qr/job_timeout/, 'the slow timer has failed');

# A handler that catches the cancellation.
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE FUNCTION insist(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    LOOP
        BEGIN
            PERFORM pg_sleep(600);
        EXCEPTION WHEN query_canceled THEN NULL;
        END;
    END LOOP;
END $$;;
SELECT create_projection('insists', 'insist(sierra_event)')
SQL
wait_until('it runs', sub { one_value($dbh, q{SELECT pid FROM event_runners() WHERE job LIKE '%"insists"%'}) });
my $pid = one_value($dbh, q{SELECT pid FROM event_runners() WHERE job LIKE '%"insists"%'});
wait_until('the runner is gone', sub { one_value($dbh, 'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1', $pid) });
pass('a runner whose job does not end is terminated');
$dbh->do(q{SELECT drop_projection('insists')});

# Without a limit.
$dbh->do(q{ALTER SYSTEM SET sierra_es.job_timeout = 0});
$dbh->do('SELECT pg_reload_conf()');
$dbh->do(q{CREATE OR REPLACE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS $$ INSERT INTO seen SELECT $1.stream_id FROM pg_sleep(1.5) $$});
wait_until('the setting is read', sub { one_value($dbh, q{SELECT setting = '0' FROM pg_settings WHERE name = 'sierra_es.job_timeout'}) });
my $position = one_value($dbh, q{SELECT global_position FROM eappend('last', 'Quick')});
is(one_value($dbh, q{SELECT ewait_projection('parks', $1, '60 s')}, $position), 1, 'without a limit it takes its time');

done_testing();
