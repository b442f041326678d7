-- ---------------------------------------------------------------------------
-- Guards: triggers of events, which nobody may change, and of rows that say what runs.
-- ---------------------------------------------------------------------------

CREATE FUNCTION sierra_internal.guard_events() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_guard_events';
COMMENT ON FUNCTION sierra_internal.guard_events() IS
    'trigger function that refuses statements that would change events';

CREATE FUNCTION sierra_internal.guard_drop() RETURNS event_trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'sierra_guard_drop';
COMMENT ON FUNCTION sierra_internal.guard_drop() IS
    'event trigger function that refuses to drop the tables of a store that has events';

CREATE EVENT TRIGGER sierra_es_guard_drop ON ddl_command_start
    WHEN TAG IN ('DROP TABLE', 'DROP SCHEMA', 'DROP OWNED')
    EXECUTE FUNCTION sierra_internal.guard_drop();
COMMENT ON EVENT TRIGGER sierra_es_guard_drop IS
    'keeps DROP TABLE, DROP SCHEMA and DROP OWNED from deleting events';

-- A guard refuses all ways to write a table of a store but the append functions.
-- The guard of events also keeps the number of partitions of the store.
CREATE FUNCTION sierra_internal.create_event_guard(relation text, partitions integer DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE TRIGGER sierra_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s'
        ' FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events(%s)',
        relation, partitions);
    -- ALWAYS: session_replication_role must not switch it off.
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER sierra_guard', relation);
END
$$;
COMMENT ON FUNCTION sierra_internal.create_event_guard(text, integer) IS
    'makes a table append-only';

CREATE FUNCTION sierra_internal.restore_event_guards(store name) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := store;
    guarded integer := 0;
    unguarded record;
BEGIN
    FOR unguarded IN
        SELECT c.relname, g.oid IS NOT NULL AS disabled
          FROM pg_class AS c
          LEFT JOIN pg_trigger AS g
            ON g.tgrelid = c.oid
           AND g.tgfoid = 'sierra_internal.guard_events()'::regprocedure
         WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = wanted)
           AND (c.relname IN ('events', 'stream_keys', 'event_ids', 'event_tags')
                OR c.oid IN (SELECT i.inhrelid FROM pg_inherits AS i
                              WHERE i.inhparent = to_regclass(format('%I.events', wanted))))
           AND g.tgenabled IS DISTINCT FROM 'A'
         ORDER BY c.oid
    LOOP
        IF unguarded.disabled THEN
            EXECUTE format('ALTER TABLE %I.%I ENABLE ALWAYS TRIGGER sierra_guard', wanted,
                           unguarded.relname);
        ELSIF unguarded.relname = 'events' THEN
            PERFORM sierra_internal.create_event_guard(
                format('%I.events', wanted),
                (SELECT count(*)::integer FROM pg_inherits AS i
                  WHERE i.inhparent = to_regclass(format('%I.events', wanted))));
        ELSE
            PERFORM sierra_internal.create_event_guard(format('%I.%I', wanted, unguarded.relname));
        END IF;
        guarded := guarded + 1;
    END LOOP;
    RETURN guarded;
END
$$;
COMMENT ON FUNCTION sierra_internal.restore_event_guards(name) IS
    'puts back lost guards of the event tables of a store and returns how many';

-- Rows of sagas and projections say what runs, and as which role.  So a role writes
-- rows only for roles that it can become by SET ROLE, and makes other versions only of
-- what such roles own.  It gives another owner only to what such roles own, and deletes
-- only that: else it could make its own in the place of another one.  A role that can
-- become the table's owner may do both with everything.  Upcasters run in projections of
-- all roles: only roles that can become the table's owner write them, who could become
-- the owner of each projection anyway.
-- The argument is the column with the name of what the row defines, none for
-- upcasters.  src/store/run_as.c says what else is checked.
CREATE FUNCTION sierra_internal.guard_owner() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    name constant text := CASE WHEN TG_OP = 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END ->> TG_ARGV[0];
    owners oid[];
    owner oid;
    table_owner constant oid := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID);
    changer oid;
BEGIN
    IF name IS NULL THEN
        owners := ARRAY[table_owner];
    ELSIF TG_OP <> 'INSERT' THEN
        changer := CASE WHEN EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = OLD.owner)
                             AND NOT sierra_internal.can_become(quote_ident(current_user)::regrole, table_owner)
                        THEN OLD.owner ELSE table_owner END;
        owners := CASE WHEN TG_OP = 'UPDATE' THEN ARRAY[NEW.owner::oid, changer] ELSE ARRAY[changer] END;
    ELSE
        -- What a role has left that does not exist any more is up to the table's owner.
        EXECUTE format('SELECT ARRAY[$2] || ARRAY(SELECT coalesce(r.oid, $3) FROM %I.%I AS d'
                       '                            LEFT JOIN pg_roles AS r ON r.oid = d.owner'
                       '                           WHERE d.%I = $1 ORDER BY d.version DESC LIMIT 1)',
                       TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0])
           INTO owners USING name, NEW.owner::oid, table_owner;
    END IF;
    FOREACH owner IN ARRAY owners LOOP
        IF NOT sierra_internal.can_become(quote_ident(current_user)::regrole, owner) THEN
            RAISE insufficient_privilege USING
                MESSAGE = format('must be able to SET ROLE "%s" to %s %s', pg_get_userbyid(owner),
                                 CASE WHEN TG_OP = 'DELETE' THEN 'drop' ELSE 'define' END,
                                 CASE WHEN name IS NULL THEN TG_TABLE_NAME
                                      ELSE format('%s "%s"', TG_ARGV[0], name) END),
                DETAIL = CASE WHEN name IS NULL
                              THEN 'This role owns the table, and its rows run in projections of other roles.'
                              WHEN owner = changer THEN 'This role owns it, or the table.'
                              WHEN owner = owners[1] THEN 'It would run as this role.'
                              ELSE 'This role owns the newest version.' END;
        END IF;
    END LOOP;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION sierra_internal.guard_owner() IS
    'trigger function that lets only roles that can become a role write rows that run as this role';

