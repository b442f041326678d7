\set n random(0, :streams - 1)
SELECT * FROM get_stream_messages('order-' || :n, 0, 1000);
