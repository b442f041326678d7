-- What projections of the benchmark write: states by stream, or a row for each event.
CREATE OR REPLACE FUNCTION bench_fold(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('events', (state->>'events')::int + 1, 'last', event.payload->>'product');
CREATE TABLE bench_states (stream_id text COLLATE "C" PRIMARY KEY, state jsonb NOT NULL);
CREATE TABLE bench_rows (position bigint PRIMARY KEY, stream_id text NOT NULL, product text);
CREATE TABLE bench_seen (events bigint NOT NULL);
INSERT INTO bench_seen VALUES (0);
CREATE FUNCTION bench_row(event sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO bench_rows VALUES (event.global_position, event.stream_id, event.payload ->> 'product');
END
$$;
CREATE FUNCTION bench_page(events sierra_event[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO bench_rows SELECT e.global_position, e.stream_id, e.payload ->> 'product' FROM unnest($1) AS e
$$;
VACUUM ANALYZE;
