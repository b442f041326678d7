-- ---------------------------------------------------------------------------
-- Failed events of subscriptions: retried, skipped, listed.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.retry_failed_events(store name, subscription text, stream_id text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    retried bigint;
BEGIN
    PERFORM sierra_internal.require_subscription(store, subscription);
    EXECUTE format('UPDATE %I.subscription_streams AS t'
                   '   SET state = ''retrying'', retry_at = clock_timestamp(), attempts = 0, delivered = NULL'
                   ' WHERE t.subscription = $1 AND t.state IN (''parked'', ''retrying'')'
                   '   AND ($2 IS NULL OR t.stream_id = $2)', store)
      USING subscription, stream_id;
    GET DIAGNOSTICS retried = ROW_COUNT;
    RETURN retried;
END
$$;
COMMENT ON FUNCTION sierra_internal.retry_failed_events(name, text, text) IS
    'lets failed events of a subscription come again at once, and returns how many';

CREATE FUNCTION eretry(subscription text, stream_id text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sierra_internal.require_public_subscription(subscription);
    RETURN sierra_internal.retry_failed_events(sierra_internal.require_store(), subscription, stream_id);
END
$$;
COMMENT ON FUNCTION eretry(text, text) IS
    'lets failed events of a subscription come again at once, and returns how many';

CREATE FUNCTION sierra_internal.skip_failed_event(store name, subscription text, stream_id text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    skipped bigint;
BEGIN
    PERFORM sierra_internal.require_subscription(store, subscription);
    EXECUTE format('UPDATE %I.subscription_streams AS t'
                   '   SET state = ''draining'', position = t.failed_position, version = t.failed_version,'
                   '       delivered = NULL, attempts = 0, retry_at = NULL'
                   ' WHERE t.subscription = $1 AND t.stream_id = $2 AND t.state IN (''parked'', ''retrying'')'
                   ' RETURNING t.failed_position', store)
       INTO skipped USING subscription, stream_id;
    RETURN skipped;
END
$$;
COMMENT ON FUNCTION sierra_internal.skip_failed_event(name, text, text) IS
    'gives up the failed event of a stream, and returns its global position, null if none has failed';

CREATE FUNCTION eskip(subscription text, stream_id text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sierra_internal.require_public_subscription(subscription);
    RETURN sierra_internal.skip_failed_event(sierra_internal.require_store(), subscription, stream_id);
END
$$;
COMMENT ON FUNCTION eskip(text, text) IS
    'gives up the failed event of a stream, and returns its global position, null if none has failed';

CREATE FUNCTION sierra_internal.event_failures_body(store name) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.require_store(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT t.subscription, t.stream_id, t.partition_id, t.state, t.failed_position, e.event_id,'
        '       e.event_name, t.attempts, t.retry_at, t.reason, t.failed_at,'
        '       (SELECT max(l.stream_version) FROM %1$I.events AS l'
        '         WHERE l.partition_id = t.partition_id AND l.stream_id = t.stream_id) - t.failed_version'
        '  FROM %1$I.subscription_streams AS t'
        '  LEFT JOIN %1$I.events AS e'
        '    ON e.partition_id = t.partition_id AND e.stream_id = t.stream_id'
        '   AND e.stream_version = t.failed_version'
        '  JOIN %1$I.subscriptions AS s ON s.subscription = t.subscription'
        ' WHERE t.state IN (''retrying'', ''parked'')'
        ' ORDER BY t.subscription, t.failed_position', wanted);
END
$$;
COMMENT ON FUNCTION sierra_internal.event_failures_body(name) IS
    'does what event_failures() does, as the current user';

CREATE FUNCTION event_failures(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, stream_id text, partition_id integer, state text,
                   global_position bigint, event_id uuid, event_name text, attempts integer,
                   retry_at timestamptz, reason text, failed_at timestamptz, waiting bigint)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show';
COMMENT ON FUNCTION event_failures(name) IS
    'returns the events of a store that failed: their state, the reason, and how many events wait behind each';
