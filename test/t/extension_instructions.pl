# The comparison of bench/instructions with the ratios that are kept: on counts that were made up,
# so without a server and without valgrind.

use strict;
use warnings;

use FindBin;
use File::Temp qw(tempdir);
use IPC::Run qw(run);
use JSON::PP;
use Test::More;

my $program   = "$FindBin::Bin/../../bench/instructions";
my $directory = tempdir(CLEANUP => 1);
my ($counts, $kept) = ("$directory/counts.json", "$directory/kept.json");

sub write_json
{
	my ($file, $data) = @_;
	open my $out, '>', $file or die "$file: $!";
	print $out JSON::PP->new->canonical->encode($data);
	close $out or die "$file: $!";
}

sub read_json
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!";
	return JSON::PP->new->decode(join '', <$in>);
}

# Returns the exit status and what was printed.
sub compare
{
	my (@options) = @_;
	my ($out, $err) = ('', '');
	run [ 'python3', $program, '--counts', $counts, '--kept', $kept, @options ], '<', \undef, '>', \$out, '2>', \$err;
	my $status = $? >> 8;
	is($err, '', 'no complaint');
	return ($status, $out);
}

my ($status, $list) = do {
	my $out = '';
	run [ 'python3', $program, '--list' ], '>', \$out;
	($? >> 8, $out);
};
my @names = split /\n/, $list;
is($status, 0, 'the operations are listed');
cmp_ok(scalar @names, '>=', 10, 'there are some');
is_deeply([ sort keys %{ read_json("$FindBin::Bin/../../bench/instructions.json") } ], [ sort @names ],
	'a ratio is kept of every operation, and of nothing else');

my ($first, $second) = @names;
my %all     = map { $_ => [ 200, 100 ] } @names;
my %all_two = map { $_ => 2 } @names;

# What is counted of the first operation, and what is said about it when the ratio 2 is kept.
foreach my $case (
	[ 206, 100, 0, 'ok',     'worse by 3 %' ],
	[ 207, 100, 2, 'WORSE',  'worse by 3.5 %' ],
	[ 195, 100, 0, 'ok',     'better by 2.5 %' ],
	[ 190, 100, 0, 'better', 'better by 5 %' ],
	[ 400, 200, 0, 'ok',     'twice the instructions, on both sides' ],
	[ 200, 90,  2, 'WORSE',  'the bare statement became faster' ])
{
	my ($ours, $bare, $wanted, $verdict, $what) = @$case;
	write_json($counts, { %all, $first => [ $ours, $bare ] });
	write_json($kept, \%all_two);
	my ($status, $out) = compare();
	is($status, $wanted, "$what: the status is $wanted");
	my ($line) = (split /\n/, $out)[2];
	like($line, qr/ \Q$verdict\E$/, "$what: $verdict");
	like($out, $verdict eq 'better' ? qr/--update/ : $wanted ? qr/^1 of /m : qr/^all ratios/m, "$what: it is said what that means");
	is_deeply(read_json($kept), \%all_two, "$what: the file is not changed");
}

write_json($counts, { %all, $first => [ 300, 100 ] });
is((compare('--update'))[0], 0, 'an update passes');
is_deeply(read_json($kept), { %all_two, $first => 3 }, 'and keeps the new ratio');

write_json($counts, { $first => [ 500, 100 ] });
is((compare('--update', '--only', "^$first\$"))[0], 0, 'an update of one operation passes');
is_deeply(read_json($kept), { %all_two, $first => 5 }, 'and leaves the others');

write_json($counts, \%all);
my %but_one = %all_two;
delete $but_one{$second};
write_json($kept, \%but_one);
my ($missing, $out) = compare();
is($missing, 2, 'an operation without a ratio fails');
like($out, qr/^1 of \d+: no ratio is kept/m, 'it is said that one has none');

write_json($kept, { %all_two, gone => 2 });
($missing, $out) = compare();
is($missing, 2, 'a ratio without an operation fails');
like($out, qr/not an operation: gone/, 'it is named');
is((compare('--update'))[0], 0, 'an update removes it');
is_deeply(read_json($kept), \%all_two, 'from the file');

done_testing();
