\set n random(0, :streams / :clients - 1) * :clients + :client_id
\set leaf hash(:n) & 31
INSERT INTO events
VALUES (nextval('position'), currval('position'), currval('position'), now(),
        lpad(currval('position')::text, 32, '0')::uuid, :key, :key, :leaf,
        'order-' || :n, 'OrderItemAdded', :metadata, :payload, NULL);
