-- clear_event_store(): empties a store for tests; the first event after it is as in a new store
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'user-123', 'd'], ARRAY['x', 'y', 'z', 'x'], event_ids => ARRAY['00000000-0000-4000-8000-000000000001', NULL, NULL, NULL]::uuid[],
                              tags => ARRAY['["t"]', NULL, NULL, '["t", "u"]']::sierra_json[]);
SELECT stream_version, global_position FROM eappend('own', 'x', partition_key => 'partition key');

-- never without force
SELECT clear_event_store('es');
:sqlstate
\echo :LAST_ERROR_MESSAGE
SELECT clear_event_store('es', force => false);
:sqlstate
SELECT clear_event_store('es', NULL);
:sqlstate
SELECT clear_event_store(NULL, force => true);
:sqlstate
SELECT clear_event_store('none', force => true);
:sqlstate
SELECT count(*) FROM eall();

-- all of it, and the number of events
CREATE TEMP TABLE files AS SELECT c.oid, pg_relation_filenode(c.oid) AS file, c.relkind FROM pg_class AS c WHERE c.relnamespace = 'es'::regnamespace;
SELECT clear_event_store('es', force => true);
SELECT (SELECT count(*) FROM es.events) AS events, (SELECT count(*) FROM es.stream_keys) AS stream_keys,
       (SELECT count(*) FROM es.event_ids) AS event_ids, (SELECT count(*) FROM es.event_tags) AS event_tags;
SELECT ehead(), esver('a'), epseq(0);
SELECT partition_id, events, last_sequence, last_position FROM event_partitions();
SELECT count(*) FROM everify();
-- Small tables keep their files: to make new ones takes longer than to delete rows.
SELECT f.relkind, count(*) FROM files AS f WHERE f.file <> pg_relation_filenode(f.oid) GROUP BY 1;
DROP TABLE files;

-- The numbers begin again; ids and keys are free again.
SELECT stream_version, partition_sequence, global_position FROM eappend('a', 'again', expected_version => 'empty', event_id => '00000000-0000-4000-8000-000000000001', tags => ARRAY['t']);
SELECT stream_version, partition_sequence, global_position FROM eappend('own', 'again', partition_key => 'another key');
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'user-123'], ARRAY['x', 'y']);
SELECT global_position, stream_id, stream_version, event_name FROM eall();
SELECT global_position, stream_id FROM equery('[{"tags": ["t"]}]');
SELECT stream_version, event_name FROM escan('a');
SELECT count(*) FROM everify();
-- a session that is still guarded
DELETE FROM es.events;
:sqlstate
TRUNCATE es.events;
:sqlstate

-- An empty store can be cleared; again and again, also in one transaction.
BEGIN;
SELECT clear_event_store('es', force => true);
SELECT clear_event_store('es', force => true);
SELECT stream_version, partition_sequence, global_position FROM eappend('a', 'x');
SELECT clear_event_store('es', force => true);
SELECT stream_version, partition_sequence, global_position FROM eappend('a', 'x');
COMMIT;
SELECT global_position, stream_id, stream_version FROM eall();

-- What is rolled back has not happened.
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b', 'c'], ARRAY['x', 'y', 'z'], tags => ARRAY['["t"]', '["t"]', NULL]::sierra_json[]);
BEGIN;
SELECT clear_event_store('es', force => true);
SELECT stream_version, global_position FROM eappend('b', 'lost');
SELECT global_position, stream_id FROM eall();
ROLLBACK;
SELECT global_position, stream_id, stream_version, event_name FROM eall();
SELECT global_position, stream_id FROM equery('[{"tags": ["t"]}]');
SELECT stream_version, global_position FROM eappend('b', 'x');
BEGIN;
SAVEPOINT before;
SELECT clear_event_store('es', force => true);
SELECT stream_version, global_position FROM eappend('b', 'lost');
ROLLBACK TO before;
SELECT stream_version, global_position FROM eappend('b', 'x');
COMMIT;
SELECT count(*), max(global_position), ehead() FROM eall();
SELECT count(*) FROM everify();

