-- === A training school for dogs ===
--
-- setup.sql defines what a dog is (apply_dog, a fold), the two commands, and a
-- projection that counts dogs and tricks in a table.

-- === Register a dog, teach it ===
-- Commands return the position of the event that they have appended.
SELECT register_dog('Fido') AS "position";
SELECT add_trick('Fido', 'roll over') AS "position";
SELECT add_trick('Fido', 'play dead') AS "position";
SELECT dog_details('Fido');

-- Two commands that are refused, and one that changes nothing:
SELECT register_dog('Fido') AS "position";
SELECT add_trick('Rex', 'sit') AS "position";
SELECT add_trick('Fido', 'play dead') AS "position";

-- === The store keeps states of long streams, and need not fold from the start ===
SELECT stream_id, version, state FROM es.snapshots;
-- They only save time: if you delete them, nothing is lost.
SELECT drop_snapshots('dog') \g /dev/null
SELECT dog_details('Fido');

-- === Count: a projection is behind until it runs ===
SELECT * FROM school_counts;
SELECT add_trick('Fido', 'fetch a ball') AS "position" \gset
-- Has it counted this trick?  Ask without waiting:
SELECT ewait_projection('school-counts', :position, '0');
SELECT run_projections() \g /dev/null
SELECT ewait_projection('school-counts', :position, '10 seconds');
SELECT * FROM school_counts;

-- === A program waits until its own event is counted: client.py ===
\! ./client.py

-- === The events of all dogs, in order ===
SELECT stream_id, stream_version AS version, event_name, payload FROM eall(streams => ARRAY['dog-*']);
SELECT * FROM school_counts;
