-- the window limits the events that are delivered and not acknowledged; after fetches ahead inside
-- it
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM generate_series(0, 39) AS n, LATERAL eappend((ARRAY['a', 'e', 'd', 'f'])[n % 4 + 1], CASE n % 2 WHEN 0 THEN 'Even' ELSE 'Odd' END);
CREATE FUNCTION next(subscription text, max_count int DEFAULT 100, after bigint DEFAULT NULL) RETURNS bigint[] LANGUAGE sql AS
    $$ SELECT coalesce(array_agg(global_position), '{}') FROM enext($1, $2, after => $3) $$;

SELECT esub('five', start_from => 'earliest', window_size => 5);
SELECT next('five');
SELECT next('five', 3);
SELECT next('five', 5);
-- fetching ahead
SELECT next('five', 2, -1);
SELECT next('five', 2, 1);
SELECT next('five', 2, 3);
SELECT next('five', 2, 4) AS window_is_full;
SELECT next('five', 2, 30) AS beyond_it;
-- acknowledging makes room
SELECT eack('five', 0);
SELECT next('five', 2, 4);
SELECT eack('five', 3);
SELECT next('five', 100, 5);
-- after below the acknowledged cursor: the events after the cursor
SELECT next('five', 2, 0);
SELECT next('five', 2, -1);

-- The window counts events that match, not positions.
SELECT esub('even', event_names => ARRAY['Even'], start_from => 'earliest', window_size => 3);
SELECT next('even');
SELECT next('even', 100, 2);
SELECT eack('even', 2);
SELECT next('even', 100, 4);
SELECT epsub('partition', ARRAY[3], 'earliest', window_size => 4);
SELECT next('partition');
SELECT next('partition', 100, 7);

-- the smallest, and the default
SELECT esub('one', start_from => 'earliest', window_size => 1);
SELECT next('one');
SELECT next('one', 1, 0);
SELECT eack('one', 0);
SELECT next('one');
SELECT count(*) FROM emappend(NULL, array_fill('a'::text, ARRAY[1500]), array_fill('Even'::text, ARRAY[1500]));
SELECT esub('default', start_from => 'earliest');
SELECT cardinality(next('default')) AS by_count, cardinality(next('default', 2000)) AS by_window, cardinality(next('default', 2000, 899)) AS ahead;
SELECT esub('largest', start_from => 'earliest', window_size => 1000000);
SELECT cardinality(next('largest', 2147483647));
-- A consumer that fetches ahead page by page gets each event once, and never more than the window.
SELECT esub('pages', start_from => 'earliest', window_size => 100);
WITH RECURSIVE pages AS (
    SELECT -1::bigint AS last, '{}'::bigint[] AS page
    UNION ALL
    SELECT n.page[cardinality(n.page)], n.page FROM pages AS p, LATERAL next('pages', 7, p.last) AS n (page) WHERE cardinality(n.page) > 0)
SELECT count(*) - 1 AS pages, min(e) AS first, max(e) AS last, count(e) AS events, count(DISTINCT e) AS distinct_events
  FROM pages LEFT JOIN LATERAL unnest(page) AS e ON true;

DROP FUNCTION next;
SELECT drop_event_store('es', force => true);
