-- epsub(): subscriptions to partitions, and where they start
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
CREATE FUNCTION next(subscription text, max_count int DEFAULT 100) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(format('%s:%s/%s', global_position, partition_id, partition_sequence), ' ') FROM enext($1, $2) $$;
-- positions 0 to 11, by partition: 0 has 0, 4, 8; 1 has 1, 5, 9; and so on
SELECT count(*) FROM generate_series(0, 11) AS n, LATERAL eappend((ARRAY['a', 'e', 'd', 'f'])[n % 4 + 1], 'x');

SELECT epsub('all', start_from => 'earliest');
SELECT next('all');
SELECT epsub('one', ARRAY[2], 'earliest');
SELECT next('one');
SELECT epsub('two', ARRAY[3, 1, 3], 'earliest');
SELECT next('two');
SELECT partitions FROM es.subscriptions WHERE subscription = 'two';
-- The cursor moves past events of other partitions.
SELECT eack('two', 5);
SELECT next('two');
SELECT eack('two', 11);
SELECT next('two') IS NULL AS caught_up;
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e', 'd', 'f'], ARRAY['x', 'x', 'x', 'x']);
SELECT next('two');

-- idempotent, whatever the order of the partitions
SELECT epsub('two', ARRAY[1, 3]);
SELECT epsub('two', ARRAY[1, 2, 3]);
:sqlstate
SELECT epsub('two');
:sqlstate
SELECT epsub('two', ARRAY[1, 3], window_size => 10);
:sqlstate
SELECT epsub('two', ARRAY[1, 3], lease_time => '1 minute');
:sqlstate
SELECT epsub('two', ARRAY[1, 3], max_attempts => 1);
:sqlstate

-- latest, the default; a position
SELECT epsub('latest', ARRAY[0, 1]);
SELECT next('latest') IS NULL AS nothing_yet;
SELECT epsub('from 9', ARRAY[0, 1], '9');
SELECT next('from 9');
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e', 'd', 'f'], ARRAY['x', 'x', 'x', 'x']);
SELECT next('latest');
SELECT start_sequences FROM es.subscriptions WHERE subscription = 'latest';

-- a sequence for all
SELECT epsub('from sequence 3', start_sequences => '3');
SELECT next('from sequence 3');
SELECT epsub('from sequence 0', ARRAY[1], start_sequences => '0');
SELECT next('from sequence 0');
-- a map, with a default
SELECT epsub('map', start_sequences => '{"0": 4, "2": 0, "default": 3}');
SELECT next('map');
SELECT epsub('default', ARRAY[0, 1], start_sequences => '{"default": 4}');
SELECT next('default');
-- without one, the others start where start_from says
SELECT epsub('rest latest', start_sequences => '{"1": 2}');
SELECT next('rest latest');
SELECT epsub('rest earliest', ARRAY[0, 1], 'earliest', '{"1": 4}');
SELECT next('rest earliest');
SELECT epsub('rest from 10', ARRAY[0, 1], '10', '{"1": 1}');
SELECT next('rest from 10');
-- a sequence that does not exist yet; a partition that is not subscribed to is ignored
SELECT epsub('to come', ARRAY[0, 1], start_sequences => '{"0": 6, "1": 5, "3": 0}');
SELECT next('to come') IS NULL AS nothing_yet;
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'e', 'f'], ARRAY['x', 'x', 'x', 'x']);
SELECT next('to come');
SELECT epsub('strings', ARRAY[0], start_sequences => '{"0": "5"}');
SELECT next('strings');
SELECT epsub('empty map', ARRAY[0], 'earliest', '{}'), epsub('null map', ARRAY[0], 'earliest', NULL);
SELECT next('empty map', 1), next('null map', 1);

-- latest in an empty store
SELECT create_event_store('fresh', 2);
SET sierra_es.store = fresh;
SELECT epsub('latest'), epsub('a half', ARRAY[1]);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'd', 'e', 'f'], ARRAY['x', 'x', 'x', 'x']);
SELECT next('latest'), next('a half');
RESET sierra_es.store;

DROP FUNCTION next;
SELECT drop_event_store('fresh', force => true);
SELECT drop_event_store('es', force => true);
