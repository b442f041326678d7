-- row-level security of the events table applies to every read, its WITH CHECK to appends
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
SELECT create_event_store('es', 4);
-- Streams of two tenants in the same partitions; positions 0 to 19, even ones of tenant a.
SELECT count(*) FROM generate_series(0, 19) AS n,
       LATERAL eappend(CASE n % 2 WHEN 0 THEN 'a-' ELSE 'b-' END || n % 4, CASE n % 5 WHEN 0 THEN 'Fifth' ELSE 'Other' END, to_json(n));
SELECT count(*) FROM eappend('a-keyed', 'Other', event_id => '00000000-0000-4000-8000-000000000001', partition_key => 'user-123');
SELECT count(*) FROM eappend('b-keyed', 'Other', event_id => '00000000-0000-4000-8000-000000000002', partition_key => 'user-123');
SELECT stream_id, count(*) FROM eall() GROUP BY 1 ORDER BY 1;
CREATE ROLE regress_sierra_a;
GRANT USAGE ON SCHEMA es TO regress_sierra_a;
GRANT SELECT, INSERT ON es.events TO regress_sierra_a;
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
SET ROLE regress_sierra_a;
-- no policy: nothing to see, nothing to append
SELECT count(*) FROM eall();
SELECT esver('a-0'), (SELECT count(*) FROM escan('a-0')) AS escan, epseq(partition_key => 'user-123');
SELECT eappend('a-0', 'x');
:sqlstate
RESET ROLE;
CREATE POLICY tenant ON es.events TO regress_sierra_a USING (stream_id LIKE 'a-%') WITH CHECK (stream_id LIKE 'a-%' AND event_name <> 'Forbidden');

-- reads
SET ROLE regress_sierra_a;
SELECT DISTINCT stream_id FROM eall() ORDER BY 1;
SELECT array_agg(global_position) FROM eall();
SELECT array_agg(global_position) FROM eall(backward => true);
SELECT stream_version, payload FROM escan('a-0');
SELECT stream_version, payload FROM escan('a-0', 1, 3, 2, true);
SELECT count(*) FROM escan('b-1');
SELECT stream_id FROM escan('a-keyed');
SELECT count(*) FROM escan('b-keyed');
SELECT esver('a-0') AS a, esver('b-1') AS b, esver('a-keyed') AS a_keyed, esver('b-keyed') AS b_keyed;
SELECT stream_id FROM eget('00000000-0000-4000-8000-000000000001');
SELECT count(*) FROM eget('00000000-0000-4000-8000-000000000002');
SELECT p, (SELECT count(*) FROM epscan(p) WHERE stream_id NOT LIKE 'a-%') AS of_others,
       (SELECT count(*) FROM epscan(p)) = (SELECT count(*) FROM es.events WHERE partition_id = p) AS all_of_mine,
       epseq(p) IS NOT DISTINCT FROM (SELECT max(partition_sequence) FROM es.events WHERE partition_id = p) AS right_end
  FROM generate_series(0, 3) AS p;
-- pages: the limit counts visible events, and paging by cursor returns everything once
SELECT array_agg(global_position) FROM eall(max_count => 3);
SELECT array_agg(global_position) FROM eall(4, 3);
SELECT array_agg(global_position) FROM eall(max_count => 3, backward => true);
SELECT array_agg(global_position) FROM eall(event_names => ARRAY['Fifth']);
SELECT array_agg(global_position) FROM eall(streams => ARRAY['*-0', 'b-*']);
SELECT size, array_agg(p) FROM unnest(ARRAY[1, 2, 5, 100]) AS size,
       LATERAL (WITH RECURSIVE pages AS (
                    SELECT -1::bigint AS cursor, '{}'::bigint[] AS page
                    UNION ALL
                    SELECT n.page[cardinality(n.page)], n.page FROM pages AS w, LATERAL (SELECT array_agg(global_position) FROM eall(w.cursor, size)) AS n (page) WHERE n.page IS NOT NULL)
                SELECT unnest(page) FROM pages) AS x (p)
 GROUP BY size ORDER BY size;
SELECT array_agg(partition_sequence) IS NOT DISTINCT FROM (SELECT array_agg(partition_sequence) FROM (SELECT partition_sequence FROM es.events WHERE partition_id = 1 ORDER BY 1 LIMIT 2) AS s) AS first_two
  FROM epscan(1, max_count => 2);

