-- Folds: states by stream and by an expression over the event, each event in exactly once
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);

CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN state || jsonb_build_object('count', coalesce((state ->> 'count')::int, 0) + 1,
                                       'last', e.payload ->> 'n');
SELECT count(eappend('order-' || n % 3, CASE WHEN n % 5 = 0 THEN 'Paid' ELSE 'Added' END,
                     json_build_object('n', n, 'user', 'user-' || n % 2)))
  FROM generate_series(1, 30) AS n;

SELECT create_projection('orders', 'tally(jsonb, sierra_event)');
SELECT create_projection('users', 'tally(jsonb, sierra_event)', key => $$e.payload ->> 'user'$$);
SELECT create_projection('paid', 'tally(jsonb, sierra_event)', streams => '{order-1, order-2}', event_names => '{Paid}');
-- No key, no state: the event is skipped.
SELECT create_projection('some', 'tally(jsonb, sierra_event)', initial => '{"count": 100}',
                         key => $$CASE WHEN e.stream_version < 2 THEN e.stream_id || '/' || e.event_name END$$);
SELECT * FROM estates('orders');

-- In two parts: the second continues where the first ended.
SELECT run_projection('orders', 7), run_projection('orders'), run_projection('orders');
SELECT run_projection('users', 29), run_projection('users', 29), run_projection('paid'), run_projection('some');
SELECT key, state FROM estates('orders') ORDER BY key;
SELECT key, state FROM estates('users') ORDER BY key;
SELECT key, state FROM estates('paid') ORDER BY key;
SELECT key, state FROM estates('some') ORDER BY key;

-- The expected counts, computed by the test itself.
SELECT key, state ->> 'count' = (SELECT count(*)::text FROM escan(key)) AS all_of_it,
       position = (SELECT max(global_position) FROM escan(key)) AS up_to_the_last
  FROM estates('orders') ORDER BY key;

-- Later events go into the same states, in small batches as in large ones.
SELECT create_projection('small', 'tally(jsonb, sierra_event)', batch_size => 1);
SELECT count(eappend('order-' || n % 4, 'Added', json_build_object('n', n, 'user', 'user-1'))) FROM generate_series(31, 50) AS n;
SELECT run_projection('orders'), run_projection('small', 100);
SELECT key, o.state, o.state = s.state AND o.position = s.position AS same
  FROM estates('orders') AS o FULL JOIN estates('small') AS s USING (key) ORDER BY key;

-- A fold that returns null ends the state; the next event begins again.
CREATE FUNCTION until_paid(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN e.event_name <> 'Paid' THEN to_jsonb(coalesce((state #>> '{}')::int, 0) + 1) END;
SELECT create_projection('open', 'until_paid(jsonb, sierra_event)', initial => NULL, key => $$'all'$$);
SELECT run_projection('open', 5);
SELECT key, state FROM estates('open');
SELECT run_projection('open', 4);
SELECT key, state FROM estates('open');

-- Keys and states of any text and size.
SELECT eappend(E'tab\u00e4''"\\', 'Added', '{"n": 1}') IS NOT NULL AS appended;
CREATE FUNCTION grow(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('text', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 500) AS i), 'event', to_jsonb(e.stream_id));
SELECT create_projection('odd "name"', 'grow(jsonb, sierra_event)');
SELECT run_projection('odd "name"', 1000);
SELECT key, length(state ->> 'text') AS length, state ->> 'event' FROM estates('odd "name"') ORDER BY key COLLATE "C";
SELECT run_projection('odd "name"');

-- Rows that have moved between loading and saving are found by their keys.
CREATE FUNCTION meddle(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    UPDATE es.projection_states AS s SET position = s.position
     WHERE s.projection = 'moved' AND s.key = 'order-1';
    RETURN tally(state, e);
END
$$;
SELECT create_projection('moved', 'meddle(jsonb, sierra_event)');
SELECT run_projection('moved', 20), run_projection('moved', 100);
SELECT key, m.state = o.state AND m.position = o.position AS same
  FROM estates('moved') AS m JOIN estates('orders') AS o USING (key) ORDER BY key;
SELECT drop_projection('moved');

SELECT projection, version, live, mode, kind, state, cursor, lag_events, lag IS NULL AS caught_up, progress, processed, states, parked, key
  FROM event_projections();
SELECT count(drop_projection(projection)) FROM event_projections();
SELECT (SELECT count(*) FROM es.projections) AS projections, (SELECT count(*) FROM es.projection_states) AS states,
       (SELECT count(*) FROM es.subscriptions) AS subscriptions;
SELECT drop_event_store('es', force => true);
DROP FUNCTION tally, until_paid, grow, meddle;
