-- subscriptions of the same name in two stores are independent
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT create_event_store('The "other"', 2);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e', 'd'], ARRAY['x', 'x', 'x']);
SET sierra_es.store = 'The "other"';
SELECT count(*) FROM emappend(NULL, ARRAY['x', 'y'], ARRAY['x', 'x']);
CREATE FUNCTION next(subscription text, consumer text DEFAULT NULL) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(format('%s:%s', global_position, stream_id), ' ') FROM enext($1, consumer => $2) $$;

SELECT esub('s', start_from => 'earliest');
SELECT next('s');
RESET sierra_es.store;
SELECT next('s');
:sqlstate
SELECT esub('s', ARRAY['*'], start_from => 'earliest', window_size => 10);
SELECT next('s');
SELECT eack('s', 2);
SET sierra_es.store = 'The "other"';
SELECT next('s');
SELECT enack('s', 0, park => true, reason => 'of the other');
SELECT next('s', 'one');
SELECT next('s');
:sqlstate
RESET sierra_es.store;
SELECT next('s') IS NULL AS caught_up;
-- The views use the store of the setting, or of the argument.
SELECT subscription, window_size, cursor, parked FROM event_subscriptions();
SELECT subscription, window_size, cursor, parked FROM event_subscriptions('The "other"');
SELECT count(*) FROM event_consumers() UNION ALL SELECT count(*) FROM event_consumers('The "other"');
SELECT count(*) FROM event_leases() UNION ALL SELECT count(*) FROM event_leases('The "other"');
SELECT count(*) FROM event_failures() UNION ALL SELECT count(*) FROM event_failures('The "other"');
-- ... one after the other in the same session, prepared or not
PREPARE next (text) AS SELECT count(*) FROM epeek($1);
EXECUTE next('s');
SET sierra_es.store = 'The "other"';
EXECUTE next('s');
SELECT count(*) FROM epeek('s') UNION ALL SELECT count(*) FROM enext('s', consumer => 'one');
SELECT eretry('s');
SELECT next('s', 'one');
SELECT eunsub('s');
RESET sierra_es.store;
SELECT subscription FROM event_subscriptions();
SELECT count(*) FROM event_subscriptions('The "other"');
-- A store that was dropped and made again is another one.
SELECT drop_event_store('The "other"', force => true);
SELECT create_event_store('The "other"', 1);
SET sierra_es.store = 'The "other"';
SELECT next('s');
:sqlstate
SELECT esub('s');
SELECT count(*) FROM eappend('z', 'x');
SELECT next('s');
SELECT eack('s', 0);
RESET sierra_es.store;
DEALLOCATE next;
DROP FUNCTION next;
SELECT drop_event_store('The "other"', force => true);
SELECT drop_event_store('es', force => true);
