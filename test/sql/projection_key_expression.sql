-- The key of a projection is one expression of type text: nothing else is parsed, and nothing else is believed
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only
SELECT create_event_store('es', 2);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b'], ARRAY['x', 'y']);
CREATE FUNCTION count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb($1::text::bigint + 1)';
CREATE FUNCTION with_key(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    keys text;
BEGIN
    BEGIN
        PERFORM create_projection('p', 'count(jsonb, sierra_event)', mode => 'manual', initial => '0', key => expression);
        PERFORM run_projection('p');
        SELECT string_agg(s.key, ',' ORDER BY s.key) INTO keys FROM estates('p') AS s;
        RAISE EXCEPTION USING ERRCODE = 'ZZ999';
    EXCEPTION
        WHEN SQLSTATE 'ZZ999' THEN RETURN 'keys: ' || coalesce(keys, 'none');
        WHEN OTHERS THEN RETURN CASE WHEN SQLSTATE LIKE 'XX%' THEN SQLSTATE || ': ' || SQLERRM ELSE 'refused' END;
    END;
END $$;
-- One expression.
SELECT key, with_key(key) FROM unnest(ARRAY['e.stream_id', 'e.event_name', '''x''', 'NULL', '(SELECT e.stream_id)', 'e.stream_version::text', 'e.stream_id /* comment */', 'e.stream_id -- comment',
    'e.stream_id::varchar', 'e.event_name::name::text']) AS key;
-- More than one, or something else.
SELECT key, with_key(key) FROM unnest(ARRAY[
    '4660)::int8 FROM pg_catalog.unnest($1) AS e --', 'e.stream_id)::int8 FROM pg_catalog.unnest($1) AS e --', '1); SELECT (1', 'e.stream_id, e.event_name', 'e.stream_id AS key', '$1', '$2', 'e.*',
    'e.stream_id FROM es.events', 'max(e.stream_id)', 'count(*)', 'unnest(ARRAY[''a'', ''b''])', 'row_number() OVER ()', 'e.stream_id ORDER BY 1', 'e.stream_id UNION SELECT ''x''', '', ' ', '--', '/*', '''', '(', ')',
    'e.stream_id) OVER (']) AS key;
-- Of another type: refused, or cast to text by the rules of SQL, but never taken for what it is not
SELECT key, with_key(key) NOT LIKE 'XX%' AS fine FROM unnest(ARRAY['4660', '4660::bigint', '1.5', 'now()', 'e', 'ARRAY[1]', 'true', '''a''::name', 'NULL::int', 'e.payload', 'e.event_id', 'ROW(1)']) AS key;
-- So is what is in the table.
SELECT create_projection('p', 'count(jsonb, sierra_event)', mode => 'manual', initial => '0', key => 'e.stream_id');
BEGIN;
ALTER TABLE es.projections DISABLE TRIGGER USER;
UPDATE es.projections SET key = '4660)::int8 FROM pg_catalog.unnest($1) AS e --';
CREATE FUNCTION try_run() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN run_projection('p');
EXCEPTION WHEN OTHERS THEN
    RETURN CASE WHEN SQLSTATE LIKE 'XX%' THEN SQLSTATE ELSE 'refused' END;
END $$;
SELECT try_run();
ROLLBACK;
SELECT drop_event_store('es', force => true);
DROP FUNCTION with_key(text), count(jsonb, sierra_event);
