-- escan_packed() and epscan_packed(): the events of escan() and epscan() as one value
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
CREATE SCHEMA read_packed;
SELECT create_event_store('read_packed_store', 2);
SET sierra_es.store = read_packed_store;

-- A text that does not compress.
CREATE FUNCTION read_packed.noise(length int) RETURNS text LANGUAGE sql AS
$$ SELECT left(string_agg(md5(n::text), ''), length) FROM generate_series(1, length / 32 + 1) AS n $$;

SELECT count(*) FROM generate_series(0, 4) AS n, LATERAL eappend('s', 'E' || n, to_json(n), '{"by":"test"}');
SELECT count(*) FROM eappend('s', 'Bare');
SELECT count(*) FROM eappend('s', 'Bytes', payload_bytes => '\x00ff0a');
SELECT count(*) FROM eappend('s', 'Compressed', to_json(repeat('x', 70000)), json_build_object('m', repeat('m', 9000)));
SELECT count(*) FROM eappend('s', 'Toasted', to_json(read_packed.noise(70000)), json_build_object('m', read_packed.noise(3000)));
SELECT count(*) FROM eappend('s', repeat('é', 100), to_json('ü'::text), "timestamp" => '1999-12-31 23:59:59.999999+00');
SELECT count(*) FROM generate_series(0, 9) AS n, LATERAL eappend('keyed', 'K', to_json(n), partition_key => 'user-1');

-- Takes a pack apart; the layout is at the top of event_pack.c.
CREATE FUNCTION read_packed.number(pack bytea, at int, bytes int) RETURNS bigint LANGUAGE sql AS
$$ SELECT ('x' || lpad(encode(substr(pack, at, bytes), 'hex'), 16, CASE WHEN get_byte(pack, at - 1) > 127 THEN 'f' ELSE '0' END))::bit(64)::bigint $$;
CREATE FUNCTION read_packed.unpack(pack bytea)
    RETURNS TABLE (n bigint, global_position bigint, partition_sequence bigint, stream_version bigint, "timestamp" timestamptz,
                   event_id uuid, partition_key uuid, transaction_id uuid, partition_id int,
                   stream_id text, event_name text, metadata bytea, payload bytea)
    LANGUAGE plpgsql AS $$
DECLARE
    at int := 2;
    lengths int[];
BEGIN
    n := 0;
    WHILE at <= length(pack) LOOP
        n := n + 1;
        global_position := read_packed.number(pack, at, 8);
        partition_sequence := read_packed.number(pack, at + 8, 8);
        stream_version := read_packed.number(pack, at + 16, 8);
        "timestamp" := '2000-01-01 00:00:00+00'::timestamptz + read_packed.number(pack, at + 24, 8) * interval '1 microsecond';
        event_id := encode(substr(pack, at + 32, 16), 'hex')::uuid;
        partition_key := encode(substr(pack, at + 48, 16), 'hex')::uuid;
        transaction_id := encode(substr(pack, at + 64, 16), 'hex')::uuid;
        partition_id := read_packed.number(pack, at + 80, 4);
        lengths := ARRAY(SELECT read_packed.number(pack, at + i, 4)::int FROM unnest('{84, 88, 92, 96}'::int[]) AS i);
        at := at + 100;
        stream_id := convert_from(substr(pack, at, lengths[1]), 'UTF8');
        at := at + lengths[1];
        event_name := convert_from(substr(pack, at, lengths[2]), 'UTF8');
        at := at + lengths[2];
        metadata := substr(pack, at, lengths[3]);
        at := at + lengths[3];
        payload := substr(pack, at, lengths[4]);
        at := at + lengths[4];
        RETURN NEXT;
    END LOOP;
END
$$;
-- The same columns of result rows.
CREATE FUNCTION read_packed.plain(events sierra_event[])
    RETURNS SETOF text LANGUAGE sql AS $$
    SELECT ROW(n, e.global_position, e.partition_sequence, e.stream_version, e."timestamp", e.event_id, e.partition_key, e.transaction_id,
               e.partition_id, e.stream_id, e.event_name, coalesce(convert_to(e.metadata::text, 'UTF8'), ''),
               coalesce(convert_to(e.payload::text, 'UTF8'), e.payload_bytes, ''))::text
      FROM unnest(events) WITH ORDINALITY AS e (global_position, partition_id, partition_sequence, stream_id, stream_version, event_id, event_name,
                                                "timestamp", partition_key, transaction_id, metadata, payload, payload_bytes, tags, n) $$;
CREATE FUNCTION read_packed.is_same(pack bytea, events sierra_event[], more boolean) RETURNS boolean LANGUAGE sql AS $$
    SELECT ARRAY(SELECT u::text FROM read_packed.unpack(pack) AS u ORDER BY u.n) = ARRAY(SELECT read_packed.plain(events))
       AND get_byte(pack, 0) = more::int $$;

