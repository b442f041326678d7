-- eappend_each() and what users add: triggers, constraints, row-level security, rights, projections
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION each(streams text[], expected expected_version[] DEFAULT NULL)
    RETURNS TABLE (status text, stream text, version bigint, sqlstate text, detail text)
    LANGUAGE sql AS $$
    SELECT r.status, r.stream_id, r.stream_version, r.sqlstate, r.detail
      FROM eappend_each($1, array_fill('E'::text, ARRAY[cardinality($1)]), expected_versions => $2) WITH ORDINALITY AS r
     ORDER BY ordinality $$;

-- an error that is not a refusal is raised, and undoes the whole statement
ALTER TABLE es.events ADD CONSTRAINT not_bad CHECK (stream_id <> 'bad');
\set VERBOSITY terse
SELECT each(ARRAY['good', 'bad']);
:sqlstate
\set VERBOSITY default
SELECT * FROM eall();
ALTER TABLE es.events DROP CONSTRAINT not_bad;

-- AFTER triggers fire after all calls, also when those are written in several rounds; a trigger may append
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM eappend('followed-' || NEW.stream_id, 'F', to_json((SELECT count(*) FROM es.events)));
    PERFORM eappend('same', 'F') WHERE NEW.stream_id = 'same' AND NEW.event_name = 'E' AND NEW.stream_version < 3;
    RETURN NULL;
END $$;
CREATE TRIGGER follow AFTER INSERT ON es.events FOR EACH ROW WHEN (NEW.event_name = 'E') EXECUTE FUNCTION follow();
SELECT status, stream_id, stream_version FROM eappend_each(ARRAY['one', 'same', 'two', 'same'], ARRAY['E', 'E', 'E', 'E'],
                                                          conditions => ARRAY[NULL, NULL, '{"streams": {"one": 0}}', NULL]::json[]);
SELECT stream_id, stream_version, event_name, payload FROM eall();
DROP TRIGGER follow ON es.events;

-- BEFORE triggers: the slow path; what they append to another partition
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name = 'Nested' THEN
        RETURN NEW;
    END IF;
    IF NEW.stream_id = 'forbidden' THEN
        RAISE EXCEPTION 'forbidden' USING ERRCODE = '22999';
    END IF;
    PERFORM eappend(NEW.payload->>'to', 'Nested') WHERE NEW.payload->>'to' IS NOT NULL;
    NEW.metadata := '{"changed": true}';
    RETURN NEW;
END $$;
CREATE TRIGGER change BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION change();
SELECT status, stream_id, stream_version, sqlstate FROM eappend_each(ARRAY['slow', 'slow', 'slow'], ARRAY['E', 'E', 'E'],
                                                           expected_versions => ARRAY['empty', '5', '0']::expected_version[]);
SELECT stream_version, metadata FROM escan('slow');
-- an error of a trigger is not a refusal, whatever its class is
SELECT each(ARRAY['slow', 'forbidden']);
:sqlstate
SELECT esver('slow');
-- no partition of the statement may be appended to, not even one whose events are written later
SELECT stream, sierra_partition_id(sierra_stream_key(stream), 4) AS partition FROM unnest(ARRAY['slow', 'c', 'other']) AS stream;
SELECT eappend_each(ARRAY['slow', 'c'], ARRAY['E', 'E'], payloads => ARRAY['{"to": "c"}', NULL]::json[],
                    conditions => ARRAY[NULL, '{"streams": {"slow": "exists"}}']::json[]);
:sqlstate
-- nor one that is only looked at: the home of a stream that a later call creates with another key, a stream of a condition
SELECT eappend_each(ARRAY['slow', 'c'], ARRAY['E', 'E'], payloads => ARRAY['{"to": "c"}', NULL]::json[],
                    partition_keys => ARRAY[NULL, 'slow'], conditions => ARRAY[NULL, '{"streams": {"slow": "exists"}}']::json[]);
:sqlstate
SELECT eappend_each(ARRAY['slow', 'slow'], ARRAY['E', 'E'], payloads => ARRAY['{"to": "c"}', NULL]::json[],
                    conditions => ARRAY[NULL, '{"streams": {"c": "empty"}}']::json[]);
