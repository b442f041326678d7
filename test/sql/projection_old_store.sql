-- A store that an older version made has no tables for projections, and gets them
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 2);
DROP TABLE es.projections, es.projection_states;
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN to_jsonb(coalesce((state #>> '{}')::int, 0) + 1);
SELECT stream_version FROM eappend('s', 'E');
SELECT create_projection('p', 'tally(jsonb, sierra_event)');
:sqlstate
SELECT run_projections();
:sqlstate
SELECT eproject('p', 's');
:sqlstate
SELECT * FROM event_projections();
:sqlstate
SELECT upgrade_event_store('es'), upgrade_event_store('es');
SELECT create_projection('p', 'tally(jsonb, sierra_event)', initial => NULL);
SELECT eproject('p', 's');
SELECT run_projections();
SELECT state FROM estates('p');
-- Triggers go with the extension, and are put back.
SELECT create_projection('inline', 'tally(jsonb, sierra_event)', initial => NULL, mode => 'inline', event_names => '{E}');
SET client_min_messages = warning;
DROP EXTENSION sierra_es CASCADE;
RESET client_min_messages;
CREATE EXTENSION sierra_es;
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN to_jsonb(coalesce((state #>> '{}')::int, 0) + 1);
SELECT guard_event_store(), upgrade_event_store(), upgrade_event_store();
SELECT stream_version FROM eappend('s', 'E');
SELECT state FROM estates('inline');
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname ~ '^sierra_(guard_)?projection' AND tgparentid = 0 GROUP BY 1 ORDER BY 1;
SELECT drop_projection('inline');
-- A store of version 0.1.0 goes as well.
SELECT drop_projection('p');
DROP TABLE es.projections, es.projection_states;
SELECT drop_event_store('es', force => true);
DROP FUNCTION tally;
