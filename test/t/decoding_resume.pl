# Logical decoding: a client that is interrupted continues; a slot that starts
# too late is noticed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraDecoding;
use SierraLoad;
use SierraTest;
use Test::More;

my $node = decoding_server('resume');
create_store($node, 4);
my $dbh = connect_to($node);
my @stream = map { stream_of_partition($dbh, $_, 4) } 0 .. 3;

sub append { return $dbh->selectrow_hashref('SELECT * FROM eappend($1, $2)', undef, @_) }

# What a slot returns for these sequences: the places of its events, or its
# error.
sub resume {
    my ($slot, $sequences, @options) = @_;
    my @messages = eval {
        take_events($dbh, $slot, peek => 1, store => 'es', after_sequences => $sequences, @options);
    };
    return $@ eq '' ? join ' ', places(@messages) : $dbh->state . ': ' . join ' ', $dbh->errstr =~ /HINT:  (.*)/;
}

# ---- gaps ----

append($stream[$_], 'Before') for 0, 0, 1;
make_slot($dbh, 'late');
append($stream[$_], 'After') for 0, 1, 2, 0;
is(resume('late', '{"0": 1, "1": 0}'), '0/2 1/1 2/0 0/3', 'everything before the slot was read');
is(resume('late', '{"0": 2, "1": 9}'), '2/0 0/3', 'what was read is not sent again');
is(resume('late', '{"0": 0, "1": 0}'), '55000: Read epscan(0, 1, 1), then start again after 1.',
    'one event was missed');
is(resume('late', '{"0": 1}'), '55000: Read epscan(1, 0, 0), then start again after 0.',
    'a partition was missed');
is(resume('late', '{}', streams => $stream[2]), '55000: Read epscan(0, 0, 1), then start again after 1.',
    'filters do not hide that');
is(resume('late', '{"0": 1}', partitions => '0,2'), '0/2 2/0 0/3', 'partitions that nobody wants have no gaps');
is(resume('late', '{}', on_gap => 'ignore'), '0/2 1/1 2/0 0/3', 'a gap can be ignored');
take_changes($dbh, 'late');
append($stream[$_], 'Later') for 0, 3;
is(resume('late', '{"0": 1, "1": 1, "2": 0}'), '55000: Read epscan(0, 2, 3), then start again after 3.',
    'a slot that moved on without its reader');
is(resume('late', '{"0": 3, "1": 1, "2": 0}'), '0/4 3/0', 'a reader that is where the slot is');
drop_slot($dbh, 'late');

# An event that is in the log before the slot, and becomes visible only after
# the consumer has looked for it.  The slot waits for the transactions $first,
# then $second; the append comes after that, and commits while its session is
# still waiting for a standby.
$dbh->do(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
$dbh->do(q{ALTER SYSTEM SET synchronous_commit = 'local'});
$node->reload;
{
    my ($first, $second) = map { connect_to($node) } 1 .. 2;
    my $begin = sub {
        my ($session) = @_;
        $session->begin_work;
        return one_value($session, 'SELECT pg_current_xact_id()');
    };
    my $slot_waits_for = sub {
        my ($xid) = @_;
        wait_until("the slot waits for transaction $xid", sub {
            one_value($dbh, q{SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid'
                AND transactionid::text = $1 AND NOT granted}, $xid)
        });
    };
    wait_until('settings are there', sub {
        my $session = connect_to($node);
        one_value($session, q{SELECT current_setting('synchronous_standby_names')
            || current_setting('synchronous_commit')}) eq 'nobodylocal'
    });
    $_->do('SET synchronous_commit = local') for $first, $second, $dbh;
    my $first_xid = $begin->($first);
    my $maker = fork_process(sub { make_slot(connect_to($node), 'race') });
    $slot_waits_for->($first_xid);
    my $second_xid = $begin->($second);
    $first->commit;
    $slot_waits_for->($second_xid);
    my $appender = fork_process(
        sub {
            my $session = connect_to($node);
            $session->do(q{SET application_name = 'hidden'});
            $session->do('SET synchronous_commit = on');
            $session->do('SELECT FROM eappend($1, $2)', undef, $stream[3], 'Hidden');
        });
    wait_until('the append waits for a standby', sub {
        one_value($dbh, q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hidden'
            AND wait_event = 'SyncRep'})
    });
    $second->commit;
    ok(wait_for_process($maker), 'the slot is made');
    is(one_value($dbh, 'SELECT epseq(3)'), 0, 'the event is in the log, but not to be seen');
    $dbh->do(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'hidden'});
    ok(wait_for_process($appender), 'the append is done');
    append($stream[3], 'Next');
    is(resume('race', '{"0": 4, "1": 1, "2": 0, "3": 0}'),
        '55000: Read epscan(3, 1, 1), then start again after 1.', 'an event between slot and reader is noticed');
    is(one_value($dbh, 'SELECT event_name FROM epscan(3, 1, 1)'), 'Hidden', 'it can be read');
    is(resume('race', '{"0": 4, "1": 1, "2": 0, "3": 1}'), '3/2', 'and the slot continues after it');
    drop_slot($dbh, 'race');
}
$dbh->do('ALTER SYSTEM RESET synchronous_standby_names');
$dbh->do('ALTER SYSTEM RESET synchronous_commit');
$node->reload;

