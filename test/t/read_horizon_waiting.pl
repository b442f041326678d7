# no_stall: an append in flight holds readers back only from what it may still write.
# The newest event of its partition may be old; that does not bound the newer events
# of other partitions.
# Among 4 partitions: a lives in 0, e in 1, d in 2, f in 3.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;

my $node = new_server('waiting');
$node->append_conf('postgresql.conf', <<'CONF');
max_prepared_transactions = 2
sierra_es.max_runners = 0
CONF
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF NEW.event_name = 'Held' THEN PERFORM pg_advisory_xact_lock(1509); END IF; RETURN NEW; END $$
SQL

sub readable {
    my ($dbh, $expected, $name) = @_;
    is(one_value($dbh, 'SELECT count(*) FROM eall(max_count => NULL)'), $expected, $name);
    return;
}

sub in_background {
    my (@statements) = @_;
    return fork_process(
        sub {
            my $dbh = connect_to($node);
            $dbh->do($_) for @statements;
            $dbh->disconnect;
        });
}

sub wait_for_waiter {
    my ($dbh, $name) = @_;
    wait_until($name, sub {
        one_value($dbh, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
    });
    return;
}

# Partition 0 is cold: it has position 0, and partition 1 the positions up to 1000.
sub make_store {
    my ($dbh) = @_;
    $dbh->do(q{SELECT create_event_store('es', 4)});
    $dbh->do(q{SELECT eappend('a', 'Cold')});
    $dbh->do(q{SELECT count(*) FROM emappend(NULL, array_fill('e'::text, ARRAY[1000]), array_fill('x'::text, ARRAY[1000]))});
    $dbh->do('CREATE TRIGGER hold BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION hold()');
    readable($dbh, 1001, 'all can be read');
    return;
}

# One holds partition 3; another one has locked 0, and waits for 3.
sub test_append_that_waits {
    my ($dbh, $holder) = @_;
    make_store($dbh);
    $holder->begin_work;
    $holder->do(q{SELECT eappend('f', 'x')});
    my $pid = in_background(q{SELECT count(*) FROM emappend(NULL, ARRAY['a', 'f'], ARRAY['x', 'x'])});
    wait_for_waiter($dbh, 'an append waits for its second partition');
    readable($dbh, 1001, 'no_stall: eall() reads all that is committed');
    is(one_value($dbh, 'SELECT ehead()'), 1000, 'no_stall: ehead() is that of the last');
    $dbh->do(q{SELECT esub('s', start_from => '990')});
    is(one_value($dbh, q{SELECT count(*) FROM enext('s')}), 10, 'no_stall: enext() too');

    # What is appended meanwhile is above what the holder has written, which can still be rolled back.
    $dbh->do(q{SELECT eappend('d', 'After')});
    readable($dbh, 1001, 'commit_order: nothing beyond an append in flight');
    $holder->commit;
    ok(wait_for_process($pid), 'it continues');
    readable($dbh, 1005, 'all can be read again');
    store_is_sound($dbh, 'after an append that waited');
    $dbh->do(q{SELECT drop_event_store('es', force => true)});
    return;
}

# run_timers() locks the partitions of all its streams before its first event.
sub test_timers_that_wait {
    my ($dbh, $holder) = @_;
    make_store($dbh);
    $dbh->do(q{SELECT eschedule(now(), s, 'Rang') FROM unnest(ARRAY['a', 'f']) AS s});
    $holder->begin_work;
    $holder->do(q{SELECT eappend('f', 'x')});
    my $pid = in_background(q{SELECT run_timers()});
    wait_for_waiter($dbh, 'timers wait for their second partition');
    readable($dbh, 1001, 'no_stall: they hold nobody back');
    $holder->commit;
    ok(wait_for_process($pid), 'they continue');
    readable($dbh, 1004, 'all can be read again');
    $dbh->do(q{SELECT drop_event_store('es', force => true)});
    return;
}

# A trigger holds an append up after it has taken its position.  Readers know how far
# they may read from its announcement, for which the library must be preloaded.
# Without that, they get no further than the cold partition, and still skip nothing.
sub test_append_held_up {
    my ($dbh, $holder, $preloaded, $name, @before) = @_;
    make_store($dbh);
    $dbh->do(q{SELECT eappend('d', 'x')});
    $holder->begin_work;
    $holder->do('SELECT pg_advisory_xact_lock(1509)');
    my $pid = in_background(@before, q{SELECT eappend('a', 'Held')}, 'COMMIT');
    wait_for_waiter($dbh, "$name: a trigger holds an append up");
    readable($dbh, $preloaded ? 1002 : 1, "$name: readers get up to what it announced, if they can know");
    $dbh->do(q{SELECT eappend('d', 'After')});
    readable($dbh, $preloaded ? 1002 : 1, "$name: commit_order: nothing above its position");
    $holder->commit;
    ok(wait_for_process($pid), "$name: it continues");
    readable($dbh, 1004, "$name: all can be read again");
    store_is_sound($dbh, $name);
    $dbh->do(q{SELECT drop_event_store('es', force => true)});
    return;
}

# The locks of what was rolled back, or ended by an error, hold nobody back.
sub test_append_undone {
    my ($dbh, $holder) = @_;
    make_store($dbh);
    $holder->do($_) for 'BEGIN', 'SAVEPOINT s', q{SELECT eappend('a', 'x')};
    readable($dbh, 1001, 'an append that is last is not seen');
    $dbh->do(q{SELECT eappend('d', 'After')});
    readable($dbh, 1001, 'commit_order: it holds back what is above');
    $holder->do('ROLLBACK TO s');
    readable($dbh, 1002, 'no_stall: after a rollback to a savepoint it does not');

    # The transaction announces nothing new, but its lowest position still holds.
    $holder->do(q{SELECT eappend('e', 'x')});
    readable($dbh, 1002, 'commit_order: nor does its next one hold back what is below');
    $holder->do(q{PREPARE TRANSACTION 'waiting'});
    $holder->do(q{SELECT eappend('d', 'Next')});
    readable($dbh, 1002, 'commit_order: a prepared transaction holds back what is above it');
    $holder->do(q{COMMIT PREPARED 'waiting'});
    readable($dbh, 1004, 'all can be read again');

    $holder->begin_work;
    $holder->do('SELECT pg_advisory_xact_lock(1509)');
    my $pid = fork_process(sub { eval { connect_to($node)->do(q{SELECT eappend('a', 'Held')}) } and die 'not ended'; });
    wait_for_waiter($dbh, 'a trigger holds an append up');
    $dbh->do(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
    ok(wait_for_process($pid), 'its session is ended');
    readable($dbh, 1004, 'no_stall: it holds back nobody');
    $holder->rollback;
    store_is_sound($dbh, 'after all');
    $dbh->do(q{SELECT drop_event_store('es', force => true)});
    return;
}

for my $preloaded (0, 1) {
    $node->append_conf('postgresql.conf', $preloaded ? q{shared_preload_libraries = 'sierra_es'} : '');
    $node->restart;
    note($preloaded ? 'with the library preloaded' : 'without preloading');
    my ($dbh, $holder) = (connect_to($node), connect_to($node));
    test_append_that_waits($dbh, $holder);
    test_timers_that_wait($dbh, $holder);
    test_append_held_up($dbh, $holder, $preloaded, 'alone', 'BEGIN');
    test_append_held_up(
        $dbh, $holder, $preloaded, 'after a savepoint',
        'BEGIN', 'SAVEPOINT s', q{SELECT eappend('e', 'x')}, 'ROLLBACK TO s');
    test_append_undone($dbh, $holder);
    $_->disconnect for $dbh, $holder;
}

done_testing();
