-- ---------------------------------------------------------------------------
-- Metrics: what Prometheus and others collect every few seconds.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.store_counters(
    store name, OUT appends bigint, OUT events bigint, OUT bytes bigint, OUT rolled_back bigint,
    OUT repeated bigint, OUT conflicts bigint, OUT conditions bigint, OUT refused bigint)
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_store_counters';
COMMENT ON FUNCTION sierra_internal.store_counters(name) IS
    'returns what was counted for a store since the server has started; null if nothing was';

CREATE FUNCTION sierra_internal.database_counters(
    OUT wakeups bigint, OUT jobs bigint, OUT failed_jobs bigint, OUT handled bigint)
    LANGUAGE c VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_database_counters';
COMMENT ON FUNCTION sierra_internal.database_counters() IS
    'returns what was counted for this database since the server has started; null without a place in shared memory';

CREATE FUNCTION sierra_internal.require_plain_tables(store name, tables text[]) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_require_plain_tables';
COMMENT ON FUNCTION sierra_internal.require_plain_tables(name, text[]) IS
    'locks tables of a store; an error if one is locked, or if a query over it could run code of its owner';

-- All metrics, by subject: the name is sierra_es_, the subject, _ and the metric.
CREATE FUNCTION sierra_internal.metric_definitions()
    RETURNS TABLE (subject text, metric text, type text, help text)
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
VALUES
    ('database', 'preloaded', 'gauge', '1 if shared_preload_libraries names the library: without it nothing is counted and there are no runners.'),
    ('database', 'runners_max', 'gauge', 'The most runners that the server has, for all databases.'),
    ('database', 'runners', 'gauge', 'Runners that work in this database now.'),
    ('database', 'runners_of_server', 'gauge', 'Runners that work in any database of the server now.'),
    ('database', 'waiting_seconds', 'gauge', 'For how long the database has been waiting for a runner; 0 if it does not.'),
    ('database', 'no_place', 'gauge', '1 if the database has no place among sierra_es.max_databases: no runner comes.'),
    ('database', 'runner_failures', 'gauge', 'Runners of this database that ended with an error, in a row.'),
    ('database', 'jobs_total', 'counter', 'Jobs that runners have run.'),
    ('database', 'failed_jobs_total', 'counter', 'Jobs that failed as a whole.'),
    ('database', 'handled_total', 'counter', 'Events, timers and steps of sagas that runners have handled.'),
    ('database', 'notifications_total', 'counter', 'Notifications that runners have sent.'),
    ('database', 'wakeups_total', 'counter', 'Ends of transactions that woke, or would have woken, those that wait.'),
    ('database', 'waiters', 'gauge', 'Sessions that wait for events.'),
    ('database', 'waiters_max', 'gauge', 'The most sessions of a database that may wait.'),
    ('readable', 'stores', 'gauge', '1 if the subject could be read in the store; 0 if it is locked, damaged, altered, or took too long.'),
    ('store', 'partitions', 'gauge', 'Partitions of the store.'),
    ('store', 'events', 'gauge', 'Events that the store has.'),
    ('store', 'bytes', 'gauge', 'Bytes of its event tables, with indexes.'),
    ('store', 'last_position', 'gauge', 'Global position of the newest event.'),
    ('store', 'appends_total', 'counter', 'Appends that were committed; each call of eappend_each() is one.'),
    ('store', 'appended_events_total', 'counter', 'Events of these appends.'),
    ('store', 'appended_bytes_total', 'counter', 'Bytes of the payloads and metadata of these events.'),
    ('store', 'rolled_back_appends_total', 'counter', 'Calls that appended, and were rolled back.'),
    ('store', 'repeated_appends_total', 'counter', 'Calls that repeated an append, by its event ids, and changed nothing.'),
    ('store', 'conflicts_total', 'counter', 'Appends that were refused because the stream has another version (SE001, 40001).'),
    ('store', 'failed_conditions_total', 'counter', 'Appends that were refused because their condition failed (SE009).'),
    ('store', 'refused_appends_total', 'counter', 'Appends that were refused for another reason (SE002, SE003, strict versioning).'),
    ('store', 'horizon_held_seconds', 'gauge', 'Age of the oldest transaction that writes, and so holds back readers of the whole store; 0 if none does.'),
    ('store', 'horizon_holders', 'gauge', 'Transactions that write events now.'),
    ('horizon', 'holder_seconds', 'gauge', 'Age of a transaction that has held back readers of the whole store for over a second.'),
    ('subscription', 'lag_events', 'gauge', 'Events after the cursor in the partitions of the subscription, wanted or not.'),
    ('subscription', 'lag_seconds', 'gauge', 'Age of the oldest event that is wanted, not acknowledged and does not wait behind a failure; 0 if there is none; absent while it is not known.'),
    ('subscription', 'acknowledged_timestamp_seconds', 'gauge', 'When a consumer last acknowledged events.'),
    ('subscription', 'consumers', 'gauge', 'Consumers of the group that are alive.'),
    ('subscription', 'retrying', 'gauge', 'Streams whose failed event will come again.'),
    ('subscription', 'parked', 'gauge', 'Streams that wait until somebody retries or skips their failed event.'),
    ('consumer', 'partitions', 'gauge', 'Partitions that the consumer of a group holds.'),
    ('consumer', 'lag_events', 'gauge', 'Events after the cursors of these partitions, wanted or not.'),
    ('consumer', 'alive', 'gauge', '1 if the consumer was seen within its lease time.'),
    ('projection', 'lag_events', 'gauge', 'Events after the cursor of the projection, wanted or not.'),
    ('projection', 'lag_seconds', 'gauge', 'Age of the oldest event that is wanted, not handled and does not wait behind a failure; 0 if there is none; absent while it is not known.'),
    ('projection', 'processed_total', 'counter', 'Events that this version has handled.'),
    ('projection', 'running', 'gauge', '1 if it runs, 0 if it is paused, stopped, or waits after a failure.'),
    ('projection', 'stopped', 'gauge', '1 if it has stopped at an event that fails.'),
    ('projection', 'failures', 'gauge', 'Failures in a row at the event where it is.'),
    ('projection', 'retrying', 'gauge', 'Streams whose failed event will be tried again.'),
    ('projection', 'parked', 'gauge', 'Streams that wait until somebody retries or skips their failed event.'),
    ('saga', 'instances', 'gauge', 'Sagas with this status.'),
    ('saga', 'overdue_seconds', 'gauge', 'For how long the next step of a saga has been due; 0 if none is.'),
    ('timer', 'overdue', 'gauge', 'Timers that are due, at most 10000.'),
    ('timer', 'overdue_seconds', 'gauge', 'For how long the oldest of them has been due; 0 if none is.'),
    ('timer', 'failing', 'gauge', 'Timers whose event could not be appended, among the next 10000.')
