-- ---------------------------------------------------------------------------
-- Views of subscriptions, their consumers and leases.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.oldest_pending(store name, subscription text, partition integer,
                                               until timestamptz)
    RETURNS timestamptz
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_oldest_pending';
COMMENT ON FUNCTION sierra_internal.oldest_pending(name, text, integer, timestamptz) IS
    'returns the time of the next event of a subscription in a partition (-1: all); infinity if not known by then';

CREATE FUNCTION sierra_internal.oldest_due(store name, subscription text) RETURNS timestamptz
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_oldest_due';
COMMENT ON FUNCTION sierra_internal.oldest_due(name, text) IS
    'returns the time of the oldest event of streams that failed and whose next attempt is due; null if there is none';

-- projections: only subscriptions of projections, or only the others.
CREATE FUNCTION sierra_internal.list_pending(store name, projections boolean, until timestamptz)
    RETURNS TABLE (subscription text, consumer text, events bigint, oldest timestamptz)
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_list_pending';
COMMENT ON FUNCTION sierra_internal.list_pending(name, boolean, timestamptz) IS
    'returns how many events are after the cursors of subscriptions and consumers, and the times of the oldest';

CREATE FUNCTION sierra_internal.count_events_after_cursors(store name)
    RETURNS TABLE (subscription text, partition_id integer, events bigint)
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_count_after_cursors';
COMMENT ON FUNCTION sierra_internal.count_events_after_cursors(name) IS
    'returns how many events are after each cursor of the subscriptions of a store; partition -1: all that one has';

-- Where no look for events is needed, none is made; but a replica refuses it, whatever it has.
CREATE FUNCTION sierra_internal.refuses_order(store name) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT pg_is_in_recovery() OR sierra_internal.is_subscribed($1) $$;
COMMENT ON FUNCTION sierra_internal.refuses_order(name) IS
    'returns whether a store cannot be read as a whole, in order, because it is a replica';

CREATE FUNCTION sierra_internal.lag_since(oldest timestamptz) RETURNS interval
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN isfinite($1) THEN clock_timestamp() - $1 END $$;
COMMENT ON FUNCTION sierra_internal.lag_since(timestamptz) IS
    'returns the time since a result of oldest_pending(); null if there was none, or it is not known';

CREATE FUNCTION sierra_internal.list_leases(store name)
    RETURNS TABLE (subscription text, partition_id integer, cursor bigint, lag_events bigint,
                   lag interval, consumer text, epoch bigint, acknowledged_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT c.subscription, c.partition_id, c.cursor, behind.events,'
        '       sierra_internal.lag_since(CASE WHEN behind.events > 0 THEN'
        '           sierra_internal.oldest_pending($1, c.subscription, c.partition_id, $2) END),'
        '       c.consumer, c.epoch, c.acknowledged_at'
        '  FROM %I.subscription_cursors AS c'
        '  JOIN sierra_internal.count_events_after_cursors($1) AS behind'
        '    ON behind.subscription = c.subscription AND behind.partition_id = c.partition_id'
        ' WHERE c.partition_id >= 0'
        ' ORDER BY c.subscription, c.partition_id', store)
      USING store, clock_timestamp() + interval '1 second';
END
$$;
COMMENT ON FUNCTION sierra_internal.list_leases(name) IS
    'returns the rows of event_leases(); looks for the oldest events for at most a second';

CREATE FUNCTION sierra_internal.event_leases_body(store name) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY SELECT * FROM sierra_internal.list_leases(sierra_internal.require_store(store));
END
$$;
COMMENT ON FUNCTION sierra_internal.event_leases_body(name) IS
    'does what event_leases() does, as the current user';

CREATE FUNCTION event_leases(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, partition_id integer, cursor bigint, lag_events bigint,
                   lag interval, consumer text, epoch bigint, acknowledged_at timestamptz)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show';
COMMENT ON FUNCTION event_leases(name) IS
    'returns the partitions of consumer groups: cursor, lag, and the consumer that holds the lease';

