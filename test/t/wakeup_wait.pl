# Waiting for events when the library is preloaded: only the signal of a commit
# wakes a session here, because sweeps are an hour apart.  So a lost wake-up
# makes the test hang.
use strict;
use warnings;

use DBD::Pg qw(:async);
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use lib dirname(__FILE__) . '/../lib';
use SierraTest;

my $rounds = 300;
my $node   = new_server('wait');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.sweep_interval = 1h
sierra_es.max_waiters = 2
CONF
$node->restart;
create_store($node, 4);

my $appender = connect_to($node);
my $consumer = connect_to($node);
my $watcher  = connect_to($node);

$appender->do(q{SELECT esub('s')});

sub start {
    my ($dbh, $statement, @values) = @_;
    my $sth = $dbh->prepare($statement, { pg_async => PG_ASYNC });
    $sth->execute(@values);
    return $sth;
}

sub finish {
    my ($dbh, $sth) = @_;
    $dbh->pg_result;
    return $sth->fetchall_arrayref;
}

sub waiting {
    return one_value($watcher,
        q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1511});
}

# Asleep or about to look: the append can come at any moment of the other's
# call.
my ($slowest, $wrong) = (0, 0);
for my $round (1 .. $rounds) {
    my $waits = start($consumer, q{SELECT global_position FROM enext('s', wait => '10 minutes')});
    wait_until('somebody waits', \&waiting) if $round % 2;
    my $position = one_value($appender, 'SELECT global_position FROM eappend($1, $2)', 'a', 'E');
    my $began    = time;
    my $rows     = finish($consumer, $waits);
    $slowest = time - $began if time - $began > $slowest;
    $wrong++ unless @$rows == 1 && $rows->[0][0] == $position;
    $consumer->do('SELECT eack($1, $2)', undef, 's', $position);
}
is($wrong, 0, "each of $rounds appends ended a wait");
cmp_ok($slowest, '<', 30, 'and none by the end of its time');

# An acknowledgement wakes a session that waits for the consumer.
($slowest, $wrong) = (0, 0);
for my $round (1 .. 20) {
    my $position = one_value($appender, 'SELECT global_position FROM eappend($1, $2)', 'a', 'E');
    my $waits    = start($watcher, 'SELECT ewait($1, $2, $3)', 's', $position, '10 minutes');
    wait_until('somebody waits',
        sub { one_value($appender, q{SELECT count(*) FROM pg_locks WHERE objsubid = 1511}) });
    my $began = time;
    $consumer->do('SELECT eack($1, $2)', undef, 's', $position);
    $wrong++ unless finish($watcher, $waits)->[0][0];
    $slowest = time - $began if time - $began > $slowest;
}
is($wrong, 0, 'each acknowledgement ended the ewait() for it');
cmp_ok($slowest, '<', 30, 'and none by the end of its time');

# Not more than max_waiters; the place of a session that is cancelled is free
# again.
my @sessions = map { connect_to($node) } 1 .. 2;
my @waits    = map { start($_, q{SELECT count(*) FROM enext('s', wait => '10 minutes')}) } @sessions;
wait_until('two wait', sub { waiting() == 2 });
is(sqlstate_of($consumer, q{SELECT enext('s', wait => '1 minute')}), '53400', 'no place for a third');
is(sqlstate_of($consumer, q{SELECT enext('s')}), '', 'who does not wait needs no place');
$sessions[0]->pg_cancel;
wait_until('the place is free', sub { waiting() == 1 });
is(sqlstate_of($consumer, q{SELECT enext('s', wait => '10 milliseconds')}), '',
    'the place of one who was cancelled is free');

# A session that waits delays no DDL on the events.
$appender->do(q{SET lock_timeout = '10s'});
is(sqlstate_of($appender, 'ALTER TABLE es.events ALTER COLUMN payload SET STATISTICS 10'),
    '', 'a waiting session does not hold up ALTER TABLE');
$sessions[1]->pg_cancel;

# Commits wake the sessions themselves: no runner is needed for that.
$node->append_conf('postgresql.conf', 'sierra_es.max_runners = 0');
$node->reload;
wait_until('there is no runner', sub { !one_value($watcher, 'SELECT count(*) FROM event_runners()') });
my $waits  = start($consumer, q{SELECT global_position FROM enext('s', wait => '10 minutes')});
wait_until('one waits', sub { waiting() == 1 });
my $position = one_value($appender, 'SELECT global_position FROM eappend($1, $2)', 'a', 'E');
is_deeply(finish($consumer, $waits), [ [$position] ], 'a session is woken without any runner');

# An acknowledgement rings only while a session waits for it, also if such a session is
# terminated.  No runner takes note of the rings, so they add up.
my $rings = q{SELECT unhandled_wakeups FROM event_databases() WHERE database = current_database()};
my @positions = map { one_value($appender, 'SELECT global_position FROM eappend($1, $2)', 'a', 'E') } 1 .. 4;

sub rings_of_acknowledgement {
    my $before = one_value($watcher, $rings);
    $appender->do('SELECT eack($1, $2)', undef, 's', shift @positions);
    return one_value($watcher, $rings) - $before;
}

is(rings_of_acknowledgement(), 0, 'while nobody waits for it, an acknowledgement does not ring');
my $await = start($consumer, 'SELECT ewait($1, $2, $3)', 's', $positions[-1], '10 minutes');
wait_until('it sleeps', sub { one_value($watcher, q{SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $1}, $consumer->{pg_pid}) });
is(rings_of_acknowledgement(), 1, 'while a session waits for it, it rings');
$watcher->do('SELECT pg_terminate_backend($1)', undef, $consumer->{pg_pid});
wait_until('the session is gone', sub { !one_value($watcher, 'SELECT count(*) FROM pg_stat_activity WHERE pid = $1', $consumer->{pg_pid}) });
is(rings_of_acknowledgement(), 0, 'after that session was terminated, it does not');

$_->disconnect for $appender, $consumer, $watcher, @sessions;
$node->stop;
done_testing();
