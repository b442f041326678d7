-- Projections and process managers of events with certain tags
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN to_jsonb((state #>> '{}')::int + 1);
SELECT count(eappend('s-' || n % 2, 'E' || n % 3, tags => CASE n % 4 WHEN 0 THEN ARRAY['course:1', 'student:7'] WHEN 1 THEN ARRAY['course:2'] END))
  FROM generate_series(1, 24) AS n;

-- The stored events first; then those of appends.
SELECT create_projection('later', 'tally(jsonb, sierra_event)', initial => '0', mode => 'manual', tags => '{course:1, course:3}');
SELECT create_projection('by tag', 'tally(jsonb, sierra_event)', initial => '0', mode => 'manual', key => 'e.tags[1]', tags => '{course:1, course:2}', event_names => '{E0, E1}');
SELECT create_projection('inline', 'tally(jsonb, sierra_event)', initial => '0', mode => 'inline', tags => '{course:1, "it''s {1%s}"}');
SELECT create_projection('inline names', 'tally(jsonb, sierra_event)', initial => '0', mode => 'inline', event_names => '{E0}', tags => '{course:1}', streams => '{s-*}');
SELECT create_projection('inline none', 'tally(jsonb, sierra_event)', initial => '0', mode => 'inline', tags => '{}');
CREATE VIEW states AS SELECT p AS projection, s.key, s.state FROM unnest(ARRAY['later', 'by tag', 'inline', 'inline names', 'inline none']) AS p, estates(p) AS s ORDER BY p, s.key;
SELECT * FROM states;
SELECT run_projection('later'), run_projection('by tag');
SELECT * FROM states;
SELECT projection, streams, event_names, tags FROM es.projections ORDER BY 1;
SELECT subscription, tags FROM event_subscriptions() ORDER BY 1;
SELECT pg_get_triggerdef(oid) LIKE '%WHEN%' AS has_condition FROM pg_trigger WHERE tgrelid = 'es.events'::regclass AND tgfoid = 'sierra_internal.project_inline()'::regprocedure ORDER BY tgname;
SELECT count(eappend('s-1', 'E0', tags => t)) FROM unnest(ARRAY['course:1', 'course:2', 'course:3', 'it''s {1%s}', 'x']) AS tag, LATERAL (SELECT ARRAY[tag, 'more'] AS t) AS t;
SELECT stream_version FROM eappend('s-1', 'E0');
-- eproject() knows the same filter.
SELECT eproject('later', 's-1'), eproject('by tag', 'course:2'), eproject('by tag', 'x');
SELECT run_projection('later'), run_projection('by tag');
SELECT * FROM states;

-- Rebuilt, with the same tags or others.
SELECT rebuild_projection('later'), finish_rebuild('later');
SELECT * FROM states WHERE projection = 'later';
SELECT rebuild_projection('later', tags => '{x, student:7}'), finish_rebuild('later');
SELECT * FROM states WHERE projection = 'later';
SELECT tags FROM es.projections WHERE projection = 'later';
SELECT rebuild_projection('inline', tags => '{student:7}'), finish_rebuild('inline');
SELECT stream_version FROM eappend('s-1', 'E0', tags => '{course:1}');
SELECT stream_version FROM eappend('s-1', 'E0', tags => '{student:7}');
SELECT * FROM states WHERE projection = 'inline';
SELECT create_projection('null', 'tally(jsonb, sierra_event)', tags => '{a, NULL}');
:sqlstate
-- A trigger that is lost is put back with its condition.
DO $$ DECLARE name name; BEGIN
    SELECT tgname INTO name FROM pg_trigger WHERE tgrelid = 'es.events'::regclass AND tgname = sierra_internal.inline_trigger_name('inline names');
    EXECUTE format('DROP TRIGGER %I ON es.events', name);
END $$;
SELECT guard_event_store('es') IS NOT NULL AS guarded;
SELECT stream_version FROM eappend('s-1', 'E0', tags => '{course:1}');
SELECT stream_version FROM eappend('s-1', 'E0', tags => '{course:2}');
SELECT * FROM states WHERE projection = 'inline names';
SELECT pg_get_triggerdef(oid) LIKE '%tags &&%course:1%' AS tags FROM pg_trigger WHERE tgrelid = 'es.events'::regclass AND tgname = sierra_internal.inline_trigger_name('inline names');

-- The tags of a projection do not change.
UPDATE es.projections SET tags = '{course:2}' WHERE projection = 'by tag';
:sqlstate

-- A process manager reacts to its tags, and appends events with tags.
CREATE FUNCTION react(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM eappend('reactions', 'Reacted', json_build_object('to', e.stream_version), tags => ARRAY['reaction'] || e.tags[2:]);
    RETURN '{}';
END $$;
SELECT create_process_manager('manager', 'react(jsonb, sierra_event)', mode => 'manual', tags => '{student:9}');
SELECT count(eappend('m', 'E', tags => t)) FROM unnest(ARRAY['student:9', 'student:8', 'student:9']) AS s, LATERAL (SELECT ARRAY[s, 'room:' || s] AS t) AS t;
SELECT run_projection('manager');
SELECT payload, tags FROM escan('reactions');

SELECT everify('es');
DROP VIEW states;
DROP FUNCTION tally, react;
SELECT drop_event_store('es', force => true);
