-- The equal table, with a trigger that counts the events of each stream.
\ir setup-bare.sql

CREATE TABLE counts (stream_id text COLLATE "C" PRIMARY KEY, events bigint NOT NULL) WITH (fillfactor = 50);

CREATE FUNCTION count_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counts VALUES (NEW.stream_id, 1)
        ON CONFLICT (stream_id) DO UPDATE SET events = counts.events + 1;
    RETURN NULL;
END
$$;

CREATE TRIGGER count_event AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION count_event();
