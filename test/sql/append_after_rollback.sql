-- A large batch that was rolled back does not make later appends read its dead rows again and again
\set SHOW_CONTEXT never
SET client_min_messages = error;
SELECT create_event_store('es', 1);
SELECT count(*) FROM eappend('a', 'x');
ALTER TABLE es.events_0 SET (autovacuum_enabled = off);
-- The pages that a statement touches.
CREATE FUNCTION pages_of(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || statement INTO plan;
    RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END $$;
SELECT pages_of('SELECT eappend(''a'', ''x'')') < 150 AS before;
BEGIN;
SELECT count(*) FROM emappend(NULL, array_fill('big'::text, ARRAY[100000]), array_fill('x'::text, ARRAY[100000]));
ROLLBACK;
SELECT pages_of('SELECT eappend(''a'', ''x'')') < 150 AS first;
SELECT pages_of('SELECT eappend(''big'', ''x'')') < 150 AS first_in_its_stream;
SELECT pages_of('SELECT eappend(''new'', ''x'')') < 150 AS first_in_a_new_stream;
SELECT pages_of('SELECT eappend(''a'', ''x'')') < 150 AS later;
SELECT pages_of('SELECT epseq(0)') < 150 AS epseq;
SELECT pages_of('SELECT esver(''big'')') < 150 AS esver;
SELECT pages_of('SELECT escan(''big'', backward => true, max_count => 1)') < 150 AS escan;
SELECT pages_of('SELECT ehead()') < 150 AS ehead;
SELECT pages_of('SELECT eall(1)') < 150 AS eall;
SELECT stream_version, partition_sequence FROM eappend('a', 'x');
SELECT stream_version, partition_sequence FROM eappend('big', 'x');
SELECT esver('big'), epseq(0), ehead() > 100000 AS head;
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION pages_of(text);
