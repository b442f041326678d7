-- eappend_each(): each call of a statement is accepted or refused by itself
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION stored() RETURNS TABLE (stream text, version bigint, name text, call bigint)
    LANGUAGE sql
    AS $$ SELECT stream_id, stream_version, event_name, dense_rank() OVER (ORDER BY first)
            FROM (SELECT *, min(global_position) OVER (PARTITION BY transaction_id) AS first FROM eall()) AS e
           ORDER BY global_position $$;

-- without calls, each event is a call, and has a transaction_id of its own
SELECT status, stream_id, stream_version, sqlstate, message FROM eappend_each(ARRAY['a', 'b', 'a'], ARRAY['A0', 'B0', 'A1']);
SELECT * FROM stored();

-- the results are those of eappend(): what is stored
CREATE TABLE answer AS SELECT * FROM eappend_each(ARRAY['a', 'c', 'c'], ARRAY['A2', 'C0', 'C1'], calls => ARRAY[1, 2, 2]);
SELECT count(*) AS same
  FROM answer JOIN es.events USING (event_id, partition_key, partition_id, partition_sequence, stream_id, stream_version, "timestamp",
                                    transaction_id, global_position)
 WHERE status = 'appended' AND num_nonnulls(sqlstate, message, detail, hint, table_name, column_name, constraint_name) = 0;
SELECT * FROM stored() OFFSET 3;

-- everything that an event can have
SELECT status, stream_version, event_id = '00000000-0000-4000-8000-000000000001' AS chosen, "timestamp" < '2021-01-01' AS given
  FROM eappend_each(ARRAY['full', 'full', 'full'], ARRAY['J', 'B', 'N'],
                    payloads => ARRAY['{"a":  1}', NULL, NULL]::json[],
                    metadatas => ARRAY['{"m": 1}', NULL, NULL]::json[],
                    expected_versions => ARRAY['empty', '0', 'exists']::expected_version[],
                    event_ids => ARRAY[NULL, '00000000-0000-4000-8000-000000000001', NULL]::uuid[],
                    timestamps => ARRAY[NULL, '2020-01-02 03:04:05.678901+00', NULL]::timestamptz[],
                    payload_bytes => ARRAY[NULL, '\x00ff', NULL]::bytea[],
                    tags => ARRAY['["t", "u"]', NULL, '[]']::json[],
                    partition_keys => ARRAY['key', NULL, 'key'],
                    conditions => ARRAY['{"query": [{"tags": ["t"]}], "after": -1}', NULL, NULL]::json[]);
SELECT stream_version, event_name, metadata, payload, payload_bytes, tags, partition_key = sierra_partition_key('key') AS keyed
  FROM escan('full');