# ---- pg_recvlogical ----

my $files = 0;

sub receive {
    my ($slot, @options) = @_;
    my $file = $node->basedir . '/received.' . ++$files;
    my $messages = '';
    my $process = IPC::Run::start(
        [ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', $slot, '--start', '--no-loop',
            '--fsync-interval=1', '--status-interval=1', '-f', $file, @options ],
        '<', \undef, '2>', \$messages);
    return { file => $file, process => $process, messages => \$messages };
}

# Waits until a receiver has confirmed everything that exists now.
sub wait_for_receiver {
    my ($session, $slot) = @_;
    my $end = one_value($session, 'SELECT pg_current_wal_lsn()');
    wait_until("slot $slot is where the log is", sub {
        one_value($session, 'SELECT confirmed_flush_lsn >= $1::pg_lsn FROM pg_replication_slots WHERE slot_name = $2',
            $end, $slot)
    });
    return;
}

sub wait_until_free {
    my ($session, $slot) = @_;
    wait_until("slot $slot is free", sub {
        one_value($session, 'SELECT NOT active FROM pg_replication_slots WHERE slot_name = $1', $slot)
    });
    return;
}

# Faults in the order of places: within a partition, each follows the one before.
sub order_faults {
    my %last;
    return grep {
        my ($partition, $sequence) = split m{/};
        my $fault = exists $last{$partition} && $sequence != $last{$partition} + 1;
        $last{$partition} = $sequence;
        $fault;
    } @_;
}

sub stored_places {
    my ($session, $condition) = @_;
    return join ' ', @{ $session->selectcol_arrayref(
            "SELECT place FROM (SELECT partition_id || '/' || partition_sequence AS place FROM es.events
                                 WHERE $condition) AS stored ORDER BY place COLLATE \"C\"") };
}

my $known = one_value($dbh, 'SELECT max(global_position) FROM es.events');
command_ok([ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', $_, '--create-slot', '-P', 'sierra_es' ],
    "pg_recvlogical makes slot $_") for 'text', 'bytes';
command_fails_like(
    [ 'pg_recvlogical', '-d', $node->connstr('postgres'), '-S', 'text', '--start', '--no-loop', '-f', '-', '-o', 'format' ],
    qr/option "format" needs a value.*HINT:  Formats are json and binary/s, 'an option without its value');

my @json = receive('text', '-o', 'single_line', '-o', 'streams=*');
my $binary = receive('bytes', '-o', 'format=binary', '-o', 'include_transactions=off');
for my $round (1 .. 3) {
    my $load = SierraLoad->new(dsn => dsn_of($node), sessions => 3, seed => 1130 + $round)->start;
    $load->wait_for(60);
    $json[-1]{process}->signal('KILL');
    $json[-1]{process}->finish;
    $load->wait_for(30);
    wait_until_free($dbh, 'text');
    push @json, receive('text', '-o', 'single_line', '-o', 'streams=*');
    $load->wait_for(60);
    ok($load->stop, "round $round: appends continue");
}
wait_for_receiver($dbh, $_) for 'text', 'bytes';
$_->{process}->signal('INT'), $_->{process}->finish for $json[-1], $binary;
my %received;
my @faults;
for my $run (@json) {
    # A program that is killed leaves a line unfinished.
    my @places = places(slurp_file($run->{file}) =~ /^(\{"type":"event".*\})\n/mg);
    push @faults, order_faults(@places);
    $received{$_} = 1 for @places;
}
is(join(' ', sort keys %received), stored_places($dbh, "global_position > $known"),
    'pg_recvlogical, killed and started again: every event came');
no_complaints(\@faults, 'in the order of each partition');
my @places;
for (my $rest = slurp_file($binary->{file}); $rest ne '';) {
    my $message = read_binary($rest);
    push @places, "$message->{partition_id}/$message->{partition_sequence}";
    $rest = $message->{more} =~ s/\A\n//r;
}
is(join(' ', sort @places), stored_places($dbh, "global_position > $known"), 'binary: every event came once');
no_complaints([ order_faults(@places) ], 'in the order of each partition');
drop_slot($dbh, $_) for 'text', 'bytes';

# ---- the consumer of the documentation, in Python ----

my $document = slurp_file('docs/decoding.md');
my ($program) = $document =~ /^```python\n(.*?)^```$/ms or die 'docs/decoding.md has no Python program';
my ($tables) = $document =~ /^```sql\n(CREATE TABLE stream_totals.*?)^```$/ms or die 'nor its tables';
my $script = $node->basedir . '/follow.py';
append_to_file($script, $program);
$dbh->do($tables);

sub start_consumer {
    my ($script) = @_;
    local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, PGDATABASE => 'postgres');
    my $output = '';
    return { process => IPC::Run::start([ 'python3', $script ], '<', \undef, '>&', \$output), output => \$output };
}

