-- ---------------------------------------------------------------------------
-- The category index: an index of a store by which reads of a category skip all others.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.is_category_index(index regclass) RETURNS boolean
    LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'sierra_is_category_index_sql';
COMMENT ON FUNCTION sierra_internal.is_category_index(regclass) IS
    'returns whether an index has the columns of a category index; it may be invalid';

-- Those of events first: the indexes of partitions that are attached to them go with them.
CREATE FUNCTION sierra_internal.category_indexes(store name)
    RETURNS TABLE (index regclass, relation regclass, valid boolean, attached boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT i.indexrelid::regclass, t.relation, i.indisvalid,
           EXISTS (SELECT FROM pg_inherits AS p WHERE p.inhrelid = i.indexrelid)
      FROM (SELECT to_regclass(format('%I.events', $1)), 0
             UNION ALL
            SELECT h.inhrelid, 1 FROM pg_inherits AS h
             WHERE h.inhparent = to_regclass(format('%I.events', $1))) AS t (relation, level)
      JOIN pg_index AS i ON i.indrelid = t.relation
     WHERE sierra_internal.is_category_index(i.indexrelid)
     ORDER BY t.level, i.indexrelid
$$;
COMMENT ON FUNCTION sierra_internal.category_indexes(name) IS
    'returns the category indexes of a store, those of the table events first';

CREATE FUNCTION create_category_index(store name DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.find_store(store);
    leftover regclass;
BEGIN
    IF EXISTS (SELECT FROM sierra_internal.category_indexes(wanted) AS c
                WHERE c.relation = to_regclass(format('%I.events', wanted))) THEN
        RAISE duplicate_object USING
            MESSAGE = format('event store "%s" already has a category index', wanted),
            HINT = 'If everify() finds that it is not valid, call drop_category_index() first.';
    END IF;
    -- CREATE INDEX uses what the partitions have already, also what CONCURRENTLY left half built.
    FOR leftover IN SELECT c.index FROM sierra_internal.category_indexes(wanted) AS c WHERE NOT c.valid LOOP
        EXECUTE format('DROP INDEX %s', leftover);
    END LOOP;
    EXECUTE format('CREATE INDEX events_category ON %I.events'
                   ' (split_part(stream_id, ''-'', 1), partition_sequence)', wanted);
    EXECUTE format('COMMENT ON INDEX %I.events_category IS %L', wanted,
                   'finds the events of a category: eall(), enext() and projections use it');
END
$$;
COMMENT ON FUNCTION create_category_index(name) IS
    'creates an index by which reads with stream patterns like ''order-*'' skip all other categories';

CREATE FUNCTION drop_category_index(store name DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.find_store(store);
    existing regclass;
    dropped boolean := false;
BEGIN
    FOR existing IN SELECT c.index FROM sierra_internal.category_indexes(wanted) AS c WHERE NOT c.attached LOOP
        EXECUTE format('DROP INDEX %s', existing);
        dropped := true;
    END LOOP;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION drop_category_index(name) IS
    'drops the category index of a store; returns whether there was one';
