-- create_aggregate(), drop_aggregate(), drop_snapshots(), event_aggregates()
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE SCHEMA "Odd schema";
CREATE FUNCTION count_events(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE RETURN jsonb_build_object('n', coalesce((state->>'n')::int, 0) + 1);
CREATE FUNCTION "Odd schema"."Count,twice("(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE RETURN jsonb_build_object('n', coalesce((state->>'n')::int, 0) + 2);
SELECT count(*) FROM generate_series(1, 7) AS n, eappend('a', 'x', to_json(n));

-- A definition is stored with a name that means the same to every session.
SELECT create_aggregate('counter', 'count_events(jsonb, sierra_event)', snapshot_every => 5);
SELECT create_aggregate('twice', '"Odd schema"."Count,twice("(jsonb, sierra_event)', NULL, 0, 7);
SELECT aggregate, fold, initial, snapshot_every, fold_version, snapshots FROM event_aggregates();
SET search_path = "Odd schema", pg_temp;
SELECT * FROM public.eload('counter', 'a');
SELECT * FROM public.eload('twice', 'a');
RESET search_path;
SELECT aggregate, snapshots FROM event_aggregates('es');

-- The same again has no effect; another definition needs replace.
SELECT create_aggregate('counter', 'count_events(jsonb, sierra_event)', snapshot_every => 5);
SELECT create_aggregate('counter', 'count_events(jsonb, sierra_event)', snapshot_every => 6);
:sqlstate
SELECT create_aggregate('counter', '"Odd schema"."Count,twice("(jsonb, sierra_event)', snapshot_every => 5);
:sqlstate
-- A change that cannot change a state keeps the snapshots.
SELECT create_aggregate('counter', 'count_events(jsonb, sierra_event)', snapshot_every => 6, replace => true);
SELECT aggregate, snapshot_every, snapshots FROM event_aggregates();
-- A change that can, makes all of them invalid.
UPDATE es.snapshots SET state = '{"n": 100}';
SELECT * FROM eload('counter', 'a');
SELECT create_aggregate('counter', 'count_events(jsonb, sierra_event)', snapshot_every => 6, fold_version => 2, replace => true);
SELECT * FROM eload('counter', 'a');
UPDATE es.snapshots SET state = '{"n": 100}';
SELECT create_aggregate('counter', 'count_events(jsonb, sierra_event)', '{"n": 10}', 6, fold_version => 2, replace => true);
SELECT * FROM eload('counter', 'a');
UPDATE es.snapshots SET state = '{"n": 100}';
SELECT create_aggregate('counter', '"Odd schema"."Count,twice("(jsonb, sierra_event)', '{"n": 10}', 6, fold_version => 2, replace => true);
SELECT * FROM eload('counter', 'a');
SELECT count(*) AS snapshots FROM es.snapshots;
-- Not even the earlier definition makes them valid again: it counts as another one.
BEGIN;
CREATE TEMPORARY TABLE kept AS SELECT * FROM es.snapshots;
UPDATE kept SET state = '{"n": 100}';
SELECT drop_aggregate('counter');
SELECT create_aggregate('counter', '"Odd schema"."Count,twice("(jsonb, sierra_event)', '{"n": 10}', 6, fold_version => 2);
INSERT INTO es.snapshots SELECT * FROM kept;
SELECT * FROM eload('counter', 'a');
ROLLBACK;

-- Snapshots can be deleted at any moment.
SELECT count(*) FROM generate_series(1, 7) AS n, eappend('b', 'x', to_json(n));
SELECT * FROM eload('counter', 'b');
SELECT stream_id, version, state FROM es.snapshots ORDER BY 1;
SELECT drop_snapshots('counter', 'a'), drop_snapshots('counter', 'a');
SELECT stream_id, version, state FROM es.snapshots ORDER BY 1;
SELECT drop_snapshots('counter'), drop_snapshots('unknown');
SELECT * FROM eload('counter', 'b');
SELECT drop_aggregate('counter'), drop_aggregate('counter');
SELECT count(*) AS snapshots FROM es.snapshots;
SELECT * FROM eload('counter', 'b');
:sqlstate

-- what is refused
CREATE FUNCTION no_fold(jsonb) RETURNS jsonb LANGUAGE sql RETURN $1;
CREATE FUNCTION no_fold(jsonb, sierra_event) RETURNS json LANGUAGE sql RETURN '{}'::json;
CREATE FUNCTION no_fold(jsonb, jsonb) RETURNS jsonb LANGUAGE sql RETURN $1;
CREATE FUNCTION no_fold(jsonb, sierra_event, int) RETURNS SETOF jsonb LANGUAGE sql RETURN $1;
SELECT create_aggregate('bad', 'no_fold(jsonb)');
:sqlstate
SELECT create_aggregate('bad', 'no_fold(jsonb, sierra_event)');
:sqlstate
SELECT create_aggregate('bad', 'no_fold(jsonb, jsonb)');
:sqlstate
SELECT create_aggregate('bad', 'no_fold(jsonb, sierra_event, int)');
:sqlstate
SELECT create_aggregate('bad', 'jsonb_object_agg(anyelement, anyelement)');
:sqlstate
SELECT create_aggregate('', 'count_events(jsonb, sierra_event)');
:sqlstate
SELECT create_aggregate(E'a\tb', 'count_events(jsonb, sierra_event)');
:sqlstate
SELECT create_aggregate(repeat('ä', 128), 'count_events(jsonb, sierra_event)');
:sqlstate
SELECT create_aggregate(NULL, 'count_events(jsonb, sierra_event)');
:sqlstate
SELECT create_aggregate('bad', NULL);
:sqlstate
SELECT create_aggregate('bad', 'count_events(jsonb, sierra_event)', snapshot_every => NULL);
:sqlstate
SELECT create_aggregate('bad', 'count_events(jsonb, sierra_event)', snapshot_every => -1);
:sqlstate
SELECT create_aggregate('bad', 'count_events(jsonb, sierra_event)', fold_version => NULL);
:sqlstate
SELECT event_aggregates('none');
:sqlstate
SELECT aggregate FROM event_aggregates();

-- A fold can be dropped, or become another kind of function, without the aggregate's notice.
DROP FUNCTION "Odd schema"."Count,twice("(jsonb, sierra_event);
SELECT * FROM eload('twice', 'a');
:sqlstate
CREATE FUNCTION "Odd schema"."Count,twice("(jsonb, sierra_event) RETURNS json LANGUAGE sql RETURN '{}'::json;
SELECT * FROM eload('twice', 'a');
:sqlstate

SELECT drop_event_store('es', force => true);
DROP FUNCTION no_fold(jsonb), no_fold(jsonb, sierra_event), no_fold(jsonb, jsonb), no_fold(jsonb, sierra_event, int), count_events;
DROP FUNCTION "Odd schema"."Count,twice(";
DROP SCHEMA "Odd schema";
