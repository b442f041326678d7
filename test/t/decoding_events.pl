# Logical decoding: what is sent, and what is not.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraDecoding;
use SierraTest;
use Test::More;

my $node = decoding_server('decoding');
create_store($node, 4);
create_store($node, 2, 'Other "store"');
my $dbh = connect_to($node);
make_slot($dbh, 'events');

sub append { return $dbh->selectrow_hashref('SELECT * FROM eappend($1, $2, $3)', undef, @_[ 0 .. 2 ]) }

# ---- the fields of an event ----

append('order-1', 'OrderCreated', '{"b" : 1,  "a": "ä\u0000\n\"", "b":2}');
$dbh->do(q{SELECT FROM eappend('zoë "\/', 'Naïve', metadata => '{ "by":"me" }',
    partition_key => 'own', "timestamp" => '0044-03-15 12:00:00.000001+00 BC')});
$dbh->do(q{SELECT FROM eappend('bytes', 'Scanned', event_id => '0190a8f4-1111-7222-8333-444455556666',
    payload_bytes => decode(repeat('00ff7e80', 50), 'hex'))});
$dbh->do(q{SELECT FROM eappend('bytes', 'Scanned', payload_bytes => '')});
$dbh->do(q{SELECT FROM eappend('none', 'Nothing', payload => 'null', metadata => '{}', tags => ARRAY['course:1', 'zoë "\/', ',{}'])});
$dbh->do(q{SELECT FROM eappend('none', 'Tagged', tags => (SELECT array_agg(repeat('t', 223 + i)) FROM generate_series(1, 32) AS i))});
my @sent = take_changes($dbh, 'events', peek => 1);
same_text(join("\n", grep { /"type":"event"/ } @sent),
    join("\n", expected_events($dbh, 'es')), 'events have the fields of sierra_event, byte by byte');
is_deeply([ map { decode_json($_)->{type} } @sent ], [ (qw(begin event commit)) x 6 ],
    'each in its transaction');
{
    my ($begin, undef, $commit) = map { decode_json($_) } @sent;
    is(join(' ', sort keys %$begin), 'commit_lsn commit_time type xid', 'the fields of begin');
    is(join(' ', sort keys %$commit), 'commit_lsn commit_time end_lsn type xid', 'the fields of commit');
    is_deeply([ @$begin{qw(xid commit_lsn commit_time)} ], [ @$commit{qw(xid commit_lsn commit_time)} ],
        'begin and commit are of the same transaction');
    ok(one_value($dbh, 'SELECT $1::pg_lsn < $2::pg_lsn AND $2::pg_lsn <= pg_current_wal_lsn()',
            @$commit{qw(commit_lsn end_lsn)}), 'it ends behind its commit record');
    ok(one_value($dbh, q{SELECT $1::timestamptz BETWEEN now() - interval '1 hour' AND now()},
            $commit->{commit_time}), 'at the time of the commit');
    like($commit->{commit_time}, qr/\+00:00$/, 'times are in UTC');
}
{
    local $ENV{PGTZ} = 'Asia/Tokyo';
    my $elsewhere = connect_to($node);
    is_deeply([ take_changes($elsewhere, 'events', peek => 1) ], \@sent, 'in every time zone');
    $elsewhere->disconnect;
}

# ---- the binary format has the same ----

