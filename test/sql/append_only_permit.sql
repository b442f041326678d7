-- append_only: the permit of an append that goes through the executor is for that append alone
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM eappend('a', 'x');
CREATE ROLE regress_sierra_bound;
GRANT USAGE ON SCHEMA es TO regress_sierra_bound;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA es TO regress_sierra_bound;
-- a row that nothing but the guard refuses
CREATE FUNCTION raw(into_table text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %s (partition_sequence, stream_version, global_position, "timestamp", event_id, partition_key, transaction_id, partition_id, stream_id, event_name)'
                   ' SELECT 1000, 1000, 1000, now(), k, k, k, 0, ''raw'', ''Raw'' FROM gen_random_uuid() AS k', into_table);
END
$$;

-- through the executor by row-level security
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON es.events TO regress_sierra_bound USING (true);
SET ROLE regress_sierra_bound;
BEGIN;
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'a', 'user-123'], array_fill('x'::text, ARRAY[4]));
SELECT raw('es.events');
:sqlstate
ROLLBACK;
BEGIN;
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'a', 'user-123'], array_fill('x'::text, ARRAY[4]));
SELECT raw('es.events_0');
:sqlstate
ROLLBACK;
BEGIN;
SELECT count(*) FROM eappend('a', 'x');
SELECT raw('es.events');
:sqlstate
ROLLBACK;
-- within one statement, and after an append that failed
SELECT raw('es.events') FROM emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'x']);
:sqlstate
BEGIN;
SAVEPOINT s;
SELECT emappend(NULL, ARRAY['a', 'a'], ARRAY['x', E'\t']);
:sqlstate
ROLLBACK TO s;
SELECT raw('es.events');
:sqlstate
ROLLBACK;
RESET ROLE;
ALTER TABLE es.events DISABLE ROW LEVEL SECURITY;
DROP POLICY everything ON es.events;

-- through the executor by a BEFORE ROW trigger, and from inside of one
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name LIKE 'es.%' THEN
        PERFORM raw(NEW.event_name);
    ELSIF NEW.event_name = 'Fails' THEN
        RAISE 'no';
    ELSIF NEW.event_name = 'Caught' THEN
        BEGIN
            PERFORM raw('es.events');
        EXCEPTION WHEN SQLSTATE 'SE006' THEN
            NEW.metadata := to_json(SQLERRM);
        END;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER meddle BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION meddle();
BEGIN;
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'a', 'user-123'], array_fill('x'::text, ARRAY[4]));
SELECT raw('es.events');
:sqlstate
ROLLBACK;
SELECT eappend('a', 'es.events');
:sqlstate
SELECT eappend('a', 'es.events_0');
:sqlstate
SELECT emappend(NULL, ARRAY['a', 'a', 'a'], ARRAY['x', 'es.events', 'x']);
:sqlstate
SELECT emappend(NULL, ARRAY['a', 'a', 'a'], ARRAY['x', 'x', 'es.events']);
:sqlstate
SELECT emappend(NULL, ARRAY['user-123', 'a'], ARRAY['es.events', 'x']);
:sqlstate
-- The refusal can be caught; the append continues, and its other events are stored.
SELECT stream_version FROM emappend(NULL, ARRAY['caught', 'caught', 'caught'], ARRAY['Caught', 'x', 'Caught']);
SELECT stream_version, metadata FROM escan('caught');
-- An append that a trigger aborted leaves no permit behind.
BEGIN;
DO $$ BEGIN
    PERFORM emappend(NULL, ARRAY['a', 'a'], ARRAY['Fails', 'x']);
EXCEPTION WHEN OTHERS THEN
    PERFORM raw('es.events');
END $$;
:sqlstate
ROLLBACK;
-- A permit that was not used up is void in the next transaction.  This trigger fires before the guard, because its name sorts first.
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''before the guard''; END';
CREATE TRIGGER a_first BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION fail();
SELECT eappend('a', 'x');
CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
INSERT INTO es.events (partition_sequence, stream_version, global_position, "timestamp", event_id, partition_key, transaction_id, partition_id, stream_id, event_name)
    SELECT 1000, 1000, 1000, now(), k, k, k, 0, 'raw', 'Raw' FROM gen_random_uuid() AS k;
:sqlstate
DROP TRIGGER a_first ON es.events;
DROP FUNCTION fail;
DROP TRIGGER meddle ON es.events;
-- an AFTER ROW trigger has no permit either, with and without executor
CREATE TRIGGER meddle_after AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION meddle();
SELECT eappend('a', 'es.events');
:sqlstate
CREATE TRIGGER meddle BEFORE INSERT ON es.events FOR EACH ROW WHEN (false) EXECUTE FUNCTION meddle();
SELECT eappend('a', 'es.events');
:sqlstate

SELECT stream_id FROM es.events WHERE event_name = 'Raw';
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION raw, meddle;
DROP ROLE regress_sierra_bound;
