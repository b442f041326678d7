-- A handler that runs its own projection, an action that runs its own saga: the inner call
-- finds nothing to do, and the outer one continues
SELECT create_event_store('es', 2);
CREATE TABLE calls (n serial, who text, inner_result bigint);
CREATE FUNCTION runs_itself(e sierra_event) RETURNS void LANGUAGE sql
    AS $$ INSERT INTO calls (who, inner_result) VALUES ('own ' || $1.stream_version, run_projection('itself')) $$;
CREATE FUNCTION runs_all(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO calls (who, inner_result) VALUES ('all ' || $2.stream_version, run_projections());
    RETURN to_jsonb(state::text::bigint + 1);
END $$;
SELECT create_projection('itself', 'runs_itself(sierra_event)');
SELECT count(eappend('a', 'Happened')) FROM generate_series(1, 3);
SELECT run_projection('itself');
TABLE calls;
SELECT projection, processed, state, last_error FROM event_projections();
TRUNCATE calls RESTART IDENTITY;
-- All projections: each runs the other one inside itself, but not the one that it is inside of.
SELECT create_projection('all', 'runs_all(jsonb, sierra_event)', initial => '0', key => $$'all'$$);
SELECT eappend('a', 'Happened') IS NOT NULL;
SELECT run_projections();
TABLE calls;
SELECT projection, processed, state, last_error FROM event_projections() ORDER BY 1;
SELECT state FROM estates('all');
-- After an error in the handler it is as before.
CREATE FUNCTION fails(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM run_projections();
    RAISE 'no' USING ERRCODE = 'serialization_failure';
END $$;
SELECT create_projection('fails', 'fails(sierra_event)', streams => '{b}');
SELECT eappend('b', 'Happened') IS NOT NULL;
\set VERBOSITY sqlstate
SELECT run_projection('fails');
SELECT run_projection('fails');
\set VERBOSITY default
CREATE OR REPLACE FUNCTION fails(e sierra_event) RETURNS void LANGUAGE sql AS '';
SELECT run_projection('fails');
-- Sagas.
TRUNCATE calls RESTART IDENTITY;
CREATE FUNCTION act(data jsonb, saga_id text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO calls (who, inner_result) VALUES (saga_id, run_sagas());
    RETURN NULL;
END $$;
SELECT create_saga('s', ARRAY[saga_step('one', 'act(jsonb, text)'), saga_step('two', 'act(jsonb, text)')]);
SELECT start_saga('s', saga_id => 'first');
SELECT run_sagas();
TABLE calls;
TRUNCATE calls RESTART IDENTITY;
SELECT start_saga('s', saga_id => 'second'), start_saga('s', saga_id => 'third');
SELECT run_sagas();
TABLE calls;
SELECT saga_id, status, last_error FROM event_sagas() ORDER BY 1;
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP TABLE calls;
DROP FUNCTION runs_itself, runs_all, fails, act;
