-- ---------------------------------------------------------------------------
-- everify(): what of a store breaks an invariant.
--
-- Some checks look at the catalogs; the others share one read of the events.  Each
-- check is a query that returns a row for each violation.
-- ---------------------------------------------------------------------------

-- The events table, its partitions, and the tables beside it.
CREATE FUNCTION sierra_internal.event_tables(store name)
    RETURNS TABLE (relation regclass, name name, kind "char")
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.oid::regclass, c.relname, c.relkind
      FROM pg_class AS c
     WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = $1)
       AND (c.relname IN ('events', 'stream_keys', 'event_ids', 'event_tags')
            OR c.oid IN (SELECT i.inhrelid FROM pg_inherits AS i
                          WHERE i.inhparent = to_regclass(format('%I.events', $1))))
$$;
COMMENT ON FUNCTION sierra_internal.event_tables(name) IS
    'returns the tables of a store that hold events, stream keys, event ids and tags';

-- The same, and the tables of subscriptions and derived state.
CREATE FUNCTION sierra_internal.store_tables(store name) RETURNS TABLE (relation regclass)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.relation FROM sierra_internal.event_tables($1) AS t
    UNION ALL
    SELECT c.oid::regclass
      FROM pg_class AS c
     WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = $1)
       AND c.relname = ANY (sierra_internal.state_tables())
$$;
COMMENT ON FUNCTION sierra_internal.store_tables(name) IS
    'returns the tables of a store';

CREATE FUNCTION sierra_internal.table_differences(relation regclass) RETURNS SETOF text
    LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'sierra_table_differences';
COMMENT ON FUNCTION sierra_internal.table_differences(regclass) IS
    'returns how a table of a store differs from what the library relies on';

