-- equery(): events by names and tags, in the order of global positions
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- nothing yet
SELECT count(*) FROM equery('[]');
SELECT count(*) FROM equery('[{"tags": ["course:1"]}]');
SELECT count(*) FROM equery('[{"tags": ["course:1"]}]', backward => true);

-- positions 0 to 9, over all partitions
SELECT count(*) FROM emappend(NULL, '[
    {"stream_id": "course-1",  "event_name": "CourseDefined",     "tags": ["course:1"]},
    {"stream_id": "course-2",  "event_name": "CourseDefined",     "tags": ["course:2"]},
    {"stream_id": "student-7", "event_name": "StudentRegistered", "tags": ["student:7"]},
    {"stream_id": "student-8", "event_name": "StudentRegistered", "tags": ["student:8"]},
    {"stream_id": "course-1",  "event_name": "Subscribed",        "tags": ["course:1", "student:7"]},
    {"stream_id": "other",     "event_name": "Subscribed"},
    {"stream_id": "course-2",  "event_name": "Subscribed",        "tags": ["student:7", "course:2"]},
    {"stream_id": "course-1",  "event_name": "Subscribed",        "tags": ["student:8", "course:1"]},
    {"stream_id": "other",     "event_name": "Unsubscribed",      "tags": ["course:1", "student:7", "reason:moved"]},
    {"stream_id": "course-1",  "event_name": "CapacityChanged",   "tags": ["course:1"]}]');
SELECT count(DISTINCT partition_id) AS partitions FROM es.events;
SELECT global_position, stream_id, stream_version, event_name, tags FROM equery('[{"tags": ["course:1"]}]');

CREATE FUNCTION found(query json, after_position bigint DEFAULT -1, max_count bigint DEFAULT NULL, backward boolean DEFAULT false, to_position bigint DEFAULT NULL)
    RETURNS bigint[] LANGUAGE sql AS
$$ SELECT coalesce(array_agg(global_position), '{}') FROM equery(query, after_position, max_count, backward, to_position) $$;

-- each form of an item, and of several
SELECT query, found(query) AS forward, found(query, backward => true) AS backward
  FROM unnest(ARRAY[
    NULL, '[]', ' [ ] ', '[{}]', '[{"types": [], "tags": []}]',
    '[{"tags": ["course:1"]}]', '[{"tags": ["course:2"]}]', '[{"tags": ["none"]}]',
    '[{"tags": ["course:1", "student:7"]}]', '[{"tags": ["student:7", "course:1"]}]',
    '[{"tags": ["course:1", "student:7", "reason:moved"]}]', '[{"tags": ["course:1", "course:1"]}]',
    '[{"tags": ["course:1", "course:2"]}]', '[{"tags": ["course:1", "none"]}]', '[{"tags": ["none", "course:1"]}]',
    '[{"types": ["Subscribed"], "tags": ["course:1"]}]',
    '[{"tags": ["student:7"], "types": ["Subscribed", "Unsubscribed", "Subscribed"]}]',
    '[{"types": ["None"], "tags": ["course:1"]}]',
    '[{"tags": ["course:1"]}, {"tags": ["student:7"]}]', '[{"tags": ["student:7"]}, {"tags": ["course:1"]}]',
    '[{"tags": ["course:1"]}, {"tags": ["course:1"]}]',
    '[{"types": ["Unsubscribed"], "tags": ["course:1"]}, {"tags": ["course:1", "student:8"]}, {"tags": ["course:2"]}]',
    '[{"tags": ["none"]}, {"tags": ["reason:moved"]}]',
    '[{"types": ["Subscribed"]}]', '[{"types": ["subscribed"]}]', '[{"types": ["CourseDefined", "CapacityChanged"]}]',
    '[{"types": ["Subscribed"]}, {"tags": ["course:1"]}]', '[{"types": ["Unsubscribed"]}, {"tags": ["none"]}, {"tags": ["student:8", "course:1"]}]',
    '[{"tags": ["cour\u0073e:2"]}]', E'[\n{ "tags" :\t[ "course:2" ] , "types" : [ "Subscribed" ] }\n]']) AS given (text),
    LATERAL CAST(text AS json) AS query;

-- what is returned is the whole event, as eall() returns it
SELECT count(*) AS differences FROM
    ((SELECT q::text FROM equery('[{"tags": ["course:1"]}]') AS q) EXCEPT (SELECT e::text FROM eall() AS e)) AS d;

-- bounds: after a position, up to one, in either direction
SELECT after, upto, found('[{"tags": ["course:1"]}]', after, to_position => upto) AS tagged,
       found('[{"tags": ["course:1"]}]', after, backward => true, to_position => upto) AS tagged_backward,
       found('[]', after, to_position => upto) AS everything, found('[]', after, backward => true, to_position => upto) AS everything_backward
  FROM unnest(ARRAY[-1, 0, 4, 7, 8, 9, 10, 9223372036854775807]) AS after, unnest(ARRAY[NULL, -1, 0, 4, 5, 8, 9, 9223372036854775807]) AS upto;
-- the decision of a command: read up to the head that was asked for before
SELECT found('[{"tags": ["course:1"]}]', to_position => ehead());

-- max_count
SELECT max_count, found('[{"tags": ["course:1"]}]', max_count => max_count), found('[{"tags": ["course:1"]}]', 4, max_count, true),
       found('[{"types": ["Subscribed"]}]', 0, max_count)
  FROM unnest(ARRAY[0, 1, 2, 100, NULL]) AS max_count;
