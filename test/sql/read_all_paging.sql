-- commit_order, seen by one reader: paging through eall() gives everything once and in order,
-- with every page size, filter and direction
\set SHOW_CONTEXT never
SELECT create_event_store('es', 32);
-- 3000 events in uneven partitions, with holes between them
DO $$
BEGIN
    FOR i IN 1 .. 60 LOOP
        BEGIN
            PERFORM FROM emappend(CASE WHEN i % 3 = 0 THEN 'one key' END,
                (SELECT array_agg(CASE WHEN i % 3 = 0 THEN 'keyed-' ELSE 'stream-' END || (n * i) % (1 + i * i % 97)) FROM generate_series(1, 50) AS n),
                (SELECT array_agg('E' || n % 7) FROM generate_series(1, 50) AS n));
            IF i % 5 = 0 THEN
                RAISE 'undo';
            END IF;
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
    END LOOP;
END
$$;
SELECT count(*) AS events, count(DISTINCT partition_id) AS partitions, max(global_position) - count(*) + 1 AS holes FROM es.events;
CREATE TABLE everything AS SELECT row_number() OVER (ORDER BY global_position) AS n, global_position, stream_id, event_name FROM es.events;

-- Reads page after page as a consumer does: from the last position of the page before.
CREATE FUNCTION pages(page_size bigint, streams text[] DEFAULT NULL, event_names text[] DEFAULT NULL, backward boolean DEFAULT false)
    RETURNS TABLE (n bigint, global_position bigint)
    LANGUAGE plpgsql AS $$
DECLARE
    cursor bigint := -1;
    page bigint[];
BEGIN
    n := 0;
    LOOP
        SELECT array_agg(e.global_position) INTO page FROM eall(cursor, page_size, streams, event_names, backward) AS e;
        EXIT WHEN page IS NULL;
        IF cardinality(page) > page_size THEN
            RAISE 'a page of % events', cardinality(page);
        END IF;
        FOREACH global_position IN ARRAY page LOOP
            n := n + 1;
            RETURN NEXT;
        END LOOP;
        cursor := page[cardinality(page)];
        -- backward, -1 is the end: position 0 has no page before it
        EXIT WHEN backward AND cursor = 0;
    END LOOP;
END
$$;
SELECT size, count(*) AS events, bool_and(p.n = e.n AND p.global_position = e.global_position) AS once_and_in_order
  FROM unnest(ARRAY[1, 2, 3, 7, 49, 50, 51, 500, 999, 1000, 2399, 2400, 2401, 100000]) AS size, LATERAL pages(size) AS p
  JOIN everything AS e USING (n) GROUP BY size ORDER BY size;
SELECT size, count(*) AS events, bool_and(p.n = 2401 - e.n) AS once_and_in_order
  FROM unnest(ARRAY[1, 7, 100, 5000]) AS size, LATERAL pages(size, backward => true) AS p
  JOIN everything AS e USING (global_position) GROUP BY size ORDER BY size;
-- with a filter, the matching events of the same list
CREATE TABLE passing AS
SELECT row_number() OVER (ORDER BY global_position) AS n, global_position FROM everything
 WHERE (stream_id LIKE 'keyed-1%' OR stream_id = 'stream-5') AND event_name IN ('E1', 'E4');
SELECT count(*) FROM passing;
SELECT size, count(*) AS events, bool_and(p.n = e.n AND p.global_position = e.global_position) AS once_and_in_order
  FROM unnest(ARRAY[1, 5, 1000]) AS size, LATERAL pages(size, ARRAY['keyed-1*', 'stream-5'], ARRAY['E1', 'E4']) AS p
  JOIN passing AS e USING (n) GROUP BY size ORDER BY size;
-- From any position, in any order of calls: what one page remembered never affects the next.
SELECT setseed(0.5);
SELECT count(*) AS pages, count(*) FILTER (WHERE got IS DISTINCT FROM want) AS wrong
  FROM (SELECT (random() * 3100)::bigint - 1 AS after, (random() * 40)::bigint AS size, random() < 0.3 AS backward, n
          FROM generate_series(1, 500) AS n) AS ask,
       LATERAL (SELECT array_agg(e.global_position) FROM eall(after, size, backward => backward) AS e) AS g (got),
       LATERAL (SELECT array_agg(p) FROM (
            SELECT global_position FROM everything
             WHERE CASE WHEN NOT backward THEN global_position > after ELSE after = -1 OR global_position < after END
             ORDER BY CASE WHEN backward THEN -global_position ELSE global_position END LIMIT size) AS w (p)) AS x (want);
-- The other reads agree with it.
SELECT count(*) FROM everything AS e JOIN (SELECT p.global_position FROM generate_series(0, 31) AS i, LATERAL epscan(i) AS p) AS p USING (global_position);
SELECT count(*) FROM everything AS e JOIN (SELECT s.global_position FROM (SELECT DISTINCT stream_id FROM everything) AS d, LATERAL escan(d.stream_id) AS s) AS s USING (global_position);

DROP FUNCTION pages;
DROP TABLE everything, passing;
SELECT drop_event_store('es', force => true);