CREATE FUNCTION sierra_internal.event_consumers_body(store name) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.require_store(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT m.subscription, m.consumer, coalesce(l.partitions, ''{}''), m.acknowledged, m.delivered,'
        '       coalesce(l.lag_events, 0), l.lag, m.seen_at >= clock_timestamp() - s.lease_time,'
        '       m.joined_at, m.seen_at'
        '  FROM %1$I.subscription_consumers AS m'
        '  JOIN %1$I.subscriptions AS s ON s.subscription = m.subscription'
        '  LEFT JOIN (SELECT c.subscription, c.consumer,'
        '                    array_agg(c.partition_id ORDER BY c.partition_id) AS partitions,'
        '                    sum(c.lag_events)::bigint AS lag_events, max(c.lag) AS lag'
        '               FROM sierra_internal.list_leases($1) AS c'
        '              GROUP BY c.subscription, c.consumer) AS l'
        '    ON l.subscription = m.subscription AND l.consumer = m.consumer'
        ' ORDER BY m.subscription, m.consumer', wanted) USING wanted;
END
$$;
COMMENT ON FUNCTION sierra_internal.event_consumers_body(name) IS
    'does what event_consumers() does, as the current user';

CREATE FUNCTION event_consumers(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, consumer text, partitions integer[], acknowledged bigint,
                   delivered bigint, lag_events bigint, lag interval, alive boolean, joined_at timestamptz, seen_at timestamptz)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show';
COMMENT ON FUNCTION event_consumers(name) IS
    'returns the consumers of groups: their partitions, progress, lag, and when they were last seen';

-- The query returns a row for each subscription; %1$I is the store, and $2 whether it refuses to
-- look for events.
CREATE FUNCTION sierra_internal.subscriptions_query(store name) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT format($query$
  WITH done AS MATERIALIZED (
       SELECT c.subscription, min(c.cursor) AS cursor, max(c.acknowledged_at) AS acknowledged_at,
              sum(behind.events)::bigint AS lag_events
         FROM %1$I.subscription_cursors AS c
         JOIN sierra_internal.count_events_after_cursors($1) AS behind
           ON behind.subscription = c.subscription AND behind.partition_id = c.partition_id
        GROUP BY c.subscription)
SELECT s.subscription,
       CASE WHEN pending.count = 0 AND failed.due IS NULL THEN
                CASE failed.retrying + failed.parked WHEN 0 THEN 'caught up' ELSE 'failing' END
            WHEN greatest(least(pending.oldest, failed.due), done.acknowledged_at, s.created_at)
                 < clock_timestamp() - interval '1 minute' THEN 'stuck'
            ELSE 'moving' END,
       done.lag_events, clock_timestamp() - least(pending.oldest, failed.due), pending.count, s.window_size,
       done.cursor,
       (SELECT count(*)::integer FROM %1$I.subscription_consumers AS m
         WHERE m.subscription = s.subscription AND m.seen_at >= clock_timestamp() - s.lease_time),
       failed.retrying, failed.parked, done.acknowledged_at, problem.last_error,
       problem.last_error_at, s.streams, s.event_names, s.tags, s.partitions, s.created_at
  FROM %1$I.subscriptions AS s
  LEFT JOIN done ON done.subscription = s.subscription
  LEFT JOIN LATERAL (
       SELECT c.last_error, c.last_error_at
         FROM %1$I.subscription_cursors AS c
        WHERE c.subscription = s.subscription AND c.last_error_at IS NOT NULL
        ORDER BY c.last_error_at DESC LIMIT 1) AS problem ON true
 CROSS JOIN LATERAL (
       SELECT count(*)::integer AS count, min(e."timestamp") AS oldest
         FROM sierra_internal.peek_subscription($1, s.subscription, s.window_size) AS e
        WHERE done.lag_events > 0 OR $2) AS pending
 CROSS JOIN LATERAL (
       SELECT (count(*) FILTER (WHERE t.state = 'retrying'))::integer AS retrying,
              (count(*) FILTER (WHERE t.state = 'parked'))::integer AS parked,
              CASE WHEN bool_or(t.state IN ('retrying', 'draining'))
                   THEN sierra_internal.oldest_due($1, s.subscription) END AS due
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
      USING wanted, sierra_internal.refuses_order(wanted);
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
