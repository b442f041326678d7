# The Python package: all suites of the library for persistence modules, with and without a
# pooler, with many partitions and with one; a program that runs as printed; a server that is
# killed.  The packages come from PyPI; without them, the test is skipped.

use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $package = abs_path("$FindBin::Bin/../../clients/python");

# A long run repeats the race of two writers, and runs all suites in all places.
my $long = ($ENV{SIERRA_TEST_SECONDS} // 0) > 60;

# The versions of the library that the package is for: modules that its suites need, and the
# oldest Python that it works with.
my %versions = (
    '9.5.6'    => { modules => ['msgspec'], python => 11 },
    '10.0.0a8' => { modules => [ 'msgspec>=0.21.1', 'pydantic' ], python => 12 },
);

my $work = PostgreSQL::Test::Utils::tempdir;
my $log  = "$PostgreSQL::Test::Utils::log_path/client_python.log";

# Runs a command with its output in the log; true if it succeeds.
sub run_logged {
    my ($directory, $env, @command) = @_;
    local @ENV{ keys %$env } = values %$env;
    my $pid = fork_process(sub {
        chdir $directory or die "$directory: $!";
        open STDOUT, '>>', $log or die "$log: $!";
        open STDERR, '>&', \*STDOUT or die $!;
        print "\n\$ @command\n";
        exec @command or die "$command[0]: $!";
    });
    waitpid $pid, 0;
    return $? == 0;
}

sub last_lines {
    my ($count) = @_;
    my @lines = split /\n/, slurp_file($log);
    return join "\n", @lines[ (@lines > $count ? -$count : 0) .. -1 ];
}

# A Python 3 of this or a later minor version that can make virtual environments.
sub find_python {
    my ($minor) = @_;
    for my $python ('/usr/bin/python3', (grep { defined } $ENV{SIERRA_TEST_PYTHON}), map {"python3.$_"} reverse 11 .. 14) {
        return $python
          if run_logged($work, {}, $python, '-c', "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, $minor))");
    }
    return;
}

# A virtual environment with this version of the library; or the reason why there is none.
sub make_venv {
    my ($version) = @_;
    my $needs  = $versions{$version};
    my $python = find_python($needs->{python})
      or return (undef, "there is no Python 3.$needs->{python} or later with the module venv");
    my $venv = "$work/venv-$version";
    run_logged($work, {}, $python, '-m', 'venv', $venv)
      && run_logged(
        $work, {}, "$venv/bin/pip", qw(install --quiet --disable-pip-version-check --retries 1 --timeout 20),
        "eventsourcing[postgres,crypto]==$version",
        'flit_core>=3.12,<4', 'build', @{ $needs->{modules} })
      or return (undef, "eventsourcing $version cannot be installed: " . last_lines(1));
    return $venv;
}

my ($venv, $why_not) = make_venv('9.5.6');
plan skip_all => $why_not unless $venv;

# The wheel and the source distribution, built from a copy.
system("cp -r $package $work/package && cp -r $package/tests $package/examples $work/") == 0 or die 'cannot copy';
mkdir "$work/run";
rename "$work/$_", "$work/run/$_" for qw(tests examples);
ok(run_logged($work, {}, "$venv/bin/python", qw(-m build --no-isolation --outdir), "$work/dist", "$work/package"), 'the package is built')
  or diag(last_lines(30));
my ($wheel) = glob "$work/dist/*.whl";
my ($sdist) = glob "$work/dist/*.tar.gz";
my @offline = qw(install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation);
ok(run_logged($work, {}, "$venv/bin/pip", @offline, $wheel), 'the wheel is installed') or diag(last_lines(30));
ok(run_logged($work, {}, "$venv/bin/pip", @offline, '--target', "$work/from-sdist", $sdist), 'so is the source distribution');
ok(-e "$work/from-sdist/eventsourcing_sierra_es/py.typed", 'and it says that it has types');
ok(run_logged($work, {}, "$venv/bin/pip", qw(check)), 'the package needs nothing more') or diag(last_lines(5));

# The tool at the shell is such a package too.
system("cp -r $package/../shell $work/shell") == 0 or die 'cannot copy';
ok(run_logged($work, {}, "$venv/bin/pip", @offline, "$work/shell") && run_logged($work, {}, "$venv/bin/sierra", '--version'),
    'clients/shell is installed, and runs')
  or diag(last_lines(30));

# A server that does not preload the library; another one that does, and sends no notifications.
my $plain = new_server('client_python');
my $other = new_server('client_python_preloaded');
$other->append_conf('postgresql.conf', "shared_preload_libraries = 'sierra_es'\nsierra_es.notify = off\n");
$other->restart;
my $user = getpwuid $>;

sub server_env {
    my ($node, $partitions, %more) = @_;
    return {
        POSTGRES_DBNAME      => 'postgres',
        POSTGRES_HOST        => $node->host,
        POSTGRES_PORT        => $node->port,
        POSTGRES_USER        => $user,
        POSTGRES_PASSWORD    => '',
        SIERRA_ES_PARTITIONS => $partitions,
        SIERRA_TEST_REPEAT   => $long ? 50 : 2,
        PYTHONWARNINGS       => 'ignore::ResourceWarning',
        %more
    };
}

# One test: all suites pass, or those that are named.
sub suites_pass {
    my ($python, $env, $name, @suites) = @_;
    my $ok = run_logged("$work/run", $env, $python, qw(-m unittest --buffer), @suites);
    my ($count) = last_lines(5) =~ /^Ran (\d+) tests/m;
    ok($ok && $count, "$name: " . ($count // 'no') . ' tests') or diag(last_lines(60));
    return;
}

suites_pass("$venv/bin/python", server_env($plain, 32), '32 partitions, not preloaded');
suites_pass("$venv/bin/python", server_env($other, 1), '1 partition, preloaded, without notifications',
    $long ? () : qw(tests.test_recorders tests.test_dcb tests.test_projection tests.test_suites.TestNonInterleaving));

SKIP: {
    my ($pgbouncer) = grep { -x } '/usr/sbin/pgbouncer', '/usr/bin/pgbouncer';
    skip 'pgbouncer is not installed', 1 unless $pgbouncer;
    my $directory = PostgreSQL::Test::Utils::tempdir_short;
    append_to_file("$directory/pgbouncer.ini", sprintf <<'INI', $plain->host, $plain->port, $user, ($directory) x 3);
[databases]
* = host=%s port=%s user=%s
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = 20
logfile = %s/log
pidfile = %s/pid
INI
    run_logged($work, {}, $pgbouncer, qw(-d -q), "$directory/pgbouncer.ini") or die last_lines(5);
    wait_until('PgBouncer listens', sub { -S "$directory/.s.PGSQL.6432" });
    my %pooler = (
        POSTGRES_HOST    => $directory,
        POSTGRES_PORT    => 6432,
        SIERRA_TEST_HOST => $plain->host,
        SIERRA_TEST_PORT => $plain->port
    );
    suites_pass("$venv/bin/python", server_env($plain, 32, %pooler), 'through PgBouncer in transaction mode',
        $long ? () : qw(tests.test_recorders tests.test_dcb tests.test_projection tests.test_suites.TestProcessRecorder));
    kill 'INT', slurp_file("$directory/pid") =~ /(\d+)/;
}

SKIP: {
    my ($next_venv, $why) = make_venv('10.0.0a8');
    skip $why, 2 unless $next_venv;
    ok(run_logged($work, {}, "$next_venv/bin/pip", @offline, $wheel), 'the wheel is installed beside eventsourcing 10');
    suites_pass("$next_venv/bin/python", server_env($plain, 32), 'eventsourcing 10');
    suites_pass("$next_venv/bin/python", server_env($other, 1), 'eventsourcing 10, 1 partition') if $long;
}

# The program as a newcomer runs it.  It waits a second for its view at most, so on a busy
# machine it may have to be run again, in a new store.
my $expected = <<'OUTPUT';
1 dog and 2 tricks at first
4 tricks at the end
1 1e1d7398-8986-57af-bb01-11a89b2f8b02 0 __main__:Dog.Registered
2 1e1d7398-8986-57af-bb01-11a89b2f8b02 1 __main__:Dog.TrickAdded
3 1e1d7398-8986-57af-bb01-11a89b2f8b02 2 __main__:Dog.TrickAdded
4 1e1d7398-8986-57af-bb01-11a89b2f8b02 3 __main__:Dog.TrickAdded
5 1e1d7398-8986-57af-bb01-11a89b2f8b02 4 __main__:Dog.TrickAdded
OUTPUT
my $output = '';
for my $try (1 .. 10) {
    my $file = "$work/school-$try";
    my $env  = server_env($other, 32, TRAININGSCHOOL_SIERRA_ES_STORE => "school_$try");
    run_logged("$work/run", $env, 'sh', '-c', 'exec "$0" examples/school.py >"$1"', "$venv/bin/python", $file) or next;
    $output = slurp_file($file);
    last;
}
is($output, $expected, 'the training school runs as printed');

# Kill -9 of the server while threads append.
my $node = $plain;
mkdir "$work/writers";
my $env     = server_env($node, 32, SIERRA_ES_STORE => 'killed');
my $writers = fork_process(sub {
    run_logged("$work/run", $env, "$venv/bin/python", qw(-m tests.writers), "$work/writers") or die 'the writers failed';
});
my $acknowledged = sub {
    my $file = "$work/writers/acknowledged";
    return -e $file ? scalar(() = slurp_file($file) =~ /\n/g) : 0;
};
for (1 .. 2) {
    my $count = $acknowledged->();
    wait_until('the writers have written', sub { $acknowledged->() > $count + 200 });
    kill_everything($node);
    start_again($node);
}
my $count = $acknowledged->();
wait_until('the writers continue', sub { $acknowledged->() > $count + 200 });
append_to_file("$work/writers/stop", '');
ok(wait_for_process($writers), 'a server that is killed loses nothing that was acknowledged, and nothing is there twice')
  or diag(last_lines(20));
like(last_lines(1), qr/calls acknowledged/, last_lines(1));
my $dbh = connect_to($node);
store_is_sound($dbh, 'the store of the server that was killed', 'killed');
$dbh->disconnect;

done_testing();
