# early lock release: an append gives its locks back before its commit is flushed, but
# is answered after that, and nothing of the extension shows it before.  The WAL of the
# server is frozen meanwhile, so everything that has to wait for it waits.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraCalls;
use SierraFrozenLog;
use SierraTest;
use Test::More;

my $on   = 'sierra_es.early_lock_release = on';
my $node = new_server('early');
$node->append_conf('postgresql.conf', SierraFrozenLog::settings());
$node->restart;
prepare_database($node);
my $owner = connect_to($node, 'postgres', 'regress_sierra_owner');
fill_store($owner, 'es');
$owner->disconnect;

# Each case has a store with one partition.
my @cases = qw(on off off_and_wait asynchronous block notify prepare prepared standby standby_local standby_off
  savepoint rolled_back rolled_back_then_others inline notified failed);
create_store($node, 1, "case_$_") for @cases;

sub store_of { return "sierra_es.store = 'case_$_[0]'" }

# Is the partition of a case locked by an append?
sub is_locked {
    my ($log, $case) = @_;
    return one_value($log->{watcher},
        q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1509 AND granted AND classid = $1::regclass},
        "case_$case.events_0") > 0;
}

# What an ordinary query of the table sees.
sub count_rows {
    my ($log, $case) = @_;
    return one_value($log->{watcher}, "SELECT count(*) FROM case_$case.events");
}