$$;
COMMENT ON FUNCTION sierra_internal.metric_definitions() IS
    'returns the metrics that there are';

CREATE FUNCTION sierra_internal.lag_seconds(events bigint, oldest timestamptz)
    RETURNS double precision
    LANGUAGE sql VOLATILE
    -- Parsed now, it needs no search_path, and becomes a part of the query.
    RETURN CASE WHEN events IS NULL THEN NULL
                WHEN oldest IS NULL THEN 0
                WHEN isfinite(oldest) THEN greatest(extract(epoch FROM clock_timestamp() - oldest), 0) END;
COMMENT ON FUNCTION sierra_internal.lag_seconds(bigint, timestamptz) IS
    'returns the age of the oldest event of a row of list_pending(), 0 if there is none; null if that is not known';

CREATE FUNCTION sierra_internal.subscription_metrics(store name, until timestamptz)
    RETURNS TABLE (metric text, labels jsonb, value double precision)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM sierra_internal.require_plain_tables(
        store, '{subscriptions, subscription_cursors, subscription_consumers, subscription_streams}');
    RETURN QUERY EXECUTE format($query$
  WITH done AS (
       SELECT c.subscription, max(c.acknowledged_at) AS acknowledged_at
         FROM %1$I.subscription_cursors AS c GROUP BY c.subscription),
       failed AS (
       SELECT t.subscription, count(*) FILTER (WHERE t.state = 'retrying') AS retrying,
              count(*) FILTER (WHERE t.state = 'parked') AS parked
         FROM %1$I.subscription_streams AS t GROUP BY t.subscription),
       alive AS (
       SELECT m.subscription, count(*) AS consumers
         FROM %1$I.subscription_consumers AS m
         JOIN %1$I.subscriptions AS s ON s.subscription = m.subscription
        WHERE m.seen_at >= clock_timestamp() - s.lease_time
        GROUP BY m.subscription)
SELECT v.metric, jsonb_build_object('subscription', s.subscription), v.value
  FROM %1$I.subscriptions AS s
  LEFT JOIN sierra_internal.list_pending($1, false, $2) AS p
    ON p.subscription = s.subscription AND p.consumer IS NULL
  LEFT JOIN done AS d ON d.subscription = s.subscription
  LEFT JOIN failed AS f ON f.subscription = s.subscription
  LEFT JOIN alive AS a ON a.subscription = s.subscription
 CROSS JOIN LATERAL (VALUES
       ('lag_events', p.events::double precision),
       ('lag_seconds', sierra_internal.lag_seconds(p.events, p.oldest)),
       ('acknowledged_timestamp_seconds', extract(epoch FROM d.acknowledged_at)::double precision),
       ('consumers', coalesce(a.consumers, 0)),
       ('retrying', coalesce(f.retrying, 0)), ('parked', coalesce(f.parked, 0))) AS v (metric, value)
 WHERE s.subscription NOT LIKE 'projection:%%'
 $query$, store) USING store, until;
