\set n random(0, :streams / :clients - 1) * :clients + :client_id
SELECT state, coalesce(version::text, 'empty') AS version FROM eload('snapshots', 'order-' || :n) \gset
SELECT bench_decide(:state, :payload)->0->'payload' AS decided \gset
SELECT stream_version FROM eappend('order-' || :n, 'OrderItemAdded', :decided, :metadata, :version);
