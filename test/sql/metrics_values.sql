-- event_metrics(): what is in the tables of stores, and their text format.  What is counted in shared memory is in
-- test/t/metrics_counters.pl.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE VIEW shown AS SELECT metric, labels - 'database' AS labels, value FROM event_metrics();
-- Every metric is defined once, and its name is one of Prometheus: a counter ends with _total.
SELECT metric FROM sierra_internal.metric_definitions() GROUP BY subject, metric HAVING count(*) > 1;
SELECT subject, metric FROM sierra_internal.metric_definitions()
 WHERE format('sierra_es_%s_%s', subject, metric) !~ '^[a-z]+(_[a-z]+)*$' OR (type = 'counter') <> (metric LIKE '%\_total') OR type NOT IN ('counter', 'gauge')
    OR help !~ '^[A-Z01].*\.$' OR help ~ '\\|\n';
SELECT DISTINCT labels ->> 'database' = current_database() FROM event_metrics();
-- a store without anything
SELECT metric, labels, value FROM shown WHERE metric NOT LIKE '%database%' AND metric NOT LIKE '%bytes' ORDER BY 1, labels::text;

SELECT count(*) FROM emappend(NULL, '[
    {"stream_id": "a", "event_name": "Wanted", "timestamp": "2026-01-01 00:00Z"}, {"stream_id": "b", "event_name": "Other", "timestamp": "2020-01-01 00:00Z"},
    {"stream_id": "b", "event_name": "Wanted", "timestamp": "2025-01-01 00:00Z"}, {"stream_id": "c", "event_name": "Wanted", "timestamp": "2026-01-01 00:00Z"}]');
SELECT metric, value FROM shown WHERE metric IN ('sierra_es_store_events', 'sierra_es_store_last_position', 'sierra_es_store_partitions') ORDER BY 1;
SELECT value > 8192 AS has_bytes FROM shown WHERE metric = 'sierra_es_store_bytes';

-- Subscriptions: the oldest event that is wanted is that at position 0, then that at 2, then that at 3, then none.
SELECT esub('mails', event_names => '{Wanted}', start_from => 'earliest');
CREATE FUNCTION lag(OUT events double precision, OUT since timestamptz, OUT is_zero boolean) LANGUAGE plpgsql AS $$
BEGIN
    SELECT value INTO events FROM event_metrics('subscription') WHERE metric = 'sierra_es_subscription_lag_events';
    SELECT date_trunc('day', clock_timestamp() - make_interval(secs => value) + interval '1 hour') AT TIME ZONE 'UTC', value = 0 INTO since, is_zero
      FROM event_metrics('subscription') WHERE metric = 'sierra_es_subscription_lag_seconds';
