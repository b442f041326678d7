# SierraCalls.pm
#     A store with something of everything in it, and a call of every public function.

package SierraCalls;

use strict;
use utf8;
use warnings;

use Exporter qw(import);
use SierraTest;

our @EXPORT = qw(prepare_database fill_store fill_for_runners public_functions calls_of is_read setting_of_runners);

# As the superuser: the roles, and what a database needs before fill_store().
my $database_sql = <<'SQL';
CREATE ROLE regress_sierra_owner LOGIN;
CREATE ROLE regress_sierra_reader LOGIN;
CREATE ROLE regress_sierra_consumer LOGIN;
CREATE ROLE regress_sierra_other LOGIN;
GRANT CREATE ON DATABASE postgres TO regress_sierra_owner;
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
GRANT USAGE ON FOREIGN SERVER nowhere TO regress_sierra_owner;
CREATE SCHEMA testing;
GRANT USAGE ON SCHEMA testing TO PUBLIC;
-- What a call returns or how it fails, and whether it took very long; nothing of it stays.
CREATE FUNCTION testing.try(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
    began constant timestamptz := clock_timestamp();
BEGIN
    BEGIN
        EXECUTE 'SELECT ' || call INTO result;
        RAISE EXCEPTION USING ERRCODE = 'ZZ999', MESSAGE = 'done';
    EXCEPTION
        WHEN SQLSTATE 'ZZ999' THEN result := 'done: ' || coalesce(result, 'null');
        WHEN OTHERS THEN result := SQLSTATE || ': ' || SQLERRM;
    END;
    RETURN CASE WHEN clock_timestamp() - began > '20 s' THEN format('slow (%s): ', clock_timestamp() - began) ELSE '' END || result;
END $$;
-- Lets the owner write what append-only tables and definitions refuse.
CREATE FUNCTION testing.unguard(store name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = store::regnamespace AND c.relkind IN ('r', 'p') LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', relation);
    END LOOP;
END $$;
-- Puts a leaf with other columns in the place of partition 1; names and types
-- are those of an events table, so that it can be attached.
CREATE FUNCTION testing.replace_leaf(store name, columns text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %1$I.replaced AS SELECT %2$s FROM %1$I.events_1', store, columns);
    PERFORM testing.finish_leaf(store);
END $$;
-- The same, with a dropped column among them.
CREATE FUNCTION testing.replace_leaf_with_gap(store name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %1$I.replaced AS SELECT 1 AS gap, e.* FROM %1$I.events_1 AS e', store);
    EXECUTE format('ALTER TABLE %I.replaced DROP COLUMN gap', store);
    PERFORM testing.finish_leaf(store);
END $$;
CREATE FUNCTION testing.finish_leaf(store name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    attribute name;
BEGIN
    FOR attribute IN SELECT a.attname FROM pg_attribute AS a
                      WHERE a.attrelid = to_regclass(format('%I.events', store)) AND a.attnum > 0 AND a.attnotnull LOOP
        EXECUTE format('ALTER TABLE %I.replaced ALTER COLUMN %I SET NOT NULL', store, attribute);
    END LOOP;
    EXECUTE format('ALTER TABLE %I.replaced ADD PRIMARY KEY (partition_sequence),'
                   ' ADD UNIQUE (stream_id, stream_version), ADD UNIQUE (event_id)', store);
    EXECUTE format('ALTER TABLE %1$I.events DETACH PARTITION %1$I.events_1', store);
    EXECUTE format('ALTER TABLE %1$I.events ATTACH PARTITION %1$I.replaced FOR VALUES IN (1)', store);
END $$;
-- Puts something else in the place of a companion table: %1$I is the store, %2$I the table.
CREATE FUNCTION testing.replace_table(store name, relation name, made_by text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %I.%I RENAME TO was_table', store, relation);
    EXECUTE format(made_by, store, relation);
    EXECUTE format('GRANT SELECT ON %I.%I TO regress_sierra_reader', store, relation);
END $$;
SQL

# As the store's owner, once: what handlers, folds and so on are.
my $functions_sql = <<'SQL';
CREATE SCHEMA handlers;
GRANT USAGE ON SCHEMA handlers TO PUBLIC;
CREATE FUNCTION handlers.count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(coalesce($1::text::bigint, 0) + 1)';
CREATE FUNCTION handlers.object(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT coalesce($1, '{}') || '{"seen": true}' $$;
CREATE FUNCTION handlers.see(e sierra_event) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION handlers.see_all(e sierra_event[]) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION handlers.up(payload json) RETURNS json LANGUAGE sql IMMUTABLE AS $$ SELECT json_build_object('was', $1) $$;
CREATE FUNCTION handlers.decide_query(state jsonb, command jsonb) RETURNS json LANGUAGE sql AS $$ SELECT '[{"stream_id": "own", "event_name": "Decided", "tags": ["t"]}]'::json $$;
CREATE FUNCTION handlers.decide(state jsonb, command jsonb) RETURNS json LANGUAGE sql AS $$ SELECT '[{"event_name": "Decided"}]'::json $$;
CREATE FUNCTION handlers.act(data jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"acted": true}'::jsonb $$;
CREATE FUNCTION handlers.fail(data jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
SQL

# As the store's owner, for each store, named by sierra_es.store.
my $store_sql = <<'SQL';
SELECT count(*) FROM generate_series(1, 3) AS n, emappend(NULL, ARRAY['a', 'user-123', '€-stream', '€-stream', 'order-1'], array_fill('Happened'::text, ARRAY[5]), array_fill(json_build_object('n', n), ARRAY[5]),
    tags => ARRAY['["t", "u"]', '["u"]', NULL, '["t"]', '["t", "u"]']::sierra_json[]);
SELECT count(*) FROM eappend('own', 'Happened', '{}', '{"by": "me"}', partition_key => 'partition key', event_id => '00000000-0000-4000-8000-000000000001', tags => ARRAY['own', 'user:123']);
SELECT count(*) FROM eappend('user-123', 'Bytes', payload_bytes => '\x00ff', event_id => '00000000-0000-4000-8000-000000000002', tags => ARRAY['user:123']);
SELECT create_aggregate('thing', 'handlers.object(jsonb, sierra_event)', snapshot_every => 1);
SELECT create_upcaster('Happened', 1, 'handlers.up(json)');
SELECT count(*) FROM edecide('thing', 'order-1', 'handlers.decide(jsonb, jsonb)', '{}');
SELECT create_projection('counts', 'handlers.count(jsonb, sierra_event)', mode => 'manual', initial => '0', streams => ARRAY['user-*', 'a']);
SELECT run_projection('counts', 2);
SELECT create_projection('sees', 'handlers.see(sierra_event)', mode => 'manual', event_names => ARRAY['Happened'], batch_size => 10);
SELECT create_projection('tagged', 'handlers.count(jsonb, sierra_event)', mode => 'manual', initial => '0', tags => ARRAY['user:123', 'late:1']);
SELECT create_projection('sees_all', 'handlers.see_all(sierra_event[])', mode => 'manual');
SELECT create_projection('at_once', 'handlers.count(jsonb, sierra_event)', mode => 'inline', initial => '0');
SELECT create_projection('by_itself', 'handlers.count(jsonb, sierra_event)', key => 'e.event_name', initial => '0');
SELECT create_process_manager('manager', 'handlers.object(jsonb, sierra_event)', mode => 'manual', key => 'e.stream_id', start_from => 'earliest');
SELECT create_projection('rebuilt', 'handlers.count(jsonb, sierra_event)', mode => 'manual', initial => '0');
SELECT rebuild_projection('rebuilt', automatic => false);
SELECT create_saga('saga', ARRAY[saga_step('one', 'handlers.act(jsonb)', 'handlers.act(jsonb)'), saga_step('two', 'handlers.act(jsonb)', waits => true), saga_step('three', 'handlers.act(jsonb)')], timeout => '1 day');
SELECT create_saga('stuck', ARRAY[saga_step('one', 'handlers.act(jsonb)', 'handlers.fail(jsonb)', max_attempts => 1), saga_step('two', 'handlers.act(jsonb)', waits => true)]);
SELECT start_saga('saga', saga_id => 'saga-1');
SELECT start_saga('stuck', saga_id => 'saga-3');
SELECT run_sagas();
SELECT cancel_saga('saga-3', 'no');
SELECT run_sagas();
SELECT start_saga('saga', saga_id => 'saga-2');
SELECT eschedule('2020-01-01', 'late', 'Due', '{}', timer_id => '00000000-0000-4000-8000-00000000000a', tags => ARRAY['late:1', 'due']);
SELECT eschedule('2999-01-01', 'later', 'Due', partition_key => 'partition key', payload_bytes => '\x00', timer_id => '00000000-0000-4000-8000-00000000000b');
SELECT esub('whole', start_from => 'earliest');
SELECT esub('some', ARRAY['user-*', 'a'], ARRAY['Happened'], 'earliest', '{"a": 1}');
SELECT esub('tagged', tags => ARRAY['user:123', 'late:1'], start_from => 'earliest');
SELECT epsub('part', ARRAY[0, 1], 'earliest', '{"1": 1}');
SELECT esub('group', start_from => 'earliest', max_attempts => 1);
SELECT count(*) FROM enext('group', 3, consumer => 'c1');
SELECT esub('failing', start_from => 'earliest');
SELECT enack('failing', (SELECT max(global_position) FROM enext('failing', 2)), '1 hour', 'bad');
SELECT count(*) FROM enext('failing', 20);
SQL

# As the store's owner, what runners do by themselves.
my $runners_sql = <<'SQL';
SELECT count(*) FROM generate_series(1, 3) AS n, emappend(NULL, ARRAY['a', 'user-123'], array_fill('Happened'::text, ARRAY[2]), array_fill(json_build_object('n', n), ARRAY[2]));
SELECT create_upcaster('Happened', 1, 'handlers.up(json)');
SELECT create_projection('by_itself', 'handlers.count(jsonb, sierra_event)', key => 'e.event_name', initial => '0');
SELECT create_projection('sees_all', 'handlers.see_all(sierra_event[])');
SELECT create_process_manager('manager', 'handlers.object(jsonb, sierra_event)', key => 'e.stream_id', start_from => 'earliest');
SELECT create_saga('saga', ARRAY[saga_step('one', 'handlers.act(jsonb)', 'handlers.act(jsonb)'), saga_step('two', 'handlers.act(jsonb)')], timeout => '1 day');
SELECT start_saga('saga', saga_id => 'saga-1');
SELECT eschedule('2020-01-01', 'late', 'Due', '{}', timer_id => '00000000-0000-4000-8000-00000000000a', tags => ARRAY['late:1', 'due']);
SELECT eschedule('2999-01-01', 'later', 'Due', timer_id => '00000000-0000-4000-8000-00000000000b');
SQL

# By function, what to select.  {store} is the name of the store.
my %calls = (
    cancel_rebuild         => [q{cancel_rebuild('rebuilt')}],
    cancel_saga            => [q{cancel_saga('saga-1', 'no')}],
    alter_projection_owner => [q{alter_projection_owner('counts', current_user::regrole)}, q{alter_projection_owner('at_once', current_user::regrole)}],
    alter_saga_owner       => [q{alter_saga_owner('saga', current_user::regrole)}],
    clear_event_store      => [q{clear_event_store('{store}')}, q{clear_event_store('{store}', force => true)}],
    complete_saga_step     => [q{complete_saga_step('saga-1', 'two')}],
    create_aggregate       => [q{create_aggregate('thing', 'handlers.object(jsonb, sierra_event)', replace => true)},
                               q{create_aggregate('another', 'handlers.object(jsonb, sierra_event)')}],
    create_category_index  => [q{create_category_index('{store}')}],
    create_event_store     => [q{create_event_store('{store}', 2)}],
    create_process_manager => [q{create_process_manager('another', 'handlers.object(jsonb, sierra_event)', key => 'e.stream_id')}],
    create_projection      => [q{create_projection('another', 'handlers.count(jsonb, sierra_event)')},
                               q{create_projection('another', 'handlers.count(jsonb, sierra_event)', mode => 'inline', initial => '0')}],
    create_saga            => [ map { qq{create_saga('$_', ARRAY[saga_step('one', 'handlers.act(jsonb)')])} } qw(saga another) ],
    create_trace_index     => [q{create_trace_index('{store}')}],
    create_upcaster        => [q{create_upcaster('Happened', 1, 'handlers.up(json)', replace => true)},
                               q{create_upcaster('Happened', 2, 'handlers.up(json)')}],
    drop_aggregate         => [q{drop_aggregate('thing')}],
    drop_category_index    => [q{drop_category_index('{store}')}],
    export_events          => [ map { "count(*) || ' ' || coalesce(md5(string_agg(l, '|')), '') FROM export_events($_) AS l" } q{'{store}'}, q{'{store}', 3, 10, false} ],
    event_hashes           => [q{string_agg(h::text, ' ' ORDER BY h.range) FROM event_hashes('{store}', 8) AS h}],
    import_events          => [q{import_events(ARRAY['{"stream_id": "order-1", "event_name": "Happened", "payload_text": "1 "}', '{"stream_id": "imported", "event_name": "Happened", "partition_key": "k", "tags": ["t"]}'], '{store}')},
                               q{import_events(ARRAY(SELECT l::sierra_json FROM export_events('{store}') AS l), '{store}')}],
    drop_trace_index       => [q{drop_trace_index('{store}')}],
    drop_event_store       => [q{drop_event_store('{store}')}, q{drop_event_store('{store}', force => true)}],
    drop_projection        => [ map { qq{drop_projection('$_')} } qw(counts sees at_once) ],
    drop_saga              => [q{drop_saga('saga')}],
    drop_snapshots         => [q{drop_snapshots('thing')}, q{drop_snapshots('thing', 'order-1')}],
    drop_upcaster          => [q{drop_upcaster('Happened', 1)}],
    eack                   => [q{eack('whole', 5)}, q{eack('group', 2, 'c1')}, q{eack('some', 2)}, q{eack('part', 3)}],
    eall                   => [ map { events("eall($_)") } q{-1, NULL}, q{5}, q{streams => ARRAY['user-*', 'a']},
                                q{event_names => ARRAY['Bytes']}, q{-1, NULL, backward => true}, q{100, 4, backward => true},
                                q{tags => ARRAY['t']}, q{tags => ARRAY['user:123', 'late:1']} ],
    eappend                => [ map { "r.stream_version FROM eappend($_) AS r" } q{'a', 'Again'}, q{'user-123', 'Again', '{}', expected_version => 3},
                                q{'new', 'First', expected_version => 'empty'}, q{'newer', 'First', partition_key => 'a', tags => ARRAY['user:123']},
                                q{'own', 'Happened', event_id => '00000000-0000-4000-8000-000000000001'},
                                q{'user-123', 'Bytes', payload_bytes => '\\x00ff', event_id => '00000000-0000-4000-8000-000000000002'},
                                q{'own', 'Again', event_id => '00000000-0000-4000-8000-000000000003'}, q{'€-stream', 'Again', payload_bytes => '\\x01'},
                                q{'tagged', 'Again', tags => '{x,€}', condition => '{"query": [{"tags": ["x"]}], "after": -1, "streams": {"a": "exists"}}'},
                                q{'tagged', 'Again', condition => '{"query": [{"types": ["None"]}], "after": -1}'},
                                q{'tagged', 'Again', condition => '{"query": [{"tags": ["none"]}, {"tags": ["n", "m"], "types": ["None"]}], "after": 0}'} ],
    eappend_each           => [
        q{count(*) FROM eappend_each(ARRAY['a', '€-stream', 'user-123', 'user-123', ''], array_fill('x'::text, ARRAY[5]))},
        q{string_agg(status, ' ') FROM eappend_each(ARRAY['a', 'own', 'own', 'new', 'new'], array_fill('x'::text, ARRAY[5]), expected_versions => ARRAY['empty', 'any', 'any', 'empty', 'any']::expected_version[],
          event_ids => ARRAY[NULL, '00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000009', '00000000-0000-4000-8000-000000000009', NULL]::uuid[],
          partition_keys => ARRAY[NULL, NULL, 'another', 'partition key', 'another'], calls => ARRAY[1, 2, 3, 4, 5])},
        q{string_agg(status, ' ') FROM eappend_each(ARRAY['a', 'a', 'b'], ARRAY['x', 'x', 'x'], tags => ARRAY['["x"]', '["y"]', NULL]::sierra_json[],
          conditions => ARRAY['{"query": [{"tags": ["none"]}], "after": 0}', '{"query": [{"tags": ["x"]}], "after": 0}', '{"streams": {"own": "exists"}}']::sierra_json[])} ],
    ecancel                => [q{ecancel('00000000-0000-4000-8000-00000000000a')}],
    edecide                => [q{count(*) FROM edecide('thing', 'order-1', 'handlers.decide(jsonb, jsonb)', '{}')},
                               q{count(*) FROM edecide('thing', 'own', 'handlers.decide(jsonb, jsonb)', '{}', command_id => '00000000-0000-4000-8000-000000000001')}],
    edecide_query          => [q{count(*) FROM edecide_query('thing', '[{"tags": ["t"]}]', 'handlers.decide_query(jsonb, jsonb)', '{}')},
                               q{count(*) FROM edecide_query('thing', '[]', 'handlers.decide_query(jsonb, jsonb)', '{}', command_id => '00000000-0000-4000-8000-000000000001')}],
    eget                   => [ map { events("eget('00000000-0000-4000-8000-00000000000$_')") } 1, 2 ],
    ehead                  => [q{ehead()}],
    eleave                 => [q{eleave('group', 'c1')}],
    eload                  => [q{eload('thing', 'order-1')}, q{eload('thing', 'user-123', 1)}, q{eload('thing', 'a', at_time => now())}],
    eload_query            => [q{eload_query('thing', '[{"tags": ["t"]}]')}, q{eload_query('thing', '[{"types": ["Bytes"]}]', 5)}],
    emappend               => [
        q{count(*) FROM emappend(NULL, '[{"stream_id": "a", "event_name": "x"}, {"stream_id": "user-123", "event_name": "x", "event_id": "00000000-0000-4000-8000-000000000009"}]')},
        q{count(*) FROM emappend(NULL, ARRAY['a', '€-stream', 'user-123', 'user-123'], array_fill('x'::text, ARRAY[4]))},
        q{count(*) FROM emappend('partition key', ARRAY['new', 'own'], ARRAY['x', 'x'])},
        q{count(*) FROM emappend(NULL, '{"events": [{"stream_id": "a", "event_name": "x", "tags": ["x"]}], "condition": {"query": [{"tags": ["none"]}], "after": 0}}')},
        q{count(*) FROM emappend(NULL, ARRAY['a'], ARRAY['x'], tags => ARRAY['["x"]']::sierra_json[], condition => '{"streams": {"own": "exists"}}')} ],
    enack                  => [q{enack('whole', 3)}, q{enack('group', 0, park => true, consumer => 'c1')}, q{enack('failing', 12, reason => 'bad')}],
    enext                  => [ map { "count(*) FROM enext($_)" } q{'whole'}, q{'some'}, q{'tagged'}, q{'part'}, q{'group', consumer => 'c1'}, q{'group', consumer => 'c2'},
                                q{'failing', 1000}, q{'whole', after => 5} ],
    epeek                  => [ map { "count(*) FROM epeek('$_')" } qw(whole some tagged part failing) ],
    eproject               => [q{eproject('counts', 'a')}, q{eproject('tagged', 'own')}, q{eproject('at_once', 'a')}, q{eproject('by_itself', 'Happened')}],
    epscan                 => [ (map { events("epscan($_)") } 0 .. 3), events(q{epscan(partition_key => 'partition key')}), events(q{epscan(1, 1, 3)}),
                                events(q{epscan(1, backward => true, max_count => 2)}) ],
    epseq                  => [ (map { "epseq($_)" } 0 .. 3), q{epseq(partition_key => 'partition key')} ],
    epsub                  => [q{epsub('new')}, q{epsub('part', ARRAY[0, 1], 'earliest', '{"1": 1}')}],
    equery                 => [ map { events("equery($_)") } q{'[{"tags": ["t"]}]'}, q{'[{"tags": ["u", "t"], "types": ["Happened"]}, {"tags": ["none"]}]', 2},
                                q{'[{"tags": ["u"]}]', backward => true, to_position => 3}, q{'[{"types": ["Bytes"]}, {"tags": ["t"]}]'}, q{NULL} ],
    eretry                 => [q{eretry('failing')}],
    escan                  => [ (map { events("escan('$_')") } qw(a user-123 €-stream own order-1 saga-1)), events(q{escan('user-123', 1, 2)}),
                                events(q{escan('user-123', backward => true)}) ],
    eschedule              => [q{eschedule(now(), 'a', 'Due')}, q{eschedule('2020-01-01', 'late', 'Due', '{}', timer_id => '00000000-0000-4000-8000-00000000000a', tags => ARRAY['late:1', 'due'])}],
    eskip                  => [q{eskip('failing', 'user-123')}],
    estates                => [ map { "string_agg(s::text, ' ' ORDER BY s.key) FROM estates('$_') AS s" } qw(counts at_once manager) ],
    esub                   => [q{esub('new')}, q{esub('some', ARRAY['user-*', 'a'], ARRAY['Happened'], 'earliest', '{"a": 1}')},
        q{esub('tagged', tags => ARRAY['user:123', 'late:1'], start_from => 'earliest')}],
    esver                  => [ map { "esver('$_')" } qw(a user-123 €-stream own order-1 nothing) ],
    eunsub                 => [ map { "eunsub('$_')" } qw(whole group failing) ],
    eupcast                => [q{count(u.payload) FROM escan('a') AS e, eupcast(e) AS u}],
    ewait                  => [q{ewait('whole', 3, '10 ms')}, q{ewait('group', 3, '10 ms')}, q{ewait('failing', 0, '10 ms')}],
    ewait_head             => [q{ewait_head(0, '10 ms')}, q{ewait_head(1000, '10 ms')}],
    ewait_projection       => [ map { "ewait_projection('$_', 1000, '10 ms')" } qw(counts at_once manager) ],
    expected_version       => [q{expected_version(1)}, q{expected_version(1::bigint)}, q{expected_version(1::smallint)}],
    start_position         => [q{start_position(1)}, q{start_position(1::bigint)}, q{start_position(1::smallint)}],
    fail_saga_step         => [q{fail_saga_step('saga-1', 'two', 'no')}],
    finish_rebuild         => [q{finish_rebuild('rebuilt')}],
    forget_sagas           => [q{forget_sagas('infinity')}],
    guard_event_store      => [q{guard_event_store('{store}')}],
    pause_projection       => [q{pause_projection('counts')}],
    rebuild_projection     => [q{rebuild_projection('counts')}, q{rebuild_projection('by_itself', key => 'e.stream_id')}],
    rebuild_saga_instances => [q{rebuild_saga_instances()}],
    resume_projection      => [q{resume_projection('counts')}],
    retry_projection       => [q{retry_projection('counts')}],
    retry_saga             => [q{retry_saga('saga-3')}],
    run_projection         => [ map { "run_projection('$_')" } qw(counts sees sees_all by_itself manager) ],
    run_projections        => [q{run_projections()}],
    run_sagas              => [q{run_sagas()}],
    run_timers             => [q{run_timers()}],
    saga_step              => [q{saga_step('one', 'handlers.act(jsonb)')}],
    skip_projection_event  => [q{skip_projection_event('counts')}, q{skip_projection_event('counts', 'a')}],
    skip_saga_step         => [q{skip_saga_step('saga-3', 'no')}],
    start_saga             => [q{start_saga('saga')}, q{start_saga('saga', saga_id => 'saga-1')}],
    etrace                 => [ events(q{etrace('trace')}), events(q{etrace(causation_id => 'trace', max_count => 2)}) ],
    event_streams          => [ q{count(*) FROM event_streams('{store}')}, q{count(*) FROM event_streams('{store}', newest_first => true)} ],
    event_metrics_text     => [q{event_metrics_text('store') IS NOT NULL}],
    # Public helpers without a store.
    sierra_call_runners    => [q{sierra_call_runners()}],
    sierra_event_id        => [q{sierra_event_id(sierra_partition_key('a'))}],
    sierra_partition_id    => [q{sierra_partition_id(sierra_partition_key('a'), 4)}],
    sierra_partition_key   => [q{sierra_partition_key('a')}],
    sierra_stream_key      => [q{sierra_stream_key('a')}],
    (map { $_ => ["count(*) FROM $_()"] } qw(event_databases event_metrics event_progress event_runners event_stores)),
    (map { $_ => ["count(*) FROM $_('{store}')"] } qw(event_aggregates event_consumers event_failures event_leases
        event_names event_partitions event_process_managers event_projections event_sagas event_subscriptions event_timers everify)),
);

# How many events a call reads, and all of each.
sub events {
    my ($source) = @_;
    return "count(*) || ' ' || coalesce(md5(string_agg(r::text, '|' ORDER BY r.global_position)), '') FROM $source AS r";
}

# Must such a call give what it gave before the store was damaged, if it gives anything?
sub is_read { return $_[0] =~ /^(?:eall|eget|equery|escan|epscan|epseq|esver|export_events|event_hashes)$/ }

# The database of a node, with its roles.
sub prepare_database {
    my ($node) = @_;
    my $dbh = connect_to($node);
    $dbh->do($database_sql);
    $dbh->disconnect;
    $dbh = connect_to($node, 'postgres', 'regress_sierra_owner');
    $dbh->do($functions_sql);
    $dbh->disconnect;
    return;
}

# What the setting is called that says how many runners there are.
sub setting_of_runners {
    my ($node) = @_;
    my $dbh = connect_to($node);
    $dbh->do(q{LOAD 'sierra_es'});
    my $setting = one_value($dbh, q{SELECT name FROM pg_settings WHERE name IN ('sierra_es.workers', 'sierra_es.max_runners')});
    $dbh->disconnect;
    return $setting;
}

# As the owner: a store and what is in it.
sub fill_store {
    my ($dbh, $store) = @_;
    $dbh->do("SELECT create_event_store('$store', 4)");
    $dbh->do("SET sierra_es.store = '$store'");
    $dbh->do($store_sql);
    $dbh->do("GRANT USAGE ON SCHEMA $store TO PUBLIC;
              GRANT SELECT ON ALL TABLES IN SCHEMA $store TO regress_sierra_reader, regress_sierra_consumer;
              GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA $store TO regress_sierra_consumer");
    return;
}

# As the owner: a store with something to run.
sub fill_for_runners {
    my ($dbh, $store) = @_;
    $dbh->do("SELECT create_event_store('$store', 2)");
    $dbh->do("SET sierra_es.store = '$store'");
    $dbh->do($runners_sql);
    return;
}

# The public functions of the extension, by name: those that are not in its private schema.
sub public_functions {
    my ($dbh) = @_;
    my $private = one_value($dbh, q{SELECT to_regnamespace('sierra_internal') IS NOT NULL});
    return @{ $dbh->selectcol_arrayref(
            q{SELECT DISTINCT p.proname
                FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid
                JOIN pg_extension AS e ON e.oid = d.refobjid
               WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'sierra_es'
                 AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype
                 AND CASE WHEN $1 THEN p.pronamespace <> to_regnamespace('sierra_internal')
                          ELSE p.proname NOT LIKE 'sierra\_%' END
               ORDER BY 1}, undef, $private) };
}

# The calls of these functions, each as function and call; dies if one is not known.
sub calls_of {
    my ($store, @functions) = @_;
    my @unknown = grep { !exists $calls{$_} } @functions;
    die "no call is known of: @unknown" if @unknown;
    my %known = map { $_ => 1 } @functions;
    my @gone = grep { !$known{$_} } sort keys %calls;
    die "there is no function of these names: @gone" if @gone;
    return map { my $function = $_; map { [ $function, s/\{store\}/$store/gr ] } @{ $calls{$function} } } @functions;
}

1;
