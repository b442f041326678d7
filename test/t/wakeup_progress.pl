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

# An import in one call. It waits for the end of an append to the stream of its eighth line.
$dbh->do(q{CREATE TABLE lines AS SELECT jsonb_build_object('stream_id', CASE n WHEN 8 THEN 'held' WHEN 25 THEN 'held later' ELSE 'a' END, 'event_name', 'Happened')::text AS line FROM generate_series(1, 30) AS n});
hold_stream('held');
$child = in_session(q{SELECT import_events(ARRAY(SELECT line::sierra_json FROM lines))});
wait_until('the import waits at its eighth line', sub { my $row = progress(); $row && $row->{operation} eq 'import' && $row->{done} == 7 });
$row = progress();
is($row->{store}, 'es', 'its store');
is($row->{phase}, 'appending events', 'its phase');
is($row->{total}, 30, 'its lines');
$dbh->rollback;
ok(wait_for_process($child), 'it ends');
is(one_value($look, 'SELECT count(*) FROM event_progress()'), 0, 'and so does its row');

# An import that commits after each batch: it is one call all the same.
my $import = q{CALL import_events_from('lines', batch_size => 10)};
$dbh->begin_work;
$dbh->do('LOCK TABLE lines');
$child = in_session($import);
wait_until('the import waits for the table', sub { my $row = progress(); $row && $row->{phase} eq 'reading lines' });
my $first = progress();
is($first->{total}, undef, 'it is not known how many lines there are');
$dbh->rollback;
ok(wait_for_process($child), 'it ends');
is(one_value($look, 'SELECT count(*) FROM event_progress()'), 0, 'and so does its row');

hold_stream('held later');
$child = in_session($import);
wait_until('the import waits in its third batch', sub { my $row = progress(); $row && $row->{done} == 24 });
$row = progress();
is($row->{phase}, 'appending events', 'its phase');
is($row->{total}, 30, 'the lines of all batches');
ok(one_value($look, q{SELECT p.started_at < a.xact_start FROM event_progress() AS p JOIN pg_stat_activity AS a USING (pid)}),
    'it began before the transaction of this batch');
$look->do(q{SELECT pg_terminate_backend(pid) FROM event_progress()});
$dbh->rollback;
ok(!wait_for_process($child), 'it is terminated');
wait_until('a session that ends leaves no row', sub { !progress() });

# An export shows what was read of it, and ends when its reader does.
my $other = connect_to($node);
$other->begin_work;
$other->do(q{DECLARE lines CURSOR FOR SELECT export_events('es')});
$other->do('FETCH 5 FROM lines');
$row = progress();
is($row->{operation}, 'export', 'an export');
is($row->{phase}, 'reading events', 'its phase');
cmp_ok($row->{done}, '>=', 4, 'what was read');
cmp_ok($row->{total}, '>=', 80, 'of what there is');
$other->do('CLOSE lines');
is(progress(), undef, 'it ends before its last line');
$other->commit;
$dbh->begin_work;
$dbh->do('LOCK TABLE ' . one_value($dbh, q{SELECT min(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'es.events'::regclass}));
$child = in_session(q{SELECT * FROM event_hashes('es')});
wait_until('event_hashes() has begun', sub { my $row = progress(); $row && $row->{operation} eq 'hashes' });
$dbh->rollback;
ok(wait_for_process($child), 'it ends');
is(progress(), undef, 'and so does its row');

# What is kept over commits ends with the session.
$other->do(q{SELECT sierra_internal.begin_progress('something', 'es', 10, 'phase', keep => true)});
is(progress()->{operation}, 'something', 'a row that outlives its transaction');
is(sqlstate_of($other, 'SELECT 1 / 0'), '22012', 'an error');
is(progress(), undef, 'ends it');
$other->do(q{SELECT sierra_internal.begin_progress('something', 'es', 10, 'phase', keep => true)});
is(progress()->{operation}, 'something', 'again');
$other->disconnect;
wait_until('the end of the session ends it', sub { !progress() });

# A move from another event store.
create_store($node, 1, 'moved');
my $scripts = "$FindBin::Bin/../../clients/moving";
$node->safe_psql('postgres', "\\i $scripts/moving.sql\n\\i $scripts/message_db.sql");
$dbh->do(q{CREATE TABLE messages (global_position bigserial PRIMARY KEY, position bigint NOT NULL, time timestamp DEFAULT (now() AT TIME ZONE 'utc') NOT NULL,
    stream_name text NOT NULL, type text NOT NULL, data jsonb, metadata jsonb, id uuid NOT NULL DEFAULT gen_random_uuid())});
$dbh->do(q{INSERT INTO messages (position, stream_name, type) SELECT n, 'account-1', 'Opened' FROM generate_series(0, 29) AS n});
$dbh->do(q{SELECT sierra_moving.map_message_db('messages')});
$dbh->do(q{CREATE FUNCTION waits(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF event.global_position = 24 THEN PERFORM pg_advisory_xact_lock_shared(1); END IF;
    RETURN '{}';
END $$});
$dbh->do(q{SET sierra_es.store = 'moved'});
$dbh->do(q{SELECT create_projection('waits', 'waits', mode => 'inline')});
$dbh->do('RESET sierra_es.store');
$dbh->do('SELECT pg_advisory_lock(1)');
$other = connect_to($node);
$other->begin_work;
$other->do('LOCK TABLE messages IN ROW EXCLUSIVE MODE');
$child = in_session(q{CALL sierra_moving.move('sierra_moving.message_db', 'moved', 10)});
wait_until('the move waits for a client that writes', sub { my $row = progress(); $row && $row->{phase} eq 'waiting for writers' });
$other->rollback;
wait_until('the move waits in its third batch', sub { my $row = progress(); $row && $row->{done} == 20 });
$row = progress();
is($row->{operation}, 'move', 'what it does');
is($row->{store}, 'moved', 'where to');
is($row->{phase}, 'moving events', 'its phase');
is($row->{total}, 30, 'what there is to move');
$dbh->do('SELECT pg_advisory_unlock(1)');
ok(wait_for_process($child), 'it ends');
is(progress(), undef, 'and so does its row');

$other->begin_work;
$other->do('LOCK TABLE messages');
$child = in_session(q{SELECT * FROM sierra_moving.verify('sierra_moving.message_db', 'moved')});
wait_until('verify() has begun', sub { progress() });
$other->rollback;
ok(wait_for_process($child), 'verify() ends');
is(progress(), undef, 'and so does its row');

$_->disconnect foreach $dbh, $look, $other;
$node->stop;
done_testing();

sub in_session {
    my ($statement) = @_;
    return fork_process(sub { connect_to($node)->do($statement) });
}

# Until the end of the transaction, nobody else appends to this stream.
sub hold_stream {
    my ($stream) = @_;
    $dbh->begin_work;
    $dbh->do('SELECT eappend(?, ?)', undef, $stream, 'Happened');
    return;
}

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
