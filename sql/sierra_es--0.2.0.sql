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

-- The tables of a store, in an existing schema.
CREATE FUNCTION sierra_create_tables(store name) RETURNS void
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
COMMENT ON FUNCTION sierra_create_tables(name) IS
    'makes the tables of a store, without partitions; create_event_store() calls it';

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

-- What functions about a store say when there is none.
CREATE FUNCTION sierra_require_store(store name) RETURNS name
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
COMMENT ON FUNCTION sierra_require_store(name) IS
    'the name of a store (default: sierra_es.store); SE005 if there is none';

CREATE FUNCTION guard_event_store(store name DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
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
COMMENT ON FUNCTION guard_event_store(name) IS
    'puts back the guards that a store (default: sierra_es.store) has lost, as after DROP EXTENSION CASCADE; returns on how many tables';

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
    wanted constant name := @extschema@.sierra_require_store(store);
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
    wanted constant name := @extschema@.sierra_require_store(store);
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
-- ---------------------------------------------------------------------------
-- Making and dropping stores.  OR REPLACE: updates from 0.1.0 run this file too.
-- ---------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION create_event_store(name name DEFAULT 'es', partitions integer DEFAULT 32)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF name IS NULL OR name = '' OR partitions IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'a store needs a name and a number of partitions';
    END IF;
    IF partitions NOT BETWEEN 1 AND 1024 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a store has 1 to 1024 partitions',
            DETAIL = format('The value is %s.', partitions);
    END IF;
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE feature_not_supported USING
            MESSAGE = 'an event store needs a database with encoding UTF8',
            DETAIL = format('The encoding of this database is %s.', getdatabaseencoding()),
            HINT = 'Use CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
    IF @extschema@.sierra_is_store(name) THEN
        RAISE duplicate_object USING
            MESSAGE = format('event store "%s" already exists', name);
    END IF;
    IF name LIKE 'pg\_%' THEN
        RAISE reserved_name USING
            MESSAGE = format('unacceptable store name "%s"', name),
            DETAIL = 'A store is a schema, and the prefix "pg_" is reserved for system schemas.';
    END IF;

    IF to_regnamespace(quote_ident(name)) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', name);
        EXECUTE format('COMMENT ON SCHEMA %I IS %L', name, 'event store');
    END IF;
    PERFORM @extschema@.sierra_create_tables(name);
    PERFORM @extschema@.sierra_create_subscription_tables(name);
    FOR i IN 0 .. partitions - 1 LOOP
        PERFORM @extschema@.sierra_create_partition(name, i);
    END LOOP;
    PERFORM @extschema@.guard_event_store(name);
END
$$;
COMMENT ON FUNCTION create_event_store(name, integer) IS
    'makes an event store: a schema of this name with 1 to 1024 partitions, owned by the caller';

CREATE OR REPLACE FUNCTION drop_event_store(name name, force boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    -- Events that a policy hides must not count as none.
    SET row_security = off
AS $$
#variable_conflict use_variable
DECLARE
    has_events boolean;
BEGIN
    IF name IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'argument "name" must not be null';
    END IF;
    PERFORM @extschema@.sierra_require_store(name);
    -- Appends in flight end first, and none begins.
    EXECUTE format('LOCK TABLE %I.events IN ACCESS EXCLUSIVE MODE', name);
    IF NOT coalesce(force, false) THEN
        -- An older snapshot would not see events that were committed since.
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = 'drop_event_store() needs isolation level READ COMMITTED',
                HINT = 'Use another transaction, or force => true to drop the store with all events.';
        END IF;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.events)', name) INTO has_events;
        IF has_events THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('event store "%s" has events', name),
                HINT = format('To delete them for good, use drop_event_store(%L, force => true).',
                              name);
        END IF;
    END IF;
    EXECUTE format('DROP TABLE %1$I.events, %1$I.stream_keys, %1$I.event_ids', name);
    -- A store of version 0.1.0 may have none of these.
    EXECUTE format('DROP TABLE IF EXISTS %1$I.subscription_cursors, %1$I.subscription_consumers,'
                   ' %1$I.subscription_streams, %1$I.subscriptions', name);
    EXECUTE format('DROP SEQUENCE %I.global_position', name);
    -- The schema goes too if create_event_store() made it and nothing else is in it.
    IF obj_description(to_regnamespace(quote_ident(name)), 'pg_namespace') = 'event store' THEN
        BEGIN
            EXECUTE format('DROP SCHEMA %I RESTRICT', name);
        EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
            NULL;
        END;
    END IF;
END
$$;
COMMENT ON FUNCTION drop_event_store(name, boolean) IS
    'drops a store; one with events only with force => true';
-- ---------------------------------------------------------------------------
-- Subscriptions
-- ---------------------------------------------------------------------------

-- What consumers have done is in tables of its own: their rows are updated all
-- the time, those of subscriptions never.  Half-filled pages keep updates HOT.
-- No foreign keys: pg_restore --data-only does not load tables in their order.
CREATE FUNCTION sierra_create_subscription_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE %I.subscriptions ('
        ' subscription text COLLATE "C" PRIMARY KEY,'
        ' streams text[],'
        ' event_names text[],'
        ' partitions integer[],'
        ' start_after bigint NOT NULL,'
        ' start_sequences bigint[],'
        ' start_streams text[],'
        ' start_versions bigint[],'
        ' window_size integer NOT NULL CHECK (window_size > 0),'
        ' lease_time interval NOT NULL CHECK (lease_time > ''0''),'
        ' max_attempts integer NOT NULL CHECK (max_attempts > 0),'
        ' created_at timestamptz NOT NULL DEFAULT now())', store);
    EXECUTE format(
        'CREATE TABLE %1$I.subscription_cursors ('
        ' subscription text COLLATE "C" NOT NULL,'
        ' partition_id integer NOT NULL,'
        ' cursor bigint NOT NULL,'
        ' epoch bigint NOT NULL DEFAULT 0,'
        ' consumer text COLLATE "C",'
        ' acknowledged_at timestamptz,'
        ' last_error text,'
        ' last_error_at timestamptz,'
        ' PRIMARY KEY (subscription, partition_id)) WITH (fillfactor = 50)', store);
    EXECUTE format(
        'CREATE TABLE %1$I.subscription_consumers ('
        ' subscription text COLLATE "C" NOT NULL,'
        ' consumer text COLLATE "C" NOT NULL,'
        ' acknowledged bigint NOT NULL,'
        ' handed_out bigint NOT NULL,'
        ' joined_at timestamptz NOT NULL,'
        ' seen_at timestamptz NOT NULL,'
        ' PRIMARY KEY (subscription, consumer)) WITH (fillfactor = 50)', store);
    EXECUTE format(
        'CREATE TABLE %1$I.subscription_streams ('
        ' subscription text COLLATE "C" NOT NULL,'
        ' stream_id text COLLATE "C" NOT NULL,'
        ' partition_id integer NOT NULL,'
        ' state text NOT NULL CHECK (state IN (''retrying'', ''parked'', ''behind'', ''level'')),'
        ' position bigint NOT NULL,'
        ' version bigint NOT NULL,'
        ' handed_out bigint,'
        ' failed_position bigint,'
        ' failed_version bigint,'
        ' attempts integer NOT NULL,'
        ' retry_at timestamptz,'
        ' reason text,'
        ' failed_at timestamptz,'
        ' PRIMARY KEY (subscription, stream_id)) WITH (fillfactor = 50)', store);

    EXECUTE format('COMMENT ON TABLE %I.subscriptions IS %L', store,
                   'durable subscriptions: what they want and where they began');
    EXECUTE format('COMMENT ON TABLE %I.subscription_cursors IS %L', store,
                   'how far subscriptions are acknowledged: partition -1 for the whole, or by'
                   ' partition, leased to a consumer of the group');
    EXECUTE format('COMMENT ON TABLE %I.subscription_consumers IS %L', store,
                   'consumers of groups: what was handed out to them, when they were last seen');
    EXECUTE format('COMMENT ON TABLE %I.subscription_streams IS %L', store,
                   'streams that do not move with their subscription: one of their events failed');
END
$$;
COMMENT ON FUNCTION sierra_create_subscription_tables(name) IS
    'makes the tables of a store that subscriptions are kept in; create_event_store() calls it';

CREATE FUNCTION ehead() RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_ehead';
COMMENT ON FUNCTION ehead() IS
    'highest global position up to which the store can be read now without skipping; -1 if empty';

CREATE FUNCTION sierra_events_after(store name, partition integer, "position" bigint)
    RETURNS bigint
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_events_after';
COMMENT ON FUNCTION sierra_events_after(name, integer, bigint) IS
    'how many events of a partition are above a global position';

-- The tables of subscriptions came with version 0.2.0.
CREATE FUNCTION sierra_has_subscriptions(store name) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*) = 4
      FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = $1
       AND c.relkind = 'r'
       AND c.relname IN ('subscriptions', 'subscription_cursors', 'subscription_consumers',
                         'subscription_streams')
