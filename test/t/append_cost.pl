# What large calls cost: the memory of a call of emappend(), or of many calls of eappend_each(), is in
# proportion to its input, and it ends soon when it is cancelled.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraCost;
use SierraTest;
use Test::More;

my $node = new_server('append_cost');
$node->append_conf('postgresql.conf', small_server_settings());
$node->restart;
create_store($node, 4);

my $owner = connect_to($node);
$owner->do(<<'SQL');
CREATE FUNCTION events(count int, streams int, more text DEFAULT '') RETURNS json LANGUAGE sql RETURN
    (SELECT '[' || string_agg(format('{"stream_id":"s-%s","event_name":"E","payload":{"n":%s}%s}', i % streams, i,
                                     replace(more, '$id', gen_random_uuid()::text)), ',') || ']'
       FROM generate_series(1, count) AS i)::json;
CREATE TABLE inputs (name text, size int DEFAULT 100, events json, streams text[], names text[], payloads json[]);
ALTER TABLE inputs ALTER events SET STORAGE EXTERNAL;
INSERT INTO inputs (name, size, events)
SELECT i.name, n.size, events(n.size, i.streams, i.more)
  FROM (VALUES ('few streams', 1000, ''), ('many streams', 1000000, ''), ('keyed', 1000000, ''),
               ('metadata', 1000, ',"metadata":{"by":"me"}')) AS i(name, streams, more),
       unnest(ARRAY[300, 20000, 100000]) AS n(size);
INSERT INTO inputs (name, size, events)
SELECT 'ids', n, events(n, 1000, ',"event_id":"$id"') FROM unnest(ARRAY[300, 100000]) AS n;
INSERT INTO inputs (name, size, events) VALUES ('few streams', 500000, events(500000, 1000));
INSERT INTO inputs (name, size, streams, names, payloads)
SELECT name, n, array_agg('s-' || i % 1000), array_agg('E'::text), array_agg(json_build_object('n', i))
  FROM unnest(ARRAY['arrays', 'calls']) AS name, unnest(ARRAY[300, 100000, 500000]) AS n, generate_series(1, n) AS i GROUP BY name, n;
INSERT INTO inputs SELECT more, size / 20, NULL, streams[:size / 20], names[:size / 20], payloads[:size / 20]
  FROM inputs, unnest(ARRAY['refused', 'conditions']) AS more WHERE (name, size) = ('calls', 100000);
INSERT INTO inputs SELECT more, size, NULL, streams, names, payloads
  FROM inputs, unnest(ARRAY['refused', 'conditions']) AS more WHERE (name, size) = ('calls', 300);
SQL

my $json = 'SELECT count(*) FROM emappend(NULL, (SELECT events FROM inputs WHERE (name, size) = ($1, $2)))';
my $arrays = 'SELECT count(*) FROM inputs, emappend(NULL, streams, names, payloads) WHERE (name, size) = ($1, $2)';
my $calls = $arrays =~ s/emappend\(NULL, /eappend_each(/r;
my $keyed = $json =~ s/NULL/'tenant'/r;
my $refused = $calls =~ s/payloads\)/payloads, expected_versions => array_fill('7777777'::expected_version, ARRAY[size]))/r;
my $conditions = $calls
  =~ s/payloads\)/payloads, conditions => array_fill('{"query": [{"tags": ["t"]}], "after": -1, "streams": {"t": "empty"}}'::json, ARRAY[size]))/r;
my %statement = (arrays => $arrays, calls => $calls, keyed => $keyed, refused => $refused, conditions => $conditions);

