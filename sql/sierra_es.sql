-- sierra_es: an event store inside PostgreSQL
-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION sierra_es" to load this file. \quit

-- ---------------------------------------------------------------------------
-- Types
-- ---------------------------------------------------------------------------

CREATE TYPE expected_version;

CREATE FUNCTION expected_version_in(cstring) RETURNS expected_version
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_expected_version_in';
CREATE FUNCTION expected_version_out(expected_version) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_expected_version_out';
CREATE FUNCTION expected_version_recv(internal) RETURNS expected_version
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_expected_version_recv';
CREATE FUNCTION expected_version_send(expected_version) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_expected_version_send';

CREATE TYPE expected_version (
    INPUT = expected_version_in,
    OUTPUT = expected_version_out,
    RECEIVE = expected_version_recv,
    SEND = expected_version_send,
    LIKE = bigint
);
COMMENT ON TYPE expected_version IS
    'what a stream must look like before an append: any, exists, empty, or its version (0, 1, ...)';
COMMENT ON FUNCTION expected_version_in(cstring) IS 'I/O';
COMMENT ON FUNCTION expected_version_out(expected_version) IS 'I/O';
COMMENT ON FUNCTION expected_version_recv(internal) IS 'I/O';
COMMENT ON FUNCTION expected_version_send(expected_version) IS 'I/O';

CREATE FUNCTION expected_version(bigint) RETURNS expected_version
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_expected_version_from_bigint';
COMMENT ON FUNCTION expected_version(bigint) IS
    'the expectation of one version; 22023 for a negative number';

-- One function for all integers: smaller ones are widened by SQL itself.
CREATE FUNCTION expected_version(integer) RETURNS expected_version
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN @extschema@.expected_version($1::bigint);
COMMENT ON FUNCTION expected_version(integer) IS
    'the expectation of one version; 22023 for a negative number';
CREATE FUNCTION expected_version(smallint) RETURNS expected_version
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN @extschema@.expected_version($1::bigint);
COMMENT ON FUNCTION expected_version(smallint) IS
    'the expectation of one version; 22023 for a negative number';

CREATE CAST (bigint AS expected_version)
    WITH FUNCTION expected_version(bigint) AS IMPLICIT;
CREATE CAST (integer AS expected_version)
    WITH FUNCTION expected_version(integer) AS IMPLICIT;
CREATE CAST (smallint AS expected_version)
    WITH FUNCTION expected_version(smallint) AS IMPLICIT;

CREATE TYPE sierra_event AS (
    global_position bigint,
    partition_id integer,
    partition_sequence bigint,
    stream_id text,
    stream_version bigint,
    event_id uuid,
    event_name text,
    "timestamp" timestamptz,
    partition_key uuid,
    transaction_id uuid,
    metadata json,
    payload json,
    payload_bytes bytea
);
COMMENT ON TYPE sierra_event IS 'a stored event, as all read functions return it';
COMMENT ON COLUMN sierra_event.global_position IS
    'place in the order of the whole store: increasing, may skip numbers';
COMMENT ON COLUMN sierra_event.partition_id IS 'partition, from 0';
COMMENT ON COLUMN sierra_event.partition_sequence IS
    'place in its partition: 0, 1, 2, ... without gaps';
COMMENT ON COLUMN sierra_event.stream_id IS 'stream, 1 to 255 bytes';
COMMENT ON COLUMN sierra_event.stream_version IS 'place in its stream: 0, 1, 2, ... without gaps';
COMMENT ON COLUMN sierra_event.event_id IS 'unique in the store; generated ids are ordered by time';
COMMENT ON COLUMN sierra_event.event_name IS 'what happened, 1 to 255 bytes';
COMMENT ON COLUMN sierra_event."timestamp" IS 'when: the client''s time, or that of the append';
COMMENT ON COLUMN sierra_event.partition_key IS 'decides the partition of the stream';
COMMENT ON COLUMN sierra_event.transaction_id IS 'shared by the events of one append call';
COMMENT ON COLUMN sierra_event.metadata IS 'context, such as correlation ids; the exact text';
COMMENT ON COLUMN sierra_event.payload IS 'data of the event as JSON; the exact text';
COMMENT ON COLUMN sierra_event.payload_bytes IS 'data of the event as other bytes';

CREATE TYPE sierra_append_result AS (
    event_id uuid,
    partition_key uuid,
    partition_id integer,
    partition_sequence bigint,
    stream_id text,
    stream_version bigint,
    "timestamp" timestamptz,
    transaction_id uuid,
    global_position bigint
);
COMMENT ON TYPE sierra_append_result IS 'what an append gave an event; see sierra_event';

