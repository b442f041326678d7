-- Checks the results that the demo has shown.
DO $$
DECLARE
    state jsonb := (SELECT l.state FROM eload('order', 'order-1001') AS l);
BEGIN
    ASSERT state->>'status' = 'shipped' AND (state->>'total')::numeric = 1119.92, state;
    ASSERT state->'items' ?& ARRAY['laptop', 'mouse', 'keyboard', 'cable'], state;
    ASSERT (SELECT array_agg(event_name ORDER BY stream_version) FROM escan('order-1001')) =
           '{OrderCreated,ItemAdded,ItemAdded,ItemRemoved,ItemAdded,ItemAdded,PaymentProcessed,OrderShipped}',
           'the order was paid or shipped when it must not be';
    -- The read model equals the result of folding each stream.
    ASSERT (SELECT count(*) FROM order_list) = 2 AND NOT EXISTS (
        SELECT FROM order_list AS o, eload('order', 'order-' || order_id) AS l
         WHERE (o.status, o.customer_id, o.events)
               IS DISTINCT FROM (l.state->>'status', l.state->>'customer_id', l.version + 1)), 'the list is wrong';
    ASSERT NOT EXISTS (SELECT FROM everify()), 'the store is damaged';
END
$$;
