# durable, gapless: acknowledged appends survive kill -9 of the server under
# load, with the numbers of their acknowledgement, and leave no gaps.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraLoad;
use SierraTest;
use Test::More;

my $node = new_server('durable');
create_store($node, 8);

my @loads;

sub everything_is_there {
    my ($when) = @_;
    my $dbh = connect_to($node);
    no_complaints([ map { $_->complaints($dbh) } @loads ],
        "durable: $when, every acknowledged append is there with its numbers");
    store_is_sound($dbh, $when);
    append_continues($dbh, [ SierraLoad->streams ], "gapless: $when, appends continue the numbers");
    $dbh->disconnect;
    return;
}

# The whole server at once.
for my $round (1 .. 3) {
    my $load = SierraLoad->new(dsn => dsn_of($node), sessions => 4, seed => $round)->start;
    push @loads, $load;
    $load->wait_for(300);
    kill_everything($node);
    ok($load->wait, "round $round: the sessions saw the server die");
    start_again($node);
    everything_is_there("after crash $round");
}

# One backend: the server ends all others and recovers by itself.  The sessions
# connect again and repeat the calls whose result they do not know.
my $load = SierraLoad->new(dsn => dsn_of($node), sessions => 4, seed => 4, reconnect => 1)->start;
push @loads, $load;
for my $round (1 .. 4) {
    $load->wait_for(100);
    my $dbh     = connect_to($node);
    my $started = one_value($dbh, 'SELECT pg_postmaster_start_time()');
    my $pid     = one_value($dbh,
        q{SELECT pid FROM pg_stat_activity WHERE application_name = 'sierra load'
          ORDER BY state = 'active' DESC, pid LIMIT 1});
    kill 'KILL', $pid;
    wait_until('the killed backend takes the others along', sub { !$dbh->ping });
    # Not by psql: IPC::Run dies when psql ends before it has read its input.
    wait_until('the server has recovered', sub { eval { connect_to($node)->disconnect; 1 } });
}
ok($load->stop, 'the sessions continue after backends were killed');
everything_is_there('after kills of single backends');

done_testing();
