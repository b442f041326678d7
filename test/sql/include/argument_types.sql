-- Prepares a call of each public function with an argument of a type of the extension, or an array of
-- it.  All arguments are parameters: the ones of this type of a given type, the others of their own.
CREATE FUNCTION calls_with(type_name text, given text, OUT call text, OUT error text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT p.proname, p.proargtypes::regtype[] AS types
               FROM pg_depend AS d
               JOIN pg_proc AS p ON p.oid = d.objid
               JOIN pg_extension AS e ON e.oid = d.refobjid
              WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'sierra_es'
                AND p.pronamespace <> to_regnamespace('sierra_internal')
                AND ARRAY[type_name, type_name || '[]']::regtype[] && p.proargtypes::regtype[]
              ORDER BY p.oid::regprocedure::text COLLATE "C" LOOP
        call := format('%s(%s)', f.proname,
                       (SELECT string_agg(format('$%s::%s', n, CASE t WHEN type_name::regtype THEN given
                                                                      WHEN (type_name || '[]')::regtype THEN given || '[]'
                                                                      ELSE t::text END), ', ' ORDER BY n)
                          FROM unnest(f.types) WITH ORDINALITY AS a (t, n)));
        error := NULL;
        BEGIN
            EXECUTE format('PREPARE call AS SELECT FROM %s', call);
            DEALLOCATE call;
        EXCEPTION WHEN OTHERS THEN
            error := SQLSTATE || ': ' || SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
-- No table of a store has a column of such a type: what is stored has a type of PostgreSQL.
CREATE FUNCTION columns_with(type_name text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('%s.%s', a.attrelid::regclass, a.attname)
      FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
     WHERE a.atttypid IN (to_regtype(type_name), to_regtype(type_name || '[]'))
       AND c.relnamespace::regnamespace::text IN ('es', 'public', 'sierra_internal')
$$;
