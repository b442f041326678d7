# durable, exactly_once: behind PgBouncer in transaction mode nothing is lost and nothing
# is doubled, while the pooler is ended and killed, and while the server restarts behind it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraListen;
use SierraLoad;
use SierraProcessor;
use SierraTest;
use Test::More;

my ($program) = grep { -x } map {"$_/pgbouncer"} split(/:/, $ENV{PATH}), '/usr/sbin', '/usr/local/sbin';
plan skip_all => 'pgbouncer is not installed' unless $program;
my ($version) = `$program --version` =~ /^PgBouncer (\d+\.\d+)/ or die "$program does not say its version";
note("PgBouncer $version");

# From 1.21 on it knows the statements that a client has prepared, in each server connection.
my $knows_statements = $version !~ /^1\.(?:\d|1\d|20)$/;

my $node = new_server('pooler');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'sierra_es'");
$node->restart;
create_store($node, 8);
my $dbh = connect_to($node);

# ---------------------------------------------------------------------------
# The pooler: appends and consumers have pools of their own
# ---------------------------------------------------------------------------

my %pools = (appends => 2, consumers => 4, few => 2);
my $port  = PostgreSQL::Test::Cluster::get_free_port();
my $files = PostgreSQL::Test::Utils::tempdir();
my $user  = getpwuid $<;
append_to_file(
    "$files/pgbouncer.ini",
    join "\n", '[databases]',
    (map { sprintf '%s = host=%s port=%s dbname=postgres user=%s pool_size=%d', $_, $node->host, $node->port, $user, $pools{$_} } sort keys %pools),
    '[pgbouncer]', 'pool_mode = transaction', 'auth_type = any', "admin_users = $user", 'listen_addr =', "listen_port = $port",
    'unix_socket_dir = ' . $node->host, "pidfile = $files/pgbouncer.pid",
    "logfile = $PostgreSQL::Test::Utils::log_path/subscription_pooler_pgbouncer.log",
    'ignore_startup_parameters = extra_float_digits, options',
    ($knows_statements ? 'max_prepared_statements = 100' : ()), '');

sub pooled {
    my ($pool) = @_;
    return sprintf 'dbi:Pg:dbname=%s;host=%s;port=%s', $pool, $node->host, $port;
}

my $pooler;

sub start_pooler {
    $pooler = fork_process(sub { exec $program, '-q', "$files/pgbouncer.ini" or die "cannot run $program: $!" });
    wait_until('the pooler answers', sub { eval { connect_to(pooled('few'))->disconnect; 1 } });
    return;
}

sub end_pooler {
    my ($signal) = @_;
    kill $signal, $pooler;
    wait_for_process($pooler);
    return;
}

sub tell_pooler {
    my ($command) = @_;
    command_ok([ qw(psql -X -h), $node->host, '-p', $port, '-d', 'pgbouncer', '-c', $command ], $command);
    return;
}

start_pooler();

# ---------------------------------------------------------------------------
# Load, while the pooler and the server are restarted
# ---------------------------------------------------------------------------

SierraProcessor::create_effects($dbh);
$dbh->do(q{SELECT esub($1, start_from => 'earliest', lease_time => '2 seconds')}, undef, $_) for qw(once again group);
my $load = SierraLoad->new(dsn => pooled('appends'), sessions => 6, seed => 161, reconnect => 1)->start;

# The one that acknowledges in a transaction of its own makes many short transactions: they
# would wait for sessions in which others wait.
my @consumers = map { SierraProcessor->new(dsn => pooled('consumers'), batch => 200, %$_)->start }
  ({ subscription => 'once' }, { subscription => 'once' }, { subscription => 'again', autocommit => 1, dsn => pooled('appends') },
    map { { subscription => 'group', consumer => $_ } } qw(a b c));

sub effects { return one_value($dbh, 'SELECT count(*) FROM effects') }

# Waits until consumers have processed this number of events more.
sub wait_for_effects {
    my ($more) = @_;
    my $goal = effects() + $more;
    wait_until("$goal effects are there", sub { effects() >= $goal });
    return;
}

wait_for_effects(60);
my $sessions = one_value($dbh, q{SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('sierra load', 'sierra consumer')});
cmp_ok($sessions, '<=', 6, '12 clients share 6 sessions of the server');

# INT lets transactions end, and then closes all connections.
for my $signal (qw(INT KILL INT KILL)) {
    end_pooler($signal);
    start_pooler();
    $load->wait_for(20);
    wait_for_effects(60);
    pass("work continues after the pooler got SIG$signal");
}

