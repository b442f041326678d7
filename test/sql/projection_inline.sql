-- Mode inline: the handler runs in the appending transaction
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE plpgsql AS $$
BEGIN
    IF e.event_name = 'Refused' THEN
        RAISE 'refused by the projection' USING ERRCODE = 'P0042';
    END IF;
    RETURN CASE WHEN e.event_name <> 'Gone' THEN to_jsonb(coalesce((state #>> '{}')::int, 0) + 1) END;
END
$$;
CREATE TABLE seen (stream_id text, version bigint, name text, PRIMARY KEY (stream_id, version));
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS $$ INSERT INTO seen VALUES ($1.stream_id, $1.stream_version, $1.event_name) $$;
CREATE FUNCTION see_batch(e sierra_event[]) RETURNS void LANGUAGE sql AS $$ SELECT see(v) FROM unnest($1) AS v $$;

-- Events that are already stored are handled first.
SELECT count(eappend('s-' || n % 3, 'E', json_build_object('user', n % 2))) FROM generate_series(1, 20) AS n;
SELECT create_projection('streams', 'tally(jsonb, sierra_event)', initial => NULL, mode => 'inline', batch_size => 3);
SELECT create_projection('users', 'tally(jsonb, sierra_event)', initial => NULL, mode => 'inline', key => $$e.payload ->> 'user'$$);
SELECT create_projection('seen', 'see(sierra_event)', mode => 'inline', streams => '{s-1, x-*}', event_names => '{E, "It''s, {odd}"}');
SELECT key, state FROM estates('streams') ORDER BY key;
SELECT key, state FROM estates('users') ORDER BY key;
SELECT count(*) FROM seen;

SELECT count(eappend('s-' || n % 4, 'E', json_build_object('user', n % 3))) FROM generate_series(1, 20) AS n;
SELECT count(*) FROM emappend(NULL, '{s-1, s-1, x-1, x-1, y}', ARRAY['E', 'Other', 'E', 'It''s, {odd}', 'E']);
SELECT key, state, position = (SELECT max(global_position) FROM escan(key)) AS last FROM estates('streams') ORDER BY key;
SELECT key, state FROM estates('users') ORDER BY key;
SELECT stream_id, name, count(*), max(version) FROM seen GROUP BY 1, 2 ORDER BY 1, 2;
SELECT eproject('streams', 's-1') = (SELECT state FROM estates('streams') WHERE key = 's-1') AS same, eproject('streams', 'none') IS NULL AS none;

-- Events that are rolled back are in no state.
BEGIN;
SELECT count(eappend('s-1', 'E')) FROM generate_series(1, 5);
SELECT eproject('streams', 's-1');
ROLLBACK;
SELECT eproject('streams', 's-1');
BEGIN;
SAVEPOINT s;
SELECT stream_version FROM eappend('s-2', 'E');
ROLLBACK TO s;
SELECT stream_version FROM eappend('s-2', 'E');
COMMIT;
SELECT eproject('streams', 's-2')::text::bigint = esver('s-2') + 1 AS all_of_it;

-- A state that ends, and begins again.
SELECT stream_version FROM eappend('s-2', 'Gone');
SELECT count(*) FROM estates('streams') WHERE key = 's-2';
SELECT stream_version FROM eappend('s-2', 'E');
SELECT state FROM estates('streams') WHERE key = 's-2';

-- Its error refuses the append, by intent; a repeated append runs nothing again.
SELECT eappend('s-1', 'Refused');
:sqlstate
SELECT esver('s-1'), eproject('streams', 's-1');
SELECT stream_version FROM eappend('s-1', 'E', event_id => '7f1d6a52-93c5-4a0e-8b86-0d7f3a3f7c11');
SELECT stream_version FROM eappend('s-1', 'E', event_id => '7f1d6a52-93c5-4a0e-8b86-0d7f3a3f7c11');
SELECT eproject('streams', 's-1')::text::bigint = esver('s-1') + 1 AS all_of_it;

-- A stored event that fails prevents that the projection becomes inline.
SELECT drop_projection('streams'), drop_projection('users'), drop_projection('seen');
SELECT stream_version FROM eappend('z', 'Refused');
SELECT create_projection('streams', 'tally(jsonb, sierra_event)', mode => 'inline');
:sqlstate
SELECT count(*) FROM event_projections();
SELECT stream_version FROM eappend('z', 'Refused');
SELECT create_projection('streams', 'tally(jsonb, sierra_event)', initial => NULL, mode => 'inline', start_from => 'latest');
SELECT create_projection('batches', 'see_batch(sierra_event[])', mode => 'inline', start_from => 'latest', streams => '{b}');
SELECT count(*) FROM emappend(NULL, '{b, b, z}', '{E, E, E}');
SELECT key, state FROM estates('streams') ORDER BY key;
SELECT count(*) FROM seen WHERE stream_id = 'b';

-- The handler runs with the rights and the path of the owner; the transaction has its own ones
-- again afterwards.
CREATE FUNCTION who(e sierra_event) RETURNS void LANGUAGE sql AS $$ INSERT INTO seen SELECT 'who', $1.global_position, current_user || ' ' || current_setting('search_path') $$;
SELECT create_projection('who', 'who(sierra_event)', mode => 'inline', start_from => 'latest', streams => '{w}', search_path => 'public, es');
SET search_path = es, public;
SELECT stream_version, current_setting('search_path') FROM eappend('w', 'E');
SHOW search_path;
RESET search_path;
SELECT replace(name, current_user, 'owner') FROM seen WHERE stream_id = 'who';

-- It cannot wait.
SELECT pause_projection('streams');
:sqlstate
SELECT run_projection('streams'), run_projections();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT create_projection('later', 'tally(jsonb, sierra_event)', mode => 'inline');
:sqlstate
ROLLBACK;
SELECT projection, mode, state, lag_events, progress, subscription FROM event_projections();
SELECT ewait_projection('streams', (SELECT max(global_position) FROM es.events), '0');
SELECT count(drop_projection(projection)) FROM event_projections();
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'sierra\_projection%';
SELECT stream_version FROM eappend('s-1', 'Refused');
-- sierra_es.restore is for the owner, who loads a dump; no other role can append without the
-- projection by it.
CREATE ROLE regress_sierra_appender;
GRANT USAGE ON SCHEMA es TO regress_sierra_appender;
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA es TO regress_sierra_appender;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA es TO regress_sierra_appender;
SELECT create_projection('all', 'tally(jsonb, sierra_event)', initial => '0', mode => 'inline', streams => '{behind}');
SET ROLE regress_sierra_appender;
SET sierra_es.restore = on;
SELECT stream_version FROM eappend('behind', 'E');
RESET sierra_es.restore;
RESET ROLE;
SELECT key, state FROM estates('all');
DROP OWNED BY regress_sierra_appender;
DROP ROLE regress_sierra_appender;
SELECT drop_event_store('es', force => true);
DROP FUNCTION tally, see, see_batch, who;
DROP TABLE seen;