-- Each event table has its guard, and each table the columns and indexes that it needs.
CREATE FUNCTION sierra_internal.verify_tables(store name)
    RETURNS TABLE (problem text, detail text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'guard missing', format('table "%s" has no enabled guard trigger', t.name)
      FROM sierra_internal.event_tables($1) AS t
     WHERE NOT EXISTS (
        SELECT FROM pg_trigger AS g
         WHERE g.tgrelid = t.relation AND g.tgenabled = 'A'
           AND g.tgfoid = 'sierra_internal.guard_events()'::regprocedure)
    UNION ALL
    SELECT 'table changed', d.difference
      FROM sierra_internal.store_tables($1) AS t
     CROSS JOIN LATERAL sierra_internal.table_differences(t.relation) AS d (difference)
    UNION ALL
    SELECT 'table missing', format('table "%s" does not exist', m.name)
      FROM unnest(sierra_internal.missing_tables($1)) AS m (name)
$$;
COMMENT ON FUNCTION sierra_internal.verify_tables(name) IS
    'returns tables, guards and indexes that a store lacks';

-- The partitions that the guard of events counts are attached, each for its number.
CREATE FUNCTION sierra_internal.verify_partitions(store name)
    RETURNS TABLE (problem text, detail text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'partition missing',
           format('the store has %s partitions, %s are attached', p.declared, p.attached)
      FROM (SELECT sierra_internal.partition_count($1) AS declared,
                   (SELECT count(*) FROM pg_inherits AS i
                     WHERE i.inhparent = to_regclass(format('%I.events', $1))) AS attached) AS p
     WHERE p.declared <> p.attached
    UNION ALL
    SELECT 'partition bound', format('table "%s" is attached %s, which is not a partition of this store',
                                     c.relname, pg_get_expr(c.relpartbound, c.oid))
      FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
     WHERE i.inhparent = to_regclass(format('%I.events', $1))
       AND sierra_internal.partition_count($1) IS NOT NULL
       AND pg_get_expr(c.relpartbound, c.oid) NOT IN (
           SELECT format('FOR VALUES IN (%s)', id)
             FROM generate_series(0, sierra_internal.partition_count($1) - 1) AS id)
$$;
COMMENT ON FUNCTION sierra_internal.verify_partitions(name) IS
    'returns partitions that a store lacks or that do not belong to it';

-- Reads use the category index of each partition that has one; the others are slow.
CREATE FUNCTION sierra_internal.verify_category_index(store name)
    RETURNS TABLE (problem text, detail text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH category AS MATERIALIZED (SELECT c.relation, c.valid FROM sierra_internal.category_indexes($1) AS c)
    SELECT 'category index', format('table "%s" has no valid category index, though the store has one', t.name)
      FROM sierra_internal.event_tables($1) AS t
      JOIN pg_inherits AS i ON i.inhrelid = t.relation
     WHERE EXISTS (SELECT FROM category)
       AND NOT EXISTS (SELECT FROM category AS c WHERE c.relation = t.relation AND c.valid)
$$;
COMMENT ON FUNCTION sierra_internal.verify_category_index(name) IS
    'returns partitions that lack the category index that the store has';

-- A sequence that gives out positions in blocks, backwards or again would break
-- the order of commits.
CREATE FUNCTION sierra_internal.verify_position_sequence(store name)
    RETURNS TABLE (problem text, detail text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'position sequence',
           format('sequence "global_position" has increment %s, cache %s, cycle %s; it needs 1, 1, false',
                  s.seqincrement, s.seqcache, s.seqcycle)
      FROM pg_sequence AS s
     WHERE s.seqrelid = to_regclass(format('%I.global_position', $1))
       AND (s.seqincrement <> 1 OR s.seqcache <> 1 OR s.seqcycle)
$$;
COMMENT ON FUNCTION sierra_internal.verify_position_sequence(name) IS
    'returns wrong settings of the sequence of positions';

-- What runs as a role needs the role, and the table's owner must be able to become it.
CREATE FUNCTION sierra_internal.verify_owners(store name)
    RETURNS TABLE (problem text, detail text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    kind text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['projection', 'saga'] LOOP
        -- A role that may read the events need not be allowed to read these.
        IF kind || 's' = ANY (sierra_internal.missing_tables(store))
           OR NOT has_table_privilege(format('%I.%I', store, kind || 's'), 'SELECT') THEN
            CONTINUE;
        END IF;
        RETURN QUERY EXECUTE format(
            'SELECT ''owner missing'', CASE WHEN NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = d.owner)'
            '            THEN format(''the owner of %1$s "%%s" does not exist (OID %%s)'', d.%1$I, d.owner::oid)'
            '            ELSE format(''role "%%s" owns %1$s "%%s", and the owner of the table may not become it'','
            '                        pg_get_userbyid(d.owner), d.%1$I) END'
            '  FROM (SELECT DISTINCT o.%1$I, o.owner FROM %2$I.%1$ss AS o) AS d'
            ' WHERE NOT sierra_internal.can_become((SELECT c.relowner FROM pg_class AS c'
            '                                        WHERE c.oid = %3$L::regclass), d.owner)',
            kind, store, format('%I.%I', store, kind || 's'));
    END LOOP;
END
$$;
COMMENT ON FUNCTION sierra_internal.verify_owners(name) IS
    'returns projections and sagas that run as a role that they cannot run as';

CREATE FUNCTION sierra_internal.verify_structure(store name)
    RETURNS TABLE (problem text, detail text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    -- everify() switches them off for its scan of the events.
    SET enable_indexscan = on
    SET enable_indexonlyscan = on
    SET enable_bitmapscan = on
AS $$
    SELECT t.problem, t.detail FROM sierra_internal.verify_tables($1) AS t
    UNION ALL
    SELECT p.problem, p.detail FROM sierra_internal.verify_partitions($1) AS p
    UNION ALL
    SELECT c.problem, c.detail FROM sierra_internal.verify_category_index($1) AS c
    UNION ALL
    SELECT s.problem, s.detail FROM sierra_internal.verify_position_sequence($1) AS s
    UNION ALL
    SELECT o.problem, o.detail FROM sierra_internal.verify_owners($1) AS o
$$;
COMMENT ON FUNCTION sierra_internal.verify_structure(name) IS
    'returns what everify() finds in the catalogs';

-- keep: a procedure, whose commits do not end it.
CREATE FUNCTION sierra_internal.begin_progress(operation text, store text, total bigint, phase text,
                                               keep boolean DEFAULT false) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_begin_progress';
COMMENT ON FUNCTION sierra_internal.begin_progress(text, text, bigint, text, boolean) IS
    'lets event_progress() show that this session does something that takes long, and in which phase it is';

CREATE FUNCTION sierra_internal.progress_phase(phase text, total bigint) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_progress_phase_sql';
COMMENT ON FUNCTION sierra_internal.progress_phase(text, bigint) IS
    'begins the next phase of what begin_progress() began';

CREATE FUNCTION sierra_internal.add_progress(steps bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_add_progress';
COMMENT ON FUNCTION sierra_internal.add_progress(bigint) IS
    'counts steps of what begin_progress() began; returns true';

CREATE FUNCTION sierra_internal.end_progress() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_end_progress';
COMMENT ON FUNCTION sierra_internal.end_progress() IS
    'ends what begin_progress() began; the end of the transaction does that too';

CREATE FUNCTION event_progress(
    OUT pid integer, OUT database name, OUT store name, OUT operation text, OUT subject text,
    OUT phase text, OUT done bigint, OUT total bigint, OUT started_at timestamptz,
    OUT phase_started_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 1
    AS 'MODULE_PATHNAME', 'sierra_event_progress';
COMMENT ON FUNCTION event_progress() IS
    'returns the calls of the server that take long, while they run: what they do, and how far they are';
REVOKE EXECUTE ON FUNCTION event_progress() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION event_progress() TO pg_read_all_stats;

-- Queries over the events.  They are arguments of format(): %1$I is the store, %2$s
-- its number of partitions, and %%s what they format themselves.

-- What all of them read: the events once, and the number before each.
CREATE FUNCTION sierra_internal.verify_events() RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT $query$
WITH event AS MATERIALIZED (
    SELECT partition_id, partition_sequence, stream_id, stream_version, global_position, event_id,
           partition_key, tags,
           octet_length(stream_id) BETWEEN 1 AND 255
           AND octet_length(event_name) BETWEEN 1 AND 255
           AND stream_id !~ E'[\\u0001-\\u001f\\u007f-\\u009f]'
           AND event_name !~ E'[\\u0001-\\u001f\\u007f-\\u009f]'
           AND isfinite("timestamp")
           AND (payload IS NULL OR payload_bytes IS NULL)
           AND sierra_internal.are_tags(tags) AS within_bounds
      FROM %1$I.events
     WHERE sierra_internal.add_progress(1)),
numbered AS (
    SELECT e.partition_id, e.partition_sequence, e.stream_id, e.stream_version,
           e.global_position, e.event_id,
           lag(e.partition_sequence) OVER p AS previous_sequence,
           lag(e.global_position) OVER p AS previous_position,
           lag(e.stream_version) OVER s AS previous_version
      FROM event AS e
    WINDOW p AS (PARTITION BY e.partition_id ORDER BY e.partition_sequence, e.global_position),
           s AS (PARTITION BY e.stream_id ORDER BY e.stream_version, e.global_position))
$query$
$$;
COMMENT ON FUNCTION sierra_internal.verify_events() IS
    'returns the WITH clause that the queries of everify() share';

CREATE FUNCTION sierra_internal.verify_numbers() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY[
-- The sequences of a partition are 0, 1, 2, ...
$check$
SELECT 'partition sequence', n.partition_id, n.partition_sequence, n.stream_id, n.stream_version,
       n.event_id,
       CASE WHEN n.partition_sequence = n.previous_sequence
            THEN format('sequence %%s occurs twice', n.partition_sequence)
            ELSE format('sequence %%s follows %%s', n.partition_sequence,
                        coalesce(n.previous_sequence::text, 'nothing')) END
  FROM numbered AS n
 WHERE n.partition_sequence <> coalesce(n.previous_sequence + 1, 0)
$check$,
-- The versions of a stream are 0, 1, 2, ...
$check$
SELECT 'stream version', n.partition_id, n.partition_sequence, n.stream_id, n.stream_version,
       n.event_id,
       CASE WHEN n.stream_version = n.previous_version
            THEN format('version %%s occurs twice', n.stream_version)
            ELSE format('version %%s follows %%s', n.stream_version,
                        coalesce(n.previous_version::text, 'nothing')) END
  FROM numbered AS n
 WHERE n.stream_version <> coalesce(n.previous_version + 1, 0)
$check$]
$$;
COMMENT ON FUNCTION sierra_internal.verify_numbers() IS
    'returns the queries of everify() for the numbers in partitions and streams';

CREATE FUNCTION sierra_internal.verify_positions() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY[
-- Positions increase within a partition.
$check$
SELECT 'position order', n.partition_id, n.partition_sequence, n.stream_id, n.stream_version,
       n.event_id,
       format('position %%s follows %%s', n.global_position, n.previous_position)
  FROM numbered AS n
 WHERE n.global_position <= n.previous_position
$check$,
-- No two events have the same position.
$check$
SELECT 'position twice', min(e.partition_id), NULL, NULL, NULL, NULL,
       format('position %%s occurs in partitions %%s', e.global_position,
              string_agg(e.partition_id::text, ', ' ORDER BY e.partition_id))
  FROM event AS e
 GROUP BY e.global_position
HAVING count(*) > 1
$check$,
-- The sequence gives out positions above all of them.
$check$
SELECT 'position sequence', NULL, NULL, NULL, NULL, NULL,
       format('the sequence is at %%s, the newest event at %%s', s.last_value, m.newest)
  FROM %1$I.global_position AS s,
       (SELECT max(e.global_position) AS newest FROM event AS e) AS m
 WHERE m.newest > CASE WHEN s.is_called THEN s.last_value ELSE s.last_value - 1 END
   -- Logical replication does not copy sequences, and nothing is appended before it ends.
   AND NOT sierra_internal.is_subscribed(%1$L)
$check$]
$$;
COMMENT ON FUNCTION sierra_internal.verify_positions() IS
    'returns the queries of everify() for global positions';

CREATE FUNCTION sierra_internal.verify_keys() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY[
-- A stream has one partition key and one partition.
$check$
SELECT 'stream partition', min(e.partition_id), NULL, e.stream_id, NULL, NULL,
       format('the stream has %%s partition keys in partitions %%s',
              count(DISTINCT e.partition_key),
              string_agg(DISTINCT e.partition_id::text, ', '))
  FROM event AS e
 GROUP BY e.stream_id
HAVING count(DISTINCT e.partition_id) > 1 OR count(DISTINCT e.partition_key) > 1
$check$,
-- An event is in the partition that its key leads to.
$check$
SELECT 'routing', e.partition_id, e.partition_sequence, e.stream_id, e.stream_version, e.event_id,
       format('key %%s leads to partition %%s', e.partition_key,
              @extschema@.sierra_partition_id(e.partition_key, %2$s))
  FROM event AS e
 WHERE e.partition_id <> @extschema@.sierra_partition_id(e.partition_key, %2$s)
$check$,
-- A key that is not that of the stream's name is registered, or reads would not find the stream.
$check$
SELECT 'stream key', e.partition_id, NULL, e.stream_id, NULL, NULL,
       format('key %%s is not that of the name and not registered', e.partition_key)
  FROM (SELECT DISTINCT partition_id, stream_id, partition_key FROM event) AS e
 WHERE e.partition_key <> @extschema@.sierra_stream_key(e.stream_id)
   AND NOT EXISTS (SELECT FROM %1$I.stream_keys AS k
                    WHERE k.stream_id = e.stream_id AND k.partition_key = e.partition_key)
$check$,
-- What is registered is the key of a stream.
$check$
SELECT 'stream key', NULL, NULL, k.stream_id, NULL, NULL,
       format('key %%s is registered, but the stream has no event under it', k.partition_key)
  FROM %1$I.stream_keys AS k
 WHERE NOT EXISTS (SELECT FROM event AS e
                    WHERE e.stream_id = k.stream_id AND e.partition_key = k.partition_key)
$check$]
$$;
COMMENT ON FUNCTION sierra_internal.verify_keys() IS
    'returns the queries of everify() for partition keys';

CREATE FUNCTION sierra_internal.verify_event_ids() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY[
-- No two events have the same id.
$check$
SELECT 'event id twice', min(e.partition_id), NULL, NULL, NULL, e.event_id,
       format('the id occurs in partitions %%s',
              string_agg(e.partition_id::text, ', ' ORDER BY e.partition_id))
  FROM event AS e
 GROUP BY e.event_id
HAVING count(*) > 1
$check$,
-- An id that does not lead to its partition is registered, or eget() would not find the event.
$check$
SELECT 'event id', e.partition_id, e.partition_sequence, e.stream_id, e.stream_version, e.event_id,
       'the id does not lead to its partition and is not registered'
  FROM event AS e
 WHERE e.partition_id <> @extschema@.sierra_partition_id(e.event_id, %2$s)
   AND NOT EXISTS (SELECT FROM %1$I.event_ids AS i
                    WHERE i.event_id = e.event_id AND i.partition_id = e.partition_id)
$check$,
-- What is registered is the id of an event.
$check$
SELECT 'event id', i.partition_id, NULL, NULL, NULL, i.event_id,
       'the id is registered, but there is no such event in the partition'
  FROM %1$I.event_ids AS i
 WHERE NOT EXISTS (SELECT FROM event AS e
                    WHERE e.event_id = i.event_id AND e.partition_id = i.partition_id)
$check$]
$$;
COMMENT ON FUNCTION sierra_internal.verify_event_ids() IS
    'returns the queries of everify() for event ids';

CREATE FUNCTION sierra_internal.verify_bounds() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY[
-- Names, times and payloads are what an append accepts.
$check$
SELECT 'bounds', e.partition_id, e.partition_sequence, e.stream_id, e.stream_version, e.event_id,
       'a name is empty, too long or has control characters, the time is infinite, there are two'
       ' payloads, or the tags are not valid'
  FROM event AS e
 WHERE NOT e.within_bounds
$check$]
$$;
COMMENT ON FUNCTION sierra_internal.verify_bounds() IS
    'returns the query of everify() for the contents of events';

CREATE FUNCTION sierra_internal.are_tags(tags text[]) RETURNS boolean
    LANGUAGE c IMMUTABLE
    AS 'MODULE_PATHNAME', 'sierra_are_tags';
COMMENT ON FUNCTION sierra_internal.are_tags(text[]) IS
    'returns whether these are tags as an append stores them, or NULL';

CREATE FUNCTION sierra_internal.verify_event_tags() RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT ARRAY[
-- A tag has its row in event_tags, or queries and append conditions would not find the event.
$check$
SELECT 'event tag', e.partition_id, e.partition_sequence, e.stream_id, e.stream_version, e.event_id,
       format('tag "%%s" has no row in table "event_tags"', t.tag)
  FROM event AS e
 CROSS JOIN LATERAL unnest(e.tags) AS t (tag)
 WHERE NOT EXISTS (SELECT FROM %1$I.event_tags AS r
                    WHERE r.tag = t.tag AND r.global_position = e.global_position
                      AND r.partition_id = e.partition_id
                      AND r.partition_sequence = e.partition_sequence)
$check$,
-- A row in event_tags is that of a tag of an event.
$check$
SELECT 'event tag', r.partition_id, r.partition_sequence, NULL, NULL, NULL,
       format('table "event_tags" has tag "%%s" at position %%s, but there is no such event', r.tag,
              r.global_position)
  FROM %1$I.event_tags AS r
 WHERE NOT EXISTS (SELECT FROM event AS e
                    WHERE e.partition_id = r.partition_id
                      AND e.partition_sequence = r.partition_sequence
                      AND e.global_position = r.global_position AND r.tag = ANY (e.tags))
$check$]
$$;
COMMENT ON FUNCTION sierra_internal.verify_event_tags() IS
    'returns the queries of everify() for tags';

-- One statement, so that all checks see the same events.
CREATE FUNCTION sierra_internal.verify_query(store name, partitions integer) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(sierra_internal.verify_events()
                  || array_to_string(sierra_internal.verify_numbers() || sierra_internal.verify_positions()
                                     || sierra_internal.verify_keys() || sierra_internal.verify_event_ids()
                                     || sierra_internal.verify_event_tags()
                                     || sierra_internal.verify_bounds(), 'UNION ALL'),
                  store, partitions)
$$;
COMMENT ON FUNCTION sierra_internal.verify_query(name, integer) IS
    'returns the query that everify() runs over the events of a store';

CREATE FUNCTION sierra_internal.everify_body(store name) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    -- The tables are what counts: a damaged index must not hide a row.
    SET enable_indexscan = off
    SET enable_indexonlyscan = off
    SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.find_store(store);
    parent constant regclass := to_regclass(format('%I.events', wanted));
    partitions integer;
    events bigint;
    unreadable text;
BEGIN
    IF row_security_active(parent) THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('cannot check store "%s" under row-level security', wanted),
            DETAIL = 'Rows that a policy hides would look like gaps.',
            HINT = 'Run everify() as the owner of the store.';
    END IF;
    -- Without this, the error would show the whole query below.
    SELECT string_agg(r.relation::text, ', ' ORDER BY r.number) INTO unreadable
      FROM (SELECT n.number, to_regclass(format('%I.%I', wanted, n.name)) AS relation
              FROM unnest(ARRAY['events', 'stream_keys', 'event_ids', 'event_tags',
                                'global_position']) WITH ORDINALITY AS n (name, number)) AS r
     WHERE NOT has_table_privilege(r.relation, 'SELECT');
    IF unreadable IS NOT NULL THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('permission denied to check store "%s"', wanted),
            DETAIL = format('Role "%s" lacks SELECT on: %s.', current_user, unreadable),
            HINT = 'Run everify() as the owner of the store, or let the owner grant these rights.';
    END IF;
    partitions := coalesce(sierra_internal.partition_count(wanted),
                           (SELECT count(*)::integer FROM pg_inherits WHERE inhparent = parent));
    BEGIN
        SELECT n.events INTO events FROM sierra_internal.store_numbers(wanted) AS n;
    EXCEPTION WHEN OTHERS THEN
        -- What is damaged is found below; here it only means that the total is not known.
        IF SQLSTATE LIKE '40%' THEN
            RAISE;
        END IF;
    END;
    PERFORM sierra_internal.begin_progress('everify', wanted, NULL, 'structure');
    RETURN QUERY SELECT s.problem, NULL::integer, NULL::bigint, NULL::text, NULL::bigint,
                        NULL::uuid, s.detail
                   FROM sierra_internal.verify_structure(wanted) AS s;
    -- The events are read first, once.  After the last one they are compared.
    PERFORM sierra_internal.progress_phase('events', events);
    RETURN QUERY EXECUTE sierra_internal.verify_query(wanted, partitions);
    PERFORM sierra_internal.end_progress();
END
$$;
COMMENT ON FUNCTION sierra_internal.everify_body(name) IS
    'does what everify() does, as the current user';

CREATE FUNCTION everify(store name DEFAULT NULL)
    RETURNS TABLE (problem text, partition_id integer, partition_sequence bigint, stream_id text,
                   stream_version bigint, event_id uuid, detail text)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show_contents';
COMMENT ON FUNCTION everify(name) IS
    'checks a store (default: sierra_es.store) and returns a row for each violation of an invariant';
