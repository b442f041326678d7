-- edecide(): load, decide, append
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION apply_account(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('balance', (state->>'balance')::numeric + CASE event.event_name
        WHEN 'Deposited' THEN (event.payload->>'amount')::numeric
        WHEN 'Withdrawn' THEN -(event.payload->>'amount')::numeric ELSE 0 END);
SELECT create_aggregate('account', 'apply_account(jsonb, sierra_event)', '{"balance": 0}', snapshot_every => 4);
CREATE FUNCTION decide_account(state jsonb, command jsonb) RETURNS json
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    CASE command->>'do'
        WHEN 'deposit' THEN
            RETURN json_build_array(json_build_object('event_name', 'Deposited', 'payload', json_build_object('amount', command->'amount')));
        WHEN 'withdraw' THEN
            IF (command->>'amount')::numeric > (state->>'balance')::numeric THEN
                RAISE EXCEPTION 'insufficient funds' USING ERRCODE = 'P0100', DETAIL = 'The balance is ' || (state->>'balance') || '.';
            END IF;
            RETURN json_build_array(json_build_object('event_name', 'Withdrawn', 'payload', json_build_object('amount', command->'amount')));
        WHEN 'none' THEN RETURN '[]';
        WHEN 'null' THEN RETURN NULL;
        WHEN 'json null' THEN RETURN ' null ';
        WHEN 'answer' THEN RETURN command->'answer';
        WHEN 'text' THEN RETURN command->>'answer';
    END CASE;
END
$$;

SELECT stream_id, stream_version, partition_sequence, global_position
  FROM edecide('account', 'a', 'decide_account(jsonb, jsonb)', '{"do": "deposit", "amount": 10}');
SELECT stream_version FROM edecide('account', 'a', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 4}');
SELECT event_name, payload, metadata FROM escan('a');
SELECT * FROM eload('account', 'a');
-- A command that the function refuses leaves nothing.
SELECT * FROM edecide('account', 'a', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 7}');
:sqlstate
SELECT * FROM edecide('account', 'new', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 7}');
:sqlstate
SELECT * FROM eload('account', 'a');
SELECT esver('new');
-- one that changes nothing, in all its spellings
SELECT count(*) FROM edecide('account', 'a', 'decide_account(jsonb, jsonb)', '{"do": "none"}');
SELECT count(*) FROM edecide('account', 'a', 'decide_account(jsonb, jsonb)', '{"do": "null"}');
SELECT count(*) FROM edecide('account', 'a', 'decide_account(jsonb, jsonb)', '{"do": "json null"}');
SELECT esver('a');

-- The commands of one statement see each other's events; what is appended meets the exact version.
SELECT n, e.stream_version FROM generate_series(1, 6) AS n,
       edecide('account', 'b', 'decide_account(jsonb, jsonb)', jsonb_build_object('do', 'deposit', 'amount', n)) AS e;
SELECT * FROM eload('account', 'b');
SELECT version, state FROM es.snapshots WHERE stream_id = 'b';
SET sierra_es.strict_versioning = on;
SELECT stream_version
  FROM edecide('account', 'strict', 'decide_account(jsonb, jsonb)',
               '{"do": "answer", "answer": [{"event_name": "Deposited", "payload": {"amount": 1}}, {"event_name": "Deposited", "payload": {"amount": 2}}]}');
SELECT stream_version FROM edecide('account', 'strict', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 3}');
RESET sierra_es.strict_versioning;

-- every member of an event; metadata of the call for those that have none
SELECT stream_version, event_id, "timestamp" = '2024-02-29 12:00+00' AS client_time
  FROM edecide('account', 'c', 'decide_account(jsonb, jsonb)', '{"do": "answer", "answer": [
      {"event_name": "Opened", "payload": {"by": "eve"}, "metadata": {"own": 1}, "event_id": "00000000-0000-4000-8000-000000000001", "timestamp": "2024-02-29 12:00+00"},
      {"event_name": "Signed", "payload_bytes": "AP8=", "tags": ["account:c", "by:eve"]},
      {"event_name": "Nothing", "payload": null, "metadata": null, "event_id": "00000000-0000-4000-8000-000000000002"}]}', metadata => '{ "call" : 7 }')
 WHERE event_id::text LIKE '00000000-%';
