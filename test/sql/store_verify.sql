-- everify(): nothing on a healthy store, a row for each planted damage
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- With 4 partitions: a is in partition 0, user-123 and order-456 in 1, 'partition key' in 2,
-- €-stream in 3.
CREATE FUNCTION id(n int) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT
    RETURN ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid;
SELECT count(*) FROM everify();
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'a', 'user-123', 'order-456', 'user-123', '€-stream'], array_fill('x'::text, ARRAY[6]),
                              event_ids => (SELECT array_agg(id(n)) FROM generate_series(1, 6) AS n));
SELECT count(*) FROM emappend('partition key', ARRAY['own', 'own'], ARRAY['x', 'x'], event_ids => ARRAY[id(7), id(8)]);
-- an unused position and an unregistered id are not damage: a rollback leaves such holes
BEGIN;
SELECT count(*) FROM eappend('a', 'x');
ROLLBACK;
SELECT count(*) FROM everify();
SELECT count(*) FROM everify('es');
SELECT count(*) FROM everify(NULL);

-- Drops the guards and the unique indexes, so that each damage can be planted.
CREATE PROCEDURE unlock() LANGUAGE plpgsql AS $$
DECLARE
    t regclass;
BEGIN
    FOR t IN SELECT tgrelid FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid
              WHERE relnamespace = 'es'::regnamespace AND tgname = 'sierra_guard' LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER sierra_guard', t);
    END LOOP;
    FOR i IN 0 .. 3 LOOP
        EXECUTE format('ALTER TABLE es.events_%1$s DROP CONSTRAINT events_%1$s_sequence, DROP CONSTRAINT events_%1$s_stream, DROP CONSTRAINT events_%1$s_event_id', i);
        EXECUTE format('ALTER TABLE es.events_%1$s ALTER COLUMN partition_sequence SET NOT NULL', i);
    END LOOP;
END
$$;
CREATE VIEW damage AS
SELECT problem, partition_id, partition_sequence, stream_id, stream_version, right(event_id::text, 3) AS id, detail
  FROM everify() WHERE problem NOT IN ('guard missing', 'table changed');

-- Structure: each guard and each index.
BEGIN;
CALL unlock();
SELECT problem, count(*) FROM everify() GROUP BY 1 ORDER BY 1;
ROLLBACK;
BEGIN;
ALTER TABLE es.event_ids DROP CONSTRAINT event_ids_pkey;
ALTER TABLE es.stream_keys DROP CONSTRAINT stream_keys_pkey;
ALTER TABLE es.events_3 DROP CONSTRAINT events_3_stream;
CREATE UNIQUE INDEX not_all ON es.events_3 (stream_id, stream_version) WHERE stream_version > 0;
CREATE INDEX not_unique ON es.events_3 (stream_id, stream_version);
SELECT problem, detail FROM everify() ORDER BY 2;
ROLLBACK;

