-- event_metrics() runs nothing that the owner of a store has written, and one store hides no other
\set SHOW_CONTEXT never
CREATE ROLE regress_sierra_hostile;
CREATE ROLE regress_sierra_monitor IN ROLE pg_monitor;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_hostile', current_database()) \gexec
SELECT create_event_store('es', 2);
SELECT esub('s');
CREATE SEQUENCE calls MINVALUE 0 START 0;
GRANT USAGE ON SEQUENCE calls TO PUBLIC;
SET ROLE regress_sierra_hostile;
CREATE SCHEMA tools AUTHORIZATION regress_sierra_hostile;
GRANT USAGE ON SCHEMA tools TO PUBLIC;
-- A sequence remembers a call even if it is rolled back.  IMMUTABLE is a lie that indexes need.
CREATE FUNCTION tools.spring(anyelement) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM nextval('public.calls');
    RETURN 0;
END $$;
RESET ROLE;
CREATE FUNCTION show() RETURNS TABLE (store text, readable text, hidden text, calls bigint) LANGUAGE sql AS $$
    SELECT labels ->> 'store', string_agg(labels ->> 'subject', ' ' ORDER BY labels ->> 'subject') FILTER (WHERE value = 1),
           string_agg(labels ->> 'subject', ' ' ORDER BY labels ->> 'subject') FILTER (WHERE value = 0),
           (SELECT last_value + is_called::integer FROM public.calls)
      FROM event_metrics('readable') WHERE labels ->> 'store' IN ('es', 'hostile') GROUP BY 1 ORDER BY 1
$$;
-- Makes the store again, changes something as its owner, empties what the change itself has called.
CREATE PROCEDURE change(statements text[]) LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    SET LOCAL ROLE regress_sierra_hostile;
    IF to_regnamespace('hostile') IS NOT NULL THEN
        SET LOCAL sierra_es.restore = on;
        DROP SCHEMA hostile CASCADE;
        RESET sierra_es.restore;
    END IF;
    PERFORM create_event_store('hostile', 2);
    SET LOCAL sierra_es.store = 'hostile';
    PERFORM esub('s');
    PERFORM eschedule(now(), 'a', 'Rang');
    PERFORM epsub('group', start_from => 'earliest');
    PERFORM eappend('a', 'Happened');
    PERFORM count(*) FROM enext('group', consumer => 'one');
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
    RESET ROLE;
    ALTER SEQUENCE public.calls RESTART;
END $$;
SET client_min_messages = error;
-- as a monitor, and as a superuser
CREATE FUNCTION as_both() RETURNS TABLE (role text, store text, readable text, hidden text, calls bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'superuser', s.* FROM show() AS s;
    SET LOCAL ROLE regress_sierra_monitor;
    RETURN QUERY SELECT 'monitor', s.* FROM show() AS s;
    RESET ROLE;
END $$;
GRANT SELECT ON SEQUENCE calls TO PUBLIC;

CALL change('{}');
SELECT * FROM as_both();
\echo an index with an expression, and one with a predicate
CALL change('{CREATE INDEX ON hostile.timers ((tools.spring(due_at))),CREATE INDEX ON hostile.subscriptions (subscription) WHERE tools.spring(1) = 0}');
SELECT * FROM as_both();
\echo statistics
CALL change('{"CREATE STATISTICS hostile.t ON (tools.spring(saga)), status FROM hostile.saga_instances",ANALYZE hostile.saga_instances}');
SELECT * FROM as_both();
\echo a CHECK constraint
CALL change('{ALTER TABLE hostile.timers ADD CHECK (tools.spring(1) = 0)}');
SET constraint_exclusion = on;
SELECT * FROM as_both();
RESET constraint_exclusion;
\echo a policy that holds for the owner
CALL change('{CREATE POLICY p ON hostile.subscription_streams USING (tools.spring(1) = 0),ALTER TABLE hostile.subscription_streams ENABLE ROW LEVEL SECURITY,ALTER TABLE hostile.subscription_streams FORCE ROW LEVEL SECURITY}');
SELECT * FROM as_both();
\echo a policy of the events that holds for the owner
CALL change('{CREATE POLICY p ON hostile.events USING (tools.spring(1) = 0),ALTER TABLE hostile.events ENABLE ROW LEVEL SECURITY,ALTER TABLE hostile.events FORCE ROW LEVEL SECURITY}');
SELECT * FROM as_both();
\echo a child
CALL change('{CREATE TABLE hostile.child () INHERITS (hostile.timers)}');
SELECT * FROM as_both();
\echo a view in the place of a table
CALL change('{ALTER TABLE hostile.timers RENAME TO other,"CREATE VIEW hostile.timers AS SELECT timer_id, tools.spring(1) AS n FROM hostile.other"}');
SELECT * FROM as_both();
\echo other columns
CALL change('{ALTER TABLE hostile.subscription_cursors ALTER COLUMN epoch TYPE numeric}');
SELECT * FROM as_both();
\echo a table that is gone
CALL change('{DROP TABLE hostile.saga_instances}');
SELECT * FROM as_both();
\echo an index and statistics with functions of PostgreSQL only: all can be read
CALL change('{CREATE INDEX ON hostile.timers ((lower(event_name))) WHERE attempts > 0,"CREATE STATISTICS hostile.t ON (lower(saga)), status FROM hostile.saga_instances"}');
SELECT * FROM as_both();

SET ROLE regress_sierra_hostile;
SET sierra_es.restore = on;
DROP SCHEMA hostile CASCADE;
RESET sierra_es.restore;
RESET ROLE;
DROP PROCEDURE change(text[]);
DROP FUNCTION as_both(), show();
DROP SEQUENCE calls CASCADE;
DROP OWNED BY regress_sierra_hostile;
DROP ROLE regress_sierra_hostile, regress_sierra_monitor;
SELECT drop_event_store('es', force => true);