SELECT event_name, payload, payload_bytes, metadata, tags FROM escan('c');
SELECT tag, global_position = (SELECT global_position FROM escan('c', 1, 1)) AS place FROM es.event_tags ORDER BY tag;
-- the exact text, from json
SELECT stream_version
  FROM edecide('account', 'exact', 'decide_account(jsonb, jsonb)',
               jsonb_build_object('do', 'text', 'answer', E' [ { "payload" : { "b":1,  "a": "\\u0000", "b": 1e400 } , "event_name" : "E\\u0041" } ] '));
SELECT event_name, payload FROM escan('exact');
-- jsonb is accepted as well
CREATE FUNCTION decide_jsonb(state jsonb, command jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE RETURN jsonb_build_array(jsonb_build_object('event_name', 'Did', 'payload', command || coalesce(state, '{}')));
SELECT stream_version FROM edecide('account', 'jsonb', 'decide_jsonb(jsonb, jsonb)', '{"z": 1, "aa": 2}');
SELECT event_name, payload FROM escan('jsonb');
-- A repeated command whose events have the ids of the first returns the numbers of the first.
CREATE FUNCTION decide_once(state jsonb, command jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE RETURN jsonb_build_array(command || jsonb_build_object('event_name', 'Did'));
SELECT stream_version FROM edecide('account', 'once', 'decide_once(jsonb, jsonb)', '{"event_id": "00000000-0000-4000-8000-00000000000a"}');
SELECT stream_version FROM edecide('account', 'once', 'decide_once(jsonb, jsonb)', '{"event_id": "00000000-0000-4000-8000-00000000000a"}');
SELECT esver('once');

-- In a transaction with other statements, and rolled back with it.
BEGIN;
SELECT stream_version FROM edecide('account', 'tx', 'decide_account(jsonb, jsonb)', '{"do": "deposit", "amount": 5}');
SAVEPOINT s;
SELECT stream_version FROM edecide('account', 'tx', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 5}');
ROLLBACK TO s;
SELECT stream_version FROM edecide('account', 'tx', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 4}');
COMMIT;
SELECT * FROM eload('account', 'tx');

-- The function can be called several times, so it must not write.
CREATE TABLE notes (note text);
CREATE FUNCTION decide_writing(state jsonb, command jsonb) RETURNS jsonb
    LANGUAGE plpgsql
AS $$
BEGIN
    IF command->>'how' = 'caught' THEN
        BEGIN
            INSERT INTO notes VALUES ('caught');
        EXCEPTION WHEN read_only_sql_transaction THEN
            RETURN '[{"event_name": "Caught"}]';
        END;
    END IF;
    INSERT INTO notes VALUES ('written');
    RETURN '[]';
END
$$;
SELECT edecide('account', 'a', 'decide_writing(jsonb, jsonb)', '{}');
:sqlstate
BEGIN;
SELECT stream_version FROM edecide('account', 'w', 'decide_writing(jsonb, jsonb)', '{"how": "caught"}');
SAVEPOINT s;
SELECT edecide('account', 'w', 'decide_writing(jsonb, jsonb)', '{}');
ROLLBACK TO s;
-- ... but other sessions may continue to write.
INSERT INTO notes VALUES ('after');
COMMIT;
SELECT * FROM notes;

-- what a function may not return
CREATE VIEW answers AS SELECT * FROM (VALUES
    (1, '{"event_name": "x"}'), (2, '["x"]'), (3, '[{"payload": 1}]'), (4, '[{"event_name": ""}]'),
    (5, '[{"event_name": "x", "stream_id": "b"}]'), (6, '[{"event_name": "x", "expected_version": "any"}]'),
    (7, '[{"event_name": "x", "other": 1}]'), (8, '[{"event_name": "x", "payload": 1, "payload_bytes": "AA=="}]'),
    (9, '[{"event_name": "x"}, {"event_name": 3}]'), (10, '[{"event_name": "x", "event_name": "y"}]'), (11, 'true')) AS v (n, answer);
CREATE FUNCTION refusal(answer text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text; detail text;
BEGIN
    PERFORM edecide('account', 'a', 'decide_account(jsonb, jsonb)', jsonb_build_object('do', 'text', 'answer', answer));
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT, detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' / ', SQLSTATE, SQLERRM, detail, hint);
END $$;
SELECT n, refusal(answer) FROM answers ORDER BY n;
SELECT esver('a');

-- what else is refused
CREATE FUNCTION no_decide(jsonb) RETURNS jsonb LANGUAGE sql RETURN $1;
CREATE FUNCTION no_decide(jsonb, jsonb) RETURNS text LANGUAGE sql RETURN '';
CREATE FUNCTION no_decide(jsonb, json) RETURNS SETOF json LANGUAGE sql RETURN $2;
SELECT edecide('account', 'a', 'no_decide(jsonb)', '{}');
:sqlstate
SELECT edecide('account', 'a', 'no_decide(jsonb, jsonb)', '{}');
:sqlstate
SELECT edecide('account', 'a', 'no_decide(jsonb, json)', '{}');
:sqlstate
SELECT edecide('account', 'a', 4294967295::regprocedure, '{}');
:sqlstate
SELECT edecide(NULL, 'a', 'decide_account(jsonb, jsonb)', '{}');
:sqlstate
SELECT edecide('account', NULL, 'decide_account(jsonb, jsonb)', '{}');
:sqlstate
SELECT edecide('account', 'a', NULL, '{}');
:sqlstate
SELECT edecide('account', 'a', 'decide_account(jsonb, jsonb)', NULL);
:sqlstate
SELECT edecide('account', 'a', 'decide_account(jsonb, jsonb)', '{}', NULL);
:sqlstate
SELECT edecide('account', 'a', 'decide_account(jsonb, jsonb)', '{}', -1);
:sqlstate
SELECT edecide('unknown', 'a', 'decide_account(jsonb, jsonb)', '{}');
:sqlstate
SELECT edecide('account', '', 'decide_account(jsonb, jsonb)', '{"do": "deposit", "amount": 1}');
:sqlstate
BEGIN READ ONLY;
SELECT edecide('account', 'a', 'decide_account(jsonb, jsonb)', '{"do": "deposit", "amount": 1}');
:sqlstate
ROLLBACK;

-- A command with an id: the repetition gets the first answer, although the handler would refuse it now.
SELECT stream_version, global_position, event_id FROM edecide('account', 'rich', 'decide_account(jsonb, jsonb)', '{"do": "deposit", "amount": 5}', command_id => '00000000-0000-4000-8000-00000000c001') \gset first_
SELECT :first_stream_version AS version, :'first_event_id' AS event_id;
SELECT stream_version FROM edecide('account', 'rich', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 5}', command_id => '00000000-0000-4000-8000-00000000c002');
SELECT edecide('account', 'rich', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 5}');
:sqlstate
SELECT stream_version FROM edecide('account', 'rich', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 5}', command_id => '00000000-0000-4000-8000-00000000c002');
SELECT stream_version, global_position = :first_global_position AS same_position, event_id = :'first_event_id' AS same_id
  FROM edecide('account', 'rich', 'decide_account(jsonb, jsonb)', '{"do": "deposit", "amount": 5}', command_id => '00000000-0000-4000-8000-00000000c001');
-- with several events, whatever came after them, and under strict versioning
SELECT stream_version FROM edecide('account', 'rich', 'decide_account(jsonb, jsonb)',
    '{"do": "answer", "answer": [{"event_name": "Deposited", "payload": {"amount": 1}}, {"event_name": "Deposited", "payload": {"amount": 2}, "event_id": "00000000-0000-4000-8000-0000000000ff"}, {"event_name": "Noted"}]}', command_id => '00000000-0000-4000-8000-00000000c003');
SELECT stream_version FROM eappend('rich', 'Noted');
SET sierra_es.strict_versioning = on;
SELECT stream_version, event_id = '00000000-0000-4000-8000-00000000c003' AS of_command FROM edecide('account', 'rich', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 500}', command_id => '00000000-0000-4000-8000-00000000c003');
RESET sierra_es.strict_versioning;
SELECT esver('rich');
-- an event that was appended in another way, and one of another stream
SELECT stream_version FROM eappend('rich', 'Noted', event_id => '00000000-0000-4000-8000-00000000c004');
SELECT stream_version FROM edecide('account', 'rich', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 500}', command_id => '00000000-0000-4000-8000-00000000c004');
SELECT edecide('account', 'poor', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 500}', command_id => '00000000-0000-4000-8000-00000000c004');
:sqlstate
SELECT edecide('account', 'poor', 'decide_account(jsonb, jsonb)', '{"do": "answer", "answer": [{"event_name": "Noted", "event_id": "00000000-0000-4000-8000-0000000000aa"}]}', command_id => '00000000-0000-4000-8000-00000000c005');
:sqlstate
SELECT stream_version, event_id FROM edecide('account', 'poor', 'decide_account(jsonb, jsonb)', '{"do": "answer", "answer": [{"event_name": "Noted", "event_id": "00000000-0000-4000-8000-00000000c005"}]}', command_id => '00000000-0000-4000-8000-00000000c005');
-- Nothing was stored, so that it is decided again.
SELECT count(*) FROM edecide('account', 'poor', 'decide_account(jsonb, jsonb)', '{"do": "none"}', command_id => '00000000-0000-4000-8000-00000000c006');
SELECT stream_version FROM edecide('account', 'poor', 'decide_account(jsonb, jsonb)', '{"do": "deposit", "amount": 5}', command_id => '00000000-0000-4000-8000-00000000c006');
-- in a stream with a partition key of its own, and in the transaction of the first call
BEGIN;
SELECT stream_version FROM eappend('keyed', 'Noted', partition_key => 'a key');
SELECT stream_version FROM edecide('account', 'keyed', 'decide_account(jsonb, jsonb)', '{"do": "deposit", "amount": 5}', command_id => '00000000-0000-4000-8000-00000000c007');
SELECT stream_version FROM edecide('account', 'keyed', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 500}', command_id => '00000000-0000-4000-8000-00000000c007');
COMMIT;
-- To a user from whom the first event is hidden it says no more than eappend() does.
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE ROLE regress_sierra_handler;
GRANT USAGE ON SCHEMA es TO regress_sierra_handler;
GRANT SELECT, INSERT ON es.events TO regress_sierra_handler;
GRANT SELECT ON es.aggregates, es.upcasters TO regress_sierra_handler;
CREATE POLICY mine ON es.events TO regress_sierra_handler USING (stream_id <> 'rich') WITH CHECK (true);
SET ROLE regress_sierra_handler;
SELECT edecide('account', 'rich', 'decide_account(jsonb, jsonb)', '{"do": "deposit", "amount": 5}', command_id => '00000000-0000-4000-8000-00000000c001');
:sqlstate
SELECT stream_version FROM edecide('account', 'poor', 'decide_account(jsonb, jsonb)', '{"do": "withdraw", "amount": 500}', command_id => '00000000-0000-4000-8000-00000000c006');
RESET ROLE;
DROP POLICY mine ON es.events;
ALTER TABLE es.events DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON es.events, es.aggregates, es.upcasters FROM regress_sierra_handler;
REVOKE ALL ON SCHEMA es FROM regress_sierra_handler;
-- rights: those of a reader and of an appender; the function is called as the caller
GRANT USAGE ON SCHEMA es TO regress_sierra_handler;
GRANT SELECT ON es.events, es.aggregates, es.upcasters TO regress_sierra_handler;
CREATE FUNCTION decide_who(state jsonb, command jsonb) RETURNS jsonb
    LANGUAGE sql RETURN jsonb_build_array(jsonb_build_object('event_name', 'Did', 'payload', current_user));
SET ROLE regress_sierra_handler;
SELECT edecide('account', 'who', 'decide_who(jsonb, jsonb)', '{}');
:sqlstate
RESET ROLE;
GRANT INSERT ON es.events TO regress_sierra_handler;
SET ROLE regress_sierra_handler;
SELECT stream_version FROM edecide('account', 'who', 'decide_who(jsonb, jsonb)', '{}');
SELECT payload FROM escan('who');
RESET ROLE;
REVOKE EXECUTE ON FUNCTION decide_who FROM PUBLIC;
REVOKE SELECT ON es.events FROM regress_sierra_handler;
SET ROLE regress_sierra_handler;
SELECT edecide('account', 'who', 'decide_who(jsonb, jsonb)', '{}');
:sqlstate
SELECT edecide('account', 'who', 'decide_account(jsonb, jsonb)', '{}');
:sqlstate
RESET ROLE;

SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP VIEW answers;
DROP TABLE notes;
DROP FUNCTION apply_account, decide_account, decide_jsonb, decide_once, decide_writing, decide_who, refusal,
              no_decide(jsonb), no_decide(jsonb, jsonb), no_decide(jsonb, json);
DROP ROLE regress_sierra_handler;
