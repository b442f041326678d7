# gapless, commit_order, durable, idempotency, one_partition, byte_exact: random
# transactions of many sessions against a model, with readers that follow the
# store, sessions that are terminated, and backends that are killed.
#
# SIERRA_TEST_SEED repeats the random choices of an earlier run (the order in
# which sessions meet remains free); SIERRA_TEST_TRANSACTIONS sets the length.

use strict;
use warnings;

use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraModel;
use SierraReader;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed         = $ENV{SIERRA_TEST_SEED}         // int(time) % 1_000_000;
my $transactions = $ENV{SIERRA_TEST_TRANSACTIONS} // 6000;
my $sessions     = 6;
my $crashes      = 3 + int($transactions / 20_000);
diag("SIERRA_TEST_SEED=$seed SIERRA_TEST_TRANSACTIONS=$transactions");
srand $seed;

my $node = new_server('random');
$node->append_conf('postgresql.conf', 'deadlock_timeout = 50ms');
$node->reload;
create_store($node, 6);
my $directory = PostgreSQL::Test::Utils::tempdir();
my $progress  = "$directory/progress";
append_to_file($progress, '');

my @readers;
push @readers, SierraReader->new(dsn => dsn_of($node), kind => $_, seed => $seed)->start for SierraReader->kinds;
my %pids;
for my $session (1 .. $sessions) {
    my $model = sub {
        SierraModel->new(
            dsn          => dsn_of($node),
            session      => $session,
            seed         => $seed,
            transactions => int($transactions / $sessions) + 1,
            log          => "$directory/$session.log",
            progress     => $progress
        )->run;
    };
    $pids{ fork_process($model) } = 1;
}

# ---------------------------------------------------------------------------
# Trouble, until the sessions have finished
# ---------------------------------------------------------------------------

# The backend of some session or reader; undef while the server recovers.
sub some_backend {
    return eval {
        my $dbh  = connect_to($node);
        my $pids = $dbh->selectcol_arrayref(
            q{SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'sierra %' ORDER BY pid});
        $dbh->disconnect;
        $pids->[ rand @$pids ];
    };
}

my (%done, @everify, $ended_badly);
my ($next_kill, $next_everify, $last_progress, $stuck_since) = (time + 0.5, time + 3, 0, time);
while (%pids) {
    for my $pid (keys %pids) {
        my $waited = waitpid $pid, POSIX::WNOHANG();
        next if $waited == 0;
        $ended_badly++ if $?;
        delete $pids{$pid};
    }
    sleep 0.05;
    my $through = -s $progress;
    ($last_progress, $stuck_since) = ($through, time) if $through > $last_progress;
    if (time - $stuck_since > 120) {
        fail('the sessions are stuck');
        kill 'KILL', keys %pids;
        last;
    }
    if (($done{crash} // 0) < $crashes && $through > $transactions * (1 + ($done{crash} // 0)) / ($crashes + 1)) {
        my $pid = some_backend() // next;
        $done{crash} += kill 'KILL', $pid;
        $next_kill = time + 1;
    }
    elsif (time > $next_kill) {
        my $pid = some_backend() // next;
        eval {
            my $dbh = connect_to($node);
            $dbh->do('SELECT pg_terminate_backend($1)', undef, $pid);
            $done{terminate}++;
        };
        $next_kill = time + rand 1.5;
    }
    elsif (time > $next_everify) {
        eval { push @everify, everify_rows(connect_to($node)); $done{everify}++ };
        $next_everify = time + 4;
    }
}
is($ended_badly // 0, 0, 'the sessions are through');
is($done{crash}, $crashes, "$crashes backends were killed by signal 9");
cmp_ok($done{terminate} // 0, '>', 0, 'others were terminated');
no_complaints(\@everify, 'everify() finds nothing while appends run');
ok((!grep { !$_->stop } @readers), 'the readers have read to the end');

# ---------------------------------------------------------------------------
# The result
# ---------------------------------------------------------------------------

my $dbh = connect_to($node);
my (@complaints, %committed, %command, %count);
for my $session (1 .. $sessions) {
    for my $line (split /\n/, slurp_file("$directory/$session.log")) {
        my $entry = decode_json($line);
        if (my $event = $entry->{committed}) { $committed{ $event->{event_id} } = $event }
        elsif (my $command = $entry->{command}) {
            my $first = $command{ $command->{event_id} } //= $command;
            push @complaints, map { "command $command->{event_id}: $_ $command->{$_} and $first->{$_}" }
              grep { $command->{$_} ne $first->{$_} } sort keys %$command;
        }
        elsif ($entry->{count}) { $count{ $entry->{count} }++ }
        else                    { push @complaints, $entry->{complaint} }
    }
}
note("$_: $count{$_}") for sort keys %count;
no_complaints(\@complaints, 'every call was answered as the model expects');

my $stored = all_rows(
    $dbh, 'SELECT *, md5(coalesce(convert_to(payload::text, $1), payload_bytes)) AS digest
             FROM es.events ORDER BY partition_id, partition_sequence', 'UTF8');
@complaints = ();
my %there;
for my $event (@$stored) {
    $there{ $event->{event_id} } = 1;
    if ($event->{metadata} =~ /command/) {

        # An append whose answer was lost may be stored all the same.
        my $command = $command{ $event->{event_id} } or next;
        push @complaints, map { "command $event->{event_id}: $_ is $event->{$_}, acknowledged $command->{$_}" }
          grep { $event->{$_} ne $command->{$_} } sort keys %$command;
        next;
    }
    my $committed = $committed{ $event->{event_id} };
    if (!$committed) {
        push @complaints, "event $event->{event_id} $event->{metadata} was not committed";
        next;
    }
    push @complaints, map { "event $event->{event_id}: $_ is $event->{$_}, acknowledged $committed->{$_}" }
      grep { $event->{$_} ne $committed->{$_} } sort keys %$committed;
}
push @complaints, map { "event $_ is lost" } grep { !$there{$_} } sort(keys %committed), sort keys %command;
no_complaints(\@complaints, 'durable, byte_exact: the store holds exactly what was acknowledged');
cmp_ok(scalar keys %committed, '>', $transactions / 2, scalar(keys %committed) . ' events were committed');
is(one_value($dbh, 'SELECT count(*) FROM pg_prepared_xacts'), 0, 'nothing is left prepared');

no_complaints([ map { $_->complaints($dbh) } @readers ],
    'commit_order: the readers have seen every event once and in order');
store_is_sound($dbh, 'after all');
append_continues($dbh, [ map { "shared-$_" } 0 .. 7 ], 'gapless: appends continue');

done_testing();
