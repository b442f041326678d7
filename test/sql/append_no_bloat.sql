-- Invariant: appending updates no row.  There are no counter rows and no stream-head rows.
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);

-- What this transaction did to all tables of the store.
CREATE VIEW changes AS
SELECT sum(pg_stat_get_xact_tuples_inserted(oid)) AS inserted,
       sum(pg_stat_get_xact_tuples_updated(oid)) AS updated,
       sum(pg_stat_get_xact_tuples_deleted(oid)) AS deleted
  FROM pg_class WHERE relnamespace = 'es'::regnamespace AND relkind IN ('r', 'p');

-- All in one transaction: the changes of a transaction are counted until its statistics are sent.
BEGIN;
-- 100 appends to one stream, 100 to new streams, 500 in one call, 10 repetitions: 700 events, and
-- no other row.
SELECT count(*) FROM generate_series(1, 100) AS n, LATERAL eappend('hot', 'x', to_json(n));
SELECT count(*) FROM generate_series(1, 100) AS n, LATERAL eappend('stream-' || n, 'x');
SELECT count(*) FROM emappend(NULL, array_fill('hot'::text, ARRAY[500]), array_fill('x'::text, ARRAY[500]));
SELECT count(*) FROM generate_series(1, 10) AS n,
       LATERAL eappend('hot', 'x', to_json(n), event_id => (SELECT event_id FROM escan('hot', n, n)));
SELECT * FROM changes;
-- A companion row for each id that a client chose, and for each stream with a key of its own.
SELECT count(*) FROM generate_series(1, 10) AS n,
       LATERAL eappend('own', 'x', event_id => ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, partition_key => 'k');
SELECT inserted - 700 AS inserted, updated, deleted FROM changes;
-- Refused appends write nothing at all, so there is nothing to clean up.
\set VERBOSITY sqlstate
SAVEPOINT s;
SELECT eappend('hot', 'x', expected_version => 0);
ROLLBACK TO s;
SELECT eappend('hot', 'x', partition_key => 'other');
ROLLBACK TO s;
SELECT eappend('stream-1', 'x', event_id => '00000000-0000-4000-8000-000000000001');
ROLLBACK TO s;
\set VERBOSITY default
SELECT inserted - 721 AS inserted, updated, deleted FROM changes;
COMMIT;

-- Each row is as it was written: one version of it, never locked.
SELECT count(*) AS rows, count(*) FILTER (WHERE xmax <> 0) AS touched FROM es.events;
SELECT count(*) FROM everify();
DROP VIEW changes;
SELECT drop_event_store('es', force => true);
