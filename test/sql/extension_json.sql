-- A document may be json, jsonb, text or a literal, in every function that takes one
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\getenv abs_srcdir PG_ABS_SRCDIR
\set functions :abs_srcdir '/sql/include/argument_types.sql'
\set ECHO none
\i :functions
\set ECHO all
SELECT create_event_store('es', 2);

-- no public function has an argument of type json or jsonb, so that none takes only one of them
SELECT p.oid::regprocedure
  FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid JOIN pg_extension AS e ON e.oid = d.refobjid
 WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'sierra_es'
   AND p.pronamespace <> to_regnamespace('sierra_internal')
   AND p.proargtypes::regtype[] && '{json,jsonb,json[],jsonb[]}'::regtype[];
SELECT call, error FROM calls_with('sierra_json', 'json');
SELECT given, count(*) FILTER (WHERE error IS NULL) AS found, count(*) FILTER (WHERE error IS NOT NULL) AS not_found
  FROM unnest(ARRAY['json', 'jsonb', 'text', 'varchar', 'sierra_json', 'integer', 'bytea', 'name']) WITH ORDINALITY AS g (given, n),
       calls_with('sierra_json', given)
 GROUP BY n, given ORDER BY n;
SELECT columns_with('sierra_json');

-- the type is json under another name: b is a cast that does nothing
SELECT t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory, t.typispreferred, t.typcollation
  FROM pg_type AS t WHERE t.oid IN ('json'::regtype, 'sierra_json'::regtype);
SELECT castsource::regtype, casttarget::regtype, castcontext, castmethod
  FROM pg_cast WHERE 'sierra_json'::regtype IN (castsource, casttarget) ORDER BY castsource::regtype::text, casttarget::regtype::text;
SELECT proname, provolatile, proparallel, proisstrict, prosrc FROM pg_proc
 WHERE oid IN (SELECT unnest(ARRAY[typinput, typoutput, typreceive, typsend]) FROM pg_type WHERE oid = 'sierra_json'::regtype) ORDER BY 1;

-- one event with each type; json and text keep their bytes
SELECT FROM eappend('a', 'literal', '{ "b":1, "a" : 1.0 }', '{ "m":  1}');
SELECT FROM eappend('a', 'json', '{ "b":1, "a" : 1.0 }'::json, '{ "m":  1}'::json);
SELECT FROM eappend('a', 'jsonb', '{ "b":1, "a" : 1.0 }'::jsonb, '{ "m":  1}'::jsonb);
SELECT FROM eappend('a', 'text', '{ "b":1, "a" : 1.0 }'::text, '{ "m":  1}'::text);
SELECT FROM eappend('a', 'varchar', '{ "b":1, "a" : 1.0 }'::varchar(30), '{ "m":  1}'::varchar);
SELECT FROM eappend('a', 'sierra_json', '{ "b":1, "a" : 1.0 }'::sierra_json, '{ "m":  1}'::sierra_json);
SELECT FROM eappend('a', 'built', json_build_object('x', 1), jsonb_build_object('y', 2));
SELECT count(*) FROM (SELECT 1 AS n) AS r, eappend('a', 'row', to_jsonb(r), row_to_json(r));
SELECT FROM eappend('a', 'null', NULL::jsonb, NULL::text);
SELECT event_name, payload, metadata FROM escan('a');
-- from a table
CREATE TABLE documents (n int, j json, b jsonb, t text, v varchar);
INSERT INTO documents SELECT n, d::json, d::jsonb, d, d FROM (SELECT n, format('{"n":  %s}', n) AS d FROM generate_series(1, 2) AS n) AS x;
SELECT count(*) FROM documents, eappend('t', 'j', j) AS e1, eappend('t', 'b', b) AS e2, eappend('t', 't', t) AS e3, eappend('t', 'v', v, b) AS e4;
SELECT event_name, payload, metadata FROM escan('t');
-- a value of another type is an error, and so is text that is not JSON; nothing is appended
SELECT eappend('a', 'x', 1);
:sqlstate
SELECT eappend('a', 'x', '{"a": }');
:sqlstate
SELECT eappend('a', 'x', '{"a": 1} x'::text);
:sqlstate
SELECT eappend('a', 'x', ''::varchar);
:sqlstate
SELECT eappend('a', 'x', '{}', '[]'::jsonb);
:sqlstate
SELECT esver('a');