-- every refusal beside calls that are accepted; message, detail and hint are those of eappend()
CREATE TABLE mixed AS SELECT *
  FROM eappend_each(
    ARRAY['ok-1', 'a', 'new', 'full', 'c', '', 'ok-2', E'x\ny', repeat('x', 256), NULL, 'ok-3', 'ok-4', 'ok-5', 'ok-6', 'ok-7', 'ok-8', 'ok-9', 'd', 'ok-0'],
    ARRAY['E', 'E', 'E', 'E', 'E', 'E', 'E', 'E', 'E', 'E', '', NULL, 'E', 'E', 'E', 'E', 'E', 'E', 'E'],
    payloads => ARRAY[NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '1', NULL, NULL, NULL, NULL, NULL, NULL]::json[],
    metadatas => ARRAY[NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '7', NULL, NULL, NULL, NULL, NULL]::json[],
    expected_versions => ARRAY['empty', '0', '3', 'any', 'any', 'any', 'empty', 'any', 'any', 'any', 'any', 'any', 'any', 'any', NULL, 'any', 'any', 'any', 'empty']::expected_version[],
    event_ids => ARRAY[NULL, NULL, NULL, NULL, '00000000-0000-4000-8000-000000000001', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL]::uuid[],
    timestamps => ARRAY[NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'infinity', NULL, NULL, NULL]::timestamptz[],
    payload_bytes => ARRAY[NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL]::bytea[],
    tags => ARRAY[NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[""]', NULL, NULL]::json[],
    partition_keys => ARRAY[NULL, NULL, NULL, 'other', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL])
  WITH ORDINALITY;
SELECT ordinality AS n, status, left(replace(stream_id, E'\n', ' '), 8) AS stream, stream_version AS version, sqlstate, message, detail
  FROM mixed ORDER BY ordinality;
SELECT ordinality AS n, hint, table_name, column_name, constraint_name FROM mixed WHERE hint IS NOT NULL ORDER BY ordinality;
-- a refused event has nothing but what was passed
SELECT event_id FROM mixed
 WHERE status = 'refused' AND (event_id IS NOT NULL OR num_nonnulls(partition_key, partition_id, partition_sequence, "timestamp", transaction_id, global_position) > 0);
SELECT stream_id, stream_version FROM eall() WHERE stream_id LIKE 'ok%';

-- a call of several events is refused as a whole, whichever event is the reason
SELECT status, stream_id, stream_version AS version, sqlstate, message
  FROM eappend_each(ARRAY['p', 'q', 'p', 'q', 'p', 'r', 'p', 'q'], ARRAY['1', '1', '2', '2', '3', '3', '4', '4'],
                    expected_versions => ARRAY['empty', 'empty', '0', '5', '0', 'empty', '1', '0']::expected_version[],
                    calls => ARRAY[7, 7, -1, -1, 0, 0, 9, 9]) WITH ORDINALITY ORDER BY ordinality;
SELECT * FROM stored() WHERE stream IN ('p', 'q', 'r');
-- versions that a refused call had counted are taken back: also those of a stream that it has twice
SELECT status, stream_id, stream_version AS version, sqlstate, detail
  FROM eappend_each(ARRAY['s', 's', 's', 'p', 's', 's'], array_fill('E'::text, ARRAY[6]),
                    expected_versions => ARRAY['empty', '0', 'any', '77', 'empty', '0']::expected_version[],
                    calls => ARRAY[1, 1, 1, 1, 2, 3]) WITH ORDINALITY ORDER BY ordinality;

-- strict versioning: the first event of each call for a stream needs a version
SET sierra_es.strict_versioning = on;
SELECT status, stream_id, stream_version AS version, sqlstate, message
  FROM eappend_each(ARRAY['st', 'st', 'st', 'st'], array_fill('E'::text, ARRAY[4]),
                    expected_versions => ARRAY['empty', 'any', 'exists', '1']::expected_version[], calls => ARRAY[1, 1, 2, 3]);
RESET sierra_es.strict_versioning;

-- nothing to append; all refused
SELECT * FROM eappend_each('{}', '{}');
SELECT * FROM eappend_each('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
SELECT status, sqlstate FROM eappend_each(ARRAY['', 'a'], ARRAY['x', 'x'], expected_versions => ARRAY['any', 'empty']::expected_version[]);
-- then no lock is kept
BEGIN;
SELECT status, sqlstate FROM eappend_each(ARRAY['c', 'a'], ARRAY['x', 'x'], expected_versions => ARRAY['77', 'empty']::expected_version[],
                                          tags => ARRAY['["t"]', NULL]::json[]);
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
COMMIT;

-- errors of the statement: it appends nothing
SELECT eappend_each(NULL, ARRAY['x']);
:sqlstate
SELECT eappend_each(ARRAY['x'], NULL);
:sqlstate
SELECT eappend_each(ARRAY['x', 'y'], ARRAY['x']);
:sqlstate
SELECT eappend_each(ARRAY['x'], ARRAY['x'], partition_keys => ARRAY['x', 'y']);
:sqlstate
SELECT eappend_each(ARRAY['x'], ARRAY['x'], conditions => '{}');
:sqlstate
SELECT eappend_each(ARRAY['x'], ARRAY['x'], calls => ARRAY[1, 2]);
:sqlstate
SELECT eappend_each(ARRAY[['x']], ARRAY[['x']]);
:sqlstate
SELECT eappend_each(ARRAY['x', 'y'], ARRAY['x', 'y'], calls => ARRAY[1, NULL]);
:sqlstate
SELECT eappend_each(ARRAY['x', 'y', 'z', 'x'], ARRAY['x', 'y', 'z', 'x'], calls => ARRAY[5, 3, 3, 5]);
:sqlstate
-- not ascending, but each call is in one piece
SELECT status, stream_id, stream_version FROM eappend_each(ARRAY['n', 'n', 'n', 'n'], ARRAY['x', 'x', 'x', 'x'], calls => ARRAY[5, 5, 3, 4]);

-- keys and conditions of a call: those of its first event
SELECT status, stream_id, partition_key = sierra_partition_key('key') AS keyed, sqlstate, message, detail, hint
  FROM eappend_each(ARRAY['k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7', 'k8', 'k9'], array_fill('E'::text, ARRAY[9]),
                    partition_keys => ARRAY['key', NULL, 'key', 'key', 'key', 'other', NULL, 'key', NULL],
                    conditions => ARRAY['{"streams": {"a": "exists"}}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"streams": {"a": "empty"}}']::json[],
                    calls => ARRAY[1, 1, 2, 2, 3, 3, 4, 4, 5]) WITH ORDINALITY ORDER BY ordinality;
SELECT status, stream_id, sqlstate, message, detail
  FROM eappend_each(ARRAY['k10', 'k11'], ARRAY['E', 'E'], conditions => ARRAY[NULL, '{"streams": {"a": "exists"}}']::json[], calls => ARRAY[1, 1]);

-- what the session adds
SET sierra_es.metadata = '{"user": 7}';
SELECT status FROM eappend_each(ARRAY['meta', 'meta'], ARRAY['E', 'E'], metadatas => ARRAY['{"m": 1}', NULL]::json[]);
RESET sierra_es.metadata;
SELECT metadata FROM escan('meta');

-- in the transaction of the caller, and undone with it
BEGIN;
SELECT status FROM eappend_each(ARRAY['undone', 'undone'], ARRAY['E', 'E']);
SAVEPOINT s;
SELECT status, stream_version FROM eappend_each(ARRAY['undone', 'undone'], ARRAY['E', 'E'], expected_versions => ARRAY['any', '1']::expected_version[]);
ROLLBACK TO s;
SELECT status, stream_version, detail FROM eappend_each(ARRAY['undone', 'undone'], ARRAY['E', 'E'], expected_versions => ARRAY['2', '1']::expected_version[]);
ROLLBACK;
SELECT esver('undone');
BEGIN READ ONLY;
SELECT eappend_each(ARRAY['x'], ARRAY['x']);
:sqlstate
ROLLBACK;
-- in the select list too, each row is a composite
SELECT (r).status, (r).stream_version FROM (SELECT eappend_each(ARRAY['list', 'list'], ARRAY['E', 'E']) AS r) AS t;

-- many calls
SELECT count(*), count(DISTINCT transaction_id), min(status), max(stream_version)
  FROM eappend_each((SELECT array_agg('many-' || n % 7 ORDER BY n) FROM generate_series(1, 1000) AS n), array_fill('E'::text, ARRAY[1000]));
SELECT count(*), count(DISTINCT transaction_id), string_agg(DISTINCT status, ' ')
  FROM eappend_each((SELECT array_agg('many-' || n % 7 ORDER BY n) FROM generate_series(1, 1000) AS n), array_fill('E'::text, ARRAY[1000]),
                    calls => (SELECT array_agg(n / 10 ORDER BY n) FROM generate_series(1, 1000) AS n));
SELECT count(*) AS problems FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION stored;
DROP TABLE answer, mixed;
