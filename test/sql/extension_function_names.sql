-- A function that another one is told to call may be named without the types of its arguments
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\getenv abs_srcdir PG_ABS_SRCDIR
\set functions :abs_srcdir '/sql/include/argument_types.sql'
\set ECHO none
\i :functions
\set ECHO all
SELECT create_event_store('es', 2);

-- every public function that takes a function takes it in each of these types
SELECT p.oid::regprocedure
  FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid JOIN pg_extension AS e ON e.oid = d.refobjid
 WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'sierra_es'
   AND p.pronamespace <> to_regnamespace('sierra_internal')
   AND p.proargtypes::regtype[] && '{regprocedure,regproc,regprocedure[],regproc[]}'::regtype[];
SELECT call, error FROM calls_with('sierra_function', 'text');
SELECT given, count(*) FILTER (WHERE error IS NULL) AS found, count(*) FILTER (WHERE error IS NOT NULL) AS not_found
  FROM unnest(ARRAY['regprocedure', 'regproc', 'text', 'varchar', 'sierra_function', 'integer', 'bytea', 'regclass']) WITH ORDINALITY AS g (given, n),
       calls_with('sierra_function', given)
 GROUP BY n, given ORDER BY n;
SELECT columns_with('sierra_function');
SELECT t.oid::regtype, t.typlen, t.typbyval, t.typalign, t.typstorage
  FROM pg_type AS t WHERE t.oid IN ('regprocedure'::regtype, 'sierra_function'::regtype) ORDER BY t.oid;
SELECT castsource::regtype, casttarget::regtype, castcontext, castmethod
  FROM pg_cast WHERE 'sierra_function'::regtype IN (castsource, casttarget) ORDER BY castsource::regtype::text, casttarget::regtype::text;

