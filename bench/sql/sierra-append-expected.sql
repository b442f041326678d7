\set i :i + 1
\set n (:run * 1000 + :client_id) * 1000000 + :i / 5
\set version :i % 5 - 1
\if :version < 0
SELECT (eappend('order-' || :n, 'OrderItemAdded', :payload, :metadata, 'empty')).stream_version;
\else
SELECT (eappend('order-' || :n, 'OrderItemAdded', :payload, :metadata, :version::bigint)).stream_version;
\endif