END $$;
SET timezone = 'UTC';
SELECT * FROM lag();
SELECT eack('mails', 0) FROM enext('mails', 1);
SELECT * FROM lag();
SELECT eack('mails', 2) FROM enext('mails', 1);
SELECT * FROM lag();
SELECT eack('mails', 3) FROM enext('mails', 1);
SELECT events, is_zero FROM lag();
-- Events that are not wanted are after the cursor, and nothing lags.
SELECT count(eappend('b', 'Other')) FROM generate_series(1, 5);
SELECT events, is_zero FROM lag();
SELECT metric, value > extract(epoch FROM now() - interval '1 hour') AS recently FROM shown WHERE metric LIKE '%acknowledged_timestamp%';
-- It continues from where it was, and a subscription of the same name that is made again begins at its start.
SELECT eunsub('mails');
SELECT esub('mails', event_names => '{Wanted}', start_from => 'earliest');
SELECT * FROM lag();
-- failures
SELECT enack('mails', global_position, park => true) FROM enext('mails', 1);
SELECT enack('mails', global_position, retry_after => '1 hour') FROM enext('mails', 1);
SELECT metric, labels, value FROM shown WHERE metric ~ 'subscription_(parked|retrying)' ORDER BY 1;
-- a group
SELECT epsub('group', start_from => 'earliest');
SELECT count(*) FROM enext('group', consumer => 'one "\');
SELECT metric, labels, value FROM shown WHERE metric LIKE '%consumer%' ORDER BY 1, labels::text;

-- projections
CREATE FUNCTION fails(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF event.event_name = 'Other' THEN RAISE EXCEPTION 'no'; END IF;
    RETURN '{}';
END $$;
SELECT create_projection('stops', 'fails', mode => 'manual', max_attempts => 1), create_projection('parks', 'fails', mode => 'manual', max_attempts => 1, on_error => 'park'),
       create_process_manager('reacts', 'fails', mode => 'manual', start_from => 'earliest');
SET client_min_messages = error;
SELECT run_projection('stops'), run_projection('parks');
RESET client_min_messages;
SELECT pause_projection('reacts');
SELECT replace(metric, 'sierra_es_projection_', ''), labels ->> 'projection' AS projection, labels ->> 'kind' AS kind, labels ->> 'live' AS live, labels ->> 'version' AS version, value
  FROM shown WHERE metric LIKE '%projection%' AND metric NOT LIKE '%seconds' ORDER BY 2, 1;
SELECT labels ->> 'projection', value > 86400 FROM shown WHERE metric = 'sierra_es_projection_lag_seconds' ORDER BY 1;
-- Their subscriptions are not shown a second time.
SELECT DISTINCT labels ->> 'subscription' FROM shown WHERE metric LIKE '%subscription%' ORDER BY 1;

-- sagas and timers
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
SELECT create_saga('order', ARRAY[saga_step('one', 'act'), saga_step('two', 'act', waits => true)]);
SELECT count(start_saga('order')) FROM generate_series(1, 3);
SELECT run_sagas(2) > 0;
SELECT labels ->> 'saga', labels ->> 'status', value FROM shown WHERE metric = 'sierra_es_saga_instances' ORDER BY 2;
SELECT value > 0 AS due FROM shown WHERE metric = 'sierra_es_saga_overdue_seconds';
SELECT count(eschedule(t, 'timed', 'Rang')) FROM unnest(ARRAY[now() - interval '1 day', now() - interval '1 hour', now() + interval '1 day']) AS t;
SELECT metric, CASE WHEN metric LIKE '%seconds' THEN trunc(value / 86400) ELSE value END FROM shown WHERE metric LIKE '%timer%' AND metric NOT LIKE '%readable%' ORDER BY 1;

-- The text format: HELP and TYPE once for each metric, before its values; labels with quotes are escaped.
SELECT l FROM regexp_split_to_table(event_metrics_text('consumer'), '\n') AS l WHERE l ~ 'consumer_(alive|partitions)';
SELECT count(*) FILTER (WHERE l LIKE '# HELP %') = count(*) FILTER (WHERE l LIKE '# TYPE %') AS pairs,
       count(*) FILTER (WHERE l <> '' AND l !~ '^# (HELP|TYPE) sierra_es_[a-z_]+ .+$' AND l !~ '^sierra_es_[a-z_]+\{[a-z]+="([^"\\]|\\\\|\\")*"(,[a-z]+="([^"\\]|\\\\|\\")*")*\} [-0-9.e+]+$') AS odd,
       bool_or(l = '') AS ends_with_newline
  FROM regexp_split_to_table(event_metrics_text(), '\n') AS l;

-- A subscription that wants few of many events: without time it passes over some, and the session continues there.
SELECT count(*) FROM emappend(NULL, array_fill('b'::text, '{5000}'), array_fill('Other'::text, '{5000}'));
SELECT esub('rare', event_names => '{Rare}', start_from => 'earliest');
CREATE FUNCTION calls_until_known(OUT calls integer, OUT oldest timestamptz) LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1 .. 100 LOOP
        calls := n;
        oldest := sierra_internal.oldest_pending('es', 'rare', -1, '-infinity');
        EXIT WHEN oldest IS NULL OR isfinite(oldest);
    END LOOP;
END $$;
SELECT calls BETWEEN 2 AND 6 AS few, oldest FROM calls_until_known();
SELECT * FROM calls_until_known();
SELECT eappend('b', 'Rare', "timestamp" => '2026-03-01 00:00Z') IS NOT NULL;
SELECT * FROM calls_until_known();
-- One that wants the next event finds it without time.
SELECT esub('soon', start_from => 'earliest');
SELECT sierra_internal.oldest_pending('es', 'soon', -1, '-infinity');
SELECT eunsub('soon');
SELECT eunsub('rare');
DROP FUNCTION calls_until_known();
-- The oldest event of each, and how many there are: as the tables, and a look at each subscription by itself, say.
CREATE VIEW pending AS
SELECT p.subscription, p.events, p.oldest AT TIME ZONE 'UTC' AS oldest,
       p.events = s.lag_events AND s.lag_events = (
           SELECT count(*) FROM es.subscription_cursors AS c JOIN es.events AS e ON e.global_position > c.cursor
              AND (e.partition_id = c.partition_id OR c.partition_id = -1 AND (s.partitions IS NULL OR e.partition_id = ANY (s.partitions)))
            WHERE c.subscription = p.subscription) AND p.oldest IS NOT DISTINCT FROM sierra_internal.oldest_pending('es', p.subscription, -1, 'infinity') AS same
  FROM sierra_internal.list_pending('es', false, 'infinity') AS p JOIN event_subscriptions() AS s USING (subscription)
 WHERE p.consumer IS NULL AND p.subscription ~ '^p-' ORDER BY 1;
SELECT count(eappend('p-' || n % 3, 'Counted', "timestamp" => timestamptz '2026-02-01 00:00Z' + make_interval(days => n))) FROM generate_series(0, 8) AS n;
SELECT count(esub('p-all', streams => '{p-0, p-1, p-2}', start_from => 'earliest')), count(esub('p-one', streams => '{p-1}', start_from => 'earliest')),
       count(esub('p-new')), count(epsub('p-parts', partitions => '{0, 1}', start_from => 'earliest')), count(epsub('p-group', start_from => 'earliest'));
SELECT * FROM pending WHERE NOT same;
SELECT subscription, oldest FROM pending WHERE subscription IN ('p-all', 'p-new', 'p-one');
-- It is known until the cursor has passed it.  Without time twenty of those that are not known get their turn.
SELECT count(*) FROM enext('p-all', 3);
SELECT eack('p-all', max(global_position)) IS NOT NULL FROM (SELECT global_position FROM enext('p-all', 3)) AS e;
SELECT count(esub('q-' || n, start_from => 'earliest')) FROM generate_series(1, 25) AS n;
CREATE VIEW in_turn AS SELECT subscription, oldest AT TIME ZONE 'UTC' AS oldest FROM sierra_internal.list_pending('es', false, '-infinity');
SELECT * FROM in_turn WHERE subscription IN ('p-all', 'p-one') ORDER BY 1;
SELECT count(*) FILTER (WHERE isfinite(oldest)) AS known FROM in_turn WHERE subscription ~ '^q-';
SELECT * FROM in_turn WHERE subscription IN ('p-all', 'p-one') ORDER BY 1;
SELECT subscription, oldest, same FROM pending WHERE subscription IN ('p-all', 'p-one');
DROP VIEW in_turn;
SELECT count(eunsub('q-' || n)) FROM generate_series(1, 25) AS n;
-- A stream that waits behind a failure does not count; the others of the subscription do.
SELECT FROM enack('p-all', (SELECT min(global_position) FROM enext('p-all', 1)), reason => 'it fails', park => true);
SELECT oldest, same FROM pending WHERE subscription = 'p-all';
SELECT FROM eskip('p-all', (SELECT stream_id FROM event_failures() WHERE subscription = 'p-all'));
SELECT oldest, same FROM pending WHERE subscription = 'p-all';
-- Nothing is left while all waits; then it is due again.
SELECT FROM enack('p-one', (SELECT min(global_position) FROM enext('p-one', 1)), reason => 'it fails', park => true);
SELECT value FROM event_metrics('subscription') WHERE metric = 'sierra_es_subscription_lag_seconds' AND labels ->> 'subscription' = 'p-one';
SELECT state, lag FROM event_subscriptions() WHERE subscription = 'p-one';
SELECT FROM eskip('p-one', 'p-1');
SELECT value > 0 FROM event_metrics('subscription') WHERE metric = 'sierra_es_subscription_lag_seconds' AND labels ->> 'subscription' = 'p-one';
SELECT s.state, ((clock_timestamp() - s.lag) AT TIME ZONE 'UTC')::date AS since FROM event_subscriptions() AS s WHERE subscription = 'p-one';
SELECT FROM enack('p-one', (SELECT min(global_position) FROM enext('p-one', 1)), retry_after => '1 day');
SELECT oldest FROM pending WHERE subscription = 'p-one';
SELECT state, lag FROM event_subscriptions() WHERE subscription = 'p-one';
SELECT FROM eretry('p-one');
SELECT oldest FROM pending WHERE subscription = 'p-one';
SELECT FROM eack('p-one', (SELECT max(global_position) FROM enext('p-one')));
SELECT oldest FROM pending WHERE subscription = 'p-one';
SELECT state, lag FROM event_subscriptions() WHERE subscription = 'p-one';
-- A group: each partition has a cursor, and a consumer has those that it holds.
SELECT count(*) > 0 FROM enext('p-group', 2, consumer => 'one');
SELECT bool_and(same) FROM pending;
SELECT sum(p.events) = max(c.lag_events) AS same FROM sierra_internal.list_pending('es', false, NULL) AS p
  JOIN event_consumers() AS c ON c.subscription = p.subscription AND c.consumer = p.consumer WHERE p.subscription = 'p-group';
SELECT count(eack('p-group', max_position, 'one')) FROM (SELECT max(global_position) AS max_position FROM enext('p-group', 1000, consumer => 'one')) AS e;
SELECT bool_and(same) FROM pending;
SELECT count(*) FILTER (WHERE oldest IS NOT NULL) FROM sierra_internal.list_pending('es', false, NULL);
SELECT count(eunsub(subscription)) FROM pending;
DROP VIEW pending;
-- subjects
SELECT DISTINCT split_part(metric, '_', 3) FROM event_metrics('timer');
SELECT DISTINCT labels ->> 'subject' FROM event_metrics('readable') ORDER BY 1;
SELECT count(*) > 0 FROM event_metrics('database');
SELECT event_metrics('weather');
:sqlstate
-- a second store, and a role that is a monitor
SELECT create_event_store('other', 2);
CREATE ROLE regress_sierra_monitor IN ROLE pg_monitor;
CREATE ROLE regress_sierra_stranger;
SET ROLE regress_sierra_monitor;
SELECT labels ->> 'store' AS store, count(*) FROM event_metrics() WHERE metric = 'sierra_es_readable_stores' AND value = 1 GROUP BY 1 ORDER BY 1;
SELECT labels ->> 'store' AS store, value FROM event_metrics('store') WHERE metric = 'sierra_es_store_events' ORDER BY 1;
SET ROLE regress_sierra_stranger;
SELECT event_metrics();
:sqlstate
SELECT event_metrics_text();
:sqlstate
SELECT event_progress();
:sqlstate
RESET ROLE;
DROP ROLE regress_sierra_monitor, regress_sierra_stranger;
DROP VIEW shown;
DROP FUNCTION lag();
SELECT drop_event_store('es', force => true), drop_event_store('other');
DROP FUNCTION fails(jsonb, sierra_event), act(jsonb);
