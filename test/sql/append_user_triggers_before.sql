-- BEFORE ROW triggers and rules: an event is stored with its numbers, or not at all
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'user-123'], ARRAY['x', 'x']);

-- The event's name says what the trigger does to the event.
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE NEW.event_name
        WHEN 'stream_id' THEN NEW.stream_id := 'order-456';
        WHEN 'stream_version' THEN NEW.stream_version := NEW.stream_version + 1;
        WHEN 'partition_sequence' THEN NEW.partition_sequence := NEW.partition_sequence + 1;
        WHEN 'partition_sequence down' THEN NEW.partition_sequence := -1;
        WHEN 'global_position' THEN NEW.global_position := NEW.global_position + 1000;
        WHEN 'event_id' THEN NEW.event_id := gen_random_uuid();
        WHEN 'partition_key' THEN NEW.partition_key := gen_random_uuid();
        WHEN 'transaction_id' THEN NEW.transaction_id := gen_random_uuid();
        WHEN 'timestamp' THEN NEW."timestamp" := NEW."timestamp" + interval '1 s';
        WHEN 'event_name' THEN NEW.event_name := 'nothing';
        WHEN 'partition_id' THEN NEW.partition_id := 0;
        WHEN 'payload' THEN NEW.payload := '{"by":  "trigger"}';
        WHEN 'metadata' THEN NEW.metadata := '["trigger"]';
        WHEN 'payload_bytes' THEN NEW.payload := NULL; NEW.payload_bytes := '\x00ff';
        WHEN 'nothing' THEN NULL;
        WHEN 'null' THEN RETURN NULL;
    END CASE;
    RETURN NEW;
END
$$;
-- The result of an append, and that a refused append left nothing.
CREATE FUNCTION try(change text, stream text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT count(*) FROM es.events);
    result sierra_append_result;
    detail text;
BEGIN
    result := eappend(stream, change, '{}');
    RETURN format('version %s, stored: %s', result.stream_version,
                  (SELECT (e.stream_id, e.stream_version, e.partition_id, e.partition_sequence, e.global_position, e.event_id, e.partition_key, e.transaction_id, e."timestamp")
                        = (result.stream_id, result.stream_version, result.partition_id, result.partition_sequence, result.global_position, result.event_id, result.partition_key, result.transaction_id, result."timestamp")
                     FROM es.events AS e WHERE e.event_id = result.event_id));
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    IF (SELECT count(*) FROM es.events) <> before THEN
        RETURN 'left something';
    END IF;
    RETURN SQLSTATE || ': ' || SQLERRM || ' / ' || regexp_replace(detail, 'Before.*', '');
END
$$;
CREATE TRIGGER change BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION change();
SELECT what, try(what, 'user-123')
  FROM unnest(ARRAY['stream_id', 'stream_version', 'partition_sequence', 'partition_sequence down', 'global_position', 'event_id', 'partition_key', 'transaction_id',
                    'timestamp', 'event_name', 'partition_id', 'null', 'nothing', 'payload', 'metadata', 'payload_bytes']) AS what;
SELECT stream_version, event_name, payload, metadata, payload_bytes FROM escan('user-123');
-- the whole errors, as a client gets them
SELECT eappend('user-123', 'stream_id');
:sqlstate
SELECT eappend('user-123', 'null');
:sqlstate
-- one event among many is enough
SELECT emappend(NULL, ARRAY['user-123', 'a', 'user-123'], ARRAY['nothing', 'nothing', 'global_position']);
:sqlstate
SELECT emappend(NULL, ARRAY['user-123', 'a', 'user-123'], ARRAY['null', 'nothing', 'nothing']);
:sqlstate
DROP TRIGGER change ON es.events;
-- on one partition only
CREATE TRIGGER change BEFORE INSERT ON es.events_1 FOR EACH ROW EXECUTE FUNCTION change();
SELECT what, try(what, 'user-123') FROM unnest(ARRAY['stream_id', 'partition_sequence', 'null', 'payload']) AS what;
SELECT what, try(what, 'a') FROM unnest(ARRAY['stream_id', 'null']) AS what;
DROP TRIGGER change ON es.events_1;
SELECT count(*) FROM everify();

-- Rules apply to INSERT: they too send appends through the executor.
CREATE TABLE log (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE RULE swallow AS ON INSERT TO es.events DO INSTEAD NOTHING;
SELECT eappend('a', 'x');
:sqlstate
SELECT emappend(NULL, ARRAY['a', 'user-123'], ARRAY['x', 'x']);
:sqlstate
DROP RULE swallow ON es.events;
CREATE RULE divert AS ON INSERT TO es.events DO INSTEAD INSERT INTO log (what) VALUES (NEW.stream_id);
SELECT eappend('a', 'x');
:sqlstate
DROP RULE divert ON es.events;
CREATE RULE bad_only AS ON INSERT TO es.events WHERE NEW.event_name = 'Bad' DO INSTEAD NOTHING;
SELECT stream_version FROM eappend('a', 'Good');
SELECT eappend('a', 'Bad');
:sqlstate
DROP RULE bad_only ON es.events;
CREATE RULE also AS ON INSERT TO es.events DO ALSO INSERT INTO log (what) VALUES (NEW.stream_id || '/' || NEW.stream_version);
SELECT stream_version FROM emappend(NULL, ARRAY['a', 'user-123', 'a'], ARRAY['x', 'x', 'x']);
SELECT what FROM log ORDER BY what;
DROP RULE also ON es.events;
SELECT stream_version FROM eappend('a', 'x');
SELECT count(*) FROM log;
SELECT count(*) FROM everify();

SELECT drop_event_store('es', force => true);
DROP FUNCTION change, try;
DROP TABLE log;
