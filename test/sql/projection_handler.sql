-- Handlers that write tables of their own: one event, one batch
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);
CREATE TABLE seen (position bigint PRIMARY KEY, stream_id text, name text);
CREATE FUNCTION see(e sierra_event) RETURNS void
    LANGUAGE sql AS $$ INSERT INTO seen VALUES ($1.global_position, $1.stream_id, $1.event_name) $$;
CREATE TABLE batches (n serial, size int, first bigint, last bigint);
CREATE FUNCTION see_batch(events sierra_event[]) RETURNS int
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO batches (size, first, last) VALUES (cardinality(events), events[1].global_position, events[cardinality(events)].global_position);
    RETURN cardinality(events);
END
$$;
SELECT count(eappend('s-' || n % 3, 'E' || n % 2)) FROM generate_series(1, 25) AS n;
SELECT create_projection('seen', 'see(sierra_event)', event_names => '{E1}');
SELECT create_projection('batches', 'see_batch(sierra_event[])', batch_size => 10);
SELECT run_projection('seen'), run_projection('batches', 15);
SELECT run_projection('seen'), run_projection('batches', 15);
SELECT * FROM seen ORDER BY position;
SELECT * FROM batches ORDER BY n;

-- From the latest: events that are already stored are left out.
SELECT create_projection('latest', 'see_batch(sierra_event[])', start_from => 'latest');
SELECT create_projection('after 20', 'see_batch(sierra_event[])', start_from => '20');
TRUNCATE batches;
SELECT count(eappend('s-9', 'E9')) FROM generate_series(1, 2);
SELECT run_projection('latest'), run_projection('after 20');
SELECT size, first, last FROM batches ORDER BY n;

-- The handler's effects and the acknowledgement are one: never one without the other.
BEGIN;
SELECT run_projection('batches');
ROLLBACK;
SELECT run_projection('batches'), run_projection('batches');

-- A handler may append.  A projection belongs to one store, and does not exist in others.
SELECT create_event_store('other', 2);
CREATE FUNCTION answer(e sierra_event) RETURNS void
    LANGUAGE sql AS $$ SELECT FROM eappend('answers', 'To' || $1.event_name) $$;
SELECT create_projection('answers', 'answer(sierra_event)', streams => '{s-9}');
SELECT run_projection('answers');
SELECT event_name FROM escan('answers');
SET sierra_es.store = 'other';
SELECT run_projection('answers');
RESET sierra_es.store;

-- A run by name, or by run_projections().
SELECT create_projection('by hand', 'see(sierra_event)', mode => 'manual', streams => '{nothing}');
SELECT projection, mode, lag_events FROM event_projections() WHERE lag_events > 0;
SELECT run_projections(), run_projections();
SELECT projection, mode, lag_events FROM event_projections() WHERE lag_events > 0;
SELECT run_projection('by hand');
SELECT projection, mode, lag_events FROM event_projections() WHERE lag_events > 0;

SELECT count(drop_projection(projection)) FROM event_projections();
SELECT drop_event_store('es', force => true), drop_event_store('other');
DROP FUNCTION see, see_batch, answer;
DROP TABLE seen, batches;
