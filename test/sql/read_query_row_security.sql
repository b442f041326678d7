-- row-level security of the events table applies to equery() and to the tags of eall()
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- positions 0 to 199, even ones of tenant a; all have tag t, each tenth also ten
SELECT count(*) FROM generate_series(0, 199) AS n,
       LATERAL eappend(CASE n % 2 WHEN 0 THEN 'a-' ELSE 'b-' END || n % 8, CASE n % 3 WHEN 0 THEN 'Third' ELSE 'Other' END,
                       tags => CASE n % 10 WHEN 0 THEN ARRAY['t', 'ten'] WHEN 1 THEN ARRAY['ten', 't'] ELSE ARRAY['t'] END);
CREATE ROLE regress_sierra_a;
CREATE ROLE regress_sierra_nobody;
GRANT USAGE ON SCHEMA es TO regress_sierra_a, regress_sierra_nobody;
GRANT SELECT ON es.events TO regress_sierra_a;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
SET ROLE regress_sierra_a;
-- no policy: nothing to see
SELECT count(*) FROM equery('[{"tags": ["t"]}]');
RESET ROLE;
CREATE POLICY tenant ON es.events TO regress_sierra_a USING (stream_id LIKE 'a-%');
SET ROLE regress_sierra_a;
SELECT count(*), count(*) FILTER (WHERE stream_id LIKE 'b-%') AS of_others FROM equery('[{"tags": ["t"]}]');
SELECT array_agg(global_position) FROM equery('[{"tags": ["ten"]}]');
SELECT array_agg(global_position) FROM equery('[{"tags": ["ten", "t"]}]', 50, 5);
SELECT array_agg(global_position) FROM equery('[{"tags": ["ten"]}]', 150, 5, true, 10);
SELECT array_agg(global_position) FROM equery('[{"types": ["Third"], "tags": ["ten"]}]');
SELECT array_agg(global_position) FROM equery('[{"types": ["Third"]}]', max_count => 4);
SELECT array_agg(global_position) FROM eall(tags => ARRAY['ten'], max_count => 4);
-- the tags themselves cannot be read
SELECT count(*) FROM es.event_tags;
:sqlstate
SET ROLE regress_sierra_nobody;
SELECT count(*) FROM equery('[{"tags": ["t"]}]');
:sqlstate
RESET ROLE;
-- a policy on tags
DROP POLICY tenant ON es.events;
CREATE POLICY by_tag ON es.events TO regress_sierra_a USING ('ten' = ANY (tags));
SET ROLE regress_sierra_a;
SELECT count(*) FROM equery('[{"tags": ["t"]}]');
RESET ROLE;
SELECT drop_event_store('es', force => true);
DROP ROLE regress_sierra_a, regress_sierra_nobody;
