-- ---------------------------------------------------------------------------
-- Sagas: their tables, definitions, and how one is started.
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
COMMENT ON TYPE sierra_saga_step IS
    'a step of a saga, as saga_step() returns it and create_saga() takes it';

CREATE FUNCTION saga_step(step text,
                          action sierra_function,
                          compensation sierra_function DEFAULT NULL,
                          max_attempts integer DEFAULT 3,
                          retry_after interval DEFAULT '1 second',
                          timeout interval DEFAULT NULL,
                          waits boolean DEFAULT false,
                          refusals text[] DEFAULT '{P0001}')
    RETURNS sierra_saga_step
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT ROW($1, $2, $3, $4, $5, $6, $7, $8)::@extschema@.sierra_saga_step $$;
COMMENT ON FUNCTION saga_step(text, sierra_function, sierra_function, integer, interval, interval, boolean, text[]) IS
    'returns a step for create_saga(): an action, its compensation, and what to do on errors';

CREATE FUNCTION sierra_internal.create_saga_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE %I.sagas ('
        ' saga text COLLATE "C" NOT NULL,'
        ' version integer NOT NULL CHECK (version > 0),'
        ' owner regrole NOT NULL,'
        ' steps jsonb NOT NULL,'
        ' timeout interval,'
        ' search_path text NOT NULL,'
        ' created_at timestamptz NOT NULL DEFAULT now(),'
        ' PRIMARY KEY (saga, version))', store);
    EXECUTE format(
        'CREATE TABLE %1$I.saga_instances ('
        ' saga_id text COLLATE "C" PRIMARY KEY,'
        ' saga text COLLATE "C" NOT NULL,'
        ' version integer NOT NULL,'
        ' status text NOT NULL CHECK (status IN (''running'', ''waiting'', ''compensating'', ''stuck'','
        '                                        ''completed'', ''compensated'')),'
        ' step text,'
        ' attempts integer NOT NULL,'
        ' interruptions integer NOT NULL DEFAULT 0,'
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
                   'sagas: the steps of each version, and the role that they run as');
    EXECUTE format('COMMENT ON TABLE %I.saga_instances IS %L', store,
                   'when the next step of each saga is due; rebuild_saga_instances() makes this from'
                   ' the streams; INSERT on it lets a role start every saga');
END
$$;
COMMENT ON FUNCTION sierra_internal.create_saga_tables(name) IS
    'creates the tables of a store for sagas';

-- An action or a compensation, as text that means the same in every search_path.
CREATE FUNCTION sierra_internal.saga_function_name(procedure regprocedure) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET quote_all_identifiers = off
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
            MESSAGE = format('function %s is not an action of a saga', procedure),
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
COMMENT ON FUNCTION sierra_internal.saga_function_name(regprocedure) IS
    'returns the qualified name of an action or compensation that the caller may call';

CREATE FUNCTION sierra_internal.check_saga_timeout(timeout interval) RETURNS void
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
COMMENT ON FUNCTION sierra_internal.check_saga_timeout(interval) IS
    'raises an error unless a time-out is within bounds';

-- A step as the table keeps it.
CREATE FUNCTION sierra_internal.saga_step_as_json(given sierra_saga_step) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sierra_internal.require_name('step', given.step);
    PERFORM sierra_internal.require_value('action', given.action IS NULL);
    PERFORM sierra_internal.require_value('max_attempts', given.max_attempts IS NULL);
    PERFORM sierra_internal.require_value('retry_after', given.retry_after IS NULL);
    PERFORM sierra_internal.require_value('waits', given.waits IS NULL);
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
    PERFORM sierra_internal.check_saga_timeout(given.timeout);
    IF EXISTS (SELECT FROM unnest(given.refusals) AS r (code)
                WHERE r.code IS NULL OR r.code !~ '^[0-9A-Z]{5}$') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'refusals must be SQLSTATEs',
            DETAIL = format('Step "%s" has %s.', given.step, given.refusals),
            HINT = 'A SQLSTATE has five digits or upper-case letters, such as P0001.';
    END IF;
    IF EXISTS (SELECT FROM unnest(given.refusals) AS r (code) WHERE sierra_internal.is_transient_error(r.code)) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a transient error is not a refusal',
            DETAIL = format('Step "%s" has %s.', given.step, given.refusals),
            HINT = 'After such an error, an action is always tried again.';
    END IF;
    RETURN jsonb_build_object(
        'step', given.step, 'action', sierra_internal.saga_function_name(given.action),
        'compensation', sierra_internal.saga_function_name(given.compensation),
        'max_attempts', given.max_attempts, 'retry_after', given.retry_after,
        'timeout', given.timeout, 'waits', given.waits,
        'refusals', to_jsonb(coalesce(given.refusals, '{}')));
