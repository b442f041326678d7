
-- ---------------------------------------------------------------------------
-- Workers
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_workers(
    OUT database_id oid, OUT database name, OUT state text, OUT pid integer,
    OUT started_at timestamptz, OUT last_wake_up timestamptz, OUT last_sweep timestamptz,
    OUT last_notification timestamptz, OUT notifications bigint, OUT unheard bigint,
    OUT failures integer, OUT last_error text, OUT last_error_at timestamptz)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10
    AS 'MODULE_PATHNAME', 'sierra_workers';
COMMENT ON FUNCTION sierra_workers() IS
    'the worker of each database: its state, what it did last, commits it has not heard yet, its last error';
REVOKE EXECUTE ON FUNCTION sierra_workers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sierra_workers() TO pg_read_all_stats;
