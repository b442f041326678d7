-- What runs as a role can be given to another role, as ALTER … OWNER TO does; what cannot run says how
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE ROLE regress_sierra_leaving;
CREATE ROLE regress_sierra_staying;
CREATE ROLE regress_sierra_stranger;
SELECT create_event_store('es', 2);
CREATE TABLE ran (n int GENERATED ALWAYS AS IDENTITY, who name);
GRANT INSERT ON ran TO PUBLIC;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO ran (who) VALUES (current_user)';
CREATE FUNCTION react(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ran (who) VALUES (current_user); RETURN state; END $$;
CREATE FUNCTION act(data jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO ran (who) VALUES (current_user)';
GRANT USAGE ON SCHEMA es TO regress_sierra_leaving, regress_sierra_staying, regress_sierra_stranger;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA es TO regress_sierra_leaving, regress_sierra_staying, regress_sierra_stranger;
SELECT create_projection('p', 'see(sierra_event)', mode => 'inline');
SELECT alter_projection_owner('p', 'regress_sierra_leaving');
SET ROLE regress_sierra_leaving;
SELECT create_process_manager('m', 'react(jsonb, sierra_event)', key => '(e).stream_id', mode => 'manual');
SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')]);
SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')]);
SELECT start_saga('saga', saga_id => 'saga-1');
RESET ROLE;
SELECT stream_version FROM eappend('a', 'x');
SELECT who FROM ran;
TRUNCATE ran;

-- ALTER … OWNER TO needs the old owner and the new one; the store's owner has all.
SET ROLE regress_sierra_stranger;
SELECT alter_projection_owner('m', 'regress_sierra_stranger');
:sqlstate
SELECT alter_saga_owner('saga', 'regress_sierra_stranger');
:sqlstate
UPDATE es.projections SET owner = 'regress_sierra_stranger';
:sqlstate
UPDATE es.sagas SET owner = 'regress_sierra_stranger';
:sqlstate
RESET ROLE;
SET ROLE regress_sierra_leaving;
SELECT alter_projection_owner('m', 'regress_sierra_staying');
:sqlstate
RESET ROLE;
GRANT regress_sierra_staying TO regress_sierra_leaving;
SET ROLE regress_sierra_leaving;
SELECT alter_projection_owner('m', 'regress_sierra_staying'), alter_saga_owner('saga', 'regress_sierra_staying');
SELECT alter_projection_owner('m', 'regress_sierra_leaving'), alter_saga_owner('saga', 'regress_sierra_leaving');
RESET ROLE;
REVOKE regress_sierra_staying FROM regress_sierra_leaving;

-- Bad arguments.
SELECT alter_projection_owner('none', 'regress_sierra_staying');
:sqlstate
SELECT alter_saga_owner('none', 'regress_sierra_staying');
:sqlstate
SELECT alter_projection_owner('p', 'regress_sierra_nobody');
:sqlstate
SELECT alter_projection_owner('p', NULL);
:sqlstate
SELECT alter_saga_owner(NULL, 'regress_sierra_staying');
:sqlstate
-- A role that may not call the handler.
REVOKE EXECUTE ON FUNCTION see(sierra_event) FROM PUBLIC;
SELECT alter_projection_owner('p', 'regress_sierra_staying');
:sqlstate
GRANT EXECUTE ON FUNCTION see(sierra_event) TO PUBLIC;
-- Only the owner changes: the definition does not.
UPDATE es.projections SET owner = 'regress_sierra_staying', handler = 'react(jsonb, sierra_event)' WHERE projection = 'm';
:sqlstate
UPDATE es.sagas SET owner = 'regress_sierra_staying', steps = '[]';
:sqlstate

-- REASSIGN OWNED does not know of rows of tables.  Appends say what to do.
REASSIGN OWNED BY regress_sierra_leaving TO regress_sierra_staying;
DROP OWNED BY regress_sierra_leaving;
DROP ROLE regress_sierra_leaving;
SELECT regexp_replace(detail, '\d+', 'N') AS detail, problem FROM everify() ORDER BY 1;
DO $$ BEGIN
    PERFORM eappend('a', 'x');
EXCEPTION WHEN undefined_object THEN
    RAISE NOTICE '%', regexp_replace(SQLERRM, '\d+', 'N');
END $$;
CREATE FUNCTION hint_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ' ' || hint;
END $$;
SELECT hint_of('SELECT eappend(''a'', ''x'')');
SELECT hint_of('SELECT run_projection(''m'')');
SELECT hint_of('SELECT sierra_internal.run_saga(''saga-1'', false, 0)');
SELECT alter_projection_owner('p', 'regress_sierra_staying'), alter_projection_owner('m', 'regress_sierra_staying'), alter_saga_owner('saga', 'regress_sierra_staying');
SELECT count(*) FROM everify();
SELECT stream_version FROM eappend('a', 'x');
SELECT run_projection('m') > 0 AS managed, run_sagas() > 0 AS stepped;
SELECT DISTINCT who FROM ran;

-- Other reasons why an inline projection cannot run.
CREATE FUNCTION fold(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT state';
SELECT drop_projection('p'), create_projection('f', 'fold(jsonb, sierra_event)', mode => 'inline');
DROP FUNCTION fold(jsonb, sierra_event);
SELECT hint_of('SELECT eappend(''a'', ''x'')');
DELETE FROM es.projections WHERE projection = 'f';
SELECT hint_of('SELECT eappend(''a'', ''x'')');
DROP TRIGGER sierra_projection_8fa14cdd754f91cc6554c9e71929cce7 ON es.events;
SELECT hint_of('SELECT eappend(''a'', ''x'')');

SELECT drop_event_store('es', force => true);
DROP FUNCTION hint_of(text), see(sierra_event), react(jsonb, sierra_event), act(jsonb);
DROP TABLE ran;
DROP OWNED BY regress_sierra_staying, regress_sierra_stranger;
DROP ROLE regress_sierra_staying, regress_sierra_stranger;
