-- Process managers: reactions in the order of events, states, causes, each exactly once
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE TABLE told (n int GENERATED ALWAYS AS IDENTITY, event_name text, stream_id text, state jsonb, others bigint);

-- An order is paid, then shipped, then finished; a time-out cancels it.
CREATE FUNCTION fulfil(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO told (event_name, stream_id, state, others) VALUES (e.event_name, e.stream_id, state, (SELECT count(*) FROM told));
    CASE e.event_name
    WHEN 'OrderPlaced' THEN
        PERFORM eappend('payment-' || e.stream_id, 'PaymentAsked', json_build_object('order', e.stream_id));
        PERFORM eschedule(now() + interval '1 hour', e.stream_id, 'PaymentTimedOut');
        RETURN jsonb_build_object('step', 'asked');
    WHEN 'PaymentReceived' THEN
        PERFORM emappend(NULL, json_build_array(
            json_build_object('stream_id', e.payload ->> 'order', 'event_name', 'OrderPaid'),
            json_build_object('stream_id', 'shipping', 'event_name', 'ShippingAsked', 'tags', json_build_array(e.payload ->> 'order'), 'metadata', json_build_object('causation_id', 'mine'))));
        RETURN state || '{"step": "paid"}';
    WHEN 'PaymentTimedOut' THEN
        IF state ->> 'step' = 'asked' THEN
            PERFORM eappend(e.stream_id, 'OrderCancelled');
        END IF;
        RETURN NULL;
    WHEN 'OrderCancelled', 'OrderPaid' THEN
        RETURN NULLIF(state, state);
    ELSE
        RAISE 'unexpected %', e.event_name;
    END CASE;
END
$$;
SELECT create_process_manager('fulfilment', 'fulfil(jsonb, sierra_event)', key => $$coalesce(e.payload ->> 'order', e.stream_id)$$,
    event_names => ARRAY['OrderPlaced', 'PaymentReceived', 'PaymentTimedOut', 'OrderPaid', 'OrderCancelled'], start_from => 'latest');
SELECT stream_version FROM eappend('order-1', 'OrderPlaced', '{"price": 1}', '{"by": "ada"}');
SELECT stream_version FROM eappend('order-2', 'OrderPlaced', '{"price": 2}', '{"correlation_id" : "c-2", "by": "ada"}');
SELECT run_projections();
SELECT key, state FROM estates('fulfilment') ORDER BY key;
SELECT manager, mode, state, processes, lag_events, processed, key FROM event_process_managers();
SELECT kind, states FROM event_projections();

-- Its events show in their metadata what they come from; members that are already there stay.
CREATE VIEW causes AS
SELECT e.event_name, e.stream_id, c.event_name AS caused_by, coalesce(r.event_name, e.metadata ->> 'correlation_id') AS belongs_to
  FROM eall() AS e LEFT JOIN eall() AS c ON c.event_id::text = e.metadata ->> 'causation_id'
  LEFT JOIN eall() AS r ON r.event_id::text = e.metadata ->> 'correlation_id'
 WHERE e.metadata::jsonb ? 'causation_id' ORDER BY e.global_position;
SELECT * FROM causes;
SELECT t.stream_id, t.metadata ->> 'correlation_id' = coalesce(e.metadata ->> 'correlation_id', e.event_id::text) AS correlation,
       t.metadata ->> 'causation_id' = e.event_id::text AS causation
  FROM es.timers AS t JOIN escan(t.stream_id) AS e ON true ORDER BY 1;

-- It reads what it appends, in the same run: OrderPaid ends the process.
SELECT stream_version FROM eappend('payment-order-1', 'PaymentReceived', '{"order": "order-1"}', '{"correlation_id": "c-1"}');
SELECT run_projections();
SELECT * FROM causes OFFSET 2;
SELECT metadata, tags FROM escan('shipping') AS e;
SELECT key, state FROM estates('fulfilment') ORDER BY key;
-- Time-outs come to it as events, with the right cause; one ends a process, by an event that it
-- appends.
UPDATE es.timers SET run_at = '2000-01-01', due_at = '2000-01-01';
SELECT run_timers(), run_projections();
SELECT * FROM causes OFFSET 4;
SELECT count(*) FROM estates('fulfilment');
SELECT n, event_name, stream_id, state, others = n - 1 AS saw_all_before FROM told ORDER BY n;
SELECT manager, processes, lag_events, processed FROM event_process_managers();
SHOW sierra_es.metadata;

-- In the order of positions, whatever the keys are, and each call sees the effects of the call
-- before; a null key is skipped.
CREATE TABLE steps (n int GENERATED ALWAYS AS IDENTITY, position bigint, state jsonb, before bigint);
CREATE FUNCTION step(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS $$
    INSERT INTO steps (position, state, before) VALUES (e.global_position, state, (SELECT count(*) FROM steps));
    SELECT CASE WHEN e.payload::text <> '5' THEN to_jsonb(coalesce(state::int, 100) + 1) END $$;
SELECT create_process_manager('steps', 'step(jsonb, sierra_event)', streams => ARRAY['n-*'], initial => NULL,
    key => $$CASE WHEN e.payload::text <> '3' THEN (e.payload::text::int % 2)::text END$$, mode => 'manual', batch_size => 7);
SELECT count(eappend('n-' || n % 3, 'N', to_json(n))) FROM generate_series(1, 20) AS n;
SELECT run_projections(), run_projection('steps', 15), run_projection('steps', 15);
SELECT count(*), count(DISTINCT position), bool_and(before = n - 1) AS saw_all_before, bool_and(position > lag) AS in_order
  FROM (SELECT *, lag(position) OVER (ORDER BY n) FROM steps) AS s;
SELECT s.state, e.payload FROM steps AS s JOIN eall() AS e ON e.global_position = s.position ORDER BY n LIMIT 8;
SELECT key, state FROM estates('steps') ORDER BY key;

-- Endless: it reacts to what it appends.  max_count ends the run, rolled back or not.
CREATE FUNCTION echo(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM eappend('echo', 'Echo', to_json((e.payload ->> 0)::int), expected_version => e.stream_version);
    RETURN to_jsonb(state::int + 1);
END $$;
SELECT create_process_manager('echo', 'echo(jsonb, sierra_event)', streams => ARRAY['echo'], initial => '0', mode => 'manual', batch_size => 2);
SELECT stream_version FROM eappend('echo', 'Echo', '1');
SELECT run_projection('echo', 5);
SELECT esver('echo'), state FROM estates('echo');
BEGIN;
SELECT run_projection('echo', 5);
ROLLBACK;
SELECT esver('echo'), state FROM estates('echo');
SELECT run_projection('echo', 1);
SELECT esver('echo'), state FROM estates('echo');

-- A process that ended begins again in the same batch; a STABLE handler sees the effects of the
-- calls before it, too.
CREATE FUNCTION again(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM eappend('again-out', 'Seen', json_build_object('state', state, 'before', (SELECT count(*) FROM escan('again-out'))));
    RETURN CASE WHEN state::int = 0 THEN '1'::jsonb END;
END $$;
SELECT create_process_manager('again', 'again(jsonb, sierra_event)', streams => ARRAY['again'], initial => '0', mode => 'manual');
SELECT count(eappend('again', 'E')) FROM generate_series(1, 4);
SELECT run_projection('again'), drop_projection('again');
SELECT payload FROM escan('again-out');

-- With strict versioning an append without a version is refused.
SET sierra_es.strict_versioning = on;
SELECT run_projection('echo', 1);
SELECT count(eappend('order-3', 'OrderPlaced', expected_version => 'empty'));
SELECT run_projections();
RESET sierra_es.strict_versioning;
SELECT state, attempts, last_error FROM event_process_managers() WHERE manager = 'fulfilment';
SELECT retry_projection('fulfilment'), run_projections();
SELECT ewait_projection('fulfilment', (SELECT global_position FROM escan('order-3')), '0');
SELECT key, state FROM estates('fulfilment');

-- Functions for projections that would make it react twice are refused.
SELECT eproject('fulfilment', 'order-3');
:sqlstate
SELECT rebuild_projection('fulfilment');
:sqlstate
SELECT finish_rebuild('fulfilment');
:sqlstate
SELECT pause_projection('fulfilment'), run_projection('fulfilment'), resume_projection('fulfilment');
SELECT drop_projection('fulfilment'), drop_projection('steps'), drop_projection('echo');
SELECT count(*) FROM es.projection_states;

-- Arguments.
CREATE FUNCTION sees(e sierra_event) RETURNS void LANGUAGE sql AS '';
SELECT create_process_manager(NULL, 'fulfil(jsonb, sierra_event)');
:sqlstate
SELECT create_process_manager('m', NULL);
:sqlstate
SELECT create_process_manager('m', 'fulfil(jsonb, sierra_event)', search_path => NULL);
:sqlstate
SELECT create_process_manager('', 'fulfil(jsonb, sierra_event)');
:sqlstate
SELECT create_process_manager('m', 'fulfil(jsonb, sierra_event)', mode => 'inline');
:sqlstate
SELECT create_process_manager('m', 'fulfil(jsonb, sierra_event)', mode => 'other');
:sqlstate
SELECT create_process_manager('m', 'sees(sierra_event)');
:sqlstate
SELECT create_process_manager('m', 'fulfil(jsonb, sierra_event)', batch_size => 0);
:sqlstate
SELECT create_process_manager('m', 'fulfil(jsonb, sierra_event)', key => 'e.nothing');
:sqlstate
SELECT create_process_manager('m', 'fulfil(jsonb, sierra_event)', start_from => 'never');
:sqlstate
SELECT create_process_manager('m', 'fulfil(jsonb, sierra_event)');
SELECT create_process_manager('m', 'fulfil(jsonb, sierra_event)');
:sqlstate
SELECT create_projection('m', 'sees(sierra_event)');
:sqlstate
SELECT drop_projection('m');
SELECT drop_event_store('es', force => true);
DROP VIEW causes;
DROP FUNCTION fulfil, step, echo, again, sees;
DROP TABLE told, steps;
