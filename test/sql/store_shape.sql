-- What differs from the description of a table or index is refused (SE005) before anything is read:
-- each line is a damage that only one check finds
\set SHOW_CONTEXT never
-- With 4 partitions: a is in partition 0, own in 2, where its name and the id of its event do not lead.
SELECT create_event_store('es', 4);
SELECT stream_version FROM eappend('a', 'x');
SELECT stream_version FROM eappend('own', 'x', partition_key => 'partition key', event_id => '00000000-0000-4000-8000-000000000001');
SELECT esub('s');
-- Does the damage, calls, and undoes the damage.
CREATE FUNCTION refusal(damage text, call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    detail text;
BEGIN
    EXECUTE damage;
    EXECUTE 'SELECT ' || call INTO result;
    RAISE 'answered % to %', result, call;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN format('%s: %s', SQLSTATE, coalesce(nullif(detail, ''), SQLERRM));
END
$$;
-- An index of the partition is replaced by another one.
CREATE FUNCTION refusal_of_index(which text, definition text) RETURNS text LANGUAGE sql AS $$
    SELECT refusal(format('ALTER TABLE es.events_0 DROP CONSTRAINT events_0_%s; %s', which, definition),
                   CASE which WHEN 'sequence' THEN 'count(*) FROM epscan(0)' WHEN 'stream' THEN $q$count(*) FROM escan('a')$q$
                              ELSE $q$stream_id FROM eget('00000000-0000-4000-8000-000000000001')$q$ END)
$$;
-- The table of events is replaced by one that is partitioned in another way.
CREATE FUNCTION refusal_of_key(key text, partition text) RETURNS text LANGUAGE sql AS $$
    SELECT refusal(format('ALTER TABLE es.events RENAME TO was_events; CREATE TABLE es.events (LIKE es.was_events) PARTITION BY %s;'
                          ' CREATE TABLE es.other PARTITION OF es.events FOR VALUES %s;'
                          ' CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events(%L)',
                          key, partition, '1'), 'count(*) FROM epscan(0)')
$$;

-- Indexes.
SELECT refusal_of_index('sequence', 'CREATE UNIQUE INDEX other ON es.events_0 (partition_sequence DESC)');
SELECT refusal_of_index('sequence', 'CREATE UNIQUE INDEX other ON es.events_0 (partition_sequence) WHERE partition_id = 0');
SELECT refusal_of_index('sequence', 'CREATE INDEX other ON es.events_0 (partition_sequence)');
SELECT refusal_of_index('sequence', 'CREATE UNIQUE INDEX other ON es.events_0 (global_position)');
SELECT refusal_of_index('sequence', 'CREATE UNIQUE INDEX other ON es.events_0 (partition_sequence, global_position)');
SELECT refusal_of_index('sequence', 'ALTER TABLE es.events_0 ADD CONSTRAINT other UNIQUE (partition_sequence) DEFERRABLE');
SELECT refusal_of_index('sequence', 'CREATE UNIQUE INDEX other ON es.events_0 (partition_sequence); UPDATE pg_index SET indisvalid = false WHERE indexrelid = ''es.other''::regclass');
SELECT refusal_of_index('stream', 'CREATE UNIQUE INDEX other ON es.events_0 (stream_id)');
SELECT refusal_of_index('stream', 'CREATE UNIQUE INDEX other ON es.events_0 (stream_id) INCLUDE (stream_version)');
-- An append gives an index its key columns only.
SELECT refusal_of_index('sequence', 'CREATE UNIQUE INDEX other ON es.events_0 (partition_sequence) INCLUDE (event_id)');
SELECT refusal_of_index('stream', 'CREATE UNIQUE INDEX other ON es.events_0 (stream_id, stream_version) INCLUDE (event_name, payload)');
SELECT refusal_of_index('event_id', 'CREATE UNIQUE INDEX other ON es.events_0 (event_id) INCLUDE (stream_id, event_name, payload)');
SELECT refusal_of_index('stream', 'CREATE UNIQUE INDEX other ON es.events_0 (stream_id COLLATE "POSIX", stream_version)');
SELECT refusal_of_index('stream', 'CREATE UNIQUE INDEX other ON es.events_0 (stream_id text_pattern_ops, stream_version)');
SELECT refusal_of_index('event_id', 'CREATE INDEX other ON es.events_0 USING hash (event_id)');
SELECT refusal_of_index('event_id', 'CREATE UNIQUE INDEX other ON es.events_0 (transaction_id)');

-- Partition keys.
SELECT refusal_of_key('LIST (partition_id)', 'IN (1)');
SELECT refusal_of_key('RANGE (partition_id)', 'FROM (0) TO (4)');
SELECT refusal_of_key('HASH (partition_id)', 'WITH (MODULUS 1, REMAINDER 0)');
SELECT refusal_of_key('LIST (partition_sequence)', 'IN (0)');
SELECT refusal_of_key('LIST (stream_id)', $$IN ('a')$$);
SELECT refusal_of_key('LIST ((partition_id + 0))', 'IN (0)');

-- Tables.
SELECT refusal('ALTER TABLE es.events_0 SET UNLOGGED', 'count(*) FROM epscan(0)');
SELECT refusal('ALTER TABLE es.subscriptions SET UNLOGGED', $$count(*) FROM enext('s')$$);
SELECT refusal('ALTER TABLE es.stream_keys RENAME TO was; CREATE TABLE es.stream_keys (LIKE es.was INCLUDING ALL) PARTITION BY HASH (stream_id)', $$count(*) FROM escan('own')$$);
SELECT refusal('ALTER TABLE es.subscriptions RENAME TO was; CREATE VIEW es.subscriptions AS TABLE es.was', $$count(*) FROM enext('s')$$);

-- The guard of the events, which says how many partitions the store has.
CREATE FUNCTION refusal_of_guard(event text, level text) RETURNS text LANGUAGE sql AS $$
    SELECT refusal(format('DROP TRIGGER sierra_guard ON es.events;'
                          ' CREATE TRIGGER other BEFORE %s ON es.events FOR EACH %s EXECUTE FUNCTION sierra_internal.guard_events(''4'')', event, level),
                   'count(*) FROM epscan(0)')
$$;
SELECT refusal_of_guard('INSERT', 'ROW');
SELECT refusal_of_guard('UPDATE OR DELETE', 'STATEMENT');
SELECT refusal_of_guard('INSERT', 'STATEMENT') = 'P0001: answered 1 to count(*) FROM epscan(0)' AS answered;

-- Columns.
SELECT refusal('ALTER TABLE es.events ALTER COLUMN event_name DROP NOT NULL', 'count(*) FROM epscan(0)');
SELECT refusal('ALTER TABLE es.events RENAME COLUMN event_name TO name', 'count(*) FROM epscan(0)');
SELECT refusal('ALTER TABLE es.events_0 DROP CONSTRAINT events_0_stream; ALTER TABLE es.events ALTER COLUMN stream_id TYPE text COLLATE "POSIX"', $$count(*) FROM escan('a')$$);
SELECT refusal('ALTER TABLE es.events DROP COLUMN payload_bytes', 'count(*) FROM epscan(0)');
SELECT refusal('ALTER TABLE es.subscriptions ALTER COLUMN window_size DROP NOT NULL', $$count(*) FROM enext('s')$$);
SELECT refusal('ALTER TABLE es.subscriptions RENAME COLUMN streams TO names; ALTER TABLE es.subscriptions RENAME COLUMN event_names TO streams; ALTER TABLE es.subscriptions RENAME COLUMN names TO event_names', $$count(*) FROM enext('s')$$);
SELECT refusal('ALTER TABLE es.subscriptions DROP COLUMN created_at', $$count(*) FROM enext('s')$$);

-- The sequence of positions.
SELECT refusal('ALTER SEQUENCE es.global_position INCREMENT 2', $$stream_version FROM eappend('a', 'x')$$);
SELECT refusal('ALTER SEQUENCE es.global_position CACHE 2', $$stream_version FROM eappend('a', 'x')$$);
SELECT refusal('ALTER SEQUENCE es.global_position CYCLE', $$stream_version FROM eappend('a', 'x')$$);

-- Rows from a time when a column could be null.
CREATE FUNCTION refusal_of_null(relation text, name text, call text) RETURNS text LANGUAGE sql AS $$
    SELECT refusal(format('ALTER TABLE es.%1$s DISABLE TRIGGER ALL;'
                          ' UPDATE pg_attribute SET attnotnull = false WHERE attrelid = ''es.%1$s''::regclass AND attname = %2$L;'
                          ' UPDATE es.%1$s SET %2$I = NULL;'
                          ' UPDATE pg_attribute SET attnotnull = true WHERE attrelid = ''es.%1$s''::regclass AND attname = %2$L', relation, name), call)
$$;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS '';
SELECT create_projection('p', 'see(sierra_event)', mode => 'manual');
-- Jobs are listed only if all keys are there, also those that the list does not need.
SELECT count(*) FROM sierra_internal.list_jobs('es');
SELECT refusal('ALTER TABLE es.snapshots DROP CONSTRAINT snapshots_pkey', $$count(*) FROM sierra_internal.list_jobs('es')$$);
SELECT refusal('ALTER TABLE es.events_0 DROP CONSTRAINT events_0_event_id', $$count(*) FROM sierra_internal.list_jobs('es')$$);
SELECT refusal_of_null('events_0', 'global_position', 'count(*) FROM eall()');
SELECT refusal_of_null('events_0', 'stream_id', 'count(*) FROM eall(streams => ARRAY[''b*''])');
SELECT refusal_of_null('stream_keys', 'partition_key', $$count(*) FROM escan('own')$$);
SELECT refusal_of_null('event_ids', 'partition_id', $$stream_id FROM eget('00000000-0000-4000-8000-000000000001')$$);
SELECT refusal_of_null('projections', 'mode', $$count(*) FROM sierra_internal.list_jobs('es')$$);
SELECT refusal_of_null('projections', 'kind', $$run_projection('p')$$);
SELECT refusal('ALTER TABLE es.projections DROP CONSTRAINT projections_batch_size_check; UPDATE es.projections SET batch_size = 0', $$run_projection('p')$$);
SELECT refusal_of_null('subscriptions', 'window_size', $$count(*) FROM enext('s')$$);

-- A repeated command: its event is stored, but its stream is looked for in another partition.
CREATE FUNCTION fold(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN state;
CREATE FUNCTION decide(state jsonb, command jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN '[{"event_name": "x"}]'::jsonb;
SELECT create_aggregate('thing', 'fold');
SELECT refusal('ALTER TABLE es.stream_keys DISABLE TRIGGER USER; DELETE FROM es.stream_keys',
               $$count(*) FROM edecide('thing', 'own', 'decide', '{}', command_id => '00000000-0000-4000-8000-000000000001')$$);

-- Nothing of that is left.
SELECT * FROM everify();
SELECT stream_version FROM eappend('a', 'x');
SELECT drop_event_store('es', force => true);
DROP FUNCTION fold(jsonb, sierra_event), decide(jsonb, jsonb), see(sierra_event), refusal_of_null(text, text, text), refusal(text, text), refusal_of_index(text, text), refusal_of_guard(text, text), refusal_of_key(text, text);
