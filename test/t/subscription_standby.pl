# On a hot standby, ewait() waits for replay and for what consumers acknowledge
# on the primary; consuming is refused there, and continues after a promotion.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use SierraProcessor;
use SierraLoad;
use SierraTest;
use Test::More;

my $primary = new_server('sub_primary', allows_streaming => 1);
create_store($primary, 4);
my $on_primary = connect_to($primary);
SierraProcessor::create_effects($on_primary);
$on_primary->do(q{SELECT esub('s', start_from => 'earliest')});
$on_primary->do(q{SELECT esub('group', start_from => 'earliest', lease_time => '500 milliseconds')});
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('sub_standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
my $on_standby = connect_to($standby);

sub append {
    return one_value($on_primary, q{SELECT global_position FROM eappend('a', 'e')});
}

# Starts a wait on the standby, does something once it waits, and returns how it
# ended.
sub waits_for {
    my ($what, $subscription, $position, $code) = @_;
    my $waiter = fork_process(
        sub {
            my $session = connect_to($standby);
            one_value($session, q{SELECT ewait($1, $2, '1 hour')}, $subscription, $position)
              or die 'timed out';
        });
    wait_until('a session waits on the standby',
        sub { one_value($on_standby, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1511}) });
    $code->();
    ok(wait_for_process($waiter), $what);
    return;
}

# Replay
my $first = append();
is(one_value($on_standby, q{SELECT ewait(NULL, $1, '1 minute')}, $first), 1, 'an event arrives on the standby');
is(one_value($on_standby, 'SELECT esver($1)', 'a'), 0, 'and can be read there');
is(one_value($on_standby, q{SELECT ewait(NULL, $1, '50 milliseconds')}, $first + 1), 0, 'one that does not exist does not');
waits_for('ewait() ends when an event arrives', undef, $first + 1, \&append);
$on_standby->do('SELECT pg_wal_replay_pause()');
my $held = append();
is(one_value($on_standby, q{SELECT ewait(NULL, $1, '50 milliseconds')}, $held), 0, 'not replayed yet');
$on_standby->do('SELECT pg_wal_replay_resume()');
is(one_value($on_standby, q{SELECT ewait(NULL, $1, '1 minute')}, $held), 1, 'replayed');

# Subscriptions
is(one_value($on_standby, q{SELECT ewait('s', $1, '50 milliseconds')}, $first), 0, 'not processed yet');
waits_for('ewait() ends when the consumer on the primary has acknowledged', 's', $held,
    sub { $on_primary->do(q{SELECT eack('s', max(global_position)) FROM enext('s')}) });
my $failed = append();
$on_primary->do(q{SELECT enack('s', $1, '0')}, undef, $failed);
waits_for('or skipped', 's', $failed, sub { $on_primary->do(q{SELECT eskip('s', 'a')}) });

# Views work there; calls that write do not.
is(one_value($on_standby, q{SELECT count(*) FROM es.subscriptions}), 2, 'subscriptions are there');
my %refused = (
    q{SELECT * FROM enext('s')}                           => 'enext()',
    q{SELECT * FROM enext('s', wait => '1 hour')}         => 'enext() with wait',
    q{SELECT * FROM enext('group', consumer => 'one')}    => 'enext() of a group',
    q{SELECT eack('s', 0)}                                => 'eack()',
    q{SELECT enack('s', 0)}                               => 'enack()',
    q{SELECT esub('new', start_from => 'earliest')}       => 'esub()',
    q{SELECT eunsub('s')}                                 => 'eunsub()',
    q{SELECT eretry('s')}                                 => 'eretry()',
    q{SELECT eleave('group', 'one')}                      => 'eleave()',
);
is(sqlstate_of($on_standby, $_), '25006', "$refused{$_} is refused on the standby") for sort keys %refused;

# Promotion in the middle of consuming.  The standby has everything that was
# answered.
$primary->append_conf('postgresql.conf', q{synchronous_standby_names = '*'});
$primary->reload;
$primary->poll_query_until('postgres', q{SELECT sync_state = 'sync' FROM pg_stat_replication})
  or die 'the standby is not synchronous';
$on_primary->do(q{SELECT esub('once', start_from => 'earliest')});
my $load = SierraLoad->new(dsn => dsn_of($primary, $standby), sessions => 2, seed => 102, reconnect => 1)->start;
my @consumers = map { SierraProcessor->new(dsn => dsn_of($primary, $standby), %$_)->start }
  ({ subscription => 'once' }, map { { subscription => 'group', consumer => $_ } } qw(one two));
$load->wait_for(50);
wait_until('there are effects', sub { one_value($on_primary, 'SELECT count(*) FROM effects') > 50 });
$primary->stop('immediate');
$standby->promote;
$load->wait_for(50);
ok($load->stop, 'appends went over');
SierraProcessor::wait_until_done($on_standby, $_) for qw(once group);
ok($_->stop, "a consumer of '$_->{subscription}' went over") for @consumers;
no_complaints([ SierraProcessor::complaints($on_standby, $_) ],
    "exactly_once: '$_' through the promotion") for qw(once group);
is(one_value($on_standby, q{SELECT eack('s', max(global_position)) FROM enext('s')}) > $failed, 1,
    'the other subscription continues where it was');
store_is_sound($on_standby, 'after the promotion');

done_testing();
