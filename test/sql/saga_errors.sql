-- Wrong definitions, steps and instances are refused, with a clear error
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_saga('s', NULL);
:sqlstate
SELECT create_event_store('es', 2);
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION other(data jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE FUNCTION set(data jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT $1 $$;
CREATE FUNCTION args(a text, b jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT $2 $$;
-- Each line of bad input, and its error.
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    EXECUTE statement;
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT refused(format('SELECT create_saga(%L, %s)', s.saga, s.steps)) FROM (VALUES
    (NULL, 'ARRAY[saga_step(''1'', ''act(jsonb)'')]'), ('', 'ARRAY[saga_step(''1'', ''act(jsonb)'')]'), (repeat('x', 201), 'ARRAY[saga_step(''1'', ''act(jsonb)'')]'),
    ('s', 'NULL'), ('s', 'ARRAY[]::sierra_saga_step[]'), ('s', 'ARRAY[NULL::sierra_saga_step]'),
    ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)''), saga_step(''1'', ''act(jsonb)'')]'), ('s', 'ARRAY[saga_step('''', ''act(jsonb)'')]'),
    ('s', 'ARRAY[saga_step(''1'', NULL)]'), ('s', 'ARRAY[saga_step(''1'', ''other(jsonb)'')]'), ('s', 'ARRAY[saga_step(''1'', ''set(jsonb)'')]'),
    ('s', 'ARRAY[saga_step(''1'', ''args(text,jsonb)'')]'), ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)'', ''other(jsonb)'')]'),
    ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)'', max_attempts => 0)]'), ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)'', max_attempts => NULL)]'),
    ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)'', retry_after => ''-1 s'')]'), ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)'', retry_after => ''2 days'')]'),
    ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)'', timeout => ''0'')]'), ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)'', waits => NULL)]'),
    ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)'', refusals => ''{no}'')]'), ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)'', refusals => ''{NULL}'')]'),
    ('s', 'ARRAY[saga_step(''1'', ''act(jsonb)'')], timeout => ''-1 s''')) AS s (saga, steps);
SELECT create_saga('s', ARRAY[saga_step('1', 'act(jsonb)', waits => true)], search_path => 'public');
SELECT refused(s) FROM unnest(ARRAY['SELECT start_saga(NULL)', 'SELECT start_saga(''none'')', 'SELECT start_saga(''s'', NULL)', 'SELECT start_saga(''s'', ''[]'')',
    'SELECT start_saga(''s'', saga_id => '''')', 'SELECT start_saga(''s'', metadata => ''[]'')', 'SELECT drop_saga(NULL)', 'SELECT drop_saga(''none'')',
    'SELECT run_sagas(NULL)', 'SELECT run_sagas(-1)', 'SELECT complete_saga_step(''none'', ''1'')', 'SELECT complete_saga_step(NULL, ''1'')', 'SELECT fail_saga_step(''none'', ''1'', ''x'')',
    'SELECT cancel_saga(''none'', ''x'')', 'SELECT retry_saga(''none'')', 'SELECT skip_saga_step(''none'', ''x'')', 'SELECT forget_sagas(NULL)',
    'SELECT event_sagas(status => ''odd'')', 'SELECT event_sagas(''none'')']) AS s;
SELECT start_saga('s', saga_id => 'x');
SELECT run_sagas();
SELECT refused(s) FROM unnest(ARRAY['SELECT complete_saga_step(''x'', ''2'')', 'SELECT complete_saga_step(''x'', NULL)', 'SELECT complete_saga_step(''x'', ''1'', ''3'')',
    'SELECT fail_saga_step(''x'', ''1'', NULL)', 'SELECT cancel_saga(''x'', NULL)', 'SELECT retry_saga(''x'')', 'SELECT skip_saga_step(''x'', ''y'')',
    'UPDATE es.sagas SET owner = ''pg_monitor''']) AS s;
-- A saga that cannot be run does not delay the others.
SELECT create_saga('ok', ARRAY[saga_step('1', 'act(jsonb)')]);
SELECT start_saga('ok', saga_id => 'a'), start_saga('ok', saga_id => 'b');
UPDATE es.saga_instances SET version = 1, saga = 's' WHERE saga_id = 'a';
SELECT run_sagas();
SELECT saga_id, status, interruptions > 0 AS tried_again_later, last_error FROM es.saga_instances WHERE saga_id IN ('a', 'b');
SELECT rebuild_saga_instances();
SELECT run_sagas();
SELECT saga_id, status FROM event_sagas();
-- nor is it tried twice in a call, although the pause of 100 ms is over
CREATE FUNCTION nap(data jsonb) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(0.2)';
SELECT create_saga('nap', ARRAY[saga_step('1', 'nap(jsonb)')]);
SELECT start_saga('ok', saga_id => 'd'), start_saga('nap', saga_id => 'e');
UPDATE es.saga_instances SET version = 1, saga = 's' WHERE saga_id = 'd';
SELECT run_sagas();
DELETE FROM es.saga_instances WHERE saga_id = 'd';
DROP FUNCTION nap;
-- a function that was dropped is an error of the step
SELECT start_saga('ok', saga_id => 'c');
DROP FUNCTION act;
SELECT run_sagas();
SELECT attempts, last_error ~ '42883' AS why FROM event_sagas() WHERE saga_id = 'c';
BEGIN READ ONLY;
SELECT run_sagas();
:sqlstate
ROLLBACK;
-- The guard comes back.
DROP TRIGGER sierra_guard_owner ON es.sagas;
DROP TRIGGER sierra_guard_definition ON es.sagas;
SELECT guard_event_store(), guard_event_store();
UPDATE es.sagas SET owner = owner;
:sqlstate
SELECT drop_event_store('es', force => true);
DROP FUNCTION other, set, args, refused;
