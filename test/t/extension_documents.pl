# The documents must not lie: every SQL block of README.md and docs/*.md is run,
# in order, in a fresh database per document, and where a block is followed by
# a text block, that text must be what psql prints.  The reference tables must
# name everything that the extension has.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraDecoding;
use Test::More;

# The blocks of a document: {line, sql, shown}; shown is undef when no text block follows.
sub read_blocks
{
	my ($file) = @_;
	my (@blocks, $language, @body);
	my ($line, $start) = (0, 0);
	my $adjacent = 0;

	foreach my $text (split /\n/, slurp_file($file))
	{
		$line++;
		if (!defined $language && $text =~ /^```(\w*)$/)
		{
			($language, $start) = ($1, $line);
			@body = ();
		}
		elsif (defined $language && $text eq '```')
		{
			push @blocks, { line => $start, sql => join("\n", @body) } if $language eq 'sql';
			$blocks[-1]{shown} = join("\n", @body) if $language eq 'text' && $adjacent;
			$adjacent = $language eq 'sql';
			undef $language;
		}
		elsif (defined $language)
		{
			push @body, $text;
		}
		elsif ($text ne '')
		{
			$adjacent = 0;
		}
	}
	die "$file:$start: a block has no end" if defined $language;
	return @blocks;
}

# Runs all blocks in one psql session; returns what each printed.
sub run_blocks
{
	my ($connection, @blocks) = @_;
	my $script = join '', map { "\\echo \@\@block\n$_->{sql}\n" } @blocks;
	my $output = '';

	# Which functions an error came through is not shown.
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'SHOW_CONTEXT=never', '-d', $connection ],
		'<', \$script, '>', \$output, '2>&1');
	my (undef, @parts) = split /^\@\@block\n/m, $output, -1;
	return @parts;
}

# What differs from run to run, and the widths of columns.
sub normalise
{
	my ($text) = @_;

	$text =~ s/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UUID/g;
	$text =~ s/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+\d\d/TIME/g;
	$text =~ s/\b1\d{12}\b/MILLISECONDS/g;
	$text =~ s/-{2,}/--/g;
	$text =~ s/[ \t]+/ /g;
	$text =~ s/^ | $//mg;
	$text =~ s/\n{2,}/\n/g;
	$text =~ s/^\n|\n$//g;
	return $text;
}

