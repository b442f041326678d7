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
-- ---------------------------------------------------------------------------
-- Subscriptions: groups, failures, views
-- ---------------------------------------------------------------------------

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
-- ---------------------------------------------------------------------------
-- Making, upgrading and dropping stores.  OR REPLACE: updates run this file too.
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
    PERFORM @extschema@.sierra_create_derived_tables(name);
    FOR i IN 0 .. partitions - 1 LOOP
        PERFORM @extschema@.sierra_create_partition(name, i);
    END LOOP;
    PERFORM @extschema@.guard_event_store(name);
END
$$;
COMMENT ON FUNCTION create_event_store(name, integer) IS
    'makes an event store: a schema of this name with 1 to 1024 partitions, owned by the caller';

CREATE OR REPLACE FUNCTION upgrade_event_store(store name DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
    owner constant name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c
                             WHERE c.oid = to_regclass(format('%I.events', wanted)));
    before constant oid[] := ARRAY(SELECT c.oid FROM pg_class AS c
                                    WHERE c.relnamespace = to_regnamespace(quote_ident(wanted)));
    relation text;
    changed boolean := false;
BEGIN
    IF NOT @extschema@.sierra_has_subscriptions(wanted) THEN
        PERFORM @extschema@.sierra_create_subscription_tables(wanted);
        changed := true;
    END IF;
    IF NOT @extschema@.sierra_is_derived_store(wanted) THEN
        PERFORM @extschema@.sierra_create_aggregate_tables(wanted);
        changed := true;
    ELSIF pg_has_role(current_user, owner, 'USAGE') THEN
        changed := @extschema@.sierra_guard_upcasters(wanted) OR changed;
    END IF;
    IF NOT @extschema@.sierra_has_projections(wanted) THEN
        PERFORM @extschema@.sierra_create_projection_tables(wanted);
        changed := true;
    ELSIF pg_has_role(current_user, owner, 'USAGE') THEN
        changed := @extschema@.sierra_guard_projections(wanted) OR changed;
    END IF;
    IF NOT @extschema@.sierra_has_sagas(wanted) THEN
        PERFORM @extschema@.sierra_create_saga_tables(wanted);
        changed := true;
    ELSIF pg_has_role(current_user, owner, 'USAGE') THEN
        changed := @extschema@.sierra_guard_sagas(wanted) OR changed;
    END IF;
    IF owner <> current_user THEN
        FOR relation IN SELECT c.relname FROM pg_class AS c
                         WHERE c.relnamespace = to_regnamespace(quote_ident(wanted))
                           AND c.relkind = 'r' AND c.oid <> ALL (before) LOOP
            EXECUTE format('ALTER TABLE %I.%I OWNER TO %I', wanted, relation, owner);
        END LOOP;
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION upgrade_event_store(name) IS
    'gives a store (default: sierra_es.store) that an older version made what this one has; false if nothing was missing';

-- Appends lock events first, and then what inline projections need; runners lock
-- what a job is about first, and then events.  So no order is right for both:
-- this one gives up before it is a deadlock, and tries the other order.
CREATE FUNCTION sierra_lock_store(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    patience constant text := current_setting('lock_timeout');
    began constant timestamptz := clock_timestamp();
    -- In whole milliseconds, for 0 would be no limit.
    brief constant text := greatest(
        1, floor(extract(epoch FROM current_setting('deadlock_timeout')::interval) * 500))::text;
    events constant text := format('%I.events', store);
    -- A store of an older version may have none of these.
    others constant text := coalesce((
        SELECT string_agg(format('%I.%I', store, t.name), ', ' ORDER BY t.place)
          FROM unnest('{projections, projection_states, saga_instances, sagas, timers, subscriptions,
                        subscription_cursors, subscription_consumers, subscription_streams,
                        aggregates, snapshots, upcasters}'::text[]) WITH ORDINALITY AS t (name, place)
         WHERE to_regclass(format('%I.%I', store, t.name)) IS NOT NULL), events);
    events_first boolean := true;
    half boolean;
BEGIN
    LOOP
        half := false;
        BEGIN
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE',
                           CASE WHEN events_first THEN events ELSE others END);
            half := true;
            PERFORM set_config('lock_timeout', brief, true);
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE',
                           CASE WHEN events_first THEN others ELSE events END);
            PERFORM set_config('lock_timeout', patience, true);
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF NOT half AND SQLSTATE = '55P03'
               OR patience <> '0' AND clock_timestamp() - began > patience::interval THEN
                RAISE;
            END IF;
        END;
        events_first := NOT events_first;
    END LOOP;
END
$$;
COMMENT ON FUNCTION sierra_lock_store(name) IS
    'keeps everybody else out of a store until the transaction ends; waits as long as lock_timeout allows, then 55P03; drop_event_store() calls it';

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
    PERFORM @extschema@.sierra_lock_store(name);
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
    -- A store of an older version may have none of these.
    EXECUTE format('DROP TABLE IF EXISTS %1$I.projection_states, %1$I.projections,'
                   ' %1$I.saga_instances, %1$I.sagas', name);
    EXECUTE format('DROP TABLE IF EXISTS %1$I.subscription_cursors, %1$I.subscription_consumers,'
                   ' %1$I.subscription_streams, %1$I.subscriptions', name);
    EXECUTE format('DROP TABLE IF EXISTS %1$I.aggregates, %1$I.snapshots, %1$I.timers,'
                   ' %1$I.upcasters', name);
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
-- Aggregates, snapshots and command handlers
-- ---------------------------------------------------------------------------

-- The uuid of a definition is made anew whenever folding could come out
-- otherwise: snapshots count for the definition that they were taken under.
--
-- Snapshots have a uuid in their key, so that nobody who loads a state waits for
-- another who takes the same snapshot: twice the same is harmless.
CREATE FUNCTION sierra_create_aggregate_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE %I.aggregates ('
        ' aggregate text COLLATE "C" PRIMARY KEY,'
        ' fold text NOT NULL,'
        ' initial jsonb,'
        ' snapshot_every integer NOT NULL CHECK (snapshot_every >= 0),'
        ' fold_version integer NOT NULL,'
        ' definition uuid NOT NULL DEFAULT gen_random_uuid(),'
        ' created_at timestamptz NOT NULL DEFAULT now())', store);
    EXECUTE format(
        'CREATE TABLE %I.snapshots ('
        ' aggregate text COLLATE "C" NOT NULL,'
        ' stream_id text COLLATE "C" NOT NULL,'
        ' definition uuid NOT NULL,'
        ' version bigint NOT NULL,'
        ' snapshot_id uuid NOT NULL DEFAULT gen_random_uuid(),'
        ' newest timestamptz NOT NULL,'
        ' state jsonb NOT NULL,'
        ' taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),'
        ' PRIMARY KEY (aggregate, stream_id, definition, version, snapshot_id))', store);
    EXECUTE format(
        'CREATE TABLE %I.timers ('
        ' timer_id uuid PRIMARY KEY,'
        ' due_at timestamptz NOT NULL CHECK (isfinite(due_at)),'
        ' run_at timestamptz NOT NULL,'
        ' stream_id text COLLATE "C" NOT NULL,'
        ' event_name text COLLATE "C" NOT NULL,'
        ' payload json,'
        ' payload_bytes bytea,'
        ' metadata json,'
        ' partition_key text,'
        ' attempts integer NOT NULL DEFAULT 0,'
        ' last_error text,'
        ' created_at timestamptz NOT NULL DEFAULT clock_timestamp())', store);
    EXECUTE format('CREATE INDEX timers_run_at ON %I.timers (run_at, created_at, timer_id)', store);
    EXECUTE format(
        'CREATE TABLE %I.upcasters ('
        ' event_name text COLLATE "C" NOT NULL,'
        ' from_version integer NOT NULL CHECK (from_version BETWEEN 1 AND 999999998),'
        ' upcast text NOT NULL,'
        ' PRIMARY KEY (event_name, from_version))', store);
    PERFORM @extschema@.sierra_guard_upcasters(store);

    EXECUTE format('COMMENT ON TABLE %I.aggregates IS %L', store,
                   'aggregates: the functions that fold streams into states');
    EXECUTE format('COMMENT ON TABLE %I.snapshots IS %L', store,
                   'states of streams at some version, to fold from there; may be deleted at any time');
    EXECUTE format('COMMENT ON TABLE %I.timers IS %L', store,
                   'events that will be appended when they are due; INSERT on it lets a role schedule');
    EXECUTE format('COMMENT ON TABLE %I.upcasters IS %L', store,
                   'functions that take payloads of an event name from one schema version to the next');
END
$$;
COMMENT ON FUNCTION sierra_create_aggregate_tables(name) IS
    'makes the tables of a store for aggregates, snapshots, timers and upcasters';

-- Tables of derived state came with version 0.3.0.
CREATE FUNCTION sierra_has_tables(store name, tables name[]) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*) = cardinality(tables)
      FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = store AND c.relkind = 'r' AND c.relname = ANY (tables)
$$;
COMMENT ON FUNCTION sierra_has_tables(name, name[]) IS 'does a store have all of these tables?';

