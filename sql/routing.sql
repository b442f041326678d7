-- ---------------------------------------------------------------------------
-- Routing: which partition a stream belongs to, as SierraDB decides it, and the ids of
-- events.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_stream_key(stream_id text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_stream_key';
COMMENT ON FUNCTION sierra_stream_key(text) IS
    'returns the partition key that a stream has by its name';

CREATE FUNCTION sierra_partition_key(partition_key text) RETURNS uuid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_partition_key';
COMMENT ON FUNCTION sierra_partition_key(text) IS
    'returns the partition key for a text: the UUID that it spells, or one made from its bytes';

CREATE FUNCTION sierra_partition_id(partition_key uuid, partitions integer) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_partition_id';
COMMENT ON FUNCTION sierra_partition_id(uuid, integer) IS
    'returns the partition of a key in a store with this number of partitions';

CREATE FUNCTION sierra_event_id(partition_key uuid) RETURNS uuid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_event_id';
COMMENT ON FUNCTION sierra_event_id(uuid) IS
    'returns a new event id that is ordered by time and carries the hash of the partition key';
