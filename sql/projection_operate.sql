-- ---------------------------------------------------------------------------
-- Projections: pause, retry, skip, rebuild, drop, and the view of them.
-- ---------------------------------------------------------------------------

-- Sets the state of all versions of a projection.  Returns true if that changed something.
CREATE FUNCTION sierra_internal.set_projection_state(projection text, from_states text[], to_state text)
    RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    live constant integer := sierra_internal.lock_live_version(store, projection, 'NO KEY UPDATE');
    mode text;
    changed integer;
BEGIN
    EXECUTE format('SELECT p.mode FROM %I.projections AS p WHERE p.projection = $1 AND p.version = $2',
                   store) INTO mode USING projection, live;
    IF mode = 'inline' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('projection "%s" is inline', projection),
            DETAIL = 'It runs with each append, and would miss events that are appended meanwhile.',
            HINT = 'Drop it, or create it in mode background or manual.';
    END IF;
    EXECUTE format('UPDATE %I.projections AS p SET state = $3, attempts = 0, interruptions = 0, retry_at = NULL,'
                   ' updated_at = clock_timestamp()'
                   ' WHERE p.projection = $1 AND p.state = ANY ($2)', store)
      USING projection, from_states, to_state;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM @extschema@.sierra_call_runners();
    RETURN changed > 0;
END
$$;
COMMENT ON FUNCTION sierra_internal.set_projection_state(text, text[], text) IS
    'sets the state of a projection, and returns whether that changed anything';

CREATE FUNCTION pause_projection(projection text) RETURNS boolean
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT sierra_internal.set_projection_state($1, ARRAY['running', 'retrying', 'stopped'], 'paused') $$;
COMMENT ON FUNCTION pause_projection(text) IS 'pauses a projection; false if it was paused already';

CREATE FUNCTION resume_projection(projection text) RETURNS boolean
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT sierra_internal.set_projection_state($1, ARRAY['paused'], 'running') $$;
COMMENT ON FUNCTION resume_projection(text) IS
    'resumes a paused projection; false if it was not paused';

