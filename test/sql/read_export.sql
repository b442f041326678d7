-- export_events(): a line of JSON for each event, byte for byte; event_hashes(): what is equal, and what differs
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\pset format unaligned
\pset tuples_only
SELECT create_event_store('es', 4);
CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$
DECLARE
    at constant timestamptz := '2026-01-02 03:04:05.678901+00';
BEGIN
    PERFORM eappend('plain', 'Happened', '{"a": 1.0, "a": 1e400, "ü": "\u0001\\"}', '{"by":"me"}', event_id => '00000000-0000-4000-8000-000000000001', "timestamp" => at, tags => ARRAY['course:1', 'a "quoted" \tag']);
    PERFORM eappend('plain', 'Happened', E'{\n\t"pretty": [1,\r\n 2]\n}', E'{"a":\n1}', event_id => '00000000-0000-4000-8000-000000000002', "timestamp" => at);
    PERFORM eappend('bytes "in" \quotes', 'Bytes', payload_bytes => '\x00ff0a', event_id => '00000000-0000-4000-8000-000000000003', "timestamp" => '4000-01-01 00:00:00+00 BC');
    PERFORM eappend('user-123', 'Null', 'null', event_id => '00000000-0000-4000-8000-000000000004', "timestamp" => at);
    PERFORM eappend('user-123', 'Nothing', event_id => '00000000-0000-4000-8000-000000000005', "timestamp" => at);
    PERFORM eappend('own', 'White', ' [1] ', event_id => '00000000-0000-4000-8000-000000000006', "timestamp" => at, partition_key => 'partition key');
    PERFORM eappend('own', 'Tabs', E'[1,\t2]', event_id => '00000000-0000-4000-8000-000000000007', "timestamp" => at);
    PERFORM eappend('own', 'Number', '7', event_id => '00000000-0000-4000-8000-000000000008', "timestamp" => at);
    PERFORM eappend('own', 'Empty bytes', payload_bytes => '', event_id => '00000000-0000-4000-8000-000000000009', "timestamp" => '294276-12-31 23:59:59.999999+00');
END $$;
SET bytea_output = hex;
CALL fill();
SELECT export_events(numbers => false);
-- with numbers
SELECT regexp_replace(export_events('es', 3, 4), '"transaction_id":"[0-9a-f-]{36}"', '"transaction_id":"..."');
-- All of it is there: the texts are cut out again byte for byte.
SELECT e.global_position
  FROM (SELECT l::json AS line FROM export_events() AS l) AS l JOIN es.events AS e ON e.event_id = (l.line ->> 'event_id')::uuid
 WHERE (e.global_position, e.partition_id, e.partition_sequence, e.stream_id, e.stream_version, e.event_name, e."timestamp", e.partition_key, e.transaction_id, e.payload::text, e.metadata::text, e.payload_bytes, e.tags)
       IS DISTINCT FROM
       ((line ->> 'global_position')::bigint, (line ->> 'partition_id')::int, (line ->> 'partition_sequence')::bigint, line ->> 'stream_id', (line ->> 'stream_version')::bigint, line ->> 'event_name', (line ->> 'timestamp')::timestamptz,
        (line ->> 'partition_key')::uuid, (line ->> 'transaction_id')::uuid, coalesce(line ->> 'payload_text', (line -> 'payload')::text), coalesce(line ->> 'metadata_text', (line -> 'metadata')::text), decode(line ->> 'payload_bytes', 'base64'),
        (SELECT array_agg(t ORDER BY n) FROM json_array_elements_text(line -> 'tags') WITH ORDINALITY AS x (t, n)));
SELECT count(*), bool_or(l ~ '[\n\r]') AS breaks FROM export_events() AS l;

-- from and to
SELECT count(*) FROM export_events(after_position => 8);
SELECT count(*) FROM export_events(to_position => -1);
SELECT count(*) FROM export_events(to_position => 3);
SELECT count(*) FROM export_events(after_position => 2, to_position => 1000);
SELECT export_events(after_position => -2);
:sqlstate
SELECT export_events(to_position => -2);
:sqlstate
SELECT export_events(after_position => NULL);
:sqlstate
SELECT export_events(numbers => NULL);
:sqlstate
SELECT export_events('none');
:sqlstate

