-- equery() when entries of tags are not those of an event: after rollbacks, and in a damaged store
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 2);
CREATE FUNCTION found(query json, backward boolean DEFAULT false) RETURNS text LANGUAGE sql AS
$$ SELECT coalesce(string_agg(global_position || ' ' || event_name, ', '), 'nothing') FROM equery(query, max_count => NULL, backward => backward) $$;
CREATE VIEW found AS
    SELECT tag, found(json_build_array(json_build_object('tags', json_build_array(tag)))) AS forward, found(json_build_array(json_build_object('tags', json_build_array(tag))), true) AS backward,
           found(json_build_array(json_build_object('tags', json_build_array(tag, 'both')))) AS with_both
      FROM unnest(ARRAY['x', 'y', 'both']) AS tag;
SELECT global_position, partition_sequence FROM eappend('a', 'Zero', tags => ARRAY['x', 'both']);

-- An append that was rolled back leaves its entries.  The next event takes its sequence, not its position.
BEGIN;
SELECT global_position, partition_sequence FROM eappend('a', 'RolledBack', tags => ARRAY['x', 'y', 'both']);
SELECT * FROM found;
ROLLBACK;
SELECT * FROM found;
SELECT global_position, partition_sequence FROM eappend('a', 'Untagged');
SELECT * FROM found;
-- the same once more, but now the event in its place has the same tags
BEGIN;
SELECT global_position, partition_sequence FROM eappend('a', 'RolledBack', tags => ARRAY['x', 'y', 'both']);
ROLLBACK;
SELECT global_position, partition_sequence FROM eappend('a', 'Again', tags => ARRAY['both', 'x', 'y']);
SELECT * FROM found;
-- a part of a transaction
BEGIN;
SAVEPOINT s;
SELECT global_position, partition_sequence FROM eappend('a', 'RolledBack', tags => ARRAY['y']);
ROLLBACK TO s;
SELECT * FROM found;
SELECT global_position, partition_sequence FROM eappend('a', 'Kept', tags => ARRAY['y']);
SELECT * FROM found;
COMMIT;
-- many of them, and a newer event above
BEGIN;
SELECT count(*) FROM emappend(NULL, array_fill('a'::text, ARRAY[3000]), array_fill('RolledBack'::text, ARRAY[3000]), tags => array_fill('["x", "y"]'::json, ARRAY[3000]));
ROLLBACK;
SELECT count(*) FROM emappend(NULL, array_fill('a'::text, ARRAY[1000]), array_fill('Many'::text, ARRAY[1000]), tags => array_fill('["many"]'::json, ARRAY[1000]));
SELECT partition_sequence FROM eappend('a', 'Last', tags => ARRAY['x']);
SELECT * FROM found;
SELECT count(*) FROM equery('[{"tags": ["many"]}]');

-- A damaged table of tags leads nowhere: to no partition, to no event, to an event of another position or tag.
SELECT count(*) FROM everify('es');
DROP TRIGGER sierra_guard ON es.event_tags;
CREATE TABLE saved AS TABLE es.event_tags;
INSERT INTO es.event_tags
SELECT tag, 0, partition, sequence FROM (VALUES (-1, 0), (2, 0), (2147483647, 0), (-2147483648, 5), (0, 9223372036854775807), (1, 0), (0, -1), (0, -9223372036854775808), (1, 9223372036854775807)) AS p (partition, sequence),
       unnest(ARRAY['x', 'y', 'both']) AS tag;
SELECT * FROM found;
-- that of an event whose position is another one, or which does not have the tag
INSERT INTO es.event_tags SELECT tag, global_position + 3000, partition_id, partition_sequence FROM saved WHERE tag IN ('x', 'y');
INSERT INTO es.event_tags SELECT 'y', global_position, partition_id, partition_sequence FROM es.events WHERE event_name = 'Untagged';
INSERT INTO es.event_tags VALUES ('y', -1, 0, 0), ('y', 9223372036854775807, 0, 0), ('y', -9223372036854775808, 0, 0);
SELECT * FROM found;
-- two entries for the same position: only the right one counts, whichever comes first
INSERT INTO es.event_tags SELECT tag, global_position, other, partition_sequence FROM saved, unnest(ARRAY[0, 1]) AS other WHERE other <> partition_id AND tag IN ('x', 'y', 'both') ON CONFLICT DO NOTHING;
INSERT INTO es.event_tags SELECT tag, global_position, partition_id, partition_sequence + other FROM saved, unnest(ARRAY[-1, 1]) AS other WHERE tag IN ('x', 'both') ON CONFLICT DO NOTHING;
SELECT * FROM found;
SELECT count(*) > 0 AS reported FROM everify('es');

-- what the table must look like
BEGIN;
ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey;
SELECT count(*) FROM equery('[{"tags": ["x"]}]');
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey;
-- a query without tags does not need it
SELECT count(*) FROM equery('[{"types": ["Last"]}]');
SELECT count(*) FROM eall(max_count => NULL);
SELECT count(*) FROM eall(tags => ARRAY['x']);
:sqlstate
ROLLBACK;
BEGIN;
ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey, ADD PRIMARY KEY (global_position, tag, partition_id, partition_sequence);
SELECT count(*) FROM equery('[{"tags": ["x"]}]');
:sqlstate
ROLLBACK;

-- tags of an event that no append could have stored: it has none for a query
BEGIN;
SELECT partition_id, count(*) FROM es.events GROUP BY 1;
DROP TRIGGER sierra_guard ON es.events_0;
UPDATE es.events_0 SET tags = ARRAY[ARRAY['x'], ARRAY['y']] WHERE event_name = 'Again';
SELECT * FROM found;
UPDATE es.events_0 SET tags = ARRAY['x', NULL, 'y'] WHERE event_name = 'Again';
SELECT * FROM found;
UPDATE es.events_0 SET tags = (SELECT array_agg('x' || n) || ARRAY['x', 'y'] FROM generate_series(1, 100) AS n) WHERE event_name = 'Again';
SELECT * FROM found;
UPDATE es.events_0 SET tags = '{}' WHERE event_name = 'Again';
SELECT * FROM found;
UPDATE es.events_0 SET tags = ARRAY['x', 'x', 'both'] WHERE event_name = 'Again';
SELECT * FROM found;
ROLLBACK;
SELECT drop_event_store('es', force => true);
DROP TABLE saved;
DROP VIEW found;
DROP FUNCTION found;
