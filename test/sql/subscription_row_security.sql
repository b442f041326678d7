-- row-level security of the events: events that a policy hides are not delivered, and do not stall
-- others
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE ROLE regress_sierra_consumer;
GRANT USAGE ON SCHEMA es TO regress_sierra_consumer;
GRANT SELECT ON es.events TO regress_sierra_consumer;
GRANT SELECT, INSERT, UPDATE, DELETE ON es.subscriptions, es.subscription_cursors, es.subscription_consumers, es.subscription_streams
   TO regress_sierra_consumer;
-- positions 0 to 7: streams of two tenants; 8 to 2007 of b only; 2008 of a
SELECT count(*) FROM generate_series(0, 7) AS n, LATERAL eappend((ARRAY['a-1', 'b-1', 'a-2', 'b-2'])[n % 4 + 1], 'x');
SELECT count(*) FROM emappend(NULL, (SELECT array_agg('b-' || n % 20) FROM generate_series(1, 2000) AS n), array_fill('x'::text, ARRAY[2000]));
SELECT global_position FROM eappend('a-1', 'x');
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON es.events TO regress_sierra_consumer USING (starts_with(stream_id, current_setting('app.tenant', true)));

SET ROLE regress_sierra_consumer;
SET app.tenant = 'a-';
SELECT esub('s', start_from => 'earliest', window_size => 3);
-- The window counts visible events.
SELECT array_agg(global_position) FROM enext('s');
SELECT array_agg(global_position) FROM enext('s', 2);
SELECT array_agg(global_position) FROM enext('s', 1, after => 2);
SELECT array_agg(global_position) FROM epeek('s');
SELECT eack('s', 4);
SELECT array_agg(global_position) FROM enext('s');
SELECT eack('s', 6);
-- Two thousand hidden events do not delay it.
SELECT array_agg(global_position) FROM enext('s');
SELECT eack('s', 2008);
SELECT count(*) FROM enext('s');
-- Hidden events do not count for moving the cursor: a policy may show them later.
SELECT esub('hidden', ARRAY['b-1'], start_from => 'earliest');
SELECT count(*) FROM enext('hidden');
SET app.tenant = 'b-';
SELECT global_position FROM enext('hidden', 2);
-- Of a hidden failed event only its place is shown.
SELECT enack('hidden', 1, '1 hour');
SELECT stream_id, global_position, event_name, waiting FROM event_failures();
SET app.tenant = 'a-';
SELECT stream_id, global_position, event_name, waiting FROM event_failures();
-- A hidden event cannot be failed by guessing its position: that would reveal its stream.
SELECT esub('guess', start_from => 'earliest');
SELECT enack('guess', 3);
:sqlstate
SELECT count(*) FROM es.subscription_streams WHERE subscription = 'guess';
SELECT eunsub('guess');
-- A diverted stream is delivered as far as it is visible.
SELECT eunsub('s');
SELECT esub('s', start_from => 'earliest');
SELECT enack('s', 0, '0');
SELECT array_agg(global_position) FROM enext('s');
SELECT eack('s', 2008);
SELECT array_agg(global_position) FROM enext('s');
-- a group
SELECT esub('group', start_from => 'earliest');
SELECT array_agg(global_position) FROM enext('group', 3, consumer => 'one');
SELECT eack('group', 4, 'one');
SELECT array_agg(global_position) FROM enext('group', consumer => 'one');
-- its leases move although its last event was diverted
SELECT enack('group', 2008, '1 hour', consumer => 'one');
SELECT eack('group', 6, 'one');
SELECT count(*) FROM enext('group', consumer => 'one');
SELECT count(*) FROM enext('group', consumer => 'two');
SELECT count(*) FROM enext('group', consumer => 'one');
SELECT count(*) FROM enext('group', consumer => 'two');
SELECT consumer, cardinality(partitions) FROM event_consumers();
-- latest
SELECT esub('latest', start_versions => '{"a-2": 1}');
SELECT array_agg(stream_id) FROM enext('latest');
RESET ROLE;
SELECT count(*) FROM emappend(NULL, ARRAY['b-1', 'a-1'], ARRAY['x', 'x']);
SET ROLE regress_sierra_consumer;
SELECT array_agg(stream_id) FROM enext('latest');
-- no policy for it: it sees nothing
RESET ROLE;
DROP POLICY tenant ON es.events;
SET ROLE regress_sierra_consumer;
SELECT count(*) FROM enext('latest');
-- row_security = off refuses rather than leak
SET row_security = off;
SELECT enext('latest');
:sqlstate
RESET row_security;
RESET ROLE;
RESET app.tenant;
SELECT drop_event_store('es', force => true);
DROP ROLE regress_sierra_consumer;
