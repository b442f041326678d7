-- ---------------------------------------------------------------------------
-- Views of subscriptions, their consumers and leases.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.event_leases_body(store name) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.require_store(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT c.subscription, c.partition_id, c.cursor,'
        '       sierra_internal.count_events_after($1, c.partition_id, c.cursor), c.consumer, c.epoch,'
        '       c.acknowledged_at'
        '  FROM %I.subscription_cursors AS c WHERE c.partition_id >= 0'
        ' ORDER BY c.subscription, c.partition_id', wanted) USING wanted;
END
$$;
COMMENT ON FUNCTION sierra_internal.event_leases_body(name) IS
    'does what event_leases() does, as the current user';

CREATE FUNCTION event_leases(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, partition_id integer, cursor bigint, lag_events bigint,
                   consumer text, epoch bigint, acknowledged_at timestamptz)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show';
COMMENT ON FUNCTION event_leases(name) IS
    'returns the partitions of consumer groups: cursor, events behind, and the consumer that holds the lease';

CREATE FUNCTION sierra_internal.event_consumers_body(store name) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.require_store(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT m.subscription, m.consumer,'
        '       ARRAY(SELECT c.partition_id FROM %1$I.subscription_cursors AS c'
        '              WHERE c.subscription = m.subscription AND c.consumer = m.consumer ORDER BY 1),'
        '       m.acknowledged, m.delivered, m.seen_at >= clock_timestamp() - s.lease_time,'
        '       m.joined_at, m.seen_at'
        '  FROM %1$I.subscription_consumers AS m'
        '  JOIN %1$I.subscriptions AS s ON s.subscription = m.subscription'
        ' ORDER BY m.subscription, m.consumer', wanted);
END
$$;
COMMENT ON FUNCTION sierra_internal.event_consumers_body(name) IS
    'does what event_consumers() does, as the current user';

CREATE FUNCTION event_consumers(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, consumer text, partitions integer[], acknowledged bigint,
                   delivered bigint, alive boolean, joined_at timestamptz, seen_at timestamptz)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show';
COMMENT ON FUNCTION event_consumers(name) IS
    'returns the consumers of groups: their partitions, progress, and when they were last seen';

-- The query returns a row for each subscription; %1$I is the store.  A subscription
-- without a group has its cursor under partition -1.
CREATE FUNCTION sierra_internal.subscriptions_query(store name) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT format($query$
SELECT s.subscription,
       CASE WHEN pending.count = 0 AND failed.retrying + failed.parked = 0 THEN 'caught up'
            WHEN pending.count = 0 THEN 'failing'
            WHEN greatest(pending.oldest, done.acknowledged_at, s.created_at)
                 < clock_timestamp() - interval '1 minute' THEN 'stuck'
            ELSE 'moving' END,
       done.lag_events, clock_timestamp() - pending.oldest, pending.count, s.window_size,
       done.cursor,
       (SELECT count(*)::integer FROM %1$I.subscription_consumers AS m
         WHERE m.subscription = s.subscription AND m.seen_at >= clock_timestamp() - s.lease_time),
       failed.retrying, failed.parked, done.acknowledged_at, problem.last_error,
       problem.last_error_at, s.streams, s.event_names, s.tags, s.partitions, s.created_at
  FROM %1$I.subscriptions AS s
 CROSS JOIN LATERAL (
       SELECT min(c.cursor) AS cursor, max(c.acknowledged_at) AS acknowledged_at,
              sum(sierra_internal.count_events_after($1, p.id, c.cursor))::bigint AS lag_events
         FROM %1$I.subscription_cursors AS c
         JOIN generate_series(0, $2 - 1) AS p (id)
           ON c.partition_id = p.id
           OR c.partition_id = -1 AND (s.partitions IS NULL OR p.id = ANY (s.partitions))
        WHERE c.subscription = s.subscription) AS done
  LEFT JOIN LATERAL (
       SELECT c.last_error, c.last_error_at
         FROM %1$I.subscription_cursors AS c
        WHERE c.subscription = s.subscription AND c.last_error_at IS NOT NULL
        ORDER BY c.last_error_at DESC LIMIT 1) AS problem ON true
 CROSS JOIN LATERAL (
       SELECT count(*)::integer AS count, min(e."timestamp") AS oldest
         FROM sierra_internal.peek_subscription($1, s.subscription, s.window_size) AS e) AS pending
 CROSS JOIN LATERAL (
       SELECT (count(*) FILTER (WHERE t.state = 'retrying'))::integer AS retrying,
              (count(*) FILTER (WHERE t.state = 'parked'))::integer AS parked
         FROM %1$I.subscription_streams AS t WHERE t.subscription = s.subscription) AS failed
 ORDER BY s.subscription
$query$, store)
$$;
COMMENT ON FUNCTION sierra_internal.subscriptions_query(name) IS
    'returns the query of event_subscriptions()';

CREATE FUNCTION sierra_internal.event_subscriptions_body(store name) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.require_store(store);
BEGIN
    RETURN QUERY EXECUTE sierra_internal.subscriptions_query(wanted)
      USING wanted, sierra_internal.partition_count(wanted);
END
$$;
COMMENT ON FUNCTION sierra_internal.event_subscriptions_body(name) IS
    'does what event_subscriptions() does, as the current user';

CREATE FUNCTION event_subscriptions(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, state text, lag_events bigint, lag interval,
                   window_used integer, window_size integer, cursor bigint, consumers integer,
                   retrying integer, parked integer, acknowledged_at timestamptz, last_error text,
                   last_error_at timestamptz, streams text[], event_names text[],
                   tags text[], partitions integer[], created_at timestamptz)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show';
COMMENT ON FUNCTION event_subscriptions(name) IS
    'returns the subscriptions of a store: state, lag, window in use, consumers and failures';
