-- The types: columns in their order, and the properties of those with values of their own.
BEGIN;
SELECT plan(47);

CREATE FUNCTION pg_temp.columns_of(type regtype) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
      FROM pg_attribute JOIN pg_type ON typrelid = attrelid WHERE pg_type.oid = $1 AND attnum > 0 $$;

SELECT has_type('sierra_event');
SELECT has_type('sierra_append_result');
SELECT has_type('sierra_append_outcome');
SELECT has_type('expected_version');
SELECT is(pg_temp.columns_of('sierra_event'),
          'global_position bigint, partition_id integer, partition_sequence bigint, stream_id text,'
          ' stream_version bigint, event_id uuid, event_name text, timestamp timestamp with time zone,'
          ' partition_key uuid, transaction_id uuid, metadata json, payload json, payload_bytes bytea, tags text[]',
          'columns of sierra_event');
SELECT is(pg_temp.columns_of('sierra_append_result'),
          'event_id uuid, partition_key uuid, partition_id integer, partition_sequence bigint, stream_id text,'
          ' stream_version bigint, timestamp timestamp with time zone, transaction_id uuid, global_position bigint',
          'columns of sierra_append_result');
SELECT is(pg_temp.columns_of('sierra_append_outcome'),
          'status text, sqlstate text, message text, detail text, hint text, table_name text, column_name text,'
          ' constraint_name text, ' || pg_temp.columns_of('sierra_append_result'),
          'columns of sierra_append_outcome: the error of a refusal, and those of sierra_append_result');
-- portable_positions: nothing that a user can store has a type that is valid in this cluster only.
SELECT is_empty(
    $$SELECT attname FROM pg_attribute
       WHERE attrelid IN ('sierra_event'::regclass, 'sierra_append_result'::regclass, 'sierra_append_outcome'::regclass)
         AND atttypid IN ('xid'::regtype, 'xid8'::regtype, 'pg_lsn'::regtype, 'oid'::regtype, 'tid'::regtype, 'regclass'::regtype)$$,
    'portable_positions: no xid, LSN or OID in an event or in the answer to an append');

SELECT ok(typbyval AND typlen = 8, 'expected_version is passed by value, as bigint is')
  FROM pg_type WHERE oid = 'expected_version'::regtype;
SELECT is(typalign, 'd', 'alignment of expected_version') FROM pg_type WHERE oid = 'expected_version'::regtype;
SELECT is(typstorage, 'p', 'storage of expected_version') FROM pg_type WHERE oid = 'expected_version'::regtype;
SELECT is(ARRAY[typinput, typoutput, typreceive, typsend]::text[],
          ARRAY['sierra_internal.expected_version_in', 'sierra_internal.expected_version_out',
                'sierra_internal.expected_version_recv', 'sierra_internal.expected_version_send'],
          'text and binary I/O of expected_version')
  FROM pg_type WHERE oid = 'expected_version'::regtype;
SELECT has_cast('smallint', 'expected_version', 'cast from smallint');
SELECT has_cast('integer', 'expected_version', 'cast from integer');
SELECT has_cast('bigint', 'expected_version', 'cast from bigint');
SELECT has_cast('text', 'expected_version', 'cast from text');
SELECT has_cast('character varying', 'expected_version', 'cast from varchar');
SELECT is((SELECT string_agg(castcontext::text, '') FROM pg_cast WHERE casttarget = 'expected_version'::regtype), 'iiiii',
          'these five casts, all implicit');
SELECT is_empty($$SELECT 1 FROM pg_cast WHERE castsource = 'expected_version'::regtype$$,
                'none from expected_version: any is not a number');
SELECT is_empty($$SELECT 1 FROM pg_opclass WHERE opcintype = 'expected_version'::regtype$$,
                'expected_version has no order');
SELECT is('any'::expected_version::text, 'any', 'expected_version reads and writes words');
SELECT is(7::expected_version::text, '7', 'expected_version takes numbers');
SELECT throws_ok($$SELECT 'none'::expected_version$$, '22P02', 'invalid expected version: "none"',
                 'expected_version refuses what is neither');

SELECT has_type('sierra_json');
SELECT has_cast('json', 'sierra_json', 'cast from json');
SELECT has_cast('jsonb', 'sierra_json', 'cast from jsonb');
SELECT has_cast('text', 'sierra_json', 'cast from text');
SELECT has_cast('character varying', 'sierra_json', 'cast from varchar');
SELECT is((SELECT string_agg(castcontext::text, '') FROM pg_cast WHERE casttarget = 'sierra_json'::regtype), 'iiii',
          'these four casts, all implicit');

SELECT has_type('sierra_function');
SELECT ok(typbyval AND typlen = 4, 'sierra_function is passed by value, as regprocedure is')
  FROM pg_type WHERE oid = 'sierra_function'::regtype;
SELECT has_cast('regprocedure', 'sierra_function', 'cast from regprocedure');
SELECT has_cast('regproc', 'sierra_function', 'cast from regproc');
SELECT has_cast('text', 'sierra_function', 'cast from text');
SELECT has_cast('character varying', 'sierra_function', 'cast from varchar');
SELECT is((SELECT string_agg(castcontext::text, '') FROM pg_cast WHERE casttarget = 'sierra_function'::regtype), 'iiii',
          'these four casts, all implicit');
SELECT is('now'::sierra_function::text, 'now()', 'sierra_function finds a function by its name');

SELECT has_type('start_position');
SELECT ok(typbyval AND typlen = 8, 'start_position is passed by value, as bigint is')
  FROM pg_type WHERE oid = 'start_position'::regtype;
SELECT has_cast('smallint', 'start_position', 'cast from smallint');
SELECT has_cast('integer', 'start_position', 'cast from integer');
SELECT has_cast('bigint', 'start_position', 'cast from bigint');
SELECT has_cast('text', 'start_position', 'cast from text');
SELECT has_cast('character varying', 'start_position', 'cast from varchar');
SELECT is((SELECT string_agg(castcontext::text, '') FROM pg_cast WHERE casttarget = 'start_position'::regtype), 'iiiii',
          'these five casts, all implicit');
SELECT is_empty($$SELECT 1 FROM pg_cast WHERE castsource = 'start_position'::regtype$$,
                'none from start_position: latest is not a number');
SELECT is((-1)::start_position::text, 'earliest', 'start_position takes numbers: -1 is earliest');

SELECT * FROM finish();
ROLLBACK;
