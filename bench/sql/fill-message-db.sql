-- The same events in the same order.
INSERT INTO messages (id, stream_name, position, type, data, metadata)
SELECT lpad(i::text, 32, '0')::uuid, 'order-' || i % :streams, i / :streams, 'OrderItemAdded',
       :'payload', :'metadata'
FROM generate_series(0::bigint, :streams::bigint * :versions - 1) i;
