\set i :i + 1
\set n (:run * 1000 + :client_id) * 1000000 + :i / 5
\set version :i % 5 - 1
\if :version < 0
SELECT stream_version FROM eappend('order-' || :n, 'OrderItemAdded', :payload, :metadata, 'empty');
\else
SELECT stream_version FROM eappend('order-' || :n, 'OrderItemAdded', :payload, :metadata, :version::bigint);
\endif
