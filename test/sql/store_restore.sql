-- sierra_es.restore: after rows were loaded, appends continue above them, also in a session that appended before
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- With 4 partitions: a is in partition 0, user-123 and order-456 in 1, €-stream in 3.
-- An event as in a dump.
CREATE FUNCTION row_of(stream text, version bigint, sequence bigint, place bigint) RETURNS SETOF es.events LANGUAGE sql AS $$
    SELECT sequence, version, place, '2024-01-01'::timestamptz, sierra_event_id(k), k, sierra_event_id(k), sierra_partition_id(k, 4), stream, 'Loaded', NULL::json, NULL::json, NULL::bytea, NULL::text[]
      FROM sierra_stream_key(stream) AS k
$$;
-- This session knows the store, and that its sequence is above all events.
BEGIN;
SELECT stream_version, global_position FROM eappend('a', 'x');
ROLLBACK;

-- INSERT into the parent; the next append is to a partition whose own events do not show these
-- positions
SET sierra_es.restore = on;
INSERT INTO es.events SELECT * FROM row_of('user-123', 0, 0, 1000);
RESET sierra_es.restore;
SELECT stream_version, global_position FROM eappend('€-stream', 'x');
SELECT stream_version, global_position FROM eappend('user-123', 'x');
-- in one transaction, into a partition
BEGIN;
SELECT global_position FROM eappend('a', 'x');
SET LOCAL sierra_es.restore = on;
INSERT INTO es.events_1 SELECT * FROM row_of('user-123', 2, 2, 2000);
SELECT stream_version, global_position FROM eappend('€-stream', 'x');
COMMIT;
SELECT count(*) FROM everify();
-- COPY
SET sierra_es.restore = on;
COPY es.events (partition_sequence, stream_version, global_position, "timestamp", event_id, partition_key, transaction_id, partition_id, stream_id, event_name) FROM stdin;
3	3	3000	2024-01-01 00:00:00+00	00000000-0000-7000-8000-4aaa00000001	7e124fe8-fe28-5398-bb95-53973100148f	00000000-0000-7000-8000-4aaa00000002	1	user-123	Copied
\.
RESET sierra_es.restore;
SELECT stream_version, global_position FROM emappend(NULL, ARRAY['a', '€-stream'], ARRAY['x', 'x']);
-- a load that is rolled back changes nothing
BEGIN;
SET LOCAL sierra_es.restore = on;
INSERT INTO es.events SELECT * FROM row_of('user-123', 4, 4, 9000);
ROLLBACK;
SELECT stream_version, global_position FROM eappend('€-stream', 'x');
-- Rows below the sequence's value do not change it: here they go into the hole of an append that
-- was rolled back.
BEGIN;
SELECT global_position FROM eappend('a', 'x');
ROLLBACK;
SET sierra_es.restore = on;
INSERT INTO es.events SELECT * FROM row_of('order-456', 0, 4, 3004);
RESET sierra_es.restore;
SELECT last_value, is_called FROM es.global_position;
SELECT stream_version, global_position FROM eappend('€-stream', 'x');

-- A load keeps appends away from all partitions, whichever it is into.
BEGIN;
SET LOCAL sierra_es.restore = on;
INSERT INTO es.events_1 SELECT * FROM row_of('user-123', 4, 5, 9000);
SELECT t.relname, l.mode FROM pg_locks AS l JOIN pg_class AS t ON t.oid = l.classid
 WHERE l.pid = pg_backend_pid() AND l.locktype = 'advisory' AND l.objsubid = 1509 ORDER BY t.relname;
ROLLBACK;
-- A table that has the guard, but is not of a store.
CREATE SCHEMA apart;
CREATE TABLE apart.single (n int);
CREATE TRIGGER sierra_guard BEFORE INSERT ON apart.single FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('4');
SET sierra_es.restore = on;
INSERT INTO apart.single VALUES (1);
:sqlstate
CREATE TABLE apart.events (n int);
INSERT INTO apart.single VALUES (1);
:sqlstate
DROP TABLE apart.events;
CREATE TABLE apart.events (n int) PARTITION BY LIST (n);
INSERT INTO apart.single VALUES (1);
:sqlstate
RESET sierra_es.restore;
DROP TABLE apart.single, apart.events;
DROP SCHEMA apart;

SELECT global_position, stream_id, stream_version, event_name FROM eall();
SELECT problem, partition_id, detail FROM everify();
DROP FUNCTION row_of;
SELECT drop_event_store('es', force => true);
