# Logical decoding: every option does what it says, and wrong options are
# refused.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraDecoding;
use SierraTest;
use Test::More;

my $node = decoding_server('options');
create_store($node, 8);
create_store($node, 2, 'other');
my $dbh = connect_to($node);
make_slot($dbh, 'events');

$dbh->do(q{SELECT FROM generate_series(1, 60) AS i, LATERAL eappend(
    (ARRAY['order-', 'invoice-', 'a,b-', ' order-'])[1 + i % 4] || i % 7,
    (ARRAY['Made', 'Changed', 'Closed, at last'])[1 + i % 3], to_json(i),
    tags => CASE WHEN i % 5 > 0 THEN ARRAY['fifth:' || i % 5, 'kind, of: ' || i % 2] END)});
$dbh->do(q{SET sierra_es.store = 'other'});
$dbh->do(q{SELECT eappend('order-1', 'Made', '1'), eappend('order-2', 'Made', '2')});
$dbh->do('RESET sierra_es.store');

# Each filter beside the condition in SQL that means the same.
my @filters = (
    [ 'no option', 'true' ],
    [ 'a stream', q{stream_id = 'order-1'}, streams => 'order-1' ],
    [ 'a pattern', q{stream_id LIKE 'order-%'}, streams => 'order-*' ],
    [ 'two patterns', q{stream_id LIKE 'order-%' OR stream_id LIKE '%-3'}, streams => 'order-*, *-3' ],
    [ 'patterns as JSON', q{stream_id LIKE 'a,b-%' OR stream_id LIKE ' order-%'},
        streams => '["a,b-*", " order-*"]' ],
    [ 'an event name', q{event_name = 'Made'}, event_names => 'Made' ],
    [ 'event names have no wildcard', 'false', event_names => 'M*' ],
    [ 'event names as JSON', q{event_name IN ('Made', 'Closed, at last')},
        event_names => '["Made", "Closed, at last"]' ],
    [ 'streams and names', q{stream_id LIKE 'order-%' AND event_name = 'Made'},
        streams => 'order-*', event_names => 'Made' ],
    [ 'a tag', q{tags @> '{fifth:1}'}, tags => 'fifth:1' ],
    [ 'any of two tags', q{tags && '{fifth:1,fifth:3}'}, tags => 'fifth:1,fifth:3,fifth:0' ],
    [ 'tags have no wildcard', 'false', tags => 'fifth*' ],
    [ 'tags as JSON', q{tags && '{fifth:2,"kind, of: 1"}'}, tags => '["kind, of: 1", "fifth:2"]' ],
    [ 'names and tags', q{event_name = 'Made' AND tags && '{fifth:4}'}, event_names => 'Made', tags => 'fifth:4' ],
    [ 'a partition', 'partition_id = 3', partitions => '3' ],
    [ 'partitions', 'partition_id IN (0, 1, 2, 5, 7)', partitions => '0-2,5, 7-1023' ],
    [ 'after a position', 'global_position > 17', after => '17' ],
    [ 'after the end', 'false', after => '1000000' ],
    [ 'after nothing', 'true', after => '-1' ],
    [ 'after sequences', 'partition_sequence > CASE partition_id WHEN 0 THEN 2 WHEN 3 THEN 100 ELSE -1 END',
        after_sequences => '{"0": 2, "3": 100, "5": -1}' ],
    [ 'after no sequences', 'true', after_sequences => '{}' ],
    [ 'all at once', q{stream_id LIKE 'order-%' AND partition_id < 6 AND global_position > 5
            AND (partition_id <> 0 OR partition_sequence > 1)},
        streams => 'order-*', partitions => '0-5', after => '5', after_sequences => '{"0": 1}' ],
    [ 'origin any', 'true', origin => 'any' ],
    [ 'origin none', 'true', origin => 'none' ],
);
my %seen;
for my $filter (@filters) {
    my ($name, $condition, @options) = @$filter;
    my @expected = expected_events($dbh, 'es', $condition);
    same_text(join("\n", take_events($dbh, 'events', peek => 1, store => 'es', @options)),
        join("\n", @expected), "filter: $name");
    $seen{ scalar @expected }++;
}
cmp_ok(scalar keys %seen, '>', 8, 'the filters differ');
is(scalar(take_events($dbh, 'events', peek => 1)), 62, 'without option store: all stores');

# What a transaction without events leaves of itself.
is_deeply([ take_changes($dbh, 'events', peek => 1, streams => 'none') ], [],
    'nothing matches: no transactions either');
