-- eall(): the whole store in the order of global positions, filtered and limited
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- nothing yet
SELECT count(*) FROM eall();
SELECT count(*) FROM eall(backward => true);
SELECT count(*) FROM eall(100);

-- positions 0 to 11, over all partitions
SELECT count(*) FROM emappend(NULL,
    ARRAY['order-1', 'order-2', 'user-123', 'a', 'order-1', '€-stream', 'partition key', 'order-10', 'user-123', 'order-2', '*', 'a*b'],
    ARRAY['Created', 'Created', 'Named', 'x', 'Paid', 'x', 'x', 'Created', 'Renamed', 'Paid', 'star', 'star']);
SELECT global_position, stream_id, stream_version, event_name FROM eall();
SELECT count(DISTINCT partition_id) AS partitions FROM eall();
SELECT array_agg(global_position) FROM eall(backward => true);

-- after a position, which need not be that of an event
SELECT after, (SELECT coalesce(array_agg(global_position), '{}') FROM eall(after)) AS forward,
       (SELECT coalesce(array_agg(global_position), '{}') FROM eall(after, backward => true)) AS backward
  FROM unnest(ARRAY[-1, 0, 5, 10, 11, 12, 9223372036854775807]) AS after;

-- max_count: 1000 unless said otherwise, NULL for everything
SELECT count(*) FROM emappend(NULL, (SELECT array_agg('many-' || n % 50) FROM generate_series(1, 1500) AS n), array_fill('Many'::text, ARRAY[1500]));
SELECT count(*) FROM eall();
SELECT count(*) FROM eall(max_count => NULL);
SELECT array_agg(global_position) FROM eall(max_count => 3);
SELECT array_agg(global_position) FROM eall(8, 3);
SELECT array_agg(global_position) FROM eall(max_count => 3, backward => true);
SELECT count(*) FROM eall(max_count => 0);
SELECT count(*) FROM eall(max_count => 9223372036854775807);

-- streams: names and patterns, '*' for any text, also none; nothing else is special
SELECT pattern, (SELECT coalesce(array_agg(DISTINCT stream_id ORDER BY stream_id), '{}') FROM eall(11, NULL, ARRAY[pattern]) WHERE stream_id NOT LIKE 'many%')
       || (SELECT coalesce(array_agg(DISTINCT stream_id ORDER BY stream_id), '{}') FROM eall(-1, NULL, ARRAY[pattern]) WHERE stream_id NOT LIKE 'many%') AS found
  FROM unnest(ARRAY['order-1', 'order-*', 'order-1*', '*-1', '*er-1*', 'o*r*1', '*', '**', 'a*', '*a', 'order', 'order-_', 'order-%', 'ORDER-*',
                    '€*', '*stream', '', 'a*b', 'a**b', 'order-?', 'order-[12]', '*key', 'user-123*', '*1*2*3*', 'user-123**']) AS pattern;
SELECT array_agg(global_position) FROM eall(streams => ARRAY['order-1', '€*', 'none']);
SELECT array_agg(global_position) FROM eall(streams => ARRAY['order-*', 'order-1'], backward => true);
-- a pattern that would take very long if it were matched naively
SELECT count(*) FROM eappend(repeat('a', 255), 'long');
SELECT count(*) FROM eall(streams => ARRAY[repeat('a*', 120) || 'b']);
SELECT count(*) FROM eall(streams => ARRAY[repeat('a*', 120)]);

-- event names: exact, no patterns
SELECT array_agg(global_position) FROM eall(event_names => ARRAY['Paid', 'Named']);
SELECT array_agg(global_position) FROM eall(event_names => ARRAY['*']);
SELECT array_agg(global_position) FROM eall(event_names => ARRAY['paid']);
-- both together, with a position and a limit: the limit counts matching events
SELECT array_agg(global_position) FROM eall(streams => ARRAY['order-*'], event_names => ARRAY['Created']);
SELECT array_agg(global_position) FROM eall(0, 2, ARRAY['order-*'], ARRAY['Created', 'Paid']);
SELECT array_agg(global_position) FROM eall(9, 2, ARRAY['order-*'], ARRAY['Created', 'Paid'], backward => true);
SELECT count(*), min(global_position) FROM eall(max_count => 100, event_names => ARRAY['Many']);
-- an empty filter matches nothing, a null one everything
SELECT count(*) FROM eall(streams => '{}');
SELECT count(*) FROM eall(event_names => '{}');
SELECT count(*) FROM eall(max_count => 5, streams => NULL, event_names => NULL);

-- required arguments
SELECT eall(NULL);
:sqlstate
SELECT eall(-2);
:sqlstate
SELECT eall(max_count => -1);
:sqlstate
SELECT eall(backward => NULL);
:sqlstate
SELECT eall(streams => ARRAY['a', NULL]);
:sqlstate
SELECT eall(event_names => ARRAY[NULL]::text[]);
:sqlstate

-- A reader does not wait for a hole in the positions.
BEGIN;
SELECT count(*) FROM emappend(NULL, array_fill('a'::text, ARRAY[20]), array_fill('lost'::text, ARRAY[20]));
ROLLBACK;
SELECT global_position AS last FROM eall(max_count => 1, backward => true) \gset
SELECT global_position - :last AS step FROM eappend('a', 'after the hole');
SELECT event_name, global_position - :last AS step FROM eall(:last);
SELECT event_name FROM eall(:last + 5);
SELECT count(*) FROM eall(:last + 21);
SELECT drop_event_store('es', force => true);
