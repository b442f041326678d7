-- event_stores() and event_partitions() run nothing that the owner of a store has written, and one store hides no other
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_sierra_hostile;
CREATE ROLE regress_sierra_victim;
CREATE ROLE regress_sierra_monitor IN ROLE pg_monitor;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_hostile, regress_sierra_victim', current_database()) \gexec
SET ROLE regress_sierra_victim;
SELECT create_event_store('victim', 2);
SET sierra_es.store = victim;
SELECT count(*) FROM emappend('a', '[{"stream_id": "secret", "event_name": "x"}, {"stream_id": "secret", "event_name": "x"}]');
SET ROLE regress_sierra_hostile;
SELECT create_event_store('hostile', 2);
SET sierra_es.store = hostile;
SELECT count(*) FROM emappend('a', '[{"stream_id": "a", "event_name": "x"}, {"stream_id": "a", "event_name": "x"}, {"stream_id": "a", "event_name": "x"}]');
RESET sierra_es.store;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
GRANT SELECT ON hostile.events TO PUBLIC;
CREATE TABLE hostile.copied (stream_id text);
GRANT INSERT ON hostile.copied TO PUBLIC;
-- A sequence remembers a call even if it is rolled back.
CREATE SEQUENCE hostile.calls MINVALUE 0 START 0;
GRANT USAGE ON SEQUENCE hostile.calls TO PUBLIC;
CREATE TABLE hostile.weapon (name text);
GRANT SELECT ON hostile.weapon TO PUBLIC;
CREATE FUNCTION hostile.steal() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hostile.copied SELECT stream_id FROM victim.events;
    GRANT USAGE ON SCHEMA victim TO regress_sierra_hostile;
    GRANT SELECT ON victim.events TO regress_sierra_hostile;
END $$;
CREATE FUNCTION hostile.spring(number bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM hostile.weapon) THEN
        RETURN number;
    END IF;
    PERFORM nextval('hostile.calls');
    IF EXISTS (SELECT FROM hostile.weapon WHERE name = 'steal') AND current_user <> 'regress_sierra_hostile' THEN
        PERFORM hostile.steal();
    ELSIF EXISTS (SELECT FROM hostile.weapon WHERE name = 'serialization') THEN
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'could not serialize access';
    ELSIF EXISTS (SELECT FROM hostile.weapon WHERE name = 'assert') THEN
        ASSERT false;
    ELSIF EXISTS (SELECT FROM hostile.weapon WHERE name = 'cancel') THEN
        RAISE EXCEPTION USING ERRCODE = '57014', MESSAGE = 'canceling statement';
    END IF;
    RETURN number;
END $$;
CREATE INDEX ON hostile.events_0 ((hostile.spring(0) + partition_id));
CREATE INDEX ON hostile.events_1 ((hostile.spring(0) + partition_id));
CREATE INDEX ON hostile.events_0 (partition_sequence) WHERE hostile.spring(0) = 0;
CREATE INDEX ON hostile.stream_keys ((hostile.spring(0)));
CREATE INDEX ON hostile.event_ids ((hostile.spring(0)));
CREATE STATISTICS hostile.statistics ON (hostile.spring(partition_sequence)), stream_version FROM hostile.events_0;
ANALYZE hostile.events_0;
RESET ROLE;

CREATE FUNCTION show() RETURNS TABLE (store name, partitions integer, events bigint, last_position bigint, bytes boolean) LANGUAGE sql AS $$
    SELECT s.store, s.partitions, s.events, s.last_position, s.bytes > 0 FROM event_stores() AS s
$$;
INSERT INTO hostile.weapon VALUES ('steal');
SET ROLE regress_sierra_victim;
SELECT * FROM show();
SELECT sum(events) FROM event_partitions('hostile');
RESET ROLE;
SELECT count(*) AS copied FROM hostile.copied;
SELECT has_schema_privilege('regress_sierra_hostile', 'victim', 'USAGE') AS has_usage,
       has_table_privilege('regress_sierra_hostile', 'victim.events', 'SELECT') AS has_select;
UPDATE hostile.weapon SET name = 'serialization';
SELECT * FROM show();
SET ROLE regress_sierra_victim;
SELECT * FROM show();
SET ROLE regress_sierra_monitor;
SELECT * FROM show();
SELECT partition_id, events, last_sequence, last_position FROM event_partitions('hostile');
RESET ROLE;
UPDATE hostile.weapon SET name = 'assert';
SELECT * FROM show();
SET ROLE regress_sierra_monitor;
SELECT * FROM show();
RESET ROLE;
UPDATE hostile.weapon SET name = 'cancel';
SELECT * FROM show();
SET ROLE regress_sierra_victim;
SELECT * FROM show();
-- Policies hide a store from those that they apply to, and are not evaluated.
SET ROLE regress_sierra_hostile;
ALTER TABLE hostile.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY policy ON hostile.events USING (hostile.spring(0) = 0);
SET ROLE regress_sierra_victim;
SELECT * FROM show();
SELECT event_partitions('hostile');
:sqlstate
SELECT sierra_internal.store_numbers('hostile');
:sqlstate
SET ROLE regress_sierra_monitor;
SELECT * FROM show();
-- The body of event_stores() has no rights of its own.
SELECT partitions, events FROM sierra_internal.store_numbers('victim');
SET ROLE regress_sierra_hostile;
SELECT sierra_internal.store_numbers('victim');
:sqlstate
SELECT sierra_internal.store_numbers('nowhere');
:sqlstate
ALTER TABLE hostile.events DISABLE ROW LEVEL SECURITY;
-- Nothing of the above was called, but a query would have called it.
SELECT is_called FROM hostile.calls;
SELECT count(*) FROM hostile.events WHERE partition_id + 1 > 0;
:sqlstate
SELECT is_called FROM hostile.calls;

-- A store that is damaged has no numbers, and hides no other.
ALTER TABLE hostile.events_1 DROP CONSTRAINT events_1_sequence;
RESET ROLE;
SELECT * FROM show();
SELECT event_partitions('hostile');
:sqlstate
SET ROLE regress_sierra_hostile;
ALTER TABLE hostile.events_1 ADD CONSTRAINT events_1_sequence PRIMARY KEY (partition_sequence);
RESET ROLE;
SELECT * FROM show();
-- A default partition has no number; the largest sequence has no number of events.
SET ROLE regress_sierra_hostile;
CREATE TABLE hostile.other (LIKE hostile.events_0);
ALTER TABLE hostile.other ADD PRIMARY KEY (partition_sequence);
INSERT INTO hostile.other SELECT 0, 0, 7, now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 9, 'z', 'x';
ALTER TABLE hostile.events ATTACH PARTITION hostile.other DEFAULT;
RESET ROLE;
SELECT partition_id, events, last_sequence, last_position FROM event_partitions('hostile');
SELECT * FROM show();
SET ROLE regress_sierra_hostile;
ALTER TABLE hostile.events DETACH PARTITION hostile.other;
UPDATE hostile.other SET partition_sequence = 9223372036854775807;
ALTER TABLE hostile.events ATTACH PARTITION hostile.other DEFAULT;
RESET ROLE;
SELECT event_partitions('hostile');
:sqlstate
SELECT * FROM show();

SET client_min_messages = warning;
DROP FUNCTION show();
DROP SCHEMA hostile CASCADE;
SELECT drop_event_store('victim', force => true);
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_hostile, regress_sierra_victim', current_database()) \gexec
DROP ROLE regress_sierra_hostile, regress_sierra_victim, regress_sierra_monitor;
