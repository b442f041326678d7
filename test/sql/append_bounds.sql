-- bounds of names and times
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);

-- 1 to 255 bytes, not characters
SELECT stream_version FROM eappend('s', 'n');
SELECT stream_version FROM eappend(repeat('s', 255), repeat('n', 255));
SELECT stream_version FROM eappend(repeat('é', 127) || 's', repeat('€', 85));
SELECT octet_length(stream_id), octet_length(event_name) FROM eall() ORDER BY global_position;
SELECT eappend('', 'n');
:sqlstate
SELECT eappend('s', '');
:sqlstate
SELECT eappend(repeat('s', 256), 'n');
:sqlstate
SELECT eappend('s', repeat('n', 256));
:sqlstate
SELECT eappend(repeat('é', 128), 'n');
:sqlstate
SELECT eappend('s', repeat('€', 86));
:sqlstate
SELECT eappend('s', repeat('n', 1000000));
:sqlstate

-- No control characters: C0, DEL, C1.  All 65 but NUL, which no text has, are refused everywhere.
CREATE FUNCTION refusal(stream text, name text) RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    detail text;
BEGIN
    PERFORM FROM eappend(stream, name);
    RETURN 'appended';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN SQLSTATE || ' ' || SQLERRM || ': ' || detail;
END
$$;
SELECT refusal('a' || chr(code) || 'b', 'n') AS in_stream_id, count(*)
  FROM (SELECT generate_series(1, 31) UNION SELECT generate_series(127, 159)) AS c (code) GROUP BY 1;
SELECT refusal('s', chr(code)) AS in_event_name, count(*)
  FROM (SELECT generate_series(1, 31) UNION SELECT generate_series(127, 159)) AS c (code) GROUP BY 1;
SELECT refusal('s', repeat('é', 10) || chr(code)) AS at_the_end, count(*)
  FROM unnest(ARRAY[10, 127, 133]) AS c (code) GROUP BY 1;
-- The neighbours of these ranges are allowed, and so is all other text.
SELECT refusal('s', 'a' || chr(code)), count(*)
  FROM unnest(ARRAY[32, 126, 160, 161, 255, 256, 8203, 65279, 127881]) AS c (code) GROUP BY 1;
SELECT eappend(E'a\tb', 'n');
:sqlstate
SELECT eappend('s', U&'a\0085');
:sqlstate

-- Names are compared byte by byte: case, normal form and trailing spaces make a difference.
SELECT n, stream_version FROM unnest(ARRAY['Order', 'order', 'order ', U&'caf\00e9', U&'cafe\0301']) WITH ORDINALITY AS s (name, n),
       LATERAL eappend(name, 'n');
SELECT count(DISTINCT stream_id) FROM eall() WHERE stream_id ILIKE 'order%' OR stream_id LIKE 'caf%';

-- One kind of payload, a finite time.
SELECT eappend('s', 'n', '{}', payload_bytes => '');
:sqlstate
SELECT eappend('s', 'n', "timestamp" => 'infinity');
:sqlstate
SELECT eappend('s', 'n', "timestamp" => '-infinity');
:sqlstate
SELECT emappend(NULL, ARRAY['s'], ARRAY['n'], timestamps => ARRAY['infinity']::timestamptz[]);
:sqlstate
SELECT eappend('s', 'n', partition_key => '');
:sqlstate
-- A partition key may be of any length.
SELECT stream_version, partition_key = sierra_partition_key(repeat('k', 100000)) AS hashed
  FROM eappend('long key', 'n', partition_key => repeat('k', 100000));

SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION refusal;