-- Many and large events come in portions; none is missing at their ends.
SELECT create_event_store('many', 8);
SET sierra_es.store = 'many';
SELECT count(*) FROM emappend(NULL, ARRAY(SELECT 'stream-' || i % 50 FROM generate_series(1, 4500) AS i), array_fill('Happened'::text, ARRAY[4500]));
SELECT count(*) FROM emappend(NULL, array_fill('large'::text, ARRAY[5]), array_fill('Happened'::text, ARRAY[5]), array_fill(to_json(repeat('x', 600000)), ARRAY[5]));
SELECT count(*), count(*) FILTER (WHERE position = place - 1) AS in_place
  FROM (SELECT (regexp_match(l, '^\{"global_position":(\d+),'))[1]::bigint AS position, row_number() OVER () AS place FROM export_events() AS l) AS l;
SELECT count(*) FROM (SELECT export_events() LIMIT 1500) AS l;
-- two at the same time
SELECT count(*) FROM (SELECT export_events('es') AS a, export_events('many') AS b) AS l;

-- Hashes: those of the lines, whatever the partitions and the order of streams.
SELECT sum(events), count(*) FROM event_hashes('many', 16);
SELECT range, events, hash FROM event_hashes('es', 3);
CREATE VIEW lines AS
SELECT (get_byte(stream, 0) * 256 + get_byte(stream, 1)) % 3 AS range, ('x' || encode(substring(line FOR 8), 'hex'))::bit(64)::bigint::numeric AS start
  FROM (SELECT sha256(convert_to(l::json ->> 'stream_id', 'UTF8')) AS stream, sha256(convert_to(l, 'UTF8')) AS line FROM export_events('es', numbers => false) AS l) AS l;
-- modulo 2^64, as a bigint
SELECT range, r.events = l.events AS same_count, r.hash = lpad(to_hex((mod(mod(l.sum + 9223372036854775808, 18446744073709551616) + 18446744073709551616, 18446744073709551616) - 9223372036854775808)::bigint), 16, '0') AS same_hash
  FROM event_hashes('es', 3) AS r JOIN (SELECT range, count(*) AS events, sum(start) AS sum FROM lines GROUP BY 1) AS l USING (range) ORDER BY 1;
SELECT create_event_store('same', 1);
SET sierra_es.store = 'same';
SELECT range, events, hash FROM event_hashes(ranges => 2);
CALL fill();
SELECT (SELECT array_agg(h::text) FROM event_hashes('same', 64) AS h) = (SELECT array_agg(h::text) FROM event_hashes('es', 64) AS h) AS same;
SELECT (SELECT hash FROM event_hashes('same', to_position => 7)) = (SELECT hash FROM event_hashes('es', to_position => 7)) AS same;
SELECT (SELECT hash FROM event_hashes('same', to_position => 7)) = (SELECT hash FROM event_hashes('es', to_position => 8)) AS same;
SELECT stream_version FROM eappend('own', 'More');
SELECT a.range FROM event_hashes('same', 8) AS a JOIN event_hashes('es', 8) AS b USING (range) WHERE (a.events, a.hash) <> (b.events, b.hash);
SELECT event_hashes(ranges => 0);
:sqlstate
SELECT event_hashes(ranges => 4097);
:sqlstate
SELECT event_hashes(ranges => NULL);
:sqlstate
RESET sierra_es.store;

-- rights and policies
CREATE ROLE regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT export_events();
:sqlstate
RESET ROLE;
GRANT USAGE ON SCHEMA es TO regress_sierra_reader;
SET ROLE regress_sierra_reader;
SELECT event_hashes();
:sqlstate
RESET ROLE;
GRANT SELECT ON es.events TO regress_sierra_reader;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY plain_only ON es.events USING (stream_id = 'plain');
SET ROLE regress_sierra_reader;
SELECT l::json ->> 'stream_version' FROM export_events() AS l;
SELECT events FROM event_hashes();
RESET ROLE;
DROP VIEW lines;
SELECT drop_event_store('es', force => true);
SELECT drop_event_store('many', force => true);
SELECT drop_event_store('same', force => true);
DROP PROCEDURE fill;
DROP ROLE regress_sierra_reader;
