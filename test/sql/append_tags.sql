-- Tags: each append function stores them, event_tags has a row for each, bad ones are refused
\set SHOW_CONTEXT never
SELECT create_event_store('append_tags', 4);
SET sierra_es.store = append_tags;

-- One event.  An empty array, or NULL, means that it has none.
SELECT stream_version FROM eappend('course-1', 'CourseDefined', tags => '{course:1}');
SELECT stream_version FROM eappend('course-1', 'StudentSubscribed', '{"n": 1}', tags => '{student:7,course:1}');
SELECT stream_version FROM eappend('course-1', 'Renamed', tags => '{}');
SELECT stream_version FROM eappend('course-1', 'Renamed', tags => NULL);

-- Batches as arrays and as JSON.
SELECT stream_id, stream_version
  FROM emappend(NULL, ARRAY['course-2', 'course-2', 'student-7'], ARRAY['a', 'b', 'c'],
                tags => ARRAY['["course:2"]', NULL, ' [ "student:7", "s\u00e9\"x" ] ']::json[]);
SELECT stream_id, stream_version
  FROM emappend(NULL, '[{"stream_id": "course-3", "event_name": "a", "tags": ["course:3", "\ud83d\ude00"]},
                        {"stream_id": "course-3", "event_name": "b", "tags": []},
                        {"stream_id": "course-3", "event_name": "c", "tags": null}]');
SELECT stream_id, stream_version, event_name, tags FROM eall();
SELECT tag, array_agg((t.partition_id, t.partition_sequence) = (e.partition_id, e.partition_sequence)) AS places
  FROM append_tags.event_tags AS t JOIN append_tags.events AS e USING (global_position)
 GROUP BY tag ORDER BY tag;
SELECT count(*) FROM everify();

-- The longest and the most.
SELECT stream_version FROM eappend('most', 'Tagged', tags => (SELECT array_agg(repeat(chr(64 + n), 255)) FROM generate_series(1, 32) AS n));
-- The subscripts of an array are not stored.
SELECT stream_version FROM eappend('most', 'Tagged', tags => '[5:6]={a,b}');
SELECT cardinality(tags) AS tags, octet_length(tags[32]) AS bytes, tags[1:2] AS first FROM escan('most', 1)
UNION ALL SELECT cardinality(tags), octet_length(tags[32]), NULL FROM escan('most', 0, 0);

-- Refused.
SELECT eappend('s', 'n', tags => (SELECT array_agg('t' || n) FROM generate_series(1, 33) AS n));
SELECT eappend('s', 'n', tags => ARRAY['']);
SELECT eappend('s', 'n', tags => ARRAY[repeat('x', 256)]);
SELECT eappend('s', 'n', tags => ARRAY['a', E'b\n']);
SELECT eappend('s', 'n', tags => ARRAY['a', E'b\u0085']);
SELECT eappend('s', 'n', tags => ARRAY['a', 'b', 'a']);
SELECT eappend('s', 'n', tags => ARRAY['a', NULL]);
SELECT eappend('s', 'n', tags => '{{a,b},{c,d}}');
SELECT emappend(NULL, ARRAY['s'], ARRAY['n'], tags => ARRAY['"a"']::json[]);
SELECT emappend(NULL, ARRAY['s'], ARRAY['n'], tags => ARRAY['{"a": 1}']::json[]);
SELECT emappend(NULL, ARRAY['s'], ARRAY['n'], tags => ARRAY['["a", 1]']::json[]);
SELECT emappend(NULL, ARRAY['s'], ARRAY['n'], tags => ARRAY['["a", null]']::json[]);
SELECT emappend(NULL, ARRAY['s'], ARRAY['n'], tags => ARRAY['["a", "a"]']::json[]);
SELECT emappend(NULL, ARRAY['s'], ARRAY['n'], tags => ARRAY['["a"]', '["b"]']::json[]);
SELECT emappend(NULL, '[{"stream_id": "s", "event_name": "n", "tags": "a"}]');
SELECT emappend(NULL, '[{"stream_id": "s", "event_name": "n", "tags": ["\u0000"]}]');
SELECT emappend(NULL, ('[{"stream_id": "s", "event_name": "n", "tags": ' || (SELECT json_agg('t' || n) FROM generate_series(1, 40) AS n) || '}]')::json);
SELECT esver('s');

