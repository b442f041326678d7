-- Invariant: a stream keeps the partition key of its first event; reading needs only the stream id.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- With 4 partitions: a is in partition 0, user-123 and order-456 in 1, 'partition key' in 2,
-- €-stream in 3.

-- streams under the key of their name; passing that key makes no difference
SELECT partition_key, partition_id, stream_version FROM eappend('user-123', 'x');
SELECT partition_key, partition_id, stream_version FROM eappend('user-123', 'x', partition_key => 'user-123');
SELECT stream_version FROM eappend('user-123', 'x', partition_key => '7e124fe8-fe28-5398-bb95-53973100148f');
SELECT stream_version FROM eappend('user-123', 'x', partition_key => '{7E124FE8-FE28-5398-BB95-53973100148F}');
SELECT stream_version FROM eappend('user-123', 'x', partition_key => 'urn:uuid:7e124fe8-fe28-5398-bb95-53973100148f');
SELECT count(*) AS registered FROM es.stream_keys;

-- another key afterwards is a mismatch, even one that leads to the same partition
SELECT eappend('user-123', 'x', partition_key => 'a');
:sqlstate
SELECT eappend('user-123', 'x', partition_key => 'order-456');
:sqlstate
SELECT esver('user-123');

-- A stream that begins under a key of its own keeps it, whether later calls pass it or not.
SELECT partition_key, partition_id, stream_version FROM eappend('a', 'x', partition_key => 'partition key');
SELECT partition_key, partition_id, stream_version FROM eappend('a', 'x');
SELECT partition_key, partition_id, stream_version FROM eappend('a', 'x', partition_key => 'aa92a0eb-c67e-5bd6-91da-823e2ed2056c');
SELECT partition_id, stream_version FROM emappend(NULL, ARRAY['a', 'user-123', 'a'], ARRAY['x', 'x', 'x']);
SELECT partition_id, stream_version FROM emappend('partition key', '[{"stream_id": "a", "event_name": "x", "expected_version": 4}]');
SELECT eappend('a', 'x', partition_key => 'a');
:sqlstate
SELECT eappend('a', 'x', partition_key => '€-stream');
:sqlstate
-- a key of its own in the very partition of the name
SELECT partition_id, stream_version FROM eappend('order-456', 'x', partition_key => 'user-123');
SELECT partition_id, stream_version FROM eappend('order-456', 'x');
SELECT eappend('order-456', 'x', partition_key => 'order-456');
:sqlstate
SELECT * FROM es.stream_keys ORDER BY stream_id;

-- Every read finds such streams by their names.
SELECT stream_id, min(partition_id) AS partition, count(*), esver(stream_id) FROM eall() GROUP BY stream_id ORDER BY 1;
SELECT stream_id, count(*) FROM unnest(ARRAY['a', 'user-123', 'order-456']) AS s, LATERAL escan(s) GROUP BY 1 ORDER BY 1;
SELECT stream_id, stream_version FROM escan('a', backward => true, max_count => 2);
SELECT stream_id, stream_version FROM escan('a', 1, 2);
SELECT stream_id, stream_version FROM escan('a', 99);
SELECT count(*) AS found_by_id FROM eall() AS e, LATERAL eget(e.event_id) AS g
 WHERE g.stream_id = e.stream_id AND g.stream_version = e.stream_version;
SELECT stream_id, stream_version FROM epscan(partition_key => 'partition key');
SELECT stream_id, stream_version FROM eall(streams => ARRAY['a']);

-- In one call all streams belong to its key, so one call cannot give one stream two keys; but
-- streams that exist under other keys are mismatches, and nothing is written.
SELECT emappend('€-stream', ARRAY['new', 'user-123'], ARRAY['x', 'x']);
:sqlstate
SELECT emappend('€-stream', ARRAY['new', 'a'], ARRAY['x', 'x']);
:sqlstate
SELECT esver('new') AS new, (SELECT count(*) FROM es.stream_keys) AS registered;
-- A key without a stream that has its name is like any other.
SELECT stream_id, partition_id, stream_version FROM emappend('00000000-0000-0000-8000-c00000000000', ARRAY['n1', 'n2'], ARRAY['x', 'x']);

-- gapless with refused appends, and registrations that are rolled back leave nothing
BEGIN;
SELECT stream_version FROM eappend('undone', 'x', partition_key => 'a');
ROLLBACK;
SELECT partition_key = sierra_stream_key('undone') AS free_again FROM eappend('undone', 'x');
BEGIN;
SAVEPOINT s;
SELECT stream_version FROM eappend('undone2', 'x', partition_key => 'a');
ROLLBACK TO s;
SELECT stream_version, partition_key = sierra_partition_key('€-stream') AS under_the_second FROM eappend('undone2', 'x', partition_key => '€-stream');
COMMIT;
SELECT stream_id, partition_key = sierra_partition_key('€-stream') AS under_the_second FROM es.stream_keys WHERE stream_id LIKE 'undone%';

-- One stream created in a call and appended to in the same transaction.
BEGIN;
SELECT partition_id, stream_version FROM eappend('tx', 'x', partition_key => 'a');
SELECT partition_id, stream_version FROM eappend('tx', 'x');
SELECT eappend('tx', 'x', partition_key => 'user-123');
:sqlstate
ROLLBACK;
SELECT esver('tx');

SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
