-- eack(): cumulative, idempotent, and refused for positions that cannot have been delivered
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM generate_series(0, 9) AS n, LATERAL eappend((ARRAY['a', 'e', 'd', 'f'])[n % 4 + 1], 'x');
CREATE FUNCTION next(subscription text, consumer text DEFAULT NULL) RETURNS bigint[] LANGUAGE sql AS
    $$ SELECT coalesce(array_agg(global_position), '{}') FROM enext($1, consumer => $2) $$;
SELECT esub('s', start_from => 'earliest');

-- cumulative
SELECT eack('s', 3);
SELECT next('s');
-- again, or lower: no effect, and not a row written
SELECT acknowledged_at, ctid FROM es.subscription_cursors WHERE subscription = 's' \gset
SELECT eack('s', 3) AS again, eack('s', 1) AS lower, eack('s', -1) AS lowest;
SELECT acknowledged_at = :'acknowledged_at' AND ctid = :'ctid' AS not_written FROM es.subscription_cursors WHERE subscription = 's';
SELECT next('s');
SELECT eack('s', 4);
SELECT acknowledged_at > :'acknowledged_at' AS written FROM es.subscription_cursors WHERE subscription = 's';
-- up to the newest event; nothing above it was delivered
SELECT eack('s', 9);
SELECT eack('s', 10);
:sqlstate
SELECT eack('s', 9223372036854775807);
:sqlstate
SELECT next('s');
SELECT stream_version FROM eappend('a', 'x');
SELECT next('s');
-- A position that was rolled back is a hole, which can be passed.
BEGIN;
SELECT stream_version FROM eappend('a', 'undone');
ROLLBACK;
SELECT eack('s', 11);
SELECT eack('s', 12);
:sqlstate
SELECT global_position FROM eappend('a', 'x');
SELECT next('s');
-- An event of the own transaction can be consumed in it, and this is rolled back with it.
BEGIN;
SELECT global_position FROM eappend('a', 'own');
SELECT next('s');
SELECT eack('s', 13);
ROLLBACK;
SELECT next('s');

-- in an empty store there is nothing to acknowledge
SELECT create_event_store('fresh', 2);
SET sierra_es.store = fresh;
SELECT esub('s', start_from => 'earliest');
SELECT eack('s', -1);
SELECT eack('s', 0);
:sqlstate
RESET sierra_es.store;

-- Exactly once: the processing and its acknowledgement are committed or rolled back together.
CREATE TABLE model (position bigint PRIMARY KEY);
SELECT esub('model', start_from => 'earliest');
BEGIN;
INSERT INTO model SELECT global_position FROM enext('model', 4);
SELECT eack('model', (SELECT max(position) FROM model));
ROLLBACK;
BEGIN;
INSERT INTO model SELECT global_position FROM enext('model', 4);
SELECT eack('model', (SELECT max(position) FROM model));
COMMIT;
INSERT INTO model SELECT global_position FROM enext('model', 4);
SELECT array_agg(position ORDER BY position) FROM model;

-- A group: exactly the events that were delivered to the consumer.
SELECT esub('group', start_from => 'earliest');
SELECT count(*) FROM enext('group', 3, consumer => 'one');
SELECT array_agg(global_position) AS three FROM enext('group', 3, consumer => 'one');
SELECT consumer, acknowledged, delivered FROM es.subscription_consumers;
SELECT eack('group', 3, 'one');
:sqlstate
SELECT array_agg(global_position) AS ahead FROM enext('group', 3, after => 2, consumer => 'one');
SELECT eack('group', 6, 'one');
:sqlstate
SELECT eack('group', 4, 'one');
SELECT partition_id, cursor, consumer FROM es.subscription_cursors WHERE subscription = 'group' ORDER BY 1;
-- again, or lower
SELECT cursor, acknowledged_at, ctid FROM es.subscription_cursors WHERE subscription = 'group' AND partition_id = 0 \gset
SELECT eack('group', 4, 'one') AS again, eack('group', 0, 'one') AS lower;
SELECT cursor = :cursor AND acknowledged_at = :'acknowledged_at' AND ctid = :'ctid' AS not_written FROM es.subscription_cursors WHERE subscription = 'group' AND partition_id = 0;
SELECT next('group', 'one');
SELECT eack('group', 12, 'one');
SELECT eack('group', 13, 'one');
:sqlstate
SELECT next('group', 'one');

DROP FUNCTION next;
DROP TABLE model;
SELECT drop_event_store('fresh');
SELECT drop_event_store('es', force => true);
