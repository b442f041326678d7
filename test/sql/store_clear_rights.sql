-- clear_event_store(): only for the owner; nothing of a store runs as anybody but its owner
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_sierra_owner;
CREATE ROLE regress_sierra_member IN ROLE regress_sierra_owner;
CREATE ROLE regress_sierra_granted IN ROLE pg_monitor;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_owner', current_database()) \gexec
GRANT CREATE ON SCHEMA public TO regress_sierra_owner;
SET ROLE regress_sierra_owner;
SELECT create_event_store('es', 2);
SELECT esub('s', start_from => 'earliest');
SELECT stream_version FROM eappend('a', 'x');
GRANT USAGE ON SCHEMA es TO regress_sierra_granted;
GRANT ALL ON ALL TABLES IN SCHEMA es TO regress_sierra_granted;
GRANT ALL ON ALL SEQUENCES IN SCHEMA es TO regress_sierra_granted;

-- All rights on the tables are not enough, and the number of events is not shown.
SET ROLE regress_sierra_granted;
SELECT clear_event_store('es', force => true);
:sqlstate
SELECT clear_event_store('es');
:sqlstate
SELECT sierra_internal.clear_state('es');
:sqlstate
SELECT sierra_internal.lock_store_to_clear('es');
:sqlstate
SELECT count(*) FROM eall();

-- The owner, members of its role, and superusers may.  All of it runs as the owner.
SET ROLE regress_sierra_owner;
CREATE TABLE ran_as (role name);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.ran_as VALUES (current_user);
    BEGIN
        CREATE TEMP TABLE left_over ();
        RAISE NOTICE 'left a table';
        DROP TABLE left_over;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE '%', SQLERRM;
    END;
    RETURN OLD;
END $$;
CREATE TRIGGER note BEFORE DELETE ON es.subscription_cursors FOR EACH ROW EXECUTE FUNCTION note();
SET ROLE regress_sierra_member;
SELECT clear_event_store('es', force => true);
RESET ROLE;
SELECT clear_event_store('es', force => true);
SET ROLE regress_sierra_owner;
SELECT clear_event_store('es', force => true);
SELECT role, count(*) FROM ran_as GROUP BY 1;
DROP TRIGGER note ON es.subscription_cursors;
DROP FUNCTION note;
DROP TABLE ran_as;

-- Policies hide nothing.
SELECT stream_version FROM eappend('a', 'x');
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT clear_event_store('es');
\echo :LAST_ERROR_MESSAGE
SELECT clear_event_store('es', force => true);
ALTER TABLE es.events NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
SELECT ehead();
ALTER TABLE es.timers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT clear_event_store('es', force => true);
:sqlstate
ALTER TABLE es.timers NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;

-- A store of which a table belongs to somebody else, or is missing, or is something else, is not touched.
SELECT stream_version FROM eappend('a', 'x');
RESET ROLE;
BEGIN;
ALTER TABLE es.timers OWNER TO regress_sierra_granted;
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
BEGIN;
ALTER SEQUENCE es.global_position OWNER TO regress_sierra_granted;
SET ROLE regress_sierra_owner;
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
SET ROLE regress_sierra_owner;
BEGIN;
ALTER TABLE es.timers RENAME TO was_timers;
CREATE VIEW es.timers AS SELECT * FROM es.was_timers;
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE es.event_tags ADD COLUMN more int;
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE es.events DETACH PARTITION es.events_1;
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE es.global_position RENAME TO was_position;
CREATE TABLE es.global_position (last_value bigint);
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
SELECT count(*) FROM eall();

SELECT drop_event_store('es', force => true);
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM regress_sierra_owner;
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_owner', current_database()) \gexec
DROP ROLE regress_sierra_owner, regress_sierra_member, regress_sierra_granted;
