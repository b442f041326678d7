-- ---------------------------------------------------------------------------
-- Projections: their tables, definitions, and the triggers of inline projections.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.inline_trigger_name(projection text) RETURNS name
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT ('sierra_projection_' || md5($1))::name $$;
COMMENT ON FUNCTION sierra_internal.inline_trigger_name(text) IS
    'returns the name of the trigger of an inline projection';

CREATE FUNCTION sierra_internal.create_inline_trigger(store name, projection text, event_names text[],
                                                      tags text[])
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- OR REPLACE: a rebuilt version may want other events than the version before.
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT ON %I.events FOR EACH ROW %s'
                   ' EXECUTE FUNCTION sierra_internal.project_inline(%L)',
                   sierra_internal.inline_trigger_name(projection), store,
                   format('WHEN (' || nullif(concat_ws(' AND ',
                       CASE WHEN event_names IS NOT NULL THEN 'NEW.event_name = ANY (%1$L::text[])' END,
                       CASE WHEN tags IS NOT NULL THEN 'NEW.tags && %2$L::text[]' END), '') || ')',
                       event_names, tags),
                   projection);
END
$$;
COMMENT ON FUNCTION sierra_internal.create_inline_trigger(name, text, text[], text[]) IS
    'creates the trigger of an inline projection';

CREATE FUNCTION sierra_internal.restore_inline_triggers(store name) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lost record;
    restored integer := 0;
BEGIN
    FOR lost IN EXECUTE format(
        'SELECT p.projection, p.event_names, p.tags FROM %1$I.projections AS p'
        ' WHERE p.live AND p.mode = ''inline'' AND p.subscription IS NULL'
        '   AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = to_regclass($1)'
        '                    AND t.tgfoid = ''sierra_internal.project_inline()''::regprocedure'
        '                    AND t.tgname = sierra_internal.inline_trigger_name(p.projection))', store)
      USING format('%I.events', store) LOOP
        PERFORM sierra_internal.create_inline_trigger(store, lost.projection, lost.event_names, lost.tags);
        restored := restored + 1;
    END LOOP;
    RETURN restored;
END
$$;
COMMENT ON FUNCTION sierra_internal.restore_inline_triggers(name) IS
    'puts back the lost triggers of inline projections, and returns how many';

CREATE FUNCTION sierra_internal.create_projection_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE %I.projections ('
        ' projection text COLLATE "C" NOT NULL,'
        ' version integer NOT NULL CHECK (version > 0),'
        ' live boolean NOT NULL,'
        ' owner regrole NOT NULL,'
        ' kind text NOT NULL CHECK (kind IN (''event'', ''batch'', ''fold'', ''process'')),'
        ' handler text NOT NULL,'
        ' key text,'
        ' initial jsonb,'
        ' streams text[],'
        ' event_names text[],'
        ' tags text[],'
        ' search_path text NOT NULL,'
        ' mode text NOT NULL CHECK (mode IN (''background'', ''manual'', ''inline'')),'
        ' subscription text COLLATE "C",'
        ' batch_size integer NOT NULL CHECK (batch_size BETWEEN 1 AND 100000),'
        ' on_error text NOT NULL CHECK (on_error IN (''stop'', ''park'')),'
        ' max_attempts integer NOT NULL CHECK (max_attempts > 0),'
        ' retry_after interval NOT NULL,'
        ' automatic boolean NOT NULL,'
        ' state text NOT NULL CHECK (state IN (''running'', ''retrying'', ''stopped'', ''paused'')),'
        ' attempts integer NOT NULL DEFAULT 0,'
        ' interruptions integer NOT NULL DEFAULT 0,'
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
                   'projections: what they run, as which role, and their progress; one version is live,'
                   ' another one may be being built');
    EXECUTE format('COMMENT ON TABLE %I.projection_states IS %L', store,
                   'states of folding projections, by version and key, and the last event in each');
END
$$;
COMMENT ON FUNCTION sierra_internal.create_projection_tables(name) IS
    'creates the tables of a store for projections';

CREATE FUNCTION sierra_internal.report_no_projection(store name, projection text) RETURNS void
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
COMMENT ON FUNCTION sierra_internal.report_no_projection(name, text) IS
    'raises the error that a projection does not exist';

-- Locks the row of the live version, FOR UPDATE if it is to be dropped.  If another
-- version takes over while this waits, the row is gone, and it looks for the other.
CREATE FUNCTION sierra_internal.lock_live_version(store name, projection text, strength text)
    RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    version integer;
    live integer;
    live_before integer;
