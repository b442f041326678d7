-- escan(), esver(), eget(): one stream, one event
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM generate_series(0, 9) AS n, LATERAL eappend('s', 'E' || n, to_json(n));
-- a neighbour in the index, and one whose name is a pattern
SELECT count(*) FROM emappend('s', ARRAY['s1', 's*', 'S'], ARRAY['x', 'x', 'x']);

-- everything by default, in order
SELECT stream_version, event_name FROM escan('s');
SELECT array_agg(stream_version ORDER BY o) FROM escan('s', backward => true) WITH ORDINALITY AS e (p, i, q, s, stream_version, d, n, t, k, x, m, y, b, o);

-- Every range, both ways, with every limit: the same as a SELECT from the table, in this order.
CREATE FUNCTION versions(from_version bigint, to_version bigint, max_count bigint, backward boolean) RETURNS bigint[]
    LANGUAGE sql STABLE
    RETURN (SELECT coalesce(array_agg(e.stream_version), '{}') FROM escan('s', from_version, to_version, max_count, backward) AS e);
CREATE FUNCTION expected(from_version bigint, to_version bigint, max_count bigint, backward boolean) RETURNS bigint[]
    LANGUAGE sql STABLE
    RETURN (SELECT coalesce(array_agg(v), '{}') FROM (
                SELECT v FROM generate_series(0, 9) AS v
                 WHERE v >= from_version AND v <= coalesce(to_version, 1000)
                 ORDER BY CASE WHEN backward THEN -v ELSE v END LIMIT max_count) AS w);
SELECT count(*) AS cases, count(*) FILTER (WHERE versions(f, t, m, b) <> expected(f, t, m, b)) AS wrong
  FROM unnest(ARRAY[0, 1, 5, 9, 10, 9223372036854775807]) AS f,
       unnest(ARRAY[NULL, -1, 0, 4, 5, 9, 10, 9223372036854775807]) AS t,
       unnest(ARRAY[NULL, 0, 1, 3, 10, 11, 9223372036854775807]) AS m,
       unnest(ARRAY[false, true]) AS b;
-- some of them shown
SELECT f, t, m, b AS backward, versions(f, t, m, b)
  FROM (VALUES (0::bigint, NULL::bigint, 3::bigint, false), (3, 5, NULL, false), (3, 5, NULL, true), (3, 5, 2, true),
               (0, NULL, 3, true), (5, 3, NULL, false), (9, 9, NULL, false), (10, NULL, NULL, false), (0, NULL, 0, false)) AS v (f, t, m, b);

-- a stream that does not exist; names are not patterns here
SELECT count(*) FROM escan('missing');
SELECT stream_id FROM escan('s*');
SELECT count(*) FROM escan('');
SELECT stream_id FROM escan('S');

-- required arguments
SELECT escan(NULL);
:sqlstate
SELECT escan('s', NULL);
:sqlstate
SELECT escan('s', backward => NULL);
:sqlstate
SELECT escan('s', -1);
:sqlstate
SELECT escan('s', max_count => -1);
:sqlstate

-- the version of a stream
SELECT esver('s') AS s, esver('s1') AS s1, esver('missing') AS missing, esver('') AS empty_name;
SELECT esver(NULL);
:sqlstate

-- one event by its id, generated and chosen
SELECT event_id FROM escan('s', 4, 4) \gset
SELECT stream_id, stream_version, event_name, payload FROM eget(:'event_id');
SELECT stream_version FROM eappend('s', 'chosen', event_id => '11111111-1111-4111-8111-111111111111');
SELECT stream_id, stream_version, event_name FROM eget('11111111-1111-4111-8111-111111111111');
SELECT count(*) FROM eget('22222222-2222-4222-8222-222222222222');
SELECT eget(NULL);
:sqlstate
-- all columns of an event are the same, by every way to read it
SELECT count(*) FROM escan('s') AS e, eget(e.event_id) AS g WHERE e::text = g::text;
SELECT count(*) FROM escan('s') AS e JOIN epscan(partition_key => 's') AS p ON p.event_id = e.event_id WHERE e::text = p::text;
SELECT count(*) FROM escan('s') AS e JOIN eall() AS a ON a.event_id = e.event_id WHERE e::text = a::text;

-- The rows can be used in joins, filters and expressions.
SELECT e.event_name, e.payload::text::int * 2 AS twice FROM escan('s', 0, 3) AS e WHERE e.payload::text::int > 1;
SELECT (escan('s', 2, 3)).stream_version;
SELECT n, esver(s) FROM unnest(ARRAY['s', 's1', 'none']) WITH ORDINALITY AS u (s, n);

DROP FUNCTION versions, expected;
SELECT drop_event_store('es', force => true);
