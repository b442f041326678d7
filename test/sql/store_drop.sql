-- drop_event_store(): never drops events unless the call forces it
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'

-- an empty store is dropped, with its schema
SELECT create_event_store('es', 4);
SELECT drop_event_store('es');
SELECT to_regnamespace('es') IS NULL AS gone;

-- one with events only by force
SELECT create_event_store('es', 4);
SELECT stream_version FROM eappend('a', 'Added', '{"n": 1}', event_id => '00000000-0000-4000-8000-000000000001');
SELECT drop_event_store('es');
:sqlstate
SELECT drop_event_store('es', NULL);
:sqlstate
SELECT drop_event_store('es', force => false);
:sqlstate
SELECT stream_id, payload FROM eall();
SELECT drop_event_store('es', force => true);
SELECT to_regnamespace('es') IS NULL AS gone;

-- the hint can be pasted, whatever the name
SELECT create_event_store('it''s', 1);
SET sierra_es.store = 'it''s';
SELECT stream_version FROM eappend('a', 'x');
SELECT drop_event_store('it''s');
:sqlstate
SELECT drop_event_store('it''s', force => true);
RESET sierra_es.store;

-- A store whose appends were all rolled back is empty.
SELECT create_event_store('es', 4);
BEGIN;
SELECT stream_version FROM eappend('a', 'x');
ROLLBACK;
SELECT drop_event_store('es');

-- what is not a store
SELECT drop_event_store('es');
:sqlstate
SELECT drop_event_store('public', force => true);
:sqlstate
SELECT drop_event_store(NULL);
:sqlstate
SELECT drop_event_store('pg_catalog', force => true);
:sqlstate

-- Other objects of the user in the schema stay, and so does the schema.
CREATE SCHEMA es;
SELECT create_event_store('es', 1);
CREATE TABLE es.orders (id int);
SELECT drop_event_store('es');
SELECT relname FROM pg_class WHERE relnamespace = 'es'::regnamespace;
DROP TABLE es.orders;
SELECT create_event_store('es', 1);
CREATE FUNCTION es.f() RETURNS int LANGUAGE sql RETURN 1;
SELECT drop_event_store('es');
SELECT es.f();
DROP SCHEMA es CASCADE;

-- The schema is not dropped together with objects other than tables, functions and types.
CREATE SCHEMA es;
SELECT create_event_store('es', 1);
CREATE COLLATION es.mine (provider = libc, locale = 'C');
SELECT drop_event_store('es');
SELECT collname FROM pg_collation WHERE collnamespace = to_regnamespace('es');
DROP SCHEMA IF EXISTS es CASCADE;

-- ... not even when create_event_store() made it: only the tables are dropped
SELECT create_event_store('es', 1);
CREATE COLLATION es.mine (provider = libc, locale = 'C');
CREATE TYPE es.state AS ENUM ('open', 'closed');
SELECT drop_event_store('es');
SELECT relname FROM pg_class WHERE relnamespace = 'es'::regnamespace AND relkind <> 'c';
SELECT collname FROM pg_collation WHERE collnamespace = 'es'::regnamespace;
SELECT 'open'::es.state;
DROP TYPE es.state;
DROP COLLATION es.mine;
DROP SCHEMA es;
-- a schema that existed before stays, even if it is empty
CREATE SCHEMA es;
SELECT create_event_store('es', 1);
SELECT drop_event_store('es');
SELECT to_regnamespace('es') IS NULL AS gone;
DROP SCHEMA es;

-- Events that a policy hides from the owner, or that are newer than the snapshot, do not count as none.
CREATE ROLE regress_sierra_dropper;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_dropper', current_database()) \gexec
SET ROLE regress_sierra_dropper;
SELECT create_event_store('es', 2);
SELECT stream_version FROM eappend('a', 'x');
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT count(*) FROM es.events;
SELECT drop_event_store('es');
:sqlstate
ALTER TABLE es.events NO FORCE ROW LEVEL SECURITY;
SELECT esver('a');
ALTER TABLE es.events FORCE ROW LEVEL SECURITY;
SELECT drop_event_store('es', force => true);
SELECT to_regnamespace('es') IS NULL AS gone;
RESET ROLE;
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_dropper', current_database()) \gexec
DROP ROLE regress_sierra_dropper;
SELECT create_event_store('es', 1);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT drop_event_store('es');
:sqlstate
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT drop_event_store('es');
:sqlstate
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT drop_event_store('es', force => true);
COMMIT;
SELECT to_regnamespace('es') IS NULL AS gone;

-- A view over the events prevents the drop, as with any table.
SELECT create_event_store('es', 1);
CREATE VIEW public.sierra_watch AS SELECT stream_id FROM es.events;
SELECT drop_event_store('es', force => true);
:sqlstate
DROP VIEW public.sierra_watch;

-- dropping is transactional
BEGIN;
SELECT drop_event_store('es');
SELECT esver('a');
:sqlstate
ROLLBACK;
SELECT esver('a');
-- ... and another store of the same name is another store, also for a session that knew the first
SELECT stream_version, global_position FROM eappend('a', 'x');
SELECT drop_event_store('es', force => true);
SELECT esver('a');
:sqlstate
SELECT create_event_store('es', 2);
SELECT esver('a');
SELECT stream_version, global_position FROM eappend('a', 'x');
SELECT stream_id, stream_version FROM eall();
SELECT drop_event_store('es', force => true);
