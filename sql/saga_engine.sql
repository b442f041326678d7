-- ---------------------------------------------------------------------------
-- Sagas: what their streams say, and the next step of each.
--
-- The state of a saga is what its events add up to.  A session that takes a saga
-- further folds its events, and appends at exactly the version that it has read: of
-- sessions that race, only one continues, and the effects of the others are rolled
-- back.  The row in saga_instances is written from the same state.
-- ---------------------------------------------------------------------------

CREATE TYPE sierra_internal.saga_state AS (
    saga_id text,
    saga text,
    version integer,
    steps jsonb,
    search_path text,
    status text,
    step_number integer,      -- the step to do, or to undo
    attempts integer,         -- that failed
    data jsonb,
    done integer[],           -- steps whose action was done and not undone
    begun boolean,            -- SagaCompensationStarted was appended
    error text,               -- why it is compensated
    last_error text,
    retry_at timestamptz,     -- when the next attempt is due
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
COMMENT ON TYPE sierra_internal.saga_state IS 'what the events of a saga add up to';

-- The next one is the last step that is done and can be undone.
CREATE FUNCTION sierra_internal.select_compensation(state sierra_internal.saga_state)
    RETURNS sierra_internal.saga_state
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
COMMENT ON FUNCTION sierra_internal.select_compensation(sierra_internal.saga_state) IS
    'returns a state that goes to the next step to compensate';

CREATE FUNCTION sierra_internal.fail_saga(state sierra_internal.saga_state, error text)
    RETURNS sierra_internal.saga_state
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    state.error := error;
    state.begun := false;
    RETURN sierra_internal.select_compensation(state);
END
$$;
COMMENT ON FUNCTION sierra_internal.fail_saga(sierra_internal.saga_state, text) IS
    'returns a state that begins to compensate, for this reason';

-- An event of a saga that runs or waits.  An event that does not fit, such as the
-- time-out of a step that is over, changes nothing.
CREATE FUNCTION sierra_internal.fold_saga_forward(state sierra_internal.saga_state, name text, payload jsonb)
    RETURNS sierra_internal.saga_state
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
        state := sierra_internal.fail_saga(
            state, format('step "%s" failed: %s', step, payload ->> 'error'));
    ELSIF name = 'SagaStepTimedOut' AND here THEN
        state := sierra_internal.fail_saga(state, format('step "%s" timed out', step));
    ELSIF name = 'SagaTimedOut' THEN
        state := sierra_internal.fail_saga(state, 'the saga timed out');
    ELSIF name = 'SagaCancelled' THEN
        state := sierra_internal.fail_saga(state, format('cancelled: %s', payload ->> 'reason'));
    ELSIF name = 'SagaRetried' AND here THEN
        state.retry_at := state.updated_at;
    ELSIF name = 'SagaCompleted' THEN
        state.status := 'completed';
        state.ended_at := state.updated_at;
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_internal.fold_saga_forward(sierra_internal.saga_state, text, jsonb) IS
    'returns the state of a running or waiting saga after an event';

-- An event of a saga that compensates.
CREATE FUNCTION sierra_internal.fold_saga_backward(state sierra_internal.saga_state, name text, payload jsonb)
    RETURNS sierra_internal.saga_state
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
        state := sierra_internal.select_compensation(state);
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
COMMENT ON FUNCTION sierra_internal.fold_saga_backward(sierra_internal.saga_state, text, jsonb) IS
    'returns the state of a compensating saga after an event';

CREATE FUNCTION sierra_internal.fold_saga(state sierra_internal.saga_state, e sierra_event)
    RETURNS sierra_internal.saga_state
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
        state := sierra_internal.fold_saga_forward(state, e.event_name, payload);
    ELSIF state.status IN ('compensating', 'stuck') THEN
        state := sierra_internal.fold_saga_backward(state, e.event_name, payload);
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_internal.fold_saga(sierra_internal.saga_state, sierra_event) IS
    'returns the state of a saga after one more event of its stream';

CREATE FUNCTION sierra_internal.load_saga(store name, saga_id text) RETURNS sierra_internal.saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    state sierra_internal.saga_state;
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
        state := sierra_internal.fold_saga(state, e);
    END LOOP;
    IF state.saga IS NULL THEN
        RAISE undefined_object USING
            MESSAGE = format('no saga instance "%s"', saga_id),
            DETAIL = format('Store "%s" has no stream of this name that begins with SagaStarted of a defined saga.', store),
            HINT = 'Start it with start_saga(); event_sagas() lists them.';
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_internal.load_saga(name, text) IS
    'returns what the events of a saga add up to';

-- Appends an event at the version of the state, and folds it in.
CREATE FUNCTION sierra_internal.append_saga_event(state sierra_internal.saga_state, event_name text, payload jsonb,
                                                  event_id uuid DEFAULT NULL)
    RETURNS sierra_internal.saga_state
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
    RETURN sierra_internal.fold_saga(state, e);
END
$$;
COMMENT ON FUNCTION sierra_internal.append_saga_event(sierra_internal.saga_state, text, jsonb, uuid) IS
    'appends an event to the stream of a saga at the version of its state, and returns the new state';

CREATE FUNCTION sierra_internal.write_saga_instance(store name, state sierra_internal.saga_state)
    RETURNS void
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
    EXECUTE format('UPDATE %I.saga_instances AS i SET status = $2, step = $3, attempts = $4,'
                   ' interruptions = 0, run_at = $5, deadline = $6, last_error = $7, updated_at = $8, ended_at = $9 WHERE i.saga_id = $1', store)
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
COMMENT ON FUNCTION sierra_internal.write_saga_instance(name, sierra_internal.saga_state) IS
    'writes the row of a saga from its state';

-- Timers are cancelled before anything is appended: run_timers() locks in this order, too.
CREATE FUNCTION sierra_internal.cancel_saga_timers(state sierra_internal.saga_state, all_of_them boolean)
    RETURNS void
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
COMMENT ON FUNCTION sierra_internal.cancel_saga_timers(sierra_internal.saga_state, boolean) IS
    'cancels the time-out of the step of a saga, or all of its time-outs';

-- The step is done; next comes another step, or the end.
CREATE FUNCTION sierra_internal.append_step_completed(state sierra_internal.saga_state, answer jsonb)
    RETURNS sierra_internal.saga_state
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
    PERFORM sierra_internal.cancel_saga_timers(state, next IS NULL);
    step_timeout := sierra_internal.schedule_saga_timeout(
        state.saga_id, 'SagaStepTimedOut', json_build_object('step', next -> 'step'),
        state.correlation_id, (next ->> 'timeout')::interval);
    IF step_timeout IS NOT NULL THEN
        payload := payload || jsonb_build_object('step_timeout', step_timeout);
    END IF;
    state := sierra_internal.append_saga_event(state, 'SagaStepCompleted', payload);
    IF next IS NULL THEN
        state := sierra_internal.append_saga_event(state, 'SagaCompleted', jsonb_build_object('data', state.data));
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_internal.append_step_completed(sierra_internal.saga_state, jsonb) IS
    'records that the step of a saga is done, and schedules the time-out of the next one';

-- Earlier events say why.  No time-out is needed any longer.
CREATE FUNCTION sierra_internal.start_compensation(state sierra_internal.saga_state)
    RETURNS sierra_internal.saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM sierra_internal.cancel_saga_timers(state, true);
    state := sierra_internal.append_saga_event(state, 'SagaCompensationStarted',
                                               jsonb_build_object('error', state.error));
    RETURN sierra_internal.end_compensation(state);
END
$$;
COMMENT ON FUNCTION sierra_internal.start_compensation(sierra_internal.saga_state) IS
    'begins the compensation of a saga';

CREATE FUNCTION sierra_internal.end_compensation(state sierra_internal.saga_state)
    RETURNS sierra_internal.saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF state.step_number IS NULL THEN
        state := sierra_internal.append_saga_event(state, 'SagaCompensated',
                                                   jsonb_build_object('error', state.error));
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_internal.end_compensation(sierra_internal.saga_state) IS
    'ends a saga that has nothing left to compensate';

-- Calls the function with the rights of the caller; see src/saga/saga.c.
CREATE FUNCTION sierra_internal.call_saga_function(procedure text, data jsonb, saga_id text, search_path text,
                                                   metadata text) RETURNS jsonb
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_call_saga';
COMMENT ON FUNCTION sierra_internal.call_saga_function(text, jsonb, text, text, text) IS
    'calls a function of a saga in its search_path, with metadata for the events that it appends';

CREATE FUNCTION sierra_internal.call_with_saga_data(state sierra_internal.saga_state, procedure text)
    RETURNS jsonb
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sierra_internal.call_saga_function(
        procedure, (state).data, (state).saga_id, (state).search_path,
        json_build_object('correlation_id', (state).correlation_id, 'causation_id', (state).event_id)::text)
$$;
COMMENT ON FUNCTION sierra_internal.call_with_saga_data(sierra_internal.saga_state, text) IS
    'calls an action or a compensation with the data of a saga';

-- It says when the next attempt is due, or that this one was the last.
CREATE FUNCTION sierra_internal.failed_attempt(state sierra_internal.saga_state, error text, sqlstate text, refused boolean)
    RETURNS jsonb
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    step constant jsonb := state.steps -> state.step_number - 1;
BEGIN
    RETURN jsonb_build_object('step', step -> 'step', 'attempt', state.attempts + 1, 'error', error,
                              'sqlstate', sqlstate)
        || CASE WHEN refused OR state.attempts + 1 >= (step -> 'max_attempts')::integer
                THEN jsonb_build_object('final', true)
                ELSE jsonb_build_object('retry_at', clock_timestamp() + sierra_internal.retry_pause(
                         state.attempts + 1, (step ->> 'retry_after')::interval)) END;
END
$$;
COMMENT ON FUNCTION sierra_internal.failed_attempt(sierra_internal.saga_state, text, text, boolean) IS
    'returns the payload of the event that records a failed attempt';

CREATE FUNCTION sierra_internal.run_saga_action(store name, state sierra_internal.saga_state)
    RETURNS sierra_internal.saga_state
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
        answer := sierra_internal.call_with_saga_data(state, step ->> 'action');
        IF (step -> 'waits')::boolean THEN
            RETURN sierra_internal.append_saga_event(
                state, 'SagaStepStarted',
                jsonb_build_object('step', step -> 'step', 'attempt', state.attempts + 1,
                                   'data', coalesce(answer, '{}')));
        END IF;
        RETURN sierra_internal.append_step_completed(state, answer);
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        IF sierra_internal.is_transient_error(SQLSTATE) THEN
            RAISE;
        END IF;
        failure := sierra_internal.failed_attempt(state, SQLERRM, SQLSTATE,
                                                  step -> 'refusals' ? SQLSTATE);
    END;
    -- A time-out or a cancellation was appended first: the attempt does not count.
    IF @extschema@.esver(state.saga_id) > state.stream_version THEN
        RETURN sierra_internal.load_saga(store, state.saga_id);
    END IF;
    IF failure ? 'final' THEN
        PERFORM sierra_internal.cancel_saga_timers(state, true);
        state := sierra_internal.append_saga_event(state, 'SagaStepFailed', failure);
        RETURN sierra_internal.start_compensation(state);
    END IF;
    RETURN sierra_internal.append_saga_event(state, 'SagaStepFailed', failure);
END
$$;
COMMENT ON FUNCTION sierra_internal.run_saga_action(name, sierra_internal.saga_state) IS
    'runs the action of the step of a saga, and records the result';

CREATE FUNCTION sierra_internal.run_saga_compensation(state sierra_internal.saga_state)
    RETURNS sierra_internal.saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    step constant jsonb := state.steps -> state.step_number - 1;
    answer jsonb;
    failure jsonb;
    undone sierra_internal.saga_state;
BEGIN
    BEGIN
        answer := sierra_internal.call_with_saga_data(state, step ->> 'compensation');
        undone := sierra_internal.append_saga_event(
            state, 'SagaStepCompensated',
            jsonb_build_object('step', step -> 'step', 'data', coalesce(answer, '{}')));
        RETURN sierra_internal.end_compensation(undone);
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        IF sierra_internal.is_transient_error(SQLSTATE) THEN
            RAISE;
        END IF;
        failure := sierra_internal.failed_attempt(state, SQLERRM, SQLSTATE, false);
    END;
    RETURN sierra_internal.append_saga_event(state, 'SagaCompensationFailed', failure);
END
$$;
COMMENT ON FUNCTION sierra_internal.run_saga_compensation(sierra_internal.saga_state) IS
    'runs the compensation of the step of a saga, and records the result';

-- The time is over, and run_timers() may have appended the event, or is about to.
-- The event has the id of the timer, so it can be appended only once.
CREATE FUNCTION sierra_internal.time_out_saga(store name, state sierra_internal.saga_state)
    RETURNS sierra_internal.saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    whole constant boolean := coalesce(state.saga_deadline <= clock_timestamp(), false);
    timer constant uuid := CASE WHEN whole THEN state.saga_timer ELSE state.step_timer END;
BEGIN
    PERFORM sierra_internal.cancel_saga_timers(state, whole);
    state := sierra_internal.load_saga(store, state.saga_id);
    IF state.status NOT IN ('running', 'waiting') THEN
        RETURN state;
    END IF;
    RETURN sierra_internal.append_saga_event(
        state, CASE WHEN whole THEN 'SagaTimedOut' ELSE 'SagaStepTimedOut' END,
        CASE WHEN whole THEN '{}'
             ELSE jsonb_build_object('step', state.steps -> state.step_number - 1 -> 'step') END, timer);
END
$$;
COMMENT ON FUNCTION sierra_internal.time_out_saga(name, sierra_internal.saga_state) IS
    'appends the event of a time-out that is due, unless run_timers() did';

-- src/saga/saga.c calls this as the owner of the definition.
CREATE FUNCTION sierra_internal.advance_saga(store name, saga_id text, saga text, version integer)
    RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    state sierra_internal.saga_state := sierra_internal.load_saga(store, saga_id);
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
        state := sierra_internal.time_out_saga(store, state);
    END IF;
    IF state.status = 'compensating' AND NOT state.begun THEN
        state := sierra_internal.start_compensation(state);
    ELSIF state.status = 'compensating' AND state.step_number IS NULL THEN
        state := sierra_internal.end_compensation(state);
    ELSIF state.status = 'running' AND state.steps -> state.step_number - 1 IS NULL THEN
        -- Another session wrote the end of the last step.
        state := sierra_internal.append_saga_event(state, 'SagaCompleted', jsonb_build_object('data', state.data));
    ELSIF state.status = 'compensating' AND state.retry_at <= clock_timestamp() THEN
        state := sierra_internal.run_saga_compensation(state);
    ELSIF state.status = 'running' AND state.retry_at <= clock_timestamp() THEN
        state := sierra_internal.run_saga_action(store, state);
    END IF;
    PERFORM sierra_internal.write_saga_instance(store, state);
    RETURN state.stream_version > before;
END
$$;
COMMENT ON FUNCTION sierra_internal.advance_saga(name, text, text, integer) IS
    'takes a saga one step further if it is due; run_saga() calls it as the owner of the saga';

-- The owner is 0 for any.
CREATE FUNCTION sierra_internal.run_saga(saga_id text, patient boolean, owner oid) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_run_saga';
COMMENT ON FUNCTION sierra_internal.run_saga(text, boolean, oid) IS
    'takes a saga one step further as the owner of its definition, if it is this one';
