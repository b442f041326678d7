-- === Food delivery: one history, several answers ===
--
-- setup.sql has two projections: "delivery-status" keeps a state for each order,
-- "user-orders" one for each user.  Both take them from the same events.
-- Nothing runs them yet.

-- === An order is placed ===
SELECT emit('OrderCreated', '{"order_id": "A", "user_id": 7, "restaurant_id": 3,
                              "delivery_code": "42", "items": {"pizza": 2}}', '2026-03-01 18:00+00') AS version;
-- Ask for the state, and it is there, though no projection has run:
-- eproject() folds in what is not handled yet.
SELECT * FROM summary('A');
-- What is stored is older: nothing so far.
SELECT key, state FROM estates('delivery-status');

-- === It is paid for.  This projection takes no notice of payments ===
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
-- Each takes only events that it has asked for.  (Runners, or a job, do this for you.)
SELECT run_projections() \g /dev/null
SELECT projection, processed FROM event_projections() ORDER BY projection;
-- States are rows: cheap to read, and as of the last run.
SELECT key AS "order", state FROM estates('delivery-status');

-- === It arrives: stored and asked ===
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
-- Nobody has asked about payments so far.  The events are there all the same.
CREATE FUNCTION count_payments(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN state || jsonb_build_object(e.event_name, coalesce((state->>e.event_name)::int, 0) + 1);
SELECT create_projection('payments', 'count_payments(jsonb, sierra_event)',
                         event_names => ARRAY['PaymentFailed', 'PaymentConfirmed']) \g /dev/null
SELECT run_projections() \g /dev/null
SELECT key AS stream, state FROM estates('payments');
