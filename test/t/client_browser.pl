# The event browser (clients/browser) on the data of its demo: every page and every link, in
# headless Chromium and as a client of HTTP sees them; texts that want to act; buttons; what pages
# read; a server that goes away.  Debian's packages of Flask, psycopg 3 and waitress are needed.

use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $python  = '/usr/bin/python3';
my $missing = qx($python -c 'import flask, psycopg, waitress' 2>&1 | tail -n 1);
chomp $missing;
plan skip_all => "the packages of the event browser are not installed: $missing" if $missing;
my ($chromium) = grep { -x } map { my $name = $_; map {"$_/$name"} split /:/, $ENV{PATH} } qw(chromium-headless-shell chromium);
plan skip_all => 'Chromium is not installed' unless $chromium;

my $work = PostgreSQL::Test::Utils::tempdir;
my $root = abs_path("$FindBin::Bin/../..");
my $log  = "$PostgreSQL::Test::Utils::log_path/client_browser.log";

my $node = init_server('client_browser');
# Nothing runs by itself, so that what failed stays as it is.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'sierra_es'\nsierra_es.max_runners = 0\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE browser');
@ENV{qw(PGHOST PGPORT PGUSER PGDATABASE PGOPTIONS)} = ($node->host, $node->port, scalar getpwuid($>), 'browser', '-c client_min_messages=warning');

# The demo writes files, and so needs a copy.
system('cp', '-r', "$root/demo", "$root/clients", $work) == 0 or die 'cannot copy';
is(system("cd $work/demo/browser && psql -X -q -v ON_ERROR_STOP=1 -f demo.sql >$log 2>&1"), 0, 'the demo of the event browser runs')
  or diag(slurp_file($log));

my $control = "$work/control";
append_to_file($control, sprintf <<'SH', ($node->data_dir) x 2, $node->logfile);
#!/bin/sh
case $1 in
stop) exec pg_ctl stop -s -w -m immediate -D '%s' ;;
start) exec pg_ctl start -s -w -D '%s' -l '%s' ;;
esac
SH
chmod 0755, $control;
@ENV{qw(SIERRA_BROWSER_SERVER PYTHONDONTWRITEBYTECODE)} = ($control, 1);
my $ok = system("cd $work/clients/browser && $python -m unittest -v tests.test_browser >>$log 2>&1") == 0;
my $text = slurp_file($log);
my ($count) = $text =~ /^Ran (\d+) tests/m;
ok($ok && $count, 'the tests of the event browser pass: ' . ($count // 'no') . ' tests') or diag($text);
unlike($text, qr/\.\.\. skipped/, 'none is skipped');

my $dbh = connect_to($node);
wait_until('no session of the program is left',
    sub { !one_value($dbh, 'SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE ?', 'sierra_es browser%') });
$dbh->disconnect;

done_testing();
