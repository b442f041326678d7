-- Sagas: each step once, data are passed from step to step, versions, the same start twice
\getenv abs_srcdir PG_ABS_SRCDIR
\set preamble :abs_srcdir '/sql/include/saga.sql'
\set ECHO none
\i :preamble
\set ECHO all
SELECT create_saga('order', ARRAY[saga_step('one', 'act(jsonb,text)', 'undo(jsonb,text)'), saga_step('two', 'act(jsonb,text)')]);
SELECT run_sagas();
SELECT start_saga('order', '{"a": 1}', 'o1');
TABLE seen;
-- No step is done before run_sagas() is called; one step each time.
SELECT count(*) FROM done;
SELECT run_sagas(1);
TABLE seen;
SELECT run_sagas(0);
SELECT run_sagas();
SELECT run_sagas();
TABLE seen;
SELECT what, saga_id FROM done ORDER BY n;
SELECT * FROM told('o1');
-- All its events, and those of its actions, show what they belong to, and what caused them.
CREATE FUNCTION append(data jsonb) RETURNS void LANGUAGE sql AS $$ SELECT FROM eappend('account', 'Booked') $$;
SELECT create_saga('book', ARRAY[saga_step('book', 'append(jsonb)')]);
SELECT start_saga('book', saga_id => 'b1', metadata => '{"correlation_id": "c1", "user": "u"}');
SET sierra_es.metadata = '{"correlation_id": "c2"}';
SELECT start_saga('book', saga_id => 'b2');
RESET sierra_es.metadata;
SELECT run_sagas();
SELECT e.stream_id, e.event_name, e.metadata ->> 'correlation_id' AS correlation, e.metadata ->> 'user' AS "user", c.event_name AS caused_by
  FROM eall(streams => ARRAY['b1', 'b2', 'account']) AS e LEFT JOIN eall() AS c ON c.event_id::text = e.metadata ->> 'causation_id'
 ORDER BY e.global_position;
SHOW sierra_es.metadata;

-- The same start again has no effect, also long after the saga has ended; another start with this
-- id is an error.
SELECT start_saga('order', '{"a": 1}', 'o1');
SELECT count(*) FROM escan('o1');
SELECT forget_sagas('infinity');
SELECT start_saga('order', '{"a": 1}', 'o1');
TABLE seen;
SELECT start_saga('order', '{"a": 2}', 'o1');
:sqlstate
SELECT start_saga('book', '{"a": 1}', 'o1');
:sqlstate
SELECT start_saga('book', saga_id => 'account');
:sqlstate
-- A start that is rolled back has no effect.
BEGIN;
SELECT start_saga('order', saga_id => 'gone');
ROLLBACK;
SELECT start_saga('order') ~ '^saga-order-[0-9a-f]{8}-[0-9a-f]{4}-7' AS own_name;
SELECT run_sagas();

-- An instance keeps the version that it was started with.
SELECT start_saga('order', saga_id => 'old');
SELECT run_sagas(1);
SELECT create_saga('order', ARRAY[saga_step('only', 'act(jsonb,text)')]);
SELECT start_saga('order', saga_id => 'new');
SELECT run_sagas();
SELECT saga_id, version, status FROM seen WHERE saga_id IN ('old', 'new');
SELECT event_name, payload ->> 'step' AS step FROM told('old');

-- One step of each in turn: no saga waits for all steps of another.
SELECT count(start_saga('book', saga_id => 't' || n)) FROM generate_series(1, 3) AS n;
SELECT create_saga('long', ARRAY[saga_step('1', 'append(jsonb)'), saga_step('2', 'append(jsonb)')]);
SELECT count(start_saga('long', saga_id => 'l' || n)) FROM generate_series(1, 2) AS n;
SELECT run_sagas();
SELECT stream_id, payload ->> 'step' AS step FROM eall(event_names => ARRAY['SagaStepCompleted'], streams => ARRAY['l*'], max_count => 10);

-- The rows are what the streams say; the rows of forgotten sagas come back.
SELECT count(*) FROM event_sagas() AS before;
SELECT rebuild_saga_instances() AS after;
SELECT rows_differ();
SELECT saga, status, count(*) FROM event_sagas(status => 'completed') GROUP BY 1, 2 ORDER BY 1, 2;
-- A definition can be dropped when no saga of it is running; the streams stay.
SELECT start_saga('long', saga_id => 'l3');
SELECT drop_saga('long');
:sqlstate
SELECT run_sagas();
SELECT drop_saga('long');
SELECT count(*) FROM event_sagas() WHERE saga = 'long';
SELECT count(*) FROM escan('l3');
SELECT drop_saga('long');
:sqlstate
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP VIEW seen;
DROP TABLE done, faults;
DROP FUNCTION act, undo, fail_if, risky, risky_undo, told, rows_differ;
DROP FUNCTION append;