$$;
COMMENT ON FUNCTION sierra_has_subscriptions(name) IS
    'does a store have the tables that subscriptions are kept in?';

CREATE FUNCTION upgrade_event_store(store name DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
    owner constant name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c
                             WHERE c.oid = to_regclass(format('%I.events', wanted)));
    relation text;
BEGIN
    IF @extschema@.sierra_has_subscriptions(wanted) THEN
        RETURN false;
    END IF;
    PERFORM @extschema@.sierra_create_subscription_tables(wanted);
    IF owner <> current_user THEN
        FOREACH relation IN ARRAY ARRAY['subscriptions', 'subscription_cursors',
                                        'subscription_consumers', 'subscription_streams'] LOOP
            EXECUTE format('ALTER TABLE %I.%I OWNER TO %I', wanted, relation, owner);
        END LOOP;
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION upgrade_event_store(name) IS
    'gives a store (default: sierra_es.store) that an older version made what this one has; false if nothing was missing';

-- The store that calls use, which must have tables for subscriptions.
CREATE FUNCTION sierra_require_subscriptions(store name DEFAULT NULL) RETURNS name
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
BEGIN
    IF NOT @extschema@.sierra_has_subscriptions(wanted) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'SE005',
            MESSAGE = format('event store "%s" has no tables for subscriptions', wanted),
            DETAIL = 'It was made by an older version of sierra_es.',
            HINT = format('As its owner, add them with SELECT upgrade_event_store(%L).', wanted);
    END IF;
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION sierra_require_subscriptions(name) IS
    'the name of a store (default: sierra_es.store) with tables for subscriptions; SE005 if there is none';

