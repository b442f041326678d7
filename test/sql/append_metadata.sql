-- sierra_es.metadata: members that a session gives to each event it appends.
CREATE SCHEMA metadata_test;
SET search_path = metadata_test, public;
SELECT create_event_store('metadata_test_es', 4);
SET sierra_es.store = metadata_test_es;

SET sierra_es.metadata = '{"correlation_id": "c-1", "user": {"id": 7}}';

-- members that an event has itself come first and take precedence; their bytes do not change
SELECT stream_version FROM eappend('m-1', 'None');
SELECT stream_version FROM eappend('m-1', 'Empty', metadata => ' { } ');
SELECT stream_version FROM eappend('m-1', 'Own', metadata => '{ "a" : 1 }');
SELECT stream_version FROM eappend('m-1', 'Wins', metadata => '{"user":"own", "z":[1,{"correlation_id":2}]}');
-- What is not an object is refused, by each function that takes metadata; a number may be meant as a version.
\set VERBOSITY terse
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT eappend('m-1', 'NoObject', metadata => '["correlation_id"]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id":"m-1","event_name":"Json","metadata":2}]');
:sqlstate
SELECT emappend(NULL, ARRAY['m-1', 'm-1'], ARRAY['Array', 'Array'], NULL, metadatas => ARRAY['{}', 'null']::json[]);
:sqlstate
SELECT eschedule('2000-01-01', 'm-1', 'Due', metadata => '"d"');
:sqlstate
SELECT start_saga('none', metadata => 'true');
:sqlstate
\set VERBOSITY default
SELECT eappend('m-1', 'NoObject', '{}', '3');
SELECT eappend('m-1', 'NoObject', '{}', E' \t-1.5\n');
SELECT eappend('m-1', 'NoObject', '{}', ' null ');
SELECT eappend('m-1', 'NoObject', '{}', to_json(repeat('ä', 50)));
SELECT stream_version FROM emappend(NULL, '[{"stream_id":"m-1","event_name":"Json","metadata":{"b":2}}]');
SELECT stream_version FROM emappend(NULL, ARRAY['m-1', 'm-1'], ARRAY['Array', 'Array'], NULL,
                                    metadatas => ARRAY[NULL, '{"c": 3}']::json[]);

CREATE FUNCTION fold(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce(state, '{}') $$;
CREATE FUNCTION decide(state jsonb, command jsonb) RETURNS json
    LANGUAGE sql IMMUTABLE AS $$ SELECT '[{"event_name":"Decided"}]'::json $$;
SELECT create_aggregate('thing', 'fold(jsonb, sierra_event)');
SELECT edecide('thing', 'm-1', 'decide(jsonb, jsonb)', '{}', metadata => '[1]');
SELECT stream_version FROM edecide('thing', 'm-1', 'decide(jsonb, jsonb)', '{}');
SELECT event_name, metadata FROM escan('m-1');

-- a timer keeps the session's metadata of the time when it was set
SELECT eschedule('2000-01-01', 'm-2', 'Due', metadata => '{"d": 4}',
                 timer_id => '00000000-0000-4000-8000-000000000001') IS NOT NULL AS scheduled;
RESET sierra_es.metadata;
SELECT run_timers();
SELECT event_name, metadata FROM escan('m-2');

-- without the setting nothing is added, and the text does not change
SELECT stream_version FROM eappend('m-3', 'Bare', metadata => '{ "a" : 1 }');
SELECT metadata FROM escan('m-3');

-- an append is idempotent by its id, whatever the session's metadata are
SELECT stream_version FROM eappend('m-4', 'Once', event_id => '00000000-0000-4000-8000-000000000002');
SET sierra_es.metadata = '{"later": true}';
SELECT stream_version FROM eappend('m-4', 'Once', event_id => '00000000-0000-4000-8000-000000000002');
SELECT metadata FROM escan('m-4');

-- a value that is not an object is refused when it is set
\set VERBOSITY default
SET sierra_es.metadata = '[1]';
SET sierra_es.metadata = '{"a": }';
SET sierra_es.metadata = '{"a": 1} x';
SET sierra_es.metadata = '"a"';
SET sierra_es.metadata = '';
SELECT stream_version FROM eappend('m-5', 'Bare');
SELECT metadata FROM escan('m-5');

SELECT drop_event_store('metadata_test_es', force => true);
DROP SCHEMA metadata_test CASCADE;