-- A repeated append returns what is stored, and adds no rows.
SELECT stream_version FROM eappend('again', 'n', event_id => '00000000-0000-4000-8000-000000000001', tags => '{once}');
SELECT stream_version FROM eappend('again', 'n', event_id => '00000000-0000-4000-8000-000000000001', tags => '{once}');
SELECT count(*) FROM append_tags.event_tags WHERE tag = 'once';

-- A rollback takes the rows with it.
BEGIN;
SELECT stream_version FROM eappend('rolled-back', 'n', tags => '{gone}');
ROLLBACK;
SELECT count(*) FROM append_tags.event_tags WHERE tag = 'gone';

-- Only the engine writes rows.
INSERT INTO append_tags.event_tags VALUES ('x', 1, 1, 1);
UPDATE append_tags.event_tags SET tag = 'x';
DELETE FROM append_tags.event_tags;

-- Through the executor, because of row-level security or a BEFORE trigger, which must not change the tags.
CREATE FUNCTION append_tags.change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.stream_id = 'changed' THEN
        NEW.tags := NEW.payload::jsonb::text::text[];
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER change BEFORE INSERT ON append_tags.events FOR EACH ROW EXECUTE FUNCTION append_tags.change();
SELECT stream_version FROM eappend('trigger', 'n', tags => '{by,trigger}');
SELECT stream_version FROM eappend('trigger', 'n');
SELECT stream_version, tags FROM escan('trigger');
SELECT eappend('changed', 'n', NULL, tags => '{a,b}');
CREATE OR REPLACE FUNCTION append_tags.change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.tags := '{b,a}';
    RETURN NEW;
END
$$;
SELECT eappend('changed', 'n', tags => '{a,b}');
SELECT eappend('changed', 'n');
SELECT stream_version FROM eappend('changed', 'n', tags => '{b,a}');
DROP TRIGGER change ON append_tags.events;
DROP FUNCTION append_tags.change();
SELECT count(*) FROM everify();

-- What everify() finds.
BEGIN;
ALTER TABLE append_tags.event_tags DISABLE TRIGGER sierra_guard;
ALTER TABLE append_tags.events DISABLE TRIGGER ALL;
DELETE FROM append_tags.event_tags WHERE tag = 'course:2';
INSERT INTO append_tags.event_tags VALUES ('course:9', 0, 3, 0);
UPDATE append_tags.event_tags SET partition_sequence = 77 WHERE tag = 'course:3';
SELECT problem, stream_id, stream_version, detail FROM everify() WHERE problem = 'event tag' ORDER BY detail;
ROLLBACK;
BEGIN;
DO $$ DECLARE p text; BEGIN FOR p IN SELECT format('append_tags.events_%s', n) FROM generate_series(0, 3) AS n LOOP
    EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', p); END LOOP; END $$;
ALTER TABLE append_tags.events DISABLE TRIGGER USER;
ALTER TABLE append_tags.event_tags DISABLE TRIGGER USER;
UPDATE append_tags.events SET tags = '{}' WHERE stream_id = 'course-1' AND stream_version = 2;
UPDATE append_tags.events SET tags = '{a,a}' WHERE stream_id = 'course-1' AND stream_version = 3;
SELECT problem, stream_id, stream_version, detail FROM everify() WHERE problem IN ('bounds', 'event tag') ORDER BY 1, 2, 3, 4;
ROLLBACK;
SELECT count(*) FROM everify();

RESET sierra_es.store;
SELECT drop_event_store('append_tags', force => true);
