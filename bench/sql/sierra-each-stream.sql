\set i :i + 1
\set n (:run * 1000 + :client_id) * 1000000 + :i
SELECT count(*) FROM eappend_each(array_fill('order-' || :n, ARRAY[100]), :names, :payloads, :metadatas);
