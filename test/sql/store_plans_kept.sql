-- Statements on the tables of a store read indexes, also with a plan from when a table was empty
SELECT create_event_store('es', 4);
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN state || jsonb_build_object('count', coalesce((state ->> 'count')::int, 0) + 1);
CREATE FUNCTION look_away(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF e.payload ->> 'n' = '1' THEN
        RAISE 'no';
    END IF;
END
$$;
SELECT create_projection('orders', 'tally(jsonb, sierra_event)', batch_size => 100);
SELECT create_projection('parking', 'look_away(sierra_event)', on_error => 'park', max_attempts => 1);
SELECT esub('reader', start_from => 'earliest');

-- The state in which statements are planned: empty tables, which cost nothing to read completely.
VACUUM (ANALYZE) es.projection_states, es.subscription_streams, es.subscription_cursors,
    es.subscriptions, es.projections;

-- Often enough that the session keeps its plans.
DO $$
BEGIN
    FOR n IN 1..10 LOOP
        PERFORM eappend('order-1', 'Added', '{"n": 0}');
        PERFORM run_projection('orders');
    END LOOP;
END
$$;
SELECT count(eappend('order-' || n, 'Added', json_build_object('n', n % 50))) FROM generate_series(1, 500) AS n;
SET client_min_messages = error;
-- So that what was counted until here is not counted below.
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT run_projection('orders', 100), run_projection('orders', 1000);
SELECT run_projection('parking', 1000);
SELECT count(*) FROM enext('reader', 1000);
SELECT eack('reader', (SELECT max(global_position) FROM eall()));
SELECT count(eappend('order-' || n, 'Added', json_build_object('n', n % 50))) FROM generate_series(1, 500) AS n;
SELECT run_projection('orders');
SELECT eproject('orders', 'order-77');
-- The few rows of projections are also read by statements that are planned each time.
SELECT relname, seq_scan FROM pg_stat_xact_user_tables
 WHERE schemaname = 'es' AND seq_scan > 0 AND relname <> 'projections';
-- No index is read completely for each batch either: 1000 events change 500 states that exist.
SELECT idx_tup_fetch < 1500 AS fetched_once, idx_tup_fetch >= 500 AS fetched
  FROM pg_stat_xact_user_tables WHERE schemaname = 'es' AND relname = 'projection_states';
COMMIT;
-- The setting has the session's value again.
SHOW enable_seqscan;
SELECT count(*) FROM estates('orders');
SELECT drop_event_store('es', force => true);
DROP FUNCTION tally, look_away;