-- appends: WITH CHECK decides, in every form
SELECT stream_version FROM eappend('a-0', 'Allowed', expected_version => 4);
SELECT eappend('b-1', 'x');
:sqlstate
SELECT eappend('a-0', 'Forbidden');
:sqlstate
SELECT emappend(NULL, ARRAY['a-0', 'a-2', 'b-1'], ARRAY['x', 'x', 'x']);
:sqlstate
SELECT emappend(NULL, '[{"stream_id": "a-0", "event_name": "x"}, {"stream_id": "a-0", "event_name": "Forbidden"}]');
:sqlstate
SELECT eappend('b-new', 'x', partition_key => 'p', event_id => '00000000-0000-4000-8000-000000000003');
:sqlstate
SELECT stream_id, stream_version FROM emappend(NULL, ARRAY['a-0', 'a-new', 'a-new'], ARRAY['x', 'x', 'x']);
SELECT stream_version FROM eappend('a-new2', 'x', partition_key => 'p', event_id => '00000000-0000-4000-8000-000000000003');
SELECT stream_version FROM eappend('a-new2', 'x', event_id => '00000000-0000-4000-8000-000000000003', expected_version => 'empty');
SELECT esver('a-0') AS a_0, esver('a-new') AS a_new, esver('a-new2') AS a_new2;
-- The numbers are those of the partition, whichever role can see them: still gapless.
RESET ROLE;
SELECT count(*) FROM everify();
SELECT esver('b-1') AS b_1, esver('b-new') AS b_new;
-- everify() would take hidden rows for gaps
SET ROLE regress_sierra_a;
SELECT everify();
:sqlstate
RESET ROLE;

-- Policies do not apply to the owner and superusers unless the table says so; row_security = off
-- refuses rather than leak.
SELECT count(*) FROM eall();
SET ROLE regress_sierra_a;
SET row_security = off;
SELECT escan('a-0');
:sqlstate
SELECT eappend('a-0', 'x');
:sqlstate
SELECT esver('a-0');
:sqlstate
RESET row_security;
RESET ROLE;
CREATE ROLE regress_sierra_bypass BYPASSRLS;
GRANT USAGE ON SCHEMA es TO regress_sierra_bypass;
GRANT SELECT, INSERT ON es.events TO regress_sierra_bypass;
SET ROLE regress_sierra_bypass;
SELECT count(*) FROM eall();
SELECT stream_version FROM eappend('b-1', 'Forbidden');
RESET ROLE;
-- forced on the owner
SELECT format('GRANT CREATE ON DATABASE %I TO regress_sierra_a', current_database()) \gexec
SET ROLE regress_sierra_a;
SELECT create_event_store('forced', 2);
SET sierra_es.store = forced;
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b'], ARRAY['x', 'x']);
ALTER TABLE forced.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT count(*) FROM eall();
SELECT eappend('a', 'x');
:sqlstate
CREATE POLICY only_a ON forced.events USING (stream_id = 'a');
SELECT stream_version FROM eappend('a', 'x');
SELECT eappend('b', 'x');
:sqlstate
SELECT stream_id, stream_version FROM eall();
RESET sierra_es.store;
SELECT drop_event_store('forced', force => true);
RESET ROLE;
SELECT format('REVOKE CREATE ON DATABASE %I FROM regress_sierra_a', current_database()) \gexec

-- a policy that reads a setting, as in applications with many tenants
DROP POLICY tenant ON es.events;
CREATE POLICY tenant ON es.events TO regress_sierra_a USING (starts_with(stream_id, current_setting('app.tenant', true)));
SET ROLE regress_sierra_a;
SELECT count(*) FROM eall();
SET app.tenant = 'b-';
SELECT DISTINCT left(stream_id, 2) FROM eall();
SELECT stream_version FROM eappend('b-9', 'x');
SELECT eappend('a-9', 'x');
:sqlstate
SET app.tenant = 'a-';
SELECT DISTINCT left(stream_id, 2) FROM eall();
RESET app.tenant;
RESET ROLE;
ALTER TABLE es.events DISABLE ROW LEVEL SECURITY;
SET ROLE regress_sierra_a;
SELECT DISTINCT left(stream_id, 2) FROM eall() ORDER BY 1;
RESET ROLE;

-- Large pages under row-level security: more than a batch of the look-up, in the right order.
SELECT count(*) FROM emappend(NULL, (SELECT array_agg('c-' || n % 40) FROM generate_series(1, 3000) AS n), array_fill('x'::text, ARRAY[3000]));
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON es.events;
CREATE POLICY all_c ON es.events TO regress_sierra_a USING (stream_id LIKE 'c-%');
SET ROLE regress_sierra_a;
SELECT count(*), count(*) FILTER (WHERE step <= 0) AS falling
  FROM (SELECT global_position - lag(global_position) OVER (ORDER BY o) AS step
          FROM (SELECT row_number() OVER () AS o, global_position FROM eall(max_count => NULL)) AS e) AS s;
SELECT count(*), count(*) FILTER (WHERE step <> 1) AS skipping
  FROM (SELECT stream_version - lag(stream_version) OVER (ORDER BY o) AS step FROM (SELECT row_number() OVER () AS o, stream_version FROM escan('c-7')) AS e) AS s;
RESET ROLE;

SELECT drop_event_store('es', force => true);
DROP ROLE regress_sierra_a, regress_sierra_bypass;
