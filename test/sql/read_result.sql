-- Reads return each value as it is stored: of any length, null, compressed or in the TOAST
-- table, also of rows that were stored before the table had more columns.
CREATE SCHEMA read_result;
SELECT create_event_store('read_result_store', 4);
SET sierra_es.store = read_result_store;

-- A text that does not compress.
CREATE FUNCTION read_result.noise(length int) RETURNS text LANGUAGE sql AS
$$ SELECT left(string_agg(md5(n::text), ''), length) FROM generate_series(1, length / 32 + 1) AS n $$;

SELECT count(*) FROM generate_series(1, 12) AS n,
    LATERAL eappend('result-' || n, 'Made', json_build_object('n', n), '{"by":"test"}');
SELECT count(*) FROM generate_series(1, 12) AS n, LATERAL eappend('result-' || n, 'Bare');
SELECT count(*) FROM generate_series(0, 9) AS n,
    LATERAL eappend('result-' || n, repeat('N', n + 1), payload_bytes => decode(repeat('ff', n), 'hex'));
SELECT count(*) FROM generate_series(1, 32) AS n,
    LATERAL eappend('result-' || n % 7, 'Tagged', CASE WHEN n % 3 > 0 THEN to_json(n) END,
                    tags => (SELECT array_agg(repeat(chr(96 + t), t * n % 255 + 1)) FROM generate_series(1, n % 12 + 1) AS t));
SELECT count(*) FROM generate_series(100, 160) AS n,
    LATERAL eappend(repeat('s', n), repeat('e', 255 - n), to_json(repeat('p', n)), json_build_object('m', repeat('m', n)));
SELECT count(*) FROM unnest('{1000, 3000, 9000, 70000}'::int[]) AS n,
    LATERAL eappend('result-large', 'Compressed', to_json(repeat('x', n)));
SELECT count(*) FROM unnest('{1000, 3000, 9000, 70000}'::int[]) AS n,
    LATERAL eappend('result-large', 'Toasted', to_json(read_result.noise(n)), json_build_object('m', read_result.noise(n)));
SELECT count(*) FROM unnest('{1000, 3000, 9000, 70000}'::int[]) AS n,
    LATERAL eappend('result-large', 'Bytes', payload_bytes => convert_to(read_result.noise(n), 'UTF8'));

-- The same rows by ordinary SQL, in the order of sierra_event.
CREATE VIEW read_result.stored AS
    SELECT global_position, partition_id, partition_sequence, stream_id, stream_version, event_id, event_name,
           "timestamp", partition_key, transaction_id, metadata, payload, payload_bytes, tags
      FROM read_result_store.events;
CREATE FUNCTION read_result.compare() RETURNS TABLE (read text, events bigint, different bigint)
    LANGUAGE sql AS $$
    WITH reads AS (
        SELECT 'eall' AS read, e FROM eall(-1, NULL) AS e
        UNION ALL SELECT 'eall backward', e FROM eall(-1, NULL, backward => true) AS e
        UNION ALL SELECT 'epscan', e FROM generate_series(0, 3) AS p, LATERAL epscan(p) AS e
        UNION ALL SELECT 'eget', e FROM read_result.stored AS s, LATERAL eget(s.event_id) AS e
        UNION ALL SELECT 'escan', e FROM (SELECT DISTINCT s.stream_id FROM read_result.stored AS s) AS s,
            LATERAL escan(s.stream_id) AS e)
    SELECT r.read, count(s.event_id), count(*) FILTER (WHERE s.* IS NULL OR r.e::text <> s::text)
      FROM reads AS r FULL JOIN read_result.stored AS s ON s.event_id = (r.e).event_id
     GROUP BY r.read ORDER BY r.read
$$;
SELECT * FROM read_result.compare();

-- Columns that the owner adds are not returned, with or without a value of their own.
ALTER TABLE read_result_store.events ADD COLUMN note text DEFAULT 'old';
SELECT count(*) FROM eappend('result-noted', 'Noted', '1');
ALTER TABLE read_result_store.events ADD COLUMN other text;
SELECT count(*) FROM eappend('result-noted', 'Noted', payload_bytes => '\x00');
SELECT * FROM read_result.compare();

-- A subscription passes the events on in the same way.
SELECT esub('result', start_from => 'earliest');
SELECT count(*), count(*) FILTER (WHERE e::text <> s::text)
  FROM enext('result', 1000) AS e JOIN read_result.stored AS s USING (event_id);

DROP FUNCTION read_result.compare();
DROP VIEW read_result.stored;
DROP FUNCTION read_result.noise(int);
DROP SCHEMA read_result;
SELECT drop_event_store('read_result_store', force => true);
