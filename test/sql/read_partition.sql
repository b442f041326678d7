-- epscan(), epseq(): one partition, by number and by key
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- With 4 partitions: a is in partition 0, user-123 and order-456 in 1.
SELECT count(*) FROM generate_series(0, 9) AS n, LATERAL eappend(CASE n % 2 WHEN 0 THEN 'user-123' ELSE 'order-456' END, 'E' || n);
SELECT count(*) FROM eappend('a', 'x');

SELECT partition_sequence, stream_id, stream_version, event_name FROM epscan(1);
SELECT partition_sequence, stream_id FROM epscan(0);
SELECT count(*) FROM epscan(2);

-- by key: the UUID or its text
SELECT count(*) FROM epscan(partition_key => 'user-123');
SELECT count(*) FROM epscan(partition_key => '7e124fe8-fe28-5398-bb95-53973100148f');
SELECT count(*) FROM epscan(partition_key => '{7e124fe8-fe28-5398-bb95-53973100148f}', max_count => 4);
SELECT array_agg(partition_sequence) FROM epscan(NULL, 2, 4, partition_key => 'order-456');
SELECT array_agg(partition_sequence) FROM epscan(partition => 1, from_sequence => 2, to_sequence => 7, max_count => 3, backward => true);
-- A number is that of a partition, quoted or not, with a type or without; a key has its name.
SELECT (SELECT min(partition_id) FROM epscan(0)) AS number, (SELECT min(partition_id) FROM epscan('0')) AS quoted,
       (SELECT min(stream_id) FROM epscan(partition_key => '0')) IS NOT DISTINCT FROM
       (SELECT min(stream_id) FROM epscan(sierra_partition_id(sierra_partition_key('0'), 4))) AS key,
       sierra_partition_id(sierra_partition_key('0'), 4) AS partition_of_key;
PREPARE by_number AS SELECT count(*) AS events, min(partition_id) AS partition, epseq($1) FROM epscan($1);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'by_number';
EXECUTE by_number('1');
EXECUTE by_number(0);
EXECUTE by_number('user-123');
:sqlstate
PREPARE by_key AS SELECT count(*) AS events, min(partition_id) AS partition, epseq(partition_key => $1) FROM epscan(partition_key => $1);
EXECUTE by_key('user-123');
EXECUTE by_key('2');
DEALLOCATE ALL;
SELECT count(*) FROM epscan('user-123');
:sqlstate
SELECT count(*) FROM epscan('user-123'::text);
:sqlstate
SELECT count(*) FROM epscan(1, partition_key => 'user-123');
:sqlstate
SELECT epseq(1, 'user-123');
:sqlstate
SELECT epscan(max_count => 1);
:sqlstate
SELECT epseq();
:sqlstate

-- Every range, both ways, with every limit: the same as a SELECT from the table, in this order.
CREATE FUNCTION sequences(from_sequence bigint, to_sequence bigint, max_count bigint, backward boolean) RETURNS bigint[]
    LANGUAGE sql STABLE
    RETURN (SELECT coalesce(array_agg(e.partition_sequence), '{}') FROM epscan(1, from_sequence, to_sequence, max_count, backward) AS e);
CREATE FUNCTION expected(from_sequence bigint, to_sequence bigint, max_count bigint, backward boolean) RETURNS bigint[]
    LANGUAGE sql STABLE
    RETURN (SELECT coalesce(array_agg(v), '{}') FROM (
                SELECT v FROM generate_series(0, 9) AS v
                 WHERE v >= from_sequence AND v <= coalesce(to_sequence, 1000)
                 ORDER BY CASE WHEN backward THEN -v ELSE v END LIMIT max_count) AS w);
SELECT count(*) AS cases, count(*) FILTER (WHERE sequences(f, t, m, b) <> expected(f, t, m, b)) AS wrong
  FROM unnest(ARRAY[0, 1, 5, 9, 10, 9223372036854775807]) AS f,
       unnest(ARRAY[NULL, -1, 0, 4, 5, 9, 10, 9223372036854775807]) AS t,
       unnest(ARRAY[NULL, 0, 1, 3, 10, 11, 9223372036854775807]) AS m,
       unnest(ARRAY[false, true]) AS b;

SELECT epseq(0) AS p0, epseq(1) AS p1, epseq(2) AS p2, epseq(partition_key => 'user-123') AS by_text, epseq(partition_key => '7e124fe8-fe28-5398-bb95-53973100148f') AS by_uuid;

-- required arguments, and their bounds
SELECT epscan(NULL::int);
:sqlstate
SELECT epscan(partition_key => NULL);
:sqlstate
SELECT epscan(partition_key => '');
:sqlstate
SELECT epseq(partition_key => '');
:sqlstate
SELECT epscan(0, NULL);
:sqlstate
SELECT epscan(0, backward => NULL);
:sqlstate
SELECT epscan(-1);
:sqlstate
SELECT epscan(4);
:sqlstate
SELECT epscan(4, max_count => 0);
:sqlstate
SELECT epscan(0, -1);
:sqlstate
SELECT epscan(partition_key => 'a', from_sequence => -1);
:sqlstate
SELECT epscan(0, max_count => -1);
:sqlstate
SELECT epseq(NULL::int);
:sqlstate
SELECT epseq(NULL, NULL);
:sqlstate
SELECT epseq(-1);
:sqlstate
SELECT epseq(4);
:sqlstate

DROP FUNCTION sequences, expected;
SELECT drop_event_store('es', force => true);
