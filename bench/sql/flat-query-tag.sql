\set n random(0, :streams - 1)
SELECT global_position, partition_id, partition_sequence, stream_id, stream_version, event_id, event_name,
       "timestamp", partition_key, transaction_id, metadata, payload, payload_bytes, tags
FROM event_tags JOIN events USING (global_position)
WHERE tag = 'customer-' || :n
ORDER BY global_position;
