# The interface as pgTAP sees it: every file of test/pgtap is a subtest with a
# plan of its own.  pgTAP must be installed beside the server.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $test_dir = dirname(dirname(abs_path($0)));
my @files = sort glob("$test_dir/pgtap/*.sql");

# A glob that finds nothing would pass.
ok(@files >= 5, 'the files are there');

my $node = PostgreSQL::Test::Cluster->new('interface');
$node->init(extra => [ '--encoding=UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf', slurp_file("$test_dir/sierra_es.conf"));
$node->start;

foreach my $file (@files)
{
	my $name = basename($file, '.sql');

	# Each file starts from an empty database, as its first session.
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION pgtap; CREATE EXTENSION sierra_es');

	subtest $name => sub { run_file($node, $name, $file) };
}

$node->stop;
done_testing();

# Repeats each result of the file as one of this test's own, under the file's
# plan.
sub run_file
{
	my ($node, $database, $file) = @_;
	my ($out, $err);
	my $exit = $node->psql(
		$database, undef,
		stdout => \$out,
		stderr => \$err,
		on_error_stop => 1,
		extra_params => [ '--no-align', '--tuples-only', '--quiet', '--file', $file ]);
	my ($plan) = $out =~ /^1\.\.(\d+)$/m;
	my $results = 0;

	# The exit status and the errors are tests in addition to the plan's.
	plan tests => ($plan // 0) + 3;
	foreach my $line (split /\n/, $out)
	{
		if ($line =~ /^(not )?ok (\d+)(?: - (.*))?$/)
		{
			ok(!defined $1, $3 // "test $2");
			$results++;
		}
		elsif ($line =~ /^#/)
		{
			diag($line);
		}
	}
	is($exit, 0, 'psql ran to the end');
	is($err, '', 'without errors');
	is($results, $plan, 'the plan was kept');
	return;
}
