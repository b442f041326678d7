-- rights: with INSERT on the events table a role can append, with SELECT it can read, without both
-- it can do nothing
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'own'], ARRAY['x', 'x'], event_ids => ARRAY['00000000-0000-4000-8000-000000000001', NULL]::uuid[]);
SELECT count(*) FROM eappend('keyed', 'x', partition_key => 'user-123');
CREATE ROLE regress_sierra_writer;
CREATE ROLE regress_sierra_reader;
CREATE ROLE regress_sierra_both;
CREATE ROLE regress_sierra_none;
CREATE ROLE regress_sierra_outside;
GRANT USAGE ON SCHEMA es TO regress_sierra_writer, regress_sierra_reader, regress_sierra_both, regress_sierra_none;
GRANT INSERT ON es.events TO regress_sierra_writer, regress_sierra_both, regress_sierra_outside;
GRANT SELECT ON es.events TO regress_sierra_reader, regress_sierra_both, regress_sierra_outside;

-- What each role gets from each function; appends are rolled back.
CREATE FUNCTION outcome(statement text) RETURNS text
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'P0042';
EXCEPTION
    WHEN SQLSTATE 'P0042' THEN RETURN 'yes';
    WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE TABLE calls (n int, statement text);
INSERT INTO calls VALUES
    (1, $$SELECT eappend('a', 'x')$$),
    (2, $$SELECT eappend('b', 'x', partition_key => 'p', event_id => '00000000-0000-4000-8000-000000000002')$$),
    (3, $$SELECT eappend('a', 'x', event_id => '00000000-0000-4000-8000-000000000001')$$),
    (4, $$SELECT emappend(NULL, ARRAY['a', 'keyed', 'new'], ARRAY['x', 'x', 'x'])$$),
    (5, $$SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x"}]')$$),
    (6, $$SELECT escan('a')$$), (7, $$SELECT epscan(0)$$), (8, $$SELECT epscan(partition_key => 'a')$$), (9, $$SELECT eall()$$),
    (10, $$SELECT esver('keyed')$$), (11, $$SELECT epseq(0)$$), (12, $$SELECT epseq(partition_key => 'a')$$),
    (13, $$SELECT eget('00000000-0000-4000-8000-000000000001')$$),
    (14, $$SELECT event_partitions()$$), (15, $$SELECT event_stores()$$), (16, $$SELECT everify()$$),
    (17, $$SELECT guard_event_store()$$), (18, $$SELECT drop_event_store('es', true)$$), (19, $$SELECT create_event_store('mine')$$),
    (20, $$INSERT INTO es.events SELECT * FROM es.events$$), (21, $$SELECT * FROM es.events$$), (22, $$SELECT * FROM es.events_0$$),
    (23, $$SELECT * FROM es.event_ids$$), (24, $$SELECT nextval('es.global_position')$$),
    (25, $$SELECT sierra_internal.create_event_guard('es.events')$$), (26, $$SELECT sierra_internal.create_event_tables('es')$$), (27, $$SELECT sierra_internal.create_partitions('es', 9)$$),
    (28, $$SELECT sierra_stream_key('a'), sierra_partition_key('a'), sierra_partition_id(sierra_stream_key('a'), 4), sierra_event_id(sierra_stream_key('a'))$$);
GRANT SELECT ON calls TO PUBLIC;
SET ROLE regress_sierra_writer;
SELECT n, outcome(statement) FROM calls ORDER BY n;
SET ROLE regress_sierra_reader;
SELECT n, outcome(statement) FROM calls ORDER BY n;
SET ROLE regress_sierra_both;
SELECT n, outcome(statement) FROM calls ORDER BY n;
SET ROLE regress_sierra_none;
SELECT n, outcome(statement) FROM calls ORDER BY n;
SET ROLE regress_sierra_outside;
SELECT n, outcome(statement) FROM calls ORDER BY n;
RESET ROLE;

-- rights that are granted and revoked take effect at once, in a session that appended before
GRANT USAGE ON SCHEMA es TO regress_sierra_outside;
SET ROLE regress_sierra_outside;
SELECT stream_version FROM eappend('granted', 'x');
RESET ROLE;
REVOKE INSERT ON es.events FROM regress_sierra_outside;
SET ROLE regress_sierra_outside;
SELECT eappend('granted', 'x');
:sqlstate
SELECT esver('granted');
RESET ROLE;
REVOKE USAGE ON SCHEMA es FROM regress_sierra_outside;
SET ROLE regress_sierra_outside;
SELECT esver('granted');
:sqlstate
RESET ROLE;
-- ... also those of PUBLIC and of groups
GRANT SELECT ON es.events TO PUBLIC;
SET ROLE regress_sierra_none;
SELECT esver('a');
RESET ROLE;
REVOKE SELECT ON es.events FROM PUBLIC;
GRANT regress_sierra_both TO regress_sierra_none;
SET ROLE regress_sierra_none;
SELECT stream_version FROM eappend('a', 'x');
RESET ROLE;
-- A SECURITY DEFINER function appends with its owner's rights, as intended.
CREATE FUNCTION append_for_all() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT stream_version FROM eappend('a', 'definer') $$;
REVOKE regress_sierra_both FROM regress_sierra_none;
SET ROLE regress_sierra_none;
SELECT append_for_all();
SELECT eappend('a', 'x');
:sqlstate
RESET ROLE;
DROP FUNCTION append_for_all;
-- No function that runs with the rights of its owner can be called by other roles.
SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_depend AS d ON d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'sierra_es'
 WHERE p.prosecdef AND NOT coalesce(p.proconfig::text LIKE '%search_path%', false);

-- a hostile search_path changes nothing
CREATE SCHEMA hostile;
GRANT ALL ON SCHEMA hostile TO PUBLIC;
CREATE FUNCTION hostile.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'caught'; END $$;
CREATE TABLE hostile.pg_class (relname name);
SET search_path = hostile, public, pg_catalog;
SELECT stream_version FROM eappend('a', 'x');
SELECT count(*) FROM everify();
SELECT count(*) FROM event_partitions();
SELECT create_event_store('other', 1);
SELECT drop_event_store('other');
RESET search_path;
DROP SCHEMA hostile CASCADE;

SELECT drop_event_store('es', force => true);
DROP FUNCTION outcome;
DROP TABLE calls;
DROP ROLE regress_sierra_writer, regress_sierra_reader, regress_sierra_both, regress_sierra_none, regress_sierra_outside;
