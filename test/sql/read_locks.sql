-- The results of reads stay readable: their tables are locked to the end of the transaction.
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);
-- With 4 partitions: a is in partition 0, user-123 in 1, 'partition key' in 2, €-stream in 3.
-- Payloads that are stored out of line and uncompressed: results point at them.
ALTER TABLE es.events_0 ALTER COLUMN payload_bytes SET STORAGE EXTERNAL;
SELECT count(*) FROM emappend('a', array_fill('a'::text, ARRAY[20]), array_fill('x'::text, ARRAY[20]),
                              payload_bytes => (SELECT array_agg(convert_to(repeat(n::text || '.', 5000), 'UTF8') ORDER BY n) FROM generate_series(0, 19) AS n),
                              event_ids => (SELECT array_agg(('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid ORDER BY n) FROM generate_series(0, 19) AS n));
SELECT pg_relation_size(reltoastrelid) > 100000 AS out_of_line FROM pg_class WHERE oid = 'es.events_0'::regclass;
CREATE VIEW locked AS
SELECT relation::regclass AS locked, mode FROM pg_locks
 WHERE pid = pg_backend_pid() AND relation IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'es.events'::regclass) AND mode = 'AccessShareLock' ORDER BY 1;
SELECT * FROM locked;
BEGIN;
SELECT count(*) FROM escan('a');
SELECT * FROM locked;
COMMIT;
SELECT * FROM locked;
BEGIN;
SELECT count(*) FROM eget('00000000-0000-4000-8000-000000000007');
SELECT * FROM locked;
COMMIT;
BEGIN;
SELECT count(*) FROM epscan(0);
SELECT * FROM locked;
COMMIT;
BEGIN;
SELECT count(*) FROM eall();
SELECT * FROM locked;
COMMIT;
-- A cursor continues to read where it was, whatever was appended in between.
BEGIN;
DECLARE c CURSOR FOR SELECT stream_version, payload_bytes = convert_to(repeat(stream_version::text || '.', 5000), 'UTF8') AS whole FROM escan('a');
FETCH 2 FROM c;
SELECT stream_version FROM eappend('a', 'x');
SELECT * FROM locked;
MOVE 16 IN c;
FETCH ALL FROM c;
COMMIT;

DROP VIEW locked;
SELECT drop_event_store('es', force => true);
