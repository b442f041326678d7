# SierraReader.pm
#     A session that follows a store page by page while others append, and the
#     log of what it saw.  In the end it must have seen every event exactly
#     once and in order.

package SierraReader;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use SierraTest;
use Time::HiRes qw(sleep time);

# The kinds of reading.  tracks: the lists that a reader follows.  page: the
# events of a track after a cursor, as rows of cursor and event id.  expected:
# what a track must have shown, from the tables.
my %kinds = (

    # the whole store
    all => {
        tracks   => sub { 'all' },
        page     => 'SELECT global_position, event_id FROM eall(?, ?)',
        values   => sub { @_[ 1, 2 ] },
        expected => 'SELECT global_position, event_id FROM es.events ORDER BY 1',
    },

    # the same through snapshots that get old while it reads several pages
    snapshot => {
        tracks    => sub { 'all' },
        isolation => 'REPEATABLE READ',
        page      => 'SELECT global_position, event_id FROM eall(?, ?)',
        values    => sub { @_[ 1, 2 ] },
        expected  => 'SELECT global_position, event_id FROM es.events ORDER BY 1',
    },

    # some streams
    filtered => {
        tracks   => sub { 'all' },
        page     => q{SELECT global_position, event_id FROM eall(?, ?, '{shared-*}')},
        values   => sub { @_[ 1, 2 ] },
        expected => q{SELECT global_position, event_id FROM es.events
                       WHERE stream_id LIKE 'shared-%' ORDER BY 1},
    },

    # every partition
    partitions => {
        tracks => sub {
            @{
                $_[0]->selectcol_arrayref(
                    q{SELECT row_number() OVER () - 1 FROM pg_inherits
                       WHERE inhparent = 'es.events'::regclass})
            };
        },
        page => 'SELECT partition_sequence, event_id
                   FROM epscan(?::integer, ?::bigint + 1, max_count => ?)',
        values   => sub { @_ },
        dense    => 1,
        expected => 'SELECT partition_sequence, event_id FROM es.events
                      WHERE partition_id = ? ORDER BY 1',
    },

    # streams, shared-0 and on
    streams => {
        tracks => sub { map { "shared-$_" } 0 .. 7 },
        page   => 'SELECT stream_version, event_id FROM escan(?, ?::bigint + 1, max_count => ?)',
        values => sub { @_ },
        dense  => 1,
        expected => 'SELECT stream_version, event_id FROM es.events
                      WHERE stream_id = ? ORDER BY 1',
    },
);

# Options: dsn; kind, as above; seed.
sub new {
    my ($class, %options) = @_;
    my $self = bless { seed => 1, %options }, $class;
    $self->{log} = PostgreSQL::Test::Utils::tempdir() . "/$self->{kind}.log";
    return $self;
}

sub kinds { return sort keys %kinds; }

sub start {
    my ($self) = @_;
    $self->{pid} = fork_process(sub { $self->run });
    return $self;
}

# Lets the reader read to the end of the store, when no session appends any
# more; true if there was no error.
sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{pid};
    return wait_for_process(delete $self->{pid});
}

sub run {
    my ($self) = @_;
    my $kind      = $kinds{ $self->{kind} };
    my $finishing = 0;
    local $SIG{TERM} = sub { $finishing = 1 };
    srand $self->{seed};
    open $self->{out}, '>', $self->{log} or die "cannot write $self->{log}: $!";
    $self->{out}->autoflush(1);
    $self->connect;

    for (;;) {
        my $last_round = $finishing;
        my $seen       = eval { $self->read_round($kind) };
        if (defined $seen) {
            last if $last_round && !$seen;
            sleep 0.005 unless $seen;
            next;
        }
        if (!connection_is_lost($self->{dbh})) {
            $self->complain("$@");
            die $@;
        }
        $self->connect;
    }
    return;
}

# Connects, also again to a server that is just recovering.
sub connect {
    my ($self) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    until (
        eval {
            $self->{dbh} = connect_to($self->{dsn});
            $self->{dbh}->do("SET application_name = 'sierra reader'");
        })
    {
        die "cannot connect: $@" if time > $deadline;
        sleep 0.05;
    }
    return;
}

# A page of each track, or some pages in one transaction; returns how many
# events that were.
sub read_round {
    my ($self, $kind) = @_;
    my $dbh  = $self->{dbh};
    my $seen = 0;
    $dbh->do("BEGIN ISOLATION LEVEL $kind->{isolation}") if $kind->{isolation};
    for (1 .. ($kind->{isolation} ? 1 + int rand 4 : 1)) {
        for my $track ($kind->{tracks}->($dbh)) {
            $seen += $self->read_page($kind, $track);
        }
    }
    $dbh->do('COMMIT') if $kind->{isolation};
    return $seen;
}

sub read_page {
    my ($self, $kind, $track) = @_;
    my $cursor = $self->{cursor}{$track} // -1;
    my $limit  = 1 + int rand 300;
    my $rows   = $self->{dbh}->selectall_arrayref($kind->{page}, undef, $kind->{values}->($track, $cursor, $limit));
    my $lines  = sprintf "# %.3f %s after %d, %d wanted\n", time, $track, $cursor, $limit;
    $lines = '' if !@$rows;
    for my $row (@$rows) {
        $self->complain("$track: $row->[0] after $cursor")
          if $kind->{dense} ? $row->[0] != $cursor + 1 : $row->[0] <= $cursor;
        $cursor = $row->[0];
        $lines .= "$track\t$row->[0]\t$row->[1]\n";
    }
    print { $self->{out} } $lines;
    $self->{cursor}{$track} = $cursor;
    return scalar @$rows;
}

sub complain {
    my ($self, $complaint) = @_;
    $complaint =~ s/\s+/ /g;
    print { $self->{out} } "complaint: $complaint\n";
    return;
}

# How the log differs from what the store holds.
sub complaints {
    my ($self, $dbh) = @_;
    my $kind = $kinds{ $self->{kind} };
    my (@complaints, %seen);
    for my $line (split /\n/, slurp_file($self->{log})) {
        if ($line =~ /^complaint: (.*)/) { push @complaints, "reader $self->{kind}: $1"; next }
        next if $line =~ /^#/;
        my ($track, $row) = split /\t/, $line, 2;
        push @{ $seen{$track} }, $row;
    }
    for my $track ($kind->{tracks}->($dbh)) {
        my $stored = $dbh->selectall_arrayref($kind->{expected}, undef,
            $kind->{expected} =~ /\?/ ? $track : ());
        push @complaints, map { "reader $self->{kind}, $track: $_" }
          different_lists($seen{$track} // [], [ map { join "\t", @$_ } @$stored ]);
    }
    return @complaints;
}

sub different_lists {
    my ($seen, $stored) = @_;
    my %times;
    $times{$_}++ for @$seen;
    my @different = map { "saw $_ $times{$_} times" } grep { $times{$_} > 1 } sort keys %times;
    push @different, map { "never saw $_" } grep { !delete $times{$_} } @$stored;
    push @different, map { "saw $_, which is not there" } sort keys %times;
    push @different, 'saw the events in another order'
      if !@different && join("\n", @$seen) ne join("\n", @$stored);
    return @different;
}

1;
