-- message_db.sql
--     Makes the table of message-db 1.3 a source that moving.sql can move.  See docs/moving.md.
--
-- usage: psql -d shop -f clients/moving/moving.sql -f clients/moving/message_db.sql

\set ON_ERROR_STOP on
BEGIN;

-- Makes the view sierra_moving.message_db over a table of messages, or a foreign table of one.
CREATE OR REPLACE FUNCTION sierra_moving.map_message_db(messages regclass)
RETURNS regclass
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A global position of the table is one higher than that in the store, which begins with 0.
    EXECUTE format($view$
        CREATE OR REPLACE VIEW sierra_moving.message_db AS
        SELECT global_position AS position,
               stream_name::text AS stream_id,
               position AS stream_version,
               id AS event_id,
               type::text AS event_name,
               "time" AT TIME ZONE 'utc' AS "timestamp",
               metadata::json AS metadata,
               data::json AS payload,
               NULL::bytea AS payload_bytes,
               NULL::text[] AS tags
          FROM %s
    $view$, messages);
    RETURN 'sierra_moving.message_db';
END
$$;

COMMIT;
