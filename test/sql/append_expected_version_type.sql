-- type expected_version: text and binary form, casts
\set SHOW_CONTEXT never
\set sqlstate '\\echo SQLSTATE :LAST_ERROR_SQLSTATE'

SELECT v::expected_version
  FROM unnest(ARRAY['any', 'exists', 'empty', 'ANY', 'Exists', 'eMPTY', '0', '1', '007',
                    '9223372036854775807']) AS v;

-- what is neither a word nor a version
SELECT ''::expected_version;
:sqlstate
SELECT ' any'::expected_version;
:sqlstate
SELECT 'any '::expected_version;
:sqlstate
SELECT 'anything'::expected_version;
:sqlstate
SELECT '-1'::expected_version;
:sqlstate
SELECT '+1'::expected_version;
:sqlstate
SELECT '1.0'::expected_version;
:sqlstate
SELECT '1 '::expected_version;
:sqlstate
SELECT '0x10'::expected_version;
:sqlstate
SELECT '9223372036854775808'::expected_version;
:sqlstate
SELECT NULL::expected_version IS NULL AS null_stays_null;

-- casts from all integers are implicit, so that calls need no explicit cast
SELECT 0::smallint::expected_version, 1::int::expected_version, 2::bigint::expected_version;
SELECT 32767::smallint::expected_version, 2147483647::expected_version,
       9223372036854775807::expected_version;
SELECT castsource::regtype, castcontext, castmethod
  FROM pg_cast WHERE casttarget = 'expected_version'::regtype ORDER BY castsource;
-- -1 is "no stream" elsewhere and "any" in other places: here it is an error
SELECT (-1)::smallint::expected_version;
:sqlstate
SELECT (-1)::expected_version;
:sqlstate
SELECT (-3)::bigint::expected_version;
:sqlstate
-- a comparison has no meaning between "any" and 3, so there is none
SELECT 'any'::expected_version = 'any'::expected_version;
:sqlstate

-- binary form: eight bytes; any, exists and empty are -1, -2 and -3
SELECT v, sierra_internal.expected_version_send(v::expected_version)
  FROM unnest(ARRAY['any', 'exists', 'empty', '0', '258']) AS v;

-- SQL can call a receive function only by COPY.
\getenv abs_builddir PG_ABS_BUILDDIR
\set file :abs_builddir '/results/expected_version.bin'
CREATE TABLE sent (v expected_version);
CREATE TABLE received (LIKE sent);
INSERT INTO sent VALUES ('any'), ('exists'), ('empty'), ('0'), (9223372036854775807), (NULL);
COPY sent TO :'file' (FORMAT binary);
COPY received FROM :'file' (FORMAT binary);
SELECT * FROM received;
COPY (SELECT (-4)::bigint) TO :'file' (FORMAT binary);
COPY received FROM :'file' (FORMAT binary);
:sqlstate
COPY (SELECT 1::int) TO :'file' (FORMAT binary);
\set VERBOSITY sqlstate
COPY received FROM :'file' (FORMAT binary);
\set VERBOSITY default
SELECT count(*) FROM received;
DROP TABLE sent, received;

-- the pass-by-value type can be stored and kept in arrays
SELECT ARRAY['any', '3']::expected_version[], (ARRAY['any', '3']::expected_version[])[2];
