-- Drivers such as node-postgres, psycopg and DBD::Pg leave the types of parameters open.  Then every
-- public function, with every number of arguments that it takes, must be found, and be the only one.
CREATE FUNCTION untyped_calls(OUT call text, OUT wanted text, OUT got text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.proname, n AS given, coalesce(array_to_string(p.proargtypes[0:n - 1]::regtype[], ','), '') AS types
               FROM pg_depend AS d
               JOIN pg_proc AS p ON p.oid = d.objid
               JOIN pg_extension AS e ON e.oid = d.refobjid,
                    generate_series(p.pronargs - p.pronargdefaults, p.pronargs::integer) AS n
              WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'sierra_es'
                AND p.pronamespace <> to_regnamespace('sierra_internal') AND p.prorettype <> 'trigger'::regtype AND p.prokind = 'f'
                AND p.proname NOT IN ('expected_version', 'start_position')   -- functions of casts
              ORDER BY p.proname, n LOOP
        call := format('%s(%s)', f.proname, (SELECT string_agg('$' || i, ', ' ORDER BY i) FROM generate_series(1, f.given) AS i));
        wanted := f.types;
        BEGIN
            EXECUTE format('PREPARE untyped AS SELECT FROM %s', call);
            SELECT coalesce(array_to_string(s.parameter_types, ','), '') INTO got FROM pg_prepared_statements AS s WHERE s.name = 'untyped';
            DEALLOCATE untyped;
        EXCEPTION WHEN OTHERS THEN
            got := SQLSTATE || ': ' || SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
SELECT count(*) > 150 AS many FROM untyped_calls();
SELECT * FROM untyped_calls() WHERE got <> wanted;
DROP FUNCTION untyped_calls();
