-- the views of subscriptions: event_subscriptions(), event_consumers(), event_leases(),
-- event_failures(), epeek(), ehead()
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT ehead();
SELECT (SELECT count(*) FROM event_subscriptions()) AS subscriptions, (SELECT count(*) FROM event_consumers()) AS consumers,
       (SELECT count(*) FROM event_leases()) AS leases, (SELECT count(*) FROM event_failures()) AS failures;
-- positions 0 to 7: a (partition 0), e (1), d (2), f (3) in turn; the older half is an hour old
SELECT count(*) FROM generate_series(0, 7) AS n,
       LATERAL eappend((ARRAY['a', 'e', 'd', 'f'])[n % 4 + 1], 'E' || n, "timestamp" => CASE WHEN n < 4 THEN now() - interval '1 hour' END);
SELECT ehead();
-- A position that was rolled back is not the end.
BEGIN;
SELECT global_position FROM eappend('a', 'undone');
SELECT ehead();
ROLLBACK;
SELECT ehead() >= 7 AND NOT EXISTS (SELECT FROM es.events WHERE global_position > 7) AS nothing_above;

-- A new one: its definition, and how far it is behind.
SELECT esub('all', start_from => 'earliest');
SELECT esub('orders', ARRAY['order-*'], ARRAY['Placed', 'Paid'], window_size => 7, tags => '{customer:1,b}');
SELECT epsub('two', ARRAY[1, 3], 'earliest', window_size => 3);
SELECT subscription, state, lag_events, window_used, window_size, cursor, consumers, retrying, parked FROM event_subscriptions();
SELECT subscription, streams, event_names, tags, partitions, acknowledged_at, last_error, last_error_at FROM event_subscriptions();
SELECT subscription, lag BETWEEN interval '1 hour' AND interval '2 hours' AS lag, created_at <= clock_timestamp() AS created FROM event_subscriptions();
-- lag_events counts all events beyond the cursor, also those that do not match
SELECT esub('a', ARRAY['a'], start_from => 'earliest');
SELECT lag_events, window_used FROM event_subscriptions() WHERE subscription = 'a';

-- as it moves
SELECT eack('all', 3);
SELECT subscription, state, lag_events, window_used, cursor, lag < interval '1 minute' AS little, acknowledged_at > created_at AS acknowledged
  FROM event_subscriptions() WHERE subscription = 'all';
SELECT eack('all', 7);
SELECT state, lag_events, lag, window_used, cursor FROM event_subscriptions() WHERE subscription = 'all';
-- stuck: there are events, and for a minute nothing was acknowledged
UPDATE es.subscriptions SET created_at = now() - interval '61 seconds' WHERE subscription IN ('a', 'two');
SELECT subscription, state FROM event_subscriptions();
SELECT eack('a', 0);
SELECT subscription, state FROM event_subscriptions() WHERE subscription = 'a';
-- ... but an event that was appended a moment ago does not make it stuck
UPDATE es.subscription_cursors SET acknowledged_at = now() - interval '1 hour' WHERE subscription = 'a';
SELECT subscription, state FROM event_subscriptions() WHERE subscription = 'a';
-- All cursors are compared with the events at once, and events are looked for only where there are some.
BEGIN;
SET LOCAL track_functions = 'all';
SELECT count(*), count(*) FILTER (WHERE lag_events > 0) AS behind FROM event_subscriptions();
SELECT funcname, calls FROM pg_stat_xact_user_functions WHERE funcname IN ('count_events_after_cursors', 'peek_subscription') ORDER BY 1;
COMMIT;

-- Failures: which events, why, how often, and how many events wait behind.
SELECT enack('two', 1, '1 hour', 'no such customer');
SELECT enack('two', 3, park => true);
SELECT state, window_used, retrying, parked, last_error, last_error_at <= clock_timestamp() AS just_now FROM event_subscriptions() WHERE subscription = 'two';
SELECT subscription, stream_id, partition_id, state, global_position, event_name, attempts, reason, waiting FROM event_failures();
SELECT f.stream_id, f.event_id = e.event_id AS right_event, retry_at - failed_at > interval '59 minutes' AS later, failed_at <= clock_timestamp() AS failed
  FROM event_failures() AS f JOIN es.events AS e ON e.global_position = f.global_position ORDER BY 1;
SELECT count(*) FROM emappend(NULL, ARRAY['e', 'e'], ARRAY['x', 'x']);
SELECT stream_id, waiting FROM event_failures();
-- An event that waits behind is not a failure, nor is a drained stream.
SELECT eretry('two', 'e');
SELECT count(*) FROM enext('two');
SELECT eack('two', 1);
SELECT subscription, stream_id, state FROM event_failures();
SELECT state, retrying, parked FROM event_subscriptions() WHERE subscription = 'two';

-- epeek() returns what enext() would return, without diverted streams.
SELECT array_agg(global_position) FROM epeek('a');
SELECT array_agg(global_position) FROM epeek('two');
SELECT array_agg(global_position) FROM epeek('orders');
SELECT esub('again', start_from => 'earliest', window_size => 3);
SELECT array_agg(global_position) FROM epeek('again');
SELECT array_agg(global_position) FROM epeek('again', 2);
SELECT (epeek('again', 1)).stream_id;
-- It needs no lease and sees the whole of a group.
SELECT count(*) FROM enext('again', 1, consumer => 'one');
SELECT array_agg(global_position) FROM epeek('again');
SELECT partition_id, cursor, lag_events, consumer, epoch, acknowledged_at FROM event_leases();
SELECT eack('again', 0, 'one');
SELECT partition_id, cursor, lag_events, consumer, acknowledged_at IS NOT NULL AS acknowledged FROM event_leases();
SELECT consumer, partitions, acknowledged, delivered, alive FROM event_consumers();
SELECT subscription, state, lag_events, window_used, cursor, consumers FROM event_subscriptions() WHERE subscription = 'again';

-- Everything is visible in a transaction that keeps its snapshot or only reads.
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SELECT (SELECT count(*) FROM event_subscriptions()) AS subscriptions, (SELECT count(*) FROM event_consumers()) AS consumers,
       (SELECT count(*) FROM event_leases()) AS leases, (SELECT count(*) FROM event_failures()) AS failures, (SELECT count(*) FROM epeek('again')) AS events;
COMMIT;
SELECT epeek('nothing');
:sqlstate

SELECT drop_event_store('es', force => true);
