-- What a store's schema holds is not trusted: what does not fit is refused with SE005, before it is read
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only
SELECT create_event_store('es', 4);
CREATE FUNCTION count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb($1::text::bigint + 1)';
CREATE FUNCTION keep(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION up(payload json) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT $1';
-- user-123 is of partition 1
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'user-123', 'user-123'], array_fill('x'::text, ARRAY[3]));
SELECT count(*) FROM eappend('own', 'x', partition_key => 'key', event_id => '00000000-0000-4000-8000-000000000001');
SELECT create_projection('p', 'count(jsonb, sierra_event)', mode => 'manual', initial => '0');
SELECT run_projection('p', 1);
SELECT create_aggregate('g', 'keep(jsonb, sierra_event)');
SELECT create_upcaster('x', 1, 'up(json)');
SELECT esub('s', start_from => 'earliest');
-- The SQLSTATE of each call, in a session that knew the store.
CREATE FUNCTION try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE 'SELECT ' || call INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE VIEW events_calls AS SELECT call, try(call) FROM unnest(ARRAY[
    'count(*) FROM epscan(1, 0, 1)', 'count(*) FROM escan(''user-123'')', 'count(*) FROM eall()', 'epseq(1)', 'count(*) FROM epscan(1, backward => true)',
    'stream_version FROM eappend(''user-123'', ''x'')', 'count(*) > 0 FROM everify()']) AS call;
-- After a change: the right answer, or a refusal.  everify() finds it in any case.
CREATE VIEW events_fine AS
SELECT call, CASE WHEN call ~ 'everify' THEN try = 'true' ELSE try IN ('SE005', (ARRAY['2', '2', '4', '1', '2', '2'])[number]) END
  FROM (SELECT call, try, row_number() OVER () AS number FROM events_calls) AS c;

-- An index that is not the one that it should be.
BEGIN; TABLE events_calls; ROLLBACK;
BEGIN; ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (event_id); TABLE events_fine; ROLLBACK;
BEGIN; ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (partition_sequence, event_id); TABLE events_fine; ROLLBACK;
BEGIN; ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (global_position); TABLE events_fine; ROLLBACK;
BEGIN; ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (partition_id, partition_sequence); TABLE events_fine; ROLLBACK;
BEGIN; ALTER TABLE es.stream_keys DROP CONSTRAINT stream_keys_pkey, ADD PRIMARY KEY (partition_key); SELECT try('count(*) FROM escan(''own'')') IN ('1', 'SE005'), try('count(*) FROM eappend(''new'', ''x'')') IN ('1', 'SE005'); ROLLBACK;
BEGIN; ALTER TABLE es.event_ids DROP CONSTRAINT event_ids_pkey, ADD PRIMARY KEY (partition_id);
SELECT try('count(*) FROM eget(''00000000-0000-4000-8000-000000000001'')') IN ('1', 'SE005'), try('count(*) FROM eappend(''a'', ''x'', event_id => ''00000000-0000-4000-8000-000000000002'')') IN ('1', 'SE005'); ROLLBACK;

