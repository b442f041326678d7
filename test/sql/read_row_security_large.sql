-- Row-level security over many events: reads return what a plain SELECT returns under the same policy.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 32);
SELECT create_event_store('other', 1);
SELECT count(*) FROM generate_series(1, 8) AS call,
       LATERAL emappend(NULL, (SELECT array_agg(CASE WHEN n % 3 = 0 THEN 'b-' ELSE 'a-' END || n % 100 ORDER BY n) FROM generate_series(1, 1000) AS n),
                        array_fill('x' || call, ARRAY[1000]), (SELECT array_agg(to_json(n) ORDER BY n) FROM generate_series(1, 1000) AS n));
SELECT count(*) FROM emappend('one', array_fill('a-long'::text, ARRAY[3000]), array_fill('x'::text, ARRAY[3000]));
CREATE ROLE regress_sierra_many;
GRANT USAGE ON SCHEMA es, other TO regress_sierra_many;
GRANT SELECT ON es.events, es.stream_keys, es.event_ids, other.events, other.stream_keys, other.event_ids TO regress_sierra_many;
CREATE POLICY mine ON es.events TO regress_sierra_many USING (stream_id LIKE 'a-%' AND stream_version % 7 <> 0);
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
SET ROLE regress_sierra_many;
-- Seconds would mean that each event is planned separately.
SET statement_timeout = '20s';
CREATE TEMP TABLE plain AS SELECT * FROM es.events;
SELECT count(*) FROM plain;
SELECT (SELECT array_agg(e ORDER BY o) FROM eall(max_count => NULL) WITH ORDINALITY AS r (global_position, partition_id, partition_sequence, stream_id, stream_version, event_id, event_name, "timestamp", partition_key, transaction_id, metadata, payload, payload_bytes, tags, o),
               LATERAL (SELECT r.global_position || r.stream_id || r.stream_version || r.event_id || coalesce(r.payload::text, '-')) AS x (e))
     = (SELECT array_agg(global_position || stream_id || stream_version || event_id || coalesce(payload::text, '-') ORDER BY global_position) FROM plain) AS forwards;
SELECT (SELECT array_agg(global_position ORDER BY o) FROM eall(max_count => NULL, backward => true) WITH ORDINALITY AS r (global_position, partition_id, partition_sequence, stream_id, stream_version, event_id, event_name, "timestamp", partition_key, transaction_id, metadata, payload, payload_bytes, tags, o))
     = (SELECT array_agg(global_position ORDER BY global_position DESC) FROM plain) AS backwards;
SELECT (SELECT array_agg(stream_version ORDER BY o) FROM (SELECT row_number() OVER () AS o, stream_version FROM escan('a-long')) AS r)
     = (SELECT array_agg(stream_version ORDER BY stream_version) FROM plain WHERE stream_id = 'a-long') AS stream_forwards,
       (SELECT array_agg(stream_version ORDER BY o) FROM (SELECT row_number() OVER () AS o, stream_version FROM escan('a-long', backward => true)) AS r)
     = (SELECT array_agg(stream_version ORDER BY stream_version DESC) FROM plain WHERE stream_id = 'a-long') AS stream_backwards;
SELECT partition_id AS long_partition FROM plain WHERE stream_id = 'a-long' LIMIT 1 \gset
SELECT (SELECT array_agg(partition_sequence ORDER BY o) FROM (SELECT row_number() OVER () AS o, partition_sequence FROM epscan(:long_partition)) AS r)
     = (SELECT array_agg(partition_sequence ORDER BY partition_sequence) FROM plain WHERE partition_id = :long_partition) AS partition_forwards,
       (SELECT array_agg(partition_sequence ORDER BY o) FROM (SELECT row_number() OVER () AS o, partition_sequence FROM epscan(:long_partition, backward => true)) AS r)
     = (SELECT array_agg(partition_sequence ORDER BY partition_sequence DESC) FROM plain WHERE partition_id = :long_partition) AS partition_backwards;
-- with limits around the sizes of batches
SELECT n, (SELECT array_agg(global_position) FROM eall(max_count => n)) = (SELECT array_agg(global_position) FROM (SELECT global_position FROM plain ORDER BY 1 LIMIT n) AS s) AS forwards,
       (SELECT array_agg(global_position) FROM eall(max_count => n, backward => true)) = (SELECT array_agg(global_position) FROM (SELECT global_position FROM plain ORDER BY 1 DESC LIMIT n) AS s) AS backwards
  FROM unnest(ARRAY[1, 499, 500, 501, 2001]) AS n;
-- Numbers over hidden rows would be wrong: refused, or left out.
SELECT event_partitions('es');
:sqlstate
SELECT event_partitions();
:sqlstate
SELECT store FROM event_stores();
RESET ROLE;
SELECT sum(events) FROM event_partitions();
SELECT store, events FROM event_stores();
RESET statement_timeout;

DROP TABLE plain;
SELECT drop_event_store('es', force => true);
SELECT drop_event_store('other');
DROP ROLE regress_sierra_many;
