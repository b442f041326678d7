-- eappend_each() and partition keys: the first accepted call decides which key a new stream gets
\set SHOW_CONTEXT never
SELECT create_event_store('es', 64);
CREATE FUNCTION each(streams text[], keys text[], expected expected_version[] DEFAULT NULL, calls int[] DEFAULT NULL)
    RETURNS TABLE (n bigint, status text, stream text, version bigint, key text, sqlstate text)
    LANGUAGE sql AS $$
    SELECT ordinality, r.status, r.stream_id, r.stream_version,
           (SELECT k FROM unnest($2 || $1) AS k WHERE r.partition_key IN (sierra_partition_key(k), sierra_stream_key(k)) LIMIT 1), r.sqlstate
      FROM eappend_each($1, array_fill('E'::text, ARRAY[cardinality($1)]), partition_keys => $2, expected_versions => $3, calls => $4) WITH ORDINALITY AS r
     ORDER BY ordinality $$;
-- keys of four partitions
SELECT count(DISTINCT sierra_partition_id(sierra_partition_key(k), 64)) FROM unnest(ARRAY['k1', 'k2', 'k3']) AS k;

-- each new stream gets the key of the first call for it
SELECT * FROM each(ARRAY['a', 'a', 'a', 'a'], ARRAY['k1', 'k2', NULL, 'k1']);
SELECT * FROM each(ARRAY['b', 'b', 'b', 'b'], ARRAY[NULL, 'k2', NULL, 'b']);
-- if the first call is refused, of the second, and so on
SELECT * FROM each(ARRAY['c', 'c', 'c', 'c'], ARRAY['k1', 'k2', 'k3', NULL], ARRAY['0', '0', 'empty', '0']::expected_version[]);
SELECT * FROM each(ARRAY['d', 'd', 'd', 'd'], ARRAY['k1', 'k2', NULL, 'k3'], ARRAY['0', 'exists', 'empty', '0']::expected_version[]);
SELECT * FROM each(ARRAY['e', 'e'], ARRAY[NULL, 'k3'], ARRAY['0', 'empty']::expected_version[]);
SELECT * FROM each(ARRAY['f', 'f', 'f'], ARRAY[NULL, 'k3', 'k1'], ARRAY['0', '0', '0']::expected_version[]);
SELECT count(*) FROM escan('f');
-- streams that exist already
SELECT * FROM each(ARRAY['a', 'b', 'c', 'd', 'e', 'a', 'b', 'c'], ARRAY['k1', 'k1', NULL, 'k3', 'k3', 'k2', NULL, 'k3']);
-- a call of several streams; what it would have created is not there
SELECT * FROM each(ARRAY['g', 'h', 'g', 'h', 'h', 'g'], ARRAY['k1', 'k1', 'k2', 'k2', 'k3', NULL],
                   ARRAY['empty', '0', 'empty', 'empty', 'any', '0']::expected_version[], ARRAY[1, 1, 2, 2, 3, 4]);
SELECT stream_id, partition_key = sierra_stream_key(stream_id) AS own FROM es.stream_keys ORDER BY stream_id;
SELECT stream_id, partition_id = sierra_partition_id(partition_key, 64) AS right, count(*) FROM eall() GROUP BY 1, 2 ORDER BY 1;
-- only streams of the statement's condition
SELECT status, stream_id, sqlstate
  FROM eappend_each(ARRAY['i', 'j', 'i'], ARRAY['E', 'E', 'E'], partition_keys => ARRAY['k1', 'k2', 'k2'],
                    conditions => ARRAY['{"streams": {"c": 1, "j": "empty"}}', '{"streams": {"i": 0, "a": "exists"}}', NULL]::json[]);
SELECT count(*) AS problems FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION each;
