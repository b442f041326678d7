-- emappend() with arrays
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT create_event_store('es', 4);

-- Several streams, several partitions, every argument; results come in the order of the call.
SELECT stream_id, stream_version, partition_id, partition_sequence, global_position, event_id
  FROM emappend(
    partition_key => NULL,
    stream_ids => ARRAY['user-123', 'a', 'user-123', '€-stream'],
    event_names => ARRAY['N1', 'N2', 'N3', 'N4'],
    payloads => ARRAY['{"n": 1}', NULL, 'null', '[4]']::json[],
    metadatas => ARRAY[NULL, '{"m": 2}', NULL, '{"m": "four"}']::json[],
    expected_versions => ARRAY['empty', 'any', '0', 'any']::expected_version[],
    event_ids => ARRAY['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002',
                       '00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000004']::uuid[],
    timestamps => ARRAY['2024-01-01 00:00:00+00', NULL, '2024-01-03 00:00:00+00', NULL]::timestamptz[],
    payload_bytes => ARRAY[NULL, '\x00ff', NULL, NULL]::bytea[]);
SELECT global_position, stream_id, stream_version, event_name, payload, metadata, payload_bytes,
       CASE WHEN "timestamp" < '2025-01-01' THEN "timestamp" END AS client_time
  FROM eall();
SELECT count(DISTINCT transaction_id) AS transactions,
       count(DISTINCT "timestamp") FILTER (WHERE "timestamp" > '2025-01-01') AS server_times
  FROM eall();

-- One key for the whole call: all streams in one partition.
SELECT stream_id, partition_key, partition_id, stream_version
  FROM emappend('partition key', ARRAY['t1', 't2', 't1'], ARRAY['x', 'x', 'x']);

-- NULL for an array that is not needed
SELECT stream_id, stream_version
  FROM emappend(NULL, ARRAY['a'], ARRAY['x'], NULL, NULL, NULL, NULL, NULL, NULL);

-- no events: no rows, no error
SELECT count(*) FROM emappend(NULL, ARRAY[]::text[], ARRAY[]::text[]);
SELECT count(*) FROM emappend('key', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
-- subscripts do not matter
SELECT stream_id, stream_version FROM emappend(NULL, '[5:6]={l1,l2}', ARRAY['x', 'x']);

-- what must not be missing
SELECT emappend(NULL, NULL::text[], ARRAY['x']);
:sqlstate
SELECT emappend(NULL, ARRAY['a'], NULL);
:sqlstate
SELECT emappend(NULL, ARRAY['a', NULL], ARRAY['x', 'x']);
:sqlstate
SELECT emappend(NULL, ARRAY['a', 'a'], ARRAY[NULL, 'x']);
:sqlstate
-- esver() of a stream without events is null: that must not turn into 'any'
SELECT emappend(NULL, ARRAY['a', 'nobody'], ARRAY['x', 'x'], expected_versions => ARRAY[esver('a'), esver('nobody')]::expected_version[]);
:sqlstate
SELECT emappend(NULL, ARRAY['a'], ARRAY['x'], expected_versions => ARRAY[NULL]::expected_version[]);
:sqlstate

-- lengths must agree
SELECT emappend(NULL, ARRAY['a', 'a'], ARRAY['x']);
:sqlstate
SELECT emappend(NULL, ARRAY[]::text[], ARRAY['x']);
:sqlstate
SELECT emappend(NULL, ARRAY['a'], ARRAY['x'], payloads => ARRAY['1', '2']::json[]);
:sqlstate
SELECT emappend(NULL, ARRAY['a'], ARRAY['x'], metadatas => ARRAY[]::json[]);
:sqlstate
SELECT emappend(NULL, ARRAY['a'], ARRAY['x'], expected_versions => ARRAY['any', 'any']::expected_version[]);
:sqlstate
SELECT emappend(NULL, ARRAY['a'], ARRAY['x'], event_ids => ARRAY[]::uuid[]);
:sqlstate
SELECT emappend(NULL, ARRAY['a'], ARRAY['x'], timestamps => ARRAY[now(), now()]);
:sqlstate
SELECT emappend(NULL, ARRAY['a'], ARRAY['x'], payload_bytes => ARRAY['', '']::bytea[]);
:sqlstate
SELECT emappend(NULL, ARRAY[['a', 'b'], ['c', 'd']], ARRAY['x', 'x', 'x', 'x']);
:sqlstate

-- A bad event in the middle leaves none of the others.
SELECT emappend(NULL, ARRAY['fresh', '', 'fresh'], ARRAY['x', 'x', 'x']);
:sqlstate
SELECT emappend(NULL, ARRAY['fresh', 'fresh'], ARRAY['x', 'x'], ARRAY['1', '2']::json[], payload_bytes => ARRAY[NULL, '\x00']::bytea[]);
:sqlstate
SELECT emappend('', ARRAY['fresh'], ARRAY['x']);
:sqlstate
SELECT esver('fresh') AS fresh, esver('nobody') AS nobody;

SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