-- Every range, both ways, with every limit: the same events, and there are more if the limit has left out some.
SELECT count(*) AS cases,
       count(*) FILTER (WHERE NOT read_packed.is_same(sierra_internal.escan_packed(s, f, t, m, b, 1000000000),
                                                      ARRAY(SELECT escan(s, f, t, m, b)),
                                                      (SELECT count(*) FROM escan(s, f, t, NULL, b)) > coalesce(m, 1000))) AS wrong,
       count(*) FILTER (WHERE NOT read_packed.is_same(sierra_internal.epscan_packed(NULL, f, t, m, b, s, 1000000000),
                                                      ARRAY(SELECT epscan(NULL, f, t, m, b, s)),
                                                      (SELECT count(*) FROM epscan(NULL, f, t, NULL, b, s)) > coalesce(m, 1000))) AS wrong_in_partition
  FROM unnest('{s, keyed, missing, user-1}'::text[]) AS s,
       unnest(ARRAY[0, 5, 9, 10]) AS f, unnest(ARRAY[NULL, 0, 4, 9, 9223372036854775807]) AS t,
       unnest(ARRAY[NULL, 0, 1, 3, 10, 9223372036854775807]) AS m, unnest(ARRAY[false, true]) AS b;
-- by its number
SELECT read_packed.is_same(sierra_internal.epscan_packed(i, 0, NULL, NULL, false, NULL, 1000000000), ARRAY(SELECT epscan(i)), false)
  FROM generate_series(0, 1) AS i;

-- A pack ends with the event that makes it larger than max_bytes.
SELECT m AS max_bytes, get_byte(pack, 0) AS has_more, (SELECT array_agg(stream_version) FROM read_packed.unpack(pack)) AS versions
  FROM unnest('{0, 105, 400, 10000, 100000, 2147483647, -1}'::int[]) AS m,
       LATERAL sierra_internal.escan_packed('s', 0, NULL, NULL, false, m) AS pack;

-- row-level security
CREATE ROLE regress_sierra_packed;
GRANT USAGE ON SCHEMA read_packed_store, read_packed TO regress_sierra_packed;
SET ROLE regress_sierra_packed;
SELECT sierra_internal.escan_packed('s', 0, NULL, NULL, false, 1000);
:sqlstate
SELECT sierra_internal.epscan_packed(0, 0, NULL, NULL, false, NULL, 1000);
:sqlstate
RESET ROLE;
GRANT SELECT ON read_packed_store.events TO regress_sierra_packed;
ALTER TABLE read_packed_store.events ENABLE ROW LEVEL SECURITY;
CREATE POLICY even ON read_packed_store.events TO regress_sierra_packed USING (stream_version % 2 = 0);
SET ROLE regress_sierra_packed;
SELECT count(*) AS cases,
       count(*) FILTER (WHERE NOT read_packed.is_same(sierra_internal.escan_packed(s, f, NULL, m, b, 1000000000),
                                                      ARRAY(SELECT escan(s, f, NULL, m, b)),
                                                      (SELECT count(*) FROM escan(s, f, NULL, NULL, b)) > coalesce(m, 1000))) AS wrong
  FROM unnest('{s, keyed, missing}'::text[]) AS s, unnest(ARRAY[0, 5]) AS f, unnest(ARRAY[NULL, 0, 1, 3, 5]) AS m, unnest(ARRAY[false, true]) AS b;
SELECT get_byte(pack, 0) AS has_more, (SELECT array_agg(stream_version) FROM read_packed.unpack(pack)) AS versions
  FROM sierra_internal.escan_packed('s', 0, NULL, NULL, false, 400) AS pack;
RESET ROLE;

-- arguments
SELECT sierra_internal.escan_packed(NULL, 0, NULL, NULL, false, 1000);
:sqlstate
SELECT sierra_internal.escan_packed('s', NULL, NULL, NULL, false, 1000);
:sqlstate
SELECT sierra_internal.escan_packed('s', -1, NULL, NULL, false, 1000);
:sqlstate
SELECT sierra_internal.escan_packed('s', 0, NULL, -1, false, 1000);
:sqlstate
SELECT sierra_internal.escan_packed('s', 0, NULL, NULL, NULL, 1000);
:sqlstate
SELECT sierra_internal.escan_packed('s', 0, NULL, NULL, false, NULL);
:sqlstate
SELECT sierra_internal.epscan_packed(NULL, 0, NULL, NULL, false, NULL, 1000);
:sqlstate
SELECT sierra_internal.epscan_packed(2, 0, NULL, NULL, false, NULL, 1000);
:sqlstate
SELECT sierra_internal.epscan_packed(0, 0, NULL, NULL, false, NULL, NULL);
:sqlstate

SELECT drop_event_store('read_packed_store', force => true);
DROP FUNCTION read_packed.is_same, read_packed.plain, read_packed.unpack, read_packed.number, read_packed.noise;
DROP OWNED BY regress_sierra_packed;
DROP SCHEMA read_packed;
DROP ROLE regress_sierra_packed;
