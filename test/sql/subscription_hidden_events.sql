-- A role that may not see events does not learn how many there are: row-level security also holds for lags and counts
\set SHOW_CONTEXT never
SELECT create_event_store('es', 2);
SELECT esub('s', start_from => 'earliest');
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b', 'b', 'b', 'b'], array_fill('x'::text, ARRAY[5]));
CREATE ROLE regress_sierra_a;
GRANT USAGE ON SCHEMA es TO regress_sierra_a;
GRANT SELECT ON ALL TABLES IN SCHEMA es TO regress_sierra_a;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY a ON es.events TO regress_sierra_a USING (stream_id = 'a');
SELECT lag_events FROM event_subscriptions();
SET ROLE regress_sierra_a;
SELECT count(*) FROM eall();
SELECT count(*) FROM es.events;
SELECT lag_events FROM event_subscriptions();
SELECT coalesce(bool_and(lag_events <= 1), true) AS hidden FROM event_leases();
RESET ROLE;
SELECT drop_event_store('es', force => true);
DROP OWNED BY regress_sierra_a;
DROP ROLE regress_sierra_a;