sub check_document
{
	my ($node, $file, $database) = @_;
	my @blocks = read_blocks($file);
	my @outputs;

	return 0 unless @blocks;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	@outputs = run_blocks($node->connstr($database), @blocks);
	is(scalar @outputs, scalar @blocks, "$file: every block was run");

	for my $i (0 .. $#blocks)
	{
		my ($block, $output) = ($blocks[$i], $outputs[$i] // '');

		if (defined $block->{shown})
		{
			is(normalise($output), normalise($block->{shown}),
				"$file, line $block->{line}: prints what is shown");
		}
		else
		{
			unlike($output, qr/^(ERROR|FATAL|WARNING|psql):/m,
				"$file, line $block->{line}: runs");
		}
	}
	return scalar @blocks;
}

# The part of the README behind a heading, up to the next of the same rank.
sub section
{
	my ($text, $heading) = @_;
	my ($rank) = $heading =~ /^(#+)/;

	$text =~ /^\Q$heading\E\n(.*?)(?=^$rank [^#]|\z)/ms or die "README.md has no heading \"$heading\"";
	return $1;
}

# The arguments of functions that are passed, with their types and defaults.
my $arguments_passed = q{
	SELECT p.oid, p.proname, n, p.proargnames[n] AS argument,
	       coalesce(p.proallargtypes[n], p.proargtypes[n - 1]) AS type, pg_get_function_arg_default(p.oid, n) AS value
	  FROM pg_proc AS p, generate_series(1, coalesce(cardinality(p.proallargtypes), p.pronargs)) AS n
	 WHERE coalesce(p.proargmodes[n], 'i') IN ('i', 'b', 'v')};

# Defaults that the reference shows are those of the functions.
sub check_defaults
{
	my ($node, $table) = @_;

	foreach my $row (grep { /^\| `/ } split /\n/, $table)
	{
		my ($name, $arguments) = $row =~ /^\| `(\w+)\((.*?)\)`/ or die "no function: $row";

		while ($arguments =~ /(\w+) = ('[^']*'|[\w-]+)/g)
		{
			my ($argument, $shown) = ($1, $2);
			my $same = $node->safe_psql('readme', qq{
				SELECT format('SELECT (%s)::%s::text IS NOT DISTINCT FROM (%s)::text', \$shown\$$shown\$shown\$,
						format_type(a.type, NULL), a.value)
				  FROM ($arguments_passed) AS a
				 WHERE a.proname = '$name' AND a.argument = '$argument' \\gexec});

			like($same, qr/^t(\nt)*$/, "the default of $argument of $name() is $shown");
		}
	}
	return;
}

# Each function is in a row of the table, with all its arguments in their order,
# and = behind those that may be left out.
sub check_functions
{
	my ($node, $table) = @_;
	my $functions = $node->safe_psql('readme', qq{
		SELECT p.proname, coalesce((
			SELECT string_agg(a.argument || CASE WHEN a.value IS NULL THEN '' ELSE ' =' END, ', ' ORDER BY a.n)
			  FROM ($arguments_passed) AS a WHERE a.oid = p.oid), '')
		  FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid
		 WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'sierra_es')
		   AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
		   AND p.proname <> 'expected_version' AND p.pronamespace <> 'sierra_internal'::regnamespace
		 ORDER BY 1, 2});

	foreach my $function (split /\n/, $functions)
	{
		my ($name, $arguments) = split /[|]/, $function;
		my @rows = map { /^\| `\Q$name\E\((.*?)\)`/ } split /\n/, $table;
		# A type may stand behind the name of an argument.
		my @shown = map { join ', ', map { s/^(\w+)(?: \w+)?( =)?.*/$1 . ($2 \/\/ '')/er } split /, / } @rows;

		ok((grep { $_ eq ($arguments // '') } @shown), "the reference has $name(" . ($arguments // '') . ')')
		  or diag("it shows: ", join ' and ', @shown);
	}
	return;
}

sub check_names
{
	my ($what, $table, @names) = @_;

	cmp_ok(scalar @names, '>', 0, "there are $what");
	foreach my $name (@names)
	{
		like($table, qr/^\| `\Q$name\E`/m, "the reference has $what $name");
	}
	return;
}

sub check_reference
{
	my ($node) = @_;
	my $readme = slurp_file('README.md');
	my @errors = slurp_file('src/base/errors.h') =~ /MAKE_SQLSTATE\(([^)]*)\)/g;

	check_functions($node, section($readme, '### Functions'));
	check_defaults($node, section($readme, '### Functions'));
	check_names('setting and default', section($readme, '### Settings'),
		split /\n/, $node->safe_psql('readme', q{
			LOAD 'sierra_es';
			SELECT name || '` | `' || coalesce(nullif(current_setting(name), ''), '''''') FROM pg_settings WHERE name LIKE 'sierra\_es.%'}));
	check_names('SQLSTATE', section($readme, '### Errors'), map { tr/', //dr } @errors);
	check_names('table', section($readme, '### Tables of a store'),
		split /\n/, $node->safe_psql('readme', q{
			SELECT relname FROM pg_class
			 WHERE relnamespace = 'es'::regnamespace AND relkind IN ('r', 'p', 'S', 'v')
			   AND NOT relispartition}));
	check_names('column', section($readme, '### Types'),
		split /\n/, $node->safe_psql('readme',
			q{SELECT attname FROM pg_attribute WHERE attrelid = 'sierra_event'::regclass AND attnum > 0}));
	return;
}

# What the reference says of a store that is NULL holds for the first call of a session too.
sub check_first_calls
{
	my ($node) = @_;

	foreach my $function (qw(event_partitions everify guard_event_store))
	{
		my ($status) = $node->psql('readme', "SELECT FROM $function()");
		is($status, 0, "$function() finds the store as the first call of a session");
	}
	return;
}

# Files that the documents link to.
sub check_links
{
	my ($file) = @_;
	my ($directory) = $file =~ m{^(.*/)};

	foreach my $link (slurp_file($file) =~ /\]\(([^)#:]+)(?:#[^)]*)?\)/g)
	{
		my $path = ($directory // '') . $link;
		ok(-e $path, "$file links to $path");
	}
	return;
}

# Links within the README must meet a heading.
sub check_anchors
{
	my ($file) = @_;
	my $text = slurp_file($file);
	my %anchors;

	$text =~ s/^```.*?^```$//msg;
	foreach my $heading ($text =~ /^#+ +(.*)$/mg)
	{
		my $anchor = lc $heading;
		$anchor =~ s/[^\w\- ]//g;
		$anchor =~ tr/ /-/;
		$anchors{$anchor} = 1;
	}
	foreach my $anchor ($text =~ /\]\(#([^)]+)\)/g)
	{
		ok($anchors{$anchor}, "$file has a heading for #$anchor");
	}
	return;
}

# The map from invariants to tests names tests that exist.
sub check_test_map
{
	my $text = slurp_file('docs/architecture.md');
	my @names = $text =~ /`(\w+\.(?:sql|spec|pl))`/g;

	cmp_ok(scalar @names, '>', 0, 'the architecture has a map of the tests');
	foreach my $name (@names)
	{
		ok(scalar(grep { -e "test/$_/$name" } qw(sql specs t)), "there is a test $name");
	}
	return;
}

my $node = PostgreSQL::Test::Cluster->new('readme');
my @documents = ('README.md', sort glob 'docs/*.md');
my $checked = 0;

$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "timezone = 'UTC'\nlc_messages = 'C'\nwal_level = logical");
$node->start;
allow_plugin($node);
foreach my $document (@documents)
{
	my ($database) = lc($document) =~ /(\w+)\.md$/;

	$checked += check_document($node, $document, $database);
	check_links($document);
	check_anchors($document);
}
cmp_ok($checked, '>=', 30, 'the documents have SQL blocks');
check_reference($node);
check_first_calls($node);
check_test_map();
$node->stop;

done_testing();
