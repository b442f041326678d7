
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
        ' kind text NOT NULL CHECK (kind IN (''event'', ''batch'', ''fold'')),'
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
    SELECT count(*) = 2
      FROM pg_class AS c
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname IN ('projections', 'projection_states')
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
        RAISE EXCEPTION USING
            ERRCODE = 'SE005',
            MESSAGE = format('event store "%s" has no tables for projections', wanted),
            DETAIL = 'It was made by an older version of sierra_es.',
            HINT = format('As its owner, add them with SELECT upgrade_event_store(%L).', wanted);
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
                                      owner name, handler regprocedure, streams text[],
                                      event_names text[], mode text, key text, initial jsonb,
                                      start_from text, batch_size integer, on_error text,
                                      max_attempts integer, retry_after interval,
                                      automatic boolean, search_path text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subscription constant text := format('projection:%s:%s', projection, version);
    kind constant text := @extschema@.sierra_handler_kind(handler);
    known boolean;
BEGIN
    PERFORM @extschema@.sierra_check_projection_owner(store, owner);
    IF key IS NOT NULL AND kind <> 'fold' THEN
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
END
$$;
COMMENT ON FUNCTION sierra_add_projection(name, text, integer, boolean, name, regprocedure, text[], text[], text, text, jsonb, text, integer, text, integer, interval, boolean, text) IS
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
            DETAIL = format('Its handler failed for an event that is stored: %s.', failure);
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
        store, projection, 1, true, current_user, handler, streams, event_names, mode, key, initial,
        start_from, batch_size, on_error, max_attempts, retry_after, false, search_path);
    IF mode = 'inline' THEN
        PERFORM @extschema@.sierra_go_inline(store, projection, 1);
    END IF;
END
$$;
COMMENT ON FUNCTION create_projection(text, regprocedure, text[], text[], text, text, jsonb, text, integer, text, integer, interval, text) IS
    'makes a projection: a handler that gets events of streams (patterns; null: all) and event names (null: all), each exactly once; handler(sierra_event), handler(sierra_event[]) or, to fold states by key, handler(jsonb, sierra_event); runs as who creates it';

-- Running.

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
BEGIN
    EXECUTE format('SELECT array_agg(p.version ORDER BY p.live DESC) FROM %I.projections AS p'
                   ' WHERE p.projection = $1', store) INTO versions USING projection;
    IF versions IS NULL THEN
        PERFORM @extschema@.sierra_report_no_projection(store, projection);
    END IF;
    FOREACH version IN ARRAY versions LOOP
        handled := handled + @extschema@.sierra_run(projection, version, max_count);
    END LOOP;
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

CREATE FUNCTION run_projections(max_count bigint DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_projections();
    due record;
    free boolean;
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
        BEGIN
            -- Another session runs it already, or has just done so.
            EXECUTE format('SELECT true FROM %I.projections AS p WHERE p.projection = $1 AND p.version = $2'
                           '   AND (p.retry_at IS NULL OR p.retry_at <= clock_timestamp())'
                           ' FOR NO KEY UPDATE SKIP LOCKED', store)
               INTO free USING due.projection, due.version;
            IF free THEN
                handled := handled + @extschema@.sierra_run(due.projection, due.version, max_count);
            END IF;
        EXCEPTION
            -- Says nothing about the projection, and comes again by itself, with the next call.
            WHEN transaction_rollback OR insufficient_resources OR lock_not_available THEN
                RAISE WARNING USING
                    ERRCODE = SQLSTATE,
                    MESSAGE = format('projection "%s" was not run', due.projection),
                    DETAIL = SQLERRM;
            WHEN OTHERS THEN
                RAISE WARNING USING
                    ERRCODE = SQLSTATE,
                    MESSAGE = format('projection "%s" cannot be run', due.projection),
                    DETAIL = SQLERRM;
                PERFORM @extschema@.sierra_projection_failed(store, due.projection, due.version,
                                                             format('%s: %s', SQLSTATE, SQLERRM));
        END;
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
BEGIN
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

-- Operation.

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
        store, projection, building, false, live.owner, coalesce(handler, live.handler::regprocedure),
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

CREATE FUNCTION sierra_create_derived_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.sierra_create_aggregate_tables(store);
    PERFORM @extschema@.sierra_create_projection_tables(store);
END
$$;
COMMENT ON FUNCTION sierra_create_derived_tables(name) IS
    'makes the tables of a store that states derived from events are kept in; create_event_store() calls it';
