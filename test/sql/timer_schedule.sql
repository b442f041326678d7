-- eschedule(), ecancel(), event_timers()
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT create_event_store('es', 4);
\set t1 00000000-0000-4000-8000-000000000001
\set t2 00000000-0000-4000-8000-000000000002

SELECT eschedule('2100-01-01', 'order-1', 'PaymentTimedOut') IS NOT NULL AS scheduled;
SELECT eschedule('2099-01-01', 'order-1', 'Reminded', '{ "n":1,"n": 2 }', '{"by" : "timer"}', 'tenant', timer_id => :'t1');
SELECT eschedule('2020-01-01 12:00+00', 'scan', 'Scanned', payload_bytes => '\x00ff', timer_id => :'t2');
SELECT due_at, state, stream_id, event_name, overdue > '1 year' AS overdue, attempts, run_at, last_error, created_at <= now() + '1 minute' AS created
  FROM event_timers();
SELECT stream_id, event_name, payload, payload_bytes, metadata, partition_key FROM es.timers ORDER BY due_at;
-- The id of a timer leads to the partition of its stream, as an event's id does.
SELECT sierra_partition_id(timer_id, 4) = sierra_partition_id(sierra_stream_key('order-1'), 4) AS leads
  FROM event_timers() WHERE event_name = 'PaymentTimedOut';

-- The same id and content again: no effect.  Other content: an error.
SELECT eschedule('2099-01-01', 'order-1', 'Reminded', '{ "n":1,"n": 2 }', '{"by" : "timer"}', 'tenant', timer_id => :'t1');
SELECT count(*) FROM es.timers;
CREATE TABLE calls (n int, call text);
INSERT INTO calls VALUES
    (1, $$SELECT eschedule('2099-01-02', 'order-1', 'Reminded', '{ "n":1,"n": 2 }', '{"by" : "timer"}', 'tenant', NULL, '00000000-0000-4000-8000-000000000001')$$),
    (2, $$SELECT eschedule('2099-01-01', 'order-2', 'Reminded', '{ "n":1,"n": 2 }', '{"by" : "timer"}', 'tenant', NULL, '00000000-0000-4000-8000-000000000001')$$),
    (3, $$SELECT eschedule('2099-01-01', 'order-1', 'Other', '{ "n":1,"n": 2 }', '{"by" : "timer"}', 'tenant', NULL, '00000000-0000-4000-8000-000000000001')$$),
    (4, $$SELECT eschedule('2099-01-01', 'order-1', 'Reminded', '{"n":1,"n": 2}', '{"by" : "timer"}', 'tenant', NULL, '00000000-0000-4000-8000-000000000001')$$),
    (5, $$SELECT eschedule('2099-01-01', 'order-1', 'Reminded', '{ "n":1,"n": 2 }', NULL, 'tenant', NULL, '00000000-0000-4000-8000-000000000001')$$),
    (6, $$SELECT eschedule('2099-01-01', 'order-1', 'Reminded', '{ "n":1,"n": 2 }', '{"by" : "timer"}', NULL, NULL, '00000000-0000-4000-8000-000000000001')$$),
    (7, $$SELECT eschedule('2020-01-01 12:00+00', 'scan', 'Scanned', payload_bytes => '\x00fe', timer_id => '00000000-0000-4000-8000-000000000002')$$);
INSERT INTO calls VALUES
    (8, $$SELECT eschedule('2099-01-01', 'order-1', 'Reminded', '{ "n":1,"n": 2 }', '{"by" : "timer"}', 'tenant', NULL, '00000000-0000-4000-8000-000000000001', '{a}')$$),
    (9, $$SELECT eschedule('2099-01-01', 'order-1', 'Reminded', '{ "n":1,"n": 2 }', '{"by" : "timer"}', 'tenant', NULL, '00000000-0000-4000-8000-000000000001', '{}')$$),
    (10, $$SELECT eschedule('2098-01-01', 'order-1', 'Tagged', timer_id => '00000000-0000-4000-8000-000000000004', tags => '{order:1,a b}')$$),
    (11, $$SELECT eschedule('2098-01-01', 'order-1', 'Tagged', timer_id => '00000000-0000-4000-8000-000000000004', tags => '[3:4]={order:1,a b}')$$),
    (12, $$SELECT eschedule('2098-01-01', 'order-1', 'Tagged', timer_id => '00000000-0000-4000-8000-000000000004', tags => '{a b,order:1}')$$),
    (13, $$SELECT eschedule('2098-01-01', 'order-1', 'Tagged', timer_id => '00000000-0000-4000-8000-000000000004')$$);
CREATE FUNCTION outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE call;
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT n, outcome(call) FROM calls ORDER BY n;
SELECT eschedule('2020-01-01', 'scan', 'Scanned', payload_bytes => '\x00ff', timer_id => :'t2');
:sqlstate

