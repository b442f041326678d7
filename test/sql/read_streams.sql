-- event_streams() and event_names(): what is in a store, at a cost in proportion to what is listed
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM event_streams();
SELECT count(*) FROM event_streams(newest_first => true);
SELECT count(*) FROM event_names();

SELECT count(eappend('order-' || n, 'Placed', "timestamp" => timestamptz '2026-01-01 00:00Z' + n * interval '1 hour')) FROM generate_series(1, 12) AS n;
SELECT count(eappend('order-' || n, 'Paid', "timestamp" => timestamptz '2026-02-01 00:00Z' + n * interval '1 hour')) FROM generate_series(2, 12, 2) AS n;
SELECT count(eappend(s, 'Named')) FROM unnest(ARRAY['a', 'Zebra', 'über', 'order', 'order-']) AS s;
-- A stream with a key of its own is in another partition than its name says.
SELECT count(eappend('order-3', 'Paid', partition_key => k)) FROM (SELECT partition_key::text FROM eappend('moved-1', 'Placed', partition_key => sierra_stream_key('order-3')::text)) AS m (k);

-- by the bytes of their names
SELECT stream_id, partition_id, events, last_version, last_position, last_event_name FROM event_streams();
SELECT stream_id, events, first_at, last_at FROM event_streams(prefix => 'order-1');
-- in pages
SELECT stream_id FROM event_streams(prefix => 'order-', max_count => 3);
SELECT stream_id FROM event_streams(prefix => 'order-', after => 'order-10', max_count => 3);
SELECT stream_id FROM event_streams(prefix => 'order-', after => 'order-9', max_count => 3);
SELECT stream_id FROM event_streams(after => 'order-9');
-- A name before the prefix does not hide any, and one that does not exist is a place all the same.
SELECT count(*) FROM event_streams(prefix => 'order-', after => 'a');
SELECT stream_id FROM event_streams(prefix => 'order-1', after => 'order-100');
SELECT count(*) FROM event_streams(prefix => 'nothing');
SELECT count(*) FROM event_streams(max_count => 0);
-- It agrees with the events.
SELECT count(*) FROM event_streams(max_count => NULL) AS s
  FULL JOIN (SELECT stream_id, partition_id, count(*), max(stream_version), max(global_position),
                    min("timestamp") FILTER (WHERE stream_version = 0), (array_agg("timestamp" ORDER BY stream_version DESC))[1],
                    (array_agg(event_name ORDER BY stream_version DESC))[1]
               FROM es.events GROUP BY 1, 2) AS e (stream_id, partition_id, events, last_version, last_position, first_at, last_at, last_event_name)
 USING (stream_id, partition_id, events, last_version, last_position, first_at, last_at, last_event_name)
 WHERE s IS NULL OR e IS NULL;

-- newest first: those of the newest events
SELECT stream_id, events, last_event_name, first_at < last_at AS lasts FROM event_streams(newest_first => true, max_count => 4);
SELECT stream_id, events, first_at, last_at FROM event_streams(prefix => 'order-1', newest_first => true, max_count => NULL);
-- A stream whose newest event is older than the newest 7 is left out.
SELECT stream_id FROM event_streams(newest_first => true, max_events => 7);
SELECT count(*) FROM event_streams(newest_first => true, max_events => 0);
SELECT count(*) FROM event_streams(newest_first => true, max_count => 0);
SELECT count(*) = (SELECT count(*) FROM event_streams()) FROM event_streams(newest_first => true, max_events => NULL);

-- names
SELECT event_name, events, last_position, last_at > first_at AS lasts FROM event_names();
SELECT event_name, events FROM event_names(max_events => 8);
SELECT event_name, events FROM event_names(max_events => NULL);
SELECT count(*) FROM event_names(max_events => 0);

-- What is not committed is seen by its transaction only; what is rolled back leaves nothing.
BEGIN;
SELECT stream_version FROM eappend('order-1', 'Cancelled');
SELECT stream_version FROM eappend('order-13', 'Placed');
SELECT stream_id, events, last_event_name FROM event_streams(prefix => 'order-1') WHERE stream_id IN ('order-1', 'order-13');
ROLLBACK;
SELECT stream_id, events, last_event_name FROM event_streams(prefix => 'order-1') WHERE stream_id IN ('order-1', 'order-13');

-- A page reads its streams and not their events.  What is counted is the rows that index scans of this transaction fetch.
SELECT count(*) FROM emappend(NULL, (SELECT json_agg(json_build_object('stream_id', 'long-' || n % 3, 'event_name', 'Tick')) FROM generate_series(1, 3000) AS n));
CREATE FUNCTION fetched() RETURNS numeric LANGUAGE sql AS $$
    SELECT sum(pg_stat_get_xact_tuples_fetched(i.indexrelid))
      FROM pg_index AS i JOIN pg_inherits AS p ON p.inhrelid = i.indrelid WHERE p.inhparent = 'es.events'::regclass
$$;
BEGIN;
SELECT fetched() AS before \gset
SELECT stream_id, events FROM event_streams(prefix => 'long-');
SELECT fetched() - :before < 30 AS few;
COMMIT;
DROP FUNCTION fetched();

-- another store
SELECT create_event_store('other', 2);
SELECT count(*) FROM event_streams('other');
SELECT stream_id FROM event_streams('es', 'Z');
-- errors
SELECT event_streams('nowhere');
:sqlstate
SELECT event_streams(max_count => -1);
:sqlstate
SELECT event_streams(max_events => -1);
:sqlstate
SELECT event_streams(prefix => NULL);
:sqlstate
SELECT event_streams(newest_first => NULL);
:sqlstate
SELECT event_streams(after => 'a', newest_first => true);
:sqlstate
SELECT event_names(max_events => -1);
:sqlstate

-- Rights are those of the table events; under row-level security both are refused.
CREATE ROLE regress_sierra_reader;
GRANT USAGE ON SCHEMA es TO regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT event_streams();
:sqlstate
SELECT event_names();
:sqlstate
RESET ROLE;
GRANT SELECT ON es.events TO regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT count(*) FROM event_streams(prefix => 'long-');
SELECT count(*) FROM event_names();
RESET ROLE;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
SET ROLE regress_sierra_reader;
SELECT event_streams();
:sqlstate
SELECT event_names();
:sqlstate
RESET ROLE;
DROP OWNED BY regress_sierra_reader;
DROP ROLE regress_sierra_reader;
SELECT drop_event_store('es', force => true), drop_event_store('other');
