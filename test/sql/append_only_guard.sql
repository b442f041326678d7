-- sierra_es.restore and guard_event_store(): the ways around the guard, and back
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_sierra_owner;
CREATE ROLE regress_sierra_granted;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_owner', current_database()) \gexec
SET ROLE regress_sierra_owner;
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'user-123'], ARRAY['x', 'y', 'z'], event_ids => ARRAY['00000000-0000-4000-8000-000000000001', NULL, NULL]::uuid[]);
GRANT USAGE ON SCHEMA es TO regress_sierra_granted;
GRANT ALL ON ALL TABLES IN SCHEMA es TO regress_sierra_granted;
CREATE TEMP TABLE dumped AS SELECT * FROM es.events;
CREATE TEMP TABLE dumped_ids AS SELECT * FROM es.event_ids;
GRANT SELECT ON dumped, dumped_ids TO regress_sierra_granted;
SELECT drop_event_store('es', force => true);
SELECT create_event_store('es', 4);
GRANT USAGE ON SCHEMA es TO regress_sierra_granted;
GRANT ALL ON ALL TABLES IN SCHEMA es TO regress_sierra_granted;

-- off: not even the owner
INSERT INTO es.events SELECT * FROM dumped;
:sqlstate
-- on: INSERT and COPY for the owner, nothing else for any role
SET sierra_es.restore = on;
SET ROLE regress_sierra_granted;
INSERT INTO es.events SELECT * FROM dumped;
:sqlstate
SET ROLE regress_sierra_owner;
UPDATE es.events SET event_name = 'y';
:sqlstate
DELETE FROM es.events;
:sqlstate
TRUNCATE es.events;
:sqlstate
INSERT INTO es.events SELECT * FROM dumped WHERE stream_id = 'a';
INSERT INTO es.event_ids SELECT * FROM dumped_ids;
-- a partition as pg_dump loads it
INSERT INTO es.events_1 SELECT * FROM dumped WHERE stream_id = 'user-123';
RESET sierra_es.restore;
INSERT INTO es.events SELECT * FROM dumped;
:sqlstate
-- Restored events are read and appended to, though the sequence of positions was at its start.
SELECT problem, detail FROM everify();
SELECT global_position, stream_id, stream_version, event_name FROM eall();
SELECT stream_version, partition_sequence, global_position FROM eappend('a', 'on');
SELECT stream_version FROM eappend('a', 'x', event_id => '00000000-0000-4000-8000-000000000001');
SELECT stream_version, partition_sequence, global_position FROM eappend('user-123', 'on');
SELECT count(*) FROM everify();

-- The owner can drop the guard, as owners can drop tables; everify() reports it,
-- guard_event_store() puts it back.
SELECT guard_event_store();
DROP TRIGGER sierra_guard ON es.events_2;
ALTER TABLE es.events DISABLE TRIGGER sierra_guard;
ALTER TABLE es.stream_keys ENABLE TRIGGER sierra_guard;
ALTER TABLE es.event_ids ENABLE REPLICA TRIGGER sierra_guard;
SELECT problem, detail FROM everify() ORDER BY detail;
SELECT guard_event_store();
SELECT guard_event_store();
SELECT count(*) FROM everify();
DELETE FROM es.events_2;
:sqlstate
DELETE FROM es.events;
:sqlstate
-- another role cannot do either
SET ROLE regress_sierra_granted;
DROP TRIGGER sierra_guard ON es.events_2;
:sqlstate
RESET ROLE;
ALTER TABLE es.events DISABLE TRIGGER sierra_guard;
SET ROLE regress_sierra_granted;
SELECT guard_event_store();
:sqlstate
RESET ROLE;
SELECT guard_event_store('es');
SELECT count(*) FROM everify();

SELECT drop_event_store('es', force => true);
DROP TABLE dumped, dumped_ids;
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_owner', current_database()) \gexec
DROP ROLE regress_sierra_owner, regress_sierra_granted;
