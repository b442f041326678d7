-- import_events(): an export becomes the same store, once
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT create_event_store('same', 4);
SELECT create_event_store('fewer', 1);
-- events of one call, of several calls, of own keys, bytes, white space, tags
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'user-123', 'a', 'd'], ARRAY['One', 'Two', 'Three', 'Four'], ARRAY['{"a": 1.0}', E'{\n"b": 2}', 'null', NULL]::sierra_json[], tags => ARRAY['["t", "u"]', NULL, '["t"]', NULL]::sierra_json[],
                              event_ids => ARRAY['00000000-0000-4000-8000-000000000001', NULL, NULL, NULL]::uuid[]);
SELECT stream_version FROM eappend('own', 'Bytes', payload_bytes => '\x00ff', partition_key => 'partition key', "timestamp" => '2020-01-01 00:00:00.123456+00');
SELECT stream_version FROM eappend('own', 'More', ' [1] ', '{"by": "me"}');
SELECT count(*) FROM emappend('shared', ARRAY['x', 'y', 'x'], ARRAY['One', 'Two', 'Three']);
SELECT stream_version FROM eappend('a', 'Four', '"ü\\\"\u0000"');
CREATE TEMP TABLE lines AS SELECT l AS line, row_number() OVER () AS number FROM export_events() AS l;
CREATE TEMP TABLE plain_lines AS SELECT l AS line, row_number() OVER () AS number FROM export_events(numbers => false) AS l;

SELECT import_events(array_agg(line ORDER BY number), 'same') FROM lines;
SELECT import_events(array_agg(line ORDER BY number)::json[], 'fewer') FROM plain_lines;
-- an empty store with the same partitions: all is equal, with numbers; else all but these
SELECT (SELECT array_agg(l) FROM export_events('same') AS l) = (SELECT array_agg(line ORDER BY number) FROM lines) AS equal;
SELECT (SELECT array_agg(l) FROM export_events('fewer', numbers => false) AS l) = (SELECT array_agg(line ORDER BY number) FROM plain_lines) AS equal;
SELECT count(DISTINCT hash) FROM unnest('{es, same, fewer}'::name[]) AS s, event_hashes(s);
SELECT s, problem FROM unnest('{same, fewer}'::name[]) AS s, everify(s);
SELECT stream_id, partition_key FROM same.stream_keys ORDER BY 1;

-- again: nothing is stored twice, whatever the batches
SELECT import_events(array_agg(line ORDER BY number), 'same') FROM lines;
SELECT import_events(array_agg(line ORDER BY number), 'fewer') FROM plain_lines;
SELECT import_events(array_agg(line ORDER BY number), 'same') FROM lines WHERE number = 3;
SELECT import_events(array_agg(line ORDER BY number), 'same') FROM lines GROUP BY number / 3 ORDER BY number / 3;
SELECT (SELECT array_agg(l) FROM export_events('same') AS l) = (SELECT array_agg(line ORDER BY number) FROM lines) AS equal;
-- A call of which a part was imported already is continued.
SELECT clear_event_store('same', force => true);
SELECT import_events(array_agg(line ORDER BY number), 'same') FROM lines WHERE number <= 2;
SELECT import_events(array_agg(line ORDER BY number), 'same') FROM lines;
SELECT (SELECT array_agg(l) FROM export_events('same') AS l) = (SELECT array_agg(line ORDER BY number) FROM lines) AS equal;
-- into a store with other streams
SELECT clear_event_store('same', force => true);
SET sierra_es.store = 'same';
SELECT stream_version FROM eappend('other', 'Before');
RESET sierra_es.store;
SELECT import_events(array_agg(line ORDER BY number), 'same') FROM lines;
SELECT count(*) FILTER (WHERE l.line = p.line), count(*) FROM (SELECT l AS line, row_number() OVER () - 1 AS number FROM export_events('same', numbers => false) AS l) AS l JOIN plain_lines AS p USING (number);
SELECT import_events(array_agg(line ORDER BY number), 'same') FROM lines;

-- What does not fit is an error with its line, and nothing of the batch is stored.
\set SHOW_CONTEXT always
SELECT clear_event_store('same', force => true);
SET sierra_es.store = 'same';
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "stream_version": 0}', '{"stream_id": "s", "event_name": "x", "stream_version": 2}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "event_id": "00000000-0000-4000-8000-00000000000a"}', '{"stream_id": "u", "event_name": "x", "event_id": "00000000-0000-4000-8000-00000000000a"}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x"}', '{"stream_id": "s", "event_name": "x", "partition_key": "another"}']);
:sqlstate
SELECT ehead();
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x"}', '{"stream_id": "s", "event_name": "x", "event_id": "00000000-0000-4000-8000-00000000000a"}']);
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "event_id": "00000000-0000-4000-8000-00000000000a", "stream_version": 1}']);
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "event_id": "00000000-0000-4000-8000-00000000000a", "stream_version": 2}']);
:sqlstate
\set SHOW_CONTEXT never
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "stream": 1}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "expected_version": "any"}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s"}']);
:sqlstate
SELECT import_events(ARRAY['[]']);
:sqlstate
SELECT import_events(ARRAY[NULL, '{}']);
:sqlstate
SELECT import_events(NULL);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", ']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "payload": 1, "payload_text": "1"}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "metadata": {}, "metadata_text": "{}"}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "payload": 1, "payload_bytes": "AA=="}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "payload_text": "{"}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "payload_text": 1}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "metadata_text": "[]"}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "stream_version": -1}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "stream_version": "x"}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "partition_key": ""}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": "x", "transaction_id": "x"}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "s", "event_name": ""}']);
:sqlstate
SELECT import_events('{}', 'none');
:sqlstate
SELECT import_events('{}');
SELECT count(*) FROM es.events;

