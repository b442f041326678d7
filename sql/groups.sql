-- ---------------------------------------------------------------------------
-- Subscriptions: groups, failures, views
-- ---------------------------------------------------------------------------

-- Consumers of a group.  What must not happen: that an event is acknowledged for
-- a consumer who lost its partition, or that two of them have one partition.
-- Rows of consumers and leases are taken with SKIP LOCKED: who is in the middle
-- of a transaction keeps what it holds.

-- Takes all leases from consumers.  A new epoch tells the lease from the old one.
CREATE FUNCTION sierra_free_leases(store name, subscription text, consumers text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('UPDATE %1$I.subscription_streams AS t SET handed_out = NULL'
                   '  FROM %1$I.subscription_cursors AS c'
                   ' WHERE t.subscription = $1 AND t.handed_out IS NOT NULL'
                   '   AND c.subscription = $1 AND c.partition_id = t.partition_id'
                   '   AND c.consumer = ANY ($2)', store) USING subscription, consumers;
    EXECUTE format('UPDATE %I.subscription_cursors AS c SET consumer = NULL, epoch = c.epoch + 1'
                   ' WHERE c.subscription = $1 AND c.consumer = ANY ($2)', store)
      USING subscription, consumers;
END
$$;
COMMENT ON FUNCTION sierra_free_leases(name, text, text[]) IS
    'takes the leases of consumers of a group; enext() and eleave() call it';

-- One cursor becomes one for each partition, when the first consumer comes.
CREATE FUNCTION sierra_split_cursor(store name, subscription text, partitions integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('WITH whole AS (DELETE FROM %1$I.subscription_cursors AS c'
                   '                WHERE c.subscription = $1 AND c.partition_id = -1 RETURNING c.*)'
                   ' INSERT INTO %1$I.subscription_cursors'
                   '        (subscription, partition_id, cursor, acknowledged_at, last_error, last_error_at)'
                   ' SELECT w.subscription, p, w.cursor, w.acknowledged_at, w.last_error, w.last_error_at'
                   '   FROM whole AS w, unnest($2) AS p', store)
      USING subscription,
            coalesce(partitions, ARRAY(SELECT p FROM generate_series(
                0, @extschema@.sierra_partitions(store) - 1) AS p));
END
$$;
COMMENT ON FUNCTION sierra_split_cursor(name, text, integer[]) IS
    'gives each partition of a subscription a cursor of its own; enext() calls it for a group';

-- Gives a consumer as many leases as its share is, if what was handed out to it
-- is acknowledged; true if that changed something.
CREATE FUNCTION sierra_balance_leases(store name, subscription text, consumer text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    partitions integer;
    members integer;
    rank integer;
    share integer;
    held integer;
    changed integer;
BEGIN
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE c.consumer = $2)'
                   '  FROM %I.subscription_cursors AS c WHERE c.subscription = $1', store)
       INTO partitions, held USING subscription, consumer;
    EXECUTE format('SELECT count(*), count(*) FILTER (WHERE m.consumer < $2)'
                   '  FROM %I.subscription_consumers AS m WHERE m.subscription = $1', store)
       INTO members, rank USING subscription, consumer;
    share := partitions / members + (rank < partitions % members)::integer;
    IF held > share THEN
        EXECUTE format(
            'UPDATE %1$I.subscription_cursors AS c SET consumer = NULL, epoch = c.epoch + 1'
            ' WHERE c.subscription = $1 AND c.partition_id = ANY (ARRAY('
            '       SELECT h.partition_id FROM %1$I.subscription_cursors AS h'
            '        WHERE h.subscription = $1 AND h.consumer = $2'
            '        ORDER BY h.partition_id DESC LIMIT $3))', store)
          USING subscription, consumer, held - share;
    ELSE
        EXECUTE format(
            'UPDATE %1$I.subscription_cursors AS c SET consumer = $2, epoch = c.epoch + 1'
            ' WHERE c.subscription = $1 AND c.partition_id = ANY (ARRAY('
            '       SELECT f.partition_id FROM %1$I.subscription_cursors AS f'
            '        WHERE f.subscription = $1 AND f.consumer IS NULL'
            '        ORDER BY f.partition_id LIMIT $3 FOR UPDATE SKIP LOCKED))', store)
          USING subscription, consumer, share - held;
    END IF;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 THEN
        -- What is handed out from now on begins at the lowest cursor held.
        EXECUTE format(
            'UPDATE %1$I.subscription_consumers AS m SET acknowledged = c.lowest, handed_out = c.lowest'
            '  FROM (SELECT coalesce(min(c.cursor), -1) AS lowest FROM %1$I.subscription_cursors AS c'
            '         WHERE c.subscription = $1 AND c.consumer = $2) AS c'
            ' WHERE m.subscription = $1 AND m.consumer = $2', store)
          USING subscription, consumer;
    END IF;
    RETURN changed > 0;
END
$$;
COMMENT ON FUNCTION sierra_balance_leases(name, text, text) IS
    'gives a consumer of a group its share of the partitions; enext() calls it';

-- Makes a consumer a member of the group, removes those that were not seen for
-- the lease time, and balances leases; true if the others have to see a change.
CREATE FUNCTION sierra_lease(store name, subscription text, consumer text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    lease_time interval;
    partitions integer[];
    is_whole boolean;
    dead text[];
    is_new boolean;
    outstanding boolean;
BEGIN
    EXECUTE format('SELECT s.lease_time, s.partitions,'
                   '       EXISTS (SELECT FROM %1$I.subscription_cursors AS c'
                   '                WHERE c.subscription = $1 AND c.partition_id = -1)'
                   '  FROM %1$I.subscriptions AS s WHERE s.subscription = $1', store)
       INTO lease_time, partitions, is_whole USING subscription;
    IF is_whole THEN
        PERFORM @extschema@.sierra_split_cursor(store, subscription, partitions);
    END IF;

    EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I.subscription_consumers AS m'
                   '                    WHERE m.subscription = $1 AND m.consumer = $2)', store)
       INTO is_new USING subscription, consumer;

    -- Its own row first, which this locks: two members that were both away too long
    -- would else remove each other, and wait for each other.
    EXECUTE format(
        'INSERT INTO %I.subscription_consumers AS m'
        '       (subscription, consumer, acknowledged, handed_out, joined_at, seen_at)'
        ' VALUES ($1, $2, -1, -1, clock_timestamp(), clock_timestamp())'
        ' ON CONFLICT (subscription, consumer) DO UPDATE SET seen_at = excluded.seen_at'
        ' WHERE m.seen_at < clock_timestamp() - $3 / 4', store)
      USING subscription, consumer, lease_time;

    EXECUTE format(
        'WITH dead AS (DELETE FROM %1$I.subscription_consumers AS d'
        '               WHERE d.subscription = $1 AND d.consumer IN ('
        '                     SELECT m.consumer FROM %1$I.subscription_consumers AS m'
        '                      WHERE m.subscription = $1 AND m.consumer <> $2'
        '                        AND m.seen_at < clock_timestamp() - $3 FOR UPDATE SKIP LOCKED)'
        '           RETURNING d.consumer)'
        ' SELECT array_agg(d.consumer) FROM dead AS d', store)
       INTO dead USING subscription, consumer, lease_time;
    IF dead IS NOT NULL THEN
        PERFORM @extschema@.sierra_free_leases(store, subscription, dead);
    END IF;

    EXECUTE format(
        'SELECT m.handed_out > m.acknowledged'
        '       OR EXISTS (SELECT FROM %1$I.subscription_streams AS t'
        '                    JOIN %1$I.subscription_cursors AS c'
        '                      ON c.subscription = t.subscription AND c.partition_id = t.partition_id'
        '                   WHERE t.subscription = $1 AND c.consumer = $2 AND t.handed_out IS NOT NULL)'
        '  FROM %1$I.subscription_consumers AS m WHERE m.subscription = $1 AND m.consumer = $2', store)
       INTO outstanding USING subscription, consumer;
    IF NOT outstanding AND @extschema@.sierra_balance_leases(store, subscription, consumer) THEN
        RETURN true;
    END IF;
    RETURN is_new OR dead IS NOT NULL;
END
$$;
COMMENT ON FUNCTION sierra_lease(name, text, text) IS
    'joins the group of a subscription, or stays in it; enext() calls it';

CREATE FUNCTION eleave(subscription text, consumer text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_store();
    left_group boolean;
BEGIN
    PERFORM @extschema@.sierra_require_subscription(store, subscription);
    EXECUTE format('WITH gone AS (DELETE FROM %I.subscription_consumers AS m'
                   '               WHERE m.subscription = $1 AND m.consumer = $2 RETURNING m.consumer)'
                   ' SELECT count(*) > 0 FROM gone', store)
       INTO left_group USING subscription, consumer;
    IF left_group THEN
        PERFORM @extschema@.sierra_free_leases(store, subscription, ARRAY[consumer]);
    END IF;
    RETURN left_group;
END
$$;
COMMENT ON FUNCTION eleave(text, text) IS
    'leaves the group of a subscription at once, rather than after the lease time; false if not in it';

-- Failed events.

CREATE FUNCTION eretry(subscription text, stream_id text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_store();
    retried bigint;
BEGIN
    PERFORM @extschema@.sierra_require_subscription(store, subscription);
    EXECUTE format('UPDATE %I.subscription_streams AS t'
                   '   SET state = ''retrying'', retry_at = clock_timestamp(), attempts = 0, handed_out = NULL'
                   ' WHERE t.subscription = $1 AND t.state IN (''parked'', ''retrying'')'
                   '   AND ($2 IS NULL OR t.stream_id = $2)', store)
      USING subscription, stream_id;
    GET DIAGNOSTICS retried = ROW_COUNT;
    RETURN retried;
END
$$;
COMMENT ON FUNCTION eretry(text, text) IS
    'lets failed events of a subscription (of one stream, or all) come again at once; returns how many';

CREATE FUNCTION eskip(subscription text, stream_id text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := @extschema@.sierra_require_store();
    skipped bigint;
BEGIN
    PERFORM @extschema@.sierra_require_subscription(store, subscription);
    EXECUTE format('UPDATE %I.subscription_streams AS t'
                   '   SET state = ''behind'', position = t.failed_position, version = t.failed_version,'
                   '       handed_out = NULL, attempts = 0, retry_at = NULL'
                   ' WHERE t.subscription = $1 AND t.stream_id = $2 AND t.state IN (''parked'', ''retrying'')'
                   ' RETURNING t.failed_position', store)
       INTO skipped USING subscription, stream_id;
    RETURN skipped;
END
$$;
COMMENT ON FUNCTION eskip(text, text) IS
    'gives up the failed event of a stream; what waits behind it comes next; returns its position, null if none has failed';

CREATE FUNCTION event_failures(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, stream_id text, partition_id integer, state text,
                   global_position bigint, event_id uuid, event_name text, attempts integer,
                   retry_at timestamptz, reason text, failed_at timestamptz, waiting bigint)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
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
COMMENT ON FUNCTION event_failures(name) IS
    'events of a store (default: sierra_es.store) that failed: retried or parked, why, and how many events of the stream wait behind';

-- To be seen.

CREATE FUNCTION event_leases(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, partition_id integer, cursor bigint, lag_events bigint,
                   consumer text, epoch bigint, acknowledged_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT c.subscription, c.partition_id, c.cursor,'
        '       @extschema@.sierra_events_after($1, c.partition_id, c.cursor), c.consumer, c.epoch,'
        '       c.acknowledged_at'
        '  FROM %I.subscription_cursors AS c WHERE c.partition_id >= 0'
        ' ORDER BY c.subscription, c.partition_id', wanted) USING wanted;
END
$$;
COMMENT ON FUNCTION event_leases(name) IS
    'partitions of subscriptions with consumer groups: cursor, events beyond it, who holds the lease and its epoch';

CREATE FUNCTION event_consumers(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, consumer text, partitions integer[], acknowledged bigint,
                   handed_out bigint, alive boolean, joined_at timestamptz, seen_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT m.subscription, m.consumer,'
        '       ARRAY(SELECT c.partition_id FROM %1$I.subscription_cursors AS c'
        '              WHERE c.subscription = m.subscription AND c.consumer = m.consumer ORDER BY 1),'
        '       m.acknowledged, m.handed_out, m.seen_at >= clock_timestamp() - s.lease_time,'
        '       m.joined_at, m.seen_at'
        '  FROM %1$I.subscription_consumers AS m'
        '  JOIN %1$I.subscriptions AS s ON s.subscription = m.subscription'
        ' ORDER BY m.subscription, m.consumer', wanted);
END
$$;
COMMENT ON FUNCTION event_consumers(name) IS
    'consumers of groups: their partitions, what was handed out to them and acknowledged, and when they were last seen';

-- One row for each subscription: %1$I is the store.  A subscription without
-- group has its cursor under partition -1.
CREATE FUNCTION sierra_subscriptions_query(store name) RETURNS text
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
       problem.last_error_at, s.streams, s.event_names, s.partitions, s.created_at
  FROM %1$I.subscriptions AS s
 CROSS JOIN LATERAL (
       SELECT min(c.cursor) AS cursor, max(c.acknowledged_at) AS acknowledged_at,
              sum(@extschema@.sierra_events_after($1, p.id, c.cursor))::bigint AS lag_events
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
         FROM @extschema@.sierra_peek($1, s.subscription, s.window_size) AS e) AS pending
 CROSS JOIN LATERAL (
       SELECT (count(*) FILTER (WHERE t.state = 'retrying'))::integer AS retrying,
              (count(*) FILTER (WHERE t.state = 'parked'))::integer AS parked
         FROM %1$I.subscription_streams AS t WHERE t.subscription = s.subscription) AS failed
 ORDER BY s.subscription
$query$, store)
$$;
COMMENT ON FUNCTION sierra_subscriptions_query(name) IS
    'the query behind event_subscriptions()';

CREATE FUNCTION event_subscriptions(store name DEFAULT NULL)
    RETURNS TABLE (subscription text, state text, lag_events bigint, lag interval,
                   window_used integer, window_size integer, cursor bigint, consumers integer,
                   retrying integer, parked integer, acknowledged_at timestamptz, last_error text,
                   last_error_at timestamptz, streams text[], event_names text[],
                   partitions integer[], created_at timestamptz)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := @extschema@.sierra_require_store(store);
BEGIN
    RETURN QUERY EXECUTE @extschema@.sierra_subscriptions_query(wanted)
      USING wanted, @extschema@.sierra_partitions(wanted);
END
$$;
COMMENT ON FUNCTION event_subscriptions(name) IS
    'subscriptions of a store (default: sierra_es.store): state (caught up, moving, failing, stuck), events and time behind, window in use, consumers, failures; lag_events counts the events of its partitions, matching or not';
