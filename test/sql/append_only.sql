-- Invariant: event tables are append-only, for everyone
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT stream_version FROM eappend('a', 'x', '{"n": 1}', event_id => '00000000-0000-4000-8000-000000000001', partition_key => 'user-123');

-- the whole error of each statement
UPDATE es.events SET event_name = 'y';
:sqlstate
DELETE FROM es.events;
:sqlstate
TRUNCATE es.events;
:sqlstate
INSERT INTO es.events SELECT * FROM es.events;
:sqlstate
COPY es.events FROM stdin;
\.
:sqlstate

-- Every table of the store, every statement, for the superuser, the owner, and a role to which the
-- owner granted everything; with and without the role of a replica.
CREATE ROLE regress_sierra_owner;
CREATE ROLE regress_sierra_granted;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_owner', current_database()) \gexec
SET ROLE regress_sierra_owner;
SELECT create_event_store('owned', 4);
SET sierra_es.store = owned;
SELECT stream_version FROM eappend('a', 'x', '{"n": 1}', event_id => '00000000-0000-4000-8000-000000000001', partition_key => 'user-123');
RESET sierra_es.store;
GRANT USAGE ON SCHEMA owned TO regress_sierra_granted;
GRANT ALL ON ALL TABLES IN SCHEMA owned TO regress_sierra_granted;
RESET ROLE;

CREATE FUNCTION refused(statement text) RETURNS text
    LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done: ' || statement;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
CREATE FUNCTION attempts() RETURNS TABLE (relation regclass, statement text)
    LANGUAGE sql STABLE AS $$
    SELECT c.oid::regclass, format(s, c.oid::regclass, k.attname)
      FROM pg_class AS c
      JOIN pg_attribute AS k ON k.attrelid = c.oid AND k.attname = CASE c.relname WHEN 'stream_keys' THEN 'stream_id' ELSE 'event_id' END,
           unnest(ARRAY['UPDATE %1$s SET %2$I = %2$I', 'UPDATE %1$s SET %2$I = %2$I WHERE false', 'UPDATE ONLY %1$s SET %2$I = DEFAULT',
                        'DELETE FROM %1$s', 'DELETE FROM ONLY %1$s', 'DELETE FROM %1$s WHERE false',
                        'TRUNCATE %1$s', 'TRUNCATE ONLY %1$s', 'TRUNCATE %1$s RESTART IDENTITY CASCADE',
                        'INSERT INTO %1$s SELECT * FROM %1$s', 'INSERT INTO %1$s SELECT * FROM %1$s WHERE false', 'INSERT INTO %1$s DEFAULT VALUES',
                        'INSERT INTO %1$s SELECT * FROM %1$s ON CONFLICT DO NOTHING',
                        'INSERT INTO %1$s OVERRIDING USER VALUE SELECT * FROM %1$s',
                        'MERGE INTO %1$s AS t USING (SELECT 1 AS one) AS s ON true WHEN MATCHED THEN UPDATE SET %2$I = DEFAULT',
                        'MERGE INTO %1$s AS t USING (SELECT 1 AS one) AS s ON true WHEN MATCHED THEN DELETE',
                        'MERGE INTO %1$s AS t USING (SELECT * FROM %1$s) AS s ON false WHEN NOT MATCHED THEN INSERT (%2$I) VALUES (s.%2$I)',
                        'WITH gone AS (DELETE FROM %1$s RETURNING *) SELECT count(*) FROM gone']) AS s
     WHERE c.relnamespace IN ('es'::regnamespace, 'owned'::regnamespace) AND c.relkind IN ('p', 'r') $$;
-- Statements that PostgreSQL cannot do on such a table at all do not matter here: TRUNCATE ONLY of
-- a partitioned table (42809).  An update that PostgreSQL refuses during planning is refused, too.
CREATE VIEW outcomes AS
SELECT relation::text LIKE 'owned.%' AS owned, refused(statement) AS outcome, count(*) FROM attempts() GROUP BY 1, 2 ORDER BY 1, 2;
GRANT SELECT ON outcomes TO PUBLIC;

SELECT * FROM outcomes;
SET session_replication_role = replica;
SELECT * FROM outcomes;
RESET session_replication_role;
SET ROLE regress_sierra_owner;
SELECT refused(statement) AS outcome, count(*) FROM attempts() WHERE relation::text LIKE 'owned.%' GROUP BY 1 ORDER BY 1;
SET ROLE regress_sierra_granted;
SELECT refused(statement) AS outcome, count(*) FROM attempts() WHERE relation::text LIKE 'owned.%' GROUP BY 1 ORDER BY 1;
RESET ROLE;
-- COPY is a utility statement, but INSERT triggers fire for it.
SET sierra_es.store = es;
COPY es.events_0 FROM stdin;
\.
:sqlstate
COPY es.stream_keys FROM stdin;
\.
:sqlstate
COPY es.event_ids FROM stdin;
\.
:sqlstate
-- a permit that an append used up lets no other statement pass, in the same transaction
ALTER TABLE es.events ADD COLUMN tenant text DEFAULT 'x';
BEGIN;
SELECT stream_version FROM eappend('b', 'x');
INSERT INTO es.events SELECT * FROM es.events;
:sqlstate
ROLLBACK;
-- ... nor one that an error left behind
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER before_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION fail();
BEGIN;
SAVEPOINT s;
SELECT stream_version FROM eappend('b', 'x');
:sqlstate
ROLLBACK TO s;
DROP TRIGGER before_guard ON es.events;
INSERT INTO es.events SELECT * FROM es.events;
:sqlstate
ROLLBACK;
DROP TRIGGER before_guard ON es.events;
DROP FUNCTION fail;
ALTER TABLE es.events DROP COLUMN tenant;

-- Everything is as it was.
SELECT stream_id, stream_version, event_name, payload FROM eall();
SELECT count(*) FROM es.event_ids;
SELECT stream_id FROM es.stream_keys;
SELECT count(*) FROM everify('es');
SELECT count(*) FROM everify('owned');

-- The trigger function does nothing else, whoever calls it.
CREATE TABLE other (id int);
CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION sierra_internal.guard_events();
INSERT INTO other VALUES (1);
:sqlstate
DROP TABLE other;
SELECT sierra_internal.guard_events();
:sqlstate

DROP VIEW outcomes;
DROP FUNCTION attempts, refused;
SELECT drop_event_store('es', force => true);
SELECT drop_event_store('owned', force => true);
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_owner', current_database()) \gexec
DROP ROLE regress_sierra_owner, regress_sierra_granted;
