-- consumer groups: partitions are leased, shared evenly, and fenced
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- positions 0 to 11: a (partition 0), e (1), d (2), f (3) in turn
SELECT count(*) FROM generate_series(0, 11) AS n, LATERAL eappend((ARRAY['a', 'e', 'd', 'f'])[n % 4 + 1], 'x');
CREATE FUNCTION next(consumer text, max_count int DEFAULT 100, after bigint DEFAULT NULL, subscription text DEFAULT 's') RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(format('%s:%s/%s', global_position, stream_id, stream_version), ' ') FROM enext($4, $2, after => $3, consumer => $1) $$;
CREATE FUNCTION shares(subscription text DEFAULT 's') RETURNS text LANGUAGE sql STABLE AS
    $$ SELECT string_agg(format('%s %s', consumer, partitions), ', ' ORDER BY consumer) FROM event_consumers() WHERE event_consumers.subscription = $1 $$;

-- The first consumer makes the subscription a group: one cursor becomes one for each partition.
SELECT esub('s', start_from => 'earliest');
SELECT eack('s', 1);
SELECT partition_id, cursor, consumer FROM es.subscription_cursors;
SELECT count(*) FROM event_leases();
SELECT next('a', 3);
SELECT partition_id, cursor, lag_events, consumer, epoch FROM event_leases();
SELECT consumer, partitions, acknowledged, delivered, alive, joined_at <= seen_at AS seen FROM event_consumers();
-- From now on each call names its consumer.
SELECT enext('s');
:sqlstate
SELECT eack('s', 2);
:sqlstate
SELECT enack('s', 2);
:sqlstate

-- Called again it returns the same; after fetches ahead.
SELECT next('a', 3);
SELECT next('a', 3, 4);
SELECT eack('s', 3, 'a');
SELECT partition_id, cursor, lag_events FROM event_leases();

-- Another joins: it waits until the first has no open events.
SELECT next('b') IS NULL AS nothing_yet;
SELECT shares();
SELECT next('a', 2);
SELECT shares();
SELECT eack('s', 7, 'a');
SELECT shares();
SELECT next('a', 100, 7);
SELECT shares() AS who_fetches_ahead_keeps_leases;
SELECT eack('s', 11, 'a');
-- The call that gives up leases may return nothing; the next one finds the remaining share.
SELECT next('a') IS NULL AS gave;
SELECT shares();
SELECT next('b') IS NULL AS got;
SELECT shares();
SELECT partition_id, consumer, epoch FROM event_leases();
-- Each gets the events of its own partitions only, and no stream is delivered to two consumers.
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e', 'd', 'f', 'a', 'f'], ARRAY['x', 'x', 'x', 'x', 'x', 'x']);
SELECT next('a');
SELECT next('b');
-- An acknowledgement moves the cursors of the own partitions only.
SELECT eack('s', 16, 'a');
SELECT partition_id, cursor, consumer FROM event_leases();
SELECT eack('s', 17, 'b');
SELECT partition_id, cursor, consumer FROM event_leases();
SELECT next('a') IS NULL AND next('b') IS NULL AS caught_up;

-- Shares differ by at most one: three consumers of four partitions, then five.
SELECT count(*) FROM enext('s', consumer => 'c');
SELECT next('a') IS NULL AS kept, next('b') IS NULL AS gave;
SELECT count(*) FROM enext('s', consumer => 'c');
SELECT shares();
SELECT count(*) FROM enext('s', consumer => 'd') UNION ALL SELECT count(*) FROM enext('s', consumer => 'e');
SELECT count(*) FROM generate_series(1, 2), unnest(ARRAY['a', 'b', 'c', 'd', 'e']) AS c, LATERAL enext('s', consumer => c);
SELECT shares();
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e', 'd', 'f'], ARRAY['x', 'x', 'x', 'x']);
SELECT c, next(c) FROM unnest(ARRAY['a', 'b', 'c', 'd', 'e']) AS c;
-- The one without a share has nothing to acknowledge.
SELECT eack('s', 18, 'e');
:sqlstate
SELECT eack('s', -1, 'e');
SELECT enext('s', after => 17, consumer => 'e');
:sqlstate

