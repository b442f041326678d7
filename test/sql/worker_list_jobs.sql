-- list_jobs(): the rights that it needs, and that an index does not change what is due
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 1);
CREATE ROLE regress_sierra_lister;
GRANT USAGE ON SCHEMA es TO regress_sierra_lister;
GRANT SELECT ON es.events TO regress_sierra_lister;

-- SELECT on each table that the list is made from, and nothing less.
CREATE FUNCTION list() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
BEGIN
    SET LOCAL ROLE regress_sierra_lister;
    SELECT 'listed ' || count(*) INTO message FROM sierra_internal.list_jobs('es');
    RESET ROLE;
    RETURN message;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws('; ', SQLSTATE, message, nullif(detail, ''));
END
$$;
CREATE TABLE tables AS SELECT unnest('{timers, saga_instances, sagas, projections, subscription_streams}'::text[]) AS name;
CREATE FUNCTION list_with(change text, undo text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE change;
    result := list();
    EXECUTE undo;
    RETURN result;
END
$$;
SELECT list();
GRANT SELECT ON es.timers, es.saga_instances, es.sagas, es.projections, es.subscription_streams TO regress_sierra_lister;
SELECT list();
SELECT name, list_with(format('REVOKE SELECT ON es.%I FROM regress_sierra_lister', name), format('GRANT SELECT ON es.%I TO regress_sierra_lister', name)) FROM tables;
SELECT name, list_with(format('ALTER TABLE es.%I ENABLE ROW LEVEL SECURITY', name), format('ALTER TABLE es.%I DISABLE ROW LEVEL SECURITY', name)) FROM tables;
SELECT list();

-- The timer that is due first is the one of 2020, whatever indexes the table has; only one that sorts all rows by run_at is used.
INSERT INTO es.timers (timer_id, due_at, run_at, created_at, stream_id, event_name)
    SELECT ('00000000-0000-4000-8000-00000000000' || n)::uuid, run_at, run_at, created_at, 'a', 'Due'
      FROM (VALUES (1, '2999-01-01'::timestamptz, '2001-01-01'::timestamptz), (2, '2020-01-01', '2002-01-01'), (3, '2500-01-01', '2003-01-01')) AS t (n, run_at, created_at);
CREATE VIEW due AS SELECT due_at = '2020-01-01' AS is_first FROM sierra_internal.list_jobs('es') WHERE kind = 'timers';
CREATE TABLE indexes AS SELECT i.indexrelid::regclass AS index FROM pg_index AS i WHERE i.indrelid = 'es.timers'::regclass AND NOT i.indisprimary;
SELECT count(*) FROM indexes;
SELECT is_first FROM due;
SELECT format('DROP INDEX %s', index) FROM indexes \gexec
SELECT is_first FROM due;
CREATE INDEX other ON es.timers (created_at);
SELECT is_first FROM due;
DROP INDEX es.other;
CREATE INDEX other ON es.timers (created_at, run_at);
SELECT is_first FROM due;
DROP INDEX es.other;
CREATE INDEX other ON es.timers (run_at DESC);
SELECT is_first FROM due;
DROP INDEX es.other;
CREATE INDEX other ON es.timers USING hash (run_at);
SELECT is_first FROM due;
DROP INDEX es.other;
CREATE FUNCTION compare_reversed(a timestamptz, b timestamptz) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT timestamptz_cmp($2, $1)';
CREATE OPERATOR CLASS reversed FOR TYPE timestamptz USING btree AS
    OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 compare_reversed(timestamptz, timestamptz);
CREATE INDEX other ON es.timers (run_at reversed);
SELECT is_first FROM due;
DROP INDEX es.other;
-- An index that lacks rows, as one that CREATE INDEX CONCURRENTLY could not finish.
CREATE INDEX other ON es.timers (run_at);
SELECT is_first FROM due;
UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'es.other'::regclass;
INSERT INTO es.timers (timer_id, due_at, run_at, created_at, stream_id, event_name) VALUES ('00000000-0000-4000-8000-000000000004', '2010-01-01', '2010-01-01', '2004-01-01', 'a', 'Due');
SELECT due_at = '2010-01-01' AS is_first FROM sierra_internal.list_jobs('es') WHERE kind = 'timers';

SELECT drop_event_store('es', force => true);
DROP VIEW due;
DROP OPERATOR CLASS reversed USING btree;
DROP OPERATOR FAMILY reversed USING btree;
DROP FUNCTION compare_reversed, list, list_with;
DROP TABLE tables, indexes;
DROP ROLE regress_sierra_lister;
