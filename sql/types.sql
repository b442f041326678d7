-- ---------------------------------------------------------------------------
-- sierra_es: an event store inside PostgreSQL
--
-- The types of arguments and of events, and checks of arguments that all parts share.
-- ---------------------------------------------------------------------------

-- complain if the script is sourced in psql, rather than by CREATE EXTENSION
\echo Use "CREATE EXTENSION sierra_es" to load this file. \quit

-- Functions and types that users call or name are in the schema that they chose for
-- the extension.  All others are here: they are not part of the interface.  They run
-- with the rights of their callers, so everybody may call them.
CREATE SCHEMA sierra_internal;
GRANT USAGE ON SCHEMA sierra_internal TO PUBLIC;
COMMENT ON SCHEMA sierra_internal IS
    'schema of functions and types that only sierra_es itself uses';

CREATE TYPE expected_version;

CREATE FUNCTION sierra_internal.expected_version_in(cstring) RETURNS expected_version
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_expected_version_in';

CREATE FUNCTION sierra_internal.expected_version_out(expected_version) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_expected_version_out';

CREATE FUNCTION sierra_internal.expected_version_recv(internal) RETURNS expected_version
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_expected_version_recv';

CREATE FUNCTION sierra_internal.expected_version_send(expected_version) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_expected_version_send';

CREATE TYPE expected_version (
    INPUT = sierra_internal.expected_version_in,
    OUTPUT = sierra_internal.expected_version_out,
    RECEIVE = sierra_internal.expected_version_recv,
    SEND = sierra_internal.expected_version_send,
    LIKE = bigint
);
COMMENT ON TYPE expected_version IS
    'what a stream must look like before an append: any, exists, empty, or the version of its last event';
COMMENT ON FUNCTION sierra_internal.expected_version_in(cstring) IS
    'reads an expected version from text';
COMMENT ON FUNCTION sierra_internal.expected_version_out(expected_version) IS
    'writes an expected version as text';
COMMENT ON FUNCTION sierra_internal.expected_version_recv(internal) IS
    'reads an expected version in binary format';
COMMENT ON FUNCTION sierra_internal.expected_version_send(expected_version) IS
    'writes an expected version in binary format';

CREATE FUNCTION expected_version(bigint) RETURNS expected_version
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_expected_version_from_bigint';
COMMENT ON FUNCTION expected_version(bigint) IS
    'returns the expectation that a stream has this version';

-- The cast from bigint is the only one in C: smaller integers are widened first.
CREATE FUNCTION expected_version(integer) RETURNS expected_version
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN @extschema@.expected_version($1::bigint);
COMMENT ON FUNCTION expected_version(integer) IS
    'returns the expectation that a stream has this version';

CREATE FUNCTION expected_version(smallint) RETURNS expected_version
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN @extschema@.expected_version($1::bigint);
COMMENT ON FUNCTION expected_version(smallint) IS
    'returns the expectation that a stream has this version';

CREATE CAST (bigint AS expected_version)
    WITH FUNCTION expected_version(bigint) AS IMPLICIT;

CREATE CAST (integer AS expected_version)
    WITH FUNCTION expected_version(integer) AS IMPLICIT;

CREATE CAST (smallint AS expected_version)
    WITH FUNCTION expected_version(smallint) AS IMPLICIT;

-- For drivers that send strings as text or varchar.
CREATE CAST (text AS expected_version) WITH INOUT AS IMPLICIT;
CREATE CAST (varchar AS expected_version) WITH INOUT AS IMPLICIT;

CREATE TYPE start_position;

CREATE FUNCTION sierra_internal.start_position_in(cstring) RETURNS start_position
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_start_position_in';
COMMENT ON FUNCTION sierra_internal.start_position_in(cstring) IS 'reads a start position from text';

CREATE FUNCTION sierra_internal.start_position_out(start_position) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_start_position_out';
COMMENT ON FUNCTION sierra_internal.start_position_out(start_position) IS 'writes a start position as text';

