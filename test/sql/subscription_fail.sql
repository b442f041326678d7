-- enack(): a failed event delays its stream and nothing else; retries, parking, order
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- positions 0 to 11: a, b and d in turn (a and b in partition 0, d in 2)
SELECT count(*) FROM generate_series(0, 11) AS n, LATERAL eappend((ARRAY['a', 'b', 'd'])[n % 3 + 1], 'E' || n);
CREATE FUNCTION next(subscription text, max_count int DEFAULT 100, after bigint DEFAULT NULL) RETURNS text LANGUAGE sql AS
    $$ SELECT string_agg(format('%s:%s/%s', global_position, stream_id, stream_version), ' ') FROM enext($1, $2, after => $3) $$;
CREATE VIEW diverted AS SELECT subscription, stream_id, state, position, version, delivered, failed_position, attempts, reason FROM es.subscription_streams ORDER BY 1, 2;
-- Makes everything that waits for its time due now.
CREATE FUNCTION make_due(subscription text) RETURNS bigint LANGUAGE sql AS
    $$ WITH due AS (UPDATE es.subscription_streams AS t SET retry_at = clock_timestamp() WHERE t.subscription = $1 AND state = 'retrying' RETURNING 1) SELECT count(*) FROM due $$;

-- The first event of a batch fails: its stream waits, the others continue, with their next events
-- too.
SELECT esub('s', start_from => 'earliest', max_attempts => 3);
SELECT next('s');
SELECT enack('s', 0, '1 hour', 'no such customer');
SELECT * FROM diverted;
SELECT retry_at - failed_at BETWEEN interval '59 minutes' AND interval '1 hour' AS in_an_hour FROM es.subscription_streams;
SELECT next('s');
SELECT eack('s', 11);
SELECT next('s') IS NULL AS nothing_but_a;
SELECT last_error, last_error_at IS NOT NULL AS has_time, cursor FROM es.subscription_cursors;
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b'], ARRAY['E12', 'E13']);
SELECT next('s');

-- When it is due, the stream comes before all others, in a batch of its own and in its order, from
-- the failed event on.
SELECT make_due('s');
SELECT next('s');
SELECT next('s', 2);
SELECT next('s', 2);
-- Fetching ahead continues with the others.
SELECT next('s', after => 11);
-- The acknowledged position is one of the stream's events: it moves the stream, not the cursor.
SELECT eack('s', 3);
SELECT cursor FROM es.subscription_cursors;
SELECT * FROM diverted;
-- again: no effect
SELECT eack('s', 3), eack('s', 0);
SELECT next('s');
-- later events of the stream fail as well, each with attempts of its own
SELECT enack('s', 6, '0');
SELECT * FROM diverted;
SELECT next('s');
SELECT enack('s', 6, '0', 'second failure');
SELECT next('s', 1);
-- after max_attempts failures it is parked
SELECT enack('s', 6, '0', 'third failure');
SELECT * FROM diverted;
SELECT next('s');
SELECT eack('s', 13);
SELECT next('s') IS NULL AS nothing_but_a;
SELECT make_due('s') AS parked_is_never_due;
-- It is retried when an operator says so, with the full number of attempts; the later events still
-- wait behind it.
SELECT eretry('s', 'a');
SELECT attempts FROM diverted;
SELECT next('s');
SELECT enack('s', 6, '0');
SELECT attempts FROM diverted;
SELECT next('s');
SELECT eack('s', 6);
SELECT next('s');
-- A new event of the stream joins the others that wait behind.
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b', 'a'], ARRAY['E14', 'E15', 'E16']);
SELECT next('s');
SELECT eack('s', 12);
SELECT next('s');
SELECT eack('s', 16);
-- All its events are processed: it is drained, and above that the cursor counts for it.
SELECT next('s');
SELECT * FROM diverted;
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b'], ARRAY['E17', 'E18']);
SELECT next('s');
SELECT eack('s', 15);
SELECT * FROM diverted;
SELECT next('s');
SELECT eack('s', 17);
-- The cursor has moved past it: the row is no longer needed.
SELECT * FROM diverted;
SELECT next('s');
SELECT eack('s', 18);

-- In the middle of a batch: earlier events of the stream count as processed, those of others come
-- again.
SELECT esub('middle', start_from => 'earliest');
SELECT next('middle', 6);
SELECT enack('middle', 3, '1 hour');
SELECT next('middle');
SELECT eack('middle', 2);
SELECT * FROM diverted WHERE subscription = 'middle';
SELECT make_due('middle');
SELECT next('middle');
SELECT eack('middle', 17);
SELECT next('middle');
-- the failed stream is drained; its processed events do not come again with the others
SELECT eack('middle', 18);
SELECT * FROM diverted WHERE subscription = 'middle';

