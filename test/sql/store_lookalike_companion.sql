-- A schema whose companion tables have other columns than a store's is not a store either, because
-- everify() reads them too.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 1);
CREATE ROLE regress_sierra_trapper;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_trapper', current_database()) \gexec
GRANT USAGE ON SCHEMA es TO regress_sierra_trapper;
GRANT SELECT ON es.events TO regress_sierra_trapper;
SET ROLE regress_sierra_trapper;
CREATE SCHEMA trap;
-- Comparing such a key with a uuid runs the attacker's function.
CREATE TYPE trap.key AS (k uuid);
CREATE FUNCTION trap.to_uuid(trap.key) RETURNS uuid LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'the code of the trapper runs';
    RETURN $1.k;
END
$$;
CREATE CAST (trap.key AS uuid) WITH FUNCTION trap.to_uuid AS IMPLICIT;
CREATE TABLE trap.events (LIKE es.events) PARTITION BY LIST (partition_id);
CREATE TABLE trap.events_0 PARTITION OF trap.events FOR VALUES IN (0);
CREATE TABLE trap.stream_keys (stream_id text COLLATE "C" PRIMARY KEY, partition_key trap.key NOT NULL);
CREATE TABLE trap.event_ids (event_id uuid PRIMARY KEY, partition_id integer NOT NULL);
CREATE SEQUENCE trap.global_position MINVALUE 0;
INSERT INTO trap.events SELECT 0, 0, 0, now(), k, k, k, 0, 'a', 'x' FROM gen_random_uuid() AS k;
INSERT INTO trap.stream_keys VALUES ('a', ROW (gen_random_uuid()));
RESET ROLE;

SELECT store FROM event_stores();
\set VERBOSITY terse
SELECT everify('trap');
:sqlstate
SELECT event_partitions('trap');
:sqlstate
SET sierra_es.store = trap;
SELECT esver('a');
:sqlstate
SELECT eappend('a', 'x');
:sqlstate
RESET sierra_es.store;

SET client_min_messages = warning;
DROP SCHEMA trap CASCADE;
RESET client_min_messages;
SELECT drop_event_store('es');
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_trapper', current_database()) \gexec
DROP ROLE regress_sierra_trapper;
