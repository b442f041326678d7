-- generated event ids: time-ordered, version 7, with the hash of the partition
\set SHOW_CONTEXT never

-- Parts of an id as RFC 9562 and SierraDB name them.
CREATE FUNCTION id_bits(id uuid) RETURNS bit(128)
    LANGUAGE sql IMMUTABLE STRICT
    RETURN ('x' || replace(id::text, '-', ''))::bit(128);
CREATE FUNCTION id_msecs(id uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT
    RETURN substring(id_bits(id) FROM 1 FOR 48)::bigint;
CREATE FUNCTION id_version(id uuid) RETURNS int
    LANGUAGE sql IMMUTABLE STRICT
    RETURN substring(id_bits(id) FROM 49 FOR 4)::int;
CREATE FUNCTION id_variant(id uuid) RETURNS int
    LANGUAGE sql IMMUTABLE STRICT
    RETURN substring(id_bits(id) FROM 65 FOR 2)::int;
CREATE FUNCTION id_hash(id uuid) RETURNS int
    LANGUAGE sql IMMUTABLE STRICT
    RETURN substring(id_bits(id) FROM 67 FOR 16)::int;
-- the functions above against a known id
SELECT id_msecs(id), id_version(id), id_variant(id), id_hash(id)
  FROM (VALUES ('017f22e2-79b0-7cc3-98c4-dc0c0c07398f'::uuid)) AS v (id);

SELECT create_event_store();
CREATE TABLE given AS
SELECT n, r.*, extract(epoch FROM clock_timestamp()) * 1000 AS later
  FROM generate_series(1, 200) AS n,
       LATERAL eappend('stream-' || n % 20, 'Tested') AS r;

SELECT DISTINCT id_version(event_id), id_variant(event_id), id_version(transaction_id), id_variant(transaction_id)
  FROM given;
SELECT count(*) FILTER (WHERE id_hash(event_id) = id_hash(partition_key)) AS hash_of_key,
       count(*) FILTER (WHERE id_hash(transaction_id) = id_hash(partition_key)) AS hash_of_key_too,
       count(*) FILTER (WHERE sierra_partition_id(event_id, 32) = partition_id) AS leads_to_partition,
       count(DISTINCT event_id) AS distinct_ids,
       count(DISTINCT transaction_id) AS distinct_transactions
  FROM given;
-- The time in the id is that of the append, to the millisecond.
SELECT count(*) FROM given
 WHERE id_msecs(event_id) <> floor(extract(epoch FROM "timestamp") * 1000)
    OR later - id_msecs(event_id) NOT BETWEEN 0 AND 60000;
-- The times of ids never decrease, in the order of the appends.
SELECT count(*) FROM (SELECT id_msecs(event_id) - lag(id_msecs(event_id)) OVER (ORDER BY n) AS step FROM given) AS s
 WHERE step < 0;
-- 12 and 46 bits are random: no two appends in a row share them, and every bit takes both values.
SELECT count(DISTINCT substring(id_bits(event_id) FROM 83)) > 190 AS low_bits_vary,
       bit_or(substring(id_bits(event_id) FROM 83)) = ~bit_and(substring(id_bits(event_id) FROM 83)) AS each_low_bit,
       bit_or(substring(id_bits(event_id) FROM 53 FOR 12)) = ~bit_and(substring(id_bits(event_id) FROM 53 FOR 12)) AS each_high_bit
  FROM given;

-- One call: one transaction id, one time, an id for each event with the hash of its own stream.
CREATE TABLE batch AS
SELECT * FROM emappend(NULL, (SELECT array_agg('stream-' || n % 20) FROM generate_series(1, 1000) AS n),
                       array_fill('Tested'::text, ARRAY[1000]));
SELECT count(DISTINCT event_id) AS ids, count(DISTINCT transaction_id) AS transactions,
       count(DISTINCT "timestamp") AS times,
       count(*) FILTER (WHERE id_hash(event_id) = id_hash(partition_key)) AS hash_of_key
  FROM batch;

-- sierra_event_id() makes such ids ahead of the append.
SELECT id_version(id), id_variant(id), id_hash(id), id_hash('7e124fe8-fe28-5398-bb95-53973100148f')
  FROM sierra_event_id('7e124fe8-fe28-5398-bb95-53973100148f') AS id;
SELECT count(DISTINCT sierra_event_id('7e124fe8-fe28-5398-bb95-53973100148f'))
  FROM generate_series(1, 1000);

DROP TABLE given, batch;
SELECT drop_event_store('es', force => true);
DROP FUNCTION id_msecs, id_version, id_variant, id_hash, id_bits;
