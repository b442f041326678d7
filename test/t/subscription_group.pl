# exactly_once, one_stream_one_hand: members of a group join, leave, die, and
# wake up as zombies; every event has its effect once, in the order of its
# stream.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraProcessor;
use SierraLoad;
use SierraTest;
use Test::More;

my $node = new_server('sub_group');
create_store($node, 8);
my $dbh = connect_to($node);
SierraProcessor::create_effects($dbh);
$dbh->do(q{SELECT esub('group', start_from => 'earliest', lease_time => '400 milliseconds')});
my $load = SierraLoad->new(dsn => dsn_of($node), sessions => 2, seed => 101)->start;

my %members;

sub join_group {
    my ($name, %options) = @_;
    $members{$name} = SierraProcessor->new(
        dsn => dsn_of($node), subscription => 'group', consumer => $name, %options)->start;
    return;
}

# Waits until these consumers, and no others, hold all partitions, evenly.
sub wait_until_even {
    my (@names) = @_;
    my $share = 8 / @names;
    wait_until("@names share the partitions", sub {
        my %held = map { $_->{consumer} // '' => $_->{count} } @{ all_rows($dbh,
            q{SELECT consumer, count(*) FROM event_leases() WHERE subscription = 'group' GROUP BY consumer}) };
        return keys %held == @names && !grep { abs(($held{$_} // 0) - $share) >= 1 } @names;
    });
    pass("@names share the partitions");
    return;
}

# Waits until members have processed this number of events more.
sub wait_for_effects {
    my ($more, $name) = @_;
    my $count = sub {
        one_value($dbh, 'SELECT count(*) FROM effects WHERE $1::text IS NULL OR consumer = $1', $name)
    };
    my $goal = $count->() + $more;
    wait_until(($name // 'the group') . " has $goal effects", sub { $count->() >= $goal });
    return;
}

join_group('a');
wait_until_even('a');
wait_for_effects(20);
join_group('b', delay => 0.01);
join_group('c', batch => 1);
wait_until_even(qw(a b c));
wait_for_effects(20, $_) for qw(a b c);

# One leaves.
ok($members{b}->stop, 'b ends');
$dbh->do(q{SELECT eleave('group', 'b')});
wait_until_even(qw(a c));

# One dies, between two batches or in one.
kill 'KILL', $members{a}{pid};
waitpid $members{a}{pid}, 0;
join_group('d');
wait_until_even(qw(c d));
wait_for_effects(20, 'd');

# One is stopped, and wakes up when another one has its partitions.  Between its
# transactions it holds nothing; in the middle of one it keeps its leases.
for my $round (1 .. 3) {
    join_group('sleeper');
    wait_until_even(qw(c d sleeper));
    wait_for_effects(3, 'sleeper');
    kill 'STOP', $members{sleeper}{pid};

    # In the middle of a transaction its session would keep the leases, perhaps
    # until its last statement ends: the test ends the session, as a broken
    # connection is ended after a while.
    wait_until('the sleeper has lost its leases', sub {
        $dbh->do(q{SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a
                    WHERE a.application_name = 'sierra consumer' AND a.state LIKE 'idle in transaction%'
                      AND a.state_change < clock_timestamp() - interval '500 milliseconds'});
        return one_value($dbh, q{SELECT count(*) = 0 FROM event_leases() WHERE consumer = 'sleeper'});
    });
    wait_until_even(qw(c d));
    wait_for_effects(10);
    kill 'CONT', $members{sleeper}{pid};
    wait_until_even(qw(c d sleeper));
    ok($members{sleeper}->stop, "round $round: the sleeper wakes up and joins again");
    wait_until_even(qw(c d));
}

# A zombie with delivered events: it gets the error that it lost its partitions,
# and its effects are rolled back with its transaction.
my $zombie = connect_to($node);
my $events = [];
wait_until('the zombie gets events', sub {
    $events = all_rows($zombie, q{SELECT * FROM enext('group', consumer => 'zombie')});
    return @$events > 0;
});
wait_until_even(qw(c d));
wait_for_effects(10);
$zombie->begin_work;
$zombie->do('INSERT INTO effects (subscription, consumer, stream_id, stream_version, global_position) VALUES ($1, $2, $3, $4, $5)',
    undef, 'group', 'zombie', @{ $events->[0] }{qw(stream_id stream_version global_position)});
is(sqlstate_of($zombie, q{SELECT eack('group', $1, 'zombie')}, $events->[-1]{global_position}), 'SE008',
    'the acknowledgement of a zombie fails in the middle of its transaction');
$zombie->rollback;
is(sqlstate_of($zombie, q{SELECT enack('group', $1, consumer => 'zombie')}, $events->[-1]{global_position}), 'SE008', 'so does enack()');
is(sqlstate_of($zombie, q{SELECT * FROM enext('group', after => $1, consumer => 'zombie')}, $events->[-1]{global_position}), 'SE008', 'and fetching ahead');

# The server crashes, too.
wait_for_effects(20);
ok($load->stop, 'the appenders end');
kill_everything($node);
start_again($node);
$dbh = connect_to($node);
SierraProcessor::wait_until_done($dbh, 'group');
wait_until_even(qw(c d));
ok($members{$_}->stop, "$_ ends") for qw(c d);
cmp_ok(one_value($dbh, 'SELECT count(*) FROM es.events'), '>', 150, 'there are events');
no_complaints([ SierraProcessor::complaints($dbh, 'group') ],
    'exactly_once: every event has its effect once, in the order of its stream');
store_is_sound($dbh, 'after all');

done_testing();
