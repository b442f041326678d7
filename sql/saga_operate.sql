-- ---------------------------------------------------------------------------
-- Sagas: running them, answers from outside, repair, and the view of them.
-- ---------------------------------------------------------------------------

-- The saga was interrupted, or cannot be run at all, for example because its definition
-- is gone.
CREATE FUNCTION sierra_internal.postpone_saga(store name, saga_id text, error text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('UPDATE %I.saga_instances AS i SET last_error = $2, interruptions = i.interruptions + 1,'
                   ' run_at = clock_timestamp() + sierra_internal.interruption_pause(i.interruptions + 1)'
                   ' WHERE i.saga_id = $1', store)
      USING saga_id, error;
END
$$;
COMMENT ON FUNCTION sierra_internal.postpone_saga(name, text, text) IS
    'records why a saga was not run, and when to try again';

-- Runs sagas that this role owns, or all; a runner runs code of one role only.
CREATE FUNCTION sierra_internal.run_sagas_of(max_count integer, owner oid) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    due text[];
    interrupted boolean[];
    transient boolean;
    steps bigint := 0;
    done text[];
    failed text[] := '{}';
    steps_before bigint := -1;
    steps_at_start bigint := 0;
    after timestamptz := '-infinity';
    newest timestamptz;
BEGIN
    PERFORM sierra_internal.require_value('max_count', max_count IS NULL);
    IF max_count < 0 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_count must not be negative',
            DETAIL = format('It is %s.', max_count);
    END IF;
    PERFORM sierra_internal.require_no_subscription(store);
    LOOP
        -- A few at a time, so that other sessions can take others meanwhile.
        EXECUTE format('SELECT array_agg(d.saga_id), array_agg(d.interruptions > 0), max(d.run_at)'
                       '  FROM (SELECT i.saga_id, i.interruptions, i.run_at FROM %I.saga_instances AS i'
                       ' WHERE i.run_at <= clock_timestamp() AND i.run_at >= $4'
                       '   AND NOT (i.saga_id = ANY ($3))'
                       '   AND ($2 IS NULL OR EXISTS (SELECT FROM %1$I.sagas AS s WHERE s.saga = i.saga'
                       '                                 AND s.version = i.version AND s.owner = $2))'
                       ' ORDER BY i.run_at, i.saga_id'
                       ' LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) AS d', store)
           INTO due, interrupted, newest USING least(max_count - steps, 10), owner, failed, after;
        IF due IS NULL AND steps < max_count AND steps > steps_at_start THEN
            -- Others may have become due that come earlier: from the start again.
            after := '-infinity';
            steps_at_start := steps;
            CONTINUE;
        END IF;
        -- The same again and no step made: something, such as a trigger of the owner, keeps
        -- the rows as they are.
        IF due IS NULL OR (due = done AND steps = steps_before) THEN
            RETURN steps;
        END IF;
        -- The index still has entries of rows that this call has changed: do not pass them each time.
        after := newest;
        done := due;
        steps_before := steps;
        FOR i IN 1 .. cardinality(due) LOOP
            -- Only the first step of a call waits for locks.  A saga that was interrupted
            -- is therefore run as the first of another call.
            IF interrupted[i] AND steps > 0 THEN
                RETURN steps;
            END IF;
            BEGIN
                steps := steps + sierra_internal.run_saga(due[i], steps = 0, coalesce(owner, 0))::integer;
            EXCEPTION WHEN OTHERS THEN
                IF sierra_internal.must_repeat_transaction(SQLSTATE) THEN
                    RAISE;
                END IF;
                -- SE001: another session has continued the saga.
                transient := sierra_internal.is_transient_error(SQLSTATE) OR SQLSTATE = 'SE001';
                RAISE WARNING USING
                    ERRCODE = SQLSTATE,
                    MESSAGE = format(CASE WHEN transient THEN 'saga instance "%s" was interrupted'
                                          ELSE 'saga instance "%s" cannot be run' END, due[i]),
                    DETAIL = SQLERRM;
                PERFORM sierra_internal.postpone_saga(store, due[i], format('%s (%s)', SQLERRM, SQLSTATE));
                failed := failed || due[i];
                IF transient THEN
                    -- The caller can commit what is done, and free its locks.
                    RETURN steps;
                END IF;
            END;
            IF sierra_internal.job_time_is_over() THEN
                RETURN steps;
            END IF;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION sierra_internal.run_sagas_of(integer, oid) IS
    'takes sagas of an owner, or of all, that are due further, and returns the number of steps';

CREATE FUNCTION sierra_internal.run_sagas_body(max_count integer) RETURNS bigint
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT sierra_internal.run_sagas_of($1, NULL) $$;
COMMENT ON FUNCTION sierra_internal.run_sagas_body(integer) IS
    'does what run_sagas() does, as the current user';

CREATE FUNCTION run_sagas(max_count integer DEFAULT 100) RETURNS bigint
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_run_as_owner';
COMMENT ON FUNCTION run_sagas(integer) IS
    'takes sagas that are due further, step by step, and returns the number of steps';

-- Until the transaction ends, no other session runs the saga, and no time-out of it
-- is appended.
CREATE FUNCTION sierra_internal.lock_saga(store name, saga_id text) RETURNS sierra_internal.saga_state
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    state sierra_internal.saga_state;
BEGIN
    PERFORM sierra_internal.require_value('saga_id', saga_id IS NULL);
    EXECUTE format('SELECT FROM %I.saga_instances AS i WHERE i.saga_id = $1 FOR NO KEY UPDATE', store)
      USING saga_id;
    state := sierra_internal.load_saga(store, saga_id);
    EXECUTE format('SELECT FROM %I.timers AS t WHERE t.timer_id IN ($1, $2) ORDER BY t.timer_id FOR UPDATE', store)
      USING state.step_timer, state.saga_timer;
    -- A time-out may have been appended while this waited for its lock.
    RETURN sierra_internal.load_saga(store, saga_id);
END
$$;
COMMENT ON FUNCTION sierra_internal.lock_saga(name, text) IS
    'locks a saga and its timers until the transaction ends, and returns its state';

CREATE FUNCTION sierra_internal.report_saga_status(state sierra_internal.saga_state, message text, hint text)
    RETURNS void
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
COMMENT ON FUNCTION sierra_internal.report_saga_status(sierra_internal.saga_state, text, text) IS
    'raises an error that says what a saga is doing';

-- Does the saga wait at this step?  False if the same was said before.
CREATE FUNCTION sierra_internal.saga_waits_at(state sierra_internal.saga_state, step text, event_name text, said jsonb)
    RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM sierra_internal.require_value('step', step IS NULL);
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
    PERFORM sierra_internal.report_saga_status(
        state, format('step "%s" of saga instance "%s" does not wait', step, state.saga_id),
        'Only a step that waits is ended from outside; its stream shows what happened before.');
END
$$;
COMMENT ON FUNCTION sierra_internal.saga_waits_at(sierra_internal.saga_state, text, text, jsonb) IS
    'returns whether a saga waits at a step, false if the same was said before';

CREATE FUNCTION complete_saga_step(saga_id text, step text, data sierra_json DEFAULT '{}') RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    given constant jsonb := data::jsonb;
    state sierra_internal.saga_state;
BEGIN
    PERFORM sierra_internal.check_saga_data(given);
    state := sierra_internal.lock_saga(store, saga_id);
    IF NOT sierra_internal.saga_waits_at(state, step, 'SagaStepCompleted', jsonb_build_object('data', given)) THEN
        RETURN false;
    END IF;
    PERFORM sierra_internal.write_saga_instance(store, sierra_internal.append_step_completed(state, given));
    RETURN true;
END
$$;
COMMENT ON FUNCTION complete_saga_step(text, text, sierra_json) IS
    'ends a waiting step, and merges data into those of the saga; false if this was said before';

CREATE FUNCTION fail_saga_step(saga_id text, step text, reason text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    state sierra_internal.saga_state;
BEGIN
    PERFORM sierra_internal.require_value('reason', reason IS NULL);
    state := sierra_internal.lock_saga(store, saga_id);
    IF NOT sierra_internal.saga_waits_at(state, step, 'SagaStepFailed',
                                         jsonb_build_object('error', reason, 'final', true)) THEN
        RETURN false;
    END IF;
    PERFORM sierra_internal.cancel_saga_timers(state, true);
    state := sierra_internal.append_saga_event(
        state, 'SagaStepFailed',
        jsonb_build_object('step', step, 'attempt', state.attempts + 1, 'error', reason,
                           'sqlstate', NULL, 'final', true));
    PERFORM sierra_internal.write_saga_instance(store, sierra_internal.start_compensation(state));
    RETURN true;
END
$$;
COMMENT ON FUNCTION fail_saga_step(text, text, text) IS
    'lets a waiting step fail, so that the saga compensates; false if this was said before';

CREATE FUNCTION cancel_saga(saga_id text, reason text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    state sierra_internal.saga_state;
BEGIN
    PERFORM sierra_internal.require_value('reason', reason IS NULL);
    state := sierra_internal.lock_saga(store, saga_id);
    IF state.status NOT IN ('running', 'waiting') THEN
        IF EXISTS (SELECT FROM @extschema@.escan(saga_id) AS e WHERE e.event_name = 'SagaCancelled') THEN
            RETURN false;
        END IF;
        PERFORM sierra_internal.report_saga_status(
            state, format('saga instance "%s" cannot be cancelled', saga_id),
            'Only a saga that runs or waits can.');
    END IF;
    PERFORM sierra_internal.cancel_saga_timers(state, true);
    state := sierra_internal.append_saga_event(state, 'SagaCancelled', jsonb_build_object('reason', reason));
    PERFORM sierra_internal.write_saga_instance(store, sierra_internal.start_compensation(state));
    RETURN true;
END
$$;
COMMENT ON FUNCTION cancel_saga(text, text) IS
    'lets a running or waiting saga compensate what it has done; false if it was cancelled before';

CREATE FUNCTION retry_saga(saga_id text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    state sierra_internal.saga_state := sierra_internal.lock_saga(store, saga_id);
    pauses boolean;
BEGIN
    EXECUTE format('SELECT i.interruptions > 0 FROM %I.saga_instances AS i WHERE i.saga_id = $1', store)
       INTO pauses USING saga_id;
    IF state.status <> 'stuck' AND (state.status NOT IN ('running', 'compensating')
                                    OR state.attempts = 0 AND NOT coalesce(pauses, false)) THEN
        PERFORM sierra_internal.report_saga_status(
            state, format('saga instance "%s" has nothing to retry', saga_id),
            'Only a saga that is stuck, or pauses after an error, can be retried.');
    END IF;
    PERFORM sierra_internal.write_saga_instance(store, sierra_internal.append_saga_event(
        state, 'SagaRetried', jsonb_build_object('step', state.steps -> state.step_number - 1 -> 'step')));
END
$$;
COMMENT ON FUNCTION retry_saga(text) IS
    'lets a saga that is stuck, or that pauses after an error, try again at once';

CREATE FUNCTION skip_saga_step(saga_id text, reason text) RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    state sierra_internal.saga_state := sierra_internal.lock_saga(store, saga_id);
    step constant text := state.steps -> state.step_number - 1 ->> 'step';
BEGIN
    PERFORM sierra_internal.require_value('reason', reason IS NULL);
    IF state.status <> 'stuck' THEN
        PERFORM sierra_internal.report_saga_status(
            state, format('saga instance "%s" is not stuck', saga_id),
            'Only the compensation that a saga is stuck at can be skipped.');
    END IF;
    state := sierra_internal.append_saga_event(state, 'SagaCompensationSkipped',
                                               jsonb_build_object('step', step, 'reason', reason));
    PERFORM sierra_internal.write_saga_instance(store, sierra_internal.end_compensation(state));
    RETURN step;
END
$$;
COMMENT ON FUNCTION skip_saga_step(text, text) IS
    'gives up the compensation that a saga is stuck at, and returns the step';

CREATE FUNCTION rebuild_saga_instances() RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    saga_id text;
    known boolean;
    written bigint := 0;
BEGIN
    -- Sessions that start a saga, or take one further, wait.
    EXECUTE format('LOCK TABLE %I.saga_instances IN SHARE ROW EXCLUSIVE MODE', store);
    EXECUTE format('DELETE FROM %I.saga_instances', store);
    FOR saga_id, known IN EXECUTE format(
        'SELECT e.stream_id, EXISTS (SELECT FROM %1$I.sagas AS d WHERE d.saga = e.payload ->> ''saga'''
        '                             AND d.version::text = e.payload ->> ''version'')'
        '  FROM %1$I.events AS e WHERE e.event_name = ''SagaStarted'' AND e.stream_version = 0', store) LOOP
        IF known THEN
            PERFORM sierra_internal.write_saga_instance(store, sierra_internal.load_saga(store, saga_id));
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
    'makes the rows of saga_instances again from the streams, and returns how many';

CREATE FUNCTION forget_sagas(before timestamptz) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    forgotten bigint;
BEGIN
    PERFORM sierra_internal.require_value('before', before IS NULL);
    EXECUTE format('DELETE FROM %I.saga_instances AS i WHERE i.ended_at < $1', store) USING before;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
COMMENT ON FUNCTION forget_sagas(timestamptz) IS
    'removes the rows of sagas that ended before some time, and returns how many; their streams stay';

CREATE FUNCTION sierra_internal.event_sagas_body(store name, status text) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := sierra_internal.require_store(store);
BEGIN
    IF status NOT IN ('running', 'waiting', 'compensating', 'stuck', 'completed', 'compensated') THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('"%s" is not a status of a saga', status),
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
COMMENT ON FUNCTION sierra_internal.event_sagas_body(name, text) IS
    'does what event_sagas() does, as the current user';

-- status is the name of a column and of an argument, so it is INOUT.
CREATE FUNCTION event_sagas(store name DEFAULT NULL, OUT saga_id text, OUT saga text, OUT version integer,
                            INOUT status text DEFAULT NULL, OUT step text, OUT attempts integer,
                            OUT run_at timestamptz, OUT deadline timestamptz, OUT age interval,
                            OUT correlation_id text, OUT last_error text, OUT started_at timestamptz,
                            OUT updated_at timestamptz, OUT ended_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show';
COMMENT ON FUNCTION event_sagas(name, text) IS
    'returns the sagas of a store, all or those with a status: step, attempts, deadline and last error';