-- appended by the same statement
SELECT (eappend('b', 'x')).stream_version, clear_event_store('es', force => true);
SELECT count(*) FROM es.events;
SELECT stream_version, partition_sequence, global_position FROM eappend('b', 'x');

-- Large tables get new files, which take as long whatever is in them.
SELECT count(*) FROM emappend(NULL, ARRAY(SELECT 'stream-' || i % 100 FROM generate_series(1, 2000) AS i), array_fill('Happened'::text, ARRAY[2000]), tags => array_fill('["t"]'::sierra_json, ARRAY[2000]));
SELECT count(*) FROM emappend(NULL, ARRAY(SELECT 'large-' || i FROM generate_series(1, 20) AS i), array_fill('x'::text, ARRAY[20]), payload_bytes => array_fill((SELECT string_agg(sha256(i::text::bytea), '') FROM generate_series(1, 65536) AS i), ARRAY[20]));
SELECT sum(pg_table_size(i.inhrelid)) > 33554432 AS large FROM pg_inherits AS i WHERE i.inhparent = 'es.events'::regclass;
BEGIN;
SELECT clear_event_store('es', force => true);
SELECT pg_table_size('es.events_0') < 100000 AS small, (SELECT count(*) FROM es.events) AS events;
ROLLBACK;
SELECT count(*) FROM es.events;
SELECT clear_event_store('es', force => true);
SELECT sum(pg_total_relation_size(i.inhrelid)) < 1000000 AS small FROM pg_inherits AS i WHERE i.inhparent = 'es.events'::regclass;
SELECT stream_version, partition_sequence, global_position FROM eappend('stream-1', 'x', tags => ARRAY['t']);
SELECT global_position, stream_id, stream_version FROM eall(max_count => 5);
SELECT global_position FROM equery('[{"tags": ["t"]}]', max_count => 5);
SELECT count(*) FROM everify();

-- not with a snapshot that is older than the locks, nor where nothing can be written
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
BEGIN READ ONLY;
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
-- nor while the session reads a table, nor from a trigger of an append
BEGIN;
DECLARE reading CURSOR FOR SELECT * FROM es.events;
FETCH reading \g /dev/null
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
BEGIN;
DECLARE reading CURSOR FOR SELECT last_value FROM es.global_position;
FETCH reading \g /dev/null
SELECT clear_event_store('es', force => true);
:sqlstate
ROLLBACK;
CREATE FUNCTION clears() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM clear_event_store('es', force => true); RETURN NULL; END $$;
CREATE TRIGGER clears AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION clears();
SELECT stream_version FROM eappend('a', 'x');
:sqlstate
DROP TRIGGER clears ON es.events;
DROP FUNCTION clears;
-- nor if a table of a user refers to events
CREATE TABLE refers (event_id uuid REFERENCES es.events_1 (event_id));
SELECT clear_event_store('es', force => true);
:sqlstate
DROP TABLE refers;

-- No trigger fires.
CREATE FUNCTION complains() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'fired'; END $$;
CREATE TRIGGER complains BEFORE DELETE ON es.events FOR EACH ROW EXECUTE FUNCTION complains();
CREATE TRIGGER complains_too BEFORE TRUNCATE ON es.events_0 EXECUTE FUNCTION complains();
SELECT clear_event_store('es', force => true);
SELECT drop_event_store('es', force => true);
DROP FUNCTION complains;

-- another store stays as it is
SELECT create_event_store('es', 2);
SELECT create_event_store('other', 2);
SELECT stream_version FROM eappend('a', 'x');
SET sierra_es.store = 'other';
SELECT stream_version FROM eappend('a', 'x', tags => ARRAY['t']);
SELECT clear_event_store('es', force => true);
SELECT global_position, stream_id FROM eall(tags => ARRAY['t']);
SELECT stream_version, global_position FROM eappend('a', 'x');
RESET sierra_es.store;
SELECT ehead();
SELECT drop_event_store('other', force => true);
SELECT drop_event_store('es', force => true);