END
$$;
COMMENT ON FUNCTION sierra_internal.saga_step_as_json(sierra_saga_step) IS
    'returns a step as the table of sagas keeps it';

CREATE FUNCTION sierra_internal.saga_steps_as_json(steps sierra_saga_step[]) RETURNS jsonb
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
        result := result || sierra_internal.saga_step_as_json(given);
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
COMMENT ON FUNCTION sierra_internal.saga_steps_as_json(sierra_saga_step[]) IS
    'returns steps as the table of sagas keeps them';

-- The search_path of the caller is a default of an argument, because the function
-- has another one inside.
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
    store constant name := sierra_internal.require_store();
    definition jsonb;
    version integer;
    newest integer;
    newest_before integer;
BEGIN
    PERFORM sierra_internal.require_name('saga', saga);
    IF octet_length(saga) > 200 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the name of a saga has at most 200 bytes',
            DETAIL = format('It has %s bytes.', octet_length(saga));
    END IF;
    PERFORM sierra_internal.require_value('steps', steps IS NULL);
    PERFORM sierra_internal.require_value('search_path', search_path IS NULL);
    PERFORM sierra_internal.check_saga_timeout(timeout);
    definition := sierra_internal.saga_steps_as_json(steps);
    PERFORM sierra_internal.check_owner(store, 'saga', quote_ident(current_user)::regrole);
    -- Another session may make the same version: then this makes the next one.
    LOOP
        EXECUTE format('INSERT INTO %1$I.sagas (saga, version, owner, steps, timeout, search_path)'
                       ' SELECT $1, coalesce(max(d.version), 0) + 1, $2, $3, $4, $5'
                       '   FROM %1$I.sagas AS d WHERE d.saga = $1'
                       ' ON CONFLICT DO NOTHING RETURNING version', store)
           INTO version USING saga, quote_ident(current_user)::regrole, definition, timeout, search_path;
        IF version IS NOT NULL THEN
            RETURN version;
        END IF;
        EXECUTE format('SELECT coalesce(max(d.version), 0) FROM %I.sagas AS d WHERE d.saga = $1', store)
           INTO newest USING saga;
        IF newest = newest_before THEN
            RAISE triggered_action_exception USING
                MESSAGE = format('the definition of saga "%s" was not stored', saga),
                DETAIL = format('A trigger, rule or policy of table %I.sagas suppressed it.', store),
                HINT = 'Let the trigger raise an error instead.';
        END IF;
        newest_before := newest;
    END LOOP;
END
$$;
COMMENT ON FUNCTION create_saga(text, sierra_saga_step[], interval, text) IS
    'defines a saga, or another version of it, and returns the version';

CREATE FUNCTION sierra_internal.report_no_saga(store name, saga text) RETURNS void
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
COMMENT ON FUNCTION sierra_internal.report_no_saga(name, text) IS
    'raises the error that a saga does not exist';

