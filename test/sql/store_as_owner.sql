-- What monitors and superusers may see of a store of another role, and as which role functions run then
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_sierra_tenant;
CREATE ROLE regress_sierra_watcher IN ROLE pg_monitor;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_tenant', current_database()) \gexec
GRANT CREATE ON SCHEMA public TO regress_sierra_tenant;
SET ROLE regress_sierra_tenant;
SELECT create_event_store('es', 1);
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb($1::text::bigint + 1)';
SELECT create_projection('p', 'tally(jsonb, sierra_event)', mode => 'manual', initial => '0');
SELECT stream_version FROM eappend('a', 'x');
SELECT run_projection('p');

-- A monitor needs SELECT on each table whose contents are shown.
GRANT SELECT ON es.projections TO regress_sierra_watcher;
SET ROLE regress_sierra_watcher;
SELECT * FROM estates('p');
:sqlstate
SET ROLE regress_sierra_tenant;
GRANT SELECT ON es.projection_states TO regress_sierra_watcher;
REVOKE SELECT ON es.projections FROM regress_sierra_watcher;
SET ROLE regress_sierra_watcher;
SELECT * FROM estates('p');
:sqlstate
SET ROLE regress_sierra_tenant;
GRANT SELECT ON es.projections, es.events TO regress_sierra_watcher;
SET ROLE regress_sierra_watcher;
SELECT key, state FROM estates('p');
SELECT count(*) FROM everify('es');
-- The owner reads past a policy; so a role that the policy holds for gets no answer.
SET ROLE regress_sierra_tenant;
ALTER TABLE es.projection_states ENABLE ROW LEVEL SECURITY;
SET ROLE regress_sierra_watcher;
SELECT * FROM estates('p');
:sqlstate
SELECT count(*) FROM everify('es');
SET ROLE regress_sierra_tenant;
SELECT key, state FROM estates('p');
ALTER TABLE es.projection_states DISABLE ROW LEVEL SECURITY;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
SET ROLE regress_sierra_watcher;
SELECT * FROM everify('es');
:sqlstate
SELECT key, state FROM estates('p');
RESET ROLE;
SELECT count(*) FROM everify('es');
ALTER TABLE es.events DISABLE ROW LEVEL SECURITY;

-- Without a store there is not an owner to run as: the answer is the same for every role.
SET ROLE regress_sierra_tenant;
CREATE SCHEMA unlike;
CREATE TABLE unlike.events (id int);
CREATE TABLE unlike.timers (id int);
RESET ROLE;
SELECT everify('nowhere');
:sqlstate
SELECT everify('unlike');
:sqlstate
SET ROLE regress_sierra_watcher;
SELECT everify('nowhere');
:sqlstate
SELECT event_timers('unlike');
:sqlstate
RESET ROLE;
DROP TABLE unlike.events, unlike.timers;
DROP SCHEMA unlike;

-- The owner runs it as it is, with all that a session may do; a superuser runs it as the owner, restricted.
SET ROLE regress_sierra_tenant;
CREATE FUNCTION es.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.ran_as', current_user, false);
    CREATE TEMP TABLE noted ();
    DROP TABLE noted;
    PERFORM set_config('app.could', 'make a temporary table', false);
    RETURN OLD;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE '%: %', current_user, SQLERRM;
    RETURN OLD;
END
$$;
CREATE TRIGGER note BEFORE DELETE ON es.timers FOR EACH ROW EXECUTE FUNCTION es.note();
SELECT count(eschedule('2020-01-01', 'a', 'Due')) FROM generate_series(1, 1);
SELECT run_timers();
SELECT current_setting('app.ran_as', true) AS ran_as, current_setting('app.could', true) AS could;
SET app.ran_as = '';
SET app.could = '';
SELECT count(eschedule('2020-01-01', 'a', 'Due')) FROM generate_series(1, 1);
RESET ROLE;
SELECT run_timers();
SELECT current_setting('app.ran_as', true) AS ran_as, current_setting('app.could', true) AS could;
-- A superuser that is the owner itself.
SELECT create_event_store('own', 1);
SET sierra_es.store = own;
CREATE TRIGGER note BEFORE DELETE ON own.timers FOR EACH ROW EXECUTE FUNCTION es.note();
SELECT count(eschedule('2020-01-01', 'a', 'Due')) FROM generate_series(1, 1);
SELECT run_timers();
SELECT current_setting('app.ran_as', true) = current_user AS ran_as, current_setting('app.could', true) AS could;
RESET app.ran_as;
RESET app.could;

-- pg_database_owner has one member, the owner of the database.
BEGIN;
ALTER SCHEMA own OWNER TO pg_database_owner;
SELECT run_timers();
SELECT count(*) FROM event_timers('own');
\set VERBOSITY terse
SELECT format('ALTER DATABASE %I OWNER TO regress_sierra_tenant', current_database()) \gexec
SET LOCAL ROLE regress_sierra_watcher;
SELECT event_timers('own');
:sqlstate
\set VERBOSITY default
ROLLBACK;
RESET sierra_es.store;
SELECT drop_event_store('own', force => true), drop_event_store('es', force => true);
DROP FUNCTION tally;
DROP OWNED BY regress_sierra_tenant, regress_sierra_watcher;
DROP ROLE regress_sierra_tenant, regress_sierra_watcher;
