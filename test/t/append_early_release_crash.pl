# early lock release: after a crash of the server under load, every acknowledged append to
# one hot stream is there, and so is every event that a reader saw, by its id.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node = new_server('crash');

# Each flush takes at least 20 ms, in which nothing is written: so there is always something
# that is visible in the table and would be lost.
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.early_lock_release = on
sierra_es.max_runners = 0
fsync = on
commit_delay = 20000
commit_siblings = 0
autovacuum = off
bgwriter_lru_maxpages = 0
checkpoint_timeout = 1h
wal_buffers = 16MB
CONF
$node->restart;
create_store($node, 4);
my $directory = PostgreSQL::Test::Utils::tempdir();

{
    my $dbh = connect_to($node);
    $dbh->do($_) for q{CREATE FUNCTION keep(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1'},
      q{SELECT create_aggregate('whole', 'keep(jsonb, sierra_event)')},
      q{SELECT esub('follower', ARRAY['hot'], start_from => 'earliest', window_size => 1000000)};
    $dbh->disconnect;
}

# A process that works until the server is gone; the code gets a session and writes lines.
sub work {
    my ($name, $code) = @_;
    return fork_process(
        sub {
            open my $out, '>>', "$directory/$name" or die "cannot write $name: $!";
            $out->autoflush(1);
            my $dbh = connect_to($node);
            my $write = sub { print {$out} join('', map { "$_\n" } @_) };
            eval { $code->($dbh, $write) while 1; 1 };
            die $@ unless connection_is_lost($dbh);
        });
}

sub append {
    my ($dbh, $write) = @_;
    $write->(one_value($dbh, q{SELECT event_id FROM eappend('hot', 'Happened')}));
    return;
}

# By its version: refused most of the time, and a refusal shows the current version.
sub append_by_version {
    my ($dbh, $write) = @_;
    my $id = eval { one_value($dbh, q{SELECT event_id FROM eappend('hot', 'Happened', expected_version => 0)}) };
    my ($version) = $@ =~ /current version (\d+)/ or die $@;
    $write->("version $version");
    return;
}

# Under a condition that excludes the newest events: a refusal shows the version of one.
sub append_by_condition {
    my ($dbh, $write) = @_;
    my $position  = one_value($dbh, 'SELECT last_value FROM es.global_position');
    my $after     = $position > 0 ? $position - 2 : -1;
    my $condition = sprintf '{"query": [{"types": ["Happened"]}], "after": %d}', $after;
    return if eval { one_value($dbh, q{SELECT event_id FROM eappend('cold', 'Decided', condition => $1)}, $condition); 1 };
    my ($version) = $@ =~ /version (\d+), name "Happened"/ or die $@;
    $write->("version $version");
    return;
}

# What a reader has read so far: a version or a position.
my $seen = -1;

sub ids_of {
    my ($statement) = @_;
    return sub {
        my ($dbh, $write) = @_;
        my $rows = $dbh->selectall_arrayref($statement, undef, $seen);
        $write->(map { $_->[0] } @$rows);
        $seen = $rows->[-1][1] if @$rows;
        return;
    };
}

sub version_of {
    my ($statement) = @_;
    return sub {
        my ($dbh, $write) = @_;
        my $version = one_value($dbh, $statement);
        $write->("version $version") if defined $version;
        return;
    };
}

my %readers = (
    escan  => ids_of(q{SELECT event_id, stream_version FROM escan('hot', $1::bigint + 1) ORDER BY 2}),
    epscan => ids_of(q{SELECT event_id, partition_sequence FROM epscan(partition_key => 'hot', from_sequence => $1::bigint + 1) ORDER BY 2}),
    eall   => ids_of(q{SELECT event_id, global_position FROM eall($1, 1000) ORDER BY 2}),
    enext  => ids_of(q{SELECT event_id, global_position FROM enext('follower', 1000, wait => '1 s', after => nullif($1, -1)) ORDER BY 2}),
    esver  => version_of(q{SELECT esver('hot')}),
    eload  => version_of(q{SELECT version FROM eload('whole', 'hot')}),
    refused => \&append_by_version,
);

# What readers flush is safe for all.  So these have rounds of their own, with more time
# between a commit and its flush.
my %refused = map { ("condition-$_" => \&append_by_condition) } 1 .. 3;

sub lines_of { my ($name) = @_; return -e "$directory/$name" ? split /\n/, slurp_file("$directory/$name") : () }

# What was shown to the client of this process, and is not there.
sub lost {
    my ($name, $stored, $last) = @_;
    return grep { /^version (\d+)/ ? $1 > $last : !$stored->{$_} } lines_of($name);
}

for my $round (1 .. 6) {
    my %now = $round <= 3 ? %readers : %refused;
    if ($round == 4) {
        $node->append_conf('postgresql.conf', 'commit_delay = 100000');
        $node->reload;
    }
    $seen = -1;
    my @pids = map { work("append-$_", \&append) } 1 .. 6;
    push @pids, map { work($_, $now{$_}) } sort keys %now;
    my $before = map { lines_of("append-$_") } 1 .. 6;
    wait_until(
        'events are appended, and all readers have seen some',
        sub {
            (map { lines_of("append-$_") } 1 .. 6) >= $before + ($round <= 3 ? 200 : 60) && !grep { !lines_of($_) } keys %now;
        });
    kill_everything($node);
    is(scalar(grep { !wait_for_process($_) } @pids), 0, "round $round: the sessions saw the server die");
    start_again($node);

    my $dbh    = connect_to($node);
    my %stored = map { $_ => 1 } @{ $dbh->selectcol_arrayref('SELECT event_id FROM es.events') };
    my $last   = one_value($dbh, q{SELECT max(stream_version) FROM es.events WHERE stream_id = 'hot'});
    no_complaints([ map { lost("append-$_", \%stored, $last) } 1 .. 6 ], "durable: round $round, every acknowledged event is there");
    for my $reader (sort keys %now) {
        cmp_ok(scalar(lines_of($reader)), '>', 0, "round $round: $reader saw something");
        no_complaints([ lost($reader, \%stored, $last) ], "round $round: what $reader saw is there");
    }
    store_is_sound($dbh, "round $round");
    append_continues($dbh, ['hot'], "gapless: round $round, appends continue the numbers");
    $dbh->disconnect;
}

done_testing();