{
    my @binary = map { read_binary($_) } take_binary($dbh, 'events');
    my @events = grep { $_->{type} eq 'E' } @binary;
    is(join('', map { $_->{type} } @binary), 'BEC' x 6, 'binary: begin, events, commit');
    is(join(' ', map { "$_->{version} $_->{more}" } @binary), join(' ', ('1 ') x 18),
        'binary: of version 1, without a byte more');
    my $columns = q{global_position, partition_id, partition_sequence, stream_version,
        (extract(epoch FROM "timestamp" - '2000-01-01 00:00+00') * 1000000)::bigint AS "timestamp",
        translate(event_id::text, '-', '') AS event_id,
        translate(partition_key::text, '-', '') AS partition_key,
        translate(transaction_id::text, '-', '') AS transaction_id,
        encode(convert_to(stream_id, 'UTF8'), 'hex') AS stream_id,
        encode(convert_to(event_name, 'UTF8'), 'hex') AS event_name,
        encode(convert_to(metadata::text, 'UTF8'), 'hex') AS metadata,
        encode(convert_to(payload::text, 'UTF8'), 'hex') AS payload,
        encode(payload_bytes, 'hex') AS payload_bytes,
        (SELECT array_agg(encode(convert_to(t, 'UTF8'), 'hex') ORDER BY nth)
           FROM unnest(tags) WITH ORDINALITY AS t (t, nth)) AS tags};
    for my $event (@events) {
        delete @$event{qw(type version more)};
        is(delete $event->{store}, 'es', 'binary: the store');
        $_ = defined $_ ? unpack 'H*', $_ : undef
          for @$event{qw(stream_id event_name metadata payload payload_bytes)}, @{ $event->{tags} // [] };
    }
    is_deeply(\@events, all_rows($dbh, "SELECT $columns FROM es.events ORDER BY global_position"),
        'binary: every field');
    my ($begin, undef, $commit) = @binary;
    my $json = decode_json($sent[2]);
    is($commit->{xid}, $json->{xid}, 'binary: the transaction');
    is(sprintf('%X/%X', $_->{commit_lsn} >> 32, $_->{commit_lsn} & 0xffffffff),
        $json->{commit_lsn}, 'binary: its commit record') for $begin, $commit;
    is(sprintf('%X/%X', $commit->{end_lsn} >> 32, $commit->{end_lsn} & 0xffffffff),
        $json->{end_lsn}, 'binary: its end');
    is(one_value($dbh, q{SELECT to_json('2000-01-01 00:00+00'::timestamptz + $1 * interval '1 microsecond')},
            $commit->{commit_time}), qq("$json->{commit_time}"), 'binary: its time');
}
is(sqlstate_of($dbh, q{SELECT * FROM pg_logical_slot_get_changes('events', NULL, NULL, 'format', 'binary')}),
    '0A000', 'binary messages are not text');

# ---- one commit ----

my @stream = map { stream_of_partition($dbh, $_, 4) } 0 .. 3;
$dbh->begin_work;
append($stream[$_], 'First', $_) for 3, 0;
$dbh->pg_savepoint('undone');
append($stream[$_], 'Undone', $_) for 1, 0, 1;
$dbh->pg_rollback_to('undone');
$dbh->do('CREATE TABLE own (n int)');
$dbh->do('INSERT INTO own SELECT generate_series(1, 10)');
append($stream[$_], 'Second', $_) for 1, 0, 3;
$dbh->commit;
@sent = map { decode_json($_) } take_changes($dbh, 'events');
is_deeply([ map { $_->{type} eq 'event' ? "$_->{stream_id} $_->{event_name}" : $_->{type} } @sent ],
    [ 'begin', "$stream[3] First", "$stream[0] First", (map { "$stream[$_] Second" } 1, 0, 3), 'commit' ],
    'events of one commit come together, in order, without what was undone');

$dbh->begin_work;
append($stream[0], 'Undone');
$dbh->rollback;
is(sqlstate_of($dbh, 'SELECT FROM eappend($1, $2, expected_version => 77)', $stream[0], 'Refused'),
    'SE001', 'an append is refused');
is_deeply([ take_changes($dbh, 'events') ], [], 'nothing comes of appends that rolled back or were refused');

# Commits decide the order, not positions.
{
    my $slow = connect_to($node);
    $slow->begin_work;
    my $first = $slow->selectrow_hashref('SELECT * FROM eappend($1, $2)', undef, $stream[0], 'Slow');
    my $second = append($stream[1], 'Fast');
    is_deeply([ map { $_->{event_name} } map { decode_json($_) } take_events($dbh, 'events') ], ['Fast'],
        'an append in flight holds nobody up');
    $slow->commit;
    my @late = map { decode_json($_) } take_events($dbh, 'events');
    is($late[0]{event_name}, 'Slow', 'it comes with its commit');
    cmp_ok($late[0]{global_position}, '<', $second->{global_position}, 'with a lower position');
    $slow->disconnect;
}

# A prepared append comes when it commits.
for my $ending ('COMMIT', 'ROLLBACK') {
    $dbh->begin_work;
    append($stream[0], "Prepared for $ending");
    $dbh->do(q{PREPARE TRANSACTION 'held'});
    $dbh->{AutoCommit} = 1;
    is_deeply([ take_events($dbh, 'events') ], [], 'a prepared append is not sent');
    $dbh->do("$ending PREPARED 'held'");
    is_deeply([ map { decode_json($_)->{event_name} } take_events($dbh, 'events') ],
        $ending eq 'COMMIT' ? ['Prepared for COMMIT'] : [], "$ending PREPARED decides");
}

# ---- what is not an event ----

$dbh->do('INSERT INTO own VALUES (1)');
$dbh->do('UPDATE own SET n = 2');
$dbh->do('TRUNCATE own');
$dbh->do('REINDEX TABLE es.events_0');
$dbh->do('VACUUM FULL es.events_0');
$dbh->do('CLUSTER es.events_1 USING events_1_sequence');
$dbh->do('ALTER TABLE es.events ALTER COLUMN event_id TYPE uuid USING event_id');
$dbh->do('VACUUM FREEZE');
$dbh->do(q{SELECT pg_logical_emit_message(true, 'sierra_es', 'hello')});
is_deeply([ take_changes($dbh, 'events') ], [], 'other tables and maintenance yield nothing');

# Tables that look like one.
$dbh->do('CREATE SCHEMA lookalike');
$dbh->do('CREATE TABLE lookalike.events (LIKE es.events)');
$dbh->do(q{INSERT INTO lookalike.events SELECT * FROM es.events});
$dbh->do('CREATE TABLE lookalike.facts (LIKE es.events) PARTITION BY LIST (partition_id)');
$dbh->do('CREATE TABLE lookalike.facts_0 PARTITION OF lookalike.facts DEFAULT');
$dbh->do(q{INSERT INTO lookalike.facts SELECT * FROM es.events});
$dbh->do('CREATE SCHEMA another');
$dbh->do('CREATE TABLE another.events (n int) PARTITION BY LIST (n)');
$dbh->do('CREATE TABLE another.events_0 PARTITION OF another.events DEFAULT');
$dbh->do('INSERT INTO another.events VALUES (1)');
$dbh->do('CREATE SCHEMA nearly');
$dbh->do('CREATE TABLE nearly.events (LIKE es.events) PARTITION BY LIST (partition_id)');
$dbh->do('ALTER TABLE nearly.events ALTER COLUMN payload TYPE jsonb');
$dbh->do('CREATE TABLE nearly.events_0 PARTITION OF nearly.events DEFAULT');
$dbh->do('INSERT INTO nearly.events SELECT partition_sequence, stream_version, global_position, "timestamp", event_id,
    partition_key, transaction_id, partition_id, stream_id, event_name, NULL, NULL FROM es.events');
is(one_value($dbh, 'SELECT count(*) > 0 FROM nearly.events'), 1, 'tables that look like one have rows');
is_deeply([ take_changes($dbh, 'events') ], [], 'which are not sent');
$dbh->do('DROP SCHEMA lookalike, another, nearly CASCADE');

# ---- two stores ----

$dbh->do(q{SET sierra_es.store = 'Other "store"'});
append('order-1', 'Elsewhere', '1');
$dbh->do('RESET sierra_es.store');
append('order-1', 'Here', '1');
@sent = map { decode_json($_) } take_events($dbh, 'events', peek => 1);
is_deeply([ map { "$_->{store}: $_->{event_name}" } @sent ],
    [ 'Other "store": Elsewhere', 'es: Here' ], 'events of two stores, with their stores');
is_deeply([ map { $_->{event_name} } map { decode_json($_) } take_events($dbh, 'events', peek => 1, store => 'es') ],
    ['Here'], 'option store');
is_deeply([ take_events($dbh, 'events', peek => 1, store => 'none') ], [], 'a store that is not there');

# The name that the store had at the time.
$dbh->do(q{ALTER SCHEMA "Other ""store""" RENAME TO renamed});
$dbh->do(q{SET sierra_es.store = 'renamed'});
append('order-1', 'Renamed', '1');
$dbh->do('DROP TABLE own');
$dbh->do('ALTER TABLE renamed.events RENAME TO not_events');
$dbh->do('ALTER TABLE renamed.not_events DISABLE TRIGGER sierra_guard');
$dbh->do(q{INSERT INTO renamed.not_events SELECT 1000, 1000, 1000, now(), gen_random_uuid(), gen_random_uuid(),
    gen_random_uuid(), partition_id, stream_id, 'No event', NULL, NULL, NULL, NULL FROM renamed.not_events LIMIT 1});
$dbh->do('ALTER TABLE renamed.not_events ENABLE ALWAYS TRIGGER sierra_guard');
$dbh->do('ALTER TABLE renamed.not_events RENAME TO events');
append('order-2', 'Again', '1');
$dbh->do('RESET sierra_es.store');
is_deeply([ map { "$_->{store}: $_->{event_name}" } map { decode_json($_) } take_events($dbh, 'events') ],
    [ 'Other "store": Elsewhere', 'es: Here', 'renamed: Renamed', 'renamed: Again' ],
    'a store that was renamed');
$dbh->do(q{SELECT drop_event_store('renamed', true)});

# ---- users' additions ----

# A partition with its columns in another order, one with columns of the user.
$dbh->do('CREATE TABLE es.spare (extra int, LIKE es.events_2 INCLUDING ALL)');
$dbh->do('ALTER TABLE es.spare DROP COLUMN extra');
$dbh->do('ALTER TABLE es.spare DROP COLUMN payload, DROP COLUMN stream_version');
$dbh->do('ALTER TABLE es.spare ADD COLUMN payload json, ADD COLUMN stream_version bigint NOT NULL DEFAULT 0');
$dbh->do('ALTER TABLE es.events DETACH PARTITION es.events_2');
$dbh->do('ALTER TABLE es.events ATTACH PARTITION es.spare FOR VALUES IN (2)');
$dbh->do('SET sierra_es.restore = on');
my $id = one_value($dbh, 'SELECT sierra_event_id(sierra_stream_key($1))', $stream[2]);
$dbh->do('INSERT INTO es.events SELECT 0, 0, 1000000, now(), $1, sierra_stream_key($2), $1, 2, $2, $3, NULL, $4',
    undef, $id, $stream[2], 'Loaded', '{"is": "here"}');
$dbh->do('RESET sierra_es.restore');
same_text(join("\n", take_events($dbh, 'events')), join("\n", expected_events($dbh, 'es', q{event_name = 'Loaded'})),
    'a partition whose columns are in another order');
$dbh->do('ALTER TABLE es.events DETACH PARTITION es.spare');
$dbh->do('DROP TABLE es.spare');
$dbh->do('ALTER TABLE es.events ATTACH PARTITION es.events_2 FOR VALUES IN (2)');
$dbh->do('ALTER TABLE es.events ADD COLUMN tenant text DEFAULT current_user');
append($stream[2], 'Wide', '1');
same_text(join("\n", take_events($dbh, 'events')), join("\n", expected_events($dbh, 'es', q{event_name = 'Wide'})),
    'a store with a further column');

# ---- rights ----

$dbh->do('CREATE ROLE reader LOGIN');
my $reader = connect_to($node, 'postgres', 'reader');
is(sqlstate_of($reader, q{SELECT * FROM pg_logical_slot_peek_changes('events', NULL, NULL)}), '42501',
    'decoding needs a role with REPLICATION');
$reader->disconnect;
store_is_sound($dbh, 'after all');

# ---- what is not an event ----

# The owner of a store can insert anything into its tables; that must not end the decoding of
# other stores, or the server.
$dbh->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('damaged', 1);;
ALTER TABLE damaged.events DISABLE TRIGGER USER;;
ALTER TABLE damaged.events_0 DISABLE TRIGGER USER;;
ALTER TABLE damaged.events ALTER stream_id DROP NOT NULL, ALTER event_name DROP NOT NULL, ALTER event_id DROP NOT NULL,
    ALTER partition_key DROP NOT NULL, ALTER "timestamp" DROP NOT NULL, ALTER global_position DROP NOT NULL,
    ALTER transaction_id DROP NOT NULL, ALTER stream_version DROP NOT NULL;;
ALTER TABLE damaged.events_0 DROP CONSTRAINT events_0_stream
SQL
take_changes($dbh, 'events');
{
    my %right = (partition_sequence => '0', stream_version => '0', global_position => '0', '"timestamp"' => 'now()', partition_id => '0',
        map({ $_ => 'gen_random_uuid()' } qw(event_id partition_key transaction_id)), stream_id => q{'right'}, event_name => q{'Right'});
    my $sequence = 0;
    my $insert = sub {
        my (%change) = @_;
        my %row = (%right, partition_sequence => $sequence++, %change);
        $dbh->do(sprintf 'INSERT INTO damaged.events (%s) VALUES (%s)', join(', ', sort keys %row), join(', ', map { $row{$_} } sort keys %row));
    };
    $insert->($_ => 'NULL') foreach grep { !/partition_(?:sequence|id)/ } sort keys %right;
    $insert->($_ => q{repeat(E'\x01', 256)}), $insert->($_ => q{repeat(E'\x01', 20000000)}) foreach qw(stream_id event_name);
    $insert->('"timestamp"' => $_) foreach q{'infinity'}, q{'-infinity'};
    $insert->(event_name => q{repeat(E'\x01', 255)});
    $insert->(tags => $_) foreach q{ARRAY[repeat('t', 8400)]}, q{ARRAY[repeat('t', 20000000)]};
    $insert->(event_name => q{'Untagged'}, tags => $_)
      foreach q{'{}'}, q{'{{a,b},{c,d}}'}, q{'{a,NULL}'}, q{(SELECT array_agg('t'::text) FROM generate_series(1, 33))};
    $insert->(event_name => q{'Tagged'}, tags => q{'[5:6]={a,b}'});
}
append('order-1', 'Continued', '{}');
is(join(' ', map { my $e = decode_json($_); (length $e->{event_name} == 255 ? 'long' : $e->{event_name}) . join '', @{ $e->{tags} // [] } }
          take_events($dbh, 'events')),
    'Right Right long Untagged Untagged Untagged Untagged Taggedab Continued', 'rows that no append writes are not sent');

done_testing();
