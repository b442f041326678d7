# The documents must not lie: every SQL block of README.md and docs/*.md is run,
# in order, in a fresh database per document, and where a block is followed by
# a text block, that text must be what psql prints.  The reference must have
# everything that the extension has.  Links lead to a file and a heading.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Encode qw(decode encode);
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

# A document as characters.
sub slurp_document
{
	my ($file) = @_;
	return decode('UTF-8', slurp_file($file));
}

# The part of a document behind a heading, up to the next of the same rank.
sub section
{
	my ($text, $heading) = @_;
	my ($rank) = $heading =~ /^(#+)/;

	$text =~ /^\Q$heading\E\n(.*?)(?=^$rank [^#]|\z)/ms or die "the reference has no heading \"$heading\"";
	return $1;
}

# The signatures of a text: the lines of its blocks, each with the indented lines behind it.
sub read_signatures
{
	my ($text) = @_;
	my @signatures;

	foreach my $line (map { split /\n/ } $text =~ /^```text\n(.*?)^```$/msg)
	{
		if ($line =~ /^\s+(.*)/)
		{
			$signatures[-1] .= ($signatures[-1] =~ /\($/ ? '' : ' ') . $1;
		}
		else
		{
			push @signatures, $line;
		}
	}
	return @signatures;
}

# A signature taken apart: {kind, name, arguments => [{name, type, default}], result}.
sub parse_signature
{
	my ($signature) = @_;
	my ($kind, $name, $arguments, $result) =
	  $signature =~ /^(procedure )?(\w+)(\((?:[^()]|(?3))*\))(?: returns (.*))?$/
	  or die "no signature: $signature";
	my @arguments;

	foreach my $argument (split /, (?=\w+ \w)/, $arguments =~ s/^\(|\)$//gr)
	{
		my ($argument_name, $type, $default) = $argument =~ /^(\w+) (\w+(?:\[\])?)(?: = (.*))?$/
		  or die "no argument: $argument of $name()";
		push @arguments, { name => $argument_name, type => $type, default => $default };
	}
	return { kind => $kind // '', name => $name, arguments => \@arguments, result => $result // 'void' };
}

# A signature without the values of its defaults, to be compared.
sub form_signature
{
	my ($function) = @_;
	my $arguments = join ', ',
	  map { "$_->{name} $_->{type}" . (defined $_->{default} ? ' =' : '') } @{ $function->{arguments} };

	return "$function->{kind}$function->{name}($arguments) returns $function->{result}";
}

# The arguments of functions that are passed, with their types and defaults.
my $arguments_passed = q{
	SELECT p.oid, p.proname, n, p.proargnames[n] AS argument,
	       coalesce(p.proallargtypes[n], p.proargtypes[n - 1]) AS type, pg_get_function_arg_default(p.oid, n) AS value
	  FROM pg_proc AS p, generate_series(1, coalesce(cardinality(p.proallargtypes), p.pronargs)) AS n
	 WHERE coalesce(p.proargmodes[n], 'i') IN ('i', 'b', 'v')};

# The signatures of the functions of the extension that are for users: those in its schema.
sub public_signatures
{
	my ($node) = @_;
	return map { s/timestamp with time zone/timestamptz/gr } split /\n/, $node->safe_psql('readme', qq{
		SELECT CASE p.prokind WHEN 'p' THEN 'procedure ' ELSE '' END || p.proname || '(' || coalesce((
				SELECT string_agg(format('%s %s%s', a.argument, format_type(a.type, NULL),
				                         CASE WHEN a.value IS NOT NULL THEN ' =' END), ', ' ORDER BY a.n)
				  FROM ($arguments_passed) AS a WHERE a.oid = p.oid), '') || ') returns ' ||
		       CASE WHEN p.proretset THEN 'set of ' ELSE '' END || coalesce((
				SELECT '(' || string_agg(p.proargnames[n], ', ' ORDER BY n) || ')'
				  FROM generate_series(1, cardinality(p.proargmodes)) AS n
				 WHERE p.proargmodes[n] IN ('b', 'o', 't')
				HAVING count(*) > 0 AND p.prokind <> 'p'),
		       CASE p.prokind WHEN 'p' THEN 'void' ELSE format_type(p.prorettype, NULL) END)
		  FROM pg_extension AS e
		  JOIN pg_depend AS d ON d.refobjid = e.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
		  JOIN pg_proc AS p ON p.oid = d.objid AND p.pronamespace = e.extnamespace
		 WHERE e.extname = 'sierra_es' AND p.proname NOT IN ('expected_version', 'start_position')
		 ORDER BY 1});
}

# Defaults that the reference shows are those of the functions.
sub check_defaults
{
	my ($node, $function) = @_;

	foreach my $argument (grep { defined $_->{default} } @{ $function->{arguments} })
	{
		my ($shown, $name) = ($argument->{default}, $argument->{name});
		my $same = $node->safe_psql('readme', qq{
			SELECT format('SELECT (%s)::%s::text IS NOT DISTINCT FROM (%s)::text', \$shown\$$shown\$shown\$,
					format_type(a.type, NULL), a.value)
			  FROM ($arguments_passed) AS a
			 WHERE a.proname = '$function->{name}' AND a.argument = '$name' \\gexec});

		like($same, qr/^t(\nt)*$/, "the default of $name of $function->{name}() is $shown");
	}
	return;
}

# The reference has exactly the functions that are there, with all arguments in their
# order, their types, and the columns of the result; each has a row with what it does.
sub check_functions
{
	my ($node, $text) = @_;
	my @functions = map { parse_signature($_) } read_signatures($text);
	my %shown = map { form_signature($_) => 1 } @functions;
	my %rows = map { $_ => 1 } $text =~ /^\| `(\w+)\(\)` \|/mg;
	my %there = map { $_ => 1 } public_signatures($node);

	cmp_ok(scalar keys %there, '>', 50, 'there are functions');
	ok($shown{$_}, "the reference has $_") foreach sort keys %there;
	ok($there{$_}, "there is $_") foreach sort keys %shown;
	ok($rows{ $_->{name} }, "the reference says what $_->{name}() does") foreach @functions;
	foreach my $name (sort keys %rows)
	{
		ok((grep { $_->{name} eq $name } @functions), "the reference has the signature of $name()");
	}
	check_defaults($node, $_) foreach @functions;
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

# The SQLSTATEs of the server's own list that C code and SQL raise, but for internal errors.
sub raised_by_server_name
{
	my ($node) = @_;
	my (%code, %raised);

	foreach my $line (split /\n/, slurp_file($node->config_data('--sharedir') . '/errcodes.txt'))
	{
		my ($code, $macro, $name) = $line =~ /^(\w{5}) +\w +(\w+) *(\w*)$/ or next;
		$code{$macro} = $code;
		$code{$name} //= $code;
	}
	foreach my $file (glob('src/*/*.c sql/*.sql'))
	{
		my @names = grep { defined } slurp_file($file) =~ /errcode\((\w+)\)|^ *RAISE (\w+) USING/mg;

		$raised{$_} = 1 foreach grep { defined } @code{@names};
	}
	return sort grep { !/^XX/ } keys %raised;
}

sub check_reference
{
	my ($node) = @_;
	my $reference = slurp_document('docs/reference.md');
	my @errors = slurp_file('src/base/errors.h') =~ /MAKE_SQLSTATE\(([^)]*)\)/g;

	check_functions($node, section($reference, '## Functions'));
	check_names('setting and default', section($reference, '## Settings'),
		split /\n/, $node->safe_psql('readme', q{
			LOAD 'sierra_es';
			SELECT name || '` | `' || coalesce(nullif(current_setting(name), ''), '''''') FROM pg_settings WHERE name LIKE 'sierra\_es.%'}));
	check_names('SQLSTATE', section($reference, '## Errors'), map { tr/', //dr } @errors);
	foreach my $code (raised_by_server_name($node))
	{
		like(section($reference, '## Errors'), qr/^\|.*`$code`.*\|.*\|$/m, "the reference has SQLSTATE $code");
	}
	check_names('table', section($reference, '## Tables of a store'),
		split /\n/, $node->safe_psql('readme', q{
			SELECT relname FROM pg_class
			 WHERE relnamespace = 'es'::regnamespace AND relkind IN ('r', 'p', 'S', 'v')
			   AND NOT relispartition}));
	check_names('column', section($reference, '## Types'),
		split /\n/, $node->safe_psql('readme',
			q{SELECT attname FROM pg_attribute WHERE attrelid = 'sierra_event'::regclass AND attnum > 0}));
	return;
}

# What the reference says of a store that is NULL is true for the first call of
# a session too.
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

# A document without its blocks.
sub prose
{
	my ($file) = @_;
	return slurp_document($file) =~ s/^```.*?^```$//msgr;
}

# The anchors of the headings of a document, as GitHub makes them.
sub anchors
{
	my ($file) = @_;
	my %anchors;

	foreach my $heading (prose($file) =~ /^#+ +(.*)$/mg)
	{
		my $anchor = lc $heading;
		$anchor =~ s/[^\w\- ]//g;
		$anchor =~ tr/ /-/;
		$anchors{$anchor} = 1;
	}
	return \%anchors;
}

# Links lead to files that are there, and to headings that they have.
sub check_links
{
	my ($file) = @_;
	my ($directory) = $file =~ m{^(.*/)};

	foreach my $link (grep { !/^\w+:/ } prose($file) =~ /\]\(([^)]+)\)/g)
	{
		my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
		my $target = $path eq '' ? $file : ($directory // '') . $path;

		ok(-e $target, "$file links to $target");
		ok($target =~ /\.md$/ && -e $target && anchors($target)->{$anchor}, "$file: $target has a heading for #$anchor")
		  if defined $anchor;
	}
	return;
}

# Prose has lines of at most 100 characters; what cannot be broken may be longer.
sub check_width
{
	my ($file) = @_;
	my @wide = grep { length > 100 && !/^\|/ && !/\]\(/ } split /\n/, prose($file);

	is(scalar @wide, 0, "$file has lines of at most 100 characters") or diag(encode('UTF-8', join "\n", @wide));
	return;
}

# The README fits a reader's patience, and leads to every other document.
sub check_readme
{
	my (@documents) = @_;
	my $readme = slurp_document('README.md');

	cmp_ok($readme =~ tr/\n//, '<=', 480, 'README.md has at most 480 lines');
	foreach my $document (grep { $_ ne 'README.md' } @documents)
	{
		like($readme, qr/\]\(\Q$document\E\)/, "README.md links to $document");
	}
	return;
}

my $node = PostgreSQL::Test::Cluster->new('readme');
my @documents = ('README.md', sort(glob 'docs/*.md'), glob 'clients/message_store/*.md');
my $checked = 0;

$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "timezone = 'UTC'\nlc_messages = 'C'\nwal_level = logical");
$node->start;
allow_plugin($node);
foreach my $document (@documents)
{
	my $database = $document =~ m{^clients/(\w+)} ? $1 : lc($document) =~ s{.*/|\.md$}{}gr;

	$checked += check_document($node, $document, $database);
}
foreach my $document (@documents, 'CHANGELOG.md')
{
	check_links($document);
	check_width($document);
}
check_readme(@documents);
cmp_ok($checked, '>=', 30, 'the documents have SQL blocks');
check_reference($node);
check_first_calls($node);
$node->stop;

done_testing();
