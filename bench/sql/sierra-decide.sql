\set n random(0, :streams / :clients - 1) * :clients + :client_id
SELECT stream_version FROM edecide('snapshots', 'order-' || :n, 'bench_decide(jsonb, jsonb)', :payload, metadata => :metadata);
