-- ---------------------------------------------------------------------------
-- Stores: their event tables and the guards of these, how a store is found, made and
-- dropped.
-- ---------------------------------------------------------------------------

-- Unlike current_setting(), this loads the library that defines the setting.
CREATE FUNCTION sierra_internal.current_store() RETURNS name
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_current_store';
COMMENT ON FUNCTION sierra_internal.current_store() IS
    'returns the name of the store that calls use: the setting sierra_es.store';

-- Is there a store of this name?  The columns of its tables, and its partition key, must
-- be exactly those of a store: then to open them calls no code of their owner.
CREATE FUNCTION sierra_internal.is_store(store name) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH tables AS (
        SELECT c.oid, c.relname, c.relkind
          FROM pg_class AS c
          JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = $1
           AND (c.relname::text, c.relkind) IN (('events', 'p'), ('stream_keys', 'r'),
                                                ('event_ids', 'r'), ('event_tags', 'r'),
                                                ('global_position', 'S')))
    SELECT count(*) = 5
           AND (SELECT array_agg(a.attname::text || ' ' || a.atttypid ORDER BY a.attnum)
                  FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid
                 WHERE t.relname = 'events' AND a.attnum BETWEEN 1 AND 14)
               = ARRAY['partition_sequence ' || 'bigint'::regtype::oid, 'stream_version ' || 'bigint'::regtype::oid,
                       'global_position ' || 'bigint'::regtype::oid, 'timestamp ' || 'timestamptz'::regtype::oid,
                       'event_id ' || 'uuid'::regtype::oid, 'partition_key ' || 'uuid'::regtype::oid,
                       'transaction_id ' || 'uuid'::regtype::oid, 'partition_id ' || 'integer'::regtype::oid,
                       'stream_id ' || 'text'::regtype::oid, 'event_name ' || 'text'::regtype::oid,
                       'metadata ' || 'json'::regtype::oid, 'payload ' || 'json'::regtype::oid,
                       'payload_bytes ' || 'bytea'::regtype::oid, 'tags ' || 'text[]'::regtype::oid]
           AND (SELECT array_agg(t.relname || ' ' || a.attname || ' ' || a.atttypid
                                 ORDER BY t.relname, a.attnum)
                  FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid
                 WHERE t.relname IN ('stream_keys', 'event_ids', 'event_tags') AND a.attnum BETWEEN 1 AND 4)
               = ARRAY['event_ids event_id ' || 'uuid'::regtype::oid, 'event_ids partition_id ' || 'integer'::regtype::oid,
                       'event_tags tag ' || 'text'::regtype::oid, 'event_tags global_position ' || 'bigint'::regtype::oid,
                       'event_tags partition_id ' || 'integer'::regtype::oid,
                       'event_tags partition_sequence ' || 'bigint'::regtype::oid,
                       'stream_keys stream_id ' || 'text'::regtype::oid, 'stream_keys partition_key ' || 'uuid'::regtype::oid]
           AND EXISTS (SELECT FROM tables AS t JOIN pg_partitioned_table AS p ON p.partrelid = t.oid
                        WHERE t.relname = 'events' AND p.partstrat = 'l' AND p.partnatts = 1
                          AND p.partattrs[0] = 8)
           AND NOT EXISTS (SELECT FROM pg_inherits AS i
                             JOIN tables AS t ON t.oid = i.inhparent AND t.relname = 'events'
                             JOIN pg_class AS p ON p.oid = i.inhrelid
                            WHERE p.relkind <> 'r')
      FROM tables
$$;
COMMENT ON FUNCTION sierra_internal.is_store(name) IS
    'returns whether a schema has the event tables of a store';

-- pg_has_role() asks the same, but not in the same words in each version of PostgreSQL.
CREATE FUNCTION sierra_internal.can_become(member oid, role oid) RETURNS boolean
    LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'sierra_can_become';