:sqlstate
-- another one may
SELECT status, stream_id, stream_version
  FROM eappend_each(ARRAY['slow', 'c'], ARRAY['E', 'E'], payloads => ARRAY['{"to": "other"}', NULL]::json[],
                    conditions => ARRAY[NULL, '{"streams": {"slow": "exists"}}']::json[]);
SELECT stream_version, event_name FROM escan('other');
DROP TRIGGER change ON es.events;

-- inline projections see every event, in order
CREATE FUNCTION count_event(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql
    AS $$ SELECT coalesce(state, '[]') || jsonb_build_array(e.stream_version) $$;
SELECT create_projection('inline', 'count_event', mode => 'inline', key => 'e.stream_id', initial => '[]');
SELECT * FROM each(ARRAY['in-1', 'in-2', 'in-1', 'in-1', 'in-1'], ARRAY['empty', 'empty', '0', '0', '1']::expected_version[]);
SELECT eproject('inline', 'in-1'), eproject('inline', 'in-2');
SELECT drop_projection('inline');
DROP FUNCTION count_event;

-- rights: INSERT is enough
CREATE ROLE regress_each_writer;
GRANT USAGE ON SCHEMA es TO regress_each_writer;
SET ROLE regress_each_writer;
SELECT each(ARRAY['w']);
:sqlstate
RESET ROLE;
GRANT INSERT ON es.events TO regress_each_writer;
SET ROLE regress_each_writer;
SELECT * FROM each(ARRAY['w', 'w'], ARRAY['empty', '4']::expected_version[]);
RESET ROLE;

-- row-level security: a row that it forbids fails the statement; a refusal does not say what it hides
GRANT SELECT ON es.events TO regress_each_writer;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON es.events TO regress_each_writer USING (stream_id LIKE 'w%') WITH CHECK (stream_id NOT LIKE '%-forbidden');
SET ROLE regress_each_writer;
SELECT each(ARRAY['w', 'w-forbidden']);
:sqlstate
-- the answers of eappend(), to the versions that the calls before have made, too
SELECT * FROM each(ARRAY['w', 'slow', 'w', 'w-new', 'w-new'], ARRAY['7', '7', '0', 'empty', '7']::expected_version[]);
RESET ROLE;

-- a policy that decides what a refusal says may append, but not to a partition of the calls that follow
CREATE FUNCTION audit() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM eappend(current_setting('each.audited'), 'Audited', partition_key => current_setting('each.key'));
    RETURN true;
END $$;
CREATE POLICY audit ON es.events AS RESTRICTIVE FOR SELECT TO regress_each_writer USING (audit());
SELECT key, sierra_partition_id(sierra_stream_key(key), 4) AS partition FROM unnest(ARRAY['w', 'w-2', 'audit', 'audit-2']) AS key;
SET ROLE regress_each_writer;
-- neither to a stream that a later call creates with another key, nor to the same stream
SET each.audited = 'w-2';
SET each.key = 'audit';
SELECT each(ARRAY['w', 'w-2'], ARRAY['7', 'empty']::expected_version[]);
:sqlstate
SET each.audited = 'w';
SET each.key = 'w';
SELECT each(ARRAY['w', 'w'], ARRAY['7', 'any']::expected_version[]);
:sqlstate
-- to another one it may, and if the call is the only one
SET each.audited = 'audit-2';
SET each.key = 'audit-2';
SELECT * FROM each(ARRAY['w', 'w-2'], ARRAY['7', 'empty']::expected_version[]);
SET each.audited = 'w';
SET each.key = 'w';
SELECT * FROM each(ARRAY['w'], ARRAY['7']::expected_version[]);
RESET ROLE;
SELECT stream_id, stream_version, event_name FROM eall() WHERE stream_id LIKE 'w%' OR stream_id LIKE 'audit%';
ALTER TABLE es.events DISABLE ROW LEVEL SECURITY;
DROP POLICY own ON es.events;
DROP POLICY audit ON es.events;
DROP FUNCTION audit;

SELECT count(*) AS problems FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION each, follow, change;
DROP ROLE regress_each_writer;
