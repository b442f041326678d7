-- The settings: defaults, and which role may change them.
BEGIN;
SELECT plan(13);
-- The settings exist as soon as the library is loaded; this call loads it.
SELECT is(sierra_internal.current_store(), 'es'::name, 'sierra_internal.current_store() needs no call before it');
SELECT is(current_setting('sierra_es.store'), 'es', 'sierra_es.store is es by default');
SELECT is(current_setting('sierra_es.strict_versioning'), 'off', 'strict versioning is off by default');
SELECT throws_ok($$SET sierra_es.early_lock_release = on$$, '55000', NULL, 'early lock release needs a preloaded library');
SELECT is(current_setting('sierra_es.restore'), 'off', 'restore is off by default');
SELECT is((SELECT string_agg(name || ' ' || context || ' ' || vartype, ', ' ORDER BY name) FROM pg_settings WHERE name LIKE 'sierra\_es.%'),
          'sierra_es.early_lock_release user bool, sierra_es.job_timeout sighup integer, sierra_es.max_databases sighup integer, sierra_es.max_runners sighup integer, sierra_es.max_waiters sighup integer, sierra_es.metadata user string,'
          ' sierra_es.notify superuser enum, sierra_es.notify_interval sighup integer, sierra_es.paused_stores user string,'
          ' sierra_es.poll_interval user integer, sierra_es.restore user bool, sierra_es.run_jobs user bool, sierra_es.store user string,'
          ' sierra_es.strict_versioning superuser bool, sierra_es.sweep_interval sighup integer',
          'all settings, who may set them, and their kinds');
SELECT throws_ok($$SET sierra_es.anything = 1$$, '42602', NULL, 'the prefix is reserved: a misspelt setting is an error');
SELECT throws_ok($$SET sierra_es.paused_stores = 'a b'$$, '22023', NULL, 'paused stores are a list of names');
SELECT throws_ok(format('SET sierra_es.store = %L', repeat('x', 64)), '22023', NULL, 'a store name has at most 63 bytes');

CREATE ROLE regress_sierra_app;
SET LOCAL ROLE regress_sierra_app;
SELECT lives_ok($$SET LOCAL sierra_es.store = 'other'$$, 'an application chooses its store');
SELECT is(sierra_internal.current_store(), 'other'::name, 'sierra_internal.current_store() returns it');
SELECT lives_ok($$SET LOCAL sierra_es.restore = on$$, 'any role may set it; the ownership of the store is checked when rows are loaded');
SELECT throws_ok($$SET LOCAL sierra_es.strict_versioning = off$$, '42501', NULL, 'an application cannot switch strict versioning off');

SELECT * FROM finish();
ROLLBACK;
