-- Sagas that fail: attempts, refusals, compensation in reverse order, stuck ones
\getenv abs_srcdir PG_ABS_SRCDIR
\set preamble :abs_srcdir '/sql/include/saga.sql'
\set ECHO none
\i :preamble
\set ECHO all
SELECT create_saga('s', ARRAY[saga_step('one', 'act(jsonb,text)', 'undo(jsonb,text)'), saga_step('two', 'act(jsonb,text)'),
                              saga_step('three', 'act(jsonb,text)', 'undo(jsonb,text)'),
                              saga_step('risky', 'risky(jsonb)', 'risky_undo(jsonb)', retry_after => '0', refusals => '{P0001,SE001}'),
                              saga_step('last', 'act(jsonb,text)')]);
-- A failed attempt leaves nothing but its event, and the next one may succeed.
INSERT INTO faults VALUES ('risky', '22012');
SELECT start_saga('s', saga_id => 'heals');
SELECT run_sagas(4);
TABLE seen;
TRUNCATE faults;
SELECT run_sagas();
SELECT what FROM done ORDER BY n;
SELECT * FROM told('heals') WHERE v > 3;
-- All attempts fail: the completed steps are compensated, last first, each with its data of that
-- time.
TRUNCATE done;
INSERT INTO faults VALUES ('risky', '22012');
SELECT start_saga('s', saga_id => 'fails');
SELECT run_sagas(6);
SELECT run_sagas(1);
TABLE seen;
SELECT run_sagas();
SELECT what FROM done ORDER BY n;
SELECT * FROM told('fails') WHERE v > 3;
-- A refusal is final at once; the SQLSTATE decides.
UPDATE faults SET sqlstate = 'P0001';
SELECT start_saga('s', saga_id => 'refused');
SELECT run_sagas();
SELECT event_name, payload FROM told('refused') WHERE event_name = 'SagaStepFailed';
UPDATE faults SET sqlstate = 'SE001';
SELECT start_saga('s', saga_id => 'refused too');
SELECT run_sagas();
SELECT event_name, payload FROM told('refused too') WHERE event_name = 'SagaStepFailed';
-- ASSERT and a result that is not an object are failures like any other.
CREATE FUNCTION asserts(data jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN ASSERT false, 'asserted'; END $$;
CREATE FUNCTION returns_list(data jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '[]'::jsonb $$;
SELECT create_saga('asserts', ARRAY[saga_step('1', 'asserts(jsonb)', max_attempts => 1)]);
SELECT create_saga('list', ARRAY[saga_step('1', 'returns_list(jsonb)', max_attempts => 1)]);
SELECT start_saga(s, saga_id => s) FROM unnest(ARRAY['asserts', 'list']) AS s;
SELECT run_sagas();
SELECT saga_id, status, last_error FROM seen WHERE saga_id IN ('asserts', 'list');
-- The pause doubles, up to an hour.
SELECT create_saga('slow', ARRAY[saga_step('1', 'risky(jsonb)', max_attempts => 100, retry_after => '10 minutes')]);
UPDATE faults SET sqlstate = '22012';
SELECT start_saga('slow', saga_id => 'slow');
SELECT run_sagas();
SELECT retry_saga('slow'), run_sagas() FROM generate_series(1, 4);
SELECT payload ->> 'attempt' AS attempt, date_trunc('minute', (payload ->> 'retry_at')::timestamptz - "timestamp" + '1 second') AS pause
  FROM escan('slow') WHERE event_name = 'SagaStepFailed';
-- not before its time, and then without another call
SELECT run_sagas();
SELECT saga_id, attempts, due FROM seen WHERE saga_id = 'slow';
SELECT cancel_saga('slow', 'enough');

-- A compensation that fails is tried again, then the saga is stuck, and the others continue.
TRUNCATE faults, done;
CREATE FUNCTION breaks(data jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
SELECT create_saga('k', ARRAY[saga_step('one', 'act(jsonb,text)', 'undo(jsonb,text)'), saga_step('risky', 'risky(jsonb)', 'risky_undo(jsonb)', retry_after => '0'),
                              saga_step('breaks', 'breaks(jsonb)')]);
INSERT INTO faults VALUES ('risky_undo', 'P0001');
SELECT start_saga('k', saga_id => 'k1');
SELECT start_saga('k', saga_id => 'k2');
SELECT run_sagas();
SELECT * FROM seen WHERE saga_id IN ('k1', 'k2');
SELECT * FROM told('k1') WHERE v > 2;
SELECT saga_id FROM event_sagas(status => 'stuck');
SELECT run_sagas();
SELECT rows_differ();
-- It continues when an operator says so: with the full number of attempts again, or without the
-- step.
SELECT retry_saga('k1');
SELECT run_sagas();
SELECT saga_id, status, attempts FROM seen WHERE saga_id = 'k1';
TRUNCATE faults;
SELECT retry_saga('k1');
SELECT skip_saga_step('k2', 'done by hand');
SELECT run_sagas();
SELECT * FROM seen WHERE saga_id IN ('k1', 'k2');
SELECT * FROM told('k1') WHERE v > 8;
SELECT * FROM told('k2') WHERE v > 6;
SELECT what, saga_id FROM done ORDER BY n;
SELECT retry_saga('k1');
:sqlstate
SELECT skip_saga_step('k1', 'again');
:sqlstate
-- Transient errors do not count as attempts: the run ends with the steps that it has done, and the
-- saga pauses.
CREATE FUNCTION come_due() RETURNS void LANGUAGE sql AS $$ UPDATE es.saga_instances SET run_at = '2020-01-01' WHERE interruptions > 0 $$;
SELECT create_saga('moment', ARRAY[saga_step('one', 'act(jsonb,text)'), saga_step('risky', 'risky(jsonb)'), saga_step('two', 'act(jsonb,text)')]);
INSERT INTO faults VALUES ('risky', '40P01');
SELECT start_saga('moment', saga_id => 'moment');
SELECT run_sagas();
SELECT come_due();
SELECT run_sagas();
SELECT saga_id, status, step, attempts, last_error FROM seen WHERE saga_id = 'moment';
-- A lock that another session holds is one of them.
UPDATE faults SET sqlstate = '55P03';
SELECT come_due();
SELECT run_sagas();
SELECT saga_id, status, step, attempts, last_error FROM seen WHERE saga_id = 'moment';
SHOW lock_timeout;
-- A saga that was interrupted is run as the first of a call, so that it can wait for locks.
TRUNCATE faults;
SELECT start_saga('moment', saga_id => 'other');
UPDATE es.saga_instances SET run_at = '2019-01-01' WHERE saga_id = 'other';
SELECT come_due();
SELECT run_sagas();
SELECT saga_id, status, step FROM seen WHERE saga_id IN ('moment', 'other');
SELECT run_sagas();
SELECT saga_id, status, step FROM seen WHERE saga_id IN ('moment', 'other');
SELECT count(*) FROM told('moment');
-- More sagas than are taken at a time: one call takes all of them to their end.  It ends even if
-- something keeps their rows as they are.
SELECT create_saga('many', ARRAY[saga_step('one', 'act(jsonb,text)'), saga_step('two', 'act(jsonb,text)')]);
SELECT count(start_saga('many', saga_id => 'm' || n)) FROM generate_series(1, 25) AS n;
SELECT run_sagas(1000);
SELECT status, count(*) FROM event_sagas() WHERE saga = 'many' GROUP BY status;
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
CREATE TRIGGER keep BEFORE UPDATE ON es.saga_instances FOR EACH ROW EXECUTE FUNCTION keep();
SELECT count(start_saga('many', saga_id => 'n' || n)) FROM generate_series(1, 25) AS n;
SELECT run_sagas(1000) > 0 AS some;
SELECT status, count(*) FROM event_sagas() WHERE saga = 'many' GROUP BY status ORDER BY status;
DROP TRIGGER keep ON es.saga_instances;
SELECT run_sagas(1000) > 0 AS some;
SELECT status, count(*) FROM event_sagas() WHERE saga = 'many' GROUP BY status;
SELECT rows_differ();
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP VIEW seen;
DROP TABLE done, faults;
DROP FUNCTION act, undo, fail_if, risky, risky_undo, told, rows_differ;
DROP FUNCTION asserts, returns_list, breaks, come_due, keep;
