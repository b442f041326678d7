-- A schema whose tables have the names of a store's, but other columns, is not a store, and none of
-- its code is run.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 2);
SELECT count(*) FROM eappend('a', 'x');
CREATE ROLE regress_sierra_trapper;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_trapper', current_database()) \gexec
GRANT USAGE ON SCHEMA es TO regress_sierra_trapper;
GRANT SELECT ON es.events TO regress_sierra_trapper;
SET ROLE regress_sierra_trapper;
CREATE SCHEMA trap;
CREATE TABLE trap.sprung (how text);
-- A type made by an attacker: sorting, comparing or printing a value runs the attacker's function.
CREATE TYPE trap.number AS (n bigint);
CREATE FUNCTION trap.to_bigint(trap.number) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trap.sprung VALUES (current_user);
    RETURN $1.n;
END
$$;
CREATE CAST (trap.number AS bigint) WITH FUNCTION trap.to_bigint AS IMPLICIT;
CREATE TABLE trap.events (
    partition_sequence trap.number, stream_version bigint, global_position trap.number, "timestamp" timestamptz,
    event_id uuid, partition_key uuid, transaction_id uuid, partition_id integer, stream_id text COLLATE "C", event_name text COLLATE "C",
    metadata json, payload json, payload_bytes bytea) PARTITION BY LIST (partition_id);
CREATE TABLE trap.events_0 PARTITION OF trap.events FOR VALUES IN (0);
INSERT INTO trap.events (partition_sequence, global_position, partition_id) VALUES (ROW (0), ROW (0), 0);
CREATE TABLE trap.stream_keys (stream_id text COLLATE "C" PRIMARY KEY, partition_key uuid NOT NULL);
CREATE TABLE trap.event_ids (event_id uuid PRIMARY KEY, partition_id integer NOT NULL);
CREATE SEQUENCE trap.global_position MINVALUE 0;
GRANT USAGE ON SCHEMA trap TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA trap TO PUBLIC;
RESET ROLE;

SELECT store FROM event_stores();
SELECT everify('trap');
:sqlstate
SELECT event_partitions('trap');
:sqlstate
SELECT guard_event_store('trap');
:sqlstate
SELECT drop_event_store('trap', force => true);
:sqlstate
SET sierra_es.store = trap;
SELECT eappend('a', 'x');
:sqlstate
SELECT esver('a');
:sqlstate
SELECT eall();
:sqlstate
SELECT everify();
:sqlstate
RESET sierra_es.store;
SELECT * FROM trap.sprung;
-- A partition that is not a table does not make a store either.
DROP TABLE trap.events;
SET ROLE regress_sierra_trapper;
CREATE TABLE trap.events (LIKE es.events) PARTITION BY LIST (partition_id);
CREATE TABLE trap.events_0 PARTITION OF trap.events FOR VALUES IN (0) PARTITION BY LIST (partition_id);
RESET ROLE;
SELECT store FROM event_stores();
SELECT everify('trap');
:sqlstate
SET client_min_messages = warning;
DROP SCHEMA trap CASCADE;
RESET client_min_messages;
SELECT drop_event_store('es', force => true);
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_trapper', current_database()) \gexec
DROP ROLE regress_sierra_trapper;