-- All versions: instances of older ones run on.
CREATE FUNCTION alter_saga_owner(saga text, new_owner regrole) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    altered integer;
BEGIN
    PERFORM sierra_internal.require_value('saga', saga IS NULL);
    PERFORM sierra_internal.require_value('new_owner', new_owner IS NULL);
    PERFORM sierra_internal.check_owner(store, 'saga', new_owner);
    EXECUTE format('UPDATE %I.sagas AS d SET owner = $2 WHERE d.saga = $1', store)
      USING saga, new_owner;
    GET DIAGNOSTICS altered = ROW_COUNT;
    IF altered = 0 THEN
        PERFORM sierra_internal.report_no_saga(store, saga);
    END IF;
    PERFORM @extschema@.sierra_call_runners();
END
$$;
COMMENT ON FUNCTION alter_saga_owner(text, regrole) IS
    'gives a saga, with all its versions, to another role, which its steps run as from then on';

CREATE FUNCTION drop_saga(saga text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    dropped bigint;
    running bigint;
BEGIN
    PERFORM sierra_internal.require_value('saga', saga IS NULL);
    -- A session that starts one meanwhile locks the definition, by the foreign key.
    EXECUTE format('SELECT FROM %I.sagas AS d WHERE d.saga = $1 FOR UPDATE', store) USING saga;
    EXECUTE format('SELECT count(*) FROM %I.saga_instances AS i'
                   ' WHERE i.saga = $1 AND i.ended_at IS NULL', store) INTO running USING saga;
    IF running > 0 THEN
        RAISE object_in_use USING
            MESSAGE = format('saga "%s" has instances that are not ended', saga),
            DETAIL = format('Their number is %s.', running),
            HINT = 'Wait until they end, or use cancel_saga(); event_sagas() lists them.';
    END IF;
    EXECUTE format('DELETE FROM %I.saga_instances AS i WHERE i.saga = $1', store) USING saga;
    EXECUTE format('DELETE FROM %I.sagas AS d WHERE d.saga = $1', store) USING saga;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    IF dropped = 0 THEN
        PERFORM sierra_internal.report_no_saga(store, saga);
    END IF;
END
$$;
COMMENT ON FUNCTION drop_saga(text) IS
    'drops all versions of a saga that has no running instance; the streams of its instances stay';

-- A time-out is a timer; the result goes into the event that begins the step.
CREATE FUNCTION sierra_internal.schedule_saga_timeout(saga_id text, event_name text, payload json,
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
COMMENT ON FUNCTION sierra_internal.schedule_saga_timeout(text, text, json, text, interval) IS
    'schedules a time-out of a saga, and returns its time and timer, null without a time-out';

-- Does the stream begin as this saga would?  Null if it has no event.
CREATE FUNCTION sierra_internal.saga_was_started(saga_id text, saga text, data jsonb) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    same boolean;
BEGIN
    SELECT e.event_name = 'SagaStarted' AND e.payload ->> 'saga' = saga
           AND (e.payload -> 'data')::jsonb = data
      INTO same FROM @extschema@.escan(saga_id, 0, 0) AS e;
    IF same IS NULL AND NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF same THEN
        PERFORM sierra_internal.make_durable();
        RETURN true;
    END IF;
    RAISE duplicate_object USING
        MESSAGE = format('saga instance "%s" already exists', saga_id),
        DETAIL = 'Its stream began with another saga, other data or another event.',
        HINT = 'Choose another saga_id.';
END
$$;
COMMENT ON FUNCTION sierra_internal.saga_was_started(text, text, jsonb) IS
    'returns whether a saga was started with these data, null if its stream has no event';

CREATE FUNCTION sierra_internal.check_saga_data(data jsonb) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sierra_internal.require_value('data', data IS NULL);
    IF jsonb_typeof(data) <> 'object' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'the data of a saga are a JSON object',
            DETAIL = format('The value is of type %s.', jsonb_typeof(data));
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_internal.check_saga_data(jsonb) IS
    'raises an error unless the data of a saga are an object';

CREATE FUNCTION sierra_internal.newest_saga(store name, saga text) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_newest_saga';
COMMENT ON FUNCTION sierra_internal.newest_saga(name, text) IS
    'returns the newest version of a saga, its time-out and first step, null if there is none';

CREATE FUNCTION sierra_internal.add_saga_instance(store name, saga_id text, saga text, version integer, step text,
                                                  at timestamptz, deadline timestamptz, correlation_id text)
    RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_add_saga_instance';
COMMENT ON FUNCTION sierra_internal.add_saga_instance(name, text, text, integer, text, timestamptz, timestamptz, text) IS
    'writes the row of a saga that starts, and returns false if there is one of this name';

CREATE FUNCTION start_saga(saga text,
                           data sierra_json DEFAULT '{}',
                           saga_id text DEFAULT NULL,
                           metadata sierra_json DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    id constant text := coalesce(saga_id, format('saga-%s-%s', saga,
                                                 @extschema@.sierra_event_id(gen_random_uuid())));
    now constant timestamptz := clock_timestamp();
    given constant jsonb := data::jsonb;
    newest jsonb;
    version integer;
    first_step jsonb;
    correlation text;
    step_timeout jsonb;
    saga_timeout jsonb;
    started @extschema@.sierra_append_result;
BEGIN
    -- PERFORM executes a query; a condition is only evaluated.
    IF saga IS NULL OR jsonb_typeof(given) IS DISTINCT FROM 'object' THEN
        PERFORM sierra_internal.require_value('saga', saga IS NULL);
        PERFORM sierra_internal.check_saga_data(given);
    END IF;
    PERFORM sierra_internal.check_new_event(id, 'SagaStarted', NULL, NULL, NULL, metadata);
    IF saga_id IS NOT NULL AND sierra_internal.saga_was_started(saga_id, saga, given) THEN
        RETURN saga_id;
    END IF;
    newest := sierra_internal.newest_saga(store, saga);
    IF newest IS NULL THEN
        PERFORM sierra_internal.report_no_saga(store, saga);
    END IF;
    version := newest -> 'version';
    first_step := newest -> 'step';
    correlation := coalesce(metadata ->> 'correlation_id',
                            nullif(current_setting('sierra_es.metadata'), '')::json ->> 'correlation_id', id);
    IF newest ->> 'timeout' IS NOT NULL THEN
        saga_timeout := sierra_internal.schedule_saga_timeout(id, 'SagaTimedOut', '{}', correlation,
                                                              (newest ->> 'timeout')::interval);
    END IF;
    IF first_step ->> 'timeout' IS NOT NULL THEN
        step_timeout := sierra_internal.schedule_saga_timeout(
            id, 'SagaStepTimedOut', json_build_object('step', first_step ->> 'step'), correlation,
            (first_step ->> 'timeout')::interval);
    END IF;
    IF NOT sierra_internal.add_saga_instance(
               store, id, saga, version, first_step ->> 'step', now,
               least((saga_timeout ->> 'deadline')::timestamptz, (step_timeout ->> 'deadline')::timestamptz),
               correlation)
       AND sierra_internal.saga_was_started(id, saga, given) THEN
        -- Another session has just started it, with timers of its own.
        PERFORM @extschema@.ecancel((t.timeout ->> 'timer_id')::uuid)
           FROM unnest(ARRAY[saga_timeout, step_timeout]) AS t (timeout);
        RETURN id;
    END IF;
    started := @extschema@.eappend(
        id, 'SagaStarted',
        (jsonb_build_object('saga', saga, 'version', version, 'data', given)
         || jsonb_strip_nulls(jsonb_build_object('saga_timeout', saga_timeout,
                                                 'step_timeout', step_timeout))),
        coalesce(metadata::jsonb, '{}') || jsonb_build_object('correlation_id', correlation),
        'empty', "timestamp" => now);
    RETURN id;
END
$$;
COMMENT ON FUNCTION start_saga(text, sierra_json, text, sierra_json) IS
    'starts the newest version of a saga, and returns the id of the instance, which is its stream';
