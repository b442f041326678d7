# conditions: of 16 contenders for one tag exactly one wins, in every round; and in
# random calls of 32 sessions, with a crash of the server in the middle, no condition
# that was false is ever taken for true, no refusal is without a reason, no single call
# ends in a deadlock, and everything that was acknowledged is there.
#
# SIERRA_TEST_ROUNDS and SIERRA_TEST_TRANSACTIONS set the length (1000 rounds take
# a minute or two); SIERRA_TEST_SEED repeats the random choices of an earlier run
# (the order in which sessions meet remains free).

use strict;
use warnings;

use FindBin;
use JSON::PP;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraConditions;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $rounds       = $ENV{SIERRA_TEST_ROUNDS}       // 60;
my $transactions = $ENV{SIERRA_TEST_TRANSACTIONS} // 1920;
my $seed         = $ENV{SIERRA_TEST_SEED}         // int(time) % 1_000_000;
my $contenders   = 16;
my $sessions     = 32;
diag("SIERRA_TEST_SEED=$seed SIERRA_TEST_ROUNDS=$rounds SIERRA_TEST_TRANSACTIONS=$transactions");

# A refusal must not show what a crash can lose, so locks are given back early.
my $node = new_server('condition');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.early_lock_release = on
sierra_es.max_runners = 0
max_connections = 60
CONF
$node->restart;
create_store($node, 16, 'seats');
create_store($node, 8, $_) for qw(es several);
my $directory = PostgreSQL::Test::Utils::tempdir();

# ---------------------------------------------------------------------------
# Contenders: each round has a tag of its own, and starts for all at once
# ---------------------------------------------------------------------------

# Conditions that exclude the event of any contender in this round: by tags, by tags and
# name, and by the name alone, which needs the lock of the whole store.
sub seat_is_free {
    my ($contender, $round) = @_;
    my @items = (
        { tags => ["seat:$round"] },
        { tags => [ 'all', "seat:$round" ] },
        { tags => ['all'], types => ["Taken$round"] },
        { tags => ["seat:$round"], types => [ 'Other', "Taken$round" ] }
    );
    my $item = $contender % 8 == 7 ? { types => ["Taken$round"] } : $items[ $contender % @items ];
    return encode_json({ query => [ { tags => ['none'] }, $item ], after => -1 });
}

sub contend {
    my ($contender) = @_;
    my $dbh = connect_to($node);
    $dbh->do(q{SET sierra_es.store = 'seats'});
    for my $round (1 .. $rounds) {
        $dbh->do('SELECT pg_advisory_xact_lock_shared($1)', undef, $round);
        my $position = eval {
            one_value(
                $dbh,
                'SELECT global_position FROM eappend($1, $2, tags => $3, condition => $4)',
                "contender-$contender",
                "Taken$round", [ "seat:$round", 'all' ],
                seat_is_free($contender, $round));
        };
        my ($refused) = defined $position ? () : $dbh->errstr =~ /query: position (\d+),/;
        my $outcome = defined $position ? "won $position" : defined $refused ? "lost to $refused" : $dbh->state;
        append_to_file("$directory/contender-$contender", "$round $outcome\n");
    }
    return;
}

my $start = connect_to($node);
$start->do('SELECT pg_advisory_lock(1)');
my @pids = map {
    my $contender = $_;
    fork_process(sub { contend($contender) })
} 1 .. $contenders;
for my $round (1 .. $rounds) {
    wait_until(
        "all contenders wait for round $round",
        sub {
            one_value($start, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND objsubid = 1 AND NOT granted},
                $round) == $contenders;
        });
    $start->do('SELECT pg_advisory_lock($1)', undef, $round + 1);
    $start->do('SELECT pg_advisory_unlock($1)', undef, $round);
}
is(scalar(grep { !wait_for_process($_) } @pids), 0, 'all contenders ended well');

my (%outcomes, @complaints);
for my $contender (1 .. $contenders) {
    for (split /\n/, slurp_file("$directory/contender-$contender")) {
        my ($round, $outcome) = split / /, $_, 2;
        push @{ $outcomes{$round} }, $outcome;
    }
}
for my $round (1 .. $rounds) {
    my @won    = map { /^won (\d+)/ ? $1 : () } @{ $outcomes{$round} };
    my $stored = $start->selectcol_arrayref('SELECT global_position FROM seats.events WHERE event_name = $1', undef, "Taken$round");
    push @complaints, "round $round: answers " . join(', ', @{ $outcomes{$round} }) . "; stored @$stored"
      unless @won == 1 && "@won" eq "@$stored" && grep({ $_ eq "lost to $won[0]" } @{ $outcomes{$round} }) == $contenders - 1;
}
no_complaints(\@complaints, "one winner in each of $rounds rounds, and the others are told who");
store_is_sound($start, 'contenders', 'seats');

# ---------------------------------------------------------------------------
# Random calls: one in each transaction, with a crash; then with two in some
# ---------------------------------------------------------------------------

sub random_calls {
    my ($store, $several, $trouble) = @_;
    my $progress = "$directory/$store";
    append_to_file($progress, '');
    my @workers = map {
        my $session = $_;
        fork_process(
            sub {
                SierraConditions->new(
                    node     => $node,
                    store    => $store,
                    several  => $several,
                    session  => $session,
                    seed     => $seed,
                    calls    => int($transactions / $sessions / 2) + 1,
                    log      => "$directory/$store-$session.log",
                    progress => $progress
                )->run;
            })
    } 1 .. $sessions;
    $trouble->($progress);
    is(scalar(grep { !wait_for_process($_) } @workers), 0, "$store: all sessions ended well");

    my $dbh = connect_to($node);
    my @lines = map { split /\n/, slurp_file("$directory/$store-$_.log") } 1 .. $sessions;
    my ($complaints, $count) = SierraConditions::judge($dbh, $store, $several, @lines);
    no_complaints($complaints, "$store: every answer was right");
    note("$store: " . join ', ', map { "$_: $count->{$_}" } sort keys %$count);
    cmp_ok($count->{$_} // 0, '>', $transactions / 200, "$store: there were enough of these: $_")
      for ('committed', 'stored under a condition', 'SE009', 'SE001');
    store_is_sound($dbh, $store, $store);
    append_continues($dbh, [ map { "s-$_" } 1 .. 12 ], "gapless: $store, appends continue the numbers", $store);
    return;
}

random_calls(
    'es', 0,
    sub {
        my ($progress) = @_;
        wait_until('half of the calls are done', sub { -s $progress > $transactions / 4 });
        kill_everything($node);
        start_again($node);
    });
random_calls('several', 0.2, sub { });

done_testing();