-- The owner of the table must be able to become the owner of each projection and saga in it.
CREATE FUNCTION sierra_internal.check_owner(store name, what text, owner regrole) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation constant text := format('%I.%I', store, what || 's');
    table_owner constant regrole := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = to_regclass(relation));
BEGIN
    IF NOT sierra_internal.can_become(table_owner, owner) THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('role "%s" cannot own a %s of store "%s"', pg_get_userbyid(owner), what, store),
            DETAIL = format('Role "%s" owns the table %s and may not become it.',
                            pg_get_userbyid(table_owner), relation),
            HINT = 'Let the store''s owner own it, or a role that this owner may become.';
    END IF;
END
$$;
COMMENT ON FUNCTION sierra_internal.check_owner(name, text, regrole) IS
    'raises an error unless the owner of the table of projections or sagas can become a role';

-- The arguments are the column with the name of what the row defines, and a hint.
CREATE FUNCTION sierra_internal.guard_definition() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE object_not_in_prerequisite_state USING
        MESSAGE = format('the definition of %s "%s" cannot be changed', TG_ARGV[0], to_jsonb(OLD) ->> TG_ARGV[0]),
        HINT = TG_ARGV[1];
END
$$;
COMMENT ON FUNCTION sierra_internal.guard_definition() IS
    'trigger function that refuses to change what a row runs';

CREATE FUNCTION sierra_internal.changes_of_row(columns text[]) RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(format('OLD.%1$I IS DISTINCT FROM NEW.%1$I', c.name), ' OR ') FROM unnest($1) AS c (name)
$$;
COMMENT ON FUNCTION sierra_internal.changes_of_row(text[]) IS
    'returns the condition of a trigger that one of these columns changes';

-- These are all triggers on rows of a store that the extension makes, but for those
-- of inline projections.
CREATE FUNCTION sierra_internal.restore_row_guards(store name) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What never changes.  The subscription of a projection ends when it becomes inline.
    fixed constant text[] := '{projection, version, kind, handler, key, initial, streams, event_names, tags, search_path}';
    fixed_in_saga constant text[] := '{saga, version, steps, timeout, search_path, created_at}';
    changes constant text := sierra_internal.changes_of_row(fixed);
    definition constant text := array_to_string(fixed || '{subscription}', ', ');
    lost record;
    restored integer := 0;
BEGIN
    FOR lost IN
        SELECT g.*
          FROM (VALUES
                ('upcasters', 'guard_owner', 'INSERT OR UPDATE', NULL, NULL),
                ('sagas', 'guard_owner', 'INSERT OR UPDATE OR DELETE', NULL, quote_literal('saga')),
                ('sagas', 'guard_definition', 'UPDATE', format('WHEN (%s)', sierra_internal.changes_of_row(fixed_in_saga)),
                 format('%L, %L', 'saga', 'Make another version with create_saga().')),
                ('projections', 'guard_owner', format('INSERT OR DELETE OR UPDATE OF owner, %s', definition), NULL,
                 quote_literal('projection')),
                ('projections', 'guard_definition', format('UPDATE OF %s', definition),
                 format('WHEN (%s OR NEW.subscription <> coalesce(OLD.subscription, %L))', changes, ''),
                 format('%L, %L', 'projection', 'Use rebuild_projection().')))
               AS g (relation, guard, events, condition, arguments)
         WHERE NOT EXISTS (SELECT FROM pg_trigger AS t
                            WHERE t.tgrelid = to_regclass(format('%I.%I', store, g.relation))
                              AND t.tgfoid = to_regprocedure(format('sierra_internal.%I()', g.guard)))
    LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE %s ON %I.%I FOR EACH ROW %s'
                       ' EXECUTE FUNCTION sierra_internal.%I(%s)',
                       'sierra_' || lost.guard, lost.events, store, lost.relation, lost.condition, lost.guard,
                       lost.arguments);
        restored := restored + 1;
    END LOOP;
    RETURN restored;
END
$$;
COMMENT ON FUNCTION sierra_internal.restore_row_guards(name) IS
    'puts back lost guards of rows that say what runs, and returns how many';

-- DROP EXTENSION CASCADE drops the triggers, and keeps the tables.
CREATE FUNCTION guard_event_store(store name DEFAULT NULL) RETURNS integer
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted constant name := sierra_internal.require_store(store);
BEGIN
    RETURN sierra_internal.restore_event_guards(wanted)
         + sierra_internal.restore_row_guards(wanted)
         + sierra_internal.restore_inline_triggers(wanted);
END
$$;
COMMENT ON FUNCTION guard_event_store(name) IS
    'puts back the triggers that a store has lost, as after DROP EXTENSION CASCADE, and returns how many';
