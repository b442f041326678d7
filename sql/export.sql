-- ---------------------------------------------------------------------------
-- Export and import of events as lines of JSON, and hashes to compare stores.
-- ---------------------------------------------------------------------------

CREATE FUNCTION export_events(store name DEFAULT NULL,
                              after_position bigint DEFAULT -1,
                              to_position bigint DEFAULT NULL,
                              numbers boolean DEFAULT true)
    RETURNS SETOF text
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1000
    AS 'MODULE_PATHNAME', 'sierra_export_events';
COMMENT ON FUNCTION export_events(name, bigint, bigint, boolean) IS
    'returns events of a store by global position, each as a line of JSON';

CREATE FUNCTION event_hashes(store name DEFAULT NULL,
                             ranges integer DEFAULT 1,
                             to_position bigint DEFAULT NULL)
    RETURNS TABLE (range integer, events bigint, hash text)
    LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 1
    AS 'MODULE_PATHNAME', 'sierra_event_hashes';
COMMENT ON FUNCTION event_hashes(name, integer, bigint) IS
    'returns how many events ranges of streams have, and a hash of them that does not depend on partitions';

CREATE FUNCTION import_events(lines sierra_json[], store name DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_import_events';
COMMENT ON FUNCTION import_events(sierra_json[], name) IS
    'appends the events of lines of JSON, or none, and returns how many were not stored already';

-- Texts, so that an error in one of them is found while its number is known.
CREATE FUNCTION sierra_internal.import_lines(lines text[], store name, first bigint) RETURNS bigint
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_import_lines';
COMMENT ON FUNCTION sierra_internal.import_lines(text[], name, bigint) IS
    'does what import_events() does; the number of the first line is for messages';

-- A procedure that commits cannot set a search_path.  So the name of every function,
-- type and operator is qualified here.
CREATE PROCEDURE import_events_from(relation regclass,
                                    store name DEFAULT NULL,
                                    batch_size integer DEFAULT 1000)
    LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant pg_catalog.name := coalesce(store, sierra_internal.current_store());
    batch pg_catalog.record;
    lines pg_catalog.int8;
    read pg_catalog.int8 := 0;
    imported pg_catalog.int8 := 0;
BEGIN
    PERFORM sierra_internal.require_value('relation', relation IS NULL);
    IF batch_size IS NULL OR batch_size OPERATOR(pg_catalog.<) 1 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'argument "batch_size" must be at least 1',
            DETAIL = pg_catalog.format('The value is %s.', batch_size);
    END IF;
    PERFORM sierra_internal.begin_progress('import', wanted, NULL, 'reading lines', keep => true);
    EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM %s', relation) INTO lines;
    -- A table that was loaded by one COPY has its rows in the order of the file.
    FOR batch IN EXECUTE pg_catalog.format(
        'SELECT pg_catalog.array_agg(n.line ORDER BY n.place) AS lines'
        '  FROM (SELECT l.line::pg_catalog.text, pg_catalog.row_number() OVER (ORDER BY l.ctid) AS place FROM %s AS l) AS n'
        ' GROUP BY (n.place OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog./) $1'
        ' ORDER BY (n.place OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog./) $1', relation) USING batch_size LOOP
        IF read OPERATOR(pg_catalog.=) 0 THEN
            PERFORM sierra_internal.progress_phase('appending events', lines);
        END IF;
        imported := imported OPERATOR(pg_catalog.+) sierra_internal.import_lines(
            batch.lines, wanted, read OPERATOR(pg_catalog.+) 1);
        read := read OPERATOR(pg_catalog.+) pg_catalog.cardinality(batch.lines);
        COMMIT;
    END LOOP;
    PERFORM sierra_internal.end_progress();
    RAISE NOTICE USING
        MESSAGE = pg_catalog.format('imported %s of %s events into event store "%s"', imported, read, wanted),
        DETAIL = CASE WHEN imported OPERATOR(pg_catalog.<) read THEN 'The others were stored already.' ELSE 'None of them was stored already.' END;
END
$$;
COMMENT ON PROCEDURE import_events_from(regclass, name, integer) IS
    'imports the lines of a table, whose column is called line, and commits after each batch';
