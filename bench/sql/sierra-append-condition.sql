\set i :i + 1
\set n random(0, :streams / :clients - 1) * :clients + :client_id
\set tag (:run * 1000 + :client_id) * 1000000000 + :i
SELECT (eappend('order-' || :n, 'OrderItemAdded', :payload, :metadata, tags => ARRAY['payment-' || :tag],
                condition => '{"query": [{"tags": ["payment-' || :tag || '"]}], "after": -1}')).stream_version;
