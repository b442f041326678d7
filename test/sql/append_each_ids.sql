-- eappend_each() and event ids: repetitions of earlier calls, and within the statement
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);
-- Short ids: id(7) ends in 7.
CREATE FUNCTION id(n int) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT
    RETURN ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid;
CREATE FUNCTION each(streams text[], ids int[], calls int[] DEFAULT NULL, expected expected_version[] DEFAULT NULL, keys text[] DEFAULT NULL)
    RETURNS TABLE (n bigint, status text, stream text, id text, version bigint, "position" bigint, detail text)
    LANGUAGE sql AS $$
    SELECT ordinality, r.status, r.stream_id, substring(r.event_id::text FROM '^00000000-.*-0*(.*)$'), r.stream_version, r.global_position, r.sqlstate || ': ' || r.detail
      FROM eappend_each($1, array_fill('E'::text, ARRAY[cardinality($1)]), event_ids => (SELECT array_agg(id(i) ORDER BY o) FROM unnest($2) WITH ORDINALITY AS u (i, o)),
                        calls => $3, expected_versions => $4, partition_keys => $5) WITH ORDINALITY AS r
     ORDER BY ordinality $$;

-- new, and repeated in a later statement, whatever version is expected
SELECT * FROM each(ARRAY['a', 'b', 'a'], ARRAY[1, 2, 3]);
SELECT * FROM each(ARRAY['a', 'b', 'a', 'c'], ARRAY[1, 2, 3, 4], expected => ARRAY['empty', '7', '0', 'empty']::expected_version[]);
CREATE TABLE repeated AS SELECT * FROM eappend_each(ARRAY['a', 'b'], ARRAY['E', 'E'], event_ids => ARRAY[id(1), id(2)]);
SELECT status, count(*) AS same
  FROM repeated JOIN es.events USING (event_id, partition_key, partition_id, partition_sequence, stream_id, stream_version, "timestamp", transaction_id, global_position)
 GROUP BY status;

-- the same id twice in a statement: the second call repeats the first
SELECT * FROM each(ARRAY['d', 'd', 'd', 'e', 'd'], ARRAY[11, 11, 12, 12, 11]);
-- a call between them has counted on
SELECT * FROM each(ARRAY['f', 'f', 'f'], ARRAY[21, 22, 21], expected => ARRAY['empty', '0', 'empty']::expected_version[]);
-- if the first call is refused, the second one is new
SELECT * FROM each(ARRAY['g', 'g', 'g'], ARRAY[31, 31, 31], expected => ARRAY['0', 'empty', '0']::expected_version[]);
-- in one call it is a mistake
SELECT * FROM each(ARRAY['h', 'h', 'h', 'h'], ARRAY[41, 41, 41, 42], calls => ARRAY[1, 1, 2, 3]);
-- calls of several events: repeated as a whole, in part, in another order
SELECT * FROM each(ARRAY['i', 'j', 'i', 'j', 'i', 'j', 'i', 'i', 'i'], ARRAY[51, 52, 51, 52, 51, 53, 54, 54, 51], calls => ARRAY[1, 1, 2, 2, 3, 3, 4, 5, 5]);
-- ids of events without chosen id are not repeated by chance
SELECT * FROM each(ARRAY['k', 'k', 'k'], ARRAY[NULL, NULL, 61]);
-- an id that the server generated for another stream, and for the same
SELECT r.status, r.stream_id, r.stream_version, r.detail
  FROM (SELECT array_agg(event_id ORDER BY stream_version) AS ids FROM escan('k')) AS k,
       LATERAL eappend_each(ARRAY['k', 'l', 'l'], ARRAY['E', 'E', 'E'], event_ids => ARRAY[k.ids[1], k.ids[2], id(62)]) AS r;
-- streams with keys of their own
SELECT * FROM each(ARRAY['m', 'm', 'n', 'm'], ARRAY[71, 71, 71, 72], keys => ARRAY['key', NULL, 'key', 'key']);

SELECT stream_id, count(*), max(stream_version) FROM eall() GROUP BY stream_id ORDER BY stream_id;
SELECT count(*) AS problems FROM everify();
SELECT drop_event_store('es', force => true);
DROP TABLE repeated;
DROP FUNCTION each, id;
