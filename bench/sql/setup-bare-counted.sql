-- What a table without an event store needs for the same: a fold of its events, and the next position.
CREATE FUNCTION bench_fold(state jsonb, event events) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('events', (state->>'events')::int + 1, 'last', event.payload->>'product');
CREATE AGGREGATE bench_state(events) (SFUNC = bench_fold, STYPE = jsonb, INITCOND = '{"events": 0}');
SELECT setval('position', max(global_position)) FROM events;
