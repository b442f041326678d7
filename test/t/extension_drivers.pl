# Drivers send parameters without a type, as text.  A call must mean the same then
# as with the values written into it, prepared by the server or by the driver.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;

my $node = new_server('drivers');
create_store($node, 32);
my $dbh = connect_to($node);
$dbh->do(q{SELECT count(*) FROM generate_series(1, 500) AS n, eappend('stream-' || n, 'Happened')});

# The key 5 leads to another partition than that of number 5.
my $of_key = one_value($dbh, q{SELECT sierra_partition_id(sierra_partition_key('5'), 32)});
isnt($of_key, 5, 'the key 5 is not in partition 5');

foreach my $prepared (0, 1) {
    my $by = $prepared ? 'prepared by the server' : 'prepared by the driver';
    $dbh->{pg_server_prepare} = $prepared;
    $dbh->{pg_switch_prepared} = 1 if $prepared;
    my $scan = $dbh->prepare('SELECT count(*), min(partition_id), max(partition_id) FROM epscan($1)');
    my $last = $dbh->prepare('SELECT epseq($1)');
    my ($events, $sequences) = (0, 0);
    my @elsewhere;
    foreach my $partition (0 .. 31) {
        my ($count, $min, $max) = $dbh->selectrow_array($scan, undef, $partition);
        my ($sequence) = $dbh->selectrow_array($last, undef, "$partition");
        push @elsewhere, "epscan($partition) read partitions $min to $max" if $count && ($min != $partition || $max != $partition);
        $events    += $count;
        $sequences += ($sequence // -1) + 1;
    }
    no_complaints(\@elsewhere, "$by: each call reads the partition that it names");
    is($events,    500, "$by: epscan() reads all events");
    is($sequences, 500, "$by: epseq() knows all events");
    is(one_value($dbh, 'SELECT min(partition_id) FROM epscan(partition_key => $1)', '5'), $of_key, "$by: a key has its name");
    ok(!eval { $dbh->selectrow_array($scan, undef, 'stream-1'); 1 }, "$by: a key is not taken for a partition");
    like($@, qr/invalid input syntax for type integer: "stream-1"/, "$by: and the error says so");
}
$dbh->disconnect;
$node->stop;
done_testing();
