-- append conditions: expected versions of streams that the call does not append to
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION try(condition sierra_json, stream text DEFAULT 'tried', key text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    version bigint;
    a text; b text; c text; d text; e text;
BEGIN
    SELECT r.stream_version INTO version FROM eappend(stream, 'Tried', partition_key => key, condition => condition) AS r;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'P0042';
EXCEPTION
    WHEN SQLSTATE 'P0042' THEN
        RETURN 'appended';
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS a = SCHEMA_NAME, b = TABLE_NAME,
                                c = COLUMN_NAME, d = CONSTRAINT_NAME;
        RETURN format('%s: %s', SQLSTATE, concat_ws(' ', a, b, c, d));
END
$$;
SELECT stream_version FROM eappend('one', 'Created');
SELECT stream_version FROM emappend(NULL, ARRAY['three', 'three', 'three'], ARRAY['x', 'x', 'x']);
-- streams with keys of their own, two of them in other partitions than those of their names
SELECT stream_id, stream_version, partition_id = sierra_partition_id(sierra_stream_key(stream_id), 4) AS at_home
  FROM emappend('k5', ARRAY['keyed-1', 'keyed-2', 'keyed-3', 'keyed-2'], ARRAY['x', 'x', 'x', 'x']);

-- each expectation; the call has a partition key of its own or none
SELECT stream, expected, try(json_build_object('streams', json_build_object(stream, expected))) AS without_key,
       try(json_build_object('streams', json_build_object(stream, expected)), key => 'k7') AS with_key
  FROM unnest(ARRAY['none', 'one', 'three', 'keyed-1', 'keyed-2', 'keyed-3']) WITH ORDINALITY AS s (stream, i),
       unnest(ARRAY['any', 'exists', 'empty', '0', '1', '2', '9223372036854775807']) WITH ORDINALITY AS e (expected, j)
 ORDER BY i, j;
-- numbers as numbers
SELECT try('{"streams": {"one": 0, "three": 2}}'), try('{"streams": {"one": 0, "three": 1}}');
SELECT try('{"streams": {}}');
-- the whole error
SELECT eappend('tried', 'x', condition => '{"streams": {"one": 0, "three": 5}}');
:sqlstate
SELECT eappend('tried', 'x', condition => '{"streams": {"none": "exists"}}');
:sqlstate
-- the first one in the order of the condition, and before those of the events
SELECT try('{"streams": {"three": 7, "one": 7}}'), try('{"streams": {"one": 7, "three": 7}}');
SELECT eappend('one', 'x', expected_version => 7, condition => '{"streams": {"three": 7}}');
-- with a query
SELECT try('{"streams": {"one": 0}, "query": [{"types": ["Created"]}], "after": -1}');
SELECT try('{"streams": {"one": 0}, "query": [{"types": ["Created"]}], "after": 0}');
SELECT try('{"streams": {"one": 1}, "query": [{"types": ["Created"]}], "after": -1}');
-- in the same partition as the stream of the call, and own events of the transaction
BEGIN;
SELECT stream_version FROM eappend('one', 'x');
SELECT try('{"streams": {"one": 0}}'), try('{"streams": {"one": 1}}');
SELECT stream_version FROM eappend('new', 'x', partition_key => 'k5');
SELECT try('{"streams": {"new": "empty"}}'), try('{"streams": {"new": 0}}');
ROLLBACK;
SELECT try('{"streams": {"new": "empty"}}'), try('{"streams": {"one": 0}}');
-- Nothing is written to the streams that are checked, nor to their partitions.
SELECT stream_version FROM eappend('tried', 'x', condition => '{"streams": {"one": 0, "three": 2, "keyed-2": 1, "none": "empty", "any": "any"}}');
SELECT esver('one'), esver('three'), esver('keyed-2'), esver('none'), esver('any');

-- Strict versioning is about the streams of the call.
SET sierra_es.strict_versioning = on;
SELECT eappend('tried', 'x', condition => '{"streams": {"one": 0}}');
:sqlstate
SELECT stream_version FROM eappend('tried', 'x', expected_version => 0, condition => '{"streams": {"one": "exists"}}');
RESET sierra_es.strict_versioning;

SELECT everify();
DROP FUNCTION try;
SELECT drop_event_store('es', force => true);
