-- drop_event_store(): never takes events along unless it is told to
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'

-- an empty store goes, with its schema
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

-- A store of rolled back appends is empty.
SELECT create_event_store('es', 4);
BEGIN;
SELECT stream_version FROM eappend('a', 'x');
ROLLBACK;
SELECT drop_event_store('es');

-- what is no store
SELECT drop_event_store('es');
:sqlstate
SELECT drop_event_store('public', force => true);
:sqlstate
SELECT drop_event_store(NULL);
:sqlstate
SELECT drop_event_store('pg_catalog', force => true);
:sqlstate

-- Things of the user's in the schema stay, and so does the schema.
CREATE SCHEMA es;
CREATE TABLE es.orders (id int);
SELECT create_event_store('es', 1);
SELECT drop_event_store('es');
SELECT relname FROM pg_class WHERE relnamespace = 'es'::regnamespace;
DROP TABLE es.orders;
CREATE FUNCTION es.f() RETURNS int LANGUAGE sql RETURN 1;
SELECT create_event_store('es', 1);
SELECT drop_event_store('es');
SELECT es.f();
DROP SCHEMA es CASCADE;

-- The schema is not dropped together with what has no table, function or type of its own.
CREATE SCHEMA es;
CREATE COLLATION es.mine (provider = libc, locale = 'C');
SELECT create_event_store('es', 1);
SELECT drop_event_store('es');
SELECT collname FROM pg_collation WHERE collnamespace = to_regnamespace('es');
DROP SCHEMA IF EXISTS es CASCADE;

-- A view over the events keeps them, as over any table.
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
