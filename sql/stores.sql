-- ---------------------------------------------------------------------------
-- Making and dropping stores
-- ---------------------------------------------------------------------------

CREATE FUNCTION create_event_store(name name DEFAULT 'es', partitions integer DEFAULT 32)
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
    PERFORM @extschema@.sierra_create_event_tables(name);
    PERFORM @extschema@.sierra_create_subscription_tables(name);
    PERFORM @extschema@.sierra_create_aggregate_tables(name);
    PERFORM @extschema@.sierra_create_upcaster_table(name);
    PERFORM @extschema@.sierra_create_timer_table(name);
    PERFORM @extschema@.sierra_create_projection_tables(name);
    PERFORM @extschema@.sierra_create_saga_tables(name);
    FOR i IN 0 .. partitions - 1 LOOP
        PERFORM @extschema@.sierra_create_partition(name, i);
    END LOOP;
    PERFORM @extschema@.guard_event_store(name);
END
$$;
COMMENT ON FUNCTION create_event_store(name, integer) IS
    'makes an event store: a schema of this name with 1 to 1024 partitions, owned by the caller';

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
    -- A store that has lost some of them can be dropped too.
    others constant text := coalesce((
        SELECT string_agg(format('%I.%I', store, t.name), ', ' ORDER BY t.place)
          FROM unnest(@extschema@.sierra_state_tables()) WITH ORDINALITY AS t (name, place)
         WHERE t.name <> ALL (@extschema@.sierra_missing_tables(store))), events);
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

CREATE FUNCTION drop_event_store(name name, force boolean DEFAULT false) RETURNS void
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
    PERFORM @extschema@.sierra_find_store(name);
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
    EXECUTE (SELECT format('DROP TABLE %s', string_agg(format('%I.%I', name, t.name), ', '))
               FROM unnest('{events, stream_keys, event_ids}' || @extschema@.sierra_state_tables()) AS t (name)
              WHERE t.name <> ALL (@extschema@.sierra_missing_tables(name)));
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
