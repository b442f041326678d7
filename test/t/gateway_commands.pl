# Every command of the gateway, in both protocols and both dialects, and every error that it
# answers with.

use strict;
use warnings;

use FindBin;
use HTTP::Tiny;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraGateway;
use SierraResp;
use SierraTest;
use Test::More;

plan skip_all => 'the gateway is not built: libevent is missing' unless gateway_program();

my $node = new_server('gateway_commands');
create_store($node, 32);

# Passwords are asked for on TCP connections only; trusted has a login that needs none.
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\n");
append_to_file($node->data_dir . '/pg_hba.conf.new',
    "local all all trust\nhost all trusted 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
rename $node->data_dir . '/pg_hba.conf.new', $node->data_dir . '/pg_hba.conf' or die "rename: $!";
$node->restart;
$node->safe_psql('postgres', <<'SQL');
SET password_encryption = 'scram-sha-256';
CREATE ROLE writer LOGIN PASSWORD 'one two';
CREATE ROLE reader LOGIN PASSWORD 'three';
CREATE ROLE trusted LOGIN PASSWORD 'four';
GRANT USAGE ON SCHEMA es TO writer, reader;
GRANT SELECT, INSERT ON es.events TO writer;
GRANT SELECT ON es.events TO reader;
SQL

my $gateway  = start_gateway($node, listen => [ '', 'dialect=tutorial' ], max_frame_size => '1MB', log_level => 'debug');
my $guarded  = start_gateway(
    $node,
    name         => 'guarded',
    database     => sprintf('host=127.0.0.1 port=%s dbname=postgres user=writer', $node->port),
    require_auth => 'on', strict_versioning => 'on', max_clients => 3, output_limit => '64kB', metrics => '*:' . PostgreSQL::Test::Cluster::get_free_port(),
);
my ($port, $tutorial) = @{ $gateway->{ports} };
my $uuid = qr/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

sub connect_gateway { return SierraResp->new(@_); }
*hash   = \&SierraResp::hash;
*events = \&SierraResp::events;

# ---- the connection ----

foreach my $protocol (2, 3) {
    my $client = connect_gateway($port);
    my $hello  = $client->call('HELLO', $protocol);
    is($hello->[0], $protocol == 3 ? '%' : '*', "RESP$protocol: HELLO answers with a map, or a flat array");
    is_deeply([ map { $hello->[ 2 * $_ + 1 ] } 0 .. 8 ],
        [qw($server $version $proto $id $mode $role $modules $peer_id $num_partitions)], "RESP$protocol: its keys, in the order of Redis");
    my $facts = hash($hello);
    is($facts->{server}, 'sierradb', "RESP$protocol: server");
    is($facts->{proto}, $protocol, "RESP$protocol: proto");
    is($facts->{num_partitions}, 32, "RESP$protocol: number of partitions");
    is($facts->{role}, 'master', "RESP$protocol: role");
    is($client->call('PING'), '+PONG', "RESP$protocol: PING");
    is($client->call('PING', 'x'), '$x', "RESP$protocol: PING with a text");
    is($client->call('ECHO', "a\0b"), "\$a\0b", "RESP$protocol: ECHO");
    is($client->call('CLIENT', 'SETINFO', 'LIB-NAME', 'a'), '+OK', "RESP$protocol: SETINFO");
    is($client->call('client', 'setname', 'me'), '+OK', "RESP$protocol: SETNAME");
    is($client->call('CLIENT', 'GETNAME'), '$me', "RESP$protocol: GETNAME");
    like($client->call('CLIENT', 'ID'), qr/^:\d+$/, "RESP$protocol: ID");
    like($client->call('CLIENT', 'INFO'), qr/ name=me .* resp=$protocol .* lib-name=a /, "RESP$protocol: CLIENT INFO");
    like($client->call('CLIENT', 'LIST'), qr/ name=me /, "RESP$protocol: CLIENT LIST");
    is($client->call('CLIENT', $_, 'ON'), '+OK', "RESP$protocol: CLIENT $_") foreach qw(NO-EVICT NO-TOUCH);
    like($client->call('CLIENT', $_, 'ON'), qr/^-ERR unknown subcommand/, "RESP$protocol: CLIENT $_") foreach qw(MAINT_NOTIFICATIONS TRACKING);
    like($client->call('CLIENT', 'SETNAME', 'a b'), qr/^-ERR Client names cannot/, "RESP$protocol: a name with a blank");
    is($client->call('SELECT', 0), '+OK', "RESP$protocol: SELECT 0");
    like($client->call('SELECT', 2), qr/^-ERR DB index/, "RESP$protocol: SELECT 2");
    like($client->call('SELECT', 'a'), qr/^-ERR value is not/, "RESP$protocol: SELECT a");
    is_deeply($client->call('COMMAND'), ['*'], "RESP$protocol: COMMAND");
    is_deeply($client->call('COMMAND', 'DOCS'), [ $protocol == 3 ? '%' : '*' ], "RESP$protocol: COMMAND DOCS");
    is($client->call('COMMAND', 'COUNT'), ':0', "RESP$protocol: COMMAND COUNT");
    is_deeply($client->call('CONFIG', 'GET', 'save'), [ $protocol == 3 ? '%' : '*' ], "RESP$protocol: CONFIG GET");
    like($client->call('CONFIG', 'SET', 'a', 'b'), qr/^-ERR unknown subcommand/, "RESP$protocol: CONFIG SET");
    like($client->call('INFO'), qr/redis_version:.*loading:0.*role:master/s, "RESP$protocol: INFO");
    like($client->call('INFO', 'replication'), qr/^\$# Replication/, "RESP$protocol: a section of INFO");
    is_deeply([ sort keys %{ hash($client->call('INFO', 'CACHE')) } ],
        [qw(block_size_bytes entries evictions hit_ratio hits max_bytes memory_bytes misses)], "RESP$protocol: INFO CACHE");
    is($client->call($_), '+OK', "RESP$protocol: $_") foreach qw(READONLY READWRITE);
    like($client->call($_), qr/^-ERR transactions are not supported/, "RESP$protocol: $_") foreach qw(MULTI EXEC DISCARD);
    is($client->call('RESET'), '+RESET', "RESP$protocol: RESET");
    is($client->call('ESVER', 'none'), '_', "RESP$protocol: after RESET it is RESP2");
    is($client->call('QUIT'), '+OK', "RESP$protocol: QUIT");
    ok($client->is_ended, "RESP$protocol: QUIT ends the connection");
}

my $client = connect_gateway($port, hello => 3);
is($client->call('HELLO', '4'), '-NOPROTO unsupported protocol version', 'another protocol');
is($client->call('HELLO', 'x'), '-ERR Protocol version is not an integer or out of range', 'a protocol that is not a number');
like($client->call('HELLO', '3', 'FOO'), qr/^-ERR Syntax error in HELLO/, 'a wrong option of HELLO');
is(hash($client->call('HELLO'))->{proto}, 3, 'HELLO alone keeps the protocol');
is(hash($client->call('HELLO', 3, 'SETNAME', 'x'))->{proto}, 3, 'HELLO with a name');
is($client->call('CLIENT', 'GETNAME'), '$x', 'the name is set');
is($client->call('FooBar', 'x'), q{-INVALIDARG unknown command 'FOOBAR'}, 'an unknown command');
like($client->call('PING', 'a', 'b'), qr/^-INVALIDARG .*expected end of input/, 'too many words');
like($client->call('ECHO'), qr/^-INVALIDARG unexpected end of input/, 'too few words');

# A library that requires maps without having asked for RESP3.
my $rust = connect_gateway($port);
is($rust->call('CLIENT', 'SETINFO', 'LIB-NAME', 'redis-rs'), '+OK', 'SETINFO of redis-rs');
is($rust->call('ESVER', 'none'), '_', 'it gets the null of RESP3');
is($rust->call('ESCAN', 'none', '-', '+')->[0], '%', 'and maps');

# Of what is sent behind QUIT nothing is run, also if QUIT waits for an append.
{
    my $client = connect_gateway($port);
    $client->send_bytes(join '', map { SierraResp::frame(@$_) } [qw(EAPPEND quit E)], ['QUIT'], [qw(EAPPEND quit E)]);
    is($client->reply->[0], '*', 'an append before QUIT');
    is($client->reply, '+OK', 'QUIT behind an append');
    ok($client->is_ended, 'nothing behind QUIT is answered');
    is(connect_gateway($port)->call('ESVER', 'quit'), ':0', 'or stored');
}

# ---- appends ----

my $append = hash($client->call('EAPPEND', 'order-1', 'Created', 'PAYLOAD', '{"a":  1}', 'METADATA', '{"m":1}', 'TIMESTAMP', '1700000000123'));
is_deeply([ sort keys %$append ], [qw(event_id partition_id partition_key partition_sequence stream_version timestamp)], 'what EAPPEND answers');
like($append->{event_id}, qr/^$uuid$/, 'event id');
is($append->{partition_key}, 'ed389b27-52a3-5d70-9099-7a11547b8e8c', 'partition key of the stream');
is($append->{partition_id}, 5, 'partition');
is($append->{stream_version}, 0, 'version');
is($append->{timestamp}, 1700000000123, 'timestamp');
my $again = hash($client->call('EAPPEND', 'order-1', 'Created', 'PAYLOAD', '{"a":  1}', 'METADATA', '{"m":1}', 'TIMESTAMP', '1700000000123', 'EVENT_ID', $append->{event_id}));
is_deeply($again, $append, 'the same event id again: the same answer');
is(hash($client->call('EAPPEND', 'order-1', 'Next', 'EXPECTED_VERSION', '0'))->{stream_version}, 1, 'the expected version');
is(hash($client->call('EAPPEND', 'order-1', 'Next', 'expected_version', 'exists', 'EVENT_ID', '{' . uc(random_uuid()) . '}'))->{stream_version}, 2, 'EXISTS');
my $wrong = '-WRONGVER current stream version is %s but expected %s for partition key %s and stream id %s (wrong expected version; WRONG_EXPECTED_VERSION)';
is($client->call('EAPPEND', 'order-1', 'Next', 'EXPECTED_VERSION', '0'), sprintf($wrong, 2, 0, $append->{partition_key}, 'order-1'), 'a wrong version');
is($client->call('EAPPEND', 'order-1', 'Next', 'EXPECTED_VERSION', 'empty'), sprintf($wrong, 2, 'empty', $append->{partition_key}, 'order-1'), 'not empty');
like($client->call('EAPPEND', 'absent', 'Next', 'EXPECTED_VERSION', '5'), qr/^-WRONGVER current stream version is empty but expected 5 /, 'a stream that is empty');
like($client->call('EAPPEND', 'absent', 'Next', 'EXPECTED_VERSION', 'exists'), qr/^-WRONGVER current stream version is empty but expected exists /, 'a stream that does not exist');
is($client->call('EAPPEND', 'order-1', 'Next', 'PARTITION_KEY', '11111111-2222-3333-4444-555555555555'),
    "-DBOPFAILED database operation failed: partition key must be the same for all events in a stream: expected $append->{partition_key}, got 11111111-2222-3333-4444-555555555555",
    'another partition key');
like($client->call('EAPPEND', 'other', 'Next', 'EVENT_ID', $append->{event_id}), qr/^-INVALIDARG .*event/, 'an event id that is in use');
my $keyed = hash($client->call('EAPPEND', 'user-1', 'Created', 'PARTITION_KEY', 'user-partition-key'));
like($keyed->{partition_key}, qr/^$uuid$/, 'a key that is not a UUID is hashed to one');

my $multi = hash($client->call('EMAPPEND', $keyed->{partition_key}, 'user-1', 'A', 'PAYLOAD', '1', 'user-2', 'B', 'EXPECTED_VERSION', 'empty', 'METADATA', 'x', 'user-1', 'C'));
is_deeply([ sort keys %$multi ], [qw(events first_partition_sequence last_partition_sequence partition_id partition_key)], 'what EMAPPEND answers');
is($multi->{last_partition_sequence} - $multi->{first_partition_sequence}, 2, 'its sequences have no gap');
is_deeply([ map { my $event = hash($_); "$event->{stream_id} $event->{stream_version}" } @{ $multi->{events} }[ 1 .. 3 ] ],
    [ 'user-1 1', 'user-2 0', 'user-1 2' ], 'its events, in the order of the call');
like($client->call('EMAPPEND', $keyed->{partition_key}, 'user-2', 'D', 'user-1', 'E', 'EXPECTED_VERSION', '9'), qr/^-WRONGVER/, 'one event is refused');
is($client->call('ESVER', 'user-2'), ':0', 'then none is stored');

# ---- bytes ----

my $all = join '', map { chr } 0 .. 255;
$client->call('EAPPEND', 'bytes', 'E', 'PAYLOAD', $_, 'METADATA', $_) foreach $all, '{"a":1}', '', "{\"\$bytes\": \"AAAA\"}", '[' x 3000, "\0", 'null', '[]';
is_deeply([ map { $_->{payload} } @{ events($client->call('ESCAN', 'bytes', '-', '+')) } ],
    [ $all, '{"a":1}', '', "{\"\$bytes\": \"AAAA\"}", '[' x 3000, "\0", 'null', '[]' ], 'payloads come back byte by byte');
is_deeply([ map { $_->{metadata} } @{ events($client->call('ESCAN', 'bytes', '-', '+')) } ],
    [ $all, '{"a":1}', '', "{\"\$bytes\": \"AAAA\"}", '[' x 3000, "\0", 'null', '[]' ], 'so does metadata');
is($node->safe_psql('postgres', q{SELECT count(*) FROM escan('bytes') WHERE payload IS NOT NULL}), 4, 'JSON is stored as JSON');

# ---- reads ----

my $event = hash($client->call('EGET', $append->{event_id}));
is_deeply($event, { %$append, transaction_id => $event->{transaction_id}, stream_id => 'order-1', event_name => 'Created', payload => '{"a":  1}', metadata => '{"m":1}' },
    'EGET');
my $map = $client->call('EGET', $append->{event_id});
is_deeply([ map { $map->[ 2 * $_ + 1 ] } 0 .. 10 ],
    [qw(+event_id +partition_key +partition_id +transaction_id +partition_sequence +stream_version +timestamp +stream_id +event_name +metadata +payload)],
    'the keys of an event, in their order');
is($client->call('EGET', random_uuid()), '_', 'EGET of an unknown event');
is($client->call('EGET', 'x'), '-INVALIDARG invalid event id', 'EGET of what is not an id');
is($client->call('ESVER', 'order-1'), ':2', 'ESVER');
is($client->call('ESVER', 'order-1', 'PARTITION_KEY', $append->{partition_key}), ':2', 'ESVER with a key');
is($client->call('ESVER', 'absent'), '_', 'ESVER of a stream without events');
is($client->call('EPSEQ', 5), ':2', 'EPSEQ of a number');
is($client->call('EPSEQ', $append->{partition_key}), ':2', 'EPSEQ of a key');
is($client->call('EPSEQ', 32), '-CLUSTERDOWN partition unavailable', 'EPSEQ of a partition that is not there');
is($client->call('EPSCAN', 32, 3, 2), '-CLUSTERDOWN partition unavailable', 'also with an empty range');
is($client->call('EPSCAN', 65535, '-', '+'), '-CLUSTERDOWN partition unavailable', 'EPSCAN of a partition that is not there');
like($client->call('EPSEQ', 65536), qr/^-INVALIDARG invalid partition/, 'EPSEQ of what is not a partition');

$client->call('EAPPEND', 'many', 'E', 'PAYLOAD', $_) foreach 0 .. 9;

# start, end, COUNT => versions, has_more
foreach my $case (
    [ [qw(- +)], [ 0 .. 9 ], '#f' ], [ [qw(0 0)], [0], '#f' ], [ [qw(3 5)], [ 3 .. 5 ], '#f' ], [ [qw(9 +)], [9], '#f' ],
    [ [qw(10 +)], [], '#f' ], [ [qw(5 3)], [], '#f' ], [ [qw(- + COUNT 3)], [ 0 .. 2 ], '#t' ], [ [qw(7 + COUNT 3)], [ 7 .. 9 ], '#f' ],
    [ [qw(3 5 COUNT 3)], [ 3 .. 5 ], '#f' ], [ [qw(- + COUNT 0)], [], '#t' ], [ [qw(10 + COUNT 0)], [], '#f' ],
    [ [qw(- + COUNT 9223372036854775807)], [ 0 .. 9 ], '#f' ], [ [ '-', '+', 'COUNT', 3, 'PARTITION_KEY', 'any' ], [ 0 .. 2 ], '#t' ],
    [ [ '-', '+', 'PARTITION_KEY', 'any', 'COUNT', 3 ], [ 0 .. 2 ], '#t' ], [ [qw(9223372036854775807 +)], [], '#f' ],
  ) {
    my ($range, $versions, $more) = @$case;
    my $reply = $client->call('ESCAN', 'many', @$range);
    is_deeply([ $reply->[2], map { $_->{stream_version} } @{ events($reply) } ], [ $more, @$versions ], "ESCAN @$range");
}
my $partition = hash($client->call('EAPPEND', 'many', 'Last'))->{partition_id};
is(scalar @{ events($client->call('EPSCAN', $partition, '-', '+')) }, 11, 'EPSCAN of a partition');
is_deeply([ map { $_->{partition_sequence} } @{ events($client->call('EPSCAN', $partition, 0, 0)) } ], [0], 'EPSCAN of one event');
my $page = $client->call('EPSCAN', $partition, '-', '+', 'COUNT', 4);
is_deeply([ $page->[2], scalar @{ events($page) } ], [ '#t', 4 ], 'EPSCAN of a page');
is(scalar @{ events($client->call('EPSCAN', $append->{partition_key}, '-', '+')) }, 3, 'EPSCAN of a key');

# More than a page of the gateway's own.
$client->send_bytes(join '', map { SierraResp::frame('EAPPEND', 'long', 'E', 'PAYLOAD', $_) } 0 .. 1999);
is_deeply([ map { hash($client->reply)->{stream_version} } 0 .. 1999 ], [ 0 .. 1999 ], 'a pipeline of appends keeps their order');
my $long = events($client->call('ESCAN', 'long', '-', '+', 'COUNT', 5000));
is_deeply([ map { $_->{payload} } @$long ], [ 0 .. 1999 ], 'a scan of many pages');
my $hundred = $client->call('ESCAN', 'long', '-', '+');
is_deeply([ $hundred->[2], scalar @{ events($hundred) } ], [ '#t', 100 ], 'COUNT is 100 if it is not given');

# A page ends at a megabyte, so these come in four.  More than the gateway reads at once, too.
$client->send_bytes(join '', map { SierraResp::frame('EAPPEND', 'wide', 'E', 'PAYLOAD', $_ x 300_000) } 'a' .. 'l');
is_deeply([ map { hash($client->reply)->{stream_version} } 0 .. 11 ], [ 0 .. 11 ], 'a pipeline of large appends');
foreach my $count (1, 4, 11, 12, 13) {
    my $wide = $client->call('ESCAN', 'wide', '-', '+', 'COUNT', $count);
    is($wide->[2], $count < 12 ? '#t' : '#f', "COUNT $count of 12 large events: has_more");
    is(join('', map { substr($_->{payload}, 299_999) } @{ events($wide) }), substr('abcdefghijkl', 0, $count), "COUNT $count of 12 large events: the events");
}

foreach my $case (
    [ [qw(ESCAN many + +)],          q{-INVALIDARG start version cannot be '+'} ],
    [ [qw(ESCAN many 0 -)],          q{-INVALIDARG end version cannot be '-'} ],
    [ [qw(EPSCAN 1 + +)],            q{-INVALIDARG start sequence cannot be '+'} ],
    [ [qw(EPSCAN 1 0 -)],            q{-INVALIDARG end sequence cannot be '-'} ],
    [ [qw(ESCAN many 0)],            q{-INVALIDARG unexpected end of input: expected end} ],
    [ [qw(ESCAN)],                   q{-INVALIDARG unexpected end of input: expected stream id} ],
    [ [qw(ESCAN many - + COUNT)],    q{-INVALIDARG unexpected end of input: expected count} ],
    [ [qw(ESCAN many - + COUNT 1 COUNT 1)], q{-INVALIDARG count already specified} ],
    [ [qw(ESCAN many - + FOO)],      q{-INVALIDARG unexpected string: expected PARTITION_KEY, COUNT or end of input} ],
    [ [qw(EPSCAN 1 - + PARTITION_KEY k)], q{-INVALIDARG unexpected string: expected COUNT or end of input} ],
    [ [qw(ESVER many FOO)],          q{-INVALIDARG unexpected string: expected end of input} ],
    [ [qw(EPSEQ 1 FOO)],             q{-INVALIDARG unexpected string: expected end of input} ],
    [ [ 'EAPPEND', 's' x 256, 'E' ], q{-INVALIDARG stream id must be between 1 and 255 characters in length, but got 256 for '} . 's' x 96 . q{...'} ],
    [ [ 'EAPPEND', "s\n", 'E' ],     q{-INVALIDARG stream id has control characters} ],
    [ [ 'EAPPEND', "\xff", 'E' ],    q{-INVALIDARG stream id is not UTF-8} ],
    [ [ 'EAPPEND', 's', "E\0" ],     q{-INVALIDARG event name has control characters} ],
  ) {
    my $words = join ' ', map { s/[^ -~]/?/gr } map { substr $_, 0, 20 } @{ $case->[0] };
    is($client->call(@{ $case->[0] }), $case->[1], "$words: refused");
}

# Commands of different kinds in one pipeline see each other.
my @mixed = ([ 'EAPPEND', 'mixed', 'E' ], [ 'ESVER', 'mixed' ], ['PING'], [ 'EAPPEND', 'mixed', 'E' ], [ 'ESVER', 'mixed' ], ['HELLO', 2], [ 'ESVER', 'none' ], [ 'HELLO', 3 ], [ 'ESVER', 'none' ]);
$client->send_bytes(join '', map { SierraResp::frame(@$_) } @mixed);
my @answers = map { $client->reply } @mixed;
is_deeply([ @answers[ 1, 2, 4, 6, 8 ] ], [qw(:0 +PONG :1 _ _)], 'a client reads what it has written, also within a pipeline');

# ---- the dialect of the tutorial ----

my $other = connect_gateway($tutorial, hello => 3);
is($other->call('EAPPEND', 'tutorial-1', 'A', 'EXPECTED_VERSION', 0), ':1', 'tutorial: EAPPEND answers with the version, from 1');
is($other->call('EAPPEND', 'tutorial-1', 'B', 'EXPECTED_VERSION', 1, 'PAYLOAD', '{}'), ':2', 'tutorial: the expected version is the number of events');
like($other->call('EAPPEND', 'tutorial-1', 'C', 'EXPECTED_VERSION', 1), qr/^-WRONGVER current stream version is 1 but expected 0 /, 'tutorial: errors are those of SierraDB');
is($other->call('ESVER', 'tutorial-1'), ':2', 'tutorial: ESVER is the number of events');
is($other->call('ESVER', 'absent'), ':0', 'tutorial: ESVER of a stream without events');
is_deeply($other->call('EMAPPEND', 'key', 'tutorial-2', 'A', 'tutorial-3', 'B', 'tutorial-2', 'C'), [ '*', ':1', ':1', ':2' ], 'tutorial: EMAPPEND');
my $scan = $other->call('ESCAN', 'tutorial-1', '-', '+');
is_deeply([ map { [ @$_[ 2, 3, 4, 6, 7 ] ] } @$scan[ 1, 2 ] ],
    [ [ '$A', '$tutorial-1', ':1', '$', '$' ], [ '$B', '$tutorial-1', ':2', '${}', '$' ] ], 'tutorial: ESCAN answers with arrays');
is(scalar @{ $other->call('ESCAN', 'long', '-', '+') } - 1, 2000, 'tutorial: without COUNT, a scan is whole');
is_deeply([ map { $_->[4] } @{ $other->call('ESCAN', 'long', 2, 4) }[ 1 .. 3 ] ], [qw(:2 :3 :4)], 'tutorial: ranges begin with 1');
is_deeply($other->call('ESCAN', 'long', '-', 0), ['*'], 'tutorial: up to version 0 there is nothing');
is($client->call('SELECT', 1), '+OK', 'SELECT 1');
is($client->call('ESVER', 'tutorial-1'), ':2', 'SELECT 1 is that dialect');
is($client->call('SELECT', 0), '+OK', 'SELECT 0');
is($client->call('ESVER', 'tutorial-1'), ':1', 'SELECT 0 is the dialect of the listener');
is($client->call('CLIENT', 'SETNAME', 'tutorial'), '+OK', 'a client called tutorial');
is($client->call('ESVER', 'tutorial-1'), ':2', 'has that dialect');

# ---- frames ----

foreach my $case (
    [ "*1\r\n\$99999999\r\n",  qr/^-ERR Protocol error: a command of more than 1048576 bytes/ ],
    [ "*999999999\r\n",        qr/^-ERR Protocol error: a command of more than \d+ words/ ],
    [ "+PING\r\n",             qr/^-ERR Protocol error: expected array command/ ],
    [ "*1\r\n*0\r\n",          qr/^-ERR Protocol error: expected a string/ ],
    [ "\"\r\n",                qr/^-ERR Protocol error: unbalanced quotes/ ],
  ) {
    my $bad = connect_gateway($port);
    $bad->send_bytes(SierraResp::frame('PING') . $case->[0] . SierraResp::frame('PING'));
    is($bad->reply, '+PONG', 'what comes before a malformed frame is answered');
    like($bad->reply, $case->[1], 'a malformed frame is answered with the reason');
    ok($bad->is_ended, 'and ends its connection');
}
my $odd = connect_gateway($port);
$odd->send_bytes("*0\r\nPING\r\n\r\n*1\r\n:5\r\n*1\r\n#t\r\n");
is($odd->reply, '-ERR empty command', 'an array without elements');
is($odd->reply, '+PONG', 'an inline command');
is($odd->reply, '-INVALIDARG invalid type for command name', 'a number as the name of a command') foreach 1, 2;
my $http = connect_gateway($port);
$http->send_bytes("POST / HTTP/1.1\r\nHost: localhost\r\n\r\nEAPPEND http E\r\n");
ok($http->is_ended, 'HTTP is closed without an answer');
is($odd->call('ESVER', 'http'), '_', 'and what follows is not run');
my $half = connect_gateway($port);
$half->send_bytes(SierraResp::frame('EAPPEND', 'half', 'E') . SierraResp::frame('ESVER', 'half'));
shutdown $half->{socket}, 1;
$half->reply;
is($half->reply, ':0', 'a client that sends nothing more gets its answers');
ok($half->is_ended, 'then its connection ends');

# ---- logins ----

my $guard = $guarded->{ports}[0];
my $user  = connect_gateway($guard);
is($user->call('PING'), '-NOAUTH Authentication required.', 'without AUTH nothing is answered');
is($user->call('EAPPEND', 's', 'E'), '-NOAUTH Authentication required.', 'neither are appends');
like($user->call('HELLO', 3), qr/^-NOAUTH HELLO must be called/, 'nor HELLO');

# A client need not wait for the answer to AUTH: what follows has the limits of a login.
{
    my $client = connect_gateway($guard);
    $client->send_bytes(join '', map { SierraResp::frame(@$_) } [ 'AUTH', 'writer', 'one two' ],
        [ 'EAPPEND', 'eager', 'E', 'EXPECTED_VERSION', 'empty', 'PAYLOAD', 'x' x 20000 ]);
    is($client->reply, '+OK', 'AUTH in a pipeline');
    is(hash($client->reply)->{stream_version}, 0, 'a large command right behind it');
}
my $refused = '-WRONGPASS invalid username-password pair or user is disabled.';
is($user->call('AUTH', 'writer', 'wrong'), $refused, 'a wrong password');
is($user->call('AUTH', 'nobody', 'wrong'), $refused, 'a user that is not there');
is($user->call('AUTH', 'writer', ''), $refused, 'an empty password');
is($user->call('AUTH', "writer\0x", 'one two'), $refused, 'a zero byte');
is($user->call('AUTH', 'trusted', 'wrong'), $refused, 'where PostgreSQL asks for no password, there is not a login');
is(hash($user->call('HELLO', 3, 'AUTH', 'writer', 'one two'))->{proto}, 3, 'HELLO with AUTH');
like($user->call('EAPPEND', 'auth', 'E'), qr/^-INVALIDARG strict versioning mode rejects EXPECTED_VERSION any/, 'strict versions');
is(hash($user->call('EAPPEND', 'auth', 'E', 'EXPECTED_VERSION', 'empty'))->{stream_version}, 0, 'this role may append');
is($user->call('AUTH', 'reader', 'three'), '+OK', 'AUTH changes the role');
is($user->call('ESVER', 'auth'), ':0', 'this role may read');
like($user->call('EAPPEND', 'auth', 'E', 'EXPECTED_VERSION', 0), qr/^-NOPERM permission denied/, 'and may not append');

# A subscription stays with its connection, which may acknowledge it whoever it is now.
{
    my $client = connect_gateway($guard, hello => undef);
    $client->call('HELLO', 3, 'AUTH', 'writer', 'one two');
    my $id = $client->ask(qw(ESUB auth FROM 0 WINDOW 1));
    $client->ask('AUTH', 'reader', 'three');
    is($client->ask('EACK', $id, 0), 'OK', 'EACK after AUTH as another user');
    like($user->call('EACK', $id, 0), qr/^-NOTFOUND/, 'EACK of another connection of this user');
}
is($user->call('AUTH', 'reader', 'wrong'), $refused, 'a wrong password, after a right one');
is($user->call('ESVER', 'auth'), ':0', 'leaves the role as it was');
is($user->call('RESET'), '+RESET', 'RESET');
is($user->call('PING'), '-NOAUTH Authentication required.', 'ends the login');
is($user->call('AUTH', 'one two'), '+OK', 'a password alone is that of the configured user');
is($user->call('HELLO', 3, 'AUTH', 'default', 'one two')->[0], '%', 'so is that of the user default');
$user->send_bytes("*1\r\n\$20000\r\n");
my $large = connect_gateway($guard);
$large->send_bytes("*2\r\n\$4\r\nAUTH\r\n\$20000\r\n");
like($large->reply, qr/^-ERR Protocol error: a command of more than 16384 bytes/, 'before AUTH, frames are small');

# ---- limits ----

undef $large;
my @clients = map { connect_gateway($guard) } 1 .. 2;
wait_until('a client too many is refused', sub { my $more = connect_gateway($guard); ($more->reply // '') eq '-ERR max number of clients reached' });
undef @clients;
my $reading;
wait_until('a connection is free again', sub { $reading = connect_gateway($guard); ($reading->call('AUTH', 'reader', 'three') // '') eq '+OK' });
like($reading->call('ESCAN', 'long', '-', '+', 'COUNT', 5000), qr/^-ERR the reply is larger than 65536 bytes/, 'a reply that is too large');
is(ref $reading->call('ESCAN', 'long', '-', '+', 'COUNT', 10), 'ARRAY', 'a smaller one is answered');

# ---- the program ----

unlike(gateway_log($gateway) . gateway_log($guarded), qr/one two|three|wrong/, 'no password is in the log');
like(gateway_log($guarded), qr/login as nobody failed/, 'a failed login is');
like(gateway_log($gateway), qr/debug: client \d+ \(127\.0\.0\.1:\d+\) \S+: EAPPEND order-1 took \d+ ms\n/, 'a line says who, what and how long');
like(gateway_log($gateway), qr/EAPPEND order-1 took \d+ ms, error WRONGVER\n/, 'and how it ended');
my ($metrics) = slurp_file($guarded->{config}) =~ /metrics = '\*(.*)'/;
like(HTTP::Tiny->new->get("http://127.0.0.1$metrics/metrics")->{content}, qr/^sierra_gateway_failed_logins_total 6$/m, '/metrics');
is(HTTP::Tiny->new->get("http://127.0.0.1$metrics/health")->{content}, "ok\n", '/health');
my $program = gateway_program();
my ($out, $err) = run_command([ $program, '--help' ]);
like($out, qr/--max-?_?clients/, '--help');
($out, $err) = run_command([ $program, '--version' ]);
like($out, qr/^sierra_gateway \d/, '--version');
($out, $err) = run_command([ $program, '--config', $gateway->{config}, '--check-config' ]);
is($out, 'the settings are right', '--check-config');
($out, $err) = run_command([ $program, '--no-such' ]);
like($err, qr/unknown option "--no-such"/, 'an unknown option');
($out, $err) = run_command([ $program, '--database', 'password=secret' ]);
like($err, qr/can be seen by everybody/, 'a password is not taken from the command line');

# Settings that change.
append_to_file($gateway->{config}, "strict_versioning = on\nreaders = 5\n");
kill 'HUP', $gateway->{pid};
wait_until('SIGHUP takes over a setting', sub { $odd->call('EAPPEND', 'hup', 'E') =~ /strict versioning/ });
like(gateway_log($gateway), qr/setting readers has changed, and needs a restart/, 'and says which needs a restart');
append_to_file($gateway->{config}, "no_such = 1\n");
kill 'HUP', $gateway->{pid};
wait_until('a wrong file changes nothing', sub { gateway_log($gateway) =~ /kept the settings: .*there is not a setting "no_such"/ });
is($odd->call('PING'), '+PONG', 'and clients are served');

is(stop_gateway($gateway), 0, 'it stops');
is(stop_gateway($guarded), 0, 'the other stops, too');
$node->stop;

done_testing();
