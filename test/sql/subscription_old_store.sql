-- a store that version 0.1.0 made has no tables for subscriptions; upgrade_event_store() makes them
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT create_event_store('new', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e', 'd'], ARRAY['x', 'x', 'x']);
DROP TABLE es.subscription_streams, es.subscription_consumers, es.subscription_cursors, es.subscriptions;
-- All that has to do with subscriptions says so; the rest goes on.
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text; result text;
BEGIN
    EXECUTE statement INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws('; ', SQLSTATE, SQLERRM, detail, hint);
END
$$;
SELECT outcome, array_agg(call ORDER BY n)
  FROM unnest(ARRAY[$$esub('s')$$, $$epsub('s')$$, $$eunsub('s')$$, $$enext('s')$$, $$enext('s', consumer => 'c')$$, $$epeek('s')$$, $$eack('s', 0)$$,
                    $$enack('s', 0)$$, $$ewait('s', 0)$$, $$eleave('s', 'c')$$, $$eretry('s')$$, $$eskip('s', 'a')$$, $$event_subscriptions()$$,
                    $$event_consumers()$$, $$event_leases()$$, $$event_failures()$$]) WITH ORDINALITY AS c (call, n), LATERAL outcome('SELECT ' || call)
 GROUP BY outcome ORDER BY outcome;
SELECT stream_version FROM eappend('a', 'x');
SELECT count(*) FROM eall();
SELECT ehead(), ewait(NULL, 3, '0');
SELECT count(*) FROM everify();
SELECT store, events FROM event_stores();

SELECT upgrade_event_store();
SELECT upgrade_event_store();
SELECT upgrade_event_store('new');
SELECT esub('s', start_from => 'earliest');
SELECT count(*) FROM enext('s');
-- The tables are those of a new store.
CREATE VIEW shape AS
SELECT n.nspname AS store, c.relname, a.attnum::int AS n, format('%s %s %s %s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)) AS what
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
  LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
 WHERE n.nspname IN ('es', 'new') AND c.relkind = 'r'
UNION ALL
SELECT n.nspname, c.relname, 0, format('%s %s %s', pg_get_userbyid(c.relowner), c.reloptions, obj_description(c.oid, 'pg_class'))
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname IN ('es', 'new') AND c.relkind = 'r'
UNION ALL
SELECT n.nspname, c.relname, 0, replace(pg_get_constraintdef(k.oid), n.nspname || '.', '')
  FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname IN ('es', 'new');
SELECT count(*) > 40 AS columns, count(DISTINCT relname) FILTER (WHERE relname LIKE 'subscription%') AS tables FROM shape WHERE store = 'es';
(SELECT relname, n, what FROM shape WHERE store = 'es' EXCEPT ALL SELECT relname, n, what FROM shape WHERE store = 'new')
UNION ALL (SELECT relname, n, what FROM shape WHERE store = 'new' EXCEPT ALL SELECT relname, n, what FROM shape WHERE store = 'es');
DROP VIEW shape;

-- They belong to who owns the store, whoever makes them; who does not cannot.
CREATE ROLE regress_sierra_owner;
CREATE ROLE regress_sierra_other;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_owner', current_database()) \gexec
SET ROLE regress_sierra_owner;
SELECT create_event_store('owned', 1);
DROP TABLE owned.subscription_streams, owned.subscription_consumers, owned.subscription_cursors, owned.subscriptions;
SET ROLE regress_sierra_other;
SELECT upgrade_event_store('owned');
:sqlstate
RESET ROLE;
SELECT upgrade_event_store('owned');
SELECT relname, pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'owned'::regnamespace AND relname LIKE 'subscription%' AND relkind = 'r' ORDER BY 1;
SET ROLE regress_sierra_owner;
SET sierra_es.store = owned;
SELECT esub('s');
SELECT count(*) FROM enext('s');
RESET sierra_es.store;
RESET ROLE;
SELECT upgrade_event_store('nowhere');
:sqlstate
SELECT drop_event_store('owned');
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_owner', current_database()) \gexec
DROP ROLE regress_sierra_owner, regress_sierra_other;

DROP FUNCTION outcome;
SELECT drop_event_store('new');
SELECT drop_event_store('es', force => true);
