-- Damage that an owner's DDL does to a store: each change that the engine cannot work with is
-- reported (SE005), and undoing it loses nothing.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- With 4 partitions: a is in partition 0, user-123 in 1, 'partition key' in 2, €-stream in 3.
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'user-123', '€-stream', '€-stream'], array_fill('x'::text, ARRAY[4]));
SELECT count(*) FROM eappend('own', 'x', partition_key => 'partition key', event_id => '00000000-0000-4000-8000-000000000001');
-- The result of calls, in a session that knew the store.
CREATE FUNCTION try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE 'SELECT ' || call INTO result;
    RETURN coalesce(result, 'null');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
CREATE VIEW calls AS
SELECT call, try(call) AS result
  FROM unnest(ARRAY[
    $$r.stream_version FROM eappend('a', 'x') AS r$$,
    $$r.stream_version FROM eappend('€-stream', 'x') AS r$$,
    $$r.stream_version FROM eappend('new', 'x', partition_key => 'a', event_id => '00000000-0000-4000-8000-000000000002') AS r$$,
    $$count(*) FROM emappend(NULL, ARRAY['a', 'user-123'], ARRAY['x', 'x'])$$,
    $$esver('€-stream')$$, $$esver('own')$$, $$epseq(3)$$, $$count(*) FROM escan('a')$$, $$count(*) FROM epscan(3)$$, $$count(*) FROM eall()$$,
    $$stream_id FROM eget('00000000-0000-4000-8000-000000000001')$$]) AS call;
BEGIN;
SELECT * FROM calls;
ROLLBACK;

-- The companions have two columns, and rows are written with two: a third column is refused.
BEGIN;
ALTER TABLE es.event_ids ADD COLUMN note text NOT NULL DEFAULT 'added';
SELECT DISTINCT result FROM calls;
SELECT eappend('a', 'x', event_id => '00000000-0000-4000-8000-000000000003');
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE es.stream_keys ADD COLUMN note text;
SELECT DISTINCT result FROM calls;
SELECT eappend('b', 'x', partition_key => 'own key');
:sqlstate
ROLLBACK;
-- a dropped column still has its place in the rows
BEGIN;
ALTER TABLE es.event_ids ADD COLUMN note text;
ALTER TABLE es.event_ids DROP COLUMN note;
SELECT DISTINCT result FROM calls;
ROLLBACK;
BEGIN;
ALTER TABLE es.stream_keys ALTER COLUMN stream_id TYPE text COLLATE "POSIX";
SELECT DISTINCT result FROM calls;
ROLLBACK;
BEGIN;
SELECT * FROM calls;
ROLLBACK;