-- A timer that ran is still known by its event.
SELECT run_timers();
SELECT stream_id, stream_version, event_id, event_name, payload_bytes FROM escan('scan');
SELECT eschedule('2020-01-01 12:00+00', 'scan', 'Scanned', payload_bytes => '\x00ff', timer_id => :'t2');
SELECT outcome(call) FROM calls WHERE n = 7;
-- Its tags count as the rest does.
UPDATE es.timers SET run_at = now() - interval '1 day' WHERE tags IS NOT NULL;
SELECT run_timers();
SELECT event_id, tags FROM escan('order-1') WHERE event_name = 'Tagged';
SELECT n, outcome(call) FROM calls WHERE n BETWEEN 10 AND 13 ORDER BY n;
SELECT eschedule('2099-01-01', 'order-1', 'x', timer_id => event_id) FROM eappend('order-1', 'y', event_id => '00000000-0000-4000-8000-000000000003');
:sqlstate
SELECT count(*) FROM es.timers;

-- A cancelled timer is removed; its id may be used again.
SELECT ecancel(:'t1'), ecancel(:'t1'), ecancel(:'t2'), ecancel(NULL);
SELECT eschedule('2099-01-02', 'order-1', 'Other', timer_id => :'t1');
SELECT event_name FROM event_timers('es');
-- Scheduling and cancelling are part of the transaction.
BEGIN;
SELECT ecancel(:'t1');
SELECT eschedule(now(), 'order-1', 'Never') IS NOT NULL AS scheduled;
SELECT event_name FROM event_timers();
ROLLBACK;
SELECT event_name FROM event_timers();

-- Arguments that an append would refuse are refused at once.
SELECT eschedule(NULL, 'a', 'x');
:sqlstate
SELECT eschedule(now(), NULL, 'x');
:sqlstate
SELECT eschedule(now(), 'a', NULL);
:sqlstate
SELECT eschedule('infinity', 'a', 'x');
:sqlstate
SELECT eschedule(now(), '', 'x');
:sqlstate
SELECT eschedule(now(), 'a', E'x\n');
:sqlstate
SELECT eschedule(now(), 'a', 'x', '{}', payload_bytes => '\x00');
:sqlstate
SELECT eschedule(now(), 'a', 'x', partition_key => '');
:sqlstate
SELECT eschedule(now(), 'a', 'x', tags => ARRAY['a', NULL]);
:sqlstate
SELECT eschedule(now(), 'a', 'x', tags => ARRAY['a', 'b', 'a']);
:sqlstate
SELECT eschedule(now(), 'a', 'x', tags => ARRAY['']);
:sqlstate
SELECT event_timers('none');
:sqlstate

-- rights
CREATE ROLE regress_sierra_timer;
GRANT USAGE ON SCHEMA es TO regress_sierra_timer;
SET ROLE regress_sierra_timer;
SELECT outcome($$SELECT eschedule(now(), 'a', 'x')$$), outcome($$SELECT ecancel(gen_random_uuid())$$), outcome($$SELECT run_timers()$$);
RESET ROLE;
GRANT INSERT ON es.timers TO regress_sierra_timer;
SET ROLE regress_sierra_timer;
SELECT outcome($$SELECT eschedule(now() + '1 hour', 'a', 'x')$$), outcome($$SELECT eschedule(now() + '1 hour', 'a', 'x', timer_id => gen_random_uuid())$$);
RESET ROLE;
GRANT SELECT, DELETE ON es.timers TO regress_sierra_timer;
SET ROLE regress_sierra_timer;
SELECT outcome($$SELECT ecancel(eschedule(now(), 'a', 'x'))$$), outcome($$SELECT eschedule(now() - interval '1 day', 'a', 'x')$$);
SELECT outcome($$SELECT run_timers()$$);
RESET ROLE;
GRANT UPDATE ON es.timers TO regress_sierra_timer;
SET ROLE regress_sierra_timer;
SELECT outcome($$SELECT run_timers()$$);
RESET ROLE;
GRANT INSERT ON es.events TO regress_sierra_timer;
SET ROLE regress_sierra_timer;
-- Everybody may call what run_timers() calls; so that checks what it gets.
SELECT outcome($$SELECT sierra_internal.lock_streams('{a, NULL}', '{NULL, NULL}', '{}')$$), outcome($$SELECT sierra_internal.lock_streams('{a}', '{NULL, b}', '{}')$$);
SELECT outcome($$SELECT sierra_internal.lock_streams('{a}', '{NULL}', '{x, NULL}')$$);
-- More tags than one event can have: those of all timers of a call.
BEGIN;
SELECT sierra_internal.lock_streams('{a}', '{NULL}', (SELECT array_agg('t' || n) FROM generate_series(1, 40) AS n));
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1512 AND pid = pg_backend_pid();
ROLLBACK;
SELECT run_timers();
RESET ROLE;
SELECT event_name FROM escan('a');

SELECT drop_event_store('es', force => true);
DROP TABLE calls;
DROP FUNCTION outcome;
DROP ROLE regress_sierra_timer;
