\set n random(0, :streams - 1)
\set leaf :n % 32
SELECT global_position, partition_id, partition_sequence, stream_id, stream_version, event_id, event_name,
       "timestamp", partition_key, transaction_id, metadata, payload, payload_bytes, tags
FROM events
WHERE partition_id = :leaf AND stream_id = 'order-' || :n
ORDER BY stream_version;