-- ---------------------------------------------------------------------------
-- Routing
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_stream_key(stream_id text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_stream_key';
COMMENT ON FUNCTION sierra_stream_key(text) IS
    'the partition key that a stream has by its name: the name''s UUIDv5 in SierraDB''s namespace';

CREATE FUNCTION sierra_partition_key(partition_key text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_partition_key';
COMMENT ON FUNCTION sierra_partition_key(text) IS
    'the key that a partition_key argument means: the UUID it spells, else its UUIDv5';

CREATE FUNCTION sierra_partition_id(partition_key uuid, partitions integer) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_partition_id';
COMMENT ON FUNCTION sierra_partition_id(uuid, integer) IS
    'the partition of a key among 1 to 1024: bits 61..46 of the key modulo their number';

CREATE FUNCTION sierra_event_id(partition_key uuid) RETURNS uuid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_event_id';
COMMENT ON FUNCTION sierra_event_id(uuid) IS
    'a fresh event id: ordered by time, carrying the hash of the partition key';

-- ---------------------------------------------------------------------------
-- Stores
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_guard_events() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_guard_events';
COMMENT ON FUNCTION sierra_guard_events() IS
    'trigger: refuses statements that would change events (SE006)';

-- Refuses every way to write a table of a store but the append functions'.  The
-- guard of events also keeps how many partitions the store has.
CREATE FUNCTION sierra_guard_table(relation text, partitions integer DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER sierra_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s'
        ' FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.sierra_guard_events(%s)',
        relation, partitions);
    -- ALWAYS: session_replication_role must not switch it off.
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER sierra_guard', relation);
END
$$;
COMMENT ON FUNCTION sierra_guard_table(text, integer) IS
    'makes a table (qualified, quoted) append-only; create_event_store() calls it';

-- One partition: table and unique indexes.
CREATE FUNCTION sierra_create_partition(store name, partition_id integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    leaf constant text := format('%I.%I', store, 'events_' || partition_id);
    -- An event is written once and read for ever: freeze it at the first vacuum,
    -- and never lock readers out to give back pages that appends will need.
    settings constant text :=
        'vacuum_truncate = off, autovacuum_freeze_min_age = 0, toast.vacuum_truncate = off,'
        ' toast.autovacuum_freeze_min_age = 0';
BEGIN
    EXECUTE format('CREATE TABLE %s PARTITION OF %I.events FOR VALUES IN (%s) WITH (%s)',
                   leaf, store, partition_id, settings);
    EXECUTE format(
        'ALTER TABLE %s'
        ' ADD CONSTRAINT %I PRIMARY KEY (partition_sequence) WITH (fillfactor = 100),'
        ' ADD CONSTRAINT %I UNIQUE (stream_id, stream_version),'
        ' ADD CONSTRAINT %I UNIQUE (event_id)',
        leaf, format('events_%s_sequence', partition_id), format('events_%s_stream', partition_id),
        format('events_%s_event_id', partition_id));
END
$$;
COMMENT ON FUNCTION sierra_create_partition(name, integer) IS
    'makes one partition of a store; create_event_store() calls it';

-- The event tables of a store, in an existing schema.
CREATE FUNCTION sierra_create_event_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- lz4 where the server was built with it, else the server's default.
    compression constant text := CASE WHEN EXISTS (
        SELECT FROM pg_settings
         WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals))
        THEN ' COMPRESSION lz4' ELSE '' END;
BEGIN
    EXECUTE format(
        'CREATE TABLE %1$I.events ('
        ' partition_sequence bigint NOT NULL,'
        ' stream_version bigint NOT NULL,'
        ' global_position bigint NOT NULL,'
        ' "timestamp" timestamptz NOT NULL,'
        ' event_id uuid NOT NULL,'
        ' partition_key uuid NOT NULL,'
        ' transaction_id uuid NOT NULL,'
        ' partition_id integer NOT NULL,'
        ' stream_id text COLLATE "C" NOT NULL,'
        ' event_name text COLLATE "C" NOT NULL,'
        ' metadata json%2$s,'
        ' payload json%2$s,'
        ' payload_bytes bytea%2$s'
        ') PARTITION BY LIST (partition_id)', store, compression);
    EXECUTE format('CREATE TABLE %I.stream_keys ('
                   ' stream_id text COLLATE "C" PRIMARY KEY,'
                   ' partition_key uuid NOT NULL)', store);
    EXECUTE format('CREATE TABLE %I.event_ids ('
                   ' event_id uuid PRIMARY KEY,'
                   ' partition_id integer NOT NULL)', store);
    EXECUTE format('CREATE SEQUENCE %I.global_position AS bigint MINVALUE 0 START WITH 0', store);

    EXECUTE format('COMMENT ON TABLE %I.events IS %L', store,
                   'the events of this store; INSERT on it lets a role append, SELECT read');
    EXECUTE format('COMMENT ON TABLE %I.stream_keys IS %L', store,
                   'streams whose partition key is not that of their name');
    EXECUTE format('COMMENT ON TABLE %I.event_ids IS %L', store,
                   'partitions of the event ids that clients chose');
    EXECUTE format('COMMENT ON SEQUENCE %I.global_position IS %L', store,
                   'gives out the global positions of this store');
END
$$;
COMMENT ON FUNCTION sierra_create_event_tables(name) IS
    'makes the event tables of a store, without partitions; create_event_store() calls it';

-- Is there a store of this name?  Told by its tables, whose columns must be
-- exactly those of a store: what reads them then calls no code of their owner.
CREATE FUNCTION sierra_is_store(store name) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH tables AS (
        SELECT c.oid, c.relname, c.relkind
          FROM pg_class AS c
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = $1
           AND (c.relname::text, c.relkind) IN (('events', 'p'), ('stream_keys', 'r'),
                                                ('event_ids', 'r'), ('global_position', 'S')))
    SELECT count(*) = 4
           AND (SELECT array_agg(a.attname::text || ' ' || a.atttypid::regtype ORDER BY a.attnum)
                  FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid
                 WHERE t.relname = 'events' AND a.attnum BETWEEN 1 AND 13)
               = ARRAY['partition_sequence bigint', 'stream_version bigint',
                       'global_position bigint', 'timestamp timestamp with time zone',
                       'event_id uuid', 'partition_key uuid', 'transaction_id uuid',
                       'partition_id integer', 'stream_id text', 'event_name text',
                       'metadata json', 'payload json', 'payload_bytes bytea']
           AND (SELECT array_agg(t.relname || ' ' || a.attname || ' ' || a.atttypid::regtype
                                 ORDER BY t.relname, a.attnum)
                  FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid
                 WHERE t.relname IN ('stream_keys', 'event_ids') AND a.attnum BETWEEN 1 AND 2)
               = ARRAY['event_ids event_id uuid', 'event_ids partition_id integer',
                       'stream_keys stream_id text', 'stream_keys partition_key uuid']
           AND NOT EXISTS (SELECT FROM pg_inherits AS i
                             JOIN tables AS t ON t.oid = i.inhparent AND t.relname = 'events'
                             JOIN pg_class AS leaf ON leaf.oid = i.inhrelid
                            WHERE leaf.relkind <> 'r')
      FROM tables
$$;
COMMENT ON FUNCTION sierra_is_store(name) IS 'does a store of this name exist?';

-- The number of partitions that a store has, attached or not.
CREATE FUNCTION sierra_partitions(store name) RETURNS integer
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT replace(encode(g.tgargs, 'escape'), '\000', '')::integer
      FROM pg_trigger AS g
     WHERE g.tgrelid = to_regclass(format('%I.events', $1))
       AND g.tgfoid = '@extschema@.sierra_guard_events()'::regprocedure
$$;
COMMENT ON FUNCTION sierra_partitions(name) IS
    'how many partitions a store has, as the guard of its events tells; null without guard';

-- Unlike current_setting(), this loads the library that defines the setting.
CREATE FUNCTION sierra_current_store() RETURNS name
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_current_store';
COMMENT ON FUNCTION sierra_current_store() IS 'the store that calls use: the setting sierra_es.store';

-- Tables of a store that hold no events, in the order in which they are locked.
CREATE FUNCTION sierra_state_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '{projections, projection_states, saga_instances, sagas, timers, subscriptions,
             subscription_cursors, subscription_consumers, subscription_streams, aggregates,
             snapshots, upcasters}'::text[]
$$;
COMMENT ON FUNCTION sierra_state_tables() IS 'names of the tables of a store that hold no events';

CREATE FUNCTION sierra_missing_tables(store name) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT t.name FROM unnest(@extschema@.sierra_state_tables()) AS t (name)
                  WHERE NOT EXISTS (SELECT FROM pg_class AS c
                                      JOIN pg_namespace AS n ON n.oid = c.relnamespace
                                     WHERE n.nspname = $1 AND c.relname = t.name
                                       AND c.relkind = 'r') ORDER BY t.name)
