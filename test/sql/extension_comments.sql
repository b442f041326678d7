-- Everything that a user can call or name has a comment.
\set SHOW_CONTEXT never
CREATE VIEW members AS
SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
 WHERE e.extname = 'sierra_es' AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';

-- The number of objects, so that an empty list below means something.
SELECT count(*) FILTER (WHERE classid = 'pg_proc'::regclass) > 20 AS functions,
       -- array types are members only from 17 on
       count(*) FILTER (WHERE classid = 'pg_type'::regclass
                          AND objid IN (SELECT oid FROM pg_type WHERE typcategory <> 'A')) AS types
  FROM members;
SELECT objid::regprocedure AS function_without_comment FROM members
 WHERE classid = 'pg_proc'::regclass AND coalesce(obj_description(objid, 'pg_proc'), '') = '';
-- Array types have no comment anywhere.
SELECT objid::regtype AS type_without_comment FROM members JOIN pg_type AS t ON t.oid = objid
 WHERE classid = 'pg_type'::regclass AND t.typcategory <> 'A' AND coalesce(obj_description(objid, 'pg_type'), '') = '';
SELECT attname AS column_without_comment FROM pg_attribute
 WHERE attrelid = 'sierra_event'::regclass AND attnum > 0 AND col_description(attrelid, attnum) IS NULL;
SELECT count(*) AS extension_without_comment FROM pg_extension WHERE extname = 'sierra_es' AND obj_description(oid, 'pg_extension') IS NULL;
-- Settings have a description as well.
SELECT name FROM pg_settings WHERE name LIKE 'sierra\_es.%' AND coalesce(short_desc, '') = '';
-- Each is one sentence that fits in a line.
SELECT pg_describe_object(d.classoid, d.objoid, d.objsubid) AS object, length(d.description)
  FROM pg_description AS d JOIN members AS m ON m.classid = d.classoid AND m.objid = d.objoid
 WHERE length(d.description) > 120 OR d.description ~ '[\n]' OR d.description ~ '\.$';
SELECT count(*) > 150 AS comments FROM pg_description AS d JOIN members AS m ON m.classid = d.classoid AND m.objid = d.objoid;
DROP VIEW members;