# How many bytes a call adds to the peak of a session that has made one with few events.
sub peak_of_call {
    my ($input, $size, @settings) = @_;
    my $dbh  = connect_to($node);
    my $call = $dbh->prepare($statement{$input} // $json);
    $dbh->do($_) for @settings;
    $dbh->begin_work;
    $call->execute($input, 300);
    my $bytes = peak_of($dbh, sub { $call->execute($input, $size) });
    die "$size events expected" if $call->fetchrow_array != $size;
    $call->finish;
    $dbh->rollback;
    $dbh->disconnect;
    return $bytes;
}

# One test: the peak of a call is at most that many times its input.
sub peak_is_at_most {
    my ($times, $input, $size, $name, @settings) = @_;
    my $bytes = peak_of_call($input, $size, @settings);
    my $text  = one_value($owner,
        'SELECT octet_length(events::text) FROM inputs WHERE (name, size) = ($1, $2)', $input, $size);
    note(sprintf '%s: %d bytes, %.2f times the input of %d', $name, $bytes, $bytes / $text, $text);
    return cmp_ok($bytes, '<=', $times * $text, "memory: $name");
}

# Two tests: a call that is cancelled after some milliseconds takes at most a second more.
sub ends_in_time {
    my ($input, $size, $milliseconds) = @_;
    my $dbh  = connect_to($node);
    my $call = $dbh->prepare($statement{$input} // $json);
    my $before = seconds_of($dbh);
    $dbh->do("SET statement_timeout = $milliseconds");
    ok(!eval { $call->execute($input, $size) } && $dbh->state eq '57014',
        "cancelled: $size events, $input, after $milliseconds ms");
    my $seconds = seconds_of($dbh) - $before;
    cmp_ok($seconds, '<=', $milliseconds / 1000 + 1, "time: $size events, $input, after $milliseconds ms");
    $dbh->disconnect;
    return;
}

peak_is_at_most(4, 'few streams',  100000, 'few streams');
peak_is_at_most(4, 'many streams', 100000, 'a stream for each event');
peak_is_at_most(4, 'metadata',     100000, 'metadata');
peak_is_at_most(4, 'metadata', 100000, 'metadata that the session adds',
    q(SET sierra_es.metadata = '{"tenant": "a-name-that-is-added-to-each-event"}'));

my $bytes = peak_of_call('arrays', 100000);
cmp_ok($bytes, '<=', 100000 * 250, 'memory: arrays');
note("arrays: $bytes bytes for 100000 events");

# Each event is a call: what it costs beyond an event of one call.
my $more = peak_of_call('calls', 100000) - $bytes;
cmp_ok($more, '<=', 100000 * 350, 'memory: calls');
note("calls: $more bytes for 100000 calls");

# A refused call leaves its row of the result and nothing else; a round of calls leaves nothing.
$bytes = peak_of_call('refused', 5000);
cmp_ok($bytes, '<=', 5000 * 900, 'memory: refused calls');
note("refused: $bytes bytes for 5000 calls");
$bytes = peak_of_call('conditions', 5000);
cmp_ok($bytes, '<=', 5000 * 2500, 'memory: calls with a condition, each of which is a round');
note("conditions: $bytes bytes for 5000 calls");

# Rows that the executor writes, because the partition has a trigger of a user.
$owner->do(<<'SQL');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER nothing BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION nothing();
SQL
peak_is_at_most(4, 'metadata', 20000, 'rows by the executor',
    q(SET sierra_es.metadata = '{"tenant": "a-name-that-is-added-to-each-event"}'));
$owner->do('DROP TRIGGER nothing ON es.events');

# Event ids that the client chose: what they cost beyond a call without them.
$bytes = peak_of_call('ids', 100000) - peak_of_call('few streams', 100000);
cmp_ok($bytes, '<=', 100000 * 200, 'memory: chosen ids');
note("chosen ids: $bytes bytes for 100000 ids");

ends_in_time('ids', 100000, $_) for 100, 500;

# Streams with a key that is not that of their name.
peak_is_at_most(4, 'keyed', 100000, 'keys of streams');

# The answer to a call that repeats an earlier one.
$owner->do(q{SELECT FROM emappend(NULL, (SELECT events FROM inputs WHERE (name, size) = ('ids', $1)))}, undef, $_)
  for 300, 100000;
peak_is_at_most(4, 'ids', 100000, 'a repetition');

# The same for a user whose events are looked for with a policy.
$owner->do(<<'SQL');
CREATE ROLE tenant;
GRANT USAGE ON SCHEMA es TO tenant;
GRANT SELECT, INSERT ON es.events TO tenant;
GRANT SELECT ON inputs TO tenant;
CREATE POLICY own ON es.events USING (true);
ALTER TABLE es.events ENABLE ROW LEVEL SECURITY;
SQL
peak_is_at_most(4, 'ids', 100000, 'a repetition with row-level security', 'SET ROLE tenant');
$owner->do('ALTER TABLE es.events DISABLE ROW LEVEL SECURITY');

ends_in_time('few streams', 500000, $_) for 100, 500, 1000;
ends_in_time('arrays',      500000, $_) for 100, 500, 1000;
ends_in_time('calls',       500000, $_) for 500, 1000;
is(one_value($owner, 'SELECT count(*) FROM es.events'), 100300, 'nothing is left of all that');

done_testing();
