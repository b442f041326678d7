-- Ids of events of this store, by number, for what reads events by their ids.
SELECT current_setting('sierra_es.store') AS store \gset
CREATE TABLE IF NOT EXISTS bench_ids (store name, n int, event_id uuid NOT NULL, PRIMARY KEY (store, n));
INSERT INTO bench_ids
SELECT :'store', row_number() OVER () - 1, event_id
FROM (SELECT event_id FROM :"store".events ORDER BY random() LIMIT 10000) AS chosen;
VACUUM ANALYZE bench_ids;
