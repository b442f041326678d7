-- equery() and the tags of eall() among many events, compared with a plain query
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 8);
-- Tags that most events have and that few have, close together and far apart; each fifth event has none.
SELECT sum(appended) FROM (
    SELECT (SELECT count(*) FROM emappend(NULL, array_agg('stream-' || n % 40 ORDER BY n), array_agg('E' || n % 7 ORDER BY n),
                                          tags => array_agg(tags ORDER BY n))) AS appended
      FROM generate_series(0, 5999) AS n,
           LATERAL (SELECT CASE WHEN n % 5 <> 3 THEN (
                               SELECT json_agg(tag)::sierra_json
                                 FROM (VALUES ('all', true), ('even', n % 2 = 0), ('third', n % 3 = 0), ('97th', n % 97 = 0), ('1000th', n % 1000 = 1),
                                              ('early', n < 700), ('late', n >= 5500), ('middle', n BETWEEN 3000 AND 3005), ('once', n = 4321),
                                              ('blocks', n / 100 % 10 = 4), ('group:' || n % 60, true)) AS tag (tag, has) WHERE has)
                           END) AS t (tags)
     GROUP BY n / 500 ORDER BY n / 500) AS batches;
SELECT count(*) FROM es.event_tags;

CREATE TABLE queries (id integer GENERATED ALWAYS AS IDENTITY, query json);
INSERT INTO queries (query) VALUES
    ('[{"tags": ["all"]}]'), ('[{"tags": ["97th"]}]'), ('[{"tags": ["once"]}]'), ('[{"tags": ["early"]}]'), ('[{"tags": ["late"]}]'),
    ('[{"tags": ["group:7"]}]'),
    -- intersections: both frequent, one rare, far apart, of blocks, of many
    ('[{"tags": ["all", "even"]}]'), ('[{"tags": ["even", "third"]}]'), ('[{"tags": ["even", "97th"]}]'), ('[{"tags": ["97th", "even"]}]'),
    ('[{"tags": ["all", "once"]}]'), ('[{"tags": ["once", "all"]}]'), ('[{"tags": ["early", "late"]}]'), ('[{"tags": ["late", "early"]}]'),
    ('[{"tags": ["97th", "1000th"]}]'), ('[{"tags": ["middle", "all", "even"]}]'), ('[{"tags": ["blocks", "97th"]}]'), ('[{"tags": ["third", "blocks"]}]'),
    ('[{"tags": ["all", "even", "third", "97th"]}]'), ('[{"tags": ["group:6", "group:7"]}]'), ('[{"tags": ["group:6", "third", "even", "all"]}]'),
    ('[{"tags": ["late", "97th", "even"]}]'), ('[{"tags": ["all", "nothing"]}]'), ('[{"tags": ["all", "middle", "once"]}]'),
    -- with names
    ('[{"types": ["E3"], "tags": ["all"]}]'), ('[{"types": ["E0", "E6"], "tags": ["97th"]}]'), ('[{"types": ["E1"], "tags": ["even", "third"]}]'),
    -- several items
    ('[{"tags": ["97th"]}, {"tags": ["1000th"]}]'), ('[{"tags": ["all"]}, {"tags": ["even"]}, {"tags": ["third"]}]'),
    ('[{"tags": ["once"]}, {"tags": ["early", "97th"]}, {"types": ["E2"], "tags": ["late"]}]'),
    ('[{"types": ["E2"], "tags": ["all"]}, {"types": ["E3"], "tags": ["all"]}]'), ('[{"tags": ["late"]}, {"tags": ["early"]}]'),
    -- items without tags
    ('[]'), ('[{}]'), ('[{"types": ["E5"]}]'), ('[{"types": ["E5"]}, {"tags": ["97th"]}]'), ('[{"tags": ["once"]}, {"types": ["none"]}]');
CREATE TABLE expected AS
SELECT DISTINCT id, global_position
  FROM queries,
       LATERAL (SELECT ARRAY(SELECT json_array_elements_text(item -> 'types')) AS types, ARRAY(SELECT json_array_elements_text(item -> 'tags')) AS tags
                  FROM json_array_elements(CASE json_array_length(query) WHEN 0 THEN '[{}]' ELSE query END) AS item) AS item,
       es.events AS e
 WHERE (item.types = '{}' OR event_name = ANY (item.types)) AND coalesce(e.tags, '{}') @> item.tags;
CREATE UNIQUE INDEX ON expected (id, global_position);
-- how many events each matches
SELECT query, (SELECT count(*) FROM expected WHERE expected.id = queries.id) FROM queries ORDER BY id;
-- all of them, forward and backward
SELECT id, query FROM queries
 WHERE (SELECT array_agg(global_position) FROM equery(query, max_count => NULL))
       IS DISTINCT FROM (SELECT array_agg(global_position ORDER BY global_position) FROM expected WHERE expected.id = queries.id)
    OR (SELECT array_agg(global_position) FROM equery(query, max_count => NULL, backward => true))
       IS DISTINCT FROM (SELECT array_agg(global_position ORDER BY global_position DESC) FROM expected WHERE expected.id = queries.id);
