-- A session remembers that a partition has nothing but the store's own indexes.  What is added to
-- the partition after that holds for the next append, and what is removed holds no more.
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 1) \g /dev/null

SELECT FROM eappend('order-1', 'Known', '{}') \g /dev/null
\set VERBOSITY terse
ALTER TABLE es.events_0 ADD CONSTRAINT no_refunds CHECK (event_name <> 'Refunded');
SELECT FROM eappend('order-1', 'Refunded', '{}');
:sqlstate
ALTER TABLE es.events_0 DROP CONSTRAINT no_refunds;
SELECT stream_version FROM eappend('order-1', 'Refunded', '{}');

ALTER TABLE es.events_0 ALTER payload SET NOT NULL;
SELECT FROM eappend('order-1', 'WithoutPayload');
:sqlstate
ALTER TABLE es.events_0 ALTER payload DROP NOT NULL;
SELECT stream_version FROM eappend('order-1', 'WithoutPayload');

-- constraints hold for the first append after them, and for later ones, which do not look for them again
SET sierra_es.store = 'es2';
SELECT create_event_store('es2', 1) \g /dev/null
ALTER TABLE es2.events_0 ADD CONSTRAINT small CHECK (stream_version < 1);
SELECT stream_version FROM eappend('s', 'E');
SELECT FROM eappend('s', 'E');
:sqlstate
ALTER TABLE es2.events_0 DROP CONSTRAINT small;
SELECT clear_event_store('es2', force => true) \g /dev/null
ALTER TABLE es2.events_0 ALTER payload SET NOT NULL;
SELECT stream_version FROM eappend('s', 'E', '{}');
SELECT FROM eappend('s', 'E');
:sqlstate
SELECT clear_event_store('es2', force => true) \g /dev/null
ALTER TABLE es2.events_0 ALTER payload DROP NOT NULL, ALTER metadata SET NOT NULL;
SELECT stream_version FROM eappend('s', 'E', metadata => '{}');
SELECT FROM eappend('s', 'E');
:sqlstate
SELECT clear_event_store('es2', force => true) \g /dev/null
ALTER TABLE es2.events_0 ALTER metadata DROP NOT NULL, ALTER payload_bytes SET NOT NULL;
SELECT stream_version FROM eappend('s', 'E', payload_bytes => '');
SELECT FROM eappend('s', 'E');
:sqlstate
SELECT clear_event_store('es2', force => true) \g /dev/null
ALTER TABLE es2.events_0 ALTER payload_bytes DROP NOT NULL, ALTER tags SET NOT NULL;
SELECT stream_version FROM eappend('s', 'E', tags => '{t}');
SELECT FROM eappend('s', 'E');
:sqlstate
SELECT drop_event_store('es2', force => true) \g /dev/null
RESET sierra_es.store;

-- an index, also one with an expression
CREATE INDEX names ON es.events_0 (lower(event_name));
SELECT stream_version FROM eappend('order-1', 'Indexed');
SELECT count(*) FROM emappend(NULL, ARRAY['order-1', 'order-2'], ARRAY['Indexed', 'Indexed']);
SET enable_seqscan = off;
SELECT stream_id, stream_version FROM es.events_0 WHERE lower(event_name) = 'indexed' ORDER BY 1, 2;
EXPLAIN (COSTS OFF) SELECT FROM es.events_0 WHERE lower(event_name) = 'indexed';
RESET enable_seqscan;
DROP INDEX es.names;
SELECT stream_version FROM eappend('order-1', 'NotIndexed');

-- a trigger
CREATE FUNCTION say_event() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE NOTICE '% %', NEW.event_name, NEW.stream_version; RETURN NULL; END $$;
CREATE TRIGGER say_event AFTER INSERT ON es.events_0 FOR EACH ROW EXECUTE FUNCTION say_event();
SELECT stream_version FROM eappend('order-1', 'Triggered');
DROP TRIGGER say_event ON es.events_0;
SELECT stream_version FROM eappend('order-1', 'NotTriggered');

-- new indexes in place of the known ones
REINDEX TABLE es.events_0;
SELECT stream_version FROM eappend('order-1', 'Reindexed');
REINDEX TABLE CONCURRENTLY es.events_0;
SELECT stream_version FROM eappend('order-1', 'ReindexedAgain');

SELECT count(*) FROM everify();
SELECT drop_event_store('es', force => true);
DROP FUNCTION say_event();
