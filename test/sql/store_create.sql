-- create_event_store(): which stores can be made, and what is in them
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET client_min_messages = warning;

-- the defaults: store es with 32 partitions
SELECT create_event_store();
SELECT c.relname, c.relkind
  FROM pg_class AS c
 WHERE c.relnamespace = 'es'::regnamespace AND c.relkind IN ('p', 'r', 'S')
   AND c.relname !~ '^events_\d+$'
 ORDER BY c.relname;
SELECT count(*) AS partitions, min(substr(relname, 8)::int), max(substr(relname, 8)::int)
  FROM pg_class WHERE relnamespace = 'es'::regnamespace AND relkind = 'r' AND relname ~ '^events_\d+$';

-- The columns are in the order of the engine's header; fixed-width ones first.
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull,
       CASE attcollation WHEN 0 THEN '' ELSE attcollation::regcollation::text END AS collation
  FROM pg_attribute
 WHERE attrelid = 'es.events'::regclass AND attnum > 0 AND NOT attisdropped
 ORDER BY attnum;

-- Three unique indexes in each partition, no more, and the right settings.
SELECT pg_get_constraintdef(oid) AS definition, count(*)
  FROM pg_constraint
 WHERE connamespace = 'es'::regnamespace AND contype IN ('p', 'u')
 GROUP BY 1 ORDER BY 2 DESC, 1;
SELECT count(*) AS indexes, count(*) FILTER (WHERE NOT indisunique) AS not_unique
  FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
 WHERE relnamespace = 'es'::regnamespace AND relname ~ '^events_\d+$';
SELECT DISTINCT (SELECT array_agg(o ORDER BY o) FROM unnest(reloptions) AS o) AS settings
  FROM pg_class WHERE relnamespace = 'es'::regnamespace AND relname ~ '^events_\d+$';

-- A companion table without a unique index would accept two rows.
SELECT conrelid::regclass AS companion, pg_get_constraintdef(oid) AS definition
  FROM pg_constraint
 WHERE conrelid IN ('es.stream_keys'::regclass, 'es.event_ids'::regclass) AND contype = 'p'
 ORDER BY conrelid::regclass::text;

-- Each table of the store is guarded.
SELECT count(*) AS guarded, min(tgenabled::text), max(tgenabled::text)
  FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
 WHERE relnamespace = 'es'::regnamespace AND tgfoid = 'sierra_internal.guard_events'::regproc;

-- The tables are the user's, not the extension's: dumps include them.
SELECT count(*) AS members
  FROM pg_depend
 WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
   AND objid IN (SELECT oid FROM pg_class WHERE relnamespace = 'es'::regnamespace);

SELECT obj_description('es'::regnamespace) AS schema, obj_description('es.events'::regclass) AS events;
SELECT count(*) FROM pg_class
 WHERE relnamespace = 'es'::regnamespace AND obj_description(oid) IS NULL
   AND relname IN ('events', 'stream_keys', 'event_ids', 'global_position');

-- created twice
SELECT create_event_store();
:sqlstate

-- Names that need quoting; several stores in one database do not mix.
SELECT create_event_store('Order "Book" ''24', 3);
SELECT create_event_store('select', partitions => 1);
SELECT create_event_store(partitions => 2, name => 'größe');
SELECT store, partitions, events FROM event_stores();
SET sierra_es.store = 'Order "Book" ''24';
SELECT partition_id, stream_version, global_position FROM eappend('a', 'Added', '{"n": 1}');
SET sierra_es.store = 'select';
SELECT partition_id, stream_version, global_position FROM eappend('a', 'Added', '{"n": 2}');
SELECT partition_id, stream_version, global_position FROM eappend('b', 'Added', '{"n": 3}');
SET sierra_es.store = 'größe';
SELECT partition_id, stream_version, global_position FROM eappend('a', 'Added', '{"n": 4}');
SELECT stream_id, stream_version, payload FROM eall();
RESET sierra_es.store;
SELECT count(*) FROM eall();
SELECT payload FROM "Order ""Book"" '24".events;
SELECT store, partitions, events, last_position FROM event_stores();
-- the length limit of a name is PostgreSQL's
SELECT create_event_store(repeat('n', 63)::name, 1);
SELECT count(*) FROM everify(repeat('n', 63)::name);

