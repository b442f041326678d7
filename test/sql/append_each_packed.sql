-- eappend_each_packed(): the outcomes of eappend_each() as one value
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT count(*) FROM eappend('taken', 'E', event_id => '00000000-0000-4000-8000-000000000001');

-- Takes a value apart; the layout is in append_each_sql.c.
CREATE FUNCTION number(pack bytea, at int, bytes int) RETURNS bigint LANGUAGE sql AS
$$ SELECT ('x' || lpad(encode(substr(pack, at, bytes), 'hex'), 16, CASE WHEN get_byte(pack, at - 1) > 127 THEN 'f' ELSE '0' END))::bit(64)::bigint $$;
CREATE FUNCTION unpack(pack bytea)
    RETURNS TABLE (n bigint, event_id uuid, partition_key uuid, partition_id int, partition_sequence bigint, stream_version bigint,
                   "timestamp" timestamptz, texts text[])
    LANGUAGE plpgsql AS $$
DECLARE
    at int := 1;
    text_end int;
BEGIN
    n := 0;
    WHILE at <= length(pack) LOOP
        n := n + 1;
        event_id := NULL; partition_key := NULL; partition_id := NULL; partition_sequence := NULL; stream_version := NULL; "timestamp" := NULL; texts := NULL;
        IF get_byte(pack, at - 1) = 1 THEN
            event_id := encode(substr(pack, at + 1, 16), 'hex')::uuid;
            partition_key := encode(substr(pack, at + 17, 16), 'hex')::uuid;
            partition_id := number(pack, at + 33, 4);
            partition_sequence := number(pack, at + 37, 8);
            stream_version := number(pack, at + 45, 8);
            "timestamp" := '2000-01-01 00:00:00+00'::timestamptz + number(pack, at + 53, 8) * interval '1 microsecond';
            at := at + 61;
        ELSE
            at := at + 1;
            FOR i IN 1 .. 6 LOOP
                text_end := at + position('\x00'::bytea IN substr(pack, at)) - 1;
                texts[i] := convert_from(substr(pack, at, text_end - at), 'UTF8');
                at := text_end + 1;
            END LOOP;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- Calls of every outcome, as rows and then as one value; the first are undone in between.
CREATE TABLE calls AS
SELECT ARRAY['a', 'a', 'b', 'taken', 'taken', '', 'own', 'c', 'c', 'd'] AS stream_ids,
       ARRAY['E', 'E', NULL, 'E', 'E', 'E', 'E', 'E', 'E', 'é'] AS event_names,
       ARRAY['{"a": 1}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '"ü"']::sierra_json[] AS payloads,
       ARRAY['empty', 'empty', 'any', 'any', 'any', 'any', 'any', 'any', 'any', 'any']::expected_version[] AS expected_versions,
       ARRAY['00000000-0000-4000-8000-000000000010', NULL, NULL, '00000000-0000-4000-8000-000000000001', NULL, NULL, '00000000-0000-4000-8000-000000000011',
             '00000000-0000-4000-8000-000000000012', '00000000-0000-4000-8000-000000000012', '00000000-0000-4000-8000-000000000013']::uuid[] AS event_ids,
       array_fill('1999-12-31 23:59:59.999999+00'::timestamptz, ARRAY[10]) AS timestamps,
       ARRAY[NULL, NULL, NULL, NULL, 'other', NULL, 'key', NULL, NULL, NULL]::text[] AS partition_keys,
       ARRAY[1, 2, 3, 4, 5, 6, 7, 8, 8, 9] AS numbers;
BEGIN;
CREATE TEMP TABLE as_rows AS
SELECT r.* FROM calls, LATERAL eappend_each(stream_ids, event_names, payloads, NULL, expected_versions, event_ids, timestamps, NULL, NULL, partition_keys, NULL, numbers)
       WITH ORDINALITY AS r;
SELECT status, sqlstate, count(*) FROM as_rows GROUP BY 1, 2 ORDER BY 1, 2;
SELECT json_agg(as_rows ORDER BY ordinality) AS kept FROM as_rows \gset
ROLLBACK;
CREATE TABLE as_rows AS SELECT * FROM json_to_recordset(:'kept') AS r (ordinality bigint, status text, sqlstate text, message text, detail text, table_name text,
    column_name text, constraint_name text, event_id uuid, partition_key uuid, partition_id int, partition_sequence bigint, stream_version bigint, "timestamp" timestamptz);
CREATE TABLE as_value AS
SELECT u.* FROM calls, LATERAL sierra_internal.eappend_each_packed(stream_ids, event_names, payloads, NULL, expected_versions, event_ids, timestamps, NULL, NULL, partition_keys, NULL, numbers) AS pack,
       LATERAL unpack(pack) AS u;
SELECT n, texts FROM as_value WHERE texts IS NOT NULL ORDER BY n;
SELECT count(*) AS same
  FROM as_rows AS r JOIN as_value AS v ON v.n = r.ordinality
 WHERE CASE WHEN r.status = 'refused'
            THEN v.texts = ARRAY[r.sqlstate, coalesce(r.message, ''), coalesce(r.detail, ''), coalesce(r.table_name, ''), coalesce(r.column_name, ''), coalesce(r.constraint_name, '')]
            ELSE (v.event_id, v.partition_key, v.partition_id, v.partition_sequence, v.stream_version, v."timestamp")
                 = (r.event_id, r.partition_key, r.partition_id, r.partition_sequence, r.stream_version, r."timestamp") END;
SELECT stream_id, stream_version, event_name, payload FROM eall();

-- a repetition, no elements, and errors of the whole statement
SELECT event_id, stream_version FROM unpack(sierra_internal.eappend_each_packed(ARRAY['taken'], ARRAY['E'], NULL, NULL, NULL, ARRAY['00000000-0000-4000-8000-000000000001']::uuid[], NULL, NULL, NULL, NULL, NULL, NULL));
SELECT sierra_internal.eappend_each_packed(ARRAY[]::text[], ARRAY[]::text[], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT sierra_internal.eappend_each_packed(NULL, ARRAY['E'], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
:sqlstate
SELECT sierra_internal.eappend_each_packed(ARRAY['a'], ARRAY['E', 'E'], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
:sqlstate
CREATE ROLE regress_sierra_packer;
GRANT USAGE ON SCHEMA es TO regress_sierra_packer;
SET ROLE regress_sierra_packer;
SELECT sierra_internal.eappend_each_packed(ARRAY['a'], ARRAY['E'], NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
:sqlstate
RESET ROLE;
DROP OWNED BY regress_sierra_packer;
DROP ROLE regress_sierra_packer;
DROP TABLE calls, as_rows, as_value;
DROP FUNCTION unpack, number;
SELECT drop_event_store('es', force => true);
