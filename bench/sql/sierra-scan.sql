\set n random(0, :streams - 1)
SELECT * FROM escan('order-' || :n);