-- parameters: of a type that is given, and of one that the server chooses
PREPARE untyped AS SELECT stream_version FROM eappend('p', 'x', $1, $2);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'untyped';
EXECUTE untyped ('{"a":  1}', NULL);
EXECUTE untyped ('{"a":  1}'::json, '{}'::jsonb);
EXECUTE untyped ('{"a":  1}'::jsonb, '{}'::text);
EXECUTE untyped ('nothing', NULL);
:sqlstate
PREPARE typed (json, jsonb, text, varchar, unknown) AS
    SELECT count(*) FROM eappend('p', 'x', $1, $1) AS e1, eappend('p', 'x', $2, $2) AS e2, eappend('p', 'x', $3, $3) AS e3, eappend('p', 'x', $4, $4) AS e4, eappend('p', 'x', $5, $5) AS e5;
EXECUTE typed ('{"a":  1}', '{"a":  2}', '{"a":  3}', '{"a":  4}', '{"a":  5}');
SELECT payload, metadata FROM escan('p');
-- what a driver that asks for the types gets with a cast
PREPARE asked AS SELECT FROM eappend('p', 'x', $1::json, $2::jsonb), emappend(NULL, $3, $4, $5::json[], $6::jsonb[]);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'asked';
DEALLOCATE ALL;

-- arrays
SELECT count(*) FROM emappend(NULL, ARRAY['m', 'm'], ARRAY['x', 'y'], '{"{\"l\":  1}",NULL}', '{NULL,"{}"}');
SELECT count(*) FROM emappend(NULL, ARRAY['m', 'm'], ARRAY['x', 'y'], ARRAY['{"j":  1}', NULL]::json[], ARRAY[NULL, '{}']::jsonb[]);
SELECT count(*) FROM emappend(NULL, ARRAY['m', 'm'], ARRAY['x', 'y'], ARRAY['{"b":  1}', NULL]::jsonb[], ARRAY[NULL, '{}']::json[]);
SELECT count(*) FROM emappend(NULL, ARRAY['m', 'm'], ARRAY['x', 'y'], ARRAY['{"t":  1}', NULL], ARRAY[NULL, '{}']::varchar[]);
SELECT count(*) FROM (SELECT array_agg(b) AS b, array_agg(j) AS j FROM documents) AS d, emappend(NULL, ARRAY['m', 'm'], ARRAY['x', 'y'], b, j);
SELECT payload, metadata FROM escan('m');
SELECT emappend(NULL, ARRAY['m'], ARRAY['x'], ARRAY['{']);
:sqlstate
SELECT emappend(NULL, ARRAY['m'], ARRAY['x'], array_fill('1'::jsonb, ARRAY[1, 1]));
:sqlstate
-- events of a call as one document; payloads are cut out of it
SELECT count(*) FROM emappend(NULL, '[{"stream_id": "d", "event_name": "x", "payload": {"j":  1}}]'::json);
SELECT count(*) FROM emappend(NULL, '[{"stream_id": "d", "event_name": "x", "payload": {"b":  1}}]'::jsonb);
SELECT count(*) FROM emappend(NULL, '[{"stream_id": "d", "event_name": "x", "payload": {"t":  1}}]'::text);
SELECT count(*) FROM emappend(NULL, (SELECT jsonb_agg(jsonb_build_object('stream_id', 'd', 'event_name', 'x', 'payload', b)) FROM documents));
SELECT payload FROM escan('d');