COMMENT ON FUNCTION sierra_internal.can_become(oid, oid) IS
    'returns whether a role can become another one by SET ROLE; false if one of them does not exist';

-- The number of partitions that a store has, attached or not.
CREATE FUNCTION sierra_internal.partition_count(store name) RETURNS integer
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT replace(encode(g.tgargs, 'escape'), E'\\000', '')::integer
      FROM pg_trigger AS g
     WHERE g.tgrelid = to_regclass(format('%I.events', $1))
       AND g.tgfoid = 'sierra_internal.guard_events()'::regprocedure
$$;
COMMENT ON FUNCTION sierra_internal.partition_count(name) IS
    'returns how many partitions a store has, or null if its events have lost their guard';

-- Tables of a store that hold no events, in the order in which they are locked.
CREATE FUNCTION sierra_internal.state_tables() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT '{projections, projection_states, saga_instances, sagas, timers, subscriptions,
             subscription_cursors, subscription_consumers, subscription_streams, aggregates,
             snapshots, upcasters}'::text[]
$$;
COMMENT ON FUNCTION sierra_internal.state_tables() IS
    'returns the names of the tables of a store that hold no events, in the order of locking';

CREATE FUNCTION sierra_internal.missing_tables(store name) RETURNS text[]
    LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'sierra_missing_tables';
COMMENT ON FUNCTION sierra_internal.missing_tables(name) IS
    'returns the names of the tables that a store with events has lost';

-- For functions that need only the events, whatever else the store has lost.
CREATE FUNCTION sierra_internal.find_store(store name) RETURNS name
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_find_store';
COMMENT ON FUNCTION sierra_internal.find_store(name) IS
    'returns the name of a store, by default that of sierra_es.store, if its event tables exist';

CREATE FUNCTION sierra_internal.is_subscribed(store name) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM pg_subscription_rel AS s
                    WHERE s.srrelid = to_regclass(format('%I.events', $1))
                       OR s.srrelid IN (SELECT i.inhrelid FROM pg_inherits AS i
                                         WHERE i.inhparent = to_regclass(format('%I.events', $1))))
$$;
COMMENT ON FUNCTION sierra_internal.is_subscribed(name) IS
    'returns whether a subscription of logical replication writes to a store';

-- Otherwise each projection, saga and timer would fail, and that would count as an attempt.
CREATE FUNCTION sierra_internal.require_no_subscription(store name) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF sierra_internal.is_subscribed(store) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = 'cannot run jobs while logical replication writes to the store',
            DETAIL = format('Timers, sagas and projections of store "%s" run on the publisher.', store),
            HINT = 'Run them on the publisher, or drop the subscription first.';
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_internal.require_no_subscription(name) IS
    'raises an error if a subscription of logical replication writes to a store';

CREATE FUNCTION sierra_internal.require_store(store name DEFAULT NULL) RETURNS name
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_require_store';
COMMENT ON FUNCTION sierra_internal.require_store(name) IS
    'returns the name of a store, by default that of sierra_es.store, if it is complete';

-- For functions that answer that something is stored already: another session may
-- have committed it with synchronous_commit = off.
CREATE FUNCTION sierra_internal.make_durable() RETURNS void
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_make_durable_sql';
COMMENT ON FUNCTION sierra_internal.make_durable() IS
    'waits until all that is committed is as durable as synchronous_commit says';

