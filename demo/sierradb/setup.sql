-- The store of the gateway; it has as many partitions as a node of SierraDB in its examples.
CREATE EXTENSION sierra_es;
SELECT create_event_store('es', 32) \g /dev/null
