-- A read model: a table of all orders, kept up to date from their events.

CREATE TABLE order_summary (
    order_id     text PRIMARY KEY,
    customer_id  text,
    status       text,
    total_amount numeric,
    events       bigint NOT NULL,  -- how many were applied
    state        jsonb
);

-- Counts how often the processing of an event began.  A rollback does not change it.
CREATE SEQUENCE events_taken_up;

CREATE FUNCTION apply_to_summary(event sierra_event) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    id constant text := substr(event.stream_id, length('order-') + 1);
    state jsonb := (SELECT s.state FROM order_summary AS s WHERE s.order_id = id);
BEGIN
    PERFORM nextval('events_taken_up');
    -- Stands for work that takes some time.
    PERFORM pg_sleep(current_setting('demo.work', true)::float8);
    state := order_apply(state, event);
    INSERT INTO order_summary AS s
    VALUES (id, state->>'customer_id', state->>'status', (state->>'total_amount')::numeric, 1, state)
    ON CONFLICT (order_id) DO UPDATE
       SET status = excluded.status, total_amount = excluded.total_amount,
           events = s.events + 1, state = excluded.state;
END
$$;

-- A batch: poll, process, acknowledge.  Returns how many events there were.
CREATE FUNCTION update_summary(wait interval) RETURNS integer
    LANGUAGE plpgsql
AS $$
DECLARE
    event sierra_event;
    count integer := 0;
BEGIN
    FOR event IN SELECT * FROM enext('order-summary', max_count => 50, wait => wait) LOOP
        PERFORM apply_to_summary(event);
        count := count + 1;
    END LOOP;
    IF count > 0 THEN
        PERFORM eack('order-summary', event.global_position);
    END IF;
    RETURN count;
END
$$;