-- The event tables of a store, in an existing schema.
CREATE FUNCTION sierra_internal.create_event_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- lz4 if the server was built with it, otherwise the server's default.
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
        ' payload_bytes bytea%2$s,'
        ' tags text[] COLLATE "C"'
        ') PARTITION BY LIST (partition_id)', store, compression);
    EXECUTE format('CREATE TABLE %I.stream_keys ('
                   ' stream_id text COLLATE "C" PRIMARY KEY,'
                   ' partition_key uuid NOT NULL)', store);
    EXECUTE format('CREATE TABLE %I.event_ids ('
                   ' event_id uuid PRIMARY KEY,'
                   ' partition_id integer NOT NULL)', store);
    -- Read by its index only, which so has all columns.
    EXECUTE format('CREATE TABLE %I.event_tags ('
                   ' tag text COLLATE "C" NOT NULL,'
                   ' global_position bigint NOT NULL,'
                   ' partition_id integer NOT NULL,'
                   ' partition_sequence bigint NOT NULL,'
                   ' PRIMARY KEY (tag, global_position, partition_id, partition_sequence))', store);
    EXECUTE format('CREATE SEQUENCE %I.global_position AS bigint MINVALUE 0 START WITH 0', store);

    EXECUTE format('COMMENT ON TABLE %I.events IS %L', store,
                   'the events of this store; INSERT on it lets a role append, SELECT read');
    EXECUTE format('COMMENT ON TABLE %I.stream_keys IS %L', store,
                   'streams whose partition key is not that of their name');
    EXECUTE format('COMMENT ON TABLE %I.event_ids IS %L', store,
                   'partitions of event ids that clients chose, unless an id leads to its partition');
    EXECUTE format('COMMENT ON TABLE %I.event_tags IS %L', store,
                   'tags of events, with the place of the event');
    EXECUTE format('COMMENT ON SEQUENCE %I.global_position IS %L', store,
                   'gives out the global positions of this store');
END
$$;
COMMENT ON FUNCTION sierra_internal.create_event_tables(name) IS
    'creates the event tables of a store, without partitions';

