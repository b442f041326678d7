-- A row for each tag of each event, to find the events by.
CREATE TABLE event_tags (tag text COLLATE "C", global_position bigint, PRIMARY KEY (tag, global_position));
INSERT INTO event_tags SELECT unnest(tags), global_position FROM events;
VACUUM ANALYZE event_tags;
