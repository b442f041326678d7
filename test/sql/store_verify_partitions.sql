-- everify(): the right number of partitions, but not the right ones
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);
BEGIN;
ALTER TABLE es.events DETACH PARTITION es.events_3;
SELECT count(*) > 0 AS told FROM everify() WHERE problem LIKE 'partition %';
CREATE TABLE es.events_4 PARTITION OF es.events FOR VALUES IN (4);
SELECT count(*) > 0 AS told FROM everify() WHERE problem LIKE 'partition %';
DROP TABLE es.events_4;
CREATE TABLE es.others PARTITION OF es.events DEFAULT;
SELECT count(*) > 0 AS told FROM everify() WHERE problem LIKE 'partition %';
DROP TABLE es.others;
ALTER TABLE es.events ATTACH PARTITION es.events_3 FOR VALUES IN (3, 4);
SELECT count(*) > 0 AS told FROM everify() WHERE problem LIKE 'partition %';
ROLLBACK;
SELECT count(*) FROM everify();
SELECT drop_event_store('es');
