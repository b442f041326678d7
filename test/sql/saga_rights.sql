-- An action never has more rights than the saga's owner, whoever runs it and whatever rows say
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_saga_owner;
CREATE ROLE regress_saga_runner;
CREATE ROLE regress_saga_starter;
CREATE ROLE regress_saga_other;
CREATE ROLE regress_saga_team;
GRANT regress_saga_team TO regress_saga_owner;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_saga_owner', current_database()) \gexec
CREATE SCHEMA regress_saga;
GRANT USAGE, CREATE ON SCHEMA regress_saga TO regress_saga_owner, regress_saga_team, regress_saga_runner, regress_saga_other;
SET search_path = regress_saga, public;
SET ROLE regress_saga_owner;
SELECT create_event_store('es', 2);
GRANT USAGE ON SCHEMA es TO regress_saga_runner, regress_saga_starter, regress_saga_other, regress_saga_team;
GRANT SELECT, UPDATE ON es.saga_instances TO regress_saga_runner;
GRANT SELECT ON es.sagas TO regress_saga_starter;
GRANT INSERT ON es.saga_instances, es.events TO regress_saga_starter;
GRANT SELECT ON es.events TO regress_saga_starter;
GRANT SELECT, INSERT, UPDATE ON es.sagas TO regress_saga_other, regress_saga_team;
GRANT SELECT, INSERT, UPDATE ON es.saga_instances, es.events, es.timers TO regress_saga_other, regress_saga_team;
CREATE TABLE seen (who text, path text);
CREATE FUNCTION see(data jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO seen VALUES (current_user, current_setting('search_path')) $$;
SELECT create_saga('see', ARRAY[saga_step('1', 'see(jsonb)'), saga_step('2', 'see(jsonb)')]);
-- A role that may insert rows of instances can start sagas, and nothing more.
SET ROLE regress_saga_starter;
SELECT start_saga('see', saga_id => 'x');
SELECT run_sagas();
:sqlstate
SELECT sierra_internal.run_saga('x', true, 0);
:sqlstate
-- Run by another role, with another path: the owner acts, with the owner's path.
SET ROLE regress_saga_runner;
SELECT count(*) FROM seen;
:sqlstate
SET search_path = public;
CREATE TEMP TABLE seen (who text, path text);
SELECT run_sagas();
SELECT current_user, current_setting('search_path');
SELECT count(*) FROM pg_temp.seen;
DROP TABLE pg_temp.seen;
RESET ROLE;
SET search_path = regress_saga, public;
SELECT * FROM seen;
SELECT saga_id, status FROM event_sagas();
-- A direct call has the rights of the caller.
SET ROLE regress_saga_runner;
SELECT sierra_internal.advance_saga('es', sierra_internal.load_saga('es', 'x'));
:sqlstate
SELECT sierra_internal.append_saga_event(jsonb_populate_record(NULL::sierra_internal.saga_state, '{"saga_id": "x"}'), 'x', '{}');
:sqlstate
SELECT sierra_internal.write_saga_instance('es', sierra_internal.load_saga('es', 'x'));
:sqlstate
SELECT sierra_internal.call_saga_function('regress_saga.see(pg_catalog.jsonb)', '{}', 'x', 'regress_saga', '');
:sqlstate
-- The action cannot become the role that runs it, or change its settings.
SET ROLE regress_saga_owner;
CREATE FUNCTION escape(data jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET ROLE regress_saga_runner; END $$;
CREATE FUNCTION settings(data jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET search_path = trap; SET work_mem = '1MB'; END $$;
SELECT create_saga('escape', ARRAY[saga_step('1', 'settings(jsonb)'), saga_step('2', 'escape(jsonb)', max_attempts => 1)]);
SELECT start_saga('escape', saga_id => 'escape');
SET ROLE regress_saga_runner;
SET work_mem = '2MB';
SELECT run_sagas();
SELECT current_user, current_setting('search_path'), current_setting('work_mem'), current_setting('sierra_es.metadata') AS metadata;
RESET work_mem;
SELECT status, last_error ~ 'cannot set parameter "role"' AS why FROM event_sagas() WHERE saga_id = 'escape';
-- The owner of a saga must be a role that the store's owner could become, and only it can make new
-- versions.
SET ROLE regress_saga_other;
CREATE FUNCTION mine(data jsonb) RETURNS void LANGUAGE sql AS $$ SELECT $$;
SELECT create_saga('mine', ARRAY[saga_step('1', 'mine(jsonb)')]);
:sqlstate
INSERT INTO es.sagas SELECT 'mine', 1, 'regress_saga_owner', steps, timeout, search_path FROM es.sagas WHERE saga = 'see';
:sqlstate
UPDATE es.sagas SET steps = '[]';
:sqlstate
SET ROLE regress_saga_team;
CREATE FUNCTION team(data jsonb) RETURNS void LANGUAGE sql AS $$ SELECT $$;
SELECT create_saga('see', ARRAY[saga_step('1', 'team(jsonb)')]);
:sqlstate
REVOKE EXECUTE ON FUNCTION team FROM PUBLIC;
SELECT create_saga('team', ARRAY[saga_step('1', 'team(jsonb)')]);
SELECT start_saga('team', saga_id => 'team');
-- A row that names another saga than its stream does not run as the owner of that other saga.
SET ROLE regress_saga_other;
SELECT start_saga('team', saga_id => 'swapped');
UPDATE es.saga_instances SET saga = 'see' WHERE saga_id = 'swapped';
SELECT run_sagas();
SELECT saga_id, status, last_error FROM event_sagas() WHERE saga_id IN ('swapped', 'team');
-- Without the right to call a function, no role can make a saga of it.
SELECT create_saga('stolen', ARRAY[saga_step('1', 'team(jsonb)')]);
:sqlstate
-- Once the store's owner is no longer a member, the saga is not run.
RESET ROLE;
DELETE FROM es.saga_instances WHERE saga_id = 'swapped'; -- or it is tried again
SET ROLE regress_saga_team;
SELECT start_saga('team', saga_id => 'late');
RESET ROLE;
REVOKE regress_saga_team FROM regress_saga_owner;
SELECT run_sagas();
SELECT status, last_error FROM event_sagas() WHERE saga_id = 'late';
SET client_min_messages = warning;
SELECT drop_event_store('es', force => true);
DROP SCHEMA regress_saga CASCADE;
RESET search_path;
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_saga_owner', current_database()) \gexec
DROP ROLE regress_saga_owner, regress_saga_runner, regress_saga_starter, regress_saga_other, regress_saga_team;
