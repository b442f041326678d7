-- The same events in the same order, a hundred streams per call.
SELECT set_config('bench.streams', :'streams', false), set_config('bench.versions', :'versions', false),
       set_config('bench.payload', :'payload', false), set_config('bench.metadata', :'metadata', false);

DO $$
DECLARE
    names     text[] := array_fill('OrderItemAdded'::text, ARRAY[100]);
    -- The texts that write_message() stores are those of jsonb.
    payloads  json[] := array_fill(current_setting('bench.payload')::jsonb::json, ARRAY[100]);
    metadatas json[] := array_fill(current_setting('bench.metadata')::jsonb::json, ARRAY[100]);
BEGIN
    FOR version IN 1 .. current_setting('bench.versions')::int LOOP
        FOR block IN 0 .. current_setting('bench.streams')::int / 100 - 1 LOOP
            PERFORM count(*)
            FROM public.emappend(NULL::text,
                                 ARRAY(SELECT 'order-' || block * 100 + i FROM generate_series(0, 99) i),
                                 names, payloads, metadatas);
            COMMIT;
        END LOOP;
    END LOOP;
END
$$;
