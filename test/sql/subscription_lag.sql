-- How far consumers are behind, in events and in time: event_leases() and event_consumers()
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);
-- partitions 1 and 3; the times decide how large the lag is
SELECT stream_id, partition_id FROM emappend(NULL, (
    SELECT json_agg(json_build_object('stream_id', s, 'event_name', e, 'timestamp', now() - a::interval))
      FROM (VALUES ('order-1', 'Placed', '5 days'), ('order-10', 'Placed', '4 days'), ('order-1', 'Noted', '3 days'), ('order-10', 'Noted', '2 days'),
                   ('order-1', 'Placed', '1 day')) AS n (s, e, a)));
SELECT esub('mails', event_names => '{Placed}', start_from => 'earliest');
CREATE VIEW leases AS
    SELECT subscription, partition_id, cursor, lag_events, extract(day FROM justify_hours(lag)) AS days, consumer FROM event_leases() WHERE lag_events > 0;
CREATE VIEW consumers AS
    SELECT subscription, consumer, partitions, acknowledged, delivered, lag_events, extract(day FROM justify_hours(lag)) AS days, alive FROM event_consumers();
SELECT * FROM leases;
SELECT * FROM consumers;
SELECT global_position FROM enext('mails', consumer => 'one');
SELECT * FROM leases;
SELECT * FROM consumers;
-- The oldest event that is wanted counts, not one that the filter leaves out.
SELECT eack('mails', 1, consumer => 'one');
SELECT * FROM leases;
SELECT * FROM consumers;
SELECT eack('mails', 4, consumer => 'one');
SELECT * FROM leases;
SELECT * FROM consumers;
-- Nothing that is wanted is left, but there are events.
SELECT count(eappend('order-1', 'Noted')) FROM generate_series(1, 3);
SELECT * FROM leases;
SELECT lag_events, lag FROM event_consumers();
-- A stream that waits behind a failure does not count: it does not hold up the others.
SELECT count(eappend('order-1', 'Placed', "timestamp" => now() - interval '9 days'));
SELECT enack('mails', global_position, park => true, consumer => 'one') FROM enext('mails', consumer => 'one');
SELECT lag FROM event_consumers();
SELECT state FROM event_failures();
-- Two consumers: each has the lag of its partitions.
SELECT count(eappend('order-10', 'Placed', "timestamp" => now() - interval '7 days'));
SELECT count(*) FROM enext('mails', consumer => 'two');
SELECT count(*) FROM enext('mails', consumer => 'one');
SELECT count(*), sum(cardinality(partitions)) AS partitions, sum(lag_events) = (SELECT sum(lag_events) FROM event_leases()) AS same, max(days) FROM consumers;
-- Under row-level security, which can hide the oldest event, it is not known.
CREATE ROLE regress_sierra_reader;
GRANT USAGE ON SCHEMA es TO regress_sierra_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA es TO regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT max(lag) > '6 days' FROM event_leases();
RESET ROLE;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY shows ON es.events USING (true);
SET ROLE regress_sierra_reader;
SELECT sum(lag_events) > 0, max(lag) FROM event_leases();
SELECT sum(lag_events) > 0, max(lag) FROM event_consumers();
RESET ROLE;
DROP OWNED BY regress_sierra_reader;
DROP ROLE regress_sierra_reader;
DROP VIEW leases, consumers;
SELECT drop_event_store('es', force => true);
