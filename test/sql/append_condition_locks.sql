-- append conditions: which locks a call takes, and which a refusal gives back
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM eappend('seed', 'Seed', tags => '{seed}');
-- Locks of this transaction: those of tags, those of partitions, and that of the store.
CREATE VIEW locks AS
SELECT CASE objsubid WHEN 1512 THEN 'tag' WHEN 1509 THEN 'partition' ELSE 'store' END AS lock, mode, count(*)
  FROM pg_locks
 WHERE pid = pg_backend_pid() AND (locktype = 'advisory' AND objsubid IN (1509, 1512) OR relation = 'es.events'::regclass AND mode <> 'AccessShareLock')
 GROUP BY 1, 2 ORDER BY 1 DESC, 2;

-- neither tags nor a condition: no new lock
BEGIN;
SELECT stream_version FROM eappend('s', 'E');
TABLE locks;
ROLLBACK;
-- tags of events; one that two events have is locked once
BEGIN;
SELECT count(*) FROM emappend(NULL, '[{"stream_id": "s", "event_name": "E", "tags": ["a", "b"]}, {"stream_id": "s", "event_name": "E", "tags": ["b", "c"]}]');
TABLE locks;
ROLLBACK;
-- a condition: the first tag of each item
BEGIN;
SELECT stream_version FROM eappend('s', 'E', condition => '{"query": [{"tags": ["a", "b"]}, {"tags": ["c"]}, {"tags": ["a", "d"]}], "after": -1}');
TABLE locks;
ROLLBACK;
-- tags that are in both
BEGIN;
SELECT stream_version FROM eappend('s', 'E', tags => '{a,b}', condition => '{"query": [{"tags": ["a"]}, {"tags": ["c"]}], "after": -1}');
TABLE locks;
ROLLBACK;
-- an item without tags, or none: the store
BEGIN;
SELECT stream_version FROM eappend('s', 'E', tags => '{a}', condition => '{"query": [{"types": ["None"]}], "after": -1}');
TABLE locks;
ROLLBACK;
BEGIN;
SELECT stream_version FROM eappend('s', 'E', tags => '{a}', condition => '{"query": [{"tags": ["a"]}, {"types": ["None"]}], "after": -1}');
TABLE locks;
ROLLBACK;
BEGIN;
SELECT stream_version FROM eappend('s', 'E', condition => '{"query": [], "after": 7}');
TABLE locks;
ROLLBACK;
-- streams alone: partitions
BEGIN;
SELECT stream_version FROM eappend('a', 'E', condition => '{"streams": {"b": "empty", "d": "empty", "e": "empty", "f": "empty", "g": "any"}}');
TABLE locks;
ROLLBACK;
-- 64 tags, and one more, in events and in the condition
CREATE FUNCTION tagged(tags int, items int) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*)
      FROM emappend(NULL, json_build_object(
               'events', (SELECT json_agg(json_build_object('stream_id', 's', 'event_name', 'E', 'tags', json_build_array('t' || i, 'common'))) FROM generate_series(1, tags) AS i),
               'condition', (SELECT json_build_object('query', json_agg(json_build_object('tags', json_build_array('i' || i))), 'after', -1) FROM generate_series(1, items) AS i)))
$$;
BEGIN;
SELECT tagged(63, 1);
ROLLBACK;
BEGIN;
SELECT tagged(62, 1);
TABLE locks;
ROLLBACK;
BEGIN;
SELECT tagged(63, 1);
TABLE locks;
ROLLBACK;
BEGIN;
SELECT tagged(1, 63);
TABLE locks;
ROLLBACK;
BEGIN;
SELECT tagged(5000, 1);
TABLE locks;
ROLLBACK;

-- After an error that a savepoint catches, what the transaction had before is still locked.
BEGIN;
SELECT stream_version FROM eappend('s', 'E', tags => '{a}');
SAVEPOINT sp;
SELECT eappend('s', 'E', tags => '{a,b}', condition => '{"query": [{"tags": ["seed"]}], "after": -1}');
ROLLBACK TO sp;
TABLE locks;
-- a second call in the same transaction takes what it needs on top of that
SELECT stream_version FROM eappend('s', 'E', tags => '{b}', condition => format('{"query": [{"tags": ["a"]}], "after": %s}', (SELECT max(global_position) FROM es.events))::sierra_json);
TABLE locks;
ROLLBACK;
TABLE locks;

-- a refusal that is data gives its locks back, also if it has taken positions
CREATE FUNCTION refused(condition json, version expected_version DEFAULT 'any')
    RETURNS TABLE (status text, sqlstate text) LANGUAGE sql AS $$
    SELECT status, sqlstate
      FROM eappend_each('{s}', '{E}', tags => '{"[\"a\"]"}', expected_versions => ARRAY[$2], conditions => ARRAY[$1]) $$;
BEGIN;
SELECT * FROM refused('{"query": [{"tags": ["seed"]}], "after": -1}');
TABLE locks;
SELECT * FROM refused('{"query": [{"tags": ["none"]}], "after": 1000000}');
TABLE locks;
SELECT * FROM refused(NULL, 7);
TABLE locks;
-- but not those of an append before it
SELECT stream_version FROM eappend('s', 'E', tags => '{a}', condition => '{"streams": {"b": "empty"}}');
TABLE locks;
SELECT * FROM refused('{"query": [{"tags": ["a"]}], "after": -1}');
TABLE locks;
SELECT * FROM refused('{"query": [{"tags": ["none"]}], "after": 1000000}');
TABLE locks;
SELECT * FROM refused(NULL, 7);
TABLE locks;
ROLLBACK;
DROP FUNCTION refused;
-- the same tags in another store have locks of their own
SELECT create_event_store('es2', 4);
BEGIN;
SELECT stream_version FROM eappend('s', 'E', tags => '{a}');
SET LOCAL sierra_es.store = 'es2';
SELECT stream_version FROM eappend('s', 'E', tags => '{a}');
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objsubid = 1512;
ROLLBACK;
SELECT drop_event_store('es2', force => true);
DROP FUNCTION tagged;
DROP VIEW locks;
SELECT drop_event_store('es', force => true);
