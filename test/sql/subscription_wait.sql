-- waiting that ends in one session: nothing to wait for, timeouts, transactions that cannot wait
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM generate_series(0, 9) AS n, LATERAL eappend((ARRAY['a', 'e'])[n % 2 + 1], CASE n % 2 WHEN 0 THEN 'Even' ELSE 'Odd' END);
SELECT esub('s', start_from => 'earliest');
CREATE FUNCTION elapsed(statement text) RETURNS interval LANGUAGE plpgsql AS $$
DECLARE start timestamptz := clock_timestamp();
BEGIN
    EXECUTE statement;
    RETURN clock_timestamp() - start;
END
$$;

-- Existing events are returned at once.
SELECT elapsed($$SELECT enext('s', wait => '1 day')$$) < interval '10 seconds' AS at_once;
SELECT count(*) FROM enext('s', 3, wait => '1 hour');
-- A session that just got several events, but not all that it takes, rests before it looks again.
DO $$
DECLARE
    ends timestamptz;
BEGIN
    PERFORM enext('s', wait => '1 hour');
    ends := clock_timestamp();
    PERFORM enext('s', wait => '1 hour');
    ASSERT clock_timestamp() - ends >= interval '5 milliseconds', 'it looked again too soon';
END
$$;
-- It does not rest after a full page, after few events, for another subscription, or without waiting.
SELECT esub('t', start_from => 'earliest');
CREATE FUNCTION shortest(first text, second text) RETURNS interval LANGUAGE plpgsql AS $$
DECLARE
    ends timestamptz;
    shortest interval := '1 hour';
BEGIN
    FOR n IN 1..100 LOOP
        EXECUTE first;
        ends := clock_timestamp();
        EXECUTE second;
        shortest := least(shortest, clock_timestamp() - ends);
    END LOOP;
    RETURN shortest;
END
$$;
SELECT shortest($$SELECT enext('s', 5, wait => '1 hour')$$, $$SELECT enext('s', wait => '1 hour')$$) < '5 milliseconds' AS full_page,
       shortest($$SELECT enext('s', wait => '1 hour', after => 6)$$, $$SELECT enext('s', wait => '1 hour')$$) < '5 milliseconds' AS few,
       shortest($$SELECT enext('s', wait => '1 hour')$$, $$SELECT enext('t', wait => '1 hour')$$) < '5 milliseconds' AS other,
       shortest($$SELECT enext('s', wait => '1 hour')$$, $$SELECT enext('s')$$) < '5 milliseconds' AS no_wait;
SELECT eunsub('t');
DROP FUNCTION shortest(text, text);
SELECT eack('s', 9);
-- There are none: it waits as long as requested, not much longer.
SELECT elapsed($$SELECT enext('s', wait => '300 milliseconds')$$) BETWEEN interval '0.3 seconds' AND interval '10 seconds' AS waited;
SELECT count(*) FROM enext('s', wait => '10 milliseconds');
-- A group's consumer waits half the lease time at most.
SELECT esub('g', start_from => '9', lease_time => '400 milliseconds');
SELECT count(*) AS leases_changed FROM enext('g', wait => '1 day', consumer => 'a');
SELECT elapsed($$SELECT enext('g', wait => '1 day', consumer => 'a')$$) BETWEEN interval '0.2 seconds' AND interval '10 seconds' AS half_of_it;

-- A transaction that keeps its snapshot can look, but cannot wait.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM enext('s');
SELECT enext('s', wait => '1 second');
:sqlstate
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT enext('s', wait => '1 second');
:sqlstate
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT ewait('s', 9, '0');
SELECT ewait('s', 9, '1 second');
:sqlstate
ROLLBACK;
-- a read-only transaction can ask, but not consume
BEGIN READ ONLY;
SELECT ewait('s', 9), ewait(NULL, 9);
SELECT count(*) FROM epeek('s');
SELECT enext('s');
:sqlstate
ROLLBACK;
BEGIN READ ONLY;
SELECT eack('s', 9);
:sqlstate
ROLLBACK;
BEGIN READ ONLY;
SELECT enack('s', 9);
:sqlstate
ROLLBACK;

-- ewait(): is an event processed?
SELECT esub('half', start_from => 'earliest');
SELECT eack('half', 4);
SELECT position, ewait('half', position, '0') AS processed FROM generate_series(3, 10) AS position;
SELECT ewait('half', 9, '50 milliseconds') AS in_time;
SELECT ewait('half', 4) AS by_default;
-- without subscription: can it be read here?
SELECT position, ewait(NULL, position, '0') AS visible FROM generate_series(8, 11) AS position;
SELECT elapsed($$SELECT ewait(NULL, 100, '300 milliseconds')$$) BETWEEN interval '0.3 seconds' AND interval '10 seconds' AS waited;
-- An event that the filter leaves out is never waited for.
SELECT esub('odd', event_names => ARRAY['Odd'], start_from => '3');
SELECT position, ewait('odd', position, '0') AS processed FROM generate_series(0, 9) AS position;
SELECT epsub('partition', ARRAY[1], 'earliest');
SELECT position, ewait('partition', position, '0') AS processed FROM generate_series(0, 1) AS position;
-- in a group the cursor of the event's partition counts
SELECT count(*) FROM enext('odd', 1, consumer => 'a');
SELECT eack('odd', 5, 'a');
SELECT position, ewait('odd', position, '0') AS processed FROM generate_series(4, 9) AS position;
-- A failed event is not processed, nor are the events that wait behind it; other streams are.
SELECT enack('half', 6, '1 hour');
SELECT eack('half', 9);
SELECT position, ewait('half', position, '0') AS processed FROM generate_series(4, 9) AS position;
SELECT eretry('half');
SELECT count(*) FROM enext('half');
SELECT eack('half', 6);
SELECT position, ewait('half', position, '0') AS processed FROM generate_series(6, 9) AS position;
SELECT eack('half', 8);
SELECT ewait('half', 8, '0');
SELECT enack('s', 9);
:sqlstate

-- ewait_head(): how far can the store be read?
SELECT ehead() AS head \gset
SELECT ewait_head(-1) = :head AS at_once, ewait_head(:head, '0') = :head AS not_yet;
SELECT elapsed(format('SELECT ewait_head(%s, %L)', :head, '300 milliseconds')) BETWEEN interval '0.3 seconds' AND interval '10 seconds' AS waited;
-- a position that stays unused ends the wait too
BEGIN;
SELECT FROM eappend('rolled-back', 'E');
ROLLBACK;
SELECT ewait_head(:head) = :head + 1 AS unused, ewait(NULL, :head + 1, '0') AS an_event;
SELECT ewait_head(NULL);
:sqlstate
SELECT ewait_head(-2);
:sqlstate
SELECT ewait_head(0, NULL);
:sqlstate
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT ewait_head(0, '0') = ehead() AS without_waiting;
SELECT ewait_head(:head, '1 second');
:sqlstate
ROLLBACK;

DROP FUNCTION elapsed;
SELECT drop_event_store('es', force => true);
