\set n random(0, :streams / :clients - 1) * :clients + :client_id
\set category :n % 32
\set i :i + 1
\set id (:run * 1000 + :client_id) * 1000000000 + :i
SELECT write_message(lpad(:id, 32, '0'), 'order' || :category || '-' || :n, 'OrderItemAdded', :payload, :metadata);
