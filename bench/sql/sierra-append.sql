\set n random(0, :streams / :clients - 1) * :clients + :client_id
SELECT stream_version FROM eappend('order-' || :n, 'OrderItemAdded', :payload, :metadata);
