-- moving.sql
--     Moves the events of another event store, which PostgreSQL can read as a table,
--     into an event store of sierra_es.  See docs/moving.md.
--
-- usage: psql -d shop -f clients/moving/moving.sql
--
-- All functions are in the schema sierra_moving.  When everything is moved, drop it:
-- DROP SCHEMA sierra_moving CASCADE.  The events do not depend on it.
--
-- A source is a view with these columns:
--   position        bigint       the number in the whole source; 1 or more, in the order of events
--   stream_id       text
--   stream_version  bigint       0, 1, 2, ... in each stream; NULL if not known: then it follows
--   event_id        uuid
--   event_name      text
--   timestamp       timestamptz  NULL if not known: then the time of the move is stored
--   metadata        json         an object, or NULL
--   payload         json
--   payload_bytes   bytea        an event has payload or payload_bytes, not both
--   tags            text[]
-- Column position must be a bare column of a table with an index on it: batches are found by it.

\set ON_ERROR_STOP on
BEGIN;

CREATE SCHEMA IF NOT EXISTS sierra_moving;
COMMENT ON SCHEMA sierra_moving IS 'moves events into an event store; drop it when all are moved';

-- What those functions below find by name that call functions of the extension.  Operators of other
-- roles in the schema of the extension must not fit better than those of the server: all operands
-- have the types of an operator of the server.
DO $$
DECLARE
    extension_schema name;
BEGIN
    SELECT extnamespace::regnamespace INTO extension_schema FROM pg_extension WHERE extname = 'sierra_es';
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = 'extension "sierra_es" is not installed',
            HINT = 'Use CREATE EXTENSION sierra_es first.';
    END IF;
    PERFORM set_config('search_path', format('pg_catalog, %I, pg_temp', extension_schema), true);
END
$$;

-- ---------------------------------------------------------------------------
-- A source in another database
-- ---------------------------------------------------------------------------

-- Makes a foreign table for a table of a server of postgres_fdw, and others for the views that show
-- its writers.
CREATE OR REPLACE FUNCTION sierra_moving.attach_source(server name, remote_schema name, remote_table name)
RETURNS regclass
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    attached regclass;
BEGIN
    -- Writers can be seen at one server only.
    IF EXISTS (SELECT FROM pg_foreign_table AS f JOIN pg_foreign_server AS s ON s.oid = f.ftserver
                WHERE f.ftrelid = to_regclass('sierra_moving.source_locks') AND s.srvname <> server) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'sources of another server are attached',
            HINT = 'Use DROP SCHEMA sierra_moving CASCADE, and load the scripts again.';
    END IF;
    EXECUTE format('IMPORT FOREIGN SCHEMA %I LIMIT TO (%I) FROM SERVER %I INTO sierra_moving',
                   remote_schema, remote_table, server);
    attached := to_regclass(format('sierra_moving.%I', remote_table));
    IF attached IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_table',
            MESSAGE = format('server "%s" has no table "%s" in schema "%s"', server, remote_table, remote_schema);
    END IF;
    -- The server knows its indexes, and how many rows there are.
    EXECUTE format('ALTER FOREIGN TABLE %s OPTIONS (ADD fetch_size ''1000'', ADD use_remote_estimate ''true'')', attached);

    EXECUTE format('CREATE FOREIGN TABLE IF NOT EXISTS sierra_moving.source_locks (locktype text, database oid, relation oid, '
                   'virtualtransaction text, mode text, granted boolean) '
                   'SERVER %I OPTIONS (schema_name ''pg_catalog'', table_name ''pg_locks'')', server);
    EXECUTE format('CREATE FOREIGN TABLE IF NOT EXISTS sierra_moving.source_classes (oid oid, relname name, relnamespace oid) '
                   'SERVER %I OPTIONS (schema_name ''pg_catalog'', table_name ''pg_class'')', server);
    EXECUTE format('CREATE FOREIGN TABLE IF NOT EXISTS sierra_moving.source_namespaces (oid oid, nspname name) '
                   'SERVER %I OPTIONS (schema_name ''pg_catalog'', table_name ''pg_namespace'')', server);
    EXECUTE format('CREATE FOREIGN TABLE IF NOT EXISTS sierra_moving.source_databases (oid oid, datname name) '
                   'SERVER %I OPTIONS (schema_name ''pg_catalog'', table_name ''pg_database'')', server);
    EXECUTE format('CREATE FOREIGN TABLE IF NOT EXISTS sierra_moving.source_catalog_name (catalog_name name) '
                   'SERVER %I OPTIONS (schema_name ''information_schema'', table_name ''information_schema_catalog_name'')',
                   server);
    RETURN attached;
