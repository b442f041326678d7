-- The extension can be dropped only by force while a store exists, and its events are never dropped
-- with it.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET client_min_messages = warning;
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'user-123'], ARRAY['x', 'y', 'z'], ARRAY['{"n":  1}', NULL, NULL]::json[]);
SELECT count(*) FROM eappend('own', 'x', partition_key => 'a', event_id => '00000000-0000-4000-8000-000000000001');
-- Triggers of other tables, and of an inline projection, go with it, too.
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN to_jsonb(coalesce((state #>> '{}')::int, 0) + 1);
SELECT create_projection('inline', 'tally(jsonb, sierra_event)', initial => NULL, mode => 'inline');
CREATE VIEW triggers AS
SELECT tgrelid::regclass AS relation, tgname ~ '^sierra_projection_' AS inline, tgfoid::regproc AS function, tgenabled
  FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0;
SELECT * FROM triggers ORDER BY 1, 2, function::text;

-- The list of dependent objects is long and not ours; that DROP refuses is.
\set VERBOSITY sqlstate
DROP EXTENSION sierra_es;
DROP EXTENSION sierra_es RESTRICT;
\set VERBOSITY default
SELECT count(*) FROM eall();

-- CASCADE: the guards are dropped, all rows stay
DROP EXTENSION sierra_es CASCADE;
SELECT * FROM triggers;
SELECT global_position, partition_id, partition_sequence, stream_id, stream_version, event_name, payload FROM es.events ORDER BY global_position;
SELECT count(*) AS ids FROM es.event_ids;
SELECT count(*) AS keys FROM es.stream_keys;
SELECT count(*) AS functions FROM pg_proc WHERE proname IN ('eappend', 'emappend', 'eall', 'escan', 'everify');
SELECT eall();
:sqlstate

-- and back: everify() says that nothing guards the events, and no call works on them until
-- guard_event_store() was called
CREATE EXTENSION sierra_es;
SELECT eall();
:sqlstate
SELECT eappend('a', 'on');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "on"}]');
:sqlstate
SELECT esver('a');
:sqlstate
SELECT epseq(0);
:sqlstate
SELECT escan('a');
:sqlstate
SELECT eget('00000000-0000-4000-8000-000000000001');
:sqlstate
SELECT sierra_internal.partition_count('es');
SELECT problem, count(*) FROM everify() GROUP BY 1;
SELECT guard_event_store(), guard_event_store();
-- the handler took an event, so it went, too
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN to_jsonb(coalesce((state #>> '{}')::int, 0) + 1);
SELECT * FROM triggers ORDER BY 1, 2, function::text;
SELECT sierra_internal.partition_count('es');
SELECT stream_id, stream_version, event_name FROM eall();
SELECT count(*) FROM everify();
DELETE FROM es.events;
:sqlstate
SELECT stream_version, global_position FROM eappend('a', 'on', expected_version => 1);
SELECT stream_version, partition_id FROM eappend('own', 'on');
SELECT stream_version FROM eappend('own', 'x', event_id => '00000000-0000-4000-8000-000000000001');
SELECT stream_version FROM eappend('a', 'on');
SELECT key, state FROM estates('inline') ORDER BY key;
UPDATE es.projections SET handler = 'other';
:sqlstate
DROP VIEW triggers;
SELECT drop_event_store('es', force => true);
DROP FUNCTION tally;

-- in a schema of the user's choice, with a name that needs quoting
DROP EXTENSION sierra_es;
CREATE SCHEMA "Event Store";
CREATE EXTENSION sierra_es SCHEMA "Event Store";
SELECT eall();
:sqlstate
SELECT "Event Store".create_event_store('es', 2);
SELECT stream_version FROM "Event Store".eappend('a', 'x', expected_version => 'empty');
SELECT stream_version FROM "Event Store".eappend('a', 'x', expected_version => 0);
SELECT count(*) FROM "Event Store".everify();
SELECT store, events FROM "Event Store".event_stores();
SET search_path = "Event Store";
SELECT stream_version FROM eappend('a', 'x', expected_version => 1);
SELECT count(*) FROM emappend(NULL, '[{"stream_id": "a", "event_name": "x", "expected_version": 2}]');
SELECT stream_version FROM escan('a');
RESET search_path;
SELECT "Event Store".drop_event_store('es', force => true);
-- not relocatable: its functions name their own schema
ALTER EXTENSION sierra_es SET SCHEMA public;
:sqlstate
DROP EXTENSION sierra_es;
DROP SCHEMA "Event Store";
-- Private functions are in a schema that belongs to the extension.
SELECT to_regnamespace('sierra_internal') IS NULL AS gone;
CREATE SCHEMA sierra_internal;
CREATE EXTENSION sierra_es;
:sqlstate
DROP SCHEMA sierra_internal;
-- without stores it is dropped without a message
CREATE EXTENSION sierra_es;
DROP EXTENSION sierra_es;
CREATE EXTENSION sierra_es;
SELECT extname, extversion = (SELECT default_version FROM pg_available_extensions WHERE name = 'sierra_es') AS newest FROM pg_extension WHERE extname = 'sierra_es';
