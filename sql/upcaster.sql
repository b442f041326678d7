-- ---------------------------------------------------------------------------
-- Upcasters: functions that give old events the form of today.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.create_upcaster_table(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE %I.upcasters ('
        ' event_name text COLLATE "C" NOT NULL,'
        ' from_version integer NOT NULL CHECK (from_version BETWEEN 1 AND 999999998),'
        ' upcast text NOT NULL,'
        ' PRIMARY KEY (event_name, from_version))', store);
    EXECUTE format('COMMENT ON TABLE %I.upcasters IS %L', store,
                   'functions that take payloads of an event name from one schema version to the next');
END
$$;
COMMENT ON FUNCTION sierra_internal.create_upcaster_table(name) IS
    'creates the table of a store for upcasters';

CREATE FUNCTION create_upcaster(event_name text, from_version integer, upcast sierra_function,
                                replace boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    type constant regtype := (SELECT p.prorettype FROM pg_proc AS p
                               WHERE p.oid = upcast::regprocedure AND p.prorettype IN ('json'::regtype, 'jsonb'::regtype));
    upcast_name text;
    same boolean;
BEGIN
    PERFORM sierra_internal.require_name('event_name', event_name);
    PERFORM sierra_internal.require_value('from_version', from_version IS NULL);
    PERFORM sierra_internal.require_value('upcast', upcast IS NULL);
    IF from_version NOT BETWEEN 1 AND 999999998 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'from_version must be 1 to 999999998',
            DETAIL = format('The value is %s.', from_version),
            HINT = 'Events without member "schema_version" in their metadata have version 1.';
    END IF;
    upcast_name := sierra_internal.require_function(
        upcast, ARRAY[type], type, 'an upcaster',
        'An upcaster takes json and returns json, or takes jsonb and returns jsonb.');

    EXECUTE format('INSERT INTO %I.upcasters AS u (event_name, from_version, upcast) VALUES ($1, $2, $3)'
                   ' ON CONFLICT (event_name, from_version) DO UPDATE SET upcast = $3 WHERE $4', store)
      USING event_name, from_version, upcast_name, coalesce(replace, false);
    EXECUTE format('SELECT u.upcast = $3 FROM %I.upcasters AS u'
                   ' WHERE u.event_name = $1 AND u.from_version = $2', store)
       INTO same USING event_name, from_version, upcast_name;
    IF NOT coalesce(same, false) THEN
        RAISE duplicate_object USING
            MESSAGE = format('event "%s" already has an upcaster from version %s', event_name, from_version),
            DETAIL = 'It is another function.',
            HINT = 'Pass replace => true to use this one.';
    END IF;
END
$$;
COMMENT ON FUNCTION create_upcaster(text, integer, sierra_function, boolean) IS
    'registers a function that takes payloads of an event name from one schema version to the next';

CREATE FUNCTION drop_upcaster(event_name text, from_version integer) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    dropped bigint;
BEGIN
    EXECUTE format('DELETE FROM %I.upcasters AS u WHERE u.event_name = $1 AND u.from_version = $2', store)
      USING event_name, from_version;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped > 0;
END
$$;
COMMENT ON FUNCTION drop_upcaster(text, integer) IS
    'drops the upcaster of an event name from a schema version; false if there was none';

CREATE FUNCTION eupcast(event sierra_event) RETURNS sierra_event
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_eupcast';
COMMENT ON FUNCTION eupcast(sierra_event) IS
    'returns an event as the upcasters of its name change it';
