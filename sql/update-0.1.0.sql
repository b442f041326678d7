-- ---------------------------------------------------------------------------
-- Stores that version 0.1.0 made
-- ---------------------------------------------------------------------------

-- Tables of a store are the user's data, so the extension lets go of them again.
DO $$
DECLARE
    store name;
    relation text;
BEGIN
    FOR store IN SELECT n.nspname FROM pg_catalog.pg_namespace AS n
                  WHERE @extschema@.sierra_is_store(n.nspname) ORDER BY n.nspname LOOP
        IF @extschema@.upgrade_event_store(store) THEN
            FOR relation IN
                SELECT c.relname FROM pg_catalog.pg_depend AS d
                  JOIN pg_catalog.pg_extension AS x ON x.oid OPERATOR(pg_catalog.=) d.refobjid
                  JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) d.objid
                  JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
                 WHERE d.deptype OPERATOR(pg_catalog.=) 'e' AND x.extname OPERATOR(pg_catalog.=) 'sierra_es'
                   AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                   AND c.relkind OPERATOR(pg_catalog.=) 'r' AND n.nspname OPERATOR(pg_catalog.=) store LOOP
                EXECUTE pg_catalog.format('ALTER EXTENSION sierra_es DROP TABLE %I.%I', store,
                                          relation);
            END LOOP;
        END IF;
    END LOOP;
END
$$;
