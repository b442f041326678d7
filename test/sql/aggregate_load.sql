-- eload(): the state of a stream, from a snapshot or without
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT create_event_store('es', 4);
-- The state lists what was folded, so that a hole, a repetition or a wrong order shows.
CREATE FUNCTION fold_list(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    RETURN state || jsonb_build_array(event.event_name || event.stream_version);
END
$$;
SELECT create_aggregate('list', 'fold_list(jsonb, sierra_event)', '[]', snapshot_every => 4);
SELECT count(*) FROM generate_series(0, 9) AS n,
       eappend('a', chr(97 + n), "timestamp" => '2024-01-01 00:00+00'::timestamptz + n * interval '1 day');

SELECT * FROM eload('list', 'a', at_version => 6);
SELECT * FROM eload('list', 'none');
SELECT * FROM eload('list', 'a', at_version => -1);
-- Only the newest state leaves a snapshot: loading many past versions would leave many.
SELECT count(*) FROM es.snapshots;
SELECT * FROM eload('list', 'a');
SELECT version, newest, state FROM es.snapshots;
-- The next one comes four events later, not earlier.
SELECT count(*) FROM generate_series(1, 3) AS n, eappend('a', 'x', to_json(n));
SELECT version FROM eload('list', 'a');
SELECT count(*) FROM es.snapshots;
SELECT count(*) FROM eappend('a', 'x');
SELECT version FROM eload('list', 'a');
SELECT version FROM eload('list', 'a');
SELECT version FROM es.snapshots ORDER BY 1;

-- Folding begins at a snapshot, if it fits: the mark shows that it was used.
UPDATE es.snapshots SET state = '["mark"]' WHERE version = 9;
UPDATE es.snapshots SET state = '["newest"]' WHERE version = 13;
SELECT * FROM eload('list', 'a');
SELECT * FROM eload('list', 'a', at_version => 12);
SELECT * FROM eload('list', 'a', at_version => 9);
SELECT * FROM eload('list', 'a', at_version => 8);
SELECT * FROM eload('list', 'a', at_time => '2024-01-10 00:00+00');
SELECT * FROM eload('list', 'a', at_time => '2024-01-09 23:59+00');
SELECT * FROM eload('list', 'a', at_time => 'infinity');
SELECT * FROM eload('list', 'a', at_time => '2023-12-31 00:00+00');
SELECT * FROM eload('list', 'a', at_version => 3, at_time => '2024-01-02 00:00+00');
SELECT * FROM eload('list', 'a', at_version => 1, at_time => '2024-01-05 00:00+00');
SELECT drop_snapshots('list');
SELECT version, jsonb_array_length(state) FROM eload('list', 'a');

-- Clients set the times.  The first event that is later ends the state, and a snapshot counts only
-- if none of its events is later.
SELECT count(*) FROM unnest(ARRAY['2024-01-01', '2024-01-09', '2024-01-02', '2024-01-03']::timestamptz[]) AS t,
       eappend('times', 'x', "timestamp" => t);
SELECT * FROM eload('list', 'times');
SELECT version, newest FROM es.snapshots WHERE stream_id = 'times';
SELECT * FROM eload('list', 'times', at_time => '2024-01-05');
SELECT * FROM eload('list', 'times', at_time => '2024-01-09');

-- streams with a key of their own, and events without JSON
SELECT count(*) FROM unnest(ARRAY['\x00', '\xff']::bytea[]) AS b, eappend('keyed', 'bytes', partition_key => 'k', payload_bytes => b);
SELECT * FROM eload('list', 'keyed');
-- long payloads come whole
CREATE FUNCTION fold_lengths(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE RETURN state || to_jsonb(octet_length(event.payload::text) + coalesce(octet_length(event.payload_bytes), 0));
SELECT create_aggregate('lengths', 'fold_lengths(jsonb, sierra_event)', '[]');
SELECT count(*) FROM generate_series(1, 3) AS n,
       eappend('long', 'x', to_json((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000 * n) AS i)));
SELECT * FROM eload('lengths', 'long');

-- A state can be null: a strict fold leaves it null, another one is called.
CREATE FUNCTION fold_strict(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE sql STRICT IMMUTABLE RETURN '1'::jsonb;
CREATE FUNCTION fold_null(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE RETURN CASE WHEN state IS NULL THEN to_jsonb(event.stream_version) END;
SELECT create_aggregate('strict', 'fold_strict(jsonb, sierra_event)', NULL, 1);
SELECT create_aggregate('null', 'fold_null(jsonb, sierra_event)', NULL, 1);
SELECT * FROM eload('strict', 'a');
SELECT * FROM eload('null', 'times');
SELECT * FROM eload('null', 'times', at_version => 2);
SELECT aggregate, version, state FROM es.snapshots WHERE aggregate IN ('strict', 'null');

-- An error of the fold is the error of the call.
CREATE FUNCTION fold_error(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cannot fold version %', event.stream_version USING ERRCODE = 'P4242'; END $$;
SELECT create_aggregate('error', 'fold_error(jsonb, sierra_event)');
SELECT eload('error', 'a');
:sqlstate

-- A transaction sees what it appended, and its snapshots are rolled back with it.
BEGIN;
SELECT count(*) FROM generate_series(1, 4) AS n, eappend('mine', 'x', to_json(n));
SAVEPOINT s;
SELECT count(*) FROM eappend('mine', 'x');
SELECT version FROM eload('list', 'mine');
SELECT version FROM es.snapshots WHERE stream_id = 'mine';
ROLLBACK TO s;
SELECT version, jsonb_array_length(state) FROM eload('list', 'mine');
ROLLBACK;
SELECT * FROM eload('list', 'mine');
SELECT count(*) FROM es.snapshots WHERE stream_id = 'mine';

-- In a transaction that may not write, and at every isolation level, reading works.
SELECT drop_snapshots('list') > 0 AS dropped;
BEGIN READ ONLY;
SELECT version, jsonb_array_length(state) FROM eload('list', 'a');
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT version, jsonb_array_length(state) FROM eload('list', 'a');
COMMIT;
SELECT count(*) FROM es.snapshots WHERE aggregate = 'list';
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT version, jsonb_array_length(state) FROM eload('list', 'a');
COMMIT;
SELECT version FROM es.snapshots WHERE aggregate = 'list';
SELECT drop_snapshots('list');

-- in another store
SELECT create_event_store('other', 2);
SET sierra_es.store = other;
SELECT eload('list', 'a');
:sqlstate
SELECT create_aggregate('list', 'fold_list(jsonb, sierra_event)', '["other"]');
SELECT count(*) FROM eappend('a', 'other');
SELECT * FROM eload('list', 'a');
RESET sierra_es.store;
SELECT version FROM eload('list', 'a');
SELECT drop_event_store('other', force => true);

-- what is refused
SELECT eload(NULL, 'a');
:sqlstate
SELECT eload('list', NULL);
:sqlstate
SELECT eload('list', 'a', -2);
:sqlstate
SELECT eload('unknown', 'a');
:sqlstate

-- Rights: reading needs SELECT on the events, the aggregates and the upcasters;
-- with the right to them, snapshots are used and taken.
CREATE ROLE regress_sierra_reader;
GRANT USAGE ON SCHEMA es TO regress_sierra_reader;
GRANT SELECT ON es.events, es.aggregates TO regress_sierra_reader;
UPDATE es.snapshots SET state = '["mark"]' WHERE stream_id = 'a' AND aggregate = 'list';
SET ROLE regress_sierra_reader;
SELECT eload('list', 'a');
:sqlstate
RESET ROLE;
GRANT SELECT ON es.upcasters TO regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT version, jsonb_array_length(state) FROM eload('list', 'a');
SELECT version, jsonb_array_length(state) FROM eload('list', 'times');
RESET ROLE;
GRANT SELECT ON es.snapshots TO regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT * FROM eload('list', 'a');
SELECT version FROM eload('list', 'times');
RESET ROLE;
SELECT stream_id FROM es.snapshots WHERE aggregate = 'list';
GRANT INSERT ON es.snapshots TO regress_sierra_reader;
REVOKE EXECUTE ON FUNCTION fold_list FROM PUBLIC;
SET ROLE regress_sierra_reader;
SELECT eload('list', 'times');
:sqlstate
RESET ROLE;
GRANT EXECUTE ON FUNCTION fold_list TO regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT version FROM eload('list', 'times');
RESET ROLE;
SELECT stream_id FROM es.snapshots WHERE aggregate = 'list' ORDER BY 1;

-- Row-level security: the state is folded from the events that the user may see, never taken from a
-- snapshot of all.
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON es.events FOR SELECT TO regress_sierra_reader USING (stream_version % 2 = 0);
SET ROLE regress_sierra_reader;
SELECT * FROM eload('list', 'a');
SELECT * FROM eload('list', 'a', at_version => 3);
SELECT * FROM eload('list', 'times', at_time => '2024-01-09');
RESET ROLE;
SELECT stream_id, version FROM es.snapshots WHERE aggregate = 'list' ORDER BY 1;

SELECT drop_event_store('es', force => true);
DROP FUNCTION fold_list, fold_lengths, fold_strict, fold_null, fold_error;
DROP ROLE regress_sierra_reader;
