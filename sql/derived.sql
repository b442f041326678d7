-- ---------------------------------------------------------------------------
-- Tables of derived state
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_create_derived_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.sierra_create_aggregate_tables(store);
    PERFORM @extschema@.sierra_create_projection_tables(store);
    PERFORM @extschema@.sierra_create_saga_tables(store);
END
$$;
COMMENT ON FUNCTION sierra_create_derived_tables(name) IS
    'makes the tables of a store that states derived from events are kept in; create_event_store() calls it';