SELECT count(*) FROM emappend(NULL, (SELECT array_agg('many-' || n % 50) FROM generate_series(1, 1500) AS n), array_fill('Many'::text, ARRAY[1500]),
                              tags => array_fill('["many"]'::json, ARRAY[1500]));
SELECT count(*), min(global_position), max(global_position) FROM equery('[{"tags": ["many"]}]');
SELECT count(*) FROM equery('[{"tags": ["many"]}]', max_count => NULL);
SELECT count(*) FROM equery('[{"types": ["Many"]}]');

-- a page after the other
DO $$
DECLARE
    after bigint := -1;
    page bigint;
    total bigint := 0;
BEGIN
    LOOP
        SELECT count(*), max(global_position) INTO page, after FROM equery('[{"tags": ["many"]}, {"tags": ["course:1"]}]', after, 100);
        EXIT WHEN page = 0;
        total := total + page;
    END LOOP;
    RAISE NOTICE '% events', total;
END $$;

-- arguments out of bounds
SELECT count(*) FROM equery('[]', -2);
:sqlstate
SELECT count(*) FROM equery('[]', NULL);
:sqlstate
SELECT count(*) FROM equery('[]', max_count => -1);
:sqlstate
SELECT count(*) FROM equery('[]', backward => NULL);
:sqlstate
SELECT count(*) FROM equery('[]', to_position => -2);
:sqlstate
SELECT count(*) FROM equery('{');
:sqlstate

-- queries that are none, each with the place
CREATE FUNCTION refusal(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
    hint text;
BEGIN
    PERFORM count(*) FROM equery(query::json);
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format(E'%s: %s\n%s\n%s', SQLSTATE, message, detail, hint);
END $$;
SELECT query, refusal(query) FROM unnest(ARRAY[
    'null', '1', '"x"', '{"tags": ["x"]}', '[1]', '[null]', '[{"tags": ["x"]}, ["x"]]',
    '[{}, {"tag": ["x"]}]', '[{"Tags": ["x"]}]', '[{"tags": ["x"], "tags": ["y"]}]', '[{}, {"types": [], "t\u0079pes": []}]',
    '[{"tags": "x"}]', '[{"types": null}]', '[{"tags": {"x": 1}}]',
    '[{"tags": ["x", 1]}]', '[{}, {"types": [null]}]', '[{"tags": [["x"]]}]', '[{"tags": [{"a": "a long object, of which only the beginning is shown"}]}]',
    '[{"tags": [""]}]', '[{}, {"types": [""]}]', '[{"tags": ["a\nb"]}]', '[{"types": ["a\u0085"]}]', '[{"tags": ["\u0000"]}]']) AS query;
SELECT n, refusal(format('[{"tags": ["%s"], "types": ["%1$s"]}]', repeat('x', n))) FROM unnest(ARRAY[1, 255, 256]) AS n;
SELECT refusal(format('[{"types": ["%s"]}]', repeat('x', 256)));
-- 255 bytes count, not characters
SELECT refusal(format('[{"types": ["%s"]}]', repeat('€', 85))), refusal(format('[{"types": ["%s"]}]', repeat('€', 86)));
-- the most items, tags and types
SELECT n, refusal((SELECT json_agg(json_build_object('tags', json_build_array('t' || i))) FROM generate_series(1, n) AS i)::text) FROM unnest(ARRAY[64, 65]) AS n;
SELECT n, refusal(json_build_array('{}'::json, json_build_object('tags', (SELECT json_agg('t' || i) FROM generate_series(1, n) AS i)))::text) FROM unnest(ARRAY[32, 33]) AS n;
SELECT n, refusal(json_build_array(json_build_object('types', (SELECT json_agg('t' || i) FROM generate_series(1, n) AS i)))::text) FROM unnest(ARRAY[64, 65]) AS n;

-- Tags that are compressed, and tags that are stored out of line.
CREATE FUNCTION long_tags(kind text) RETURNS text[] LANGUAGE sql
    RETURN (SELECT array_agg(CASE WHEN kind = 'compressed' THEN rpad(kind || n, 255, 'x')
                                  ELSE (SELECT left(string_agg(encode(sha512((n || '-' || i)::text::bytea), 'base64'), ''), 255) FROM generate_series(1, 3) AS i) END
                             ORDER BY n) FROM generate_series(1, 31) AS n) || kind;
SELECT count(*) FROM (SELECT eappend('long', 'Long', tags => (SELECT array_agg(translate(tag, E'\n', '')) FROM unnest(long_tags(kind)) AS tag))
                        FROM unnest(ARRAY['compressed', 'out of line']) AS kind) AS appended;
SELECT sum(pg_relation_size(c.reltoastrelid)) > 0 AS "out of line"
  FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'es.events'::regclass;
SELECT stream_version, cardinality(tags) FROM equery('[{"tags": ["compressed"], "types": ["Long"]}]');
SELECT stream_version, cardinality(tags) FROM equery('[{"tags": ["out of line"], "types": ["Long"]}]');
SELECT stream_version, cardinality(tags) FROM equery('[{"types": ["Long"]}, {"tags": ["none"]}]');
SELECT stream_version, cardinality(tags) FROM eall(tags => '{compressed, out of line}');
SELECT eappend('t', 'E', condition => '{"query": [{"tags": ["out of line"]}], "after": -1}');
DROP FUNCTION long_tags;

SELECT drop_event_store('es', force => true);
DROP FUNCTION found, refusal;
