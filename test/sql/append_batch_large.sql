-- emappend() of many and of large events
\set SHOW_CONTEXT never
SELECT create_event_store();

-- More events than are passed to the table at once, at the edges of that number.
SELECT n, r.events, r.first, r.last
  FROM unnest(ARRAY[255, 256, 257, 511, 512, 513, 3000]) AS n,
       LATERAL (SELECT count(*) AS events, min(stream_version) AS first, max(stream_version) AS last
                  FROM emappend(NULL, array_fill('stream-' || n, ARRAY[n]), array_fill('x'::text, ARRAY[n]),
                                (SELECT array_agg(to_json(i)) FROM generate_series(0, n - 1) AS i))) AS r;
-- Version and payload agree: the order of the call is the order of the stream.
SELECT n, count(*), bool_and(e.payload::text = e.stream_version::text) AS in_order
  FROM unnest(ARRAY[255, 256, 257, 511, 512, 513, 3000]) AS n, LATERAL escan('stream-' || n) AS e
 GROUP BY n ORDER BY n;

-- All partitions in one call, with payloads that go to the TOAST table: incompressible and not.
CREATE TABLE batch AS
SELECT i, 's-' || i % 300 AS stream_id, 'Event' || i % 7 AS event_name,
       CASE i % 3
           WHEN 0 THEN to_json((SELECT string_agg(md5(i || '/' || j), '') FROM generate_series(1, 200) AS j))
           WHEN 1 THEN to_json(repeat('long ', 20000) || i)
           ELSE NULL
       END AS payload,
       CASE WHEN i % 5 = 0 THEN json_build_object('i', i, 'pad', repeat('m', 3000)) END AS metadata,
       CASE WHEN i % 3 = 2 THEN decode(repeat(md5(i::text), 300), 'hex') END AS payload_bytes
  FROM generate_series(0, 899) AS i;
CREATE TABLE answers AS
SELECT * FROM emappend(NULL, (SELECT array_agg(stream_id ORDER BY i) FROM batch),
                       (SELECT array_agg(event_name ORDER BY i) FROM batch),
                       (SELECT array_agg(payload ORDER BY i) FROM batch),
                       (SELECT array_agg(metadata ORDER BY i) FROM batch),
                       payload_bytes => (SELECT array_agg(payload_bytes ORDER BY i) FROM batch))
       WITH ORDINALITY;
SELECT count(*) AS events, count(DISTINCT partition_id) AS partitions, count(DISTINCT stream_id) AS streams,
       count(DISTINCT transaction_id) AS transactions, max(stream_version) AS last_version
  FROM answers;
-- Answers come in the order of the call, positions grow along it, and what is stored is what was sent.
SELECT count(*) FILTER (WHERE b.stream_id = a.stream_id) AS in_order
  FROM batch AS b JOIN answers AS a ON a.ordinality = b.i + 1;
SELECT count(*) AS falling
  FROM (SELECT global_position - lag(global_position) OVER (ORDER BY ordinality) AS step FROM answers) AS s
 WHERE step <= 0;
SELECT count(*) AS equal
  FROM batch AS b JOIN answers AS a ON a.ordinality = b.i + 1, LATERAL eget(a.event_id) AS e
 WHERE (e.stream_id, e.event_name) = (b.stream_id, b.event_name)
   AND e.payload::text IS NOT DISTINCT FROM b.payload::text
   AND e.metadata::text IS NOT DISTINCT FROM b.metadata::text
   AND e.payload_bytes IS NOT DISTINCT FROM b.payload_bytes
   AND (e.partition_key, e.partition_id, e.partition_sequence, e.stream_version, e."timestamp", e.transaction_id, e.global_position)
     = (a.partition_key, a.partition_id, a.partition_sequence, a.stream_version, a."timestamp", a.transaction_id, a.global_position);
SELECT count(*) > 0 AS toasted
  FROM pg_class WHERE relnamespace = 'es'::regnamespace AND reltoastrelid <> 0
   AND pg_relation_size(reltoastrelid) > 100000;

-- the same through the JSON form
SELECT count(*) AS events, max(stream_version) AS last_version
  FROM emappend('json', (SELECT json_agg(json_build_object('stream_id', 'json-' || i % 3, 'event_name', event_name, 'payload', payload) ORDER BY i) FROM batch));
SELECT count(*) AS equal
  FROM batch AS b, LATERAL escan('json-' || i % 3, i / 3, i / 3) AS e
 WHERE e.payload::text IS NOT DISTINCT FROM b.payload::text;

-- Values read from a table, out of line and compressed, arrive whole.
SELECT count(*) FROM (SELECT * FROM batch ORDER BY i LIMIT 6) AS b, LATERAL eappend('from table', b.event_name, b.payload, b.metadata, payload_bytes => b.payload_bytes) AS r;
SELECT count(*) AS equal
  FROM escan('from table') AS e JOIN batch AS b ON b.i = e.stream_version
 WHERE e.payload::text IS NOT DISTINCT FROM b.payload::text AND e.payload_bytes IS NOT DISTINCT FROM b.payload_bytes;

SELECT count(*) FROM everify();
DROP TABLE batch, answers;
SELECT drop_event_store('es', force => true);