-- parts of them: after a position, up to one, and a number of events
SELECT id, query, after, upto, n FROM queries, unnest(ARRAY[-1, 699, 3001, 5990]) AS after, unnest(ARRAY[700, 4321, 1000000]) AS upto, unnest(ARRAY[7, NULL]) AS n
 WHERE (SELECT array_agg(global_position) FROM equery(query, after, n, to_position => upto))
       IS DISTINCT FROM (SELECT array_agg(global_position ORDER BY global_position)
                           FROM (SELECT global_position FROM expected WHERE expected.id = queries.id AND global_position > after AND global_position <= upto
                                  ORDER BY global_position LIMIT n) AS e);
SELECT id, query, after, upto, n FROM queries, unnest(ARRAY[-1, 700, 4322, 1000000]) AS after, unnest(ARRAY[-1, 699, 3001]) AS upto, unnest(ARRAY[7, NULL]) AS n
 WHERE (SELECT array_agg(global_position) FROM equery(query, after, n, true, upto))
       IS DISTINCT FROM (SELECT array_agg(global_position ORDER BY global_position DESC)
                           FROM (SELECT global_position FROM expected WHERE expected.id = queries.id AND (after < 0 OR global_position < after) AND global_position >= upto
                                  ORDER BY global_position DESC LIMIT n) AS e);

-- eall() with tags: events that have any of them, and what the other filters let pass
SELECT tags, streams, names, (SELECT count(*) FROM eall(-1, NULL, streams, names, tags => tags)),
       (SELECT array_agg(global_position) FROM eall(-1, NULL, streams, names, tags => tags)) IS NOT DISTINCT FROM
       (SELECT array_agg(global_position ORDER BY global_position) FROM es.events AS e
         WHERE e.tags && filter.tags AND stream_id LIKE ANY (coalesce(replace(streams::text, '*', '%')::text[], '{%}')) AND event_name = ANY (coalesce(names, ARRAY[event_name]))) AS forward,
       (SELECT array_agg(global_position) FROM eall(4321, NULL, streams, names, true, tags)) IS NOT DISTINCT FROM
       (SELECT array_agg(global_position ORDER BY global_position DESC) FROM es.events AS e
         WHERE e.tags && filter.tags AND stream_id LIKE ANY (coalesce(replace(streams::text, '*', '%')::text[], '{%}')) AND event_name = ANY (coalesce(names, ARRAY[event_name]))
           AND global_position < 4321) AS backward
  FROM (VALUES (ARRAY['97th'], NULL::text[], NULL::text[]), (ARRAY['even', 'third'], NULL, NULL), (ARRAY['97th', '1000th', 'once', 'none'], NULL, NULL), ('{}', NULL, NULL),
               (ARRAY['none', ''], NULL, NULL), (ARRAY['even', 'even'], ARRAY['stream-1*'], NULL), (ARRAY['97th'], ARRAY['stream-8', 'stream-9'], ARRAY['E1', 'E2']),
               (ARRAY['late'], NULL, ARRAY['E1'])) AS filter (tags, streams, names);
-- more tags than there can be items in a query
SELECT n, (SELECT count(*) FROM eall(max_count => NULL, tags => (SELECT array_agg('group:' || i) FROM generate_series(1, n) AS i))) FROM unnest(ARRAY[59, 64, 65, 100]) AS n;
SELECT count(*) FROM eall(tags => ARRAY['even', NULL]);
:sqlstate
SELECT count(*) AS "1000 as ever" FROM eall(tags => ARRAY['all']);
-- A decision with some of the events would be wrong, so there is no limit without max_count.
SELECT count(*) AS "all of them" FROM equery('[{"tags": ["all"]}]');
SELECT count(*) AS every FROM eall(max_count => NULL, tags => NULL);
-- a page after the other, as if it were one
SELECT count(*), count(DISTINCT global_position) FROM (
    WITH RECURSIVE page AS (
        SELECT 1 AS n, array_agg(global_position) AS positions FROM eall(-1, 50, tags => ARRAY['third', '97th'])
        UNION ALL
        SELECT n + 1, (SELECT array_agg(global_position) FROM eall(positions[array_length(positions, 1)], 50, tags => ARRAY['third', '97th'])) FROM page WHERE positions IS NOT NULL)
    SELECT unnest(positions) AS global_position FROM page) AS pages;
SELECT count(*) FROM es.events WHERE tags && ARRAY['third', '97th'];

-- the table of tags is not locked any more when a read has ended
BEGIN;
SELECT count(*) FROM equery('[{"tags": ["once"]}]');
SELECT relation::regclass, mode FROM pg_locks WHERE relation IN ('es.event_tags'::regclass, 'es.event_tags_pkey'::regclass, 'es.events'::regclass) AND pid = pg_backend_pid();
COMMIT;
-- nothing was found: the partitions are not locked either
BEGIN;
SELECT count(*) FROM equery('[{"tags": ["none"]}]');
SELECT relation::regclass, mode FROM pg_locks WHERE relation::regclass::text LIKE 'es.%' AND pid = pg_backend_pid();
COMMIT;
SELECT drop_event_store('es', force => true);
DROP TABLE queries, expected;
