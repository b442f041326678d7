-- A BEFORE ROW trigger that appends to the partition which is being written: refused with the reason
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 1);
CREATE FUNCTION nest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name <> 'Nested' THEN
        PERFORM eappend(NEW.stream_id || '-nested', 'Nested');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER nest BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION nest();
CREATE FUNCTION try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE 'SELECT ' || call INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
-- what an application gets
SELECT eappend('a', 'x');
:sqlstate
SELECT try($$count(*) FROM eappend('a', 'x')$$);
SELECT try($$count(*) FROM emappend(NULL, ARRAY['a', 'b'], ARRAY['x', 'x'])$$);
SELECT count(*) FROM everify();
SELECT count(*) FROM es.events;
-- an AFTER trigger can
DROP TRIGGER nest ON es.events;
CREATE TRIGGER nest AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION nest();
SELECT try($$count(*) FROM emappend(NULL, ARRAY['a', 'b'], ARRAY['x', 'x'])$$);
SELECT partition_sequence, stream_id, stream_version FROM epscan(0);
SELECT drop_event_store('es', force => true);
-- A BEFORE trigger can append to other partitions, but not to those of the same call.  Among 4
-- partitions: a is in 0, e in 1, f in 3.
SELECT create_event_store('es', 4);
CREATE OR REPLACE FUNCTION nest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name <> 'Nested' THEN
        PERFORM eappend(NEW.event_name, 'Nested');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER nest BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION nest();
SELECT try($$count(*) FROM eappend('a', 'e')$$);
SELECT try($$count(*) FROM emappend(NULL, ARRAY['a', 'e'], ARRAY['e', 'f'])$$);
SELECT try($$count(*) FROM emappend(NULL, ARRAY['a', 'e'], ARRAY['f', 'f'])$$);
-- nor is a partition closed to it that the call only looks into, and keeps other sessions out of
SELECT try($$count(*) FROM eappend('a', 'e', condition => '{"streams": {"e": "exists"}}')$$);
-- an append to the same partition that the trigger gives up does no harm
CREATE OR REPLACE FUNCTION nest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM eappend('a', 'Nested');
    RETURN NEW;
EXCEPTION WHEN triggered_data_change_violation THEN
    RETURN NEW;
END $$;
SELECT try($$count(*) FROM emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'y'])$$);
SELECT global_position, stream_id, stream_version, event_name FROM eall();
SELECT count(*) FROM everify();
DROP TRIGGER nest ON es.events;
-- It cannot rely on what is not written yet either: not on a query, whose events can be in any
-- partition, nor on the version of a stream, nor that a stream does not exist with another key.
-- So no event is stored: among them would be one that another one's condition excludes.
CREATE OR REPLACE FUNCTION nest() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE NEW.event_name
        WHEN 'tag' THEN PERFORM eappend('f', 'Nested', condition => '{"query": [{"tags": ["x"]}], "after": -1}');
        WHEN 'type' THEN PERFORM eappend('f', 'Nested', condition => '{"query": [{"types": ["type"]}], "after": 11}');
        WHEN 'stream' THEN PERFORM eappend('f', 'Nested', condition => '{"streams": {"a": 4}}');
        WHEN 'other stream' THEN PERFORM eappend('f', 'Nested', condition => '{"streams": {"e": "exists"}}');
        WHEN 'key' THEN PERFORM eappend(NEW.stream_id, 'Nested', partition_key => 'e');
        ELSE NULL;
    END CASE;
    RETURN NEW;
END $$;
CREATE TRIGGER nest BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION nest();
SELECT eappend('a', 'tag', tags => '{x}');
:sqlstate
SELECT eappend('a', 'type');
:sqlstate
SELECT eappend('a', 'stream');
:sqlstate
SELECT eappend('a2', 'key');
:sqlstate
SELECT stream_version FROM eappend('a', 'other stream');
SELECT global_position, stream_id, stream_version, event_name FROM eall(11);
SELECT count(*) FROM everify();
-- In an AFTER trigger, a condition finds the events of the append.
DROP TRIGGER nest ON es.events;
CREATE TRIGGER nest AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION nest();
SELECT eappend('a', 'tag', tags => '{x}');
:sqlstate
SELECT eappend('a', 'stream');
:sqlstate
SELECT eappend('a2', 'key');
:sqlstate
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION try(text);
DROP FUNCTION nest();
