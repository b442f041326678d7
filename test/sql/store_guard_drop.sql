-- DROP TABLE, DROP SCHEMA and DROP OWNED do not delete events; drop_event_store() does.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_sierra_keeper;
CREATE ROLE regress_sierra_stranger;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_keeper', current_database()) \gexec
CREATE FUNCTION refused(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        EXECUTE statement;
        RAISE EXCEPTION USING ERRCODE = 'ZZ999', MESSAGE = 'done';
    EXCEPTION
        WHEN SQLSTATE 'ZZ999' THEN RETURN 'done';
        WHEN OTHERS THEN RETURN SQLSTATE || ': ' || SQLERRM;
    END;
END $$;
CREATE VIEW statements (n, statement) AS VALUES
    (1, 'DROP SCHEMA kept CASCADE'), (2, 'DROP TABLE kept.events CASCADE'), (3, 'DROP TABLE kept.events_0'), (4, 'DROP TABLE kept.events_1'),
    (5, 'DROP TABLE kept.stream_keys'), (6, 'DROP TABLE IF EXISTS kept.nothing, kept.event_ids'), (7, 'DROP OWNED BY regress_sierra_keeper');
GRANT SELECT ON statements TO PUBLIC;
SET ROLE regress_sierra_keeper;
SELECT create_event_store('kept', 2);
SET sierra_es.store = kept;
-- A store without events can be dropped in any way.
SELECT statement, refused(statement) FROM statements ORDER BY n;
-- One event, in one of the partitions, protects all of it.
SELECT partition_id FROM eappend('a', 'E');
SELECT statement, refused(statement) FROM statements ORDER BY n;
DROP SCHEMA kept CASCADE;
:sqlstate
-- The superuser is asked too, and PostgreSQL refuses what it always did.
RESET ROLE;
SELECT statement, refused(statement) FROM statements ORDER BY n;
SELECT refused('DROP SCHEMA kept');
SET ROLE regress_sierra_stranger;
SELECT statement, refused(statement) FROM statements ORDER BY n;
SET ROLE regress_sierra_keeper;
GRANT USAGE ON SCHEMA kept TO regress_sierra_stranger;
SET ROLE regress_sierra_stranger;
-- it is not told whether there are events
SELECT refused('DROP TABLE kept.events CASCADE'), refused('DROP SCHEMA kept CASCADE'), refused('DROP OWNED BY regress_sierra_keeper');
-- The owner of the schema may drop tables of others in it, and is refused too; DROP OWNED looks only at the tables of its role.
RESET ROLE;
SELECT refused('DROP OWNED BY regress_sierra_stranger');
ALTER SCHEMA kept OWNER TO regress_sierra_stranger;
SET ROLE regress_sierra_stranger;
SELECT refused('DROP TABLE kept.events CASCADE'), refused('DROP TABLE kept.events_1');
RESET ROLE;
ALTER SCHEMA kept OWNER TO regress_sierra_keeper;
SET ROLE regress_sierra_keeper;
SELECT stream_id, stream_version FROM eall();

-- Other tables and schemas are nobody's business, whatever they are called.
CREATE TABLE kept.others (id int);
CREATE SCHEMA other;
CREATE TABLE other.events (partition_id int) PARTITION BY LIST (partition_id);
CREATE TABLE other.events_0 PARTITION OF other.events DEFAULT;
INSERT INTO other.events VALUES (1);
DROP TABLE kept.others;
DROP TABLE IF EXISTS nowhere.events, kept.nothing;
DROP SCHEMA IF EXISTS nowhere CASCADE;
SELECT refused('DROP SCHEMA other CASCADE');
DROP TABLE other.events_0;
DROP SCHEMA other CASCADE;

-- Unless the owner says that this is a restore; in a session that has not loaded the library too.
\c
SET ROLE regress_sierra_keeper;
SET sierra_es.restore = on;
SELECT refused('DROP SCHEMA kept CASCADE');
RESET sierra_es.restore;
SELECT refused('DROP SCHEMA kept CASCADE');
-- drop_event_store() leaves the setting as it was.
BEGIN;
SELECT drop_event_store('kept', force => true);
SHOW sierra_es.restore;
ROLLBACK;
SELECT drop_event_store('kept');
:sqlstate
-- A rolled back append is not an event.
SELECT drop_event_store('kept', force => true), create_event_store('kept', 2);
SET sierra_es.store = kept;
BEGIN;
SELECT stream_version FROM eappend('a', 'E');
SELECT refused('DROP SCHEMA kept CASCADE');
ROLLBACK;
-- Neither is a partition that has no rows of its own.
CREATE TABLE kept.events_2 PARTITION OF kept.events FOR VALUES IN (2) PARTITION BY LIST (partition_id);
SELECT refused('DROP SCHEMA kept CASCADE');
SET client_min_messages = warning;
DROP SCHEMA kept CASCADE;
RESET client_min_messages;

RESET ROLE;
SELECT sierra_internal.guard_drop();
:sqlstate
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_keeper', current_database()) \gexec
DROP VIEW statements;
DROP FUNCTION refused;
DROP ROLE regress_sierra_keeper, regress_sierra_stranger;
