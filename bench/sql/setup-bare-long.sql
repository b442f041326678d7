-- One stream of 10,000 events, and its state in a table.
INSERT INTO events
SELECT nextval('position'), i, currval('position'), now(), lpad(i::text, 32, '0')::uuid, :'key', :'key', 0,
       'order-0', 'OrderItemAdded', :'metadata', :'payload', NULL
FROM generate_series(0, 9999) i;
CREATE TABLE states (stream_id text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, state jsonb NOT NULL);
INSERT INTO states SELECT 'order-0', 9999, jsonb_build_object('events', 10000, 'last', :'payload'::json->>'product');
VACUUM ANALYZE;
