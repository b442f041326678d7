# The pages about the sources must not lie: docs/architecture.md and the READMEs
# of src/.  Files, functions and names in back-quotes exist, and functions are
# defined where the pages say; links lead somewhere; the table of wings, the
# locking rules, the map of the tests and the table of times are complete.
# Needs no server.
use strict;
use warnings;

use File::Basename qw(basename dirname);
use Test::More;

my @pages = ('docs/architecture.md', sort(glob 'src/README.md'), sort(glob 'src/*/README.md'));
my @sources = sort(glob('src/*.[ch]'), glob('src/*/*.[ch]'));
my @sql = grep { !/--/ } sort glob 'sql/*.sql';

sub slurp
{
	my ($file) = @_;

	open my $handle, '<:encoding(UTF-8)', $file or die "cannot read $file: $!";
	local $/;
	return scalar <$handle>;
}

my %text = map { $_ => slurp($_) } @pages, @sources, @sql, 'scripts/lint-wings';
my $all_sources = join "\n", @text{@sources}, @text{@sql};

# Which files define each function: {name => {file => 1}}.
sub find_functions
{
	my %functions;

	foreach my $file (@sources)
	{
		$functions{$1}{$file} = 1 while $text{$file} =~ /^(\w+)\((?:[^;{}]|\n)*?\)\n\{/mg;
		# In headers: the type and the name are in one line.
		$functions{$1}{$file} = 1 while $text{$file} =~ /^(?:static inline )?\w[\w \*]*?(\w+)\([^;{}]*\)\n\{/mg;
	}
	foreach my $file (@sql)
	{
		$functions{$1}{$file} = 1
		  while $text{$file} =~ /^CREATE (?:OR REPLACE )?(?:FUNCTION|PROCEDURE) (?:\w+\.)?(\w+)\(/mg;
	}
	return \%functions;
}

# A file that a page names, as a path from the top, or undef.
sub resolve
{
	my ($page, $name) = @_;

	foreach my $path (dirname($page) . "/$name", "src/$name", $name)
	{
		return $path if -e $path;
	}
	return;
}

sub prose
{
	my ($page) = @_;
	return $text{$page} =~ s/^```.*?^```$//msgr;
}

# What is in back-quotes in the prose of a page, with line breaks as blanks.
sub quoted
{
	my ($page) = @_;
	return map { s/\s+/ /gr } prose($page) =~ /`([^`]+)`/g;
}

sub check_files
{
	my ($page) = @_;
	my @names = grep { m{^[\w./-]+\.(?:[ch]|sql|spec|pl|md)$|^(?:src|sql|test|docs|scripts|expected)/[\w./-]*$} } quoted($page);

	ok(resolve($page, $_), "$page: there is $_") foreach @names;
	return scalar @names;
}

# `name()` is a function of ours.  `name()` in `file` is defined there.
sub check_functions
{
	my ($page, $functions) = @_;
	my @names = map { /^(\w+)\(\)$/ ? $1 : () } quoted($page);
	my $prose = prose($page);

	ok($functions->{$_}, "$page: $_() is defined") foreach @names;
	while ($prose =~ /`(\w+)\(\)`\s+in\s+`([\w.\/]+\.\w+)`/g)
	{
		my ($name, $file) = ($1, $2);
		my $path = resolve($page, $file) // $file;

		ok($functions->{$name}{$path}, "$page: $name() is defined in $path");
	}
	return scalar @names;
}

# Types, constants and settings.
sub check_names
{
	my ($page) = @_;

	foreach my $name (grep { /^(?:Sierra[A-Z]\w*|[A-Z]+(?:_[A-Z]+)+|sierra_es\.\w+)$/ } quoted($page))
	{
		ok(scalar($all_sources =~ /(?<![\w.])\Q$name\E\b/), "$page: $name is in the sources");
	}
	return;
}

sub anchors
{
	my ($file) = @_;
	my %anchors;

	foreach my $heading (slurp($file) =~ /^#+ +(.*)$/mg)
	{
		my $anchor = lc $heading;
		$anchor =~ s/[^\w\- ]//g;
		$anchor =~ tr/ /-/;
		$anchors{$anchor} = 1;
	}
	return \%anchors;
}

sub check_links
{
	my ($page) = @_;

	foreach my $link (grep { !/^\w+:/ } prose($page) =~ /\]\(([^)]+)\)/g)
	{
		my ($path, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
		my $target = $path eq '' ? $page : dirname($page) . "/$path";

		ok(-e $target, "$page links to $target");
		ok(-e $target && anchors($target)->{$anchor}, "$page: $target has a heading for #$anchor") if defined $anchor;
	}
	return;
}

sub check_width
{
	my ($page) = @_;
	my @wide = grep { length > 100 && !/^\|/ && !/\]\(/ } split /\n/, prose($page);

	is("@wide", '', "$page has lines of at most 100 characters");
	return;
}

# The wings in their order, each with the wings whose headers it includes.
sub check_wings
{
	my ($order) = $text{'scripts/lint-wings'} =~ /^wings='([^']+)'/m;
	my @wings = split / /, $order;
	my @rows = $text{'docs/architecture.md'} =~ /^\| (?:\[(?=\w+\]))?(\w+)(?:\]\([^)]*\))? \| ([a-z ]*?) *\| [^|]+ \|$/mg;
	my @shown;

	while (my ($wing, $uses) = splice @rows, 0, 2)
	{
		next if $wing eq 'wing';
		push @shown, $wing;
		my %included = map { $_ => 1 } map { $text{$_} =~ m{^#include "(\w+)/}mg } grep { m{^src/$wing/} } @sources;
		my $included = join ' ', grep { $included{$_} && $_ ne $wing } @wings;

		is($uses, $included, "wing $wing uses what the table says");
		ok(-d "src/$wing", "there is a wing $wing");
	}
	is("@shown", "@wings", 'the table has the wings in their order');
	ok(scalar(grep { $_ eq $order } quoted('src/README.md')), 'src/README.md has them too');
	foreach my $readme (@pages)
	{
		next if $readme eq 'docs/architecture.md';
		ok($text{'docs/architecture.md'} =~ /\]\(\Q..\/$readme\E\)/, "docs/architecture.md links to $readme");
		ok($readme eq 'src/README.md' || scalar(grep { $readme eq "src/$_/README.md" } @wings), "$readme is that of a wing");
	}
	return;
}

# Every rule is referred to by its number in a README of a wing, and no others are.
sub check_rules
{
	my @rules = $text{'docs/architecture.md'} =~ /^- \*\*(R\d+)\.\*\*/mg;
	my %defined = map { $_ => 1 } @rules;
	my $readmes = join "\n", map { $text{$_} =~ s/^R1 to R7.*$//mr =~ s/R1 to R7//gr } grep { m{^src/.*/} } @pages;
	my %used = map { $_ => 1 } $readmes =~ /\b(R\d+)\b/g, $text{'docs/architecture.md'} =~ /\b(R\d+)\b/g;

	cmp_ok(scalar @rules, '>=', 7, 'there are locking rules');
	foreach my $rule (@rules)
	{
		like($readmes, qr/\b$rule\b/, "$rule is referred to in src/");
	}
	ok($defined{$_}, "$_ is a rule") foreach sort keys %used;
	return;
}

# Every test is in the map, and all that the map names is there.
sub check_tests
{
	my ($map) = $text{'docs/architecture.md'} =~ /^## Invariants and tests\n(.*?)(?=^## |\z)/ms;
	my @patterns;
	my %tests = map { basename($_) =~ s/\.\w+$//r => $_ } glob('test/sql/*.sql'), glob('test/specs/*.spec'), glob('test/t/*.pl');
	my %covered;

	foreach my $row ($map =~ /^\| (?!invariant|---).*\|$/mg)
	{
		my ($last) = $row =~ /\|([^|]*)\|$/;

		push @patterns, $last =~ /`([\w*]+)`/g;
	}
	cmp_ok(scalar keys %tests, '>', 150, 'there are tests');
	foreach my $pattern (@patterns)
	{
		my $expression = quotemeta($pattern) =~ s/\\\*$/.*/r;
		my @matching = grep { /^$expression$/ } keys %tests;

		ok(scalar @matching, "there is a test $pattern");
		@covered{@matching} = ();
	}
	foreach my $test (sort keys %tests)
	{
		ok(exists $covered{$test}, "the map of the tests has $tests{$test}");
	}
	return;
}

# The table of times has every constant of the wing, with its value and its files.
sub check_times
{
	my $page = 'src/worker/README.md';
	my (%there, %shown);

	foreach my $file (grep { m{^src/worker/} } @sources)
	{
		while ($text{$file} =~ /^#define (\w+_(?:MS|PAUSE_FACTOR|LOCK_TIMEOUT)) (.+)$/mg)
		{
			my ($name, $value) = ($1, $2 =~ tr/"//dr);

			$value .= $name =~ /_MS$/ ? 'ms' : $name =~ /_FACTOR$/ ? 'times' : '';
			$there{"$name is $value"}{ basename($file) } = 1;
		}
	}
	while ($text{$page} =~ /^\| `(\w+)` \| (\d+ \w+) \| ([^|]*) \|/mg)
	{
		my ($constant, $files) = ("$1 is " . $2 =~ tr/ //dr, $3);

		$shown{$constant}{$_} = 1 foreach $files =~ /`(\w+\.[ch])`/g;
	}
	cmp_ok(scalar keys %there, '>', 15, 'there are constants of time');
	foreach my $constant (sort keys %{ { %there, %shown } })
	{
		is(join(' ', sort keys %{ $shown{$constant} // {} }), join(' ', sort keys %{ $there{$constant} // {} }),
			"$page: $constant, in these files");
	}
	return;
}

my $functions = find_functions();
my ($named_files, $named_functions) = (0, 0);

cmp_ok(scalar keys %$functions, '>', 800, 'there are functions');
cmp_ok(scalar @pages, '>=', 8, 'there are pages');
foreach my $page (@pages)
{
	$named_files += check_files($page);
	$named_functions += check_functions($page, $functions);
	check_names($page);
	check_links($page);
	check_width($page);
}
cmp_ok($named_files, '>', 100, 'the pages name files');
cmp_ok($named_functions, '>', 100, 'the pages name functions');
cmp_ok($text{'docs/architecture.md'} =~ tr/\n//, '<=', 125, 'docs/architecture.md has at most 125 lines');
check_wings();
check_rules();
check_tests();
check_times();

done_testing();
