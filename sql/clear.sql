-- ---------------------------------------------------------------------------
-- Clearing a store, for tests: what follows or is derived from events begins again.
-- ---------------------------------------------------------------------------

-- Tables whose rows are all deleted are locked like events.  The others are not, because
-- a session that waits for events has read them, and keeps these locks while it waits:
-- - Nobody else may write or lock rows of definitions.
-- - Rows of progress may be locked: whoever has done that has locked the subscription first,
--   or is a member of a group, which writes its row first.
CREATE FUNCTION sierra_internal.lock_store_to_clear(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    SET row_security = off
AS $$
BEGIN
    PERFORM sierra_internal.lock_store(store, format(
        'SELECT sierra_internal.lock_subscription(%1$L, s.subscription)'
        '  FROM (SELECT s.subscription FROM %1$I.subscriptions AS s ORDER BY 1) AS s;'
        'LOCK TABLE %1$I.projections IN EXCLUSIVE MODE;'
        'LOCK TABLE %1$I.projection_states, %1$I.saga_instances, %1$I.timers IN ACCESS EXCLUSIVE MODE;'
        'LOCK TABLE %1$I.subscriptions IN EXCLUSIVE MODE;'
        'LOCK TABLE %1$I.subscription_cursors, %1$I.subscription_consumers, %1$I.subscription_streams'
        ' IN SHARE ROW EXCLUSIVE MODE;'
        'LOCK TABLE %1$I.snapshots IN ACCESS EXCLUSIVE MODE', store));
END
$$;
COMMENT ON FUNCTION sierra_internal.lock_store_to_clear(name) IS
    'locks a store until the transaction ends, but not against sessions that wait for events';

-- A consumer that waits compares created_at with what it saw before: for another
-- subscription, what it has found out does not hold.
CREATE FUNCTION sierra_internal.clear_state(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    -- Rows that a policy hides must not stay.
    SET row_security = off
AS $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY '{projection_states, saga_instances, timers, snapshots}'::text[] LOOP
        relation := format('%I.%I', store, relation);
        -- New files for an empty table take longer than to delete a few rows.
        EXECUTE format(CASE WHEN pg_table_size(relation::regclass) > 4194304 THEN 'TRUNCATE %s'
                            ELSE 'DELETE FROM %s' END, relation);
    END LOOP;
    EXECUTE format('DELETE FROM %I.subscription_consumers', store);
    EXECUTE format('DELETE FROM %I.subscription_streams', store);
    EXECUTE format('DELETE FROM %I.subscription_cursors', store);
    EXECUTE format('UPDATE %I.subscriptions SET start_after = -1, start_sequences = NULL,'
                   ' start_streams = NULL, start_versions = NULL, created_at = clock_timestamp()', store);
    EXECUTE format('INSERT INTO %1$I.subscription_cursors (subscription, partition_id, cursor)'
                   ' SELECT s.subscription, -1, -1 FROM %1$I.subscriptions AS s', store);
    EXECUTE format('UPDATE %I.projections SET state = CASE state WHEN ''paused'' THEN state ELSE ''running'' END,'
                   ' attempts = 0, interruptions = 0, retry_at = NULL, failed_position = NULL,'
                   ' failed_stream = NULL, last_error = NULL, last_error_at = NULL, processed = 0,'
                   ' rate = NULL, updated_at = NULL', store);
END
$$;
COMMENT ON FUNCTION sierra_internal.clear_state(name) IS
    'deletes what follows or is derived from the events of a store, and keeps definitions';

CREATE FUNCTION clear_event_store(store name, force boolean DEFAULT false) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_clear_event_store';
COMMENT ON FUNCTION clear_event_store(name, boolean) IS
    'deletes all events of a store, for tests, and returns their number; definitions stay and begin again at the start';
