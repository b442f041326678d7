# A read up to a position that ehead() has returned finds all events up to it, also on a server
# without shared memory, where a writer that has not written yet holds the horizon back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node = new_server('reached');
create_store($node, 2);
my $dbh = connect_to($node);

# Positions 0, 1 and 2, of which the first partition has only the first.
my ($old, $new) = map {
    my $partition = $_;
    one_value($dbh, q{SELECT 'stream-' || min(n) FROM generate_series(1, 50) AS n WHERE sierra_partition_id(sierra_stream_key('stream-' || n), 2) = $1}, $partition);
} 0, 1;
$dbh->do(q{SELECT eappend($1, 'Happened', tags => '{t}')}, undef, $_) for $old, $new, $new;
is(one_value($dbh, 'SELECT ehead()'), 2, 'a reader is told that it can read up to position 2');

# The writer has its lock and its position, and waits before it writes its row.
$dbh->do($_) for q{CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NEW; END$$},
  q{CREATE TRIGGER slow BEFORE INSERT ON es.events FOR EACH ROW WHEN (NEW.event_name = 'Slow') EXECUTE FUNCTION slow()},
  'SELECT pg_advisory_lock(42)';
my $writer = fork_process(sub {
    my $session = connect_to($node);
    $session->do(q{SELECT eappend($1, 'Slow', tags => '{t}')}, undef, $old);
    $session->disconnect;
});
wait_until('the writer waits', sub { one_value($dbh, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted}) });
is(one_value($dbh, 'SELECT ehead()'), 0, 'the horizon is lower meanwhile');

my @reads = (
    q{SELECT count(*) FROM equery('[{"tags": ["t"]}]', to_position => 2)},
    q{SELECT count(*) FROM equery(NULL, to_position => 2)},
    q{SELECT count(*) FROM equery('[{"tags": ["t"]}]', 3, backward => true)},
    q{SELECT count(*) FROM eall(3, backward => true)},
);

# Each reader writes what it finds to a file.
my $directory = PostgreSQL::Test::Utils::tempdir;
my @readers   = map {
    my $n = $_;
    fork_process(sub {
        my $session = connect_to($node);
        $session->do(q{SET application_name = 'reader'});
        append_to_file("$directory/$n", one_value($session, $reads[$n]));
        $session->disconnect;
    });
} 0 .. $#reads;
wait_until('the readers wait for the writer, or have their answer', sub {
    one_value($dbh, q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'reader' AND wait_event_type = 'Extension'})
      + (grep { -s "$directory/$_" } 0 .. $#reads) == @reads;
});
is(one_value($dbh, 'SELECT count(*) FROM equery(NULL, to_position => 100)'), 1, 'a position that was never reached is not waited for');
$dbh->do('SELECT pg_advisory_unlock(42)');
ok(wait_for_process($writer), 'the writer has written');
for my $n (0 .. $#reads) {
    wait_for_process($readers[$n]);
    is(slurp_file("$directory/$n"), 3, "all events up to position 2: $reads[$n]");
}
is(one_value($dbh, 'SELECT ehead()'), 3, 'and the writer has written behind them');

# A reader that holds the lock for which the writer waits would wait for itself.
$dbh->do('SELECT pg_advisory_lock(42)');
$dbh->do(q{SELECT eappend($1, 'Happened')}, undef, $new);
$writer = fork_process(sub {
    my $session = connect_to($node);
    $session->do(q{SELECT eappend($1, 'Slow')}, undef, $old);
    $session->disconnect;
});
wait_until('the writer waits again', sub { one_value($dbh, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42 AND NOT granted}) });
$dbh->do(q{SET deadlock_timeout = '10ms'});
is(sqlstate_of($dbh, $_), '40P01', "a deadlock is found: $_") for 'SELECT count(*) FROM equery(NULL, to_position => 4)', 'SELECT count(*) FROM eall(5, backward => true)';
$dbh->do('SELECT pg_advisory_unlock(42)');
ok(wait_for_process($writer), 'the writer has written');

$dbh->disconnect;
done_testing();
