\set n random(0, :streams / 32 - 1) * 32 + @LEAF@
SELECT global_position, partition_id, partition_sequence, stream_id, stream_version, event_id, event_name,
       "timestamp", partition_key, transaction_id, metadata, payload, payload_bytes, tags
FROM events_@LEAF@
WHERE stream_id = 'order-' || :n
ORDER BY stream_version;
