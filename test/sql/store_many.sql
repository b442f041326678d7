-- A session that uses many stores keeps the plans and descriptions of a bounded number
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN state || jsonb_build_object('count', coalesce((state ->> 'count')::int, 0) + 1);

CREATE PROCEDURE make_stores(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN first..last LOOP
        PERFORM create_event_store('many_' || i, 1);
        PERFORM set_config('sierra_es.store', 'many_' || i, false);
        PERFORM create_aggregate('tally', 'tally(jsonb, sierra_event)');
        PERFORM esub('reader', start_from => 'earliest');
        COMMIT;
    END LOOP;
END
$$;
-- What a program does with a store: about ten statements on its tables.
CREATE FUNCTION use_stores(first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN first..last LOOP
        PERFORM set_config('sierra_es.store', 'many_' || i, true);
        PERFORM eappend('s', 'Counted');
        PERFORM enext('reader');
        PERFORM eack('reader', max(global_position)) FROM eall();
        PERFORM eload('tally', 's');
        PERFORM escan('s');
    END LOOP;
END
$$;
-- The plans of statements on the tables of these stores, and the bytes of what the session keeps of stores.
CREATE VIEW plans AS
SELECT name, ident, total_bytes FROM pg_backend_memory_contexts
 WHERE name = 'CachedPlanSource' AND ident LIKE '% many\_%' AND ident LIKE '%OPERATOR(pg_catalog.%';
CREATE FUNCTION kept_bytes() RETURNS bigint LANGUAGE sql AS $$
    SELECT sum(total_bytes) FROM pg_backend_memory_contexts
     WHERE name IN ('SPI Plan', 'CachedPlanSource', 'CachedPlanQuery', 'CachedPlan', 'sierra_es queries', 'sierra_es stores')
$$;

CALL make_stores(1, 66);
SELECT use_stores(1, 2);
SELECT count(*) BETWEEN 10 AND 40 AS plans_of_two_stores FROM plans;
SELECT use_stores(1, 33);
SELECT count(*) AS plans FROM plans \gset
SELECT kept_bytes() AS before \gset
SELECT use_stores(1, 66);
SELECT :plans <= 128 AS bounded, count(*) = :plans AS as_many FROM plans;
SELECT round(kept_bytes() / :before::numeric, 1) BETWEEN 0.9 AND 1.1 AS as_many_bytes;
-- The plans that were used last are kept.
SELECT bool_and(substring(ident FROM ' many_(\d+)')::int > 33) AS last_used FROM plans;
SELECT use_stores(60, 66), use_stores(1, 1), use_stores(66, 66);

-- Nothing of a store that is dropped or renamed is kept once another statement is planned.
SELECT drop_event_store('many_66', force => true);
ALTER SCHEMA many_65 RENAME TO renamed;
SELECT use_stores(2, 2);
SELECT count(*) AS of_dropped_stores FROM plans WHERE ident LIKE '% many\_66.%' OR ident LIKE '% many\_65.%';
SELECT escan('s') FROM set_config('sierra_es.store', 'many_66', false);
RESET sierra_es.store;
ALTER SCHEMA renamed RENAME TO many_65;
SELECT use_stores(65, 65);

-- A plan is not dropped while it runs: here a trigger uses all stores while a cursor moves.
CREATE FUNCTION use_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM use_stores(2, 65);
    RAISE WARNING 'kept plans of store many_1 while one of them runs: %',
        (SELECT count(*) FROM plans WHERE ident LIKE '% many\_1.%');
    RETURN NEW;
END
$$;
CREATE TRIGGER use_all BEFORE UPDATE ON many_1.subscription_cursors FOR EACH ROW EXECUTE FUNCTION use_all();
SELECT use_stores(1, 1);
SELECT use_stores(1, 1);
SELECT count(*) <= 128 AS bounded FROM plans;
SELECT count(*) FROM many_1.events;
SELECT count(*) FROM many_2.events;

DO $$
BEGIN
    FOR i IN 1..65 LOOP
        PERFORM drop_event_store('many_' || i, force => true);
    END LOOP;
END
$$;
DROP VIEW plans;
DROP FUNCTION use_all, use_stores, kept_bytes, tally;
DROP PROCEDURE make_stores;
