\set i :i + 1
\set n (:run * 1000 + :client_id) * 1000000 + :i
\set leaf :n % 32
INSERT INTO events
SELECT nextval('position'), currval('position'), currval('position'), now(),
       lpad(currval('position')::text, 32, '0')::uuid, :key, :key, :leaf::int,
       stream_id, event_name, metadata, payload, NULL
FROM unnest(array_fill('order-' || :n, ARRAY[100]), :names::text[], :payloads::json[], :metadatas::json[])
     AS event (stream_id, event_name, payload, metadata);
