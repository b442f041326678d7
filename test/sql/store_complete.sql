-- A store is complete, or what needs the missing table says so (SE005); appends and reads need the event tables only
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 2);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b'], ARRAY['x', 'x']);
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN to_jsonb(coalesce((state #>> '{}')::int, 0) + 1);
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text; result text;
BEGIN
    EXECUTE 'SELECT ' || statement INTO result;
    RETURN coalesce(result, 'null');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws('; ', SQLSTATE, SQLERRM, detail, hint);
END
$$;
CREATE TABLE calls (n int GENERATED ALWAYS AS IDENTITY, call text);
INSERT INTO calls (call) VALUES
    ('esub(''s'')'), ('epsub(''s'')'), ('eunsub(''s'')'), ('eleave(''s'', ''c'')'), ('eretry(''s'')'), ('eskip(''s'', ''a'')'),
    ('event_subscriptions()'), ('event_consumers()'), ('event_leases()'), ('event_failures()'),
    ('create_aggregate(''c'', ''tally(jsonb, sierra_event)'')'), ('drop_aggregate(''c'')'), ('drop_snapshots(''c'')'), ('event_aggregates()'),
    ('create_upcaster(''x'', 1, NULL)'), ('drop_upcaster(''x'', 1)'), ('eschedule(now(), ''a'', ''x'')'), ('ecancel(gen_random_uuid())'),
    ('run_timers()'), ('event_timers()'), ('create_projection(''p'', ''tally(jsonb, sierra_event)'')'), ('run_projection(''p'')'),
    ('run_projections()'), ('estates(''p'')'), ('event_projections()'), ('event_process_managers()'), ('start_saga(''s'')'), ('run_sagas()'),
    ('event_sagas()'), ('guard_event_store()');
CREATE TABLE direct (LIKE calls INCLUDING IDENTITY);
INSERT INTO direct (call) VALUES
    ('enext(''s'')'), ('enext(''s'', consumer => ''c'')'), ('epeek(''s'')'), ('eack(''s'', 0)'), ('enack(''s'', 0)'), ('ewait(''s'', 0)'),
    ('eload(''c'', ''a'')'), ('eproject(''p'', ''a'')'), ('eupcast(e) FROM escan(''a'') AS e');

-- one table at a time
BEGIN;
DROP TABLE es.subscription_streams;
SELECT outcome, count(*), min(call) FROM calls, outcome(call) GROUP BY 1;
ROLLBACK;
BEGIN;
DROP TABLE es.snapshots;
SELECT outcome, count(*), min(call) FROM calls, outcome(call) GROUP BY 1;
ROLLBACK;
-- all of them
BEGIN;
DROP TABLE es.subscription_streams, es.subscription_consumers, es.subscription_cursors, es.subscriptions, es.aggregates, es.snapshots,
    es.timers, es.upcasters, es.projections, es.projection_states, es.saga_instances, es.sagas;
SELECT outcome, count(*), min(call) FROM calls, outcome(call) GROUP BY 1;
SELECT call, outcome FROM direct, outcome(call) ORDER BY n;
CALL run_event_jobs();
:sqlstate
ROLLBACK;
-- events are appended and read all the same, and everify() says what is missing
BEGIN;
DROP TABLE es.subscriptions, es.timers;
SELECT stream_version FROM eappend('a', 'x');
SELECT count(*) FROM eall();
SELECT ehead(), ewait(NULL, 2, '0');
SELECT problem, detail FROM everify();
SELECT store, events FROM event_stores();
SELECT count(*) FROM event_partitions();
SELECT drop_event_store('es', force => true);
SELECT to_regnamespace('es') IS NULL AS gone;
ROLLBACK;
-- a table of the name that is not one
BEGIN;
ALTER TABLE es.timers RENAME TO other;
CREATE VIEW es.timers AS SELECT * FROM es.other;
SELECT run_timers();
:sqlstate
ROLLBACK;
SELECT count(*) FROM everify();
SELECT guard_event_store();
SELECT drop_event_store('es', force => true);
DROP TABLE calls, direct;
DROP FUNCTION outcome, tally;
