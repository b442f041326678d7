-- ---------------------------------------------------------------------------
-- The interface of message-db 1.3: schema message_store with its functions, types and
-- views, over the store message_store.
--
-- The functions, types and views belong to this extension, the store does not: so a dump
-- contains it, and DROP EXTENSION leaves it where it is.  That is why no object here depends
-- on a table of the store: when a dump is restored, the extension is created before the tables.
-- ---------------------------------------------------------------------------

\echo Use "CREATE EXTENSION sierra_message_store" to load this file. \quit

-- Bodies of functions name tables that a dump restores later.
SET LOCAL check_function_bodies = off;

-- This script runs as a superuser.  Functions and operators that others have made in the schema
-- of an extension, or in message_store, must not take the place of those that it means.
SET LOCAL search_path = pg_catalog, pg_temp;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'message_store') THEN
        CREATE ROLE message_store LOGIN;
    END IF;
END
$$;

-- The store.  If the schema exists, the store is in it, or a dump that is being restored
-- will make it.
DO $$
DECLARE
    extension constant oid := (SELECT e.oid FROM pg_extension AS e WHERE e.extname = 'sierra_message_store');
    core constant name := (SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
                            WHERE e.extname = 'sierra_es');
    member record;
BEGIN
    IF to_regnamespace('message_store') IS NULL THEN
        EXECUTE format('SELECT %I.create_event_store(''message_store''::name, 8)', core);
    ELSIF sierra_internal.is_store('message_store') THEN
        -- What is taken out again below loses the privileges that would count as those of the
        -- extension, and so would not be dumped.
        ALTER EXTENSION sierra_message_store ADD SCHEMA message_store;
        ALTER EXTENSION sierra_message_store ADD TABLE message_store.events;
    ELSE
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM sierra_internal.category_indexes('message_store') AS c
                    WHERE c.relation = 'message_store.events'::regclass) THEN
        EXECUTE format('SELECT %I.create_category_index(''message_store''::name)', core);
    END IF;
    -- By this index, view messages is read in the order of global_position.
    IF to_regclass('message_store.events_message_position') IS NULL THEN
        CREATE INDEX events_message_position ON message_store.events ((global_position + 1));
        COMMENT ON INDEX message_store.events_message_position IS
            'finds messages by their global_position: the view messages uses it';
    END IF;
    GRANT USAGE ON SCHEMA message_store TO message_store;
    GRANT SELECT, INSERT ON message_store.events TO message_store;
    FOR member IN
        SELECT o.type, o.identity
          FROM pg_depend AS d
         CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, d.objsubid) AS o
         WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = extension AND d.deptype = 'e'
           -- Since PostgreSQL 17, the row type of a table is a member too, and goes with the table.
           AND d.classid <> 'pg_type'::regclass
    LOOP
        EXECUTE format('ALTER EXTENSION sierra_message_store DROP %s %s', member.type, member.identity);
    END LOOP;
END
$$;

-- ---------------------------------------------------------------------------
-- Names of streams.
-- ---------------------------------------------------------------------------

CREATE TYPE message_store.message AS (
    id varchar,
    stream_name varchar,
    type varchar,
    "position" bigint,
    global_position bigint,
    data varchar,
    metadata varchar,
    "time" timestamp
);
COMMENT ON TYPE message_store.message IS 'a message, as the functions that read return it';

CREATE FUNCTION message_store.category(stream_name varchar) RETURNS varchar
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$SELECT pg_catalog.split_part(stream_name, '-', 1)::pg_catalog.varchar$$;
COMMENT ON FUNCTION message_store.category(varchar) IS
    'returns the category of a stream: what comes before the first "-", or all of its name';

CREATE FUNCTION message_store.id(stream_name varchar) RETURNS varchar
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$SELECT CASE WHEN pg_catalog.strpos(stream_name, '-') OPERATOR(pg_catalog.<>) 0
                     THEN pg_catalog.substr(stream_name, pg_catalog.strpos(stream_name, '-') OPERATOR(pg_catalog.+) 1) END$$;
COMMENT ON FUNCTION message_store.id(varchar) IS
    'returns the id of a stream: what comes after the first "-", or null for a category';

