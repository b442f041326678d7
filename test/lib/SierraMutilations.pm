# SierraMutilations.pm
#     What the owner of a store can do to it, a line for each.

package SierraMutilations;

use strict;
use utf8;
use warnings;

use Exporter qw(import);
use SierraTest;

our @EXPORT = qw(mutilations_by_hand mutilations_of_columns);

# name | statements; what is in brackets before the name:
#   superuser    the statements need one
#   fewer        events that are there can be missing: they are hidden or gone
my $handwritten = <<'LIST';
# --- indexes of a partition
leaf: primary key on event_id | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (event_id)
leaf: primary key on (partition_sequence, event_id) | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (partition_sequence, event_id)
leaf: primary key on (event_id, partition_sequence) | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (event_id, partition_sequence)
leaf: primary key on (stream_id, stream_version) | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (stream_id, stream_version)
leaf: primary key on global_position | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (global_position)
leaf: primary key on partition_id and sequence | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (partition_id, partition_sequence)
leaf: primary key deferrable | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (partition_sequence) DEFERRABLE INITIALLY DEFERRED
leaf: primary key with included columns | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD PRIMARY KEY (partition_sequence) INCLUDE (event_id)
leaf: primary key dropped | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence
leaf: primary key is only unique | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence, ADD UNIQUE (partition_sequence)
leaf: stream index dropped | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream
leaf: stream index in another order | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream, ADD UNIQUE (stream_version, stream_id)
leaf: stream index on stream_id alone | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream; CREATE INDEX ON es.events_1 (stream_id)
leaf: stream index on three columns | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream, ADD UNIQUE (stream_id, stream_version, event_id)
leaf: stream index by another collation | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream; CREATE UNIQUE INDEX ON es.events_1 (stream_id COLLATE "POSIX", stream_version)
leaf: stream index by another operator class | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream; CREATE UNIQUE INDEX ON es.events_1 (stream_id text_pattern_ops, stream_version)
leaf: stream index descending | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream; CREATE UNIQUE INDEX ON es.events_1 (stream_id DESC, stream_version DESC)
leaf: stream index partial | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream; CREATE UNIQUE INDEX ON es.events_1 (stream_id, stream_version) WHERE stream_version > 1
leaf: stream index on an expression | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream; CREATE UNIQUE INDEX ON es.events_1 (lower(stream_id), stream_version)
leaf: stream index on a trailing expression | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream; CREATE UNIQUE INDEX ON es.events_1 (stream_id, (stream_version % 2), event_id)
leaf: stream index not unique | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream; CREATE INDEX ON es.events_1 (stream_id, stream_version)
leaf: id index dropped | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_event_id
leaf: id index partial | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_event_id; CREATE UNIQUE INDEX ON es.events_1 (event_id) WHERE event_name = 'Happened'
leaf: id index by hash | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_event_id; CREATE INDEX ON es.events_1 USING hash (event_id)
leaf: an exclusion constraint by hash | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_event_id; ALTER TABLE es.events_1 ADD EXCLUDE USING hash (event_id WITH =)
leaf: id index on a function of it | ALTER TABLE es.events_1 DROP CONSTRAINT events_1_event_id; CREATE UNIQUE INDEX ON es.events_1 ((event_id::text))
[superuser] leaf: indexes not valid | UPDATE pg_index SET indisvalid = false WHERE indrelid = 'es.events_1'::regclass
[superuser] leaf: primary key not valid | UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'es.events_1_sequence'::regclass
[superuser] leaf: primary key by a reversed operator class | CREATE FUNCTION es.reversed(bigint, bigint) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT btint8cmp($2, $1)'; CREATE OPERATOR CLASS es.reversed_ops FOR TYPE bigint USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 es.reversed(bigint, bigint); ALTER TABLE es.events_1 DROP CONSTRAINT events_1_sequence; CREATE UNIQUE INDEX events_1_sequence ON es.events_1 (partition_sequence es.reversed_ops); UPDATE pg_index SET indisprimary = true WHERE indexrelid = 'es.events_1_sequence'::regclass
leaf: category index | CREATE INDEX ON es.events_1 (split_part(stream_id, '-', 1), partition_sequence)
leaf: category index by another function | CREATE FUNCTION es.split_part(text, text, integer) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT ''none''::text COLLATE "C"'; CREATE INDEX ON es.events_1 (es.split_part(stream_id, '-', 1), partition_sequence)
leaf: category index partial | CREATE INDEX ON es.events_1 (split_part(stream_id, '-', 1), partition_sequence) WHERE stream_version > 1
leaf: category index descending | CREATE INDEX ON es.events_1 (split_part(stream_id, '-', 1) DESC, partition_sequence DESC)
[superuser] leaf: category index not valid | CREATE INDEX es_category ON es.events_1 (split_part(stream_id, '-', 1), partition_sequence); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'es.es_category'::regclass
leaf: an index whose expression fails | CREATE FUNCTION es.fails(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN IF $1 LIKE ''Ag%'' THEN RAISE ''no''; END IF; RETURN $1; END'; CREATE INDEX ON es.events_1 (es.fails(event_name))
# --- partitions
leaf: two bigints exchanged | SELECT testing.replace_leaf('es', 'stream_version, partition_sequence, global_position, timestamp, event_id, partition_key, transaction_id, partition_id, stream_id, event_name, metadata, payload, payload_bytes, tags')
leaf: position and sequence exchanged | SELECT testing.replace_leaf('es', 'global_position, stream_version, partition_sequence, timestamp, event_id, partition_key, transaction_id, partition_id, stream_id, event_name, metadata, payload, payload_bytes, tags')
leaf: uuid and text exchanged | SELECT testing.replace_leaf('es', 'partition_sequence, stream_version, global_position, timestamp, stream_id, partition_key, transaction_id, partition_id, event_id, event_name, metadata, payload, payload_bytes, tags')
leaf: bigint and uuid exchanged | SELECT testing.replace_leaf('es', 'event_id, stream_version, global_position, timestamp, partition_sequence, partition_key, transaction_id, partition_id, stream_id, event_name, metadata, payload, payload_bytes, tags')
leaf: payload and bytes exchanged | SELECT testing.replace_leaf('es', 'partition_sequence, stream_version, global_position, timestamp, event_id, partition_key, transaction_id, partition_id, stream_id, event_name, metadata, payload_bytes, payload, tags')
leaf: columns reversed | SELECT testing.replace_leaf('es', 'tags, payload_bytes, payload, metadata, event_name, stream_id, partition_id, transaction_id, partition_key, event_id, timestamp, global_position, stream_version, partition_sequence')
leaf: a dropped column | SELECT testing.replace_leaf_with_gap('es')
leaf: same columns, another table | SELECT testing.replace_leaf('es', '*')
leaf: detached | ALTER TABLE es.events DETACH PARTITION es.events_1
leaf: dropped | SET LOCAL sierra_es.restore = on; DROP TABLE es.events_1; SET LOCAL sierra_es.restore = off
leaf: attached for two values | ALTER TABLE es.events DETACH PARTITION es.events_1; ALTER TABLE es.events ATTACH PARTITION es.events_1 FOR VALUES IN (1, 9)
leaf: attached for null too | ALTER TABLE es.events DETACH PARTITION es.events_1; ALTER TABLE es.events ATTACH PARTITION es.events_1 FOR VALUES IN (1, NULL)
leaf: one more | CREATE TABLE es.events_4 PARTITION OF es.events FOR VALUES IN (4)
leaf: one by default | CREATE TABLE es.others PARTITION OF es.events DEFAULT
leaf: default in the place of one | ALTER TABLE es.events DETACH PARTITION es.events_1; ALTER TABLE es.events ATTACH PARTITION es.events_1 DEFAULT
leaf: partitioned itself | SET LOCAL sierra_es.restore = on; DROP TABLE es.events_1; SET LOCAL sierra_es.restore = off; CREATE TABLE es.events_1 PARTITION OF es.events FOR VALUES IN (1) PARTITION BY LIST (partition_id); CREATE TABLE es.events_1_1 PARTITION OF es.events_1 DEFAULT
leaf: a foreign table | SET LOCAL sierra_es.restore = on; DROP TABLE es.events_1; SET LOCAL sierra_es.restore = off; CREATE FOREIGN TABLE es.events_1 PARTITION OF es.events FOR VALUES IN (1) SERVER nowhere
[fewer] leaf: an empty one without indexes | SET LOCAL sierra_es.restore = on; DROP TABLE es.events_1; SET LOCAL sierra_es.restore = off; CREATE TABLE es.events_1 PARTITION OF es.events FOR VALUES IN (1)
[fewer] leaf: an empty one | ALTER TABLE es.events DETACH PARTITION es.events_1; CREATE TABLE es.empty (LIKE es.events_1 INCLUDING INDEXES); ALTER TABLE es.events ATTACH PARTITION es.empty FOR VALUES IN (1)
leaf: in another schema | ALTER TABLE es.events_1 SET SCHEMA handlers
leaf: unlogged | ALTER TABLE es.events_1 SET UNLOGGED
leaf: renamed | ALTER TABLE es.events_1 RENAME TO otherwise
leaf: default values | ALTER TABLE es.events_1 ALTER COLUMN event_name SET DEFAULT 'x'
leaf: a check that fails | ALTER TABLE es.events_1 ADD CHECK (event_name <> 'Again') NOT VALID
[fewer] leaf: no events any more | SELECT testing.unguard('es'); DELETE FROM es.events_1
[fewer] leaf: the newest event is gone | SELECT testing.unguard('es'); DELETE FROM es.events_1 WHERE partition_sequence > 3
[fewer] leaf: an event in the middle is gone | SELECT testing.unguard('es'); DELETE FROM es.events_1 WHERE partition_sequence = 1
[fewer] leaf: sequences at the end of bigint | SELECT testing.unguard('es'); UPDATE es.events_1 SET partition_sequence = partition_sequence + 9223372036854775800 - (SELECT max(partition_sequence) FROM es.events_1) + 7
[fewer] leaf: versions at the end of bigint | SELECT testing.unguard('es'); UPDATE es.events_1 SET stream_version = 9223372036854775807 - stream_version WHERE stream_id = 'user-123'
[fewer] leaf: positions at the end of bigint | SELECT testing.unguard('es'); UPDATE es.events_1 SET global_position = 9223372036854775807 - 3 + stream_version WHERE stream_id = 'user-123'
[fewer] leaf: negative positions | SELECT testing.unguard('es'); UPDATE es.events_1 SET global_position = - global_position - 5
[fewer] leaf: a very long stream_id | SELECT testing.unguard('es'); UPDATE es.events_1 SET stream_id = repeat('x', 1000) || event_id
[fewer] leaf: a huge payload | SELECT testing.unguard('es'); UPDATE es.events_1 SET payload = to_json(repeat('x', 3000000))
[fewer] leaf: metadata that no append takes | SELECT testing.unguard('es'); UPDATE es.events_1 SET metadata = '[1, {"correlation_id": 3}]'
[fewer] leaf: metadata is a string | SELECT testing.unguard('es'); UPDATE es.events_1 SET metadata = '"x"'
[fewer] leaf: schema_version odd | SELECT testing.unguard('es'); UPDATE es.events_1 SET metadata = '{"schema_version": 1e400}'
[fewer] leaf: infinite times | SELECT testing.unguard('es'); UPDATE es.events_1 SET timestamp = 'infinity'
# --- the events table
events: one more column | ALTER TABLE es.events ADD COLUMN note text
events: one more column, not null | ALTER TABLE es.events ADD COLUMN note text NOT NULL DEFAULT 'x'
events: a generated column | ALTER TABLE es.events ADD COLUMN twice bigint GENERATED ALWAYS AS (global_position * 2) STORED
events: a column dropped and added again | ALTER TABLE es.events DROP COLUMN payload; ALTER TABLE es.events ADD COLUMN payload json
events: two columns exchange their names | ALTER TABLE es.events RENAME COLUMN stream_version TO x; ALTER TABLE es.events RENAME COLUMN partition_sequence TO stream_version; ALTER TABLE es.events RENAME COLUMN x TO partition_sequence
events: another collation | ALTER TABLE es.events_0 DROP CONSTRAINT events_0_stream; ALTER TABLE es.events_1 DROP CONSTRAINT events_1_stream; ALTER TABLE es.events_2 DROP CONSTRAINT events_2_stream; ALTER TABLE es.events_3 DROP CONSTRAINT events_3_stream; ALTER TABLE es.events ALTER COLUMN stream_id TYPE text COLLATE "POSIX"
events: a domain as type | CREATE DOMAIN es.id AS text COLLATE "C"; ALTER TABLE es.events ALTER COLUMN event_name TYPE es.id
events: renamed | ALTER TABLE es.events RENAME TO was_events
events: a view | ALTER TABLE es.events RENAME TO was_events; CREATE VIEW es.events AS TABLE es.was_events; GRANT ALL ON es.events TO PUBLIC
events: a materialized view | ALTER TABLE es.events RENAME TO was_events; CREATE MATERIALIZED VIEW es.events AS TABLE es.was_events; GRANT ALL ON es.events TO PUBLIC
events: an ordinary table | ALTER TABLE es.events RENAME TO was_events; CREATE TABLE es.events AS TABLE es.was_events; GRANT ALL ON es.events TO PUBLIC
events: partitioned by range | ALTER TABLE es.events RENAME TO was_events; CREATE TABLE es.events (LIKE es.was_events) PARTITION BY RANGE (partition_id); CREATE TABLE es.r PARTITION OF es.events FOR VALUES FROM (0) TO (4); CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('1')
events: partitioned by hash | ALTER TABLE es.events RENAME TO was_events; CREATE TABLE es.events (LIKE es.was_events) PARTITION BY HASH (partition_id); CREATE TABLE es.h PARTITION OF es.events FOR VALUES WITH (MODULUS 1, REMAINDER 0); CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('1')
events: partitioned by a bigint | ALTER TABLE es.events RENAME TO was_events; CREATE TABLE es.events (LIKE es.was_events) PARTITION BY LIST (partition_sequence); CREATE TABLE es.l0 PARTITION OF es.events FOR VALUES IN (0); CREATE TABLE es.l1 PARTITION OF es.events FOR VALUES IN (1); CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('1')
[superuser] events: partitioned by a text | ALTER TABLE es.events RENAME TO was_events; CREATE TABLE es.events (LIKE es.was_events) PARTITION BY LIST (stream_id); CREATE TABLE es.l0 PARTITION OF es.events FOR VALUES IN ('a'); CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('1'); GRANT ALL ON es.events TO PUBLIC
[superuser] events: partitioned by an expression | ALTER TABLE es.events RENAME TO was_events; CREATE TABLE es.events (LIKE es.was_events) PARTITION BY LIST ((partition_id::text)); CREATE TABLE es.l0 PARTITION OF es.events FOR VALUES IN ('0'); CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('1'); GRANT ALL ON es.events TO PUBLIC
events: a rule | CREATE RULE nothing AS ON INSERT TO es.events DO INSTEAD NOTHING
events: a rule of its leaf | CREATE RULE nothing AS ON INSERT TO es.events_1 DO INSTEAD NOTHING
[fewer] events: row security | ALTER TABLE es.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON es.events USING (stream_id <> 'a')
[fewer] events: row security of a leaf | ALTER TABLE es.events_1 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
[fewer] events: a policy that fails | ALTER TABLE es.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON es.events USING (1 / (partition_sequence - 1) > 0)
events: nobody may | REVOKE ALL ON es.events FROM PUBLIC, regress_sierra_owner, regress_sierra_reader
# --- guards
guard: dropped | DROP TRIGGER sierra_guard ON es.events
guard: disabled | ALTER TABLE es.events DISABLE TRIGGER sierra_guard
guard: all dropped | DROP TRIGGER sierra_guard ON es.events; DROP TRIGGER sierra_guard ON es.stream_keys; DROP TRIGGER sierra_guard ON es.event_ids
[superuser] guard: without argument | DROP TRIGGER sierra_guard ON es.events; CREATE TRIGGER sierra_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events()
[superuser] guard: argument 0 | DROP TRIGGER sierra_guard ON es.events; CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('0')
[superuser] guard: argument 2 | DROP TRIGGER sierra_guard ON es.events; CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('2')
[superuser] guard: argument 99999999999 | DROP TRIGGER sierra_guard ON es.events; CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('99999999999')
[superuser] guard: argument text | DROP TRIGGER sierra_guard ON es.events; CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('four')
[superuser] guard: argument with a backslash | DROP TRIGGER sierra_guard ON es.events; CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('\4')
[superuser] guard: two arguments | DROP TRIGGER sierra_guard ON es.events; CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('4', '4')
[superuser] guard: two of them | CREATE TRIGGER a_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('2')
guard: another function of its name | DROP TRIGGER sierra_guard ON es.events; CREATE FUNCTION es.guard_events() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER sierra_guard BEFORE INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION es.guard_events('4')
[superuser] guard: after the statement | DROP TRIGGER sierra_guard ON es.events; CREATE TRIGGER sierra_guard AFTER INSERT ON es.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('4')
[superuser] guard: for each row | DROP TRIGGER sierra_guard ON es.events; CREATE TRIGGER a_guard BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION sierra_internal.guard_events('4')
[superuser] guard: for rows of a leaf | CREATE TRIGGER a_guard BEFORE INSERT ON es.events_1 FOR EACH ROW EXECUTE FUNCTION sierra_internal.guard_events('4')
[superuser] guard: on a table of somebody else | CREATE TABLE handlers.t (n int); CREATE TRIGGER t BEFORE INSERT ON handlers.t FOR EACH ROW EXECUTE FUNCTION sierra_internal.guard_events('4'); INSERT INTO handlers.t SELECT 1 WHERE false
# --- triggers
trigger: skips rows | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION es.t()
trigger: changes the sequence | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.partition_sequence := 0; RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION es.t()
trigger: changes the partition | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.partition_id := 3 - NEW.partition_id; RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION es.t()
trigger: makes all null | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN SELECT NULL::es.events.stream_id%TYPE INTO NEW.stream_id; NEW.stream_version := NULL; NEW.event_id := NULL; RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION es.t()
trigger: makes nullable columns null | SELECT testing.unguard('es'); ALTER TABLE es.events ALTER COLUMN event_name DROP NOT NULL, ALTER COLUMN timestamp DROP NOT NULL, ALTER COLUMN event_id DROP NOT NULL, ALTER COLUMN transaction_id DROP NOT NULL, ALTER COLUMN global_position DROP NOT NULL, ALTER COLUMN stream_version DROP NOT NULL; CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.event_name := NULL; NEW.timestamp := NULL; NEW.event_id := NULL; NEW.transaction_id := NULL; NEW.global_position := NULL; NEW.stream_version := NULL; RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION es.t()
trigger: fails | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'; CREATE TRIGGER t AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION es.t()
trigger: changes the store | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''CREATE INDEX ON es.stream_keys (partition_key)''; RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION es.t()
trigger: appends to the same stream | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.event_name <> ''Nested'' THEN PERFORM public.eappend(NEW.stream_id, ''Nested''); END IF; RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION es.t()
trigger: appends endlessly | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.eappend(NEW.stream_id, ''Nested''); RETURN NEW; END'; CREATE TRIGGER t AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION es.t()
trigger: that of an inline projection dropped | DO $$ DECLARE t name; BEGIN SELECT tgname INTO t FROM pg_trigger WHERE tgrelid = 'es.events'::regclass AND tgname LIKE 'sierra_projection_%'; EXECUTE format('DROP TRIGGER %I ON es.events', t); END $$
trigger: that of an inline projection, of another name | CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql AS ''; DO $$ DECLARE f text; BEGIN SELECT tgfoid::regproc INTO f FROM pg_trigger WHERE tgrelid = 'es.events'::regclass AND tgname LIKE 'sierra_projection_%' LIMIT 1; EXECUTE format('CREATE TRIGGER t AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION %s(''nothing'')', f); END $$
trigger: that of an inline projection, without name | DO $$ DECLARE f text; BEGIN SELECT tgfoid::regproc INTO f FROM pg_trigger WHERE tgrelid = 'es.events'::regclass AND tgname LIKE 'sierra_projection_%' LIMIT 1; EXECUTE format('CREATE TRIGGER t AFTER INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION %s()', f); END $$
trigger: that of an inline projection, elsewhere | DO $$ DECLARE f text; BEGIN SELECT tgfoid::regproc INTO f FROM pg_trigger WHERE tgrelid = 'es.events'::regclass AND tgname LIKE 'sierra_projection_%' LIMIT 1; EXECUTE format('CREATE TRIGGER t AFTER INSERT ON es.subscriptions FOR EACH ROW EXECUTE FUNCTION %s(''at_once'')', f); END $$
# --- the companions of events
stream_keys: dropped | SET LOCAL sierra_es.restore = on; DROP TABLE es.stream_keys; SET LOCAL sierra_es.restore = off
stream_keys: primary key dropped | ALTER TABLE es.stream_keys DROP CONSTRAINT stream_keys_pkey
stream_keys: primary key on the key | ALTER TABLE es.stream_keys DROP CONSTRAINT stream_keys_pkey, ADD PRIMARY KEY (partition_key)
stream_keys: primary key on both | ALTER TABLE es.stream_keys DROP CONSTRAINT stream_keys_pkey, ADD PRIMARY KEY (partition_key, stream_id)
stream_keys: columns exchanged | SET LOCAL sierra_es.restore = on; DROP TABLE es.stream_keys; SET LOCAL sierra_es.restore = off; CREATE TABLE es.stream_keys (partition_key uuid PRIMARY KEY, stream_id text COLLATE "C" NOT NULL)
stream_keys: one more column | ALTER TABLE es.stream_keys ADD COLUMN note text
stream_keys: null keys | SELECT testing.unguard('es'); ALTER TABLE es.stream_keys ALTER COLUMN partition_key DROP NOT NULL; UPDATE es.stream_keys SET partition_key = NULL
[fewer] stream_keys: another key for a stream | SELECT testing.unguard('es'); UPDATE es.stream_keys SET partition_key = '00000000-0000-0000-0000-000000000000'
[fewer] stream_keys: no rows | SELECT testing.unguard('es'); TRUNCATE es.stream_keys
stream_keys: a row of a stream with its own key | SELECT testing.unguard('es'); INSERT INTO es.stream_keys VALUES ('nothing', '00000000-0000-0000-0000-000000000000')
stream_keys: a view | SELECT testing.replace_table('es', 'stream_keys', 'CREATE VIEW %1$I.%2$I AS TABLE %1$I.was_table')
stream_keys: partitioned | SELECT testing.replace_table('es', 'stream_keys', 'CREATE TABLE %1$I.%2$I (LIKE %1$I.was_table) PARTITION BY HASH (stream_id)')
stream_keys: a foreign table | SELECT testing.replace_table('es', 'stream_keys', 'CREATE FOREIGN TABLE %1$I.%2$I (stream_id text COLLATE "C" NOT NULL, partition_key uuid NOT NULL) SERVER nowhere')
stream_keys: unlogged | ALTER TABLE es.stream_keys SET UNLOGGED
[fewer] stream_keys: row security | ALTER TABLE es.stream_keys ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
stream_keys: a rule | CREATE RULE nothing AS ON INSERT TO es.stream_keys DO INSTEAD NOTHING
stream_keys: a trigger | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE INSERT ON es.stream_keys FOR EACH ROW EXECUTE FUNCTION es.t()
stream_keys: a partition of something else | CREATE TABLE es.parent (LIKE es.stream_keys) PARTITION BY LIST (stream_id); ALTER TABLE es.parent ATTACH PARTITION es.stream_keys FOR VALUES IN ('own')
event_ids: dropped | SET LOCAL sierra_es.restore = on; DROP TABLE es.event_ids; SET LOCAL sierra_es.restore = off
event_ids: primary key dropped | ALTER TABLE es.event_ids DROP CONSTRAINT event_ids_pkey
event_ids: primary key on the partition | SELECT testing.unguard('es'); DELETE FROM es.event_ids WHERE partition_id = 1; ALTER TABLE es.event_ids DROP CONSTRAINT event_ids_pkey, ADD PRIMARY KEY (partition_id)
event_ids: primary key on both | ALTER TABLE es.event_ids DROP CONSTRAINT event_ids_pkey, ADD PRIMARY KEY (partition_id, event_id)
event_ids: a partition that does not exist | SELECT testing.unguard('es'); UPDATE es.event_ids SET partition_id = 999999
event_ids: a huge partition | SELECT testing.unguard('es'); UPDATE es.event_ids SET partition_id = 2147483647
event_ids: a negative partition | SELECT testing.unguard('es'); UPDATE es.event_ids SET partition_id = -2000000000
event_ids: a null partition | SELECT testing.unguard('es'); ALTER TABLE es.event_ids ALTER COLUMN partition_id DROP NOT NULL; UPDATE es.event_ids SET partition_id = NULL
[fewer] event_ids: another partition | SELECT testing.unguard('es'); UPDATE es.event_ids SET partition_id = 0
event_ids: columns exchanged | SET LOCAL sierra_es.restore = on; DROP TABLE es.event_ids; SET LOCAL sierra_es.restore = off; CREATE TABLE es.event_ids (partition_id integer PRIMARY KEY, event_id uuid NOT NULL)
event_ids: a view | SELECT testing.replace_table('es', 'event_ids', 'CREATE VIEW %1$I.%2$I AS TABLE %1$I.was_table')
event_tags: dropped | SET LOCAL sierra_es.restore = on; DROP TABLE es.event_tags; SET LOCAL sierra_es.restore = off
event_tags: primary key dropped | ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey
event_tags: primary key in another order | ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey, ADD PRIMARY KEY (global_position, tag, partition_id, partition_sequence)
event_tags: primary key of fewer columns | ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey, ADD PRIMARY KEY (tag, global_position)
event_tags: primary key descending | ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey; CREATE UNIQUE INDEX event_tags_pkey ON es.event_tags (tag, global_position DESC, partition_id, partition_sequence)
event_tags: another collation | ALTER TABLE es.event_tags ALTER COLUMN tag TYPE text COLLATE pg_catalog."default"
[fewer] event_tags: another place | SELECT testing.unguard('es'); UPDATE es.event_tags SET partition_id = 999999, partition_sequence = -1
[fewer] event_tags: huge numbers | SELECT testing.unguard('es'); UPDATE es.event_tags SET partition_id = 2147483647, partition_sequence = 9223372036854775807, global_position = 9223372036854775807 - global_position
[fewer] event_tags: negative numbers | SELECT testing.unguard('es'); UPDATE es.event_tags SET partition_id = -2000000000, partition_sequence = -9223372036854775808, global_position = -9223372036854775808 + global_position
[fewer] event_tags: other tags | SELECT testing.unguard('es'); UPDATE es.event_tags SET tag = CASE tag WHEN 'user:123' THEN '' ELSE repeat('x', 2000) || tag END
[fewer] event_tags: no rows | SELECT testing.unguard('es'); TRUNCATE es.event_tags
[fewer] event_tags: rows of events without tags | SELECT testing.unguard('es'); INSERT INTO es.event_tags SELECT 'user:123', global_position, partition_id, partition_sequence FROM es.events ON CONFLICT DO NOTHING
event_tags: nulls | SELECT testing.unguard('es'); ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey; ALTER TABLE es.event_tags ALTER COLUMN global_position DROP NOT NULL; UPDATE es.event_tags SET global_position = NULL; CREATE UNIQUE INDEX event_tags_pkey ON es.event_tags (tag, global_position, partition_id, partition_sequence)
event_tags: a view | SELECT testing.replace_table('es', 'event_tags', 'CREATE VIEW %1$I.%2$I AS TABLE %1$I.was_table')
event_tags: partitioned | SELECT testing.replace_table('es', 'event_tags', 'CREATE TABLE %1$I.%2$I (LIKE %1$I.was_table) PARTITION BY HASH (tag)')
event_tags: unlogged | ALTER TABLE es.event_tags SET UNLOGGED
[fewer] event_tags: row security | ALTER TABLE es.event_tags ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
event_tags: a rule | CREATE RULE nothing AS ON INSERT TO es.event_tags DO INSTEAD NOTHING
event_ids: a foreign table | SELECT testing.replace_table('es', 'event_ids', 'CREATE FOREIGN TABLE %1$I.%2$I (event_id uuid NOT NULL, partition_id integer NOT NULL) SERVER nowhere')
event_tags: dropped | SET LOCAL sierra_es.restore = on; DROP TABLE es.event_tags; SET LOCAL sierra_es.restore = off
event_tags: primary key dropped | ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey
event_tags: primary key in another order | ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey, ADD PRIMARY KEY (tag, partition_id, partition_sequence, global_position)
event_tags: primary key on three columns | ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey, ADD PRIMARY KEY (tag, global_position, partition_id)
event_tags: one more column | ALTER TABLE es.event_tags ADD COLUMN note text
event_tags: a null tag | SELECT testing.unguard('es'); ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey, ALTER COLUMN tag DROP NOT NULL, ADD UNIQUE (tag, global_position, partition_id, partition_sequence); UPDATE es.event_tags SET tag = NULL
[fewer] event_tags: null places | SELECT testing.unguard('es'); ALTER TABLE es.event_tags DROP CONSTRAINT event_tags_pkey, ALTER COLUMN global_position DROP NOT NULL, ALTER COLUMN partition_id DROP NOT NULL, ALTER COLUMN partition_sequence DROP NOT NULL, ADD UNIQUE (tag, global_position, partition_id, partition_sequence); UPDATE es.event_tags SET global_position = NULL, partition_id = NULL, partition_sequence = NULL
[fewer] event_tags: no rows | SELECT testing.unguard('es'); TRUNCATE es.event_tags
[fewer] event_tags: other partitions | SELECT testing.unguard('es'); UPDATE es.event_tags SET partition_id = 3 - partition_id
[fewer] event_tags: partitions that do not exist | SELECT testing.unguard('es'); UPDATE es.event_tags SET partition_id = partition_id - 2147483648
[fewer] event_tags: huge sequences | SELECT testing.unguard('es'); UPDATE es.event_tags SET partition_sequence = 9223372036854775807
[fewer] event_tags: negative sequences | SELECT testing.unguard('es'); UPDATE es.event_tags SET partition_sequence = -9223372036854775808
[fewer] event_tags: positions at the ends of bigint | SELECT testing.unguard('es'); UPDATE es.event_tags SET global_position = CASE WHEN partition_sequence % 2 = 0 THEN 9223372036854775807 ELSE -9223372036854775808 END
event_tags: rows of events that do not exist | SELECT testing.unguard('es'); INSERT INTO es.event_tags SELECT t, p, i, s FROM unnest(ARRAY['t', 'u']) AS t, unnest(ARRAY[-1, 0, 3, 1000000]) AS p, unnest(ARRAY[-1, 0, 3, 4]) AS i, unnest(ARRAY[-1, 1, 9]) AS s ON CONFLICT DO NOTHING
event_tags: a view | SELECT testing.replace_table('es', 'event_tags', 'CREATE VIEW %1$I.%2$I AS TABLE %1$I.was_table')
event_tags: a foreign table | SELECT testing.replace_table('es', 'event_tags', 'CREATE FOREIGN TABLE %1$I.%2$I (tag text COLLATE "C" NOT NULL, global_position bigint NOT NULL, partition_id integer NOT NULL, partition_sequence bigint NOT NULL) SERVER nowhere')
event_tags: unlogged | ALTER TABLE es.event_tags SET UNLOGGED
[fewer] event_tags: row security | ALTER TABLE es.event_tags ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
[fewer] events: tags that no append takes | SELECT testing.unguard('es'); UPDATE es.events SET tags = ARRAY[ARRAY['t', 'u'], ARRAY['u', NULL]]
# --- the sequence of positions
sequence: increment | ALTER SEQUENCE es.global_position INCREMENT 2
sequence: cache | ALTER SEQUENCE es.global_position CACHE 100
sequence: cycle | ALTER SEQUENCE es.global_position CYCLE
sequence: restart | ALTER SEQUENCE es.global_position RESTART WITH 0
sequence: an end | ALTER SEQUENCE es.global_position MAXVALUE 30 RESTART WITH 30
sequence: a start below 0 | ALTER SEQUENCE es.global_position MINVALUE -9223372036854775808 RESTART WITH -9223372036854775808
sequence: at the end of bigint | ALTER SEQUENCE es.global_position RESTART WITH 9223372036854775807
sequence: near the end of bigint | ALTER SEQUENCE es.global_position RESTART WITH 9223372036854775805
sequence: smallint | ALTER SEQUENCE es.global_position AS smallint RESTART WITH 1000
sequence: downwards | ALTER SEQUENCE es.global_position INCREMENT -1
sequence: dropped | DROP SEQUENCE es.global_position
sequence: a table | ALTER SEQUENCE es.global_position RENAME TO was_sequence; CREATE TABLE es.global_position AS SELECT 1::bigint AS last_value, 1::bigint AS log_cnt, true AS is_called
sequence: a view | ALTER SEQUENCE es.global_position RENAME TO was_sequence; CREATE VIEW es.global_position AS SELECT 1::bigint AS last_value, 1::bigint AS log_cnt, true AS is_called
sequence: that of another table | DROP SEQUENCE es.global_position; CREATE TABLE es.t (n bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME es.global_position MINVALUE 0))
# --- arrays of subscriptions
subscriptions: streams with a null | UPDATE es.subscriptions SET streams = ARRAY[NULL]
subscriptions: streams with a null last | UPDATE es.subscriptions SET streams = ARRAY['a', NULL]
subscriptions: streams in two dimensions | UPDATE es.subscriptions SET streams = ARRAY[ARRAY['a', 'b'], ARRAY['user-*', NULL]]
subscriptions: streams from 5 | UPDATE es.subscriptions SET streams = '[5:6]={a,user-*}'
subscriptions: streams empty | UPDATE es.subscriptions SET streams = '{}'
subscriptions: streams of odd patterns | UPDATE es.subscriptions SET streams = ARRAY['', '*', '**', repeat('*a', 500), E'\x01']
subscriptions: very many streams | UPDATE es.subscriptions SET streams = array_fill('user-*'::text, ARRAY[100000])
subscriptions: names with a null | UPDATE es.subscriptions SET event_names = ARRAY[NULL]
subscriptions: names in two dimensions | UPDATE es.subscriptions SET event_names = ARRAY[ARRAY['a', NULL], ARRAY[NULL, 'Happened']]
subscriptions: names empty | UPDATE es.subscriptions SET event_names = '{}'
subscriptions: tags with a null | UPDATE es.subscriptions SET tags = ARRAY['a', NULL]
subscriptions: tags in two dimensions | UPDATE es.subscriptions SET tags = ARRAY[ARRAY['a', NULL], ARRAY[NULL, 'user:123']]
subscriptions: tags empty | UPDATE es.subscriptions SET tags = '{}'
subscriptions: odd tags | UPDATE es.subscriptions SET tags = ARRAY['', repeat('x', 100000), E'\x01', 'user:123', 'user:123']
subscriptions: very many tags | UPDATE es.subscriptions SET tags = array_fill('user:123'::text, ARRAY[100000])
subscriptions: partitions with a null | UPDATE es.subscriptions SET partitions = ARRAY[NULL]::int[]
subscriptions: partitions in two dimensions | UPDATE es.subscriptions SET partitions = '{{0,1},{2,3}}'
subscriptions: partitions that do not exist | UPDATE es.subscriptions SET partitions = '{-5,999999,2147483647}'
subscriptions: partitions empty | UPDATE es.subscriptions SET partitions = '{}'
subscriptions: partitions twice | UPDATE es.subscriptions SET partitions = '{0,0,0,0,0,0,0,0,0,0}'
subscriptions: start_sequences too short | UPDATE es.subscriptions SET start_sequences = '{1}'
subscriptions: start_sequences with a null | UPDATE es.subscriptions SET start_sequences = ARRAY[NULL, NULL, NULL, NULL]::bigint[]
subscriptions: start_sequences in two dimensions | UPDATE es.subscriptions SET start_sequences = '{{0,1},{2,3}}'
subscriptions: start_sequences too long | UPDATE es.subscriptions SET start_sequences = array_fill(5::bigint, ARRAY[100000])
subscriptions: start_versions of another length | UPDATE es.subscriptions SET start_streams = '{a,b,c}', start_versions = '{1}'
subscriptions: start_versions missing | UPDATE es.subscriptions SET start_streams = '{a,b,c}', start_versions = NULL
subscriptions: start_streams missing | UPDATE es.subscriptions SET start_streams = NULL, start_versions = '{1}'
subscriptions: start_streams with a null | UPDATE es.subscriptions SET start_streams = ARRAY[NULL, 'a'], start_versions = '{1,2}'
subscriptions: start_streams twice | UPDATE es.subscriptions SET start_streams = '{a,a,a}', start_versions = '{1,-2,3}'
subscriptions: start_versions with a null | UPDATE es.subscriptions SET start_streams = '{a,b}', start_versions = ARRAY[NULL, NULL]::bigint[]
subscriptions: start_after at the ends | UPDATE es.subscriptions SET start_after = CASE WHEN subscription < 'm' THEN 9223372036854775807 ELSE -9223372036854775808 END
subscriptions: numbers out of bounds | ALTER TABLE es.subscriptions DROP CONSTRAINT subscriptions_window_size_check, DROP CONSTRAINT subscriptions_lease_time_check, DROP CONSTRAINT subscriptions_max_attempts_check; UPDATE es.subscriptions SET window_size = -1, lease_time = '-1 year', max_attempts = -2147483648
subscriptions: numbers too large | UPDATE es.subscriptions SET window_size = 2147483647, lease_time = '178000000 years', max_attempts = 2147483647
subscriptions: each twice | ALTER TABLE es.subscriptions DROP CONSTRAINT subscriptions_pkey; INSERT INTO es.subscriptions SELECT * FROM es.subscriptions
subscription_cursors: at the end | UPDATE es.subscription_cursors SET cursor = 9223372036854775807, epoch = 9223372036854775807
subscription_cursors: before the beginning | UPDATE es.subscription_cursors SET cursor = -9223372036854775808, epoch = -9223372036854775808
subscription_cursors: partitions that do not exist | UPDATE es.subscription_cursors SET partition_id = partition_id + 999999
subscription_cursors: negative partitions | UPDATE es.subscription_cursors SET partition_id = partition_id - 999999
subscription_cursors: no rows | DELETE FROM es.subscription_cursors
subscription_cursors: one row more | INSERT INTO es.subscription_cursors SELECT s.subscription, p, 5 FROM es.subscriptions AS s, generate_series(0, 3) AS p ON CONFLICT DO NOTHING
subscription_cursors: each twice | ALTER TABLE es.subscription_cursors DROP CONSTRAINT subscription_cursors_pkey; INSERT INTO es.subscription_cursors SELECT * FROM es.subscription_cursors
subscription_consumers: numbers at the ends | UPDATE es.subscription_consumers SET acknowledged = 9223372036854775807, delivered = -9223372036854775808, seen_at = 'infinity', joined_at = '-infinity'
subscription_consumers: no rows | DELETE FROM es.subscription_consumers
subscription_consumers: very many | INSERT INTO es.subscription_consumers SELECT 'group', 'n' || n, -1, -1, now(), now() FROM generate_series(1, 2000) AS n
subscription_streams: numbers at the ends | UPDATE es.subscription_streams SET position = 9223372036854775807, version = -9223372036854775808, delivered = 9223372036854775807, attempts = 2147483647, failed_position = -9223372036854775808
subscription_streams: streams that do not exist | UPDATE es.subscription_streams SET stream_id = 'nothing', partition_id = 77
subscription_streams: odd streams | UPDATE es.subscription_streams SET stream_id = repeat('x', 100000)
subscription_streams: another state | ALTER TABLE es.subscription_streams DROP CONSTRAINT subscription_streams_state_check; UPDATE es.subscription_streams SET state = 'odd'
subscription_streams: infinite times | UPDATE es.subscription_streams SET retry_at = '-infinity', failed_at = 'infinity', state = 'retrying'
# --- projections
projections: a handler that is not there | SELECT testing.unguard('es'); UPDATE es.projections SET handler = 'nothing(int)'
projections: a handler that is not a name | SELECT testing.unguard('es'); UPDATE es.projections SET handler = '((('
projections: an empty handler | SELECT testing.unguard('es'); UPDATE es.projections SET handler = ''
projections: a handler of another shape | SELECT testing.unguard('es'); UPDATE es.projections SET handler = 'pg_catalog.pg_sleep(double precision)'
projections: a handler that is a number | SELECT testing.unguard('es'); UPDATE es.projections SET handler = '1'
projections: a handler that is a procedure | CREATE PROCEDURE handlers.p(state jsonb, e sierra_event) LANGUAGE sql AS ''; SELECT testing.unguard('es'); UPDATE es.projections SET handler = 'handlers.p(jsonb, sierra_event)'
projections: a handler that is an aggregate | CREATE FUNCTION handlers.step(jsonb, jsonb, sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT $1'; CREATE AGGREGATE handlers.agg(jsonb, sierra_event) (SFUNC = handlers.step, STYPE = jsonb); SELECT testing.unguard('es'); UPDATE es.projections SET handler = 'handlers.agg(jsonb, sierra_event)'
projections: a very long handler | SELECT testing.unguard('es'); UPDATE es.projections SET handler = repeat('x', 1000000)
projections: another kind | ALTER TABLE es.projections DROP CONSTRAINT projections_kind_check; SELECT testing.unguard('es'); UPDATE es.projections SET kind = 'odd'
projections: the kinds exchanged | SELECT testing.unguard('es'); UPDATE es.projections SET kind = CASE kind WHEN 'event' THEN 'fold' WHEN 'fold' THEN 'batch' WHEN 'batch' THEN 'process' ELSE 'event' END
projections: a key of another type | SELECT testing.unguard('es'); UPDATE es.projections SET key = '4660'
projections: a key that ends the query | SELECT testing.unguard('es'); UPDATE es.projections SET key = '4660)::int8 FROM pg_catalog.unnest($1) AS e --'
projections: a key of several statements | SELECT testing.unguard('es'); UPDATE es.projections SET key = '1); SELECT (1'
projections: a key with parameters | SELECT testing.unguard('es'); UPDATE es.projections SET key = '$1'
projections: a key that is a set | SELECT testing.unguard('es'); UPDATE es.projections SET key = 'unnest(ARRAY[''a'', ''b''])'
projections: a key that is an aggregate | SELECT testing.unguard('es'); UPDATE es.projections SET key = 'max(e.stream_id)'
projections: a key that is null | SELECT testing.unguard('es'); UPDATE es.projections SET key = 'NULL::text'
projections: a key of a composite type | SELECT testing.unguard('es'); UPDATE es.projections SET key = 'e'
projections: an empty key | SELECT testing.unguard('es'); UPDATE es.projections SET key = ''
projections: an initial state that is null | SELECT testing.unguard('es'); UPDATE es.projections SET initial = NULL
projections: streams with a null | SELECT testing.unguard('es'); UPDATE es.projections SET streams = ARRAY[NULL], event_names = ARRAY[NULL]
projections: tags with a null | SELECT testing.unguard('es'); UPDATE es.projections SET tags = ARRAY[NULL]
projections: odd tags | SELECT testing.unguard('es'); UPDATE es.projections SET tags = ARRAY['', repeat('x', 100000), E'\x01', 'user:123']
projections: an odd search_path | SELECT testing.unguard('es'); UPDATE es.projections SET search_path = '"', owner = 'regress_sierra_owner'
projections: a long search_path | SELECT testing.unguard('es'); UPDATE es.projections SET search_path = repeat('x,', 10000) || 'y'
projections: an owner that is not there | SELECT testing.unguard('es'); UPDATE es.projections SET owner = 999999999
projections: owner zero | SELECT testing.unguard('es'); UPDATE es.projections SET owner = 0
projections: owned by the superuser | SELECT testing.unguard('es'); UPDATE es.projections SET owner = 10
projections: a subscription that is not there | SELECT testing.unguard('es'); UPDATE es.projections SET subscription = 'nothing'
projections: no subscriptions | DELETE FROM es.subscriptions
projections: batches of 0 | ALTER TABLE es.projections DROP CONSTRAINT projections_batch_size_check; UPDATE es.projections SET batch_size = 0
projections: batches of -1 | ALTER TABLE es.projections DROP CONSTRAINT projections_batch_size_check; UPDATE es.projections SET batch_size = -1
projections: batches of 2147483647 | ALTER TABLE es.projections DROP CONSTRAINT projections_batch_size_check; UPDATE es.projections SET batch_size = 2147483647
projections: attempts at the end | UPDATE es.projections SET attempts = 2147483647, max_attempts = 2147483647, processed = 9223372036854775807, rate = 'NaN', retry_after = '178000000 years'
projections: another state | ALTER TABLE es.projections DROP CONSTRAINT projections_state_check; UPDATE es.projections SET state = 'odd'
projections: another mode | ALTER TABLE es.projections DROP CONSTRAINT projections_mode_check; UPDATE es.projections SET mode = 'odd'
projections: all inline | UPDATE es.projections SET mode = 'inline'
projections: all live twice | DROP INDEX es.projections_live; SELECT testing.unguard('es'); ALTER TABLE es.projections DROP CONSTRAINT projections_pkey; INSERT INTO es.projections SELECT * FROM es.projections
projections: none live | UPDATE es.projections SET live = false
projections: versions at the end | SELECT testing.unguard('es'); UPDATE es.projections SET version = 2147483647 WHERE projection <> 'rebuilt'
projection_states: other states | UPDATE es.projection_states SET state = '{"a": [1, 2]}', position = 9223372036854775807
projection_states: null states | UPDATE es.projection_states SET state = NULL, stream_version = 9223372036854775807
projection_states: deep states | UPDATE es.projection_states SET state = (repeat('[', 1000) || repeat(']', 1000))::jsonb
# --- aggregates, upcasters, snapshots
aggregates: a fold that is not there | UPDATE es.aggregates SET fold = 'nothing(int)'
aggregates: a fold that is not a name | UPDATE es.aggregates SET fold = '"'
aggregates: a fold of another shape | UPDATE es.aggregates SET fold = 'pg_catalog.pg_sleep(double precision)'
aggregates: a fold that is a number | UPDATE es.aggregates SET fold = '31'
aggregates: an initial state that is null | UPDATE es.aggregates SET initial = NULL
aggregates: snapshots at odd distances | ALTER TABLE es.aggregates DROP CONSTRAINT IF EXISTS aggregates_snapshot_every_check; UPDATE es.aggregates SET snapshot_every = -2147483648, fold_version = 2147483647
aggregates: each twice | ALTER TABLE es.aggregates DROP CONSTRAINT aggregates_pkey; INSERT INTO es.aggregates SELECT * FROM es.aggregates
snapshots: versions at the end | UPDATE es.snapshots SET version = 9223372036854775807
snapshots: negative versions | UPDATE es.snapshots SET version = -9223372036854775808, newest = '-infinity'
snapshots: other states | UPDATE es.snapshots SET state = '[[[]]]'
upcasters: one that is not there | SELECT testing.unguard('es'); UPDATE es.upcasters SET upcast = 'nothing(int)'
upcasters: one that is not a name | SELECT testing.unguard('es'); UPDATE es.upcasters SET upcast = ''
upcasters: one of another shape | SELECT testing.unguard('es'); UPDATE es.upcasters SET upcast = 'pg_catalog.pg_sleep(double precision)'
upcasters: one that is a number | SELECT testing.unguard('es'); UPDATE es.upcasters SET upcast = '99999999'
upcasters: versions at the end | ALTER TABLE es.upcasters DROP CONSTRAINT IF EXISTS upcasters_from_version_check; SELECT testing.unguard('es'); UPDATE es.upcasters SET from_version = 2147483647
upcasters: negative versions | ALTER TABLE es.upcasters DROP CONSTRAINT IF EXISTS upcasters_from_version_check; SELECT testing.unguard('es'); UPDATE es.upcasters SET from_version = -2147483648
upcasters: very many | SELECT testing.unguard('es'); INSERT INTO es.upcasters SELECT 'Happened', n, 'handlers.up(json)' FROM generate_series(2, 500) AS n
# --- timers and sagas
timers: odd streams | ALTER TABLE es.timers ALTER COLUMN stream_id TYPE text; UPDATE es.timers SET stream_id = '', event_name = repeat('x', 1000)
timers: both payloads | UPDATE es.timers SET payload = '{}', payload_bytes = ''
timers: an empty key | UPDATE es.timers SET partition_key = ''
timers: tags with a null | UPDATE es.timers SET tags = ARRAY['a', NULL]
timers: tags in two dimensions | UPDATE es.timers SET tags = ARRAY[ARRAY['a', 'b'], ARRAY['c', 'd']]
timers: tags too long | UPDATE es.timers SET tags = ARRAY[repeat('x', 1000)]
timers: metadata that is a string | UPDATE es.timers SET metadata = '"x"'
timers: infinite times | ALTER TABLE es.timers DROP CONSTRAINT timers_due_at_check; UPDATE es.timers SET due_at = 'infinity', run_at = '-infinity', created_at = 'infinity'
timers: attempts at the end | UPDATE es.timers SET attempts = 2147483647, run_at = '-infinity'
timers: an id of another stream | UPDATE es.timers SET timer_id = '00000000-0000-4000-8000-000000000001', run_at = now() WHERE stream_id = 'late'
sagas: no steps | SELECT testing.unguard('es'); UPDATE es.sagas SET steps = '[]'
sagas: steps that are null | SELECT testing.unguard('es'); UPDATE es.sagas SET steps = 'null'
sagas: steps that are an object | SELECT testing.unguard('es'); UPDATE es.sagas SET steps = '{"step": 1}'
sagas: steps that are a number | SELECT testing.unguard('es'); UPDATE es.sagas SET steps = '[1, null, "x", []]'
sagas: steps without their fields | SELECT testing.unguard('es'); UPDATE es.sagas SET steps = '[{}, {}, {}]'
sagas: steps with other fields | SELECT testing.unguard('es'); UPDATE es.sagas SET steps = '[{"step": {}, "action": 1, "max_attempts": "x", "retry_after": [], "waits": "maybe", "refusals": 3}]'
sagas: actions that are not there | SELECT testing.unguard('es'); UPDATE es.sagas SET steps = replace(steps::text, 'handlers', 'nowhere')::jsonb
sagas: actions of another shape | SELECT testing.unguard('es'); UPDATE es.sagas SET steps = replace(steps::text, 'handlers.act(pg_catalog.jsonb)', 'pg_catalog.pg_sleep(double precision)')::jsonb
sagas: an odd search_path | SELECT testing.unguard('es'); UPDATE es.sagas SET search_path = '"', timeout = '-1 year'
sagas: an owner that is not there | SELECT testing.unguard('es'); UPDATE es.sagas SET owner = 999999999
sagas: owner zero | SELECT testing.unguard('es'); UPDATE es.sagas SET owner = 0
saga_instances: another saga | ALTER TABLE es.saga_instances DROP CONSTRAINT saga_instances_saga_version_fkey; UPDATE es.saga_instances SET saga = 'nothing', version = 99
saga_instances: another status | ALTER TABLE es.saga_instances DROP CONSTRAINT saga_instances_status_check; UPDATE es.saga_instances SET status = 'odd'
saga_instances: another step | UPDATE es.saga_instances SET step = 'nothing', attempts = 2147483647
saga_instances: other streams | UPDATE es.saga_instances SET saga_id = 'user-123' WHERE saga_id = 'saga-1'
saga_instances: infinite times | UPDATE es.saga_instances SET run_at = '-infinity', deadline = '-infinity', started_at = 'infinity'
# --- functions, types, schemas, roles
function: the handler dropped | DROP FUNCTION handlers.count(jsonb, sierra_event), handlers.see(sierra_event), handlers.see_all(sierra_event[])
function: the handler returns text | DROP FUNCTION handlers.count(jsonb, sierra_event), handlers.object(jsonb, sierra_event); CREATE FUNCTION handlers.count(jsonb, sierra_event) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$; CREATE FUNCTION handlers.object(jsonb, sierra_event) RETURNS bigint LANGUAGE sql AS $$ SELECT 4660::bigint $$
function: the handler returns a set | DROP FUNCTION handlers.count(jsonb, sierra_event), handlers.object(jsonb, sierra_event); CREATE FUNCTION handlers.count(jsonb, sierra_event) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT '1'::jsonb UNION ALL SELECT '2' $$; CREATE FUNCTION handlers.object(jsonb, sierra_event) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT '1'::jsonb WHERE false $$
function: the handler returns null | CREATE OR REPLACE FUNCTION handlers.count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb'; CREATE OR REPLACE FUNCTION handlers.object(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT NULL::jsonb'
function: the handler is strict | CREATE OR REPLACE FUNCTION handlers.count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql STRICT AS 'SELECT $1'; CREATE OR REPLACE FUNCTION handlers.object(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql STRICT IMMUTABLE AS 'SELECT $1'
function: the handler fails | CREATE OR REPLACE FUNCTION handlers.count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'no' USING ERRCODE = '40001'; END $$
function: the handler drops the store | CREATE OR REPLACE FUNCTION handlers.count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM public.drop_event_store('es', true); RETURN state; END $$
function: the handler changes the tables | CREATE OR REPLACE FUNCTION handlers.count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'ALTER TABLE es.projection_states ADD COLUMN x' || (random() * 1e9)::int || ' int'; RETURN state; END $$
function: the handler deletes the projection | CREATE OR REPLACE FUNCTION handlers.count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN DELETE FROM es.projections; DELETE FROM es.subscriptions; DELETE FROM es.subscription_cursors; RETURN state; END $$
function: the handler runs itself | CREATE OR REPLACE FUNCTION handlers.count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM public.run_projection('counts'); RETURN state; END $$
function: the handler drops the plans | CREATE OR REPLACE FUNCTION handlers.count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN DISCARD PLANS; RETURN state; END $$
function: the handler may not be called | REVOKE ALL ON FUNCTION handlers.count(jsonb, sierra_event), handlers.object(jsonb, sierra_event), handlers.up(json), handlers.act(jsonb) FROM PUBLIC, regress_sierra_owner
function: the upcaster returns text | DROP FUNCTION handlers.up(json); CREATE FUNCTION handlers.up(json) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'x' $$
function: the upcaster returns bigint | DROP FUNCTION handlers.up(json); CREATE FUNCTION handlers.up(json) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT 4660::bigint $$
function: the upcaster returns null | CREATE OR REPLACE FUNCTION handlers.up(payload json) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT NULL::json'
function: the upcaster dropped | DROP FUNCTION handlers.up(json)
function: the decision returns null | CREATE OR REPLACE FUNCTION handlers.decide(state jsonb, command jsonb) RETURNS json LANGUAGE sql AS 'SELECT NULL::json'
function: the decision returns oddities | CREATE OR REPLACE FUNCTION handlers.decide(state jsonb, command jsonb) RETURNS json LANGUAGE sql AS $$ SELECT '[null, 1, {}, {"event_name": null}]'::json $$
function: the action returns text | DROP FUNCTION handlers.act(jsonb); CREATE FUNCTION handlers.act(jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$
function: the action returns bigint | DROP FUNCTION handlers.act(jsonb); CREATE FUNCTION handlers.act(jsonb) RETURNS bigint LANGUAGE sql AS $$ SELECT 4660::bigint $$
function: the action returns a set | DROP FUNCTION handlers.act(jsonb); CREATE FUNCTION handlers.act(jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb UNION ALL SELECT NULL $$
function: the action returns an array | CREATE OR REPLACE FUNCTION handlers.act(data jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '[1]'::jsonb $$
[superuser] type: sierra_event has one attribute more | ALTER TYPE sierra_event ADD ATTRIBUTE note text
[superuser] type: sierra_event has two attributes exchanged | ALTER TYPE sierra_event RENAME ATTRIBUTE stream_id TO x; ALTER TYPE sierra_event RENAME ATTRIBUTE event_name TO stream_id; ALTER TYPE sierra_event RENAME ATTRIBUTE x TO event_name
[superuser] type: sierra_append_result has one attribute more | ALTER TYPE sierra_append_result ADD ATTRIBUTE note text
[superuser] type: sierra_append_result has one attribute less | ALTER TYPE sierra_append_result DROP ATTRIBUTE global_position
[superuser] type: sierra_append_outcome has one attribute more | ALTER TYPE sierra_append_outcome ADD ATTRIBUTE note text
[superuser] type: sierra_append_outcome has one attribute less | ALTER TYPE sierra_append_outcome DROP ATTRIBUTE global_position
[superuser] type: sierra_saga_step has one attribute more | ALTER TYPE sierra_saga_step ADD ATTRIBUTE note text CASCADE
schema: renamed | ALTER SCHEMA es RENAME TO was_es
schema: nobody may | REVOKE ALL ON SCHEMA es FROM PUBLIC, regress_sierra_owner
schema: another one in its place | ALTER SCHEMA es RENAME TO was_es; CREATE SCHEMA es; CREATE TABLE es.events (n int)
role: the owner may write nothing | REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA es FROM regress_sierra_owner
LIST

# Tables that are written with SQL: each of the following is done to each of them.
my @companions = qw(subscriptions subscription_cursors subscription_consumers subscription_streams projections
  projection_states aggregates snapshots upcasters timers sagas saga_instances);
my $of_each_table = <<'LIST';
dropped | DROP TABLE es.TABLE CASCADE
a view | SELECT testing.replace_table('es', 'TABLE', 'CREATE VIEW %1$I.%2$I AS TABLE %1$I.was_table')
a view whose columns are text | SELECT testing.replace_table('es', 'TABLE', (SELECT 'CREATE VIEW %1$I.%2$I AS SELECT ' || string_agg(format('%I::text', attname), ', ' ORDER BY attnum) || ' FROM %1$I.was_table' FROM pg_attribute WHERE attrelid = 'es.TABLE'::regclass AND attnum > 0))
a view whose columns are bigint | SELECT testing.replace_table('es', 'TABLE', (SELECT 'CREATE VIEW %1$I.%2$I AS SELECT ' || string_agg(format('4660::bigint AS %I', attname), ', ' ORDER BY attnum) || ' FROM %1$I.was_table' FROM pg_attribute WHERE attrelid = 'es.TABLE'::regclass AND attnum > 0))
a materialized view | SELECT testing.replace_table('es', 'TABLE', 'CREATE MATERIALIZED VIEW %1$I.%2$I AS TABLE %1$I.was_table')
partitioned | SELECT testing.replace_table('es', 'TABLE', 'CREATE TABLE %1$I.%2$I PARTITION BY HASH (created) AS SELECT') WHERE false; SELECT testing.replace_table('es', 'TABLE', (SELECT 'CREATE TABLE %1$I.%2$I (LIKE %1$I.was_table) PARTITION BY HASH (' || (SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = 'es.TABLE'::regclass AND attnum = 1) || '); CREATE TABLE %1$I.part PARTITION OF %1$I.%2$I FOR VALUES WITH (MODULUS 1, REMAINDER 0); INSERT INTO %1$I.%2$I TABLE %1$I.was_table'))
a foreign table | SELECT testing.replace_table('es', 'TABLE', (SELECT 'CREATE FOREIGN TABLE %1$I.%2$I (' || string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) || ') SERVER nowhere' FROM pg_attribute WHERE attrelid = 'es.TABLE'::regclass AND attnum > 0))
without keys and indexes | SELECT testing.replace_table('es', 'TABLE', 'CREATE TABLE %1$I.%2$I AS TABLE %1$I.was_table')
columns in reverse | SELECT testing.replace_table('es', 'TABLE', (SELECT 'CREATE TABLE %1$I.%2$I AS SELECT ' || string_agg(quote_ident(attname), ', ' ORDER BY attnum DESC) || ' FROM %1$I.was_table' FROM pg_attribute WHERE attrelid = 'es.TABLE'::regclass AND attnum > 0))
row security | ALTER TABLE es.TABLE ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
a policy that fails | ALTER TABLE es.TABLE ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON es.TABLE USING (1 / (SELECT 0) = 0)
rules | CREATE RULE i AS ON INSERT TO es.TABLE DO INSTEAD NOTHING; CREATE RULE u AS ON UPDATE TO es.TABLE DO INSTEAD NOTHING; CREATE RULE d AS ON DELETE TO es.TABLE DO INSTEAD NOTHING
rules that do more | CREATE RULE i AS ON INSERT TO es.TABLE DO ALSO SELECT 1; CREATE RULE u AS ON UPDATE TO es.TABLE DO ALSO SELECT 'x', 2; CREATE RULE d AS ON DELETE TO es.TABLE DO ALSO SELECT 1
triggers that skip | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON es.TABLE FOR EACH ROW EXECUTE FUNCTION es.t()
triggers that fail | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'; CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON es.TABLE FOR EACH ROW EXECUTE FUNCTION es.t()
triggers that change the table | CREATE FUNCTION es.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE ''DROP TABLE es.snapshots CASCADE''; RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON es.TABLE FOR EACH ROW EXECUTE FUNCTION es.t()
no rows | SELECT testing.unguard('es'); TRUNCATE es.TABLE CASCADE
nobody may | REVOKE ALL ON es.TABLE FROM PUBLIC, regress_sierra_owner, regress_sierra_reader
LIST

sub lines_of {
    my ($text, $prefix) = @_;
    my @found;
    for my $line (split /\n/, $text) {
        next if $line =~ /^#|^\s*$/;
        my ($name, $sql) = split / \| /, $line, 2;
        my %flags = $name =~ s/^\[(\w+)\] // ? ($1 => 1) : ();
        push @found, { name => ($prefix // '') . $name, sql => $sql, %flags };
    }
    return @found;
}

# The written ones, and each of the last list for each companion table.
sub mutilations_by_hand {
    return (lines_of($handwritten), map { my $table = $_; lines_of($of_each_table =~ s/\bTABLE\b(?! (?:es|%))/$table/gr, "$table: ") } @companions);
}

# Another type for each, whose values are of another length or kind.
my %other_type = (
    'text' => q{bigint USING 4660},  'text[]' => q{bigint USING 4660},        'bigint[]' => q{bigint USING 4660}, 'integer[]' => q{bigint USING 4660},
    'json' => q{bigint USING 4660},  'jsonb'  => q{bigint USING 4660},        'regrole'  => q{text USING 'x'},     'bytea'     => q{bigint USING 4660},
    'uuid' => q{bigint USING 4660},  'interval' => q{bigint USING 4660},      'bigint'   => q{text USING 'x'},    'integer'   => q{text USING 'x'},
    'boolean' => q{text USING 'x'},  'double precision' => q{text USING 'x'}, 'timestamp with time zone' => q{text USING 'x'},
);

# Each column of each table: of another type, null, gone, renamed.
sub mutilations_of_columns {
    my ($dbh) = @_;
    my @found;
    my $columns = all_rows($dbh, q{
        SELECT c.relname AS relation, quote_ident(a.attname) AS attribute, format_type(a.atttypid, NULL) AS type, a.attnotnull
          FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
         WHERE c.relnamespace = 'es'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         ORDER BY c.relname, a.attnum});
    for my $column (@$columns) {
        my ($table, $name, $type) = @$column{qw(relation attribute type)};
        next if $table eq 'events' && $name eq 'partition_id';
        my $other = $other_type{$type} // die "what else than $type?";

        # What is unique stays so.
        $other = $type eq 'text' ? "bigint USING hashtext($name)" : "text USING $name\::text" if $table eq 'events' && $type =~ /^(?:text|bigint|uuid)$/;
        my $free = "SELECT testing.unguard('es'); " . join ' ', map {"ALTER TABLE es.$table DROP CONSTRAINT IF EXISTS $_ CASCADE;"} constraints($dbh, $table);
        $free .= ' DROP INDEX IF EXISTS es.projections_live, es.saga_instances_run_at, es.saga_instances_saga, es.timers_run_at;';
        $free .= ' ' . join ' ', map {"DROP TRIGGER IF EXISTS $_ ON es.$table;"} triggers($dbh, $table);
        my %flags = $table eq 'events' || $table eq 'stream_keys' || $table eq 'event_ids' || $table eq 'event_tags' ? (fewer => 1) : ();
        push @found,
          { name => "$table.$name: another type", sql => "$free ALTER TABLE es.$table ALTER COLUMN $name DROP DEFAULT, ALTER COLUMN $name TYPE $other" },
          { name => "$table.$name: gone", sql => "ALTER TABLE es.$table DROP COLUMN $name CASCADE" },
          { name => "$table.$name: renamed", sql => "ALTER TABLE es.$table RENAME COLUMN $name TO otherwise" };
        $free .= ' ' . join ' ', map {"ALTER TABLE es.events_$_ DROP CONSTRAINT events_${_}_sequence;"} $table eq 'events' && $name eq 'partition_sequence' ? 0 .. 3 : ();
        push @found, { name => "$table.$name: null", sql => "$free ALTER TABLE es.$table ALTER COLUMN $name DROP NOT NULL; UPDATE es.$table SET $name = NULL", %flags };
    }
    return @found;
}

sub constraints {
    my ($dbh, $table) = @_;
    return @{ $dbh->selectcol_arrayref(q{SELECT conname FROM pg_constraint WHERE conrelid = $1::regclass AND contype <> 'n'}, undef, "es.$table") };
}

sub triggers {
    my ($dbh, $table) = @_;
    return grep {!/^sierra_guard$/}
      @{ $dbh->selectcol_arrayref(q{SELECT tgname FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal}, undef, "es.$table") };
}

1;
