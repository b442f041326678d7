-- The functions that users call: arguments, defaults, results, and what the planner knows.  Names
-- of arguments and their defaults are part of the interface: calls use =>.
BEGIN;

CREATE TEMP TABLE wanted (
    name text,
    arguments text,
    result text,
    language text,
    volatility "char",
    parallel "char",
    strict boolean,
    rows real
);
INSERT INTO wanted VALUES
    ('create_event_store', 'name name DEFAULT ''es''::name, partitions integer DEFAULT 32', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('drop_event_store', 'name name, force boolean DEFAULT false', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('clear_event_store', 'store name, force boolean DEFAULT false', 'bigint', 'c', 'v', 'u', false, 0),
    ('export_events', 'store name DEFAULT NULL::name, after_position bigint DEFAULT ''-1''::integer, to_position bigint DEFAULT NULL::bigint, numbers boolean DEFAULT true', 'SETOF text', 'c', 's', 'r', false, 1000),
    ('event_hashes', 'store name DEFAULT NULL::name, ranges integer DEFAULT 1, to_position bigint DEFAULT NULL::bigint', 'TABLE(range integer, events bigint, hash text)', 'c', 's', 'r', false, 1),
    ('import_events', 'lines sierra_json[], store name DEFAULT NULL::name', 'bigint', 'c', 'v', 'u', false, 0),
    ('import_events_from', 'IN relation regclass, IN store name DEFAULT NULL::name, IN batch_size integer DEFAULT 1000', NULL, 'plpgsql', 'v', 'u', false, 0),
    ('guard_event_store', 'store name DEFAULT NULL::name', 'integer', 'plpgsql', 'v', 'u', false, 0),
    ('create_category_index', 'store name DEFAULT NULL::name', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('drop_category_index', 'store name DEFAULT NULL::name', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('create_trace_index', 'store name DEFAULT NULL::name', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('drop_trace_index', 'store name DEFAULT NULL::name', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('event_streams', 'store name DEFAULT NULL::name, prefix text DEFAULT ''''::text, after text DEFAULT NULL::text, max_count bigint DEFAULT 100, newest_first boolean DEFAULT false, max_events bigint DEFAULT 10000', 'TABLE(stream_id text, partition_id integer, events bigint, last_version bigint, last_position bigint, last_event_name text, first_at timestamp with time zone, last_at timestamp with time zone)', 'c', 's', 'r', false, 100),
    ('event_names', 'store name DEFAULT NULL::name, max_events bigint DEFAULT 100000', 'TABLE(event_name text, events bigint, last_position bigint, first_at timestamp with time zone, last_at timestamp with time zone)', 'c', 's', 'r', false, 100),
    ('etrace', 'correlation_id text DEFAULT NULL::text, causation_id text DEFAULT NULL::text, max_count bigint DEFAULT 1000', 'SETOF sierra_event', 'c', 's', 'r', false, 100),
    ('event_metrics', 'subject text DEFAULT NULL::text', 'TABLE(metric text, type text, help text, labels jsonb, value double precision)', 'plpgsql', 'v', 'u', false, 1000),
    ('event_metrics_text', 'subject text DEFAULT NULL::text', 'text', 'plpgsql', 'v', 'u', false, 0),
    ('event_progress', 'OUT pid integer, OUT database name, OUT store name, OUT operation text, OUT subject text, OUT phase text, OUT done bigint, OUT total bigint, OUT started_at timestamp with time zone, OUT phase_started_at timestamp with time zone', 'SETOF record', 'c', 'v', 'r', false, 1),
    ('event_stores', '', 'TABLE(store name, owner name, partitions integer, events bigint, last_position bigint, bytes bigint)', 'plpgsql', 's', 'u', false, 1000),
    ('event_partitions', 'store name DEFAULT NULL::name', 'TABLE(partition_id integer, events bigint, last_sequence bigint, last_position bigint, bytes bigint)', 'c', 's', 'u', false, 1000),
    ('everify', 'store name DEFAULT NULL::name', 'TABLE(problem text, partition_id integer, partition_sequence bigint, stream_id text, stream_version bigint, event_id uuid, detail text)', 'c', 's', 'u', false, 1000),
    ('eappend', 'stream_id text, event_name text, payload sierra_json DEFAULT NULL::sierra_json, metadata sierra_json DEFAULT NULL::sierra_json, expected_version expected_version DEFAULT ''any''::expected_version, event_id uuid DEFAULT NULL::uuid, partition_key text DEFAULT NULL::text, "timestamp" timestamp with time zone DEFAULT NULL::timestamp with time zone, payload_bytes bytea DEFAULT NULL::bytea, tags text[] DEFAULT NULL::text[], condition sierra_json DEFAULT NULL::sierra_json', 'sierra_append_result', 'c', 'v', 'u', false, 0),
    ('eappend_each', 'stream_ids text[], event_names text[], payloads sierra_json[] DEFAULT NULL::sierra_json[], metadatas sierra_json[] DEFAULT NULL::sierra_json[], expected_versions expected_version[] DEFAULT NULL::expected_version[], event_ids uuid[] DEFAULT NULL::uuid[], timestamps timestamp with time zone[] DEFAULT NULL::timestamp with time zone[], payload_bytes bytea[] DEFAULT NULL::bytea[], tags sierra_json[] DEFAULT NULL::sierra_json[], partition_keys text[] DEFAULT NULL::text[], conditions sierra_json[] DEFAULT NULL::sierra_json[], calls integer[] DEFAULT NULL::integer[]', 'SETOF sierra_append_outcome', 'c', 'v', 'u', false, 100),
    ('emappend', 'partition_key text, events sierra_json', 'SETOF sierra_append_result', 'c', 'v', 'u', false, 10),
    ('emappend', 'partition_key text, stream_ids text[], event_names text[], payloads sierra_json[] DEFAULT NULL::sierra_json[], metadatas sierra_json[] DEFAULT NULL::sierra_json[], expected_versions expected_version[] DEFAULT NULL::expected_version[], event_ids uuid[] DEFAULT NULL::uuid[], timestamps timestamp with time zone[] DEFAULT NULL::timestamp with time zone[], payload_bytes bytea[] DEFAULT NULL::bytea[], tags sierra_json[] DEFAULT NULL::sierra_json[], condition sierra_json DEFAULT NULL::sierra_json', 'SETOF sierra_append_result', 'c', 'v', 'u', false, 100),
    ('eget', 'event_id uuid', 'SETOF sierra_event', 'c', 's', 'r', false, 1),
    ('escan', 'stream_id text, from_version bigint DEFAULT 0, to_version bigint DEFAULT NULL::bigint, max_count bigint DEFAULT NULL::bigint, backward boolean DEFAULT false', 'SETOF sierra_event', 'c', 's', 'r', false, 100),
    ('epscan', 'partition integer DEFAULT NULL::integer, from_sequence bigint DEFAULT 0, to_sequence bigint DEFAULT NULL::bigint, max_count bigint DEFAULT NULL::bigint, backward boolean DEFAULT false, partition_key text DEFAULT NULL::text', 'SETOF sierra_event', 'c', 's', 'r', false, 1000),
    ('eall', 'after_position bigint DEFAULT ''-1''::integer, max_count bigint DEFAULT 1000, streams text[] DEFAULT NULL::text[], event_names text[] DEFAULT NULL::text[], backward boolean DEFAULT false, tags text[] DEFAULT NULL::text[]', 'SETOF sierra_event', 'c', 's', 'r', false, 1000),
    ('equery', 'query sierra_json, after_position bigint DEFAULT ''-1''::integer, max_count bigint DEFAULT NULL::bigint, backward boolean DEFAULT false, to_position bigint DEFAULT NULL::bigint', 'SETOF sierra_event', 'c', 's', 'r', false, 1000),
    ('cancel_saga', 'saga_id text, reason text', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('complete_saga_step', 'saga_id text, step text, data sierra_json DEFAULT ''{}''::sierra_json', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('create_saga', 'saga text, steps sierra_saga_step[], timeout interval DEFAULT NULL::interval, search_path text DEFAULT current_setting(''search_path''::text)', 'integer', 'plpgsql', 'v', 'u', false, 0),
    ('alter_saga_owner', 'saga text, new_owner regrole', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('drop_saga', 'saga text', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('event_sagas', 'store name DEFAULT NULL::name, OUT saga_id text, OUT saga text, OUT version integer, INOUT status text DEFAULT NULL::text, OUT step text, OUT attempts integer, OUT run_at timestamp with time zone, OUT deadline timestamp with time zone, OUT age interval, OUT correlation_id text, OUT last_error text, OUT started_at timestamp with time zone, OUT updated_at timestamp with time zone, OUT ended_at timestamp with time zone', 'SETOF record', 'c', 's', 'u', false, 1000),
    ('fail_saga_step', 'saga_id text, step text, reason text', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('forget_sagas', 'before timestamp with time zone', 'bigint', 'plpgsql', 'v', 'u', false, 0),
    ('rebuild_saga_instances', '', 'bigint', 'plpgsql', 'v', 'u', false, 0),
    ('retry_saga', 'saga_id text', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('run_sagas', 'max_count integer DEFAULT 100', 'bigint', 'c', 'v', 'u', false, 0),
    ('saga_step', 'step text, action sierra_function, compensation sierra_function DEFAULT NULL::sierra_function, max_attempts integer DEFAULT 3, retry_after interval DEFAULT ''00:00:01''::interval, timeout interval DEFAULT NULL::interval, waits boolean DEFAULT false, refusals text[] DEFAULT ''{P0001}''::text[]', 'sierra_saga_step', 'sql', 'i', 'u', false, 0),
    ('skip_saga_step', 'saga_id text, reason text', 'text', 'plpgsql', 'v', 'u', false, 0),
    ('start_saga', 'saga text, data sierra_json DEFAULT ''{}''::sierra_json, saga_id text DEFAULT NULL::text, metadata sierra_json DEFAULT NULL::sierra_json', 'text', 'plpgsql', 'v', 'u', false, 0),
    ('create_projection', 'projection text, handler sierra_function, streams text[] DEFAULT NULL::text[], event_names text[] DEFAULT NULL::text[], mode text DEFAULT ''background''::text, key text DEFAULT NULL::text, initial sierra_json DEFAULT ''{}''::sierra_json, start_from start_position DEFAULT ''earliest''::start_position, batch_size integer DEFAULT 1000, on_error text DEFAULT ''stop''::text, max_attempts integer DEFAULT 5, retry_after interval DEFAULT ''00:00:01''::interval, search_path text DEFAULT current_setting(''search_path''::text), tags text[] DEFAULT NULL::text[]', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('run_projection', 'projection text, max_count bigint DEFAULT 1000', 'bigint', 'c', 'v', 'u', false, 0),
    ('run_event_jobs', 'IN store name DEFAULT NULL::name', NULL, 'plpgsql', 'v', 'u', false, 0),
    ('event_runners', 'OUT pid integer, OUT database name, OUT since timestamp with time zone, OUT job text, OUT jobs bigint, OUT events bigint, OUT last_error text, OUT last_error_at timestamp with time zone', 'SETOF record', 'c', 'v', 'r', false, 2),
    ('run_projections', 'max_count bigint DEFAULT 1000', 'bigint', 'c', 'v', 'u', false, 0),
    ('eproject', 'projection text, key text', 'jsonb', 'c', 's', 'r', false, 0),
    ('estates', 'projection text', 'TABLE(key text, state jsonb, "position" bigint)', 'c', 's', 'u', false, 1000),
    ('ewait_projection', 'projection text, cursor bigint, timeout interval DEFAULT ''00:00:10''::interval', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('pause_projection', 'projection text', 'boolean', 'sql', 'v', 'u', false, 0),
    ('resume_projection', 'projection text', 'boolean', 'sql', 'v', 'u', false, 0),
    ('retry_projection', 'projection text', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('skip_projection_event', 'projection text, stream_id text DEFAULT NULL::text', 'bigint', 'plpgsql', 'v', 'u', false, 0),
    ('rebuild_projection', 'projection text, handler sierra_function DEFAULT NULL::sierra_function, key text DEFAULT NULL::text, initial sierra_json DEFAULT NULL::sierra_json, streams text[] DEFAULT NULL::text[], event_names text[] DEFAULT NULL::text[], automatic boolean DEFAULT NULL::boolean, search_path text DEFAULT NULL::text, tags text[] DEFAULT NULL::text[]', 'integer', 'plpgsql', 'v', 'u', false, 0),
    ('finish_rebuild', 'projection text', 'integer', 'plpgsql', 'v', 'u', false, 0),
    ('cancel_rebuild', 'projection text', 'integer', 'plpgsql', 'v', 'u', false, 0),
    ('alter_projection_owner', 'projection text, new_owner regrole', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('drop_projection', 'projection text', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('event_projections', 'store name DEFAULT NULL::name', 'TABLE(projection text, version integer, live boolean, mode text, kind text, state text, cursor bigint, lag_events bigint, lag interval, progress double precision, rate double precision, time_left interval, processed bigint, states bigint, parked bigint, attempts integer, retry_at timestamp with time zone, failed_position bigint, failed_stream text, last_error text, last_error_at timestamp with time zone, handler text, key text, owner name, subscription text, updated_at timestamp with time zone)', 'c', 's', 'u', false, 1000),
    ('create_process_manager', 'manager text, handler sierra_function, streams text[] DEFAULT NULL::text[], event_names text[] DEFAULT NULL::text[], key text DEFAULT NULL::text, initial sierra_json DEFAULT ''{}''::sierra_json, mode text DEFAULT ''background''::text, start_from start_position DEFAULT ''latest''::start_position, batch_size integer DEFAULT 100, on_error text DEFAULT ''stop''::text, max_attempts integer DEFAULT 5, retry_after interval DEFAULT ''00:00:01''::interval, search_path text DEFAULT current_setting(''search_path''::text), tags text[] DEFAULT NULL::text[]', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('event_process_managers', 'store name DEFAULT NULL::name', 'TABLE(manager text, mode text, state text, processes bigint, cursor bigint, lag_events bigint, lag interval, processed bigint, rate double precision, time_left interval, parked bigint, attempts integer, retry_at timestamp with time zone, failed_position bigint, failed_stream text, last_error text, last_error_at timestamp with time zone, handler text, key text, owner name, subscription text, updated_at timestamp with time zone)', 'sql', 's', 'u', false, 1000),
    ('esver', 'stream_id text', 'bigint', 'c', 's', 'r', false, 0),
    ('epseq', 'partition integer DEFAULT NULL::integer, partition_key text DEFAULT NULL::text', 'bigint', 'c', 's', 'r', false, 0),
    ('esub', 'subscription text, streams text[] DEFAULT NULL::text[], event_names text[] DEFAULT NULL::text[], start_from start_position DEFAULT ''latest''::start_position, start_versions sierra_json DEFAULT NULL::sierra_json, window_size integer DEFAULT 1000, lease_time interval DEFAULT ''00:00:30''::interval, max_attempts integer DEFAULT 5, tags text[] DEFAULT NULL::text[]', 'bigint', 'plpgsql', 'v', 'u', false, 0),
    ('epsub', 'subscription text, partitions integer[] DEFAULT NULL::integer[], start_from start_position DEFAULT ''latest''::start_position, start_sequences sierra_json DEFAULT NULL::sierra_json, window_size integer DEFAULT 1000, lease_time interval DEFAULT ''00:00:30''::interval, max_attempts integer DEFAULT 5', 'bigint', 'plpgsql', 'v', 'u', false, 0),
    ('eunsub', 'subscription text', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('enext', 'subscription text, max_count integer DEFAULT 100, wait interval DEFAULT ''00:00:00''::interval, after bigint DEFAULT NULL::bigint, consumer text DEFAULT NULL::text', 'SETOF sierra_event', 'c', 'v', 'u', false, 100),
    ('epeek', 'subscription text, max_count integer DEFAULT 100', 'SETOF sierra_event', 'sql', 's', 'r', false, 100),
    ('eack', 'subscription text, cursor bigint, consumer text DEFAULT NULL::text', 'bigint', 'c', 'v', 'u', false, 0),
    ('enack', 'subscription text, cursor bigint, retry_after interval DEFAULT ''00:00:01''::interval, reason text DEFAULT NULL::text, park boolean DEFAULT false, consumer text DEFAULT NULL::text', 'text', 'c', 'v', 'u', false, 0),
    ('eleave', 'subscription text, consumer text', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('eretry', 'subscription text, stream_id text DEFAULT NULL::text', 'bigint', 'plpgsql', 'v', 'u', false, 0),
    ('eskip', 'subscription text, stream_id text', 'bigint', 'plpgsql', 'v', 'u', false, 0),
    ('ewait', 'subscription text, cursor bigint, timeout interval DEFAULT ''00:00:10''::interval', 'boolean', 'c', 'v', 'u', false, 0),
    ('ewait_head', 'cursor bigint, timeout interval DEFAULT ''00:00:10''::interval', 'bigint', 'c', 'v', 'u', false, 0),
    ('ehead', '', 'bigint', 'c', 's', 'r', false, 0),
    ('event_subscriptions', 'store name DEFAULT NULL::name', 'TABLE(subscription text, state text, lag_events bigint, lag interval, window_used integer, window_size integer, cursor bigint, consumers integer, retrying integer, parked integer, acknowledged_at timestamp with time zone, last_error text, last_error_at timestamp with time zone, streams text[], event_names text[], tags text[], partitions integer[], created_at timestamp with time zone)', 'c', 's', 'u', false, 1000),
    ('event_consumers', 'store name DEFAULT NULL::name', 'TABLE(subscription text, consumer text, partitions integer[], acknowledged bigint, delivered bigint, lag_events bigint, lag interval, alive boolean, joined_at timestamp with time zone, seen_at timestamp with time zone)', 'c', 's', 'u', false, 1000),
    ('event_leases', 'store name DEFAULT NULL::name', 'TABLE(subscription text, partition_id integer, cursor bigint, lag_events bigint, lag interval, consumer text, epoch bigint, acknowledged_at timestamp with time zone)', 'c', 's', 'u', false, 1000),
    ('event_failures', 'store name DEFAULT NULL::name', 'TABLE(subscription text, stream_id text, partition_id integer, state text, global_position bigint, event_id uuid, event_name text, attempts integer, retry_at timestamp with time zone, reason text, failed_at timestamp with time zone, waiting bigint)', 'c', 's', 'u', false, 1000),
    ('sierra_stream_key', 'stream_id text', 'uuid', 'c', 'i', 's', true, 0),
    ('sierra_partition_key', 'partition_key text', 'uuid', 'c', 'i', 's', true, 0),
    ('sierra_partition_id', 'partition_key uuid, partitions integer', 'integer', 'c', 'i', 's', true, 0),
    ('sierra_event_id', 'partition_key uuid', 'uuid', 'c', 'v', 's', true, 0),
    ('sierra_call_runners', '', 'void', 'c', 'v', 'u', false, 0),
    ('event_databases', 'OUT database_id oid, OUT database name, OUT state text, OUT runners integer, OUT waiting interval, OUT hint text, OUT next_visit timestamp with time zone, OUT last_visit timestamp with time zone, OUT last_sweep timestamp with time zone, OUT last_notification timestamp with time zone, OUT notifications bigint, OUT unhandled_wakeups bigint, OUT failures integer, OUT last_error text, OUT last_error_at timestamp with time zone', 'SETOF record', 'c', 'v', 'r', false, 10),
    ('create_aggregate', 'aggregate text, fold sierra_function, initial sierra_json DEFAULT ''{}''::sierra_json, snapshot_every integer DEFAULT 100, fold_version integer DEFAULT 1, replace boolean DEFAULT false', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('drop_aggregate', 'aggregate text', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('drop_snapshots', 'aggregate text, stream_id text DEFAULT NULL::text', 'bigint', 'plpgsql', 'v', 'u', false, 0),
    ('eload', 'aggregate text, stream_id text, at_version bigint DEFAULT NULL::bigint, at_time timestamp with time zone DEFAULT NULL::timestamp with time zone, OUT state jsonb, OUT version bigint', 'record', 'c', 'v', 'u', false, 0),
    ('edecide', 'aggregate text, stream_id text, decide sierra_function, command sierra_json, retries integer DEFAULT 3, metadata sierra_json DEFAULT NULL::sierra_json, command_id uuid DEFAULT NULL::uuid', 'SETOF sierra_append_result', 'c', 'v', 'u', false, 1),
    ('eload_query', 'aggregate text, query sierra_json, at_position bigint DEFAULT NULL::bigint, OUT state jsonb, OUT "position" bigint', 'record', 'c', 'v', 'u', false, 0),
    ('edecide_query', 'aggregate text, query sierra_json, decide sierra_function, command sierra_json, retries integer DEFAULT 3, metadata sierra_json DEFAULT NULL::sierra_json, command_id uuid DEFAULT NULL::uuid', 'SETOF sierra_append_result', 'c', 'v', 'u', false, 1),
    ('event_aggregates', 'store name DEFAULT NULL::name', 'TABLE(aggregate text, fold text, initial jsonb, snapshot_every integer, fold_version integer, snapshots bigint, created_at timestamp with time zone)', 'c', 's', 'u', false, 1000),
    ('create_upcaster', 'event_name text, from_version integer, upcast sierra_function, replace boolean DEFAULT false', 'void', 'plpgsql', 'v', 'u', false, 0),
    ('drop_upcaster', 'event_name text, from_version integer', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('eupcast', 'event sierra_event', 'sierra_event', 'c', 's', 'r', true, 0),
    ('eschedule', 'at timestamp with time zone, stream_id text, event_name text, payload sierra_json DEFAULT NULL::sierra_json, metadata sierra_json DEFAULT NULL::sierra_json, partition_key text DEFAULT NULL::text, payload_bytes bytea DEFAULT NULL::bytea, timer_id uuid DEFAULT NULL::uuid, tags text[] DEFAULT NULL::text[]', 'uuid', 'plpgsql', 'v', 'u', false, 0),
    ('ecancel', 'timer_id uuid', 'boolean', 'plpgsql', 'v', 'u', false, 0),
    ('run_timers', 'max_count integer DEFAULT 1000', 'bigint', 'c', 'v', 'u', false, 0),
    ('event_timers', 'store name DEFAULT NULL::name', 'TABLE(timer_id uuid, due_at timestamp with time zone, state text, stream_id text, event_name text, overdue interval, attempts integer, run_at timestamp with time zone, last_error text, created_at timestamp with time zone)', 'c', 's', 'u', false, 1000),
    ('expected_version', 'smallint', 'expected_version', 'sql', 'i', 's', true, 0),
    ('expected_version', 'integer', 'expected_version', 'sql', 'i', 's', true, 0),
    ('expected_version', 'bigint', 'expected_version', 'c', 'i', 's', true, 0),
    ('start_position', 'smallint', 'start_position', 'sql', 'i', 's', true, 0),
    ('start_position', 'integer', 'start_position', 'sql', 'i', 's', true, 0),
    ('start_position', 'bigint', 'start_position', 'c', 'i', 's', true, 0);

CREATE TEMP VIEW functions AS
SELECT p.*, p.proname::text AS name, pg_get_function_arguments(p.oid) AS arguments,
       pg_get_function_result(p.oid) AS result, l.lanname::text AS language
  FROM pg_proc AS p
  JOIN pg_language AS l ON l.oid = p.prolang
  JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'sierra_es'
 WHERE p.pronamespace <> 'sierra_internal'::regnamespace;

-- Two tests for each of the functions above, and two for all.
SELECT plan(2 * (SELECT count(*)::int FROM wanted) + 2);

SELECT is((SELECT count(*)::int FROM functions AS f WHERE (f.name, f.arguments) = (w.name, w.arguments)), 1,
          w.name || '(' || w.arguments || ') exists')
  FROM wanted AS w;
SELECT is((SELECT ROW (f.result, f.language, f.provolatile, f.proparallel, f.proisstrict, f.prorows)::text
             FROM functions AS f WHERE (f.name, f.arguments) = (w.name, w.arguments)),
          ROW (w.result, w.language, w.volatility, w.parallel, w.strict, w.rows)::text,
          w.name || '(' || left(w.arguments, 20) || '...): result, language, volatility, parallel safety, strictness, rows')
  FROM wanted AS w;

SELECT is_empty(
    $$SELECT name, arguments FROM functions EXCEPT SELECT name, arguments FROM wanted$$,
    'there are no others in the schema of the extension');
SELECT is_empty($$SELECT name FROM functions WHERE (prokind = 'p') <> (name IN ('run_event_jobs', 'import_events_from')) OR prokind NOT IN ('f', 'p')$$,
                'all are plain functions, but for the procedures');

SELECT * FROM finish();
ROLLBACK;