$$;
COMMENT ON FUNCTION sierra_missing_tables(name) IS
    'names of the tables that a store with events has lost';

-- For functions that need the events only, whatever else the store has lost.
CREATE FUNCTION sierra_find_store(store name) RETURNS name
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted constant name := coalesce(store, @extschema@.sierra_current_store());
BEGIN
    IF NOT @extschema@.sierra_is_store(wanted) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'SE005',
            MESSAGE = format('no event store "%s"', wanted),
            HINT = 'event_stores() lists the stores of this database.';
    END IF;
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION sierra_find_store(name) IS
    'the name of a store (default: sierra_es.store); SE005 if its events are not there';

CREATE FUNCTION sierra_require_store(store name DEFAULT NULL) RETURNS name
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted constant name := @extschema@.sierra_find_store(store);
    missing constant text[] := @extschema@.sierra_missing_tables(wanted);
BEGIN
    IF missing <> '{}' THEN
        RAISE EXCEPTION USING
            ERRCODE = 'SE005',
            MESSAGE = format('event store "%s" is not complete', wanted),
            DETAIL = format('Missing tables: %s.', array_to_string(missing, ', ')),
            HINT = 'Restore the schema from a dump, or name another store in "sierra_es.store".';
    END IF;
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION sierra_require_store(name) IS
    'the name of a store (default: sierra_es.store); SE005 if there is none or it is not complete';