BEGIN
    LOOP
        EXECUTE format('SELECT p.version FROM %I.projections AS p WHERE p.projection = $1 AND p.live FOR %s',
                       store, strength) INTO version USING projection;
        IF version IS NOT NULL THEN
            RETURN version;
        END IF;
        EXECUTE format('SELECT p.version FROM %I.projections AS p WHERE p.projection = $1 AND p.live', store)
           INTO live USING projection;
        IF live IS NULL THEN
            PERFORM sierra_internal.report_no_projection(store, projection);
        END IF;
        IF live = live_before THEN
            RAISE insufficient_privilege USING
                MESSAGE = format('cannot lock projection "%s"', projection),
                DETAIL = format('A policy of table %I.projections lets this role read its row, but not change it.',
                                store),
                HINT = 'Do this as the owner of the store.';
        END IF;
        live_before := live;
    END LOOP;
END
$$;
COMMENT ON FUNCTION sierra_internal.lock_live_version(name, text, text) IS
    'locks the row of the live version of a projection, and returns the version';

CREATE FUNCTION sierra_internal.handler_kind(handler regprocedure) RETURNS text
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
            MESSAGE = format('function %s is not a handler', handler),
            HINT = 'A handler takes (sierra_event), (sierra_event[]), or (jsonb, sierra_event) and then returns jsonb; it does not return a set.';
    END IF;
    RETURN kind;
END
$$;
COMMENT ON FUNCTION sierra_internal.handler_kind(regprocedure) IS
    'returns what a handler takes: event, batch or fold';

CREATE FUNCTION sierra_internal.check_projection_arguments(projection text, mode text, batch_size integer,
                                                           on_error text, max_attempts integer, retry_after interval)
    RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sierra_internal.require_value('projection', projection IS NULL);
    PERFORM sierra_internal.require_value('mode', mode IS NULL);
    PERFORM sierra_internal.require_value('batch_size', batch_size IS NULL);
    PERFORM sierra_internal.require_value('on_error', on_error IS NULL);
    PERFORM sierra_internal.require_value('max_attempts', max_attempts IS NULL);
    PERFORM sierra_internal.require_value('retry_after', retry_after IS NULL);
    IF octet_length(projection) NOT BETWEEN 1 AND 200
       OR projection ~ E'[\\u0001-\\u001f\\u007f-\\u009f]' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the name of a projection has 1 to 200 bytes and no control characters',
            DETAIL = format('It has %s bytes.', octet_length(projection));
    END IF;
    IF mode NOT IN ('background', 'manual', 'inline') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('"%s" is not a mode of a projection', mode),
            HINT = 'Use ''background'', ''manual'' or ''inline''.';
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
COMMENT ON FUNCTION sierra_internal.check_projection_arguments(text, text, integer, text, integer, interval) IS
    'raises an error unless the arguments of a projection are within bounds';

-- Makes a version of a projection: its row, and the subscription that feeds it.
CREATE FUNCTION sierra_internal.add_projection_version(store name, projection text, version integer, live boolean,
                                                       owner regrole, kind text, handler regprocedure,
                                                       streams text[], event_names text[], tags text[], mode text, key text, initial jsonb,
                                                       start_from start_position, batch_size integer, on_error text,
                                                       max_attempts integer, retry_after interval,
                                                       automatic boolean, search_path text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subscription constant text := format('projection:%s:%s', projection, version);
    left_over boolean;
BEGIN
    PERFORM sierra_internal.check_owner(store, 'projection', owner);
    IF key IS NOT NULL AND kind NOT IN ('fold', 'process') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'only a fold has a key',
            DETAIL = format('The handler %s keeps no states.', handler);
    END IF;
    BEGIN
        EXECUTE format('INSERT INTO %I.projections (projection, version, live, owner, kind, handler,'
                       ' key, initial, streams, event_names, tags, search_path, mode, subscription,'
                       ' batch_size, on_error, max_attempts, retry_after, automatic, state)'
                       ' VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15,'
                       ' $16, $17, $18, $19, ''running'')', store)
          USING projection, version, live, owner, kind, sierra_internal.function_text(handler), key, initial, streams,
                event_names, tags, search_path, mode, subscription, batch_size, on_error, max_attempts,
                retry_after, automatic;
    EXCEPTION WHEN unique_violation THEN
        RAISE duplicate_object USING
            MESSAGE = format('projection "%s" already exists', projection),
            HINT = 'Choose another name, drop it with drop_projection(), or rebuild it with rebuild_projection().';
    END;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.subscriptions AS s WHERE s.subscription = $1)', store)
       INTO left_over USING subscription;
    -- Of a projection whose row somebody deleted from the table.
    IF left_over THEN
        PERFORM sierra_internal.drop_subscription(store, subscription);
    END IF;
    PERFORM sierra_internal.subscribe_to_streams(store, subscription, streams, event_names, tags, start_from, NULL,
                                                 greatest(batch_size, 1000), '30 seconds', max_attempts);
    -- Fails now rather than later if the owner may not call the handler, or the key is
    -- not an expression.
    PERFORM sierra_internal.try_projection_version(projection, version);
    PERFORM @extschema@.sierra_call_runners();
