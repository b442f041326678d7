-- A handler never has more rights than the projection's owner, whoever runs it and whatever rows say
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_proj_owner;
CREATE ROLE regress_proj_runner;
CREATE ROLE regress_proj_reader;
CREATE ROLE regress_proj_other;
CREATE ROLE regress_proj_team;
CREATE ROLE regress_proj_super SUPERUSER;
GRANT regress_proj_team TO regress_proj_owner;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_proj_owner', current_database()) \gexec
CREATE SCHEMA regress_proj;
GRANT USAGE, CREATE ON SCHEMA regress_proj TO regress_proj_owner, regress_proj_team, regress_proj_runner, regress_proj_other;
SET search_path = regress_proj, public;

SET ROLE regress_proj_owner;
SELECT create_event_store('es', 2);
GRANT USAGE ON SCHEMA es TO regress_proj_runner, regress_proj_reader, regress_proj_other, regress_proj_team;
GRANT INSERT ON es.events TO regress_proj_runner, regress_proj_other;
GRANT SELECT ON es.events TO regress_proj_runner, regress_proj_reader, regress_proj_team, regress_proj_other;
GRANT SELECT, INSERT, UPDATE, DELETE ON es.subscriptions, es.subscription_cursors, es.subscription_streams, es.subscription_consumers,
      es.projections, es.projection_states TO regress_proj_runner, regress_proj_team, regress_proj_other;
GRANT SELECT ON es.projections, es.projection_states TO regress_proj_reader;
CREATE TABLE secret (note text);
CREATE TABLE seen (who text, session text, path text, position bigint);
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS $$
    INSERT INTO seen VALUES (current_user, session_user = current_user, current_setting('search_path'), $1.global_position) $$;
SELECT create_projection('seen', 'see(sierra_event)');
SELECT count(eappend('s', 'E')) FROM generate_series(1, 3);

-- Run by another role, it runs as its owner, in the path of its owner.
SET ROLE regress_proj_runner;
SET search_path = public;
SELECT run_projection('seen', 1), run_projections(1);
SHOW search_path;
SELECT current_user;
SET search_path = regress_proj, public;
SELECT * FROM seen;
:sqlstate
-- Temporary tables of the role that runs it cannot mislead it.
CREATE TEMP TABLE seen (who text, session text, path text, position bigint);
SELECT run_projection('seen');
SELECT count(*) FROM pg_temp.seen;
DROP TABLE pg_temp.seen;
RESET ROLE;
SELECT who, path FROM seen;

