-- etrace(): the events that belong together, by ids in their metadata, with and without an index
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM etrace('nothing');
SELECT count(eappend(s, 'Happened', metadata => m)) FROM (VALUES
    ('a', '{"correlation_id": "trace-1"}'),
    ('b', '{"causation_id": "cause-1", "correlation_id": "trace-1"}'),
    ('c', '{"causation_id": "cause-1", "correlation_id": "trace-2"}'),
    ('d', '{"correlation_id": 42}'),
    ('e', '{"correlation_id": "42"}'),
    ('f', '{"correlation_id": "tr\u00e4ger \"x\""}'),
    ('g', '{"correlation_id": null}'), ('g', '{"correlation_id": true}'), ('g', '{"correlation_id": {"a": "trace-1"}}'), ('g', '{"correlation_id": ""}'),
    ('h', '{"inner": {"correlation_id": "trace-1"}}'),
    ('i', '{"correlation_id": "\u0000"}'), ('i', '{"correlation_id": "\ud800"}'), ('i', '{"correlation_id": "a\\u0000"}'),
    ('j', '{"correlation_id": "first", "correlation_id": "last"}'),
    ('k', '{}'), ('k', NULL)) AS n (s, m);
SELECT count(eappend('l', 'Happened', metadata => json_build_object('correlation_id', repeat('x', n)))) FROM unnest('{255, 256, 100000}'::int[]) AS n;

CREATE FUNCTION traced() RETURNS TABLE (id text, streams text) LANGUAGE sql AS $$
    SELECT i, (SELECT string_agg(stream_id, ' ' ORDER BY ordinality) FROM etrace(i) WITH ORDINALITY)
      FROM unnest(ARRAY['trace-1', 'trace-2', 'cause-1', '42', 'träger "x"', 'true', '', 'a\u0000', 'first', 'last', 'nothing']) AS i
$$;
SELECT * FROM traced();
SELECT stream_id, event_name, metadata, payload IS NULL AS no_payload, global_position, tags FROM etrace(causation_id => 'cause-1');
SELECT stream_id FROM etrace('trace-1', max_count => 1);
SELECT count(*) FROM etrace('trace-1', max_count => 0);
SELECT count(*) FROM etrace(repeat('x', 255));
SELECT count(*) FROM etrace(repeat('x', 256));
SELECT count(*) FROM etrace('trace-1', max_count => NULL);

-- The index finds the same, and refuses no append.
SELECT create_trace_index();
SELECT create_trace_index('es');
:sqlstate
SELECT * FROM traced();
SELECT stream_id FROM etrace(causation_id => 'cause-1');
SELECT count(eappend('m', 'Happened', metadata => m)) FROM (VALUES
    ('{"correlation_id": "trace-1"}'), ('{"correlation_id": "\u0000"}'), ('{"correlation_id": "\udc00"}'), ('{"correlation_id": []}'), (NULL)) AS n (m);
SELECT count(eappend('m', 'Happened', metadata => json_build_object('causation_id', repeat('x', n)))) FROM unnest('{255, 100000}'::int[]) AS n;
SELECT stream_id FROM etrace('trace-1');
SELECT count(*) FROM etrace(causation_id => repeat('x', 255));
-- The indexes are read, and no event that is not returned.
SELECT count(eappend('many-' || n, 'Happened')) FROM generate_series(1, 1000) AS n;
CREATE FUNCTION passed() RETURNS numeric LANGUAGE sql AS $$
    SELECT sum(pg_stat_get_xact_tuples_returned(p.inhrelid) + pg_stat_get_xact_tuples_fetched(p.inhrelid))
      FROM pg_inherits AS p WHERE p.inhparent = 'es.events'::regclass
$$;
BEGIN;
SELECT passed() AS before \gset
SELECT count(*) FROM etrace('trace-1');
SELECT passed() - :before AS passed;
COMMIT;
SELECT count(*) FROM everify();
SELECT drop_trace_index();
SELECT drop_trace_index('es');
SELECT count(*) FROM etrace('trace-1');

-- errors
SELECT etrace();
:sqlstate
SELECT etrace('a', 'b');
:sqlstate
SELECT etrace('a', max_count => -1);
:sqlstate
SELECT create_trace_index('nowhere');
:sqlstate
SELECT drop_trace_index('nowhere');
:sqlstate

-- Rights, and row-level security.  The index is for the owner.
CREATE ROLE regress_sierra_reader;
GRANT USAGE ON SCHEMA es TO regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT etrace('trace-1');
:sqlstate
SELECT create_trace_index();
:sqlstate
RESET ROLE;
SELECT create_trace_index();
GRANT SELECT ON es.events TO regress_sierra_reader;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY hides ON es.events USING (stream_id <> 'b');
SET ROLE regress_sierra_reader;
SELECT stream_id FROM etrace('trace-1');
SELECT drop_trace_index();
:sqlstate
RESET ROLE;
DROP OWNED BY regress_sierra_reader;
DROP ROLE regress_sierra_reader;
DROP FUNCTION traced(), passed();
SELECT drop_event_store('es', force => true);