# No client notices that the server restarts while the pooler pauses.
my $before = $load->acknowledged;
tell_pooler('PAUSE');
$node->restart;
tell_pooler('RESUME');
$dbh = connect_to($node);
$load->wait_for(20);
wait_for_effects(60);

ok($load->stop, 'the appenders continued');
SierraProcessor::wait_until_done($dbh, $_) for qw(once again group);
ok($_->stop, "a consumer of '$_->{subscription}' continued") for @consumers;
no_complaints([ $load->complaints($dbh) ], 'durable: every append that was acknowledged is there, and nothing twice');
cmp_ok(one_value($dbh, 'SELECT count(*) FROM es.events'), '>', 150, 'there are events');
no_complaints([ SierraProcessor::complaints($dbh, $_) ], "exactly_once: every event has one effect of '$_'") for qw(once group);
no_complaints([ SierraProcessor::complaints($dbh, 'again', repeats => 1) ], 'at least once: no event was lost');
is(one_value($dbh, q{SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND state = 'idle'}), 0,
    'no lock is left in a session');
store_is_sound($dbh, 'after all');

# ---------------------------------------------------------------------------
# A consumer that waits
# ---------------------------------------------------------------------------

# It would time out long before an hour has passed.
$dbh->do(q{SELECT esub('waiting')});
my $waiter = fork_process(sub {
    my $session = connect_to(pooled('consumers'));
    my $position = one_value($session, q{SELECT global_position FROM enext('waiting', wait => '1 hour')});
    $session->do(q{SELECT eack('waiting', $1)}, undef, $position);
});
wait_until('a consumer waits', sub { one_value($dbh, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1511}) });
my $listener = SierraListen->new($node);
my $appender = connect_to(pooled('appends'));
my $awaited = one_value($appender, q{SELECT global_position FROM eappend('waited-for', 'Happened')});
ok(wait_for_process($waiter), 'a consumer that waits through the pooler is woken by an append through it');
is(one_value($dbh, q{SELECT ewait('waiting', $1)}, $awaited), 1, 'and has acknowledged the event');
is($listener->next_heard->{position}, $awaited, 'a session of its own, beside the pooler, hears notifications');
$listener->end;

# ---------------------------------------------------------------------------
# What a session keeps
# ---------------------------------------------------------------------------

# Two clients of a pool, the first of which keeps one of its two sessions.
my ($first, $second) = map { connect_to(pooled('few')) } 1, 2;

# The session that a client gets now.
sub session_of { return one_value($_[0], 'SELECT pg_backend_pid()') }

# Statements that the driver prepares by name, as most drivers do.
$first->{pg_server_prepare}  = 1;
$first->{pg_switch_prepared} = 1;
$first->{PrintWarn} = 0;
my $append = $first->prepare('SELECT stream_version FROM eappend($1, $2)');
$append->execute('prepared', 'Happened');
is($append->fetchall_arrayref->[0][0], 0, 'a statement is prepared');
my $kept = session_of($first);
wait_until('another client keeps this session', sub {
    $second->begin_work;
    return 1 if session_of($second) == $kept;
    $second->rollback;
    return 0;
});
my $works = eval { $append->execute('prepared', 'Happened'); 1 };
if ($knows_statements) {
    ok($works, 'the pooler prepares it in another session too');
    is($append->fetchall_arrayref->[0][0], 1, 'and it appends there');
}
else {
    is($first->state, '26000', 'before PgBouncer 1.21, other sessions do not know it');
    $first->{pg_server_prepare} = 0;
    is(one_value($first, 'SELECT stream_version FROM eappend($1, $2)', 'prepared', 'Happened'), 1,
        'the same call without a name works, and the failed one has appended nothing');
}
isnt(session_of($first), $kept, 'that was another session');
$second->rollback;

# What a transaction sets ends with it.
$first->begin_work;
$first->do(q{SET LOCAL sierra_es.metadata = '{"user": "first"}'});
$first->do(q{SELECT eappend('metadata', 'Happened')});
$first->commit;
$second->do(q{SELECT eappend('metadata', 'Happened') FROM generate_series(1, 4)});
is(one_value($dbh, q{SELECT string_agg(coalesce(metadata->>'user', '-'), ' ' ORDER BY stream_version) FROM escan('metadata')}),
    'first - - - -', 'SET LOCAL is for one client only');
store_is_sound($dbh, 'at the end');

# Sessions end before the pooler: it does not wait for them.
undef $append;
$_->disconnect for $first, $second, $appender;
end_pooler('INT');
done_testing();
