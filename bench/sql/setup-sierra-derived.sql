-- Aggregates over the events of the benchmark: with snapshots, and without.
CREATE OR REPLACE FUNCTION bench_fold(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('events', (state->>'events')::int + 1, 'last', event.payload->>'product');
CREATE OR REPLACE FUNCTION bench_decide(state jsonb, command jsonb) RETURNS json
    LANGUAGE sql IMMUTABLE
    RETURN json_build_array(json_build_object('event_name', 'OrderItemAdded', 'payload', command));
SELECT create_aggregate('snapshots', 'bench_fold(jsonb, sierra_event)', '{"events": 0}');
SELECT create_aggregate('none', 'bench_fold(jsonb, sierra_event)', '{"events": 0}', snapshot_every => 0);
DO $$
BEGIN
    IF to_regprocedure('bench_state(sierra_event)') IS NULL THEN
        CREATE AGGREGATE bench_state(sierra_event) (SFUNC = bench_fold, STYPE = jsonb, INITCOND = '{"events": 0}');
    END IF;
END
$$;