sub kill_consumer {
    my ($consumer) = @_;
    $consumer->{process}->signal('KILL');
    $consumer->{process}->finish;
    return;
}

my $progress = q{SELECT coalesce(string_agg(partition_id || '/' || partition_sequence, ' ' ORDER BY partition_id), '')};

sub wait_for_consumer {
    my ($session, $consumer) = @_;
    wait_until('the consumer has everything', sub {
        $consumer->{process}->pump_nb if $consumer->{process}->pumpable;
        die "the consumer ended: ${$consumer->{output}}" unless $consumer->{process}->pumpable;
        one_value($session, "$progress FROM stream_totals_progress") eq one_value($session,
            "$progress FROM (SELECT partition_id, max(partition_sequence) AS partition_sequence
                               FROM es.events GROUP BY partition_id) AS newest")
    });
    return;
}

sub everything_is_counted {
    my ($session, $when) = @_;
    my $totals = q{SELECT string_agg(stream_id || ' ' || events, E'\n' ORDER BY stream_id COLLATE "C") FROM };
    same_text(
        one_value($session, "$totals stream_totals"),
        one_value($session, "$totals (SELECT stream_id, count(*) AS events FROM es.events GROUP BY stream_id) AS stored"),
        "$when: every event was counted exactly once"
    );
    return;
}

my $consumer = start_consumer($script);
for my $round (1 .. 6) {
    my $load = SierraLoad->new(dsn => dsn_of($node), sessions => 3, seed => 1140 + $round)->start;
    $load->wait_for(40);
    if ($round % 3 == 0) {
        kill_everything($node);
        $load->wait;
        $consumer->{process}->finish;
        isnt($consumer->{process}->result(0), 0, "round $round: the consumer ends with the server");
        start_again($node);
        $dbh = connect_to($node);
        $load = SierraLoad->new(dsn => dsn_of($node), sessions => 3, seed => 1150 + $round)->start;
    }
    else {
        kill_consumer($consumer);
    }
    if ($round % 2 == 0) {
        wait_until_free($dbh, 'stream_totals');
        drop_slot($dbh, 'stream_totals');
        $load->wait_for(40);
    }
    $consumer = start_consumer($script);
    $load->wait_for(60);
    ok($load->stop, "round $round: appends continue");
    wait_for_consumer($dbh, $consumer);
    everything_is_counted($dbh, "round $round");
}

# A slot that was invalidated because it kept too much of the log.
kill_consumer($consumer);
wait_until_free($dbh, 'stream_totals');
$dbh->do(q{ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'});
$node->reload;
append($stream[0], 'Missed');
wait_until('the slot is given up', sub {
    $dbh->do('CREATE TABLE IF NOT EXISTS filler (t text)');
    $dbh->do(q{INSERT INTO filler VALUES ('x')});
    $dbh->do('SELECT pg_switch_wal()');
    $dbh->do('CHECKPOINT');
    one_value($dbh, q{SELECT wal_status FROM pg_replication_slots WHERE slot_name = 'stream_totals'}) eq 'lost'
});
$consumer = start_consumer($script);
wait_for_consumer($dbh, $consumer);
append($stream[0], 'Missed not');
wait_for_consumer($dbh, $consumer);
everything_is_counted($dbh, 'after the slot was given up');
append($stream[0], 'Confirmed');
wait_for_receiver($dbh, 'stream_totals');
pass('the consumer confirms what it has done');

# It meets a gap, as when an event was in the log before the slot and became
# visible after the consumer had read.  Here it does not read at first.
kill_consumer($consumer);
wait_until_free($dbh, 'stream_totals');
drop_slot($dbh, 'stream_totals');
my $log_start = -s $node->logfile;
append($stream[$_], 'Skipped') for 0, 1;
make_slot($dbh, 'stream_totals');
append($stream[$_], 'Behind the gap') for 0, 1;
$program =~ s/^    catch_up\(\)$/    tries += 1\n    if tries > 1: catch_up()/m or die 'the program has changed';
my $hasty = $node->basedir . '/hasty.py';
append_to_file($hasty, "tries = 0\n$program");
$consumer = start_consumer($hasty);
wait_for_consumer($dbh, $consumer);
everything_is_counted($dbh, 'after a gap');
ok($node->log_contains('partition [01] of store "es" has events that the slot does not', $log_start),
    'there was one');
kill_consumer($consumer);
store_is_sound($dbh, 'after all');

done_testing();
