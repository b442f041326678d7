-- eload_query() and edecide_query(): the state of a query, and decisions that it guards
\set SHOW_CONTEXT never
SELECT create_event_store('aggregate_query', 4);
SET sierra_es.store = aggregate_query;

-- The state lists what was folded.
CREATE FUNCTION list_events(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN state || jsonb_build_array(e.event_name || coalesce(' ' || array_to_string(e.tags, ','), ''));
SELECT create_aggregate('list', 'list_events', initial => '[]');
SELECT create_aggregate('from-null', 'list_events', initial => NULL);
SELECT count(*) FROM emappend(NULL, '[
    {"stream_id": "course-1", "event_name": "Defined", "tags": ["course:1"]},
    {"stream_id": "course-2", "event_name": "Defined", "tags": ["course:2"]},
    {"stream_id": "ada", "event_name": "Registered", "tags": ["student:ada"]},
    {"stream_id": "course-1", "event_name": "Enrolled", "tags": ["course:1", "student:ada"]},
    {"stream_id": "other", "event_name": "Noted"}]');

-- States.
SELECT * FROM eload_query('list', '[{"tags": ["course:1"]}]');
SELECT * FROM eload_query('list', '[{"tags": ["course:1"]}, {"tags": ["student:ada"]}]');
SELECT * FROM eload_query('list', '[{"tags": ["student:ada", "course:1"]}]');
SELECT * FROM eload_query('list', '[{"types": ["Defined", "Noted"]}]');
SELECT * FROM eload_query('list', NULL);
SELECT * FROM eload_query('list', '[{"tags": ["nothing"]}]');
SELECT * FROM eload_query('from-null', '[{"tags": ["nothing"]}]');
-- At a position.
SELECT p AS at, l.* FROM unnest(ARRAY[-1, 0, 2, 3, 100]) AS p, eload_query('list', '[{"tags": ["course:1"]}, {"tags": ["student:ada"]}]', p) AS l;
SELECT p AS at, l.* FROM unnest(ARRAY[-1, 1, 100]) AS p, eload_query('list', '[]', p) AS l;
-- Snapshots are not used, and not written.
SELECT count(*) FROM aggregate_query.snapshots;

-- Errors.
SELECT * FROM eload_query('unknown', '[]');
SELECT * FROM eload_query(NULL, '[]');
SELECT * FROM eload_query('list', '[{"tag": []}]');
SELECT * FROM eload_query('list', '[]', -2);

-- A decision: the command is the number of events with the tag that there may be.
CREATE FUNCTION at_most(state jsonb, command jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF jsonb_array_length(state) >= (command->'most')::int THEN
        RAISE 'there are % already', jsonb_array_length(state);
    END IF;
    RETURN command->'events';
END
$$;
SELECT stream_id, stream_version, global_position
  FROM edecide_query('list', '[{"tags": ["seat"]}]', 'at_most',
       '{"most": 2, "events": [{"stream_id": "a", "event_name": "Taken", "tags": ["seat"]}, {"stream_id": "b", "event_name": "Noted", "metadata": {"own": 1}}]}',
       metadata => '{"by": "command"}');
SELECT stream_id, event_name, metadata, tags FROM eall(streams => '{a,b}');
SELECT count(*) FROM edecide_query('list', '[{"tags": ["seat"]}]', 'at_most', '{"most": 2, "events": [{"stream_id": "a", "event_name": "Taken", "tags": ["seat"]}]}');
SELECT count(*) FROM edecide_query('list', '[{"tags": ["seat"]}]', 'at_most', '{"most": 2, "events": [{"stream_id": "a", "event_name": "Taken", "tags": ["seat"]}]}');
-- Nothing to append: NULL, null, an empty array.
SELECT count(*) FROM edecide_query('list', '[]', 'at_most', '{"most": 99, "events": null}');
SELECT count(*) FROM edecide_query('list', '[]', 'at_most', '{"most": 99}');
SELECT count(*) FROM edecide_query('list', '[]', 'at_most', '{"most": 99, "events": []}');
-- So nobody is kept out, though the query is one of all events.
BEGIN;
SELECT count(*) FROM edecide_query('list', '[]', 'at_most', '{"most": 99, "events": []}');
SELECT count(*) FROM emappend(NULL, '{"events": [], "condition": {"query": [], "after": -1}}');
SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND mode LIKE 'Share%';
COMMIT;
-- Expected versions hold too.
SELECT count(*) FROM edecide_query('list', '[{"tags": ["x"]}]', 'at_most', '{"most": 99, "events": [{"stream_id": "a", "event_name": "n", "expected_version": 7}]}', retries => 1);
-- A decision over all events, and over a type: these lock the store.
SELECT stream_version FROM edecide_query('list', NULL, 'at_most', '{"most": 99, "events": [{"stream_id": "a", "event_name": "n"}]}');
SELECT stream_version FROM edecide_query('list', '[{"types": ["n"]}]', 'at_most', '{"most": 99, "events": [{"stream_id": "a", "event_name": "n"}]}');

-- Many tags: the store is locked instead of each tag, for a stream too.
CREATE FUNCTION many_tags(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_build_object('event_name', 'Many', 'tags', jsonb_build_array('t' || n, 'u' || n))
                     || CASE WHEN command ? 'stream' THEN jsonb_build_object('stream_id', command->'stream') ELSE '{}' END)
      FROM generate_series(1, (command->'events')::int) AS n
$$;
CREATE VIEW locks AS
    SELECT count(*) FILTER (WHERE locktype = 'advisory' AND objsubid = 1512) AS tags,
           max(mode) FILTER (WHERE relation = 'aggregate_query.events'::regclass AND mode <> 'AccessShareLock') AS events
      FROM pg_locks WHERE pid = pg_backend_pid();
BEGIN;
SELECT count(*) FROM edecide('list', 'many', 'many_tags', '{"events": 32}');
SELECT * FROM locks;
ROLLBACK;
BEGIN;
SELECT count(*) FROM edecide('list', 'many', 'many_tags', '{"events": 33}');
SELECT * FROM locks;
ROLLBACK;
BEGIN;
SELECT count(*) FROM edecide_query('list', '[{"tags": ["t1"]}]', 'many_tags', '{"events": 33, "stream": "many"}');
SELECT * FROM locks;
ROLLBACK;
DROP VIEW locks;

-- The handler itself appends in between?  It cannot: it is called as in a read-only transaction.
CREATE FUNCTION appends(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT to_jsonb(eappend('a', 'x')) $$;
SELECT edecide_query('list', '[]', 'appends', '1');

-- Own events of the transaction are in the state, so a second decision succeeds.
BEGIN;
SELECT count(*) FROM edecide_query('list', '[{"tags": ["own"]}]', 'at_most', '{"most": 2, "events": [{"stream_id": "own", "event_name": "x", "tags": ["own"]}]}');
SELECT count(*) FROM edecide_query('list', '[{"tags": ["own"]}]', 'at_most', '{"most": 2, "events": [{"stream_id": "own", "event_name": "x", "tags": ["own"]}]}');
SELECT count(*) FROM edecide_query('list', '[{"tags": ["own"]}]', 'at_most', '{"most": 2, "events": [{"stream_id": "own", "event_name": "x", "tags": ["own"]}]}');
ROLLBACK;
BEGIN;
SELECT count(*) FROM eappend('own', 'y', tags => '{own}');
SELECT count(*) FROM edecide_query('list', '[{"tags": ["own"]}]', 'at_most', '{"most": 2, "events": [{"stream_id": "own", "event_name": "x", "tags": ["own"]}]}');
SELECT count(*) FROM edecide_query('list', '[{"types": ["x", "y"]}]', 'at_most', '{"most": 3, "events": [{"stream_id": "own", "event_name": "x", "tags": ["own"]}]}');
-- A condition with the position from eload_query() holds, until another event comes.
SELECT "position" AS after FROM eload_query('list', '[{"tags": ["own"]}]') \gset
SELECT format('{"query": [{"tags": ["own"]}], "after": %s}', :after) AS condition \gset
SELECT stream_version FROM eappend('own', 'z', tags => '{own}', condition => :'condition');
SELECT eappend('own', 'z', condition => :'condition');
ROLLBACK;

-- A command with an id is done once; the answer is what it appended, in all its streams.
SELECT stream_id, stream_version AS v FROM edecide_query('list', '[{"tags": ["once"]}]', 'at_most',
    '{"most": 1, "events": [{"stream_id": "p", "event_name": "x", "tags": ["once"]}, {"stream_id": "q", "event_name": "y"}, {"stream_id": "p", "event_name": "z"}]}',
    command_id => '00000000-0000-4000-8000-0000000000c1');
SELECT eappend('q', 'later') IS NOT NULL AS later;
SELECT stream_id, stream_version AS v FROM edecide_query('list', '[{"tags": ["once"]}]', 'at_most',
    '{"most": 1, "events": [{"stream_id": "p", "event_name": "x", "tags": ["once"]}]}',
    command_id => '00000000-0000-4000-8000-0000000000c1');
SELECT stream_id, stream_version, event_name FROM eall(streams => '{p,q}');

-- Errors.
SELECT edecide_query('list', '[]', 'at_most', '{"most": 99, "events": [{"event_name": "x"}]}');
SELECT edecide_query('list', '[]', 'at_most', '{"most": 99, "events": {"events": [{"stream_id": "a", "event_name": "x"}], "condition": {"query": [], "after": 0}}}');
SELECT edecide_query('list', '[]', 'at_most', NULL);
SELECT edecide_query('list', '[]', 'at_most', '{}', retries => -1);
SELECT edecide_query('list', '[]', 'list_events', '{}');
SELECT edecide_query('list', '{}', 'at_most', '{}');

-- Rights: to read and to append.
CREATE ROLE aggregate_query_reader;
GRANT USAGE ON SCHEMA aggregate_query TO aggregate_query_reader;
GRANT SELECT ON aggregate_query.events, aggregate_query.aggregates, aggregate_query.upcasters TO aggregate_query_reader;
SET ROLE aggregate_query_reader;
SELECT * FROM eload_query('list', '[{"tags": ["course:1"]}]');
SELECT edecide_query('list', '[]', 'at_most', '{"most": 99, "events": [{"stream_id": "a", "event_name": "x"}]}');
RESET ROLE;
-- Row-level security: the state has the visible events only; a hidden one that came in between refuses.
CREATE POLICY visible ON aggregate_query.events USING (stream_id <> 'course-1');
CREATE POLICY all_may_append ON aggregate_query.events FOR INSERT WITH CHECK (true);
ALTER TABLE aggregate_query.events ENABLE ROW LEVEL SECURITY;
GRANT INSERT ON aggregate_query.events TO aggregate_query_reader;
SET ROLE aggregate_query_reader;
SELECT state FROM eload_query('list', '[{"tags": ["course:1"]}, {"tags": ["student:ada"]}]');
SELECT stream_version FROM edecide_query('list', '[{"tags": ["course:1"]}, {"tags": ["student:ada"]}]', 'at_most', '{"most": 2, "events": [{"stream_id": "ada", "event_name": "x"}]}');
RESET ROLE;
ALTER TABLE aggregate_query.events DISABLE ROW LEVEL SECURITY;
SELECT count(*) FROM everify();

RESET sierra_es.store;
SELECT drop_event_store('aggregate_query', force => true);
DROP FUNCTION list_events, at_most, appends, many_tags;
DROP ROLE aggregate_query_reader;