CREATE FUNCTION sierra_internal.start_position_recv(internal) RETURNS start_position
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_start_position_recv';
COMMENT ON FUNCTION sierra_internal.start_position_recv(internal) IS 'reads a start position in binary format';

CREATE FUNCTION sierra_internal.start_position_send(start_position) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_start_position_send';
COMMENT ON FUNCTION sierra_internal.start_position_send(start_position) IS
    'writes a start position in binary format';

CREATE TYPE start_position (
    INPUT = sierra_internal.start_position_in,
    OUTPUT = sierra_internal.start_position_out,
    RECEIVE = sierra_internal.start_position_recv,
    SEND = sierra_internal.start_position_send,
    LIKE = bigint
);
COMMENT ON TYPE start_position IS
    'where a subscription begins: latest, earliest, or after a global position';

CREATE FUNCTION start_position(bigint) RETURNS start_position
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_start_position_from_bigint';
COMMENT ON FUNCTION start_position(bigint) IS
    'returns the start position after this global position';

CREATE FUNCTION start_position(integer) RETURNS start_position
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN @extschema@.start_position($1::bigint);
COMMENT ON FUNCTION start_position(integer) IS
    'returns the start position after this global position';

CREATE FUNCTION start_position(smallint) RETURNS start_position
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN @extschema@.start_position($1::bigint);
COMMENT ON FUNCTION start_position(smallint) IS
    'returns the start position after this global position';

CREATE CAST (bigint AS start_position) WITH FUNCTION start_position(bigint) AS IMPLICIT;
CREATE CAST (integer AS start_position) WITH FUNCTION start_position(integer) AS IMPLICIT;
CREATE CAST (smallint AS start_position) WITH FUNCTION start_position(smallint) AS IMPLICIT;
CREATE CAST (text AS start_position) WITH INOUT AS IMPLICIT;
CREATE CAST (varchar AS start_position) WITH INOUT AS IMPLICIT;

-- A document that a caller passes, as json, jsonb or text.  Overloaded functions would be
-- ambiguous for literals and parameters without a type.  A value is one of json: so casts
-- between the two cost nothing.  The four functions call those of json.  They are in C, since
-- the server would look up a function of LANGUAGE internal by its name in each call.
CREATE TYPE sierra_json;

CREATE FUNCTION sierra_internal.sierra_json_in(cstring) RETURNS sierra_json
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_json_in';
COMMENT ON FUNCTION sierra_internal.sierra_json_in(cstring) IS 'reads a document from text';

CREATE FUNCTION sierra_internal.sierra_json_out(sierra_json) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_json_out';
COMMENT ON FUNCTION sierra_internal.sierra_json_out(sierra_json) IS 'writes a document as text';

CREATE FUNCTION sierra_internal.sierra_json_recv(internal) RETURNS sierra_json
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_json_recv';
COMMENT ON FUNCTION sierra_internal.sierra_json_recv(internal) IS 'reads a document in binary format';

CREATE FUNCTION sierra_internal.sierra_json_send(sierra_json) RETURNS bytea
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_json_send';
COMMENT ON FUNCTION sierra_internal.sierra_json_send(sierra_json) IS 'writes a document in binary format';

CREATE TYPE sierra_json (
    INPUT = sierra_internal.sierra_json_in,
    OUTPUT = sierra_internal.sierra_json_out,
    RECEIVE = sierra_internal.sierra_json_recv,
    SEND = sierra_internal.sierra_json_send,
    LIKE = json
);
COMMENT ON TYPE sierra_json IS 'a document that a function takes: json, jsonb or text that is JSON';

CREATE FUNCTION sierra_internal.sierra_json_from_jsonb(jsonb) RETURNS sierra_json
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_json_from_jsonb';
COMMENT ON FUNCTION sierra_internal.sierra_json_from_jsonb(jsonb) IS 'returns jsonb as a document';