END
$$;
COMMENT ON FUNCTION sierra_internal.subscription_metrics(name, timestamptz) IS
    'returns the metrics of the subscriptions of a store';

CREATE FUNCTION sierra_internal.consumer_metrics(store name, until timestamptz)
    RETURNS TABLE (metric text, labels jsonb, value double precision)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM sierra_internal.require_plain_tables(
        store, '{subscriptions, subscription_cursors, subscription_consumers, subscription_streams}');
    RETURN QUERY EXECUTE format($query$
SELECT v.metric, jsonb_build_object('subscription', m.subscription, 'consumer', m.consumer), v.value
  FROM %1$I.subscription_consumers AS m
  JOIN %1$I.subscriptions AS s ON s.subscription = m.subscription
  LEFT JOIN (SELECT c.subscription, c.consumer, count(*) AS partitions
               FROM %1$I.subscription_cursors AS c WHERE c.partition_id >= 0
              GROUP BY c.subscription, c.consumer) AS held
    ON held.subscription = m.subscription AND held.consumer = m.consumer
  LEFT JOIN (SELECT l.subscription, l.consumer, sum(l.events) AS events
               FROM sierra_internal.list_pending($1, false, NULL) AS l
              GROUP BY l.subscription, l.consumer) AS p
    ON p.subscription = m.subscription AND p.consumer = m.consumer
 CROSS JOIN LATERAL (VALUES
       ('partitions', coalesce(held.partitions, 0)::double precision),
       ('lag_events', CASE WHEN held.consumer IS NULL THEN 0 ELSE p.events END),
       ('alive', (m.seen_at >= clock_timestamp() - s.lease_time)::integer)) AS v (metric, value)
 $query$, store) USING store;
END
$$;
COMMENT ON FUNCTION sierra_internal.consumer_metrics(name, timestamptz) IS
    'returns the metrics of the consumers of groups in a store';