CREATE FUNCTION retry_projection(projection text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    subscription text;
    retried boolean := sierra_internal.set_projection_state(projection, ARRAY['retrying', 'stopped'], 'running');
BEGIN
    FOR subscription IN EXECUTE format('SELECT p.subscription FROM %I.projections AS p'
                                       ' WHERE p.projection = $1', store) USING projection LOOP
        retried := sierra_internal.retry_failed_events(store, subscription, NULL) > 0 OR retried;
    END LOOP;
    RETURN retried;
END
$$;
COMMENT ON FUNCTION retry_projection(text) IS
    'lets what failed of a projection be tried again at once; false if nothing had failed';

CREATE FUNCTION skip_projection_event(projection text, stream_id text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    stopped record;
    skipped bigint;
BEGIN
    FOR stopped IN EXECUTE format('SELECT p.version, p.subscription, p.failed_position, p.failed_stream, p.last_error'
                                  '  FROM %I.projections AS p WHERE p.projection = $1'
                                  '   AND p.subscription IS NOT NULL'
                                  ' ORDER BY p.live DESC FOR NO KEY UPDATE', store) USING projection LOOP
        IF stopped.failed_position IS NOT NULL
           AND stopped.failed_stream = coalesce(stream_id, stopped.failed_stream) THEN
            PERFORM sierra_internal.park_event(store, stopped.subscription, stopped.failed_position,
                                               stopped.last_error);
            skipped := sierra_internal.skip_failed_event(store, stopped.subscription, stopped.failed_stream);
            EXECUTE format('UPDATE %I.projections AS p SET state = ''running'', attempts = 0,'
                           ' interruptions = 0, retry_at = NULL, failed_position = NULL, failed_stream = NULL'
                           ' WHERE p.projection = $1 AND p.version = $2', store)
              USING projection, stopped.version;
        ELSIF stream_id IS NOT NULL THEN
            skipped := coalesce(sierra_internal.skip_failed_event(store, stopped.subscription, stream_id), skipped);
        END IF;
    END LOOP;
    RETURN skipped;
END
$$;
COMMENT ON FUNCTION skip_projection_event(text, text) IS
    'gives up the event that a projection failed at, and returns its position, null if none has failed';

CREATE FUNCTION rebuild_projection(projection text,
                                   handler sierra_function DEFAULT NULL,
                                   key text DEFAULT NULL,
                                   initial sierra_json DEFAULT NULL,
                                   streams text[] DEFAULT NULL,
                                   event_names text[] DEFAULT NULL,
                                   automatic boolean DEFAULT NULL,
                                   search_path text DEFAULT NULL,
                                   tags text[] DEFAULT NULL)
    RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    given constant regprocedure := handler;
    held constant integer := sierra_internal.lock_live_version(store, projection, 'NO KEY UPDATE');
    live record;
    building integer;
    kind text;
BEGIN
    EXECUTE format('SELECT p.* FROM %I.projections AS p WHERE p.projection = $1 AND p.version = $2',
                   store) INTO live USING projection, held;
    IF live.kind = 'process' THEN
        RAISE wrong_object_type USING
            MESSAGE = format('projection "%s" is a process manager', projection),
            DETAIL = 'It would react to all events again.',
            HINT = 'Drop it with drop_projection(), and create it with its cursor as start_from.';
    END IF;
    EXECUTE format('SELECT max(p.version) + 1 FROM %I.projections AS p WHERE p.projection = $1', store)
       INTO building USING projection;
    IF building > live.version + 1 THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('projection "%s" is being rebuilt already', projection),
            DETAIL = format('Version %s is being built.', building - 1),
            HINT = 'Let it finish, or use cancel_rebuild().';
    END IF;
    kind := sierra_internal.handler_kind(coalesce(given, live.handler::regprocedure));
    IF kind <> 'fold' AND coalesce(given, to_regprocedure(live.handler)) = to_regprocedure(live.handler) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a projection whose handler writes its own tables is not rebuilt with the same handler',
            DETAIL = format('%s would write again what the live version has written.', live.handler),
            HINT = 'Pass another handler, which writes other tables.';
    END IF;
    PERFORM sierra_internal.add_projection_version(
        store, projection, building, false,
        -- What a role has left that does not exist any more can be taken over.
        CASE WHEN EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = live.owner) THEN live.owner
             ELSE quote_ident(current_user)::regrole END, kind, coalesce(given, live.handler::regprocedure),
        coalesce(streams, live.streams), coalesce(event_names, live.event_names), coalesce(tags, live.tags), live.mode,
        coalesce(key, CASE WHEN kind = 'fold' THEN live.key END), coalesce(initial::jsonb, live.initial), 'earliest', live.batch_size,
        live.on_error, live.max_attempts, live.retry_after,
        coalesce(automatic, kind = 'fold') AND live.mode <> 'inline',
        coalesce(search_path, live.search_path));
    RETURN building;
END
$$;
COMMENT ON FUNCTION rebuild_projection(text, sierra_function, text, sierra_json, text[], text[], boolean, text, text[]) IS
    'starts to build a new version of a projection beside the live one, and returns the version';

CREATE FUNCTION sierra_internal.make_version_live(store name, projection text, version integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM sierra_internal.drop_projection_versions(store, projection, version);
    EXECUTE format('UPDATE %I.projections AS p SET live = true, automatic = false'
                   ' WHERE p.projection = $1 AND p.version = $2', store) USING projection, version;
END
$$;
COMMENT ON FUNCTION sierra_internal.make_version_live(name, text, integer) IS
    'makes a version of a projection the live one, and drops the other';

-- Returns the version that is being built; 55000 if there is none.
CREATE FUNCTION sierra_internal.lock_building_version(store name, projection text) RETURNS integer
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
        PERFORM sierra_internal.report_no_projection(store, projection);
    END IF;
    IF building IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('projection "%s" is not being rebuilt', projection),
            HINT = 'Start with rebuild_projection(); a fold takes over by itself when it has caught up.';
    END IF;
    RETURN building;
END
$$;
COMMENT ON FUNCTION sierra_internal.lock_building_version(name, text) IS
    'locks a projection, and returns the version that is being built';

-- An append locks the events table first, and the row of the projection when its trigger
-- fires.  What makes or drops the trigger takes these locks in the same order.
CREATE FUNCTION sierra_internal.hold_inline_appends(store name, projection text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    is_inline boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.projections AS p WHERE p.projection = $1 AND p.mode = ''inline'')',
                   store) INTO is_inline USING projection;
    IF is_inline THEN
        EXECUTE format('LOCK TABLE %I.events IN SHARE ROW EXCLUSIVE MODE', store);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_internal.hold_inline_appends(name, text) IS
    'locks the table of events if a projection is inline, before its rows are locked';

CREATE FUNCTION finish_rebuild(projection text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    building integer;
    mode text;
    state text;
    failure text;
BEGIN
    -- Appends wait from here on, so that the trigger continues where this ends.
    PERFORM sierra_internal.hold_inline_appends(store, projection);
    building := sierra_internal.lock_building_version(store, projection);
    EXECUTE format('UPDATE %I.projections AS p SET automatic = false'
                   ' WHERE p.projection = $1 AND p.version = $2 RETURNING p.mode', store)
       INTO mode USING projection, building;
    PERFORM sierra_internal.run_projection_version(projection, building, 9223372036854775807);
    EXECUTE format('SELECT p.state, p.last_error FROM %I.projections AS p'
                   ' WHERE p.projection = $1 AND p.version = $2', store)
       INTO state, failure USING projection, building;
    IF state <> 'running' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('the new version of projection "%s" has not caught up', projection),
            DETAIL = format('It is %s: %s.', state, coalesce(failure, 'no error')),
            HINT = 'Use resume_projection(), retry_projection() or skip_projection_event().';
    END IF;
    PERFORM sierra_internal.make_version_live(store, projection, building);
    IF mode = 'inline' THEN
        PERFORM sierra_internal.make_projection_inline(store, projection, building);
    END IF;
    RETURN building;
END
$$;
COMMENT ON FUNCTION finish_rebuild(text) IS
    'lets the version of a projection that is being built catch up and take over, and returns it';

-- Drops all versions of a projection, or all but the one to keep.
CREATE FUNCTION sierra_internal.drop_projection_versions(store name, projection text, kept integer)
    RETURNS void
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
            PERFORM sierra_internal.drop_subscription(store, subscription);
        END IF;
    END LOOP;
    EXECUTE format('DELETE FROM %I.projection_states AS s'
                   ' WHERE s.projection = $1 AND ($2 IS NULL OR s.version <> $2)', store)
      USING projection, kept;
END
$$;
COMMENT ON FUNCTION sierra_internal.drop_projection_versions(name, text, integer) IS
    'drops all versions of a projection but the one to keep, with their states and subscriptions';

CREATE FUNCTION cancel_rebuild(projection text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    building constant integer := sierra_internal.lock_building_version(store, projection);
    live integer;
BEGIN
    EXECUTE format('SELECT p.version FROM %I.projections AS p WHERE p.projection = $1 AND p.live', store)
       INTO live USING projection;
    PERFORM sierra_internal.drop_projection_versions(store, projection, live);
    RETURN building;
END
$$;
COMMENT ON FUNCTION cancel_rebuild(text) IS
    'drops the version of a projection that is being built, and returns it';

CREATE FUNCTION drop_projection(projection text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    live integer;
    mode text;
BEGIN
    PERFORM sierra_internal.hold_inline_appends(store, projection);
    live := sierra_internal.lock_live_version(store, projection, 'UPDATE');
    -- A run of another version reads events, and must end before the trigger is dropped.
    EXECUTE format('SELECT FROM %I.projections AS p WHERE p.projection = $1 ORDER BY p.version FOR UPDATE', store)
      USING projection;
    EXECUTE format('SELECT p.mode FROM %I.projections AS p WHERE p.projection = $1 AND p.version = $2',
                   store) INTO mode USING projection, live;
    IF mode = 'inline' THEN
        EXECUTE format('DROP TRIGGER IF EXISTS %I ON %I.events',
                       sierra_internal.inline_trigger_name(projection), store);
    END IF;
    PERFORM sierra_internal.drop_projection_versions(store, projection, NULL);
END
$$;
COMMENT ON FUNCTION drop_projection(text) IS
    'drops a projection with its states; what its handler wrote stays';

CREATE FUNCTION alter_projection_owner(projection text, new_owner regrole) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    altered record;
BEGIN
    PERFORM sierra_internal.require_value('projection', projection IS NULL);
    PERFORM sierra_internal.require_value('new_owner', new_owner IS NULL);
    -- The locks of create_projection() and finish_rebuild(), without holding appends back.
    PERFORM sierra_internal.lock_live_version(store, projection, 'NO KEY UPDATE');
    PERFORM sierra_internal.check_owner(store, 'projection', new_owner);
    FOR altered IN EXECUTE format('UPDATE %I.projections AS p SET owner = $2, retry_at = NULL'
                                  ' WHERE p.projection = $1 RETURNING p.version', store)
                     USING projection, new_owner LOOP
        -- Fails now rather than in the next append if the new owner may not call the handler.
        PERFORM sierra_internal.try_projection_version(projection, altered.version);
    END LOOP;
    PERFORM @extschema@.sierra_call_runners();
END
$$;
COMMENT ON FUNCTION alter_projection_owner(text, regrole) IS
    'gives a projection or process manager to another role, which it runs as from then on';

CREATE FUNCTION sierra_internal.event_projections_body(store name) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.require_store(store);
    last bigint;
BEGIN
    -- The newest event of each partition, by its index.
    EXECUTE format('SELECT max(n.global_position) FROM generate_series(0, $1 - 1) AS p (id)'
                   ' CROSS JOIN LATERAL (SELECT e.global_position FROM %I.events AS e WHERE e.partition_id = p.id'
                   '                      ORDER BY e.partition_sequence DESC LIMIT 1) AS n', wanted)
       INTO last USING sierra_internal.partition_count(wanted);
    RETURN QUERY EXECUTE format(
        'WITH done AS MATERIALIZED ('
        '     SELECT c.subscription, min(c.cursor) AS cursor, sum(behind.events)::bigint AS lag_events'
        '       FROM %1$I.subscription_cursors AS c'
        '       LEFT JOIN sierra_internal.count_events_after_cursors($1) AS behind'
        '         ON behind.subscription = c.subscription AND behind.partition_id = c.partition_id'
        '      GROUP BY c.subscription)'
        'SELECT p.projection, p.version, p.live, p.mode, p.kind,'
        '       p.state, done.cursor, coalesce(done.lag_events, 0),'
        '       clock_timestamp() - waiting.oldest,'
        -- A cursor passes over unwanted events in steps; see src/subscription/delivery.c.
        '       CASE WHEN p.subscription IS NULL OR waiting.oldest IS NULL AND done.lag_events < 1000 THEN 1'
        '            ELSE (done.cursor + 1) / ($2 + 1.0) END::double precision,'
        '       p.rate, make_interval(secs => done.lag_events / nullif(p.rate, 0)),'
        '       p.processed,'
        '       (SELECT count(*) FROM %1$I.projection_states AS s'
        '         WHERE s.projection = p.projection AND s.version = p.version),'
        '       (SELECT count(*) FROM %1$I.subscription_streams AS t'
        '         WHERE t.subscription = p.subscription AND t.state IN (''retrying'', ''parked'')),'
        '       p.attempts, p.retry_at, p.failed_position, p.failed_stream, p.last_error,'
        '       p.last_error_at, p.handler, p.key, pg_get_userbyid(p.owner), p.subscription, p.updated_at'
        '  FROM %1$I.projections AS p'
        '  LEFT JOIN done ON done.subscription = p.subscription'
        '  LEFT JOIN LATERAL ('
        '       SELECT min(e."timestamp") AS oldest'
        '         FROM %1$I.subscriptions AS s'
        '        CROSS JOIN LATERAL sierra_internal.peek_subscription($1, s.subscription, 1) AS e'
        '        WHERE s.subscription = p.subscription AND (done.lag_events > 0 OR $3)) AS waiting ON true'
        ' ORDER BY p.projection, p.version', wanted)
      USING wanted, last, sierra_internal.refuses_order(wanted);
END
$$;
COMMENT ON FUNCTION sierra_internal.event_projections_body(name) IS
    'does what event_projections() does, as the current user';

CREATE FUNCTION event_projections(store name DEFAULT NULL)
    RETURNS TABLE (projection text, version integer, live boolean, mode text, kind text,
                   state text, cursor bigint, lag_events bigint, lag interval, progress double precision,
                   rate double precision, time_left interval, processed bigint, states bigint,
                   parked bigint, attempts integer, retry_at timestamptz, failed_position bigint,
                   failed_stream text, last_error text, last_error_at timestamptz,
                   handler text, key text, owner name, subscription text, updated_at timestamptz)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show';
COMMENT ON FUNCTION event_projections(name) IS
    'returns a row for each version of a projection: state, lag, progress, rate and failures';
