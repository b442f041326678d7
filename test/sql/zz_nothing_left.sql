-- The last file: every other one dropped what it made, and the extension leaves nothing behind.
\set SHOW_CONTEXT never
SELECT * FROM event_stores();
SELECT rolname FROM pg_roles WHERE rolname LIKE 'regress%';
SELECT gid FROM pg_prepared_xacts;
SELECT datname FROM pg_database WHERE datname LIKE 'regress%';
DROP EXTENSION sierra_es;
-- Everything that was made after initdb and still exists.
SELECT 'schema' AS kind, nspname::text AS name FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_(toast_)?temp_'
UNION ALL SELECT 'relation', oid::regclass::text FROM pg_class WHERE oid >= 16384 AND relnamespace::regnamespace::text !~ '^pg_(toast_)?temp_'
UNION ALL SELECT 'function', oid::regprocedure::text FROM pg_proc WHERE oid >= 16384
UNION ALL SELECT 'type', oid::regtype::text FROM pg_type WHERE oid >= 16384
UNION ALL SELECT 'cast', format('%s to %s', castsource::regtype, casttarget::regtype) FROM pg_cast WHERE oid >= 16384
UNION ALL SELECT 'operator', oid::regoperator::text FROM pg_operator WHERE oid >= 16384
UNION ALL SELECT 'collation', collname::text FROM pg_collation WHERE oid >= 16384
UNION ALL SELECT 'trigger', tgname::text FROM pg_trigger WHERE oid >= 16384
UNION ALL SELECT 'event trigger', evtname::text FROM pg_event_trigger
UNION ALL SELECT 'policy', polname::text FROM pg_policy
UNION ALL SELECT 'extension', extname::text FROM pg_extension WHERE oid >= 16384
UNION ALL SELECT 'publication', pubname::text FROM pg_publication
 ORDER BY 1, 2;
SELECT count(*) AS comments FROM pg_description WHERE objoid >= 16384;
SELECT count(*) AS dependencies FROM pg_depend WHERE objid >= 16384 OR refobjid >= 16384;
