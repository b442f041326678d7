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
            FOREACH relation IN ARRAY ARRAY['subscription_streams', 'subscription_consumers',
                                            'subscription_cursors', 'subscriptions'] LOOP
                EXECUTE pg_catalog.format('ALTER EXTENSION sierra_es DROP TABLE %I.%I', store,
                                          relation);
            END LOOP;
        END IF;
    END LOOP;
END
$$;