CREATE FUNCTION sierra_internal.projection_metrics(store name, until timestamptz)
    RETURNS TABLE (metric text, labels jsonb, value double precision)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM sierra_internal.require_plain_tables(
        store, '{projections, subscriptions, subscription_cursors, subscription_streams}');
    RETURN QUERY EXECUTE format($query$
SELECT v.metric,
       jsonb_build_object('projection', p.projection, 'version', p.version::text,
                          'live', p.live::text, 'kind', p.kind), v.value
  FROM %1$I.projections AS p
  LEFT JOIN sierra_internal.list_pending($1, true, $2) AS l
    ON l.subscription = p.subscription AND l.consumer IS NULL
  LEFT JOIN (SELECT t.subscription, count(*) FILTER (WHERE t.state = 'retrying') AS retrying,
                    count(*) FILTER (WHERE t.state = 'parked') AS parked
               FROM %1$I.subscription_streams AS t GROUP BY t.subscription) AS failed
    ON failed.subscription = p.subscription
 CROSS JOIN LATERAL (
       -- An inline projection has no subscription, and is never behind.
       SELECT CASE WHEN p.subscription IS NULL THEN 0 ELSE l.events END AS events, l.oldest) AS pending
 CROSS JOIN LATERAL (VALUES
       ('lag_events', pending.events::double precision),
       ('lag_seconds', sierra_internal.lag_seconds(pending.events, pending.oldest)),
       ('processed_total', p.processed), ('running', (p.state = 'running')::integer),
       ('stopped', (p.state = 'stopped')::integer), ('failures', p.attempts),
       ('retrying', coalesce(failed.retrying, 0)), ('parked', coalesce(failed.parked, 0))) AS v (metric, value)
 $query$, store) USING store, until;
END
$$;
COMMENT ON FUNCTION sierra_internal.projection_metrics(name, timestamptz) IS
    'returns the metrics of the projections and process managers of a store';

CREATE FUNCTION sierra_internal.saga_metrics(store name, until timestamptz)
    RETURNS TABLE (metric text, labels jsonb, value double precision)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM sierra_internal.require_plain_tables(store, '{saga_instances}');
    RETURN QUERY EXECUTE format($query$
SELECT 'instances', jsonb_build_object('saga', i.saga, 'status', i.status), count(*)::double precision
  FROM %1$I.saga_instances AS i GROUP BY i.saga, i.status
UNION ALL
SELECT 'overdue_seconds', '{}',
       coalesce(greatest(extract(epoch FROM clock_timestamp() - min(i.run_at)), 0), 0)::double precision
  FROM %1$I.saga_instances AS i WHERE i.run_at IS NOT NULL
 $query$, store);
END
$$;
COMMENT ON FUNCTION sierra_internal.saga_metrics(name, timestamptz) IS
    'returns the metrics of the sagas of a store';

CREATE FUNCTION sierra_internal.timer_metrics(store name, until timestamptz)
    RETURNS TABLE (metric text, labels jsonb, value double precision)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM sierra_internal.require_plain_tables(store, '{timers}');
    RETURN QUERY EXECUTE format($query$
SELECT v.metric, '{}'::jsonb, v.value
  FROM (SELECT count(*) FILTER (WHERE least(t.due_at, t.run_at) <= clock_timestamp()) AS overdue,
               min(least(t.due_at, t.run_at)) AS oldest,
               count(*) FILTER (WHERE t.attempts > 0) AS failing
          FROM (SELECT n.due_at, n.run_at, n.attempts FROM %1$I.timers AS n
                 ORDER BY n.run_at LIMIT 10000) AS t) AS n
 CROSS JOIN LATERAL (VALUES
       ('overdue', n.overdue::double precision),
       ('overdue_seconds', coalesce(greatest(extract(epoch FROM clock_timestamp() - n.oldest), 0), 0)),
       ('failing', n.failing)) AS v (metric, value)
 $query$, store);
END
$$;
COMMENT ON FUNCTION sierra_internal.timer_metrics(name, timestamptz) IS
    'returns the metrics of the timers of a store';

CREATE FUNCTION sierra_internal.store_metrics_body(store name, subject text, until timestamptz)
    RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    -- The planner must not evaluate the CHECK constraints of the owner.
    SET constraint_exclusion = off