-- Lines of other programs: only what they know; a member that is null is missing.
SELECT import_events(ARRAY['{"event_name": "Late", "stream_id": "f", "timestamp": 1577836800123, "payload": null, "payload_text": null, "payload_bytes": null, "tags": null, "partition_key": null, "stream_version": null, "transaction_id": null, "event_id": null, "metadata": null}',
                           '{"stream_id": "f", "event_name": "Text", "payload_text": " {\n} ", "metadata_text": "{ }", "partition_id": 17, "global_position": 1000, "partition_sequence": 5}']);
SELECT stream_version, event_name, "timestamp" = '2020-01-01 00:00:00.123+00' AS at, payload, metadata FROM escan('f');
-- A partition key may be any text; of the key of the name there is nothing to register.
SELECT import_events(ARRAY['{"stream_id": "k", "event_name": "x", "partition_key": "any text"}', format('{"stream_id": "m", "event_name": "x", "partition_key": "%s"}', sierra_stream_key('m'))]::json[]);
SELECT stream_id FROM same.stream_keys;
-- more tags in a call than are locked one by one
SELECT import_events(ARRAY(SELECT json_build_object('stream_id', 'tagged', 'event_name', 'x', 'transaction_id', '00000000-0000-4000-8000-0000000000ff', 'tags', json_build_array('t' || i, 'u' || i)) FROM generate_series(1, 100) AS i));
SELECT count(*), count(DISTINCT transaction_id) FROM escan('tagged');
SELECT count(*) FROM equery('[{"tags": ["t50"]}]');
-- Tags of many calls are not locked one by one either: the table of locks is shared by all.
BEGIN;
SELECT import_events(ARRAY(SELECT json_build_object('stream_id', 'each', 'event_name', 'x', 'tags', json_build_array('v' || i)) FROM generate_series(1, 100) AS i));
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objsubid = 1512;
ROLLBACK;
BEGIN;
SELECT import_events(ARRAY(SELECT json_build_object('stream_id', 'each', 'event_name', 'x', 'tags', json_build_array('v' || i % 50)) FROM generate_series(1, 100) AS i));
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND objsubid = 1512;
ROLLBACK;
-- The session's settings leave no trace, and come back.
SET sierra_es.metadata = '{"session": 1}';
SET sierra_es.strict_versioning = on;
SELECT import_events(ARRAY['{"stream_id": "strict", "event_name": "x"}']);
:sqlstate
SELECT import_events(ARRAY['{"stream_id": "strict", "event_name": "x", "stream_version": 0, "metadata": {"a": 1}}'], 'fewer');
SELECT current_setting('sierra_es.metadata'), current_setting('sierra_es.store');
RESET sierra_es.strict_versioning;
RESET sierra_es.metadata;
SET sierra_es.store = 'fewer';
SELECT metadata FROM escan('strict');
RESET sierra_es.store;

-- Batches of a table, each committed.
SELECT clear_event_store('same', force => true);
CREATE TABLE loaded (line text);
INSERT INTO loaded SELECT line FROM lines ORDER BY number;
INSERT INTO loaded VALUES ('{"stream_id": "a", "event_name": "wrong", "stream_version": 9}');
CALL import_events_from('loaded', 'same', batch_size => 4);
:sqlstate
SELECT events FROM event_hashes('same');
DELETE FROM loaded WHERE line ~ 'wrong';
CALL import_events_from('loaded', 'same', batch_size => 3);
SELECT (SELECT array_agg(l) FROM export_events('same', numbers => false) AS l) = (SELECT array_agg(line ORDER BY number) FROM plain_lines) AS equal;
CALL import_events_from('loaded', 'same');
CALL import_events_from('loaded', batch_size => 0);
:sqlstate
CALL import_events_from(NULL);
:sqlstate
BEGIN;
CALL import_events_from('loaded', 'same');
:sqlstate
ROLLBACK;

-- An error says in which line of the table it is.
\set SHOW_CONTEXT always
CREATE TABLE faulty (line text);
INSERT INTO faulty SELECT '{"stream_id": "counted", "event_name": "x"}' FROM generate_series(1, 7);
INSERT INTO faulty VALUES ('{"stream_id": "counted", "event": "x"}');
CALL import_events_from('faulty', 'same', batch_size => 3);
UPDATE faulty SET line = '{"stream_id": "counted"' WHERE line ~ '"event"';
CALL import_events_from('faulty', 'same', batch_size => 3);
UPDATE faulty SET line = NULL WHERE line !~ '}';
CALL import_events_from('faulty', 'same', batch_size => 3);
UPDATE faulty SET line = '{"stream_id": "counted", "event_name": "x", "stream_version": 5}' WHERE line IS NULL;
CALL import_events_from('faulty', 'same', batch_size => 3);
\set SHOW_CONTEXT errors
DROP TABLE faulty;

-- rights
CREATE ROLE regress_sierra_writer;
SET ROLE regress_sierra_writer;
SELECT import_events('{}', 'same');
:sqlstate
RESET ROLE;
GRANT USAGE ON SCHEMA same TO regress_sierra_writer;
GRANT INSERT ON same.events TO regress_sierra_writer;
SET ROLE regress_sierra_writer;
SELECT import_events(ARRAY['{"stream_id": "written", "event_name": "x"}'], 'same');
RESET ROLE;
DROP TABLE loaded;
SELECT drop_event_store(s, force => true) FROM unnest('{es, same, fewer}'::name[]) AS s;
DROP ROLE regress_sierra_writer;
