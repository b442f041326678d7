-- run_timers(): due events are appended, in order, each once; an event that fails waits and delays
-- no other
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT run_timers();

-- In the order in which they are due, whatever the order of scheduling; timers that are not due
-- stay.
SELECT count(eschedule(now() - n * interval '1 minute', 's' || n % 3, 'Due', to_json(n))) FROM unnest(ARRAY[3, 9, 1, 7, 5, 2, 8, 6, 4]) AS n;
SELECT eschedule(now() + interval '1 hour', 's0', 'Later') IS NOT NULL AS scheduled;
SELECT run_timers(4);
SELECT payload FROM eall();
SELECT run_timers(0);
SELECT run_timers();
SELECT run_timers();
SELECT stream_id, stream_version, payload FROM eall();
SELECT event_name FROM event_timers();
-- Timers of the same time come in the order of scheduling.
SELECT count(eschedule('2020-01-01', 'same', 'Due', to_json(n))) FROM generate_series(1, 20) AS n;
SELECT run_timers();
SELECT array_agg(payload::text::int ORDER BY stream_version) FROM escan('same');

-- Every column of the event is as it was scheduled; its id is that of the timer.
CREATE TABLE scheduled AS
    SELECT eschedule('2020-01-01', 'exact', 'Due', '{ "b":1,  "a": "\u0000" }', '{ "m": [ 1 ] }', 'my key', tags => ARRAY['b', 'a']) AS id
    UNION ALL SELECT eschedule('2020-01-02', 'exact', 'Due', payload_bytes => '\x00ff');
SELECT run_timers();
SELECT e.event_name, e.payload, e.metadata, e.payload_bytes, e.tags, e.partition_key = sierra_partition_key('my key') AS key, e.event_id = s.id AS id
  FROM escan('exact') AS e LEFT JOIN scheduled AS s ON s.id = e.event_id;

-- strict versioning does not stop timers
SET sierra_es.strict_versioning = on;
SELECT count(eschedule('2020-01-01', s, 'Due')) FROM unnest(ARRAY['new', 'exact', 'new', 'new', 'exact']) AS s;
SELECT run_timers();
SELECT esver('new'), esver('exact');
RESET sierra_es.strict_versioning;

-- A timer that cannot be appended waits, longer each time, and the others continue.
SELECT FROM eappend('keyed', 'x', partition_key => 'one');
ALTER TABLE es.events ADD CONSTRAINT no_bad CHECK (event_name <> 'Bad');
SELECT count(eschedule('2020-01-01'::timestamptz + n * interval '1 day', 'q', CASE n WHEN 2 THEN 'Bad' ELSE 'Good' END, to_json(n)))
  FROM generate_series(1, 4) AS n;
SELECT eschedule('2019-01-01', 'keyed', 'Due', partition_key => 'another') IS NOT NULL AS scheduled;
CREATE FUNCTION come_due() RETURNS void LANGUAGE sql AS $$ UPDATE es.timers SET run_at = clock_timestamp() WHERE attempts + interruptions > 0 $$;
-- Is the pause of each failing timer as long as it must be, counted from the run?
CREATE FUNCTION waits(begun timestamptz, wait interval) RETURNS TABLE (stream_id text, attempts int, waits boolean) LANGUAGE sql AS $$
    SELECT t.stream_id, t.attempts, t.run_at BETWEEN begun + wait AND clock_timestamp() + wait
      FROM event_timers() AS t WHERE t.state = 'failing' $$;
SELECT clock_timestamp() AS begun \gset
SELECT run_timers();
SELECT * FROM waits(:'begun', '1 second');
SELECT stream_version, payload FROM escan('q');
SELECT stream_id, event_name, last_error FROM event_timers() WHERE state = 'failing';
SELECT come_due();
SELECT clock_timestamp() AS begun \gset
SELECT run_timers();
SELECT * FROM waits(:'begun', '2 seconds');
UPDATE es.timers SET attempts = 40 WHERE attempts > 0;
SELECT come_due();
SELECT count(eschedule('2020-01-01', 'q', 'Good', to_json(n))) FROM generate_series(5, 6) AS n;
SELECT clock_timestamp() AS begun \gset
SELECT run_timers();
SELECT * FROM waits(:'begun', '1 hour');
-- not before its time
SELECT run_timers();
SELECT attempts FROM event_timers() WHERE state = 'failing';
-- When the cause is gone, it is appended after all.
ALTER TABLE es.events DROP CONSTRAINT no_bad;
SELECT come_due();
SELECT run_timers();
SELECT stream_version, payload FROM escan('q');
SELECT stream_id, event_name FROM event_timers();
SELECT ecancel(timer_id) FROM event_timers();

-- A transient error does not count as an attempt of a timer, and the others continue.
SELECT eschedule('2020-01-01', 'q', 'Good', '"interrupted"', timer_id => '0191d2f0-5b7c-7c3e-8a51-0f2b6c4d7e91') IS NOT NULL AS scheduled;
SELECT eschedule('2020-01-02', 'q', 'Good', '"not tried"', timer_id => '0191d2f0-5b7c-7c3e-8a51-0f2b6c4d7e92') IS NOT NULL AS scheduled;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER fail AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION fail();
SELECT clock_timestamp() AS begun \gset
SELECT run_timers();
DROP TRIGGER fail ON es.events;
SELECT t.payload, e.state, e.attempts, t.interruptions, e.last_error FROM event_timers() AS e JOIN es.timers AS t USING (timer_id) ORDER BY e.due_at;
SELECT run_at BETWEEN :'begun'::timestamptz + interval '100 ms' AND clock_timestamp() + interval '100 ms' AS waits FROM es.timers WHERE interruptions > 0;
SELECT come_due();
BEGIN READ ONLY;
SELECT run_timers();
:sqlstate
ROLLBACK;
-- In a transaction: all or nothing.
BEGIN;
SELECT run_timers();
ROLLBACK;
SELECT count(*) FROM event_timers();
-- An event that already exists, as after a restore of the table of timers, is not appended again.
CREATE TEMPORARY TABLE saved AS SELECT * FROM es.timers;
SELECT run_timers();
INSERT INTO es.timers SELECT * FROM saved;
SELECT esver('q') AS before;
SELECT run_timers();
SELECT esver('q') AS after, (SELECT count(*) FROM es.timers) AS timers;

-- in another store
SELECT create_event_store('other', 2);
SET sierra_es.store = other;
SELECT eschedule('2020-01-01', 'q', 'Good') IS NOT NULL AS scheduled;
RESET sierra_es.store;
SELECT run_timers();
SELECT state FROM event_timers('other');
SET sierra_es.store = other;
SELECT run_timers();
SELECT count(*) FROM eall();
RESET sierra_es.store;
SELECT drop_event_store('other', force => true);

SELECT run_timers(NULL);
:sqlstate
SELECT run_timers(-1);
:sqlstate
-- A timer that is set back by hand is due from then on.
SELECT eschedule('2999-01-01', 'early', 'Due') IS NOT NULL AS scheduled;
SELECT state, overdue IS NULL AS not_overdue FROM event_timers() WHERE stream_id = 'early';
UPDATE es.timers SET run_at = clock_timestamp() - interval '1 minute' WHERE stream_id = 'early';
SELECT state, overdue BETWEEN '1 minute' AND '2 minutes' AS overdue FROM event_timers() WHERE stream_id = 'early';
SELECT run_timers();
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP TABLE scheduled, saved;
DROP FUNCTION come_due, waits, fail;
