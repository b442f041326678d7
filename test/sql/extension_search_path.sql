-- No function of the extension takes an operator, a function, a type or a collation from the caller's search_path
\set SHOW_CONTEXT never
SELECT create_event_store('es', 2);
CREATE FUNCTION count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb($1::text::bigint + 1)';
CREATE FUNCTION keep(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION up(payload json) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b'], ARRAY['x', 'y'], ARRAY['{}', '{}']::json[]);
SELECT create_projection('p', 'public.count(jsonb, sierra_event)', mode => 'manual', initial => '0', key => 'e.event_name', search_path => 'pg_catalog');
SELECT create_aggregate('g', 'public.keep(jsonb, sierra_event)');
SELECT create_upcaster('x', 1, 'public.up(json)');
SELECT create_saga('saga', ARRAY[saga_step('one', 'public.act(jsonb)')], search_path => 'pg_catalog');
SELECT esub('s', start_from => 'earliest');
SELECT esub('g', start_from => 'earliest');
SELECT esub('failing', start_from => 'earliest');
SELECT count(*) FROM enext('failing');
SELECT enack('failing', 0, '0');
-- Every binary operator on the types that the tables have, and the functions and collations that could be meant.
CREATE SCHEMA trap;
CREATE TABLE public.sprung (what text);
DO $$
DECLARE
    t text;
    o text;
    n int := 0;
BEGIN
    FOREACH t IN ARRAY ARRAY['text', 'name', 'bigint', 'integer', 'smallint', 'boolean', 'uuid', 'timestamptz', 'interval', 'jsonb', 'text[]', 'integer[]', 'bigint[]', 'oid', '"char"', 'record', 'anyarray', 'double precision'] LOOP
        FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>='] LOOP
            CONTINUE WHEN t IN ('record', 'anyarray') AND o <> '=';
            n := n + 1;
            EXECUTE format('CREATE FUNCTION trap.f%s(%s, %s) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO public.sprung VALUES (%L); RETURN pg_catalog.random() OPERATOR(pg_catalog.<) 0.5; END $f$', n, t, t, t || ' ' || o || ' ' || t);
            EXECUTE format('CREATE OPERATOR trap.%s (FUNCTION = trap.f%s, LEFTARG = %s, RIGHTARG = %s)', o, n, t, t);
        END LOOP;
    END LOOP;
    FOREACH t IN ARRAY ARRAY['bigint, integer', 'integer, bigint', 'text, name', 'name, text'] LOOP
        FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>='] LOOP
            n := n + 1;
            EXECUTE format('CREATE FUNCTION trap.f%s(%s) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO public.sprung VALUES (%L); RETURN true; END $f$', n, t, t || ' ' || o);
            EXECUTE format('CREATE OPERATOR trap.%s (FUNCTION = trap.f%s, LEFTARG = %s, RIGHTARG = %s)', o, n, split_part(t, ', ', 1), split_part(t, ', ', 2));
        END LOOP;
    END LOOP;
    FOREACH t IN ARRAY ARRAY['coalesce_text(text)', 'now()', 'clock_timestamp()', 'greatest_(bigint)', 'unnest(text[])', 'unnest(bigint[])', 'unnest(integer[])', 'array_agg(bigint)', 'count(bigint)', 'format(text, text)',
                             'max(bigint)', 'min(bigint)', 'lower(text)', 'length(text)', 'octet_length(text)', 'date_part(text, interval)', 'jsonb_typeof(jsonb)', 'quote_ident(text)'] LOOP
        EXECUTE format('CREATE FUNCTION trap.%s RETURNS text LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO public.sprung VALUES (%L); RETURN NULL; END $f$', t, t);
    END LOOP;
END $$;
CREATE COLLATION trap."C" FROM "POSIX";
CREATE COLLATION trap."default" FROM "POSIX";
CREATE DOMAIN trap.text AS pg_catalog.int4;
CREATE DOMAIN trap.jsonb AS pg_catalog.int4;
CREATE DOMAIN trap.bigint AS pg_catalog.text;
CREATE DOMAIN trap.sierra_event AS pg_catalog.int4;
CREATE FUNCTION trap.call_all() RETURNS TABLE (call pg_catalog.text, result pg_catalog.text) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH call IN ARRAY ARRAY['public.eappend(''a'', ''x'')', 'public.eall()', 'public.eall(streams => ARRAY[''a*''])', 'public.escan(''a'')', 'public.epscan(0)', 'public.epscan(partition_key => ''a'')', 'public.esver(''a'')', 'public.epseq(0)',
        'public.enext(''s'')', 'public.enext(''g'', consumer => ''c1'')', 'public.enext(''g'', consumer => ''c2'')', 'public.eack(''s'', 0)', 'public.enack(''s'', 1, ''0'')', 'public.enext(''s'')', 'public.enext(''s'')', 'public.enext(''failing'')',
        'public.eretry(''s'')', 'public.epeek(''s'')', 'public.event_subscriptions()', 'public.event_leases()', 'public.event_failures()', 'public.event_consumers()',
        'public.run_projection(''p'')', 'public.estates(''p'')', 'public.eproject(''p'', ''x'')', 'public.event_projections()', 'public.rebuild_projection(''p'', automatic => false)', 'public.run_projections()',
        'public.finish_rebuild(''p'')', 'public.ewait_projection(''p'', 0, ''1 ms'')', 'public.eload(''g'', ''a'')', 'public.eload(''g'', ''a'')', 'public.event_aggregates()', 'public.drop_snapshots(''g'')',
        'public.eupcast((SELECT e FROM public.escan(''a'') AS e LIMIT 1))', 'public.create_upcaster(''x'', 2, ''public.up(json)'')', 'public.drop_upcaster(''x'', 2)',
        'public.start_saga(''saga'', saga_id => ''saga-1'')', 'public.run_sagas()', 'public.event_sagas()', 'public.rebuild_saga_instances()', 'public.eschedule(''2020-01-01'', ''a'', ''Due'')', 'public.run_timers()', 'public.event_timers()',
        'public.event_stores()', 'public.event_partitions()', 'public.everify()', 'public.ehead()', 'public.eskip(''s'', ''a'')', 'public.eleave(''g'', ''c1'')', 'public.eunsub(''g'')', 'public.create_event_store(''other'', 1)',
        'public.drop_event_store(''other'')'] LOOP
        BEGIN
            EXECUTE 'SELECT FROM ' || call;
            result := 'done';
        EXCEPTION WHEN OTHERS THEN
            result := SQLSTATE || ': ' || SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END $$;
ALTER FUNCTION trap.call_all() SET search_path = trap, pg_catalog;
SELECT * FROM trap.call_all() OFFSET 0;
SELECT DISTINCT what FROM public.sprung ORDER BY 1;
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA trap CASCADE;
RESET client_min_messages;
DROP TABLE public.sprung;
DROP FUNCTION count(jsonb, sierra_event), keep(jsonb, sierra_event), up(json), act(jsonb);