# Commits an append of a session that is waiting for its flush, or answered; the outcome is
# how the commit waits, whether the partition is still locked, and what a query sees.
sub outcome_of {
    my ($log, $case, $settings, @statements) = @_;
    my $session = $log->session(store_of($case), @$settings);
    $session->do($_) for @statements[ 0 .. $#statements - 1 ];
    $log->start($session, $statements[-1]);
    my $outcome = $log->outcome($session);
    return join ' ', $outcome, is_locked($log, $case) ? 'locked' : 'free', count_rows($log, $case);
}

# Inserts into the WAL until its last record ends with a page; the header of a page has 24 bytes.
sub go_to_end_of_page {
    my ($log) = @_;
    my $size = sub {
        return one_value($log->{watcher}, q{SELECT pg_current_wal_insert_lsn() - '0/0'}) % 8192;
    };
    my $insert = sub {
        $log->{watcher}->do(q{SELECT pg_logical_emit_message(false, 'x', repeat('x', $1))}, undef, $_[0]);
    };
    wait_until(
        'the WAL ends with a page',
        sub {
            my $before = $size->();
            return 1 if $before == 24;
            $insert->(4000);
            my $overhead = $size->() - $before - 4000;
            $insert->(8192 - $size->() - $overhead) if $overhead > 0 && $size->() < 8192 - 1000;
            return $size->() == 24;
        });
    return;
}

my $append = q{SELECT eappend('s', 'Happened')};

# A handler that decides by what others have appended.
{
    my $session = connect_to($node);
    $session->do(q{CREATE FUNCTION only_one(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
        BEGIN ASSERT state = '0', 'there is one already'; RETURN '1'; END $$});
    $session->do('SET ' . store_of('inline'));
    $session->do(q{SELECT create_projection('one', 'only_one(jsonb, sierra_event)', mode => 'inline', initial => '0')});
    $session->disconnect;
}

# A prepared transaction, to be committed later.
{
    my $session = connect_to($node);
    $session->do($_) for "SET $on", 'SET ' . store_of('prepared'), 'BEGIN', $append, q{PREPARE TRANSACTION 'early'};
    $session->disconnect;
}

my $log = SierraFrozenLog->new($node);

# A session that waits for an event looks again with newer snapshots.
my $waits = $log->session;
$waits->do(q{SELECT esub('waits', ARRAY['a'])});
$log->start($waits, q{SELECT event_name FROM enext('waits', wait => '1 hour')});
wait_until('a session waits', sub { one_value($log->{watcher}, q{SELECT count(*) FROM pg_locks WHERE objsubid = 1511}) });
$log->freeze;

is(outcome_of($log, 'on', [$on], $append), 'flush free 1',
    'early: the append waits for its flush without the lock, and is visible in the table');
is(outcome_of($log, 'on', [$on], $append), 'flush free 2', 'early: the next append to the stream does not wait for the first one');
is(outcome_of($log, 'off', [], $append), 'flush locked 0', 'off: the append keeps the lock until it is flushed');
is(outcome_of($log, 'off', [], $append), 'lock locked 0', 'off: the next append waits for it');
is(outcome_of($log, 'off_and_wait', [$on], 'SET sierra_es.early_lock_release = off', $append), 'flush locked 0',
    'off: a session switches it off for itself');
is(outcome_of($log, 'asynchronous', [ $on, 'synchronous_commit = off' ], $append), 'answer free 1',
    'synchronous_commit = off: the append is answered at once, as without the setting');
is(outcome_of($log, 'block', [$on], 'BEGIN', $append, $append, 'COMMIT'), 'flush free 2', 'early: at the end of a transaction block');
is(outcome_of($log, 'savepoint', [$on], 'BEGIN', 'SAVEPOINT a', $append, 'RELEASE a', 'COMMIT'), 'flush free 1',
    'early: an append of a subtransaction');
is(outcome_of($log, 'rolled_back', [$on], 'BEGIN', $append, 'ROLLBACK'), 'answer free 0', 'a rollback does not wait');
is( outcome_of($log, 'rolled_back_then_others', [$on], 'BEGIN', $append, 'ROLLBACK', q{SELECT pg_logical_emit_message(true, 'x', 'x')}),
    'flush free 0',
    'the next transaction of the session is an ordinary one');
is(outcome_of($log, 'notify', [ $on, 'sierra_es.notify = transaction' ], $append), 'flush locked 0',
    'notify = transaction: the append keeps the lock, because others would get the notification before');
is(outcome_of($log, 'prepare', [$on], 'BEGIN', $append, q{PREPARE TRANSACTION 'other'}), 'flush locked 0',
    'PREPARE TRANSACTION flushes as ever');
is(outcome_of($log, 'prepared', [$on], q{COMMIT PREPARED 'early'}), 'flush locked 0', 'COMMIT PREPARED keeps the lock until it is flushed');

# Nobody sees what is not flushed, whatever is called.  The calls are in transaction blocks,
# so that none of them waits for its own commit.
my %reads = map { $_ => 1 } qw(
  eall eget equery etrace ehead eload epeek eproject epscan epseq escan estates esver everify ewait ewait_projection edecide
  event_aggregates event_consumers event_failures event_leases event_names event_partitions event_process_managers
  event_projections event_sagas event_stores event_streams event_subscriptions event_timers
);
my $event = outcome_of($log, 'on', [ $on, q{sierra_es.store = 'es'} ], q{SELECT eappend('a', 'Unflushed')});
is($event, 'flush free 2', 'the event that nobody must see is visible in the table');
is(one_value($log->{watcher}, q{SELECT count(*) FROM es.events WHERE event_name = 'Unflushed'}), 1, 'there it is');

# As the superuser the calls run as the owner of the store; a reader is limited by a policy.
my @calls = grep { $reads{ $_->[0] } } calls_of('es', public_functions($log->{watcher}));
cmp_ok(scalar(map { $_->[0] } @calls), '>=', scalar(keys %reads), 'there is a call of each');
push @calls, [ enext => q{count(*) FROM enext('whole')} ], [ enext => q{count(*) FROM enext('group', consumer => 'c1')} ],
  [ run_projection => q{run_projection('by_itself')} ], [ ecancel => q{ecancel('00000000-0000-4000-8000-0000000000ff')} ];
my @shown;
for my $call (@calls) {
    my ($function, $text) = @$call;
    my $session = $log->session;
    $session->do('BEGIN');
    $log->start($session, "SELECT $text");
    my $outcome = $log->outcome($session);
    push @shown, "$text: $outcome" if $outcome ne 'flush';
}
no_complaints(\@shown, 'no call that reads is answered before the event is flushed');

is($log->outcome($waits), 'flush', 'a session that waited before is not answered either');

# What an append that is refused, or repeated, says about others.
my %answers = (
    'a wrong version'          => q{eappend('a', 'x', expected_version => 0)},
    'a wrong version of many'  => q{emappend(NULL, '[{"stream_id": "a", "event_name": "x", "expected_version": 0}]')},
    'another key'              => q{eappend('own', 'x', partition_key => 'other')},
    'a duplicate id'           => q{eappend('a', 'x', event_id => '00000000-0000-4000-8000-000000000001')},
    'a repetition'             => q{eappend('own', 'Happened', partition_key => 'partition key', event_id => '00000000-0000-4000-8000-000000000001')},
);
for my $name (sort keys %answers) {
    my $session = $log->session('synchronous_commit = ' . ($name eq 'a repetition' ? 'off' : 'on'));
    $log->start($session, "SELECT $answers{$name}");
    is($log->outcome($session), 'flush', "$name is not answered before the event is flushed");
}

# An inline handler that refuses because of what it sees.
is(outcome_of($log, 'inline', [$on], $append), 'flush free 1', 'early: an append with an inline projection');
is(outcome_of($log, 'inline', [$on], $append), 'flush locked 1', 'the error of an inline handler is not answered before');

# The end of the WAL that a reader flushes while a commit is on its way, which here waits
# for another one that sends NOTIFY too.  At the end of a page, the next record does not begin
# where the last one ends.
{
    is(outcome_of($log, 'notified', [$on], 'BEGIN', $append, 'NOTIFY somebody', 'COMMIT'), 'lock locked 0',
        'a commit with NOTIFY waits for the one of case "notify"');
    go_to_end_of_page($log);
    my $reader = $log->session(store_of('notified'));
    $log->start($reader, q{SELECT escan('s')});
    is($log->outcome($reader), 'flush', 'a reader waits for the end of the WAL');
    ok(slurp_file($node->logfile) !~ /request to flush past end/, 'it does not ask for more than there is');
}

# A commit that fails after it has decided to release its locks early, here because the
# other NOTIFY takes too long: the session is as it was.
{
    my $session = $log->session($on, store_of('failed'), "lock_timeout = '10ms'");
    $session->do($_) for 'BEGIN', $append, 'NOTIFY somebody';
    $log->start($session, 'COMMIT');
    wait_until('the commit has failed', sub { $session->pg_ready });
    is($log->error_of($session), '55P03', 'a commit fails on its way');
    is(one_value($session, 'SHOW synchronous_commit'), 'on', 'synchronous_commit is as it was');
    $session->do('SET sierra_es.early_lock_release = off');
    $log->start($session, $append);
    is($log->outcome($session), 'flush', 'the next append of the session waits for its flush');
}

# With standbys that a commit waits for, locks are kept.
my $admin = connect_to($node);
$admin->do($_) for q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'}, 'SELECT pg_reload_conf()';
wait_until('standbys are named', sub {
    my $session = connect_to($node);
    my $names = one_value($session, 'SHOW synchronous_standby_names');
    $session->disconnect;
    return $names eq 'nobody';
});
is(outcome_of($log, 'standby', [$on], $append), 'flush locked 0', 'a commit that waits for standbys keeps the lock');
is(outcome_of($log, 'standby_local', [ $on, 'synchronous_commit = local' ], $append), 'flush free 1', 'early: a commit that does not');
is(outcome_of($log, 'standby_off', [ $on, 'synchronous_commit = off' ], $append), 'answer free 1', 'synchronous_commit = off, again');
$admin->do('ALTER SYSTEM RESET synchronous_standby_names');
$admin->disconnect;

# Everything that was visible and not flushed is lost, and nothing of it was shown.
$log->crash;
my $dbh = connect_to($node);
is(one_value($dbh, q{SELECT count(*) FROM es.events WHERE event_name = 'Unflushed'}), 0, 'the crash loses the event');
is(one_value($dbh, "SELECT count(*) FROM case_$_.events"), 0, "the crash loses the appends of case $_") for grep { $_ ne 'prepared' } @cases;
$dbh->do(q{ROLLBACK PREPARED 'early'});
store_is_sound($dbh, 'after the crash');
is(one_value($dbh, q{SELECT stream_version FROM eappend('a', 'Again')}), 3, 'appends continue the numbers');

done_testing();
