-- Constraints and indexes that the user adds apply to appends as to any INSERT, and do not mislead
-- the engine.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- With 4 partitions: a is in partition 0, user-123 and order-456 in 1.
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'user-123'], ARRAY['x', 'x']);

-- A deferred unique constraint is checked at the commit, an immediate one at the end of the call.
ALTER TABLE es.events_1 ADD CONSTRAINT one_name UNIQUE (event_name) DEFERRABLE INITIALLY DEFERRED;
BEGIN;
SELECT stream_version FROM eappend('user-123', 'Once');
SELECT stream_version FROM eappend('order-456', 'Once');
\set VERBOSITY terse
COMMIT;
:sqlstate
SELECT esver('user-123') AS user_123, esver('order-456') AS order_456;
SELECT stream_version FROM eappend('user-123', 'Once');
SELECT emappend(NULL, ARRAY['order-456', 'order-456', 'order-456'], ARRAY['Twice', 'Other', 'Twice']);
:sqlstate
BEGIN;
SET CONSTRAINTS es.one_name IMMEDIATE;
SELECT eappend('order-456', 'Once');
:sqlstate
ROLLBACK;
SELECT stream_version FROM emappend(NULL, ARRAY['order-456', 'order-456'], ARRAY['Twice', 'Other']);
ALTER TABLE es.events_1 DROP CONSTRAINT one_name;
ALTER TABLE es.events_1 ADD CONSTRAINT one_payload EXCLUDE USING btree ((payload::text) WITH =) DEFERRABLE INITIALLY DEFERRED;
BEGIN;
SELECT stream_version FROM emappend(NULL, ARRAY['user-123', 'order-456'], ARRAY['x', 'x'], ARRAY['1', '1']::json[]);
COMMIT;
:sqlstate
\set VERBOSITY default
ALTER TABLE es.events_1 DROP CONSTRAINT one_payload;
SELECT esver('user-123') AS user_123, esver('order-456') AS order_456;

-- a deferred constraint trigger fires at the commit, and can refuse it
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM es.events WHERE event_name = 'Bad') THEN
        RAISE 'something bad since %/%', NEW.stream_id, NEW.stream_version;
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON es.events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
BEGIN;
SELECT stream_version FROM emappend(NULL, ARRAY['a', 'a', 'user-123'], ARRAY['Fine', 'Fine', 'Bad']);
SELECT esver('a');
COMMIT;
SELECT esver('a');
SELECT stream_version FROM eappend('a', 'Fine');
DROP TRIGGER refuse ON es.events;

-- The engine must not use a unique index with the opposite direction to find the newest event,
-- though it is older.
CREATE UNIQUE INDEX newest_first ON es.events_1 (stream_id, stream_version DESC);
CREATE UNIQUE INDEX last_sequence ON es.events_1 (partition_sequence DESC);
SELECT stream_version FROM emappend(NULL, ARRAY['user-123', 'user-123', 'user-123'], ARRAY['x', 'x', 'x']);
SELECT stream_version FROM eappend('user-123', 'x', expected_version => esver('user-123'));
ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream, DROP CONSTRAINT events_1_sequence;
-- the engine cannot use this index when it is the only one
SELECT eappend('user-123', 'x');
:sqlstate
SELECT esver('user-123');
:sqlstate
ALTER TABLE es.events_1 ADD CONSTRAINT events_1_stream UNIQUE (stream_id, stream_version), ADD CONSTRAINT events_1_sequence PRIMARY KEY (partition_sequence);
SELECT stream_version, partition_sequence FROM eappend('user-123', 'x', expected_version => esver('user-123'));
SELECT stream_version, partition_sequence FROM emappend(NULL, ARRAY['user-123', 'order-456', 'user-123'], ARRAY['x', 'x', 'x']);
SELECT array_agg(stream_version) FROM escan('user-123');
SELECT array_agg(stream_version) FROM escan('user-123', 2, 4, backward => true);
SELECT array_agg(partition_sequence) FROM epscan(1);
SELECT esver('user-123') AS version, epseq(1) AS sequence;
SELECT count(*) FROM everify();

SELECT drop_event_store('es', force => true);
DROP FUNCTION refuse;
