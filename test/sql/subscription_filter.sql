-- the cursor moves past events that the filter leaves out
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- 3000 events that do not match, a rare one that does, and 3000 more
SELECT count(*) FROM emappend(NULL, (SELECT array_agg('noise-' || n % 50) FROM generate_series(1, 3000) AS n), array_fill('Noise'::text, ARRAY[3000]));
SELECT global_position FROM eappend('rare', 'Rare');
SELECT count(*) FROM emappend(NULL, (SELECT array_agg('noise-' || n % 50) FROM generate_series(1, 3000) AS n), array_fill('Noise'::text, ARRAY[3000]));
CREATE FUNCTION cursor_of(text) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT min(cursor) FROM es.subscription_cursors WHERE subscription = $1 $$;

-- Nothing matches: the cursor moves to the end by itself, though nothing was acknowledged.
SELECT esub('never', ARRAY['never-*'], start_from => 'earliest');
SELECT count(*) FROM enext('never');
SELECT cursor_of('never');
SELECT acknowledged_at IS NULL AS not_acknowledged FROM es.subscription_cursors WHERE subscription = 'never';
-- ... however often enext() is called
SELECT count(*) FROM enext('never');
SELECT cursor_of('never');
-- Something matches: up to the event before it.
SELECT esub('rare', ARRAY['rare'], start_from => 'earliest');
SELECT global_position FROM enext('rare');
SELECT cursor_of('rare');
SELECT global_position FROM enext('rare');
SELECT eack('rare', 3000);
SELECT count(*) FROM enext('rare');
SELECT cursor_of('rare');
-- by event name, by partition, by start: all alike
SELECT esub('by name', event_names => ARRAY['Rare'], start_from => 'earliest');
SELECT global_position FROM enext('by name');
SELECT cursor_of('by name');
SELECT esub('by version', start_from => '100000', start_versions => '{"rare": 0}');
SELECT global_position FROM enext('by version');
SELECT epsub('by sequence', ARRAY[0], '100000', '{"0": 1000000}');
SELECT count(*) FROM enext('by sequence');
-- A few positions are not worth a row version: under a thousand positions the cursor stays.
SELECT esub('little', ARRAY['never'], start_from => '5002');
SELECT count(*) FROM enext('little');
SELECT cursor_of('little');
SELECT esub('just enough', ARRAY['never'], start_from => '5000');
SELECT count(*) FROM enext('just enough');
SELECT cursor_of('just enough');
-- epeek(), and a call that is rolled back, move nothing.
SELECT esub('peeked', ARRAY['never'], start_from => 'earliest');
SELECT count(*) FROM epeek('peeked');
SELECT cursor_of('peeked');
BEGIN;
SELECT count(*) FROM enext('peeked');
SELECT cursor_of('peeked');
ROLLBACK;
SELECT cursor_of('peeked');
-- With after the window is scanned from the cursor on: that moves the cursor too.
SELECT count(*) FROM enext('peeked', after => 10);
SELECT cursor_of('peeked');
-- A group's consumer moves the cursors that it holds.
SELECT esub('group', ARRAY['never'], start_from => 'earliest');
SELECT count(*) FROM enext('group', consumer => 'a');
SELECT count(*) FROM enext('group', consumer => 'a');
SELECT partition_id, cursor FROM es.subscription_cursors WHERE subscription = 'group' ORDER BY 1;
-- After all of that, what comes is delivered.
SELECT stream_id, global_position FROM eappend('never', 'Rare');
SELECT global_position FROM enext('peeked') UNION ALL SELECT global_position FROM enext('little') UNION ALL SELECT global_position FROM enext('group', consumer => 'a');

DROP FUNCTION cursor_of;
SELECT drop_event_store('es', force => true);
