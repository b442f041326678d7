-- Invariant: event ids that exist in that stream, in that order, contiguously, return their first
-- numbers for every expected version; any other reuse is SE003.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);

-- Short ids: id(7) ends in 7.  Their hash leads to partition 0 whatever the number.
CREATE FUNCTION id(n int) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT
    RETURN ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid;

-- one event, repeated: all results of the first append come back, nothing is written
CREATE TABLE first AS SELECT * FROM eappend('user-123', 'Created', '{"n": 1}', event_id => id(1));
SELECT stream_version FROM eappend('user-123', 'Changed', event_id => id(2));
CREATE TABLE again AS
SELECT expected, r.* FROM unnest(ARRAY['any', 'exists', 'empty', '0', '1', '99']) AS expected,
       LATERAL eappend('user-123', 'Created', '{"n": 1}', event_id => id(1), expected_version => expected::expected_version) AS r;
SELECT expected, count(*) AS same_as_first
  FROM again JOIN first USING (event_id, partition_key, partition_id, partition_sequence, stream_id,
                               stream_version, "timestamp", transaction_id, global_position)
 GROUP BY expected ORDER BY expected;
SELECT stream_version, event_name, payload FROM escan('user-123');
-- The first numbers come back even if the other arguments of the repetition differ: the id is the
-- identity.
SELECT stream_version FROM eappend('user-123', 'Other', '{"n": 2}', event_id => id(1), "timestamp" => '2020-01-01');
-- A repetition may pass the key or not.
SELECT stream_version FROM eappend('user-123', 'Created', event_id => id(1), partition_key => 'user-123');
SELECT eappend('user-123', 'Created', event_id => id(1), partition_key => 'a');
:sqlstate
-- strict versioning does not refuse the repetition of an append that it accepted before
SET sierra_es.strict_versioning = on;
SELECT stream_version FROM eappend('user-123', 'Created', event_id => id(1), expected_version => 'empty');
SELECT stream_version FROM eappend('user-123', 'Changed', event_id => id(2), expected_version => 0);
RESET sierra_es.strict_versioning;

-- a batch, repeated in both forms
CREATE TABLE batch AS
SELECT * FROM emappend(NULL, ARRAY['a', 'a', '€-stream', 'a'], ARRAY['x', 'x', 'x', 'x'],
                       event_ids => ARRAY[id(11), id(12), id(13), id(14)]) WITH ORDINALITY;
SELECT count(*) AS same
  FROM emappend(NULL, ARRAY['a', 'a', '€-stream', 'a'], ARRAY['x', 'x', 'x', 'x'],
                expected_versions => ARRAY['empty', '0', 'empty', '1']::expected_version[],
                event_ids => ARRAY[id(11), id(12), id(13), id(14)]) WITH ORDINALITY
  JOIN batch USING (event_id, partition_key, partition_id, partition_sequence, stream_id,
                    stream_version, "timestamp", transaction_id, global_position, ordinality);
SELECT count(*) AS same
  FROM emappend(NULL, (SELECT json_agg(json_build_object('stream_id', stream_id, 'event_name', 'x', 'event_id', event_id) ORDER BY ordinality) FROM batch)) WITH ORDINALITY
  JOIN batch USING (event_id, partition_key, partition_id, partition_sequence, stream_id,
                    stream_version, "timestamp", transaction_id, global_position, ordinality);
-- Order between streams is not order in a stream: this is a repetition as well.
SELECT stream_id, stream_version FROM emappend(NULL, ARRAY['€-stream', 'a', 'a', 'a'], ARRAY['x', 'x', 'x', 'x'],
                                               event_ids => ARRAY[id(13), id(11), id(12), id(14)]);
-- A contiguous part of the stored events, from several calls, is a repetition too.
SELECT stream_id, stream_version FROM emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(12), id(14)]);
SELECT stream_version FROM eappend('a', 'x', event_id => id(15));
SELECT stream_id, stream_version FROM emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(14), id(15)]);

