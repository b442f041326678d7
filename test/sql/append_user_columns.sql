-- columns, constraints, foreign keys and indexes that the user adds to the events table
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
SELECT stream_version FROM eappend('s', 'x', '{"n": 0}');

-- CHECK constraints hold for every kind of append
ALTER TABLE es.events ADD CONSTRAINT known_names CHECK (event_name <> 'Unknown');
ALTER TABLE es.events ADD CONSTRAINT has_object CHECK (json_typeof(payload) = 'object');
SELECT stream_version FROM eappend('s', 'x', '{"n": 1}');
\set VERBOSITY terse
SELECT eappend('s', 'Unknown', '{}');
:sqlstate
SELECT eappend('s', 'x', '[]');
:sqlstate
SELECT emappend(NULL, ARRAY['s', 's'], ARRAY['x', 'Unknown']);
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "s", "event_name": "x", "payload": 1}]');
:sqlstate
\set VERBOSITY default
SELECT esver('s');
ALTER TABLE es.events DROP CONSTRAINT known_names, DROP CONSTRAINT has_object;

-- NOT NULL, on a column that may be null in a store
ALTER TABLE es.events ALTER COLUMN payload SET NOT NULL;
\set VERBOSITY terse
SELECT eappend('s', 'x');
:sqlstate
\set VERBOSITY default
SELECT stream_version FROM eappend('s', 'x', '{}');
ALTER TABLE es.events ALTER COLUMN payload DROP NOT NULL;

-- columns with defaults and generated ones
ALTER TABLE es.events ADD COLUMN tenant text NOT NULL DEFAULT 'none',
                      ADD COLUMN appended_by name DEFAULT current_user,
                      ADD COLUMN size int GENERATED ALWAYS AS (octet_length(payload::text)) STORED;
SELECT stream_version FROM eappend('s', 'x', '{"n": 3}');
SELECT stream_version FROM emappend(NULL, ARRAY['s', 'a'], ARRAY['x', 'x'], ARRAY['{"n": 44}', NULL]::json[]);
SELECT count(*) FROM emappend(NULL, array_fill('s'::text, ARRAY[300]), array_fill('x'::text, ARRAY[300]), array_fill('{}'::json, ARRAY[300]));
SELECT stream_id, stream_version, tenant, appended_by = current_user AS by_me, size FROM es.events
 WHERE stream_version < 7 ORDER BY global_position;
-- Reads and their result type stay the same.
SELECT stream_version, payload FROM escan('s', 3, 5);
SELECT count(*) FROM eall();
SELECT count(*) FROM escan('a') AS e, eget(e.event_id) AS g WHERE g::text = e::text;
-- idempotency, expected versions and refusals as before
SELECT stream_version FROM eappend('s', 'x', event_id => (SELECT event_id FROM escan('s', 4, 4)), expected_version => 'empty');
SELECT eappend('s', 'x', expected_version => 4);
:sqlstate
INSERT INTO es.events (event_name) VALUES ('x');
:sqlstate
ALTER TABLE es.events DROP COLUMN tenant, DROP COLUMN appended_by, DROP COLUMN size;
SELECT stream_version FROM eappend('s', 'after the columns', '{}');
SELECT event_name FROM escan('s', max_count => 1, backward => true);
-- a column without a default stays null, one that must not be null refuses
ALTER TABLE es.events ADD COLUMN note text;
SELECT stream_version FROM eappend('s', 'x');
ALTER TABLE es.events ADD CONSTRAINT noted CHECK (note IS NOT NULL) NOT VALID;
\set VERBOSITY terse
SELECT eappend('s', 'x');
:sqlstate
\set VERBOSITY default
ALTER TABLE es.events DROP COLUMN note;

-- foreign keys from the events, and to them
CREATE TABLE names (name text COLLATE "C" PRIMARY KEY);
INSERT INTO names SELECT DISTINCT event_name FROM es.events;
INSERT INTO names VALUES ('Known');
ALTER TABLE es.events ADD CONSTRAINT registered FOREIGN KEY (event_name) REFERENCES names;
SELECT stream_version FROM eappend('fk', 'Known');
SELECT eappend('fk', 'Unknown');
:sqlstate
SELECT emappend(NULL, ARRAY['fk', 'fk'], ARRAY['Known', 'Unknown']);
:sqlstate
-- Cascades would rewrite events: the guard sees them, too.
DELETE FROM names WHERE name = 'Known';
:sqlstate
ALTER TABLE es.events DROP CONSTRAINT registered;
ALTER TABLE es.events ADD CONSTRAINT registered FOREIGN KEY (event_name) REFERENCES names ON DELETE CASCADE ON UPDATE CASCADE;
DELETE FROM names WHERE name = 'Known';
:sqlstate
UPDATE names SET name = 'Renamed' WHERE name = 'Known';
:sqlstate
ALTER TABLE es.events DROP CONSTRAINT registered;
SELECT event_name FROM escan('fk');
CREATE TABLE projection (event_id uuid REFERENCES es.events_0 (event_id));
INSERT INTO projection SELECT event_id FROM eappend('a', 'referenced');
INSERT INTO projection VALUES ('00000000-0000-4000-8000-000000000001');
:sqlstate
SELECT count(*) FROM projection;
DROP TABLE projection, names;

-- indexes: plain, partial, on expressions; the engine still finds its own
CREATE INDEX by_time ON es.events ("timestamp");
CREATE INDEX by_name ON es.events (event_name) WHERE payload IS NOT NULL;
CREATE INDEX by_field ON es.events ((payload ->> 'n'));
CREATE UNIQUE INDEX odd_one ON es.events_0 (event_id) WHERE stream_version > 0;
CREATE UNIQUE INDEX odd_two ON es.events_0 (partition_sequence, event_id);
CREATE INDEX odd_three ON es.events_0 (stream_id, stream_version);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'idx', 'a'], ARRAY['x', 'x', 'x'], ARRAY['{"n": 7}', NULL, '{"n": 8}']::json[]);
SELECT stream_id, stream_version FROM es.events WHERE payload ->> 'n' IN ('7', '8') ORDER BY global_position;
SELECT esver('a'), epseq(0) = (SELECT max(partition_sequence) FROM es.events_0) AS right_end;
-- REINDEX replaces the engine's indexes
REINDEX TABLE es.events;
REINDEX TABLE CONCURRENTLY es.events_0;
SELECT stream_version FROM eappend('a', 'x', event_id => (SELECT event_id FROM escan('a', 0, 0)));
SELECT stream_version - esver('a') AS step FROM eappend('a', 'x', expected_version => esver('a'));
-- ... also an index of the user's that is the same but for its name
CREATE UNIQUE INDEX CONCURRENTLY same ON es.events_0 (stream_id, stream_version);
ALTER TABLE es.events_0 DROP CONSTRAINT events_0_stream;
SELECT stream_version - esver('a') AS step FROM eappend('a', 'x', expected_version => esver('a'));
SELECT count(*) FROM everify();
DROP INDEX es.same;
SELECT problem, detail FROM everify();

SELECT drop_event_store('es', force => true);