-- partition sequence: a gap, a first one that is not 0, a duplicate
BEGIN;
CALL unlock();
DELETE FROM es.events WHERE event_id = id(4);
DELETE FROM es.event_ids WHERE event_id = id(4);
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET partition_sequence = partition_sequence + 5 WHERE partition_id = 3;
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET partition_sequence = 1 WHERE event_id = id(5);
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET partition_sequence = -1 WHERE event_id = id(6);
SELECT * FROM damage;
ROLLBACK;
-- stream version: a gap, a first one that is not 0, a duplicate
BEGIN;
CALL unlock();
UPDATE es.events SET stream_version = 2 WHERE event_id = id(5);
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET stream_version = 1 WHERE event_id = id(6);
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET stream_version = 0 WHERE event_id = id(5);
SELECT * FROM damage;
ROLLBACK;
-- position: not in the order of the partition, twice in one, twice in two, above the sequence
BEGIN;
CALL unlock();
UPDATE es.events SET global_position = CASE event_id WHEN id(3) THEN 3 ELSE 2 END WHERE event_id IN (id(3), id(4));
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET global_position = 0 WHERE event_id = id(2);
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET global_position = 0 WHERE event_id = id(6);
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET global_position = 1000 WHERE event_id = id(6);
SELECT * FROM damage;
ROLLBACK;
-- one stream, one partition: another key in the same partition, another partition
BEGIN;
CALL unlock();
UPDATE es.events SET partition_key = sierra_stream_key('order-456') WHERE event_id = id(5);
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET partition_id = 3, partition_sequence = 1, global_position = 5000, partition_key = sierra_stream_key('€-stream') WHERE event_id = id(5);
UPDATE es.event_ids SET partition_id = 3 WHERE event_id = id(5);
SELECT setval('es.global_position', 5000);
SELECT * FROM damage;
ROLLBACK;
-- routing: a key that leads to another partition
BEGIN;
CALL unlock();
UPDATE es.events SET partition_key = sierra_stream_key('a') WHERE event_id = id(6);
SELECT * FROM damage ORDER BY problem;
ROLLBACK;
-- companions: a key that is not registered, one that nobody uses, one that differs
BEGIN;
CALL unlock();
DELETE FROM es.stream_keys;
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
INSERT INTO es.stream_keys VALUES ('nobody', sierra_stream_key('a'));
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.stream_keys SET partition_key = sierra_stream_key('a');
SELECT * FROM damage ORDER BY detail;
ROLLBACK;
BEGIN;
CALL unlock();
DELETE FROM es.event_ids WHERE event_id = id(6);
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
INSERT INTO es.event_ids VALUES (id(99), 1);
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.event_ids SET partition_id = 2 WHERE event_id = id(6);
SELECT * FROM damage ORDER BY detail;
ROLLBACK;
-- event id twice, in one partition and in two
BEGIN;
CALL unlock();
UPDATE es.events SET event_id = id(1) WHERE event_id = id(2);
DELETE FROM es.event_ids WHERE event_id = id(2);
SELECT * FROM damage;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET event_id = id(6) WHERE event_id = id(2);
DELETE FROM es.event_ids WHERE event_id = id(2);
SELECT * FROM damage;
ROLLBACK;
-- bounds
BEGIN;
CALL unlock();
UPDATE es.events SET event_name = '' WHERE event_id = id(1);
UPDATE es.events SET event_name = repeat('x', 256) WHERE event_id = id(2);
UPDATE es.events SET "timestamp" = 'infinity' WHERE event_id = id(3);
UPDATE es.events SET payload = '{}', payload_bytes = '' WHERE event_id = id(4);
SELECT * FROM damage ORDER BY id;
ROLLBACK;
BEGIN;
CALL unlock();
UPDATE es.events SET event_name = E'a\tb' WHERE event_id = id(1);
UPDATE es.events SET event_name = U&'a\0085' WHERE event_id = id(2);
SELECT problem, partition_id, partition_sequence, id FROM damage ORDER BY id;
ROLLBACK;

-- A row that a damaged index does not show is still seen: the tables count.
BEGIN;
CALL unlock();
UPDATE es.events SET stream_version = 7 WHERE event_id = id(5);
CREATE INDEX hides ON es.events_1 (stream_id, stream_version) WHERE stream_version < 7;
SET LOCAL enable_seqscan = off;
SELECT count(*) FROM damage;
ROLLBACK;

-- All of that was rolled back.
SELECT count(*) FROM everify();

-- It reads more than the events: what a role must have, one right after the other.
CREATE ROLE regress_sierra_verifier;
GRANT USAGE ON SCHEMA es TO regress_sierra_verifier;
SET ROLE regress_sierra_verifier;
SELECT count(*) FROM everify();
:sqlstate
RESET ROLE;
GRANT SELECT ON es.events, es.stream_keys, es.event_ids, es.event_tags TO regress_sierra_verifier;
SET ROLE regress_sierra_verifier;
SELECT count(*) FROM everify();
RESET ROLE;
GRANT SELECT ON es.global_position TO regress_sierra_verifier;
SET ROLE regress_sierra_verifier;
SELECT count(*) FROM everify();
RESET ROLE;
DROP VIEW damage;
DROP PROCEDURE unlock;
SELECT drop_event_store('es', force => true);
DROP FUNCTION id;
DROP ROLE regress_sierra_verifier;
