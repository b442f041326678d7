-- Aggregates: folding a stream into a state with an ordinary SQL aggregate over escan()
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT create_event_store('es', 4);

-- The state of an order, and what each event makes of it.
CREATE TYPE order_state AS (status text, items int, total numeric, version bigint);
CREATE FUNCTION apply_order(state order_state, e sierra_event) RETURNS order_state
    LANGUAGE sql IMMUTABLE
    RETURN CASE e.event_name
        WHEN 'OrderCreated' THEN ROW ('open', 0, 0, e.stream_version)::order_state
        WHEN 'ItemAdded' THEN ROW ((state).status, (state).items + 1,
                                   (state).total + (e.payload ->> 'price')::numeric * (e.payload ->> 'quantity')::int,
                                   e.stream_version)::order_state
        WHEN 'ItemRemoved' THEN ROW ((state).status, (state).items - 1, (state).total - (e.payload ->> 'price')::numeric,
                                     e.stream_version)::order_state
        WHEN 'OrderPaid' THEN ROW ('paid', (state).items, (state).total, e.stream_version)::order_state
        -- an event that this state does not care about
        ELSE ROW ((state).status, (state).items, (state).total, e.stream_version)::order_state
    END;
CREATE AGGREGATE fold_order(sierra_event) (SFUNC = apply_order, STYPE = order_state);

SELECT stream_version FROM emappend(NULL,
    array_fill('order-456'::text, ARRAY[6]),
    ARRAY['OrderCreated', 'ItemAdded', 'ItemAdded', 'Viewed', 'ItemRemoved', 'OrderPaid'],
    ARRAY[NULL, '{"price": 10.50, "quantity": 2}', '{"price": 4, "quantity": 1}', NULL, '{"price": 4}', NULL]::json[],
    timestamps => (SELECT array_agg('2024-01-01 00:00:00+00'::timestamptz + n * interval '1 day') FROM generate_series(0, 5) AS n));

-- now
SELECT (fold_order(e ORDER BY e.stream_version)).* FROM escan('order-456') AS e;
-- up to each version
SELECT v, (s).* FROM generate_series(-1, 6) AS v, LATERAL (SELECT fold_order(e ORDER BY e.stream_version) AS s FROM escan('order-456', to_version => v) AS e) AS f;
-- up to a time
SELECT t, (s).* FROM unnest(ARRAY['2023-12-31', '2024-01-01', '2024-01-03 12:00', '2024-01-05 23:59', '2024-01-06', '2030-01-01']::timestamptz[]) AS t,
       LATERAL (SELECT fold_order(e ORDER BY e.stream_version) AS s FROM escan('order-456') AS e WHERE e."timestamp" <= t) AS f;
-- the state after each event, as a window
SELECT e.stream_version, e.event_name, (fold_order(e) OVER (ORDER BY e.stream_version)).total FROM escan('order-456') AS e;
-- continuing from a stored state: the events before it are not read again
CREATE FUNCTION fold_order_from(state order_state) RETURNS order_state LANGUAGE plpgsql STABLE AS $$
DECLARE
    e sierra_event;
BEGIN
    FOR e IN SELECT * FROM escan('order-456', (state).version + 1) LOOP
        state := apply_order(state, e);
    END LOOP;
    RETURN state;
END
$$;
SELECT (fold_order_from(ROW ('open', 1, 21, 1)::order_state)).*;
-- a stream without events folds to nothing
SELECT fold_order(e) IS NULL AS none FROM escan('order-999') AS e;
-- all orders at once
SELECT count(*) FROM emappend(NULL, ARRAY['order-457', 'order-457'], ARRAY['OrderCreated', 'ItemAdded'], ARRAY[NULL, '{"price": 1, "quantity": 3}']::json[]);
SELECT e.stream_id, (fold_order(e ORDER BY e.global_position)).* FROM eall(streams => ARRAY['order-*']) AS e GROUP BY e.stream_id ORDER BY e.stream_id;

-- Decide on the state, and append with the version it was folded from: a session that was overtaken
-- gets SE001.
SELECT (fold_order(e ORDER BY e.stream_version)).version FROM escan('order-457') AS e \gset
SELECT stream_version FROM eappend('order-457', 'OrderPaid', expected_version => :version);
SELECT eappend('order-457', 'OrderPaid', expected_version => :version);
:sqlstate

DROP FUNCTION fold_order_from;
DROP AGGREGATE fold_order(sierra_event);
DROP FUNCTION apply_order;
DROP TYPE order_state;
SELECT drop_event_store('es', force => true);