-- leaving: others take over at once, from what was acknowledged
SELECT eack('s', 18, 'a');
SELECT eleave('s', 'd'), eleave('s', 'd') AS again, eleave('s', 'nobody') AS never_there;
SELECT partition_id, cursor, consumer, epoch FROM event_leases() WHERE consumer IS NULL;
SELECT next('e');
SELECT shares();
-- a consumer that left is not a member: its acknowledgement fails, whatever the position
SELECT eack('s', 21, 'd');
:sqlstate
SELECT eack('s', 0, 'd');
:sqlstate
SELECT enack('s', 21, consumer => 'd');
:sqlstate
SELECT enext('s', after => 20, consumer => 'd');
:sqlstate
SELECT eack('s', 19, 'e');
SELECT eack('s', 21, 'c');
SELECT eack('s', 20, 'b');
SELECT eleave('s', 'b'), eleave('s', 'c'), eleave('s', 'e');
SELECT next('a') IS NULL AS nothing_is_left;
SELECT shares();
SELECT partition_id, cursor, consumer FROM event_leases();

-- No sign of life for the lease time: the next call of any other member takes the leases.
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e', 'd', 'f'], ARRAY['x', 'x', 'x', 'x']);
SELECT next('a', 2);
UPDATE es.subscription_consumers SET seen_at = seen_at - interval '31 seconds' WHERE consumer = 'a';
SELECT consumer, alive FROM event_consumers();
SELECT consumers FROM event_subscriptions();
SELECT next('b');
SELECT shares();
-- The old one comes back: it can no longer acknowledge what was delivered to it.
SELECT eack('s', 23, 'a');
:sqlstate
SELECT enack('s', 22, consumer => 'a');
:sqlstate
SELECT enext('s', after => 23, consumer => 'a');
:sqlstate
SELECT partition_id, cursor, consumer FROM event_leases();
-- It joins again, and gets no event that is open at the other one; its old events are not its own
-- now.
SELECT next('a') IS NULL AS nothing_yet;
SELECT shares();
SELECT eack('s', 22, 'a');
:sqlstate
SELECT eack('s', 25, 'b');
SELECT next('b') IS NULL AS gave;
SELECT next('a') IS NULL AS got;
SELECT shares();
-- An acknowledgement and a call are both signs of life.
UPDATE es.subscription_consumers SET seen_at = seen_at - interval '31 seconds';
SELECT eack('s', 25, 'b');
SELECT consumer, alive FROM event_consumers();
SELECT count(*) FROM enext('s', consumer => 'a');
SELECT consumer, alive FROM event_consumers();

-- epsub(): the partitions that it wants are shared, no others
SELECT epsub('p', ARRAY[1, 3], 'earliest');
SELECT next('a', 2, subscription => 'p');
SELECT partition_id, consumer FROM event_leases() WHERE subscription = 'p';
SELECT eack('p', 3, 'a');
SELECT next('b', subscription => 'p') IS NULL AS nothing_yet;
SELECT next('a', subscription => 'p');
SELECT next('b', subscription => 'p');
SELECT shares('p');

-- A filter, a start and a window hold in a group too; the window is each consumer's.
SELECT esub('f', ARRAY['a', 'd'], start_from => '4', window_size => 2);
SELECT next('a', subscription => 'f');
SELECT next('a', 100, 6, 'f');
SELECT next('a', 100, 8, 'f') IS NULL AS full;
-- Names of consumers are compared byte by byte.
SELECT count(*) FROM enext('f', consumer => 'A') UNION ALL SELECT count(*) FROM enext('f', consumer => 'a ');
SELECT shares('f');
SELECT eack('f', 6, 'A');
:sqlstate

-- A call that is rolled back gives no lease.
SELECT esub('undone', start_from => 'earliest');
BEGIN;
SELECT next('a', 1, subscription => 'undone');
SELECT shares('undone');
ROLLBACK;
SELECT shares('undone') IS NULL AS no_group;
SELECT global_position FROM enext('undone', 1);
-- Without a consumer there is no group.
SELECT eack('undone', 0, 'a');
:sqlstate
SELECT enack('undone', 0, consumer => 'a');
:sqlstate
SELECT eleave('undone', 'a');
-- Dropping it drops the group.
SELECT eunsub('s');
SELECT count(*) FROM event_consumers() WHERE subscription = 's';
SELECT count(*) FROM event_leases() WHERE subscription = 's';

DROP FUNCTION next, shares;
SELECT drop_event_store('es', force => true);
