-- Functions that a superuser or a monitor calls run nothing of a store's owner as anybody but that owner
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_sierra_mallory;
CREATE ROLE regress_sierra_monitor IN ROLE pg_monitor;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_sierra_mallory', current_database()); END $$;
GRANT CREATE ON SCHEMA public TO regress_sierra_mallory;
SET ROLE regress_sierra_mallory;
SELECT create_event_store('es', 2);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b', 'c'], array_fill('x'::text, ARRAY[3]));
SELECT count(*) FROM eappend('own', 'x', partition_key => 'key');
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
SELECT create_projection('p', 'see(sierra_event)', mode => 'manual');
SELECT esub('s', start_from => 'earliest');
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')]);
SELECT start_saga('saga', saga_id => 'saga-1');
SELECT eschedule('2020-01-01', 'a', 'Due') IS NOT NULL AS scheduled;
-- Could become a superuser if it is called as one.
CREATE FUNCTION spring(place text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> 'regress_sierra_mallory' THEN
        RAISE WARNING '% called it as another role', place;
    END IF;
    RETURN place;
END $$;
-- Index expressions are evaluated by the planner; so are the functions of views, policies, domains, operators, defaults, rules.
CREATE INDEX ON es.events_0 ((public.spring('index of a partition ' || event_name)));
CREATE INDEX ON es.events_0 (partition_sequence) WHERE public.spring('predicate') <> '';
CREATE STATISTICS es.s ON (public.spring('statistics ' || event_name)), stream_version FROM es.events_0;
ANALYZE es.events_0;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['subscriptions', 'subscription_cursors', 'subscription_consumers', 'subscription_streams', 'projections', 'projection_states',
                                'aggregates', 'snapshots', 'upcasters', 'timers', 'sagas', 'saga_instances', 'stream_keys', 'event_ids'] LOOP
        EXECUTE format('CREATE INDEX ON es.%I ((public.spring(%L)))', name, 'index of ' || name);
        EXECUTE format('ALTER TABLE es.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY p ON es.%I USING (public.spring(%L) <> '''')', name, 'policy of ' || name);
    END LOOP;
END $$;
-- A session keeps the values of constant expressions until the index changes.
CREATE FUNCTION change_indexes() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    index regclass;
BEGIN
    FOR index IN SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = 'es'::regnamespace AND c.relname LIKE '%\_spring\_%' AND c.relkind = 'i' LOOP
        EXECUTE format('ALTER INDEX %s SET (fillfactor = 90)', index);
    END LOOP;
END $$;
CREATE FUNCTION call_all() RETURNS TABLE (call text) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH call IN ARRAY ARRAY['event_stores()', 'everify(''es'')', 'everify(''lure'')', 'event_partitions(''es'')', 'event_subscriptions(''es'')', 'event_leases(''es'')', 'event_failures(''es'')',
        'event_consumers(''es'')', 'event_projections(''es'')', 'event_process_managers(''es'')', 'event_aggregates(''es'')', 'event_sagas(''es'')', 'event_timers(''es'')',
        'sierra_internal.list_jobs(''es'')', 'run_timers()', 'run_sagas()', 'run_projection(''p'')', 'run_projections()', 'eproject(''p'', ''a'')', 'estates(''p'')',
        'enext(''s'', consumer => ''c'')', 'eack(''s'', 0)', 'enack(''s'', 0)', 'ewait(''s'', 0, ''0'')', 'eload(''g'', ''a'')',
        'eall()', 'escan(''a'')', 'epscan(0)', 'eget(''00000000-0000-4000-8000-000000000001'')', 'etrace(''a'')', 'event_streams(''es'')', 'event_streams(''es'', newest_first => true)', 'event_names(''es'')', 'enext(''s'')', 'epeek(''s'')'] LOOP
        BEGIN
            PERFORM change_indexes();
            EXECUTE 'SELECT FROM ' || call;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
END $$;
RESET ROLE;
SELECT call_all();
SET ROLE regress_sierra_monitor;
SELECT call_all();
-- A monitor needs no right on a store to see how it is doing, but sees no events and no states.
SELECT store, owner, partitions, events FROM event_stores();
SELECT count(*), sum(events) FROM event_partitions('es');
SELECT subscription, lag_events FROM event_subscriptions('es');
SELECT projection, lag_events FROM event_projections('es');
SELECT count(*) FROM event_sagas('es');
SELECT count(*) FROM event_timers('es');
SELECT count(*) FROM everify('es');
:sqlstate
SELECT count(*) FROM estates('p');
:sqlstate
\set VERBOSITY sqlstate
SELECT count(*) FROM run_timers();
\set VERBOSITY default
RESET ROLE;
SELECT count(*) FROM everify('es');
-- Views in the places of tables, with functions in their target lists.
SET ROLE regress_sierra_mallory;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['subscriptions', 'subscription_cursors', 'subscription_consumers', 'subscription_streams', 'projections', 'projection_states',
                                'aggregates', 'snapshots', 'upcasters', 'timers', 'saga_instances'] LOOP
        EXECUTE format('ALTER TABLE es.%I RENAME TO was_%1$s', name);
        EXECUTE format('CREATE VIEW es.%I AS SELECT * FROM es.was_%1$s WHERE public.spring(%L) <> ''''', name, 'view ' || name);
    END LOOP;
END $$;
RESET ROLE;
SELECT call_all();
-- A store that only looks like one, partitioned by a function.
SET ROLE regress_sierra_mallory;
CREATE SCHEMA lure;
CREATE TABLE lure.events (LIKE es.events) PARTITION BY LIST ((length(public.spring('partition key')) + partition_id));
CREATE TABLE lure.events_0 PARTITION OF lure.events DEFAULT;
INSERT INTO lure.events SELECT * FROM es.events LIMIT 1;
CREATE TABLE lure.stream_keys (stream_id text COLLATE "C" PRIMARY KEY, partition_key uuid NOT NULL);
CREATE TABLE lure.event_ids (event_id uuid PRIMARY KEY, partition_id int NOT NULL);
CREATE SEQUENCE lure.global_position MINVALUE 0 START 0;
\c
\set SHOW_CONTEXT never
SELECT count(*) >= 1 FROM event_stores();
SELECT call_all();
-- A store with a table of another role, which could put anything into its place: of a superuser in a schema of mallory.
\set VERBOSITY terse
CREATE SCHEMA mixed AUTHORIZATION regress_sierra_mallory;
SELECT create_event_store('mixed', 1);
:sqlstate
DROP SCHEMA mixed;
SELECT create_event_store('mixed', 1);
ALTER SCHEMA mixed OWNER TO regress_sierra_mallory;
SELECT create_event_store('mixed_table', 1);
ALTER TABLE mixed_table.timers OWNER TO regress_sierra_mallory;
SELECT store, owner = current_user AS mine, partitions FROM event_stores() WHERE store LIKE 'mixed%';
SELECT count(*) FROM event_timers('mixed');
:sqlstate
SELECT count(*) FROM event_timers('mixed_table');
:sqlstate
SET sierra_es.store = 'mixed_table';
SELECT run_timers();
:sqlstate
ALTER TABLE mixed_table.timers OWNER TO CURRENT_USER;
SELECT run_timers();
RESET sierra_es.store;
SELECT drop_event_store('mixed', force => true), drop_event_store('mixed_table', force => true);
SET client_min_messages = error;
DROP SCHEMA IF EXISTS mixed;
SET sierra_es.restore = on;
DROP SCHEMA lure, es CASCADE;
RESET sierra_es.restore;
RESET client_min_messages;
DROP FUNCTION call_all(), change_indexes(), spring(text), see(sierra_event), act(jsonb);
DROP OWNED BY regress_sierra_mallory;
DROP ROLE regress_sierra_mallory, regress_sierra_monitor;
