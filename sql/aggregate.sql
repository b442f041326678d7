-- ---------------------------------------------------------------------------
-- Aggregates, their snapshots, and command handlers.
-- ---------------------------------------------------------------------------

-- A definition gets a new uuid whenever folding could return another state: a
-- snapshot counts only for the definition under which it was taken.
--
-- Snapshots have a uuid in their key, so that a session that loads a state does not
-- wait for another one that takes the same snapshot.  Two equal snapshots are harmless.
CREATE FUNCTION sierra_internal.create_aggregate_tables(store name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TABLE %I.aggregates ('
        ' aggregate text COLLATE "C" PRIMARY KEY,'
        ' fold text NOT NULL,'
        ' initial jsonb,'
        ' snapshot_every integer NOT NULL CHECK (snapshot_every >= 0),'
        ' fold_version integer NOT NULL,'
        ' definition uuid NOT NULL DEFAULT gen_random_uuid(),'
        ' created_at timestamptz NOT NULL DEFAULT now())', store);
    EXECUTE format(
        'CREATE TABLE %I.snapshots ('
        ' aggregate text COLLATE "C" NOT NULL,'
        ' stream_id text COLLATE "C" NOT NULL,'
        ' definition uuid NOT NULL,'
        ' version bigint NOT NULL,'
        ' snapshot_id uuid NOT NULL DEFAULT gen_random_uuid(),'
        ' newest timestamptz NOT NULL,'
        ' state jsonb NOT NULL,'
        ' taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),'
        ' PRIMARY KEY (aggregate, stream_id, definition, version, snapshot_id))', store);

    EXECUTE format('COMMENT ON TABLE %I.aggregates IS %L', store,
                   'aggregates: the functions that fold streams into states');
    EXECUTE format('COMMENT ON TABLE %I.snapshots IS %L', store,
                   'states of streams at some version, to fold from there; may be deleted at any time');
END
$$;
COMMENT ON FUNCTION sierra_internal.create_aggregate_tables(name) IS
    'creates the tables of a store for aggregates and snapshots';

CREATE FUNCTION create_aggregate(aggregate text,
                                 fold sierra_function,
                                 initial sierra_json DEFAULT '{}',
                                 snapshot_every integer DEFAULT 100,
                                 fold_version integer DEFAULT 1,
                                 replace boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    first_state constant jsonb := initial::jsonb;
    fold_name text;
    same boolean;
BEGIN
    PERFORM sierra_internal.require_name('aggregate', aggregate);
    PERFORM sierra_internal.require_value('fold', fold IS NULL);
    PERFORM sierra_internal.require_value('snapshot_every', snapshot_every IS NULL);
    PERFORM sierra_internal.require_value('fold_version', fold_version IS NULL);
    IF snapshot_every < 0 THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'snapshot_every must not be negative',
            DETAIL = format('The value is %s.', snapshot_every),
            HINT = 'Pass 0 to take no snapshots.';
    END IF;
    fold_name := sierra_internal.require_function(
        fold, ARRAY['jsonb', '@extschema@.sierra_event']::regtype[], 'jsonb', 'a fold',
        'A fold takes (state jsonb, event sierra_event) and returns jsonb.');

    EXECUTE format('INSERT INTO %I.aggregates (aggregate, fold, initial, snapshot_every, fold_version)'
                   ' VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING', store)
      USING aggregate, fold_name, first_state, snapshot_every, fold_version;
    EXECUTE format('SELECT (a.fold, a.initial, a.snapshot_every, a.fold_version)'
                   '       IS NOT DISTINCT FROM ($2, $3, $4, $5)'
                   '  FROM %I.aggregates AS a WHERE a.aggregate = $1', store)
       INTO same USING aggregate, fold_name, first_state, snapshot_every, fold_version;
    IF same THEN
        RETURN;
    END IF;
    IF NOT coalesce(replace, false) THEN
        RAISE duplicate_object USING
            MESSAGE = format('aggregate "%s" already exists', aggregate),
            DETAIL = 'It has another definition.',
            HINT = 'Pass replace => true to give it this one.';
    END IF;
    EXECUTE format(
        'UPDATE %I.aggregates AS a SET fold = $2, initial = $3, snapshot_every = $4, fold_version = $5,'
        '       definition = CASE WHEN (a.fold, a.initial, a.fold_version) IS NOT DISTINCT FROM ($2, $3, $5)'
        '                         THEN a.definition ELSE gen_random_uuid() END'
        ' WHERE a.aggregate = $1', store)
      USING aggregate, fold_name, first_state, snapshot_every, fold_version;
    EXECUTE format('DELETE FROM %1$I.snapshots AS s USING %1$I.aggregates AS a'
                   ' WHERE s.aggregate = $1 AND a.aggregate = $1 AND s.definition <> a.definition', store)
      USING aggregate;
END
$$;
COMMENT ON FUNCTION create_aggregate(text, sierra_function, sierra_json, integer, integer, boolean) IS
    'gives a function that folds streams into states a name';

CREATE FUNCTION drop_snapshots(aggregate text, stream_id text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    dropped bigint;
BEGIN
    EXECUTE format('DELETE FROM %I.snapshots AS s'
                   ' WHERE s.aggregate = $1 AND ($2 IS NULL OR s.stream_id = $2)', store)
      USING aggregate, stream_id;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION drop_snapshots(text, text) IS
    'deletes snapshots of an aggregate, of one stream or all, and returns how many';

CREATE FUNCTION drop_aggregate(aggregate text) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    store constant name := sierra_internal.require_store();
    dropped bigint;
BEGIN
    EXECUTE format('DELETE FROM %I.aggregates AS a WHERE a.aggregate = $1', store) USING aggregate;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    PERFORM @extschema@.drop_snapshots(aggregate);
    RETURN dropped > 0;
END
$$;
COMMENT ON FUNCTION drop_aggregate(text) IS
    'drops an aggregate with its snapshots; false if there was none';

CREATE FUNCTION eload(aggregate text,
                      stream_id text,
                      at_version bigint DEFAULT NULL,
                      at_time timestamptz DEFAULT NULL,
                      OUT state jsonb,
                      OUT version bigint)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_eload';
COMMENT ON FUNCTION eload(text, text, bigint, timestamptz) IS
    'returns the state of a stream, now or at a version or time, and its version';

CREATE FUNCTION edecide(aggregate text,
                        stream_id text,
                        decide sierra_function,
                        command sierra_json,
                        retries integer DEFAULT 3,
                        metadata sierra_json DEFAULT NULL,
                        command_id uuid DEFAULT NULL)
    RETURNS SETOF sierra_append_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1
    AS 'MODULE_PATHNAME', 'sierra_edecide';
COMMENT ON FUNCTION edecide(text, text, sierra_function, sierra_json, integer, sierra_json, uuid) IS
    'handles a command: loads the state, calls a function, and appends the events that it returns';

CREATE FUNCTION eload_query(aggregate text,
                            query sierra_json,
                            at_position bigint DEFAULT NULL,
                            OUT state jsonb,
                            OUT "position" bigint)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'sierra_eload_query';
COMMENT ON FUNCTION eload_query(text, sierra_json, bigint) IS
    'returns the state of the events that a query matches, and the position up to which it has them';

CREATE FUNCTION edecide_query(aggregate text,
                              query sierra_json,
                              decide sierra_function,
                              command sierra_json,
                              retries integer DEFAULT 3,
                              metadata sierra_json DEFAULT NULL,
                              command_id uuid DEFAULT NULL)
    RETURNS SETOF sierra_append_result
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 1
    AS 'MODULE_PATHNAME', 'sierra_edecide_query';
COMMENT ON FUNCTION edecide_query(text, sierra_json, sierra_function, sierra_json, integer, sierra_json, uuid) IS
    'handles a command with the state of a query, and appends if no other event matches by then';

CREATE FUNCTION sierra_internal.event_aggregates_body(store name) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    wanted constant name := sierra_internal.require_store(store);
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT a.aggregate, a.fold, a.initial, a.snapshot_every, a.fold_version,'
        '       (SELECT count(*) FROM %1$I.snapshots AS s'
        '         WHERE s.aggregate = a.aggregate AND s.definition = a.definition),'
        '       a.created_at'
        '  FROM %1$I.aggregates AS a ORDER BY a.aggregate', wanted);
END
$$;
COMMENT ON FUNCTION sierra_internal.event_aggregates_body(name) IS
    'does what event_aggregates() does, as the current user';

CREATE FUNCTION event_aggregates(store name DEFAULT NULL)
    RETURNS TABLE (aggregate text, fold text, initial jsonb, snapshot_every integer,
                   fold_version integer, snapshots bigint, created_at timestamptz)
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'sierra_show';
COMMENT ON FUNCTION event_aggregates(name) IS
    'returns the aggregates of a store, and how many usable snapshots each has';
