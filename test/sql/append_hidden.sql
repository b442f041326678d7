-- An append does not say what row-level security hides: versions, keys and numbers of events of others
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a-1', 'a-1', 'b-1', 'b-1', 'b-1'], array_fill('x'::text, ARRAY[5]));
SELECT count(*) FROM eappend('b-keyed', 'x', partition_key => 'k1');
SELECT count(*) FROM eappend('a-keyed', 'x', partition_key => 'k1');
SELECT count(*) FROM eappend('b-1', 'x', event_id => '00000000-0000-4000-8000-000000000001');
SELECT count(*) FROM eappend('a-1', 'x', event_id => '00000000-0000-4000-8000-000000000002');
CREATE ROLE regress_sierra_a;
CREATE ROLE regress_sierra_b;
GRANT USAGE ON SCHEMA es TO regress_sierra_a, regress_sierra_b;
GRANT SELECT, INSERT ON es.events TO regress_sierra_a;
GRANT INSERT ON es.events TO regress_sierra_b;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY a ON es.events TO regress_sierra_a USING (stream_id LIKE 'a-%');
CREATE POLICY b ON es.events TO regress_sierra_b USING (stream_id LIKE 'b-%');

SET ROLE regress_sierra_a;
-- the version of a stream, its own and that of others
SELECT eappend('a-1', 'x', expected_version => 0);
:sqlstate
SELECT eappend('b-1', 'x', expected_version => 0);
:sqlstate
SELECT eappend('b-1', 'x', expected_version => 'empty');
SELECT emappend(NULL, '[{"stream_id": "b-1", "event_name": "x"}, {"stream_id": "b-1", "event_name": "x", "expected_version": 0}]');
SELECT emappend(NULL, '[{"stream_id": "a-1", "event_name": "x"}, {"stream_id": "a-1", "event_name": "x", "expected_version": 0}]');
-- nothing is hidden of a stream that has no event
SELECT eappend('b-none', 'x', expected_version => 0);
SELECT emappend(NULL, '[{"stream_id": "b-none", "event_name": "x"}, {"stream_id": "b-none", "event_name": "x", "expected_version": 7}]');
-- a stream of which it sees the older events, but not the newest
RESET ROLE;
CREATE POLICY old ON es.events AS RESTRICTIVE TO regress_sierra_a USING (event_name <> 'Secret');
BEGIN;
SELECT stream_version FROM eappend('a-1', 'Secret');
SET LOCAL ROLE regress_sierra_a;
SELECT eappend('a-1', 'x', expected_version => 0);
ROLLBACK;
SET ROLE regress_sierra_a;
SELECT eappend('a-1', 'x', expected_version => 0);
-- the key of a stream
SELECT eappend('a-keyed', 'x', partition_key => 'k2');
:sqlstate
SELECT eappend('b-keyed', 'x', partition_key => 'k2');
:sqlstate
SELECT eappend('b-1', 'x', partition_key => 'k2');
-- the numbers of an event
SELECT stream_version, global_position FROM eappend('a-1', 'x', event_id => '00000000-0000-4000-8000-000000000002');
SELECT eappend('b-1', 'x', event_id => '00000000-0000-4000-8000-000000000001');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a-1", "event_name": "x", "event_id": "00000000-0000-4000-8000-000000000002"}, {"stream_id": "b-1", "event_name": "x", "event_id": "00000000-0000-4000-8000-000000000001"}]');
-- what this command appended is not hidden from it
SELECT (eappend('a-2', 'x', event_id => '00000000-0000-4000-8000-000000000003')).stream_version FROM generate_series(1, 2);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT stream_version FROM eappend('a-2', 'x', event_id => '00000000-0000-4000-8000-000000000003');
SELECT eappend('a-2', 'x', expected_version => 'empty');
ROLLBACK;
-- Nor what the owner appended for it in the same command, which is stored without the executor.
RESET ROLE;
CREATE FUNCTION append_as_owner(stream text, id uuid) RETURNS bigint LANGUAGE sql SECURITY DEFINER
    AS 'SELECT stream_version FROM eappend($1, ''x'', event_id => $2)';
SET ROLE regress_sierra_a;
SELECT append_as_owner('a-3', '00000000-0000-4000-8000-000000000004'), (eappend('a-3', 'x', event_id => '00000000-0000-4000-8000-000000000004')).stream_version;
SELECT append_as_owner('a-4', '00000000-0000-4000-8000-000000000005'), eappend('a-4', 'x', expected_version => 'empty');
RESET ROLE;
DROP FUNCTION append_as_owner;

-- A role that cannot read at all still gets the answer to a repetition.
SET ROLE regress_sierra_b;
SELECT eappend('b-1', 'x', expected_version => 0);
SELECT stream_version FROM eappend('b-1', 'x', event_id => '00000000-0000-4000-8000-000000000001');
RESET ROLE;

-- without row-level security everybody who may append learns them
ALTER TABLE es.events DISABLE ROW LEVEL SECURITY;
SET ROLE regress_sierra_b;
SELECT eappend('a-1', 'x', expected_version => 0);
SELECT stream_version FROM eappend('a-1', 'x', event_id => '00000000-0000-4000-8000-000000000002');
RESET ROLE;
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP OWNED BY regress_sierra_a, regress_sierra_b;
DROP ROLE regress_sierra_a, regress_sierra_b;
