-- A live consumer keeps a table of orders up to date; demo.sql runs this.

\ir read-model.sql

\echo
\echo '=== A subscription, and a consumer that runs in the background ==='
\echo

SELECT esub('order-summary', streams => ARRAY['order-*'], start_from => 'earliest') AS cursor \gset
\echo the subscription begins at cursor :cursor
\set consumer `./consumer.sh`
\echo the consumer runs as process :consumer
SELECT CASE WHEN ewait('order-summary', ehead()) THEN 'it has' ELSE 'it has not' END AS answer \gset
\echo :answer caught up with the store; its table of orders:
\echo

SELECT left(order_id, 8) || '...' AS "order", customer_id, status, total_amount, events
  FROM order_summary ORDER BY customer_id;

\echo '=== Orders come in, and the table follows: read your writes ==='
\echo

SELECT create_order('customer-789', '[{"item_id": "desk", "quantity": 1, "price": 210}]') AS third_id \gset
\set third order- :third_id
SELECT add_item(:'third_id', 'lamp', 2, 40, esver(:'third')) \g /dev/null
SELECT pay_order(:'other_id', 'invoice') \g /dev/null
SELECT global_position AS "position" FROM escan(:'other', backward => true, max_count => 1) \gset
\echo the last append got position :position; waiting until the consumer has processed it
SELECT CASE WHEN ewait('order-summary', :position) THEN 'it has:' ELSE 'it has not:' END AS answer \gset
\echo :answer
\echo

SELECT left(order_id, 8) || '...' AS "order", customer_id, status, total_amount, events
  FROM order_summary ORDER BY customer_id;

\echo '=== The consumer is killed in the middle of its work ==='
\echo

SELECT last_value AS taken_up FROM events_taken_up \gset
SELECT count(create_order('customer-' || n, '[{"item_id": "mug", "quantity": 1, "price": 8}]')) AS orders
  FROM generate_series(1000, 1119) AS n \gset
\echo :orders orders come in at once; the consumer takes them in batches of 50
SELECT set_config('demo.until', (:taken_up + 55)::text, false) \g /dev/null
DO $$
BEGIN
    FOR i IN 1 .. 6000 LOOP
        EXIT WHEN (SELECT last_value FROM events_taken_up) >= current_setting('demo.until')::bigint;
        PERFORM pg_sleep(0.01);
    END LOOP;
END
$$;
\setenv CONSUMER :consumer
\! kill -9 "$CONSUMER"
\echo kill -9 :consumer
\echo
-- Its session notices this when it sends an answer, and rolls back.
DO $$
BEGIN
    FOR i IN 1 .. 6000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'consumer');
        PERFORM pg_sleep(0.01);
        PERFORM pg_stat_clear_snapshot();
    END LOOP;
END
$$;

SELECT last_value - :taken_up AS "events taken up",
       (SELECT count(*) FROM order_summary WHERE total_amount = 8) AS "done and acknowledged"
  FROM events_taken_up;

SELECT last_value - :taken_up > (SELECT count(*) FROM order_summary WHERE total_amount = 8) AS interrupted
  FROM events_taken_up \gset
\if :interrupted
    \echo 'The work of its current batch was rolled back.  Its state now:'
\else
    \echo 'It had just acknowledged a batch.  Its state now:'
\endif
\echo

SELECT subscription, state, lag_events, window_used, cursor, retrying, parked
  FROM event_subscriptions();

\echo '=== Started again, it continues where it was: nothing is lost, nothing is done twice ==='
\echo

\set consumer `./consumer.sh`
\echo the consumer runs as process :consumer
\echo
SELECT ewait('order-summary', ehead(), '1 minute') \g /dev/null
SELECT last_value - :taken_up AS "events taken up",
       (SELECT count(*) FROM order_summary WHERE total_amount = 8) AS "done and acknowledged"
  FROM events_taken_up;
SELECT subscription, state, lag_events, window_used, cursor, retrying, parked
  FROM event_subscriptions();
\setenv CONSUMER :consumer
\! kill "$CONSUMER"

-- Checks the result: the table equals the result of folding every order.
DO $$
BEGIN
    ASSERT (SELECT count(*) FROM order_summary) = 123, 'orders are missing';
    ASSERT NOT EXISTS (
        SELECT FROM (SELECT substr(e.stream_id, length('order-') + 1) AS order_id, count(*) AS events,
                            order_state(e ORDER BY e.stream_version) AS state
                       FROM eall(max_count => NULL) AS e GROUP BY e.stream_id) AS o
          FULL JOIN order_summary AS s USING (order_id)
         WHERE (o.events, o.state) IS DISTINCT FROM (s.events, s.state)), 'the table is wrong';
    ASSERT (SELECT state FROM event_subscriptions()) = 'caught up', 'the consumer is behind';
END
$$;
\echo 'The table of orders equals the result of folding all events.'