-- A role that cannot write the table cannot run it; a role that cannot read it cannot read states.
SET ROLE regress_proj_reader;
SELECT run_projection('seen');
:sqlstate
SELECT sierra_internal.run_projection_version('seen', 1, 1);
:sqlstate
RESET ROLE;
REVOKE SELECT ON es.projection_states FROM regress_proj_reader;
CREATE FUNCTION last(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN to_jsonb(current_user || ' ' || e.global_position); END $$;
SET ROLE regress_proj_owner;
SELECT create_projection('last', 'last(jsonb, sierra_event)');
SET ROLE regress_proj_reader;
SELECT eproject('last', 's');
:sqlstate
RESET ROLE;
GRANT SELECT ON es.projection_states TO regress_proj_reader;
SET ROLE regress_proj_reader;
SELECT eproject('last', 's');

-- Inline, the handler has the owner's rights, not those of the role that appends.
SET ROLE regress_proj_owner;
TRUNCATE seen;
SELECT create_projection('inline', 'see(sierra_event)', mode => 'inline', start_from => 'latest');
SET ROLE regress_proj_other;
SELECT stream_version FROM eappend('s', 'E');
RESET ROLE;
SELECT who, path FROM seen;

-- A role may own a projection if the store's owner is a member of it; another role may not.
SET ROLE regress_proj_team;
CREATE FUNCTION team_see(e sierra_event) RETURNS void LANGUAGE sql AS $$ SELECT FROM secret $$;
SELECT create_projection('team', 'team_see(sierra_event)', max_attempts => 1);
SELECT run_projection('team');
SET ROLE regress_proj_other;
CREATE FUNCTION own_see(e sierra_event) RETURNS void LANGUAGE sql AS $$ SELECT 1 $$;
SELECT create_projection('own', 'own_see(sierra_event)');
:sqlstate
SET ROLE regress_proj_super;
SELECT create_projection('own', 'own_see(sierra_event)');
:sqlstate

-- Forged rows: for another role, for a role that the table's owner is not a member of, and changes
-- of existing rows.
SET ROLE regress_proj_other;
CREATE FUNCTION steal(e sierra_event) RETURNS void LANGUAGE sql AS $$ GRANT SELECT ON secret TO regress_proj_other $$;
INSERT INTO es.projections (projection, version, live, owner, kind, handler, search_path, mode, subscription, batch_size, on_error, max_attempts, retry_after, automatic, state)
VALUES ('forged', 1, true, 'regress_proj_owner', 'event', 'regress_proj.steal(public.sierra_event)', 'public', 'manual', 'forged', 10, 'stop', 5, '1 s', false, 'running');
:sqlstate
INSERT INTO es.projections (projection, version, live, owner, kind, handler, search_path, mode, subscription, batch_size, on_error, max_attempts, retry_after, automatic, state)
VALUES ('forged', 1, true, 'regress_proj_other', 'event', 'regress_proj.steal(public.sierra_event)', 'public', 'manual', 'forged', 10, 'stop', 5, '1 s', false, 'running');
SELECT run_projection('forged');
:sqlstate
UPDATE es.projections SET owner = 'regress_proj_owner' WHERE projection = 'forged';
:sqlstate
UPDATE es.projections SET handler = 'regress_proj.steal(public.sierra_event)' WHERE projection = 'seen';
:sqlstate
UPDATE es.projections SET search_path = 'regress_proj_other' WHERE projection = 'seen';
:sqlstate
SELECT rebuild_projection('seen', handler => 'steal(sierra_event)');
:sqlstate
SELECT rebuild_projection('last', key => $$(SELECT note FROM secret)$$);
:sqlstate
-- Nor does it make its own in the place of another one.
DELETE FROM es.projections WHERE projection = 'seen';
:sqlstate
SELECT drop_projection('inline');
:sqlstate
-- The owner of the table drops the guard: still no role can act as a role that it could not become
-- before.
SET ROLE regress_proj_owner;
DROP TRIGGER sierra_guard_owner ON es.projections;
DROP TRIGGER sierra_guard_definition ON es.projections;
UPDATE es.projections SET owner = 'regress_proj_super', handler = 'regress_proj.steal(public.sierra_event)' WHERE projection = 'seen';
SELECT run_projection('seen');
:sqlstate
UPDATE es.projections SET owner = 'regress_proj_super' WHERE projection = 'last';
SELECT eproject('last', 's');
:sqlstate
UPDATE es.projections SET owner = 'regress_proj_super' WHERE projection = 'inline';
SELECT eappend('s', 'E');
:sqlstate
DELETE FROM es.projections WHERE projection IN ('seen', 'last', 'forged');
UPDATE es.projections SET owner = 'regress_proj_owner';

-- The opposite: a handler gains no rights from the role that runs it.
CREATE FUNCTION become() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES ('deferred as ' || current_user); RETURN NULL; END $$;
CREATE TABLE trap (x int);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON trap DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION become();
CREATE FUNCTION spring(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO trap VALUES (1); END $$;
CREATE FUNCTION set_role(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RESET ROLE; END $$;
CREATE FUNCTION temp_table(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE left_behind (x int); END $$;
SELECT drop_projection('inline'), drop_projection('team');
SELECT create_projection('trap', 'spring(sierra_event)', max_attempts => 1);
SELECT create_projection('role', 'set_role(sierra_event)', max_attempts => 1);
SELECT create_projection('temp', 'temp_table(sierra_event)', max_attempts => 1);
RESET ROLE;
SELECT run_projections();
SELECT projection, state, last_error FROM event_projections() ORDER BY 1;
SELECT count(*) FROM seen WHERE who LIKE 'deferred%';

-- The owner may no longer call the handler.
SET ROLE regress_proj_owner;
SELECT create_projection('gone', 'see(sierra_event)');
REVOKE EXECUTE ON FUNCTION see(sierra_event) FROM PUBLIC, regress_proj_owner;
SELECT run_projection('gone');
:sqlstate
RESET ROLE;
SELECT drop_event_store('es', force => true);
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA regress_proj CASCADE;
RESET client_min_messages;
DROP OWNED BY regress_proj_owner, regress_proj_runner, regress_proj_reader, regress_proj_other, regress_proj_team, regress_proj_super;
DROP ROLE regress_proj_owner, regress_proj_runner, regress_proj_reader, regress_proj_other, regress_proj_team, regress_proj_super;