-- Delivered before the failure and acknowledged after it: the page has events of the stream that
-- were not processed, and the cursor moves past them; they come with the stream.
SELECT esub('late', start_from => 'earliest');
SELECT next('late', 12);
SELECT enack('late', 0, '1 hour');
SELECT eack('late', 11);
SELECT next('late');
SELECT make_due('late');
SELECT next('late');
-- Acknowledged with a page that left the stream out: the cursor must not count for the stream too
-- early.
SELECT eack('late', 17);
SELECT next('late');
SELECT eack('late', 18);
SELECT next('late') IS NULL AS caught_up;
SELECT count(*) FROM emappend(NULL, ARRAY['a'], ARRAY['E19']);
SELECT next('late');

-- A drained stream fails again.
SELECT esub('again', ARRAY['a', 'b'], start_from => '11');
SELECT enack('again', 12, '0');
SELECT next('again');
SELECT eack('again', 19);
SELECT next('again');
SELECT * FROM diverted WHERE subscription = 'again';
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b', 'a'], ARRAY['E20', 'E21', 'E22']);
SELECT next('again');
SELECT enack('again', 20, '1 hour', 'again');
SELECT * FROM diverted WHERE subscription = 'again';
SELECT next('again');
SELECT make_due('again');
SELECT next('again');
SELECT eack('again', 22);
SELECT next('again');
SELECT eack('again', 21);
SELECT * FROM diverted WHERE subscription = 'again';
SELECT next('again') IS NULL AS caught_up;

-- Several failing streams: each in batches of its own within the window, the one furthest behind
-- first.
SELECT esub('several', start_from => 'earliest', window_size => 5);
SELECT enack('several', 1, '1 hour'), enack('several', 2, '1 hour'), enack('several', 0, '1 hour');
SELECT next('several') IS NULL AS no_other_stream;
SELECT make_due('several');
SELECT next('several');
SELECT enack('several', 3, '1 hour');
SELECT next('several', 2);
SELECT eack('several', 4);
SELECT next('several');
SELECT eack('several', 11);
SELECT stream_id, state, position, attempts FROM diverted WHERE subscription = 'several';
SELECT next('several');
SELECT eack('several', 18);
SELECT next('several');
SELECT eack('several', 21);
SELECT next('several') IS NULL AS drained;
SELECT stream_id, state, position FROM diverted WHERE subscription = 'several';

-- Parked at once, then skipped; the events that wait behind come next.
SELECT esub('skip', ARRAY['a'], start_from => 'earliest');
SELECT enack('skip', 3, reason => 'poison', park => true);
SELECT next('skip') IS NULL AS parked;
SELECT eskip('skip', 'a');
SELECT next('skip', 2);
SELECT eskip('skip', 'a') IS NULL AS nothing_failed;
SELECT eack('skip', 9);
SELECT next('skip', 1);
SELECT eskip('skip', 'b') IS NULL AS not_diverted, eretry('skip', 'b') AS retried;
-- while it waits for its time
SELECT enack('skip', 12, '1 day');
SELECT eskip('skip', 'a');
SELECT next('skip', 1);
-- eretry() of all streams of a subscription
SELECT esub('all', start_from => 'earliest');
SELECT enack('all', 0, park => true), enack('all', 1, '1 hour'), enack('all', 2);
SELECT eretry('all');
SELECT next('all', 1);
-- Events of a diverted stream that were not delivered yet cannot have failed again.
SELECT enack('all', 1);
:sqlstate
SELECT enack('all', 0, park => true);
SELECT next('all', 1);
SELECT enack('all', 1, park => true);
SELECT next('all', 1);
SELECT enack('all', 2, park => true);
SELECT next('all') IS NULL AS all_parked;
SELECT eretry('all', 'b');
SELECT next('all', 1);
SELECT eretry('all', 'no such stream');

-- The filter applies to the events that wait behind, too.
SELECT esub('filter', event_names => ARRAY['E0', 'E6', 'E12'], start_from => 'earliest');
SELECT enack('filter', 0, '0');
SELECT next('filter');
SELECT eack('filter', 6);
SELECT next('filter');
SELECT eack('filter', 12);
SELECT next('filter') IS NULL AS caught_up;
-- and where the subscription started
SELECT esub('start', ARRAY['a'], start_from => 'latest', start_versions => '{"a": 3}');
SELECT enack('start', 9, '0');
SELECT next('start');

-- a failure that is rolled back
BEGIN;
SELECT enack('start', 9, '0', 'undone');
ROLLBACK;
SELECT * FROM diverted WHERE subscription = 'start';

-- One failure is enough.
SELECT esub('once', ARRAY['b'], start_from => 'earliest', max_attempts => 1);
SELECT enack('once', 1);
SELECT state, attempts FROM diverted WHERE subscription = 'once';
-- Dropping a subscription drops its failures.
SELECT eunsub('once');
SELECT count(*) FROM diverted WHERE subscription = 'once';

DROP VIEW diverted;
DROP FUNCTION next, make_due;
SELECT drop_event_store('es', force => true);
