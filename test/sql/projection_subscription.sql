-- The subscription of a projection is not for consumers: all functions for subscriptions refuse it.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION tally(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE
    AS $$ SELECT to_jsonb(coalesce(state::integer, 0) + 1) $$;
CREATE FUNCTION fails(event sierra_event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
SELECT count(eappend('s', 'E')) FROM generate_series(1, 3);
SELECT create_projection('p', 'tally(jsonb, sierra_event)', initial => '0');
SELECT create_process_manager('m', 'tally(jsonb, sierra_event)', initial => '0', start_from => 'earliest');
SELECT create_projection('f', 'fails(sierra_event)', max_attempts => 1);
SELECT subscription FROM event_projections() ORDER BY 1;

SELECT enext('projection:p:1');
:sqlstate
CREATE FUNCTION refused(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'SELECT ' || call;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
-- Of every function that has an argument "subscription".  The others show what there is.
SELECT p.proname AS function,
       refused(format('%s(%s)', p.proname, (SELECT string_agg(format('%I => %s', a.name, CASE a.name WHEN 'subscription' THEN quote_literal(n.name)
                                                     WHEN 'cursor' THEN '2' WHEN 'stream_id' THEN quote_literal('s') ELSE quote_literal('c1') END), ', ')
                          FROM unnest(p.proargnames[1:p.pronargs - p.pronargdefaults]) AS a (name))))
  FROM pg_proc AS p, unnest(ARRAY['projection:p:1', 'projection:m:1', 'projection:none']) AS n (name)
 WHERE p.proargnames[1] = 'subscription' AND p.pronargs > 0 AND p.pronamespace <> 'sierra_internal'::regnamespace
 ORDER BY 1, n.name;
-- A name that only looks like one is not refused.
SELECT esub('projection'), esub('a projection:p:1'), eunsub('a projection:p:1');

-- Their own functions work.
SELECT run_projections();
SELECT ewait_projection('p', 2, '0'), ewait_projection('m', 2, '0');
SELECT projection, state, cursor, lag_events, failed_position FROM event_projections() ORDER BY 1;
SELECT skip_projection_event('f');
SELECT retry_projection('f');
SELECT run_projection('f');
SELECT skip_projection_event('f');
SELECT drop_projection('m');

-- A projection without its subscription does not hide the others.
DELETE FROM es.subscriptions WHERE subscription = 'projection:p:1';
SELECT projection, state, cursor, lag IS NULL AS no_lag FROM event_projections() ORDER BY 1;
SELECT run_projection('p');
SELECT drop_projection('p'), drop_projection('f');
DROP FUNCTION tally, fails, refused;
SELECT drop_event_store('es', force => true);
