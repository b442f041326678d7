-- eventsourcing.sql
--     Makes the tables of Python's eventsourcing 9.5 and 10 sources that moving.sql can move.
--     See docs/moving.md.
--
-- usage: psql -d shop -f clients/moving/moving.sql -f clients/moving/eventsourcing.sql

\set ON_ERROR_STOP on
BEGIN;

-- What the functions and views below find by name: the extension's functions.
DO $$
BEGIN
    PERFORM set_config('search_path', format('pg_catalog, %I, pg_temp', extnamespace::regnamespace), true)
       FROM pg_extension
      WHERE extname = 'sierra_es';
END
$$;

-- The state as JSON, if it is the text of a JSON object or array: then events can be read in SQL.
-- NULL for any other state.  (This function and the next are called for each event, and a SET
-- clause would take longer than all that they do; their callers have one.)
CREATE OR REPLACE FUNCTION sierra_moving.json_of(state bytea)
RETURNS json
LANGUAGE plpgsql
IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    IF octet_length(state) = 0 OR get_byte(state, 0) NOT IN (ascii('{'), ascii('[')) THEN
        RETURN NULL;
    END IF;
    RETURN convert_from(state, 'UTF8')::json;
EXCEPTION
    WHEN data_exception OR statement_too_complex THEN
        RETURN NULL;
END
$$;

-- The time in the state, where the library's transcoders put it.  NULL if there is none, or the
-- state is compressed or encrypted.
CREATE OR REPLACE FUNCTION sierra_moving.time_of(state bytea)
RETURNS timestamptz
LANGUAGE plpgsql
STABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    document json;
    found text;
BEGIN
    IF octet_length(state) = 0 OR get_byte(state, 0) <> ascii('{') THEN
        RETURN NULL;
    END IF;
    document := convert_from(state, 'UTF8')::json;
    found := coalesce(document #>> '{timestamp,_data_}', document ->> 'timestamp');
    -- A time without zone, or a word such as "now", is not a point in time.
    IF found ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$' THEN
        RETURN found::timestamptz;
    END IF;
    RETURN NULL;
EXCEPTION
    WHEN data_exception OR statement_too_complex THEN
        RETURN NULL;
END
$$;

-- The id of an event that has none: the version 5 UUID of a text that says which event it is.
CREATE OR REPLACE FUNCTION sierra_moving.id_of(VARIADIC place text[])
RETURNS uuid
LANGUAGE sql
IMMUTABLE PARALLEL SAFE
RETURN sierra_stream_key('eventsourcing:' || array_to_string(place, ':'));

-- Has the table this column?
CREATE OR REPLACE FUNCTION sierra_moving.has_column(events regclass, name name)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = events AND attname = name AND NOT attisdropped)
$$;

-- Makes the view sierra_moving.eventsourcing over the events of an application, or a foreign table
-- of them.  Versions begin with 1, or with 0: the store has that in the metadata of an event.
CREATE OR REPLACE FUNCTION sierra_moving.map_eventsourcing(events regclass)
RETURNS regclass
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    id text := 'sierra_moving.id_of(e.originator_id::text, e.originator_version::text)';
    metadata text := 'NULL::jsonb';
BEGIN
    IF sierra_moving.has_column(events, 'event_id') THEN
        id := format('coalesce(nullif(e.event_id, ''00000000-0000-0000-0000-000000000000''), %s)', id);
    END IF;
    IF sierra_moving.has_column(events, 'metadata') THEN
        metadata := 'nullif(e.metadata, ''{}'')';
    END IF;
    EXECUTE format($view$
        CREATE OR REPLACE VIEW sierra_moving.eventsourcing AS
        SELECT e.notification_id AS position,
               e.originator_id::text AS stream_id,
               e.originator_version - CASE WHEN zero.originator_id IS NULL THEN 1 ELSE 0 END AS stream_version,
               %1$s AS event_id,
               e.topic AS event_name,
               sierra_moving.time_of(e.state) AS "timestamp",
               (CASE WHEN zero.originator_id IS NULL THEN %2$s
                     ELSE coalesce(%2$s, '{}') || '{"eventsourcing_first_version": 0}' END)::json AS metadata,
               sierra_moving.json_of(e.state) AS payload,
               CASE WHEN sierra_moving.json_of(e.state) IS NULL THEN e.state END AS payload_bytes,
               NULL::text[] AS tags
          FROM %3$s AS e
          LEFT JOIN %3$s AS zero ON zero.originator_id = e.originator_id AND zero.originator_version = 0
    $view$, id, metadata, events);
    RETURN 'sierra_moving.eventsourcing';
END
$$;

-- Makes the view sierra_moving.eventsourcing_dcb over the main table of events with tags.  An event
-- goes into the stream of its first tag.
CREATE OR REPLACE FUNCTION sierra_moving.map_eventsourcing_dcb(events regclass)
RETURNS regclass
LANGUAGE plpgsql
SET search_path FROM CURRENT
AS $$
DECLARE
    metadata text := 'NULL::jsonb';
BEGIN
    IF sierra_moving.has_column(events, 'uuid') THEN
        metadata := $sql$nullif(coalesce(e.metadata, '{}') || CASE
                         WHEN e.uuid <> '00000000-0000-0000-0000-000000000000'
                         THEN jsonb_build_object('eventsourcing_uuid', e.uuid) ELSE '{}' END, '{}')$sql$;
    END IF;
    EXECUTE format($view$
        CREATE OR REPLACE VIEW sierra_moving.eventsourcing_dcb AS
        SELECT e.id AS position,
               coalesce(e.tags[1], e.type) AS stream_id,
               NULL::bigint AS stream_version,
               sierra_moving.id_of('dcb', e.id::text) AS event_id,
               e.type AS event_name,
               sierra_moving.time_of(e.data) AS "timestamp",
               (%s)::json AS metadata,
               sierra_moving.json_of(e.data) AS payload,
               CASE WHEN sierra_moving.json_of(e.data) IS NULL THEN e.data END AS payload_bytes,
               -- In their order, each once.
               nullif(ARRAY(SELECT tag FROM unnest(e.tags) WITH ORDINALITY AS u (tag, place)
                             GROUP BY tag ORDER BY min(place)), '{}') AS tags
          FROM %s AS e
    $view$, metadata, events);
    RETURN 'sierra_moving.eventsourcing_dcb';
END
$$;

COMMIT;
