-- ---------------------------------------------------------------------------
-- Stores that an older version made
-- ---------------------------------------------------------------------------

-- Tables of a store are the user's data, so the extension lets go of them again.
DO $$
DECLARE
    store name;
    relation text;
BEGIN
    FOR store IN SELECT n.nspname FROM pg_catalog.pg_namespace AS n
                  WHERE @extschema@.sierra_is_store(n.nspname) ORDER BY n.nspname LOOP
        PERFORM @extschema@.upgrade_event_store(store);
        FOR relation IN SELECT c.relname
                          FROM pg_catalog.pg_class AS c
                          JOIN pg_catalog.pg_depend AS d
                            ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                           AND d.objid = c.oid AND d.deptype = 'e'
                         WHERE c.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident(store))
                           AND c.relkind = 'r' LOOP
            EXECUTE pg_catalog.format('ALTER EXTENSION sierra_es DROP TABLE %I.%I', store, relation);
        END LOOP;
    END LOOP;
END
$$;
