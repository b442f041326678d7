\set from_sequence random(0, :partition_events - 1000)
SELECT global_position, partition_id, partition_sequence, stream_id, stream_version, event_id, event_name,
       "timestamp", partition_key, transaction_id, metadata, payload, payload_bytes, tags
FROM events_0
WHERE partition_sequence >= :from_sequence
ORDER BY partition_sequence
LIMIT 1000;
