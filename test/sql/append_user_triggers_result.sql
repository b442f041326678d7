-- An append returns what it stored: a trigger that changes a returned column is refused, or its
-- change is returned.
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.event_name = 'transaction_id' THEN
        NEW.transaction_id := gen_random_uuid();
    ELSIF NEW.event_name = 'timestamp' THEN
        NEW."timestamp" := '2000-01-01';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER change BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION change();
CREATE FUNCTION is_true(change text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    result sierra_append_result;
BEGIN
    result := eappend('a', change);
    RETURN (SELECT e.transaction_id = result.transaction_id AND e."timestamp" = result."timestamp" FROM es.events AS e WHERE e.event_id = result.event_id);
EXCEPTION WHEN triggered_action_exception THEN
    RETURN true;
END
$$;
SELECT change, is_true(change) FROM unnest(ARRAY['nothing', 'transaction_id', 'timestamp']) AS change;
SELECT drop_event_store('es', force => true);
DROP FUNCTION change, is_true;