is_deeply(
    [ map { decode_json($_)->{type} } take_changes($dbh, 'events', peek => 1, store => 'es', event_names => '["Closed, at last"]') ],
    [ qw(begin), ('event') x 20, 'commit' ],
    'a commit is sent once for what matches'
);
my @plain = map { decode_json($_) } take_events($dbh, 'events', peek => 1, include_payload => 'off');
ok(!(grep { exists $_->{payload} || exists $_->{payload_bytes} } @plain), 'include_payload off: no payload');
is_deeply([ map { $_->{payload} } map { read_binary($_) } take_binary($dbh, 'events', include_payload => '0',
            include_transactions => 'no') ], [ (undef) x 62 ], 'nor in binary');
@plain = map { decode_json($_) } take_events($dbh, 'events', peek => 1, include_metadata => 'off');
ok(!(grep { exists $_->{metadata} || !exists $_->{payload} } @plain), 'include_metadata off: no metadata');

# ---- lines ----

my $pretty = "{\n  \"a\" :\r\n  \"\\n\"\n}";
$dbh->do('SELECT FROM eappend($1, $2, $3, $4)', undef, 'order-1', 'Made', $pretty, "\n{}");
my ($kept) = take_events($dbh, 'events', peek => 1);
like($kept, qr/"metadata":\n\{\},"payload":\Q$pretty\E,/, 'line breaks of a payload are kept');
my ($line) = take_events($dbh, 'events', single_line => 'true');
is($line, $kept =~ tr/\r\n/  /r, 'single_line makes them spaces');

# ---- origin ----

$dbh->do(q{SELECT pg_replication_origin_create('far')});
$dbh->do(q{SELECT pg_replication_origin_session_setup('far')});
$dbh->do(q{SELECT FROM eappend('order-1', 'Brought', '1')});
$dbh->do('SELECT pg_replication_origin_session_reset()');
is_deeply([ take_events($dbh, 'events', peek => 1, origin => 'none') ], [], 'origin none: nothing that was replicated');
is(scalar(take_events($dbh, 'events')), 1, 'origin any, by default: that too');

# ---- wrong options ----

my @refused = (
    [ 'no option "nonsense"', nonsense => '1' ],
    [ 'no option "Format"', Format => 'json' ],
    [ 'cannot be "xml"', format => 'xml' ],
    [ 'given twice', format => 'json', format => 'json' ],
    [ 'cannot be ""', store => '' ],
    [ 'cannot be "x{64}"', store => 'x' x 64 ],
    (map { [ 'option "streams" cannot be', streams => $_ ] }
          '', ',', 'a,', 'a,,b', '[', '[]', '[1]', '[""]', '["a", null]', '[["a"]]', '["a"] x', '["\u0000"]'),
    [ 'option "event_names" cannot be', event_names => '' ],
    [ 'option "tags" cannot be', tags => '' ],
    (map { [ 'option "partitions" cannot be', partitions => $_ ] }
          '', '-1', '1024', '3-1', '1-', '-', '1-2-3', 'x', '0x1', '1;2', '99999999999999999999'),
    (map { [ 'option "after" cannot be', store => 'es', after => $_ ] } '', '-2', '1.5', ' 1', 'now', '9223372036854775808'),
    [ 'need option "store"', after => '1' ],
    [ 'need option "store"', after_sequences => '{}' ],
    (map { [ 'option "after_sequences" cannot be', store => 'es', after_sequences => $_ ] }
          '', '1', '[]', '{', '{"0": "1"}', '{"x": 1}', '{"1024": 1}', '{"0": 1.5}', '{"0": -2}', '{"0": null}',
        '{"0": {"1": 2}}', '{"0": [1]}', '{"0": 9223372036854775807}', '{"": 1}', '{"-1": 1}'),
    [ 'option "on_gap" cannot be', on_gap => 'wait' ],
    (map { [ qq{option "$_" cannot be}, $_ => 'maybe' ] } qw(include_metadata include_payload include_transactions single_line origin)),
);
for my $case (@refused) {
    my ($message, @options) = @$case;
    my $arguments = join '', map { ', ?' } @options;
    my $state = sqlstate_of($dbh, "SELECT * FROM pg_logical_slot_peek_changes('events', NULL, NULL$arguments)", @options);
    is("$state " . ($dbh->errstr =~ /$message.*\nHINT:  ./s ? 'with message and hint' : $dbh->errstr),
        '22023 with message and hint', 'refused: ' . join ' ', @options);
}
sqlstate_of($dbh, q{SELECT * FROM pg_logical_slot_peek_changes('events', NULL, NULL, 'nonsense', '1')});
like($dbh->errstr, qr/HINT:  Options are (?=.*\bafter_sequences\b)(?=.*\bsingle_line\b)/, 'the hint lists what there is');

done_testing();
