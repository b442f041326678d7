# Logical decoding: large payloads, large transactions, and long transactions
# without events.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraDecoding;
use SierraTest;
use Test::More;
use Time::HiRes qw(time);

my $node = decoding_server('large');
create_store($node, 4);
my $dbh = connect_to($node);
make_slot($dbh, 'events');

# ---- large payloads: in the row, compressed, and out of it ----

$dbh->do(q{SELECT setseed(0.5)});
my $noise = q{(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, $1::int))};
for my $compression (qw(pglz lz4)) {
    for my $column (qw(metadata payload payload_bytes)) {
        next if sqlstate_of($dbh, "ALTER TABLE es.events_0 ALTER $column SET COMPRESSION $compression");
        for my $blocks (1, 60, 100, 30000) {
            my $value = $column eq 'payload_bytes' ? "convert_to($noise, 'UTF8')" : "json_build_object('m', $noise)";
            $dbh->do("SELECT FROM eappend('large-$column', 'Noise', $column => $value)", undef, $blocks);
        }
        my $value = $column eq 'payload_bytes' ? q{decode(repeat('00', 5000000), 'hex')} : q{json_build_object('m', repeat('x', 5000000))};
        $dbh->do("SELECT FROM eappend('large-$column', 'Silence', $column => $value)");
    }
}
$dbh->do(q{SELECT FROM emappend(NULL, (SELECT json_agg(json_build_object('stream_id', 'many-' || i % 3,
    'event_name', 'Batched', 'metadata', json_build_object('m', repeat('m', i * 100)), 'payload', repeat('p', i * 1000)))
    FROM generate_series(1, 100) AS i))});
same_text(
    join("\n", sort(take_events($dbh, 'events'))),
    join("\n", sort(expected_events($dbh, 'es'))),
    'large payloads come whole'
);
ok(one_value($dbh, 'SELECT pg_relation_size(reltoastrelid) > 1000000 FROM pg_class WHERE oid = $1::regclass', 'es.events_0')
        || one_value($dbh, q{SELECT max(pg_relation_size(reltoastrelid)) > 1000000 FROM pg_class WHERE relname ~ '^events_\d$'}),
    'they were out of the row');

# ---- a large transaction, which spills to disk ----

my $last = one_value($dbh, 'SELECT max(global_position) FROM es.events');
$dbh->do(q{SELECT pg_stat_reset_replication_slot('events')});
$dbh->begin_work;
for my $batch (1 .. 5) {
    $dbh->pg_savepoint("s$batch");
    $dbh->do(q{SELECT FROM (SELECT array_agg('bulk-' || i % 10), array_agg('Loaded'::text),
                                   array_agg(to_json(repeat('x', 200) || i))
                              FROM generate_series(1, 4000) AS i) AS batch (streams, names, payloads),
                           LATERAL emappend(NULL, streams, names, payloads)});
    $dbh->pg_rollback_to("s$batch") if $batch % 2 == 0;
}
$dbh->do(q{SELECT FROM eappend('bulk-0', 'Large', to_json(repeat(md5('x'), 100000)))});
$dbh->commit;
$dbh->do(q{SET logical_decoding_work_mem = '64kB'});
my @sent = take_changes($dbh, 'events');
is(scalar(grep { !/"type":"event"/ } @sent), 2, 'a large transaction is one');
like($sent[0], qr/^\{"type":"begin"/, 'it begins');
like($sent[-1], qr/^\{"type":"commit"/, 'and ends');
my @events = grep { /"type":"event"/ } @sent;
same_text(join("\n", sort @events), join("\n", sort(expected_events($dbh, 'es', "global_position > $last"))),
    'all its events come');
my %next;
my @faults = grep {
    my ($partition, $sequence) = /"partition_id":(\d+),"partition_sequence":(\d+)/;
    my $fault = defined $next{$partition} && $sequence != $next{$partition};
    $next{$partition} = $sequence + 1;
    $fault;
} @events;
is(scalar @faults, 0, 'each partition in order');
wait_until('statistics of the slot are there', sub {
    one_value($dbh, q{SELECT spill_txns FROM pg_stat_replication_slots WHERE slot_name = 'events'})
});
pass('it was on disk meanwhile');

# ---- progress over transactions that send nothing ----

# The receiver confirms the position it was sent, though no message ever came.
$dbh->do('CREATE TABLE busy (n int)');
my $out = $node->basedir . '/nothing.json';
my ($stdout, $stderr) = ('', '');
my $receiver = IPC::Run::start(
    [ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', 'events', '--start', '--no-loop',
        '--fsync-interval=1', '--status-interval=1', '-f', $out ],
    '<', \undef, '>', \$stdout, '2>', \$stderr);
wait_until('the receiver is there', sub { one_value($dbh, 'SELECT count(*) FROM pg_stat_replication') });
$dbh->do('INSERT INTO busy SELECT generate_series(1, 200000)');
my $end = one_value($dbh, 'SELECT pg_current_wal_lsn()');
wait_until('the slot has passed it', sub {
    one_value($dbh, q{SELECT confirmed_flush_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = 'events'}, $end)
});
is(-s $out, 0, 'transactions of other tables move the slot on, and send nothing');
$receiver->signal('INT');
$receiver->finish;

# A transaction that takes longer than wal_sender_timeout, and sends nothing
# before its end.  Patterns that nearly match make it slow; first see how slow.
my $timeout = 3;
my $name = 'a' x 250;
my $slow = join ',', 'after', ('*' . 'a' x 100 . 'b*') x 50;
my $append = q{SELECT FROM (SELECT array_agg($1::text), array_agg('Loaded'::text) FROM generate_series(1, $2::integer)) AS batch (streams, names),
    LATERAL emappend(NULL, streams, names)};
make_slot($dbh, 'measured');
$dbh->do($append, undef, $name, 200);
my $start = time;
is_deeply([ take_changes($dbh, 'measured', streams => $slow) ], [], 'patterns that nearly match do not');
my $each = (time - $start) / 200;
drop_slot($dbh, 'measured');

$dbh->do("ALTER SYSTEM SET wal_sender_timeout = '${timeout}s'");
$node->restart;
$dbh = connect_to($node);

# How fast a machine is changes with what else it does: so append more until it takes long.
my $count = 1 + int(2 * $timeout / $each);
my ($got, $seconds);
for (1 .. 6) {
    make_slot($dbh, 'patient');
    $dbh->begin_work;
    $dbh->do($append, undef, $name, $count);
    $dbh->do(q{SELECT FROM eappend('after', 'Noise')});
    $dbh->commit;
    $end = one_value($dbh, 'SELECT pg_current_wal_lsn()');
    $start = time;
    $got = $node->pg_recvlogical_upto('postgres', 'patient', $end, $PostgreSQL::Test::Utils::timeout_default,
        include_transactions => 'off', streams => $slow);
    $seconds = time - $start;
    last if $seconds > $timeout;
    drop_slot($dbh, 'patient');
    $count *= 2;
}
like($got, qr/\A\{"type":"event",.*"stream_id":"after"[^\n]*\n\z/, 'a long transaction does not lose its receiver');
cmp_ok($seconds, '>', $timeout, 'it was long');

done_testing();
