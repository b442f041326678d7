-- ---------------------------------------------------------------------------
-- Appends.
-- ---------------------------------------------------------------------------

CREATE FUNCTION eappend(stream_id text,
                        event_name text,
                        payload sierra_json DEFAULT NULL,
                        metadata sierra_json DEFAULT NULL,
                        expected_version expected_version DEFAULT 'any',
                        event_id uuid DEFAULT NULL,
                        partition_key text DEFAULT NULL,
                        "timestamp" timestamptz DEFAULT NULL,
                        payload_bytes bytea DEFAULT NULL,
                        tags text[] DEFAULT NULL,
                        condition sierra_json DEFAULT NULL)
    RETURNS sierra_append_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_eappend';
COMMENT ON FUNCTION eappend(text, text, sierra_json, sierra_json, expected_version, uuid, text, timestamptz, bytea, text[], sierra_json) IS
    'appends one event and returns its id and numbers';

CREATE FUNCTION emappend(partition_key text, events sierra_json)
    RETURNS SETOF sierra_append_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10
    AS 'MODULE_PATHNAME', 'sierra_emappend_json';
COMMENT ON FUNCTION emappend(text, sierra_json) IS
    'appends all events of JSON, or none, and returns their ids and numbers';

CREATE FUNCTION emappend(partition_key text,
                         stream_ids text[],
                         event_names text[],
                         payloads sierra_json[] DEFAULT NULL,
                         metadatas sierra_json[] DEFAULT NULL,
                         expected_versions expected_version[] DEFAULT NULL,
                         event_ids uuid[] DEFAULT NULL,
                         timestamps timestamptz[] DEFAULT NULL,
                         payload_bytes bytea[] DEFAULT NULL,
                         tags sierra_json[] DEFAULT NULL,
                         condition sierra_json DEFAULT NULL)
    RETURNS SETOF sierra_append_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_emappend_arrays';
COMMENT ON FUNCTION emappend(text, text[], text[], sierra_json[], sierra_json[], expected_version[], uuid[], timestamptz[], bytea[], sierra_json[], sierra_json) IS
    'appends all events of arrays of equal length, or none, and returns their ids and numbers';

CREATE FUNCTION eappend_each(stream_ids text[],
                             event_names text[],
                             payloads sierra_json[] DEFAULT NULL,
                             metadatas sierra_json[] DEFAULT NULL,
                             expected_versions expected_version[] DEFAULT NULL,
                             event_ids uuid[] DEFAULT NULL,
                             timestamps timestamptz[] DEFAULT NULL,
                             payload_bytes bytea[] DEFAULT NULL,
                             tags sierra_json[] DEFAULT NULL,
                             partition_keys text[] DEFAULT NULL,
                             conditions sierra_json[] DEFAULT NULL,
                             calls integer[] DEFAULT NULL)
    RETURNS SETOF sierra_append_outcome
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
    AS 'MODULE_PATHNAME', 'sierra_eappend_each';
COMMENT ON FUNCTION eappend_each(text[], text[], sierra_json[], sierra_json[], expected_version[], uuid[], timestamptz[], bytea[], sierra_json[], text[], sierra_json[], integer[]) IS
    'appends the events of many calls, each of which is accepted or refused by itself';

-- For sierra_gateway: one value costs it, and the server, far less than a row for each event.
CREATE FUNCTION sierra_internal.eappend_each_packed(stream_ids text[],
                                                    event_names text[],
                                                    payloads sierra_json[],
                                                    metadatas sierra_json[],
                                                    expected_versions expected_version[],
                                                    event_ids uuid[],
                                                    timestamps timestamptz[],
                                                    payload_bytes bytea[],
                                                    tags sierra_json[],
                                                    partition_keys text[],
                                                    conditions sierra_json[],
                                                    calls integer[])
    RETURNS bytea
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_eappend_each_packed';
COMMENT ON FUNCTION sierra_internal.eappend_each_packed(text[], text[], sierra_json[], sierra_json[], expected_version[], uuid[], timestamptz[], bytea[], sierra_json[], text[], sierra_json[], integer[]) IS
    'does what eappend_each() does, and returns what became of the calls as one value';
