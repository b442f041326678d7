-- ---------------------------------------------------------------------------
-- Process managers: projections whose handlers act.
-- ---------------------------------------------------------------------------

-- A process manager is a projection whose handler acts.  The search_path of the
-- caller is a default of an argument, because the function has another one inside.
CREATE FUNCTION create_process_manager(manager text,
                                       handler sierra_function,
                                       streams text[] DEFAULT NULL,
                                       event_names text[] DEFAULT NULL,
                                       key text DEFAULT NULL,
                                       initial sierra_json DEFAULT '{}',
                                       mode text DEFAULT 'background',
                                       start_from start_position DEFAULT 'latest',
                                       batch_size integer DEFAULT 100,
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
    PERFORM sierra_internal.require_value('manager', manager IS NULL);
    PERFORM sierra_internal.require_value('handler', handler IS NULL);
    PERFORM sierra_internal.require_value('search_path', search_path IS NULL);
    PERFORM sierra_internal.check_projection_arguments(manager, mode, batch_size, on_error, max_attempts,
                                                       retry_after);
    IF mode = 'inline' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'a process manager cannot be inline',
            DETAIL = 'It would append events in the middle of an append.',
            HINT = 'Use ''background'' or ''manual''.';
    END IF;
    IF sierra_internal.handler_kind(handler) <> 'fold' THEN
        RAISE invalid_function_definition USING
            MESSAGE = format('function %s is not a handler of a process manager', handler),
            HINT = 'A handler takes (state jsonb, event sierra_event) and returns jsonb: the new state, or null to end the process.';
    END IF;
    PERFORM sierra_internal.add_projection_version(
        store, manager, 1, true, quote_ident(current_user)::regrole, 'process', handler, streams, event_names, tags, mode, key,
        initial::jsonb, start_from, batch_size, on_error, max_attempts, retry_after, false, search_path);
END
$$;
COMMENT ON FUNCTION create_process_manager(text, sierra_function, text[], text[], text, sierra_json, text, start_position, integer, text, integer, interval, text, text[]) IS
    'creates a process manager: a projection whose handler may append and schedule events';

CREATE FUNCTION event_process_managers(store name DEFAULT NULL)
    RETURNS TABLE (manager text, mode text, state text, processes bigint, cursor bigint,
                   lag_events bigint, lag interval, processed bigint, rate double precision,
                   time_left interval, parked bigint, attempts integer, retry_at timestamptz,
                   failed_position bigint, failed_stream text, last_error text,
                   last_error_at timestamptz, handler text, key text, owner name,
                   subscription text, updated_at timestamptz)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.projection, p.mode, p.state, p.states, p.cursor, p.lag_events, p.lag, p.processed,
           p.rate, p.time_left, p.parked, p.attempts, p.retry_at, p.failed_position,
           p.failed_stream, p.last_error, p.last_error_at, p.handler, p.key, p.owner,
           p.subscription, p.updated_at
      FROM @extschema@.event_projections($1) AS p WHERE p.kind = 'process'
$$;
COMMENT ON FUNCTION event_process_managers(name) IS
    'returns the process managers of a store: state, running processes, lag, rate and failures';
