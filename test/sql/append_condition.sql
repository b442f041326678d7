-- append conditions: an append is refused if an event above a position matches a query
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);

-- What an append under a condition leads to, rolled back each time; with the error's fields.
CREATE FUNCTION try(condition sierra_json, stream text DEFAULT 'tried', expected expected_version DEFAULT 'any') RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    version bigint;
    a text; b text; c text; d text; e text;
BEGIN
    SELECT r.stream_version INTO version
      FROM eappend(stream, 'Tried', expected_version => expected, tags => '{tried}', condition => condition) AS r;
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
SELECT global_position, stream_version FROM eappend('course-1', 'CourseDefined', tags => '{course:1}');
SELECT global_position, stream_version FROM eappend('course-1', 'CapacityChanged', tags => '{course:1}');
SELECT global_position, stream_version FROM eappend('student-1', 'Subscribed', tags => '{student:1,course:1}');
SELECT global_position, stream_version FROM eappend('student-2', 'Subscribed', tags => '{course:1,student:2}');
SELECT global_position, stream_version FROM eappend('other-1', 'Other');

-- the whole error, as a client gets it
SELECT eappend('tried', 'Tried', condition => '{"query": [{"tags": ["student:1"]}], "after": 1}');
:sqlstate
SELECT eappend('tried', 'Tried', condition => '{"query": [], "after": -1}');

-- each form of an item, above each position: the first event that matches is named
SELECT query, after, try(format('{"query": %s, "after": %s}', query, after))
  FROM unnest(ARRAY['[{"tags": ["course:1"]}]',
                    '[{"tags": ["course:1", "student:2"]}]',
                    '[{"tags": ["student:2", "course:1"]}]',
                    '[{"tags": ["student:1", "student:2"]}]',
                    '[{"tags": ["none"]}]',
                    '[{"types": ["CapacityChanged"], "tags": ["course:1"]}]',
                    '[{"types": ["Other", "Subscribed"], "tags": ["course:1"]}]',
                    '[{"types": ["None"], "tags": ["course:1"]}]',
                    '[{"tags": ["none"]}, {"tags": ["student:2"]}]',
                    '[{"tags": ["student:2"]}, {"tags": ["student:1"]}]',
                    '[{"types": ["Subscribed"]}]',
                    '[{"types": ["Other"]}]',
                    '[{"types": ["None"]}]',
                    '[{"types": ["Other"]}, {"tags": ["student:2"]}]',
                    '[{"tags": ["none"]}, {}]',
                    '[]']) WITH ORDINALITY AS q (query, i),
       unnest(ARRAY[-1, 0, 2, 3, 4]) AS a (after)
 ORDER BY i, after;

-- the horizon is the position to pass
SELECT ehead() AS head \gset
SELECT try(format('{"query": [{"tags": ["course:1"]}], "after": %s}', :head));
SELECT try(json_build_object('query', '[]'::json, 'after', ehead()));
-- white space, escapes, members in another order, the largest position
SELECT try(E' { "after" :\t-1 ,\n "query" : [ { "tags" : [ "\\u0063ourse:1" ] } ] } ');
-- A position that the store does not have yet: it has lost events since the position was read, or it was not read.
SELECT try('{"query": [], "after": 9223372036854775807}');
SELECT try(format('{"query": [{"tags": ["course:1"]}], "after": %s}', ehead() + 1000));
SELECT eappend('behind', 'E', condition => '{"query": [], "after": 1000000}') \g /dev/null
-- no condition
SELECT try(NULL);

-- Nothing is used up by a refusal, neither a number nor a position.
SELECT stream_version, global_position AS before FROM eappend('course-1', 'Next', condition => '{"query": [{"tags": ["tried"]}], "after": -1}') \gset
SELECT eappend('course-1', 'Next', condition => '{"query": [{"tags": ["course:1"]}], "after": -1}');
SELECT eappend('course-1', 'Next', condition => '{"query": [], "after": -1}');
SELECT stream_version - :stream_version AS versions, global_position - :before AS positions FROM eappend('course-1', 'Next');

-- Own events count: those of the same transaction, of the same statement, and of the same
-- statement before.
BEGIN;
SELECT global_position AS own FROM eappend('own', 'Own', tags => '{own}') \gset
SELECT try(format('{"query": [{"tags": ["own"]}], "after": %s}', :own - 1)) = format('SE009: es own %s append_condition', :own) AS refused;
SELECT try(format('{"query": [{"tags": ["own"]}], "after": %s}', :own));
SELECT try(format('{"query": [{"types": ["Own"]}], "after": %s}', :own - 1)) = format('SE009: es own %s append_condition', :own) AS refused;
ROLLBACK;
SELECT eappend('twice', 'Twice', tags => '{twice}', condition => '{"query": [{"tags": ["twice"]}], "after": -1}')
  FROM generate_series(1, 2);
:sqlstate
SELECT eappend('twice', 'Twice', tags => '{twice}', condition => '{"query": [{"types": ["Twice"]}], "after": -1}')
  FROM generate_series(1, 2);
:sqlstate
-- but not the events of the call itself
SELECT count(*) FROM emappend(NULL, '{"events": [{"stream_id": "call", "event_name": "Call", "tags": ["call"]},
                                                 {"stream_id": "call", "event_name": "Call", "tags": ["call"]}],
                                      "condition": {"query": [{"tags": ["call"]}], "after": -1}}');
SELECT count(*) FROM emappend(NULL, '{"condition": {"query": [{"tags": ["call"]}], "after": -1},
                                      "events": [{"stream_id": "call", "event_name": "Call", "tags": ["call"]}]}');