END
$$;

-- ---------------------------------------------------------------------------
-- Sessions that write to a source
-- ---------------------------------------------------------------------------

-- The tables and foreign tables that a view reads.
CREATE OR REPLACE FUNCTION sierra_moving.tables_of(source regclass)
RETURNS TABLE (relation regclass, is_foreign boolean)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE used (relation) AS (
        SELECT source::oid
        UNION
        SELECT d.refobjid
          FROM used AS u
          JOIN pg_rewrite AS r ON r.ev_class = u.relation
          JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                             AND d.refclassid = 'pg_class'::regclass
    )
    SELECT c.oid::regclass, c.relkind = 'f'
      FROM used AS u
      JOIN pg_class AS c ON c.oid = u.relation
     WHERE c.relkind IN ('r', 'p', 'f')
$$;

-- The transactions that hold a lock with which rows are written.
CREATE OR REPLACE FUNCTION sierra_moving.writers_of(source regclass)
RETURNS text[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    modes CONSTANT text[] := '{RowExclusiveLock, ShareRowExclusiveLock, ExclusiveLock, AccessExclusiveLock}';
    here text[];
    there text[];
BEGIN
    SELECT array_agg(DISTINCT l.virtualtransaction) INTO here
      FROM pg_locks AS l
     WHERE l.locktype = 'relation' AND l.granted AND l.mode = ANY (modes)
       AND l.relation IN (SELECT relation FROM sierra_moving.tables_of(source) WHERE NOT is_foreign)
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND l.pid IS DISTINCT FROM pg_backend_pid();
    IF NOT EXISTS (SELECT FROM sierra_moving.tables_of(source) WHERE is_foreign) THEN
        RETURN coalesce(here, '{}');
    END IF;

    IF to_regclass('sierra_moving.source_locks') IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_table',
            MESSAGE = format('cannot see who writes to foreign table of source "%s"', source),
            HINT = 'Make the foreign table with sierra_moving.attach_source().';
    END IF;
    EXECUTE $query$
        SELECT array_agg(DISTINCT l.virtualtransaction)
          FROM sierra_moving.tables_of($1) AS t
          JOIN pg_foreign_table AS f ON f.ftrelid = t.relation
          JOIN sierra_moving.source_classes AS c
            ON c.relname = (SELECT option_value FROM pg_options_to_table(f.ftoptions) WHERE option_name = 'table_name')
          JOIN sierra_moving.source_namespaces AS n ON n.oid = c.relnamespace
           AND n.nspname = (SELECT option_value FROM pg_options_to_table(f.ftoptions) WHERE option_name = 'schema_name')
          JOIN sierra_moving.source_locks AS l ON l.relation = c.oid
         WHERE l.locktype = 'relation' AND l.granted AND l.mode = ANY ($2)
           AND l.database = (SELECT d.oid FROM sierra_moving.source_databases AS d
                               JOIN sierra_moving.source_catalog_name AS s ON s.catalog_name = d.datname)
    $query$ INTO there USING source, modes;
    RETURN coalesce(here, '{}') || coalesce(there, '{}');
END
$$;

-- Waits until every transaction that writes to the source now has ended.  A number is taken before
-- the row that has it can be seen: after this wait, all rows up to a number that was seen before
-- can be seen, or never come.
CREATE OR REPLACE PROCEDURE sierra_moving.wait_for_writers(source regclass, one_transaction boolean)
LANGUAGE plpgsql
AS $$
DECLARE
    waiting_for text[] := sierra_moving.writers_of(source);
BEGIN
    LOOP
        -- The next statement of a foreign server, too, must see what was committed meanwhile.
        IF NOT one_transaction THEN
            COMMIT;
        END IF;
        EXIT WHEN pg_catalog.cardinality(waiting_for) = 0;
        PERFORM pg_catalog.pg_sleep(0.02);
        waiting_for := ARRAY(SELECT pg_catalog.unnest(waiting_for)
                             INTERSECT SELECT pg_catalog.unnest(sierra_moving.writers_of(source)));
    END LOOP;
END
$$;

-- ---------------------------------------------------------------------------
-- Moving
-- ---------------------------------------------------------------------------

-- The number in the source of the last event that was moved, 0 if none was.  The store itself says
-- it, so that there is nothing else that a crash could leave behind.
CREATE OR REPLACE FUNCTION sierra_moving.last_moved(source regclass, store name)
RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET sierra_es.store = 'es'
AS $$
DECLARE
    last record;
    moved uuid;
BEGIN
    PERFORM set_config('sierra_es.store', store, true);
    SELECT global_position, event_id INTO last FROM eall(backward => true, max_count => 1);
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT event_id FROM %s WHERE position = $1', source) INTO moved USING last.global_position + 1;
    IF moved IS DISTINCT FROM last.event_id THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = format('the last event of event store "%s" did not come from source "%s"', store, source),
            DETAIL = format('It is event %s at position %s.', last.event_id, last.global_position),
            HINT = 'Move into a new store, and let nothing else append to it before all events are moved.';
    END IF;
    RETURN last.global_position + 1;
END
$$;

-- The number of the last event of a batch, NULL if there are no more events.  A query for the bare
-- number reaches another server as a whole, with its LIMIT; one for events may not.
CREATE OR REPLACE FUNCTION sierra_moving.end_of_batch(source regclass, after bigint, up_to bigint, batch_size integer)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last bigint;
BEGIN
    EXECUTE format('SELECT max(position) FROM (SELECT position FROM %s WHERE position > $1 AND position <= $2 '
                   'ORDER BY position LIMIT $3) AS batch', source)
       INTO last USING after, up_to, batch_size;
    RETURN last;
END
$$;

-- Moves the next events, up to a number; returns how many.
CREATE OR REPLACE FUNCTION sierra_moving.move_batch(source regclass, store name, up_to bigint, batch_size integer)
RETURNS bigint
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET sierra_es.store = 'es'
SET sierra_es.metadata = ''
AS $$
DECLARE
    positions CONSTANT regclass := format('%I.global_position', store);
    last bigint;
    moved bigint := 0;
    other bigint;
    run record;
BEGIN
    PERFORM set_config('sierra_es.store', store, true);
    -- Nothing else may append before this batch is committed: positions are set below.
    EXECUTE format('LOCK TABLE %I.events IN SHARE ROW EXCLUSIVE MODE', store);
    last := sierra_moving.last_moved(source, store);

    -- A run is a part of the batch without gaps: one call gives it positions without gaps.
    FOR run IN EXECUTE format($query$
        SELECT min(position) AS first, count(*) AS events,
               array_agg(stream_id ORDER BY position) AS stream_ids,
               array_agg(event_name ORDER BY position) AS event_names,
               array_agg(payload ORDER BY position) AS payloads,
               array_agg(metadata ORDER BY position) AS metadatas,
               array_agg(CASE stream_version WHEN 0 THEN 'empty' ELSE coalesce((stream_version - 1)::text, 'any') END
                         ORDER BY position) AS expected_versions,
               array_agg(event_id ORDER BY position) AS event_ids,
               array_agg("timestamp" ORDER BY position) AS timestamps,
               array_agg(payload_bytes ORDER BY position) AS payload_bytes,
               array_agg(to_json(tags) ORDER BY position) AS tags
          FROM (SELECT *, position - row_number() OVER (ORDER BY position) AS run
                  FROM (SELECT * FROM %s WHERE position > $1 AND position <= $2) AS batch) AS numbered
         GROUP BY run
         ORDER BY 1
    $query$, source) USING last, sierra_moving.end_of_batch(source, last, up_to, batch_size)
    LOOP
        PERFORM setval(positions, run.first - 1, false);
        SELECT count(*) INTO other
          FROM emappend(NULL, stream_ids => run.stream_ids, event_names => run.event_names,
                        payloads => run.payloads, metadatas => run.metadatas,
                        expected_versions => run.expected_versions::expected_version[],
                        event_ids => run.event_ids, timestamps => run.timestamps,
                        payload_bytes => run.payload_bytes, tags => run.tags)
               WITH ORDINALITY AS appended
         WHERE appended.global_position <> run.first + appended.ordinality - 2;
        IF other > 0 THEN
            RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
                MESSAGE = format('event store "%s" did not give the positions of source "%s"', store, source),
                HINT = 'Move into a new store without triggers that append events.';
        END IF;
        moved := moved + run.events;
    END LOOP;
    RETURN moved;
END
$$;

-- Moves all events that the source has now, a transaction for each batch, and those that come
-- meanwhile, unless they come faster than they can be moved.  To continue, also after an
-- interruption, call it again.  With one_transaction the whole call is part of the caller's
-- transaction, for the last step of a move within a database.
CREATE OR REPLACE PROCEDURE sierra_moving.move(source regclass, store name, batch_size integer = 1000,
                                               one_transaction boolean = false)
LANGUAGE plpgsql
AS $$
DECLARE
    up_to bigint;
    moved bigint;
    moved_in_pass bigint;
    moved_in_last_pass bigint := 9223372036854775807;
    total bigint := 0;
BEGIN
    IF pg_catalog.current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = 'events are moved in isolation level READ COMMITTED only';
    END IF;
    IF batch_size < 1 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'batch_size must be 1 or more';
    END IF;
    IF one_transaction AND EXISTS (SELECT FROM sierra_moving.tables_of(source) WHERE is_foreign) THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
            MESSAGE = 'a source in another database cannot be moved in one transaction',
            DETAIL = 'The transaction would not see what is committed there after it began.';
    END IF;
    PERFORM sierra_internal.begin_progress('move', store, NULL, 'waiting for writers', keep => true);
    LOOP
        EXECUTE pg_catalog.format('SELECT position FROM %s ORDER BY position DESC LIMIT 1', source) INTO up_to;
        PERFORM sierra_internal.progress_phase('waiting for writers', NULL);
        CALL sierra_moving.wait_for_writers(source, one_transaction);
        PERFORM sierra_internal.progress_phase('moving events', up_to - sierra_moving.last_moved(source, store));
        moved_in_pass := 0;
        LOOP
            moved := sierra_moving.move_batch(source, store, up_to, batch_size);
            IF NOT one_transaction THEN
                COMMIT;
            END IF;
            PERFORM sierra_internal.add_progress(moved);
            moved_in_pass := moved_in_pass + moved;
            EXIT WHEN moved < batch_size;
        END LOOP;
        total := total + moved_in_pass;
        RAISE NOTICE 'moved % events, up to position % of the source', total, coalesce(up_to, 0);
        -- What was written meanwhile takes another pass, as long as each is much shorter than the last.
        EXIT WHEN moved_in_pass < batch_size OR moved_in_pass > moved_in_last_pass / 2;
        moved_in_last_pass := moved_in_pass;
    END LOOP;
    PERFORM sierra_internal.end_progress();
END
$$;

-- ---------------------------------------------------------------------------
-- Before and after
-- ---------------------------------------------------------------------------

-- What in the source a store cannot hold: a row for each kind of problem, none if all can be moved.
CREATE OR REPLACE FUNCTION sierra_moving.check_source(source regclass)
RETURNS TABLE (problem text, events bigint, first_position bigint, first_stream text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY EXECUTE format($query$
        WITH numbered AS (
            SELECT *, row_number() OVER (PARTITION BY stream_id ORDER BY position) - 1 AS place,
                   count(*) OVER (PARTITION BY event_id) AS same_id, count(*) OVER (PARTITION BY position) AS same_position
              FROM %s
        ), wrong AS (
            SELECT unnest(array_remove(ARRAY[
                       CASE WHEN position IS NULL OR position < 1 THEN 'position below 1' END,
                       CASE WHEN same_position > 1 THEN 'position more than once' END,
                       CASE WHEN stream_id IS NULL OR octet_length(stream_id) NOT BETWEEN 1 AND 255
                            THEN 'stream without name, or longer than 255 bytes' END,
                       CASE WHEN stream_id ~ '[\u0001-\u001f\u007f-\u009f]' THEN 'control character in stream name' END,
                       CASE WHEN stream_version <> place
                            THEN 'versions of the stream are not 0, 1, 2, ... in the order of positions' END,
                       CASE WHEN event_id IS NULL THEN 'event without id' END,
                       CASE WHEN event_id IS NOT NULL AND same_id > 1 THEN 'event id more than once' END,
                       CASE WHEN event_name IS NULL OR octet_length(event_name) NOT BETWEEN 1 AND 255
                            THEN 'event without name, or longer than 255 bytes' END,
                       CASE WHEN event_name ~ '[\u0001-\u001f\u007f-\u009f]' THEN 'control character in event name' END,
                       CASE WHEN NOT isfinite("timestamp") THEN 'infinite time' END,
                       CASE WHEN json_typeof(metadata) <> 'object' THEN 'metadata are not a JSON object' END,
                       CASE WHEN payload IS NOT NULL AND payload_bytes IS NOT NULL THEN 'two payloads' END,
                       CASE WHEN cardinality(tags) > 32 THEN 'more than 32 tags' END,
                       CASE WHEN EXISTS (SELECT FROM unnest(tags) AS tag
                                          WHERE tag IS NULL OR octet_length(tag) NOT BETWEEN 1 AND 255
                                             OR tag ~ '[\u0001-\u001f\u007f-\u009f]')
                            THEN 'tag without 1 to 255 bytes, or with a control character' END], NULL)) AS problem,
                   position, stream_id
              FROM numbered
        )
        SELECT problem, count(*), min(position), (array_agg(stream_id ORDER BY position))[1]
          FROM wrong
         GROUP BY problem
         ORDER BY min(position), problem
    $query$, source);
END
$$;

-- Compares the store with the source, up to the last event that was moved: how many events each
-- has, and the digests of all that they say.  What the source does not know, a version or a time,
-- is left out.  Equal digests mean equal events in the same order.
CREATE OR REPLACE FUNCTION sierra_moving.verify(source regclass, store name, batch_size integer = 10000)
RETURNS TABLE (same boolean, source_events bigint, store_events bigint, not_moved bigint, first_difference bigint,
               source_digest text, store_digest text)
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET sierra_es.store = 'es'
SET timezone = 'UTC'
AS $$
DECLARE
    last bigint;
    done bigint := 0;
    part_end bigint;
    part record;
BEGIN
    PERFORM set_config('sierra_es.store', store, true);
    PERFORM sierra_internal.begin_progress('verify', store, NULL, 'starting');
    last := sierra_moving.last_moved(source, store);
    PERFORM sierra_internal.progress_phase('comparing events', last);
    source_events := 0;
    store_events := 0;
    source_digest := md5('');
    store_digest := source_digest;
    WHILE done < last LOOP
        part_end := coalesce(sierra_moving.end_of_batch(source, done, last, batch_size), last);
        EXECUTE format($query$
            WITH old AS MATERIALIZED (
                SELECT * FROM %s WHERE position > $1 AND position <= $2
            ), fresh AS (
                SELECT *, global_position + 1 AS position
                  FROM equery(NULL, after_position => $1 - 1, to_position => $2 - 1)
            ), compared AS (
                SELECT o.position AS old_position, n.position AS fresh_position, coalesce(o.position, n.position) AS position,
                       CASE WHEN o.position IS NOT NULL
                            THEN ROW(o.position, o.stream_id, o.stream_version, o.event_id, o.event_name, o."timestamp",
                                     o.metadata::text, o.payload::text, o.payload_bytes, o.tags)::text END AS old,
                       CASE WHEN n.position IS NOT NULL
                            THEN ROW(n.position, n.stream_id,
                                     CASE WHEN o.stream_version IS NOT NULL THEN n.stream_version END,
                                     n.event_id, n.event_name,
                                     CASE WHEN o."timestamp" IS NOT NULL THEN n."timestamp" END,
                                     n.metadata::text, n.payload::text, n.payload_bytes, n.tags)::text END AS fresh
                  FROM old AS o
                  FULL JOIN fresh AS n ON n.position = o.position
            )
            SELECT count(old_position) AS source_events, count(fresh_position) AS store_events,
                   min(position) FILTER (WHERE old IS DISTINCT FROM fresh) AS difference,
                   coalesce(string_agg(md5(old), '' ORDER BY position), '') AS source_digests,
                   coalesce(string_agg(md5(fresh), '' ORDER BY position), '') AS store_digests
              FROM compared
        $query$, source) INTO part USING done, part_end;

        source_events := source_events + part.source_events;
        store_events := store_events + part.store_events;
        source_digest := md5(source_digest || part.source_digests);
        store_digest := md5(store_digest || part.store_digests);
        first_difference := coalesce(first_difference, part.difference);
        PERFORM sierra_internal.add_progress(part_end - done);
        done := part_end;
    END LOOP;
    EXECUTE format('SELECT count(*) FROM %s WHERE position > $1', source) INTO not_moved USING last;
    PERFORM sierra_internal.end_progress();
    same := source_digest = store_digest AND source_events = store_events;
    RETURN NEXT;
END
$$;

COMMIT;
