-- A saga of two steps, and the table that a client keeps for the same.
CREATE OR REPLACE FUNCTION bench_step(data jsonb) RETURNS void
    LANGUAGE sql
    AS $$ SELECT FROM eappend(data->>'stream', 'OrderItemAdded', (data->'payload')::json) $$;
SELECT create_saga('bench', ARRAY[saga_step('reserve', 'bench_step(jsonb)'), saga_step('charge', 'bench_step(jsonb)')]);
CREATE TABLE IF NOT EXISTS bench_sagas (saga_id text PRIMARY KEY, step int NOT NULL, status text NOT NULL, data jsonb NOT NULL)
    WITH (fillfactor = 50);
