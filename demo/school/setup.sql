-- A training school for dogs: two commands, and a projection that counts.

CREATE EXTENSION sierra_es;
SELECT create_event_store() \g /dev/null

-- ---------------------------------------------------------------------------
-- The aggregate: a dog has a name, and tricks
-- ---------------------------------------------------------------------------

CREATE FUNCTION apply_dog(state jsonb, e sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN CASE e.event_name
        WHEN 'DogRegistered' THEN jsonb_build_object('name', e.payload->'name', 'tricks', jsonb_build_array())
        WHEN 'TrickAdded' THEN jsonb_set(state, '{tricks}', (state->'tricks') || jsonb_build_array(e.payload->'trick'))
        ELSE state
    END;

-- There is no state before the first event: NULL.  A snapshot after every 2 events is far
-- too often; here it shows what snapshots are.
SELECT create_aggregate('dog', 'apply_dog(jsonb, sierra_event)', initial => NULL, snapshot_every => 2) \g /dev/null

-- ---------------------------------------------------------------------------
-- Commands: each returns the global position of its event, which others can wait for
-- ---------------------------------------------------------------------------

CREATE FUNCTION decide_register(state jsonb, command jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF state IS NOT NULL THEN
        RAISE '% is registered already', command->>'name';
    END IF;
    RETURN jsonb_build_array(jsonb_build_object('event_name', 'DogRegistered', 'payload', command));
END
$$;

CREATE FUNCTION decide_trick(state jsonb, command jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE
AS $$
BEGIN
    IF state IS NULL THEN
        RAISE 'there is no such dog';
    ELSIF state->'tricks' ? (command->>'trick') THEN
        RETURN NULL;  -- The dog knows this trick already: nothing happens.
    END IF;
    RETURN jsonb_build_array(jsonb_build_object('event_name', 'TrickAdded', 'payload', command));
END
$$;

CREATE FUNCTION register_dog(name text) RETURNS bigint
    LANGUAGE sql
    RETURN (SELECT max(global_position)
              FROM edecide('dog', 'dog-' || name, 'decide_register(jsonb, jsonb)', jsonb_build_object('name', name)));

CREATE FUNCTION add_trick(name text, trick text) RETURNS bigint
    LANGUAGE sql
    RETURN (SELECT max(global_position)
              FROM edecide('dog', 'dog-' || name, 'decide_trick(jsonb, jsonb)', jsonb_build_object('trick', trick)));

CREATE FUNCTION dog_details(name text) RETURNS jsonb
    LANGUAGE sql
    RETURN (SELECT state FROM eload('dog', 'dog-' || name));

-- ---------------------------------------------------------------------------
-- The projection: how many dogs, how many tricks?
-- ---------------------------------------------------------------------------

CREATE TABLE school_counts (
    dogs   bigint NOT NULL,
    tricks bigint NOT NULL
);
INSERT INTO school_counts VALUES (0, 0);

-- The counts are right only if every event counts once.  The projection's place in the
-- store is committed together with this update, so no crash can come between the two.
CREATE FUNCTION count_event(e sierra_event) RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
        UPDATE school_counts
           SET dogs = dogs + (e.event_name = 'DogRegistered')::int,
               tricks = tricks + (e.event_name = 'TrickAdded')::int;
    END;

SELECT create_projection('school-counts', 'count_event(sierra_event)', streams => ARRAY['dog-*'],
                         event_names => ARRAY['DogRegistered', 'TrickAdded']) \g /dev/null
