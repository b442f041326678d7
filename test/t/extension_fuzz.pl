# Every function of the extension, private ones too, called with odd arguments by
# roles with few rights: no process crashes, no internal error, nothing hangs.
# SIERRA_TEST_SECONDS: how long (default 60); SIERRA_TEST_SEED: repeats a run.

use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $seconds = $ENV{SIERRA_TEST_SECONDS} // 60;
my $seed    = $ENV{SIERRA_TEST_SEED}    // int rand 1_000_000;
my $node    = new_server('fuzz');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
log_min_messages = fatal
log_min_error_statement = panic
CONF
$node->restart;
my $dsn = sprintf 'host=%s port=%s dbname=postgres', $node->host, $node->port;
my $program = abs_path("$FindBin::Bin/../fuzz/fuzz_functions.py");
my $log     = "$PostgreSQL::Test::Utils::log_path/fuzz_statements.log";
my $output  = `/usr/bin/python3 '$program' --dsn '$dsn' --seconds $seconds --seed $seed --log '$log' 2>&1`;
is($?, 0, "nothing was found with seed $seed") or diag($output);
like($output, qr/seed $seed: [1-9]\d+ statements, [1-9]\d+ functions, 0 findings/, 'statements were run') or diag(substr $output, -300);
unlike(slurp_file($node->logfile), qr/was terminated by signal|TRAP: /, 'no process has crashed');

# What has been called so far has not hurt what is there.
my $dbh = connect_to($node);
is(join("\n", @{ $dbh->selectcol_arrayref(q{SELECT to_json(v) FROM everify('es') AS v}) }), '', 'everify() finds nothing');

done_testing();