CREATE FUNCTION sierra_report_no_subscription(store name, subscription text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'SE007',
        MESSAGE = format('no subscription "%s"', subscription),
        DETAIL = format('Store "%s" has no subscription of this name.', store),
        HINT = 'Make it with esub() or epsub(); event_subscriptions() lists them.';
END
$$;
COMMENT ON FUNCTION sierra_report_no_subscription(name, text) IS 'raises SE007';

-- For functions whose statements would find no row of a subscription that does not exist.
CREATE FUNCTION sierra_require_subscription(store name, subscription text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found_one boolean;
BEGIN
    IF subscription IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'argument "subscription" must not be null';
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.subscriptions AS s WHERE s.subscription = $1)', store)
       INTO found_one USING subscription;
    IF NOT found_one THEN
        PERFORM @extschema@.sierra_report_no_subscription(store, subscription);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_require_subscription(name, text) IS
    'raises SE007 unless a subscription exists';

-- Checks of the arguments that esub() and epsub() share.
CREATE FUNCTION sierra_check_subscription(subscription text, start_from text, window_size integer,
                                          lease_time interval, max_attempts integer) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    argument text := CASE WHEN subscription IS NULL THEN 'subscription'
                          WHEN start_from IS NULL THEN 'start_from'
                          WHEN window_size IS NULL THEN 'window_size'
                          WHEN lease_time IS NULL THEN 'lease_time'
                          WHEN max_attempts IS NULL THEN 'max_attempts' END;
BEGIN
    IF argument IS NOT NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = format('argument "%s" must not be null', argument);
    END IF;
    IF octet_length(subscription) NOT BETWEEN 1 AND 255
       OR subscription ~ '[\u0001-\u001f\u007f-\u009f]' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the name of a subscription has 1 to 255 bytes and no control characters',
            DETAIL = format('It has %s bytes.', octet_length(subscription));
    END IF;
    IF start_from NOT IN ('latest', 'earliest')
       AND (start_from !~ '^-?\d+$' OR start_from::numeric NOT BETWEEN -1 AND 9223372036854775807) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('start_from "%s" is no start', start_from),
            HINT = 'Use ''latest'', ''earliest'' or a global position: what follows it is delivered.';
    END IF;
    IF window_size NOT BETWEEN 1 AND 1000000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a window has 1 to 1000000 events',
            DETAIL = format('The value is %s.', window_size);
    END IF;
    IF lease_time NOT BETWEEN interval '100 milliseconds' AND interval '1 day' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a lease lasts 100 milliseconds to 1 day',
            DETAIL = format('The value is %s.', lease_time);
    END IF;
    IF max_attempts NOT BETWEEN 1 AND 1000000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_attempts must be 1 to 1000000',
            DETAIL = format('The value is %s.', max_attempts);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_check_subscription(text, text, integer, interval, integer) IS
    'raises 22023 or 22004 unless the arguments of a subscription are within bounds';

-- What is kept for a subscription besides its definition.
CREATE FUNCTION sierra_forget_subscription(store name, subscription text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation text;
BEGIN
    -- Consumers first, as they are locked first.  Twice: the first round waits for
    -- consumers at work, the second sees what these left.
    FOREACH relation IN ARRAY ARRAY['subscription_consumers', 'subscription_streams',
                                    'subscription_cursors', 'subscription_consumers',
                                    'subscription_streams', 'subscription_cursors'] LOOP
        EXECUTE format('DELETE FROM %I.%I AS r WHERE r.subscription = $1', store, relation)
          USING subscription;
    END LOOP;
END
$$;
COMMENT ON FUNCTION sierra_forget_subscription(name, text) IS
    'deletes the cursors, consumers and failed streams of a subscription; esub() and eunsub() call it';

-- Writes the rows of a subscription, or finds that it exists already.
CREATE FUNCTION sierra_add_subscription(store name, subscription text, streams text[],
                                        event_names text[], partitions integer[],
                                        start_after bigint, start_sequences bigint[],
                                        start_streams text[], start_versions bigint[],
                                        cursor bigint, window_size integer, lease_time interval,
                                        max_attempts integer) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    added integer;
    same boolean;
    acknowledged bigint;
BEGIN
    EXECUTE format('INSERT INTO %I.subscriptions (subscription, streams, event_names, partitions,'
                   ' start_after, start_sequences, start_streams, start_versions, window_size,'
                   ' lease_time, max_attempts)'
                   ' VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)'
                   ' ON CONFLICT DO NOTHING', store)
      USING subscription, streams, event_names, partitions, start_after, start_sequences,
            start_streams, start_versions, window_size, lease_time, max_attempts;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added > 0 THEN
        -- A consumer that was at work while the last of this name was dropped may have left some.
        PERFORM @extschema@.sierra_forget_subscription(store, subscription);
        EXECUTE format('INSERT INTO %1$I.subscription_cursors (subscription, partition_id, cursor)'
                       ' VALUES ($1, -1, $2)', store)
          USING subscription, cursor;
    END IF;
    EXECUTE format('SELECT (s.streams, s.event_names, s.partitions, s.window_size, s.lease_time,'
                   '        s.max_attempts) IS NOT DISTINCT FROM ($2, $3, $4, $5, $6, $7),'
                   '       (SELECT min(c.cursor) FROM %1$I.subscription_cursors AS c'
                   '         WHERE c.subscription = s.subscription)'
                   '  FROM %1$I.subscriptions AS s WHERE s.subscription = $1', store)
       INTO same, acknowledged
      USING subscription, streams, event_names, partitions, window_size, lease_time, max_attempts;
    IF NOT coalesce(same, false) THEN
        RAISE duplicate_object USING
            MESSAGE = format('subscription "%s" already exists', subscription),
            DETAIL = 'It has another filter, window, lease time or number of attempts.',
            HINT = 'Choose another name, or drop it with eunsub() first.';
    END IF;
    RETURN acknowledged;
END
$$;
COMMENT ON FUNCTION sierra_add_subscription(name, text, text[], text[], integer[], bigint, bigint[], text[], bigint[], bigint, integer, interval, integer) IS
    'writes a subscription; esub() and epsub() call it';

-- Where 'latest' is: the newest event of each partition.  What is in flight now comes after it.
CREATE FUNCTION sierra_next_sequences(partitions integer[], count integer) RETURNS bigint[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(CASE WHEN $1 IS NULL OR p = ANY ($1)
                          THEN coalesce(@extschema@.epseq(p) + 1, 0) END ORDER BY p)
      FROM generate_series(0, $2 - 1) AS p
$$;
COMMENT ON FUNCTION sierra_next_sequences(integer[], integer) IS
    'by partition, the sequence that its next event will have; null for partitions that are not wanted';

CREATE FUNCTION esub(subscription text,
                     streams text[] DEFAULT NULL,
                     event_names text[] DEFAULT NULL,
                     start_from text DEFAULT 'latest',
                     start_versions json DEFAULT NULL,
                     window_size integer DEFAULT 1000,
                     lease_time interval DEFAULT '30 seconds',
                     max_attempts integer DEFAULT 5)
    RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_subscriptions();
    start_after bigint := -1;
    start_sequences bigint[];
    streams_of_map text[];
    versions_of_map bigint[];
    cursor bigint;
BEGIN
    PERFORM @extschema@.sierra_check_subscription(subscription, start_from, window_size, lease_time,
                                                  max_attempts);
    IF array_position(streams, NULL) IS NOT NULL OR array_position(event_names, NULL) IS NOT NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'streams and event_names must not contain nulls';
    END IF;
    IF json_typeof(start_versions) <> 'object'
       OR EXISTS (SELECT FROM json_each_text(start_versions) AS v WHERE v.value !~ '^\d{1,18}$'
                                                                       OR v.value IS NULL) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'start_versions must be a JSON object of stream ids and versions',
            DETAIL = format('It is %s.', start_versions),
            HINT = 'For example {"order-1": 5}: the stream is delivered from version 5 on.';
    END IF;
    SELECT array_agg(v.key ORDER BY v.key COLLATE "C"), array_agg(v.value::bigint ORDER BY v.key COLLATE "C")
      INTO streams_of_map, versions_of_map
      FROM (SELECT DISTINCT ON (j.key) j.key, j.value
              FROM json_each_text(start_versions) WITH ORDINALITY AS j (key, value, place)
             ORDER BY j.key, j.place DESC) AS v;

    IF start_from = 'latest' THEN
        cursor := @extschema@.ehead();
        start_sequences := @extschema@.sierra_next_sequences(
            NULL, @extschema@.sierra_partitions(store));
    ELSE
        start_after := CASE start_from WHEN 'earliest' THEN -1 ELSE start_from::bigint END;
        cursor := start_after;
    END IF;
    -- Streams of the map may begin further back than the rest.
    cursor := least(cursor, (SELECT min(e.global_position) - 1
                               FROM unnest(streams_of_map, versions_of_map) AS m (stream_id, version),
                                    @extschema@.escan(m.stream_id, m.version, m.version) AS e));
    RETURN @extschema@.sierra_add_subscription(
        store, subscription, streams, event_names, NULL, start_after, start_sequences,
        streams_of_map, versions_of_map, cursor, window_size, lease_time, max_attempts);
END
$$;
COMMENT ON FUNCTION esub(text, text[], text[], text, json, integer, interval, integer) IS
    'makes a durable subscription to streams (patterns; null: all) and event names (null: all), if it does not exist; returns its acknowledged cursor; 42710 if it exists with another definition';

CREATE FUNCTION epsub(subscription text,
                      partitions integer[] DEFAULT NULL,
                      start_from text DEFAULT 'latest',
                      start_sequences json DEFAULT NULL,
                      window_size integer DEFAULT 1000,
                      lease_time interval DEFAULT '30 seconds',
                      max_attempts integer DEFAULT 5)
    RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_subscriptions();
    count constant integer := @extschema@.sierra_partitions(store);
    wanted integer[] := (SELECT array_agg(DISTINCT p ORDER BY p) FROM unnest(partitions) AS p);
    start_after bigint := -1;
    sequences bigint[];
    cursor bigint;
BEGIN
    PERFORM @extschema@.sierra_check_subscription(subscription, start_from, window_size, lease_time,
                                                  max_attempts);
    IF partitions IS NOT NULL AND (wanted IS NULL OR array_position(wanted, NULL) IS NOT NULL
                                   OR 0 > ANY (wanted) OR count <= ANY (wanted)) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('partitions %s cannot be subscribed to', partitions),
            DETAIL = format('Store "%s" has partitions 0 to %s.', store, count - 1),
            HINT = 'Name at least one of them, or pass NULL for all.';
    END IF;
    IF json_typeof(start_sequences) NOT IN ('number', 'object')
       OR json_typeof(start_sequences) = 'number' AND start_sequences::text !~ '^\d{1,18}$'
       OR json_typeof(start_sequences) = 'object' AND EXISTS (
              SELECT FROM json_each_text(start_sequences) AS j
               WHERE j.value IS NULL OR j.value !~ '^\d{1,18}$'
                  OR j.key <> 'default' AND (j.key !~ '^(0|[1-9]\d{0,8})$' OR j.key::integer >= count)) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'start_sequences must be a sequence, or a JSON object of partitions and sequences',
            DETAIL = format('It is %s; store "%s" has partitions 0 to %s.', start_sequences, store,
                            count - 1),
            HINT = 'For example {"0": 17, "default": 0}: partition 0 is delivered from sequence 17 on, the others from 0.';
    END IF;

    IF start_from = 'latest' THEN
        cursor := @extschema@.ehead();
        sequences := @extschema@.sierra_next_sequences(wanted, count);
    ELSE
        start_after := CASE start_from WHEN 'earliest' THEN -1 ELSE start_from::bigint END;
        cursor := start_after;
    END IF;
    IF start_sequences IS NOT NULL THEN
        SELECT array_agg(coalesce(CASE json_typeof(start_sequences)
                                  WHEN 'number' THEN start_sequences::text
                                  ELSE coalesce(start_sequences ->> p::text,
                                                start_sequences ->> 'default') END::bigint,
                                  sequences[p + 1]) ORDER BY p)
          INTO sequences
          FROM generate_series(0, count - 1) AS p;
        -- What has no sequence starts at the position; the rest may begin further back.
        cursor := least(cursor, (SELECT min(e.global_position) - 1
                                   FROM generate_series(0, count - 1) AS p,
                                        @extschema@.epscan(p, sequences[p + 1], sequences[p + 1]) AS e
                                  WHERE (wanted IS NULL OR p = ANY (wanted))
                                    AND sequences[p + 1] IS NOT NULL));
    END IF;
    RETURN @extschema@.sierra_add_subscription(
        store, subscription, NULL, NULL, wanted, start_after, sequences, NULL, NULL, cursor,
        window_size, lease_time, max_attempts);
END
$$;
COMMENT ON FUNCTION epsub(text, integer[], text, json, integer, interval, integer) IS
    'makes a durable subscription to partitions (null: all), if it does not exist; returns its acknowledged cursor; 42710 if it exists with another definition';

-- Consumers of groups need no lock: their acknowledgements fail once they are no members.
CREATE FUNCTION sierra_lock_subscription(store name, subscription text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_lock_subscription';
COMMENT ON FUNCTION sierra_lock_subscription(name, text) IS
    'waits until no transaction consumes a subscription, and keeps others from it; eunsub() calls it';

CREATE FUNCTION eunsub(subscription text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_subscriptions();
    dropped integer;
BEGIN
    IF subscription IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'argument "subscription" must not be null';
    END IF;
    PERFORM @extschema@.sierra_lock_subscription(store, subscription);
    EXECUTE format('DELETE FROM %I.subscriptions AS s WHERE s.subscription = $1', store)
      USING subscription;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    PERFORM @extschema@.sierra_forget_subscription(store, subscription);
    IF dropped = 0 THEN
        PERFORM @extschema@.sierra_report_no_subscription(store, subscription);
    END IF;
END
$$;
COMMENT ON FUNCTION eunsub(text) IS
    'drops a subscription with all that is kept for it; SE007 if there is none';

CREATE FUNCTION enext(subscription text,
                      max_count integer DEFAULT 100,
                      wait interval DEFAULT '0',
                      after bigint DEFAULT NULL,
                      consumer text DEFAULT NULL)
    RETURNS SETOF sierra_event
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_enext';
COMMENT ON FUNCTION enext(text, integer, interval, bigint, text) IS
    'the next events of a subscription: what follows its acknowledged cursor, or after, within its window; waits for some if there are none; SE007 no such subscription, SE008 stale lease';

CREATE FUNCTION sierra_peek(store name, subscription text, max_count integer)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_peek';
COMMENT ON FUNCTION sierra_peek(name, text, integer) IS 'epeek() in a store of this name';

CREATE FUNCTION epeek(subscription text, max_count integer DEFAULT 100)
    RETURNS SETOF sierra_event
    LANGUAGE sql STABLE PARALLEL RESTRICTED ROWS 100
BEGIN ATOMIC
    SELECT * FROM @extschema@.sierra_peek(@extschema@.sierra_current_store(), $1, $2);
END;
COMMENT ON FUNCTION epeek(text, integer) IS
    'what a subscription would deliver next, without consuming: no lease, no lock, events of failed streams left out';

CREATE FUNCTION eack(subscription text, cursor bigint, consumer text DEFAULT NULL)
    RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_eack';
COMMENT ON FUNCTION eack(text, bigint, text) IS
    'acknowledges all events of a subscription that were handed out up to a global position; returns the acknowledged cursor; 22023 for a position that was not, SE008 stale lease';

CREATE FUNCTION enack(subscription text,
                      cursor bigint,
                      retry_after interval DEFAULT '1 second',
                      reason text DEFAULT NULL,
                      park boolean DEFAULT false,
                      consumer text DEFAULT NULL)
    RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_enack';
COMMENT ON FUNCTION enack(text, bigint, interval, text, boolean, text) IS
    'says that the event at a global position failed: it comes again after a while, or is parked after max_attempts failures; later events of its stream wait behind it; returns retrying or parked';

CREATE FUNCTION ewait(subscription text, cursor bigint, timeout interval DEFAULT '10 seconds')
    RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_ewait';
COMMENT ON FUNCTION ewait(text, bigint, interval) IS
    'waits until a subscription has processed the event at a global position, or does not want it (null: until the event can be read here, as on a standby); false after the timeout';

-- Consumers of a group.  What must not happen: that an event is acknowledged for
-- a consumer who lost its partition, or that two of them have one partition.
-- Rows of consumers and leases are taken with SKIP LOCKED: who is in the middle
-- of a transaction keeps what it holds.

-- Takes all leases from consumers.  A new epoch tells the lease from the old one.
CREATE FUNCTION sierra_free_leases(store name, subscription text, consumers text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('UPDATE %1$I.subscription_streams AS t SET handed_out = NULL'
                   '  FROM %1$I.subscription_cursors AS c'
                   ' WHERE t.subscription = $1 AND t.handed_out IS NOT NULL'
                   '   AND c.subscription = $1 AND c.partition_id = t.partition_id'
                   '   AND c.consumer = ANY ($2)', store) USING subscription, consumers;
    EXECUTE format('UPDATE %I.subscription_cursors AS c SET consumer = NULL, epoch = c.epoch + 1'
                   ' WHERE c.subscription = $1 AND c.consumer = ANY ($2)', store)
      USING subscription, consumers;
END
$$;
COMMENT ON FUNCTION sierra_free_leases(name, text, text[]) IS
    'takes the leases of consumers of a group; enext() and eleave() call it';

-- One cursor becomes one for each partition, when the first consumer comes.
CREATE FUNCTION sierra_split_cursor(store name, subscription text, partitions integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('WITH whole AS (DELETE FROM %1$I.subscription_cursors AS c'
                   '                WHERE c.subscription = $1 AND c.partition_id = -1 RETURNING c.*)'
                   ' INSERT INTO %1$I.subscription_cursors'
                   '        (subscription, partition_id, cursor, acknowledged_at, last_error, last_error_at)'
                   ' SELECT w.subscription, p, w.cursor, w.acknowledged_at, w.last_error, w.last_error_at'
                   '   FROM whole AS w, unnest($2) AS p', store)
      USING subscription,
            coalesce(partitions, ARRAY(SELECT p FROM generate_series(
                0, @extschema@.sierra_partitions(store) - 1) AS p));
END
$$;
COMMENT ON FUNCTION sierra_split_cursor(name, text, integer[]) IS
    'gives each partition of a subscription a cursor of its own; enext() calls it for a group';

-- Gives a consumer as many leases as its share is, if what was handed out to it
-- is acknowledged; true if that changed something.
CREATE FUNCTION sierra_balance_leases(store name, subscription text, consumer text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    partitions integer;
    members integer;
    rank integer;
    share integer;
    held integer;
    changed integer;
BEGIN
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE c.consumer = $2)'
                   '  FROM %I.subscription_cursors AS c WHERE c.subscription = $1', store)
       INTO partitions, held USING subscription, consumer;
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE m.consumer < $2)'
                   '  FROM %I.subscription_consumers AS m WHERE m.subscription = $1', store)
       INTO members, rank USING subscription, consumer;
    share := partitions / members + (rank < partitions % members)::integer;
    IF held > share THEN
        EXECUTE format(
            'UPDATE %1$I.subscription_cursors AS c SET consumer = NULL, epoch = c.epoch + 1'
            ' WHERE c.subscription = $1 AND c.partition_id = ANY (ARRAY('
            '       SELECT h.partition_id FROM %1$I.subscription_cursors AS h'
            '        WHERE h.subscription = $1 AND h.consumer = $2'
            '        ORDER BY h.partition_id DESC LIMIT $3))', store)
          USING subscription, consumer, held - share;
    ELSE
        EXECUTE format(
            'UPDATE %1$I.subscription_cursors AS c SET consumer = $2, epoch = c.epoch + 1'
            ' WHERE c.subscription = $1 AND c.partition_id = ANY (ARRAY('
            '       SELECT f.partition_id FROM %1$I.subscription_cursors AS f'
            '        WHERE f.subscription = $1 AND f.consumer IS NULL'
            '        ORDER BY f.partition_id LIMIT $3 FOR UPDATE SKIP LOCKED))', store)
          USING subscription, consumer, share - held;
    END IF;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 THEN
        -- What is handed out from now on begins at the lowest cursor held.
        EXECUTE format(
            'UPDATE %1$I.subscription_consumers AS m SET acknowledged = c.lowest, handed_out = c.lowest'
            '  FROM (SELECT coalesce(min(c.cursor), -1) AS lowest FROM %1$I.subscription_cursors AS c'
            '         WHERE c.subscription = $1 AND c.consumer = $2) AS c'
            ' WHERE m.subscription = $1 AND m.consumer = $2', store)
          USING subscription, consumer;
    END IF;
    RETURN changed > 0;
END
$$;
COMMENT ON FUNCTION sierra_balance_leases(name, text, text) IS
    'gives a consumer of a group its share of the partitions; enext() calls it';

-- Makes a consumer a member of the group, removes those that were not seen for
-- the lease time, and balances leases; true if the others have to see a change.
CREATE FUNCTION sierra_lease(store name, subscription text, consumer text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    lease_time interval;
    partitions integer[];
    is_whole boolean;
    dead text[];
    is_new boolean;
    outstanding boolean;
BEGIN
    EXECUTE format('SELECT s.lease_time, s.partitions,'
                   '       EXISTS (SELECT FROM %1$I.subscription_cursors AS c'
                   '                WHERE c.subscription = $1 AND c.partition_id = -1)'
                   '  FROM %1$I.subscriptions AS s WHERE s.subscription = $1', store)
       INTO lease_time, partitions, is_whole USING subscription;
    IF is_whole THEN
        PERFORM @extschema@.sierra_split_cursor(store, subscription, partitions);
    END IF;

    EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I.subscription_consumers AS m'
                   '                    WHERE m.subscription = $1 AND m.consumer = $2)', store)
       INTO is_new USING subscription, consumer;

    -- Its own row first, which this locks: two members that were both away too long
    -- would else remove each other, and wait for each other.
    EXECUTE format(
        'INSERT INTO %I.subscription_consumers AS m'
        '       (subscription, consumer, acknowledged, handed_out, joined_at, seen_at)'
        ' VALUES ($1, $2, -1, -1, clock_timestamp(), clock_timestamp())'
        ' ON CONFLICT (subscription, consumer) DO UPDATE SET seen_at = excluded.seen_at'
        ' WHERE m.seen_at < clock_timestamp() - $3 / 4', store)
      USING subscription, consumer, lease_time;

    EXECUTE format(
        'WITH dead AS (DELETE FROM %1$I.subscription_consumers AS d'
        '               WHERE d.subscription = $1 AND d.consumer IN ('
        '                     SELECT m.consumer FROM %1$I.subscription_consumers AS m'
        '                      WHERE m.subscription = $1 AND m.consumer <> $2'
        '                        AND m.seen_at < clock_timestamp() - $3 FOR UPDATE SKIP LOCKED)'
        '           RETURNING d.consumer)'
        ' SELECT array_agg(d.consumer) FROM dead AS d', store)
       INTO dead USING subscription, consumer, lease_time;
    IF dead IS NOT NULL THEN
        PERFORM @extschema@.sierra_free_leases(store, subscription, dead);
    END IF;

    EXECUTE format(
        'SELECT m.handed_out > m.acknowledged'
        '       OR EXISTS (SELECT FROM %1$I.subscription_streams AS t'
        '                    JOIN %1$I.subscription_cursors AS c'
        '                      ON c.subscription = t.subscription AND c.partition_id = t.partition_id'
        '                   WHERE t.subscription = $1 AND c.consumer = $2 AND t.handed_out IS NOT NULL)'
        '  FROM %1$I.subscription_consumers AS m WHERE m.subscription = $1 AND m.consumer = $2', store)
       INTO outstanding USING subscription, consumer;
    IF NOT outstanding AND @extschema@.sierra_balance_leases(store, subscription, consumer) THEN
        RETURN true;
    END IF;
    RETURN is_new OR dead IS NOT NULL;
END
$$;
COMMENT ON FUNCTION sierra_lease(name, text, text) IS
    'joins the group of a subscription, or stays in it; enext() calls it';

CREATE FUNCTION eleave(subscription text, consumer text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_subscriptions();
    left_group boolean;
BEGIN
    PERFORM @extschema@.sierra_require_subscription(store, subscription);
    EXECUTE format('WITH gone AS (DELETE FROM %I.subscription_consumers AS m'
                   '               WHERE m.subscription = $1 AND m.consumer = $2 RETURNING m.consumer)'
                   ' SELECT count(*) > 0 FROM gone', store)
       INTO left_group USING subscription, consumer;
    IF left_group THEN
        PERFORM @extschema@.sierra_free_leases(store, subscription, ARRAY[consumer]);
    END IF;
    RETURN left_group;
END
$$;
COMMENT ON FUNCTION eleave(text, text) IS
    'leaves the group of a subscription at once, rather than after the lease time; false if not in it';

-- Failed events.

CREATE FUNCTION eretry(subscription text, stream_id text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_subscriptions();
    retried bigint;
BEGIN
    PERFORM @extschema@.sierra_require_subscription(store, subscription);
    EXECUTE format('UPDATE %I.subscription_streams AS t'
                   '   SET state = ''retrying'', retry_at = clock_timestamp(), attempts = 0, handed_out = NULL'
                   ' WHERE t.subscription = $1 AND t.state IN (''parked'', ''retrying'')'
                   '   AND ($2 IS NULL OR t.stream_id = $2)', store)
      USING subscription, stream_id;
    GET DIAGNOSTICS retried = ROW_COUNT;
    RETURN retried;
END
$$;
COMMENT ON FUNCTION eretry(text, text) IS
    'lets failed events of a subscription (of one stream, or all) come again at once; returns how many';

CREATE FUNCTION eskip(subscription text, stream_id text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_subscriptions();
    skipped bigint;
BEGIN
    PERFORM @extschema@.sierra_require_subscription(store, subscription);
    EXECUTE format('UPDATE %I.subscription_streams AS t'
                   '   SET state = ''behind'', position = t.failed_position, version = t.failed_version,'
                   '       handed_out = NULL, attempts = 0, retry_at = NULL'
                   ' WHERE t.subscription = $1 AND t.stream_id = $2 AND t.state IN (''parked'', ''retrying'')'
                   ' RETURNING t.failed_position', store)
       INTO skipped USING subscription, stream_id;
    RETURN skipped;
END
$$;
COMMENT ON FUNCTION eskip(text, text) IS
    'gives up the failed event of a stream; what waits behind it comes next; returns its position, null if none has failed';

CREATE FUNCTION event_failures(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, stream_id text, partition_id integer, state text,
                   global_position bigint, event_id uuid, event_name text, attempts integer,
                   retry_at timestamptz, reason text, failed_at timestamptz, waiting bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_subscriptions(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT t.subscription, t.stream_id, t.partition_id, t.state, t.failed_position, e.event_id,'
        '       e.event_name, t.attempts, t.retry_at, t.reason, t.failed_at,'
        '       (SELECT max(l.stream_version) FROM %1$I.events AS l'
        '         WHERE l.partition_id = t.partition_id AND l.stream_id = t.stream_id) - t.failed_version'
        '  FROM %1$I.subscription_streams AS t'
        '  LEFT JOIN %1$I.events AS e'
        '    ON e.partition_id = t.partition_id AND e.stream_id = t.stream_id'
        '   AND e.stream_version = t.failed_version'
        '  JOIN %1$I.subscriptions AS s ON s.subscription = t.subscription'
        ' WHERE t.state IN (''retrying'', ''parked'')'
        ' ORDER BY t.subscription, t.failed_position', wanted);
END
$$;
COMMENT ON FUNCTION event_failures(name) IS
    'events of a store (default: sierra_es.store) that failed: retried or parked, why, and how many events of the stream wait behind';

-- To be seen.

CREATE FUNCTION event_leases(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, partition_id integer, cursor bigint, lag_events bigint,
                   consumer text, epoch bigint, acknowledged_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_subscriptions(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT c.subscription, c.partition_id, c.cursor,'
        '       @extschema@.sierra_events_after($1, c.partition_id, c.cursor), c.consumer, c.epoch,'
        '       c.acknowledged_at'
        '  FROM %I.subscription_cursors AS c WHERE c.partition_id >= 0'
        ' ORDER BY c.subscription, c.partition_id', wanted) USING wanted;
END
$$;
COMMENT ON FUNCTION event_leases(name) IS
    'partitions of subscriptions with consumer groups: cursor, events beyond it, who holds the lease and its epoch';

CREATE FUNCTION event_consumers(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, consumer text, partitions integer[], acknowledged bigint,
                   handed_out bigint, alive boolean, joined_at timestamptz, seen_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_subscriptions(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT m.subscription, m.consumer,'
        '       ARRAY(SELECT c.partition_id FROM %1$I.subscription_cursors AS c'
        '              WHERE c.subscription = m.subscription AND c.consumer = m.consumer ORDER BY 1),'
        '       m.acknowledged, m.handed_out, m.seen_at >= clock_timestamp() - s.lease_time,'
        '       m.joined_at, m.seen_at'
        '  FROM %1$I.subscription_consumers AS m'
        '  JOIN %1$I.subscriptions AS s ON s.subscription = m.subscription'
        ' ORDER BY m.subscription, m.consumer', wanted);
END
$$;
COMMENT ON FUNCTION event_consumers(name) IS
    'consumers of groups: their partitions, what was handed out to them and acknowledged, and when they were last seen';

-- One row for each subscription: %1$I is the store.  A subscription without
-- group has its cursor under partition -1.
CREATE FUNCTION sierra_subscriptions_query(store name) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT format($query$
SELECT s.subscription,
       CASE WHEN pending.count = 0 AND failed.retrying + failed.parked = 0 THEN 'caught up'
            WHEN pending.count = 0 THEN 'failing'
            WHEN greatest(pending.oldest, done.acknowledged_at, s.created_at)
                 < clock_timestamp() - interval '1 minute' THEN 'stuck'
            ELSE 'moving' END,
       done.lag_events, clock_timestamp() - pending.oldest, pending.count, s.window_size,
       done.cursor,
       (SELECT count(*)::integer FROM %1$I.subscription_consumers AS m
         WHERE m.subscription = s.subscription AND m.seen_at >= clock_timestamp() - s.lease_time),
       failed.retrying, failed.parked, done.acknowledged_at, problem.last_error,
       problem.last_error_at, s.streams, s.event_names, s.partitions, s.created_at
  FROM %1$I.subscriptions AS s
 CROSS JOIN LATERAL (
       SELECT min(c.cursor) AS cursor, max(c.acknowledged_at) AS acknowledged_at,
              sum(@extschema@.sierra_events_after($1, p.id, c.cursor))::bigint AS lag_events
         FROM %1$I.subscription_cursors AS c
         JOIN generate_series(0, $2 - 1) AS p (id)
           ON c.partition_id = p.id
           OR c.partition_id = -1 AND (s.partitions IS NULL OR p.id = ANY (s.partitions))
        WHERE c.subscription = s.subscription) AS done
  LEFT JOIN LATERAL (
       SELECT c.last_error, c.last_error_at
         FROM %1$I.subscription_cursors AS c
        WHERE c.subscription = s.subscription AND c.last_error_at IS NOT NULL
        ORDER BY c.last_error_at DESC LIMIT 1) AS problem ON true
 CROSS JOIN LATERAL (
       SELECT count(*)::integer AS count, min(e."timestamp") AS oldest
         FROM @extschema@.sierra_peek($1, s.subscription, s.window_size) AS e) AS pending
 CROSS JOIN LATERAL (
       SELECT (count(*) FILTER (WHERE t.state = 'retrying'))::integer AS retrying,
              (count(*) FILTER (WHERE t.state = 'parked'))::integer AS parked
         FROM %1$I.subscription_streams AS t WHERE t.subscription = s.subscription) AS failed
 ORDER BY s.subscription
$query$, store)
$$;
COMMENT ON FUNCTION sierra_subscriptions_query(name) IS
    'the query behind event_subscriptions()';

CREATE FUNCTION event_subscriptions(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, state text, lag_events bigint, lag interval,
                   window_used integer, window_size integer, cursor bigint, consumers integer,
                   retrying integer, parked integer, acknowledged_at timestamptz, last_error text,
                   last_error_at timestamptz, streams text[], event_names text[],
                   partitions integer[], created_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_subscriptions(store);
BEGIN
    RETURN QUERY EXECUTE @extschema@.sierra_subscriptions_query(wanted)
      USING wanted, @extschema@.sierra_partitions(wanted);
END
$$;
COMMENT ON FUNCTION event_subscriptions(name) IS
    'subscriptions of a store (default: sierra_es.store): state (caught up, moving, failing, stuck), events and time behind, window in use, consumers, failures; lag_events counts the events of its partitions, matching or not';

-- ---------------------------------------------------------------------------
-- Workers
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_workers(
    OUT database_id oid, OUT database name, OUT state text, OUT pid integer,
    OUT started_at timestamptz, OUT last_wake_up timestamptz, OUT last_sweep timestamptz,
    OUT last_notification timestamptz, OUT notifications bigint, OUT unheard bigint,
    OUT failures integer, OUT last_error text, OUT last_error_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10
    AS 'MODULE_PATHNAME', 'sierra_workers';
COMMENT ON FUNCTION sierra_workers() IS
    'the worker of each database: its state, what it did last, commits it has not heard yet, its last error';
REVOKE EXECUTE ON FUNCTION sierra_workers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sierra_workers() TO pg_read_all_stats;