CREATE FUNCTION message_store.cardinal_id(stream_name varchar) RETURNS varchar
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$SELECT pg_catalog.split_part(message_store.id(stream_name), '+', 1)$$;
COMMENT ON FUNCTION message_store.cardinal_id(varchar) IS
    'returns the id of a stream up to its first "+", or null for a category';

CREATE FUNCTION message_store.is_category(stream_name varchar) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$SELECT coalesce(pg_catalog.strpos(stream_name, '-') OPERATOR(pg_catalog.=) 0, true)$$;
COMMENT ON FUNCTION message_store.is_category(varchar) IS
    'returns whether the name of a stream is that of a category: it has no "-"';

CREATE FUNCTION message_store.hash_64(value varchar) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$SELECT ('x' OPERATOR(pg_catalog.||) pg_catalog.left(pg_catalog.md5(value), 16))::pg_catalog.bit(64)::pg_catalog.int8$$;
COMMENT ON FUNCTION message_store.hash_64(varchar) IS
    'returns the first 64 bits of an MD5 sum, as a signed number';

CREATE FUNCTION message_store.acquire_lock(stream_name varchar) RETURNS bigint
    LANGUAGE sql
    AS $$SELECT h.hash FROM (SELECT message_store.hash_64(message_store.category(stream_name)) AS hash OFFSET 0) AS h
          WHERE h.hash IS NULL OR pg_catalog.pg_advisory_xact_lock(h.hash) IS NOT NULL$$;
COMMENT ON FUNCTION message_store.acquire_lock(varchar) IS
    'takes an advisory lock for the category of a stream; write_message() does not need it here';

CREATE FUNCTION message_store.message_store_version() RETURNS varchar
    LANGUAGE sql
    AS $$SELECT '1.3.0'::pg_catalog.varchar$$;
COMMENT ON FUNCTION message_store.message_store_version() IS
    'returns the version of message-db whose interface this is';

-- ---------------------------------------------------------------------------
-- Writing and reading.
-- ---------------------------------------------------------------------------

CREATE FUNCTION message_store.write_message(id varchar,
                                            stream_name varchar,
                                            "type" varchar,
                                            data jsonb,
                                            metadata jsonb DEFAULT NULL,
                                            expected_version bigint DEFAULT NULL)
    RETURNS bigint
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_message_write';
COMMENT ON FUNCTION message_store.write_message(varchar, varchar, varchar, jsonb, jsonb, bigint) IS
    'writes a message and returns its position in its stream';

CREATE FUNCTION message_store.stream_version(stream_name varchar) RETURNS bigint
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_message_version';
COMMENT ON FUNCTION message_store.stream_version(varchar) IS
    'returns the position of the last message of a stream, or null if it has none';

CREATE FUNCTION message_store.get_stream_messages(stream_name varchar,
                                                  "position" bigint DEFAULT 0,
                                                  batch_size bigint DEFAULT 1000,
                                                  condition varchar DEFAULT NULL)
    RETURNS SETOF message_store.message
    LANGUAGE c ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_message_get_stream';
COMMENT ON FUNCTION message_store.get_stream_messages(varchar, bigint, bigint, varchar) IS
    'returns messages of a stream by position';

CREATE FUNCTION message_store.get_category_messages(category varchar,
                                                    "position" bigint DEFAULT 1,
                                                    batch_size bigint DEFAULT 1000,
                                                    correlation varchar DEFAULT NULL,
                                                    consumer_group_member bigint DEFAULT NULL,
                                                    consumer_group_size bigint DEFAULT NULL,
                                                    condition varchar DEFAULT NULL)
    RETURNS SETOF message_store.message
    LANGUAGE c ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_message_get_category';
COMMENT ON FUNCTION message_store.get_category_messages(varchar, bigint, bigint, varchar, bigint, bigint, varchar) IS
    'returns messages of a category by global position, and never skips a committed one';

CREATE FUNCTION message_store.get_last_stream_message(stream_name varchar, "type" varchar DEFAULT NULL)
    RETURNS SETOF message_store.message
    LANGUAGE c ROWS 1
    AS 'MODULE_PATHNAME', 'sierra_message_get_last';
