-- a consumer's rights: SELECT on events, and on the tables of subscriptions the rights for what it
-- does with them
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'e', 'd', 'f', 'a', 'e', 'd', 'f'], array_fill('x'::text, ARRAY[8]));
CREATE ROLE regress_sierra_consumer;
GRANT USAGE ON SCHEMA es TO regress_sierra_consumer;
GRANT SELECT ON es.events TO regress_sierra_consumer;
GRANT SELECT, INSERT, UPDATE, DELETE ON es.subscriptions, es.subscription_cursors, es.subscription_consumers, es.subscription_streams
   TO regress_sierra_consumer;

-- With these rights everything can be done.
CREATE TABLE calls (n int, statement text);
INSERT INTO calls VALUES
    (1, $$SELECT esub('mine', ARRAY['*'], start_versions => '{"a": 0}')$$), (2, $$SELECT epsub('mine too', ARRAY[0])$$),
    (3, $$SELECT count(*) FROM enext('alone')$$), (4, $$SELECT eack('alone', 1)$$),
    (5, $$SELECT enack('alone', 4, reason => 'why')$$), (6, $$SELECT count(*) FROM enext('failing')$$),
    (7, $$SELECT eack('failing', 0)$$), (8, $$SELECT eretry('failing')$$), (9, $$SELECT eskip('failing', 'a')$$),
    (10, $$SELECT count(*) FROM enext('group', consumer => 'one')$$), (11, $$SELECT count(*) FROM enext('group', consumer => 'two')$$),
    (12, $$SELECT eack('group', 0, 'one')$$), (13, $$SELECT eleave('group', 'one')$$),
    (14, $$SELECT count(*) FROM epeek('alone')$$), (15, $$SELECT ewait('alone', 0, '0')$$), (16, $$SELECT ewait(NULL, 0, '0')$$),
    (17, $$SELECT ehead()$$), (18, $$SELECT count(*) FROM event_subscriptions()$$), (19, $$SELECT count(*) FROM event_consumers()$$),
    (20, $$SELECT count(*) FROM event_leases()$$), (21, $$SELECT count(*) FROM event_failures()$$), (22, $$SELECT eunsub('alone')$$),
    (24, $$SELECT count(*) FROM enext('alone', consumer => 'first')$$), (25, $$SELECT eack('failing', 1)$$);
GRANT SELECT ON calls TO PUBLIC;
SELECT esub('alone', start_from => 'earliest'), esub('failing', start_from => 'earliest'), esub('group', start_from => 'earliest');
SELECT enack('failing', 0, '0');
SELECT count(*) FROM enext('failing') UNION ALL SELECT count(*) FROM enext('group', 1, consumer => 'one');
-- Each call is rolled back.
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    EXECUTE statement INTO result;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'P0042';
EXCEPTION
    WHEN SQLSTATE 'P0042' THEN RETURN coalesce(result, 'null');
    WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SET ROLE regress_sierra_consumer;
SELECT n, outcome(statement) FROM calls ORDER BY n;
-- ... but only what a consumer does
SELECT outcome($$SELECT eappend('a', 'x')$$);
SELECT outcome($$DELETE FROM es.events$$);
SELECT outcome($$SELECT drop_event_store('es', true)$$);
RESET ROLE;

-- Without each of them: the error says which table.
CREATE FUNCTION refused() RETURNS TABLE (refused text, calls int[]) LANGUAGE sql AS $$
    SELECT o, array_agg(n ORDER BY n) FROM calls, LATERAL outcome(statement) AS o WHERE o LIKE '_____ %' GROUP BY o ORDER BY o $$;
CREATE VIEW lacking AS
SELECT format('REVOKE %s ON es.%s FROM regress_sierra_consumer', p, t) AS revoke, format('GRANT %s ON es.%s TO regress_sierra_consumer', p, t) AS give, p, t
  FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p, unnest(ARRAY['subscriptions', 'subscription_cursors', 'subscription_consumers', 'subscription_streams']) AS t
UNION ALL VALUES ('REVOKE SELECT ON es.events FROM regress_sierra_consumer', 'GRANT SELECT ON es.events TO regress_sierra_consumer', 'SELECT', 'events'),
                 ('REVOKE USAGE ON SCHEMA es FROM regress_sierra_consumer', 'GRANT USAGE ON SCHEMA es TO regress_sierra_consumer', 'USAGE', 'schema');
CREATE TABLE results (privilege text, relation text, refused text, calls int[]);
GRANT SELECT, INSERT ON results TO regress_sierra_consumer;
DO $$
DECLARE l record;
BEGIN
    FOR l IN SELECT * FROM lacking LOOP
        EXECUTE l.revoke;
        SET LOCAL ROLE regress_sierra_consumer;
        INSERT INTO results SELECT l.p, l.t, r.refused, r.calls FROM refused() AS r;
        RESET ROLE;
        EXECUTE l.give;
    END LOOP;
END
$$;
SELECT relation, privilege, refused, calls FROM results ORDER BY 1, 2, 3;
-- A role that may only read can read: SELECT is enough for calls that change nothing.
REVOKE INSERT, UPDATE, DELETE ON es.subscriptions, es.subscription_cursors, es.subscription_consumers, es.subscription_streams FROM regress_sierra_consumer;
SET ROLE regress_sierra_consumer;
SELECT n, outcome(statement) FROM calls WHERE n BETWEEN 14 AND 21 ORDER BY n;
RESET ROLE;
-- Other roles can do nothing.
CREATE ROLE regress_sierra_stranger;
GRANT USAGE ON SCHEMA es TO regress_sierra_stranger;
SET ROLE regress_sierra_stranger;
SELECT * FROM refused();
RESET ROLE;

DROP VIEW lacking;
DROP FUNCTION outcome, refused;
DROP TABLE calls, results;
SELECT drop_event_store('es', force => true);
DROP ROLE regress_sierra_consumer, regress_sierra_stranger;
