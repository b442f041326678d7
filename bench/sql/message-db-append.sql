\set n random(0, :streams / :clients - 1) * :clients + :client_id
\set i :i + 1
\set id (:run * 1000 + :client_id) * 1000000000 + :i
SELECT write_message(lpad(:id, 32, '0'), 'order-' || :n, 'OrderItemAdded', :payload, :metadata);
