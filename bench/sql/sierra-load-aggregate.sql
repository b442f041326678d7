SELECT bench_state(e ORDER BY e.stream_version), max(e.stream_version) FROM escan('order-0') AS e;
