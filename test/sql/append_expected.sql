-- expected versions: each against an empty stream, its own version and another
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);

-- What an append under each expectation leads to, rolled back each time.
CREATE FUNCTION try(stream text, expected expected_version) RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    version bigint;
    detail text;
BEGIN
    SELECT r.stream_version INTO version FROM eappend(stream, 'Tried', expected_version => expected) AS r;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'P0042';
EXCEPTION
    WHEN SQLSTATE 'P0042' THEN
        RETURN 'version ' || version;
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        RETURN SQLSTATE || ': ' || detail;
END
$$;
SELECT stream_version FROM eappend('one', 'Created', expected_version => 'empty');
SELECT stream_version FROM emappend(NULL, ARRAY['three', 'three', 'three'], ARRAY['x', 'x', 'x']);
SELECT stream, expected, try(stream, expected::expected_version)
  FROM unnest(ARRAY['none', 'one', 'three']) WITH ORDINALITY AS s (stream, i),
       unnest(ARRAY['any', 'exists', 'empty', '0', '1', '2', '3', '9223372036854775807']) WITH ORDINALITY AS e (expected, j)
 ORDER BY i, j;

-- the whole error, as a client gets it
SELECT eappend('one', 'x', expected_version => 5);
:sqlstate
SELECT eappend('none', 'x', expected_version => 0);
:sqlstate
SELECT eappend('one', 'x', expected_version => 'empty');
:sqlstate
SELECT eappend('none', 'x', expected_version => 'exists');
:sqlstate

-- All integer types and text are accepted as arguments.
SELECT stream_version FROM eappend('typed', 'x', expected_version => 'empty');
SELECT stream_version FROM eappend('typed', 'x', expected_version => 0::smallint);
SELECT stream_version FROM eappend('typed', 'x', expected_version => 1::int);
SELECT stream_version FROM eappend('typed', 'x', expected_version => 2::bigint);
SELECT stream_version FROM eappend('typed', 'x', expected_version => '3');
SELECT stream_version FROM eappend('typed', 'x', expected_version => esver('typed'));
SELECT eappend('typed', 'x', expected_version => -1);
:sqlstate

-- gapless: a loser uses up no number, neither in the stream nor in the partition
SELECT epseq(sierra_partition_id(sierra_stream_key('one'), 4)) AS before \gset
SELECT eappend('one', 'x', expected_version => 7);
:sqlstate
SELECT stream_version, partition_sequence - :before AS step, global_position
  FROM eappend('one', 'x', expected_version => 0);
SELECT stream_version, global_position FROM eappend('one', 'x', expected_version => 1);

-- Within a call each expectation is about the stream as the events before it left it.
SELECT stream_id, stream_version
  FROM emappend(NULL, ARRAY['b1', 'b2', 'b1', 'b2', 'b1'], array_fill('x'::text, ARRAY[5]),
                expected_versions => ARRAY['empty', 'empty', '0', 'exists', '1']::expected_version[]);
SELECT stream_id, stream_version
  FROM emappend(NULL, ARRAY['b1', 'b1'], ARRAY['x', 'x'], expected_versions => ARRAY[2, 2]::expected_version[]);
:sqlstate
SELECT stream_id, stream_version
  FROM emappend(NULL, ARRAY['b3', 'b3'], ARRAY['x', 'x'], expected_versions => ARRAY['empty', 'empty']::expected_version[]);
:sqlstate
-- All or none: if the last one fails, the first one is not stored either.
SELECT stream_id, stream_version
  FROM emappend(NULL, ARRAY['b4', 'b5', 'b1'], ARRAY['x', 'x', 'x'], expected_versions => ARRAY['empty', 'any', '7']::expected_version[]);
:sqlstate
SELECT esver('b1') AS b1, esver('b3') AS b3, esver('b4') AS b4, esver('b5') AS b5;
-- an append without an expectation says any: a null among them is refused, in each form
SELECT stream_id, stream_version
  FROM emappend(NULL, ARRAY['b1', 'b1'], ARRAY['x', 'x'], expected_versions => ARRAY['any', '3']::expected_version[]);
SELECT emappend(NULL, ARRAY['b1', 'b1'], ARRAY['x', 'x'], expected_versions => ARRAY[NULL, 5]::expected_version[]);
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "b1", "event_name": "x", "expected_version": null}]');
:sqlstate
SELECT eappend('b1', 'x', expected_version => esver('none'));
:sqlstate
SELECT esver('b1');

-- Own uncommitted events count, events that were rolled back do not.
BEGIN;
SELECT stream_version FROM eappend('tx', 'x', expected_version => 'empty');
SAVEPOINT s;
SELECT stream_version FROM eappend('tx', 'x', expected_version => 0);
ROLLBACK TO s;
SELECT stream_version FROM eappend('tx', 'x', expected_version => 0);
SELECT stream_version FROM eappend('tx', 'x', expected_version => 'exists');
COMMIT;
SELECT esver('tx');

-- strict_versioning refuses a caller that does not say a version
SET sierra_es.strict_versioning = on;
SELECT stream, expected, try(stream, expected::expected_version)
  FROM unnest(ARRAY['none', 'one']) WITH ORDINALITY AS s (stream, i),
       unnest(ARRAY['any', 'exists', 'empty', '2']) WITH ORDINALITY AS e (expected, j)
 ORDER BY i, j;
SELECT eappend('one', 'x');
:sqlstate
SELECT eappend('one', 'x', expected_version => 'exists');
:sqlstate
-- In a batch the first event of each stream has to say it; the others follow from it.
SELECT stream_id, stream_version
  FROM emappend(NULL, ARRAY['s1', 's1'], ARRAY['x', 'x'], expected_versions => ARRAY['empty', 'any']::expected_version[]);
SELECT stream_id, stream_version
  FROM emappend(NULL, ARRAY['s1', 's1', 's2'], ARRAY['x', 'x', 'x'], expected_versions => ARRAY['1', 'any', 'any']::expected_version[]);
:sqlstate
SELECT stream_id, stream_version FROM emappend(NULL, '[{"stream_id": "s1", "event_name": "x"}]');
:sqlstate
SELECT stream_id, stream_version FROM emappend(NULL, '[{"stream_id": "s1", "event_name": "x", "expected_version": 1}]');
RESET sierra_es.strict_versioning;

SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION try;
