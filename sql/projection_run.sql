-- ---------------------------------------------------------------------------
-- Projections: running them, and their states.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.run_projection_body(projection text, max_count bigint) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    versions integer[];
    version integer;
    handled bigint := 0;
    state text;
BEGIN
    EXECUTE format('SELECT array_agg(p.version ORDER BY p.live DESC) FROM %I.projections AS p'
                   ' WHERE p.projection = $1', store) INTO versions USING projection;
    IF versions IS NULL THEN
        PERFORM sierra_internal.report_no_projection(store, projection);
    END IF;
    FOREACH version IN ARRAY versions LOOP
        handled := handled + sierra_internal.run_projection_version(projection, version, max_count);
    END LOOP;
    IF handled = 0 THEN
        EXECUTE format('SELECT p.state FROM %I.projections AS p WHERE p.projection = $1 AND p.live'
                       '   AND p.state IN (''stopped'', ''paused'')', store) INTO state USING projection;
    END IF;
    IF state IS NOT NULL THEN
        RAISE NOTICE USING
            MESSAGE = format('projection "%s" is %s', projection, state),
            HINT = CASE state WHEN 'paused' THEN 'Use resume_projection().'
                              ELSE 'Use retry_projection() or skip_projection_event().' END;
    END IF;
    RETURN handled;
END
$$;
COMMENT ON FUNCTION sierra_internal.run_projection_body(text, bigint) IS
    'does what run_projection() does, as the current user';

CREATE FUNCTION run_projection(projection text, max_count bigint DEFAULT 1000) RETURNS bigint
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_run_as_owner';
COMMENT ON FUNCTION run_projection(text, bigint) IS
    'runs a projection, in this transaction, and returns how many events it handled';

-- Records that a projection could not be run.
CREATE FUNCTION sierra_internal.record_projection_failure(store name, projection text, version integer,
                                                          reason text, transient boolean)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('UPDATE %I.projections AS p SET'
                   ' attempts = CASE WHEN $4 THEN p.attempts ELSE p.attempts + 1 END,'
                   ' interruptions = CASE WHEN $4 THEN p.interruptions + 1 ELSE 0 END,'
                   ' state = CASE WHEN $4 THEN p.state'
                   '              WHEN p.attempts + 1 >= p.max_attempts THEN ''stopped'' ELSE ''retrying'' END,'
                   ' retry_at = clock_timestamp()'
                   '            + CASE WHEN $4 THEN sierra_internal.interruption_pause(p.interruptions + 1)'
                   '                   WHEN p.attempts + 1 < p.max_attempts'
                   '                   THEN sierra_internal.retry_pause(p.attempts + 1, p.retry_after) END,'
                   ' last_error = $3, last_error_at = clock_timestamp(), updated_at = clock_timestamp()'
                   ' WHERE p.projection = $1 AND p.version = $2', store)
      USING projection, version, reason, transient;
END
$$;
COMMENT ON FUNCTION sierra_internal.record_projection_failure(name, text, integer, text, boolean) IS
    'records why a projection could not be run, and when to try again';

CREATE FUNCTION sierra_internal.projection_due_at(mode text, live boolean, subscription text, state text,
                                                  retry_at timestamptz) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN subscription IS NOT NULL AND (mode = 'background' OR mode = 'inline' AND NOT live)
                 AND state IN ('running', 'retrying')
            THEN coalesce(retry_at, '-infinity') END;
COMMENT ON FUNCTION sierra_internal.projection_due_at(text, boolean, text, text, timestamptz) IS
    'returns when a version of a projection is to run next by itself, -infinity at once, null never';

CREATE FUNCTION sierra_internal.run_projection_if_due(store name, projection text, version integer, max_count bigint,
                                                      owner oid)
    RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    interruptions integer;
    handled bigint;
    transient boolean;
BEGIN
    -- If there is none, another session runs it already, or has just done so; or it has
    -- got another owner, and a process that runs code of this one must not run it.  What
    -- belongs to a role that is gone fails before any code runs.
    EXECUTE format('SELECT p.interruptions FROM %I.projections AS p WHERE p.projection = $1 AND p.version = $2'
                   '   AND ($3 IS NULL OR p.owner = $3 OR NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = p.owner))'
                   '   AND sierra_internal.projection_due_at(p.mode, p.live, p.subscription, p.state, p.retry_at)'
                   '       <= clock_timestamp()'
                   ' FOR NO KEY UPDATE SKIP LOCKED', store)
       INTO interruptions USING projection, version, owner;
    IF interruptions IS NULL THEN
        RETURN NULL;
    END IF;
    handled := sierra_internal.run_projection_version(projection, version, max_count);
    IF handled = 0 AND interruptions > 0 THEN
        EXECUTE format('UPDATE %I.projections AS p SET interruptions = 0'
                       ' WHERE p.projection = $1 AND p.version = $2', store) USING projection, version;
    END IF;
    RETURN handled;
