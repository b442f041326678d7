-- With a category index, reads by patterns like 'order-*' find the same events as without.
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);
CREATE TABLE categories (place int, category text);
INSERT INTO categories (category, place) SELECT * FROM unnest('{order,invoice,order,a-b,order,"",order,plain,order,ordering}'::text[]) WITH ORDINALITY AS c (category, place);
-- Names with and without '-', also at the beginning and twice; one category is rare.
SELECT count(*) FROM generate_series(1, 600) AS n
 CROSS JOIN LATERAL (SELECT c.category FROM categories AS c ORDER BY c.place OFFSET n % 10 LIMIT 1) AS c (category)
 CROSS JOIN LATERAL eappend(CASE WHEN n % 151 = 0 THEN 'rare-' || n
                                 WHEN c.category = 'plain' THEN 'order'
                                 ELSE c.category || '-' || n % 17 END,
                            CASE n % 3 WHEN 0 THEN 'Paid' ELSE 'Made' END);

-- All that reads return, for many patterns, in both directions, as a whole and in pages.
CREATE TABLE filters (filter text[]);
INSERT INTO filters VALUES ('{order-*}'), ('{order-1*}'), ('{order-5}'), ('{order}'), ('{rare-*}'), ('{none-*}'), ('{-*}'), ('{a-b-*}'), ('{a-*}'),
    ('{rare-*,invoice-*}'), ('{order-1*,order-2*,rare-302}'), ('{order*}'), ('{*}'), ('{*-1}'), ('{rare-*,*-5}'), ('{}'), ('{order-*,invoice-*,a-*,-*,rare-*}'),
    ('{1,2,3,4,5,6,7,rare-*}'), ('{1,2,3,4,5,6,7,8,rare-*}'), (NULL);
CREATE FUNCTION pages(size bigint, filter text[], names text[], backward boolean) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    found bigint[] := '{}';
    page bigint[];
    cursor bigint := -1;
BEGIN
    LOOP
        page := ARRAY(SELECT e.global_position FROM eall(cursor, size, filter, names, backward) AS e);
        found := found || page;
        EXIT WHEN cardinality(page) < size;
        cursor := page[cardinality(page)];
    END LOOP;
    RETURN found;
END $$;
CREATE FUNCTION answers() RETURNS TABLE (filter text[], names text[], backward boolean, way text, positions bigint[]) LANGUAGE sql AS $$
    SELECT f.filter, n.names, b.backward, w.way,
           CASE w.way WHEN 'whole' THEN ARRAY(SELECT e.global_position FROM eall(-1, NULL, f.filter, n.names, b.backward) AS e)
                      WHEN 'from the middle' THEN ARRAY(SELECT e.global_position FROM eall(301, NULL, f.filter, n.names, b.backward) AS e)
                      WHEN 'pages of 1' THEN pages(1, f.filter, n.names, b.backward)
                      ELSE pages(7, f.filter, n.names, b.backward) END
      FROM filters AS f, (VALUES (NULL::text[]), ('{Paid}')) AS n (names), (VALUES (false), (true)) AS b (backward),
           (VALUES ('whole'), ('from the middle'), ('pages of 1'), ('pages of 7')) AS w (way)
$$;
CREATE TABLE expected AS SELECT * FROM answers();
SELECT filter, cardinality(positions) FROM expected WHERE names IS NULL AND NOT backward AND way = 'whole' ORDER BY filter;
CREATE FUNCTION differences() RETURNS TABLE (filter text[], names text[], backward boolean, way text) LANGUAGE sql AS $$
    SELECT e.filter, e.names, e.backward, e.way
      FROM expected AS e JOIN answers() AS a ON (e.filter, e.names, e.backward, e.way) IS NOT DISTINCT FROM (a.filter, a.names, a.backward, a.way)
     WHERE e.positions <> a.positions
$$;
SELECT count(*) FROM expected;
SELECT * FROM differences();

-- Which category indexes are used, by partition.
CREATE FUNCTION used_by(filter text[]) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
    before bigint[] := ARRAY(SELECT pg_stat_get_xact_numscans(c.index) FROM sierra_internal.category_indexes('es') AS c WHERE c.relation <> 'es.events'::regclass ORDER BY c.relation::text, c.index);
BEGIN
    PERFORM count(*) FROM eall(-1, NULL, filter);
    RETURN ARRAY(SELECT right(c.relation::text, 1)::int
                   FROM (SELECT c.*, row_number() OVER (ORDER BY c.relation::text, c.index) AS place
                           FROM sierra_internal.category_indexes('es') AS c WHERE c.relation <> 'es.events'::regclass) AS c
                  WHERE pg_stat_get_xact_numscans(c.index) > before[c.place] ORDER BY c.place);
END $$;

-- Some partitions have the index: the others are read as a whole.
CREATE INDEX half_0 ON es.events_0 (split_part(stream_id, '-', 1), partition_sequence);
CREATE INDEX half_2 ON es.events_2 (split_part(stream_id, '-', 1), partition_sequence);
SELECT * FROM differences();
SELECT used_by('{rare-*}'), used_by('{order*}'), used_by(NULL);
SELECT problem, detail FROM everify();

-- The function makes that of the whole store, of these and new ones.
SELECT create_category_index();
SELECT * FROM differences();
SELECT f.filter, used_by(f.filter) FROM filters AS f ORDER BY f.filter;
SELECT problem, detail FROM everify();
SELECT create_category_index('es');

