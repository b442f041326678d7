-- The same events in the same order, a hundred streams per call.
SELECT set_config('bench.streams', :'streams', false), set_config('bench.versions', :'versions', false),
       set_config('bench.rare', :'rare', false), set_config('bench.tagged', :'tagged', false),
       set_config('bench.payload', :'payload', false), set_config('bench.metadata', :'metadata', false);

DO $$
DECLARE
    names     text[] := array_fill('OrderItemAdded'::text, ARRAY[100]);
    payloads  json[] := array_fill(current_setting('bench.payload')::json, ARRAY[100]);
    rare      int    := current_setting('bench.rare')::int;
    tagged    bool   := current_setting('bench.tagged')::int = 1;
    streams   int    := current_setting('bench.streams')::int;
    calls     int    := 0;
    metadatas json[] := array_fill(current_setting('bench.metadata')::json, ARRAY[100]);
BEGIN
    FOR version IN 1 .. current_setting('bench.versions')::int LOOP
        FOR block IN 0 .. streams / 100 - 1 LOOP
            -- With rare, one event in this number has another name.
            names[1] := CASE WHEN rare > 0 AND calls % (rare / 100) = 0 THEN 'OrderShipped' ELSE names[2] END;
            calls := calls + 1;
            PERFORM count(*)
            FROM emappend(NULL::text,
                          ARRAY(SELECT 'order-' || block * 100 + i FROM generate_series(0, 99) i),
                          names, payloads, metadatas,
                          -- A tag has one event of each version, and each in another stream.
                          tags => CASE WHEN tagged THEN
                              ARRAY(SELECT json_build_array('customer-' || (block * 100 + i + version * 617) % streams)
                                    FROM generate_series(0, 99) i) END);
            COMMIT;
        END LOOP;
    END LOOP;
END
$$;
