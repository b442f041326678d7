-- ---------------------------------------------------------------------------
-- Traces: the events that belong together, by ids in their metadata.
-- ---------------------------------------------------------------------------

-- LEAKPROOF: it fails for no value, so that the index is used under row-level security too.
CREATE FUNCTION sierra_internal.metadata_id(metadata json, member text) RETURNS text
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_metadata_id';
COMMENT ON FUNCTION sierra_internal.metadata_id(json, text) IS
    'returns a member of metadata that is an id: a string or a number of 1 to 255 bytes, else null';

CREATE FUNCTION sierra_internal.etrace_body(correlation_id text, causation_id text, max_count bigint)
    RETURNS SETOF sierra_event
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    -- Without statistics the planner can prefer to read all events; if there is no index, it has to.
    SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := sierra_internal.require_store();
BEGIN
    IF num_nonnulls(correlation_id, causation_id) <> 1 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'etrace() needs either a correlation_id or a causation_id',
            DETAIL = CASE WHEN correlation_id IS NULL THEN 'Both are null.' ELSE 'Both are given.' END,
            HINT = 'Pass one of them by its name, as in etrace(causation_id => ''...'').';
    END IF;
    IF max_count < 0 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_count must not be negative',
            DETAIL = format('It is %s.', max_count),
            HINT = 'Pass NULL to read everything.';
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT e.global_position, e.partition_id, e.partition_sequence, e.stream_id, e.stream_version,'
        '       e.event_id, e.event_name, e."timestamp", e.partition_key, e.transaction_id, e.metadata,'
        '       e.payload, e.payload_bytes, e.tags'
        '  FROM %I.events AS e'
        ' WHERE sierra_internal.metadata_id(e.metadata, %L) = $1 COLLATE "C"'
        ' ORDER BY e.global_position LIMIT $2',
        wanted, CASE WHEN causation_id IS NULL THEN 'correlation_id' ELSE 'causation_id' END)
      USING coalesce(correlation_id, causation_id), max_count;
END
$$;
COMMENT ON FUNCTION sierra_internal.etrace_body(text, text, bigint) IS
    'does what etrace() does, as the current user';

CREATE FUNCTION etrace(correlation_id text DEFAULT NULL, causation_id text DEFAULT NULL,
                       max_count bigint DEFAULT 1000)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_show_contents';
COMMENT ON FUNCTION etrace(text, text, bigint) IS
    'returns the events whose metadata have this correlation_id, or this causation_id, by position';

CREATE FUNCTION create_trace_index(store name DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := sierra_internal.find_store(store);
    kind text;
BEGIN
    FOREACH kind IN ARRAY '{correlation, causation}'::text[] LOOP
        IF to_regclass(format('%I.events_%s', wanted, kind)) IS NOT NULL THEN
            RAISE duplicate_object USING
                MESSAGE = format('event store "%s" already has an index "events_%s"', wanted, kind),
                HINT = 'Call drop_trace_index() first to make it again.';
        END IF;
        EXECUTE format('CREATE INDEX events_%1$s ON %2$I.events'
                       ' (sierra_internal.metadata_id(metadata, ''%1$s_id'') COLLATE "C", global_position)'
                       ' WHERE sierra_internal.metadata_id(metadata, ''%1$s_id'') IS NOT NULL', kind, wanted);
        EXECUTE format('COMMENT ON INDEX %I.events_%s IS %L', wanted, kind,
                       format('finds events by the %s_id in their metadata: etrace() uses it', kind));
    END LOOP;
END
$$;
COMMENT ON FUNCTION create_trace_index(name) IS
    'creates indexes by which etrace() reads only the events that it returns';

CREATE FUNCTION drop_trace_index(store name DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := sierra_internal.find_store(store);
    kind text;
    dropped boolean := false;
BEGIN
    FOREACH kind IN ARRAY '{correlation, causation}'::text[] LOOP
        IF to_regclass(format('%I.events_%s', wanted, kind)) IS NOT NULL THEN
            EXECUTE format('DROP INDEX %I.events_%s', wanted, kind);
            dropped := true;
        END IF;
    END LOOP;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION drop_trace_index(name) IS
    'drops the indexes of create_trace_index(); returns whether there were any';
