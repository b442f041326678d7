# exactly_once: consumers that poll, process and acknowledge in one transaction
# process every event once, whatever is killed; those that acknowledge after
# their effects are committed process every event at least once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraProcessor;
use SierraLoad;
use SierraTest;
use Test::More;

my $node = new_server('exactly_once');

# Every commit counts here: the server is killed.
$node->append_conf('postgresql.conf', 'fsync = on');
$node->reload;
create_store($node, 8);
my $dbh = connect_to($node);
SierraProcessor::create_effects($dbh);
$dbh->do(q{SELECT esub($1, start_from => 'earliest')}, undef, $_) for qw(once again);

my $load = SierraLoad->new(dsn => dsn_of($node), sessions => 2, seed => 100, reconnect => 1)->start;
my @consumers = map { SierraProcessor->new(dsn => dsn_of($node), %$_)->start }
  ({ subscription => 'once' }, { subscription => 'once', delay => 0.02 },
    { subscription => 'again', autocommit => 1 }, { subscription => 'again', autocommit => 1, batch => 3 });

sub effects {
    return one_value($dbh, 'SELECT count(*) FROM effects');
}

# Waits until consumers have processed this number of events more.
sub wait_for_effects {
    my ($more) = @_;
    my $goal = effects() + $more;
    wait_until("$goal effects are there", sub { effects() >= $goal });
    return;
}

# Kills a consumer's backend that has effects or locks; the server restarts all
# its processes.
for my $round (1 .. 4) {
    wait_for_effects(40);
    my $victim;
    wait_until('a consumer is in the middle of its work', sub {
        $victim = one_value($dbh, q{SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid)
              WHERE application_name = 'sierra consumer' AND locktype = 'advisory'
                AND objsubid = 1510 AND granted ORDER BY random() LIMIT 1})
    });
    kill 'KILL', $victim;
    wait_until('the server has ended its sessions', sub { !$dbh->ping });
    wait_until('the server is there again', sub { eval { $dbh = connect_to($node); 1 } });
    pass("round $round: a backend was killed");
}
for my $round (1 .. 2) {
    wait_for_effects(40);
    kill_everything($node);
    start_again($node);
    $dbh = connect_to($node);
    pass("round $round: the server was killed");
}
wait_for_effects(40);
ok($load->stop, 'the appenders continued');
SierraProcessor::wait_until_done($dbh, $_) for qw(once again);
ok($_->stop, "a consumer of '$_->{subscription}' continued") for @consumers;

cmp_ok(one_value($dbh, 'SELECT count(*) FROM es.events'), '>', 100, 'there are events');
no_complaints([ SierraProcessor::complaints($dbh, 'once') ],
    'exactly_once: every event has its effect once, and in order');
no_complaints([ SierraProcessor::complaints($dbh, 'again', repeats => 1) ],
    'at least once: no event was lost');
is(one_value($dbh, 'SELECT count(*) FROM enext($1)', $_), 0, "'$_' has nothing left") for qw(once again);
store_is_sound($dbh, 'after all');

# The transaction that is lost in the middle: nothing of it remains.
$dbh->do(q{SELECT * FROM eappend('last', 'e')});
my $lost = connect_to($node);
$lost->begin_work;
my $events = all_rows($lost, q{SELECT * FROM enext('once')});
is(scalar @$events, 1, 'an event is delivered');
$lost->do(q{INSERT INTO effects (subscription, global_position) VALUES ('once', $1)}, undef, $events->[0]{global_position});
$lost->do(q{SELECT eack('once', $1)}, undef, $events->[0]{global_position});
kill_everything($node);
start_again($node);
$dbh = connect_to($node);
is_deeply(all_rows($dbh, q{SELECT * FROM enext('once')}), $events, 'it comes again after the crash');
is(one_value($dbh, q{SELECT count(*) FROM effects WHERE subscription = 'once' AND global_position = $1}, $events->[0]{global_position}),
    0, 'and has no effect');

done_testing();
