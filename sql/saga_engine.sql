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

-- Functions in C: src/saga/saga_state.h has the state, src/saga/saga_step.h what is done with it.
CREATE FUNCTION sierra_internal.load_saga(store name, saga_id text) RETURNS sierra_internal.saga_state
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_load_saga';
COMMENT ON FUNCTION sierra_internal.load_saga(name, text) IS
    'returns what the events of a saga add up to';

-- Appends an event at the version of the state, and folds it in.
CREATE FUNCTION sierra_internal.append_saga_event(state sierra_internal.saga_state, event_name text, payload jsonb,
                                                  event_id uuid DEFAULT NULL)
    RETURNS sierra_internal.saga_state
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_append_saga_event';
COMMENT ON FUNCTION sierra_internal.append_saga_event(sierra_internal.saga_state, text, jsonb, uuid) IS
    'appends an event to the stream of a saga at the version of its state, and returns the new state';

CREATE FUNCTION sierra_internal.write_saga_instance(store name, state sierra_internal.saga_state)
    RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_write_saga_instance';
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
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_append_step_completed';
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

-- Calls the function with the rights of the caller; see src/saga/saga_action.c.
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

-- src/saga/saga_step.c calls this after it has rolled an attempt back.
CREATE FUNCTION sierra_internal.fail_saga_action(store name, state sierra_internal.saga_state, error text, sqlstate text)
    RETURNS sierra_internal.saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    step constant jsonb := state.steps -> state.step_number - 1;
    failure constant jsonb := sierra_internal.failed_attempt(state, error, sqlstate, step -> 'refusals' ? sqlstate);
BEGIN
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
COMMENT ON FUNCTION sierra_internal.fail_saga_action(name, sierra_internal.saga_state, text, text) IS
    'records that an action has failed, and returns the state after that';

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

-- src/saga/saga.c calls this as the owner of the definition, if there is no action to call.
CREATE FUNCTION sierra_internal.advance_saga(store name, state sierra_internal.saga_state)
    RETURNS sierra_internal.saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
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
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION sierra_internal.advance_saga(name, sierra_internal.saga_state) IS
    'takes a saga that is due one step further, unless that is an action; run_saga() calls it as the owner of the saga';

-- The owner is 0 for any.
CREATE FUNCTION sierra_internal.run_saga(saga_id text, patient boolean, owner oid) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_run_saga';
COMMENT ON FUNCTION sierra_internal.run_saga(text, boolean, oid) IS
    'takes a saga one step further as the owner of its definition, if it is this one; false if no step was taken';