COMMENT ON FUNCTION message_store.get_last_stream_message(varchar, varchar) IS
    'returns the last message of a stream, or its last message of a type, if there is one';

-- message-db does not have it: there, one reads the table messages.
CREATE FUNCTION message_store.get_all_messages("position" bigint DEFAULT 1, batch_size bigint DEFAULT 1000)
    RETURNS SETOF message_store.message
    LANGUAGE c ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_message_get_all';
COMMENT ON FUNCTION message_store.get_all_messages(bigint, bigint) IS
    'returns messages of all categories by global position, and never skips a committed one';

-- Reads page after page until the batch is full.  A condition sees the columns of a relation
-- "messages" with those types that the table of message-db has.  It means what it means in the
-- search_path of the caller, so all other names are qualified here.
CREATE FUNCTION message_store.sierra_filter(of_category boolean,
                                            name varchar,
                                            start bigint,
                                            batch_size bigint,
                                            correlation varchar,
                                            member bigint,
                                            size bigint,
                                            condition varchar)
    RETURNS SETOF message_store.message
    LANGUAGE plpgsql
AS $filter$
#variable_conflict use_variable
DECLARE
    page_size constant pg_catalog.int8 := 1000;
    -- Not format(), which would take each % of the condition for its own.
    command constant pg_catalog.text := '
        SELECT (sierra_message).*
          FROM (SELECT m AS sierra_message FROM pg_catalog.unnest($1) AS m) AS sierra_messages
         CROSS JOIN LATERAL
               (SELECT (sierra_message).global_position AS global_position,
                       (sierra_message)."position" AS "position",
                       (sierra_message)."time" AS "time",
                       (sierra_message).stream_name::pg_catalog.text AS stream_name,
                       (sierra_message).type::pg_catalog.text AS type,
                       (sierra_message).data::pg_catalog.jsonb AS data,
                       (sierra_message).metadata::pg_catalog.jsonb AS metadata,
                       (sierra_message).id::pg_catalog.uuid AS id) AS messages
         WHERE true AND (' OPERATOR(pg_catalog.||) condition OPERATOR(pg_catalog.||) ')
         ORDER BY (sierra_message).global_position
         LIMIT $2';
    wanted pg_catalog.int8 := CASE WHEN batch_size OPERATOR(pg_catalog.<>) -1 THEN batch_size END;
    page message_store.message[];
    found pg_catalog.int8;
BEGIN
    LOOP
        IF of_category THEN
            page := ARRAY(SELECT m FROM message_store.get_category_messages(
                name, start, page_size, correlation, member, size, NULL::pg_catalog.varchar) AS m);
        ELSE
            page := ARRAY(SELECT m FROM message_store.get_stream_messages(
                name, start, page_size, NULL::pg_catalog.varchar) AS m);
        END IF;
        RETURN QUERY EXECUTE command USING page, wanted;
        GET DIAGNOSTICS found = ROW_COUNT;
        wanted := wanted OPERATOR(pg_catalog.-) found;
        EXIT WHEN wanted OPERATOR(pg_catalog.<=) 0 OR pg_catalog.cardinality(page) OPERATOR(pg_catalog.<) page_size;
        start := 1 OPERATOR(pg_catalog.+) CASE WHEN of_category THEN page[page_size].global_position ELSE page[page_size]."position" END;
    END LOOP;
END
$filter$;
COMMENT ON FUNCTION message_store.sierra_filter(boolean, varchar, bigint, bigint, varchar, bigint, bigint, varchar) IS
    'returns messages of a stream or a category for which an SQL condition holds';

-- ---------------------------------------------------------------------------
-- What is a table in message-db, and its summaries.
-- ---------------------------------------------------------------------------

CREATE FUNCTION message_store.sierra_head() RETURNS bigint
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_message_head';
COMMENT ON FUNCTION message_store.sierra_head() IS
    'returns the highest global position of a message that can be read now without skipping one';