CREATE CAST (json AS sierra_json) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (jsonb AS sierra_json) WITH FUNCTION sierra_internal.sierra_json_from_jsonb(jsonb) AS IMPLICIT;
CREATE CAST (text AS sierra_json) WITH INOUT AS IMPLICIT;
CREATE CAST (varchar AS sierra_json) WITH INOUT AS IMPLICIT;

-- Only one of the two is implicit: else operators that json and jsonb have would be ambiguous.
CREATE CAST (sierra_json AS json) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (sierra_json AS jsonb) WITH INOUT AS ASSIGNMENT;

-- A function that a caller names: a handler, a fold and so on.  Unlike regprocedure, its name
-- may be without types of arguments if no other function has it.
CREATE TYPE sierra_function;

CREATE FUNCTION sierra_internal.sierra_function_in(cstring) RETURNS sierra_function
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'sierra_function_in';
COMMENT ON FUNCTION sierra_internal.sierra_function_in(cstring) IS
    'reads a function from text: its name, with the types of its arguments or alone';

CREATE FUNCTION sierra_internal.sierra_function_out(sierra_function) RETURNS cstring
    LANGUAGE internal STABLE STRICT PARALLEL SAFE AS 'regprocedureout';
COMMENT ON FUNCTION sierra_internal.sierra_function_out(sierra_function) IS
    'writes a function as text, with the types of its arguments';

CREATE FUNCTION sierra_internal.sierra_function_recv(internal) RETURNS sierra_function
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'regprocedurerecv';
COMMENT ON FUNCTION sierra_internal.sierra_function_recv(internal) IS 'reads a function in binary format';

CREATE FUNCTION sierra_internal.sierra_function_send(sierra_function) RETURNS bytea
    LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'regproceduresend';
COMMENT ON FUNCTION sierra_internal.sierra_function_send(sierra_function) IS 'writes a function in binary format';

CREATE TYPE sierra_function (
    INPUT = sierra_internal.sierra_function_in,
    OUTPUT = sierra_internal.sierra_function_out,
    RECEIVE = sierra_internal.sierra_function_recv,
    SEND = sierra_internal.sierra_function_send,
    LIKE = regprocedure
);
COMMENT ON TYPE sierra_function IS
    'a function that another one is told to call: its name, which needs types of arguments only if it is not unique';

CREATE CAST (regprocedure AS sierra_function) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (regproc AS sierra_function) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (text AS sierra_function) WITH INOUT AS IMPLICIT;
CREATE CAST (varchar AS sierra_function) WITH INOUT AS IMPLICIT;
CREATE CAST (sierra_function AS regprocedure) WITHOUT FUNCTION AS IMPLICIT;

CREATE TYPE sierra_event AS (
    global_position bigint,
    partition_id integer,
    partition_sequence bigint,
    stream_id text,
    stream_version bigint,
    event_id uuid,
    event_name text,
    "timestamp" timestamptz,
    partition_key uuid,
    transaction_id uuid,
    metadata json,
    payload json,
    payload_bytes bytea,
    tags text[]
);
COMMENT ON TYPE sierra_event IS 'a stored event, as all read functions return it';
COMMENT ON COLUMN sierra_event.global_position IS
    'place in the order of the whole store: it increases and may skip numbers';
COMMENT ON COLUMN sierra_event.partition_id IS 'number of the partition, from 0';
COMMENT ON COLUMN sierra_event.partition_sequence IS
    'place in its partition: 0, 1, 2, ... without gaps';
COMMENT ON COLUMN sierra_event.stream_id IS 'name of the stream, 1 to 255 bytes';
COMMENT ON COLUMN sierra_event.stream_version IS 'place in its stream: 0, 1, 2, ... without gaps';
COMMENT ON COLUMN sierra_event.event_id IS
    'id that is unique in the store; generated ids are ordered by time';
COMMENT ON COLUMN sierra_event.event_name IS 'what happened, 1 to 255 bytes';
COMMENT ON COLUMN sierra_event."timestamp" IS
    'when it happened: the time that the client gave, or that of the append';
