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
-- A scan that passes all of it marks the index entries as dead, but they stay in their pages.
SELECT count(*) FROM epscan(0, 5);
SELECT pages_of('SELECT eappend(''a'', ''x'')') < 150 AS after_a_scan;
SELECT pages_of('SELECT eappend(''a'', ''x'')') < 150 AS again;
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

-- An event can be stored before a dead one with its number: the dead one was too large for the page
-- where this one goes.
SET client_min_messages = error;
SELECT create_event_store('es', 1);
ALTER TABLE es.events_0 SET (autovacuum_enabled = off);
SELECT count(eappend('a', 'x', payload => to_json(repeat('x', 1400)))) FROM generate_series(1, 5);
BEGIN;
SELECT count(eappend('a', 'x', payload => to_json(repeat('x', 1400))));
ROLLBACK;
-- VACUUM notes which page has room.  It leaves the index entry of the dead event, as it does by
-- itself if there are few.
VACUUM (INDEX_CLEANUP off) es.events_0;
\c -
SELECT partition_sequence, stream_version FROM eappend('a', 'x');
SELECT partition_sequence, ctid < '(1,0)' AS before_the_dead FROM es.events_0 WHERE partition_sequence = 5;
SELECT partition_sequence, stream_version FROM eappend('a', 'x');
SELECT esver('a'), epseq(0);
SELECT drop_event_store('es', force => true);
