-- Order management on an event store, for psql; demo/consumer/run or scripts/demo runs it.
--
-- Every change of an order is an event in the order's stream.  The state of an
-- order is the result of folding its events.  Then a consumer keeps a table of all
-- orders up to date.

\set ON_ERROR_STOP on
\pset footer off
\pset pager off
SET client_min_messages = warning;
SET timezone = 'UTC';

\echo
\echo '=== A store ==='
\echo

CREATE EXTENSION sierra_es;
SELECT create_event_store() \g /dev/null
SELECT store, partitions, events FROM event_stores();

\ir order-functions.sql

\echo '=== Two orders ==='
\echo

SELECT create_order('customer-123') AS order_id \gset
SELECT create_order('customer-456', '[{"item_id": "webcam", "quantity": 2, "price": 49.50}]') AS other_id \gset
\set stream order- :order_id
\set other order- :other_id
SELECT esver(:'stream') AS version, esver(:'other') AS other_version \gset
\echo order :order_id created at version :version
\echo order :other_id created at version :other_version

\echo
\echo '=== Items: each append says which version of the order it has seen ==='
\echo

SELECT add_item(:'order_id', 'laptop', 1, 999.99, esver(:'stream')) AS version \gset
\echo laptop added at version :version
SELECT add_item(:'order_id', 'mouse', 1, 29.99, esver(:'stream')) AS version \gset
\echo mouse added at version :version

\echo
\echo '=== A conflict: two sessions change the order at the same time ==='
\echo

SELECT esver(:'stream') AS seen \gset
\echo session 1 sees the order at version :seen
-- The second session runs in another process.
\setenv ORDER_ID :order_id
\! psql -X -q -v ON_ERROR_STOP=1 -f second-session.sql
\echo session 1 adds a keyboard, and expects version :seen still:
\echo
\set ON_ERROR_STOP off
SELECT add_item(:'order_id', 'keyboard', 1, 79.99, :seen);
\set failure :LAST_ERROR_SQLSTATE
\set ON_ERROR_STOP on
SELECT :'failure' = 'SE001' AS refused \gset
\if :refused
    \echo
    \echo SQLSTATE :failure: session 1 reads the order again, and retries
    SELECT esver(:'stream') AS seen \gset
    \echo session 1 sees the order at version :seen
    SELECT add_item(:'order_id', 'keyboard', 1, 79.99, :seen) AS version \gset
    \echo keyboard added at version :version
\else
    DO $$ BEGIN RAISE 'the second session caused no conflict'; END $$;
\endif

\echo
\echo '=== Payment: the state decides what is to be paid ==='
\echo

SELECT pay_order(:'order_id', 'credit_card') AS version \gset
\echo payment processed at version :version
SELECT remove_item(:'other_id', 'webcam', 1, esver(:'other')) AS version \gset
\echo one webcam taken from the other order at version :version

\echo
\echo '=== The state of the order, folded from its stream ==='
\echo

\t on
\pset format unaligned
SELECT jsonb_pretty(order_state(e ORDER BY e.stream_version)) FROM escan(:'stream') AS e;
\pset format aligned
\t off

\echo
\echo '=== The same as of earlier versions ==='
\echo

SELECT v AS version, s.state->>'status' AS status, s.state->'total_amount' AS total_amount
  FROM generate_series(0, esver(:'stream')) AS v
 CROSS JOIN LATERAL (SELECT order_state(e ORDER BY e.stream_version) AS state
                       FROM escan(:'stream', to_version => v) AS e) AS s;

\echo '=== The history of the order; times are Unix milliseconds ==='
\echo

SELECT stream_version AS version, event_name,
       floor(extract(epoch FROM "timestamp") * 1000)::bigint AS "timestamp", payload
  FROM escan(:'stream');

\echo '=== Everything that happened in the store, in order ==='
\echo

SELECT global_position, partition_id AS partition, partition_sequence AS sequence,
       left(stream_id, 14) || '...' AS stream, stream_version AS version, event_name
  FROM eall();

-- Checks the results that the demo has shown.
SELECT set_config('demo.stream', :'stream', false) \g /dev/null
DO $$
DECLARE
    stream constant text := current_setting('demo.stream');
    state jsonb;
BEGIN
    SELECT order_state(e ORDER BY e.stream_version) INTO state FROM escan(stream) AS e;
    ASSERT state->>'status' = 'paid' AND state->'total_amount' = '1159.96', state;
    ASSERT (SELECT array_agg(stream_version ORDER BY stream_version) FROM escan(stream))
           = '{0,1,2,3,4,5}', 'the versions of the order have gaps';
    ASSERT NOT EXISTS (SELECT FROM everify()), 'the store is damaged';
END
$$;
\echo 'everify() found nothing wrong.'

\ir subscription.sql