END
$$;
COMMENT ON FUNCTION sierra_internal.add_projection_version(name, text, integer, boolean, regrole, text, regprocedure, text[], text[], text[], text, text, jsonb, start_position, integer, text, integer, interval, boolean, text) IS
    'creates a version of a projection, with its subscription';

CREATE FUNCTION sierra_internal.run_projection_version(projection text, version integer, max_count bigint)
    RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_run_projection_version';
COMMENT ON FUNCTION sierra_internal.run_projection_version(text, integer, bigint) IS
    'runs one version of a projection, and returns how many events it handled';

CREATE FUNCTION sierra_internal.try_projection_version(projection text, version integer) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_try_projection_version';
COMMENT ON FUNCTION sierra_internal.try_projection_version(text, integer) IS
    'raises the error that a run of a projection would raise without any event';

CREATE FUNCTION sierra_internal.project_inline() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_project_inline';
COMMENT ON FUNCTION sierra_internal.project_inline() IS
    'trigger function that gives an event to an inline projection, in the appending transaction';

-- Handles the stored events while no session appends; from then on the trigger does.
CREATE FUNCTION sierra_internal.make_projection_inline(store name, projection text, version integer)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subscription text;
    failure text;
    event_names text[];
    tags text[];
BEGIN
    -- An older snapshot would not see events that were committed since.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = 'an inline projection is made in isolation level READ COMMITTED',
            HINT = 'Use another transaction.';
    END IF;
    -- Appends in flight end first, and no other append begins.
    EXECUTE format('LOCK TABLE %I.events IN SHARE ROW EXCLUSIVE MODE', store);
    PERFORM sierra_internal.run_projection_version(projection, version, 9223372036854775807);
    EXECUTE format('SELECT p.subscription, p.event_names, p.tags,'
                   '       coalesce(CASE WHEN p.state <> ''running'' THEN p.last_error END, (SELECT t.reason FROM %1$I.subscription_streams AS t'
                   '                   WHERE t.subscription = p.subscription'
                   '                     AND t.state IN (''retrying'', ''parked'') LIMIT 1))'
                   '  FROM %1$I.projections AS p WHERE p.projection = $1 AND p.version = $2', store)
       INTO subscription, event_names, tags, failure USING projection, version;
    IF failure IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('projection "%s" cannot become inline', projection),
            DETAIL = format('Its handler failed for an event that is stored: %s.', failure),
            HINT = 'Fix the handler, or leave out the stored events with start_from => ''latest''.';
    END IF;
    PERFORM sierra_internal.drop_subscription(store, subscription);
    EXECUTE format('UPDATE %I.projections AS p SET subscription = NULL'
                   ' WHERE p.projection = $1 AND p.version = $2', store) USING projection, version;
    PERFORM sierra_internal.create_inline_trigger(store, projection, event_names, tags);
END
$$;
COMMENT ON FUNCTION sierra_internal.make_projection_inline(name, text, integer) IS
    'lets a projection catch up, and creates the trigger that feeds it from then on';

-- The search_path of the caller is a default of an argument, because the function
-- has another one inside.
CREATE FUNCTION create_projection(projection text,
                                  handler sierra_function,
                                  streams text[] DEFAULT NULL,
                                  event_names text[] DEFAULT NULL,
                                  mode text DEFAULT 'background',
                                  key text DEFAULT NULL,
                                  initial sierra_json DEFAULT '{}',
                                  start_from start_position DEFAULT 'earliest',
                                  batch_size integer DEFAULT 1000,
                                  on_error text DEFAULT 'stop',
                                  max_attempts integer DEFAULT 5,
                                  retry_after interval DEFAULT '1 second',
                                  search_path text DEFAULT pg_catalog.current_setting('search_path'),
                                  tags text[] DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
BEGIN
    PERFORM sierra_internal.check_projection_arguments(projection, mode, batch_size, on_error,
                                                       max_attempts, retry_after);
    IF handler IS NULL OR search_path IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = 'a projection needs a handler and a search_path';
    END IF;
    PERFORM sierra_internal.add_projection_version(
        store, projection, 1, true, quote_ident(current_user)::regrole, sierra_internal.handler_kind(handler), handler,
        streams, event_names, tags, mode, key, initial::jsonb, start_from, batch_size, on_error, max_attempts,
        retry_after, false, search_path);
    IF mode = 'inline' THEN
        PERFORM sierra_internal.make_projection_inline(store, projection, 1);
    END IF;
END
$$;
COMMENT ON FUNCTION create_projection(text, sierra_function, text[], text[], text, text, sierra_json, start_position, integer, text, integer, interval, text, text[]) IS
    'creates a projection: a handler that gets each event of streams, event names and tags exactly once';
