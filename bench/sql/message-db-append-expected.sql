\set i :i + 1
\set n (:run * 1000 + :client_id) * 1000000 + :i / 5
\set version :i % 5 - 1
\set id (:run * 1000 + :client_id) * 1000000000 + :i
SELECT write_message(lpad(:id, 32, '0'), 'order-' || :n, 'OrderItemAdded', :payload, :metadata, :version);