-- Puts the guards of the event tables back; returns how many.
CREATE FUNCTION sierra_restore_event_guards(store name) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := store;
    guarded integer := 0;
    unguarded record;
BEGIN
    FOR unguarded IN
        SELECT c.relname, g.oid IS NOT NULL AS disabled
          FROM pg_class AS c
          LEFT JOIN pg_trigger AS g
            ON g.tgrelid = c.oid
           AND g.tgfoid = '@extschema@.sierra_guard_events()'::regprocedure
         WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = wanted)
           AND (c.relname IN ('events', 'stream_keys', 'event_ids')
                OR c.oid IN (SELECT i.inhrelid FROM pg_inherits AS i
                              WHERE i.inhparent = to_regclass(format('%I.events', wanted))))
           AND g.tgenabled IS DISTINCT FROM 'A'
         ORDER BY c.oid
    LOOP
        IF unguarded.disabled THEN
            EXECUTE format('ALTER TABLE %I.%I ENABLE ALWAYS TRIGGER sierra_guard', wanted,
                           unguarded.relname);
        ELSIF unguarded.relname = 'events' THEN
            PERFORM @extschema@.sierra_guard_table(
                format('%I.events', wanted),
                (SELECT count(*)::integer FROM pg_inherits AS i
                  WHERE i.inhparent = to_regclass(format('%I.events', wanted))));
        ELSE
            PERFORM @extschema@.sierra_guard_table(format('%I.%I', wanted, unguarded.relname));
        END IF;
        guarded := guarded + 1;
    END LOOP;
    RETURN guarded;
END
$$;
COMMENT ON FUNCTION sierra_restore_event_guards(name) IS
    'puts back the guards of a store''s event tables; guard_event_store() calls it';

