-- The lock of a subscription names its store, so that no name in another store can have the same
SELECT create_event_store('es', 2), create_event_store('other', 2);
SELECT eappend('a', 'Happened') IS NOT NULL;
SELECT esub('s', start_from => 'earliest');
SET sierra_es.store = 'other';
SELECT eappend('a', 'Happened') IS NOT NULL;
SELECT esub('s', start_from => 'earliest');
BEGIN;
SELECT count(*) FROM enext('s', 1, consumer => 'c');
SET LOCAL sierra_es.store = 'es';
SELECT count(*) FROM enext('s');
SELECT classid::regclass AS events, objsubid, count(*), count(DISTINCT objid) AS different
  FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objsubid IN (1510, 1511) GROUP BY 1, 2 ORDER BY 1, 2;
COMMIT;
RESET sierra_es.store;
SET client_min_messages = warning;
SELECT drop_event_store('es', force => true), drop_event_store('other', force => true);
