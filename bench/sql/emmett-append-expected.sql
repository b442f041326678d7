\set i :i + 1
\set n (:run * 1000 + :client_id) * 1000000 + :i / 5
\set position :i % 5
SELECT * FROM emt_append_to_stream(ARRAY[gen_random_uuid()]::text[], ARRAY[:payload]::jsonb[],
    ARRAY[:metadata]::jsonb[], ARRAY['1']::text[], ARRAY['OrderItemAdded']::text[], ARRAY['E']::text[],
    'order-' || :n, 'order', :position, :partition);
