# subscriptions: consumers of every kind against sessions that append at random.
# Consumers fail, are killed, stopped and resumed; groups come and go; sessions
# are terminated; the server crashes.  In the end every consumer must have
# processed every event that it wants: in the order of its stream, and exactly
# once if it uses that mode.
#
# SIERRA_TEST_SEED repeats the random choices of an earlier run (the order in
# which sessions meet remains free); SIERRA_TEST_TRANSACTIONS sets the length.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraConsumer;
use SierraJudge;
use SierraProducer;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $seed         = $ENV{SIERRA_TEST_SEED}         // int(time) % 1_000_000;
my $transactions = $ENV{SIERRA_TEST_TRANSACTIONS} // 1200;
my $producers    = 3;
my $partitions   = 8;
diag("SIERRA_TEST_SEED=$seed SIERRA_TEST_TRANSACTIONS=$transactions");
srand $seed;

my $preload = rand() < 0.5;
my $node    = new_server('soak');
$node->append_conf('postgresql.conf', "deadlock_timeout = 50ms\nsierra_es.poll_interval = 20ms");
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'sierra_es'") if $preload;
$node->restart;
note($preload ? 'the library is preloaded' : 'the library is not preloaded');
create_store($node, $partitions);
my $dbh = connect_to($node);
$dbh->do('CREATE TABLE effects (id bigserial PRIMARY KEY, subscription text NOT NULL, position bigint NOT NULL)');
my $directory = PostgreSQL::Test::Utils::tempdir();
my $progress  = "$directory/progress";
my $calm      = "$directory/calm";
append_to_file($progress, '');

# ---------------------------------------------------------------------------
# Subscriptions
# ---------------------------------------------------------------------------

my %subscriptions;

# definition: arguments of esub() or epsub(); wants: the same in Perl.
sub subscribe {
    my ($name, $definition, $wants, %options) = @_;
    my $subscription = $subscriptions{$name} = {
        name         => $name,
        mode         => $name =~ /once/ ? 'once' : 'least',
        fails        => $name =~ /failing/ ? 1 : 0,
        group        => $name =~ /group/ ? 1 : 0,
        lease        => $name =~ /group/ ? 0.6 : 30,
        window       => (60, 200, 1000)[ rand 3 ],
        max_attempts => 2 + int rand 3,
        wants        => $wants,
        members      => {},
        operator     => [],
        logs         => {},
    };
    my $start = $options{start_from} // 'earliest';
    my $function  = $definition =~ /partitions/ ? 'epsub' : 'esub';
    my $statement = "SELECT $function(\$1, $definition start_from => '$start', window_size => $subscription->{window},"
      . " lease_time => '$subscription->{lease} s', max_attempts => $subscription->{max_attempts})";
    $dbh->do($statement, undef, $name);
    return;
}

sub everything { return 1 }

sub subscribe_at_first {
    my $event_names = join ',', my @wanted = @SierraProducer::names[ 0, 1 + int rand 3 ];
    my @partitions = grep { rand() < 0.5 } 0 .. $partitions - 1;
    @partitions = (0) if !@partitions;
    my %partition = map { $_ => 1 } @partitions;
    my %name      = map { $_ => 1 } @wanted;
    subscribe('all least', '', \&everything);
    subscribe('all once',  '', \&everything);
    subscribe('streams least', q{streams => '{order-*,*-3,audit}',}, sub { $_[0]{stream_id} =~ /^order-|-3$|^audit$/ });
    subscribe('names once', "event_names => '{$event_names}',", sub { $name{ $_[0]{event_name} } });
    subscribe('partitions least', 'partitions => ARRAY[' . join(',', @partitions) . '],', sub { $partition{ $_[0]{partition_id} } });
    for my $mode (qw(least once)) {
        subscribe("group $mode",   '', \&everything);
        subscribe("failing $mode", '', \&everything);
        subscribe(
            "failing group $mode",
            q{streams => '{order-*,tenant-*}', event_names => '{Opened,Changed,Paid}',},
            sub { $_[0]{stream_id} =~ /^(?:order|tenant)-/ && $_[0]{event_name} ne 'Closed' }
        );
    }
    return;
}

# Under load: the snapshot that the subscription uses decides what is too old
# for it.
sub subscribe_to_the_latest {
    my ($name) = @_;
    $dbh->do('BEGIN ISOLATION LEVEL REPEATABLE READ');
    my %old = map { $_ => 1 } @{ $dbh->selectcol_arrayref('SELECT global_position FROM es.events') };
    subscribe($name, '', sub { !$old{ $_[0]{global_position} } }, start_from => 'latest');
    $dbh->do('COMMIT');
    return;
}

