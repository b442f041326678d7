-- Rebuilds: a new version catches up beside the live one and takes over in one transaction
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION one(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN to_jsonb((state #>> '{}')::int + 1);
CREATE FUNCTION two(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN to_jsonb((state #>> '{}')::int + 2);
CREATE VIEW versions AS SELECT projection, version, live, state, lag_events, states, processed, handler FROM event_projections();
SELECT count(eappend('s-' || n % 3, 'E' || n % 2)) FROM generate_series(1, 30) AS n;
SELECT create_projection('p', 'one(jsonb, sierra_event)', initial => '0');
SELECT run_projection('p');

-- Until it has caught up, the live version answers.
SELECT rebuild_projection('p', handler => 'two(jsonb, sierra_event)', key => 'e.event_name');
SELECT * FROM versions;
SELECT run_projection('p', 10);
SELECT * FROM versions;
SELECT round(progress::numeric, 2) AS progress FROM event_projections() WHERE NOT live;
SELECT key, state FROM estates('p') ORDER BY key;
SELECT eproject('p', 's-1');
SELECT rebuild_projection('p');
:sqlstate
SELECT count(eappend('s-1', 'E1')) FROM generate_series(1, 5);
SELECT run_projection('p', 10), run_projection('p', 10);
SELECT eproject('p', 's-1');
SELECT run_projections();
SELECT * FROM versions;
SELECT key, state FROM estates('p') ORDER BY key;
SELECT eproject('p', 'E1'), eproject('p', 's-1');
SELECT version, count(*) FROM es.projection_states GROUP BY 1;
SELECT subscription FROM event_subscriptions();
SELECT count(eappend('s-1', 'E1')) FROM generate_series(1, 5);
SELECT eproject('p', 'E1'), run_projection('p'), run_projection('p');
SELECT key, state FROM estates('p') ORDER BY key;

-- Cancelled.
SELECT rebuild_projection('p', key => 'e.stream_id'), run_projection('p', 10);
SELECT cancel_rebuild('p');
SELECT * FROM versions;
SELECT version, count(*) FROM es.projection_states GROUP BY 1;

-- By hand.
SELECT rebuild_projection('p', handler => 'one(jsonb, sierra_event)', initial => '1000', automatic => false);
SELECT run_projections();
SELECT * FROM versions;
SELECT count(eappend('s-1', 'E1')) FROM generate_series(1, 5);
SELECT finish_rebuild('p');
SELECT * FROM versions;
SELECT key, state FROM estates('p') ORDER BY key;
-- Rolled back with its transaction.
BEGIN;
SELECT rebuild_projection('p', handler => 'two(jsonb, sierra_event)'), finish_rebuild('p');
SELECT key, state FROM estates('p') ORDER BY key;
ROLLBACK;
SELECT * FROM versions;
SELECT key, state FROM estates('p') ORDER BY key;

-- A new version that fails does not take over.
CREATE FUNCTION bad(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'bad'; END $$;
SELECT rebuild_projection('p', handler => 'bad(jsonb, sierra_event)');
SELECT run_projections();
SELECT finish_rebuild('p');
:sqlstate
SELECT * FROM versions;
SELECT cancel_rebuild('p');

-- Handlers that write their own tables: the new version has another table, and both are exchanged
-- at once.
CREATE TABLE seen (position bigint PRIMARY KEY);
CREATE TABLE seen_new (position bigint PRIMARY KEY, name text);
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS $$ INSERT INTO seen VALUES ($1.global_position) $$;
CREATE FUNCTION see_new(e sierra_event) RETURNS void LANGUAGE sql AS $$ INSERT INTO seen_new VALUES ($1.global_position, $1.event_name) $$;
SELECT create_projection('seen', 'see(sierra_event)');
SELECT run_projection('seen');
SELECT rebuild_projection('seen');
:sqlstate
SELECT rebuild_projection('seen', handler => 'see(sierra_event)');
:sqlstate
SELECT rebuild_projection('seen', handler => 'see_new(sierra_event)');
SELECT run_projections();
SELECT projection, version, live FROM versions WHERE projection = 'seen';
BEGIN;
SELECT finish_rebuild('seen');
ALTER TABLE seen RENAME TO seen_old;
ALTER TABLE seen_new RENAME TO seen;
COMMIT;
SELECT count(*) = (SELECT count(*) FROM es.events) AS all_of_them, count(DISTINCT name) FROM seen;
SELECT projection, version, live FROM versions WHERE projection = 'seen';

-- Inline.
SELECT create_projection('inline', 'one(jsonb, sierra_event)', initial => '0', mode => 'inline', key => $$'n'$$);
SELECT rebuild_projection('inline', handler => 'two(jsonb, sierra_event)');
SELECT count(eappend('s-1', 'E1')) FROM generate_series(1, 5);
SELECT eproject('inline', 'n')::text::int = count(*) AS still_live FROM es.events;
SELECT run_projections() > 0 AS running, run_projections() = 0 AS ran;
SELECT projection, version, live, lag_events FROM versions WHERE projection = 'inline';
SELECT count(eappend('s-1', 'E1')) FROM generate_series(1, 5);
-- An error from which it has recovered does not matter.
UPDATE es.projections SET last_error = 'a deadlock' WHERE projection = 'inline' AND NOT live;
SELECT finish_rebuild('inline');
SELECT count(eappend('s-1', 'E1')) FROM generate_series(1, 5);
SELECT eproject('inline', 'n')::text::int = 2 * count(*) AS taken_over FROM es.events;
SELECT projection, version, live, lag_events FROM versions WHERE projection = 'inline';

SELECT count(drop_projection(projection)) FROM event_projections();
SELECT drop_event_store('es', force => true);
DROP VIEW versions;
DROP FUNCTION one, two, bad, see, see_new;
DROP TABLE seen, seen_old;
