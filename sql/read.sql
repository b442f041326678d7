-- ---------------------------------------------------------------------------
-- Reads: of a stream, a partition or the whole store.
-- ---------------------------------------------------------------------------

CREATE FUNCTION eget(event_id uuid) RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1
    AS 'MODULE_PATHNAME', 'sierra_eget';
COMMENT ON FUNCTION eget(uuid) IS 'returns the event with this id, or no row';

CREATE FUNCTION escan(stream_id text,
                      from_version bigint DEFAULT 0,
                      to_version bigint DEFAULT NULL,
                      max_count bigint DEFAULT NULL,
                      backward boolean DEFAULT false)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_escan';
COMMENT ON FUNCTION escan(text, bigint, bigint, bigint, boolean) IS
    'returns events of a stream by version; both bounds are included';

-- One function each, and the key only by name.  With a second form for a text, a parameter
-- whose type the driver leaves open would be a key, also when it is the number of a partition.
CREATE FUNCTION epscan(partition integer DEFAULT NULL,
                       from_sequence bigint DEFAULT 0,
                       to_sequence bigint DEFAULT NULL,
                       max_count bigint DEFAULT NULL,
                       backward boolean DEFAULT false,
                       partition_key text DEFAULT NULL)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_epscan';
COMMENT ON FUNCTION epscan(integer, bigint, bigint, bigint, boolean, text) IS
    'returns events of a partition, or of the partition of a key, by sequence; both bounds are included';

-- For sierra_gateway: one value costs it, and the server, far less than a row for each event.
CREATE FUNCTION sierra_internal.escan_packed(stream_id text, from_version bigint, to_version bigint, max_count bigint,
                                             backward boolean, max_bytes integer)
    RETURNS bytea
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_escan_packed';
COMMENT ON FUNCTION sierra_internal.escan_packed(text, bigint, bigint, bigint, boolean, integer) IS
    'returns the events of escan() as one value, up to the event with which it has more than max_bytes';

CREATE FUNCTION sierra_internal.epscan_packed(partition integer, from_sequence bigint, to_sequence bigint, max_count bigint,
                                              backward boolean, partition_key text, max_bytes integer)
    RETURNS bytea
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_epscan_packed';
COMMENT ON FUNCTION sierra_internal.epscan_packed(integer, bigint, bigint, bigint, boolean, text, integer) IS
    'returns the events of epscan() as one value, up to the event with which it has more than max_bytes';

CREATE FUNCTION eall(after_position bigint DEFAULT -1,
                     max_count bigint DEFAULT 1000,
                     streams text[] DEFAULT NULL,
                     event_names text[] DEFAULT NULL,
                     backward boolean DEFAULT false,
                     tags text[] DEFAULT NULL)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_eall';
COMMENT ON FUNCTION eall(bigint, bigint, text[], text[], boolean, text[]) IS
    'returns events of the whole store by global position, and never skips a committed one';

CREATE FUNCTION equery(query sierra_json,
                       after_position bigint DEFAULT -1,
                       max_count bigint DEFAULT NULL,
                       backward boolean DEFAULT false,
                       to_position bigint DEFAULT NULL)
    RETURNS SETOF sierra_event
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_equery';
COMMENT ON FUNCTION equery(sierra_json, bigint, bigint, boolean, bigint) IS
    'returns the events that a query by names and tags matches, by global position, and never skips a committed one';

CREATE FUNCTION esver(stream_id text) RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_esver';
COMMENT ON FUNCTION esver(text) IS
    'returns the version of the last event of a stream, or null if it has none';

CREATE FUNCTION epseq(partition integer DEFAULT NULL, partition_key text DEFAULT NULL) RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_epseq';
COMMENT ON FUNCTION epseq(integer, text) IS
    'returns the sequence of the last event of a partition, or of the partition of a key; null if it has none';

CREATE FUNCTION ehead() RETURNS bigint
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'sierra_ehead';
COMMENT ON FUNCTION ehead() IS
    'returns the highest global position that can be read now without skipping an event, -1 if there is none';

CREATE FUNCTION event_streams(store name DEFAULT NULL,
                              prefix text DEFAULT '',
                              after text DEFAULT NULL,
                              max_count bigint DEFAULT 100,
                              newest_first boolean DEFAULT false,
                              max_events bigint DEFAULT 10000)
    RETURNS TABLE (stream_id text, partition_id integer, events bigint, last_version bigint,
                   last_position bigint, last_event_name text, first_at timestamptz,
                   last_at timestamptz)
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_event_streams';
COMMENT ON FUNCTION event_streams(name, text, text, bigint, boolean, bigint) IS
    'returns streams by name, or those of the newest events: how many events, the last one, first and last time';

CREATE FUNCTION event_names(store name DEFAULT NULL, max_events bigint DEFAULT 100000)
    RETURNS TABLE (event_name text, events bigint, last_position bigint, first_at timestamptz,
                   last_at timestamptz)
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_event_names';
COMMENT ON FUNCTION event_names(name, bigint) IS
    'returns the names of the newest events: how many have each, and the first and last time';
