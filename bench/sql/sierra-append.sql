\set n random(0, :streams / :clients - 1) * :clients + :client_id
SELECT (eappend('order-' || :n, 'OrderItemAdded', :payload, :metadata)).stream_version;
