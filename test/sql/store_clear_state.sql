-- clear_event_store() and what follows events: definitions stay, all else begins again
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'user-123', 'd', 'd'], ARRAY['x', 'y', 'z', 'x', 'y']);
CREATE FUNCTION counts(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(coalesce($1::text::bigint, 0) + 1)';
CREATE FUNCTION objects(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce($1, '{}') || '{"seen": true}' $$;
CREATE FUNCTION fails(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE FUNCTION up(payload json) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$;
-- subscriptions with all kinds of starts and progress
SELECT esub('latest'), esub('earliest', start_from => 'earliest'), esub('from 3', start_from => 3), epsub('partitions', ARRAY[0, 1]);
SELECT esub('versions', ARRAY['a', 'd'], start_from => 'latest', start_versions => '{"a": 1, "d": 1}');
SELECT epsub('sequences', start_from => 'earliest', start_sequences => '{"0": 1, "default": 1}');
SELECT esub('failed', start_from => 'earliest', max_attempts => 1);
SELECT enack('failed', (SELECT max(global_position) FROM enext('failed', 2)), '1 hour', 'bad');
SELECT eack('earliest', (SELECT max(global_position) FROM enext('earliest', 3)));
SELECT esub('group', start_from => 'earliest');
SELECT count(*) FROM enext('group', 2, consumer => 'c1');
-- projections in all states
SELECT create_projection('folds', 'counts(jsonb, sierra_event)', mode => 'manual', initial => '0', key => 'e.stream_id');
SELECT create_projection('inline', 'counts(jsonb, sierra_event)', mode => 'inline', initial => '0');
SELECT create_projection('stopped', 'fails(sierra_event)', mode => 'manual', max_attempts => 1);
SELECT create_projection('paused', 'counts(jsonb, sierra_event)', mode => 'manual', initial => '0');
SELECT create_process_manager('manager', 'objects(jsonb, sierra_event)', mode => 'manual', key => 'e.stream_id', start_from => 'latest');
SELECT run_projection('folds'), run_projection('stopped'), run_projection('paused');
SELECT pause_projection('paused');
SELECT create_aggregate('thing', 'objects(jsonb, sierra_event)', snapshot_every => 1);
SELECT create_upcaster('x', 1, 'up(json)');
SELECT eload('thing', 'a');
SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)', waits => true)]);
SELECT start_saga('saga', saga_id => 'saga-1');
SELECT eschedule('2999-01-01', 'later', 'Due', timer_id => '00000000-0000-4000-8000-00000000000a');
CREATE VIEW sizes AS
SELECT (SELECT count(*) FROM es.subscriptions) AS subscriptions, (SELECT count(*) FROM es.subscription_cursors) AS cursors,
       (SELECT count(*) FROM es.subscription_consumers) AS consumers, (SELECT count(*) FROM es.subscription_streams) AS streams,
       (SELECT count(*) FROM es.projections) AS projections, (SELECT count(*) FROM es.projection_states) AS states,
       (SELECT count(*) FROM es.aggregates) AS aggregates, (SELECT count(*) FROM es.snapshots) AS snapshots,
       (SELECT count(*) FROM es.upcasters) AS upcasters, (SELECT count(*) FROM es.sagas) AS sagas,
       (SELECT count(*) FROM es.saga_instances) AS instances, (SELECT count(*) FROM es.timers) AS timers;
SELECT * FROM sizes \gx
SELECT projection, state, processed > 0 AS processed, failed_position, last_error FROM event_projections();

SELECT clear_event_store('es', force => true);
SELECT * FROM sizes \gx
SELECT projection, state, processed, rate, attempts, failed_position, failed_stream, last_error, cursor, lag_events FROM event_projections();
SELECT subscription, cursor, consumers, parked, window_used, acknowledged_at, last_error FROM event_subscriptions();
SELECT event_sagas(), event_timers();

-- Every subscription gets every event that it wants, from the first one on.
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'user-123', 'd', 'd'], ARRAY['x', 'y', 'z', 'x', 'y']);
SELECT s.subscription, array_agg(e.global_position ORDER BY e.global_position) FROM event_subscriptions() AS s, epeek(s.subscription) AS e WHERE s.subscription !~ 'projection' GROUP BY 1 ORDER BY 1;
SELECT global_position FROM enext('failed');
SELECT global_position FROM enext('group', consumer => 'c2');
SELECT eack('group', 0, 'c1');
:sqlstate
SELECT run_projection('folds');
SELECT key, state, position FROM estates('folds') ORDER BY 1;
SELECT key, state, position FROM estates('inline');
SELECT run_projection('manager');
SELECT manager, processed, cursor FROM event_process_managers();
SELECT eload('thing', 'a');
SELECT start_saga('saga', saga_id => 'saga-1');
SELECT eschedule('2999-01-01', 'later', 'Due', timer_id => '00000000-0000-4000-8000-00000000000a');
SELECT count(*) FROM everify();

-- Large tables are truncated.
INSERT INTO es.projection_states SELECT 'folds', 1, 'key ' || i, to_jsonb(repeat('x', 100)), 0 FROM generate_series(1, 40000) AS i;
SELECT pg_relation_filenode('es.projection_states') AS file \gset
SELECT clear_event_store('es', force => true);
SELECT pg_relation_filenode('es.projection_states') <> :file AS new, (SELECT count(*) FROM es.projection_states) AS states;
SELECT pg_relation_filenode('es.projection_states') AS file \gset
SELECT clear_event_store('es', force => true);
SELECT pg_relation_filenode('es.projection_states') <> :file AS new;

DROP VIEW sizes;
SELECT drop_event_store('es', force => true);
DROP FUNCTION counts, objects, fails, up, act;
