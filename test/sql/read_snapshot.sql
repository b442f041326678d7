-- reads inside transactions: own appends, snapshots, cursors, savepoints, read-only
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'user-123'], ARRAY['x', 'x', 'x']);
CREATE VIEW seen AS
SELECT (SELECT count(*) FROM escan('a')) AS escan, (SELECT count(*) FROM epscan(partition_key => 'a')) AS epscan,
       (SELECT count(*) FROM eall()) AS eall, (SELECT count(*) FROM es.events) AS events,
       esver('a'), epseq(partition_key => 'a'),
       (SELECT count(*) FROM eget('33333333-3333-4333-8333-333333333333')) AS eget;

-- Own appends are visible at once, in every read; nothing of them is left after a rollback.
SELECT * FROM seen;
BEGIN;
SELECT stream_version FROM eappend('a', 'x', event_id => '33333333-3333-4333-8333-333333333333');
SELECT * FROM seen;
SAVEPOINT s;
SELECT count(*) FROM emappend('a', ARRAY['a', 'b'], ARRAY['x', 'x']);
ROLLBACK TO s;
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b'], ARRAY['x', 'x']);
SELECT * FROM seen;
ROLLBACK TO s;
SELECT * FROM seen;
ROLLBACK;
SELECT * FROM seen;
-- the same under the other isolation levels
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM seen;
SELECT stream_version FROM eappend('a', 'x');
SELECT * FROM seen;
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT stream_version FROM eappend('a', 'x');
SELECT * FROM seen;
ROLLBACK;

-- A statement does not see what it appends itself; the next one does.
SELECT (SELECT count(*) FROM escan('late')) AS before, r.stream_version, (SELECT count(*) FROM escan('late')) AS meanwhile FROM eappend('late', 'x') AS r;
SELECT count(*) FROM escan('late');

-- A cursor keeps the snapshot of its DECLARE.
BEGIN;
DECLARE stream CURSOR FOR SELECT stream_id, stream_version FROM escan('a');
DECLARE store CURSOR FOR SELECT stream_id, stream_version FROM eall();
DECLARE partition CURSOR FOR SELECT stream_id, stream_version FROM epscan(partition_key => 'a', backward => true);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'x']);
FETCH ALL FROM stream;
FETCH 2 FROM store;
SELECT stream_version FROM eappend('user-123', 'x');
FETCH ALL FROM store;
FETCH ALL FROM partition;
CLOSE stream;
CLOSE store;
DECLARE stream CURSOR FOR SELECT stream_id, stream_version FROM escan('a');
FETCH ALL FROM stream;
ROLLBACK;
-- A scroll cursor goes back, a held one outlives its transaction.
BEGIN;
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT stream_version FROM escan('a');
COMMIT;
FETCH LAST FROM held;
FETCH FIRST FROM held;
CLOSE held;

-- A read-only transaction reads, and refuses appends.
BEGIN READ ONLY;
SELECT * FROM seen;
SAVEPOINT s;
SELECT eappend('a', 'x');
:sqlstate
ROLLBACK TO s;
SELECT emappend(NULL, ARRAY['a'], ARRAY['x']);
:sqlstate
ROLLBACK TO s;
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x"}]');
:sqlstate
ROLLBACK TO s;
SELECT create_event_store('other');
:sqlstate
ROLLBACK;
-- Reads in functions whose volatility PostgreSQL relies on: STABLE ones keep the caller's snapshot.
CREATE FUNCTION stable_count() RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT count(*) FROM escan('a')); END $$;
CREATE FUNCTION volatile_count() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM escan('a')); END $$;
SELECT r.stream_version, stable_count(), volatile_count() FROM eappend('a', 'x') AS r;
DROP FUNCTION stable_count, volatile_count;

-- Parallel plans make no difference: appends stay with the leader, reads as well.
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
CREATE TABLE wide AS SELECT 'p-' || n AS s FROM generate_series(1, 100) AS n;
ANALYZE wide;
SELECT count(*), sum(esver(s)) FROM wide;
SELECT count(r.stream_version) FROM wide, LATERAL eappend(s, 'x') AS r;
SELECT count(*), sum(esver(s)) FROM wide;
SELECT count(*) FROM wide WHERE esver(s) = 0;
-- A function that is marked as parallel safe, but appends, fails before it has done anything.
CREATE FUNCTION marked_as_safe(s text) RETURNS bigint LANGUAGE plpgsql PARALLEL SAFE AS
    'BEGIN RETURN (SELECT stream_version FROM eappend(s, ''x'')); END';
SELECT count(marked_as_safe(s)) FROM wide;
DROP FUNCTION marked_as_safe;
DROP TABLE wide;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

DROP VIEW seen;
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