-- All partitions: tables and unique indexes.  Partitions are not added to a store later.
CREATE FUNCTION sierra_internal.create_partitions(store name, partitions integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- An event is written once and never updated: freeze it at the first vacuum, and
    -- do not lock readers out to give back pages that appends will need.
    settings constant text :=
        'vacuum_truncate = off, autovacuum_freeze_min_age = 0, toast.vacuum_truncate = off,'
        ' toast.autovacuum_freeze_min_age = 0';
    relation text;
BEGIN
    FOR partition_id IN 0 .. partitions - 1 LOOP
        relation := format('%I.%I', store, 'events_' || partition_id);
        EXECUTE format('CREATE TABLE %s PARTITION OF %I.events FOR VALUES IN (%s) WITH (%s)',
                       relation, store, partition_id, settings);
        EXECUTE format(
            'ALTER TABLE %s'
            ' ADD CONSTRAINT %I PRIMARY KEY (partition_sequence) WITH (fillfactor = 100),'
            ' ADD CONSTRAINT %I UNIQUE (stream_id, stream_version),'
            ' ADD CONSTRAINT %I UNIQUE (event_id)',
            relation, format('events_%s_sequence', partition_id), format('events_%s_stream', partition_id),
            format('events_%s_event_id', partition_id));
    END LOOP;
END
$$;
COMMENT ON FUNCTION sierra_internal.create_partitions(name, integer) IS
    'creates the partitions of a store';

-- What is in a schema depends on it, and so do default privileges and publications for it.
CREATE FUNCTION sierra_internal.require_empty_schema(name name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    others bigint;
    example text;
BEGIN
    SELECT count(*), min(pg_describe_object(d.classid, d.objid, d.objsubid))
      INTO others, example
      FROM pg_depend AS d
     WHERE d.refclassid = 'pg_namespace'::regclass
       AND d.refobjid = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = name)
       AND d.classid NOT IN ('pg_default_acl'::regclass, 'pg_publication_namespace'::regclass);
    IF others > 0 THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('schema "%s" is not empty', name),
            DETAIL = CASE others WHEN 1 THEN format('It has %s.', example)
                                 ELSE format('It has %s objects, such as %s.', others, example) END,
            HINT = 'A store needs a schema of its own. Choose another name: the schema is made with the store.';
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_internal.require_empty_schema(name) IS
    'raises an error if a schema has anything in it';

CREATE FUNCTION create_event_store(name name DEFAULT 'es', partitions integer DEFAULT 32)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    schema_owner oid := (SELECT n.nspowner FROM pg_namespace AS n WHERE n.nspname = name);
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
    IF sierra_internal.is_store(name) THEN
        RAISE duplicate_object USING
            MESSAGE = format('event store "%s" already exists', name);
    END IF;
    IF starts_with(name, 'pg_') THEN
        RAISE reserved_name USING
            MESSAGE = format('unacceptable store name "%s"', name),
            DETAIL = 'A store is a schema, and the prefix "pg_" is reserved for system schemas.';
    END IF;

    IF schema_owner = 'pg_database_owner'::regrole THEN
        schema_owner := (SELECT d.datdba FROM pg_database AS d WHERE d.datname = current_database());
    END IF;
    IF NOT sierra_internal.can_become(schema_owner, quote_ident(current_user)::regrole) THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('schema "%s" belongs to role "%s"', name, pg_get_userbyid(schema_owner)),
            DETAIL = format('It could replace the tables of a store of role "%s".', current_user),
            HINT = format('Create the store as role "%s".', pg_get_userbyid(schema_owner));
    END IF;
    PERFORM sierra_internal.require_empty_schema(name);
    BEGIN
        IF schema_owner IS NULL THEN
            EXECUTE format('CREATE SCHEMA %I', name);
            EXECUTE format('COMMENT ON SCHEMA %I IS %L', name, 'event store');
        END IF;
        PERFORM sierra_internal.create_event_tables(name);
    EXCEPTION WHEN unique_violation OR duplicate_schema OR duplicate_table THEN
        RAISE duplicate_object USING
            MESSAGE = format('event store "%s" already exists', name),
            DETAIL = format('Another session has made it, or has filled schema "%s", at the same time.', name);
    END;
    PERFORM sierra_internal.create_subscription_tables(name);
    PERFORM sierra_internal.create_aggregate_tables(name);
    PERFORM sierra_internal.create_upcaster_table(name);
    PERFORM sierra_internal.create_timer_table(name);
    PERFORM sierra_internal.create_projection_tables(name);
    PERFORM sierra_internal.create_saga_tables(name);
    PERFORM sierra_internal.create_partitions(name, partitions);
    PERFORM @extschema@.guard_event_store(name);
END
$$;
COMMENT ON FUNCTION create_event_store(name, integer) IS
    'creates an event store in a schema of this name, owned by the caller';

-- Locks the events of a store, and runs what locks its other tables.
-- Appends lock events first, and then the tables that inline projections need.
-- Runners lock the tables of a job first, and then events.  So no order is right for
-- both: this gives up before a deadlock is detected, and tries the other order.
CREATE FUNCTION sierra_internal.lock_store(store name, lock_others text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    patience constant text := current_setting('lock_timeout');
    began constant timestamptz := clock_timestamp();
    -- In whole milliseconds, and at least 1, because 0 means no limit.  It grows, because
    -- the shorter it is, the sooner the right order is tried.
    longest constant integer := greatest(
        1, floor(extract(epoch FROM current_setting('deadlock_timeout')::interval) * 500));
    brief integer := greatest(1, longest / 16);
    lock_events constant text := format('LOCK TABLE %I.events IN ACCESS EXCLUSIVE MODE', store);
    events_first boolean := true;
    half boolean;
BEGIN
    LOOP
        half := false;
        BEGIN
            EXECUTE CASE WHEN events_first THEN lock_events ELSE lock_others END;
            half := true;
            PERFORM set_config('lock_timeout', brief::text, true);
            EXECUTE CASE WHEN events_first THEN lock_others ELSE lock_events END;
            PERFORM set_config('lock_timeout', patience, true);
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF NOT half AND SQLSTATE = '55P03'
               OR patience <> '0' AND clock_timestamp() - began > patience::interval THEN
                RAISE;
            END IF;
        END;
        events_first := NOT events_first;
        brief := least(brief * 2, longest);
    END LOOP;
END
$$;
COMMENT ON FUNCTION sierra_internal.lock_store(name, text) IS
    'locks the events of a store until the transaction ends, with what a statement locks';

-- All other tables; a store that has lost some of them can be dropped too.
CREATE FUNCTION sierra_internal.lock_store_to_drop(store name) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sierra_internal.lock_store($1, (
        SELECT format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE',
                      coalesce(string_agg(format('%I.%I', $1, t.name), ', ' ORDER BY t.place),
                               format('%I.events', $1)))
          FROM unnest(sierra_internal.state_tables()) WITH ORDINALITY AS t (name, place)
         WHERE t.name <> ALL (sierra_internal.missing_tables($1))))
$$;
COMMENT ON FUNCTION sierra_internal.lock_store_to_drop(name) IS
    'locks all tables of a store until the transaction ends';

CREATE FUNCTION drop_event_store(name name, force boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    -- Events that a policy hides must not count as none.
    SET row_security = off
    -- The guard against DROP lets it pass.
    SET sierra_es.restore = on
AS $$
#variable_conflict use_variable
DECLARE
    has_events boolean;
BEGIN
    PERFORM sierra_internal.require_value('name', name IS NULL);
    PERFORM sierra_internal.find_store(name);
    -- Appends in flight end first, and no other append begins.
    PERFORM sierra_internal.lock_store_to_drop(name);
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
    EXECUTE (SELECT format('DROP TABLE %s', string_agg(format('%I.%I', name, t.name), ', '))
               FROM unnest('{events, stream_keys, event_ids, event_tags}' || sierra_internal.state_tables()) AS t (name)
              WHERE t.name <> ALL (sierra_internal.missing_tables(name)));
    EXECUTE format('DROP SEQUENCE %I.global_position', name);
    -- The schema is dropped too if create_event_store() made it and nothing else is in it.
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
    'drops a store; a store with events only if forced';

CREATE FUNCTION event_partitions(store name DEFAULT NULL)
    RETURNS TABLE (partition_id integer, events bigint, last_sequence bigint,
                   last_position bigint, bytes bigint)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_event_partitions';
COMMENT ON FUNCTION event_partitions(name) IS
    'returns the partitions of a store with their number of events, last numbers and size';

CREATE FUNCTION sierra_internal.store_numbers(
    store name, OUT partitions integer, OUT events bigint, OUT last_position bigint, OUT bytes bigint)
    LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'sierra_store_numbers';
COMMENT ON FUNCTION sierra_internal.store_numbers(name) IS
    'returns how large a store is, without waiting for a lock, and without running code of its owner';

CREATE FUNCTION event_stores()
    RETURNS TABLE (store name, owner name, partitions integer, events bigint,
                   last_position bigint, bytes bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    monitor constant boolean := pg_has_role('pg_monitor', 'USAGE');
BEGIN
    -- Only catalogs are read here: the caller does not trust the owners of all stores.
    FOR store, owner IN
        SELECT n.nspname, pg_get_userbyid(c.relowner)
          FROM pg_namespace AS n
          JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'events'
         WHERE sierra_internal.is_store(n.nspname)
           AND (monitor
                OR has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
                   AND NOT row_security_active(c.oid))
         ORDER BY n.nspname
    LOOP
        partitions := NULL;
        events := NULL;
        last_position := NULL;
        bytes := NULL;
        BEGIN
            SELECT s.partitions, s.events, s.last_position, s.bytes
              INTO partitions, events, last_position, bytes
              FROM sierra_internal.store_numbers(store) AS s;
        EXCEPTION WHEN OTHERS THEN
            -- A store that is damaged must not hide the others.
            IF SQLSTATE LIKE '40%' THEN
                RAISE;
            END IF;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION event_stores() IS
    'returns the stores of this database whose events the caller may all read; all for a monitor';
