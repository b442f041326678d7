\set i :i + 1
\set id (:run * 1000 + :client_id) * 1000000000 + :i
SELECT write_message(lpad(:id, 32, '0'), 'hot-1', 'OrderItemAdded', :payload, :metadata);
