-- emappend() with a JSON array of events
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT create_event_store('es', 4);

-- every member
SELECT stream_id, stream_version, partition_id, partition_sequence, global_position
  FROM emappend(NULL, '[
    {"stream_id": "user-123", "event_name": "Created", "payload": {"n": 1}, "metadata": {"by": "eve"},
     "expected_version": "empty", "event_id": "00000000-0000-4000-8000-000000000001", "timestamp": 1709251199123},
    {"event_name": "Changed", "stream_id": "user-123", "expected_version": 0, "payload_bytes": "AP8Q"},
    {"stream_id": "a", "event_name": "Created", "expected_version": "any", "timestamp": "2024-02-29 12:00:00+02"}
  ]');
SELECT global_position, stream_id, stream_version, event_name, payload, metadata, payload_bytes,
       CASE WHEN "timestamp" < '2025-01-01' THEN "timestamp" END AS client_time
  FROM eall();
SELECT event_id FROM escan('user-123', max_count => 1);
SELECT count(DISTINCT transaction_id) AS transactions FROM eall();

-- one key for the whole call
SELECT stream_id, partition_key, partition_id
  FROM emappend('user-123', '[{"stream_id": "k1", "event_name": "x"}, {"stream_id": "k2", "event_name": "x"}]');

-- null members count as absent, except for an expected version
SELECT stream_id, stream_version
  FROM emappend(NULL, '[{"stream_id": "nulls", "event_name": "x", "payload": null, "metadata": null, "payload_bytes": null,
                         "event_id": null, "timestamp": null}]');
SELECT payload IS NULL AS no_payload, metadata IS NULL AS no_metadata, payload_bytes IS NULL AS no_bytes FROM escan('nulls');
SELECT emappend(NULL, '[{"stream_id": "nulls", "event_name": "x"}, {"stream_id": "fresh", "event_name": "x", "expected_version": null}]');
:sqlstate
SELECT esver('nulls') AS nulls, esver('fresh') AS fresh;

-- Payloads of every kind, byte_exact: inner white space, order, duplicate keys, escapes, numbers.
SELECT count(*) FROM emappend(NULL, $$[
    {"stream_id":"kinds","event_name":"x","payload":{"b" : 1,
  "a":2, "b":3 }},
    {"stream_id":"kinds","event_name":"x","payload":[ ]},
    {"stream_id":"kinds","event_name":"x","payload":"a, ] } \" \\\\ \u0000 \u00e9 \/ é"},
    {"stream_id":"kinds","event_name":"x","payload":1.50e+010},
    {"stream_id":"kinds","event_name":"x","payload":-0},
    {"stream_id":"kinds","event_name":"x","payload" : true },
    {"stream_id":"kinds","event_name":"x","payload":[{"x":[[]]},"]"]},
    {"stream_id":"kinds","event_name":"x","payload":{"null":null}},
    {"stream_id":"kinds","event_name":"x","payload":"\\"},
    {"stream_id":"kinds","event_name":"x","payload":"","metadata":{ "m" :"}"}}
]$$);
SELECT stream_version, payload, metadata FROM escan('kinds');

-- Names may be written with escapes, as any JSON string may.
SELECT stream_id, stream_version FROM emappend(NULL, '[{"stream\u005fid": "\u20ac-stream", "event_name": "\ud83c\udf89 \"x\""}]');
SELECT event_name FROM escan('€-stream');

-- forms of expected versions and times
SELECT stream_version FROM emappend(NULL, '[{"stream_id": "f", "event_name": "x", "expected_version": "EMPTY"},
    {"stream_id": "f", "event_name": "x", "expected_version": "0"},
    {"stream_id": "f", "event_name": "x", "expected_version": 1},
    {"stream_id": "f", "event_name": "x", "expected_version": "exists"}]');
SELECT "timestamp" FROM emappend(NULL, '[{"stream_id": "f", "event_name": "x", "timestamp": 0},
    {"stream_id": "f", "event_name": "x", "timestamp": -1},
    {"stream_id": "f", "event_name": "x", "timestamp": 1700000000123},
    {"stream_id": "f", "event_name": "x", "timestamp": 1700000000123.456},
    {"stream_id": "f", "event_name": "x", "timestamp": 1.7e12},
    {"stream_id": "f", "event_name": "x", "timestamp": 253402300799999},
    {"stream_id": "f", "event_name": "x", "timestamp": "1999-12-31T23:59:59Z"}]');
-- Each whole millisecond survives.
SELECT count(*) FROM generate_series(1700000000000, 1700000000999) AS ms,
       LATERAL emappend(NULL, json_build_array(json_build_object('stream_id', 'ms', 'event_name', 'x', 'timestamp', ms))) AS r
 WHERE extract(epoch FROM r."timestamp") * 1000 <> ms;

-- no events
SELECT count(*) FROM emappend(NULL, '[]');
SELECT count(*) FROM emappend(NULL, E' [ \n ] ');

-- another structure
SELECT emappend(NULL, NULL::json);
:sqlstate
SELECT emappend(NULL, '{}');
:sqlstate
SELECT emappend(NULL, 'null');
:sqlstate
SELECT emappend(NULL, '"[]"');
:sqlstate
SELECT emappend(NULL, '[1]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x"}, null]');
:sqlstate
SELECT emappend(NULL, '[[]]');
:sqlstate
SELECT emappend(NULL, '[{}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a"}]');
:sqlstate
SELECT emappend(NULL, '[{"event_name": "x"}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": null, "event_name": "x"}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "Payload": 1}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x"}, {"stream_id": "a", "event_name": "x", "partition_key": "p"}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "payload": 1, "payload": 2}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "payload": null, "payload": 2}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": 1, "event_name": "x"}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": {"n": "x"}}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "event_id": 7}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "payload_bytes": [0]}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "payload": 1, "payload_bytes": "AA=="}]');
:sqlstate

-- members with a value that their type cannot read
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "expected_version": -1}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "expected_version": 1.5}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "expected_version": "none"}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "expected_version": {}}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "event_id": "no uuid"}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "payload_bytes": "?"}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "timestamp": "yesterdayish"}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "timestamp": "infinity"}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "timestamp": 1e300}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x", "timestamp": true}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a\u0000b", "event_name": "x"}]');
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a\nb", "event_name": "x"}]');
:sqlstate
SELECT emappend('', '[{"stream_id": "fresh", "event_name": "x"}]');
:sqlstate
-- text that is not JSON never reaches the function
\set VERBOSITY sqlstate
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x"');
SELECT emappend(NULL, '[{"stream_id": "a", "event_name": "x"},]');
\set VERBOSITY default
-- None of the refused calls left anything: stream a has its first event only.
SELECT esver('a') AS a, esver('fresh') AS fresh;

SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