CREATE FUNCTION guard_event_store(store name DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
BEGIN
    RETURN @extschema@.sierra_restore_event_guards(wanted)
         + @extschema@.sierra_restore_upcaster_guard(wanted)
         + @extschema@.sierra_restore_projection_triggers(wanted)
         + @extschema@.sierra_restore_saga_guard(wanted);
END
$$;
COMMENT ON FUNCTION guard_event_store(name) IS
    'puts back the triggers that a store (default: sierra_es.store) has lost, as after DROP EXTENSION CASCADE: guards, and those of inline projections; returns how many';

CREATE FUNCTION event_partitions(store name DEFAULT NULL)
    RETURNS TABLE (partition_id integer, events bigint, last_sequence bigint,
                   last_position bigint, bytes bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    -- Policies would make the numbers wrong, and are code of the store's owner.
    SET row_security = off
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_find_store(store);
    leaf record;
BEGIN
    FOR leaf IN
        SELECT c.oid,
               substring(pg_get_expr(c.relpartbound, c.oid) FROM '\d+')::integer AS id
          FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
         WHERE i.inhparent = to_regclass(format('%I.events', wanted))
         ORDER BY 2
    LOOP
        -- Numbers have no gaps, so the last one tells how many there are.
        EXECUTE format('SELECT e.partition_sequence, e.global_position FROM %I.events AS e'
                       ' WHERE e.partition_id = $1 ORDER BY e.partition_sequence DESC LIMIT 1',
                       wanted)
           INTO last_sequence, last_position USING leaf.id;
        partition_id := leaf.id;
        events := coalesce(last_sequence + 1, 0);
        bytes := pg_total_relation_size(leaf.oid);
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION event_partitions(name) IS
    'partitions of a store (default: sierra_es.store): events, last numbers, bytes with indexes';

CREATE FUNCTION event_stores()
    RETURNS TABLE (store name, owner name, partitions integer, events bigint,
                   last_position bigint, bytes bigint)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH readable AS MATERIALIZED (
        SELECT n.nspname, c.relowner,
               pg_total_relation_size(format('%I.stream_keys', n.nspname)::regclass)
               + pg_total_relation_size(format('%I.event_ids', n.nspname)::regclass) AS bytes
          FROM pg_namespace AS n
          JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'events'
         WHERE @extschema@.sierra_is_store(n.nspname)
           AND has_schema_privilege(n.oid, 'USAGE')
           AND has_table_privilege(c.oid, 'SELECT')
           AND NOT row_security_active(c.oid))
    SELECT r.nspname, pg_get_userbyid(r.relowner), count(p.partition_id)::integer,
           sum(p.events)::bigint, max(p.last_position), (sum(p.bytes) + r.bytes)::bigint
      FROM readable AS r
     CROSS JOIN LATERAL @extschema@.event_partitions(r.nspname) AS p
     GROUP BY r.nspname, r.relowner, r.bytes
     ORDER BY r.nspname
$$;
COMMENT ON FUNCTION event_stores() IS
    'the stores of this database that the caller may read all of: partitions, events, bytes with indexes';

-- ---------------------------------------------------------------------------
-- Append
-- ---------------------------------------------------------------------------

CREATE FUNCTION eappend(stream_id text,
                        event_name text,
                        payload json DEFAULT NULL,
                        metadata json DEFAULT NULL,
                        expected_version expected_version DEFAULT 'any',
                        event_id uuid DEFAULT NULL,
                        partition_key text DEFAULT NULL,
                        "timestamp" timestamptz DEFAULT NULL,
                        payload_bytes bytea DEFAULT NULL)
    RETURNS sierra_append_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_eappend';
COMMENT ON FUNCTION eappend(text, text, json, json, expected_version, uuid, text, timestamptz, bytea) IS
    'appends one event; SE001 wrong expected version, SE002 partition key mismatch, SE003 duplicate event id';

CREATE FUNCTION emappend(partition_key text, events json)
    RETURNS SETOF sierra_append_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10
    AS 'MODULE_PATHNAME', 'sierra_emappend_json';
COMMENT ON FUNCTION emappend(text, json) IS
    'appends all events of a JSON array of objects, or none; partition_key null: each stream by its own key';

CREATE FUNCTION emappend(partition_key text,
                         stream_ids text[],
                         event_names text[],
                         payloads json[] DEFAULT NULL,
                         metadatas json[] DEFAULT NULL,
                         expected_versions expected_version[] DEFAULT NULL,
                         event_ids uuid[] DEFAULT NULL,
                         timestamps timestamptz[] DEFAULT NULL,
                         payload_bytes bytea[] DEFAULT NULL)
    RETURNS SETOF sierra_append_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_emappend_arrays';
COMMENT ON FUNCTION emappend(text, text[], text[], json[], json[], expected_version[], uuid[], timestamptz[], bytea[]) IS
    'appends all events of arrays of equal length, or none; partition_key null: each stream by its own key';

-- ---------------------------------------------------------------------------
-- Read
-- ---------------------------------------------------------------------------

CREATE FUNCTION eget(event_id uuid) RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1
    AS 'MODULE_PATHNAME', 'sierra_eget';
COMMENT ON FUNCTION eget(uuid) IS 'the event with this id, or no row';

CREATE FUNCTION escan(stream_id text,
                      from_version bigint DEFAULT 0,
                      to_version bigint DEFAULT NULL,
                      max_count bigint DEFAULT NULL,
                      backward boolean DEFAULT false)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_escan';
COMMENT ON FUNCTION escan(text, bigint, bigint, bigint, boolean) IS
    'events of a stream by version, both bounds included; everything unless max_count is given';

CREATE FUNCTION epscan(partition integer,
                       from_sequence bigint DEFAULT 0,
                       to_sequence bigint DEFAULT NULL,
                       max_count bigint DEFAULT NULL,
                       backward boolean DEFAULT false)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_epscan';
COMMENT ON FUNCTION epscan(integer, bigint, bigint, bigint, boolean) IS
    'events of a partition by sequence, both bounds included; everything unless max_count is given';

CREATE FUNCTION epscan(partition_key text,
                       from_sequence bigint DEFAULT 0,
                       to_sequence bigint DEFAULT NULL,
                       max_count bigint DEFAULT NULL,
                       backward boolean DEFAULT false)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_epscan_key';
COMMENT ON FUNCTION epscan(text, bigint, bigint, bigint, boolean) IS
    'events of the partition that a partition key leads to';

CREATE FUNCTION eall(after_position bigint DEFAULT -1,
                     max_count bigint DEFAULT 1000,
                     streams text[] DEFAULT NULL,
                     event_names text[] DEFAULT NULL,
                     backward boolean DEFAULT false)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_eall';
COMMENT ON FUNCTION eall(bigint, bigint, text[], text[], boolean) IS
    'events of the whole store by global position; never skips one: stops before appends in flight';

CREATE FUNCTION esver(stream_id text) RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_esver';
COMMENT ON FUNCTION esver(text) IS 'version of a stream''s last event, null if it has none';

CREATE FUNCTION epseq(partition integer) RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_epseq';
COMMENT ON FUNCTION epseq(integer) IS 'sequence of a partition''s last event, null if it has none';

CREATE FUNCTION epseq(partition_key text) RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_epseq_key';
COMMENT ON FUNCTION epseq(text) IS
    'sequence of the last event in the partition that a partition key leads to';

-- ---------------------------------------------------------------------------
-- Check
-- ---------------------------------------------------------------------------

-- What everify() finds in the catalogs.
CREATE FUNCTION sierra_verify_structure(store name)
    RETURNS TABLE (problem text, detail text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    -- everify() switches them off for its scan of the events
    SET enable_indexscan = on
    SET enable_indexonlyscan = on
    SET enable_bitmapscan = on
AS $$
    WITH tables AS (
        SELECT c.oid, c.relname, c.relkind
          FROM pg_class AS c
         WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
           AND (c.relname IN ('events', 'stream_keys', 'event_ids')
                OR c.oid IN (SELECT i.inhrelid FROM pg_inherits AS i
                               JOIN pg_class AS p ON p.oid = i.inhparent
                              WHERE p.relname = 'events'
                                AND p.relnamespace = c.relnamespace)))
    SELECT 'guard missing', format('table "%s" has no enabled guard trigger', t.relname)
      FROM tables AS t
     WHERE NOT EXISTS (
        SELECT FROM pg_trigger AS g
         WHERE g.tgrelid = t.oid AND g.tgenabled = 'A'
           AND g.tgfoid = '@extschema@.sierra_guard_events()'::regprocedure)
    UNION ALL
    SELECT 'index missing', format('table "%s" has no valid unique index on (%s)', t.relname, w.columns)
      FROM tables AS t
      JOIN (VALUES ('r', 'events\_%', 'partition_sequence'),
                   ('r', 'events\_%', 'stream_id, stream_version'),
                   ('r', 'events\_%', 'event_id'),
                   ('r', 'event\_ids', 'event_id'),
                   ('r', 'stream\_keys', 'stream_id')) AS w (relkind, relname, columns)
        ON t.relkind = w.relkind::"char" AND t.relname LIKE w.relname
     WHERE NOT EXISTS (
        SELECT FROM pg_index AS i
         WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
           AND w.columns = (SELECT string_agg(a.attname, ', ' ORDER BY k.place)
                              FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
                              JOIN pg_attribute AS a
                                ON a.attrelid = t.oid AND a.attnum = k.attnum
                             WHERE k.place <= i.indnkeyatts))
    UNION ALL
    SELECT 'table missing', format('table "%s" does not exist', m.name)
      FROM unnest(@extschema@.sierra_missing_tables($1)) AS m (name)
    UNION ALL
    SELECT 'partition missing',
           format('the store has %s partitions, %s are attached', p.declared, p.attached)
      FROM (SELECT @extschema@.sierra_partitions($1) AS declared,
                   (SELECT count(*) FROM pg_inherits AS i
                     WHERE i.inhparent = to_regclass(format('%I.events', $1))) AS attached) AS p
     WHERE p.declared <> p.attached
    UNION ALL
    SELECT 'partition bound', format('table "%s" is attached %s, which no partition of this store is',
                                     c.relname, pg_get_expr(c.relpartbound, c.oid))
      FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = to_regclass(format('%I.events', $1))
       AND @extschema@.sierra_partitions($1) IS NOT NULL
       AND pg_get_expr(c.relpartbound, c.oid) NOT IN (
           SELECT format('FOR VALUES IN (%s)', id)
             FROM generate_series(0, @extschema@.sierra_partitions($1) - 1) AS id)
    UNION ALL
    SELECT 'position sequence',
           format('sequence "global_position" has increment %s, cache %s, cycle %s; it needs 1, 1, false',
                  s.seqincrement, s.seqcache, s.seqcycle)
      FROM pg_sequence AS s
     WHERE s.seqrelid = to_regclass(format('%I.global_position', $1))
       AND (s.seqincrement <> 1 OR s.seqcache <> 1 OR s.seqcycle)
$$;
COMMENT ON FUNCTION sierra_verify_structure(name) IS
    'guards, indexes and settings that a store lacks; everify() calls it';

-- The query behind everify(): %1$I is the store, %2$s its number of partitions.  It reads the
-- events once; all checks share what it kept of them.
CREATE FUNCTION sierra_verify_query(store name, partitions integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT format($query$
WITH event AS MATERIALIZED (
    SELECT partition_id, partition_sequence, stream_id, stream_version, global_position, event_id,
           partition_key,
           octet_length(stream_id) BETWEEN 1 AND 255
           AND octet_length(event_name) BETWEEN 1 AND 255
           AND stream_id !~ '[\u0001-\u001f\u007f-\u009f]'
           AND event_name !~ '[\u0001-\u001f\u007f-\u009f]'
           AND isfinite("timestamp")
           AND (payload IS NULL OR payload_bytes IS NULL) AS within_bounds
      FROM %1$I.events),
numbered AS (
    SELECT e.partition_id, e.partition_sequence, e.stream_id, e.stream_version,
           e.global_position, e.event_id,
           lag(e.partition_sequence) OVER p AS previous_sequence,
           lag(e.global_position) OVER p AS previous_position,
           lag(e.stream_version) OVER s AS previous_version
      FROM event AS e
    WINDOW p AS (PARTITION BY e.partition_id ORDER BY e.partition_sequence, e.global_position),
           s AS (PARTITION BY e.stream_id ORDER BY e.stream_version, e.global_position))
SELECT 'partition sequence', n.partition_id, n.partition_sequence, n.stream_id, n.stream_version,
       n.event_id,
       CASE WHEN n.partition_sequence = n.previous_sequence
            THEN format('sequence %%s occurs twice', n.partition_sequence)
            ELSE format('sequence %%s follows %%s', n.partition_sequence,
                        coalesce(n.previous_sequence::text, 'nothing')) END
  FROM numbered AS n
 WHERE n.partition_sequence <> coalesce(n.previous_sequence + 1, 0)
UNION ALL
SELECT 'stream version', n.partition_id, n.partition_sequence, n.stream_id, n.stream_version,
       n.event_id,
       CASE WHEN n.stream_version = n.previous_version
            THEN format('version %%s occurs twice', n.stream_version)
            ELSE format('version %%s follows %%s', n.stream_version,
                        coalesce(n.previous_version::text, 'nothing')) END
  FROM numbered AS n
 WHERE n.stream_version <> coalesce(n.previous_version + 1, 0)
UNION ALL
SELECT 'position order', n.partition_id, n.partition_sequence, n.stream_id, n.stream_version,
       n.event_id,
       format('position %%s follows %%s', n.global_position, n.previous_position)
  FROM numbered AS n
 WHERE n.global_position <= n.previous_position
UNION ALL
SELECT 'position twice', min(e.partition_id), NULL, NULL, NULL, NULL,
       format('position %%s occurs in partitions %%s', e.global_position,
              string_agg(e.partition_id::text, ', ' ORDER BY e.partition_id))
  FROM event AS e
 GROUP BY e.global_position
HAVING count(*) > 1
UNION ALL
SELECT 'position sequence', NULL, NULL, NULL, NULL, NULL,
       format('the sequence is at %%s, the newest event at %%s', s.last_value, m.newest)
  FROM %1$I.global_position AS s,
       (SELECT max(e.global_position) AS newest FROM event AS e) AS m
 WHERE m.newest > CASE WHEN s.is_called THEN s.last_value ELSE s.last_value - 1 END
UNION ALL
SELECT 'stream partition', min(e.partition_id), NULL, e.stream_id, NULL, NULL,
       format('the stream has %%s partition keys in partitions %%s',
              count(DISTINCT e.partition_key),
              string_agg(DISTINCT e.partition_id::text, ', '))
  FROM event AS e
 GROUP BY e.stream_id
HAVING count(DISTINCT e.partition_id) > 1 OR count(DISTINCT e.partition_key) > 1
UNION ALL
SELECT 'routing', e.partition_id, e.partition_sequence, e.stream_id, e.stream_version, e.event_id,
       format('key %%s leads to partition %%s', e.partition_key,
              @extschema@.sierra_partition_id(e.partition_key, %2$s))
  FROM event AS e
 WHERE e.partition_id <> @extschema@.sierra_partition_id(e.partition_key, %2$s)
UNION ALL
SELECT 'stream key', e.partition_id, NULL, e.stream_id, NULL, NULL,
       format('key %%s is not that of the name and not registered', e.partition_key)
  FROM (SELECT DISTINCT partition_id, stream_id, partition_key FROM event) AS e
 WHERE e.partition_key <> @extschema@.sierra_stream_key(e.stream_id)
   AND NOT EXISTS (SELECT FROM %1$I.stream_keys AS k
                    WHERE k.stream_id = e.stream_id AND k.partition_key = e.partition_key)
UNION ALL
SELECT 'stream key', NULL, NULL, k.stream_id, NULL, NULL,
       format('key %%s is registered, but the stream has no event under it', k.partition_key)
  FROM %1$I.stream_keys AS k
 WHERE NOT EXISTS (SELECT FROM event AS e
                    WHERE e.stream_id = k.stream_id AND e.partition_key = k.partition_key)
UNION ALL
SELECT 'event id twice', min(e.partition_id), NULL, NULL, NULL, e.event_id,
       format('the id occurs in partitions %%s',
              string_agg(e.partition_id::text, ', ' ORDER BY e.partition_id))
  FROM event AS e
 GROUP BY e.event_id
HAVING count(*) > 1
UNION ALL
SELECT 'event id', e.partition_id, e.partition_sequence, e.stream_id, e.stream_version, e.event_id,
       'the id does not lead to its partition and is not registered'
  FROM event AS e
 WHERE e.partition_id <> @extschema@.sierra_partition_id(e.event_id, %2$s)
   AND NOT EXISTS (SELECT FROM %1$I.event_ids AS i
                    WHERE i.event_id = e.event_id AND i.partition_id = e.partition_id)
UNION ALL
SELECT 'event id', i.partition_id, NULL, NULL, NULL, i.event_id,
       'the id is registered, but there is no such event in the partition'
  FROM %1$I.event_ids AS i
 WHERE NOT EXISTS (SELECT FROM event AS e
                    WHERE e.event_id = i.event_id AND e.partition_id = i.partition_id)
UNION ALL
SELECT 'bounds', e.partition_id, e.partition_sequence, e.stream_id, e.stream_version, e.event_id,
       'a name is empty, too long or has control characters, the time is infinite, or there are'
       ' two payloads'
  FROM event AS e
 WHERE NOT e.within_bounds
$query$, store, partitions)
$$;
COMMENT ON FUNCTION sierra_verify_query(name, integer) IS
    'the query that everify() runs over the events of a store';

CREATE FUNCTION everify(store name DEFAULT NULL)
    RETURNS TABLE (problem text, partition_id integer, partition_sequence bigint, stream_id text,
                   stream_version bigint, event_id uuid, detail text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    -- The tables are what counts: a damaged index must not hide a row.
    SET enable_indexscan = off
    SET enable_indexonlyscan = off
    SET enable_bitmapscan = off
    -- Switched-off scans look expensive, and thousands of plans would be compiled.
    SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_find_store(store);
    parent constant regclass := to_regclass(format('%I.events', wanted));
    partitions integer;
BEGIN
    IF row_security_active(parent) THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('cannot check store "%s" under row-level security', wanted),
            DETAIL = 'Rows that a policy hides would look like gaps.',
            HINT = 'Run everify() as the owner of the store.';
    END IF;
    partitions := coalesce(@extschema@.sierra_partitions(wanted),
                           (SELECT count(*)::integer FROM pg_inherits WHERE inhparent = parent));
    RETURN QUERY SELECT s.problem, NULL::integer, NULL::bigint, NULL::text, NULL::bigint,
                        NULL::uuid, s.detail
                   FROM @extschema@.sierra_verify_structure(wanted) AS s;
    RETURN QUERY EXECUTE @extschema@.sierra_verify_query(wanted, partitions);
END
$$;
COMMENT ON FUNCTION everify(name) IS
    'checks a store (default: sierra_es.store) and returns a row for each violation of an invariant';