-- the functions that look into a document, or store it as jsonb
CREATE FUNCTION fold(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT jsonb_build_object('state', $1, 'event', ($2).event_name) $$;
CREATE FUNCTION decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql AS
    $$ SELECT jsonb_build_array(jsonb_build_object('event_name', command ->> 'do', 'payload', command)) $$;
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('acted', data -> 'n') $$;
SELECT create_aggregate('j', 'fold(jsonb, sierra_event)', '{"n": "j"}'::json), create_aggregate('b', 'fold(jsonb, sierra_event)', '{"n": "b"}'::jsonb),
       create_aggregate('t', 'fold(jsonb, sierra_event)', '{"n": "t"}'::text), create_aggregate('l', 'fold(jsonb, sierra_event)', '{"n": "l"}'),
       create_aggregate('null', 'fold(jsonb, sierra_event)', NULL::text);
-- the same definition in another type is the same definition
SELECT create_aggregate('j', 'fold(jsonb, sierra_event)', '{ "n" :"j"}'::jsonb), create_aggregate('b', 'fold(jsonb, sierra_event)', '{ "n" :"b"}'::text);
SELECT create_aggregate('j', 'fold(jsonb, sierra_event)', '{"n": "other"}'::jsonb);
:sqlstate
SELECT create_aggregate('refused', 'fold(jsonb, sierra_event)', '{"n": "\u0000"}');
:sqlstate
SELECT aggregate, initial FROM event_aggregates();
SELECT state FROM eload('t', 'd', at_version => 0);
SELECT count(*) FROM edecide('j', 'e', 'decide(jsonb, jsonb)', '{"do":  "literal"}', metadata => '{"m":  1}');
SELECT count(*) FROM edecide('j', 'e', 'decide(jsonb, jsonb)', '{"do":  "json"}'::json, metadata => '{"m":  1}'::json);
SELECT count(*) FROM edecide('j', 'e', 'decide(jsonb, jsonb)', '{"do":  "jsonb"}'::jsonb, metadata => '{"m":  1}'::jsonb);
SELECT count(*) FROM edecide('j', 'e', 'decide(jsonb, jsonb)', '{"do":  "text"}'::text, metadata => '{"m":  1}'::text);
SELECT edecide('j', 'e', 'decide(jsonb, jsonb)', '{"do": "\u0000"}');
:sqlstate
SELECT edecide('j', 'e', 'decide(jsonb, jsonb)', NULL::json);
:sqlstate
SELECT event_name, payload, metadata FROM escan('e');
SELECT esub('s_json', start_from => 'earliest', start_versions => '{"d": 3}'::json) = esub('s_jsonb', start_from => 'earliest', start_versions => '{"d": 3}'::jsonb) AS same,
       esub('s_text', start_from => 'earliest', start_versions => '{"d": 3}'::text) = esub('s_literal', start_from => 'earliest', start_versions => '{"d": 3}') AS same;
SELECT epsub('p_json', start_sequences => '{"0": 1, "default": 2}'::json) = epsub('p_jsonb', start_sequences => '{"0": 1, "default": 2}'::jsonb) AS same,
       epsub('p_text', start_sequences => '{"0": 1, "default": 2}'::text) = epsub('p_number', start_sequences => '2'::jsonb) AS same;
SELECT subscription, start_versions, start_sequences FROM es.subscriptions ORDER BY 1;
SELECT epsub('p_array', start_sequences => '[1]'::jsonb);
:sqlstate
SELECT create_projection('p_json', 'fold(jsonb, sierra_event)', ARRAY['t'], mode => 'manual', initial => '{"n": "json"}'::json),
       create_projection('p_jsonb', 'fold(jsonb, sierra_event)', ARRAY['t'], mode => 'manual', initial => '{"n": "jsonb"}'::jsonb),
       create_projection('p_text', 'fold(jsonb, sierra_event)', ARRAY['t'], mode => 'manual', initial => '{"n": "text"}'::text),
       create_process_manager('m_json', 'fold(jsonb, sierra_event)', ARRAY['t'], mode => 'manual', initial => '{"n": "json"}'::json),
       create_process_manager('m_text', 'fold(jsonb, sierra_event)', ARRAY['t'], mode => 'manual', initial => '{"n": "text"}'::text);
SELECT rebuild_projection('p_json', initial => '{"n": "rebuilt"}'::json), rebuild_projection('p_jsonb', initial => '{"n": "rebuilt"}'::jsonb), rebuild_projection('p_text');
SELECT projection, version, initial FROM es.projections ORDER BY projection, version;
SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)', waits => true)]);
SELECT start_saga('saga', '{"n":  1}'::json, 'saga-json', '{"correlation_id":  "c"}'::json), start_saga('saga', '{"n":  1}'::jsonb, 'saga-jsonb', '{"correlation_id":  "c"}'::jsonb),
       start_saga('saga', '{"n":  1}'::text, 'saga-text', '{"correlation_id":  "c"}'::text), start_saga('saga', '{"n":  1}', 'saga-literal', '{"correlation_id":  "c"}');
-- again, in another type
SELECT start_saga('saga', '{"n":  1}'::jsonb, 'saga-json');
SELECT start_saga('saga', '[]'::json, 'saga-array');
:sqlstate
SELECT run_sagas();
SELECT complete_saga_step('saga-json', 'one', '{"a":  1}'::json), complete_saga_step('saga-jsonb', 'one', '{"a":  1}'::jsonb),
       complete_saga_step('saga-text', 'one', '{"a":  1}'::text), complete_saga_step('saga-literal', 'one', '{"a":  1}');
