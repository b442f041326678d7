-- Routing is SierraDB's own, bit for bit.  The vectors were made with another
-- implementation of UUID version 5, so that both must be right.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'

CREATE TABLE vectors (stream_id text, key uuid, hash int, of_32 int, of_1024 int);
INSERT INTO vectors VALUES
    ('user-123', '7e124fe8-fe28-5398-bb95-53973100148f', 61013, 21, 597),
    ('order-456', '6b01eb4e-d05c-5fba-862d-4be632820026', 6325, 21, 181),
    ('a', 'a2e73803-4dc3-5882-8717-336918b4aa0b', 7260, 28, 92),
    ('partition key', 'aa92a0eb-c67e-5bd6-91da-823e2ed2056c', 18282, 10, 874),
    ('€-stream', 'b0ae1570-e266-5888-ace4-cf50a3cccfd5', 45971, 19, 915),
    (' ', 'a43bf634-8d82-5118-9648-a92da1c58a09', 22818, 2, 290),
    ('A', 'd2d919e2-62c3-56fb-8ae8-d5441a176553', 11171, 3, 931),
    ('日本語', '86d7eb2c-0080-5b6c-80ec-3ff237c2ce55', 944, 16, 944),
    ('🎉 party', '5be0b2bc-01e9-5c49-a6fe-3f02cf1e2333', 39928, 24, 1016),
    (repeat('x', 255), 'e0ffcf25-c8f8-5f5c-a5a4-55706335e44b', 38545, 17, 657),
    ('o''brien', '233fd51f-ddaa-5e68-8bd1-0449b6206414', 12100, 4, 836),
    ('{not a uuid}', 'a15f781e-05d4-5c94-b43f-eed8dc6fea50', 53503, 31, 255),
    ('urn:uuid:nothing', '39379672-5a81-51b7-bd06-b249ec2885ed', 62490, 26, 26);

SELECT left(stream_id, 16) AS stream_id,
       sierra_stream_key(stream_id) = key AS stream_key,
       sierra_partition_key(stream_id) = key AS partition_key,
       sierra_partition_id(key, 32) = of_32 AS partition_of_32,
       sierra_partition_id(key, 1024) = of_1024 AS partition_of_1024,
       sierra_partition_id(key, 7) = hash % 7 AS partition_of_7,
       sierra_partition_id(key, 1) = 0 AS partition_of_1
  FROM vectors;

-- hash = bits 61..46: the variant bits above and the low 46 bits do not count
SELECT key, sierra_partition_id(key, 1024) = hash % 1024 AS ok_1024,
       sierra_partition_id(key, 1000) = hash % 1000 AS ok_1000
  FROM (VALUES ('00000000-0000-0000-0000-000000000000'::uuid, 0),
               ('ffffffff-ffff-ffff-ffff-ffffffffffff', 65535),
               ('00000000-0000-0000-8000-400000000000', 1),
               ('00000000-0000-0000-bfff-c00000000000', 65535),
               ('12345678-9abc-def0-1234-56789abcdef0', 18641),
               ('00000000-0000-0000-4000-3fffffffffff', 0)) AS v (key, hash);

-- A text that is the spelling of a UUID is that UUID, in every spelling; any other text is hashed.
SELECT spelled, sierra_partition_key(spelled)
  FROM unnest(ARRAY['7e124fe8-fe28-5398-bb95-53973100148f',
                    '7E124FE8-FE28-5398-BB95-53973100148F',
                    '7e124fe8fe285398bb9553973100148f',
                    '{7e124fe8-fe28-5398-bb95-53973100148f}',
                    '{7e124fe8fe285398bb9553973100148f}',
                    'urn:uuid:7e124fe8-fe28-5398-bb95-53973100148f',
                    'URN:UUID:7e124fe8-fe28-5398-bb95-53973100148f',
                    'user-123']) AS spelled;
SELECT spelled, sierra_partition_key(spelled) = sierra_stream_key(spelled) AS hashed
  FROM unnest(ARRAY['7e124fe8-fe28-5398-bb95-53973100148',
                    '7e124fe8-fe28-5398-bb95-53973100148ff',
                    '7e124fe8-fe28-5398-bb95-53973100148g',
                    '7e124fe8-fe285398-bb95-53973100148f',
                    '7e124fe8_fe28_5398_bb95_53973100148f',
                    ' 7e124fe8-fe28-5398-bb95-53973100148f',
                    '{7e124fe8-fe28-5398-bb95-53973100148f',
                    '7e12-4fe8-fe28-5398-bb95-5397-3100-148f',
                    'urn:uuid:{7e124fe8-fe28-5398-bb95-53973100148f}',
                    '{}', 'urn:uuid:']) AS spelled;
-- The key of a stream is that of its name even when the name spells a UUID.
SELECT sierra_stream_key('7e124fe8-fe28-5398-bb95-53973100148f');

-- Names of all lengths: SHA-1 works on blocks of 64 bytes, and pads the last one.
SELECT md5(string_agg(sierra_stream_key(repeat('x', n))::text, '' ORDER BY n)) = 'b1a7e5d1727158e6e676c2ff51cc47d6' AS all_lengths
  FROM generate_series(1, 1024) AS n;

SELECT sierra_stream_key(NULL) IS NULL AND sierra_partition_key(NULL) IS NULL
   AND sierra_partition_id(NULL, 32) IS NULL AND sierra_event_id(NULL) IS NULL AS strict;
SELECT sierra_partition_id('7e124fe8-fe28-5398-bb95-53973100148f', 0);
:sqlstate
SELECT sierra_partition_id('7e124fe8-fe28-5398-bb95-53973100148f', 1025);
:sqlstate

-- Appends follow the same rule.
SELECT create_event_store();
SELECT v.of_32 = r.partition_id AND v.key = r.partition_key AS routed, count(*)
  FROM vectors AS v, LATERAL eappend(v.stream_id, 'Tested') AS r
 GROUP BY 1;
SELECT v.of_32 = e.partition_id AS routed, count(*)
  FROM vectors AS v, LATERAL escan(v.stream_id) AS e
 GROUP BY 1;
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP TABLE vectors;
