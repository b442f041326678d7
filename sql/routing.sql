-- ---------------------------------------------------------------------------
-- Routing: which partition a stream belongs to, as SierraDB decides it, and the ids of
-- events.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_stream_key(stream_id text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_stream_key';
COMMENT ON FUNCTION sierra_stream_key(text) IS
    'the partition key that a stream has by its name: the name''s UUIDv5 in SierraDB''s namespace';

CREATE FUNCTION sierra_partition_key(partition_key text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_partition_key';
COMMENT ON FUNCTION sierra_partition_key(text) IS
    'the key that a partition_key argument means: the UUID it spells, else its UUIDv5';

CREATE FUNCTION sierra_partition_id(partition_key uuid, partitions integer) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_partition_id';
COMMENT ON FUNCTION sierra_partition_id(uuid, integer) IS
    'the partition of a key among 1 to 1024: bits 61..46 of the key modulo their number';

CREATE FUNCTION sierra_event_id(partition_key uuid) RETURNS uuid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_event_id';
COMMENT ON FUNCTION sierra_event_id(uuid) IS
    'a fresh event id: ordered by time, carrying the hash of the partition key';
