# META.json follows the rules of the PGXN meta specification 1.0.0, and agrees with
# the extension; the archive that scripts/pgxn makes of it has what a build needs, and nothing that
# was built.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use JSON::PP;
use Test::More;

my %license = map { $_ => 1 } qw(
  agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3
  lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib
  open_source restricted unrestricted unknown);

sub is_text { return defined $_[0] && !ref $_[0] && $_[0] ne '' }
sub is_map { return ref $_[0] eq 'HASH' && %{ $_[0] } }
sub is_term { return is_text($_[0]) && $_[0] =~ m{^[^[:cntrl:]\s/\\]{2,}$} }
sub is_tag { return is_text($_[0]) && $_[0] =~ m{^[^[:cntrl:]/\\]{2,255}$} }
sub is_version { return is_text($_[0]) && $_[0] =~ /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}(?:-[0-9A-Za-z][0-9A-Za-z.-]*)?$/ }

# One version, or several conditions: ">= 1.2.0, != 1.5.0".
sub is_version_range
{
	my ($range) = @_;

	return is_text($range) && ($range eq '0' || !grep { !/^(?:(?:[<>]=?|[!=]=) *)?(\S+)$/ || !is_version($1) } split / *, */, $range);
}

my %rule_of_provided = (
	file => sub { is_text($_[0]) && $_[0] =~ /\.(?:sql|control)$/ },
	version => \&is_version,
	map { $_ => \&is_text } qw(abstract docfile docpath));

sub provides_faults
{
	my ($provides) = @_;
	my @faults;

	return 'provides' unless is_map($provides);
	foreach my $name (keys %$provides)
	{
		my $provided = $provides->{$name};

		push @faults, "provides: $name" unless is_term($name);
		return (@faults, "provides: $name") unless is_map($provided);
		push @faults, map { "provides: no $_" } grep { !exists $provided->{$_} } qw(file version);
		foreach my $key (grep { !/^x_/i } keys %$provided)
		{
			push @faults, "provides: $key" unless $rule_of_provided{$key} && $rule_of_provided{$key}->($provided->{$key});
		}
	}
	return @faults;
}

sub prereqs_faults
{
	my ($prereqs) = @_;
	my @faults;

	return 'prereqs' unless is_map($prereqs);
	foreach my $phase (keys %$prereqs)
	{
		push @faults, "prereqs: $phase" unless $phase =~ /^(?:configure|runtime|build|test|develop|[xX]_.*)$/;
		foreach my $relation (keys %{ $prereqs->{$phase} })
		{
			my $needed = $prereqs->{$phase}{$relation};

			push @faults, "prereqs: $relation" unless $relation =~ /^(?:requires|recommends|suggests|conflicts|[xX]_.*)$/;
			push @faults, map { "prereqs: $_" } grep { !is_term($_) || !is_version_range($needed->{$_}) } keys %$needed;
		}
	}
	return @faults;
}

# A value that may be one or several.
sub values_of { return ref $_[0] eq 'ARRAY' ? @{ $_[0] } : ($_[0]) }