-- in another order, with a gap
SELECT emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(12), id(11)]);
:sqlstate
SELECT emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(11), id(14)]);
:sqlstate
-- in part: stored events first, last, or with an id that the server would choose
SELECT emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(15), id(16)]);
:sqlstate
SELECT emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(16), id(11)]);
:sqlstate
SELECT emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(15), NULL]);
:sqlstate
SELECT emappend(NULL, ARRAY['a', 'fresh'], ARRAY['x', 'x'], event_ids => ARRAY[id(15), id(16)]);
:sqlstate
-- in another stream: of the same partition, of another, and of the partition that the id leads to
SELECT eappend('order-456', 'x', event_id => id(1));
:sqlstate
SELECT eappend('€-stream', 'x', event_id => id(1));
:sqlstate
SELECT eappend('a', 'x', event_id => id(1));
:sqlstate
SELECT eappend('user-123', 'x', event_id => id(11));
:sqlstate
SELECT eappend('fresh', 'x', event_id => id(13), partition_key => '€-stream');
:sqlstate
-- twice in one call
SELECT emappend(NULL, ARRAY['fresh', 'fresh'], ARRAY['x', 'x'], event_ids => ARRAY[id(20), id(20)]);
:sqlstate
SELECT emappend(NULL, ARRAY['fresh', '€-stream'], ARRAY['x', 'x'], event_ids => ARRAY[id(20), id(20)]);
:sqlstate
SELECT emappend(NULL, ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[id(11), id(11)]);
:sqlstate
SELECT esver('fresh') AS fresh, esver('a') AS a, (SELECT count(*) FROM es.event_ids) AS registered;

-- A generated id that a client sends back is the repetition of that append ...
SELECT event_id FROM eappend('order-456', 'x') \gset
SELECT stream_version FROM eappend('order-456', 'x', event_id => :'event_id');
\set VERBOSITY sqlstate
SELECT eappend('user-123', 'x', event_id => :'event_id');
SELECT eappend('a', 'x', event_id => :'event_id');
\set VERBOSITY default
-- ... and so is one made before the append by sierra_event_id().
SELECT sierra_event_id(sierra_stream_key('order-456')) AS event_id \gset
SELECT stream_version FROM eappend('order-456', 'x', event_id => :'event_id');
SELECT stream_version FROM eappend('order-456', 'x', event_id => :'event_id', expected_version => 0);

-- An event that was rolled back does not exist.
BEGIN;
SELECT stream_version FROM eappend('rolled', 'x', event_id => id(30));
ROLLBACK;
SELECT stream_version FROM eappend('elsewhere', 'x', event_id => id(30));
BEGIN;
SAVEPOINT s;
SELECT stream_version FROM eappend('rolled', 'x', event_id => id(31));
SELECT stream_version FROM eappend('rolled', 'x', event_id => id(31));
ROLLBACK TO s;
SELECT stream_version FROM eappend('rolled', 'y', event_id => id(31));
SELECT stream_version FROM eappend('rolled', 'z', event_id => id(31));
COMMIT;
SELECT stream_version, event_name FROM escan('rolled');
-- Repetitions in the transaction of the first.
BEGIN;
SELECT stream_version FROM eappend('same tx', 'x', event_id => id(32), expected_version => 'empty');
SELECT stream_version FROM eappend('same tx', 'x', event_id => id(32), expected_version => 'empty');
SELECT eappend('other stream', 'x', event_id => id(32));
:sqlstate
ROLLBACK;

-- Streams under a key of their own.
SELECT stream_version, partition_id FROM eappend('own', 'x', event_id => id(40), partition_key => 'partition key');
SELECT stream_version, partition_id FROM eappend('own', 'x', event_id => id(40), partition_key => 'partition key', expected_version => 'empty');
SELECT stream_version, partition_id FROM eappend('own', 'x', event_id => id(40));
SELECT eappend('own2', 'x', event_id => id(40), partition_key => 'partition key');
:sqlstate
-- The nil UUID is an id like others.
SELECT stream_version FROM eappend('nil', 'x', event_id => '00000000-0000-0000-0000-000000000000');
SELECT stream_version FROM eappend('nil', 'x', event_id => '00000000-0000-0000-0000-000000000000', expected_version => 7);

-- A repetition of a large batch is one, too.
SELECT count(*), max(stream_version)
  FROM emappend(NULL, array_fill('big'::text, ARRAY[1000]), array_fill('x'::text, ARRAY[1000]), event_ids => (SELECT array_agg(id(1000 + n) ORDER BY n) FROM generate_series(1, 1000) AS n));
SELECT count(*), max(stream_version)
  FROM emappend(NULL, array_fill('big'::text, ARRAY[1000]), array_fill('x'::text, ARRAY[1000]), event_ids => (SELECT array_agg(id(1000 + n) ORDER BY n) FROM generate_series(1, 1000) AS n));
SELECT emappend(NULL, array_fill('big'::text, ARRAY[1000]), array_fill('x'::text, ARRAY[1000]), event_ids => (SELECT array_agg(id(1000 + n) ORDER BY n DESC) FROM generate_series(1, 1000) AS n));
:sqlstate
SELECT esver('big');

SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP TABLE first, again, batch;
DROP FUNCTION id;
