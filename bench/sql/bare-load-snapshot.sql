\set n 0
\set leaf 0
SELECT state, version
FROM states
WHERE stream_id = 'order-' || :n
  AND NOT EXISTS (SELECT FROM events
                  WHERE partition_id = :leaf AND events.stream_id = 'order-' || :n AND stream_version > version);
