-- Ids that clients chose and that lead to their partition, as generated ids do: they are not
-- registered, and as unique as all others.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);

-- id(7, 2) ends in 7 and leads to partition 2.
CREATE FUNCTION id(n int, partition int) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT
    RETURN ('00000000-0000-7000-800' || partition / 4 || '-' || to_hex(partition % 4 * 4) || lpad(n::text, 11, '0'))::uuid;
SELECT p, sierra_partition_id(id(1, p), 4) FROM generate_series(0, 3) AS p;
-- a and c are in partition 0, d in 2.
SELECT stream_id, sierra_partition_id(sierra_stream_key(stream_id), 4) FROM unnest('{a, c, d}'::text[]) AS stream_id;

-- Appended, repeated, and found; no row in event_ids.
CREATE TABLE first AS SELECT * FROM eappend('a', 'x', event_id => id(1, 0));
SELECT count(*) AS same FROM (SELECT * FROM eappend('a', 'x', event_id => id(1, 0)) INTERSECT SELECT * FROM first) AS r;
SELECT stream_id, stream_version FROM eget(id(1, 0));
SELECT count(*) AS registered FROM es.event_ids;

-- In another stream of the partition, and in another partition.
SELECT eappend('c', 'x', event_id => id(1, 0));
:sqlstate
SELECT eappend('d', 'x', event_id => id(1, 0));
:sqlstate
SELECT status, sqlstate, detail FROM eappend_each(ARRAY['d', 'c', 'a', 'd'], ARRAY['x', 'x', 'x', 'x'], event_ids => ARRAY[id(1, 0), id(1, 0), id(1, 0), NULL]);

-- One that leads elsewhere is registered.  Then it cannot be used where it leads.
SELECT partition_id FROM eappend('d', 'x', event_id => id(2, 0));
SELECT event_id = id(2, 0) AS it, partition_id FROM es.event_ids;
SELECT stream_id, stream_version FROM eget(id(2, 0));
SELECT eappend('a', 'x', event_id => id(2, 0));
:sqlstate
SELECT status, sqlstate, detail FROM eappend_each(ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(2, 0), id(3, 0)]);
SELECT stream_version FROM eappend('d', 'x', event_id => id(2, 0));

-- In one statement: the later call finds the earlier one, whichever of the two is registered.
SELECT status, sqlstate, detail FROM eappend_each(ARRAY['a', 'd'], ARRAY['x', 'x'], event_ids => ARRAY[id(4, 0), id(4, 0)]);
SELECT status, sqlstate, detail FROM eappend_each(ARRAY['d', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(5, 0), id(5, 0)]);

-- A stream with a key of its own: its partition counts, not that of its name.
SELECT partition_id FROM eappend('own', 'x', event_id => id(6, 2), partition_key => 'd');
SELECT stream_version FROM eappend('own', 'x', event_id => id(6, 2));
SELECT count(*) AS registered FROM es.event_ids WHERE event_id = id(6, 2);

-- A refused call of a round leaves its ids free, though another session may not have used them.
SELECT status, sqlstate FROM eappend_each(ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(7, 0), id(8, 0)], expected_versions => ARRAY['empty', 'any']::expected_version[]);
SELECT count(*) AS events FROM eget(id(7, 0));
SELECT status FROM eappend_each(ARRAY['d', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(7, 0), NULL], expected_versions => ARRAY['any', 'empty']::expected_version[]);

SELECT count(*) AS problems FROM everify();
SELECT count(*), array_agg(DISTINCT partition_id) FROM es.event_ids;
DROP TABLE first;
DROP FUNCTION id(int, int);
SELECT drop_event_store('es', force => true);
