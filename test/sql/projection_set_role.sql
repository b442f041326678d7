-- What runs as a role is written only by roles that may become it: from PostgreSQL 16 on, a membership can exclude SET ROLE
\set SHOW_CONTEXT never
\set VERBOSITY terse
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_sierra_team;
CREATE ROLE regress_sierra_mallory;
CREATE ROLE regress_sierra_friend IN ROLE regress_sierra_team;
CREATE TABLE ran (who name DEFAULT current_user);
GRANT INSERT ON ran TO PUBLIC;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO public.ran DEFAULT VALUES';
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS 'INSERT INTO public.ran DEFAULT VALUES RETURNING NULL::jsonb';
CREATE FUNCTION up(payload json) RETURNS json LANGUAGE sql AS 'SELECT $1';
-- Before 16 such a membership is the same as none.
DO $$
BEGIN
    EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_sierra_mallory, regress_sierra_friend', current_database());
    IF current_setting('server_version_num')::integer >= 160000 THEN
        GRANT regress_sierra_team TO regress_sierra_mallory;
        EXECUTE 'GRANT regress_sierra_team TO regress_sierra_mallory WITH SET FALSE';
        EXECUTE 'GRANT regress_sierra_team TO regress_sierra_mallory WITH INHERIT FALSE';
    END IF;
END $$;
CREATE FUNCTION use_store() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM create_event_store('es', 1);
    PERFORM stream_version FROM eappend('a', 'x');
    PERFORM create_projection('p', 'see(sierra_event)', mode => 'manual', search_path => 'public');
    PERFORM create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')], search_path => 'public');
    PERFORM start_saga('saga', saga_id => 'saga-1');
    GRANT USAGE ON SCHEMA es TO regress_sierra_team, regress_sierra_mallory;
    GRANT ALL ON ALL TABLES IN SCHEMA es TO regress_sierra_team, regress_sierra_mallory;
END $$;
SET client_min_messages = error;

-- The owner of a store, in its own tables.
SET ROLE regress_sierra_mallory;
SELECT use_store();
INSERT INTO es.projections (projection, version, live, owner, kind, handler, search_path, mode, subscription, batch_size, on_error, max_attempts, retry_after, automatic, state)
SELECT 'as-team', 1, true, 'regress_sierra_team', kind, handler, search_path, mode, subscription, batch_size, on_error, max_attempts, retry_after, automatic, state FROM es.projections;
:sqlstate
INSERT INTO es.sagas SELECT 'as-team', 1, 'regress_sierra_team', steps FROM es.sagas;
:sqlstate
-- Without the trigger, the row counts for nothing.
ALTER TABLE es.projections DISABLE TRIGGER USER;
UPDATE es.projections SET owner = 'regress_sierra_team';
SELECT run_projection('p');
:sqlstate
ALTER TABLE es.sagas DISABLE TRIGGER USER;
UPDATE es.sagas SET owner = 'regress_sierra_team';
SELECT sierra_internal.run_saga('saga-1', false, 0);
:sqlstate
RESET ROLE;
SELECT who FROM ran;
-- In this store, the team itself makes nothing that the owner could change then.
SET ROLE regress_sierra_team;
SELECT create_projection('q', 'see(sierra_event)', mode => 'manual');
:sqlstate
SELECT create_saga('other', ARRAY[saga_step('one', 'act(jsonb)')]);
:sqlstate
RESET ROLE;
SET sierra_es.restore = on;
DROP SCHEMA es CASCADE;
RESET sierra_es.restore;

-- In the tables of the team.
SET ROLE regress_sierra_friend;
SELECT use_store();
RESET ROLE;
DO $$
DECLARE
    name text;
BEGIN
    ALTER SCHEMA es OWNER TO regress_sierra_team;
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('es') AND relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE es.%I OWNER TO regress_sierra_team', name);
    END LOOP;
    ALTER SEQUENCE es.global_position OWNER TO regress_sierra_team;
    GRANT ALL ON ALL TABLES IN SCHEMA es TO regress_sierra_mallory, regress_sierra_friend;
    GRANT ALL ON SCHEMA es TO regress_sierra_friend;
END $$;
SET ROLE regress_sierra_mallory;
SELECT create_upcaster('x', 1, 'up(json)');
:sqlstate
SELECT create_projection('r', 'see(sierra_event)', mode => 'manual');
:sqlstate
SET ROLE regress_sierra_friend;
SELECT create_upcaster('x', 1, 'up(json)');
RESET ROLE;
SET sierra_es.restore = on;
DROP SCHEMA es CASCADE;
RESET sierra_es.restore;
DROP TABLE ran;
DROP FUNCTION use_store(), see(sierra_event), act(jsonb), up(json);
DROP OWNED BY regress_sierra_team, regress_sierra_mallory, regress_sierra_friend;
DROP ROLE regress_sierra_team, regress_sierra_mallory, regress_sierra_friend;
