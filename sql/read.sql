-- ---------------------------------------------------------------------------
-- Reads: of a stream, a partition or the whole store.
-- ---------------------------------------------------------------------------

CREATE FUNCTION eget(event_id uuid) RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1
    AS 'MODULE_PATHNAME', 'sierra_eget';
COMMENT ON FUNCTION eget(uuid) IS 'the event with this id, or no row';

CREATE FUNCTION escan(stream_id text,
                      from_version bigint DEFAULT 0,
                      to_version bigint DEFAULT NULL,
                      max_count bigint DEFAULT NULL,
                      backward boolean DEFAULT false)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_escan';
COMMENT ON FUNCTION escan(text, bigint, bigint, bigint, boolean) IS
    'events of a stream by version, both bounds included; everything unless max_count is given';

CREATE FUNCTION epscan(partition integer,
                       from_sequence bigint DEFAULT 0,
                       to_sequence bigint DEFAULT NULL,
                       max_count bigint DEFAULT NULL,
                       backward boolean DEFAULT false)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_epscan';
COMMENT ON FUNCTION epscan(integer, bigint, bigint, bigint, boolean) IS
    'events of a partition by sequence, both bounds included; everything unless max_count is given';

CREATE FUNCTION epscan(partition_key text,
                       from_sequence bigint DEFAULT 0,
                       to_sequence bigint DEFAULT NULL,
                       max_count bigint DEFAULT NULL,
                       backward boolean DEFAULT false)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_epscan_key';
COMMENT ON FUNCTION epscan(text, bigint, bigint, bigint, boolean) IS
    'events of the partition that a partition key leads to';

CREATE FUNCTION eall(after_position bigint DEFAULT -1,
                     max_count bigint DEFAULT 1000,
                     streams text[] DEFAULT NULL,
                     event_names text[] DEFAULT NULL,
                     backward boolean DEFAULT false)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_eall';
COMMENT ON FUNCTION eall(bigint, bigint, text[], text[], boolean) IS
    'events of the whole store by global position; never skips one: stops before appends in flight';

CREATE FUNCTION esver(stream_id text) RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_esver';
COMMENT ON FUNCTION esver(text) IS 'version of a stream''s last event, null if it has none';

CREATE FUNCTION epseq(partition integer) RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_epseq';
COMMENT ON FUNCTION epseq(integer) IS 'sequence of a partition''s last event, null if it has none';

CREATE FUNCTION epseq(partition_key text) RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_epseq_key';
COMMENT ON FUNCTION epseq(text) IS
    'sequence of the last event in the partition that a partition key leads to';

CREATE FUNCTION ehead() RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_ehead';
COMMENT ON FUNCTION ehead() IS
    'highest global position up to which the store can be read now without skipping; -1 if empty';

CREATE FUNCTION sierra_internal.count_events_after(store name, partition integer, "position" bigint)
    RETURNS bigint
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_events_after';
COMMENT ON FUNCTION sierra_internal.count_events_after(name, integer, bigint) IS
    'how many events of a partition are above a global position';
