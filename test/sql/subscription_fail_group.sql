-- failed events in a group: a diverted stream stays with the holder of its partition
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- positions 0 to 11: a (partition 0), e (1), d (2), f (3) in turn
SELECT count(*) FROM generate_series(0, 11) AS n, LATERAL eappend((ARRAY['a', 'e', 'd', 'f'])[n % 4 + 1], 'x');
CREATE FUNCTION next(consumer text, max_count int DEFAULT 100) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(format('%s:%s/%s', global_position, stream_id, stream_version), ' ') FROM enext('s', $2, consumer => $1) $$;
CREATE VIEW diverted AS SELECT stream_id, partition_id, state, position, version, delivered, failed_position, attempts FROM es.subscription_streams ORDER BY 1;
SELECT esub('s', start_from => 'earliest');
-- one and two share the partitions: 0 and 1, 2 and 3
SELECT next('one', 1);
SELECT eack('s', 0, 'one');
SELECT count(*) AS joined FROM enext('s', consumer => 'two');
SELECT next('one', 1), next('two', 1);
SELECT partition_id, cursor, consumer FROM event_leases();

-- An event of a partition that another consumer holds cannot be failed by this one.
SELECT enack('s', 2, '0', consumer => 'one');
:sqlstate
SELECT enack('s', 1, '0', consumer => 'two');
:sqlstate
SELECT enack('s', 2, '0', 'of two', consumer => 'two');
SELECT * FROM diverted;
SELECT partition_id, last_error FROM es.subscription_cursors ORDER BY 1;
-- When it is due, it is delivered to two only.
SELECT next('one');
SELECT next('two');
-- A position of its events, passed by another consumer, does not acknowledge it.
SELECT eack('s', 2, 'one');
:sqlstate
SELECT * FROM diverted;
SELECT eack('s', 6, 'two');
SELECT * FROM diverted;
SELECT partition_id, cursor, consumer FROM event_leases();
SELECT next('two');
SELECT eack('s', 10, 'two');
SELECT next('two');
SELECT eack('s', 11, 'two');

-- Leases move only when no delivered event is open: one has open events, so two gets no more.
SELECT enack('s', 9, '1 hour', consumer => 'one');
SELECT eack('s', 8, 'one');
-- ... also if its last event was diverted, which no acknowledgement reaches
SELECT delivered > acknowledged AS out FROM event_consumers() WHERE consumer = 'one';
SELECT next('one') IS NULL AS nothing_but_e;
SELECT delivered > acknowledged AS out FROM event_consumers() WHERE consumer = 'one';
SELECT count(*) AS joined FROM enext('s', consumer => 'three');
SELECT next('one') IS NULL AS nothing, next('two') IS NULL AS nothing;
SELECT count(*) AS leased FROM enext('s', consumer => 'three');
SELECT consumer, partitions FROM event_consumers();
-- Delivered events of a diverted stream keep the leases where they are, as other events do.
SELECT eleave('s', 'three');
UPDATE es.subscription_streams SET retry_at = clock_timestamp() WHERE stream_id = 'e';
SELECT count(*) AS leased FROM enext('s', consumer => 'two') UNION ALL SELECT count(*) FROM enext('s', consumer => 'one');
SELECT consumer, partitions FROM event_consumers();
SELECT next('one');
SELECT count(*) AS joined FROM enext('s', consumer => 'alpha');
SELECT next('one');
SELECT consumer, partitions FROM event_consumers();
SELECT eack('s', 9, 'one');
SELECT next('one') IS NULL AS drained;
SELECT next('one') IS NULL AS balanced;
SELECT count(*) AS leased FROM enext('s', consumer => 'alpha');
SELECT consumer, partitions FROM event_consumers();
SELECT eleave('s', 'alpha');
SELECT next('one') IS NULL AS leased, next('two') IS NULL AS leased;
SELECT consumer, partitions FROM event_consumers();

-- When its consumer leaves, the next one gets the failed stream.
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e', 'd', 'f'], ARRAY['x', 'x', 'x', 'x']);
SELECT next('two');
SELECT enack('s', 14, '0', 'of two', consumer => 'two');
SELECT next('two');
SELECT eleave('s', 'two');
SELECT stream_id, state, delivered FROM diverted WHERE stream_id = 'd';
SELECT eack('s', 14, 'two');
:sqlstate
SELECT enack('s', 14, consumer => 'two');
:sqlstate
SELECT next('one');
SELECT partitions FROM event_consumers();
SELECT eack('s', 14, 'one');
SELECT next('one');
SELECT eack('s', 15, 'one');
SELECT next('one') IS NULL AS caught_up;
SELECT * FROM diverted;

-- Failed before there was a group: the row becomes part of the group.
SELECT eunsub('s');
SELECT esub('s', start_from => 'earliest');
SELECT enack('s', 4, '0', 'before the group');
SELECT partition_id, last_error FROM es.subscription_cursors;
SELECT next('one');
SELECT next('one');
SELECT partition_id, last_error FROM es.subscription_cursors ORDER BY 1;
SELECT eack('s', 12, 'one');
SELECT next('one', 3);

DROP VIEW diverted;
DROP FUNCTION next;
SELECT drop_event_store('es', force => true);
