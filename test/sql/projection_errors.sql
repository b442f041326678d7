-- What create_projection() and the other functions refuse
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 2);
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN state;
CREATE FUNCTION no_handler(text) RETURNS text LANGUAGE sql RETURN $1;
CREATE FUNCTION rows_of(e sierra_event) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION text_of(state jsonb, e sierra_event) RETURNS text LANGUAGE sql RETURN 'x';
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS '';

SELECT create_projection('p', 'no_handler(text)');
:sqlstate
SELECT create_projection('p', 'rows_of(sierra_event)');
:sqlstate
SELECT create_projection('p', 'text_of(jsonb, sierra_event)');
:sqlstate
SELECT create_projection('p', 'nothing(jsonb, sierra_event)');
:sqlstate
SELECT create_projection(NULL, 'tally(jsonb, sierra_event)');
:sqlstate
SELECT create_projection('p', NULL);
:sqlstate
SELECT create_projection('', 'tally(jsonb, sierra_event)');
:sqlstate
SELECT create_projection(repeat('x', 201), 'tally(jsonb, sierra_event)');
:sqlstate
SELECT create_projection(E'a\nb', 'tally(jsonb, sierra_event)');
:sqlstate
SELECT create_projection('p', 'tally(jsonb, sierra_event)', mode => 'sometimes');
:sqlstate
SELECT create_projection('p', 'tally(jsonb, sierra_event)', on_error => 'ignore');
:sqlstate
SELECT create_projection('p', 'tally(jsonb, sierra_event)', batch_size => 0);
:sqlstate
SELECT create_projection('p', 'tally(jsonb, sierra_event)', max_attempts => 0);
:sqlstate
SELECT create_projection('p', 'tally(jsonb, sierra_event)', retry_after => '-1 s');
:sqlstate
SELECT create_projection('p', 'tally(jsonb, sierra_event)', start_from => 'yesterday');
:sqlstate
-- The key expression is tested at once.
SELECT create_projection('p', 'tally(jsonb, sierra_event)', key => 'e.nothing');
:sqlstate
SELECT create_projection('p', 'tally(jsonb, sierra_event)', key => 'e.stream_id,,');
:sqlstate
SELECT create_projection('p', 'see(sierra_event)', key => 'e.stream_id');
:sqlstate
SELECT count(*) FROM event_projections();
SELECT count(*) FROM event_subscriptions();

SELECT create_projection('p', 'tally(jsonb, sierra_event)');
SELECT create_projection('p', 'tally(jsonb, sierra_event)');
:sqlstate
-- What is left of a projection whose row was deleted from the table is not in the way.
INSERT INTO es.subscriptions (subscription, start_after, window_size, lease_time, max_attempts) VALUES ('projection:q:1', 100, 1, '1 s', 1);
INSERT INTO es.subscription_cursors (subscription, partition_id, cursor) VALUES ('projection:q:1', -1, 100);
SELECT create_projection('q', 'tally(jsonb, sierra_event)');
SELECT cursor, lag_events FROM event_projections() WHERE projection = 'q';
SELECT drop_projection('q');
-- One key for each event.
SELECT count(eappend('s', 'E')) FROM generate_series(1, 3);
SELECT create_projection('many', 'tally(jsonb, sierra_event)', key => $$unnest('{a,b}'::text[])$$, max_attempts => 1);
:sqlstate

-- A projection that does not exist.
SELECT run_projection('none');
:sqlstate
SELECT eproject('none', 'k');
SELECT * FROM estates('none');
:sqlstate
SELECT eproject('p', NULL);
:sqlstate
SELECT run_projection('p', 0);
:sqlstate
SELECT run_projection('p', NULL);
:sqlstate
SELECT pause_projection('none');
:sqlstate
SELECT resume_projection('none');
:sqlstate
SELECT retry_projection('none');
:sqlstate
SELECT rebuild_projection('none');
:sqlstate
SELECT finish_rebuild('none');
:sqlstate
SELECT finish_rebuild('p');
:sqlstate
SELECT cancel_rebuild('p');
:sqlstate
SELECT drop_projection('none');
:sqlstate
SELECT ewait_projection('none', 0);
:sqlstate
SELECT skip_projection_event('p') IS NULL AS nothing_to_skip;

-- The columns of a row that say what to run never change.
UPDATE es.projections SET handler = 'see(sierra_event)' WHERE projection = 'p';
:sqlstate
UPDATE es.projections SET subscription = 'projection:many:1' WHERE projection = 'p';
:sqlstate
-- An error of the caller is not a failure of a projection.
SELECT run_projections(0);
:sqlstate
SELECT run_projections(NULL);
:sqlstate
SELECT count(*) FROM event_projections() WHERE last_error LIKE '%max_count%';
-- A handler that was dropped.
DROP FUNCTION tally;
SELECT run_projection('p');
:sqlstate
SELECT run_projections();
SELECT projection, state, attempts, retry_at IS NOT NULL AS will_retry, last_error FROM event_projections() WHERE projection = 'p';
-- The trigger is for partitions of stores.
CREATE TABLE mine (x int);
CREATE TRIGGER t AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION sierra_internal.project_inline('p');
INSERT INTO mine VALUES (1);
:sqlstate
DROP TRIGGER t ON mine;
CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.project_inline('p');
INSERT INTO mine VALUES (1);
:sqlstate
DROP TABLE mine;
SELECT drop_event_store('es', force => true);
DROP FUNCTION no_handler, rows_of, text_of, see;
