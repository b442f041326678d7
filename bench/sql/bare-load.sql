\set n random(0, :streams - 1)
\set leaf :n % 32
SELECT bench_state(event) AS state, max((event).stream_version) AS version
FROM (SELECT events AS event FROM events
      WHERE partition_id = :leaf AND stream_id = 'order-' || :n
      ORDER BY stream_version) AS ordered;
