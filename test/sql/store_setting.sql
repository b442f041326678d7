-- the settings: sierra_es.store, strict_versioning, restore
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT create_event_store('other', 4);

-- A session that has not called the library yet gets the defaults, too.
\c -
\set SHOW_CONTEXT never
SELECT count(*) FROM everify();
\c -
\set SHOW_CONTEXT never
SELECT count(*) FROM event_partitions();
\c -
\set SHOW_CONTEXT never
SELECT guard_event_store();
\c -
\set SHOW_CONTEXT never
-- ... and keeps what it set before
SET sierra_es.store = other;
SELECT stream_version FROM eappend('a', 'x');
RESET sierra_es.store;
SELECT esver('a') AS es;
SET sierra_es.store = other;
SELECT esver('a') AS other;
RESET sierra_es.store;

SELECT name, setting, boot_val, context, vartype FROM pg_settings WHERE name LIKE 'sierra\_es.%' ORDER BY name;
SELECT name FROM pg_settings WHERE name LIKE 'sierra\_es.%' AND (short_desc IS NULL OR short_desc = '');

-- Early lock release needs the library in shared_preload_libraries.
SET sierra_es.early_lock_release = on;
:sqlstate
SET sierra_es.early_lock_release = off;
ALTER ROLE CURRENT_USER SET sierra_es.early_lock_release = on;
:sqlstate
SHOW sierra_es.early_lock_release;
-- for a role, it is ignored when the library is loaded
\c -
\set SHOW_CONTEXT never
ALTER ROLE CURRENT_USER SET sierra_es.early_lock_release = on;
\c -
\set SHOW_CONTEXT never
SELECT esver('a') AS es;
SHOW sierra_es.early_lock_release;
ALTER ROLE CURRENT_USER RESET sierra_es.early_lock_release;

-- The setting follows the transaction.
BEGIN;
SET LOCAL sierra_es.store = other;
SELECT esver('a');
COMMIT;
SELECT esver('a');
BEGIN;
SET sierra_es.store = other;
ROLLBACK;
SELECT esver('a');

-- It is a name, not an expression of one: quotes in it are part of it, case counts.
SET sierra_es.store = '"es"';
SELECT esver('a');
:sqlstate
SET sierra_es.store = 'ES';
SELECT esver('a');
:sqlstate
SET sierra_es.store = '';
SELECT esver('a');
:sqlstate
-- the hint can be pasted, whatever the name
SET sierra_es.store = 'it''s';
SELECT esver('a');
:sqlstate
-- A longer name would be cut to that of another store.
SET sierra_es.store = 'a_name_of_more_than_63_bytes_is_refused_rather_than_cut_to_fit_in';
:sqlstate
SELECT set_config('sierra_es.store', repeat('n', 63), false) = repeat('n', 63) AS longest;
SELECT esver('a');
:sqlstate
SET sierra_es.nonsense = 1;
:sqlstate

-- SE005 from every function that needs a store
SET sierra_es.store = nowhere;
SELECT eappend('a', 'x');
:sqlstate
SELECT emappend(NULL, ARRAY['a'], ARRAY['x']);
:sqlstate
SELECT emappend(NULL, '[]');
:sqlstate
SELECT eget('00000000-0000-4000-8000-000000000001');
:sqlstate
SELECT escan('a');
:sqlstate
SELECT epscan(0);
:sqlstate
SELECT epscan(partition_key => 'a');
:sqlstate
SELECT eall();
:sqlstate
SELECT esver('a');
:sqlstate
SELECT epseq(0);
:sqlstate
SELECT epseq(partition_key => 'a');
:sqlstate
SELECT everify();
:sqlstate
SELECT event_partitions();
:sqlstate
SELECT guard_event_store();
:sqlstate
-- An argument that names a store comes before the setting.
SELECT count(*) FROM everify('es');
SELECT count(*) FROM event_partitions('es');
SELECT guard_event_store('es');
SELECT everify('nowhere');
:sqlstate
SELECT event_partitions('nowhere');
:sqlstate
SELECT guard_event_store('nowhere');
:sqlstate
-- A schema without events, and one whose "events" is something else, are not stores.
SET sierra_es.store = public;
SELECT esver('a');
:sqlstate
CREATE SCHEMA fake;
CREATE TABLE fake.events (id int);
SET sierra_es.store = fake;
SELECT esver('a');
:sqlstate
DROP SCHEMA fake CASCADE;
-- A store that lost a table, or whose events table was changed, raises an error instead of
-- continuing.
SET sierra_es.store = other;
BEGIN;
SET LOCAL sierra_es.restore = on;
DROP TABLE other.event_ids;
SELECT esver('a');
:sqlstate
ROLLBACK;
BEGIN;
SET LOCAL sierra_es.restore = on;
DROP TABLE other.events_2;
SELECT esver('a');
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE other.events RENAME COLUMN payload TO data;
SELECT stream_version FROM eappend('a', 'x');
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE other.events_0 DROP CONSTRAINT events_0_stream;
SELECT stream_version FROM eappend('a', 'x');
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE other.events_0 DROP CONSTRAINT events_0_stream;
SELECT esver('a');
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE other.events_0 DROP CONSTRAINT events_0_event_id;
SELECT stream_version FROM eappend('a', 'x');
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE other.events_0 DROP CONSTRAINT events_0_sequence;
SELECT epseq(0);
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE other.event_ids DROP CONSTRAINT event_ids_pkey;
SELECT stream_version FROM eappend('a', 'x', event_id => '00000000-0000-4000-8000-000000000001');
:sqlstate
ROLLBACK;
-- all of that was rolled back
SELECT stream_version FROM eappend('a', 'x');
SELECT count(*) FROM everify();
RESET sierra_es.store;

-- strict_versioning belongs to the administrator: an application must not switch it off.
CREATE ROLE regress_sierra_app;
GRANT USAGE ON SCHEMA es TO regress_sierra_app;
GRANT SELECT, INSERT ON es.events TO regress_sierra_app;
SET sierra_es.strict_versioning = on;
SET ROLE regress_sierra_app;
SET sierra_es.strict_versioning = off;
:sqlstate
SELECT eappend('a', 'x');
:sqlstate
RESET ROLE;
RESET sierra_es.strict_versioning;
DROP OWNED BY regress_sierra_app;
DROP ROLE regress_sierra_app;

SELECT drop_event_store('es', force => true);
SELECT drop_event_store('other', force => true);
