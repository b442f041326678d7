-- The same events in the same order.
INSERT INTO emt_messages (stream_id, stream_position, partition, message_data, message_metadata,
                          message_schema_version, message_type, message_id, transaction_id)
SELECT 'order-' || i % :streams, i / :streams + 1, 'emt:default', :'payload', :'metadata', '1', 'OrderItemAdded',
       lpad(i::text, 32, '0')::uuid, pg_current_xact_id()
FROM generate_series(0::bigint, :streams::bigint * :versions - 1) i;