# ---------------------------------------------------------------------------
# Consumers
# ---------------------------------------------------------------------------

my (%running, $started);

sub start_consumer {
    my ($subscription, $member, %options) = @_;
    $member //= 'alone';
    (my $log = "$directory/$subscription->{name} $member.log") =~ s/ (?=[^\/]*\z)/-/g;
    $subscription->{logs}{$log} = 1;
    my %consumer = (
        dsn          => dsn_of($node),
        subscription => $subscription->{name},
        (map { $_ => $subscription->{$_} } qw(mode fails window)),
        $subscription->{group} ? (consumer => $member) : (),
        log  => $log,
        seed => $seed * 1000 + ++$started,
        calm => $calm
    );
    my $pid = fork_process(sub { SierraConsumer->new(%consumer)->run($options{idle}) });
    $running{$pid} = { subscription => $subscription, member => $member };
    return $pid;
}

my $members;
sub new_member { return 'm' . ++$members }

sub start_consumers {
    my ($subscription) = @_;
    my $count = $subscription->{group} ? 2 + int rand 2 : 1;
    start_consumer($subscription, $subscription->{group} ? new_member() : undef) for 1 .. $count;
    return;
}

# ---------------------------------------------------------------------------
# Trouble
# ---------------------------------------------------------------------------

my (%done, @resume, $ended_badly);

sub some_consumer {
    my @pids = sort { $a <=> $b } grep { !$running{$_}{stopped} } keys %running;
    return $pids[ rand @pids ];
}

# A consumer that was killed comes again, under the same name or another one.
sub kill_consumer {
    my $pid      = some_consumer();
    my $consumer = delete $running{$pid};
    kill 'KILL', $pid;
    wait_for_process($pid);
    my $renamed = $consumer->{subscription}{group} && rand() < 0.5;
    start_consumer($consumer->{subscription}, $renamed ? new_member() : $consumer->{member});
    return;
}

# Longer or shorter than the lease of a group.
sub stop_consumer {
    my $pid = some_consumer();
    kill 'STOP', $pid;
    $running{$pid}{stopped} = 1;
    push @resume, [ time + rand 1.5, $pid ];
    return;
}

sub resume_consumers {
    my ($all) = @_;
    for my $entry (grep { $all || $_->[0] < time } @resume) {
        kill 'CONT', $entry->[1];
        delete $running{ $entry->[1] }{stopped};
    }
    @resume = grep { !$all && $_->[0] >= time } @resume;
    return;
}

sub end_consumer {
    my ($pid) = @_;
    kill 'TERM', $pid;
    $ended_badly++ if !wait_for_process($pid);
    return delete $running{$pid};
}