-- Only columns of a composite type can have a collation.  With that of the table, conditions
-- on stream_name find its index.
CREATE TYPE message_store.sierra_message_row AS (
    global_position bigint,
    "position" bigint,
    "time" timestamp,
    stream_name text COLLATE "C",
    type text COLLATE "C",
    data jsonb,
    metadata jsonb,
    id uuid
);
COMMENT ON TYPE message_store.sierra_message_row IS 'a row of the view messages';

-- The planner replaces a call by the body, so conditions on the view find the indexes of the table.
CREATE FUNCTION message_store.sierra_messages() RETURNS SETOF message_store.sierra_message_row
    LANGUAGE sql STABLE ROWS 1000000
AS $$
    SELECT e.global_position OPERATOR(pg_catalog.+) 1, e.stream_version,
           pg_catalog.timezone('UTC', e."timestamp"), e.stream_id, e.event_name,
           e.payload::pg_catalog.jsonb, e.metadata::pg_catalog.jsonb, e.event_id
      FROM message_store.events AS e
     WHERE e.global_position OPERATOR(pg_catalog.+) 1 OPERATOR(pg_catalog.<=) (SELECT message_store.sierra_head())
$$;
COMMENT ON FUNCTION message_store.sierra_messages() IS
    'returns all messages up to the position that can be read now without skipping one';

CREATE VIEW message_store.messages AS SELECT * FROM message_store.sierra_messages();
COMMENT ON VIEW message_store.messages IS
    'all messages, up to the global position that can be read now without skipping one';

-- Counts of groups of messages, and their share of all messages.
CREATE VIEW message_store.stream_summary AS
    SELECT c.stream_name, c.message_count, round(c.message_count / sum(c.message_count) OVER () * 100, 2) AS percent
      FROM (SELECT stream_name, count(id) AS message_count FROM message_store.messages GROUP BY stream_name) AS c
     ORDER BY c.stream_name;

CREATE VIEW message_store.type_summary AS
    SELECT c.type, c.message_count, round(c.message_count / sum(c.message_count) OVER () * 100, 2) AS percent
      FROM (SELECT type, count(id) AS message_count FROM message_store.messages GROUP BY type) AS c
     ORDER BY c.type;

CREATE VIEW message_store.stream_type_summary AS
    SELECT c.stream_name, c.type, c.message_count,
           round(c.message_count / sum(c.message_count) OVER () * 100, 2) AS percent
      FROM (SELECT stream_name, type, count(id) AS message_count
              FROM message_store.messages GROUP BY stream_name, type) AS c
     ORDER BY c.stream_name, c.type;

CREATE VIEW message_store.type_stream_summary AS
    SELECT s.type, s.stream_name, s.message_count, s.percent
      FROM message_store.stream_type_summary AS s
     ORDER BY s.type, s.stream_name;

CREATE VIEW message_store.category_type_summary AS
    SELECT c.category, c.type, c.message_count,
           round(c.message_count / sum(c.message_count) OVER () * 100, 2) AS percent
      FROM (SELECT message_store.category(stream_name::varchar) AS category, type, count(id) AS message_count
              FROM message_store.messages GROUP BY 1, type) AS c
     ORDER BY c.category, c.type;

CREATE VIEW message_store.type_category_summary AS
    SELECT s.type, s.category, s.message_count, s.percent
      FROM message_store.category_type_summary AS s
     ORDER BY s.type, s.category;

COMMENT ON VIEW message_store.stream_summary IS 'the number of messages of each stream';
COMMENT ON VIEW message_store.type_summary IS 'the number of messages of each type';
COMMENT ON VIEW message_store.stream_type_summary IS 'the number of messages of each stream and type';
COMMENT ON VIEW message_store.type_stream_summary IS 'the number of messages of each type and stream';
COMMENT ON VIEW message_store.category_type_summary IS 'the number of messages of each category and type';
COMMENT ON VIEW message_store.type_category_summary IS 'the number of messages of each type and category';

GRANT SELECT ON message_store.messages, message_store.stream_summary, message_store.type_summary,
    message_store.stream_type_summary, message_store.type_stream_summary, message_store.category_type_summary,
    message_store.type_category_summary TO message_store;
