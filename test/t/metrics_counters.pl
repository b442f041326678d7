# The counters of event_metrics(): what they count, and that they behave as counters.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node = new_server('counters');
create_store($node, 4);
create_store($node, 2, 'other');
my $plain = connect_to($node);
$plain->do(q{SELECT eappend('a', 'Happened')});
is(values_of($plain)->{appends}, 0, 'not preloaded: nothing is counted');
is(one_value($plain, q{SELECT value FROM event_metrics('database') WHERE metric LIKE '%preloaded'}), 0, 'which a metric says');
$plain->disconnect;

$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_databases = 3
CONF
$node->restart;

my $dbh = connect_to($node);
my $other = connect_to($node);

# The counters of a store, by their names without what they have in common.
sub values_of {
    my ($session, $store) = @_;
    my $rows = $session->selectall_arrayref(
        q{SELECT metric, value FROM event_metrics('store') WHERE labels ->> 'store' = $1}, undef, $store // 'es');
    my %values = map { $_->[0] =~ /^sierra_es_store_(.*)_total$/ ? ($1 => $_->[1]) : () } @$rows;
    return \%values;
}

# One test: what the statements add to the counters of a store.
sub adds {
    my ($what, $expected, $code, $store) = @_;
    my $before = values_of($other, $store);
    $code->();
    my $after = values_of($other, $store);
    my %added = map { $after->{$_} != $before->{$_} ? ($_ => $after->{$_} - $before->{$_}) : () } keys %$after;
    is_deeply(\%added, $expected, $what);
    return;
}

is_deeply(values_of($other), { map { $_ => 0 } qw(appends appended_events appended_bytes rolled_back_appends repeated_appends conflicts
        failed_conditions refused_appends) }, 'they begin with 0');
is(one_value($other, q{SELECT value FROM event_metrics('database') WHERE metric LIKE '%preloaded'}), 1, 'preloaded');

adds('an append: its payload and metadata', { appends => 1, appended_events => 1, appended_bytes => 8 + 7 },
    sub { $dbh->do(q{SELECT eappend('a', 'Happened', '{"a": 1}', '{"b":2}')}) });
adds('bytes that are not JSON', { appends => 1, appended_events => 1, appended_bytes => 3 },
    sub { $dbh->do(q{SELECT eappend('a', 'Happened', payload_bytes => '\x010203')}) });
adds('several events, and calls, in a transaction', { appends => 2, appended_events => 5 }, sub {
    $dbh->begin_work;
    $dbh->do(q{SELECT emappend(NULL, ARRAY['a', 'b', 'c', 'd'], array_fill('x'::text, '{4}'))});
    is(values_of($other)->{appended_events}, 2, 'not before the commit');
    $dbh->do(q{SELECT eappend('a', 'Happened')});
    $dbh->commit;
});
my $each = q{SELECT eappend_each(ARRAY['many', 'many', 'many', 'many', 'many'], array_fill('x'::text, '{5}'),
    expected_versions => ARRAY['any', '7', 'any', 'any', 'any']::expected_version[], calls => ARRAY[1, 2, 3, 3, 4])};
adds('many calls in one statement: each counts', { appends => 3, appended_events => 4, conflicts => 1 }, sub { $dbh->do($each) });
adds('many calls that are written one after the other', { appends => 3, appended_events => 4, conflicts => 1 },
    sub { $dbh->do($each =~ s/calls =>/conditions => ARRAY[NULL, NULL, '{"streams": {"other": "any"}}', NULL, NULL]::json[], calls =>/r) });
adds('many calls that roll back', { rolled_back_appends => 3, conflicts => 1 }, sub {
    $dbh->begin_work;
    $dbh->do($each);
    $dbh->rollback;
});
adds('a transaction that rolls back', { rolled_back_appends => 2 }, sub {
    $dbh->begin_work;
    $dbh->do(q{SELECT eappend('a', 'Happened')}) for 1 .. 2;
    $dbh->rollback;
});
adds('savepoints: what is rolled back is not appended', { appends => 3, appended_events => 3, rolled_back_appends => 3 }, sub {
    $dbh->begin_work;
    $dbh->do(q{SELECT eappend('a', 'Happened')});
    $dbh->do('SAVEPOINT one');
    $dbh->do(q{SELECT eappend('a', 'Happened')});
    $dbh->do('SAVEPOINT two');
    $dbh->do(q{SELECT eappend('a', 'Happened')});
    $dbh->do('ROLLBACK TO two');
    $dbh->do('RELEASE one');
    $dbh->do('SAVEPOINT three');
    $dbh->do(q{SELECT eappend('a', 'Happened')});
    $dbh->do('SAVEPOINT four');
    $dbh->do(q{SELECT eappend('a', 'Happened')});
    $dbh->do('RELEASE four');
    $dbh->do('ROLLBACK TO three');
    $dbh->do(q{SELECT eappend('a', 'Happened')});
    $dbh->commit;
});
adds('a repetition', { appends => 1, appended_events => 1, repeated_appends => 2 },
    sub { $dbh->do(q{SELECT eappend('r', 'Happened', event_id => '11111111-1111-4111-8111-111111111111')}) for 1 .. 3 });
adds('a wrong version', { conflicts => 2 },
    sub { is(sqlstate_of($dbh, q{SELECT eappend('a', 'Happened', expected_version => 77)}), 'SE001', 'refused') for 1 .. 2 });
adds('a condition', { failed_conditions => 1, appends => 1, appended_events => 1 }, sub {
    $dbh->do(q{SELECT eappend('t', 'Happened', tags => '{x}')});
    is(sqlstate_of($dbh, q{SELECT eappend('u', 'Happened', condition => '{"query": [{"tags": ["x"]}], "after": -1}')}), 'SE009', 'refused');
});
adds('another key, and the id of another event', { refused_appends => 2 }, sub {
    is(sqlstate_of($dbh, q{SELECT eappend('a', 'Happened', partition_key => 'k')}), 'SE002', 'refused');
    is(sqlstate_of($dbh, q{SELECT eappend('a', 'Happened', event_id => '11111111-1111-4111-8111-111111111111')}), 'SE003', 'refused');
});
adds('a prepared transaction counts when it is prepared', { appends => 1, appended_events => 1 }, sub {
    $dbh->do('BEGIN');
    $dbh->do(q{SELECT eappend('a', 'Happened')});
    $dbh->do(q{PREPARE TRANSACTION 'p'});
    is(one_value($other, q{SELECT labels ->> 'gid' FROM event_metrics('horizon')}), undef, 'it does not hold back readers for a second yet');
    wait_until('it is seen that it holds back readers', sub {
        (one_value($other, q{SELECT labels ->> 'gid' FROM event_metrics('horizon')}) // '') eq 'p' });
    $dbh->do(q{COMMIT PREPARED 'p'});
});
adds('the other store has its own', { appends => 1, appended_events => 1 },
    sub { $dbh->do(q{SET sierra_es.store = 'other'}); $dbh->do(q{SELECT eappend('a', 'Happened')}); $dbh->do('RESET sierra_es.store') }, 'other');
is(values_of($other)->{appends}, 16, 'and the first one nothing of it');
is(values_of($other)->{appended_events}, one_value($other, q{SELECT events - 1 FROM event_stores() WHERE store = 'es'}),
    'as many events as there are, but for the one before');
adds('stores of one transaction, more than it can remember', { appends => 20, appended_events => 20 }, sub {
    $dbh->begin_work;
    foreach my $turn (1 .. 20) {
        $dbh->do("SAVEPOINT s$turn");
        $dbh->do(q{SELECT eappend('many', 'Happened')});
    }
    $dbh->commit;
});

# Sessions side by side.
adds('three sessions', { appends => 150, appended_events => 150 }, sub {
    my @pids = map { my $n = $_; fork_process(sub { my $s = connect_to($node); $s->do(qq{SELECT eappend('s-$n', 'Happened')}) for 1 .. 50 }) } 1 .. 3;
    ok(wait_for_process($_), 'a session has appended') foreach @pids;
});

# The transactions that hold back readers of the whole store.
my $holder = connect_to($node);
$holder->do(q{SET application_name = 'holder'});
$holder->begin_work;
$holder->do(q{SELECT eappend('h', 'Happened')});
wait_until('the holder is shown', sub { one_value($other, q{SELECT value > 1 FROM event_metrics('horizon') WHERE labels ->> 'application' = 'holder'}) });
my $row = all_rows($other, q{SELECT labels ->> 'store' AS store, labels ->> 'pid' AS pid, labels ->> 'role' = current_user AS own FROM event_metrics('horizon')})->[0];
is_deeply($row, { store => 'es', pid => one_value($holder, 'SELECT pg_backend_pid()'), own => 1 }, 'with its store, process and role');
is(one_value($other, q{SELECT value > 1 FROM event_metrics('store') WHERE metric LIKE '%horizon_held_seconds' AND labels ->> 'store' = 'es'}), 1, 'the store too');
is(one_value($other, q{SELECT value FROM event_metrics('store') WHERE metric LIKE '%horizon_held_seconds' AND labels ->> 'store' = 'other'}), 0, 'not the other');
$holder->commit;
is(one_value($other, q{SELECT sum(value) FROM event_metrics('store') WHERE metric ~ 'horizon'}), 0, 'until it commits');

# A table that is locked does not hold up the others.
$holder->begin_work;
$holder->do('LOCK TABLE es.timers');
is_deeply(
    $other->selectcol_arrayref(q{SELECT (labels ->> 'store') || ' ' || (labels ->> 'subject') FROM event_metrics('readable') WHERE value = 0}),
    ['es timer'], 'a locked table cannot be read');
$holder->do('LOCK TABLE es.events');
is_deeply(
    $other->selectcol_arrayref(q{SELECT DISTINCT labels ->> 'store' FROM event_metrics('readable') WHERE value = 0}),
    ['es'], 'nor a store whose events are locked');
$holder->rollback;
is(one_value($other, q{SELECT count(*) FROM event_metrics('readable') WHERE value = 0}), 0, 'until it ends');

# Waiting sessions, wake-ups, jobs of runners.
my $database = sub { one_value($other, q{SELECT value FROM event_metrics('database') WHERE metric = 'sierra_es_database_' || $1}, $_[0]) };
my $waiter = fork_process(sub { connect_to($node)->do(q{SELECT ewait(NULL, 100000, '1 day')}) });
wait_until('a session waits', sub { $database->('waiters') == 1 });
kill 'TERM', $waiter;
$other->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT ewait%'});
wait_for_process($waiter);
my $wakeups = $database->('wakeups_total');
my $handled = $database->('handled_total');
$dbh->do(q{SELECT eschedule(now(), 'timed', 'Rang')});
cmp_ok($database->('wakeups_total'), '>', $wakeups, 'a commit wakes');
wait_until('a runner has run the timer', sub { $database->('handled_total') > $handled });
cmp_ok($database->('jobs_total'), '>', 0, 'that is a job');

# A store that was dropped leaves its counters to others; so does a database.
foreach my $turn (1 .. 5) {
    $dbh->do(q{SELECT create_event_store('short', 1)});
    $dbh->do(q{SET sierra_es.store = 'short'});
    $dbh->do(q{SELECT eappend('a', 'Happened')});
    is(values_of($other, 'short')->{appends}, 1, "store $turn has counters, from 0");
    $dbh->do(q{SELECT drop_event_store('short', force => true)});
    $dbh->do('RESET sierra_es.store');
}
$database->('jobs_total'); # frees the counters of the last one
cmp_ok(values_of($other)->{appends}, '>', 150, 'the others keep theirs');
$dbh->do('CREATE DATABASE third');
my $third = connect_to($node, 'third');
$third->do('CREATE EXTENSION sierra_es');
$third->do('SELECT create_event_store()');
$third->do(q{SELECT eappend('a', 'Happened')});
is(values_of($third)->{appends}, 1, 'a store of another database');
$third->disconnect;
wait_until('nothing uses the database', sub { eval { $dbh->do('DROP DATABASE third'); 1 } });

# They begin again with 0 when the server does, as counters may.
$_->disconnect foreach $dbh, $other, $holder;
kill_everything($node);
start_again($node);
$other = connect_to($node);
is(values_of($other)->{appends}, 0, 'after a crash they begin with 0');
$other->disconnect;
$node->stop;
done_testing();
