-- A role that is dropped and made again is another one: what the first one owned does not run as it
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_sierra_first;
SELECT create_event_store('es', 2);
CREATE TABLE ran (n int GENERATED ALWAYS AS IDENTITY, who name);
GRANT INSERT ON ran TO PUBLIC;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO ran (who) VALUES (current_user)';
CREATE FUNCTION act(data jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO ran (who) VALUES (current_user)';
GRANT USAGE ON SCHEMA es TO regress_sierra_first;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA es TO regress_sierra_first;
GRANT CREATE ON SCHEMA public TO regress_sierra_first;
SET ROLE regress_sierra_first;
SELECT create_projection('p', 'see(sierra_event)', mode => 'manual');
SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')]);
SELECT start_saga('saga', saga_id => 'saga-1');
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(current_user || ' ' || e.global_position) $$;
SELECT create_projection('fold', 'tally(jsonb, sierra_event)', mode => 'manual');
RESET ROLE;
SELECT count(*) FROM eappend('a', 'x');
-- Another name is the same role.
ALTER ROLE regress_sierra_first RENAME TO regress_sierra_renamed;
SELECT run_projection('p', 1);
SELECT owner FROM event_projections() WHERE projection = 'p';
SELECT who FROM ran;
TRUNCATE ran;
ALTER ROLE regress_sierra_renamed RENAME TO regress_sierra_first;
ALTER FUNCTION tally(jsonb, sierra_event) OWNER TO CURRENT_USER;
DROP OWNED BY regress_sierra_first;
DROP ROLE regress_sierra_first;
CREATE ROLE regress_sierra_first;
GRANT USAGE ON SCHEMA es TO regress_sierra_first;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA es TO regress_sierra_first;
DO $$ BEGIN PERFORM run_projection('p'); EXCEPTION WHEN OTHERS THEN NULL; END $$;
SET client_min_messages = error;
DO $$ BEGIN PERFORM run_sagas(); EXCEPTION WHEN OTHERS THEN NULL; END $$;
RESET client_min_messages;
SELECT who FROM ran;
\set VERBOSITY terse
SELECT run_projection('p');
:sqlstate
SELECT sierra_internal.run_saga('saga-1', false, 0);
:sqlstate
-- The role that has the name now takes nothing over; the owner of the store does.
GRANT CREATE ON SCHEMA public TO regress_sierra_first;
SET ROLE regress_sierra_first;
\set VERBOSITY sqlstate
SELECT rebuild_projection('fold');
SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')]);
RESET ROLE;
SELECT rebuild_projection('fold'), create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')]);
SET client_min_messages = error;
SELECT sierra_internal.run_projection_version('fold', 2, 100) > 0 AS rebuilt;
RESET client_min_messages;
SELECT owner = current_user AS mine, live FROM event_projections() WHERE projection = 'fold';
SELECT state ->> 0 LIKE current_user || ' %' AS mine FROM estates('fold') WHERE key = 'a';
SELECT drop_projection('p');
SELECT drop_event_store('es', force => true);
DROP FUNCTION see(sierra_event), act(jsonb), tally(jsonb, sierra_event);
DROP TABLE ran;
DROP OWNED BY regress_sierra_first;
DROP ROLE regress_sierra_first;
