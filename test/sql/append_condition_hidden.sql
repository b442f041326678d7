-- append conditions: a refusal does not say what the user could not read
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT global_position FROM eappend('a-1', 'A', tags => '{a}');
SELECT global_position FROM eappend('b-1', 'B', tags => '{b}');
SELECT global_position FROM eappend('a-2', 'A', tags => '{a,b}');
CREATE ROLE regress_sierra_a;
CREATE ROLE regress_sierra_b;
GRANT USAGE ON SCHEMA es TO regress_sierra_a, regress_sierra_b;
GRANT SELECT, INSERT ON es.events TO regress_sierra_a;
GRANT INSERT ON es.events TO regress_sierra_b;
CREATE FUNCTION fields(stream text, condition sierra_json) RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    a text; b text; c text; d text; e text;
BEGIN
    PERFORM eappend(stream, 'Tried', condition => condition);
    RETURN 'appended';
EXCEPTION
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS a = SCHEMA_NAME, b = TABLE_NAME,
                                c = COLUMN_NAME, d = CONSTRAINT_NAME, e = PG_EXCEPTION_DETAIL;
        RETURN format('%s: %s', SQLSTATE, concat_ws('|', a, b, c, d, e));
END
$$;

-- without the right SELECT: that there is an event, and no more
SET ROLE regress_sierra_b;
SELECT eappend('b-2', 'B', condition => '{"query": [{"tags": ["a"]}], "after": -1}');
:sqlstate
SELECT fields('b-2', '{"query": [{"tags": ["a"]}], "after": -1}');
SELECT fields('b-2', '{"query": [{"types": ["A"]}], "after": -1}');
SELECT fields('b-2', '{"query": [{"tags": ["a"]}], "after": 2}');
RESET ROLE;
SET ROLE regress_sierra_a;
SELECT fields('a-3', '{"query": [{"tags": ["b"]}], "after": -1}');
RESET ROLE;

ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY a ON es.events TO regress_sierra_a USING (stream_id LIKE 'a-%');
CREATE POLICY b ON es.events TO regress_sierra_b USING (stream_id LIKE 'b-%');
SET ROLE regress_sierra_a;
-- an event that it sees
SELECT fields('a-3', '{"query": [{"tags": ["a"]}], "after": -1}');
SELECT fields('a-3', '{"query": [{"tags": ["b"]}], "after": 1}');
SELECT fields('a-3', '{"query": [{"types": ["A"]}], "after": 0}');
-- one that is hidden; it counts, and it is the first one
SELECT eappend('a-3', 'A', condition => '{"query": [{"tags": ["b"]}], "after": -1}');
:sqlstate
SELECT fields('a-3', '{"query": [{"tags": ["b"]}], "after": 0}');
SELECT fields('a-3', '{"query": [{"types": ["B"]}], "after": -1}');
SELECT fields('a-3', '{"query": [], "after": 0}');
-- an event of its own command
SELECT ehead() AS head \gset
SELECT fields('a-4', format('{"query": [{"types": ["Tried"]}], "after": %s}', :head)) FROM generate_series(1, 2);
-- versions of streams that the call does not append to
SELECT fields('a-3', '{"streams": {"a-1": 7}}');
SELECT fields('a-3', '{"streams": {"b-1": 7}}');
SELECT fields('a-3', '{"streams": {"b-none": 7}}');
SELECT eappend('a-3', 'A', condition => '{"streams": {"b-1": "empty"}}');
:sqlstate
RESET ROLE;
-- The owner sees everything.
SELECT fields('a-3', '{"query": [{"tags": ["b"]}], "after": -1}');
-- a policy that raises an error does not get around it
CREATE POLICY broken ON es.events AS RESTRICTIVE FOR SELECT TO regress_sierra_a USING (1 / (global_position - 1) IS NOT NULL);
SET ROLE regress_sierra_a;
SELECT fields('a-3', '{"query": [{"tags": ["b"]}], "after": -1}');
RESET ROLE;

DROP FUNCTION fields;
SELECT drop_event_store('es', force => true);
DROP ROLE regress_sierra_a, regress_sierra_b;
