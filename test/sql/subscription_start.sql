-- where a stream subscription starts: latest, earliest, a position, a version per stream
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION next(subscription text, max_count int DEFAULT 100) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(format('%s:%s/%s', global_position, stream_id, stream_version), ' ') FROM enext($1, $2) $$;

-- in an empty store
SELECT esub('latest of nothing'), esub('earliest of nothing', start_from => 'earliest');
-- positions 0 to 11: a, d, e in turn (partitions 0, 2, 1; 3 stays empty)
SELECT count(*) FROM generate_series(0, 11) AS n, LATERAL eappend((ARRAY['a', 'd', 'e'])[n % 3 + 1], 'x');
SELECT next('latest of nothing', 2), next('earliest of nothing', 2);

-- latest is the default
SELECT esub('latest');
SELECT next('latest') IS NULL AS nothing_yet;
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'f', 'new', 'd'], ARRAY['x', 'x', 'x', 'x']);
SELECT next('latest');
SELECT start_after, start_sequences FROM es.subscriptions WHERE subscription = 'latest';
-- in a transaction that has appended: what it appended before is not delivered
BEGIN;
SELECT stream_version FROM eappend('a', 'before');
SELECT esub('latest of own');
SELECT stream_version FROM eappend('a', 'after');
SELECT next('latest of own');
COMMIT;
SELECT next('latest of own');

-- a position: the events after it
SELECT esub('from 7', start_from => '7');
SELECT next('from 7', 3);
SELECT esub('from -1', start_from => '-1');
SELECT next('from -1', 1);
SELECT esub('from 0', start_from => '0');
SELECT next('from 0', 1);
SELECT esub('from the newest', start_from => (SELECT max(global_position)::text FROM es.events));
SELECT next('from the newest') IS NULL AS nothing_yet;
-- ... also one that the store has not reached yet
SELECT esub('from 20', start_from => '20');
SELECT next('from 20') IS NULL AS nothing_yet;
SELECT count(*) FROM generate_series(18, 22) AS n, LATERAL eappend('a', 'x', to_json(n));
SELECT next('from 20');
SELECT esub('from the end', start_from => '9223372036854775807');
SELECT next('from the end') IS NULL AS never;
SELECT esub('from zeros', start_from => '0000000000000000000000000019');
SELECT next('from zeros', 1);

-- A version for a stream takes precedence over the start of the others.
SELECT esub('versions', ARRAY['a', 'd', 'e'], start_from => 'latest', start_versions => '{"a": 2, "d": 0}');
SELECT next('versions');
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e'], ARRAY['x', 'x']);
SELECT next('versions');
-- ... also later than the others
SELECT esub('later', ARRAY['a', 'd'], start_from => 'earliest', start_versions => '{"a": 8}');
SELECT next('later');
-- a stream that does not exist yet, and a version that it has not reached
SELECT esub('to come', ARRAY['t*'], start_from => 'latest', start_versions => '{"t1": 0, "t2": 2}');
SELECT count(*) FROM emappend(NULL, ARRAY['t1', 't2', 't1', 't2', 't2', 't3'], ARRAY['x', 'x', 'x', 'x', 'x', 'x']);
SELECT next('to come');
-- The map filters nothing: streams that are not in it start where start_from says.
SELECT esub('all', start_from => '27', start_versions => '{"d": 4}');
SELECT next('all');
-- with a position, and the last of two values for a stream; keys need no order
SELECT esub('twice', ARRAY['a', 'd', 'e'], start_from => '24', start_versions => '{"e": 4, "d": 1, "d": 3, "a": 9}');
SELECT next('twice');
SELECT start_streams, start_versions FROM es.subscriptions WHERE subscription = 'twice';
-- empty and null: the same as no map
SELECT esub('empty map', ARRAY['a'], start_from => '22', start_versions => '{}'), esub('null map', ARRAY['a'], start_from => '22', start_versions => NULL);
SELECT next('empty map'), next('null map');
-- Values may be strings; a stream of a partition key is found too.
SELECT stream_version FROM emappend('user-123', ARRAY['keyed', 'keyed'], ARRAY['x', 'x']);
SELECT esub('keyed', ARRAY['keyed'], start_from => 'latest', start_versions => '{"keyed": "1"}');
SELECT next('keyed');
SELECT eack('keyed', (SELECT max(global_position) FROM es.events));
SELECT next('keyed') IS NULL AS caught_up;

-- A pattern in the map is not treated as a pattern.
SELECT esub('no pattern', ARRAY['a'], start_from => 'latest', start_versions => '{"*": 0}');
SELECT next('no pattern') IS NULL AS nothing_yet;

DROP FUNCTION next;
SELECT drop_event_store('es', force => true);
