-- Which role may call what, and with whose rights.
BEGIN;
SELECT plan(16);
CREATE ROLE regress_sierra_stranger;
CREATE TEMP VIEW functions AS
SELECT p.* FROM pg_proc AS p
  JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'sierra_es';

SELECT is_empty($$SELECT oid::regprocedure FROM functions WHERE prosecdef$$,
                'no function runs with the rights of its owner');
SELECT is_empty(
    $$SELECT f.oid::regprocedure FROM functions AS f JOIN pg_language AS l ON l.oid = f.prolang
       WHERE lanname IN ('sql', 'plpgsql') AND prosqlbody IS NULL
         AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)
         -- A function that commits cannot have that.  It names the schema of everything that it
         -- uses.
         AND proname NOT IN ('run_event_jobs', 'import_events_from')$$,
    'functions in SQL pin their search_path, or were parsed at their creation');
SELECT is_empty(
    $$SELECT oid::regprocedure FROM functions
       WHERE proname NOT IN ('event_databases', 'event_runners', 'event_metrics', 'event_metrics_text', 'event_progress') AND pronamespace <> 'sierra_internal'::regnamespace
         AND NOT has_function_privilege('regress_sierra_stranger', oid, 'EXECUTE')$$,
    'everybody may call the interface: rights are those of the tables; runners and metrics are visible only to roles that may see them');
-- What the interface calls runs as the caller, and checks its arguments itself.  A body runs what a function in C has
-- checked the rights for.
SELECT results_eq(
    $$SELECT oid::regprocedure::text FROM functions WHERE pronamespace = 'sierra_internal'::regnamespace
         AND proname NOT LIKE '%\_body'
         AND NOT has_function_privilege('regress_sierra_stranger', oid, 'EXECUTE') ORDER BY oid::regprocedure::text COLLATE "C"$$,
    ARRAY['sierra_internal.advance_saga(name,sierra_internal.saga_state)', 'sierra_internal.clear_state(name)',
          'sierra_internal.join_group(name,text,text)', 'sierra_internal.lock_store_to_clear(name)'],
    'nobody else calls what only the library calls');
SELECT is_empty(
    $$SELECT oid::regprocedure FROM functions
       WHERE proname LIKE '%\_body' AND has_function_privilege('regress_sierra_stranger', oid, 'EXECUTE')$$,
    'nor the bodies of functions that run as the owner of a store');
SELECT is_empty(
    $$SELECT oid::regprocedure FROM functions WHERE pronamespace = 'sierra_internal'::regnamespace
         AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'c') AND NOT proisstrict AND pronargs > 0
         AND proname NOT IN ('are_tags', 'find_store', 'require_store', 'append_saga_event', 'add_saga_instance', 'check_new_event', 'complete_metadata', 'peek_subscription', 'run_projection_version', 'append_timers', 'run_job', 'park_event', 'await_subscription', 'list_pending', 'begin_progress', 'progress_phase', 'escan_packed', 'epscan_packed', 'eappend_each_packed')$$,
    'a private function in C gets no nulls, or checks for them');
SELECT ok(has_schema_privilege('regress_sierra_stranger', 'sierra_internal', 'USAGE')
          AND NOT has_schema_privilege('regress_sierra_stranger', 'sierra_internal', 'CREATE'), 'nobody may create anything in sierra_internal');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace = 'sierra_internal'::regnamespace AND p.oid NOT IN (SELECT oid FROM functions)$$,
                'all functions in it belong to the extension');
SELECT is_empty($$SELECT oid::regprocedure FROM functions WHERE has_function_privilege('regress_sierra_stranger', oid, 'EXECUTE WITH GRANT OPTION')$$,
                'nobody may grant it on');
SELECT is_empty(
    $$SELECT t.oid::regtype FROM pg_type AS t WHERE t.typname IN ('sierra_event', 'sierra_append_result', 'sierra_append_outcome', 'expected_version')
         AND NOT has_type_privilege('regress_sierra_stranger', t.oid, 'USAGE')$$,
    'everybody may use the types');

-- A new store belongs to the role that made it, and to no other role.
SELECT lives_ok($$SELECT create_event_store('rights_of_store', 2)$$, 'a store is made');
SELECT is_empty(
    $$SELECT relname FROM pg_class WHERE relnamespace = 'rights_of_store'::regnamespace AND relacl IS NOT NULL$$,
    'no right on its tables is given to anybody');
SELECT is((SELECT nspacl FROM pg_namespace WHERE nspname = 'rights_of_store'), NULL, 'nor on its schema');
SELECT schema_owner_is('rights_of_store', current_user);
SELECT is_empty(
    $$SELECT relname FROM pg_class WHERE relnamespace = 'rights_of_store'::regnamespace AND pg_get_userbyid(relowner) <> current_user$$,
    'its relations belong to the role that made it');
SELECT is_empty(
    $$SELECT relname FROM pg_class WHERE relnamespace = 'rights_of_store'::regnamespace AND relkind IN ('r', 'p', 'S')
         AND (CASE relkind WHEN 'S' THEN has_sequence_privilege('regress_sierra_stranger', oid, 'USAGE, SELECT, UPDATE')
                           ELSE has_table_privilege('regress_sierra_stranger', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') END)$$,
    'a stranger can do nothing with them');

SELECT * FROM finish();
ROLLBACK;
