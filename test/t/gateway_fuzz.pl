# What reads the bytes of clients in the gateway gets millions of wrong ones, by libFuzzer, with
# ASan and UBSan.  Each program of test/fuzz/gateway_*.c says which files of the gateway it needs,
# and which libraries of the server.
# SIERRA_TEST_SECONDS: how long for each program (default 10); SIERRA_TEST_CORPUS: a directory that
# keeps what was found interesting, with one directory for each program.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename);
use FindBin;
use IPC::Run qw(run);
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{SIERRA_TEST_SECONDS} // 10;
my $root    = abs_path("$FindBin::Bin/../..");
my $work    = PostgreSQL::Test::Utils::tempdir;
my @flags   = ('-g', '-O1', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined', '-D_GNU_SOURCE');

sub command_output {
    my $out = '';
    return run(\@_, '>', \$out, '2>&1') ? $out : undef;
}

# A compiler with libFuzzer; Debian has the library in a package of its own.
sub find_compiler {
    append_to_file("$work/empty.c", "#include <stddef.h>\nint LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) { return 0; }\n");
    foreach my $compiler (qw(clang clang-14 clang-19 clang-16)) {
        return $compiler if defined eval { command_output($compiler, @flags, "$work/empty.c", '-o', "$work/empty") };
    }
    return;
}

my $libraries = eval { command_output(qw(pkg-config --cflags --libs libevent)) };
plan skip_all => 'libevent is missing' unless defined $libraries;
my $compiler = find_compiler();
plan skip_all => 'no clang with libFuzzer (Debian: clang, libclang-rt-14-dev)' unless defined $compiler;
my %place = map { $_ => `pg_config --$_` =~ s/\s+$//r } qw(includedir includedir-server libdir pkglibdir);
my @headers = map { "-I$_" } "$root/gateway", @place{qw(includedir-server includedir)};

# The files that a source names in its head.
sub named_files {
    my ($source, $what) = @_;
    return slurp_file($source) =~ /^ \* $what: (.*)$/m ? split(' ', $1) : ();
}

# A library for programs, where it is.
sub find_library {
    my ($name) = @_;
    return (grep { -e } map { "$place{$_}/$name" } qw(pkglibdir libdir))[0];
}

foreach my $source (glob "$root/test/fuzz/gateway_*.c") {
    my $name = basename($source, '.c');
    my @files = map { "$root/gateway/$_" } named_files($source, 'sources') or die "$source does not say what it needs";
    my @server = map { find_library($_) } named_files($source, 'server');
  SKIP: {
        skip "$name: libraries of the server are missing", 1 if grep { !defined } @server;
        fuzz($name, $source, @files, @server);
    }
}

sub fuzz {
    my ($name, @sources) = @_;
    my $errors = '';
    ok(run([ $compiler, @flags, @headers, @sources, split(' ', $libraries), '-o', "$work/$name" ], '2>', \$errors), "$name is compiled")
      or diag($errors);
    my $corpus = ($ENV{SIERRA_TEST_CORPUS} // $work) . "/$name.corpus";
    mkdir $corpus;
    my $out = '';
    local $ENV{UBSAN_OPTIONS} = 'print_stacktrace=1';
    my $well = run([ "$work/$name", "-max_total_time=$seconds", '-max_len=3000', '-timeout=30', '-rss_limit_mb=2048', "-dict=$root/test/fuzz/gateway.dict",
            "-artifact_prefix=$PostgreSQL::Test::Utils::log_path/$name.", $corpus ], '>', \$out, '2>&1');
    ok($well, "$name finds nothing") or diag(substr $out, -4000);
    my ($runs) = $out =~ /^Done (\d+) runs/m;
    cmp_ok($runs // 0, '>', 1000, "$name has run often") and note("$name: $runs runs");
    return;
}

done_testing();
