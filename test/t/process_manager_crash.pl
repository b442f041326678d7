# Process managers: one reaction to each event, whatever is killed in the
# meantime; a manager that reads what it appends, and timers that come back to
# it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node  = new_server('process_managers');
my $files = PostgreSQL::Test::Utils::tempdir();
create_store($node, 4);
my $dbh = connect_to($node);

# orders: asks for a payment, and gets the payment or a time-out as an event;
# either ends it.
# counts: reacts to every order, but for some at first.
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE TABLE noted (event_id uuid PRIMARY KEY);;
CREATE SEQUENCE failures;;
CREATE FUNCTION fulfil(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO noted VALUES (e.event_id);
    IF e.event_name = 'OrderPlaced' THEN
        PERFORM eappend('payments', 'PaymentAsked', json_build_object('order', e.stream_id));
        PERFORM eschedule(now(), e.stream_id, 'PaymentTimedOut');
        RETURN '{"step": "asked"}';
    ELSIF e.event_name = 'PaymentTimedOut' AND state ->> 'step' = 'asked' THEN
        PERFORM eappend(e.stream_id, 'OrderCancelled', expected_version => e.stream_version);
        RETURN '{"step": "cancelled"}';
    END IF;
    RETURN NULL;
END $$;;
CREATE FUNCTION count_order(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM eappend('count-' || (e.payload ->> 'user'), 'OrderCounted', json_build_object('order', e.stream_id));
    IF e.event_name = 'OrderPlaced' AND random() < 0.05 THEN
        PERFORM nextval('failures'); -- stays
        RAISE 'at times';
    END IF;
    RETURN to_jsonb(state::text::bigint + 1);
END $$;;
SELECT create_process_manager('orders', 'fulfil(jsonb, sierra_event)', streams => ARRAY['order-*'], batch_size => 7);;
SELECT create_process_manager('counts', 'count_order(jsonb, sierra_event)', event_names => ARRAY['OrderPlaced'],
    key => $$e.payload ->> 'user'$$, initial => '0', retry_after => '0', max_attempts => 1000000, batch_size => 5)
SQL
$dbh->disconnect;

# What is missing or duplicate, counted from the events.
sub faults {
    my ($session) = @_;
    my %query = (
        'one request for each order' =>
          q{SELECT o.stream_id, count(p.event_id) FROM es.events AS o LEFT JOIN es.events AS p
                ON p.event_name = 'PaymentAsked' AND p.payload ->> 'order' = o.stream_id
             WHERE o.event_name = 'OrderPlaced' GROUP BY 1 HAVING count(p.event_id) <> 1},
        'placed, timed out, cancelled' =>
          q{SELECT o.stream_id, string_agg(o.event_name, ' ' ORDER BY o.stream_version) FROM es.events AS o
             WHERE o.stream_id LIKE 'order-%' GROUP BY 1
            HAVING string_agg(o.event_name, ' ' ORDER BY o.stream_version) <> 'OrderPlaced PaymentTimedOut OrderCancelled'},
        'each knows its cause' =>
          q{SELECT r.stream_id, r.event_name FROM es.events AS r LEFT JOIN es.events AS c
                ON c.event_id::text = r.metadata ->> 'causation_id'
               AND c.event_name = CASE r.event_name WHEN 'OrderCancelled' THEN 'PaymentTimedOut' ELSE 'OrderPlaced' END
             WHERE r.event_name <> 'OrderPlaced' AND c.event_id IS NULL},
        'and what it belongs to' =>
          q{SELECT r.stream_id, r.event_name FROM es.events AS r LEFT JOIN es.events AS c
                ON c.event_id::text = r.metadata ->> 'correlation_id' AND c.event_name = 'OrderPlaced'
             WHERE r.event_name <> 'OrderPlaced' AND c.event_id IS NULL},
        'no process is left' => q{SELECT key, state FROM estates('orders')},
        'each counted once' =>
          q{SELECT coalesce(o.stream_id, c.payload ->> 'order'), 1
              FROM (SELECT * FROM es.events WHERE event_name = 'OrderPlaced') AS o
              FULL JOIN (SELECT * FROM es.events WHERE event_name = 'OrderCounted') AS c ON c.payload ->> 'order' = o.stream_id
             GROUP BY 1, o.event_id HAVING count(o.event_id) <> 1 OR count(c.event_id) <> 1},
        'as the states say' =>
          q{SELECT s.key, s.state FROM estates('counts') AS s
             WHERE s.state::text::bigint <> (SELECT count(*) FROM es.events WHERE stream_id = 'count-' || s.key)},
        'noted' => q{SELECT e.event_id, 1 FROM es.events AS e FULL JOIN noted AS n ON n.event_id = e.event_id
                      WHERE e.stream_id LIKE 'order-%' AND n.event_id IS NULL OR e.event_id IS NULL},
    );
    return map { my $name = $_; map { "$name: $_->[0] $_->[1]" } @{ $session->selectall_arrayref($query{$name}) } }
      sort keys %query;
}

my $rounds = 4;
for my $round (1 .. $rounds) {
    my $stop    = "$files/stop.$round";
    my @workers = map { my $n = $_; fork_process(sub {
        srand($round * 10 + $n);
        my $order = 0;
        work_until($node, $stop, sub {
            my ($session) = @_;
            $session->selectall_arrayref(q{SELECT eappend($1, 'OrderPlaced', json_build_object('user', $2::int), expected_version => 'empty')}, undef,
                "order-$round-$n-" . $order++, int rand 3);
            sleep 0.005;
        }) }) } 1 .. 2;
    push @workers, map { fork_process(sub {
        work_until($node, $stop, sub { $_[0]->do('SELECT run_projections(20)'); $_[0]->do('SELECT run_timers(10)'); }) }) } 1 .. 2;
    push @workers, fork_process(sub { work_until($node, $stop, sub { $_[0]->do(q{SELECT run_projection('orders', 3)}); }) });

    my $session = connect_to($node);
    my $before  = one_value($session, 'SELECT count(*) FROM noted');
    wait_until('orders are placed, handled and cancelled', sub {
        one_value($session, 'SELECT count(*) FROM noted') > $before + 60;
    });
    my $pid;
    wait_until('a process manager runs', sub {
        $pid = one_value($session,
            q{SELECT pid FROM pg_stat_activity WHERE query LIKE '%run_projection%' AND state = 'active'
                 AND pid <> pg_backend_pid() LIMIT 1});
    });
    if ($round % 2) {
        $session->disconnect;
        kill_everything($node);
        start_again($node);
    }
    else {
        # One backend of many: the server restarts all processes by itself.
        kill 'KILL', $pid;
        wait_until('the server ends all sessions', sub { !$session->ping });
        wait_until('the server is back', sub { eval { connect_to($node)->disconnect; 1 } });
        eval { $session->disconnect };
    }
    open my $file, '>', $stop or die "$stop: $!";
    close $file;
    my $ended = grep { wait_for_process($_) } @workers;
    is($ended, scalar @workers, "round $round: all processes ended well");

    $session = connect_to($node);
    $session->do('SET client_min_messages = error');
    wait_until('all is handled', sub {
        $session->do('SELECT run_projections()');
        $session->do('SELECT run_timers()');
        !one_value($session, q{SELECT (SELECT count(*) FROM event_timers())
            + (SELECT count(*) FROM event_process_managers() WHERE lag IS NOT NULL OR state <> 'running')});
    });
    no_complaints([ faults($session) ], "round $round: one reaction to each event");
    $session->disconnect;
}

$dbh = connect_to($node);
cmp_ok(one_value($dbh, q{SELECT count(*) FROM es.events WHERE event_name = 'OrderCancelled'}), '>', 20 * $rounds, 'there were orders');
is(one_value($dbh, 'SELECT is_called FROM failures'), 1, 'a handler failed at times');
store_is_sound($dbh, 'after all rounds');

# A restored store continues: states, cursor and timers are in the dump.
$dbh->do('SET client_min_messages = error');
$dbh->do(q{SELECT eappend('order-last', 'OrderPlaced', '{"user": 7}')});
$dbh->do('SELECT run_projections()') until one_value($dbh, q{SELECT count(*) FROM estates('counts') WHERE key = '7'});
$dbh->disconnect;
$node->run_log([ 'pg_dump', '-f', "$files/dump.sql", $node->connstr('postgres') ]);
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->safe_psql('restored', 'CREATE EXTENSION sierra_es');
$node->safe_psql('postgres', q{ALTER DATABASE restored SET sierra_es.restore = on});
$node->command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-f', "$files/dump.sql", $node->connstr('restored') ], 'restored');
$node->safe_psql('postgres', q{ALTER DATABASE restored RESET sierra_es.restore});
my $restored = connect_to($node, 'restored');
$restored->do('SET client_min_messages = error');
for (1 .. 3) {
    $restored->do('SELECT run_timers()');
    $restored->do('SELECT run_projections()');
}
is(one_value($restored, q{SELECT string_agg(event_name, ' ' ORDER BY stream_version) FROM escan('order-last')}),
    'OrderPlaced PaymentTimedOut OrderCancelled', 'the restored process continues');
no_complaints([ faults($restored) ], 'the restored store has one reaction to each event');
$restored->disconnect;
$node->stop;
done_testing();