-- A partition whose columns are in another order, or were others before.
SET client_min_messages = warning;
CREATE FUNCTION replace_leaf(columns text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'CREATE TABLE es.replaced AS SELECT ' || columns || ' FROM es.events_1';
    ALTER TABLE es.replaced DROP COLUMN IF EXISTS gap, ALTER COLUMN partition_sequence SET NOT NULL, ALTER COLUMN stream_version SET NOT NULL,
        ALTER COLUMN global_position SET NOT NULL, ALTER COLUMN "timestamp" SET NOT NULL, ALTER COLUMN event_id SET NOT NULL,
        ALTER COLUMN partition_key SET NOT NULL, ALTER COLUMN transaction_id SET NOT NULL, ALTER COLUMN partition_id SET NOT NULL,
        ALTER COLUMN stream_id SET NOT NULL, ALTER COLUMN event_name SET NOT NULL,
        ADD PRIMARY KEY (partition_sequence), ADD UNIQUE (stream_id, stream_version), ADD UNIQUE (event_id);
    ALTER TABLE es.events DETACH PARTITION es.events_1;
    ALTER TABLE es.events ATTACH PARTITION es.replaced FOR VALUES IN (1);
END $$;
BEGIN; SELECT replace_leaf('*'); TABLE events_fine; ROLLBACK;
BEGIN; SELECT replace_leaf('stream_version, partition_sequence, global_position, "timestamp", event_id, partition_key, transaction_id, partition_id, stream_id, event_name, metadata, payload, payload_bytes, tags');
TABLE events_fine; ROLLBACK;
BEGIN; SELECT replace_leaf('partition_sequence, stream_version, global_position, "timestamp", stream_id, partition_key, transaction_id, partition_id, event_id, event_name, metadata, payload, payload_bytes, tags');
TABLE events_fine; ROLLBACK;
BEGIN; SELECT replace_leaf('1 AS gap, *'); TABLE events_fine; ROLLBACK;

RESET client_min_messages;
-- Tables that are read with SQL: others in their places, columns of other types, nulls.
CREATE VIEW companion_calls AS SELECT call, try(call) FROM unnest(ARRAY[
    'count(*) FROM enext(''s'')', 'run_projection(''p'')', 'eproject(''p'', ''a'')', 'eload(''g'', ''user-123'')',
    'count(u) FROM escan(''user-123'') AS e, eupcast(e) AS u', 'count(*) > 0 FROM everify()']) AS call;
BEGIN; TABLE companion_calls; ROLLBACK;
SET client_min_messages = error;
BEGIN; ALTER TABLE es.subscriptions RENAME TO was;
CREATE VIEW es.subscriptions AS SELECT subscription, 4660::bigint AS streams, event_names, partitions, start_after, start_sequences, start_streams, start_versions, window_size, lease_time, max_attempts, created_at FROM es.was;
SELECT try('count(*) FROM enext(''s'')'); ROLLBACK;
BEGIN; ALTER TABLE es.subscriptions ALTER COLUMN streams TYPE bigint USING 4660; SELECT try('count(*) FROM enext(''s'')'); ROLLBACK;
BEGIN; ALTER TABLE es.subscription_cursors ALTER COLUMN cursor TYPE text USING 'x'; SELECT try('count(*) FROM enext(''s'')'); ROLLBACK;
BEGIN; DROP TRIGGER sierra_guard_owner ON es.projections; DROP TRIGGER sierra_guard_definition ON es.projections; ALTER TABLE es.projections ALTER COLUMN handler TYPE bigint USING 4660; SELECT try('run_projection(''p'')'); ROLLBACK;
BEGIN; DROP TRIGGER sierra_guard_owner ON es.projections; DROP TRIGGER sierra_guard_definition ON es.projections; ALTER TABLE es.projections ALTER COLUMN key TYPE bigint USING 4660; SELECT try('run_projection(''p'')'); ROLLBACK;
BEGIN; ALTER TABLE es.projection_states ALTER COLUMN state TYPE bigint USING 4660; SELECT try('run_projection(''p'')') IN ('0', 'SE005'), try('eproject(''p'', ''a'')'); ROLLBACK;
BEGIN; ALTER TABLE es.aggregates ALTER COLUMN initial TYPE bigint USING 4660; SELECT try('eload(''g'', ''user-123'')'); ROLLBACK;
BEGIN; DROP TRIGGER sierra_guard_owner ON es.upcasters; ALTER TABLE es.upcasters ALTER COLUMN upcast TYPE bigint USING 4660; SELECT try('count(u) FROM escan(''user-123'') AS e, eupcast(e) AS u'); ROLLBACK;
BEGIN; ALTER TABLE es.projections ALTER COLUMN kind DROP NOT NULL; ALTER TABLE es.projections DISABLE TRIGGER USER; UPDATE es.projections SET kind = NULL;
SELECT try('run_projection(''p'')'); ROLLBACK;
BEGIN; ALTER TABLE es.aggregates ALTER COLUMN definition DROP NOT NULL; UPDATE es.aggregates SET definition = NULL; SELECT try('eload(''g'', ''user-123'')'); ROLLBACK;
BEGIN; ALTER TABLE es.subscriptions ALTER COLUMN start_after DROP NOT NULL; UPDATE es.subscriptions SET start_after = NULL; SELECT try('count(*) FROM enext(''s'')'); ROLLBACK;
-- What a role with INSERT may write: the row is refused when it is used.
BEGIN; UPDATE es.subscriptions SET streams = ARRAY[NULL]; SELECT try('count(*) FROM enext(''s'')') IN ('22004', 'SE005', '0') AS fine; ROLLBACK;
BEGIN; UPDATE es.subscriptions SET event_names = '{{a,NULL},{b,c}}'; SELECT try('count(*) FROM enext(''s'')') IN ('22004', '2202E', 'SE005', '0') AS fine; ROLLBACK;
BEGIN; UPDATE es.subscriptions SET start_streams = ARRAY[NULL, 'a'], start_versions = '{1}'; SELECT try('count(*) FROM enext(''s'')') IN ('22004', '2202E', 'SE005', '4') AS fine; ROLLBACK;
-- The number of a partition that an id leads to is that of a partition.
BEGIN; ALTER TABLE es.event_ids DISABLE TRIGGER USER; UPDATE es.event_ids SET partition_id = 2000000000;
SELECT try('count(*) FROM eget(''00000000-0000-4000-8000-000000000001'')') IN ('1', 'SE005') AS "get", try('count(*) FROM eappend(''own'', ''x'', event_id => ''00000000-0000-4000-8000-000000000001'')') IN ('1', 'SE005') AS again; ROLLBACK;
-- A number that cannot grow ends a scan, too.
SET statement_timeout = '10s';
BEGIN; ALTER TABLE es.events_1 DISABLE TRIGGER USER; UPDATE es.events_1 SET partition_sequence = 9223372036854775807 WHERE partition_sequence = 1;
SELECT try('count(*) FROM eall()') IN ('4', 'SE005') AS "all", try('stream_version FROM eappend(''user-123'', ''x'')') NOT LIKE 'XX%' AS append; ROLLBACK;
-- A trigger that skips rows does not keep a call busy for ever.
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
BEGIN; CREATE TRIGGER skip BEFORE INSERT ON es.sagas FOR EACH ROW EXECUTE FUNCTION skip(); SELECT try('create_saga(''g'', ARRAY[saga_step(''one'', ''act(jsonb)'')])'); ROLLBACK;
BEGIN; CREATE TRIGGER skip BEFORE UPDATE ON es.subscription_cursors FOR EACH ROW EXECUTE FUNCTION skip(); SELECT try('eack(''s'', 2)'); ROLLBACK;
BEGIN; SELECT enack('s', 0, '0'); SELECT eskip('s', (SELECT stream_id FROM eall(-1, 1))) AS skipped; CREATE TRIGGER skip BEFORE UPDATE ON es.subscription_streams FOR EACH ROW EXECUTE FUNCTION skip(); SELECT try('count(*) FROM enext(''s'')'), try('count(*) FROM enext(''s'')'); ROLLBACK;
BEGIN; SELECT create_projection('inline', 'count(jsonb, sierra_event)', mode => 'inline', initial => '0'); CREATE TRIGGER skip BEFORE INSERT ON es.projection_states FOR EACH ROW EXECUTE FUNCTION skip(); SELECT try('stream_version FROM eappend(''another'', ''x'')'); ROLLBACK;
DROP FUNCTION skip(), act(jsonb);
RESET statement_timeout;
TABLE events_calls;
TABLE companion_calls;
SELECT drop_event_store('es', force => true);
RESET client_min_messages;
DROP VIEW events_fine, events_calls, companion_calls;
DROP FUNCTION try(text), replace_leaf(text), count(jsonb, sierra_event), keep(jsonb, sierra_event), up(json);
