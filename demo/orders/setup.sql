-- The order system: what an order is, the commands for it, and a list of all orders.

CREATE EXTENSION sierra_es;
SELECT create_event_store() \g /dev/null

-- ---------------------------------------------------------------------------
-- The aggregate: an order is the result of its events
-- ---------------------------------------------------------------------------

-- The total price of all items.  Items are {"laptop": {"quantity": 1, "price": 999.99}, ...}.
CREATE FUNCTION items_total(items jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    RETURN (SELECT coalesce(sum((value->>'quantity')::int * (value->>'price')::numeric), 0)
              FROM jsonb_each(items));

-- Items after a change of the quantity of one of them.  An item with quantity 0 is removed.
CREATE FUNCTION items_changed(items jsonb, item_id text, quantity int, price jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE WHEN n.quantity > 0
                THEN items || jsonb_build_object(item_id, jsonb_build_object('quantity', n.quantity, 'price', price))
                ELSE items - item_id END
      FROM (SELECT coalesce((items->item_id->>'quantity')::int, 0) + quantity) AS n (quantity)
$$;

-- The fold: the next state, from the state and an event.  Other events change nothing.
CREATE FUNCTION apply_order(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    data constant jsonb := e.payload;
    items jsonb := state->'items';
BEGIN
    CASE e.event_name
    WHEN 'OrderCreated' THEN
        state := jsonb_build_object('status', 'created', 'customer_id', data->'customer_id');
        items := '{}';
    WHEN 'ItemAdded' THEN
        items := items_changed(items, data->>'item_id', (data->>'quantity')::int, data->'price');
    WHEN 'ItemRemoved' THEN
        items := items_changed(items, data->>'item_id', -(data->>'quantity')::int,
                               items->(data->>'item_id')->'price');
    WHEN 'PaymentProcessed' THEN
        state := state || jsonb_build_object('status', 'paid', 'payment_method', data->'payment_method');
    WHEN 'OrderShipped' THEN
        state := state || jsonb_build_object('status', 'shipped', 'tracking_number', data->'tracking_number');
    ELSE
        RETURN state;
    END CASE;
    RETURN state || jsonb_build_object('items', items, 'total', items_total(items));
END
$$;

SELECT create_aggregate('order', 'apply_order(jsonb, sierra_event)') \g /dev/null

-- ---------------------------------------------------------------------------
-- Commands: a state and a command, and the events that follow
-- ---------------------------------------------------------------------------

-- Takes {"do": "pay", ...}; returns the events that follow, or refuses.
CREATE FUNCTION decide_order(state jsonb, command jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    wish constant text := command->>'do';
    status constant text := coalesce(state->>'status', 'missing');
    data jsonb := command - 'do';
    event_name text;
    needed text;
BEGIN
    SELECT w.event_name, w.needed INTO event_name, needed
      FROM (VALUES ('create', 'OrderCreated', 'missing'),
                   ('add', 'ItemAdded', 'created'),
                   ('remove', 'ItemRemoved', 'created'),
                   ('pay', 'PaymentProcessed', 'created'),
                   ('ship', 'OrderShipped', 'paid')) AS w (name, event_name, needed)
     WHERE w.name = wish;
    IF NOT FOUND THEN
        RAISE 'no such command: %', wish;
    END IF;
    IF status <> needed THEN
        RAISE 'cannot %: the order is %', wish, status;
    END IF;
    IF wish = 'remove' AND
       (data->>'quantity')::int > coalesce((state->'items'->(data->>'item_id')->>'quantity')::int, 0) THEN
        RAISE 'there is not enough of % in the order', data->>'item_id';
    END IF;
    IF wish = 'pay' THEN
        IF (state->>'total')::numeric = 0 THEN
            RAISE 'there is nothing to pay';
        END IF;
        data := data || jsonb_build_object('amount', state->'total');
    END IF;
    RETURN jsonb_build_array(jsonb_build_object('event_name', event_name, 'payload', data));
END
$$;

-- edecide() loads the state, calls decide_order(), and appends, expecting the version that it
-- has loaded.  Returns the new version of the order.
CREATE FUNCTION command_order(order_id text, command jsonb) RETURNS bigint
    LANGUAGE sql
    RETURN (SELECT max(stream_version)
              FROM edecide('order', 'order-' || order_id, 'decide_order(jsonb, jsonb)', command));

CREATE FUNCTION create_order(order_id text, customer_id text) RETURNS bigint
    LANGUAGE sql
    RETURN command_order(order_id, jsonb_build_object('do', 'create', 'customer_id', customer_id));

CREATE FUNCTION add_item(order_id text, item_id text, quantity int, price numeric) RETURNS bigint
    LANGUAGE sql
    RETURN command_order(order_id, jsonb_build_object('do', 'add', 'item_id', item_id,
                                                      'quantity', quantity, 'price', price));

CREATE FUNCTION remove_item(order_id text, item_id text, quantity int) RETURNS bigint
    LANGUAGE sql
    RETURN command_order(order_id, jsonb_build_object('do', 'remove', 'item_id', item_id, 'quantity', quantity));

CREATE FUNCTION pay_order(order_id text, payment_method text) RETURNS bigint
    LANGUAGE sql
    RETURN command_order(order_id, jsonb_build_object('do', 'pay', 'payment_method', payment_method));

CREATE FUNCTION ship_order(order_id text, tracking_number text) RETURNS bigint
    LANGUAGE sql
    RETURN command_order(order_id, jsonb_build_object('do', 'ship', 'tracking_number', tracking_number));

-- ---------------------------------------------------------------------------
-- The read model: a table of all orders, kept up to date by a projection
-- ---------------------------------------------------------------------------

CREATE TABLE order_list (
    order_id    text PRIMARY KEY,
    customer_id text,
    status      text NOT NULL,
    paid        numeric,
    events      int NOT NULL
);

CREATE FUNCTION list_order(e sierra_event) RETURNS void
    LANGUAGE sql
AS $$
    INSERT INTO order_list AS l
    VALUES (substr(e.stream_id, length('order-') + 1), e.payload->>'customer_id', 'created', NULL, 1)
        ON CONFLICT (order_id) DO UPDATE
       SET events = l.events + 1,
           paid = coalesce((e.payload->>'amount')::numeric, l.paid),
           status = CASE e.event_name WHEN 'PaymentProcessed' THEN 'paid'
                                      WHEN 'OrderShipped' THEN 'shipped'
                                      ELSE l.status END
$$;

SELECT create_projection('order-list', 'list_order(sierra_event)', streams => ARRAY['order-*']) \g /dev/null
