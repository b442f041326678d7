-- Type start_position: where subscriptions and projections begin; expected_version as drivers send it
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'
\getenv abs_srcdir PG_ABS_SRCDIR
\set functions :abs_srcdir '/sql/include/argument_types.sql'
\set ECHO none
\i :functions
\set ECHO all
SELECT create_event_store('es', 2);
SELECT count(*) FROM generate_series(1, 10) AS n, eappend('a', 'x' || n);

-- every public function that takes one takes it in each of these types
SELECT call, error FROM calls_with('start_position', 'bigint');
SELECT type, given, count(*) FILTER (WHERE error IS NULL) AS found, count(*) FILTER (WHERE error IS NOT NULL) AS not_found
  FROM unnest(ARRAY['start_position', 'expected_version']) AS t (type),
       unnest(ARRAY['smallint', 'integer', 'bigint', 'text', 'varchar', 'numeric', 'boolean', 'json']) WITH ORDINALITY AS g (given, n),
       calls_with(type, given)
 GROUP BY type, n, given ORDER BY type DESC, n;
SELECT columns_with('start_position'), columns_with('expected_version');
SELECT proname, proargnames[n] FROM pg_proc, generate_series(1, pronargs) AS n
 WHERE pronamespace = 'public'::regnamespace AND proargnames[n] = 'start_from' AND proargtypes[n - 1] <> 'start_position'::regtype;
SELECT t.oid::regtype, t.typlen, t.typbyval, t.typalign, t.typstorage
  FROM pg_type AS t WHERE t.oid IN ('bigint'::regtype, 'start_position'::regtype) ORDER BY t.oid;
SELECT casttarget::regtype, castsource::regtype, castcontext, castmethod
  FROM pg_cast WHERE casttarget IN ('start_position'::regtype, 'expected_version'::regtype) ORDER BY casttarget::regtype::text, castsource;

-- words in any case, and positions
SELECT t, t::start_position FROM unnest(ARRAY['latest', 'LATEST', 'earliest', 'Earliest', '-1', '0', '-0', '1', '007', '9223372036854775807']) AS t;
SELECT (-1)::smallint::start_position, 0::smallint::start_position, (-1)::start_position, 5::start_position, (-1)::bigint::start_position, 9223372036854775807::start_position,
       NULL::start_position IS NULL AS null_stays_null;
-- what is neither
SELECT ''::start_position;
:sqlstate
SELECT 'first'::start_position;
:sqlstate
SELECT ' latest'::start_position;
:sqlstate
SELECT '-2'::start_position;
:sqlstate
SELECT '-'::start_position;
:sqlstate
SELECT '+1'::start_position;
:sqlstate
SELECT '1.0'::start_position;
:sqlstate
SELECT ' 1'::start_position;
:sqlstate
SELECT '- 1'::start_position;
:sqlstate
SELECT '--1'::start_position;
:sqlstate
SELECT '9223372036854775808'::start_position;
:sqlstate
SELECT 'yesterday'::text::start_position;
:sqlstate
SELECT (-2)::smallint::start_position;
:sqlstate
SELECT (-2)::start_position;
:sqlstate
SELECT (-9223372036854775807)::bigint::start_position;
:sqlstate

-- in each function
SELECT esub('literal', start_from => '5'), esub('integer', start_from => 5), esub('bigint', start_from => 5::bigint), esub('smallint', start_from => 5::smallint),
       esub('text', start_from => '5'::text), esub('varchar', start_from => '5'::varchar), esub('minus one', start_from => -1), esub('earliest', start_from => 'earliest'::text),
       esub('latest', start_from => 'Latest'), esub('default');
SELECT epsub('p literal', start_from => '5'), epsub('p integer', start_from => 5), epsub('p text', start_from => '5'::text), epsub('p minus one', start_from => -1), epsub('p latest', start_from => 'latest'::varchar),
       epsub('p default'), epsub('p positional', ARRAY[0], 5);
