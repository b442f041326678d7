# What reads the bytes of clients in the gateway gets millions of wrong ones, by libFuzzer, with
# ASan and UBSan; so do the commands, with a store that is not there.  Each program of
# test/fuzz/gateway_*.c says which files of the gateway it needs (or wings, without some files), which
# libraries of the server, and which packages of pkg-config.
# SIERRA_TEST_SECONDS: how long for each program (default 10); SIERRA_TEST_CORPUS: a directory that
# keeps what was found interesting, with one directory for each program.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(basename);
use FindBin;
use IPC::Run qw(finish run start);
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = $ENV{SIERRA_TEST_SECONDS} // 10;
my $root    = abs_path("$FindBin::Bin/../..");
my $work    = PostgreSQL::Test::Utils::tempdir;
my @flags   = ('-gline-tables-only', '-O1', '-fsanitize=fuzzer,address,undefined', '-fno-sanitize-recover=undefined', '-D_GNU_SOURCE', '-DSIERRA_VERSION="0"');

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
    return map { split ' ' } slurp_file($source) =~ /^ \* $what: (.*)$/mg;
}

# A file of a wing or of test/fuzz; or all of a wing.
sub find_sources {
    my ($source) = @_;
    my %without = map { $_ => 1 } named_files($source, 'without');
    my @names   = map { -d "$root/gateway/$_" ? map { s,^\Q$root\E/gateway/,,r } glob "$root/gateway/$_/*.c" : $_ } named_files($source, 'sources');
    return map { m,/, ? "$root/gateway/$_" : "$root/test/fuzz/$_" } grep { !$without{$_} } @names;
}

# A library for programs, where it is.
sub find_library {
    my ($name) = @_;
    return (grep { -e } map { "$place{$_}/$name" } qw(pkglibdir libdir))[0];
}

# A program of its own directory, which is being compiled; or the reason why it cannot be.
sub begin_program {
    my ($source)  = @_;
    my $name      = basename($source, '.c');
    my %program   = (name => $name, errors => '');
    my @sources   = find_sources($source) or die "$source does not say what it needs";
    my @server    = map { find_library($_) } named_files($source, 'server');
    my @packages  = named_files($source, 'packages');
    my $libraries = eval { command_output(qw(pkg-config --cflags --libs libevent), @packages) };
    $program{count} = @sources;
    if (grep { !defined } $libraries, @server) {
        $program{missing} = "$name: libraries are missing";
        return \%program;
    }
    $program{run} = start([ $compiler, @flags, @headers, $source, @sources, @server, split(' ', $libraries), '-o', "$work/$name" ], '2>', "$work/$name.errors");
    return \%program;
}

# How the gateway is set, the mood of the store, and its first number: see gateway_commands.c.
my @settings = ('@0a', 'A1b', 'B0c', 'T1d', '`2e', '@3f', 'H1g', '@1h', '!1j', "\xc00i", "\xc21k", "\xc01h");

# Each line of a file with seeds, in each of the settings.
sub write_seeds {
    my ($name) = @_;
    my $number = 0;
    return unless -e "$root/test/fuzz/$name.seeds";
    mkdir "$work/$name.seeds";
    foreach my $line (split /\n/, slurp_file("$root/test/fuzz/$name.seeds")) {
        append_to_file("$work/$name.seeds/" . $number++, "$_$line") foreach @settings;
    }
    return "$work/$name.seeds";
}

sub begin_fuzzing {
    my ($program) = @_;
    my $name = $program->{name};
    ok(finish($program->{run}), "$name is compiled") or diag(slurp_file("$work/$name.errors"));
    my $corpus = ($ENV{SIERRA_TEST_CORPUS} // $work) . "/$name.corpus";
    mkdir $corpus;
    $program->{run} = start([ "$work/$name", "-max_total_time=$seconds", '-max_len=3000', '-timeout=60', '-rss_limit_mb=2048', "-dict=$root/test/fuzz/gateway.dict",
            "-artifact_prefix=$PostgreSQL::Test::Utils::log_path/$name.", $corpus, write_seeds($name) ], '>', "$work/$name.out", '2>&1');
    return;
}

sub end_fuzzing {
    my ($program) = @_;
    my $name = $program->{name};
    my $well = finish($program->{run});
    my $out  = slurp_file("$work/$name.out");
    ok($well, "$name finds nothing") or diag(substr $out, -6000);
    my ($runs) = $out =~ /^Done (\d+) runs/m;
    cmp_ok($runs // 0, '>', 500, "$name has run often") and note("$name: $runs runs");
    return;
}

# Side by side; the largest begins to run when the others are about to end.
my @programs = sort { $a->{count} <=> $b->{count} } map { begin_program($_) } glob "$root/test/fuzz/gateway_*.c";
local $ENV{UBSAN_OPTIONS} = 'print_stacktrace=1';
begin_fuzzing($_) foreach grep { $_->{run} } @programs;
end_fuzzing($_)   foreach grep { $_->{run} } @programs;
foreach my $program (grep { $_->{missing} } @programs) {
  SKIP: { skip $program->{missing}, 3; }
}

done_testing();