COMMENT ON COLUMN sierra_event.partition_key IS 'key that decides the partition of the stream';
COMMENT ON COLUMN sierra_event.transaction_id IS 'id that the events of one append call share';
COMMENT ON COLUMN sierra_event.metadata IS 'context, such as correlation ids, as the exact text';
COMMENT ON COLUMN sierra_event.payload IS 'data of the event as JSON, as the exact text';
COMMENT ON COLUMN sierra_event.payload_bytes IS 'data of the event that is not JSON';
COMMENT ON COLUMN sierra_event.tags IS
    'what the event is about, for queries and append conditions: 1 to 32 texts of 1 to 255 bytes';

CREATE TYPE sierra_append_result AS (
    event_id uuid,
    partition_key uuid,
    partition_id integer,
    partition_sequence bigint,
    stream_id text,
    stream_version bigint,
    "timestamp" timestamptz,
    transaction_id uuid,
    global_position bigint
);
COMMENT ON TYPE sierra_append_result IS 'id and numbers that an append gave an event';

CREATE TYPE sierra_append_outcome AS (
    status text,
    sqlstate text,
    message text,
    detail text,
    hint text,
    table_name text,
    column_name text,
    constraint_name text,
    event_id uuid,
    partition_key uuid,
    partition_id integer,
    partition_sequence bigint,
    stream_id text,
    stream_version bigint,
    "timestamp" timestamptz,
    transaction_id uuid,
    global_position bigint
);
COMMENT ON TYPE sierra_append_outcome IS
    'what became of an event: appended, repeated or refused; the error of a refusal, or id and numbers';

CREATE FUNCTION sierra_internal.require_value(argument text, missing boolean) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF missing THEN
        RAISE null_value_not_allowed USING
            MESSAGE = format('argument "%s" must not be null', argument);
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_internal.require_value(text, boolean) IS
    'raises an error if an argument is missing';

CREATE FUNCTION sierra_internal.require_name(argument text, name text) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM sierra_internal.require_value(argument, name IS NULL);
    IF octet_length(name) NOT BETWEEN 1 AND 255 OR name ~ E'[\\u0001-\\u001f\\u007f-\\u009f]' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('argument "%s" must have 1 to 255 bytes and no control characters', argument),
            DETAIL = format('It has %s bytes.', octet_length(name));
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_internal.require_name(text, text) IS
    'raises an error unless a name is within bounds';

-- A function as text that means the same in every search_path, and is the same in every session.
CREATE FUNCTION sierra_internal.require_function(procedure regprocedure, arguments regtype[],
                                                 result regtype, kind text, hint text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET quote_all_identifiers = off
AS $$
DECLARE
    found record;
BEGIN
    SELECT p.prokind = 'f' AND NOT p.proretset AND p.prorettype = result
           AND string_to_array(p.proargtypes::text, ' ')::oid[] = arguments::oid[] AS fits,
           format('%I.%I(%s)', n.nspname, p.proname,
                  (SELECT string_agg(format('%I.%I', tn.nspname, t.typname), ', ' ORDER BY a.place)
                     FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, place)
                     JOIN pg_type AS t ON t.oid = a.type
                     JOIN pg_namespace AS tn ON tn.oid = t.typnamespace)) AS name
      INTO found
      FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
     WHERE p.oid = procedure;
    IF found.fits IS NOT TRUE THEN
        RAISE invalid_function_definition USING
            MESSAGE = format('function %s is not %s', procedure, kind),
            HINT = hint;
    END IF;
    RETURN found.name;
END
$$;
COMMENT ON FUNCTION sierra_internal.require_function(regprocedure, regtype[], regtype, text, text) IS
    'returns the qualified name of a function if it has these arguments and this result';

CREATE FUNCTION sierra_internal.function_text(procedure regprocedure) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET quote_all_identifiers = off
AS $$ SELECT $1::text $$;
COMMENT ON FUNCTION sierra_internal.function_text(regprocedure) IS
    'returns a function as text that is the same in every session';