-- Subscriptions and projections read by it too, and the cursor moves over all other events.
SELECT esub('by_category', streams => '{rare-*,invoice-1*}', start_from => 'earliest');
SELECT esub('by_name', start_from => 'earliest');
CREATE TABLE delivered AS SELECT e.* FROM enext('by_category', 1000) AS e;
SELECT count(*) FROM delivered;
SELECT count(*) FROM enext('by_name', 1000) AS e WHERE (e.stream_id LIKE 'rare-%' OR e.stream_id LIKE 'invoice-1%')
   AND e.global_position NOT IN (SELECT d.global_position FROM delivered AS d);
SELECT eack('by_category', (SELECT max(global_position) FROM delivered)) = (SELECT max(global_position) FROM delivered) AS acknowledged;
SELECT stream_version FROM eappend('rare-new', 'Made');
SELECT stream_id FROM enext('by_category');
SELECT e.stream_id FROM eappend('rare-new', 'Made'), LATERAL eall(-1, 1, '{rare-new}', backward => true) AS e;

-- The events of the same transaction, also after a part of it was rolled back.
BEGIN;
SELECT stream_version FROM eappend('rare-mine', 'Made');
SAVEPOINT s;
SELECT stream_version FROM eappend('rare-mine', 'Made');
ROLLBACK TO s;
SELECT stream_version FROM eappend('rare-mine', 'Paid');
SELECT stream_version, event_name FROM eall(-1, NULL, '{rare-m*}');
ROLLBACK;
SELECT count(*) FROM eall(-1, NULL, '{rare-m*}');

-- Row-level security.
CREATE ROLE regress_category_reader;
GRANT USAGE ON SCHEMA es TO regress_category_reader;
GRANT SELECT ON es.events TO regress_category_reader;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY readable ON es.events FOR SELECT TO regress_category_reader USING (stream_version % 2 = 0);
SET ROLE regress_category_reader;
SELECT count(*), count(*) FILTER (WHERE stream_id NOT LIKE 'invoice-%'), bool_and(stream_version % 2 = 0) FROM eall(-1, NULL, '{invoice-*}');
SELECT count(*) FROM eall(-1, 3, '{invoice-*}');
SELECT drop_category_index();
RESET ROLE;
SELECT count(*) FROM es.events WHERE stream_id LIKE 'invoice-%' AND stream_version % 2 = 0;
ALTER TABLE es.events DISABLE ROW LEVEL SECURITY;
DROP OWNED BY regress_category_reader;
DROP ROLE regress_category_reader;

-- An index that is not valid is not used.
SET allow_system_table_mods = on;
UPDATE pg_index SET indisvalid = false WHERE indrelid = 'es.events_3'::regclass AND sierra_internal.is_category_index(indexrelid);
RESET allow_system_table_mods;
SELECT used_by('{rare-*}');
SELECT problem, detail FROM everify();
SELECT drop_category_index();
SELECT count(*) FROM sierra_internal.category_indexes('es');
SELECT drop_category_index();
SELECT used_by('{rare-*}');
CREATE ROLE regress_category_reader;
GRANT SELECT ON es.events TO regress_category_reader;
GRANT CREATE, USAGE ON SCHEMA es TO regress_category_reader;
SET ROLE regress_category_reader;
SELECT create_category_index();
RESET ROLE;
DROP OWNED BY regress_category_reader;
DROP ROLE regress_category_reader;

-- What looks like it and is not: reads never use it, and do not run its functions.
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.split_part(text, text, int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'nothing'::text COLLATE "C" $$;
CREATE INDEX ON es.events_0 (hostile.split_part(stream_id, '-', 1), partition_sequence);
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 2), partition_sequence);
CREATE INDEX ON es.events_0 (split_part(stream_id, '_', 1), partition_sequence);
CREATE INDEX ON es.events_0 (split_part(event_name, '-', 1), partition_sequence);
CREATE INDEX ON es.events_0 (lower(split_part(stream_id, '-', 1)), partition_sequence);
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 1), stream_version);
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 1) DESC, partition_sequence);
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 1), partition_sequence DESC);
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 1), partition_sequence NULLS FIRST);
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 1) text_pattern_ops, partition_sequence);
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 1) COLLATE "POSIX", partition_sequence);
CREATE INDEX ON es.events_0 (split_part(stream_id COLLATE "POSIX", '-', 1) COLLATE "C", partition_sequence);
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 1), partition_sequence) WHERE stream_version > 0;
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 1), partition_sequence) INCLUDE (event_name);
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 1));
CREATE INDEX ON es.events_0 (split_part(stream_id, '-', 1), partition_sequence, stream_id);
CREATE INDEX ON es.events_0 (partition_sequence, split_part(stream_id, '-', 1));
CREATE INDEX ON es.events_0 USING brin (split_part(stream_id, '-', 1), partition_sequence);
SELECT count(*) FROM pg_index WHERE indrelid = 'es.events_0'::regclass;
SELECT count(*) FROM sierra_internal.category_indexes('es');
SELECT sierra_internal.is_category_index('es.events'), sierra_internal.is_category_index(0::regclass), sierra_internal.is_category_index('pg_class_oid_index');
DELETE FROM expected WHERE way <> 'from the middle' OR backward IS FALSE;
SELECT * FROM differences();
SELECT count(*) FROM everify();
-- The right one beside them is found.
CREATE INDEX the_one ON es.events_0 (split_part(stream_id, '-', 1), partition_sequence);
SELECT used_by('{rare-*}');
REINDEX INDEX es.the_one;
SELECT used_by('{rare-*}');
REINDEX INDEX CONCURRENTLY es.the_one;
SELECT used_by('{rare-*}');
SELECT * FROM differences();

SELECT create_category_index('none');
SELECT drop_category_index('none');
SELECT drop_event_store('es', force => true);
DROP TABLE categories, filters, expected, delivered;
DROP FUNCTION answers(), differences(), pages(bigint, text[], text[], boolean), used_by(text[]);
DROP SCHEMA hostile CASCADE;
