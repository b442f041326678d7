-- every error of the functions of subscriptions: arguments, missing stores and subscriptions
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e', 'd', 'f', 'a'], array_fill('x'::text, ARRAY[5]));
CREATE FUNCTION outcome(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    EXECUTE 'SELECT count(*) FROM ' || call;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN format(E'%s %s\n  detail: %s\n  hint: %s', SQLSTATE, SQLERRM, detail, hint);
END
$$;
\pset format unaligned
\pset tuples_only on

-- null where null has no meaning
SELECT call, outcome(call) FROM unnest(ARRAY[
    $$esub(NULL)$$, $$esub('s', start_from => NULL)$$, $$esub('s', window_size => NULL)$$, $$esub('s', lease_time => NULL)$$,
    $$esub('s', max_attempts => NULL)$$, $$esub('s', ARRAY['a', NULL])$$, $$esub('s', event_names => ARRAY[NULL]::text[])$$,
    $$epsub(NULL)$$, $$epsub('s', start_from => NULL)$$, $$epsub('s', window_size => NULL)$$, $$epsub('s', lease_time => NULL)$$,
    $$epsub('s', max_attempts => NULL)$$, $$epsub('s', ARRAY[0, NULL])$$, $$eunsub(NULL)$$,
    $$enext(NULL)$$, $$enext('s', NULL)$$, $$enext('s', wait => NULL)$$, $$epeek(NULL)$$, $$epeek('s', NULL)$$,
    $$eack(NULL, 0)$$, $$eack('s', NULL)$$, $$enack(NULL, 0)$$, $$enack('s', NULL)$$, $$enack('s', 0, retry_after => NULL)$$,
    $$enack('s', 0, park => NULL)$$, $$ewait('s', NULL)$$, $$ewait('s', 0, NULL)$$]) AS call;

-- a name
SELECT call, outcome(call) FROM unnest(ARRAY[
    $$esub('')$$, $$epsub('')$$, $$esub(repeat('s', 256))$$, $$esub(repeat('é', 128))$$, $$epsub(repeat('s', 256))$$,
    $$enext('s', consumer => '')$$, $$enext('s', consumer => repeat('c', 256))$$, $$enext('s', consumer => E'a\nb')$$,
    $$eack('s', 0, '')$$, $$enack('s', 0, consumer => '')$$]) AS call;
-- no control characters: C0, DEL, C1
SELECT outcome, count(*) FROM (SELECT generate_series(1, 31) UNION SELECT generate_series(127, 159)) AS c (code),
       outcome(format('esub(%L)', 'a' || chr(code))) GROUP BY 1 ORDER BY 1;
SELECT outcome, count(*) FROM (SELECT generate_series(1, 31) UNION SELECT generate_series(127, 159)) AS c (code),
       outcome(format('epsub(%L)', chr(code) || 'a')) GROUP BY 1 ORDER BY 1;

-- bounds
SELECT call, outcome(call) FROM unnest(ARRAY[
    $$esub('s', window_size => 0)$$, $$esub('s', window_size => -1)$$, $$esub('s', window_size => 1000001)$$,
    $$esub('s', lease_time => '99 milliseconds')$$, $$esub('s', lease_time => '-1 second')$$, $$esub('s', lease_time => '1 day 1 second')$$,
    $$esub('s', max_attempts => 0)$$, $$esub('s', max_attempts => 1000001)$$,
    $$epsub('s', window_size => 0)$$, $$epsub('s', lease_time => '0')$$, $$epsub('s', max_attempts => 0)$$,
    $$enext('s', 0)$$, $$enext('s', -1)$$, $$epeek('s', 0)$$, $$enext('s', wait => '-1 second')$$, $$enext('s', wait => '1 day 1 second')$$,
    $$enext('s', wait => '1 month')$$, $$enext('s', after => -2)$$, $$eack('s', -2)$$, $$enack('s', -2)$$, $$ewait('s', -2)$$,
    $$enack('s', 0, '-1 second')$$, $$enack('s', 0, '366 days')$$, $$ewait('s', 0, '-1 second')$$, $$ewait('s', 0, '25 hours')$$]) AS call;
-- ... and what is just inside
SELECT call, outcome(call) FROM unnest(ARRAY[
    $$esub('smallest', window_size => 1, lease_time => '100 milliseconds', max_attempts => 1)$$,
    $$esub('largest', start_from => 'earliest', window_size => 1000000, lease_time => '1 day', max_attempts => 1000000)$$,
    $$enack('largest', 0, '365 days')$$, $$enext('largest', 2147483647, '1 day')$$]) AS call;

-- where to start
SELECT call, outcome(call) FROM unnest(ARRAY[
    $$esub('s', start_from => '')$$, $$esub('s', start_from => 'first')$$, $$esub('s', start_from => '-2')$$,
    $$esub('s', start_from => '1.5')$$, $$esub('s', start_from => '1e3')$$, $$esub('s', start_from => ' 1')$$, $$esub('s', start_from => E'1\n')$$,
    $$esub('s', start_from => '9223372036854775808')$$, $$esub('s', start_from => '-')$$, $$epsub('s', start_from => 'now')$$,
    $$esub('s', start_versions => '[]')$$, $$esub('s', start_versions => '1')$$, $$esub('s', start_versions => 'null')$$,
    $$esub('s', start_versions => '{"a": -1}')$$, $$esub('s', start_versions => '{"a": null}')$$, $$esub('s', start_versions => '{"a": 1.5}')$$,
    $$esub('s', start_versions => '{"a": "b"}')$$, $$esub('s', start_versions => '{"a": [1]}')$$, $$esub('s', start_versions => '{"a": 1000000000000000000}')$$,
    $$esub('s', start_versions => '{"a": 1, "b": ""}')$$, $$esub('s', start_versions => '{')$$]) AS call;
-- partitions
SELECT call, outcome(call) FROM unnest(ARRAY[
    $$epsub('s', ARRAY[4])$$, $$epsub('s', ARRAY[0, -1])$$, $$epsub('s', ARRAY[]::int[])$$, $$epsub('s', ARRAY[2147483647])$$,
    $$epsub('s', start_sequences => '[]')$$, $$epsub('s', start_sequences => '"1"')$$, $$epsub('s', start_sequences => 'null')$$,
    $$epsub('s', start_sequences => '-1')$$, $$epsub('s', start_sequences => '1.5')$$, $$epsub('s', start_sequences => '{"4": 0}')$$,
    $$epsub('s', start_sequences => '{"-1": 0}')$$, $$epsub('s', start_sequences => '{"0": -1}')$$, $$epsub('s', start_sequences => '{"0": null}')$$,
    $$epsub('s', start_sequences => '{"Default": 0}')$$, $$epsub('s', start_sequences => '{"default": "x"}')$$, $$epsub('s', start_sequences => '{"99999999999": 0}')$$,
    $$epsub('s', start_sequences => '{"": 0}')$$, $$epsub('s', start_sequences => '1000000000000000000')$$]) AS call;
SELECT count(*) FROM es.subscriptions WHERE subscription = 's';

-- a subscription that does not exist
SELECT outcome, array_agg(call ORDER BY n) FROM unnest(ARRAY[
    $$enext('s')$$, $$enext('s', wait => '1 hour')$$, $$enext('s', consumer => 'c')$$, $$epeek('s')$$, $$eack('s', 0)$$, $$eack('s', 0, 'c')$$,
    $$enack('s', 0)$$, $$ewait('s', 0)$$, $$eunsub('s')$$]) WITH ORDINALITY AS c (call, n), outcome(call) GROUP BY outcome ORDER BY 1;
-- what was not delivered
SELECT esub('s', ARRAY['a', 'e'], start_from => 'earliest');
SELECT call, outcome(call) FROM unnest(ARRAY[
    $$eack('s', 5)$$, $$enack('s', 5)$$, $$enack('s', -1)$$, $$enack('s', 2)$$, $$enack('s', 9223372036854775807)$$, $$enack('s', 0, consumer => 'c')$$, $$eack('s', 0, 'c')$$]) AS call;
SELECT eack('s', 1);
SELECT call, outcome(call) FROM unnest(ARRAY[$$enack('s', 1)$$, $$enack('s', 0)$$]) AS call;
-- a store that does not exist, named by the setting or the argument
SET sierra_es.store = nowhere;
SELECT outcome, array_agg(call ORDER BY n) FROM unnest(ARRAY[
    $$esub('s')$$, $$epsub('s')$$, $$eunsub('s')$$, $$enext('s')$$, $$epeek('s')$$, $$eack('s', 0)$$, $$enack('s', 0)$$, $$ewait('s', 0)$$, $$ewait(NULL, 0)$$,
    $$ehead()$$, $$eleave('s', 'c')$$, $$eretry('s')$$, $$eskip('s', 'a')$$, $$event_subscriptions()$$, $$event_consumers()$$, $$event_leases()$$,
    $$event_failures()$$]) WITH ORDINALITY AS c (call, n), outcome(call) GROUP BY outcome ORDER BY 1;
RESET sierra_es.store;
SELECT outcome, array_agg(call ORDER BY n) FROM unnest(ARRAY[
    $$event_subscriptions('nowhere')$$, $$event_consumers('nowhere')$$, $$event_leases('nowhere')$$, $$event_failures('nowhere')$$]) WITH ORDINALITY AS c (call, n), outcome(call) GROUP BY outcome ORDER BY 1;

\pset tuples_only off
\pset format aligned
DROP FUNCTION outcome;
SELECT drop_event_store('es', force => true);
