-- ewait_projection() does not outlive its time-out when what the projection follows is gone
\set SHOW_CONTEXT never
SELECT create_event_store('es', 2);
CREATE FUNCTION count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb($1::text::bigint + 1)';
SELECT create_projection('p', 'count(jsonb, sierra_event)', mode => 'manual', initial => '0');
SELECT global_position FROM eappend('a', 'x');
DELETE FROM es.subscriptions;
SET statement_timeout = '5s';
CREATE FUNCTION try(timeout interval) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN ewait_projection('p', 0, timeout);
EXCEPTION WHEN undefined_object OR SQLSTATE 'SE007' OR SQLSTATE 'SE005' THEN RETURN 'refused';
END $$;
SELECT try('100 ms') IN ('false', 'refused') AS ends;
SELECT try('0') IN ('false', 'refused') AS ends;
DELETE FROM es.subscription_cursors;
SELECT try('100 ms') IN ('false', 'refused') AS ends;
RESET statement_timeout;
SELECT drop_event_store('es', force => true);
DROP FUNCTION try(interval), count(jsonb, sierra_event);
