# gapless, byte_exact: a real history as input.  The changes of the files of a
# git repository, appended by several sessions at once, are read back unchanged.
#
# SIERRA_TEST_REPOSITORY names the repository, SIERRA_TEST_HISTORY is the
# maximum number of events that are read from it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraHistory;
use SierraTest;
use Test::More;

my $sessions   = 4;
my $repository = SierraHistory::repository($FindBin::Bin);
my $max        = $ENV{SIERRA_TEST_HISTORY} || 0;
my $history    = SierraHistory::events($repository, $max || 20_000);
my $files      = SierraHistory::files($repository);
my %streams;
push @{ $streams{ $_->{stream_id} } }, $_ for @$history;
note(sprintf '%d events, %d streams', scalar @$history, scalar keys %streams);

my $node = new_server('history');
create_store($node, 16, $_) for qw(shared_out contested);

sub session {
    my ($store) = @_;
    my $dbh = connect_to($node);
    $dbh->do("SET sierra_es.store = $store");
    return $dbh;
}

# Appends events in one call and returns the versions they got.
sub append {
    my ($dbh, @events) = @_;
    my @columns = map {
        my $name = $_;
        [ map { $_->{$name} } @events ]
    } qw(stream_id event_name payload metadata expected_version event_id timestamp);
    return $dbh->selectcol_arrayref(
        q{SELECT stream_version FROM emappend(NULL, $1, $2, $3::json[], $4::json[],
            $5::text[]::expected_version[], $6::uuid[], $7::timestamptz[])},
        undef, @columns);
}

# ---------------------------------------------------------------------------
# The streams are divided among the sessions: no append is refused.
# ---------------------------------------------------------------------------

my $next = 0;
my %owner = map { $_ => $next++ % $sessions } sort keys %streams;

sub append_owned {
    my ($session) = @_;
    my $dbh = session('shared_out');
    my @mine = grep { $owner{ $_->{stream_id} } == $session } @$history;
    while (my @batch = splice @mine, 0, 1 + int rand 40) {
        my $versions = append($dbh, @batch);
        die 'wrong versions' if "@$versions" ne join ' ', map { $_->{stream_version} } @batch;
    }
    return;
}

# ---------------------------------------------------------------------------
# All sessions want to append all events: a session that is late reads again.
# ---------------------------------------------------------------------------

sub append_contested {
    my ($session) = @_;
    my $dbh = session('contested');
    my ($won, $lost) = (0, 0);
    for my $stream (sort keys %streams) {
        my $events  = $streams{$stream};
        my $version = one_value($dbh, 'SELECT esver($1)', $stream) // -1;
        while ($version < $#$events) {
            my %event = %{ $events->[ $version + 1 ] };

            # With its id, an event that another session has appended would
            # count as done: so half of the streams have no ids.
            delete $event{event_id} if $owner{$stream} % 2;
            if (eval { append($dbh, \%event); 1 }) {
                $won++;
                $version++;
                next;
            }
            die $@ if $dbh->state ne 'SE001';
            $lost++;
            $version = one_value($dbh, 'SELECT esver($1)', $stream) // -1;
        }
    }
    append_to_file($node->basedir . "/conflicts", "$lost\n");
    return;
}

# ---------------------------------------------------------------------------
# Both stores, and the result
# ---------------------------------------------------------------------------

# An event as text; times as the server spells them.
sub as_text {
    my ($event, $with_id) = @_;
    return join "\x1f", map { my $bytes = $_; utf8::encode($bytes) if utf8::is_utf8($bytes); $bytes }
      @$event{ qw(stream_version event_name payload metadata), $with_id ? 'event_id' : () };
}

sub check_store {
    my ($store, $with_ids) = @_;
    my $dbh = session($store);
    my (@different, %state);
    for my $stream (sort keys %streams) {
        my $stored = all_rows($dbh, 'SELECT * FROM escan($1)', $stream);
        my $has_id = $with_ids || $owner{$stream} % 2 == 0;
        push @different, $stream
          if join("\x1e", map { as_text($_, $has_id) } @$stored) ne
          join("\x1e", map { as_text($_, $has_id) } @{ $streams{$stream} });
        push @different, "$stream: times"
          if one_value($dbh, q{SELECT bool_and(s."timestamp" = t.wanted)
                FROM escan($1) AS s JOIN unnest($2::timestamptz[]) WITH ORDINALITY AS t (wanted, n)
                  ON n = s.stream_version + 1}, $stream, [ map { $_->{timestamp} } @{ $streams{$stream} } ]) ne '1';
        my $last = $stored->[-1];
        $state{$stream} = decode_blob($last->{payload}) if $last && $last->{event_name} ne 'FileDeleted';
    }
    no_complaints(\@different, "byte_exact: every stream of $store reads back equal");
    is(one_value($dbh, 'SELECT count(*) FROM eall(max_count => NULL)'), scalar @$history,
        "eall() has every event of $store once");
    store_is_sound($dbh, "store $store", $store);
    is_deeply(\%state, $files, "the streams of $store fold to the files of the newest commit")
      unless $max || @$history >= 20_000;
    return;
}

sub decode_blob { return $_[0] =~ /"blob" : "([0-9a-f]+)"/ ? $1 : 'none' }

cmp_ok(scalar @$history, '>', 0, 'the repository has a history');
for my $way ([ shared_out => \&append_owned, 1 ], [ contested => \&append_contested, 0 ]) {
    my ($store, $append, $with_ids) = @$way;
    my @pids = map { my $session = $_; fork_process(sub { $append->($session) }) } 0 .. $sessions - 1;
    is(scalar(grep { wait_for_process($_) } @pids), $sessions, "$sessions sessions append to $store");
    check_store($store, $with_ids);
}
my $conflicts = 0;
$conflicts += $_ for split /\n/, slurp_file($node->basedir . '/conflicts');
note("$conflicts conflicts");
cmp_ok($conflicts, '>', 0, 'the sessions did run into each other');

done_testing();
