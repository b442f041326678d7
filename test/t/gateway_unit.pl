# The parts of the gateway that need no server: the parser of requests, the writer of replies,
# arguments of commands, settings.  They are built with AddressSanitizer and UBSan.

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = "$FindBin::Bin/../../gateway";
plan skip_all => 'libevent, OpenSSL or hiredis are missing'
  if system('pkg-config --exists libevent libevent_openssl libssl hiredis') != 0;

my $build = `make -s -C $source PG_CONFIG=pg_config test/unit 2>&1`;
is($?, 0, 'the unit tests are built') or diag($build);

my @lines  = `$source/test/unit 2>&1`;
my $status = $?;
my $plan;
foreach my $line (@lines) {
    if ($line =~ /^(not )?ok \d+ - (.*)/) { ok(!$1, $2); }
    elsif ($line =~ /^1\.\.(\d+)$/)       { $plan = $1; }
    else                                  { diag($line); }
}
is($plan, scalar(grep { /^(not )?ok / } @lines), 'the program has made all its tests');
is($status, 0, 'and it has ended well, without a leak');

done_testing();
