-- The order domain: commands append events, a fold turns events into a state.

-- ---------------------------------------------------------------------------
-- The fold: an ordinary aggregate over the events of a stream
-- ---------------------------------------------------------------------------

-- Items with their quantity changed; an item whose quantity falls to 0 is gone.
CREATE FUNCTION order_items_with(items jsonb, item_id text, quantity integer, price numeric)
    RETURNS jsonb
    LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE WHEN held.quantity + $3 > 0
                THEN items || jsonb_build_object($2, jsonb_build_object(
                         'quantity', held.quantity + $3, 'price', coalesce(held.price, $4)))
                ELSE items - $2 END
      FROM (SELECT coalesce((items->$2->>'quantity')::integer, 0) AS quantity,
                   (items->$2->>'price')::numeric AS price) AS held
$$;

CREATE FUNCTION order_total(items jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    RETURN (SELECT coalesce(sum((value->>'quantity')::integer * (value->>'price')::numeric), 0)
              FROM jsonb_each(items));

-- The state after one more event.  Unknown events change nothing.
CREATE FUNCTION order_apply(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
AS $$
DECLARE
    data constant jsonb := event.payload;
    items jsonb := state->'items';
    item jsonb;
BEGIN
    CASE event.event_name
    WHEN 'OrderCreated' THEN
        state := jsonb_build_object('order_id', data->'order_id', 'customer_id', data->'customer_id',
                                    'status', 'created');
        items := '{}';
        FOR item IN SELECT * FROM jsonb_array_elements(data->'items') LOOP
            items := order_items_with(items, item->>'item_id', (item->>'quantity')::integer,
                                      (item->>'price')::numeric);
        END LOOP;
    WHEN 'ItemAdded' THEN
        items := order_items_with(items, data->>'item_id', (data->>'quantity')::integer,
                                  (data->>'price')::numeric);
    WHEN 'ItemRemoved' THEN
        items := order_items_with(items, data->>'item_id', -(data->>'quantity')::integer, NULL);
    WHEN 'PaymentProcessed' THEN
        state := state || jsonb_build_object('status', 'paid',
                                             'payment_method', data->'payment_method');
    ELSE
        NULL;
    END CASE;
    RETURN state || jsonb_build_object('items', items, 'total_amount', order_total(items));
END
$$;

CREATE AGGREGATE order_state(sierra_event) (SFUNC = order_apply, STYPE = jsonb, INITCOND = '{}');

-- ---------------------------------------------------------------------------
-- Commands: each appends one event and returns its version
-- ---------------------------------------------------------------------------

CREATE FUNCTION create_order(customer_id text, items json DEFAULT '[]') RETURNS uuid
    LANGUAGE plpgsql
AS $$
DECLARE
    order_id constant uuid := gen_random_uuid();
BEGIN
    PERFORM FROM eappend('order-' || order_id, 'OrderCreated',
        json_build_object('order_id', order_id, 'customer_id', customer_id, 'items', items),
        expected_version => 'empty');
    RETURN order_id;
END
$$;

CREATE FUNCTION add_item(order_id uuid, item_id text, quantity integer, price numeric,
                         seen_version bigint)
    RETURNS bigint
    LANGUAGE sql
AS $$
    SELECT stream_version
      FROM eappend('order-' || order_id, 'ItemAdded',
          json_build_object('item_id', item_id, 'quantity', quantity, 'price', price),
          expected_version => seen_version)
$$;

CREATE FUNCTION remove_item(order_id uuid, item_id text, quantity integer, seen_version bigint)
    RETURNS bigint
    LANGUAGE sql
AS $$
    SELECT stream_version
      FROM eappend('order-' || order_id, 'ItemRemoved',
          json_build_object('item_id', item_id, 'quantity', quantity),
          expected_version => seen_version)
$$;

-- Read, decide, append with the version that was read: the pattern of every command.
CREATE FUNCTION pay_order(order_id uuid, payment_method text) RETURNS bigint
    LANGUAGE plpgsql
AS $$
DECLARE
    stream constant text := 'order-' || order_id;
    state jsonb;
    version bigint;
BEGIN
    SELECT order_state(e ORDER BY e.stream_version), max(e.stream_version)
      INTO state, version
      FROM escan(stream) AS e;
    IF version IS NULL THEN
        RAISE EXCEPTION 'order % does not exist', order_id;
    END IF;
    IF state->>'status' <> 'created' THEN
        RAISE EXCEPTION 'order % cannot be paid: it is %', order_id, state->>'status';
    END IF;
    SELECT stream_version INTO version
      FROM eappend(stream, 'PaymentProcessed',
          json_build_object('amount', state->'total_amount', 'payment_method', payment_method),
          expected_version => version);
    RETURN version;
END
$$;