:sqlstate
-- nor what was rolled back, whose entries are still in the index
BEGIN;
SELECT count(*) FROM eappend('undone', 'Undone', tags => '{undone}');
ROLLBACK;
SELECT try('{"query": [{"tags": ["undone"]}], "after": -1}');
SELECT try('{"query": [{"types": ["Undone"]}], "after": -1}');
BEGIN;
SAVEPOINT sp;
SELECT count(*) FROM eappend('undone', 'Undone', tags => '{undone}');
SELECT try('{"query": [{"tags": ["undone"]}], "after": -1}') LIKE 'SE009%' AS refused;
ROLLBACK TO sp;
SELECT try('{"query": [{"tags": ["undone"]}], "after": -1}');
-- a sequence that an aborted append had is given to another event: the old entry does not count
SELECT count(*) FROM eappend('undone', 'Done', tags => '{done}');
SELECT try('{"query": [{"tags": ["undone"]}], "after": -1}');
SELECT try('{"query": [{"tags": ["done"]}], "after": -1}') LIKE 'SE009%' AS refused;
COMMIT;
-- A released savepoint is part of the transaction.
BEGIN;
SAVEPOINT sp;
SELECT count(*) FROM eappend('released', 'Released', tags => '{released}');
RELEASE sp;
SELECT try('{"query": [{"tags": ["released"]}], "after": -1}') LIKE 'SE009%' AS refused;
ROLLBACK;

-- The repetition of an append is recognised before its condition is looked at: the first one
-- itself matches.
\set id '''00000000-0000-4000-8000-000000000001'''
\set condition '''{"query": [{"tags": ["repeated"]}], "after": -1}'''
SELECT stream_version FROM eappend('repeated', 'Repeated', tags => '{repeated}', event_id => :id, condition => :condition);
SELECT stream_version FROM eappend('repeated', 'Repeated', tags => '{repeated}', event_id => :id, condition => :condition);
SELECT eappend('repeated', 'Repeated', tags => '{repeated}', condition => :condition);
:sqlstate
SELECT stream_version
  FROM emappend(NULL, '{"events": [{"stream_id": "r1", "event_name": "R", "tags": ["r"], "event_id": "00000000-0000-4000-8000-000000000002"},
                                   {"stream_id": "r2", "event_name": "R", "tags": ["r"], "event_id": "00000000-0000-4000-8000-000000000003"}],
                        "condition": {"query": [{"tags": ["r"]}], "after": -1, "streams": {"r3": "empty"}}}');
SELECT stream_version FROM eappend('r3', 'R');
SELECT stream_version
  FROM emappend(NULL, '{"events": [{"stream_id": "r1", "event_name": "R", "tags": ["r"], "event_id": "00000000-0000-4000-8000-000000000002"},
                                   {"stream_id": "r2", "event_name": "R", "tags": ["r"], "event_id": "00000000-0000-4000-8000-000000000003"}],
                        "condition": {"query": [{"tags": ["r"]}], "after": -1, "streams": {"r3": "empty"}}}');
-- an id that is in use elsewhere is refused before, too
SELECT eappend('elsewhere', 'R', event_id => :id, condition => '{"query": [], "after": -1}');
:sqlstate

-- with expected versions: a wrong one is named first
SELECT try('{"query": [{"tags": ["course:1"]}], "after": -1}', 'course-1', '0');
SELECT try('{"query": [{"tags": ["course:1"]}], "after": -1}', 'course-1', '2');
SELECT try('{"query": [{"tags": ["none"]}], "after": -1}', 'course-1', '2');
SELECT try('{"query": [{"tags": ["none"]}], "after": -1}', 'course-1', 'empty');
SELECT try('{"query": [{"tags": ["none"]}], "after": -1}', 'new', '5');

-- several partitions, all or nothing, by arrays too
SELECT count(*) AS events, count(DISTINCT partition_id) > 1 AS several_partitions
  FROM emappend(NULL, ARRAY['m1', 'm2', 'm3', 'm4'], ARRAY['M', 'M', 'M', 'M'], tags => ARRAY['["m"]', '["m"]', NULL, '[]']::sierra_json[],
                condition => '{"query": [{"tags": ["m"]}], "after": -1}');
SELECT emappend(NULL, ARRAY['m1', 'm2', 'm3', 'm4'], ARRAY['M', 'M', 'M', 'M'], tags => ARRAY['["m"]', '["m"]', NULL, '[]']::sierra_json[],
                condition => '{"query": [{"tags": ["m"]}], "after": -1}');
:sqlstate
SELECT esver('m1'), esver('m2'), esver('m3'), esver('m4');
SELECT emappend('key', ARRAY['k1', 'k2'], ARRAY['K', 'K'], condition => '{"query": [{"types": ["M"]}], "after": -1}');
:sqlstate
SELECT count(DISTINCT partition_id) FROM emappend('key', ARRAY['k1', 'k2'], ARRAY['K', 'K'], condition => '{"query": [{"types": ["K"]}], "after": -1}');
-- A call without events does nothing, whatever its condition is.
SELECT count(*) FROM emappend(NULL, '{"events": [], "condition": {"query": [], "after": -1}}');

-- an error does not end the transaction: a savepoint is enough
BEGIN;
SAVEPOINT sp;
SELECT eappend('course-1', 'Late', condition => '{"query": [{"tags": ["course:1"]}], "after": 0}');
ROLLBACK TO sp;
SELECT stream_version FROM eappend('course-1', 'Late', condition => format('{"query": [{"tags": ["course:1"]}], "after": %s}', ehead()));
COMMIT;

SELECT everify();
DROP FUNCTION try;
SELECT drop_event_store('es', force => true);