CREATE FUNCTION sierra_report_old_store(store name, what text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'SE005',
        MESSAGE = format('event store "%s" has no tables for %s', store, what),
        DETAIL = 'It was made by an older version of sierra_es.',
        HINT = format('As its owner, add them with SELECT upgrade_event_store(%L).', store);
END
$$;
COMMENT ON FUNCTION sierra_report_old_store(name, text) IS
    'raises SE005: the store has no tables for what was asked';

CREATE FUNCTION sierra_is_derived_store(store name) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT @extschema@.sierra_has_tables($1, '{aggregates, snapshots, timers, upcasters}')
$$;
COMMENT ON FUNCTION sierra_is_derived_store(name) IS
    'does a store have the tables for aggregates, snapshots, timers and upcasters?';

CREATE FUNCTION sierra_require_derived_store(store name DEFAULT NULL) RETURNS name
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
BEGIN
    IF NOT @extschema@.sierra_is_derived_store(wanted) THEN
        PERFORM @extschema@.sierra_report_old_store(wanted, 'derived state');
    END IF;
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION sierra_require_derived_store(name) IS
    'the name of a store (default: sierra_es.store) with tables for derived state; SE005 if there is none';

CREATE FUNCTION sierra_require_value(argument text, missing boolean) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF missing THEN
        RAISE null_value_not_allowed USING
            MESSAGE = format('argument "%s" must not be null', argument);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_require_value(text, boolean) IS 'raises 22004 for a missing argument';

CREATE FUNCTION sierra_require_name(argument text, name text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.sierra_require_value(argument, name IS NULL);
    IF octet_length(name) NOT BETWEEN 1 AND 255 OR name ~ '[\u0001-\u001f\u007f-\u009f]' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('argument "%s" must have 1 to 255 bytes and no control characters', argument),
            DETAIL = format('It has %s bytes.', octet_length(name));
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_require_name(text, text) IS
    'raises 22004 or 22023 unless a name is within bounds';

-- A function as text that means the same in every search_path.
CREATE FUNCTION sierra_require_function(procedure regprocedure, arguments regtype[],
                                        result regtype, kind text, hint text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    SELECT p.prokind = 'f' AND NOT p.proretset AND p.prorettype = result
           AND string_to_array(p.proargtypes::text, ' ')::oid[] = arguments::oid[] AS fits,
           format('%I.%I(%s)', n.nspname, p.proname,
                  (SELECT string_agg(format('%I.%I', tn.nspname, t.typname), ', ' ORDER BY a.place)
                     FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, place)
                     JOIN pg_type AS t ON t.oid = a.type
                     JOIN pg_namespace AS tn ON tn.oid = t.typnamespace)) AS name
      INTO found
      FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
     WHERE p.oid = procedure;
    IF found.fits IS NOT TRUE THEN
        RAISE invalid_function_definition USING
            MESSAGE = format('function %s is no %s', procedure, kind),
            HINT = hint;
    END IF;
    RETURN found.name;
END
$$;
COMMENT ON FUNCTION sierra_require_function(regprocedure, regtype[], regtype, text, text) IS
    'the qualified name of a function; 42P13 unless it has these arguments and this result';

CREATE FUNCTION create_aggregate(aggregate text,
                                 fold regprocedure,
                                 initial jsonb DEFAULT '{}',
                                 snapshot_every integer DEFAULT 100,
                                 fold_version integer DEFAULT 1,
                                 replace boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_derived_store();
    fold_name text;
    same boolean;
BEGIN
    PERFORM @extschema@.sierra_require_name('aggregate', aggregate);
    PERFORM @extschema@.sierra_require_value('fold', fold IS NULL);
    PERFORM @extschema@.sierra_require_value('snapshot_every', snapshot_every IS NULL);
    PERFORM @extschema@.sierra_require_value('fold_version', fold_version IS NULL);
    IF snapshot_every < 0 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'snapshot_every must not be negative',
            DETAIL = format('The value is %s.', snapshot_every),
            HINT = 'Pass 0 to take no snapshots.';
    END IF;
    fold_name := @extschema@.sierra_require_function(
        fold, ARRAY['jsonb', '@extschema@.sierra_event']::regtype[], 'jsonb', 'fold',
        'A fold takes (state jsonb, event sierra_event) and returns jsonb.');

    EXECUTE format('INSERT INTO %I.aggregates (aggregate, fold, initial, snapshot_every, fold_version)'
                   ' VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING', store)
      USING aggregate, fold_name, initial, snapshot_every, fold_version;
    EXECUTE format('SELECT (a.fold, a.initial, a.snapshot_every, a.fold_version)'
                   '       IS NOT DISTINCT FROM ($2, $3, $4, $5)'
                   '  FROM %I.aggregates AS a WHERE a.aggregate = $1', store)
       INTO same USING aggregate, fold_name, initial, snapshot_every, fold_version;
    IF same THEN
        RETURN;
    END IF;
    IF NOT coalesce(replace, false) THEN
        RAISE duplicate_object USING
            MESSAGE = format('aggregate "%s" already exists', aggregate),
            DETAIL = 'It has another definition.',
            HINT = 'Pass replace => true to give it this one.';
    END IF;
    EXECUTE format(
        'UPDATE %I.aggregates AS a SET fold = $2, initial = $3, snapshot_every = $4, fold_version = $5,'
        '       definition = CASE WHEN (a.fold, a.initial, a.fold_version) IS NOT DISTINCT FROM ($2, $3, $5)'
        '                         THEN a.definition ELSE gen_random_uuid() END'
        ' WHERE a.aggregate = $1', store)
      USING aggregate, fold_name, initial, snapshot_every, fold_version;
    EXECUTE format('DELETE FROM %1$I.snapshots AS s USING %1$I.aggregates AS a'
                   ' WHERE s.aggregate = $1 AND a.aggregate = $1 AND s.definition <> a.definition', store)
      USING aggregate;
END
$$;
COMMENT ON FUNCTION create_aggregate(text, regprocedure, jsonb, integer, integer, boolean) IS
    'names a function (state jsonb, event sierra_event) returns jsonb that folds streams; a new fold_version ignores older snapshots; 42710 if it exists with another definition';

CREATE FUNCTION drop_snapshots(aggregate text, stream_id text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_derived_store();
    dropped bigint;
BEGIN
    EXECUTE format('DELETE FROM %I.snapshots AS s'
                   ' WHERE s.aggregate = $1 AND ($2 IS NULL OR s.stream_id = $2)', store)
      USING aggregate, stream_id;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION drop_snapshots(text, text) IS
    'deletes snapshots of an aggregate (of one stream, or all), at no loss; returns how many';

CREATE FUNCTION drop_aggregate(aggregate text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_derived_store();
    dropped bigint;
BEGIN
    EXECUTE format('DELETE FROM %I.aggregates AS a WHERE a.aggregate = $1', store) USING aggregate;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    PERFORM @extschema@.drop_snapshots(aggregate);
    RETURN dropped > 0;
END
$$;
COMMENT ON FUNCTION drop_aggregate(text) IS
    'drops an aggregate with its snapshots; events stay; false if there was none';

CREATE FUNCTION eload(aggregate text,
                      stream_id text,
                      at_version bigint DEFAULT NULL,
                      at_time timestamptz DEFAULT NULL,
                      OUT state jsonb,
                      OUT version bigint)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_eload';
COMMENT ON FUNCTION eload(text, text, bigint, timestamptz) IS
    'the state of a stream (now, at a version, or before the first later event), and its version: null without events';

CREATE FUNCTION edecide(aggregate text,
                        stream_id text,
                        decide regprocedure,
                        command jsonb,
                        retries integer DEFAULT 3,
                        metadata json DEFAULT NULL)
    RETURNS SETOF sierra_append_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1
    AS 'MODULE_PATHNAME', 'sierra_edecide';
COMMENT ON FUNCTION edecide(text, text, regprocedure, jsonb, integer, json) IS
    'handles a command: loads the state, calls (state jsonb, command jsonb) returns json or jsonb, appends the events it returns at the version loaded; starts again on a conflict';

CREATE FUNCTION event_aggregates(store name DEFAULT NULL)
    RETURNS TABLE (aggregate text, fold text, initial jsonb, snapshot_every integer,
                   fold_version integer, snapshots bigint, created_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_derived_store(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT a.aggregate, a.fold, a.initial, a.snapshot_every, a.fold_version,'
        '       (SELECT count(*) FROM %1$I.snapshots AS s'
        '         WHERE s.aggregate = a.aggregate AND s.definition = a.definition),'
        '       a.created_at'
        '  FROM %1$I.aggregates AS a ORDER BY a.aggregate', wanted);
END
$$;
COMMENT ON FUNCTION event_aggregates(name) IS
    'aggregates of a store (default: sierra_es.store), and how many usable snapshots each has';
-- ---------------------------------------------------------------------------
-- Upcasters
-- ---------------------------------------------------------------------------

-- Upcasters run as the owners of projections.  So only who could become the
-- owner of their table writes them: he could have become these owners anyway.
CREATE FUNCTION sierra_guard_upcaster() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner constant name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c WHERE c.oid = TG_RELID);
BEGIN
    IF NOT pg_has_role(current_user, owner, 'MEMBER') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('must be a member of role "%s" to write upcasters', owner),
            DETAIL = format('Role "%s" owns the table, and upcasters run in projections of other roles.', owner);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION sierra_guard_upcaster() IS
    'trigger: lets nobody write upcasters who is no member of the owner of their table';

-- The trigger goes with DROP EXTENSION CASCADE, the table stays.
CREATE FUNCTION sierra_guard_upcasters(store name) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger AS t
                WHERE t.tgrelid = to_regclass(format('%I.upcasters', store))
                  AND t.tgname = 'sierra_guard_upcaster') THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TRIGGER sierra_guard_upcaster BEFORE INSERT OR UPDATE ON %I.upcasters'
                   ' FOR EACH ROW EXECUTE FUNCTION @extschema@.sierra_guard_upcaster()', store);
    RETURN true;
END
$$;
COMMENT ON FUNCTION sierra_guard_upcasters(name) IS
    'puts back the trigger of upcasters if it is lost; upgrade_event_store() calls it';

CREATE FUNCTION create_upcaster(event_name text, from_version integer, upcast regprocedure,
                                replace boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_derived_store();
    type constant regtype := (SELECT p.prorettype FROM pg_proc AS p
                               WHERE p.oid = upcast AND p.prorettype IN ('json'::regtype, 'jsonb'::regtype));
    upcast_name text;
    same boolean;
BEGIN
    PERFORM @extschema@.sierra_require_name('event_name', event_name);
    PERFORM @extschema@.sierra_require_value('from_version', from_version IS NULL);
    PERFORM @extschema@.sierra_require_value('upcast', upcast IS NULL);
    IF from_version NOT BETWEEN 1 AND 999999998 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'from_version must be 1 to 999999998',
            DETAIL = format('The value is %s.', from_version),
            HINT = 'Events without member "schema_version" in their metadata have version 1.';
    END IF;
    upcast_name := @extschema@.sierra_require_function(
        upcast, ARRAY[type], type, 'upcaster',
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
COMMENT ON FUNCTION create_upcaster(text, integer, regprocedure, boolean) IS
    'names a function (payload json) returns json, or with jsonb, that takes events of a name from a schema version to the next';

CREATE FUNCTION drop_upcaster(event_name text, from_version integer) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_derived_store();
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
    'the event as the upcasters of its name make it; its metadata tell the new schema_version; what is stored does not change';
-- ---------------------------------------------------------------------------
-- Timers
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_check_new_event(stream_id text, event_name text, payload json,
                                       payload_bytes bytea, partition_key text) RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_check_new_event';
COMMENT ON FUNCTION sierra_check_new_event(text, text, json, bytea, text) IS
    'raises what appending such an event would, as far as that can be known before';

CREATE FUNCTION sierra_complete_metadata(metadata json) RETURNS json
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_complete_metadata';
COMMENT ON FUNCTION sierra_complete_metadata(json) IS
    'metadata with the members of sierra_es.metadata that it lacks';

CREATE FUNCTION sierra_lock_streams(stream_ids text[], partition_keys text[]) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_lock_streams';
COMMENT ON FUNCTION sierra_lock_streams(text[], text[]) IS
    'locks the partitions of streams in ascending order, so that appends to them cannot deadlock; run_timers() calls it';

-- The event gets the id of the timer.  So an append that is tried twice, for
-- whatever reason, is found to stand already.
CREATE FUNCTION eschedule(at timestamptz,
                          stream_id text,
                          event_name text,
                          payload json DEFAULT NULL,
                          metadata json DEFAULT NULL,
                          partition_key text DEFAULT NULL,
                          payload_bytes bytea DEFAULT NULL,
                          timer_id uuid DEFAULT NULL)
    RETURNS uuid
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_derived_store();
    id constant uuid := coalesce(timer_id, @extschema@.sierra_event_id(
        CASE WHEN partition_key <> '' THEN @extschema@.sierra_partition_key(partition_key)
             ELSE @extschema@.sierra_stream_key(stream_id) END));
    added bigint;
    same boolean;
BEGIN
    -- What the session says now, not what that of run_timers() will say.
    metadata := @extschema@.sierra_complete_metadata(metadata);
    PERFORM @extschema@.sierra_require_value('at', at IS NULL);
    IF NOT isfinite(at) THEN
        RAISE datetime_field_overflow USING
            MESSAGE = 'a timer needs a finite time',
            DETAIL = format('The value is %s.', at);
    END IF;
    PERFORM @extschema@.sierra_check_new_event(stream_id, event_name, payload, payload_bytes,
                                               partition_key);
    PERFORM @extschema@.sierra_call_runners();
    EXECUTE format('INSERT INTO %I.timers (timer_id, due_at, run_at, stream_id, event_name, payload,'
                   '                       payload_bytes, metadata, partition_key)'
                   ' VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING', store)
      USING id, at, stream_id, event_name, payload, payload_bytes, metadata, partition_key;
    IF timer_id IS NULL THEN
        RETURN id;
    END IF;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added > 0 THEN
        -- It may have run already: then its event stands.
        EXECUTE 'SELECT (e.stream_id, e.event_name, e.payload::text, e.payload_bytes, e.metadata::text)'
                '       IS NOT DISTINCT FROM ($2, $3, $4::text, $5, $6::text)'
                '  FROM @extschema@.eget($1) AS e'
           INTO same USING id, stream_id, event_name, payload, payload_bytes, metadata;
        IF same IS NULL THEN
            RETURN id;
        END IF;
        EXECUTE format('DELETE FROM %I.timers AS t WHERE t.timer_id = $1', store) USING id;
    ELSE
        EXECUTE format('SELECT (t.due_at, t.stream_id, t.event_name, t.payload::text, t.payload_bytes,'
                       '        t.metadata::text, t.partition_key)'
                       '       IS NOT DISTINCT FROM ($2, $3, $4, $5::text, $6, $7::text, $8)'
                       '  FROM %I.timers AS t WHERE t.timer_id = $1', store)
           INTO same USING id, at, stream_id, event_name, payload, payload_bytes, metadata,
                           partition_key;
    END IF;
    IF NOT coalesce(same, false) THEN
        RAISE duplicate_object USING
            MESSAGE = format('timer %s already exists', id),
            DETAIL = 'It has another time or event, or another event has its id.',
            HINT = 'Cancel it with ecancel() first, or choose another id.';
    END IF;
    RETURN id;
END
$$;
COMMENT ON FUNCTION eschedule(timestamptz, text, text, json, json, text, bytea, uuid) IS
    'schedules an event to be appended at some time, in this transaction; returns the id of the timer, which the event will have; again with the same id and content: no effect';

CREATE FUNCTION ecancel(timer_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_derived_store();
    cancelled bigint;
BEGIN
    EXECUTE format('DELETE FROM %I.timers AS t WHERE t.timer_id = $1', store) USING timer_id;
    GET DIAGNOSTICS cancelled = ROW_COUNT;
    RETURN cancelled > 0;
END
$$;
COMMENT ON FUNCTION ecancel(uuid) IS
    'cancels a timer; false if there is none: its event was appended, or it was cancelled before';

-- Appends the events of these timers, in order, and deletes the timers.
CREATE FUNCTION sierra_append_timers(store name, timer_ids uuid[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    appended bigint;
BEGIN
    -- Strict versioning wants versions.  They are exact: the partitions are
    -- locked, and this statement sees everything that came before.
    EXECUTE format(
        'SELECT count(r.event_id)'
        '  FROM (SELECT t.*, row_number() OVER (PARTITION BY t.stream_id'
        '                                       ORDER BY t.run_at, t.created_at, t.timer_id) AS nth'
        '          FROM %I.timers AS t WHERE t.timer_id = ANY ($1)'
        '         ORDER BY t.run_at, t.created_at, t.timer_id) AS t'
        ' CROSS JOIN LATERAL @extschema@.eappend('
        '       t.stream_id, t.event_name, t.payload, t.metadata,'
        '       CASE WHEN NOT $2 THEN ''any'''
        '            ELSE coalesce(nullif(coalesce(@extschema@.esver(t.stream_id), -1) + t.nth - 1, -1)::text, ''empty'')'
        '       END::@extschema@.expected_version,'
        '       t.timer_id, t.partition_key, NULL, t.payload_bytes) AS r', store)
       INTO appended USING timer_ids, current_setting('sierra_es.strict_versioning')::boolean;
    EXECUTE format('DELETE FROM %I.timers AS t WHERE t.timer_id = ANY ($1)', store) USING timer_ids;
    RETURN appended;
END
$$;
COMMENT ON FUNCTION sierra_append_timers(name, uuid[]) IS
    'appends the events of timers and deletes these; run_timers() calls it';

-- Keeps a timer whose event could not be appended; the pause doubles up to an hour.
CREATE FUNCTION sierra_postpone_timer(store name, timer_id uuid, error text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('UPDATE %I.timers AS t SET attempts = t.attempts + 1, last_error = $2,'
                   '       run_at = clock_timestamp() + least(interval ''1 hour'','
                   '                interval ''1 second'' * 2 ^ least(t.attempts, 20))'
                   ' WHERE t.timer_id = $1', store)
      USING timer_id, error;
END
$$;
COMMENT ON FUNCTION sierra_postpone_timer(name, uuid, text) IS
    'notes why the event of a timer could not be appended, and when to try again; run_timers() calls it';

-- Errors that say nothing about an event: they are for who called run_timers().
CREATE FUNCTION sierra_is_transient(sqlstate text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT left($1, 2) IN ('08', '25', '40', '53', '55', '57', '58', 'XX')
$$;
COMMENT ON FUNCTION sierra_is_transient(text) IS
    'is it an error of the moment or of the server, such as a deadlock, a timeout or a full disk?';

CREATE FUNCTION run_timers(max_count integer DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_derived_store();
    due uuid[];
    stream_ids text[];
    partition_keys text[];
    timer uuid;
    appended bigint := 0;
    error text;
BEGIN
    PERFORM @extschema@.sierra_require_value('max_count', max_count IS NULL);
    IF max_count < 0 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_count must not be negative',
            DETAIL = format('It is %s.', max_count);
    END IF;
    -- What another session has locked is being appended there, or cancelled.
    EXECUTE format(
        'SELECT array_agg(d.timer_id ORDER BY d.run_at, d.created_at, d.timer_id),'
        '       array_agg(d.stream_id ORDER BY d.run_at, d.created_at, d.timer_id),'
        '       array_agg(d.partition_key ORDER BY d.run_at, d.created_at, d.timer_id)'
        '  FROM (SELECT t.timer_id, t.stream_id, t.partition_key, t.run_at, t.created_at'
        '          FROM %I.timers AS t WHERE t.run_at <= clock_timestamp()'
        '         ORDER BY t.run_at, t.created_at, t.timer_id'
        '         LIMIT $1 FOR UPDATE SKIP LOCKED) AS d', store)
       INTO due, stream_ids, partition_keys USING max_count;
    IF due IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM @extschema@.sierra_lock_streams(stream_ids, partition_keys);
    -- All in one, as a rule.  If one fails, each by itself, to find out which.
    BEGIN
        RETURN @extschema@.sierra_append_timers(store, due);
    EXCEPTION WHEN OTHERS THEN
        IF @extschema@.sierra_is_transient(SQLSTATE) THEN
            RAISE;
        END IF;
    END;
    FOREACH timer IN ARRAY due LOOP
        BEGIN
            appended := appended + @extschema@.sierra_append_timers(store, ARRAY[timer]);
        EXCEPTION WHEN OTHERS THEN
            IF @extschema@.sierra_is_transient(SQLSTATE) THEN
                RAISE;
            END IF;
            error := format('%s (%s)', SQLERRM, SQLSTATE);
            PERFORM @extschema@.sierra_postpone_timer(store, timer, error);
        END;
    END LOOP;
    RETURN appended;
END
$$;
COMMENT ON FUNCTION run_timers(integer) IS
    'appends the events of timers that are due, in their order, each exactly once; returns how many; call it from as many sessions as you like';

CREATE FUNCTION event_timers(store name DEFAULT NULL)
    RETURNS TABLE (timer_id uuid, due_at timestamptz, state text, stream_id text, event_name text,
                   overdue interval, attempts integer, run_at timestamptz, last_error text,
                   created_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_derived_store(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT t.timer_id, t.due_at,'
        '       CASE WHEN t.attempts > 0 THEN ''failing'' WHEN least(t.due_at, t.run_at) <= clock_timestamp() THEN ''due'''
        '            ELSE ''scheduled'' END,'
        '       t.stream_id, t.event_name,'
        '       CASE WHEN least(t.due_at, t.run_at) <= clock_timestamp() THEN clock_timestamp() - least(t.due_at, t.run_at) END,'
        '       t.attempts, t.run_at, t.last_error, t.created_at'
        '  FROM %I.timers AS t ORDER BY t.due_at, t.created_at, t.timer_id', wanted);
END
$$;
COMMENT ON FUNCTION event_timers(name) IS
    'timers of a store (default: sierra_es.store): when they are due, whether they fail, and why';

-- ---------------------------------------------------------------------------
-- Sagas: definitions, and how one is started
-- ---------------------------------------------------------------------------

CREATE TYPE sierra_saga_step AS (
    step text,
    action regprocedure,
    compensation regprocedure,
    max_attempts integer,
    retry_after interval,
    timeout interval,
    waits boolean,
    refusals text[]
);
COMMENT ON TYPE sierra_saga_step IS 'a step of a saga; saga_step() makes it, create_saga() takes it';

CREATE FUNCTION saga_step(step text,
                          action regprocedure,
                          compensation regprocedure DEFAULT NULL,
                          max_attempts integer DEFAULT 3,
                          retry_after interval DEFAULT '1 second',
                          timeout interval DEFAULT NULL,
                          waits boolean DEFAULT false,
                          refusals text[] DEFAULT '{P0001}')
    RETURNS sierra_saga_step
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT ROW($1, $2, $3, $4, $5, $6, $7, $8)::@extschema@.sierra_saga_step $$;
COMMENT ON FUNCTION saga_step(text, regprocedure, regprocedure, integer, interval, interval, boolean, text[]) IS
    'a step for create_saga(): action and compensation take (jsonb) or (jsonb, text) and return jsonb or void; 1 to 1000000 attempts, the pause (0 to 1 day) doubles up to an hour; timeout of the step, null: none; waits: complete_saga_step() ends it; errors with a SQLSTATE in refusals are not retried';

-- What a row says to run never changes, and nobody writes one for a role that
-- he is not a member of, nor goes on with a name that is another role's.
-- src/acting.c says what else is checked.
CREATE FUNCTION sierra_guard_saga() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other name;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('the definition of saga "%s" cannot be changed', OLD.saga),
            HINT = 'Make another version with create_saga().';
    END IF;
    EXECUTE format('SELECT d.owner FROM %I.sagas AS d WHERE d.saga = $1'
                   ' ORDER BY d.version DESC LIMIT 1', TG_TABLE_SCHEMA)
       INTO other USING NEW.saga;
    other := CASE WHEN pg_has_role(current_user, NEW.owner, 'MEMBER') THEN other ELSE NEW.owner END;
    IF other IS NOT NULL AND NOT pg_has_role(current_user, other, 'MEMBER') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('must be a member of role "%s" to define saga "%s"', other, NEW.saga);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION sierra_guard_saga() IS
    'trigger: lets nobody write a saga that runs as a role he is not a member of, or change one';

-- The trigger goes with DROP EXTENSION CASCADE, the table stays.
CREATE FUNCTION sierra_guard_sagas(store name) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger AS t
                WHERE t.tgrelid = to_regclass(format('%I.sagas', store))
                  AND t.tgname = 'sierra_guard_saga') THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TRIGGER sierra_guard_saga BEFORE INSERT OR UPDATE ON %I.sagas'
                   ' FOR EACH ROW EXECUTE FUNCTION @extschema@.sierra_guard_saga()', store);
    RETURN true;
END
$$;
COMMENT ON FUNCTION sierra_guard_sagas(name) IS
    'puts back the trigger of the table of sagas; upgrade_event_store() calls it';

CREATE FUNCTION sierra_create_saga_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE %I.sagas ('
        ' saga text COLLATE "C" NOT NULL,'
        ' version integer NOT NULL CHECK (version > 0),'
        ' owner name NOT NULL,'
        ' steps jsonb NOT NULL,'
        ' timeout interval,'
        ' search_path text NOT NULL,'
        ' created_at timestamptz NOT NULL DEFAULT now(),'
        ' PRIMARY KEY (saga, version))', store);
    PERFORM @extschema@.sierra_guard_sagas(store);
    EXECUTE format(
        'CREATE TABLE %1$I.saga_instances ('
        ' saga_id text COLLATE "C" PRIMARY KEY,'
        ' saga text COLLATE "C" NOT NULL,'
        ' version integer NOT NULL,'
        ' status text NOT NULL CHECK (status IN (''running'', ''waiting'', ''compensating'', ''stuck'','
        '                                        ''completed'', ''compensated'')),'
        ' step text,'
        ' attempts integer NOT NULL,'
        ' run_at timestamptz,'
        ' deadline timestamptz,'
        ' correlation_id text,'
        ' last_error text,'
        ' started_at timestamptz NOT NULL,'
        ' updated_at timestamptz NOT NULL,'
        ' ended_at timestamptz,'
        ' FOREIGN KEY (saga, version) REFERENCES %1$I.sagas) WITH (fillfactor = 70)', store);
    EXECUTE format('CREATE INDEX saga_instances_run_at ON %I.saga_instances (run_at, saga_id)'
                   ' WHERE run_at IS NOT NULL', store);
    EXECUTE format('CREATE INDEX saga_instances_saga ON %I.saga_instances (saga, version)', store);
    EXECUTE format('COMMENT ON TABLE %I.sagas IS %L', store,
                   'sagas: the steps of each version, and as whom they run');
    EXECUTE format('COMMENT ON TABLE %I.saga_instances IS %L', store,
                   'when each saga goes on; the truth is its stream, and rebuild_saga_instances()'
                   ' makes this from it; INSERT on it lets a role start every saga');
END
$$;
COMMENT ON FUNCTION sierra_create_saga_tables(name) IS
    'makes the tables of a store that sagas are kept in; create_event_store() calls it';

CREATE FUNCTION sierra_has_sagas(store name) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT @extschema@.sierra_has_tables($1, '{sagas, saga_instances}')
$$;
COMMENT ON FUNCTION sierra_has_sagas(name) IS 'does a store have the tables that sagas are kept in?';

CREATE FUNCTION sierra_require_sagas(store name DEFAULT NULL) RETURNS name
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted constant name := @extschema@.sierra_require_derived_store(store);
BEGIN
    IF NOT @extschema@.sierra_has_sagas(wanted) THEN
        PERFORM @extschema@.sierra_report_old_store(wanted, 'sagas');
    END IF;
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION sierra_require_sagas(name) IS
    'the name of a store (default: sierra_es.store) with tables for sagas; SE005 if there is none';

-- Definitions.

-- An action or a compensation, as text that means the same in every search_path.
CREATE FUNCTION sierra_saga_function(procedure regprocedure) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    IF procedure IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT p.prokind = 'f' AND NOT p.proretset AND p.prorettype IN ('jsonb'::regtype, 'void'::regtype)
           AND p.proargtypes::text IN (format('%s', 'jsonb'::regtype::oid),
                                       format('%s %s', 'jsonb'::regtype::oid, 'text'::regtype::oid)) AS fits,
           format('%I.%I(%s)', n.nspname, p.proname,
                  CASE p.pronargs WHEN 1 THEN 'pg_catalog.jsonb'
                                  ELSE 'pg_catalog.jsonb, pg_catalog.text' END) AS name,
           has_function_privilege(p.oid, 'EXECUTE') AND has_schema_privilege(n.oid, 'USAGE') AS allowed
      INTO found
      FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
     WHERE p.oid = procedure;
    IF found.fits IS NOT TRUE THEN
        RAISE invalid_function_definition USING
            MESSAGE = format('function %s is no action of a saga', procedure),
            HINT = 'An action or compensation takes (data jsonb) or (data jsonb, saga_id text) and returns jsonb or void.';
    END IF;
    IF NOT found.allowed THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('permission denied for function %s', procedure),
            DETAIL = format('Role "%s" would own the saga.', current_user);
    END IF;
    RETURN found.name;
END
$$;
COMMENT ON FUNCTION sierra_saga_function(regprocedure) IS
    'the qualified name of an action or compensation; 42P13 if it is none, 42501 if the caller may not call it';

CREATE FUNCTION sierra_check_saga_timeout(timeout interval) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF timeout NOT BETWEEN interval '1 millisecond' AND interval '100 years' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'argument "timeout" must be 1 millisecond to 100 years',
            DETAIL = format('The value is %s.', timeout);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_check_saga_timeout(interval) IS 'raises 22023 for a time-out out of bounds';

-- A step as the table keeps it.
CREATE FUNCTION sierra_saga_step_json(given sierra_saga_step) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.sierra_require_name('step', given.step);
    PERFORM @extschema@.sierra_require_value('action', given.action IS NULL);
    PERFORM @extschema@.sierra_require_value('max_attempts', given.max_attempts IS NULL);
    PERFORM @extschema@.sierra_require_value('retry_after', given.retry_after IS NULL);
    PERFORM @extschema@.sierra_require_value('waits', given.waits IS NULL);
    IF given.max_attempts NOT BETWEEN 1 AND 1000000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_attempts must be 1 to 1000000',
            DETAIL = format('Step "%s" has %s.', given.step, given.max_attempts);
    END IF;
    IF given.retry_after NOT BETWEEN interval '0' AND interval '1 day' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'argument "retry_after" must be 0 to 1 day',
            DETAIL = format('Step "%s" has %s.', given.step, given.retry_after);
    END IF;
    PERFORM @extschema@.sierra_check_saga_timeout(given.timeout);
    IF EXISTS (SELECT FROM unnest(given.refusals) AS r (code)
                WHERE r.code IS NULL OR r.code !~ '^[0-9A-Z]{5}$') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'refusals must be SQLSTATEs',
            DETAIL = format('Step "%s" has %s.', given.step, given.refusals),
            HINT = 'A SQLSTATE has five digits or upper-case letters, as P0001.';
    END IF;
    RETURN jsonb_build_object(
        'step', given.step, 'action', @extschema@.sierra_saga_function(given.action),
        'compensation', @extschema@.sierra_saga_function(given.compensation),
        'max_attempts', given.max_attempts, 'retry_after', given.retry_after,
        'timeout', given.timeout, 'waits', given.waits,
        'refusals', to_jsonb(coalesce(given.refusals, '{}')));
END
$$;
COMMENT ON FUNCTION sierra_saga_step_json(sierra_saga_step) IS
    'a step as the table of sagas keeps it; 22004, 22023, 42P13 or 42501 if it is none';

CREATE FUNCTION sierra_saga_steps_json(steps sierra_saga_step[]) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given @extschema@.sierra_saga_step;
    result jsonb := '[]';
    twice text;
BEGIN
    IF coalesce(cardinality(steps), 0) NOT BETWEEN 1 AND 1000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a saga has 1 to 1000 steps',
            DETAIL = format('It has %s.', coalesce(cardinality(steps), 0));
    END IF;
    FOREACH given IN ARRAY steps LOOP
        result := result || @extschema@.sierra_saga_step_json(given);
    END LOOP;
    SELECT s.step ->> 'step' INTO twice FROM jsonb_array_elements(result) AS s (step)
     GROUP BY 1 HAVING count(*) > 1 LIMIT 1;
    IF twice IS NOT NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('step "%s" occurs twice', twice),
            HINT = 'Steps of a saga have different names.';
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION sierra_saga_steps_json(sierra_saga_step[]) IS
    'steps as the table of sagas keeps them; create_saga() calls it';

-- search_path as a default: inside the function it is another one.
CREATE FUNCTION create_saga(saga text,
                            steps sierra_saga_step[],
                            timeout interval DEFAULT NULL,
                            search_path text DEFAULT pg_catalog.current_setting('search_path'))
    RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    table_owner constant name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c
                                   WHERE c.oid = to_regclass(format('%I.sagas', store)));
    definition jsonb;
    version integer;
BEGIN
    PERFORM @extschema@.sierra_require_name('saga', saga);
    IF octet_length(saga) > 200 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the name of a saga has at most 200 bytes',
            DETAIL = format('It has %s bytes.', octet_length(saga));
    END IF;
    PERFORM @extschema@.sierra_require_value('steps', steps IS NULL);
    PERFORM @extschema@.sierra_require_value('search_path', search_path IS NULL);
    PERFORM @extschema@.sierra_check_saga_timeout(timeout);
    definition := @extschema@.sierra_saga_steps_json(steps);
    IF NOT pg_has_role(table_owner, current_user, 'MEMBER') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('role "%s" cannot own a saga of store "%s"', current_user, store),
            DETAIL = format('Role "%s" owns the table %I.sagas and is not a member of it.',
                            table_owner, store),
            HINT = 'Create it as the store''s owner, or as a role that this owner is a member of.';
    END IF;
    -- Another session may make the same version: then it is the next one.
    LOOP
        EXECUTE format('INSERT INTO %1$I.sagas (saga, version, owner, steps, timeout, search_path)'
                       ' SELECT $1, coalesce(max(d.version), 0) + 1, $2, $3, $4, $5'
                       '   FROM %1$I.sagas AS d WHERE d.saga = $1'
                       ' ON CONFLICT DO NOTHING RETURNING version', store)
           INTO version USING saga, current_user, definition, timeout, search_path;
        IF version IS NOT NULL THEN
            RETURN version;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION create_saga(text, sierra_saga_step[], interval, text) IS
    'defines a saga (name of 1 to 200 bytes) of 1 to 1000 steps that run as who calls this, in search_path, and returns the version: 1, or the next one of this name; sagas under way keep theirs; timeout: 1 ms to 100 years for all of it, null: none; 22004, 22023, 42P13, 42501 for what is no definition';

CREATE FUNCTION sierra_report_no_saga(store name, saga text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE undefined_object USING
        MESSAGE = format('no saga "%s"', saga),
        DETAIL = format('Store "%s" has no saga of this name.', store),
        HINT = 'Define it with create_saga().';
END
$$;
COMMENT ON FUNCTION sierra_report_no_saga(name, text) IS 'raises 42704';

CREATE FUNCTION drop_saga(saga text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    dropped bigint;
    running bigint;
BEGIN
    PERFORM @extschema@.sierra_require_value('saga', saga IS NULL);
    -- Who starts one meanwhile holds the definition, by the foreign key.
    EXECUTE format('SELECT FROM %I.sagas AS d WHERE d.saga = $1 FOR UPDATE', store) USING saga;
    EXECUTE format('SELECT count(*) FROM %I.saga_instances AS i'
                   ' WHERE i.saga = $1 AND i.ended_at IS NULL', store) INTO running USING saga;
    IF running > 0 THEN
        RAISE object_in_use USING
            MESSAGE = format('saga "%s" has instances that are not ended', saga),
            DETAIL = format('There are %s.', running),
            HINT = 'Let them end, or cancel_saga() them; event_sagas() lists them.';
    END IF;
    EXECUTE format('DELETE FROM %I.saga_instances AS i WHERE i.saga = $1', store) USING saga;
    EXECUTE format('DELETE FROM %I.sagas AS d WHERE d.saga = $1', store) USING saga;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    IF dropped = 0 THEN
        PERFORM @extschema@.sierra_report_no_saga(store, saga);
    END IF;
END
$$;
COMMENT ON FUNCTION drop_saga(text) IS
    'drops all versions of a saga; the streams of its ended instances stay; 55006 while one is not ended, 42704 if there is none';

-- Starting.

-- A time-out is a timer; what this returns goes into the event that begins it.
CREATE FUNCTION sierra_schedule_saga_timeout(saga_id text, event_name text, payload json,
                                             correlation_id text, after interval) RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at constant timestamptz := clock_timestamp() + after;
BEGIN
    IF after IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN jsonb_build_object(
        'deadline', at,
        'timer_id', @extschema@.eschedule(at, saga_id, event_name, payload,
                                          json_build_object('correlation_id', correlation_id)));
END
$$;
COMMENT ON FUNCTION sierra_schedule_saga_timeout(text, text, json, text, interval) IS
    'schedules a time-out of a saga; its time and timer, null without time-out';

-- Does the stream begin as this saga would?  Null: it has no event.
CREATE FUNCTION sierra_saga_stands(saga_id text, saga text, data jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    same boolean;
BEGIN
    SELECT e.event_name = 'SagaStarted' AND e.payload ->> 'saga' = saga
           AND (e.payload -> 'data')::jsonb = data
      INTO same FROM @extschema@.escan(saga_id, 0, 0) AS e;
    IF same OR same IS NULL AND NOT FOUND THEN
        RETURN same;
    END IF;
    RAISE duplicate_object USING
        MESSAGE = format('saga instance "%s" already exists', saga_id),
        DETAIL = 'Its stream began with another saga, other data or another event.',
        HINT = 'Choose another saga_id.';
END
$$;
COMMENT ON FUNCTION sierra_saga_stands(text, text, jsonb) IS
    'was this saga started with these data? null: there is no such stream; 42710 if it began otherwise';

CREATE FUNCTION sierra_check_saga_data(data jsonb) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.sierra_require_value('data', data IS NULL);
    IF jsonb_typeof(data) <> 'object' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the data of a saga are a JSON object',
            DETAIL = format('The value is of type %s.', jsonb_typeof(data));
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_check_saga_data(jsonb) IS 'raises 22004 or 22023 unless data is an object';

CREATE FUNCTION start_saga(saga text,
                           data jsonb DEFAULT '{}',
                           saga_id text DEFAULT NULL,
                           metadata json DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    id constant text := coalesce(saga_id, format('saga-%s-%s', saga,
                                                 @extschema@.sierra_event_id(gen_random_uuid())));
    now constant timestamptz := clock_timestamp();
    found record;
    correlation text;
    step_timeout jsonb;
    saga_timeout jsonb;
    added bigint;
BEGIN
    PERFORM @extschema@.sierra_require_value('saga', saga IS NULL);
    PERFORM @extschema@.sierra_check_saga_data(data);
    PERFORM @extschema@.sierra_check_new_event(id, 'SagaStarted', NULL, NULL, NULL);
    IF json_typeof(metadata) <> 'object' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the metadata of a saga are a JSON object',
            DETAIL = format('The value is of type %s.', json_typeof(metadata));
    END IF;
    IF saga_id IS NOT NULL AND @extschema@.sierra_saga_stands(saga_id, saga, data) THEN
        RETURN saga_id;
    END IF;
    EXECUTE format('SELECT d.version, d.timeout, d.steps -> 0 AS step FROM %I.sagas AS d WHERE d.saga = $1'
                   ' ORDER BY d.version DESC LIMIT 1', store) INTO found USING saga;
    IF found.version IS NULL THEN
        PERFORM @extschema@.sierra_report_no_saga(store, saga);
    END IF;
    correlation := coalesce(metadata ->> 'correlation_id',
                            nullif(current_setting('sierra_es.metadata'), '')::json ->> 'correlation_id', id);
    saga_timeout := @extschema@.sierra_schedule_saga_timeout(id, 'SagaTimedOut', '{}', correlation,
                                                             found.timeout);
    step_timeout := @extschema@.sierra_schedule_saga_timeout(
        id, 'SagaStepTimedOut', json_build_object('step', found.step ->> 'step'), correlation,
        (found.step ->> 'timeout')::interval);
    EXECUTE format('INSERT INTO %I.saga_instances (saga_id, saga, version, status, step, attempts, run_at,'
                   ' deadline, correlation_id, started_at, updated_at)'
                   ' VALUES ($1, $2, $3, ''running'', $4, 0, $5, $6, $7, $5, $5) ON CONFLICT DO NOTHING', store)
      USING id, saga, found.version, found.step ->> 'step', now,
            least((saga_timeout ->> 'deadline')::timestamptz, (step_timeout ->> 'deadline')::timestamptz),
            correlation;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added = 0 AND @extschema@.sierra_saga_stands(id, saga, data) THEN
        -- Another session has just started it: its timers are enough.
        PERFORM @extschema@.ecancel((t.timeout ->> 'timer_id')::uuid)
           FROM unnest(ARRAY[saga_timeout, step_timeout]) AS t (timeout);
        RETURN id;
    END IF;
    PERFORM FROM @extschema@.eappend(
        id, 'SagaStarted',
        (jsonb_build_object('saga', saga, 'version', found.version, 'data', data)
         || jsonb_strip_nulls(jsonb_build_object('saga_timeout', saga_timeout,
                                                 'step_timeout', step_timeout)))::json,
        (coalesce(metadata::jsonb, '{}') || jsonb_build_object('correlation_id', correlation))::json,
        'empty', "timestamp" => now);
    PERFORM @extschema@.sierra_call_runners();
    RETURN id;
END
$$;
COMMENT ON FUNCTION start_saga(text, jsonb, text, json) IS
    'starts the newest version of a saga with these data (an object), in this transaction, and returns saga_id, the id of its stream; again with the same saga_id, saga and data: no effect; otherwise 42710; 42704 if there is no such saga';

-- ---------------------------------------------------------------------------
-- Sagas: what their streams say, and how they go on
--
-- A saga's state is what its events add up to.  Whoever takes it further folds
-- them, and appends at exactly the version that he has read: so whatever races
-- him, only one of them goes on, and the other one's effects are rolled back.
-- The row in saga_instances is written from the same state.
-- ---------------------------------------------------------------------------

CREATE TYPE sierra_saga_state AS (
    saga_id text,
    saga text,
    version integer,
    steps jsonb,
    search_path text,
    status text,
    step_number integer,      -- the step to do, or to undo
    attempts integer,         -- that failed
    data jsonb,
    done integer[],           -- steps whose action stands
    begun boolean,            -- SagaCompensationStarted stands
    error text,               -- why it is compensated
    last_error text,
    retry_at timestamptz,     -- when it goes on
    step_deadline timestamptz,
    step_timer uuid,
    saga_deadline timestamptz,
    saga_timer uuid,
    correlation_id text,
    started_at timestamptz,
    updated_at timestamptz,
    ended_at timestamptz,
    stream_version bigint,
    event_id uuid
);
COMMENT ON TYPE sierra_saga_state IS 'what the events of a saga add up to';

-- The last step whose action stands and that can be undone.
CREATE FUNCTION sierra_saga_undo_next(state sierra_saga_state) RETURNS sierra_saga_state
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    state.step_number := (SELECT max(d.step) FROM unnest(state.done) AS d (step)
                           WHERE state.steps -> d.step - 1 ->> 'compensation' IS NOT NULL);
    state.attempts := 0;
    state.status := 'compensating';
    state.last_error := state.error;
    state.retry_at := state.updated_at;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_saga_undo_next(sierra_saga_state) IS
    'goes to the next step to compensate; sierra_fold_saga() calls it';

CREATE FUNCTION sierra_saga_fail(state sierra_saga_state, error text) RETURNS sierra_saga_state
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    state.error := error;
    state.begun := false;
    RETURN @extschema@.sierra_saga_undo_next(state);
END
$$;
COMMENT ON FUNCTION sierra_saga_fail(sierra_saga_state, text) IS
    'lets a saga turn back; sierra_fold_saga() calls it';

-- An event of a saga that runs or waits.  What does not fit, as the time-out of
-- a step that is over, changes nothing.
CREATE FUNCTION sierra_fold_saga_forward(state sierra_saga_state, name text, payload jsonb)
    RETURNS sierra_saga_state
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    step constant text := state.steps -> state.step_number - 1 ->> 'step';
    here constant boolean := coalesce(payload ->> 'step' = step, false);
BEGIN
    IF name = 'SagaStepStarted' AND here THEN
        state.done := state.done || state.step_number;
        state.data := state.data || coalesce(payload -> 'data', '{}');
        state.status := 'waiting';
        state.last_error := NULL;
    ELSIF name = 'SagaStepCompleted' AND here THEN
        IF state.status = 'running' THEN
            state.done := state.done || state.step_number;
        END IF;
        state.data := state.data || coalesce(payload -> 'data', '{}');
        state.status := 'running';
        state.step_number := state.step_number + 1;
        state.attempts := 0;
        state.last_error := NULL;
        state.retry_at := state.updated_at;
        state.step_deadline := payload #>> '{step_timeout,deadline}';
        state.step_timer := payload #>> '{step_timeout,timer_id}';
    ELSIF name = 'SagaStepFailed' AND here AND payload ? 'retry_at' THEN
        state.attempts := payload -> 'attempt';
        state.retry_at := payload ->> 'retry_at';
        state.last_error := format('%s (%s)', payload ->> 'error', payload ->> 'sqlstate');
    ELSIF name = 'SagaStepFailed' AND here THEN
        state := @extschema@.sierra_saga_fail(
            state, format('step "%s" failed: %s', step, payload ->> 'error'));
    ELSIF name = 'SagaStepTimedOut' AND here THEN
        state := @extschema@.sierra_saga_fail(state, format('step "%s" timed out', step));
    ELSIF name = 'SagaTimedOut' THEN
        state := @extschema@.sierra_saga_fail(state, 'the saga timed out');
    ELSIF name = 'SagaCancelled' THEN
        state := @extschema@.sierra_saga_fail(state, format('cancelled: %s', payload ->> 'reason'));
    ELSIF name = 'SagaRetried' AND here THEN
        state.retry_at := state.updated_at;
    ELSIF name = 'SagaCompleted' THEN
        state.status := 'completed';
        state.ended_at := state.updated_at;
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_fold_saga_forward(sierra_saga_state, text, jsonb) IS
    'folds an event of a saga that runs or waits; sierra_fold_saga() calls it';

-- An event of a saga that compensates.
CREATE FUNCTION sierra_fold_saga_back(state sierra_saga_state, name text, payload jsonb)
    RETURNS sierra_saga_state
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    here constant boolean := coalesce(
        payload ->> 'step' = state.steps -> state.step_number - 1 ->> 'step', false);
BEGIN
    IF name = 'SagaCompensationStarted' THEN
        state.begun := true;
        state.step_timer := NULL;
        state.saga_timer := NULL;
    ELSIF name IN ('SagaStepCompensated', 'SagaCompensationSkipped') AND here THEN
        state.data := state.data || coalesce(payload -> 'data', '{}');
        state.done := ARRAY(SELECT d.step FROM unnest(state.done) AS d (step)
                             WHERE d.step < state.step_number);
        state := @extschema@.sierra_saga_undo_next(state);
    ELSIF name = 'SagaCompensationFailed' AND here THEN
        state.attempts := payload -> 'attempt';
        state.retry_at := payload ->> 'retry_at';
        state.status := CASE WHEN payload ? 'retry_at' THEN 'compensating' ELSE 'stuck' END;
        state.last_error := format('%s (%s)', payload ->> 'error', payload ->> 'sqlstate');
    ELSIF name = 'SagaRetried' AND here THEN
        state.status := 'compensating';
        state.attempts := 0;
        state.retry_at := state.updated_at;
    ELSIF name = 'SagaCompensated' THEN
        state.status := 'compensated';
        state.ended_at := state.updated_at;
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_fold_saga_back(sierra_saga_state, text, jsonb) IS
    'folds an event of a saga that compensates; sierra_fold_saga() calls it';

CREATE FUNCTION sierra_fold_saga(state sierra_saga_state, e sierra_event) RETURNS sierra_saga_state
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    payload constant jsonb := e.payload;
BEGIN
    state.stream_version := e.stream_version;
    state.event_id := e.event_id;
    state.updated_at := e."timestamp";
    IF state.status IS NULL THEN
        state.status := 'running';
        state.step_number := 1;
        state.attempts := 0;
        state.data := payload -> 'data';
        state.done := '{}';
        state.retry_at := e."timestamp";
        state.started_at := e."timestamp";
        state.correlation_id := e.metadata ->> 'correlation_id';
        state.step_deadline := payload #>> '{step_timeout,deadline}';
        state.step_timer := payload #>> '{step_timeout,timer_id}';
        state.saga_deadline := payload #>> '{saga_timeout,deadline}';
        state.saga_timer := payload #>> '{saga_timeout,timer_id}';
    ELSIF state.status IN ('running', 'waiting') THEN
        state := @extschema@.sierra_fold_saga_forward(state, e.event_name, payload);
    ELSIF state.status IN ('compensating', 'stuck') THEN
        state := @extschema@.sierra_fold_saga_back(state, e.event_name, payload);
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_fold_saga(sierra_saga_state, sierra_event) IS
    'the state of a saga after one more event of its stream';

CREATE FUNCTION sierra_saga_state(store name, saga_id text) RETURNS sierra_saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    state @extschema@.sierra_saga_state;
    e @extschema@.sierra_event;
BEGIN
    FOR e IN SELECT s.* FROM @extschema@.escan(saga_id) AS s LOOP
        IF state.saga_id IS NULL THEN
            state.saga_id := saga_id;
            EXECUTE format('SELECT d.saga, d.version, d.steps, d.search_path FROM %I.sagas AS d'
                           ' WHERE $1 = ''SagaStarted'' AND d.saga = $2 ->> ''saga'''
                           '   AND d.version = ($2 ->> ''version'')::integer', store)
               INTO state.saga, state.version, state.steps, state.search_path
              USING e.event_name, e.payload;
            EXIT WHEN state.saga IS NULL;
        END IF;
        state := @extschema@.sierra_fold_saga(state, e);
    END LOOP;
    IF state.saga IS NULL THEN
        RAISE undefined_object USING
            MESSAGE = format('no saga instance "%s"', saga_id),
            DETAIL = format('Store "%s" has no stream of this name that begins with SagaStarted of a saga that it knows.', store),
            HINT = 'Start it with start_saga(); event_sagas() lists them.';
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_saga_state(name, text) IS
    'what the events of a saga add up to; 42704 if there is no such saga';

-- Appends to a saga's stream at the version of the state, and folds it in.
CREATE FUNCTION sierra_append_saga(state sierra_saga_state, event_name text, payload jsonb,
                                   event_id uuid DEFAULT NULL) RETURNS sierra_saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    e @extschema@.sierra_event;
BEGIN
    e.event_name := event_name;
    e.payload := payload;
    e.metadata := json_build_object('correlation_id', state.correlation_id, 'causation_id', state.event_id);
    SELECT r.stream_version, r.event_id, r."timestamp"
      INTO e.stream_version, e.event_id, e."timestamp"
      FROM @extschema@.eappend(state.saga_id, event_name, e.payload, e.metadata,
                               state.stream_version::@extschema@.expected_version, event_id) AS r;
    RETURN @extschema@.sierra_fold_saga(state, e);
END
$$;
COMMENT ON FUNCTION sierra_append_saga(sierra_saga_state, text, jsonb, uuid) IS
    'appends an event to the stream of a saga; SE001 if that is not as it was read';

CREATE FUNCTION sierra_write_saga(store name, state sierra_saga_state) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    deadline constant timestamptz := CASE WHEN state.status IN ('running', 'waiting')
        THEN least(state.step_deadline, state.saga_deadline) END;
    run_at constant timestamptz := CASE state.status
        WHEN 'running' THEN least(state.retry_at, deadline)
        WHEN 'waiting' THEN deadline
        WHEN 'compensating' THEN state.retry_at END;
    step constant text := CASE WHEN state.ended_at IS NULL
        THEN state.steps -> state.step_number - 1 ->> 'step' END;
    written bigint;
BEGIN
    EXECUTE format('UPDATE %I.saga_instances AS i SET status = $2, step = $3, attempts = $4, run_at = $5,'
                   ' deadline = $6, last_error = $7, updated_at = $8, ended_at = $9 WHERE i.saga_id = $1', store)
      USING state.saga_id, state.status, step, state.attempts, run_at, deadline, state.last_error,
            state.updated_at, state.ended_at;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written = 0 THEN
        EXECUTE format('INSERT INTO %I.saga_instances (saga_id, saga, version, status, step, attempts, run_at,'
                       ' deadline, correlation_id, last_error, started_at, updated_at, ended_at)'
                       ' VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)', store)
          USING state.saga_id, state.saga, state.version, state.status, step, state.attempts, run_at,
                deadline, state.correlation_id, state.last_error, state.started_at, state.updated_at,
                state.ended_at;
    END IF;
    IF run_at IS NOT NULL THEN
        PERFORM @extschema@.sierra_call_runners();
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_write_saga(name, sierra_saga_state) IS
    'writes the row of a saga from what its events add up to';

-- Timers go before anything is appended: who runs timers locks them in this order too.
CREATE FUNCTION sierra_cancel_saga_timers(state sierra_saga_state, all_of_them boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF state.step_timer IS NOT NULL THEN
        PERFORM @extschema@.ecancel(state.step_timer);
    END IF;
    IF all_of_them AND state.saga_timer IS NOT NULL THEN
        PERFORM @extschema@.ecancel(state.saga_timer);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_cancel_saga_timers(sierra_saga_state, boolean) IS
    'cancels the time-out of a step, or all of a saga';

-- The step is done: the next one, or the end.
CREATE FUNCTION sierra_complete_saga_step(state sierra_saga_state, answer jsonb) RETURNS sierra_saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    step constant jsonb := state.steps -> state.step_number - 1;
    next constant jsonb := state.steps -> state.step_number;
    payload jsonb := jsonb_build_object('step', step -> 'step', 'attempt', state.attempts + 1,
                                        'data', coalesce(answer, '{}'));
    step_timeout jsonb;
BEGIN
    PERFORM @extschema@.sierra_cancel_saga_timers(state, next IS NULL);
    step_timeout := @extschema@.sierra_schedule_saga_timeout(
        state.saga_id, 'SagaStepTimedOut', json_build_object('step', next -> 'step'),
        state.correlation_id, (next ->> 'timeout')::interval);
    IF step_timeout IS NOT NULL THEN
        payload := payload || jsonb_build_object('step_timeout', step_timeout);
    END IF;
    state := @extschema@.sierra_append_saga(state, 'SagaStepCompleted', payload);
    IF next IS NULL THEN
        state := @extschema@.sierra_append_saga(state, 'SagaCompleted', jsonb_build_object('data', state.data));
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_complete_saga_step(sierra_saga_state, jsonb) IS
    'notes that the step of a saga is done, and schedules the time-out of the next one';

-- The events tell already why; none of them needs a timer any more.
CREATE FUNCTION sierra_turn_saga_back(state sierra_saga_state) RETURNS sierra_saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM @extschema@.sierra_cancel_saga_timers(state, true);
    state := @extschema@.sierra_append_saga(state, 'SagaCompensationStarted',
                                            jsonb_build_object('error', state.error));
    RETURN @extschema@.sierra_end_saga_back(state);
END
$$;
COMMENT ON FUNCTION sierra_turn_saga_back(sierra_saga_state) IS 'begins the compensation of a saga';

CREATE FUNCTION sierra_end_saga_back(state sierra_saga_state) RETURNS sierra_saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF state.step_number IS NULL THEN
        state := @extschema@.sierra_append_saga(state, 'SagaCompensated',
                                                jsonb_build_object('error', state.error));
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_end_saga_back(sierra_saga_state) IS
    'ends a saga that has nothing left to compensate';

-- Calls with the rights of who calls this; see src/saga.c.
CREATE FUNCTION sierra_call_saga(procedure text, data jsonb, saga_id text, search_path text,
                                 metadata text) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_call_saga';
COMMENT ON FUNCTION sierra_call_saga(text, jsonb, text, text, text) IS
    'calls an action of a saga in a search_path, with metadata for the events it appends; null if it returns nothing';

CREATE FUNCTION sierra_act_for_saga(state sierra_saga_state, procedure text) RETURNS jsonb
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT @extschema@.sierra_call_saga(
        procedure, (state).data, (state).saga_id, (state).search_path,
        json_build_object('correlation_id', (state).correlation_id, 'causation_id', (state).event_id)::text)
$$;
COMMENT ON FUNCTION sierra_act_for_saga(sierra_saga_state, text) IS
    'calls an action or a compensation of a saga';

-- Errors that say nothing about the action: they are for who runs sagas.  A lock
-- that was not had at once is one only for who does not wait for it.
CREATE FUNCTION sierra_is_no_failure(sqlstate text, patient boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT $1 IN ('40001', '40P01') OR left($1, 2) IN ('53', '57', '58') OR $1 = '55P03' AND NOT $2
$$;
COMMENT ON FUNCTION sierra_is_no_failure(text, boolean) IS
    'is it an error of the moment, that is no failed attempt of an action?';

-- What a failed attempt is noted with: the next one, or that it was the last.
CREATE FUNCTION sierra_saga_failure(state sierra_saga_state, error text, sqlstate text, refused boolean)
    RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    step constant jsonb := state.steps -> state.step_number - 1;
    pause constant interval := step ->> 'retry_after';
BEGIN
    RETURN jsonb_build_object('step', step -> 'step', 'attempt', state.attempts + 1, 'error', error,
                              'sqlstate', sqlstate)
        || CASE WHEN refused OR state.attempts + 1 >= (step -> 'max_attempts')::integer
                THEN jsonb_build_object('final', true)
                ELSE jsonb_build_object('retry_at', clock_timestamp()
                         + least(pause * 2 ^ least(state.attempts, 20), greatest(pause, '1 hour'))) END;
END
$$;
COMMENT ON FUNCTION sierra_saga_failure(sierra_saga_state, text, text, boolean) IS
    'the payload of the event of a failed attempt; the pause doubles up to an hour';

CREATE FUNCTION sierra_do_saga_step(store name, state sierra_saga_state, patient boolean)
    RETURNS sierra_saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    step constant jsonb := state.steps -> state.step_number - 1;
    answer jsonb;
    failure jsonb;
BEGIN
    BEGIN
        answer := @extschema@.sierra_act_for_saga(state, step ->> 'action');
        IF (step -> 'waits')::boolean THEN
            RETURN @extschema@.sierra_append_saga(
                state, 'SagaStepStarted',
                jsonb_build_object('step', step -> 'step', 'attempt', state.attempts + 1,
                                   'data', coalesce(answer, '{}')));
        END IF;
        RETURN @extschema@.sierra_complete_saga_step(state, answer);
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        IF @extschema@.sierra_is_no_failure(SQLSTATE, patient) THEN
            RAISE;
        END IF;
        failure := @extschema@.sierra_saga_failure(state, SQLERRM, SQLSTATE,
                                                   step -> 'refusals' ? SQLSTATE);
    END;
    -- The action lost against a time-out or somebody who cancelled: it counts for nothing.
    IF @extschema@.esver(state.saga_id) > state.stream_version THEN
        RETURN @extschema@.sierra_saga_state(store, state.saga_id);
    END IF;
    IF failure ? 'final' THEN
        PERFORM @extschema@.sierra_cancel_saga_timers(state, true);
        state := @extschema@.sierra_append_saga(state, 'SagaStepFailed', failure);
        RETURN @extschema@.sierra_turn_saga_back(state);
    END IF;
    RETURN @extschema@.sierra_append_saga(state, 'SagaStepFailed', failure);
END
$$;
COMMENT ON FUNCTION sierra_do_saga_step(name, sierra_saga_state, boolean) IS
    'runs the action of a saga''s step, and notes how that went';

CREATE FUNCTION sierra_undo_saga_step(state sierra_saga_state, patient boolean) RETURNS sierra_saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    step constant jsonb := state.steps -> state.step_number - 1;
    answer jsonb;
    failure jsonb;
    undone @extschema@.sierra_saga_state;
BEGIN
    BEGIN
        answer := @extschema@.sierra_act_for_saga(state, step ->> 'compensation');
        undone := @extschema@.sierra_append_saga(
            state, 'SagaStepCompensated',
            jsonb_build_object('step', step -> 'step', 'data', coalesce(answer, '{}')));
        RETURN @extschema@.sierra_end_saga_back(undone);
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        IF @extschema@.sierra_is_no_failure(SQLSTATE, patient) THEN
            RAISE;
        END IF;
        failure := @extschema@.sierra_saga_failure(state, SQLERRM, SQLSTATE, false);
    END;
    RETURN @extschema@.sierra_append_saga(state, 'SagaCompensationFailed', failure);
END
$$;
COMMENT ON FUNCTION sierra_undo_saga_step(sierra_saga_state, boolean) IS
    'runs the compensation of a saga''s step, and notes how that went';

-- Time is over, and run_timers() may have said so, or be about to.  The event
-- has the id of the timer, so it can come only once.
CREATE FUNCTION sierra_time_out_saga(store name, state sierra_saga_state) RETURNS sierra_saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    whole constant boolean := coalesce(state.saga_deadline <= clock_timestamp(), false);
    timer constant uuid := CASE WHEN whole THEN state.saga_timer ELSE state.step_timer END;
BEGIN
    PERFORM @extschema@.sierra_cancel_saga_timers(state, whole);
    state := @extschema@.sierra_saga_state(store, state.saga_id);
    IF state.status NOT IN ('running', 'waiting') THEN
        RETURN state;
    END IF;
    RETURN @extschema@.sierra_append_saga(
        state, CASE WHEN whole THEN 'SagaTimedOut' ELSE 'SagaStepTimedOut' END,
        CASE WHEN whole THEN '{}'
             ELSE jsonb_build_object('step', state.steps -> state.step_number - 1 -> 'step') END, timer);
END
$$;
COMMENT ON FUNCTION sierra_time_out_saga(name, sierra_saga_state) IS
    'appends the event of a time-out that is due, unless run_timers() did';

-- Runs as the owner of the definition, from src/saga.c.  Anybody else who calls
-- it does with his own rights what he could do anyway.
CREATE FUNCTION sierra_advance_saga(store name, saga_id text, saga text, version integer, patient boolean)
    RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    state @extschema@.sierra_saga_state := @extschema@.sierra_saga_state(store, saga_id);
    before bigint;
BEGIN
    IF (state.saga, state.version) <> (saga, version) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('saga instance "%s" is not what its row says', saga_id),
            DETAIL = format('The stream began with saga "%s", version %s; the row says "%s", version %s.',
                            state.saga, state.version, saga, version),
            HINT = 'Use rebuild_saga_instances().';
    END IF;
    before := state.stream_version;
    IF state.status IN ('running', 'waiting')
       AND least(state.step_deadline, state.saga_deadline) <= clock_timestamp() THEN
        state := @extschema@.sierra_time_out_saga(store, state);
    END IF;
    IF state.status = 'compensating' AND NOT state.begun THEN
        state := @extschema@.sierra_turn_saga_back(state);
    ELSIF state.status = 'compensating' AND state.step_number IS NULL THEN
        state := @extschema@.sierra_end_saga_back(state);
    ELSIF state.status = 'running' AND state.steps -> state.step_number - 1 IS NULL THEN
        -- Somebody else wrote the end of the last step.
        state := @extschema@.sierra_append_saga(state, 'SagaCompleted', jsonb_build_object('data', state.data));
    ELSIF state.status = 'compensating' AND state.retry_at <= clock_timestamp() THEN
        state := @extschema@.sierra_undo_saga_step(state, patient);
    ELSIF state.status = 'running' AND state.retry_at <= clock_timestamp() THEN
        state := @extschema@.sierra_do_saga_step(store, state, patient);
    END IF;
    PERFORM @extschema@.sierra_write_saga(store, state);
    RETURN state.stream_version > before;
END
$$;
COMMENT ON FUNCTION sierra_advance_saga(name, text, text, integer, boolean) IS
    'takes a saga one step further, if it is time; sierra_run_saga() calls it as the owner of the saga';

CREATE FUNCTION sierra_run_saga(saga_id text, patient boolean) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_run_saga';
COMMENT ON FUNCTION sierra_run_saga(text, boolean) IS
    'takes a saga one step further as the owner of its definition, waiting for locks no longer than a moment unless patient; run_sagas() calls it; needs UPDATE on saga_instances';

-- ---------------------------------------------------------------------------
-- Sagas: running, answers from outside, repair, and how to see them
-- ---------------------------------------------------------------------------

-- The saga itself cannot be run, as when its definition is gone: not this time.
CREATE FUNCTION sierra_postpone_saga(store name, saga_id text, error text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('UPDATE %I.saga_instances AS i SET last_error = $2,'
                   ' run_at = clock_timestamp() + interval ''1 minute'' WHERE i.saga_id = $1', store)
      USING saga_id, error;
END
$$;
COMMENT ON FUNCTION sierra_postpone_saga(name, text, text) IS
    'notes why a saga cannot be run, and lets it wait a minute; run_sagas() calls it';

CREATE FUNCTION run_sagas(max_count integer DEFAULT 100) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    due text[];
    saga_id text;
    steps bigint := 0;
BEGIN
    PERFORM @extschema@.sierra_require_value('max_count', max_count IS NULL);
    IF max_count < 0 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_count must not be negative',
            DETAIL = format('It is %s.', max_count);
    END IF;
    LOOP
        -- Few at a time: other sessions take the others meanwhile.
        EXECUTE format('SELECT array_agg(d.saga_id) FROM (SELECT i.saga_id FROM %I.saga_instances AS i'
                       ' WHERE i.run_at <= clock_timestamp() ORDER BY i.run_at, i.saga_id'
                       ' LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) AS d', store)
           INTO due USING least(max_count - steps, 10);
        IF due IS NULL THEN
            RETURN steps;
        END IF;
        FOREACH saga_id IN ARRAY due LOOP
            BEGIN
                steps := steps + @extschema@.sierra_run_saga(saga_id, steps = 0)::integer;
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE IN ('40001', '40P01', '55P03', 'SE001')
                   AND current_setting('transaction_isolation') = 'read committed' THEN
                    -- It comes again.  What is done can be committed, and its locks freed.
                    RETURN steps;
                ELSIF @extschema@.sierra_is_no_failure(SQLSTATE, false) THEN
                    RAISE;
                END IF;
                RAISE WARNING USING
                    ERRCODE = SQLSTATE,
                    MESSAGE = format('saga instance "%s" cannot be run', saga_id),
                    DETAIL = SQLERRM;
                PERFORM @extschema@.sierra_postpone_saga(store, saga_id, format('%s (%s)', SQLERRM, SQLSTATE));
            END;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION run_sagas(integer) IS
    'takes sagas that are due further, one step of each in turn, at most so many (0 or more), and returns how many; in this transaction; call it from as many sessions as you like; 22004, 22023';

-- Holds a saga until the transaction ends: nobody runs it, and no time-out of it
-- can come.
CREATE FUNCTION sierra_hold_saga(store name, saga_id text) RETURNS sierra_saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    state @extschema@.sierra_saga_state;
BEGIN
    PERFORM @extschema@.sierra_require_value('saga_id', saga_id IS NULL);
    EXECUTE format('SELECT FROM %I.saga_instances AS i WHERE i.saga_id = $1 FOR NO KEY UPDATE', store)
      USING saga_id;
    state := @extschema@.sierra_saga_state(store, saga_id);
    EXECUTE format('SELECT FROM %I.timers AS t WHERE t.timer_id IN ($1, $2) ORDER BY t.timer_id FOR UPDATE', store)
      USING state.step_timer, state.saga_timer;
    -- One may have come while this waited for it.
    RETURN @extschema@.sierra_saga_state(store, saga_id);
END
$$;
COMMENT ON FUNCTION sierra_hold_saga(name, text) IS
    'holds a saga and its timers until the transaction ends; 42704 if there is none';

CREATE FUNCTION sierra_report_saga_status(state sierra_saga_state, message text, hint text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE object_not_in_prerequisite_state USING
        MESSAGE = message,
        DETAIL = format('Saga instance "%s" is %s%s.', state.saga_id, state.status,
                        ', at step "' || (state.steps -> state.step_number - 1 ->> 'step') || '"'),
        HINT = hint;
END
$$;
COMMENT ON FUNCTION sierra_report_saga_status(sierra_saga_state, text, text) IS 'raises 55000';

-- Does the saga wait at this step?  False: this was said before.
CREATE FUNCTION sierra_saga_waits(state sierra_saga_state, step text, event_name text, said jsonb)
    RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM @extschema@.sierra_require_value('step', step IS NULL);
    IF state.status = 'waiting' AND state.steps -> state.step_number - 1 ->> 'step' = step THEN
        RETURN true;
    END IF;
    IF NOT EXISTS (SELECT FROM jsonb_array_elements(state.steps) AS s (step) WHERE s.step ->> 'step' = step) THEN
        RAISE undefined_object USING
            MESSAGE = format('saga "%s" has no step "%s"', state.saga, step),
            DETAIL = format('Instance "%s" runs version %s.', state.saga_id, state.version);
    END IF;
    IF EXISTS (SELECT FROM jsonb_array_elements(state.steps) AS s (step)
                WHERE s.step ->> 'step' = step AND (s.step ->> 'waits')::boolean)
       AND EXISTS (SELECT FROM @extschema@.escan(state.saga_id) AS e
                    WHERE e.event_name = event_name AND e.payload ->> 'step' = step
                      AND e.payload::jsonb @> said) THEN
        RETURN false;
    END IF;
    PERFORM @extschema@.sierra_report_saga_status(
        state, format('step "%s" of saga instance "%s" does not wait', step, state.saga_id),
        'Only a step that waits is ended from outside; its stream tells what came before.');
END
$$;
COMMENT ON FUNCTION sierra_saga_waits(sierra_saga_state, text, text, jsonb) IS
    'does a saga wait at a step? false: the same was said before; 55000 or 42704 otherwise';

CREATE FUNCTION complete_saga_step(saga_id text, step text, data jsonb DEFAULT '{}') RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    state @extschema@.sierra_saga_state;
BEGIN
    PERFORM @extschema@.sierra_check_saga_data(data);
    state := @extschema@.sierra_hold_saga(store, saga_id);
    IF NOT @extschema@.sierra_saga_waits(state, step, 'SagaStepCompleted', jsonb_build_object('data', data)) THEN
        RETURN false;
    END IF;
    PERFORM @extschema@.sierra_write_saga(store, @extschema@.sierra_complete_saga_step(state, data));
    RETURN true;
END
$$;
COMMENT ON FUNCTION complete_saga_step(text, text, jsonb) IS
    'ends a step that waits, in this transaction; data (an object) are merged into those of the saga; false if this was said before; 55000 if the step does not wait, 42704 if there is no such saga or step';

CREATE FUNCTION fail_saga_step(saga_id text, step text, reason text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    state @extschema@.sierra_saga_state;
BEGIN
    PERFORM @extschema@.sierra_require_value('reason', reason IS NULL);
    state := @extschema@.sierra_hold_saga(store, saga_id);
    IF NOT @extschema@.sierra_saga_waits(state, step, 'SagaStepFailed',
                                         jsonb_build_object('error', reason, 'final', true)) THEN
        RETURN false;
    END IF;
    PERFORM @extschema@.sierra_cancel_saga_timers(state, true);
    state := @extschema@.sierra_append_saga(
        state, 'SagaStepFailed',
        jsonb_build_object('step', step, 'attempt', state.attempts + 1, 'error', reason,
                           'sqlstate', NULL, 'final', true));
    PERFORM @extschema@.sierra_write_saga(store, @extschema@.sierra_turn_saga_back(state));
    RETURN true;
END
$$;
COMMENT ON FUNCTION fail_saga_step(text, text, text) IS
    'lets a step that waits fail, in this transaction: the saga compensates it and those before; false if this was said before; 55000 if the step does not wait, 42704 if there is no such saga or step';

CREATE FUNCTION cancel_saga(saga_id text, reason text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    state @extschema@.sierra_saga_state;
BEGIN
    PERFORM @extschema@.sierra_require_value('reason', reason IS NULL);
    state := @extschema@.sierra_hold_saga(store, saga_id);
    IF state.status NOT IN ('running', 'waiting') THEN
        IF EXISTS (SELECT FROM @extschema@.escan(saga_id) AS e WHERE e.event_name = 'SagaCancelled') THEN
            RETURN false;
        END IF;
        PERFORM @extschema@.sierra_report_saga_status(
            state, format('saga instance "%s" cannot be cancelled', saga_id),
            'Only a saga that runs or waits can.');
    END IF;
    PERFORM @extschema@.sierra_cancel_saga_timers(state, true);
    state := @extschema@.sierra_append_saga(state, 'SagaCancelled', jsonb_build_object('reason', reason));
    PERFORM @extschema@.sierra_write_saga(store, @extschema@.sierra_turn_saga_back(state));
    RETURN true;
END
$$;
COMMENT ON FUNCTION cancel_saga(text, text) IS
    'lets a saga that runs or waits compensate what it has done; false if it was cancelled before; 55000 in any other state, 42704 if there is none';

CREATE FUNCTION retry_saga(saga_id text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    state @extschema@.sierra_saga_state := @extschema@.sierra_hold_saga(store, saga_id);
BEGIN
    IF state.status <> 'stuck' AND (state.status NOT IN ('running', 'compensating') OR state.attempts = 0) THEN
        PERFORM @extschema@.sierra_report_saga_status(
            state, format('saga instance "%s" has nothing to retry', saga_id),
            'Only a saga that is stuck, or pauses after an error, can be retried.');
    END IF;
    PERFORM @extschema@.sierra_write_saga(store, @extschema@.sierra_append_saga(
        state, 'SagaRetried', jsonb_build_object('step', state.steps -> state.step_number - 1 -> 'step')));
END
$$;
COMMENT ON FUNCTION retry_saga(text) IS
    'lets a saga that is stuck go on, with as many attempts as at first, or one that pauses after an error at once; 55000 in any other state, 42704 if there is none';

CREATE FUNCTION skip_saga_step(saga_id text, reason text) RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    state @extschema@.sierra_saga_state := @extschema@.sierra_hold_saga(store, saga_id);
    step constant text := state.steps -> state.step_number - 1 ->> 'step';
BEGIN
    PERFORM @extschema@.sierra_require_value('reason', reason IS NULL);
    IF state.status <> 'stuck' THEN
        PERFORM @extschema@.sierra_report_saga_status(
            state, format('saga instance "%s" is not stuck', saga_id),
            'Only the compensation that a saga is stuck at can be skipped.');
    END IF;
    state := @extschema@.sierra_append_saga(state, 'SagaCompensationSkipped',
                                            jsonb_build_object('step', step, 'reason', reason));
    PERFORM @extschema@.sierra_write_saga(store, @extschema@.sierra_end_saga_back(state));
    RETURN step;
END
$$;
COMMENT ON FUNCTION skip_saga_step(text, text) IS
    'gives up the compensation that a saga is stuck at, and goes on with the step before; returns the step; 55000 if it is not stuck, 42704 if there is none';

CREATE FUNCTION rebuild_saga_instances() RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    saga_id text;
    known boolean;
    written bigint := 0;
BEGIN
    -- Who starts a saga, or takes one further, waits.
    EXECUTE format('LOCK TABLE %I.saga_instances IN SHARE ROW EXCLUSIVE MODE', store);
    EXECUTE format('DELETE FROM %I.saga_instances', store);
    FOR saga_id, known IN EXECUTE format(
        'SELECT e.stream_id, EXISTS (SELECT FROM %1$I.sagas AS d WHERE d.saga = e.payload ->> ''saga'''
        '                             AND d.version::text = e.payload ->> ''version'')'
        '  FROM %1$I.events AS e WHERE e.event_name = ''SagaStarted'' AND e.stream_version = 0', store) LOOP
        IF known THEN
            PERFORM @extschema@.sierra_write_saga(store, @extschema@.sierra_saga_state(store, saga_id));
            written := written + 1;
        ELSE
            RAISE WARNING USING
                MESSAGE = format('saga instance "%s" is left out', saga_id),
                DETAIL = 'Its saga, or the version of it, is not defined.';
        END IF;
    END LOOP;
    RETURN written;
END
$$;
COMMENT ON FUNCTION rebuild_saga_instances() IS
    'makes the rows of saga_instances again from the streams, also those that forget_sagas() removed; returns how many; needs INSERT, UPDATE and DELETE on the table';

CREATE FUNCTION forget_sagas(before timestamptz) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_sagas();
    forgotten bigint;
BEGIN
    PERFORM @extschema@.sierra_require_value('before', before IS NULL);
    EXECUTE format('DELETE FROM %I.saga_instances AS i WHERE i.ended_at < $1', store) USING before;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
COMMENT ON FUNCTION forget_sagas(timestamptz) IS
    'removes sagas that ended before some time from event_sagas(); their streams stay; returns how many';

-- A column and an argument of one name: so it is both.
CREATE FUNCTION event_sagas(store name DEFAULT NULL, OUT saga_id text, OUT saga text, OUT version integer,
                            INOUT status text DEFAULT NULL, OUT step text, OUT attempts integer,
                            OUT run_at timestamptz, OUT deadline timestamptz, OUT age interval,
                            OUT correlation_id text, OUT last_error text, OUT started_at timestamptz,
                            OUT updated_at timestamptz, OUT ended_at timestamptz)
    RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := @extschema@.sierra_require_sagas(store);
BEGIN
    IF status NOT IN ('running', 'waiting', 'compensating', 'stuck', 'completed', 'compensated') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('"%s" is no status of a saga', status),
            HINT = 'Use running, waiting, compensating, stuck, completed or compensated.';
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT i.saga_id, i.saga, i.version, i.status, i.step, i.attempts, i.run_at, i.deadline,'
        '       coalesce(i.ended_at, clock_timestamp()) - i.started_at, i.correlation_id, i.last_error,'
        '       i.started_at, i.updated_at, i.ended_at'
        '  FROM %I.saga_instances AS i WHERE $1 IS NULL OR i.status = $1'
        ' ORDER BY i.started_at, i.saga_id', wanted)
      USING status;
END
$$;
COMMENT ON FUNCTION event_sagas(name, text) IS
    'sagas of a store (default: sierra_es.store), all or those with a status: the step to do or undo, failed attempts, when it goes on, deadline, last error; 22023 for an unknown status';

-- ---------------------------------------------------------------------------
-- Projections
-- ---------------------------------------------------------------------------

-- A row of projections says what is run, and as whom.  So nobody writes a row
-- for a role that he is not a member of, and what a row runs never changes: a
-- rebuild makes another one.  src/projection.c says what else is checked.
CREATE FUNCTION sierra_guard_projection() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (OLD.projection, OLD.version, OLD.owner, OLD.kind, OLD.handler, OLD.key, OLD.initial,
            OLD.streams, OLD.event_names, OLD.search_path)
           IS DISTINCT FROM
           (NEW.projection, NEW.version, NEW.owner, NEW.kind, NEW.handler, NEW.key, NEW.initial,
            NEW.streams, NEW.event_names, NEW.search_path)
           OR NEW.subscription <> coalesce(OLD.subscription, '') THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('the definition of projection "%s" cannot be changed', OLD.projection),
                HINT = 'Use rebuild_projection().';
        END IF;
    END IF;
    IF NOT pg_has_role(current_user, NEW.owner, 'MEMBER') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('must be a member of role "%s" to make a projection that runs as it',
                             NEW.owner);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION sierra_guard_projection() IS
    'trigger: lets nobody write a projection that runs as a role he is not a member of';

CREATE FUNCTION sierra_inline_trigger(projection text) RETURNS name
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT ('sierra_projection_' || md5($1))::name $$;
COMMENT ON FUNCTION sierra_inline_trigger(text) IS 'the name of the trigger of an inline projection';

CREATE FUNCTION sierra_make_inline_trigger(store name, projection text, event_names text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT ON %I.events FOR EACH ROW %s'
                   ' EXECUTE FUNCTION @extschema@.sierra_project_inline(%L)',
                   @extschema@.sierra_inline_trigger(projection), store,
                   CASE WHEN event_names IS NOT NULL
                        THEN format('WHEN (NEW.event_name = ANY (%L::text[]))', event_names) END,
                   projection);
END
$$;
COMMENT ON FUNCTION sierra_make_inline_trigger(name, text, text[]) IS
    'makes the trigger of an inline projection';

-- The triggers of projections go with DROP EXTENSION CASCADE, their tables stay.
CREATE FUNCTION sierra_guard_projections(store name) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lost record;
    guarded boolean := false;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger AS t
                    WHERE t.tgrelid = to_regclass(format('%I.projections', store))
                      AND t.tgname = 'sierra_guard_projection') THEN
        EXECUTE format(
            'CREATE TRIGGER sierra_guard_projection BEFORE INSERT OR UPDATE OF projection, version, owner,'
            ' kind, handler, key, initial, streams, event_names, search_path, subscription'
            ' ON %I.projections FOR EACH ROW EXECUTE FUNCTION @extschema@.sierra_guard_projection()',
            store);
        guarded := true;
    END IF;
    FOR lost IN EXECUTE format(
        'SELECT p.projection, p.event_names FROM %1$I.projections AS p'
        ' WHERE p.live AND p.mode = ''inline'' AND p.subscription IS NULL'
        '   AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = to_regclass($1)'
        '                    AND t.tgname = @extschema@.sierra_inline_trigger(p.projection))', store)
      USING format('%I.events', store) LOOP
        PERFORM @extschema@.sierra_make_inline_trigger(store, lost.projection, lost.event_names);
        guarded := true;
    END LOOP;
    RETURN guarded;
END
$$;
COMMENT ON FUNCTION sierra_guard_projections(name) IS
    'puts back triggers that projections have lost; upgrade_event_store() calls it';

CREATE FUNCTION sierra_create_projection_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE %I.projections ('
        ' projection text COLLATE "C" NOT NULL,'
        ' version integer NOT NULL CHECK (version > 0),'
        ' live boolean NOT NULL,'
        ' owner name NOT NULL,'
        ' kind text NOT NULL CHECK (kind IN (''event'', ''batch'', ''fold'', ''process'')),'
        ' handler text NOT NULL,'
        ' key text,'
        ' initial jsonb,'
        ' streams text[],'
        ' event_names text[],'
        ' search_path text NOT NULL,'
        ' mode text NOT NULL CHECK (mode IN (''worker'', ''manual'', ''inline'')),'
        ' subscription text COLLATE "C",'
        ' batch_size integer NOT NULL CHECK (batch_size BETWEEN 1 AND 100000),'
        ' on_error text NOT NULL CHECK (on_error IN (''stop'', ''park'')),'
        ' max_attempts integer NOT NULL CHECK (max_attempts > 0),'
        ' retry_after interval NOT NULL,'
        ' automatic boolean NOT NULL,'
        ' state text NOT NULL CHECK (state IN (''running'', ''retrying'', ''stopped'', ''paused'')),'
        ' attempts integer NOT NULL DEFAULT 0,'
        ' retry_at timestamptz,'
        ' failed_position bigint,'
        ' failed_stream text,'
        ' last_error text,'
        ' last_error_at timestamptz,'
        ' processed bigint NOT NULL DEFAULT 0,'
        ' rate double precision,'
        ' created_at timestamptz NOT NULL DEFAULT now(),'
        ' updated_at timestamptz,'
        ' PRIMARY KEY (projection, version)) WITH (fillfactor = 50)', store);
    EXECUTE format('CREATE UNIQUE INDEX projections_live ON %I.projections (projection) WHERE live',
                   store);
    PERFORM @extschema@.sierra_guard_projections(store);
    EXECUTE format(
        'CREATE TABLE %I.projection_states ('
        ' projection text COLLATE "C" NOT NULL,'
        ' version integer NOT NULL,'
        ' key text COLLATE "C" NOT NULL,'
        ' state jsonb,'
        ' position bigint NOT NULL,'
        ' stream_version bigint,'
        ' PRIMARY KEY (projection, version, key)) WITH (fillfactor = 50)', store);
    EXECUTE format('COMMENT ON TABLE %I.projections IS %L', store,
                   'projections: what they run, as whom, how it goes; one version is live, another'
                   ' one may be being built');
    EXECUTE format('COMMENT ON TABLE %I.projection_states IS %L', store,
                   'states of folding projections, by version and key, and the last event in each');
END
$$;
COMMENT ON FUNCTION sierra_create_projection_tables(name) IS
    'makes the tables of a store that projections are kept in; create_event_store() calls it';

CREATE FUNCTION sierra_has_projections(store name) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT @extschema@.sierra_has_tables($1, '{projections, projection_states}')
$$;
COMMENT ON FUNCTION sierra_has_projections(name) IS
    'does a store have the tables that projections are kept in?';

CREATE FUNCTION sierra_require_projections(store name DEFAULT NULL) RETURNS name
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
BEGIN
    IF NOT @extschema@.sierra_has_projections(wanted) THEN
        PERFORM @extschema@.sierra_report_old_store(wanted, 'projections');
    END IF;
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION sierra_require_projections(name) IS
    'the name of a store (default: sierra_es.store) with tables for projections; SE005 if there is none';

CREATE FUNCTION sierra_report_no_projection(store name, projection text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE undefined_object USING
        MESSAGE = format('no projection "%s"', projection),
        DETAIL = format('Store "%s" has no projection of this name.', store),
        HINT = 'Make it with create_projection(); event_projections() lists them.';
END
$$;
COMMENT ON FUNCTION sierra_report_no_projection(name, text) IS 'raises 42704';

-- Holds the live version, or all of it if it is to go.  Who waits for it while
-- another version takes over finds it gone, and must look for the other one.
CREATE FUNCTION sierra_hold_live(store name, projection text, strength text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    version integer;
    known boolean := true;
BEGIN
    WHILE version IS NULL LOOP
        IF NOT known THEN
            PERFORM @extschema@.sierra_report_no_projection(store, projection);
        END IF;
        EXECUTE format('SELECT p.version FROM %I.projections AS p WHERE p.projection = $1 AND p.live FOR %s',
                       store, strength) INTO version USING projection;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.projections AS p WHERE p.projection = $1 AND p.live)',
                       store) INTO known USING projection;
    END LOOP;
    RETURN version;
END
$$;
COMMENT ON FUNCTION sierra_hold_live(name, text, text) IS
    'locks the row of the live version of a projection; returns the version; 42704 if there is none';

CREATE FUNCTION sierra_handler_kind(handler regprocedure) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    event constant oid := '@extschema@.sierra_event'::regtype;
    kind constant text := (
        SELECT CASE WHEN p.pronargs = 1 AND p.proargtypes[0] = event THEN 'event'
                    WHEN p.pronargs = 1 AND p.proargtypes[0] = '@extschema@.sierra_event[]'::regtype THEN 'batch'
                    WHEN p.pronargs = 2 AND p.proargtypes[0] = 'jsonb'::regtype
                         AND p.proargtypes[1] = event AND p.prorettype = 'jsonb'::regtype THEN 'fold' END
          FROM pg_proc AS p WHERE p.oid = handler AND p.prokind = 'f' AND NOT p.proretset);
BEGIN
    IF kind IS NULL THEN
        RAISE invalid_function_definition USING
            MESSAGE = format('function %s is no handler', handler),
            HINT = 'A handler takes (sierra_event), (sierra_event[]), or (jsonb, sierra_event) and then returns jsonb; it returns no set.';
    END IF;
    RETURN kind;
END
$$;
COMMENT ON FUNCTION sierra_handler_kind(regprocedure) IS
    'what a handler takes: event, batch or fold; 42P13 if it is none';

CREATE FUNCTION sierra_check_projection(projection text, mode text, batch_size integer,
                                        on_error text, max_attempts integer, retry_after interval)
    RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    argument text := CASE WHEN projection IS NULL THEN 'projection'
                          WHEN mode IS NULL THEN 'mode'
                          WHEN batch_size IS NULL THEN 'batch_size'
                          WHEN on_error IS NULL THEN 'on_error'
                          WHEN max_attempts IS NULL THEN 'max_attempts'
                          WHEN retry_after IS NULL THEN 'retry_after' END;
BEGIN
    IF argument IS NOT NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = format('argument "%s" must not be null', argument);
    END IF;
    IF octet_length(projection) NOT BETWEEN 1 AND 200
       OR projection ~ '[\u0001-\u001f\u007f-\u009f]' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the name of a projection has 1 to 200 bytes and no control characters',
            DETAIL = format('It has %s bytes.', octet_length(projection));
    END IF;
    IF mode NOT IN ('worker', 'manual', 'inline') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('"%s" is no mode of a projection', mode),
            HINT = 'Use ''worker'', ''manual'' or ''inline''.';
    END IF;
    IF on_error NOT IN ('stop', 'park') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('on_error "%s" is not known', on_error),
            HINT = 'Use ''stop'' or ''park''.';
    END IF;
    IF batch_size NOT BETWEEN 1 AND 100000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a batch has 1 to 100000 events',
            DETAIL = format('The value is %s.', batch_size);
    END IF;
    IF max_attempts NOT BETWEEN 1 AND 1000000 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_attempts must be 1 to 1000000',
            DETAIL = format('The value is %s.', max_attempts);
    END IF;
    IF retry_after NOT BETWEEN interval '0' AND interval '1 day' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'argument "retry_after" must be 0 to 1 day',
            DETAIL = format('The value is %s.', retry_after);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_check_projection(text, text, integer, text, integer, interval) IS
    'raises 22023 or 22004 unless the arguments of a projection are within bounds';

-- Who owns the table must be able to become the owner of every projection in it.
CREATE FUNCTION sierra_check_projection_owner(store name, owner name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    table_owner constant name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c
                                   WHERE c.oid = to_regclass(format('%I.projections', store)));
BEGIN
    IF NOT pg_has_role(table_owner, owner, 'MEMBER') THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('role "%s" cannot own a projection of store "%s"', owner, store),
            DETAIL = format('Role "%s" owns the table %I.projections and is not a member of it.',
                            table_owner, store),
            HINT = 'Create it as the store''s owner, or as a role that this owner is a member of.';
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_check_projection_owner(name, name) IS
    'raises 42501 unless the owner of a store''s tables is a member of the role';

-- Makes a version of a projection: its row, and the subscription that feeds it.
-- template has what the row shall say.
CREATE FUNCTION sierra_add_projection(store name, projection text, version integer, live boolean,
                                      owner name, kind text, handler regprocedure,
                                      streams text[], event_names text[], mode text, key text, initial jsonb,
                                      start_from text, batch_size integer, on_error text,
                                      max_attempts integer, retry_after interval,
                                      automatic boolean, search_path text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subscription constant text := format('projection:%s:%s', projection, version);
    known boolean;
BEGIN
    PERFORM @extschema@.sierra_check_projection_owner(store, owner);
    IF key IS NOT NULL AND kind NOT IN ('fold', 'process') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'only a fold has a key',
            DETAIL = format('The handler %s keeps no states.', handler);
    END IF;
    BEGIN
        EXECUTE format('INSERT INTO %I.projections (projection, version, live, owner, kind, handler,'
                       ' key, initial, streams, event_names, search_path, mode, subscription,'
                       ' batch_size, on_error, max_attempts, retry_after, automatic, state)'
                       ' VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,'
                       ' $16, $17, $18, ''running'')', store)
          USING projection, version, live, owner, kind, handler::text, key, initial, streams,
                event_names, search_path, mode, subscription, batch_size, on_error, max_attempts,
                retry_after, automatic;
    EXCEPTION WHEN unique_violation THEN
        RAISE duplicate_object USING
            MESSAGE = format('projection "%s" already exists', projection),
            HINT = 'Choose another name, drop it with drop_projection(), or rebuild it with rebuild_projection().';
    END;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.subscriptions AS s WHERE s.subscription = $1)', store)
       INTO known USING subscription;
    IF known THEN
        RAISE duplicate_object USING
            MESSAGE = format('subscription "%s" already exists', subscription),
            DETAIL = 'It would be that of the projection.',
            HINT = 'Drop it with eunsub() first.';
    END IF;
    PERFORM @extschema@.esub(subscription, streams, event_names, start_from,
                             window_size => greatest(batch_size, 1000),
                             max_attempts => max_attempts);
    -- Fails now rather than later if the owner may not call the handler, or the key is no expression.
    PERFORM @extschema@.sierra_try_projection(projection, version);
    PERFORM @extschema@.sierra_call_runners();
END
$$;
COMMENT ON FUNCTION sierra_add_projection(name, text, integer, boolean, name, text, regprocedure, text[], text[], text, text, jsonb, text, integer, text, integer, interval, boolean, text) IS
    'makes a version of a projection; create_projection() and rebuild_projection() call it';

CREATE FUNCTION sierra_run(projection text, version integer, max_count bigint)
    RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_run';
COMMENT ON FUNCTION sierra_run(text, integer, bigint) IS
    'runs one version of a projection; run_projection() calls it';

CREATE FUNCTION sierra_try_projection(projection text, version integer) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_try_projection';
COMMENT ON FUNCTION sierra_try_projection(text, integer) IS
    'raises what a run would raise if there were no events';

CREATE FUNCTION sierra_project_inline() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_project_inline';
COMMENT ON FUNCTION sierra_project_inline() IS
    'trigger: hands an event to an inline projection, in the appending transaction';

-- Handles what is stored while nobody appends; from then on the trigger does.
CREATE FUNCTION sierra_go_inline(store name, projection text, version integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subscription text;
    state text;
    failure text;
    event_names text[];
BEGIN
    -- An older snapshot would not see events that were committed since.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = 'an inline projection is made in isolation level READ COMMITTED',
            HINT = 'Use another transaction.';
    END IF;
    -- Appends in flight end first, and none begins.
    EXECUTE format('LOCK TABLE %I.events IN SHARE ROW EXCLUSIVE MODE', store);
    PERFORM @extschema@.sierra_run(projection, version, 9223372036854775807);
    EXECUTE format('SELECT p.subscription, p.state, p.event_names,'
                   '       coalesce(p.last_error, (SELECT t.reason FROM %1$I.subscription_streams AS t'
                   '                   WHERE t.subscription = p.subscription'
                   '                     AND t.state IN (''retrying'', ''parked'') LIMIT 1))'
                   '  FROM %1$I.projections AS p WHERE p.projection = $1 AND p.version = $2', store)
       INTO subscription, state, event_names, failure USING projection, version;
    IF failure IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('projection "%s" cannot become inline', projection),
            DETAIL = format('Its handler failed for an event that is stored: %s.', failure),
            HINT = 'Mend the handler, or leave out what is stored with start_from => ''latest''.';
    END IF;
    PERFORM @extschema@.eunsub(subscription);
    EXECUTE format('UPDATE %I.projections AS p SET subscription = NULL'
                   ' WHERE p.projection = $1 AND p.version = $2', store) USING projection, version;
    PERFORM @extschema@.sierra_make_inline_trigger(store, projection, event_names);
END
$$;
COMMENT ON FUNCTION sierra_go_inline(name, text, integer) IS
    'catches up and makes the trigger of an inline projection; create_projection() and finish_rebuild() call it';

-- search_path as a default: inside the function it is another one.
CREATE FUNCTION create_projection(projection text,
                                  handler regprocedure,
                                  streams text[] DEFAULT NULL,
                                  event_names text[] DEFAULT NULL,
                                  mode text DEFAULT 'worker',
                                  key text DEFAULT NULL,
                                  initial jsonb DEFAULT '{}',
                                  start_from text DEFAULT 'earliest',
                                  batch_size integer DEFAULT 1000,
                                  on_error text DEFAULT 'stop',
                                  max_attempts integer DEFAULT 5,
                                  retry_after interval DEFAULT '1 second',
                                  search_path text DEFAULT pg_catalog.current_setting('search_path'))
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
BEGIN
    PERFORM @extschema@.sierra_check_projection(projection, mode, batch_size, on_error,
                                                max_attempts, retry_after);
    IF handler IS NULL OR search_path IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'a projection needs a handler and a search_path';
    END IF;
    PERFORM @extschema@.sierra_add_projection(
        store, projection, 1, true, current_user, @extschema@.sierra_handler_kind(handler), handler,
        streams, event_names, mode, key, initial, start_from, batch_size, on_error, max_attempts,
        retry_after, false, search_path);
    IF mode = 'inline' THEN
        PERFORM @extschema@.sierra_go_inline(store, projection, 1);
    END IF;
END
$$;
COMMENT ON FUNCTION create_projection(text, regprocedure, text[], text[], text, text, jsonb, text, integer, text, integer, interval, text) IS
    'makes a projection: a handler that gets events of streams (patterns; null: all) and event names (null: all), each exactly once; handler(sierra_event), handler(sierra_event[]) or, to fold states by key, handler(jsonb, sierra_event); runs as who creates it';
-- ---------------------------------------------------------------------------
-- Projections: running
-- ---------------------------------------------------------------------------

CREATE FUNCTION run_projection(projection text, max_count bigint DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    versions integer[];
    version integer;
    handled bigint := 0;
    state text;
BEGIN
    EXECUTE format('SELECT array_agg(p.version ORDER BY p.live DESC) FROM %I.projections AS p'
                   ' WHERE p.projection = $1', store) INTO versions USING projection;
    IF versions IS NULL THEN
        PERFORM @extschema@.sierra_report_no_projection(store, projection);
    END IF;
    FOREACH version IN ARRAY versions LOOP
        handled := handled + @extschema@.sierra_run(projection, version, max_count);
    END LOOP;
    IF handled = 0 THEN
        EXECUTE format('SELECT p.state FROM %I.projections AS p WHERE p.projection = $1 AND p.live'
                       '   AND p.state IN (''stopped'', ''paused'')', store) INTO state USING projection;
    END IF;
    IF state IS NOT NULL THEN
        RAISE NOTICE USING
            MESSAGE = format('projection "%s" is %s', projection, state),
            HINT = CASE state WHEN 'paused' THEN 'Let it go on with resume_projection().'
                              ELSE 'Let it go on with retry_projection() or skip_projection_event().' END;
    END IF;
    RETURN handled;
END
$$;
COMMENT ON FUNCTION run_projection(text, bigint) IS
    'takes up to so many events to the handler of a projection, and of the version that is being built, in this transaction; returns how many';

-- Writes down that a projection could not be run at all.
CREATE FUNCTION sierra_projection_failed(store name, projection text, version integer, reason text)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('UPDATE %I.projections AS p SET attempts = p.attempts + 1,'
                   ' state = CASE WHEN p.attempts + 1 >= p.max_attempts THEN ''stopped'' ELSE ''retrying'' END,'
                   ' retry_at = CASE WHEN p.attempts + 1 < p.max_attempts'
                   '                 THEN clock_timestamp() + least(p.retry_after * power(2, least(p.attempts, 20)),'
                   '                                                interval ''1 hour'') END,'
                   ' last_error = $3, last_error_at = clock_timestamp(), updated_at = clock_timestamp()'
                   ' WHERE p.projection = $1 AND p.version = $2', store)
      USING projection, version, reason;
END
$$;
COMMENT ON FUNCTION sierra_projection_failed(name, text, integer, text) IS
    'writes down why a projection could not be run; run_projections() calls it';

-- The condition is that of run_projections() and sierra_event_jobs().
CREATE FUNCTION sierra_run_due(store name, projection text, version integer, max_count bigint)
    RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    free boolean;
BEGIN
    -- Another session runs it already, or has just done so.
    EXECUTE format('SELECT true FROM %I.projections AS p WHERE p.projection = $1 AND p.version = $2'
                   '   AND (p.retry_at IS NULL OR p.retry_at <= clock_timestamp())'
                   ' FOR NO KEY UPDATE SKIP LOCKED', store)
       INTO free USING projection, version;
    IF free THEN
        RETURN @extschema@.sierra_run(projection, version, max_count);
    END IF;
    RETURN NULL;
EXCEPTION
    -- Says nothing about the projection, and comes again by itself, with the next call.
    WHEN transaction_rollback OR insufficient_resources OR lock_not_available THEN
        RAISE WARNING USING
            ERRCODE = SQLSTATE,
            MESSAGE = format('projection "%s" was not run', projection),
            DETAIL = SQLERRM;
        RETURN NULL;
    WHEN OTHERS THEN
        RAISE WARNING USING
            ERRCODE = SQLSTATE,
            MESSAGE = format('projection "%s" cannot be run', projection),
            DETAIL = SQLERRM;
        PERFORM @extschema@.sierra_projection_failed(store, projection, version,
                                                     format('%s: %s', SQLSTATE, SQLERRM));
        RETURN 0;
END
$$;
COMMENT ON FUNCTION sierra_run_due(name, text, integer, bigint) IS
    'runs one version of a projection that is due unless another session does, and writes down a failure; returns how many events, null if it was not run';

CREATE FUNCTION run_projections(max_count bigint DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    due record;
    handled bigint := 0;
BEGIN
    -- It would count as a failure of each of them.
    PERFORM @extschema@.sierra_require_value('max_count', max_count IS NULL);
    IF max_count < 1 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_count must be at least 1',
            DETAIL = format('It is %s.', max_count);
    END IF;
    -- Those that had to wait longest come first.
    FOR due IN EXECUTE format(
        'SELECT p.projection, p.version FROM %I.projections AS p'
        ' WHERE p.subscription IS NOT NULL AND (p.mode = ''worker'' OR p.mode = ''inline'' AND NOT p.live)'
        '   AND p.state IN (''running'', ''retrying'')'
        '   AND (p.retry_at IS NULL OR p.retry_at <= clock_timestamp())'
        ' ORDER BY p.updated_at NULLS FIRST, p.projection, p.version', store) LOOP
        handled := handled + coalesce(@extschema@.sierra_run_due(store, due.projection, due.version,
                                                                 max_count), 0);
    END LOOP;
    RETURN handled;
END
$$;
COMMENT ON FUNCTION run_projections(bigint) IS
    'runs all projections of mode worker that are due and that nobody else runs, up to so many events each (at least 1, else 22023); a failure of one does not stop the others; returns how many events';

-- States.

CREATE FUNCTION eproject(projection text, key text) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_eproject';
COMMENT ON FUNCTION eproject(text, text) IS
    'the state of a key with all events that can be seen folded in, whether the projection has handled them or not; writes nothing';

CREATE FUNCTION estates(projection text)
    RETURNS TABLE (key text, state jsonb, "position" bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    known boolean;
BEGIN
    EXECUTE format('SELECT true FROM %I.projections AS p WHERE p.projection = $1 AND p.live', store)
       INTO known USING projection;
    IF known IS NULL THEN
        PERFORM @extschema@.sierra_report_no_projection(store, projection);
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT s.key, s.state, s.position FROM %1$I.projection_states AS s'
        '  JOIN %1$I.projections AS p ON p.projection = s.projection AND p.version = s.version AND p.live'
        ' WHERE s.projection = $1', store) USING projection;
END
$$;
COMMENT ON FUNCTION estates(text) IS
    'the states of a projection as it has stored them, and the position of the last event in each';

CREATE FUNCTION ewait_projection(projection text, cursor bigint, timeout interval DEFAULT '10 seconds')
    RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    deadline constant timestamptz := clock_timestamp() + timeout;
    mode text;
    subscription text;
BEGIN
    LOOP
        EXECUTE format('SELECT p.mode, p.subscription FROM %I.projections AS p'
                       ' WHERE p.projection = $1 AND p.live', store)
           INTO mode, subscription USING projection;
        IF mode IS NULL THEN
            PERFORM @extschema@.sierra_report_no_projection(store, projection);
        END IF;
        BEGIN
            -- Inline: what can be read is handled.
            RETURN @extschema@.ewait(subscription, cursor,
                                     greatest(deadline - clock_timestamp(), interval '0'));
        EXCEPTION WHEN SQLSTATE 'SE007' THEN
            -- A new version took over; its subscription has another name.
            NULL;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION ewait_projection(text, bigint, interval) IS
    'waits until a projection has handled the event at a global position; false after the timeout';
-- ---------------------------------------------------------------------------
-- Projections: operation
-- ---------------------------------------------------------------------------

-- Sets the state of all versions of a projection; returns whether that changed something.
CREATE FUNCTION sierra_set_projection(projection text, from_states text[], to_state text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    live constant integer := @extschema@.sierra_hold_live(store, projection, 'NO KEY UPDATE');
    mode text;
    changed integer;
BEGIN
    EXECUTE format('SELECT p.mode FROM %I.projections AS p WHERE p.projection = $1 AND p.version = $2',
                   store) INTO mode USING projection, live;
    IF mode = 'inline' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('projection "%s" is inline', projection),
            DETAIL = 'It runs with each append, and would miss what is appended meanwhile.',
            HINT = 'Drop it, or create it in mode worker or manual.';
    END IF;
    EXECUTE format('UPDATE %I.projections AS p SET state = $3, attempts = 0, retry_at = NULL,'
                   ' updated_at = clock_timestamp()'
                   ' WHERE p.projection = $1 AND p.state = ANY ($2)', store)
      USING projection, from_states, to_state;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM @extschema@.sierra_call_runners();
    RETURN changed > 0;
END
$$;
COMMENT ON FUNCTION sierra_set_projection(text, text[], text) IS
    'changes the state of a projection; pause_projection() and the like call it';

CREATE FUNCTION pause_projection(projection text) RETURNS boolean
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT @extschema@.sierra_set_projection($1, ARRAY['running', 'retrying', 'stopped'], 'paused') $$;
COMMENT ON FUNCTION pause_projection(text) IS
    'holds a projection, after a run of it that is under way; false if it was paused';

CREATE FUNCTION resume_projection(projection text) RETURNS boolean
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT @extschema@.sierra_set_projection($1, ARRAY['paused'], 'running') $$;
COMMENT ON FUNCTION resume_projection(text) IS 'lets a paused projection go on; false if it was not paused';

CREATE FUNCTION retry_projection(projection text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    subscription text;
    retried boolean := @extschema@.sierra_set_projection(projection, ARRAY['retrying', 'stopped'], 'running');
BEGIN
    FOR subscription IN EXECUTE format('SELECT p.subscription FROM %I.projections AS p'
                                       ' WHERE p.projection = $1', store) USING projection LOOP
        retried := @extschema@.eretry(subscription) > 0 OR retried;
    END LOOP;
    RETURN retried;
END
$$;
COMMENT ON FUNCTION retry_projection(text) IS
    'lets a projection that failed, and events that it parked, be tried again at once; false if nothing had failed';

CREATE FUNCTION skip_projection_event(projection text, stream_id text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    stopped record;
    skipped bigint;
BEGIN
    FOR stopped IN EXECUTE format('SELECT p.version, p.subscription, p.failed_position, p.failed_stream, p.last_error'
                                  '  FROM %I.projections AS p WHERE p.projection = $1'
                                  '   AND p.subscription IS NOT NULL'
                                  ' ORDER BY p.live DESC FOR NO KEY UPDATE', store) USING projection LOOP
        IF stopped.failed_position IS NOT NULL
           AND stopped.failed_stream = coalesce(stream_id, stopped.failed_stream) THEN
            PERFORM @extschema@.enack(stopped.subscription, stopped.failed_position,
                                      reason => stopped.last_error, park => true);
            skipped := @extschema@.eskip(stopped.subscription, stopped.failed_stream);
            EXECUTE format('UPDATE %I.projections AS p SET state = ''running'', attempts = 0,'
                           ' retry_at = NULL, failed_position = NULL, failed_stream = NULL'
                           ' WHERE p.projection = $1 AND p.version = $2', store)
              USING projection, stopped.version;
        ELSIF stream_id IS NOT NULL THEN
            skipped := coalesce(@extschema@.eskip(stopped.subscription, stream_id), skipped);
        END IF;
    END LOOP;
    RETURN skipped;
END
$$;
COMMENT ON FUNCTION skip_projection_event(text, text) IS
    'gives up the event that a projection stopped at, or the parked event of a stream, for good; returns its position, null if none has failed';

-- Rebuilds.

CREATE FUNCTION rebuild_projection(projection text,
                                   handler regprocedure DEFAULT NULL,
                                   key text DEFAULT NULL,
                                   initial jsonb DEFAULT NULL,
                                   streams text[] DEFAULT NULL,
                                   event_names text[] DEFAULT NULL,
                                   automatic boolean DEFAULT NULL,
                                   search_path text DEFAULT NULL)
    RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    held constant integer := @extschema@.sierra_hold_live(store, projection, 'NO KEY UPDATE');
    live record;
    building integer;
    kind text;
BEGIN
    EXECUTE format('SELECT p.* FROM %I.projections AS p WHERE p.projection = $1 AND p.version = $2',
                   store) INTO live USING projection, held;
    IF live.kind = 'process' THEN
        RAISE wrong_object_type USING
            MESSAGE = format('projection "%s" is a process manager', projection),
            DETAIL = 'It would react to all events once more.',
            HINT = 'Drop it with drop_projection(), and create it with start_from => its cursor.';
    END IF;
    EXECUTE format('SELECT max(p.version) + 1 FROM %I.projections AS p WHERE p.projection = $1', store)
       INTO building USING projection;
    IF building > live.version + 1 THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('projection "%s" is being rebuilt already', projection),
            DETAIL = format('Version %s is being built.', building - 1),
            HINT = 'Let it finish, or use cancel_rebuild().';
    END IF;
    kind := @extschema@.sierra_handler_kind(coalesce(handler, live.handler::regprocedure));
    IF kind <> 'fold' AND coalesce(handler::text, live.handler) = live.handler THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a handler that keeps its own tables cannot be rebuilt beside itself',
            DETAIL = format('%s would write what the live version has written once more.', live.handler),
            HINT = 'Pass another handler, which writes other tables.';
    END IF;
    PERFORM @extschema@.sierra_add_projection(
        store, projection, building, false, live.owner, kind, coalesce(handler, live.handler::regprocedure),
        coalesce(streams, live.streams), coalesce(event_names, live.event_names), live.mode,
        coalesce(key, CASE WHEN kind = 'fold' THEN live.key END), coalesce(initial, live.initial), 'earliest', live.batch_size,
        live.on_error, live.max_attempts, live.retry_after,
        coalesce(automatic, kind = 'fold') AND live.mode <> 'inline',
        coalesce(search_path, live.search_path));
    RETURN building;
END
$$;
COMMENT ON FUNCTION rebuild_projection(text, regprocedure, text, jsonb, text[], text[], boolean, text) IS
    'builds a new version of a projection beside the live one, from the first event on; null: as it is; a fold takes over by itself when it has caught up, else finish_rebuild() does it; returns the version';

CREATE FUNCTION sierra_take_over(store name, projection text, version integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM @extschema@.sierra_drop_versions(store, projection, version);
    EXECUTE format('UPDATE %I.projections AS p SET live = true, automatic = false'
                   ' WHERE p.projection = $1 AND p.version = $2', store) USING projection, version;
END
$$;
COMMENT ON FUNCTION sierra_take_over(name, text, integer) IS
    'makes a version of a projection the live one, and drops the other; run_projection() and finish_rebuild() call it';

-- The version that is being built; 55000 if there is none.
CREATE FUNCTION sierra_building_version(store name, projection text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    locked record;
    building integer;
    live integer;
BEGIN
    FOR locked IN EXECUTE format('SELECT p.version, p.live FROM %I.projections AS p WHERE p.projection = $1'
                                 ' ORDER BY p.version FOR UPDATE', store) USING projection LOOP
        IF locked.live THEN
            live := locked.version;
        ELSE
            building := locked.version;
        END IF;
    END LOOP;
    IF live IS NULL THEN
        PERFORM @extschema@.sierra_report_no_projection(store, projection);
    END IF;
    IF building IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('projection "%s" is not being rebuilt', projection),
            HINT = 'Start with rebuild_projection(); a fold takes over by itself when it has caught up.';
    END IF;
    RETURN building;
END
$$;
COMMENT ON FUNCTION sierra_building_version(name, text) IS
    'holds a projection until the transaction ends; the version that is being built, 55000 if there is none';

CREATE FUNCTION finish_rebuild(projection text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    building constant integer := @extschema@.sierra_building_version(store, projection);
    mode text;
    state text;
    failure text;
BEGIN
    EXECUTE format('UPDATE %I.projections AS p SET automatic = false'
                   ' WHERE p.projection = $1 AND p.version = $2 RETURNING p.mode', store)
       INTO mode USING projection, building;
    IF mode = 'inline' THEN
        -- Appends wait from here on, so that the trigger goes on where this ends.
        EXECUTE format('LOCK TABLE %I.events IN SHARE ROW EXCLUSIVE MODE', store);
    END IF;
    PERFORM @extschema@.sierra_run(projection, building, 9223372036854775807);
    EXECUTE format('SELECT p.state, p.last_error FROM %I.projections AS p'
                   ' WHERE p.projection = $1 AND p.version = $2', store)
       INTO state, failure USING projection, building;
    IF state <> 'running' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('the new version of projection "%s" has not caught up', projection),
            DETAIL = format('It is %s: %s.', state, coalesce(failure, 'no error')),
            HINT = 'Let it go on with resume_projection(), retry_projection() or skip_projection_event().';
    END IF;
    PERFORM @extschema@.sierra_take_over(store, projection, building);
    IF mode = 'inline' THEN
        PERFORM @extschema@.sierra_go_inline(store, projection, building);
    END IF;
    RETURN building;
END
$$;
COMMENT ON FUNCTION finish_rebuild(text) IS
    'lets the version of a projection that is being built catch up and take over, in this transaction; returns the version';

-- Drops versions of a projection: all, or all but the one that is kept.
CREATE FUNCTION sierra_drop_versions(store name, projection text, kept integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subscription text;
BEGIN
    FOR subscription IN EXECUTE format(
        'DELETE FROM %1$I.projections AS p WHERE p.projection = $1 AND ($2 IS NULL OR p.version <> $2)'
        ' RETURNING (SELECT s.subscription FROM %1$I.subscriptions AS s WHERE s.subscription = p.subscription)',
        store) USING projection, kept LOOP
        IF subscription IS NOT NULL THEN
            PERFORM @extschema@.eunsub(subscription);
        END IF;
    END LOOP;
    EXECUTE format('DELETE FROM %I.projection_states AS s'
                   ' WHERE s.projection = $1 AND ($2 IS NULL OR s.version <> $2)', store)
      USING projection, kept;
END
$$;
COMMENT ON FUNCTION sierra_drop_versions(name, text, integer) IS
    'drops versions of a projection, but for the one that is kept, with their states and subscriptions';

CREATE FUNCTION cancel_rebuild(projection text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    building constant integer := @extschema@.sierra_building_version(store, projection);
    live integer;
BEGIN
    EXECUTE format('SELECT p.version FROM %I.projections AS p WHERE p.projection = $1 AND p.live', store)
       INTO live USING projection;
    PERFORM @extschema@.sierra_drop_versions(store, projection, live);
    RETURN building;
END
$$;
COMMENT ON FUNCTION cancel_rebuild(text) IS
    'drops the version of a projection that is being built; returns it';

CREATE FUNCTION drop_projection(projection text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    live constant integer := @extschema@.sierra_hold_live(store, projection, 'UPDATE');
    mode text;
BEGIN
    EXECUTE format('SELECT p.mode FROM %I.projections AS p WHERE p.projection = $1 AND p.version = $2',
                   store) INTO mode USING projection, live;
    IF mode = 'inline' THEN
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %I.events',
                       @extschema@.sierra_inline_trigger(projection), store);
    END IF;
    PERFORM @extschema@.sierra_drop_versions(store, projection, NULL);
END
$$;
COMMENT ON FUNCTION drop_projection(text) IS
    'drops a projection with its states; what its handler wrote itself stays';

-- To be seen.

CREATE FUNCTION event_projections(store name DEFAULT NULL)
    RETURNS TABLE (projection text, version integer, live boolean, mode text, kind text,
                   state text, cursor bigint, lag_events bigint, lag interval, progress double precision,
                   rate double precision, time_left interval, processed bigint, states bigint,
                   parked bigint, attempts integer, retry_at timestamptz, failed_position bigint,
                   failed_stream text, last_error text, last_error_at timestamptz,
                   handler text, key text, owner name, subscription text, updated_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_projections(store);
    last bigint;
BEGIN
    EXECUTE format('SELECT max(e.global_position) FROM %I.events AS e'
                   '  JOIN (SELECT l.partition_id, max(l.partition_sequence) AS sequence'
                   '          FROM %1$I.events AS l GROUP BY 1) AS n'
                   '    ON n.partition_id = e.partition_id AND n.sequence = e.partition_sequence', wanted)
       INTO last;
    RETURN QUERY EXECUTE format(
        'SELECT p.projection, p.version, p.live, p.mode, p.kind,'
        '       p.state, done.cursor, coalesce(done.lag_events, 0),'
        '       clock_timestamp() - waiting.oldest,'
        -- A cursor passes over what is not wanted in steps; see src/consume.c.
        '       CASE WHEN p.subscription IS NULL OR waiting.oldest IS NULL AND done.lag_events < 1000 THEN 1'
        '            ELSE (done.cursor + 1) / ($3 + 1.0) END::double precision,'
        '       p.rate, make_interval(secs => done.lag_events / nullif(p.rate, 0)),'
        '       p.processed,'
        '       (SELECT count(*) FROM %1$I.projection_states AS s'
        '         WHERE s.projection = p.projection AND s.version = p.version),'
        '       (SELECT count(*) FROM %1$I.subscription_streams AS t'
        '         WHERE t.subscription = p.subscription AND t.state IN (''retrying'', ''parked'')),'
        '       p.attempts, p.retry_at, p.failed_position, p.failed_stream, p.last_error,'
        '       p.last_error_at, p.handler, p.key, p.owner, p.subscription, p.updated_at'
        '  FROM %1$I.projections AS p'
        '  LEFT JOIN LATERAL ('
        '       SELECT min(c.cursor) AS cursor,'
        '              sum(@extschema@.sierra_events_after($1, i, c.cursor))::bigint AS lag_events'
        '         FROM %1$I.subscription_cursors AS c, generate_series(0, $2 - 1) AS i'
        '        WHERE c.subscription = p.subscription) AS done ON true'
        '  LEFT JOIN LATERAL ('
        '       SELECT min(e."timestamp") AS oldest'
        '         FROM @extschema@.sierra_peek($1, p.subscription, 1) AS e'
        '        WHERE p.subscription IS NOT NULL) AS waiting ON true'
        ' ORDER BY p.projection, p.version', wanted)
      USING wanted, @extschema@.sierra_partitions(wanted), last;
END
$$;
COMMENT ON FUNCTION event_projections(name) IS
    'projections of a store (default: sierra_es.store), a row for each version: mode, state, events and time behind, progress of a rebuild, events per second, time to catch up, failures';
-- ---------------------------------------------------------------------------
-- Process managers
-- ---------------------------------------------------------------------------

-- A process manager is a projection whose handler acts.  search_path as a
-- default: inside the function it is another one.
CREATE FUNCTION create_process_manager(manager text,
                                       handler regprocedure,
                                       streams text[] DEFAULT NULL,
                                       event_names text[] DEFAULT NULL,
                                       key text DEFAULT NULL,
                                       initial jsonb DEFAULT '{}',
                                       mode text DEFAULT 'worker',
                                       start_from text DEFAULT 'latest',
                                       batch_size integer DEFAULT 100,
                                       on_error text DEFAULT 'stop',
                                       max_attempts integer DEFAULT 5,
                                       retry_after interval DEFAULT '1 second',
                                       search_path text DEFAULT pg_catalog.current_setting('search_path'))
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
BEGIN
    PERFORM @extschema@.sierra_require_value('manager', manager IS NULL);
    PERFORM @extschema@.sierra_require_value('handler', handler IS NULL);
    PERFORM @extschema@.sierra_require_value('search_path', search_path IS NULL);
    PERFORM @extschema@.sierra_check_projection(manager, mode, batch_size, on_error, max_attempts,
                                                retry_after);
    IF mode = 'inline' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a process manager cannot be inline',
            DETAIL = 'It would append events in the middle of an append.',
            HINT = 'Use ''worker'' or ''manual''.';
    END IF;
    IF @extschema@.sierra_handler_kind(handler) <> 'fold' THEN
        RAISE invalid_function_definition USING
            MESSAGE = format('function %s is no handler of a process manager', handler),
            HINT = 'It takes (state jsonb, event sierra_event) and returns jsonb: the new state, null to end the process.';
    END IF;
    PERFORM @extschema@.sierra_add_projection(
        store, manager, 1, true, current_user, 'process', handler, streams, event_names, mode, key,
        initial, start_from, batch_size, on_error, max_attempts, retry_after, false, search_path);
END
$$;
COMMENT ON FUNCTION create_process_manager(text, regprocedure, text[], text[], text, jsonb, text, text, integer, text, integer, interval, text) IS
    'makes a process manager, which is a projection that acts: handler(state jsonb, event sierra_event) returns jsonb gets events of streams (patterns; null: all) and event names (null: all) in the order of their positions, each exactly once, may append and schedule others, and returns the new state of the key (an SQL expression over e; null: the stream), null to end the process; mode worker or manual; batch_size 1 to 100000; runs as who creates it; 42710 if a projection has this name, 42P13 if the handler does not fit';

CREATE FUNCTION event_process_managers(store name DEFAULT NULL)
    RETURNS TABLE (manager text, mode text, state text, processes bigint, cursor bigint,
                   lag_events bigint, lag interval, processed bigint, rate double precision,
                   time_left interval, parked bigint, attempts integer, retry_at timestamptz,
                   failed_position bigint, failed_stream text, last_error text,
                   last_error_at timestamptz, handler text, key text, owner name,
                   subscription text, updated_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.projection, p.mode, p.state, p.states, p.cursor, p.lag_events, p.lag, p.processed,
           p.rate, p.time_left, p.parked, p.attempts, p.retry_at, p.failed_position,
           p.failed_stream, p.last_error, p.last_error_at, p.handler, p.key, p.owner,
           p.subscription, p.updated_at
      FROM @extschema@.event_projections($1) AS p WHERE p.kind = 'process'
$$;
COMMENT ON FUNCTION event_process_managers(name) IS
    'process managers of a store (default: sierra_es.store): mode, state, how many processes run, events and time behind, events per second, failures';
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

-- ---------------------------------------------------------------------------
-- Runners: what runs by itself
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_call_runners() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_call_runners';
COMMENT ON FUNCTION sierra_call_runners() IS
    'lets runners look at the store (sierra_es.store) when this transaction has committed; eschedule(), create_projection(), start_saga() and the like call it';

-- How many events a projection gets at a time goes by its rate, so that a slow
-- handler gives way to others after about a quarter of a second.
CREATE FUNCTION sierra_event_jobs(store name)
    RETURNS TABLE (kind text, projection text, version integer, due_at timestamptz,
                   again_at timestamptz, size bigint, row_version bigint)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF @extschema@.sierra_is_derived_store(store) THEN
        RETURN QUERY EXECUTE format(
            '(SELECT ''timers'', NULL::text, NULL::integer, t.run_at, NULL::timestamptz, 1000::bigint, 0::bigint'
            '   FROM %I.timers AS t ORDER BY t.run_at LIMIT 1)', store);
    END IF;
    IF @extschema@.sierra_has_sagas(store) THEN
        RETURN QUERY EXECUTE format(
            '(SELECT ''sagas'', NULL::text, NULL::integer, s.run_at, NULL::timestamptz, 100::bigint, 0::bigint'
            '   FROM %I.saga_instances AS s WHERE s.run_at IS NOT NULL'
            '    AND s.status IN (''running'', ''waiting'', ''compensating'')'
            '  ORDER BY s.run_at LIMIT 1)', store);
    END IF;
    IF @extschema@.sierra_has_projections(store) THEN
        RETURN QUERY EXECUTE format(
            'SELECT ''projection'', p.projection, p.version, p.retry_at,'
            '       (SELECT min(t.retry_at) FROM %1$I.subscription_streams AS t'
            '         WHERE t.subscription = p.subscription AND t.state = ''retrying''),'
            '       least(greatest(coalesce(p.rate, 40) / 4, 1), 10000)::bigint,'
            '       p.xmin::text::bigint'
            '  FROM %1$I.projections AS p'
            ' WHERE p.subscription IS NOT NULL AND (p.mode = ''worker'' OR p.mode = ''inline'' AND NOT p.live)'
            '   AND p.state IN (''running'', ''retrying'')', store);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_event_jobs(name) IS
    'what there is to run in a store: timers, sagas and projections, when each is due (null: when there are events), when something is to be tried again, and how much to do at a time';

CREATE FUNCTION sierra_run_job(store name, kind text, projection text, version integer, size bigint)
    RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('sierra_es.store', store, true);
    IF kind = 'timers' THEN
        RETURN @extschema@.run_timers(size::integer);
    ELSIF kind = 'sagas' THEN
        RETURN @extschema@.run_sagas(size::integer);
    END IF;
    RETURN @extschema@.sierra_run_due(store, projection, version, size);
END
$$;
COMMENT ON FUNCTION sierra_run_job(name, text, text, integer, bigint) IS
    'runs a job of sierra_event_jobs(); returns how many events or steps, null if another session is at it';

CREATE FUNCTION event_runners(
    OUT pid integer, OUT database name, OUT since timestamptz, OUT job text, OUT jobs bigint,
    OUT events bigint, OUT last_error text, OUT last_error_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 2
    AS 'MODULE_PATHNAME', 'event_runners';
COMMENT ON FUNCTION event_runners() IS
    'the runners of the server: where each is and since when, the job it is at (null: none), jobs run and events handled since, its last error; empty without shared_preload_libraries';
REVOKE EXECUTE ON FUNCTION event_runners() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION event_runners() TO pg_read_all_stats;

-- A procedure that commits cannot set a search_path: so every name and every
-- operator here says where it is from.
CREATE PROCEDURE run_event_jobs(store name DEFAULT NULL)
    LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant pg_catalog.name := @extschema@.sierra_require_derived_store(store);
    job pg_catalog.record;
    handled pg_catalog.int8;
    progressed pg_catalog.bool := true;
    due pg_catalog.timestamptz[];
    due_before pg_catalog.timestamptz[];
BEGIN
    LOOP
        -- Also if all that was done is that some have failed, and wait now.
        SELECT coalesce(pg_catalog.array_agg(j.due_at), '{}') INTO due
          FROM @extschema@.sierra_event_jobs(wanted) AS j WHERE j.projection IS NULL;
        EXIT WHEN NOT progressed AND due OPERATOR(pg_catalog.=) due_before;
        due_before := due;
        progressed := false;
        FOR job IN SELECT j.* FROM @extschema@.sierra_event_jobs(wanted) AS j LOOP
            IF coalesce(job.due_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp(), true) THEN
                handled := @extschema@.sierra_run_job(wanted, job.kind, job.projection, job.version,
                                                      job.size);
                progressed := progressed OR coalesce(handled OPERATOR(pg_catalog.>) 0, false);
            END IF;
            COMMIT;
        END LOOP;
        COMMIT;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE run_event_jobs(name) IS
    'runs timers, sagas and projections of mode worker of a store (default: sierra_es.store) until nothing is due, and commits after each bounded job; 2D000 inside a transaction block';
