# The consumer programs of the documents: each keeps its table equal to the
# events while it is killed in the middle of a batch, while the server restarts,
# and while an event fails.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IPC::Run;
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $examples = "$FindBin::Bin/../../docs/examples";
my $node     = new_server('consumer_programs');

sub start_program {
    my (@command) = @_;
    my $output = '';
    return IPC::Run::start([@command], '<', \undef, '>&', \$output);
}

# kill -9: the program has no chance to clean up.
sub kill_program {
    my ($program) = @_;
    $program->kill_kill(grace => 0);
    return;
}

sub append {
    my ($dbh, $stream, $event_name, $payload) = @_;
    return one_value($dbh, 'SELECT global_position FROM eappend(?, ?, ?)', $stream, $event_name, $payload);
}

# The expected table, counted from the events; diverted streams are left out.
sub expected_totals {
    my ($dbh) = @_;
    return join "\n", @{ $dbh->selectcol_arrayref(<<'SQL') };
SELECT concat_ws(' ', stream_id, sum((payload->>'price')::numeric) FILTER (WHERE event_name = 'ItemAdded'),
                 CASE WHEN bool_or(event_name = 'OrderPaid') THEN 'paid' ELSE 'created' END)
  FROM es.events
 WHERE stream_id LIKE 'order-%' AND stream_id NOT IN (SELECT stream_id FROM event_failures())
 GROUP BY stream_id ORDER BY stream_id
SQL
}

sub totals {
    my ($dbh) = @_;
    return join "\n", @{ $dbh->selectcol_arrayref(<<'SQL') };
SELECT concat_ws(' ', stream_id, nullif(total, 0), status) FROM order_totals
 WHERE stream_id NOT IN (SELECT stream_id FROM event_failures())
 ORDER BY stream_id
SQL
}

# Everything except failed streams is processed, and the table is as expected.
sub is_up_to_date {
    my ($dbh, $position, $name) = @_;
    is(one_value($dbh, q{SELECT ewait('order-totals', ?, '1 minute')}, $position), 1, "$name: processed");
    is(totals($dbh), expected_totals($dbh), "$name: the totals are right");
    return;
}

sub append_orders {
    my ($dbh, $name, $count) = @_;
    my $last;
    for my $order (1 .. $count) {
        append($dbh, "order-$name-$order", 'OrderCreated', '{"customer": "ada"}');
        append($dbh, "order-$name-$order", 'ItemAdded', qq({"price": $_.25})) for 1 .. 3;
        $last = append($dbh, "order-$name-$order", 'OrderPaid', '{}');
    }
    return $last;
}

sub check_program {
    my ($name, $database, @command) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $database");
    $node->safe_psql($database, "CREATE EXTENSION sierra_es; SELECT create_event_store('es', 4)");
    my $dbh     = connect_to($node, $database);
    my $program = start_program(@command);

    wait_until('the program has made its subscription',
        sub { one_value($dbh, q{SELECT count(*) FROM event_subscriptions()}) == 1 });
    is_up_to_date($dbh, append_orders($dbh, 'first', 10), "$name, orders come in");

    # It is stopped between two events of a batch by a row that it cannot lock.
    my $blocker = connect_to($node, $database);
    my $before  = totals($dbh);
    $blocker->begin_work;
    $blocker->do(q{SELECT FROM order_totals WHERE stream_id = 'order-first-2' FOR UPDATE});
    my $position = one_value($dbh, q{
        SELECT max(global_position) FROM emappend(NULL, '[
            {"stream_id": "order-first-1", "event_name": "ItemAdded", "payload": {"price": 1000}},
            {"stream_id": "order-first-2", "event_name": "ItemAdded", "payload": {"price": 2000}}]')});
    wait_until('the program waits for the second order', sub {
        one_value($dbh, q{SELECT count(*) FROM pg_stat_activity
                           WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE order_totals%'});
    });
    kill_program($program);
    $blocker->rollback;
    wait_until('its transaction has ended', sub {
        !one_value($dbh, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1510});
    });
    is(totals($dbh), $before, "$name, killed in the middle of a batch: nothing is half done");
    $program = start_program(@command);
    is_up_to_date($dbh, $position, "$name, started again");

    # The server restarts while it runs.
    $node->restart;
    $dbh = connect_to($node, $database);
    is_up_to_date($dbh, append_orders($dbh, 'second', 10), "$name, after a restart of the server");
    ok($program->pumpable, "$name: it is still the same process");

    # An event that fails is parked, and delays its own stream only.
    append($dbh, 'order-broken', 'OrderCreated', '{"customer": "bob"}');
    append($dbh, 'order-broken', 'ItemAdded',    '{"price": "much"}');
    my $behind = append($dbh, 'order-broken', 'ItemAdded', '{"price": 7}');
    my $others = append_orders($dbh, 'third', 3);
    wait_until('the event is parked',
        sub { one_value($dbh, q{SELECT count(*) FROM event_failures() WHERE state = 'parked'}) });
    is_up_to_date($dbh, $others, "$name, beside a parked event");
    is(one_value($dbh, q{SELECT attempts || ' ' || event_name || ' ' || waiting FROM event_failures()}),
        '3 ItemAdded 1', "$name: it was tried three times, and one event waits behind it");
    like(one_value($dbh, q{SELECT reason FROM event_failures()}), qr/much/, "$name: the reason is kept");
    $dbh->do(q{SELECT eskip('order-totals', 'order-broken')});
    is(one_value($dbh, q{SELECT ewait('order-totals', ?, '1 minute')}, $behind), 1, "$name: what waited comes");
    is(one_value($dbh, q{SELECT total FROM order_totals WHERE stream_id = 'order-broken'}),
        7, "$name: the event that was skipped changed nothing");

    kill_program($program);
    $_->disconnect for $dbh, $blocker;
    return;
}

my $place = 'host=' . $node->host . ' port=' . $node->port;
check_program('Python', 'python', '/usr/bin/python3', "$examples/consumer.py", "dbname=python $place");
check_program('Perl', 'perl', $^X, "$examples/consumer.pl", "dbname=perl;" . $place =~ tr/ /;/r);

$node->stop;
done_testing();
