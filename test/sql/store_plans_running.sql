-- Of the plans that a session keeps, it forgets those that it used longest ago, and those of stores that are gone, but
-- none that is running
\set SHOW_CONTEXT never
SELECT create_event_store('es', 1);
SELECT count(create_event_store('other_' || n, 1)) FROM generate_series(1, 40) AS n;
CREATE TABLE ran (what text);
-- Needs more plans than a session keeps.
CREATE FUNCTION use_others() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1 .. 40 LOOP
        PERFORM set_config('sierra_es.store', 'other_' || n, true);
        PERFORM eappend('a', 'x');
        PERFORM esub('s', start_from => 'earliest');
        PERFORM count(*) FROM enext('s');
        PERFORM eack('s', 0);
        PERFORM count(*) FROM enext('s', consumer => 'c');
        PERFORM eunsub('s');
    END LOOP;
    PERFORM set_config('sierra_es.store', 'es', true);
END
$$;
-- Whether the session keeps a plan of this store.
CREATE FUNCTION has_plan(store text) RETURNS boolean LANGUAGE sql AS $$
    SELECT count(*) > 0 FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' AND ident LIKE '%' || store || '.subscription\_%'
$$;
-- A trigger of the owner runs within the statement that moves the cursor.
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_ARGV[0] = 'evict' THEN
        PERFORM use_others();
    ELSIF TG_ARGV[0] = 'rename' THEN
        ALTER SCHEMA es RENAME TO renamed;
        PERFORM set_config('sierra_es.store', 'other_1', true);
        PERFORM esub('s', start_from => 'earliest');
        PERFORM count(*) FROM enext('s', consumer => 'c');
        PERFORM eunsub('s');
        ALTER SCHEMA renamed RENAME TO es;
        PERFORM set_config('sierra_es.store', 'es', true);
    ELSIF TG_ARGV[0] = 'fail' THEN
        RAISE 'no';
    END IF;
    INSERT INTO ran VALUES (TG_ARGV[0] || ' while the plan is running: ' || has_plan('es'));
    RETURN NEW;
END
$$;
SELECT esub('s', start_from => 'earliest');
SELECT count(eappend('a', 'x')) FROM generate_series(1, 6);
SELECT eack('s', 0);
SELECT has_plan('es');

-- While a plan is running.
CREATE TRIGGER owner BEFORE UPDATE ON es.subscription_cursors FOR EACH ROW EXECUTE FUNCTION meddle('evict');
SELECT eack('s', 1);
SELECT eack('s', 2);
DROP TRIGGER owner ON es.subscription_cursors;
CREATE TRIGGER owner BEFORE UPDATE ON es.subscription_cursors FOR EACH ROW EXECUTE FUNCTION meddle('rename');
SELECT eack('s', 3);
SELECT eack('s', 4);
DROP TRIGGER owner ON es.subscription_cursors;
SELECT what FROM ran;
SELECT cursor FROM es.subscription_cursors;

-- After a statement that failed, the planner has the session's settings.
CREATE TRIGGER owner BEFORE UPDATE ON es.subscription_cursors FOR EACH ROW EXECUTE FUNCTION meddle('fail');
SET jit = on;
SELECT eack('s', 5);
SHOW enable_seqscan;
SHOW jit;
RESET jit;
DROP TRIGGER owner ON es.subscription_cursors;
-- Its plan is not taken for a running one, and is forgotten as any other.
SELECT has_plan('es');
SELECT use_others();
SELECT has_plan('es');
-- The plans of a store that has been dropped are forgotten as soon as the session makes another plan.
SELECT has_plan('other_40');
SELECT drop_event_store('other_40', force => true);
SELECT esub('another', start_from => 'earliest');
SELECT count(*) FROM enext('another');
SELECT has_plan('other_40');

SELECT count(drop_event_store('other_' || n, force => true)) FROM generate_series(1, 39) AS n;
SELECT drop_event_store('es', force => true);
DROP TABLE ran;
DROP FUNCTION meddle, use_others, has_plan;
