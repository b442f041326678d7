# gapless, commit_order: a prepared append keeps its partitions and holds back
# readers of the whole store, also through a crash, until it is committed or
# rolled back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;

my $node = new_server('prepared');
create_store($node, 4);

# A stream for each partition.
my @stream;
{
    my $dbh = connect_to($node);
    $stream[$_] = one_value($dbh, q{SELECT 'stream-' || i FROM generate_series(1, 1000) AS i
          WHERE sierra_partition_id(sierra_stream_key('stream-' || i), 4) = $1 LIMIT 1}, $_)
      for 0 .. 3;
    $dbh->disconnect;
}

sub append {
    my ($dbh, @streams) = @_;
    return all_rows($dbh, q{SELECT * FROM emappend(NULL, $1::text[], array_fill('e'::text, ARRAY[$2::integer]))},
        \@streams, scalar @streams);
}

sub ids { return join ' ', map { $_->{event_id} } @_ }

# What must hold while the events of @held are prepared, and @seen is what
# eall() returns beside them.
sub is_held {
    my ($when, $held, $seen) = @_;
    subtest "prepared appends, $when" => sub {
        my $dbh = connect_to($node);
        $dbh->do('SET lock_timeout = 50');
        for my $event (@$held) {
            is(sqlstate_of($dbh, 'SELECT * FROM eappend($1, $2)', $event->{stream_id}, 'e'),
                '55P03', "partition $event->{partition_id} is locked");
            is(one_value($dbh, 'SELECT esver($1)', $event->{stream_id}),
                $event->{stream_version} > 0 ? $event->{stream_version} - 1 : undef,
                'the stream does not show the event');
            is(one_value($dbh, 'SELECT epseq($1::integer)', $event->{partition_id}),
                $event->{partition_sequence} > 0 ? $event->{partition_sequence} - 1 : undef,
                'nor does the partition');
        }
        is(ids(@{ all_rows($dbh, 'SELECT * FROM eall()') }), ids(@$seen),
            'commit_order: eall() stops before them');
        is(one_value($dbh, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1509}),
            scalar @$held, 'the locks can be seen');
        $dbh->disconnect;
    };
    return;
}

# One way to end a prepared append, with or without crashes before and between.
sub try_ending {
    my ($ending, $crashes) = @_;
    my $how = $ending . ($crashes ? ' after a crash' : '');
    my $dbh = connect_to($node);

    append($dbh, @stream);
    my $before = all_rows($dbh, 'SELECT * FROM eall(max_count => NULL)');
    $dbh->begin_work;
    my $held = append($dbh, @stream[ 0, 2 ]);
    $dbh->do(q{PREPARE TRANSACTION 'held'});
    $dbh->disconnect;
    is_held("prepared ($how)", $held, $before);

    if ($crashes) {
        kill_everything($node);
        start_again($node);
        is_held('crashed', $held, $before);
    }

    # Other sessions continue beside it; a reader that follows the whole store
    # sees their events later.
    $dbh = connect_to($node);
    my $beside = append($dbh, @stream[ 1, 3, 1 ]);
    is_held("beside others ($how)", $held, $before);
    is(one_value($dbh, 'SELECT esver($1)', $stream[1]), $beside->[2]{stream_version},
        'no_stall: streams of other partitions continue');
    is(one_value($dbh, 'SELECT epseq(3)'), $beside->[1]{partition_sequence}, 'so do other partitions');

    if ($crashes) {
        kill_everything($node);
        start_again($node);
        $dbh = connect_to($node);
        is_held('crashed again', $held, $before);
    }

    $dbh->do("$ending 'held'");
    my @expected = (@$before, $ending eq 'COMMIT PREPARED' ? @$held : (), @$beside);
    is(ids(@{ all_rows($dbh, 'SELECT * FROM eall(max_count => NULL)') }), ids(@expected),
        "commit_order: eall() returns everything in order ($how)");
    if ($ending eq 'COMMIT PREPARED') {
        is_deeply(
            [ map { [ @$_{qw(stream_version partition_sequence global_position)} ] }
              map { @{ all_rows($dbh, 'SELECT * FROM eget($1)', $_->{event_id}) } } @$held ],
            [ map { [ @$_{qw(stream_version partition_sequence global_position)} ] } @$held ],
            'durable: the events have the numbers they were given'
        );
    }
    append_continues($dbh, \@stream, "gapless: $how, appends continue");
    store_is_sound($dbh, $how);
    $dbh->disconnect;
    return;
}

for my $crashes (0, 1) {
    try_ending($_, $crashes) for 'COMMIT PREPARED', 'ROLLBACK PREPARED';
}

# A session that waits for a prepared append continues after it.
my $dbh = connect_to($node);
$dbh->begin_work;
my $held = append($dbh, $stream[0])->[0];
$dbh->do(q{PREPARE TRANSACTION 'held'});
my $waiter = fork_process(
    sub {
        my $session = connect_to($node);
        $session->do(q{SET application_name = 'waiter'});
        append($session, $stream[0])->[0]{stream_version} == $held->{stream_version} + 1
          or die 'wrong version';
    });
wait_until('the other session waits', sub {
    one_value($dbh, q{SELECT count(*) FROM pg_stat_activity
                       WHERE application_name = 'waiter' AND wait_event_type = 'Lock'})
});
$dbh->do(q{COMMIT PREPARED 'held'});
ok(wait_for_process($waiter), 'gapless: an append that waited takes the next number');
store_is_sound($dbh, 'after the wait');

done_testing();
