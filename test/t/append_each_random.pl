# eappend_each() is a shorter way to write many calls of emappend(): the same random calls go to one
# store in statements of many calls, and to another one by one.  Then both have the same events, and
# each call got the same answer: numbers, or every field of its error.  The calls share few streams,
# keys, event ids and tags, so that they meet.
#
# SIERRA_TEST_SEED repeats a run; SIERRA_TEST_STATEMENTS sets its length.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;

my $seed       = $ENV{SIERRA_TEST_SEED}       // time % 1_000_000;
my $statements = $ENV{SIERRA_TEST_STATEMENTS} // 150;
diag("SIERRA_TEST_SEED=$seed SIERRA_TEST_STATEMENTS=$statements");

my $node = new_server('each_random');
my $dbh  = connect_to($node);
$dbh->do($_) for split /^--;\n/m, <<'SQL';
CREATE ROLE regress_sierra_each;
GRANT CREATE ON SCHEMA public TO regress_sierra_each;
--;
CREATE FUNCTION pick(choices anyarray) RETURNS anyelement LANGUAGE sql VOLATILE
    AS 'SELECT choices[1 + floor(random() * cardinality(choices))::int]';
--;
CREATE FUNCTION head(store name) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    position bigint;
BEGIN
    EXECUTE format('SELECT coalesce(max(global_position), -1) FROM %I.events', store) INTO position;
    RETURN position;
END $$;
--;
-- A random condition; few of them are valid for long.
CREATE FUNCTION a_condition() RETURNS json LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN random() < 0.75 THEN NULL
                WHEN random() < 0.03 THEN pick(ARRAY['{}', '7', '{"query": []}', '{"streams": {"s1": null}}'])::json
                WHEN random() < 0.4 THEN json_build_object('streams', json_build_object(
                         's' || floor(random() * 6), pick(ARRAY['any', 'exists', 'exists', 'exists', 'empty', '0', '2']),
                         'k' || floor(random() * 3), pick(ARRAY['exists', 'empty', '0', '1'])))
                ELSE json_build_object(
                         'query', CASE WHEN random() < 0.1 THEN json_build_array(json_build_object('types', ARRAY['E' || floor(random() * 5)]))
                                       ELSE json_build_array(json_build_object('tags', ARRAY['t' || floor(random() * 4)]),
                                                             json_build_object('tags', ARRAY['t' || floor(random() * 4)], 'types', ARRAY['E1'])) END,
                         'after', greatest(-1, head('each') + 2 - floor(random() * 30))) END $$;
--;
CREATE TABLE given (
    call int, stream text, name text, payload json, metadata json, expected expected_version, event_id uuid, at timestamptz,
    bytes bytea, tags json, key text, condition json, n int GENERATED ALWAYS AS IDENTITY
);
CREATE TABLE answer (
    statement int, n bigint, store name, status text, stream text, version bigint, partition int, sequence bigint, "position" bigint,
    event_id uuid, key uuid, sqlstate text, message text, detail text, hint text, table_name text, column_name text, constraint_name text
);
CREATE TABLE past (LIKE given);
GRANT SELECT ON given, answer TO regress_sierra_each;
GRANT INSERT ON answer TO regress_sierra_each;
--;
CREATE FUNCTION an_event(call int, key text, condition json, versions boolean, ids float) RETURNS SETOF given LANGUAGE sql VOLATILE AS $$
    SELECT call, CASE WHEN random() < 0.005 THEN '' WHEN random() < 0.7 THEN 's' || floor(random() * 6) ELSE 'k' || floor(random() * 12) END,
           CASE WHEN random() < 0.003 THEN NULL ELSE 'E' || floor(random() * 5) END,
           CASE WHEN random() < 0.5 THEN json_build_object('n', random()) END,
           CASE WHEN random() < 0.005 THEN '[]' WHEN random() < 0.3 THEN '{"m": 1}' END::json,
           CASE WHEN random() < 0.8 THEN 'any' WHEN versions AND random() < 0.02 THEN NULL
                ELSE pick(ARRAY['exists', 'empty', '0', '1', '2', '3', '5', '8']) END::expected_version,
           CASE WHEN random() < ids THEN ('00000000-0000-4000-8000-' || lpad(floor(random() * 300)::text, 12, '0'))::uuid END,
           CASE WHEN random() < 0.003 THEN 'infinity' WHEN random() < 0.3 THEN '2020-01-01'::timestamptz + random() * interval '1 day' END,
           CASE WHEN random() < 0.05 THEN '\x00ff' END::bytea,
           CASE WHEN random() < 0.005 THEN '[""]'::json WHEN random() < 0.3 THEN json_build_array('t' || floor(random() * 4)) END,
           key, condition, 0 $$;