-- A schema that exists already must be empty; default privileges for it do not count.
CREATE SCHEMA shop;
ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO PUBLIC;
SELECT create_event_store('shop', 1);
SELECT partitions FROM event_stores() WHERE store = 'shop';
ALTER DEFAULT PRIVILEGES IN SCHEMA shop REVOKE SELECT ON TABLES FROM PUBLIC;
CREATE SCHEMA taken;
CREATE FUNCTION refusal(made text, dropped text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE made;
    BEGIN
        PERFORM create_event_store('taken', 1);
        RAISE 'the store was made beside %', made;
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
        IF to_regclass('taken.event_ids') IS NOT NULL THEN
            RAISE 'a part of the store was made';
        END IF;
        EXECUTE dropped;
        RETURN SQLERRM;
    END;
END $$;
SELECT kind, refusal(format('CREATE %s taken.orders %s', kind, definition), format('DROP %s taken.orders', kind))
  FROM (VALUES ('TABLE', '(id int)'), ('VIEW', 'AS SELECT 1 AS one'), ('SEQUENCE', ''), ('TYPE', 'AS ENUM ()'),
               ('DOMAIN', 'AS int'), ('COLLATION', '(provider = libc, locale = ''C'')')) AS v (kind, definition);
DROP FUNCTION refusal;
CREATE FUNCTION taken.f() RETURNS int LANGUAGE sql RETURN 1;
SELECT create_event_store('taken', 1);
:sqlstate
CREATE FUNCTION taken.g() RETURNS int LANGUAGE sql RETURN 1;
SELECT create_event_store('taken', 1);
\set VERBOSITY terse
SELECT create_event_store('public');
\set VERBOSITY default
:sqlstate

-- the smallest and the largest store
SELECT create_event_store('one', 1);
SET sierra_es.store = one;
SELECT DISTINCT partition_id FROM emappend(NULL, ARRAY['a', 'b', 'c'], ARRAY['x', 'x', 'x']);
SELECT count(*) FROM everify();
SELECT create_event_store('many', 1024);
SET sierra_es.store = many;
-- user-123 has hash 61013, a 7260
SELECT partition_id, global_position FROM eappend('user-123', 'x');
SELECT partition_id, global_position FROM eappend('a', 'x');
SELECT 61013 % 1024 AS user_123, 7260 % 1024 AS a;
SELECT stream_id FROM eall();
SELECT count(*), sum(events) FROM event_partitions();
-- The time of a check must not grow too fast with the number of partitions.
SET statement_timeout = '10s';
SELECT count(*) FROM everify();
RESET statement_timeout;
RESET sierra_es.store;

-- bounds of the arguments
SELECT create_event_store('bad', 0);
:sqlstate
SELECT create_event_store('bad', 1025);
:sqlstate
SELECT create_event_store('bad', -1);
:sqlstate
SELECT create_event_store(NULL);
:sqlstate
SELECT create_event_store('bad', NULL);
:sqlstate
SELECT create_event_store('');
:sqlstate
SELECT create_event_store('pg_store');
:sqlstate
SELECT to_regnamespace('bad') IS NULL AND to_regnamespace('pg_store') IS NULL AS nothing_left;

-- A role that may create schemas may create stores, and owns them.
CREATE ROLE regress_sierra_maker;
SET ROLE regress_sierra_maker;
SELECT create_event_store('made', 1);
:sqlstate
RESET ROLE;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_maker', current_database()) \gexec
SET ROLE regress_sierra_maker;
SELECT create_event_store('made', 1);
SET sierra_es.store = made;
SELECT stream_version FROM eappend('a', 'x');
SELECT store, owner FROM event_stores() WHERE store = 'made';
SELECT count(*) FROM everify();
-- A role cannot drop the store of another role.
SELECT drop_event_store('es');
:sqlstate
SELECT drop_event_store('made', true);
RESET sierra_es.store;
RESET ROLE;
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_maker', current_database()) \gexec
DROP ROLE regress_sierra_maker;

SELECT drop_event_store('es');
SELECT drop_event_store('shop');
SELECT drop_event_store(repeat('n', 63)::name);
SELECT drop_event_store(store, force => true)
  FROM unnest(ARRAY['Order "Book" ''24', 'select', 'größe', 'one', 'many']::name[]) AS store;
DROP SCHEMA shop CASCADE;
DROP SCHEMA taken CASCADE;
