-- ---------------------------------------------------------------------------
-- Background processes: what they do, and the jobs that they run.
-- ---------------------------------------------------------------------------

CREATE FUNCTION event_databases(
    OUT database_id oid, OUT database name, OUT state text, OUT runners integer,
    OUT waiting interval, OUT hint text, OUT next_visit timestamptz, OUT last_visit timestamptz,
    OUT last_sweep timestamptz, OUT last_notification timestamptz, OUT notifications bigint,
    OUT unhandled_wakeups bigint, OUT failures integer, OUT last_error text,
    OUT last_error_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10
    AS 'MODULE_PATHNAME', 'sierra_event_databases';
COMMENT ON FUNCTION event_databases() IS
    'returns for each database of the server: whether it waits for a runner, for how long and why, and what runners did there';
REVOKE EXECUTE ON FUNCTION event_databases() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION event_databases() TO pg_read_all_stats;

CREATE FUNCTION sierra_call_runners() RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_call_runners';
COMMENT ON FUNCTION sierra_call_runners() IS
    'lets runners look at the store of sierra_es.store when this transaction has committed';

CREATE FUNCTION sierra_internal.list_jobs(store name)
    RETURNS TABLE (kind text, name text, version integer, due_at timestamptz, again_at timestamptz,
                   size bigint, row_version bigint)
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'sierra_list_jobs';
COMMENT ON FUNCTION sierra_internal.list_jobs(name) IS
    'returns what there is to run in a store, when each is due, and how much to do at a time';

-- The owner is that of the code when the job was listed; null runs it for any owner.
CREATE FUNCTION sierra_internal.run_job_body(store name, kind text, name text, version integer, size bigint,
                                             owner oid)
    RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sierra_internal.require_no_subscription(store);
    PERFORM set_config('sierra_es.store', store, true);
    IF kind = 'timers' THEN
        RETURN @extschema@.run_timers(size::integer);
    ELSIF kind = 'sagas' THEN
        RETURN sierra_internal.run_sagas_of(size::integer, name::oid);
    END IF;
    RETURN sierra_internal.run_projection_if_due(store, name, version, size, owner);
END
$$;
COMMENT ON FUNCTION sierra_internal.run_job_body(name, text, text, integer, bigint, oid) IS
    'does what run_job() does, as the current user';

CREATE FUNCTION sierra_internal.run_job(store name, kind text, name text, version integer, size bigint, owner oid)
    RETURNS bigint
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_run_as_owner';
COMMENT ON FUNCTION sierra_internal.run_job(name, text, text, integer, bigint, oid) IS
    'runs a job of list_jobs() as this owner; returns how many events or steps, null if it did not run to its end';

CREATE FUNCTION event_runners(
    OUT pid integer, OUT database name, OUT since timestamptz, OUT job text, OUT jobs bigint,
    OUT events bigint, OUT last_error text, OUT last_error_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 2
    AS 'MODULE_PATHNAME', 'sierra_event_runners';
COMMENT ON FUNCTION event_runners() IS
    'returns the runners of the server: the job that each runs, what it has done, and its last error';
REVOKE EXECUTE ON FUNCTION event_runners() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION event_runners() TO pg_read_all_stats;

CREATE FUNCTION sierra_internal.runs_jobs(store name) RETURNS boolean
    LANGUAGE c STABLE STRICT
    AS 'MODULE_PATHNAME', 'sierra_runs_jobs';
COMMENT ON FUNCTION sierra_internal.runs_jobs(name) IS
    'returns whether the settings of the session let jobs of a store run';

-- A procedure that commits cannot set a search_path.  So the name of every function,
-- type and operator is qualified here.
CREATE PROCEDURE run_event_jobs(store name DEFAULT NULL)
    LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant pg_catalog.name := sierra_internal.require_store(store);
    job pg_catalog.record;
    handled pg_catalog.int8;
    progressed pg_catalog.bool := true;
    due pg_catalog.timestamptz[];
    due_before pg_catalog.timestamptz[];
BEGIN
    IF NOT sierra_internal.runs_jobs(wanted) THEN
        RAISE NOTICE USING
            MESSAGE = pg_catalog.format('jobs of event store "%s" are switched off', wanted),
            DETAIL = 'The setting "sierra_es.run_jobs" is off, or "sierra_es.paused_stores" names the store.';
        RETURN;
    END IF;
    PERFORM sierra_internal.require_no_subscription(wanted);
    LOOP
        -- A job that fails makes no progress, but is due later: then the others continue.
        SELECT coalesce(pg_catalog.array_agg(j.due_at), '{}') INTO due
          FROM sierra_internal.list_jobs(wanted) AS j WHERE j.kind OPERATOR(pg_catalog.<>) 'projection';
        EXIT WHEN NOT progressed AND due OPERATOR(pg_catalog.=) due_before;
        due_before := due;
        progressed := false;
        FOR job IN SELECT j.* FROM sierra_internal.list_jobs(wanted) AS j LOOP
            IF coalesce(job.due_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp(), true) THEN
                handled := sierra_internal.run_job(wanted, job.kind, job.name, job.version,
                                                   job.size, NULL);
                progressed := progressed OR coalesce(handled OPERATOR(pg_catalog.>) 0, false);
            END IF;
            COMMIT;
        END LOOP;
        COMMIT;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE run_event_jobs(name) IS
    'runs timers, sagas and projections of a store until nothing is due, and commits after each job';

-- Only C code calls these, and it needs no right to.  The functions of the type
-- expected_version are not among them: a cast in a query checks the right to call one.
REVOKE EXECUTE ON FUNCTION
    sierra_internal.everify_body(name),
    sierra_internal.event_leases_body(name),
    sierra_internal.event_consumers_body(name),
    sierra_internal.event_subscriptions_body(name),
    sierra_internal.event_failures_body(name),
    sierra_internal.event_aggregates_body(name),
    sierra_internal.event_timers_body(name),
    sierra_internal.event_projections_body(name),
    sierra_internal.event_sagas_body(name, text),
    sierra_internal.estates_body(text),
    sierra_internal.etrace_body(text, text, bigint),
    sierra_internal.run_job_body(name, text, text, integer, bigint, oid),
    sierra_internal.run_timers_body(integer),
    sierra_internal.append_timers_body(name, uuid[]),
    sierra_internal.run_projection_body(text, bigint),
    sierra_internal.run_projections_body(bigint),
    sierra_internal.run_sagas_body(integer),
    sierra_internal.join_group(name, text, text),
    sierra_internal.lock_store_to_clear(name),
    sierra_internal.clear_state(name),
    sierra_internal.advance_saga(name, sierra_internal.saga_state)
    FROM PUBLIC;
