-- Subscriptions to tags: esub(), alone and with streams, event names, starts, groups and failures
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION next(subscription text, max_count int DEFAULT 100, after bigint DEFAULT NULL, consumer text DEFAULT NULL) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(format('%s:%s/%s', global_position, stream_id, stream_version), ' ') FROM enext($1, $2, after => $3, consumer => $4) $$;
-- positions 0 to 11: a, b and d in turn; every second event has a tag, every fourth two
SELECT count(eappend((ARRAY['a', 'b', 'd'])[n % 3 + 1], 'E' || n % 2,
    tags => CASE n % 4 WHEN 0 THEN ARRAY['course:1', 'student:7'] WHEN 2 THEN ARRAY['student:7'] WHEN 3 THEN ARRAY['course:2'] END))
  FROM generate_series(0, 11) AS n;
SELECT global_position, stream_id, stream_version, event_name, tags FROM eall();

-- An event that has any of the tags comes, once.
SELECT esub('course', tags => '{course:1}', start_from => 'earliest'), esub('any', tags => '{course:1, course:2, student:7, student:8}', start_from => 'earliest'),
       esub('nothing', tags => '{course}', start_from => 'earliest'), esub('no tag', tags => '{}', start_from => 'earliest'),
       esub('all', start_from => 'earliest');
SELECT next('course') AS course, next('any') AS any, next('nothing') AS nothing, next('no tag') AS no_tag, next('all') AS all;
-- More tags than are looked up one by one.
SELECT esub('many', tags => (SELECT array_agg('course:' || n) FROM generate_series(2, 100) AS n), start_from => 'earliest');
SELECT next('many');
-- With streams and event names: all three filters count.
SELECT esub('a', ARRAY['a', 'd'], tags => '{course:1,course:2}', start_from => 'earliest'), esub('e1', NULL, ARRAY['E1'], tags => '{course:1,course:2}', start_from => 'earliest'),
       esub('d0', ARRAY['d*'], ARRAY['E0'], tags => '{student:7}', start_from => 'earliest');
SELECT next('a') AS a, next('e1') AS e1, next('d0') AS d0;
SELECT global_position FROM epeek('d0');
SELECT subscription, streams, event_names, tags FROM event_subscriptions() WHERE subscription <> 'many' ORDER BY 1;
-- In pages, and ahead.
SELECT next('any', 2), next('any', 2, 2), next('any', 2, 11) IS NULL AS the_end;
SELECT eack('any', 4);
SELECT next('any', 2);

-- Again with the same tags; with others it is another subscription.
SELECT esub('course', tags => '{course:1}', start_from => 'earliest');
SELECT esub('course', tags => '{course:2}', start_from => 'earliest');
:sqlstate
SELECT esub('course', start_from => 'earliest');
:sqlstate
SELECT esub('all', tags => '{course:1}', start_from => 'earliest');
:sqlstate
SELECT esub('new', tags => '{course:1, NULL}');
:sqlstate

-- Where it starts.
SELECT esub('latest', tags => '{student:7}');
SELECT esub('position', tags => '{student:7}', start_from => '5');
SELECT esub('versions', tags => '{student:7}', start_from => '9', start_versions => '{"a": 1, "d": 3}');
SELECT next('latest') IS NULL AS nothing, next('position'), next('versions');
SELECT global_position FROM eappend('b', 'E', tags => '{student:7}');
SELECT next('latest');
-- What is rolled back does not come, and what has its tags later does.
BEGIN;
SELECT global_position FROM eappend('b', 'E', tags => '{student:7}');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT stream_version FROM eappend('b', 'Undone', tags => '{student:7}');
ROLLBACK TO s;
SELECT stream_version FROM eappend('b', 'E', tags => '{student:8}');
COMMIT;
SELECT next('latest', after => 12) IS NULL AS nothing;
SELECT stream_id, stream_version, event_name FROM enext('any', after => 12);

-- The cursor moves over events without the tags, when there are many.
SELECT eack('course', 8), next('course') IS NULL AS nothing;
SELECT count(*) FROM emappend(NULL, array_fill('d'::text, ARRAY[1200]), array_fill('Noise'::text, ARRAY[1200]),
    tags => array_fill('["noise"]'::sierra_json, ARRAY[1200]));
SELECT next('course') IS NULL AS nothing;
SELECT cursor >= 1200 AS moved FROM es.subscription_cursors WHERE subscription = 'course';
SELECT stream_version FROM eappend('a', 'Last', tags => '{x, course:1}');
SELECT stream_id, stream_version, event_name FROM enext('course');

-- A stream that failed comes again with its tagged events only.
SELECT esub('failing', tags => '{student:7}', start_from => 'earliest');
SELECT next('failing');
SELECT enack('failing', 0, '1 hour');
SELECT eack('failing', 12);
SELECT eretry('failing');
SELECT next('failing');
SELECT eack('failing', 6);
SELECT next('failing') IS NULL AS nothing;
SELECT waiting FROM event_failures();

-- A consumer of a group gets those of its partitions.
SELECT esub('group', tags => '{student:7}', start_from => 'earliest');
SELECT next('group', consumer => 'c1');
SELECT eack('group', 12, consumer => 'c1');
SELECT next('group', consumer => 'c2') IS NULL AS joined;
SELECT count(eappend(s, 'E', tags => CASE WHEN n > 1 THEN ARRAY['student:7'] END)) FROM unnest(ARRAY['a', 'b', 'd', 'e', 'f']) AS s, generate_series(1, 2) AS n;
CREATE TABLE got (consumer text, event text);
DO $$ BEGIN
    FOR i IN 1 .. 3 LOOP
        INSERT INTO got SELECT c, e.stream_id || '/' || e.stream_version || ': ' || e.tags::text FROM unnest(ARRAY['c1', 'c2']) AS c, enext('group', consumer => c) AS e;
    END LOOP;
END $$;
SELECT count(DISTINCT consumer) AS consumers, count(DISTINCT event) AS events, bool_and(event LIKE '%: {student:7}') AS tagged FROM got;
DROP TABLE got;

-- ewait() does not wait for what the subscription does not want.
SELECT ewait('nothing', 3, '10 ms'), ewait('all', 3, '10 ms');

DROP FUNCTION next;
SELECT drop_event_store('es', force => true);
