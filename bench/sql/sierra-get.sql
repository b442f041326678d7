\set n random(0, 9999)
SELECT * FROM eget((SELECT event_id FROM bench_ids WHERE store = current_setting('sierra_es.store') AND n = :n));
