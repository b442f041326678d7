-- One stream of 10,000 events, and its aggregates.
\ir setup-sierra-derived.sql
SELECT count(*)
  FROM generate_series(1, 100) AS n,
       emappend(CASE WHEN n > 0 THEN NULL::text END, array_fill('order-0'::text, ARRAY[100]),
                array_fill('OrderItemAdded'::text, ARRAY[100]), array_fill(:'payload'::json, ARRAY[100]),
                array_fill(:'metadata'::json, ARRAY[100]));
SELECT version FROM eload('snapshots', 'order-0');
VACUUM ANALYZE;
