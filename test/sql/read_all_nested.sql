-- commit_order for code that runs inside an append: it never sees past the lowest position that is being written
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- Rows are written partition by partition, positions are given in the order of the call.  With 4
-- partitions, a is in 0, user-123 and order-456 in 1, 'partition key' in 2, €-stream in 3.

-- A projection: takes the events after its cursor, and moves the cursor forward.
CREATE TABLE projection (cursor bigint NOT NULL);
INSERT INTO projection VALUES (-1);
CREATE TABLE seen (n int GENERATED ALWAYS AS IDENTITY, global_position bigint, writing bigint);
CREATE FUNCTION project(writing bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    WITH page AS (SELECT e.global_position FROM eall((SELECT cursor FROM projection), NULL) AS e),
         noted AS (INSERT INTO seen (global_position, writing) SELECT global_position, project.writing FROM page)
    UPDATE projection SET cursor = greatest(cursor, (SELECT max(global_position) FROM page));
    RETURN true;
END
$$;
CREATE FUNCTION project_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM project(NEW.global_position);
    RETURN NEW;
END
$$;
-- Everything exactly once and in order, and nothing at or above the positions that were being
-- written.
CREATE FUNCTION check_projection() RETURNS TABLE (seen bigint, not_seen bigint, twice bigint, falling bigint, too_early bigint) LANGUAGE sql AS $$
    SELECT project(NULL);
    SELECT count(*),
           (SELECT count(*) FROM es.events AS e WHERE NOT EXISTS (SELECT FROM seen AS s WHERE s.global_position = e.global_position)),
           count(*) - count(DISTINCT s.global_position),
           count(*) FILTER (WHERE s.step <= 0),
           count(*) FILTER (WHERE s.global_position >= s.writing)
      FROM (SELECT *, global_position - lag(global_position) OVER (ORDER BY n) AS step FROM seen) AS s;
$$;
CREATE FUNCTION reset() RETURNS void LANGUAGE sql AS $$
    DELETE FROM seen;
    UPDATE projection SET cursor = (SELECT coalesce(max(global_position), -1) FROM es.events);
    INSERT INTO seen (global_position) SELECT global_position FROM eall(max_count => NULL);
$$;
-- Calls of one event and of several, whose positions increase and decrease over the partitions.
CREATE FUNCTION append_all_ways() RETURNS void LANGUAGE sql AS $$
    SELECT FROM eappend('a', 'x');
    SELECT FROM emappend(NULL, ARRAY['€-stream', 'user-123', 'a'], ARRAY['x', 'x', 'x']);
    SELECT FROM emappend(NULL, ARRAY['a', 'user-123', '€-stream'], ARRAY['x', 'x', 'x']);
    SELECT FROM emappend(NULL, ARRAY['user-123', 'a', 'user-123', 'a', 'order-456', '€-stream', 'a'], array_fill('x'::text, ARRAY[7]));
    SELECT FROM emappend('partition key', ARRAY['p', 'q', 'p'], ARRAY['x', 'x', 'x']);
    SELECT FROM eappend('a', 'x');
$$;

-- in a BEFORE ROW trigger
CREATE TRIGGER project BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION project_row();
SELECT append_all_ways();
SELECT * FROM check_projection();
BEGIN;
SELECT append_all_ways();
SELECT append_all_ways();
COMMIT;
SELECT * FROM check_projection();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT append_all_ways();
COMMIT;
SELECT * FROM check_projection();
DROP TRIGGER project ON es.events;

-- in a CHECK constraint, which the direct insertion into the table also evaluates
SELECT reset();
ALTER TABLE es.events ADD CONSTRAINT project CHECK (project(global_position)) NOT VALID;
SELECT append_all_ways();
SELECT append_all_ways();
SELECT * FROM check_projection();
ALTER TABLE es.events DROP CONSTRAINT project;

-- in a policy's WITH CHECK
SELECT reset();
CREATE ROLE regress_sierra_reader;
GRANT USAGE ON SCHEMA es TO regress_sierra_reader;
GRANT SELECT, INSERT ON es.events TO regress_sierra_reader;
GRANT ALL ON projection, seen TO regress_sierra_reader;
CREATE POLICY project ON es.events FOR INSERT TO regress_sierra_reader WITH CHECK (project(global_position));
CREATE POLICY read ON es.events FOR SELECT TO regress_sierra_reader USING (true);
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
SET ROLE regress_sierra_reader;
SELECT append_all_ways();
RESET ROLE;
SELECT * FROM check_projection();
ALTER TABLE es.events DISABLE ROW LEVEL SECURITY;
DROP POLICY project ON es.events;
DROP POLICY read ON es.events;

-- In an AFTER ROW trigger all rows of the call are stored, and all are visible.
SELECT reset();
CREATE TRIGGER project AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION project_row();
SELECT append_all_ways();
SELECT seen, not_seen, twice, falling FROM check_projection();
SELECT count(*) = (SELECT count(*) FROM es.events) AS all_by_triggers FROM seen;
DROP TRIGGER project ON es.events;

-- Appends nested in AFTER ROW triggers, with a projection on every level.
SELECT reset();
CREATE FUNCTION react() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name ~ '^[1-9]$' THEN
        PERFORM FROM emappend(NULL, ARRAY['€-stream', 'a', NEW.stream_id], array_fill((NEW.event_name::int - 1)::text, ARRAY[3]));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER react AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION react();
CREATE TRIGGER project BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION project_row();
SELECT count(*) FROM emappend(NULL, ARRAY['user-123', 'a'], ARRAY['3', '2']);
SELECT * FROM check_projection();
SELECT count(*) FROM everify();
-- An error on a level below ends that level only.
CREATE FUNCTION react_or_not() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name = 'Outer' THEN
        BEGIN
            PERFORM FROM emappend(NULL, ARRAY['€-stream', 'a'], ARRAY['x', 'Fails']);
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
    ELSIF NEW.event_name = 'Fails' THEN
        RAISE 'no';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER fails BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION react_or_not();
BEGIN;
SELECT count(*) FROM emappend(NULL, ARRAY['user-123', 'user-123'], ARRAY['Outer', 'x']);
SELECT * FROM check_projection();
SAVEPOINT s;
SELECT emappend(NULL, ARRAY['€-stream', 'a'], ARRAY['x', 'Fails']);
ROLLBACK TO s;
-- the failed one holds nothing back
SELECT * FROM check_projection();
COMMIT;
DROP TRIGGER fails ON es.events;
DROP TRIGGER react ON es.events;
DROP TRIGGER project ON es.events;

-- An append to another partition from a BEFORE ROW trigger: its events stay hidden until the outer
-- append is stored.
SELECT reset();
CREATE FUNCTION inner_append() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name = 'Outer' THEN
        PERFORM FROM eappend('€-stream', 'Inner');
    END IF;
    PERFORM project(NEW.global_position);
    RETURN NEW;
END
$$;
CREATE TRIGGER inner_append BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION inner_append();
SELECT count(*) FROM emappend(NULL, ARRAY['user-123', 'a'], ARRAY['Outer', 'Outer']);
SELECT * FROM check_projection();
DROP TRIGGER inner_append ON es.events;
-- A trigger that appends without end is stopped by an error.
CREATE FUNCTION endless() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM eappend(CASE NEW.stream_id WHEN 'a' THEN 'user-123' ELSE 'a' END, 'x');
    RETURN NULL;
END
$$;
CREATE TRIGGER endless AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION endless();
\set VERBOSITY sqlstate
SELECT eappend('a', 'x');
\set VERBOSITY default
DROP TRIGGER endless ON es.events;
SELECT stream_version - (SELECT max(stream_version) FROM es.events WHERE stream_id = 'a') AS step FROM eappend('a', 'x');
SELECT * FROM check_projection();
SELECT count(*) FROM everify();

SELECT drop_event_store('es', force => true);
DROP TABLE projection, seen;
DROP FUNCTION project, project_row, check_projection, reset, append_all_ways, react, react_or_not, inner_append, endless;
DROP ROLE regress_sierra_reader;