SELECT esub('of another', start_from => cursor) FROM event_subscriptions() WHERE subscription = 'integer';
SELECT subscription, start_after, start_sequences FROM es.subscriptions ORDER BY subscription;
SELECT subscription, (SELECT array_agg(global_position) FROM epeek(subscription)) AS events FROM es.subscriptions ORDER BY subscription;
CREATE FUNCTION fold(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1';
SELECT create_projection('integer', 'fold', mode => 'manual', start_from => 5), create_projection('text', 'fold', mode => 'manual', start_from => '5'::text),
       create_projection('latest', 'fold', mode => 'manual', start_from => 'latest'), create_projection('default', 'fold', mode => 'manual'),
       create_process_manager('m integer', 'fold', mode => 'manual', start_from => 5), create_process_manager('m varchar', 'fold', mode => 'manual', start_from => '5'::varchar),
       create_process_manager('m default', 'fold', mode => 'manual');
SELECT projection, cursor FROM event_projections() ORDER BY projection;
SELECT esub('x', start_from => -2);
:sqlstate
SELECT esub('x', start_from => 'now');
:sqlstate
SELECT epsub('x', start_from => 1.5);
:sqlstate
SELECT create_projection('x', 'fold', start_from => 'never'::text);
:sqlstate
SELECT create_process_manager('x', 'fold', start_from => NULL);
:sqlstate
PREPARE untyped AS SELECT esub($1, start_from => $2);
SELECT parameter_types FROM pg_prepared_statements WHERE name = 'untyped';
EXECUTE untyped ('prepared', 7);
EXECUTE untyped ('prepared text', '7'::text);
PREPARE typed (text, int, bigint, text, varchar) AS SELECT esub($1 || 1, start_from => $2), esub($1 || 2, start_from => $3), esub($1 || 3, start_from => $4), esub($1 || 4, start_from => $5);
EXECUTE typed ('typed ', 1, 2, '3', 'earliest');
DEALLOCATE ALL;

-- binary form: eight bytes; earliest and latest are -1 and -2 (SQL can call a receive function only by COPY)
SELECT t, sierra_internal.start_position_send(t::start_position) FROM unnest(ARRAY['latest', 'earliest', '0', '258']) AS t;
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/start_position.bin'
CREATE TABLE sent (p start_position);
CREATE TABLE received (LIKE sent);
INSERT INTO sent VALUES ('latest'), ('earliest'), (0), (9223372036854775807), (NULL);
COPY sent TO :'file' (FORMAT binary);
COPY received FROM :'file' (FORMAT binary);
SELECT * FROM received;
COPY (SELECT (-3)::bigint) TO :'file' (FORMAT binary);
COPY received FROM :'file' (FORMAT binary);
:sqlstate
COPY (SELECT 1::int) TO :'file' (FORMAT binary);
\set VERBOSITY sqlstate
COPY received FROM :'file' (FORMAT binary);
\set VERBOSITY default
SELECT count(*) FROM received;
SELECT 'latest'::start_position = 'latest'::start_position;
:sqlstate
DROP TABLE sent, received;

-- expected versions from text
SELECT stream_version FROM eappend('v', 'x', expected_version => 'empty'::text);
SELECT stream_version FROM eappend('v', 'x', expected_version => '0'::varchar);
SELECT stream_version FROM eappend('v', 'x', expected_version => '0'::text);
:sqlstate
SELECT stream_version FROM eappend('v', 'x', expected_version => 'none'::text);
:sqlstate
SELECT stream_version FROM emappend(NULL, ARRAY['v', 'v'], ARRAY['x', 'x'], expected_versions => ARRAY['1', '2']);
SELECT stream_version FROM emappend(NULL, ARRAY['v', 'v'], ARRAY['x', 'x'], expected_versions => ARRAY['3', 'any']::varchar[]);
SELECT stream_version FROM emappend(NULL, ARRAY['v'], ARRAY['x'], expected_versions => ARRAY[5]);

SELECT drop_event_store('es', force => true);
DROP FUNCTION calls_with(text, text), columns_with(text), fold(jsonb, sierra_event);