AS $$
BEGIN
    CASE subject
        WHEN 'subscription' THEN
            RETURN QUERY SELECT * FROM sierra_internal.subscription_metrics(store, until);
        WHEN 'consumer' THEN
            RETURN QUERY SELECT * FROM sierra_internal.consumer_metrics(store, until);
        WHEN 'projection' THEN
            RETURN QUERY SELECT * FROM sierra_internal.projection_metrics(store, until);
        WHEN 'saga' THEN
            RETURN QUERY SELECT * FROM sierra_internal.saga_metrics(store, until);
        WHEN 'timer' THEN
            RETURN QUERY SELECT * FROM sierra_internal.timer_metrics(store, until);
    END CASE;
END
$$;
COMMENT ON FUNCTION sierra_internal.store_metrics_body(name, text, timestamptz) IS
    'does what store_metrics() does, as the current user';

CREATE FUNCTION sierra_internal.store_metrics(store name, subject text, until timestamptz)
    RETURNS TABLE (metric text, labels jsonb, value double precision)
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'sierra_show_quickly';
COMMENT ON FUNCTION sierra_internal.store_metrics(name, text, timestamptz) IS
    'returns the metrics of a store that are in its tables; an error if a table is locked or not plain';

-- Transactions that hold a partition in the mode of writers, by store.  Only catalogs are read.
CREATE FUNCTION sierra_internal.horizon_holders()
    RETURNS TABLE (store name, pid integer, gid text, usename name, application_name text,
                   seconds double precision)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT n.nspname, l.pid, x.gid, coalesce(a.usename, x.owner), a.application_name,
           extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, x.prepared))::double precision
      FROM pg_locks AS l
      JOIN pg_inherits AS i ON i.inhrelid = l.classid
      JOIN pg_class AS c ON c.oid = i.inhparent AND c.relname = 'events'
      JOIN pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
      -- A prepared transaction has no process.
      LEFT JOIN pg_locks AS t
        ON l.pid IS NULL AND t.pid IS NULL AND t.locktype = 'transactionid' AND t.virtualtransaction = l.virtualtransaction
      LEFT JOIN pg_prepared_xacts AS x ON x.transaction = t.transactionid
     WHERE l.locktype = 'advisory' AND l.objsubid = 1509 AND l.mode = 'ExclusiveLock' AND l.granted
       AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
$$;
COMMENT ON FUNCTION sierra_internal.horizon_holders() IS
    'returns the transactions that hold back readers of a whole store, and their ages';

CREATE FUNCTION sierra_internal.database_metrics()
    RETURNS TABLE (metric text, value double precision)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT v.metric, v.value
  FROM (SELECT current_setting('sierra_es.max_runners')::integer AS runners_max,
               current_setting('sierra_es.max_waiters')::integer AS waiters_max,
               (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) AS id) AS own
 CROSS JOIN sierra_internal.database_counters() AS c
  LEFT JOIN @extschema@.event_databases() AS d ON d.database_id = own.id
 CROSS JOIN LATERAL (VALUES
       ('preloaded', (c.wakeups IS NOT NULL OR d.database_id IS NOT NULL)::integer::double precision),
       ('runners_max', own.runners_max), ('runners', coalesce(d.runners, 0)),
       ('runners_of_server', (SELECT count(*) FROM @extschema@.event_runners())),
       ('waiting_seconds', coalesce(extract(epoch FROM d.waiting), 0)),
       ('no_place', coalesce(d.state = 'no place', false)::integer),
       ('runner_failures', coalesce(d.failures, 0)),
       ('jobs_total', c.jobs), ('failed_jobs_total', c.failed_jobs), ('handled_total', c.handled),
       ('notifications_total', d.notifications), ('wakeups_total', c.wakeups),
       ('waiters', (SELECT count(*) FROM pg_locks AS l
                     WHERE l.locktype = 'advisory' AND l.objsubid = 1511 AND l.granted
                       AND l.database = own.id)),
       ('waiters_max', own.waiters_max)) AS v (metric, value)
$$;
COMMENT ON FUNCTION sierra_internal.database_metrics() IS
    'returns the metrics of this database, and of the runners of the server';