SELECT complete_saga_step('saga-json', 'one', '{"a":  1}'::jsonb) AS said_before;
SELECT saga_id, status FROM event_sagas() ORDER BY 1;
SELECT stream_id, payload -> 'data', metadata ->> 'correlation_id' FROM eall(streams => ARRAY['saga-*']) WHERE event_name IN ('SagaStarted', 'SagaCompleted') ORDER BY stream_id, stream_version;
SELECT count(eschedule('2020-01-01', 'timed', 'x', d::json, m::json) IS NOT NULL) FROM (VALUES ('{"j":  1}', '{"m":  1}')) AS v (d, m);
SELECT count(eschedule('2020-01-02', 'timed', 'x', d::jsonb, m::jsonb) IS NOT NULL) FROM (VALUES ('{"b":  1}', '{"m":  1}')) AS v (d, m);
SELECT count(eschedule('2020-01-03', 'timed', 'x', d::text, m::text) IS NOT NULL) FROM (VALUES ('{"t":  1}', '{"m":  1}')) AS v (d, m);
SELECT eschedule('2020-01-04', 'timed', 'x', '{"b":  2}'::jsonb, timer_id => '00000000-0000-4000-8000-000000000001') = eschedule('2020-01-04', 'timed', 'x', '{"b": 2}'::text, timer_id => '00000000-0000-4000-8000-000000000001') AS same;
SELECT eschedule('2020-01-04', 'timed', 'x', '{"b":3}'::text, timer_id => '00000000-0000-4000-8000-000000000001');
:sqlstate
SELECT run_timers();
SELECT payload, metadata FROM escan('timed');

-- a value of the type is used like json, and is converted to jsonb only where that is meant
SELECT '{"a": [1, 2]}'::sierra_json -> 'a' ->> 1 AS one, json_typeof('[]'::sierra_json), ('{"a":  1}'::sierra_json)::jsonb, ('{"a":  1}'::sierra_json)::text, ('{"a":  1}'::sierra_json)::json;
INSERT INTO documents (n, j, b, t) VALUES (3, '{"n":  3}'::sierra_json, '{"n":  3}'::sierra_json, '{"n":  3}'::sierra_json);
SELECT j, b, t FROM documents WHERE n = 3;
SELECT '{"a": 1}'::sierra_json @> '{}'::jsonb;
:sqlstate
SELECT ARRAY['{"a":  1}', '[]']::sierra_json[]::json[], ARRAY['{"a":  1}']::jsonb[]::sierra_json[];

-- binary form: that of json; what is received is checked (SQL can call a receive function only by COPY)
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/sierra_json.bin'
CREATE TABLE sent (d sierra_json);
INSERT INTO sent VALUES ('{"a":  1}'), ('null'), (NULL), (to_jsonb(repeat('x', 100000)));
COPY sent TO :'file' (FORMAT binary);
CREATE TABLE received (LIKE sent);
COPY received FROM :'file' (FORMAT binary);
SELECT left(d::text, 20) AS start, length(d::text) FROM received;
CREATE TABLE received_json (d json);
COPY received_json FROM :'file' (FORMAT binary);
SELECT count(*), count(*) FILTER (WHERE d ->> 'a' = '1') FROM received_json;
COPY (SELECT '{"a": '::text) TO :'file' (FORMAT binary);
COPY received FROM :'file' (FORMAT binary);
:sqlstate
COPY (SELECT ''::bytea) TO :'file' (FORMAT binary);
COPY received FROM :'file' (FORMAT binary);
:sqlstate
-- a large document, out of line, through each type
INSERT INTO documents (n, j, b, t) SELECT 4, d, d, d FROM (SELECT to_json(repeat(md5('x'), 100000)) AS d) AS x;
SELECT count(*) FROM documents, eappend('large', 'j', j) AS e1, eappend('large', 'b', b) AS e2, eappend('large', 't', t) AS e3 WHERE n = 4;
SELECT event_name, length(payload #>> '{}'), payload #>> '{}' = repeat(md5('x'), 100000) AS same FROM escan('large');

DROP TABLE documents, sent, received, received_json;
SELECT drop_event_store('es', force => true);
DROP FUNCTION calls_with(text, text), columns_with(text), fold(jsonb, sierra_event), decide(jsonb, jsonb), act(jsonb);
