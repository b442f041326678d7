-- Food delivery: events, and two projections of the same events.

CREATE EXTENSION sierra_es;
SELECT create_event_store() \g /dev/null

-- An application would have commands that make decisions (demo/orders shows them).
-- Here events are appended directly, to the stream of their order.
CREATE FUNCTION emit(event_name text, data json, at timestamptz) RETURNS bigint
    LANGUAGE sql
    RETURN (SELECT stream_version
              FROM eappend('order-' || (data->>'order_id'), event_name, data, "timestamp" => at));

-- ---------------------------------------------------------------------------
-- delivery-status: how is this order?
-- ---------------------------------------------------------------------------

-- A fold: the next state, from the state and an event.  It does not use payments.
CREATE FUNCTION delivery_status(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
AS $$
    SELECT state
           || jsonb_build_object('status', s.status, 'last_status', e."timestamp" AT TIME ZONE 'UTC')
           || CASE e.event_name WHEN 'OrderCreated'
                   THEN jsonb_build_object('delivery_code', e.payload->'delivery_code')
                   ELSE '{}' END
      FROM (VALUES ('OrderCreated', 'placed'),
                   ('OrderAccepted', 'preparing'),
                   ('DeliveryStarted', 'collected'),
                   ('DeliveryCompleted', 'delivered'),
                   ('OrderDelivered', 'done')) AS s (event_name, status)
     WHERE s.event_name = e.event_name
$$;

-- Its states are kept by order: the key is an expression over the event, called e.
SELECT create_projection('delivery-status', 'delivery_status(jsonb, sierra_event)',
    event_names => ARRAY['OrderCreated', 'OrderAccepted', 'DeliveryStarted', 'DeliveryCompleted', 'OrderDelivered'],
    key => $$e.payload->>'order_id'$$) \g /dev/null

-- ---------------------------------------------------------------------------
-- user-orders: which orders has this user?
-- ---------------------------------------------------------------------------

CREATE FUNCTION user_orders(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('orders', (state->'orders') || jsonb_build_array(e.payload->'order_id'));

-- Some of the same events, folded by another key.
SELECT create_projection('user-orders', 'user_orders(jsonb, sierra_event)',
    event_names => ARRAY['OrderCreated'], initial => '{"orders": []}',
    key => $$e.payload->>'user_id'$$) \g /dev/null

-- The query of a client.  It is never stale: eproject() also folds in the events that no run
-- has handled yet.
CREATE FUNCTION summary(order_id text) RETURNS TABLE (status text, last_status text, delivery_code text)
    LANGUAGE sql STABLE
    RETURN (SELECT ROW (s->>'status', s->>'last_status', s->>'delivery_code')
              FROM eproject('delivery-status', order_id) AS s);