CREATE FUNCTION sierra_internal.store_list_metrics()
    RETURNS TABLE (store name, metric text, value double precision)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
WITH held AS MATERIALIZED (
    SELECT h.store, max(h.seconds) AS seconds, count(*) AS holders
      FROM sierra_internal.horizon_holders() AS h GROUP BY h.store)
SELECT s.store, v.metric, v.value
  FROM @extschema@.event_stores() AS s
 CROSS JOIN LATERAL sierra_internal.store_counters(s.store) AS c
  LEFT JOIN held AS h ON h.store = s.store
 CROSS JOIN LATERAL (VALUES
       ('readable', (s.events IS NOT NULL)::integer::double precision),
       ('partitions', s.partitions), ('events', s.events), ('bytes', s.bytes),
       ('last_position', s.last_position),
       ('appends_total', coalesce(c.appends, 0)), ('appended_events_total', coalesce(c.events, 0)),
       ('appended_bytes_total', coalesce(c.bytes, 0)),
       ('rolled_back_appends_total', coalesce(c.rolled_back, 0)),
       ('repeated_appends_total', coalesce(c.repeated, 0)),
       ('conflicts_total', coalesce(c.conflicts, 0)),
       ('failed_conditions_total', coalesce(c.conditions, 0)),
       ('refused_appends_total', coalesce(c.refused, 0)),
       ('horizon_held_seconds', coalesce(h.seconds, 0)),
       ('horizon_holders', coalesce(h.holders, 0))) AS v (metric, value)
$$;
COMMENT ON FUNCTION sierra_internal.store_list_metrics() IS
    'returns the metrics of each store that need no table of it';

-- Random order: if the time is over, it is not always the same stores that are left out.
CREATE FUNCTION sierra_internal.tables_metrics(subjects text[])
    RETURNS TABLE (store name, subject text, metric text, labels jsonb, value double precision)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    began constant timestamptz := clock_timestamp();
    store_end timestamptz;
BEGIN
    FOR store, subject IN
        SELECT n.nspname, s.subject FROM pg_namespace AS n CROSS JOIN unnest(subjects) AS s (subject)
         WHERE sierra_internal.is_store(n.nspname) ORDER BY random()
    LOOP
        BEGIN
            IF clock_timestamp() > began + interval '3 seconds' THEN
                RAISE program_limit_exceeded USING
                    MESSAGE = 'there is no time for this store';
            END IF;
            store_end := least(began + interval '1 second', clock_timestamp() + interval '100 milliseconds');
            RETURN QUERY SELECT store, subject, m.metric, m.labels, m.value
                           FROM sierra_internal.store_metrics(store, subject, store_end) AS m
                          WHERE m.value IS NOT NULL;
            value := 1;
        EXCEPTION WHEN OTHERS THEN
            -- One store must not hide the others.
            IF SQLSTATE LIKE '40%' THEN
                RAISE;
            END IF;
            value := 0;
        END;
        metric := 'readable';
        labels := '{}';
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION sierra_internal.tables_metrics(text[]) IS
    'returns metrics of all stores that are in their tables, and whether these could be read';

CREATE FUNCTION event_metrics(subject text DEFAULT NULL)
    RETURNS TABLE (metric text, type text, help text, labels jsonb, value double precision)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    wanted constant text := event_metrics.subject;
    tables text[] := '{subscription, consumer, projection, saga, timer}';
    database constant jsonb := jsonb_build_object('database', current_database());
