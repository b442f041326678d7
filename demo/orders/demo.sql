-- === An order system ===
--
-- setup.sql defines what an order is (apply_order, a fold) and its commands
-- (decide_order), and keeps a list of all orders (a projection).  Each command below
-- appends one event to the stream of the order, and returns its version.
--
-- In another terminal, a client follows the orders; it is client.py.
SELECT esub('screen', streams => ARRAY['order-*'], start_from => 'earliest');
\! ./client.py &

-- === Create an order, put items into it ===
SELECT create_order('1001', 'customer-123');
-- ewait() waits until the client has acknowledged what there is now.
SELECT ewait('screen', ehead(), '20 seconds');
SELECT add_item('1001', 'laptop', 1, 999.99);
SELECT add_item('1001', 'mouse', 2, 29.99);
SELECT remove_item('1001', 'mouse', 1);

-- The current state is the fold of the stream; the version says which events it includes.
SELECT jsonb_pretty(state) AS state, version FROM eload('order', 'order-1001');

-- === Two people change one order ===
-- You have seen the order at this version ...
SELECT esver('order-1001') AS seen \gset
-- ... and while you think, somebody else adds a keyboard:
\! psql -X -q -c "SELECT add_item('1001', 'keyboard', 1, 79.99)"
-- So your append, which says which version you have seen, is refused; nothing was changed.
SELECT stream_version
  FROM eappend('order-1001', 'ItemRemoved', '{"item_id": "laptop", "quantity": 1}', expected_version => :seen);
-- Commands handle this by themselves: edecide() appends, expecting the version that it has
-- loaded.  If that is refused, it loads and decides again.
SELECT add_item('1001', 'cable', 1, 9.95);

-- The command wants to remove more than there is: it is refused, and there is no event.
SELECT remove_item('1001', 'mouse', 5);

-- === Pay and ship, but in this order, and once ===
SELECT ship_order('1001', 'TRACK-1');
SELECT pay_order('1001', 'credit_card');
SELECT pay_order('1001', 'credit_card');
SELECT add_item('1001', 'gold bar', 1, 60000);
SELECT ship_order('1001', 'TRACK-1');
SELECT state->>'status' AS status, state->'total' AS total FROM eload('order', 'order-1001');

-- === History: every version is still there ===
SELECT stream_version AS version, event_name, payload FROM escan('order-1001');
-- What did the order look like before the payment?
SELECT v AS version, state->>'status' AS status, state->'total' AS total
  FROM generate_series(0, esver('order-1001')) AS v, eload('order', 'order-1001', at_version => v);

-- === The list of orders ===
SELECT create_order('1002', 'customer-456');
SELECT add_item('1002', 'webcam', 1, 49.95);
-- Projections do not run alone: runners, a cron job, or you run them.
SELECT run_projections() \g /dev/null
-- In any case you can wait until the list contains everything up to now.
SELECT ewait_projection('order-list', ehead(), '10 seconds');
SELECT * FROM order_list ORDER BY order_id;

-- === The client has seen it all, as it happened ===
SELECT ewait('screen', ehead(), '20 seconds');
-- The client ends when its subscription is dropped.
SELECT eunsub('screen') \g /dev/null