-- one_partition: when a partition is detached, its streams must not begin again in another one.
ALTER TABLE es.events DETACH PARTITION es.events_3;
SELECT DISTINCT result FROM calls;
SELECT eappend('€-stream', 'x', expected_version => 'empty');
:sqlstate
SELECT problem, detail FROM everify();
ALTER TABLE es.events ATTACH PARTITION es.events_3 FOR VALUES IN (3);
SELECT count(*) FROM everify();
SELECT stream_version, partition_id, partition_sequence FROM eappend('€-stream', 'x', expected_version => 1);
ALTER TABLE es.events DETACH PARTITION es.events_1;
SELECT DISTINCT result FROM calls;
SELECT problem, detail FROM everify();
-- A trigger counts as the guard by its function, not by a name.
BEGIN;
ALTER TABLE es.events ATTACH PARTITION es.events_1 FOR VALUES IN (1);
CREATE FUNCTION guard_events() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
DROP TRIGGER sierra_guard ON es.events;
CREATE TRIGGER sierra_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON es.events EXECUTE FUNCTION guard_events(4);
ALTER TABLE es.events ENABLE ALWAYS TRIGGER sierra_guard;
SELECT DISTINCT result FROM calls;
SELECT problem, detail FROM everify();
ROLLBACK;
-- guard_event_store() does not mistake the attached partitions for all partitions
SELECT guard_event_store();
SELECT sierra_internal.partition_count('es');
SELECT esver('user-123');
:sqlstate
ALTER TABLE es.events ATTACH PARTITION es.events_1 FOR VALUES IN (1);
SELECT count(*) FROM everify();
SELECT stream_version, partition_id, partition_sequence FROM eappend('user-123', 'x', expected_version => 0);
-- Four other partitions are not the four of the store.
BEGIN;
ALTER TABLE es.events DETACH PARTITION es.events_3;
CREATE TABLE es.events_4 PARTITION OF es.events FOR VALUES IN (4);
SELECT DISTINCT result FROM calls;
ROLLBACK;
-- nor are five
BEGIN;
CREATE TABLE es.events_4 PARTITION OF es.events FOR VALUES IN (4);
SELECT DISTINCT result FROM calls;
SELECT problem, detail FROM everify() WHERE problem = 'partition missing';
ROLLBACK;
BEGIN;
ALTER TABLE es.events DETACH PARTITION es.events_3;
ALTER TABLE es.events ATTACH PARTITION es.events_3 FOR VALUES IN (3, 4);
SELECT DISTINCT result FROM calls;
ROLLBACK;
BEGIN;
CREATE TABLE es.others PARTITION OF es.events DEFAULT;
SELECT DISTINCT result FROM calls;
ROLLBACK;

-- The names of partitions mean nothing: partitions are found by their bounds.
ALTER TABLE es.events_0 RENAME TO swapped;
ALTER TABLE es.events_1 RENAME TO events_0;
ALTER TABLE es.swapped RENAME TO events_1;
SELECT esver('a') AS a, esver('user-123') AS user_123, epseq(0) AS p0, epseq(1) AS p1;
SELECT stream_id, stream_version, partition_id, partition_sequence FROM emappend(NULL, ARRAY['a', 'user-123'], ARRAY['x', 'x']);
SELECT partition_id, stream_id, stream_version, tableoid::regclass FROM es.events WHERE stream_id IN ('a', 'user-123') ORDER BY global_position;
SELECT count(*) FROM eall();
SELECT partition_id, events, last_sequence FROM event_partitions();
SELECT count(*) FROM everify();
ALTER TABLE es.events_0 RENAME TO swapped;
ALTER TABLE es.events_1 RENAME TO events_0;
ALTER TABLE es.swapped RENAME TO events_1;
SELECT stream_id, stream_version, partition_id, partition_sequence FROM emappend(NULL, ARRAY['a', 'user-123'], ARRAY['x', 'x']);
SELECT count(*) FROM everify();

-- commit_order: a sequence that gives out positions in blocks, backwards or twice would break it.
ALTER SEQUENCE es.global_position CACHE 20;
SELECT DISTINCT result FROM calls;
SELECT problem, detail FROM everify();
ALTER SEQUENCE es.global_position CACHE 1;
SELECT stream_version FROM eappend('a', 'x');
ALTER SEQUENCE es.global_position INCREMENT 2;
SELECT DISTINCT result FROM calls;
SELECT problem, detail FROM everify();
ALTER SEQUENCE es.global_position INCREMENT 1 CYCLE;
SELECT DISTINCT result FROM calls;
SELECT problem, detail FROM everify();
ALTER SEQUENCE es.global_position NO CYCLE;
SELECT stream_version FROM eappend('a', 'x');
SELECT count(*) FROM everify();
-- A sequence that was set back is put above the events again.
SELECT max(global_position) AS newest FROM eall() \gset
ALTER SEQUENCE es.global_position RESTART;
SELECT stream_version, global_position > :newest AS above FROM eappend('below', 'x', partition_key => 'partition key');
SELECT count(*) FROM everify();

SELECT drop_event_store('es', force => true);
DROP VIEW calls;
DROP FUNCTION try;