sub replace_member {
    my ($pid) = grep { !$running{$_}{stopped} && $running{$_}{subscription}{group} } sort { rand() <=> 0.5 } keys %running;
    my $consumer = end_consumer($pid // return);
    start_consumer($consumer->{subscription}, new_member());
    return;
}

sub terminate {
    my ($condition) = @_;
    my $pids = $dbh->selectcol_arrayref("SELECT pid FROM pg_stat_activity WHERE $condition");
    return 0 if !@$pids;
    $dbh->do('SELECT pg_terminate_backend($1)', undef, $pids->[ rand @$pids ]);
    return 1;
}

# What an operator does about failed events.
sub operate {
    my ($subscription, $what, $stream) = @_;
    my $sent   = time;
    my $answer = eval {
        one_value($dbh, $what eq 'skip' ? 'SELECT eskip($1, $2)' : 'SELECT eretry($1, $2)', $subscription->{name}, $stream);
    };
    if ($@) {

        # A consumer that is stopped may hold the row.
        die $@ if $dbh->state ne '55P03';
        return 0;
    }
    return 0 if !$answer && ($what eq 'retry' || !defined $answer);
    push @{ $subscription->{operator} }, [ $what, $sent, time, $stream, $what eq 'skip' ? $answer : undef ];
    return 1;
}

sub operate_somewhere {
    my @failing      = grep { $_->{fails} } @subscriptions{ sort keys %subscriptions };
    my $subscription = $failing[ rand @failing ];
    my $stream       = $SierraProducer::streams[ rand @SierraProducer::streams ];
    my $what         = rand() < 0.3 ? 'skip' : 'retry';
    return operate($subscription, $what, $what eq 'retry' && rand() < 0.5 ? undef : $stream);
}

my %trouble = (
    kill      => \&kill_consumer,
    stop      => \&stop_consumer,
    replace   => \&replace_member,
    terminate => sub { terminate(q{application_name LIKE 'soak %'}) },
    worker    => sub { terminate(q{backend_type LIKE 'sierra_es%'}) },
    operate   => \&operate_somewhere,
);
my @choices = (qw(kill stop stop replace terminate terminate worker), ('operate') x 6);

sub connect_operator {
    $dbh = connect_to($node);
    $dbh->do(q{SET lock_timeout = '300ms'});
    return;
}

# ---------------------------------------------------------------------------
# The load
# ---------------------------------------------------------------------------

connect_operator();
subscribe_at_first();
start_consumers($_) for @subscriptions{ sort keys %subscriptions };
my %appending;
for my $session (1 .. $producers) {
    my %producer = (
        dsn          => dsn_of($node),
        session      => $session,
        seed         => $seed,
        transactions => int($transactions / $producers) + 1,
        progress     => $progress
    );
    $appending{ fork_process(sub { SierraProducer->new(%producer)->run }) } = 1;
}

my $latest = 0;
while (%appending) {
    sleep 0.03 + rand 0.1;
    for my $pid (keys %appending) {
        next if waitpid($pid, POSIX::WNOHANG()) == 0;
        $ended_badly++ if $?;
        delete $appending{$pid};
    }
    resume_consumers();
    my $through = -s $progress;
    if ($latest < 2 && $through > $transactions * ($latest + 1) / 3) {
        my $name = ('latest least', 'latest group once')[ $latest++ ];
        subscribe_to_the_latest($name);
        start_consumers($subscriptions{$name});
    }
    elsif (!$done{crash} && $through > $transactions / 2) {
        kill_everything($node);
        start_again($node);
        connect_operator();
        $done{crash}++;
    }
    else {
        my $choice = $choices[ rand @choices ];
        $done{$choice} += $trouble{$choice}->() // 1;
    }
}

# ---------------------------------------------------------------------------
# Calm
# ---------------------------------------------------------------------------

append_to_file($calm, '');
resume_consumers('all');
my $events = all_rows($dbh, 'SELECT global_position, partition_id, stream_id, stream_version, event_name FROM es.events');
my %judge;
for my $name (sort keys %subscriptions) {
    my $subscription = $subscriptions{$name};
    $judge{$name} = SierraJudge->new(
        subscription => $subscription,
        operator     => $subscription->{operator},
        logs         => [ sort keys %{ $subscription->{logs} } ]
    );
    $judge{$name}->expect($events);
}

sub effects_of {
    my ($name) = @_;
    return $dbh->selectcol_arrayref('SELECT position FROM effects WHERE subscription = $1 ORDER BY id', undef, $name);
}

# Retries what is parked until nothing is missing, or nothing has moved for
# long.
my ($deadline, $least) = (time + 60, 1e9);
while (time < $deadline) {
    operate($subscriptions{$_}, 'retry', undef) for grep { $subscriptions{$_}{fails} } sort keys %subscriptions;
    my $missing = 0;
    $missing += $judge{$_}->missing(effects_of($_)) for sort keys %judge;
    last if $missing == 0;
    ($deadline, $least) = (time + 60, $missing) if $missing < $least;
    sleep 0.3;
}
for my $name (sort keys %judge) {
    my @missing = sort { $a <=> $b } $judge{$name}->missing(effects_of($name));
    no_complaints([ map { "$name: $_ was not processed" } @missing ], "$name: nothing is missing");
}
kill 'TERM', keys %running;
end_consumer($_) for sort keys %running;

# An event that was processed, but perhaps not acknowledged, comes once more.  A
# new member of a group waits until the leases of the members that just left are
# over.
for my $name (sort keys %subscriptions) {
    my $pid = start_consumer($subscriptions{$name}, $subscriptions{$name}{group} ? 'last' : undef,
        idle => $subscriptions{$name}{group} ? 20 : 3);
    $judge{$name}{logs} = [ sort keys %{ $subscriptions{$name}{logs} } ];
}
for my $pid (sort keys %running) {
    $ended_badly++ if !wait_for_process($pid);
}

# ---------------------------------------------------------------------------
# The result
# ---------------------------------------------------------------------------

is($ended_badly // 0, 0, 'producers and consumers ended well');
is($done{crash}, 1, 'the server crashed');
note("$_: $done{$_}") for sort keys %done;
note(scalar(@$events) . ' events');
for my $name (sort keys %judge) {
    no_complaints([ $judge{$name}->complaints(effects_of($name)) ], "$name: all as the model says");
}
my $behind = all_rows($dbh, q{SELECT * FROM event_subscriptions() WHERE state <> 'caught up'});
no_complaints([ map { "$_->{subscription} is $_->{state}, $_->{lag_events} events" } @$behind ], 'event_subscriptions() says the same');
store_is_sound($dbh, 'after all');

done_testing();
