-- eappend_each() and conditions: each sees what the calls before it have appended
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION each(streams text[], tags json[], conditions json[], calls int[] DEFAULT NULL)
    RETURNS TABLE (n bigint, status text, stream text, "position" bigint, sqlstate text, detail text)
    LANGUAGE sql AS $$
    SELECT ordinality, r.status, r.stream_id, r.global_position, r.sqlstate, r.detail
      FROM eappend_each($1, array_fill('E'::text, ARRAY[cardinality($1)]), tags => $2, conditions => $3, calls => $4) WITH ORDINALITY AS r
     ORDER BY ordinality $$;

-- a query that an earlier call breaks, one that a refused call would have broken, one that its own event matches
SELECT * FROM each(ARRAY['a', 'b', 'c', 'd', 'e'], ARRAY['["t"]', '["t"]', '["u"]', '["u"]', NULL]::json[],
                   ARRAY[NULL, '{"query": [{"tags": ["t"]}], "after": -1}', '{"query": [{"tags": ["u"]}], "after": -1}',
                         '{"query": [{"tags": ["u"]}], "after": 0}', '{"query": [{"tags": ["v"]}], "after": -1}']::json[]);
-- above a position that an earlier call has taken
SELECT * FROM each(ARRAY['a', 'b', 'c'], ARRAY['["t"]', '["t"]', '["t"]']::json[],
                   ARRAY[NULL, '{"query": [{"tags": ["t"]}], "after": 3}', '{"query": [{"tags": ["t"]}], "after": 2}']::json[]);
-- a position that the store has not reached: refused too, and the calls after it are not
SELECT * FROM each(ARRAY['p', 'q', 'p'], NULL, ARRAY['{"query": [{"tags": ["none"]}], "after": 1000}', NULL, '{"query": [{"tags": ["none"]}], "after": 5}']::json[]);
-- its events have left nothing behind
SELECT stream_id, stream_version, partition_sequence FROM escan('p');
-- nor have those of a call that its query refuses: the next call gets their versions
SELECT * FROM each(ARRAY['r', 'r', 'r', 'r'], NULL, ARRAY['{"query": [{"tags": ["t"]}], "after": -1}', NULL, NULL, NULL]::json[], ARRAY[1, 1, 2, 3]);
SELECT stream_id, stream_version, partition_sequence = max(partition_sequence) OVER () - 1 + stream_version AS gapless FROM escan('r');
-- queries without tags, in the middle of others
SELECT * FROM each(ARRAY['f', 'g', 'h'], NULL, ARRAY[NULL, '{"query": [{"types": ["E"]}], "after": 0}', '{"query": [{"types": ["X"]}], "after": 0}']::json[]);
SELECT * FROM each(ARRAY['f', 'g'], NULL, ARRAY['{"query": [], "after": 0}', '{"query": [{"types": ["X"]}], "after": 0}']::json[]);
-- streams: counted on by earlier calls, empty before them, created by a refused call
SELECT * FROM each(ARRAY['s', 't', 'u', 'v', 'w'], NULL,
                   ARRAY['{"streams": {"t": "empty"}}', '{"streams": {"s": 0}}', '{"streams": {"t": "empty"}}',
                         '{"streams": {"u": "empty", "t": 0, "a": "any"}}', '{"streams": {"v": 0, "none": "empty"}}']::json[]);
-- a call of several events
SELECT * FROM each(ARRAY['x', 'y', 'x', 'y'], ARRAY['["m"]', '["m"]', '["m"]', '["m"]']::json[],
                   ARRAY['{"query": [{"tags": ["m"]}], "after": -1, "streams": {"none": "empty"}}', NULL, '{"query": [{"tags": ["m"]}], "after": -1}', NULL]::json[],
                   ARRAY[1, 1, 2, 2]);
-- conditions that are not valid refuse their call only
SELECT * FROM each(ARRAY['z', 'z', 'z', 'z', 'z', 'z', 'z'], NULL,
                   ARRAY['7', '{}', '{"query": []}', '{"streams": {"z": null}}', '{"streams": {"z": "new"}}', '{"streams": {"z": 7}}', '{"streams": {"z": "any"}}']::json[]);

-- more tags than a statement may have locks of: the whole store is locked instead
BEGIN;
SELECT status, count(*) FROM eappend_each((SELECT array_agg('many-' || n) FROM generate_series(1, 70) AS n), array_fill('E'::text, ARRAY[70]),
                                          tags => (SELECT array_agg(json_build_array('tag-' || n)) FROM generate_series(1, 70) AS n)) GROUP BY status;
SELECT mode, count(*) FROM pg_locks WHERE relation = 'es.events'::regclass AND pid = pg_backend_pid() AND granted GROUP BY mode;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1512 AND pid = pg_backend_pid();
ROLLBACK;
-- 64 of them, some twice, and conditions on some
BEGIN;
SELECT status, count(*) FROM eappend_each((SELECT array_agg('many-' || n) FROM generate_series(1, 70) AS n), array_fill('E'::text, ARRAY[70]),
                                          tags => (SELECT array_agg(json_build_array('tag-' || n % 64)) FROM generate_series(1, 70) AS n),
                                          conditions => (SELECT array_agg(CASE n WHEN 7 THEN '{"query": [{"tags": ["tag-7"]}], "after": 0}' WHEN 66 THEN '{"query": [{"tags": ["tag-2"]}], "after": 0}' END::json)
                                                           FROM generate_series(1, 70) AS n)) GROUP BY status ORDER BY status;
SELECT mode, count(*) FROM pg_locks WHERE relation = 'es.events'::regclass AND pid = pg_backend_pid() AND granted GROUP BY mode;
SELECT mode, count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1512 AND pid = pg_backend_pid() GROUP BY mode ORDER BY mode;
ROLLBACK;
SELECT count(*) AS problems FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION each;
