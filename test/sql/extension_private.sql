-- What is not the interface is out of reach of PUBLIC, and survives odd arguments as well
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_sierra_anybody;
SELECT create_event_store('es', 2);
-- Private functions are in a schema of their own.  Those that SQL functions of the extension call run with the rights
-- of the caller, as these do; what only C code calls is out of reach.
CREATE VIEW functions AS
SELECT p.oid, p.proname, p.prosecdef, p.pronamespace = to_regnamespace('sierra_internal') AS private
  FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'sierra_es';
SELECT count(*) > 50 AS has_private, bool_or(prosecdef) AS has_security_definer FROM functions WHERE private;
SELECT proname FROM functions WHERE NOT has_function_privilege('regress_sierra_anybody', oid, 'EXECUTE') ORDER BY 1;
-- A function that shows or runs what belongs to a store has its body out of reach.
SELECT f.proname FROM functions AS f
  JOIN pg_proc AS p ON p.oid = f.oid AND p.prosrc IN ('sierra_show', 'sierra_show_contents', 'sierra_show_quickly', 'sierra_run_as_owner')
 WHERE NOT EXISTS (SELECT FROM functions AS b JOIN pg_proc AS q ON q.oid = b.oid
                    WHERE b.private AND b.proname = f.proname || '_body' AND q.proargtypes = p.proargtypes
                      AND NOT has_function_privilege('regress_sierra_anybody', b.oid, 'EXECUTE'));
-- As the superuser, with nulls, arrays of odd shapes, names of nothing.  None of it is an internal error.
CREATE FUNCTION try_all() RETURNS TABLE (function text, arguments text, result text) LANGUAGE plpgsql AS $$
DECLARE
    f record;
    variant text;
BEGIN
    FOR f IN SELECT p.oid::regproc::text AS name, p.proname, p.prokind, ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) AS t) AS types
               FROM pg_proc AS p JOIN functions AS m ON m.oid = p.oid
              WHERE p.prorettype NOT IN ('trigger'::regtype, 'internal'::regtype) AND NOT 'internal'::regtype = ANY (p.proargtypes::oid[]) AND p.prokind = 'f' ORDER BY p.proname LOOP
        FOREACH variant IN ARRAY ARRAY['null', 'empty', 'odd'] LOOP
            BEGIN
                arguments := (SELECT string_agg(CASE
                    WHEN variant = 'null' THEN 'NULL::' || t
                    WHEN t LIKE '%[]' THEN CASE variant WHEN 'empty' THEN '''{}''::' || t ELSE format('array_fill(NULL::%s, ARRAY[2, 2])', left(t, -2)) END
                    WHEN t IN ('text', 'name', 'cstring') THEN CASE variant WHEN 'empty' THEN '''''::' ELSE '''es''::' END || t
                    WHEN t IN ('integer', 'bigint', 'smallint') THEN CASE variant WHEN 'empty' THEN '0::' ELSE '-1::' END || t
                    WHEN t IN ('json', 'jsonb', 'sierra_json') THEN CASE variant WHEN 'empty' THEN '''{}''::' ELSE '''[null]''::' END || t
                    WHEN t IN ('regprocedure', 'sierra_function') THEN CASE variant WHEN 'empty' THEN '''0''::' ELSE '''4294967295''::' END || t
                    WHEN t = 'boolean' THEN 'true'
                    WHEN t = 'interval' THEN CASE variant WHEN 'empty' THEN '''0''::' ELSE '''-1 ms''::' END || t
                    ELSE 'NULL::' || t END, ', ' ORDER BY n) FROM unnest(f.types) WITH ORDINALITY AS x (t, n));
                function := f.proname;
                BEGIN
                    EXECUTE format('SELECT * FROM %s(%s)', f.name, arguments);
                    RAISE EXCEPTION USING ERRCODE = 'ZZ999';
                EXCEPTION WHEN OTHERS THEN
                    result := SQLSTATE || ': ' || SQLERRM;
                END;
                RETURN NEXT;
            END;
        END LOOP;
    END LOOP;
END $$;
SET client_min_messages = error;
SET statement_timeout = '60s';
SELECT * FROM try_all() WHERE result LIKE 'XX%' OR result LIKE '57%';
RESET statement_timeout;
RESET client_min_messages;
-- The guard as a trigger of something else.
CREATE TABLE t (n int);
DO $$ BEGIN
    EXECUTE format('CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION %s(''x'')', (SELECT oid::regproc FROM functions WHERE proname ~ 'guard_events'));
END $$;
DO $$ BEGIN
    INSERT INTO t VALUES (1);
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE LIKE 'XX%' THEN RAISE; END IF;
END $$;
DROP TABLE t;
SELECT drop_event_store('es');
DROP FUNCTION try_all();
DROP VIEW functions;
DROP ROLE regress_sierra_anybody;
