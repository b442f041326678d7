\set i :i + 1
\set after :first_position - 1 + (:i * 1000) % (:last_position - :first_position - 1000)
SELECT global_position, partition_id, partition_sequence, stream_id, stream_version, event_id, event_name,
       "timestamp", partition_key, transaction_id, metadata, payload, payload_bytes, tags
FROM events
WHERE global_position > :after
ORDER BY global_position
LIMIT 1000;
