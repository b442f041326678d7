-- What tests of sagas share: functions to act, undo and fail; what a saga did, and what its row says
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE TABLE done (n int GENERATED ALWAYS AS IDENTITY, what text, saga_id text);
CREATE FUNCTION act(data jsonb, saga_id text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO done (what, saga_id) VALUES ('act ' || coalesce(data ->> 'acts', '0'), act.saga_id);
    RETURN jsonb_build_object('acts', coalesce((data ->> 'acts')::int, 0) + 1);
END $$;
CREATE FUNCTION undo(data jsonb, saga_id text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO done (what, saga_id) VALUES ('undo ' || coalesce(data ->> 'acts', '0'), undo.saga_id);
    RETURN jsonb_build_object('acts', coalesce((data ->> 'acts')::int, 0) - 1);
END $$;
-- Fails as the table says; its effects are rolled back.
CREATE TABLE faults (what text PRIMARY KEY, sqlstate text);
CREATE FUNCTION fail_if(what text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE code text := (SELECT f.sqlstate FROM faults AS f WHERE f.what = fail_if.what);
BEGIN
    INSERT INTO done (what) VALUES (fail_if.what);
    IF code IS NOT NULL THEN RAISE EXCEPTION '% is broken', fail_if.what USING ERRCODE = code; END IF;
END $$;
CREATE FUNCTION risky(data jsonb) RETURNS void LANGUAGE sql AS $$ SELECT fail_if('risky') $$;
CREATE FUNCTION risky_undo(data jsonb) RETURNS void LANGUAGE sql AS $$ SELECT fail_if('risky_undo') $$;
-- A saga's events, without times and ids.
CREATE FUNCTION told(saga_id text) RETURNS TABLE (v bigint, event_name text, payload jsonb) LANGUAGE sql AS $$
    SELECT e.stream_version, e.event_name, e.payload::jsonb - 'retry_at' - 'step_timeout' - 'saga_timeout' FROM escan($1) AS e $$;
CREATE VIEW seen AS SELECT saga_id, version, status, step, attempts, run_at <= clock_timestamp() AS due, last_error FROM event_sagas();
-- Do the streams say the same as the rows?
CREATE FUNCTION rows_differ() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE differ bigint;
BEGIN
    CREATE TEMP TABLE before AS SELECT * FROM es.saga_instances;
    PERFORM rebuild_saga_instances();
    SELECT count(*) INTO differ FROM ((TABLE before EXCEPT TABLE es.saga_instances) UNION ALL (TABLE es.saga_instances EXCEPT TABLE before)) AS d;
    DROP TABLE before;
    RETURN differ;
END $$;
