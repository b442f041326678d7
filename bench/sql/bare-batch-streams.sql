\set i :i + 1
\set n (:run * 1000 + :client_id) * 1000000 + :i
INSERT INTO events
SELECT nextval('position'), currval('position'), currval('position'), now(),
       lpad(currval('position')::text, 32, '0')::uuid, :key, :key, leaf,
       stream_id, event_name, metadata, payload, NULL
FROM unnest(replace(:streams_of_n, 'N', :n)::text[], :names::text[], :payloads::json[], :metadatas::json[],
            :leaves::int[])
     AS event (stream_id, event_name, payload, metadata, leaf);