--;
-- Some calls, most of them of one event.
CREATE FUNCTION give(calls int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    versions constant boolean := random() < 0.9;
    key text;
    condition json;
    ids float;
    number_before int;
BEGIN
    INSERT INTO past SELECT * FROM given;
    UPDATE past SET call = -(SELECT count(DISTINCT call) FROM past WHERE call < 0) - call WHERE call > 0;
    TRUNCATE given RESTART IDENTITY;
    FOR number IN 1 .. calls LOOP
        -- now and then a call is repeated, of this statement or of an earlier one
        IF random() < 0.15 THEN
            SELECT call INTO number_before FROM (TABLE given UNION ALL TABLE past) AS before ORDER BY random() LIMIT 1;
            INSERT INTO given OVERRIDING USER VALUE
            SELECT number, stream, name, payload, metadata, expected, event_id, at, bytes, tags, before.key, before.condition, 0
              FROM (TABLE given UNION ALL TABLE past) AS before WHERE call = number_before ORDER BY n;
            CONTINUE WHEN FOUND;
        END IF;
        key := CASE WHEN random() < 0.01 THEN '' WHEN random() < 0.15 THEN pick(ARRAY['x', 'y', 'k1']) END;
        condition := a_condition();
        ids := pick(ARRAY[0, 0.3, 1, 1]::float[]);
        FOR i IN 1 .. CASE WHEN random() < 0.7 THEN 1 ELSE 1 + floor(random() * 4)::int END LOOP
            INSERT INTO given OVERRIDING USER VALUE
            SELECT * FROM an_event(number, CASE WHEN i = 1 OR random() < 0.5 THEN key END, CASE WHEN i = 1 THEN condition END, versions, ids);
        END LOOP;
    END LOOP;
END $$;
--;
CREATE FUNCTION append_each(statement int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO answer
    SELECT $1, r.ordinality, 'each', r.status, r.stream_id, r.stream_version, r.partition_id, r.partition_sequence, r.global_position,
           CASE WHEN g.ids[r.ordinality] IS NOT NULL THEN r.event_id END, r.partition_key,
           r.sqlstate, r.message, r.detail, r.hint, r.table_name, r.column_name, r.constraint_name
      FROM (SELECT array_agg(stream ORDER BY n) AS streams, array_agg(name ORDER BY n) AS names, array_agg(payload ORDER BY n) AS payloads,
                   array_agg(metadata ORDER BY n) AS metadatas, array_agg(expected ORDER BY n) AS versions, array_agg(event_id ORDER BY n) AS ids,
                   array_agg(at ORDER BY n) AS times, array_agg(bytes ORDER BY n) AS bytes, array_agg(tags ORDER BY n) AS tags,
                   array_agg(key ORDER BY n) AS keys, array_agg(condition ORDER BY n) AS conditions, array_agg(call ORDER BY n) AS calls FROM given) AS g,
           LATERAL eappend_each(g.streams, g.names, g.payloads, g.metadatas, g.versions, g.ids, g.times, g.bytes, g.tags, g.keys, g.conditions, g.calls)
           WITH ORDINALITY AS r $$;
--;
CREATE FUNCTION append_one(statement int, a_call int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before constant bigint := head('one');
    a text; b text; c text; d text; e text; f text; g text;
BEGIN
    INSERT INTO answer
    SELECT $1, g.first + r.ordinality - 1, 'one', CASE WHEN r.global_position > before THEN 'appended' ELSE 'repeated' END, r.stream_id,
           r.stream_version, r.partition_id, r.partition_sequence, r.global_position,
           CASE WHEN g.ids[r.ordinality] IS NOT NULL THEN r.event_id END, r.partition_key
      FROM (SELECT min(n) AS first, array_agg(stream ORDER BY n) AS streams, array_agg(name ORDER BY n) AS names, array_agg(payload ORDER BY n) AS payloads,
                   array_agg(metadata ORDER BY n) AS metadatas, array_agg(expected ORDER BY n) AS versions, array_agg(event_id ORDER BY n) AS ids,
                   array_agg(at ORDER BY n) AS times, array_agg(bytes ORDER BY n) AS bytes, array_agg(tags ORDER BY n) AS tags,
                   (array_agg(key ORDER BY n))[1] AS key, (array_agg(condition ORDER BY n))[1] AS condition FROM given WHERE call = a_call) AS g,
           LATERAL emappend(g.key, g.streams, g.names, g.payloads, g.metadatas, g.versions, g.ids, g.times, g.bytes, g.tags, g.condition)
           WITH ORDINALITY AS r;
EXCEPTION
    WHEN OTHERS THEN
        IF SQLSTATE !~ '^(22|SE)' THEN
            RAISE;
        END IF;
        GET STACKED DIAGNOSTICS a = RETURNED_SQLSTATE, b = MESSAGE_TEXT, c = PG_EXCEPTION_DETAIL, d = PG_EXCEPTION_HINT,
                                e = TABLE_NAME, f = COLUMN_NAME, g = CONSTRAINT_NAME;
        INSERT INTO answer
        SELECT $1, n, 'one', 'refused', stream, NULL, NULL, NULL, NULL, event_id, NULL, a, b, nullif(c, ''), nullif(d, ''),
               nullif(e, ''), nullif(f, ''), nullif(g, '')
          FROM given WHERE call = a_call;
END $$;
--;
CREATE FUNCTION events_of(store name) RETURNS TABLE (event text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        $q$SELECT concat_ws('|', global_position, partition_id, partition_sequence, stream_id, stream_version,
                            CASE WHEN event_id::text LIKE '00000000%%' THEN event_id END,
                            CASE WHEN "timestamp" < '2021-01-01' THEN "timestamp" END, partition_key, event_name, metadata, payload, payload_bytes, tags,
                            min(global_position) OVER (PARTITION BY transaction_id))
             FROM %I.events ORDER BY global_position$q$, store);
END $$;
SQL
$dbh->do(q{SELECT setseed(?)}, undef, $seed / 1_000_000);

# Runs a statement and its calls one by one, each kind in the store of its name.
sub run_statement {
    my ($number, $role) = @_;
    my ($calls, $strict, $metadata) = $dbh->selectrow_array(
        q{SELECT 1 + floor(random() * 12)::int, random() < 0.05, CASE WHEN random() < 0.1 THEN '{"session": 1}' ELSE '' END});
    $dbh->do(q{SELECT give(?)}, undef, $calls);
    $dbh->do("SET sierra_es.strict_versioning = " . ($strict ? 'on' : 'off'));
    $dbh->do(q{SELECT set_config('sierra_es.metadata', ?, false)}, undef, $metadata);
    $dbh->do("SET ROLE $role");
    $dbh->do(q{SET sierra_es.store = 'each'});
    $dbh->do(q{SELECT append_each(?)}, undef, $number);
    $dbh->do(q{SET sierra_es.store = 'one'});
    $dbh->do(q{SELECT append_one(?, ?)}, undef, $number, $_) for 1 .. $calls;
    $dbh->do('RESET ROLE');
    return;
}

# The answers that differ; the number of a null element is not the same in a shorter array.
my $different = <<'SQL';
SELECT * FROM (SELECT *, count(*) OVER (PARTITION BY answer) AS times
                 FROM (SELECT statement, n, store, to_jsonb(a) - 'store' - CASE sqlstate WHEN '22004' THEN 'detail' ELSE '' END AS answer FROM answer AS a) AS b) AS c
 WHERE times <> 2 ORDER BY statement, n, store LIMIT 10
SQL

sub compare_stores {
    my ($title) = @_;
    my @rows = map { join ' ', map { $_ // 'null' } @$_ } @{ $dbh->selectall_arrayref($different) };
    is(join("\n", @rows), '', "$title: the same answer to each event");
    is_deeply(
        $dbh->selectcol_arrayref(q{SELECT events_of('each')}),
        $dbh->selectcol_arrayref(q{SELECT events_of('one')}),
        "$title: the same events"
    );
    my $kinds = $dbh->selectall_hashref(
        q{SELECT coalesce(sqlstate, status) AS kind, count(*) FROM answer WHERE store = 'each' GROUP BY 1}, 'kind');
    diag("$title: " . join ', ', map { "$_ $kinds->{$_}{count}" } sort keys %$kinds);
    my @missing = grep { !$kinds->{$_} } qw(appended repeated SE001 SE002 SE003 SE009 22023);
    is("@missing", '', "$title: each kind of answer occurred") if $statements >= 100;
    for my $store (qw(each one)) {
        is($dbh->selectrow_array(q{SELECT count(*) FROM everify(?)}, undef, $store), 0, "$title: store \"$store\" is sound");
    }
    return;
}

for my $restricted (0, 1) {
    my $title = $restricted ? 'row-level security' : 'owner';
    for my $store (qw(each one)) {
        $dbh->do(q{SELECT drop_event_store(?, force => true)}, undef, $store) if $restricted;
        $dbh->do(q{SELECT create_event_store(?, 3)}, undef, $store);
        next unless $restricted;
        $dbh->do("GRANT USAGE ON SCHEMA $store TO regress_sierra_each");
        $dbh->do("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA $store TO regress_sierra_each");
        $dbh->do("ALTER TABLE $store.events ENABLE ROW LEVEL SECURITY");
        $dbh->do("CREATE POLICY few ON $store.events TO regress_sierra_each USING (stream_id < 's3') WITH CHECK (true)");
    }
    $dbh->do('TRUNCATE answer, given, past');
    my $last = $restricted ? $statements / 3 : $statements;
    run_statement($_, $restricted ? 'regress_sierra_each' : 'NONE') for 1 .. $last;
    compare_stores($title);
}
$dbh->disconnect;
$node->stop;
done_testing();
