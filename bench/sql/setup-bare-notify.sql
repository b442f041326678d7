-- The equal table, whose appends send NOTIFY inside their transaction.
\ir setup-bare.sql

CREATE FUNCTION send_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('sierra_es', json_build_object('position', NEW.global_position)::text);
    RETURN NULL;
END
$$;

CREATE TRIGGER send_notify AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION send_notify();
