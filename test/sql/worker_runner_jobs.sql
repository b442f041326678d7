-- run_event_jobs(): runs timers and projections of a store until nothing is due, and commits in between
\set SHOW_CONTEXT never
SELECT create_event_store('es', 2);
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb($1::text::bigint + 1)';
CREATE TABLE transactions (id xid8);
CREATE FUNCTION note(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO transactions VALUES (pg_current_xact_id())';
SELECT create_projection('tally', 'tally(jsonb, sierra_event)', initial => '0');
SELECT create_projection('noting', 'note(sierra_event)');
SELECT create_projection('manual', 'tally(jsonb, sierra_event)', initial => '0', mode => 'manual');
SELECT count(eschedule('2020-01-01', 'late-' || n % 3, 'Due')) FROM generate_series(1, 1500) AS n;
SELECT eschedule('2999-01-01', 'future', 'Due') IS NOT NULL AS scheduled;
SELECT kind, projection, due_at = '-infinity' AS with_events, size FROM sierra_internal.list_jobs('es') ORDER BY kind, projection;
CALL run_event_jobs();
SELECT key, state FROM estates('tally') ORDER BY key;
SELECT count(*) FROM estates('manual');
SELECT count(*), count(DISTINCT id) > 1 AS several_transactions FROM transactions;
SELECT stream_id FROM event_timers();
-- Nothing is due: no effect.
CALL run_event_jobs();
SELECT count(*) FROM transactions;
-- Failures neither keep it running for ever, nor keep the others from running.
CREATE FUNCTION refuse(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
SELECT create_projection('refusing', 'refuse(sierra_event)', retry_after => '1 hour');
SELECT count(eappend('late-0', 'Happened')) FROM generate_series(1, 3);
CALL run_event_jobs();
SELECT count(*) FROM transactions;
SELECT state, attempts FROM es.projections WHERE projection = 'refusing';
-- A whole job of timers that fail does not hide the timers after it.  With 20 failed attempts before,
-- none is due again while this runs, on the slowest machine.
ALTER TABLE es.events ADD CONSTRAINT no_bad CHECK (event_name <> 'Bad');
SELECT count(eschedule('2020-01-01', 'late-0', 'Bad')) FROM generate_series(1, 1000) AS n;
UPDATE es.timers SET attempts = 20 WHERE event_name = 'Bad';
SELECT eschedule('2020-01-02', 'late-9', 'Due') IS NOT NULL AS scheduled;
SET client_min_messages = error;
CALL run_event_jobs();
RESET client_min_messages;
SELECT count(*) FROM escan('late-9');
SELECT attempts, count(*) FROM event_timers() WHERE state = 'failing' GROUP BY attempts;
SELECT count(ecancel(timer_id)) FROM event_timers() WHERE state = 'failing';
ALTER TABLE es.events DROP CONSTRAINT no_bad;
-- Another store by name; the setting does not change.
SELECT create_event_store('other', 1);
SET sierra_es.store = 'other';
SELECT eschedule('2020-01-01', 'late-0', 'Due') IS NOT NULL AS scheduled;
RESET sierra_es.store;
CALL run_event_jobs('other');
SELECT count(*) FROM other.events;
SHOW sierra_es.store;
-- Operators of the caller are not used.
CREATE SCHEMA trap;
CREATE FUNCTION trap.never(bigint, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trap'; END $$;
CREATE OPERATOR trap.> (FUNCTION = trap.never, LEFTARG = bigint, RIGHTARG = integer);
SET search_path = trap, pg_catalog, public;
SELECT public.eappend('late-0', 'Happened') IS NOT NULL AS appended;
CALL public.run_event_jobs();
RESET search_path;
SELECT count(*) FROM transactions;
-- Errors.
BEGIN;
CALL run_event_jobs();
ROLLBACK;
CALL run_event_jobs('nothing');
SELECT pid FROM event_runners();
SELECT drop_event_store('other', true), drop_event_store('es', true);
DROP SCHEMA trap CASCADE;
DROP TABLE transactions;
DROP FUNCTION tally, note, refuse;
