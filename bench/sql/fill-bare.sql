-- Events in the order of a busy day: version 0 of every stream, then version 1, and so on.
INSERT INTO events
SELECT i / 32, i / :streams, i, now(), lpad(i::text, 32, '0')::uuid, :'key', :'key', i % 32,
       'order-' || i % :streams, 'OrderItemAdded', :'metadata', :'payload', NULL,
       CASE WHEN :tagged = 1 THEN ARRAY['customer-' || (i % :streams + i / :streams * 617) % :streams] END
FROM generate_series(0::bigint, :streams::bigint * :versions - 1) i;
