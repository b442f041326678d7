-- Handlers get events in today's form: every kind, in runs, inline, in eproject() and in keys
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 2);
CREATE FUNCTION split_name(payload json) RETURNS json LANGUAGE sql IMMUTABLE
    RETURN json_build_object('first', split_part(payload ->> 'name', ' ', 1), 'last', split_part(payload ->> 'name', ' ', 2));
CREATE FUNCTION nest_name(payload jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN jsonb_build_object('name', payload);
CREATE TABLE seen (handler text, version bigint, last text, schema_version text);
CREATE FUNCTION see(handler text, e sierra_event) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO seen VALUES (handler, e.stream_version, e.payload #>> '{name,last}', e.metadata ->> 'schema_version') $$;
CREATE FUNCTION see_event(e sierra_event) RETURNS void LANGUAGE sql AS $$ SELECT see('event', e) $$;
CREATE FUNCTION see_inline(e sierra_event) RETURNS void LANGUAGE sql AS $$ SELECT see('inline', e) $$;
CREATE FUNCTION see_batch(e sierra_event[]) RETURNS void LANGUAGE sql AS $$ SELECT see('batch', v) FROM unnest(e) AS v $$;
CREATE FUNCTION list(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN state || jsonb_build_array(e.payload #>> '{name,last}');
CREATE FUNCTION react(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS
    $$ BEGIN PERFORM see('process', e); RETURN state || jsonb_build_array(e.payload #>> '{name,last}'); END $$;
\set key '$$e.payload #>> \'{name,last}\'$$'
SELECT create_projection('event', 'see_event(sierra_event)');
SELECT create_projection('batch', 'see_batch(sierra_event[])');
SELECT create_projection('fold', 'list(jsonb, sierra_event)', initial => '[]');
SELECT create_projection('by key', 'list(jsonb, sierra_event)', initial => '[]', key => :key);
SELECT create_projection('inline', 'see_inline(sierra_event)', mode => 'inline');
SELECT create_projection('inline fold', 'list(jsonb, sierra_event)', initial => '[]', key => :key, mode => 'inline');
SELECT create_process_manager('process', 'react(jsonb, sierra_event)', initial => '[]', key => :key);
SELECT create_upcaster('Named', 1, 'split_name(json)'), create_upcaster('Named', 2, 'nest_name(jsonb)');
SELECT stream_version FROM emappend(NULL, '[
    {"stream_id": "p", "event_name": "Named", "payload": {"name": "Ada Lovelace"}},
    {"stream_id": "p", "event_name": "Named", "payload": {"first": "Grace", "last": "Hopper"}, "metadata": {"schema_version": 2}},
    {"stream_id": "p", "event_name": "Named", "payload": {"name": {"first": "Mary", "last": "Kay"}}, "metadata": {"schema_version": 3}}]');

-- Events that are not handled yet, and events that the appends handle.
SELECT eproject('fold', 'p'), eproject('by key', 'Hopper'), eproject('inline fold', 'Lovelace');
SELECT run_projections();
SELECT * FROM seen ORDER BY 1, 2;
SELECT p, s.key, s.state FROM unnest('{fold,by key,inline fold,process}'::text[]) AS p, estates(p) AS s ORDER BY 1, 2;
SELECT eproject('fold', 'p'), eproject('by key', 'Hopper');

-- An upcaster that fails is a failure of its event: found by halving, parked, tried again.  The
-- stored event does not change.
CREATE FUNCTION picky(payload json) RETURNS json LANGUAGE plpgsql AS
    $$ BEGIN IF payload ->> 'name' LIKE '% %' THEN RETURN split_name(payload); END IF; RAISE 'no last name'; END $$;
SELECT create_projection('parks', 'see_event(sierra_event)', on_error => 'park', max_attempts => 1, start_from => 'latest');
SELECT drop_projection('inline'), drop_projection('inline fold');
SELECT create_upcaster('Named', 1, 'picky(json)', replace => true);
SELECT count(eappend('q-' || n % 2, 'Named', (CASE n WHEN 4 THEN '{"name": "Plato"}' ELSE '{"name": "A B"}' END)::json)) FROM generate_series(1, 6) AS n;
SELECT run_projections();
SELECT projection, state, parked, last_error FROM event_projections() ORDER BY 1;
SELECT eproject('fold', 'q-0');
:sqlstate
SELECT create_upcaster('Named', 1, 'split_name(json)', replace => true);
SELECT projection, retry_projection(projection) FROM event_projections() ORDER BY 1;
SELECT run_projections();
SELECT projection, state, lag_events, parked FROM event_projections() ORDER BY 1;
SELECT payload FROM escan('p');
-- After dropping upcasters, handlers get what is stored.
SELECT drop_upcaster('Named', 1), drop_upcaster('Named', 2);
TRUNCATE seen;
SELECT count(eappend('r', 'Named', '{"name": "Ada Lovelace"}'));
SELECT run_projections();
SELECT * FROM seen ORDER BY 1;

-- Upcasters run as the projection's owner, so only the owner of their table and its members write
-- them.
SELECT count(drop_projection(projection)) FROM event_projections();
CREATE ROLE regress_upcast_owner;
CREATE ROLE regress_upcast_other;
CREATE TABLE ran (who text);
GRANT INSERT ON ran TO regress_upcast_owner, regress_upcast_other;
CREATE FUNCTION tell(payload json) RETURNS json LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ran VALUES (current_user); RETURN payload; END $$;
CREATE FUNCTION nothing(e sierra_event) RETURNS void LANGUAGE sql AS $$ $$;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_upcast_owner', current_database()) \gexec
SET ROLE regress_upcast_owner;
SELECT create_event_store('own', 1);
SET sierra_es.store = own;
GRANT USAGE ON SCHEMA own TO regress_upcast_other;
GRANT SELECT, INSERT, UPDATE, DELETE ON own.events, own.projections, own.upcasters TO regress_upcast_other;
REVOKE UPDATE, DELETE ON own.events FROM regress_upcast_other;
SELECT create_projection('p', 'nothing(sierra_event)'), create_upcaster('E', 1, 'tell(json)');
SET ROLE regress_upcast_other;
SELECT create_upcaster('E', 2, 'tell(json)');
:sqlstate
INSERT INTO own.upcasters VALUES ('E', 2, 'public.tell(json)');
:sqlstate
UPDATE own.upcasters SET event_name = 'F';
:sqlstate
SELECT count(eappend('s', 'E')), run_projections();
RESET ROLE;
SELECT * FROM ran;
GRANT regress_upcast_owner TO regress_upcast_other;
SET ROLE regress_upcast_other;
SELECT create_upcaster('E', 2, 'tell(json)');
RESET ROLE;
-- A table of upcasters whose owner is another role, which is not a member of the projection's
-- owner.
ALTER TABLE own.upcasters OWNER TO regress_upcast_other;
REVOKE regress_upcast_owner FROM regress_upcast_other;
SELECT count(eappend('s', 'E'));
SELECT run_projection('p');
:sqlstate
ALTER TABLE own.upcasters OWNER TO regress_upcast_owner;
GRANT INSERT ON own.upcasters TO regress_upcast_other;
-- The guard is put back.
DROP TRIGGER sierra_guard_owner ON own.upcasters;
SET ROLE regress_upcast_owner;
SELECT guard_event_store(), guard_event_store();
SET ROLE regress_upcast_other;
INSERT INTO own.upcasters VALUES ('E', 3, 'public.tell(json)');
:sqlstate
RESET ROLE;
SELECT drop_event_store('own', force => true);
RESET sierra_es.store;
SELECT drop_event_store('es', force => true);
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_upcast_owner', current_database()) \gexec
DROP TABLE seen, ran;
DROP FUNCTION split_name, nest_name, see, see_event, see_inline, see_batch, list, react, picky, tell, nothing;
DROP ROLE regress_upcast_owner, regress_upcast_other;