-- names
CREATE SCHEMA other;
CREATE SCHEMA "Odd (schema";
CREATE FUNCTION fold(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION "Fold"(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION "Odd (schema"."a ""fold"" (of jsonb"(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION other.fold_other(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION twice(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION twice(jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION other.twice(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
SELECT name, name::sierra_function
  FROM unnest(ARRAY['fold', 'FOLD', ' fold ', 'public.fold', 'public . fold', '"Fold"', 'public."Fold"', 'other.fold_other', '"Odd (schema"."a ""fold"" (of jsonb"',
                    'fold(jsonb, sierra_event)', 'fold(jsonb,public.sierra_event)', '"Fold" ( jsonb , sierra_event )', '"Odd (schema"."a ""fold"" (of jsonb"(jsonb, sierra_event)',
                    'other.twice', 'twice(jsonb)', 'pg_catalog.now', 'now', 'sum(integer)', '-', '0', '4294967295']) AS name;
SELECT format('%s.public.fold', current_database())::sierra_function;
SELECT 'fold'::regproc::sierra_function, 'fold(jsonb, sierra_event)'::regprocedure::sierra_function, 'fold'::sierra_function::regprocedure, 'fold'::sierra_function::text;
-- functions whose first argument is neither a document nor an event do not count: neither those of PostgreSQL, nor one's own
CREATE FUNCTION charge(data jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION charge(amount int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION sum(e sierra_event[]) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION abs(payload json) RETURNS json LANGUAGE sql AS 'SELECT $1';
SELECT name, name::sierra_function FROM unnest(ARRAY['charge', 'count', 'sum', 'abs', 'public.charge', 'pg_catalog.charge']) AS name;
SELECT 'lower'::sierra_function;
:sqlstate
CREATE FUNCTION jsonb_typeof(payload json) RETURNS json LANGUAGE sql AS 'SELECT $1';
SELECT 'jsonb_typeof'::sierra_function;
:sqlstate
SELECT 'public.jsonb_typeof'::sierra_function;
DROP FUNCTION charge(jsonb), charge(int), count(jsonb, sierra_event), sum(sierra_event[]), abs(json), jsonb_typeof(json);
-- names that are not unique, not known, not names
SELECT 'twice'::sierra_function;
:sqlstate
SELECT 'public.twice'::text::sierra_function;
:sqlstate
SET search_path = public, other;
SELECT 'twice'::sierra_function;
:sqlstate
RESET search_path;
SELECT 'fold_other'::sierra_function;
:sqlstate
SELECT 'nowhere.fold'::sierra_function;
:sqlstate
SELECT 'fold(jsonb)'::sierra_function;
:sqlstate
SELECT 'fold(nothing)'::sierra_function;
:sqlstate
SELECT 'fold(jsonb'::sierra_function;
:sqlstate
SELECT ''::sierra_function;
:sqlstate
SELECT ' '::sierra_function;
:sqlstate
SELECT '"fold'::sierra_function;
:sqlstate
SELECT 'fold twice'::sierra_function;
:sqlstate
SELECT '1a'::sierra_function;
:sqlstate
SELECT 'a.b.c.fold'::sierra_function;
:sqlstate
SELECT 'elsewhere.public.fold'::sierra_function;
:sqlstate

-- each function, by a name alone; what is stored is qualified and has the types of arguments
CREATE FUNCTION up(payload json) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '[{"event_name": "Decided"}]'::jsonb $$;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION see_all(e sierra_event[]) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION undo(data jsonb, saga_id text) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
SELECT create_aggregate('a', 'fold'), create_aggregate('a', 'public.fold'), create_aggregate('a', 'fold(jsonb, sierra_event)'), create_aggregate('a', 'fold'::regproc);
SELECT create_aggregate('b', '"Odd (schema"."a ""fold"" (of jsonb"'), create_aggregate('c', 'fold'::text), create_aggregate('d', 'fold'::varchar), create_aggregate('e', 'fold'::regproc::regprocedure);
SELECT aggregate, fold FROM event_aggregates();
SELECT create_upcaster('x', 1, 'up');
SELECT event_name, from_version, upcast::sierra_function FROM es.upcasters;
SELECT stream_version FROM edecide('a', 's', 'decide', '{}');
SELECT stream_version FROM edecide('b', 's', 'decide'::text, '{}');
SELECT create_projection('see', 'see', mode => 'manual'), create_projection('see_all', 'see_all', mode => 'manual'), create_projection('fold', 'fold', mode => 'manual'), create_process_manager('manager', '"Fold"', mode => 'manual');
SELECT rebuild_projection('fold', '"Fold"'), rebuild_projection('see', 'fold');
SELECT projection, version, kind, handler FROM es.projections ORDER BY 1, 2;
SELECT create_saga('saga', ARRAY[saga_step('one', 'act', 'undo'), saga_step('two', 'act'), saga_step('three', 'act'::regproc, NULL), saga_step('four', 'act'::text, 'undo(jsonb, text)'::varchar)]);
SELECT s ->> 'action' AS action, s ->> 'compensation' AS compensation FROM es.sagas, jsonb_array_elements(steps) AS s;
SELECT run_projection('see'), run_projection('see_all'), run_projection('fold'), run_projection('manager');
-- with a parameter: the name is looked up in the search_path of the caller
PREPARE make AS SELECT create_aggregate($1, $2);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'make';
EXECUTE make ('p1', 'fold');
SET search_path = other, public;
EXECUTE make ('p2', 'fold_other');
EXECUTE make ('p3', 'twice');
:sqlstate
RESET search_path;
EXECUTE make ('p4', 'fold_other');
:sqlstate
EXECUTE make ('p5', NULL);
:sqlstate
DEALLOCATE make;
SELECT aggregate, fold FROM event_aggregates() WHERE aggregate ~ '^p';
-- what is not unique or does not fit is refused, as the same function with types of arguments is
SELECT create_aggregate('x', 'twice');
:sqlstate
SELECT create_aggregate('x', 'twice(jsonb)');
:sqlstate
SELECT create_aggregate('x', 'see');
:sqlstate
SELECT create_upcaster('y', 1, 'fold');
:sqlstate
SELECT create_upcaster('y', 1, '0');
:sqlstate
SELECT edecide('a', 's', 'fold', '{}');
:sqlstate
SELECT edecide('a', 's', '4294967295', '{}');
:sqlstate
SELECT create_projection('x', 'twice');
:sqlstate
SELECT create_projection('x', 'act');
:sqlstate
SELECT create_projection('x', '-');
:sqlstate
SELECT create_projection('x', 'array_agg(anyarray)');
:sqlstate
SELECT create_process_manager('x', 'see');
:sqlstate
SELECT rebuild_projection('see_all', 'twice');
:sqlstate
SELECT saga_step('x', 'twice');
:sqlstate
SELECT create_saga('x', ARRAY[saga_step('x', 'see')]);
:sqlstate

-- a schema that the caller may not use
CREATE ROLE regress_sierra_names;
SET ROLE regress_sierra_names;
SELECT 'other.fold_other'::sierra_function;
:sqlstate
SET search_path = other, public;
SELECT 'fold_other'::sierra_function;
:sqlstate
SELECT 'fold'::sierra_function;
RESET search_path;
RESET ROLE;
DROP ROLE regress_sierra_names;

-- binary form: that of regprocedure (SQL can call a receive function only by COPY)
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/sierra_function.bin'
CREATE TABLE sent (f sierra_function);
CREATE TABLE received (f regprocedure);
INSERT INTO sent VALUES ('fold'), ('twice(jsonb)'), ('-'), (NULL);
COPY sent TO :'file' (FORMAT binary);
COPY received FROM :'file' (FORMAT binary);
SELECT * FROM received;
COPY received TO :'file' (FORMAT binary);
COPY sent FROM :'file' (FORMAT binary);
SELECT f, count(*) FROM (SELECT f::text FROM sent) AS s GROUP BY f ORDER BY f;
SELECT 'fold'::sierra_function = 'fold'::sierra_function;
:sqlstate
DROP TABLE sent, received;

SELECT drop_event_store('es', force => true);
DROP FUNCTION calls_with(text, text), columns_with(text), fold(jsonb, sierra_event), "Fold"(jsonb, sierra_event), twice(jsonb, sierra_event), twice(jsonb), up(json), decide(jsonb, jsonb), see(sierra_event),
    see_all(sierra_event[]), act(jsonb), undo(jsonb, text);
\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA other, "Odd (schema" CASCADE;
