-- Reads of the whole store and of a partition take the next row from its page of the table, without an index. They
-- find the same if the rows are not in the order of their sequences there, or rows are between that nobody sees.
SELECT create_event_store('es', 2);
CREATE FUNCTION append(first int, last int) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT count(*) FROM generate_series(first, last) AS n, LATERAL eappend('s-' || n % 17, 'E', to_json(n), json_build_object('pad', repeat('x', n * 37 % 300)))
$$;
-- What pages of every size say, from many places on, beside a SELECT from the table.
CREATE FUNCTION expected(after bigint, max_count bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(global_position || ' ' || payload, ',' ORDER BY global_position)
      FROM (SELECT * FROM es.events WHERE global_position > after ORDER BY global_position LIMIT max_count) AS e
$$;
CREATE FUNCTION expected_of(partition int, first bigint, last bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT string_agg(partition_sequence || ' ' || payload, ',' ORDER BY partition_sequence)
      FROM es.events WHERE partition_id = partition AND partition_sequence BETWEEN first AND last
$$;
CREATE VIEW differences AS
SELECT 'eall' AS reader, after AS start
  FROM generate_series(-1, (SELECT max(global_position) + 3 FROM es.events), 7) AS after, unnest(ARRAY[1, 40, NULL]) AS page
 WHERE (SELECT string_agg(global_position || ' ' || payload, ',') FROM eall(after, page)) IS DISTINCT FROM expected(after, page)
UNION ALL
SELECT 'eall, backward', before
  FROM generate_series(-1, (SELECT max(global_position) + 3 FROM es.events), 7) AS before
 WHERE (SELECT array_agg(global_position) FROM eall(before, 40, backward => true)) IS DISTINCT FROM
       (SELECT array_agg(global_position) FROM (
            SELECT global_position FROM es.events WHERE before = -1 OR global_position < before ORDER BY 1 DESC LIMIT 40) AS e)
UNION ALL
SELECT 'epscan', first
  FROM unnest(ARRAY[0, 1]) AS partition, generate_series(0, (SELECT max(partition_sequence) + 3 FROM es.events), 7) AS first,
       unnest(ARRAY[first, first + 40, 1000000]) AS last
 WHERE (SELECT string_agg(partition_sequence || ' ' || payload, ',') FROM epscan(partition, first, last)) IS DISTINCT FROM
       expected_of(partition, first, last);
CREATE FUNCTION check_page(after bigint, max_count bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT (SELECT string_agg(global_position || ' ' || payload, ',') FROM eall(after, max_count)) IS NOT DISTINCT FROM expected(after, max_count)
$$;

-- as they were appended
SELECT append(1, 300);
SELECT count(*) FROM differences;
VACUUM es.events;
SELECT count(*) FROM differences;
-- A reader that continues begins where its last page ended.
SELECT count(*) AS pages, bool_and(check_page(after, 10)) AS right FROM generate_series(0, 290, 10) AS after;

-- Rows that were rolled back are before those with the same sequences.
BEGIN;
SELECT append(301, 360);
ROLLBACK;
SELECT append(401, 460);
SELECT count(*) FROM differences;
-- The transaction sees its own events, until it rolls them back.
BEGIN;
SAVEPOINT a;
SELECT append(501, 530);
ROLLBACK TO a;
SELECT append(601, 630);
SELECT count(*) FROM differences;
ROLLBACK;
SELECT count(*) FROM differences;

-- Their places are given to later events, before and behind others.
VACUUM es.events;
SELECT append(701, 800);
SELECT count(*) FROM differences;

-- In the order of streams, and in no order.
CREATE INDEX by_stream ON es.events_0 (stream_id, stream_version);
CREATE INDEX shuffled ON es.events_1 (hashint8(partition_sequence));
CLUSTER es.events_0 USING by_stream;
CLUSTER es.events_1 USING shuffled;
SELECT tableoid::regclass AS partition, count(*) > 200 AS moved
  FROM (SELECT tableoid, partition_sequence - lag(partition_sequence) OVER (PARTITION BY tableoid ORDER BY ctid) AS step FROM es.events) AS row
 WHERE step <> 1 GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM differences;
VACUUM es.events;
SELECT count(*) FROM differences;
SELECT append(801, 900);
SELECT count(*) FROM differences;
SELECT count(*) AS pages, bool_and(check_page(after, 10)) AS right FROM generate_series(0, 490, 10) AS after;

DROP VIEW differences;
SELECT drop_event_store('es', force => true);
DROP FUNCTION append, expected, expected_of, check_page;
