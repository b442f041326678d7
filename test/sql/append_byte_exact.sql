-- Invariant: a payload comes back as the very bytes that were appended.
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);

CREATE TABLE sent (n int PRIMARY KEY, payload text, bytes bytea);
INSERT INTO sent (n, payload) VALUES
    (0, '{}'),
    (1, '{"b":1,"a":2}'),                                    -- key order
    (2, '{"a":1,"a":2}'),                                    -- duplicate keys
    (3, E' {\t"a" :\n1 }\r\n '),                             -- white space inside and around
    (4, '"\u0000"'),                                         -- what text and jsonb cannot hold
    (5, '"\u00e9\u00E9é"'),                                  -- the same letter, three ways
    (6, '"\ud83c\udf89 🎉"'),                                -- a surrogate pair and the character
    (7, '"\/ / \b\f\n\r\t\" \\"'),                           -- escapes that need not be, and must be
    (8, '[1.0, 1.00, 1e2, 1E+2, -0, -0.0, 0.1e-10]'),        -- numbers that jsonb would rewrite
    (9, '123456789012345678901234567890.123456789012345678901234567890'),
    (10, 'null'), (11, 'true'), (12, '""'), (13, '[]'),
    (14, '"ﬁ ﬀ ａ é"'),                              -- not normalised
    (15, repeat('[', 500) || repeat(']', 500));              -- deep
-- a megabyte that compresses well, and one that does not
INSERT INTO sent (n, payload) SELECT 16, to_json(repeat('0123456789abcdef', 65536))::text;
INSERT INTO sent (n, payload)
    SELECT 17, to_json(string_agg(md5(i::text), '' ORDER BY i))::text FROM generate_series(1, 32768) AS i;
INSERT INTO sent (n, bytes) VALUES
    (18, ''), (19, '\x00'), (20, '\x0000ff7f80c080fffe'), (21, convert_to('{"json": "as bytes"}', 'UTF8'));
INSERT INTO sent (n, bytes)
    SELECT 22, decode(string_agg(md5(i::text), '' ORDER BY i), 'hex') FROM generate_series(1, 65536) AS i;
SELECT n, octet_length(payload) AS payload, octet_length(bytes) AS bytes FROM sent
 WHERE octet_length(payload) > 1000000 OR octet_length(bytes) > 1000000 ORDER BY n;

-- The same contents are stored in three ways: one call each, one call with arrays, one with JSON.
SELECT count(*) FROM sent, LATERAL eappend('one-' || n, 'x', payload::json, ('{"m":' || payload || '}')::json, payload_bytes => bytes);
SELECT count(*)
  FROM emappend('b', (SELECT array_agg('arrays-' || n ORDER BY n) FROM sent),
                (SELECT array_agg('x'::text) FROM sent),
                (SELECT array_agg(payload::json ORDER BY n) FROM sent),
                (SELECT array_agg(('{"m":' || payload || '}')::json ORDER BY n) FROM sent),
                payload_bytes => (SELECT array_agg(bytes ORDER BY n) FROM sent));
-- The JSON array is put together as text, so that nothing but the engine reads the payloads.
-- A member that is null counts as absent there, so number 10 does not take part.
SELECT count(*)
  FROM emappend('b', (
    SELECT '[' || string_agg(
        format('{"stream_id":"json-%s","event_name":"x"', n)
        || coalesce(',"payload":' || payload || ',"metadata":{"m":' || payload || '}', '')
        || coalesce(',"payload_bytes":"' || replace(encode(bytes, 'base64'), E'\n', '') || '"', '')
        || '}', ',' ORDER BY n) || ']'
      FROM sent WHERE n <> 10)::json);

-- White space around a value in the JSON array belongs to the array; otherwise every byte is equal.
SELECT way, count(*) AS events,
       count(*) FILTER (WHERE convert_to(e.payload::text, 'UTF8') IS NOT DISTINCT FROM convert_to(w.payload, 'UTF8')
                          AND convert_to(e.metadata::text, 'UTF8') IS NOT DISTINCT FROM convert_to('{"m":' || s.payload || '}', 'UTF8')
                          AND e.payload_bytes IS NOT DISTINCT FROM s.bytes) AS equal
  FROM sent AS s
 CROSS JOIN unnest(ARRAY['one', 'arrays', 'json']) AS way
 CROSS JOIN LATERAL (SELECT CASE WHEN way = 'json' THEN btrim(s.payload, E' \t\r\n') ELSE s.payload END) AS w (payload)
 CROSS JOIN LATERAL escan(way || '-' || n) AS e
 GROUP BY way ORDER BY way;
-- the same through the other reads
SELECT count(*) AS events, count(*) FILTER (WHERE e.payload::text IS NOT DISTINCT FROM s.payload AND e.payload_bytes IS NOT DISTINCT FROM s.bytes) AS equal
  FROM sent AS s JOIN eall(streams => ARRAY['one-*']) AS e ON e.stream_id = 'one-' || n;
SELECT count(*) AS events, count(*) FILTER (WHERE e.payload::text IS NOT DISTINCT FROM s.payload AND e.payload_bytes IS NOT DISTINCT FROM s.bytes) AS equal
  FROM sent AS s JOIN epscan(partition_key => 'b') AS e ON e.stream_id = 'arrays-' || n;

DROP TABLE sent;
SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
