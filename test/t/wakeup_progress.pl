# Calls that take long show how far they are, while they run.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node = new_server('progress');
create_store($node, 4);
my $dbh = connect_to($node);
# It looks, outside of the transactions of the other: these keep what they have seen of pg_stat_activity.
my $look = connect_to($node);
$dbh->do(q{SELECT emappend(NULL, array_fill('a'::text, '{50}'), array_fill('Happened'::text, '{50}'))});
# A handler that waits before the last event, until nobody else holds the lock.
$dbh->do(q{CREATE FUNCTION counts(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF event.global_position = 49 THEN PERFORM pg_advisory_xact_lock(1); END IF;
    RETURN '{}';
END $$});
$dbh->do(q{SELECT create_projection('counts', 'counts', mode => 'manual', batch_size => 10)});
$dbh->do(q{SELECT run_projection('counts')});

# Without shared memory, the name of the application says it.
$dbh->begin_work;
$dbh->do('LOCK TABLE es.event_tags');
my $child = everify();
wait_until('everify() has begun', sub { application() =~ /^everify: (?:structure|events)/ });
is(one_value($look, 'SELECT count(*) FROM event_progress()'), 0, 'not preloaded: event_progress() has no rows');
$dbh->rollback;
ok(wait_for_process($child), 'the name is the old one afterwards');

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'sierra_es'");
$_->disconnect foreach $dbh, $look;
$node->restart;
$dbh = connect_to($node);
$look = connect_to($node);
is(one_value($look, 'SELECT count(*) FROM event_progress()'), 0, 'nothing runs');

$dbh->begin_work;
$dbh->do('LOCK TABLE es.event_tags');
$child = everify();
wait_until('everify() has begun', sub { one_value($look, 'SELECT count(*) FROM event_progress()') });
my $row = progress();
is($row->{operation}, 'everify', 'the operation');
is($row->{store}, 'es', 'the store');
is($row->{database}, 'postgres', 'the database');
is($row->{phase}, 'structure', 'the phase, in which it waits for the lock');
is($row->{total}, undef, 'it is not known how long this phase is');
ok(one_value($look, q{SELECT bool_and(p.started_at <= clock_timestamp() AND a.query LIKE '%everify%') FROM event_progress() AS p JOIN pg_stat_activity AS a USING (pid)}),
    'of this session');
is(application(), '', 'the name of the application is not needed');
$dbh->rollback;
ok(wait_for_process($child), 'everify() ends');
is(one_value($look, 'SELECT count(*) FROM event_progress()'), 0, 'and so does its row');

# An error ends it too.
$dbh->begin_work;
$dbh->do('LOCK TABLE es.event_tags');
$child = fork_process(sub {
    my $session = connect_to($node);
    $session->do(q{SET application_name = 'verifier'});
    sqlstate_of($session, 'SELECT count(*) FROM everify()') eq '57014' or die;
    one_value($session, 'SELECT count(*) FROM event_progress()') == 0 or die;
});
wait_until('it has begun', sub { one_value($look, 'SELECT count(*) FROM event_progress()') });
$look->do(q{SELECT pg_cancel_backend(pid) FROM event_progress()});
ok(wait_for_process($child), 'a call that is cancelled leaves no row');
$dbh->rollback;

# A rebuild: the version that is built handles the events in batches.
$dbh->do('SELECT pg_advisory_lock(1)');
$child = fork_process(sub {
    my $session = connect_to($node);
    $session->do(q{SELECT rebuild_projection('counts', automatic => false)});
    $session->do(q{SELECT run_projection('counts')});
});
wait_until('the rebuild waits at its last event', sub { my $row = progress(); $row && $row->{operation} eq 'rebuild' && $row->{done} == 40 });
$row = progress();
is($row->{subject}, 'version 2 of projection counts', 'what is built');
is($row->{phase}, 'handling events', 'the phase');
is($row->{total}, 50, 'the events that it has before it');
$dbh->do('SELECT pg_advisory_unlock(1)');
ok(wait_for_process($child), 'it ends');
is(one_value($look, 'SELECT count(*) FROM event_progress()'), 0, 'and so does its row');

$_->disconnect foreach $dbh, $look;
$node->stop;
done_testing();

# everify() in another session, which keeps the name of its application.
sub everify {
    return fork_process(sub {
        my $session = connect_to($node);
        $session->do(q{SET application_name = 'verifier'});
        one_value($session, 'SELECT count(*) FROM everify()') == 0 or die 'there is a problem';
        one_value($session, q{SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()}) eq 'verifier' or die 'the name has changed';
    });
}

# What another session is called if it is not the name that it gave itself.
sub application {
    return one_value($look, q{SELECT application_name FROM pg_stat_activity WHERE application_name LIKE 'everify%'}) // '';
}

sub progress {
    return all_rows($look, 'SELECT * FROM event_progress()')->[0];
}
