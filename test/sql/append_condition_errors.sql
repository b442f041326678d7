-- append conditions: every condition that is refused as such
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);

-- not an object, or not the members of one
SELECT eappend('s', 'E', condition => '[]');
:sqlstate
SELECT eappend('s', 'E', condition => '"query"');
SELECT eappend('s', 'E', condition => 'null');
SELECT eappend('s', 'E', condition => '7');
SELECT eappend('s', 'E', condition => '{}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"queries": []}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"query": [], "after": 0, "Streams": {}}');
SELECT eappend('s', 'E', condition => '{"query": [], "after": 0, "query": []}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"streams": {}, "streams": {}}');
SELECT eappend('s', 'E', condition => '{');
:sqlstate
-- null is not "nothing"
SELECT eappend('s', 'E', condition => '{"query": null, "after": 0}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"query": [], "after": null}');
SELECT eappend('s', 'E', condition => '{"streams": null}');
-- query and after belong together
SELECT eappend('s', 'E', condition => '{"query": []}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"query": [], "streams": {}}');
SELECT eappend('s', 'E', condition => '{"after": 0}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"after": 0, "streams": {"t": "empty"}}');
-- positions
SELECT eappend('s', 'E', condition => '{"query": [], "after": -2}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"query": [], "after": 1.5}');
SELECT eappend('s', 'E', condition => '{"query": [], "after": 1e3}');
SELECT eappend('s', 'E', condition => '{"query": [], "after": "0"}');
SELECT eappend('s', 'E', condition => '{"query": [], "after": true}');
SELECT eappend('s', 'E', condition => '{"query": [], "after": 9223372036854775808}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"query": [], "after": {}}');
-- queries: those of equery()
SELECT eappend('s', 'E', condition => '{"query": {}, "after": 0}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"query": [{"tag": ["x"]}], "after": 0}');
SELECT eappend('s', 'E', condition => '{"query": [{"tags": "x"}], "after": 0}');
SELECT eappend('s', 'E', condition => '{"query": [{"tags": [""]}], "after": 0}');
-- streams
SELECT eappend('s', 'E', condition => '{"streams": []}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"streams": {"": 0}}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"streams": {"a\tb": 0}}');
SELECT eappend('s', 'E', condition => format('{"streams": {"%s": 0}}', repeat('x', 256))::sierra_json);
SELECT eappend('s', 'E', condition => '{"streams": {"t": "empty", "\u0074": "empty"}}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"streams": {"t": null}}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"streams": {"t": -1}}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"streams": {"t": "none"}}');
SELECT eappend('s', 'E', condition => '{"streams": {"t": {}}}');
SELECT eappend('s', 'E', condition => json_build_object('streams', (SELECT json_object_agg('t' || i, 'empty') FROM generate_series(1, 65) AS i)));
:sqlstate
SELECT stream_version FROM eappend('s', 'E', condition => json_build_object('streams', (SELECT json_object_agg('t' || i, 'empty') FROM generate_series(1, 64) AS i)));
-- a stream that the call appends to
SELECT eappend('s', 'E', expected_version => 0, condition => '{"streams": {"s": 1}}');
:sqlstate
SELECT eappend('s', 'E', condition => '{"streams": {"s": 0}}');
SELECT eappend('s', 'E', expected_version => 0, condition => '{"streams": {"s": "any"}}');
SELECT emappend(NULL, ARRAY['a', 's', 's'], ARRAY['E', 'E', 'E'], expected_versions => ARRAY['any', '0', '1']::expected_version[],
                condition => '{"streams": {"t": "empty", "s": 1}}');
SELECT stream_version FROM eappend('s', 'E', expected_version => 0, condition => '{"streams": {"s": 0}}');
SELECT stream_id, stream_version
  FROM emappend(NULL, ARRAY['a', 's', 's'], ARRAY['E', 'E', 'E'], expected_versions => ARRAY['any', '1', '2']::expected_version[],
                condition => '{"streams": {"t": "empty", "s": 1, "a": "any"}}');

-- The JSON of emappend(): each member once, or one of two conditions would not be looked at.
SELECT emappend(NULL, '{"condition": {"streams": {"s": 0}}, "events": [{"stream_id": "t", "event_name": "E"}], "condition": {"streams": {"s": 3}}}');
:sqlstate
SELECT emappend(NULL, '{"events": [{"stream_id": "t", "event_name": "E"}], "events": []}');
SELECT stream_version FROM emappend(NULL, '{"condition": {"streams": {"s": 3}}, "events": [{"stream_id": "t", "event_name": "E"}]}');

-- a text of the caller that is long, here with a letter of two bytes at byte 80, is cut
SELECT repeat('n', 79) || repeat('é', 100) AS long \gset
SELECT eappend('s', 'E', condition => json_build_object(:'long', 1)::text::sierra_json);
SELECT eappend('s', 'E', condition => json_build_object('query', json_build_array(json_build_object(:'long', 1)), 'after', 0)::text::sierra_json);
SELECT eappend('s', 'E', condition => json_build_object('query', json_build_array(json_build_object('tags', json_build_array(json_build_array(:'long')))), 'after', 0)::text::sierra_json);
SELECT emappend(NULL, json_build_object('events', '[]'::json, :'long', 1)::text::sierra_json);
SELECT emappend('k', json_build_array(json_build_object('stream_id', 't', 'event_name', 'E', :'long', 1))::text::sierra_json);

-- The condition is looked at before the rights, as all arguments are; the rights still hold.
CREATE ROLE regress_sierra_none;
SET ROLE regress_sierra_none;
SELECT eappend('s', 'E', condition => '{}');
SELECT eappend('s', 'E', condition => '{"query": [], "after": -1}');
:sqlstate
RESET ROLE;
DROP ROLE regress_sierra_none;
SELECT count(*) FROM eall();
SELECT drop_event_store('es', force => true);
