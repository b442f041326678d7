-- event_stores() and event_partitions(): what exists
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT * FROM event_stores();

SELECT create_event_store('es', 4);
SELECT create_event_store('other', 2);
SELECT partition_id, events, last_sequence, last_position FROM event_partitions();
SELECT count(*) FROM emappend(NULL, ARRAY['user-123', 'a', 'a', 'a'], ARRAY['x', 'x', 'x', 'x']);
SELECT partition_id, events, last_sequence, last_position FROM event_partitions();
SELECT partition_id, events, last_sequence, last_position FROM event_partitions('other');
SELECT store, owner = current_user AS mine, partitions, events, last_position FROM event_stores();

-- bytes are those of tables with indexes; a store also has its companion tables (those of data that
-- follow or are derived from events do not count)
SELECT p.partition_id, p.bytes = pg_total_relation_size('es.events_' || p.partition_id) AS right_bytes
  FROM event_partitions() AS p;
SELECT store, s.bytes = (SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class AS c
                           WHERE c.relnamespace = to_regnamespace(s.store::text) AND c.relkind = 'r'
                             AND c.relname ~ '^(events|stream_keys$|event_ids$|event_tags$)') AS right_bytes
  FROM event_stores() AS s;

-- A call holds the locks of one store at a time, and of none afterwards.
BEGIN;
SELECT store, events FROM event_stores();
SELECT count(*) AS locked FROM pg_locks
 WHERE pid = pg_backend_pid() AND relation IN (SELECT c.oid FROM pg_class AS c WHERE c.relnamespace IN ('es'::regnamespace, 'other'::regnamespace));
SELECT count(*) FROM event_partitions('other');
SELECT count(*) AS locked FROM pg_locks
 WHERE pid = pg_backend_pid() AND relation IN (SELECT c.oid FROM pg_class AS c WHERE c.relnamespace IN ('es'::regnamespace, 'other'::regnamespace));
SELECT count(*) FROM other.events;
SELECT count(*) > 0 AS locked FROM pg_locks
 WHERE pid = pg_backend_pid() AND relation IN (SELECT c.oid FROM pg_class AS c WHERE c.relnamespace IN ('es'::regnamespace, 'other'::regnamespace));
COMMIT;

-- A role sees the stores that it may read.
CREATE ROLE regress_sierra_reader;
GRANT USAGE ON SCHEMA es, other TO regress_sierra_reader;
GRANT SELECT ON other.events TO regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT store, events FROM event_stores();
SELECT partition_id, events FROM event_partitions('other');
SELECT partition_id, events FROM event_partitions('es');
:sqlstate
RESET ROLE;
DROP OWNED BY regress_sierra_reader;
DROP ROLE regress_sierra_reader;

SELECT drop_event_store('es', force => true);
SELECT drop_event_store('other');
SELECT * FROM event_stores();
