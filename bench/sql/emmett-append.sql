\set n random(0, :streams / :clients - 1) * :clients + :client_id
SELECT * FROM emt_append_to_stream(ARRAY[gen_random_uuid()]::text[], ARRAY[:payload]::jsonb[],
    ARRAY[:metadata]::jsonb[], ARRAY['1']::text[], ARRAY['OrderItemAdded']::text[], ARRAY['E']::text[],
    'order-' || :n, 'order', NULL, :partition);
