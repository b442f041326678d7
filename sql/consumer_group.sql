-- ---------------------------------------------------------------------------
-- Consumer groups: leases of partitions.
--
-- What must not happen: that an event is acknowledged for a consumer that lost its
-- partition, or that two consumers have one partition.  Rows of consumers and leases
-- are taken with SKIP LOCKED: a consumer in the middle of a transaction keeps what it
-- holds.
-- ---------------------------------------------------------------------------

-- Takes all leases from consumers.  A new epoch makes the lease differ from the old one.
CREATE FUNCTION sierra_internal.release_leases(store name, subscription text, consumers text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('UPDATE %1$I.subscription_streams AS t SET delivered = NULL'
                   '  FROM %1$I.subscription_cursors AS c'
                   ' WHERE t.subscription = $1 AND t.delivered IS NOT NULL'
                   '   AND c.subscription = $1 AND c.partition_id = t.partition_id'
                   '   AND c.consumer = ANY ($2)', store) USING subscription, consumers;
    EXECUTE format('UPDATE %I.subscription_cursors AS c SET consumer = NULL, epoch = c.epoch + 1'
                   ' WHERE c.subscription = $1 AND c.consumer = ANY ($2)', store)
      USING subscription, consumers;
END
$$;
COMMENT ON FUNCTION sierra_internal.release_leases(name, text, text[]) IS
    'takes away all leases that consumers of a group hold';

-- When the first consumer joins, the one cursor becomes a cursor for each partition.
CREATE FUNCTION sierra_internal.split_cursor(store name, subscription text, partitions integer[])
    RETURNS void
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
                0, sierra_internal.partition_count(store) - 1) AS p));
END
$$;
COMMENT ON FUNCTION sierra_internal.split_cursor(name, text, integer[]) IS
    'gives each partition of a subscription a cursor of its own';

-- Gives a consumer its share of the leases, once it has acknowledged all that was
-- delivered to it.  Returns true if that changed something.
CREATE FUNCTION sierra_internal.balance_leases(store name, subscription text, consumer text) RETURNS boolean
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
        -- Delivery continues from the lowest cursor that the consumer holds.
        EXECUTE format(
            'UPDATE %1$I.subscription_consumers AS m SET acknowledged = c.lowest, delivered = c.lowest'
            '  FROM (SELECT coalesce(min(c.cursor), -1) AS lowest FROM %1$I.subscription_cursors AS c'
            '         WHERE c.subscription = $1 AND c.consumer = $2) AS c'
            ' WHERE m.subscription = $1 AND m.consumer = $2', store)
          USING subscription, consumer;
    END IF;
    RETURN changed > 0;
END
$$;
COMMENT ON FUNCTION sierra_internal.balance_leases(name, text, text) IS
    'gives a consumer of a group its share of the partitions, and returns whether that changed';

-- Makes a consumer a member of the group, removes consumers that were not seen for
-- the lease time, and balances leases.  Returns true if the group has changed.
CREATE FUNCTION sierra_internal.join_group(store name, subscription text, consumer text) RETURNS boolean
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
        PERFORM sierra_internal.split_cursor(store, subscription, partitions);
    END IF;

    EXECUTE format('SELECT NOT EXISTS (SELECT FROM %I.subscription_consumers AS m'
                   '                    WHERE m.subscription = $1 AND m.consumer = $2)', store)
       INTO is_new USING subscription, consumer;

    -- The own row comes first, and is locked by that: otherwise two members that were
    -- both away too long would remove each other, and wait for each other.
    EXECUTE format(
        'INSERT INTO %I.subscription_consumers AS m'
        '       (subscription, consumer, acknowledged, delivered, joined_at, seen_at)'
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
        PERFORM sierra_internal.release_leases(store, subscription, dead);
    END IF;

    EXECUTE format(
        'SELECT m.delivered > m.acknowledged'
        '       OR EXISTS (SELECT FROM %1$I.subscription_streams AS t'
        '                    JOIN %1$I.subscription_cursors AS c'
        '                      ON c.subscription = t.subscription AND c.partition_id = t.partition_id'
        '                   WHERE t.subscription = $1 AND c.consumer = $2 AND t.delivered IS NOT NULL)'
        '  FROM %1$I.subscription_consumers AS m WHERE m.subscription = $1 AND m.consumer = $2', store)
       INTO outstanding USING subscription, consumer;
    IF NOT outstanding AND sierra_internal.balance_leases(store, subscription, consumer) THEN
        RETURN true;
    END IF;
    RETURN is_new OR dead IS NOT NULL;
END
$$;
COMMENT ON FUNCTION sierra_internal.join_group(name, text, text) IS
    'makes a consumer a member of a group, or keeps it one, and returns whether the group changed';

CREATE FUNCTION eleave(subscription text, consumer text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    left_group boolean;
BEGIN
    PERFORM sierra_internal.require_public_subscription(subscription);
    PERFORM sierra_internal.require_subscription(store, subscription);
    EXECUTE format('WITH gone AS (DELETE FROM %I.subscription_consumers AS m'
                   '               WHERE m.subscription = $1 AND m.consumer = $2 RETURNING m.consumer)'
                   ' SELECT count(*) > 0 FROM gone', store)
       INTO left_group USING subscription, consumer;
    IF left_group THEN
        PERFORM sierra_internal.release_leases(store, subscription, ARRAY[consumer]);
    END IF;
    RETURN left_group;
END
$$;
COMMENT ON FUNCTION eleave(text, text) IS
    'leaves the group of a subscription at once; false if the consumer was not in it';