EXCEPTION
    WHEN OTHERS THEN
        IF sierra_internal.must_repeat_transaction(SQLSTATE) THEN
            RAISE;
        END IF;
        transient := sierra_internal.is_transient_error(SQLSTATE);
        RAISE WARNING USING
            ERRCODE = SQLSTATE,
            MESSAGE = format(CASE WHEN transient THEN 'projection "%s" was interrupted'
                                  ELSE 'projection "%s" cannot be run' END, projection),
            DETAIL = SQLERRM;
        PERFORM sierra_internal.record_projection_failure(store, projection, version,
                                                          format('%s: %s', SQLSTATE, SQLERRM), transient);
        RETURN CASE WHEN NOT transient THEN 0 END;
END
$$;
COMMENT ON FUNCTION sierra_internal.run_projection_if_due(name, text, integer, bigint, oid) IS
    'runs one version of a projection, of this owner, unless another session does; null if it was not run';

CREATE FUNCTION sierra_internal.run_projections_body(max_count bigint) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    due record;
    handled bigint := 0;
BEGIN
    -- Otherwise it would count as a failure of each of them.
    PERFORM sierra_internal.require_value('max_count', max_count IS NULL);
    IF max_count < 1 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'max_count must be at least 1',
            DETAIL = format('It is %s.', max_count);
    END IF;
    PERFORM sierra_internal.require_no_subscription(store);
    -- The projections that waited longest come first.
    FOR due IN EXECUTE format(
        'SELECT p.projection, p.version FROM %I.projections AS p'
        ' WHERE sierra_internal.projection_due_at(p.mode, p.live, p.subscription, p.state, p.retry_at)'
        '       <= clock_timestamp()'
        ' ORDER BY p.updated_at NULLS FIRST, p.projection, p.version', store) LOOP
        handled := handled + coalesce(sierra_internal.run_projection_if_due(store, due.projection, due.version,
                                                                 max_count, NULL), 0);
    END LOOP;
    RETURN handled;
END
$$;
COMMENT ON FUNCTION sierra_internal.run_projections_body(bigint) IS
    'does what run_projections() does, as the current user';

CREATE FUNCTION run_projections(max_count bigint DEFAULT 1000) RETURNS bigint
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_run_as_owner';
COMMENT ON FUNCTION run_projections(bigint) IS
    'runs all projections that are due and that no other session runs, and returns how many events';

CREATE FUNCTION eproject(projection text, key text) RETURNS jsonb
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_eproject';
COMMENT ON FUNCTION eproject(text, text) IS
    'returns the state of a key with all events that can be seen, whether handled or not';

CREATE FUNCTION sierra_internal.estates_body(projection text) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    store constant name := sierra_internal.require_store();
    known boolean;
BEGIN
    EXECUTE format('SELECT true FROM %I.projections AS p WHERE p.projection = $1 AND p.live', store)
       INTO known USING projection;
    IF known IS NULL THEN
        PERFORM sierra_internal.report_no_projection(store, projection);
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT s.key, s.state, s.position FROM %1$I.projection_states AS s'
        '  JOIN %1$I.projections AS p ON p.projection = s.projection AND p.version = s.version AND p.live'
        ' WHERE s.projection = $1', store) USING projection;
END
$$;
COMMENT ON FUNCTION sierra_internal.estates_body(text) IS
    'does what estates() does, as the current user';

CREATE FUNCTION estates(projection text)
    RETURNS TABLE (key text, state jsonb, "position" bigint)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show_contents';
COMMENT ON FUNCTION estates(text) IS
    'returns the stored states of a projection, and the position of the last event in each';

CREATE FUNCTION ewait_projection(projection text, cursor bigint, timeout interval DEFAULT '10 seconds')
    RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    deadline constant timestamptz := clock_timestamp() + timeout;
    mode text;
    subscription text;
    gone text;
BEGIN
    PERFORM sierra_internal.require_value('projection', projection IS NULL);
    PERFORM sierra_internal.require_value('timeout', timeout IS NULL);
    LOOP
        EXECUTE format('SELECT p.mode, p.subscription FROM %I.projections AS p'
                       ' WHERE p.projection = $1 AND p.live', store)
           INTO mode, subscription USING projection;
        IF mode IS NULL THEN
            PERFORM sierra_internal.report_no_projection(store, projection);
        END IF;
        BEGIN
            -- For an inline projection the subscription is null: what can be read is handled.
            RETURN sierra_internal.await_subscription(subscription, cursor,
                                                      greatest(deadline - clock_timestamp(), interval '0'));
        EXCEPTION WHEN SQLSTATE 'SE007' THEN
            -- A new version took over; its subscription has another name.
            IF subscription = gone THEN
                RAISE;
            END IF;
            gone := subscription;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION ewait_projection(text, bigint, interval) IS
    'waits until a projection has handled the event at a global position; false after the timeout';
