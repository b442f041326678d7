-- What is tried again, and when: the same errors are interruptions, or failed attempts, for
-- projections, process managers, timers, actions and compensations; the pauses
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET client_min_messages = error;
SELECT create_event_store('es', 2);
CREATE TABLE fault (code text);
INSERT INTO fault VALUES (NULL);
CREATE FUNCTION fail() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT code FROM fault) IS NOT NULL THEN
        RAISE 'no' USING ERRCODE = (SELECT code FROM fault);
    END IF;
END $$;
CREATE FUNCTION handle(e sierra_event) RETURNS void LANGUAGE sql AS $$ SELECT fail() $$;
CREATE FUNCTION manage(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb FROM fail() $$;
CREATE FUNCTION act(data jsonb) RETURNS void LANGUAGE sql AS $$ SELECT fail() $$;
CREATE FUNCTION succeed(data jsonb) RETURNS void LANGUAGE sql AS $$ SELECT $$;
CREATE FUNCTION refuse(data jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FUNCTION fail_append() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$ BEGIN PERFORM fail(); RETURN NULL; END $$;
CREATE TRIGGER fail_append AFTER INSERT ON es.events FOR EACH ROW WHEN (NEW.event_name = 'Due') EXECUTE FUNCTION fail_append();
SELECT create_projection('p', 'handle(sierra_event)', event_names => '{E}', retry_after => '1 hour');
SELECT create_process_manager('m', 'manage(jsonb, sierra_event)', event_names => '{E}', retry_after => '1 hour');
SELECT create_saga('acts', ARRAY[saga_step('1', 'act(jsonb)', retry_after => '1 hour', refusals => '{}')]);
SELECT create_saga('compensates', ARRAY[saga_step('1', 'succeed(jsonb)', 'act(jsonb)', retry_after => '1 hour'), saga_step('2', 'refuse(jsonb)')]);

-- The outcome for each kind of work, or the error of the call.
CREATE FUNCTION outcome(attempts integer, interruptions integer) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN attempts = 1 AND interruptions = 0 THEN 'attempt'
                WHEN attempts = 0 AND interruptions > 0 THEN 'interruption' ELSE format('%s, %s', attempts, interruptions) END $$;
CREATE FUNCTION try(code text) RETURNS TABLE (transient boolean, projection text, manager text, timer text, action text, compensation text)
    LANGUAGE plpgsql AS $$
BEGIN
    transient := sierra_internal.is_transient_error(try.code);
    PERFORM eappend('s', 'E'), eschedule('2020-01-01', 's', 'Due');
    UPDATE es.projections SET state = 'running', attempts = 0, interruptions = 0, retry_at = NULL, failed_position = NULL;
    UPDATE fault SET code = try.code;
    BEGIN
        PERFORM run_projections();
        SELECT outcome(p.attempts, p.interruptions) INTO projection FROM es.projections AS p WHERE p.projection = 'p';
        SELECT outcome(p.attempts, p.interruptions) INTO manager FROM es.projections AS p WHERE p.projection = 'm';
    EXCEPTION WHEN OTHERS OR query_canceled THEN
        projection := 'error ' || SQLSTATE;
        manager := projection;
    END;
    BEGIN
        PERFORM run_timers();
        SELECT outcome(t.attempts, t.interruptions) INTO timer FROM es.timers AS t;
    EXCEPTION WHEN OTHERS OR query_canceled THEN
        timer := 'error ' || SQLSTATE;
    END;
    BEGIN
        PERFORM start_saga('acts', saga_id => 'acts ' || try.code), run_sagas();
        SELECT outcome(i.attempts, i.interruptions) INTO action FROM es.saga_instances AS i;
    EXCEPTION WHEN OTHERS OR query_canceled THEN
        action := 'error ' || SQLSTATE;
    END;
    DELETE FROM es.saga_instances;
    BEGIN
        PERFORM start_saga('compensates', saga_id => 'compensates ' || try.code), run_sagas();
        SELECT outcome(i.attempts, i.interruptions) INTO compensation FROM es.saga_instances AS i WHERE (i.status, i.step) = ('compensating', '1');
    EXCEPTION WHEN OTHERS OR query_canceled THEN
        compensation := 'error ' || SQLSTATE;
    END;
    DELETE FROM es.saga_instances;
    DELETE FROM es.timers;
    UPDATE fault SET code = NULL;
    RETURN NEXT;
END $$;
SELECT code, t.* FROM unnest('{40001,40P01,40002,53100,53200,53400,57P01,57P02,57P03,55P03,58030,25006}'::text[]) AS code, try(code) AS t;
SELECT code, t.* FROM unnest('{22012,P0001,P0004,SE001,08006,25P02,25001,55000,55006,54000,58000,58P01,XX000,XX001}'::text[]) AS code, try(code) AS t;
-- A cancellation and a time-out of the statement are the error of the call.
SELECT code, t.* FROM unnest('{57014}'::text[]) AS code, try(code) AS t;
SELECT code, sierra_internal.is_transient_error(code) FROM unnest('{00000,4000,400011,"",40}'::text[]) AS code;

-- The pauses.
SELECT n, sierra_internal.interruption_pause(n) AS interruption, sierra_internal.retry_pause(n, '1 second') AS "1 s",
       sierra_internal.retry_pause(n, '0') AS "0", sierra_internal.retry_pause(n, '20 minutes') AS "20 min", sierra_internal.retry_pause(n, '1 day') AS "1 day"
  FROM unnest(ARRAY[1, 2, 3, 4, 9, 10, 11, 12, 13, 1000000]) AS n;
-- A failure waits as long as the user says, also longer than an hour.
SELECT create_projection('stops for a day', 'handle(sierra_event)', event_names => '{F}', retry_after => '1 day');
SELECT create_projection('parks for a day', 'handle(sierra_event)', event_names => '{F}', retry_after => '1 day', on_error => 'park');
SELECT create_projection('parks', 'handle(sierra_event)', event_names => '{F}', retry_after => '10 minutes', on_error => 'park');
SELECT create_saga('day', ARRAY[saga_step('1', 'act(jsonb)', retry_after => '1 day')]);
SELECT stream_version FROM eappend('f', 'F');
SELECT start_saga('day', saga_id => 'day');
UPDATE fault SET code = '22012';
CREATE FUNCTION waits(begun timestamptz) RETURNS TABLE (what text, attempts int, pause interval) LANGUAGE sql AS $$
    SELECT p.projection, p.attempts, date_trunc('minute', p.retry_at - begun) FROM es.projections AS p WHERE p.projection = 'stops for a day'
    UNION ALL SELECT t.subscription, t.attempts, date_trunc('minute', t.retry_at - begun) FROM es.subscription_streams AS t
    UNION ALL SELECT i.saga_id, i.attempts, date_trunc('minute', i.run_at - begun) FROM es.saga_instances AS i ORDER BY 1 $$;
SELECT clock_timestamp() AS begun \gset
SELECT run_projections(), run_sagas();
SELECT * FROM waits(:'begun');
UPDATE es.subscription_streams SET retry_at = '2020-01-01';
UPDATE es.projections SET retry_at = '2020-01-01' WHERE projection = 'stops for a day';
SELECT retry_saga('day');
SELECT clock_timestamp() AS begun \gset
SELECT run_projections(), run_sagas();
SELECT * FROM waits(:'begun');
UPDATE fault SET code = NULL;
SELECT cancel_saga('day', 'enough'), run_sagas() > 0 AS compensated;
SELECT count(drop_projection(projection)) FROM event_projections();

-- Interruptions: the pause doubles, and does not count as an attempt; a success ends it.
RESET client_min_messages;
SELECT create_projection('p', 'handle(sierra_event)', event_names => '{G}', max_attempts => 1);
SELECT stream_version FROM eappend('g', 'G');
SELECT start_saga('acts', saga_id => 'acts');
SELECT eschedule('2020-01-01', 's', 'Due', timer_id => '0191d2f0-5b7c-7c3e-8a51-0f2b6c4d7e91');
UPDATE fault SET code = '40001';
CREATE FUNCTION interrupt() RETURNS TABLE (what text, attempts int, interruptions int, state text, waits boolean, last_error text)
    LANGUAGE plpgsql AS $$
DECLARE
    begun constant timestamptz := clock_timestamp();
BEGIN
    UPDATE es.projections SET retry_at = '2020-01-01';
    UPDATE es.timers SET run_at = '2020-01-01';
    UPDATE es.saga_instances SET run_at = '2020-01-01' WHERE ended_at IS NULL;
    PERFORM run_projections();
    PERFORM run_timers();
    PERFORM run_sagas();
    RETURN QUERY
        SELECT i.what, i.attempts, i.interruptions, i.state,
               i.due BETWEEN begun + sierra_internal.interruption_pause(i.interruptions)
                         AND clock_timestamp() + sierra_internal.interruption_pause(i.interruptions), i.last_error
          FROM (SELECT p.projection AS what, p.attempts, p.interruptions, p.state, p.retry_at AS due, p.last_error FROM es.projections AS p
                UNION ALL SELECT 'timer', t.attempts, t.interruptions, NULL, t.run_at, t.last_error FROM es.timers AS t
                UNION ALL SELECT s.saga_id, s.attempts, s.interruptions, s.status, s.run_at, s.last_error FROM es.saga_instances AS s WHERE s.saga_id = 'acts') AS i;
END $$;
SELECT * FROM interrupt();
SET client_min_messages = error;
SELECT * FROM interrupt();
SELECT * FROM interrupt();
UPDATE es.projections SET interruptions = 100;
UPDATE es.timers SET interruptions = 100;
UPDATE es.saga_instances SET interruptions = 100;
SELECT * FROM interrupt();
-- not before the pause is over
SELECT run_projections(), run_timers(), run_sagas();
-- A failure in between begins the count again.
UPDATE fault SET code = '22012';
SELECT what, attempts, interruptions, state FROM interrupt();
UPDATE es.projections SET state = 'running', interruptions = 7, attempts = 0;
UPDATE fault SET code = NULL;
SELECT retry_saga('acts');
SELECT what, attempts, interruptions, state FROM interrupt();
SELECT processed, retry_at FROM event_projections();
-- also if nothing is left to handle
UPDATE es.projections SET interruptions = 7, retry_at = '2020-01-01';
SELECT run_projections();
SELECT interruptions FROM es.projections;

-- Work that is always interrupted does not keep the rest from running.
RESET client_min_messages;
SELECT eschedule('2020-01-01', 's', 'Due', timer_id => '0191d2f0-5b7c-7c3e-8a51-0f2b6c4d7e92');
SELECT count(eschedule('2020-01-02', 'good', 'Good')) FROM generate_series(1, 3);
SELECT start_saga('acts', saga_id => 'poison'), start_saga('day', saga_id => 'poison, too');
CREATE FUNCTION good(data jsonb) RETURNS void LANGUAGE sql AS $$ SELECT $$;
SELECT create_saga('good', ARRAY[saga_step('1', 'good(jsonb)'), saga_step('2', 'good(jsonb)')]);
SELECT start_saga('good', saga_id => 'good ' || n) FROM generate_series(1, 3) AS n;
UPDATE fault SET code = '53100';
SET client_min_messages = error;
SELECT run_timers();
SELECT run_timers();
SELECT count(*) FROM escan('good');
SELECT count(run_sagas()) FROM generate_series(1, 20);
SELECT saga_id, status, interruptions > 0 AS interrupted FROM es.saga_instances WHERE saga_id LIKE 'good%' OR saga_id LIKE 'poison%' ORDER BY 1;
RESET client_min_messages;

-- In these isolation levels, the caller repeats the whole transaction.
UPDATE fault SET code = '40001';
UPDATE es.timers SET run_at = '2020-01-01';
UPDATE es.saga_instances SET run_at = '2020-01-01' WHERE saga_id = 'poison';
SELECT stream_version FROM eappend('g', 'G');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT run_projections();
:sqlstate
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT run_timers();
:sqlstate
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT run_sagas();
:sqlstate
ROLLBACK;
-- If the interruption cannot be recorded, it is the error of the call.
BEGIN READ ONLY;
SELECT run_projections();
:sqlstate
ROLLBACK;
BEGIN READ ONLY;
SELECT run_sagas();
:sqlstate
ROLLBACK;
-- What cannot count is not a refusal.
SELECT saga_step('1', 'act(jsonb)', refusals => '{40001}') IS NOT NULL AS made;
SELECT create_saga('refuses', ARRAY[saga_step('1', 'act(jsonb)', refusals => '{P0001,55P03}')]);
:sqlstate
SELECT drop_event_store('es', force => true);
DROP TABLE fault;
DROP FUNCTION fail, handle, manage, act, succeed, refuse, good, fail_append, outcome, try, waits, interrupt;
