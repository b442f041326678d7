-- === Programs for SierraDB on PostgreSQL ===
--
-- SierraDB's clients speak Redis' protocol.  sierra_gateway speaks it, too, and keeps the
-- events in a store of this database; gateway.conf has its three listeners.
--
-- === The calls of SierraDB's tutorial: orders.py ===
\! ./orders.py

-- What it has appended are rows:
SELECT stream_version, event_name, payload->'item_id' AS item
  FROM es.events WHERE stream_id LIKE 'order-%' ORDER BY stream_version;

-- === The calls of SierraDB's page about event sourcing: users.py ===
\! ./users.py

-- Programs for SierraDB and programs for PostgreSQL share the streams:
SELECT stream_version FROM eappend('user-123', 'EmailVerified', '{"verified_at": "2025-01-01"}', expected_version => 3);
SELECT stream_version, event_name, payload, metadata FROM escan('user-123');

-- A transfer between two accounts is one transaction:
SELECT stream_id, event_name, count(*) OVER (PARTITION BY transaction_id) AS events_of_transaction
  FROM es.events WHERE stream_id LIKE 'account-%' ORDER BY stream_id;