my %rule_of = (
	name => \&is_term,
	version => \&is_version,
	license => sub { ref $_[0] eq 'HASH' || !grep { !$license{ $_ // '' } } values_of($_[0]) },
	maintainer => sub { my @maintainers = values_of($_[0]); @maintainers && !grep { !is_text($_) } @maintainers },
	tags => sub { ref $_[0] eq 'ARRAY' && @{ $_[0] } && !grep { !is_tag($_) } @{ $_[0] } },
	release_status => sub { $_[0] =~ /^(?:stable|testing|unstable)$/ },
	'meta-spec' => sub { is_map($_[0]) && ($_[0]{version} // '') eq '1.0.0' },
	no_index => \&is_map,
	resources => \&is_map,
	provides => sub { !provides_faults($_[0]) },
	prereqs => sub { !prereqs_faults($_[0]) },
	map { $_ => \&is_text } qw(abstract description generated_by));

# What is wrong with a META.json.
sub meta_faults
{
	my ($meta) = @_;

	return ((grep { !exists $meta->{$_} } qw(name version abstract maintainer license provides meta-spec)),
		(grep { !/^x_/i && !($rule_of{$_} && $rule_of{$_}->($meta->{$_})) } sort keys %$meta));
}

# The rules hold, and each is looked at: a META.json that breaks it is found out.
sub check_rules
{
	my ($text) = @_;
	my %wrong = (
		'no name' => sub { delete $_[0]{name} },
		'name with a slash' => sub { $_[0]{name} = 'sierra/es' },
		'version of two numbers' => sub { $_[0]{version} = '1.0' },
		'version with a leading zero' => sub { $_[0]{version} = '1.01.0' },
		'unknown license' => sub { $_[0]{license} = 'PostgreSQL' },
		'empty abstract' => sub { $_[0]{abstract} = '' },
		'no maintainer' => sub { $_[0]{maintainer} = [] },
		'unknown key' => sub { $_[0]{keywords} = ['events'] },
		'nothing provided' => sub { $_[0]{provides} = {} },
		'provided without a file' => sub { delete $_[0]{provides}{sierra_es}{file} },
		'provided library' => sub { $_[0]{provides}{sierra_es}{file} = 'sierra_es.so' },
		'provided without a version' => sub { delete $_[0]{provides}{sierra_es}{version} },
		'unknown phase' => sub { $_[0]{prereqs}{run} = { requires => { PostgreSQL => '15.0.0' } } },
		'unknown relation' => sub { $_[0]{prereqs}{runtime}{needs} = { PostgreSQL => '15.0.0' } },
		'short version of a prerequisite' => sub { $_[0]{prereqs}{runtime}{requires}{PostgreSQL} = '15' },
		'tag with a slash' => sub { push @{ $_[0]{tags} }, 'events/streams' },
		'unknown key of what is provided' => sub { $_[0]{provides}{sierra_es}{docs} = 'README.md' },
		'long tag' => sub { push @{ $_[0]{tags} }, 'x' x 256 },
		'unknown status' => sub { $_[0]{release_status} = 'beta' },
		'other specification' => sub { $_[0]{'meta-spec'}{version} = '2.0.0' });

	is_deeply([ meta_faults(decode_json($text)) ], [], 'META.json follows the rules of PGXN');
	foreach my $what (sort keys %wrong)
	{
		my $meta = decode_json($text);

		$wrong{$what}->($meta);
		cmp_ok(scalar(my @faults = meta_faults($meta)), '>', 0, "refused: $what");
	}
	return;
}

# What META.json says is what the extension is.
sub check_agreement
{
	my ($meta) = @_;
	my ($version) = slurp_file('sierra_es.control') =~ /^default_version\s*=\s*'([^']+)'/m;
	my ($oldest) = slurp_file('scripts/lib.sh') =~ /^readonly pg_versions="(\d+)/m;
	my ($changes) = slurp_file('CHANGELOG.md') =~ /^## (\S+)/m;
	my $provided = $meta->{provides}{sierra_es};
	my $messages = $meta->{provides}{sierra_message_store};

	is($meta->{version}, $version, 'its version is that of the control file');
	is($provided->{version}, $version, 'that of the extension, too');
	is($changes, $version, 'and the newest of CHANGELOG.md');
	is($meta->{prereqs}{runtime}{requires}{PostgreSQL}, "$oldest.0.0", 'it needs the oldest PostgreSQL that is tested');
	ok(-f $_, "$_ exists") foreach $provided->{docfile}, $messages->{docfile}, $messages->{file};
	# "pgxn load" takes an extension from nothing but a script; make builds this one.
	is($provided->{file}, "sql/sierra_es--$version.sql", 'it names the script that CREATE EXTENSION runs');
	like($messages->{file}, qr/\.sql$/, 'for the other extension, too');
	return;
}

sub check_archive
{
	my ($meta) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir();
	my $prefix = "$meta->{name}-$meta->{version}";
	my ($stdout, $stderr) = run_command([ 'scripts/pgxn', $directory ]);
	my @names;

	is($stdout, "$directory/$prefix.zip", 'scripts/pgxn says where the archive is');
	($stdout) = run_command([ '/usr/bin/python3', '-m', 'zipfile', '-e', "$directory/$prefix.zip", $directory ]);
	($stdout) = run_command([ 'find', $directory, '-type', 'f', '-printf', '%P\n' ]);
	@names = grep { $_ ne "$prefix.zip" } split /\n/, $stdout;
	is_deeply([ grep { !m{^\Q$prefix\E/} } @names ], [], 'all files are in its directory');
	is_deeply([ grep { m{\.(?:o|bc|so|zip)$|/sql/sierra_es--|/\.git|/tmp_check|/debian/} } @names ], [], 'nothing in it was built, nor belongs to somebody else');
	foreach my $file (qw(META.json README.md LICENSE CHANGELOG.md Makefile sierra_es.control docs/reference.md src/sierra_es.c test/sql/aggregate_fold.sql expected/aggregate_fold.out))
	{
		ok(scalar(grep { $_ eq "$prefix/$file" } @names), "it has $file");
	}
	is(slurp_file("$directory/$prefix/META.json"), slurp_file('META.json'), 'with this META.json');
	# All that make would read is there.
	command_ok([ 'make', '-n', '-s', '-C', "$directory/$prefix", "PG_CONFIG=" . ($ENV{PG_CONFIG} // 'pg_config'), 'all' ],
		'it can be built');
	return;
}

my $text = slurp_file('META.json');

check_rules($text);
check_agreement(decode_json($text));
check_archive(decode_json($text));

done_testing();
