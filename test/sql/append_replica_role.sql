-- Inline projections miss no event: under session_replication_role = replica, which switches triggers off, appends are refused
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 2);
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(coalesce(state::text::bigint, 0) + 1) $$;
SET session_replication_role = replica;
SELECT stream_version FROM eappend('a', 'x');
RESET session_replication_role;
SELECT create_projection('tally', 'tally(jsonb, sierra_event)', mode => 'inline', initial => '0');
SET session_replication_role = replica;
SELECT stream_version FROM eappend('a', 'x');
:sqlstate
SELECT count(*) FROM emappend(NULL, ARRAY['b', 'a'], ARRAY['x', 'x']);
:sqlstate
SET session_replication_role = local;
SELECT stream_version FROM eappend('a', 'x');
RESET session_replication_role;
SELECT stream_version FROM eappend('a', 'x');
SELECT key, state FROM estates('tally');
-- The owner may decide that the trigger fires for replicas too, or not at all.
SELECT tgname FROM pg_trigger WHERE tgrelid = 'es.events'::regclass AND tgname ~ '^sierra_projection' \gset
ALTER TABLE es.events ENABLE ALWAYS TRIGGER :tgname;
ALTER TABLE es.events_0 ENABLE ALWAYS TRIGGER :tgname;
ALTER TABLE es.events_1 ENABLE ALWAYS TRIGGER :tgname;
SET session_replication_role = replica;
SELECT stream_version FROM eappend('a', 'x');
RESET session_replication_role;
SELECT key, state FROM estates('tally');
SELECT drop_event_store('es', force => true);

-- A table that a crash would empty is not used.
SELECT create_event_store('es', 2);
SELECT stream_version FROM eappend('a', 'x');
ALTER TABLE es.events_0 SET UNLOGGED;
SELECT stream_version FROM eappend('a', 'x');
:sqlstate
SELECT count(*) FROM escan('a');
:sqlstate
SELECT problem, detail FROM everify();
ALTER TABLE es.events_0 SET LOGGED;
SELECT stream_version FROM eappend('a', 'x');
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION tally(jsonb, sierra_event);
