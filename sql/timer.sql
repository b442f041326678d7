-- ---------------------------------------------------------------------------
-- Timers: events that are appended when they are due.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.create_timer_table(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
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
        ' tags text[] COLLATE "C",'
        ' attempts integer NOT NULL DEFAULT 0,'
        ' interruptions integer NOT NULL DEFAULT 0,'
        ' last_error text,'
        ' created_at timestamptz NOT NULL DEFAULT clock_timestamp())', store);
    EXECUTE format('CREATE INDEX timers_run_at ON %I.timers (run_at, created_at, timer_id)', store);
    EXECUTE format('COMMENT ON TABLE %I.timers IS %L', store,
                   'events that will be appended when they are due; INSERT on it lets a role schedule');
END
$$;
COMMENT ON FUNCTION sierra_internal.create_timer_table(name) IS
    'creates the table of a store for timers';

CREATE FUNCTION sierra_internal.check_new_event(stream_id text, event_name text, payload json,
                                                payload_bytes bytea, partition_key text, metadata json) RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_check_new_event';
COMMENT ON FUNCTION sierra_internal.check_new_event(text, text, json, bytea, text, json) IS
    'raises the error that appending such an event would raise, if that is known before';

CREATE FUNCTION sierra_internal.check_tags(tags text[]) RETURNS text[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_check_tags';
COMMENT ON FUNCTION sierra_internal.check_tags(text[]) IS
    'returns tags as an append stores them, or raises the error that it would raise';

CREATE FUNCTION sierra_internal.complete_metadata(metadata json) RETURNS json
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_complete_metadata';
COMMENT ON FUNCTION sierra_internal.complete_metadata(json) IS
    'returns metadata with the members of sierra_es.metadata that it lacks';

CREATE FUNCTION sierra_internal.lock_streams(stream_ids text[], partition_keys text[], tags text[])
    RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_lock_streams';
COMMENT ON FUNCTION sierra_internal.lock_streams(text[], text[], text[]) IS
    'locks tags and the partitions of streams in the order of an append, so that appends cannot deadlock';

-- The event gets the id of the timer.  So if the append is tried twice, the second
-- one finds the event of the first.
CREATE FUNCTION eschedule(at timestamptz,
                          stream_id text,
                          event_name text,
                          payload sierra_json DEFAULT NULL,
                          metadata sierra_json DEFAULT NULL,
                          partition_key text DEFAULT NULL,
                          payload_bytes bytea DEFAULT NULL,
                          timer_id uuid DEFAULT NULL,
                          tags text[] DEFAULT NULL)
    RETURNS uuid
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    id constant uuid := coalesce(timer_id, @extschema@.sierra_event_id(
        CASE WHEN partition_key <> '' THEN @extschema@.sierra_partition_key(partition_key)
             ELSE @extschema@.sierra_stream_key(stream_id) END));
    added bigint;
    same boolean;
BEGIN
    -- The setting of this session counts, not that of the session that runs timers.
    metadata := sierra_internal.complete_metadata(metadata);
    PERFORM sierra_internal.require_value('at', at IS NULL);
    IF NOT isfinite(at) THEN
        RAISE datetime_field_overflow USING
            MESSAGE = 'a timer needs a finite time',
            DETAIL = format('The value is %s.', at);
    END IF;
    PERFORM sierra_internal.check_new_event(stream_id, event_name, payload, payload_bytes,
                                            partition_key, metadata);
    tags := sierra_internal.check_tags(tags);
    PERFORM @extschema@.sierra_call_runners();
    EXECUTE format('INSERT INTO %I.timers (timer_id, due_at, run_at, stream_id, event_name, payload,'
                   '                       payload_bytes, metadata, partition_key, tags)'
                   ' VALUES ($1, $2, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING', store)
      USING id, at, stream_id, event_name, payload, payload_bytes, metadata, partition_key, tags;
    IF timer_id IS NULL THEN
        RETURN id;
    END IF;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF added > 0 THEN
        -- The timer may have run already: then its event is in the store.
        EXECUTE 'SELECT (e.stream_id, e.event_name, e.payload::text, e.payload_bytes, e.metadata::text, e.tags)'
                '       IS NOT DISTINCT FROM ($2, $3, $4::text, $5, $6::text, $7)'
                '  FROM @extschema@.eget($1) AS e'
           INTO same USING id, stream_id, event_name, payload, payload_bytes, metadata, tags;
        IF same IS NULL THEN
            RETURN id;
        END IF;
        EXECUTE format('DELETE FROM %I.timers AS t WHERE t.timer_id = $1', store) USING id;
    ELSE
        EXECUTE format('SELECT (t.due_at, t.stream_id, t.event_name, t.payload::text, t.payload_bytes,'
                       '        t.metadata::text, t.partition_key, t.tags)'
                       '       IS NOT DISTINCT FROM ($2, $3, $4, $5::text, $6, $7::text, $8, $9)'
                       '  FROM %I.timers AS t WHERE t.timer_id = $1', store)
           INTO same USING id, at, stream_id, event_name, payload, payload_bytes, metadata,
                           partition_key, tags;
    END IF;
    IF NOT coalesce(same, false) THEN
        RAISE duplicate_object USING
            MESSAGE = format('timer %s already exists', id),
            DETAIL = 'It has another time or event, or another event has its id.',
            HINT = 'Cancel it with ecancel() first, or choose another id.';
    END IF;
    PERFORM sierra_internal.make_durable();
    RETURN id;
END
$$;
COMMENT ON FUNCTION eschedule(timestamptz, text, text, sierra_json, sierra_json, text, bytea, uuid, text[]) IS
    'schedules an event to be appended at some time, and returns the id that the timer and the event have';

CREATE FUNCTION ecancel(timer_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    cancelled bigint;
BEGIN
    EXECUTE format('DELETE FROM %I.timers AS t WHERE t.timer_id = $1', store) USING timer_id;
    GET DIAGNOSTICS cancelled = ROW_COUNT;
    IF cancelled = 0 THEN
        -- It may have run just now: then its event must not get lost any more.
        PERFORM sierra_internal.make_durable();
    END IF;
    RETURN cancelled > 0;
END
$$;
COMMENT ON FUNCTION ecancel(uuid) IS 'cancels a timer; false if there is none';

-- Appends the events of these timers, in order, and deletes the timers.
CREATE FUNCTION sierra_internal.append_timers_body(store name, timer_ids uuid[]) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    appended bigint;
BEGIN
    -- Strict versioning wants versions.  They are exact, because the partitions are
    -- locked and this statement sees all earlier events.
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
        '       t.timer_id, t.partition_key, NULL, t.payload_bytes, t.tags) AS r', store)
       INTO appended USING timer_ids, current_setting('sierra_es.strict_versioning')::boolean;
    EXECUTE format('DELETE FROM %I.timers AS t WHERE t.timer_id = ANY ($1)', store) USING timer_ids;
    RETURN appended;
END
$$;
COMMENT ON FUNCTION sierra_internal.append_timers_body(name, uuid[]) IS
    'does what append_timers() does, as the current user';

CREATE FUNCTION sierra_internal.append_timers(store name, timer_ids uuid[]) RETURNS bigint
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_call_in_time';
COMMENT ON FUNCTION sierra_internal.append_timers(name, uuid[]) IS
    'appends the events of timers, deletes the timers, and returns how many';

-- Keeps a timer whose event could not be appended.
CREATE FUNCTION sierra_internal.postpone_timer(store name, timer_id uuid, error text, transient boolean)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('UPDATE %I.timers AS t SET last_error = $2,'
                   ' attempts = CASE WHEN $3 THEN t.attempts ELSE t.attempts + 1 END,'
                   ' interruptions = CASE WHEN $3 THEN t.interruptions + 1 ELSE 0 END,'
                   ' run_at = clock_timestamp()'
                   '          + CASE WHEN $3 THEN sierra_internal.interruption_pause(t.interruptions + 1)'
                   '                 ELSE sierra_internal.retry_pause(t.attempts + 1, ''1 second'') END'
                   ' WHERE t.timer_id = $1', store)
      USING timer_id, error, transient;
END
$$;
COMMENT ON FUNCTION sierra_internal.postpone_timer(name, uuid, text, boolean) IS
    'records why the event of a timer could not be appended, and when to try again';

CREATE FUNCTION sierra_internal.run_timers_body(max_count integer) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    due uuid[];
    stream_ids text[];
    partition_keys text[];
    tags text[];
    timer uuid;
    appended bigint := 0;
    transient boolean;
BEGIN
    PERFORM sierra_internal.require_value('max_count', max_count IS NULL);
    IF max_count < 0 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_count must not be negative',
            DETAIL = format('It is %s.', max_count);
    END IF;
    PERFORM sierra_internal.require_no_subscription(store);
    -- Another session appends or cancels the timers that it has locked.
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
    EXECUTE format('SELECT coalesce(array_agg(DISTINCT tag), ''{}'')'
                   '  FROM %I.timers AS t, unnest(t.tags) AS tag'
                   ' WHERE t.timer_id = ANY ($1) AND tag IS NOT NULL', store)
       INTO tags USING due;
    PERFORM sierra_internal.lock_streams(stream_ids, partition_keys, tags);
    -- All together, as a rule.  If that fails, one by one, to find the one that fails.
    BEGIN
        RETURN sierra_internal.append_timers(store, due);
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        IF sierra_internal.must_repeat_transaction(SQLSTATE) THEN
            RAISE;
        END IF;
    END;
    FOREACH timer IN ARRAY due LOOP
        BEGIN
            appended := appended + sierra_internal.append_timers(store, ARRAY[timer]);
        EXCEPTION WHEN OTHERS OR assert_failure THEN
            IF sierra_internal.must_repeat_transaction(SQLSTATE) THEN
                RAISE;
            END IF;
            transient := sierra_internal.is_transient_error(SQLSTATE);
            PERFORM sierra_internal.postpone_timer(store, timer, format('%s (%s)', SQLERRM, SQLSTATE),
                                                   transient);
            IF transient THEN
                RAISE WARNING USING
                    ERRCODE = SQLSTATE,
                    MESSAGE = format('timer %s was interrupted', timer),
                    DETAIL = SQLERRM;
                -- The caller can commit what is done, and free its locks.
                RETURN appended;
            END IF;
        END;
        EXIT WHEN sierra_internal.job_time_is_over();
    END LOOP;
    RETURN appended;
END
$$;
COMMENT ON FUNCTION sierra_internal.run_timers_body(integer) IS
    'does what run_timers() does, as the current user';

CREATE FUNCTION run_timers(max_count integer DEFAULT 1000) RETURNS bigint
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_run_as_owner';
COMMENT ON FUNCTION run_timers(integer) IS
    'appends the events of timers that are due, each exactly once, and returns how many';

CREATE FUNCTION sierra_internal.event_timers_body(store name) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.require_store(store);
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
COMMENT ON FUNCTION sierra_internal.event_timers_body(name) IS
    'does what event_timers() does, as the current user';

CREATE FUNCTION event_timers(store name DEFAULT NULL)
    RETURNS TABLE (timer_id uuid, due_at timestamptz, state text, stream_id text, event_name text,
                   overdue interval, attempts integer, run_at timestamptz, last_error text,
                   created_at timestamptz)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show';
COMMENT ON FUNCTION event_timers(name) IS
    'returns the timers of a store: when they are due, whether they fail, and why';
