-- eappend(): every argument, and what it gives back
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT create_event_store('es', 4);

-- the least and the most that can be said about an event
SELECT partition_key, partition_id, partition_sequence, stream_id, stream_version, global_position
  FROM eappend('order-456', 'Created');
SELECT event_id, partition_key, partition_id, partition_sequence, stream_id, stream_version, "timestamp", global_position
  FROM eappend(stream_id => 'order-456', event_name => 'ItemAdded',
               payload => '{"sku": "A-1", "n": 2}', metadata => '{"by": "eve"}',
               expected_version => 0, event_id => '00000000-0000-4000-8000-000000000001',
               partition_key => '6b01eb4e-d05c-5fba-862d-4be632820026',
               "timestamp" => '2024-02-29 23:59:59.123456+00');
SELECT stream_version
  FROM eappend('order-456', 'Signed', metadata => '{}', payload_bytes => '\x00ff10');

-- The stored event equals what was appended and what the append returned.
SELECT global_position, partition_id, partition_sequence, stream_id, stream_version, event_name,
       partition_key, metadata, payload, payload_bytes
  FROM escan('order-456');
SELECT event_id, "timestamp" FROM escan('order-456', 1, 1);
CREATE TABLE answer AS SELECT * FROM eappend('order-456', 'Paid');
SELECT count(*) AS equal
  FROM answer JOIN es.events USING (event_id, partition_key, partition_id, partition_sequence, stream_id,
                                    stream_version, "timestamp", transaction_id, global_position);
DROP TABLE answer;
-- An append is visible from the next statement on, as any change is.
SELECT r.stream_version, e.event_id IS NOT NULL AS in_the_same_statement
  FROM eappend('order-456', 'Packed') AS r LEFT JOIN es.events AS e USING (event_id);
SELECT count(*) FROM escan('order-456') WHERE event_name = 'Packed';
-- the time of the append, not that of the transaction
SELECT r."timestamp" BETWEEN now() AND clock_timestamp() AS server_time
  FROM eappend('order-456', 'Shipped') AS r;
BEGIN;
SELECT pg_sleep(0.01);
SELECT r."timestamp" > now() AS after_begin FROM eappend('order-456', 'Delivered') AS r;
COMMIT;

-- A JSON null is a payload; SQL NULL is none.
SELECT stream_version FROM eappend('nulls', 'JsonNull', 'null', NULL);
SELECT stream_version FROM eappend('nulls', 'SqlNull', NULL, NULL, event_id => NULL,
                                   partition_key => NULL, "timestamp" => NULL, payload_bytes => NULL);
SELECT stream_version FROM eappend('nulls', 'EmptyBytes', payload_bytes => '');
SELECT event_name, payload, payload IS NULL AS no_payload, metadata IS NULL AS no_metadata,
       payload_bytes, payload_bytes IS NULL AS no_bytes
  FROM escan('nulls');

-- times: extremes, before 1970 and 2000
SELECT "timestamp" FROM eappend('times', 'x', "timestamp" => '4713-01-01 00:00:00+00 BC');
SELECT "timestamp" FROM eappend('times', 'x', "timestamp" => '1969-12-31 23:59:59.999999+00');
SELECT "timestamp" FROM eappend('times', 'x', "timestamp" => '294276-12-31 23:59:59.999999+00');
SELECT "timestamp" FROM eappend('times', 'x', "timestamp" => '2024-06-01 12:00:00+02');
SELECT stream_version, "timestamp" FROM escan('times');

-- each of these arguments is required
SELECT eappend(NULL, 'x');
:sqlstate
SELECT eappend('a', NULL);
:sqlstate
SELECT eappend('a', 'x', expected_version => NULL);
:sqlstate
-- ... also when the caller passes on the result of esver() for a missing stream
SELECT eappend('missing', 'x', expected_version => esver('missing'));
:sqlstate

-- text that is not JSON is refused
\set VERBOSITY sqlstate
SELECT eappend('a', 'x', '{"a": }');
SELECT eappend('a', 'x', '');
SELECT eappend('a', 'x', metadata => 'free text');
SELECT eappend('a', 'x', event_id => 'no uuid');
\set VERBOSITY default
SELECT esver('a');

-- Several calls in one statement number each other's events.
SELECT n, r.stream_version, r.partition_sequence - min(r.partition_sequence) OVER () AS after_first
  FROM generate_series(1, 3) AS n, LATERAL eappend('many', 'x', to_json(n)) AS r;
SELECT n, r.stream_version
  FROM generate_series(2, 4) AS n, LATERAL eappend('many', 'x', expected_version => n) AS r;
SELECT n, r.stream_version
  FROM generate_series(5, 7) AS n, LATERAL eappend('many', 'x', expected_version => CASE n WHEN 7 THEN 0 ELSE n END) AS r;
:sqlstate
-- The whole statement failed, so none of its appends is there.
SELECT esver('many');

-- A prepared statement continues to work when the store is another one.
PREPARE append (text, expected_version) AS SELECT stream_version FROM eappend($1, 'x', expected_version => $2);
EXECUTE append('prepared', 'empty');
EXECUTE append('prepared', '0');
SELECT create_event_store('other', 1);
SET sierra_es.store = other;
EXECUTE append('prepared', 'empty');
RESET sierra_es.store;
EXECUTE append('prepared', '1');
SELECT drop_event_store('other', force => true);

SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