BEGIN
    IF wanted NOT IN (SELECT d.subject FROM sierra_internal.metric_definitions() AS d) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('there are no metrics of "%s"', wanted),
            HINT = format('Use %s, or NULL for all.',
                          (SELECT string_agg(DISTINCT d.subject, ', ') FROM sierra_internal.metric_definitions() AS d));
    END IF;
    IF wanted IS NOT NULL AND wanted <> 'readable' THEN
        tables := ARRAY(SELECT t FROM unnest(tables) AS t WHERE t = wanted);
    END IF;
    RETURN QUERY
        WITH found (subject, metric, labels, value) AS (
            SELECT 'database', m.metric, '{}'::jsonb, m.value FROM sierra_internal.database_metrics() AS m
             WHERE coalesce(wanted, 'database') = 'database'
             UNION ALL
            SELECT 'store', m.metric, jsonb_build_object('store', m.store), m.value
              FROM sierra_internal.store_list_metrics() AS m
             WHERE coalesce(wanted, 'store') IN ('store', 'readable')
             UNION ALL
            SELECT 'horizon', 'holder_seconds',
                   jsonb_build_object('store', h.store, 'pid', coalesce(h.pid::text, ''), 'gid', coalesce(h.gid, ''),
                                      'role', coalesce(h.usename, ''), 'application', coalesce(h.application_name, '')),
                   h.seconds
              FROM sierra_internal.horizon_holders() AS h
             WHERE coalesce(wanted, 'horizon') = 'horizon' AND h.seconds > 1
             UNION ALL
            SELECT m.subject, m.metric, jsonb_build_object('store', m.store) || m.labels, m.value
              FROM sierra_internal.tables_metrics(tables) AS m),
        named AS (
            SELECT CASE WHEN f.metric = 'readable' THEN 'readable' ELSE f.subject END AS subject,
                   CASE WHEN f.metric = 'readable' THEN 'stores' ELSE f.metric END AS metric,
                   CASE WHEN f.metric = 'readable' THEN f.labels || jsonb_build_object('subject', f.subject)
                        ELSE f.labels END AS labels, f.value
              FROM found AS f WHERE f.value IS NOT NULL)
        SELECT format('sierra_es_%s_%s', d.subject, d.metric), d.type, d.help, database || n.labels, n.value
          FROM named AS n
          JOIN sierra_internal.metric_definitions() AS d ON d.subject = n.subject AND d.metric = n.metric
         WHERE wanted IS NULL OR d.subject = wanted
         ORDER BY 1, n.labels::text COLLATE "C";
END
$$;
COMMENT ON FUNCTION event_metrics(text) IS
    'returns metrics of all stores of this database, in the words of Prometheus: all, or those of a subject';
REVOKE EXECUTE ON FUNCTION event_metrics(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION event_metrics(text) TO pg_monitor;

CREATE FUNCTION sierra_internal.metric_label(value text) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT replace(replace(replace($1, '\', '\\'), '"', '\"'), E'\n', '\n') $$;
COMMENT ON FUNCTION sierra_internal.metric_label(text) IS
    'returns the value of a label as the text format of Prometheus has it between quotes';

CREATE FUNCTION event_metrics_text(subject text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    result text;
BEGIN
    SELECT string_agg(CASE WHEN m.first THEN format(E'# HELP %1$s %2$s\n# TYPE %1$s %3$s\n',
                                                    m.metric, replace(m.help, '\', '\\'), m.type) ELSE '' END
                      || format(E'%s{%s} %s\n', m.metric, m.labels, m.value), '' ORDER BY m.place)
      INTO result
      FROM (SELECT e.metric, e.type, e.help, e.value, e.place,
                   lag(e.metric) OVER (ORDER BY e.place) IS DISTINCT FROM e.metric AS first,
                   (SELECT string_agg(format('%s="%s"', l.key, sierra_internal.metric_label(l.value)), ','
                                      ORDER BY l.key)
                      FROM jsonb_each_text(e.labels) AS l) AS labels
              FROM @extschema@.event_metrics(subject) WITH ORDINALITY
                AS e (metric, type, help, labels, value, place)) AS m;
    RETURN coalesce(result, '');
END
$$;
COMMENT ON FUNCTION event_metrics_text(text) IS
    'returns event_metrics() in the text format of Prometheus, for a file that node_exporter reads';
REVOKE EXECUTE ON FUNCTION event_metrics_text(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION event_metrics_text(text) TO pg_monitor;

-- Only C code calls it.
REVOKE EXECUTE ON FUNCTION sierra_internal.store_metrics_body(name, text, timestamptz) FROM PUBLIC;
