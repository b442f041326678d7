-- A handler that fails: stop or park, retry, skip; the other projections continue, and so do
-- appends
\set SHOW_CONTEXT never
SELECT create_event_store('es', 4);
CREATE TABLE poison (stream_id text, version bigint);
CREATE TABLE seen (projection text, stream_id text, version bigint, PRIMARY KEY (projection, stream_id, version));
CREATE FUNCTION see(name text, e sierra_event) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO seen VALUES (name, e.stream_id, e.stream_version);
    IF EXISTS (SELECT FROM poison AS p WHERE p.stream_id = e.stream_id AND p.version = e.stream_version) THEN
        RAISE 'no % %', e.stream_id, e.stream_version USING ERRCODE = 'P0042';
    END IF;
END
$$;
CREATE FUNCTION see_a(e sierra_event) RETURNS void LANGUAGE sql AS $$ SELECT see('a', $1) $$;
CREATE FUNCTION see_b(e sierra_event) RETURNS void LANGUAGE sql AS $$ SELECT see('b', $1) $$;
CREATE FUNCTION see_batch(e sierra_event[]) RETURNS void LANGUAGE sql AS $$ SELECT see('batch', v) FROM unnest($1) AS v $$;
CREATE FUNCTION good(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql RETURN to_jsonb((state::text)::int + 1);
CREATE VIEW status AS SELECT projection, state, cursor, lag_events, attempts, retry_at IS NOT NULL AS will_retry, failed_position, failed_stream, parked, last_error FROM event_projections();
CREATE VIEW seen_by AS SELECT projection, stream_id, count(*), max(version) FROM seen GROUP BY 1, 2;

INSERT INTO poison VALUES ('s-1', 3);
SELECT count(eappend('s-' || n % 3, 'E')) FROM generate_series(1, 40) AS n;
SELECT create_projection('a', 'see_a(sierra_event)', max_attempts => 3, retry_after => '1 hour');
SELECT create_projection('b', 'see_b(sierra_event)', on_error => 'park', max_attempts => 2, retry_after => '0');
SELECT create_projection('batch', 'see_batch(sierra_event[])', max_attempts => 1);
SELECT create_projection('good', 'good(jsonb, sierra_event)', key => $$'n'$$, initial => '0');

-- Events before the failed one count as handled; the good projection has run nonetheless.
SELECT run_projections();
SELECT * FROM status ORDER BY 1;
SELECT * FROM seen_by ORDER BY 1, 2;
SELECT * FROM estates('good');

-- Not before it is due; but a call by hand runs it.
SELECT run_projections();
SELECT run_projection('a');
SELECT state, attempts FROM status WHERE projection = 'a';
SELECT run_projection('a');
SELECT state, attempts, will_retry FROM status WHERE projection = 'a';
-- Stopped: nothing runs.
SELECT run_projection('a'), run_projections();
-- Appends are not affected.
SELECT stream_version FROM eappend('s-1', 'E');
SELECT run_projections();

-- Fixed, and tried again.
DELETE FROM poison;
SELECT retry_projection('a'), retry_projection('b'), retry_projection('batch'), retry_projection('good');
SELECT run_projections(), run_projections();
SELECT * FROM status ORDER BY 1;
SELECT * FROM seen_by ORDER BY 1, 2;
SELECT count(*) FROM eall(max_count => NULL);

-- Given up.
INSERT INTO poison VALUES ('s-2', 20), ('s-2', 21);
SELECT count(eappend('s-' || n % 3, 'E')) FROM generate_series(1, 30) AS n;
SELECT run_projections();
SELECT * FROM status ORDER BY 1;
SELECT skip_projection_event('a', 's-1') IS NULL AS another_stream;
SELECT skip_projection_event('a') = (SELECT global_position FROM escan('s-2', 20, 20)) AS skipped;
SELECT skip_projection_event('batch', 's-2') = (SELECT global_position FROM escan('s-2', 20, 20)) AS skipped;
SELECT skip_projection_event('b', 's-2') = (SELECT global_position FROM escan('s-2', 20, 20)) AS skipped;
SELECT skip_projection_event('b', 's-2') IS NULL AS no_more;
SELECT run_projections();
SELECT * FROM status ORDER BY 1;
DELETE FROM poison;
SELECT retry_projection('a'), retry_projection('b'), retry_projection('batch');
SELECT run_projections();
SELECT projection, state, lag_events, parked FROM status ORDER BY 1;
SELECT projection, e.stream_id, e.stream_version AS skipped
  FROM unnest('{a,b,batch}'::text[]) AS projection, eall(max_count => NULL) AS e
 WHERE NOT EXISTS (SELECT FROM seen AS s WHERE (s.projection, s.stream_id, s.version) = (projection.projection, e.stream_id, e.stream_version))
 ORDER BY 1, 2, 3;

-- Paused.
SELECT pause_projection('a'), pause_projection('a');
SELECT count(eappend('s-1', 'E')) FROM generate_series(1, 2);
SELECT run_projection('a'), run_projections();
SELECT state, lag_events FROM status WHERE projection = 'a';
SELECT resume_projection('a'), resume_projection('a'), run_projection('a');

SELECT count(drop_projection(projection)) FROM event_projections();
-- A lock that was not available, or a full disk, is not a failure of the event or the projection.
CREATE FUNCTION no_lock(e sierra_event) RETURNS void LANGUAGE plpgsql
    AS $$ BEGIN RAISE 'no lock' USING ERRCODE = 'lock_not_available'; END $$;
CREATE FUNCTION no_disk(e sierra_event) RETURNS void LANGUAGE plpgsql
    AS $$ BEGIN RAISE 'no disk' USING ERRCODE = 'disk_full'; END $$;
SELECT create_projection('no lock', 'no_lock(sierra_event)', max_attempts => 1, on_error => 'park');
SELECT create_projection('no disk', 'no_disk(sierra_event)', max_attempts => 1);
SELECT count(eappend('no lock', 'E'));
SELECT run_projections();
SELECT projection, state, attempts, parked FROM event_projections() WHERE projection LIKE 'no %';
SELECT count(drop_projection(projection)) FROM event_projections() WHERE projection LIKE 'no %';
DROP FUNCTION no_lock, no_disk;
SELECT drop_event_store('es', force => true);
DROP VIEW status, seen_by;
DROP FUNCTION see_a, see_b, see_batch, see(text, sierra_event), good;
DROP TABLE poison, seen;
