-- Steps that wait for an answer, time-outs, and cancelling
\getenv abs_srcdir PG_ABS_SRCDIR
\set preamble :abs_srcdir '/sql/include/saga.sql'
\set ECHO none
\i :preamble
\set ECHO all
SELECT create_saga('w', ARRAY[saga_step('one', 'act(jsonb,text)', 'undo(jsonb,text)'), saga_step('ask', 'act(jsonb,text)', 'undo(jsonb,text)', waits => true),
                              saga_step('last', 'act(jsonb,text)')]);
SELECT start_saga('w', saga_id => 'w' || n) FROM generate_series(1, 3) AS n;
-- It cannot be answered before it waits.
SELECT complete_saga_step('w1', 'ask');
:sqlstate
SELECT run_sagas();
TABLE seen;
SELECT complete_saga_step('w1', 'ask', '{"answer": 42}');
SELECT complete_saga_step('w1', 'ask', '{"answer": 42}');
SELECT complete_saga_step('w1', 'ask', '{"answer": 43}');
:sqlstate
-- A step that never waits cannot be answered either, although the given answer is its completion.
SELECT complete_saga_step('w1', 'one');
:sqlstate
SELECT fail_saga_step('w2', 'ask', 'declined');
SELECT fail_saga_step('w2', 'ask', 'declined');
SELECT complete_saga_step('w2', 'ask');
:sqlstate
SELECT run_sagas();
SELECT * FROM told('w1');
-- Its action was done, so it is compensated too.
SELECT * FROM told('w2');
SELECT what FROM done WHERE saga_id = 'w2' ORDER BY n;
SELECT saga_id, status FROM seen;
SELECT rows_differ();
-- cancelled
SELECT cancel_saga('w3', 'no longer wanted');
SELECT cancel_saga('w3', 'no longer wanted');
SELECT cancel_saga('w1', 'too late');
:sqlstate
SELECT run_sagas();
SELECT event_name, payload FROM told('w3') WHERE v > 2;

-- Time-outs of a step and of a saga are timers, which are removed when they are not needed.
SELECT create_saga('t', ARRAY[saga_step('one', 'act(jsonb,text)', 'undo(jsonb,text)'),
                              saga_step('ask', 'act(jsonb,text)', 'undo(jsonb,text)', waits => true, timeout => '1 hour'), saga_step('last', 'act(jsonb,text)')],
                   timeout => '1 day');
SELECT start_saga('t', saga_id => 't' || n) FROM generate_series(1, 4) AS n;
SELECT stream_id, event_name, due_at - created_at BETWEEN '1439 minutes' AND '1 day' AS day FROM event_timers() ORDER BY 1;
SELECT run_sagas();
SELECT stream_id, event_name FROM event_timers() ORDER BY 1, 2;
SELECT saga_id, run_at - now() BETWEEN '59 minutes' AND '1 hour' AS hour, run_at = deadline AS deadline FROM event_sagas(status => 'waiting');
SELECT complete_saga_step('t1', 'ask');
SELECT cancel_saga('t2', 'no');
SELECT run_sagas();
SELECT stream_id, event_name FROM event_timers() ORDER BY 1, 2;
SELECT saga_id, status FROM seen WHERE saga_id LIKE 't%';
SELECT rows_differ();
-- run_sagas() acts on a time-out that is due, whether run_timers() was first or not.
CREATE FUNCTION wait_until_due(id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN WHILE (SELECT s.run_at > clock_timestamp() FROM event_sagas() AS s WHERE s.saga_id = id) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$;
SELECT create_saga('q', ARRAY[saga_step('ask', 'act(jsonb,text)', 'undo(jsonb,text)', waits => true, timeout => '300 milliseconds')]);
SELECT create_saga('all', ARRAY[saga_step('one', 'risky(jsonb)', max_attempts => 9, retry_after => '1 day')], timeout => '300 milliseconds');
INSERT INTO faults VALUES ('risky', '22012');
SELECT start_saga('q', saga_id => 'q1'), start_saga('q', saga_id => 'q2'), start_saga('all', saga_id => 'all');
SELECT run_sagas();
SELECT saga_id, status FROM seen WHERE saga_id IN ('q1', 'q2', 'all');
SELECT wait_until_due(s) FROM unnest(ARRAY['q1', 'q2', 'all']) AS s;
DELETE FROM es.timers WHERE stream_id = 'q2';
SELECT run_sagas();
SELECT * FROM told('q2') WHERE v > 0;
SELECT start_saga('q', saga_id => 'q3');
SELECT run_sagas();
SELECT wait_until_due('q3');
SELECT run_timers();
SELECT complete_saga_step('q3', 'ask');
:sqlstate
SELECT run_sagas();
SELECT * FROM told('q3') WHERE v > 0;
SELECT * FROM told('all') WHERE v > 0;
SELECT run_timers();
SELECT saga_id, status, last_error FROM seen WHERE saga_id IN ('q1', 'q2', 'q3', 'all');
SELECT count(*) FROM event_timers() WHERE stream_id ~ '^(q|all)';
-- An action that writes to the stream of its own saga fails and is rolled back.
CREATE FUNCTION beaten(data jsonb, saga_id text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO done (what) VALUES ('beaten');
    IF (SELECT count(*) = 1 FROM faults WHERE what = 'beaten') THEN PERFORM cancel_saga(saga_id, 'meanwhile'); END IF;
END $$;
INSERT INTO faults VALUES ('beaten');
SELECT create_saga('beaten', ARRAY[saga_step('one', 'beaten(jsonb,text)', max_attempts => 1)]);
SELECT start_saga('beaten', saga_id => 'beaten');
SELECT run_sagas();
SELECT * FROM told('beaten') WHERE v > 0;
SELECT count(*) FROM done WHERE what = 'beaten';
SELECT rows_differ();
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP VIEW seen;
DROP TABLE done, faults;
DROP FUNCTION act, undo, fail_if, risky, risky_undo, told, rows_differ;
DROP FUNCTION wait_until_due, beaten;
