-- eproject(): the state with every visible event, handled or not; nothing is written
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 8);
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN e.event_name = 'Bad' THEN (1 / (e.stream_version - e.stream_version))::text::jsonb
                ELSE state || to_jsonb(e.global_position) END;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS '';
SELECT create_projection('streams', 'tally(jsonb, sierra_event)', initial => '[]', event_names => '{E, Bad}');
SELECT create_projection('users', 'tally(jsonb, sierra_event)', initial => '[]', event_names => '{E, Bad}', key => $$e.payload ->> 'user'$$);
SELECT create_projection('seen', 'see(sierra_event)');

-- The expected state: all events of the key, in their order.
CREATE FUNCTION expected(stream text, usr text) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN (SELECT coalesce(jsonb_agg(global_position ORDER BY global_position), '[]') FROM es.events
             WHERE event_name = 'E' AND (stream_id = stream OR payload ->> 'user' = usr));
CREATE VIEW checked AS
SELECT bool_and(eproject('streams', 's-' || n) = expected('s-' || n, NULL)) AS streams,
       bool_and(eproject('users', 'u-' || n) = expected(NULL, 'u-' || n)) AS users,
       sum(jsonb_array_length(eproject('streams', 's-' || n))) AS events
  FROM generate_series(0, 6) AS n;

SELECT * FROM checked;
SELECT count(eappend('s-' || n % 7, CASE WHEN n % 4 = 0 THEN 'Other' ELSE 'E' END, json_build_object('user', 'u-' || n % 5)))
  FROM generate_series(1, 100) AS n;
SELECT * FROM checked;
SELECT run_projection('streams', 40), run_projection('users', 25);
SELECT * FROM checked;
-- Nothing was written.
SELECT sum(jsonb_array_length(state)) FROM estates('streams');
SELECT run_projections();
SELECT * FROM checked;
SELECT sum(jsonb_array_length(state)) FROM estates('streams');

-- In the appender's own transaction.
BEGIN;
SELECT count(eappend('s-' || n % 7, 'E', json_build_object('user', 'u-' || n % 5))) FROM generate_series(1, 10) AS n;
SELECT * FROM checked;
SAVEPOINT s;
SELECT count(eappend('s-1', 'E', '{"user": "u-1"}')) FROM generate_series(1, 10);
SELECT * FROM checked;
ROLLBACK TO s;
SELECT * FROM checked;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT * FROM checked;
COMMIT;

-- More events than it reads at a time.
SELECT count(eappend('s-' || n % 7, 'E', json_build_object('user', 'u-' || n % 5))) FROM generate_series(1, 2100) AS n;
SELECT * FROM checked;
SELECT run_projection('users', 10000);
SELECT * FROM checked;

-- No state yet, and none ever.
SELECT eproject('streams', 'none'), eproject('users', 'none');

-- A stream that waits behind a failed event: the event that was given up is left out, as a run
-- would do.
SELECT count(eappend('p-1', name, '{"user": "p"}')) FROM unnest('{E, Bad, E, E}'::text[]) AS name;
SELECT drop_projection('streams'), drop_projection('users');
SELECT create_projection('streams', 'tally(jsonb, sierra_event)', initial => '[]', on_error => 'park', max_attempts => 1);
SELECT create_projection('users', 'tally(jsonb, sierra_event)', initial => '[]', on_error => 'park', max_attempts => 1, key => $$e.payload ->> 'user'$$);
SELECT run_projection('streams', 100000) > 2000 AS streams, run_projection('users', 100000) > 2000 AS users;
SELECT eproject('streams', 'p-1');
:sqlstate
SELECT eproject('users', 'p');
:sqlstate
SELECT skip_projection_event('streams', 'p-1') IS NOT NULL AS streams, skip_projection_event('users', 'p-1') IS NOT NULL AS users;
SELECT eproject('streams', 'p-1') = expected('p-1', NULL) AS streams, eproject('users', 'p') = expected(NULL, 'p') AS users;
SELECT jsonb_array_length(state) FROM estates('users') WHERE key = 'p';
SELECT run_projection('streams'), run_projection('users');
SELECT eproject('streams', 'p-1') = expected('p-1', NULL) AS streams, eproject('users', 'p') = expected(NULL, 'p') AS users;
SELECT jsonb_array_length(state) FROM estates('users') WHERE key = 'p';

-- From a position on: events before it are in no state.
SELECT create_projection('later', 'tally(jsonb, sierra_event)', initial => '[]', start_from => 'latest', event_names => '{E}');
SELECT eproject('later', 's-1');
SELECT jsonb_array_length(eproject('later', 's-1')) FROM eappend('s-1', 'E');
SELECT jsonb_array_length(eproject('later', 's-1'));

-- Only folds have states.
SELECT eproject('seen', 's-1');
:sqlstate
SELECT count(drop_projection(projection)) FROM event_projections();
DROP VIEW checked;
DROP FUNCTION expected;
SELECT drop_event_store('es', force => true);
DROP FUNCTION tally, see;
