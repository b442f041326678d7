-- Upcasters: old events in the form that today's code knows
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- Version 1 had one name, 2 two, 3 an object of them.
CREATE FUNCTION split_name(payload json) RETURNS json
    LANGUAGE sql IMMUTABLE RETURN json_build_object('first', split_part(payload->>'name', ' ', 1), 'last', split_part(payload->>'name', ' ', 2));
CREATE FUNCTION nest_name(payload jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE RETURN jsonb_build_object('name', payload);
SELECT stream_version FROM emappend(NULL, '[
    {"stream_id": "p", "event_name": "Named", "payload": {"name": "Ada Lovelace"}, "tags": ["user:ada", "b"]},
    {"stream_id": "p", "event_name": "Named", "payload": {"first": "Grace", "last": "Hopper"}, "metadata": { "by" : 1.0, "schema_version" : 2, "c":[ ] }},
    {"stream_id": "p", "event_name": "Named", "payload": {"name": {"first": "Mary", "last": "Kay"}}, "metadata": {"schema_version": 3}},
    {"stream_id": "p", "event_name": "Other", "payload": {"name": "as it is"}}]');

-- Without upcasters, eupcast() changes nothing.
SELECT count(*) FROM escan('p') AS e, eupcast(e) AS u WHERE u::text = e::text;
SELECT create_upcaster('Named', 1, 'split_name(json)');
SELECT e.stream_version, u.event_name, u.payload, u.metadata FROM escan('p') AS e, eupcast(e) AS u;
SELECT create_upcaster('Named', 2, 'nest_name(jsonb)');
SELECT e.stream_version, u.event_name, u.payload, u.metadata FROM escan('p') AS e, eupcast(e) AS u;
-- Nothing else of the event changes, and nothing that is stored does.
SELECT count(*) FROM escan('p') AS e, eupcast(e) AS u
 WHERE to_jsonb(u) - 'payload' - 'metadata' = to_jsonb(e) - 'payload' - 'metadata';
SELECT stream_version, payload, metadata FROM escan('p');
-- upcasting twice is the same as once
SELECT count(*) FROM escan('p') AS e, eupcast(e) AS u, eupcast(u) AS v WHERE u::text IS DISTINCT FROM v::text;
-- one that begins in the middle
SELECT drop_upcaster('Named', 1), drop_upcaster('Named', 1), drop_upcaster('Other', 1);
SELECT e.stream_version, u.payload FROM escan('p') AS e, eupcast(e) AS u WHERE u.event_name = 'Named';

-- Folds get upcast events; no snapshot is needed for that, and none gets in the way.
CREATE FUNCTION fold_last(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE RETURN CASE event.event_name WHEN 'Named'
        THEN state || jsonb_build_array((event.payload #>> '{name,last}') || (event.metadata ->> 'schema_version')) ELSE state END;
SELECT create_aggregate('person', 'fold_last(jsonb, sierra_event)', '[]', snapshot_every => 2);
SELECT create_upcaster('Named', 1, 'split_name(json)');
SELECT * FROM eload('person', 'p');
SELECT count(*) FROM eappend('p', 'Named', '{"name": "Alan Turing"}');
SELECT * FROM eload('person', 'p');
-- When the upcasters change the resulting state, the aggregate needs a new definition.
CREATE FUNCTION shout_name(payload json) RETURNS json
    LANGUAGE sql IMMUTABLE RETURN json_build_object('first', upper(payload->>'name'), 'last', upper(payload->>'name'));
SELECT create_upcaster('Named', 1, 'shout_name(json)');
:sqlstate
SELECT create_upcaster('Named', 1, 'shout_name(json)', replace => true);
SELECT * FROM eload('person', 'p');
SELECT create_aggregate('person', 'fold_last(jsonb, sierra_event)', '[]', snapshot_every => 2, fold_version => 2, replace => true);
SELECT * FROM eload('person', 'p');

-- The upcasters of this moment are used, within one transaction, and within one function too.
CREATE FUNCTION names() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE event sierra_event := (SELECT e FROM escan('p', max_count => 1) AS e);
        cast_event sierra_event;
BEGIN
    FOR i IN 1 .. 4 LOOP
        cast_event := eupcast(event);
        RETURN NEXT cast_event.payload;
        IF i = 2 THEN PERFORM drop_upcaster('Named', 1); END IF;
        IF i = 3 THEN PERFORM create_upcaster('Named', 1, 'split_name(json)'); END IF;
    END LOOP;
END $$;
SELECT * FROM names();

-- A version that is not a number has no upcaster; an event without a version has version 1.
SELECT create_upcaster('Odd', 1, 'split_name(json)');
CREATE TABLE odd (n int, metadata json);
INSERT INTO odd VALUES (1, NULL), (2, '{"a": null}'), (3, '{"a": [{"schema_version": 2}]}'), (4, '{"a": "schema_version"}'), (5, '{}'), (6, '{"schema_version": null, "a": "}"}'),
    (7, '{"schema_version": "1"}'), (8, '{"x": {"schema_version": 2}, "y": "\"schema_version\": 2"}'), (9, '{"schema_version": 2, "schema_version": 1}'),
    (10, '{"schema_version": 1, "schema_version": 2}'), (11, '{"schema_version": 1.0}'), (12, '{"schema_version": -1}'), (13, '{"schema_version": "one"}'),
    (14, '{"schema_version": 12345678901234567890}'), (15, '{"schema_version": ""}'), (16, '{"schema_version": {"a": 1}}'), (17, '{"\u0000": "\u0000", "schema_version": 1}'),
    (18, ' { "a" : 1 , "schema_version" : 1 , "b" : [ 1, 2 ] } '), (19, '{"schema_version": true}');
SELECT count(*) FROM odd, eappend('odd', 'Odd', '{"name": "a b"}', metadata) AS a;
SELECT n, u.payload, u.metadata
  FROM odd, escan('odd') AS e, eupcast(e) AS u WHERE e.stream_version = n - 1 ORDER BY n;
-- Bytes stay bytes; a missing payload stays missing for a strict function.
CREATE FUNCTION count_keys(payload json) RETURNS json LANGUAGE sql STRICT RETURN to_json((SELECT count(*) FROM json_object_keys(payload)));
CREATE FUNCTION or_default(payload jsonb) RETURNS jsonb LANGUAGE sql RETURN coalesce(payload, '"default"');
CREATE FUNCTION forget(payload jsonb) RETURNS jsonb LANGUAGE sql RETURN NULL::jsonb;
SELECT create_upcaster('Strict', 1, 'count_keys(json)'), create_upcaster('Default', 1, 'or_default(jsonb)'), create_upcaster('Forget', 1, 'forget(jsonb)');
SELECT count(*) FROM unnest(ARRAY['Strict', 'Default', 'Forget']) AS n, eappend('none', n);
SELECT count(*) FROM unnest(ARRAY['Strict', 'Default', 'Forget']) AS n, eappend('none', n, '{"a": 1, "b": 2}');
SELECT count(*) FROM unnest(ARRAY['Strict', 'Default', 'Forget']) AS n, eappend('none', n, payload_bytes => '\x00');
SELECT e.stream_version, u.event_name, u.payload, u.payload_bytes, u.metadata FROM escan('none') AS e, eupcast(e) AS u;
SELECT eupcast(NULL) IS NULL AS null;

-- A function is found by its schema, whatever the path is.
CREATE SCHEMA evil;
CREATE FUNCTION evil.drop_b(jsonb) RETURNS jsonb LANGUAGE sql RETURN '"evil"'::jsonb;
CREATE FUNCTION drop_b(payload jsonb) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN RETURN payload - ''b''; END';
SELECT create_upcaster('Builtin', 1, 'drop_b(jsonb)');
SELECT count(*) FROM eappend('builtin', 'Builtin', '{"a": 1, "b": null}');
SET search_path = evil, pg_catalog, public;
SELECT u.payload FROM escan('builtin') AS e, eupcast(e) AS u;
RESET search_path;

-- rights
CREATE ROLE regress_sierra_reader;
GRANT USAGE ON SCHEMA es TO regress_sierra_reader;
GRANT SELECT ON es.events TO regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT u.payload FROM escan('builtin') AS e, eupcast(e) AS u;
:sqlstate
RESET ROLE;
GRANT SELECT ON es.upcasters TO regress_sierra_reader;
REVOKE EXECUTE ON FUNCTION drop_b FROM PUBLIC;
SET ROLE regress_sierra_reader;
SELECT u.payload FROM escan('builtin') AS e, eupcast(e) AS u;
:sqlstate
SELECT u.payload FROM escan('p', max_count => 1) AS e, eupcast(e) AS u;
RESET ROLE;

-- what is refused
CREATE FUNCTION no_upcast(json) RETURNS jsonb LANGUAGE sql RETURN $1::jsonb;
CREATE FUNCTION no_upcast(text) RETURNS text LANGUAGE sql RETURN $1;
SELECT create_upcaster('x', 1, 'no_upcast(json)');
:sqlstate
SELECT create_upcaster('x', 1, 'no_upcast(text)');
:sqlstate
SELECT create_upcaster('x', 0, 'nest_name(jsonb)');
:sqlstate
SELECT create_upcaster('', 1, 'nest_name(jsonb)');
:sqlstate
SELECT create_upcaster(NULL, 1, 'nest_name(jsonb)');
:sqlstate
SELECT create_upcaster('x', NULL, 'nest_name(jsonb)');
:sqlstate
SELECT create_upcaster('x', 1, NULL);
:sqlstate
DROP FUNCTION drop_b;
SELECT u.payload FROM escan('builtin') AS e, eupcast(e) AS u;
:sqlstate
CREATE FUNCTION drop_b(payload jsonb) RETURNS json LANGUAGE sql RETURN payload::json;
SELECT u.payload FROM escan('builtin') AS e, eupcast(e) AS u;
:sqlstate

SELECT drop_event_store('es', force => true);
DROP TABLE odd;
DROP FUNCTION evil.drop_b;
DROP SCHEMA evil;
DROP FUNCTION split_name, nest_name, fold_last, shout_name, names, count_keys, or_default, forget, no_upcast(json), no_upcast(text), drop_b;
DROP ROLE regress_sierra_reader;
