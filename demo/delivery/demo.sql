-- === Food delivery: one history, several answers ===
--
-- setup.sql has two projections: "delivery-status" keeps a state for each order,
-- "user-orders" one for each user.  Both are computed from the same events.
-- Nothing runs the projections yet.

-- === An order is placed ===
SELECT emit('OrderCreated', '{"order_id": "A", "user_id": 7, "restaurant_id": 3,
                              "delivery_code": "42", "items": {"pizza": 2}}', '2026-03-01 18:00+00') AS version;
-- You can ask for the state although no projection has run:
-- eproject() also folds in the events that are not handled yet.
SELECT * FROM summary('A');
-- The stored state is older: there is none yet.
SELECT key, state FROM estates('delivery-status');

-- === The customer pays.  This projection ignores payments ===
SELECT emit('PaymentInitiated', '{"order_id": "A", "card": "1111"}', '2026-03-01 18:01+00') AS version;
SELECT emit('PaymentFailed', '{"order_id": "A", "reason": "card expired"}', '2026-03-01 18:01+00') AS version;
SELECT emit('PaymentInitiated', '{"order_id": "A", "card": "2222"}', '2026-03-01 18:02+00') AS version;
SELECT emit('PaymentConfirmed', '{"order_id": "A"}', '2026-03-01 18:02+00') AS version;
SELECT * FROM summary('A');

-- === The restaurant accepts, the deliverer collects ===
SELECT emit('OrderAccepted', '{"order_id": "A", "restaurant_id": 3, "prepare_minutes": 10}',
            '2026-03-01 18:05+00') AS version;
SELECT * FROM summary('A');
SELECT emit('DeliveryStarted', '{"order_id": "A", "deliverer_id": 9}', '2026-03-01 18:20+00') AS version;
SELECT * FROM summary('A');

-- === Now the projections run ===
-- Each handles only the events that match its filter.  (Runners, or a cron job, do this for you.)
SELECT run_projections() \g /dev/null
SELECT projection, processed FROM event_projections() ORDER BY projection;
-- Stored states are rows: they are cheap to read, and show the last run.
SELECT key AS "order", state FROM estates('delivery-status');

-- === It arrives: the stored state, and the answer of eproject() ===
SELECT emit('DeliveryCompleted', '{"order_id": "A", "delivery_code": "42"}', '2026-03-01 18:40+00') AS version;
SELECT emit('OrderDelivered', '{"order_id": "A"}', '2026-03-01 18:41+00') AS version;
SELECT state->>'status' AS stored, eproject('delivery-status', 'A')->>'status' AS asked
  FROM estates('delivery-status') WHERE key = 'A';

-- === By user ===
SELECT emit('OrderCreated', '{"order_id": "B", "user_id": 8, "restaurant_id": 3, "delivery_code": "07"}',
            '2026-03-02 12:00+00') AS version;
SELECT emit('OrderCreated', '{"order_id": "C", "user_id": 7, "restaurant_id": 5, "delivery_code": "99"}',
            '2026-03-02 12:30+00') AS version;
SELECT eproject('user-orders', '7') AS "user 7", eproject('user-orders', '8') AS "user 8";
SELECT run_projections() \g /dev/null
SELECT key AS "user", state FROM estates('user-orders') ORDER BY key;
SELECT key AS "order", state->>'status' AS status, state->>'delivery_code' AS code
  FROM estates('delivery-status') ORDER BY key;

-- === A new question, about the past ===
-- No projection has used the payments until now.  Their events are stored all the same.
CREATE FUNCTION count_payments(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN state || jsonb_build_object(e.event_name, coalesce((state->>e.event_name)::int, 0) + 1);
SELECT create_projection('payments', 'count_payments(jsonb, sierra_event)',
                         event_names => ARRAY['PaymentFailed', 'PaymentConfirmed']) \g /dev/null
SELECT run_projections() \g /dev/null
SELECT key AS stream, state FROM estates('payments');
