# All events of one call get contiguous global positions, whatever their
# partitions: no event of another call is between them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;

my $node = new_server('contiguous');
create_store($node, 8);

# Each session writes partitions that no other one writes, so that all are at it at once.
my @pids = map {
    my $session = $_;
    fork_process(sub {
        my $dbh = connect_to($node);
        $dbh->do('SET synchronous_commit = off');
        for (1 .. 15) {
            $dbh->do(q{SELECT count(*) FROM emappend(NULL, array_fill('stream-' || $1, ARRAY[1500]), array_fill('Of ' || $1, ARRAY[1500]))}, undef, $session);
        }
        $dbh->disconnect;
    });
} qw(0 1 2 3 4 5);
is(scalar(grep { !wait_for_process($_) } @pids), 0, 'all sessions ended well');

my $dbh = connect_to($node);
is(one_value($dbh, 'SELECT count(*) FROM es.events'), 6 * 15 * 1500, 'all events are there');
my $split = all_rows($dbh, q{
    SELECT transaction_id, min(global_position) AS first, max(global_position) AS last, count(*) AS events
      FROM es.events GROUP BY 1 HAVING max(global_position) - min(global_position) + 1 <> count(*)});
no_complaints([ map {"$_->{events} events have positions $_->{first} to $_->{last}"} @$split ], 'contiguous: the positions of each call');
store_is_sound($dbh, 'after all');

done_testing();
