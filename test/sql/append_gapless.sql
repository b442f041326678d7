-- Invariant: numbers have no gaps and no duplicates, whatever rolls back.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT stream_version, partition_sequence FROM eappend('a', 'kept');

-- a transaction that rolls back
BEGIN;
SELECT stream_version, partition_sequence FROM eappend('a', 'lost');
SELECT count(*) FROM emappend(NULL, array_fill('a'::text, ARRAY[300]), array_fill('lost'::text, ARRAY[300]));
ROLLBACK;
SELECT stream_version, partition_sequence FROM eappend('a', 'kept');

-- a savepoint, one inside another, and one that is released
BEGIN;
SELECT stream_version, partition_sequence FROM eappend('a', 'kept');
SAVEPOINT outside;
SELECT stream_version, partition_sequence FROM eappend('a', 'lost');
SAVEPOINT inside;
SELECT stream_version, partition_sequence FROM eappend('a', 'lost');
ROLLBACK TO inside;
SELECT stream_version, partition_sequence FROM eappend('a', 'lost');
ROLLBACK TO outside;
SELECT stream_version, partition_sequence FROM eappend('a', 'kept');
SAVEPOINT released;
SELECT stream_version, partition_sequence FROM eappend('a', 'kept');
RELEASE released;
SELECT stream_version, partition_sequence FROM eappend('a', 'kept');
COMMIT;

-- an error after the append, in the same statement, caught and not
SELECT r.stream_version / 0 FROM eappend('a', 'lost') AS r;
:sqlstate
DO $$
BEGIN
    PERFORM FROM eappend('a', 'lost');
    RAISE 'too late';
EXCEPTION WHEN raise_exception THEN
    PERFORM FROM eappend('a', 'kept');
END
$$;
-- an error in the middle of a batch, after rows were written
ALTER TABLE es.events ADD CONSTRAINT small CHECK (length(payload::text) < 10);
\set VERBOSITY sqlstate
SELECT emappend(NULL, array_fill('a'::text, ARRAY[600]), array_fill('lost'::text, ARRAY[600]),
                (SELECT array_agg(to_json(repeat('x', CASE n WHEN 599 THEN 20 ELSE 1 END))) FROM generate_series(1, 600) AS n));
\set VERBOSITY default
ALTER TABLE es.events DROP CONSTRAINT small;
SELECT stream_version, partition_sequence FROM eappend('a', 'kept');

-- a prepared transaction, rolled back and committed
BEGIN;
SELECT stream_version, partition_sequence FROM eappend('a', 'lost');
PREPARE TRANSACTION 'sierra lost';
ROLLBACK PREPARED 'sierra lost';
BEGIN;
SELECT stream_version, partition_sequence FROM eappend('a', 'kept');
PREPARE TRANSACTION 'sierra kept';
COMMIT PREPARED 'sierra kept';
SELECT stream_version, partition_sequence FROM eappend('a', 'kept');

-- procedures that commit on their way
CREATE PROCEDURE append_and_commit() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 4 LOOP
        PERFORM FROM eappend('a', CASE i % 2 WHEN 0 THEN 'kept' ELSE 'lost' END);
        IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
    END LOOP;
END
$$;
CALL append_and_commit();
DROP PROCEDURE append_and_commit;

-- Two streams of one partition: the partition is gapless, and each stream is.
SELECT partition_id, partition_sequence, stream_id, stream_version
  FROM emappend(NULL, ARRAY['user-123', 'order-456', 'user-123', 'order-456'], array_fill('kept'::text, ARRAY[4]));

SELECT stream_version, partition_sequence, event_name FROM escan('a');
-- If the sequence of positions is set back, the next append to a partition takes positions above its events.
SELECT max(global_position) AS newest FROM eall() \gset
SELECT setval('es.global_position', 0);
SELECT bool_and(global_position > :newest) AS above FROM eappend_each(ARRAY['a', 'a'], ARRAY['after', 'after']);
-- Positions may skip numbers: an append that rolled back used them up.  They never decrease.
SELECT count(*) AS falling
  FROM (SELECT global_position - lag(global_position) OVER (PARTITION BY partition_id ORDER BY partition_sequence) AS step FROM es.events) AS s
 WHERE step <= 0;
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
