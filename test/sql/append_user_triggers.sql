-- triggers of the user's on the events table fire as on any table
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, what text);
SELECT stream_version FROM eappend('before', 'x');

-- AFTER ROW, on the parent: once per event, in the order of the call, with all columns
CREATE FUNCTION log_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (what) VALUES (format('%s %s %s %s/%s %s', TG_NAME, TG_WHEN, NEW.event_name, NEW.stream_id, NEW.stream_version, NEW.payload));
    RETURN NEW;
END
$$;
CREATE TRIGGER after_row AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION log_row();
SELECT stream_version FROM eappend('s', 'One', '1');
SELECT stream_version FROM emappend('s', ARRAY['s', 't', 's'], ARRAY['A', 'B', 'C'], ARRAY['2', '3', '4']::json[]);
SELECT stream_version FROM emappend(NULL, '[{"stream_id": "s", "event_name": "J"}]');
SELECT what FROM log ORDER BY n;
-- a repetition and a refusal fire nothing
TRUNCATE log;
SELECT stream_version FROM eappend('s', 'One', event_id => (SELECT event_id FROM escan('s', 0, 0)));
SELECT eappend('s', 'x', expected_version => 99);
:sqlstate
SELECT count(*) FROM log;
-- WHEN conditions, and more events than are written at once
CREATE TRIGGER after_some AFTER INSERT ON es.events FOR EACH ROW WHEN (NEW.stream_version % 100 = 99) EXECUTE FUNCTION log_row();
SELECT count(*) FROM emappend(NULL, array_fill('many'::text, ARRAY[600]), array_fill('M'::text, ARRAY[600]));
SELECT what FROM log WHERE what LIKE 'after_some%' ORDER BY n;
SELECT count(*) FROM log WHERE what LIKE 'after_row%';
DROP TRIGGER after_some ON es.events;
TRUNCATE log;

-- a deferred constraint trigger fires at the end of the transaction
DROP TRIGGER after_row ON es.events;
CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON es.events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION log_row();
BEGIN;
SELECT stream_version FROM eappend('s', 'Deferred');
SELECT count(*) FROM log;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT what FROM log;
ROLLBACK;
DROP TRIGGER at_commit ON es.events;
-- ENABLE REPLICA triggers do not fire, disabled ones do not either
CREATE TRIGGER after_row AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION log_row();
ALTER TABLE es.events DISABLE TRIGGER after_row;
SELECT stream_version FROM eappend('s', 'Disabled');
ALTER TABLE es.events ENABLE REPLICA TRIGGER after_row;
SELECT stream_version FROM eappend('s', 'Replica');
SELECT count(*) FROM log;
DROP TRIGGER after_row ON es.events;

-- A trigger that appends to the same stream, to the same partition and to another:
-- the numbers of the call are taken before the trigger takes its own.
CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name IN ('Ordered', 'Paid') THEN
        PERFORM FROM eappend(NEW.stream_id, 'Noted' || NEW.event_name);
        PERFORM FROM eappend('user-123', 'Mail' || NEW.event_name);
        PERFORM FROM eappend('a', 'Stock' || NEW.event_name);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER react AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION react();
SELECT stream_id, stream_version, partition_sequence FROM emappend(NULL, ARRAY['order-456', 'order-456', '€-stream'], ARRAY['Ordered', 'Paid', 'Other']);
SELECT partition_id, partition_sequence, stream_id, stream_version, event_name FROM es.events
 WHERE stream_id IN ('order-456', 'user-123', 'a', '€-stream') ORDER BY global_position;
DROP TRIGGER react ON es.events;
SELECT count(*) FROM everify();

-- An error of a trigger rolls back the append, and nothing else.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name = 'Bad' THEN
        RAISE 'no % here', NEW.event_name USING ERRCODE = 'P0099';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse_after AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT emappend(NULL, ARRAY['e', 'e'], ARRAY['Good', 'Bad']);
:sqlstate
SELECT esver('e');
DROP TRIGGER refuse_after ON es.events;

-- BEFORE ROW triggers: may refuse an event, may change what is not numbered, must not drop an event
-- silently
CREATE TRIGGER refuse_before BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT stream_version FROM eappend('e', 'Good');
SELECT emappend(NULL, ARRAY['e', 'e'], ARRAY['Good', 'Bad']);
:sqlstate
SELECT count(*) FROM emappend(NULL, array_fill('e'::text, ARRAY[300]), array_fill('Good'::text, ARRAY[300]));
DROP TRIGGER refuse_before ON es.events;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.metadata := json_build_object('by', 'trigger');
    RETURN NEW;
END
$$;
CREATE TRIGGER stamp BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION stamp();
SELECT stream_version FROM eappend('stamped', 'x', '{"kept":  1}');
SELECT payload, metadata FROM escan('stamped');
DROP TRIGGER stamp ON es.events;
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER swallow BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION swallow();
SELECT eappend('swallowed', 'x');
:sqlstate
SELECT emappend(NULL, ARRAY['swallowed', 'swallowed'], ARRAY['x', 'x']);
:sqlstate
DROP TRIGGER swallow ON es.events;
SELECT esver('swallowed');
-- statement triggers and transition tables
CREATE FUNCTION log_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (what) VALUES (TG_NAME);
    RETURN NULL;
END
$$;
CREATE FUNCTION log_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log (what) SELECT 'new ' || stream_id || '/' || stream_version FROM added;
    RETURN NULL;
END
$$;
TRUNCATE log;
CREATE TRIGGER statement_before BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION log_statement();
CREATE TRIGGER statement_after AFTER INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION log_statement();
CREATE TRIGGER statement_table AFTER INSERT ON es.events REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION log_table();
SELECT stream_id, stream_version FROM emappend(NULL, ARRAY['st', 'st'], ARRAY['x', 'x']);
SELECT DISTINCT what FROM log ORDER BY 1;
DROP TRIGGER statement_before ON es.events;
DROP TRIGGER statement_after ON es.events;
DROP TRIGGER statement_table ON es.events;

-- a trigger on one partition only
TRUNCATE log;
CREATE TRIGGER of_leaf AFTER INSERT ON es.events_0 FOR EACH ROW EXECUTE FUNCTION log_row();
SELECT stream_version FROM emappend(NULL, ARRAY['user-123', 'a'], ARRAY['Elsewhere', 'Here']) ORDER BY 1;
SELECT what FROM log;
DROP TRIGGER of_leaf ON es.events_0;

SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION log_row, log_statement, log_table, react, refuse, stamp, swallow;
DROP TABLE log;
