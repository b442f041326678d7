# Sagas: each step and each compensation once, whatever is killed in the
# meantime, and money is neither created nor lost; a dump includes sagas that
# are running.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node  = new_server('sagas');
my $files = PostgreSQL::Test::Utils::tempdir();
create_store($node, 8);
my $dbh = connect_to($node);
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE TABLE accounts (account int PRIMARY KEY, balance int NOT NULL);;
INSERT INTO accounts SELECT n, 1000 FROM generate_series(0, 19) AS n;;
CREATE TABLE effects (saga_id text, effect text);;
CREATE FUNCTION book(data jsonb, saga_id text, what text, account int, amount int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO effects VALUES (saga_id, what);
    UPDATE accounts AS a SET balance = balance + amount WHERE a.account = book.account;
    PERFORM eappend('account-' || account, what, to_json(amount));
    -- Account 0 takes nothing.
    IF what = 'deposit' AND account = 0 THEN RAISE 'closed'; END IF;
    -- Every fifth call fails for no reason that would stay.
    IF random() < 0.2 THEN RAISE 'once' USING ERRCODE = 'division_by_zero'; END IF;
END $$;;
CREATE FUNCTION withdraw(data jsonb, saga_id text) RETURNS void LANGUAGE sql AS $$
    SELECT book($1, $2, 'withdraw', ($1 ->> 'from')::int, -($1 ->> 'amount')::int) $$;;
CREATE FUNCTION give_back(data jsonb, saga_id text) RETURNS void LANGUAGE sql AS $$
    SELECT book($1, $2, 'give back', ($1 ->> 'from')::int, ($1 ->> 'amount')::int) $$;;
CREATE FUNCTION deposit(data jsonb, saga_id text) RETURNS void LANGUAGE sql AS $$
    SELECT book($1, $2, 'deposit', ($1 ->> 'to')::int, ($1 ->> 'amount')::int) $$;;
SELECT create_saga('transfer', ARRAY[
    saga_step('withdraw', 'withdraw(jsonb,text)', 'give_back(jsonb,text)', max_attempts => 1000, retry_after => '0'),
    saga_step('deposit', 'deposit(jsonb,text)', max_attempts => 1000, retry_after => '0')])
SQL

sub start_transfers {
    my ($session, $prefix, $count) = @_;
    $session->do(
        q{SELECT count(start_saga('transfer', jsonb_build_object('from', n % 20, 'to', n / 20 % 5 * 3, 'amount', n % 7 + 1), $1 || n))
            FROM generate_series(1, $2) AS n}, undef, $prefix, $count);
    return;
}

# What is wrong with sagas that have all ended: effects, money, rows and streams.
sub faults {
    my ($session) = @_;
    my @faults = map { "$_->[0] is $_->[1]: $_->[2]" } @{ $session->selectall_arrayref(
        q{SELECT s.saga_id, s.status, string_agg(e.effect, ', ' ORDER BY e.effect)
            FROM event_sagas() AS s LEFT JOIN effects AS e USING (saga_id) GROUP BY 1, 2
          HAVING string_agg(e.effect, ', ' ORDER BY e.effect) IS DISTINCT FROM
                 CASE s.status WHEN 'completed' THEN 'deposit, withdraw' WHEN 'compensated' THEN 'give back, withdraw' END}) };
    push @faults, map { "$_->[0]: $_->[1] twice" } @{ $session->selectall_arrayref(
        q{SELECT stream_id, event_name FROM es.events WHERE stream_id LIKE '%-%' AND stream_id NOT LIKE 'account%'
             AND event_name <> 'SagaStepFailed' AND event_name <> 'SagaCompensationFailed'
           GROUP BY 1, 2, payload ->> 'step' HAVING count(*) > 1}) };
    my ($sum, $low) = $session->selectrow_array('SELECT sum(balance), min(balance) FROM accounts');
    push @faults, "there are $sum in all" if $sum != 20_000;
    my ($appended) = $session->selectrow_array(
        q{SELECT sum(payload::text::int) FROM es.events WHERE stream_id LIKE 'account-%'});
    push @faults, "the events of accounts add up to $appended" if $appended != 0;
    $session->do('CREATE TEMP TABLE before AS SELECT * FROM es.saga_instances');
    $session->do('SELECT rebuild_saga_instances()');
    push @faults, map { "row differs: $_->[0]" } @{ $session->selectall_arrayref(
        'SELECT saga_id FROM ((TABLE before EXCEPT TABLE es.saga_instances) UNION ALL (TABLE es.saga_instances EXCEPT TABLE before)) AS d
          WHERE saga_id NOT IN (SELECT saga_id FROM before WHERE interruptions > 0)') };
    $session->do('DROP TABLE before');
    return @faults;
}

sub left { return one_value($_[0], 'SELECT count(*) FROM es.saga_instances WHERE ended_at IS NULL') }

start_transfers($dbh, 'crash-', 1000);
my $stop    = "$files/stop";
my @workers = map { fork_process(sub { work_until($node, $stop, sub { $_[0]->do('SELECT run_sagas(20)') }) }) } 1 .. 3;
for my $round (1 .. 3) {
    my $target = 1000 - 250 * $round;
    wait_until("$target sagas are left", sub { left($dbh) <= $target });
    my ($compensating) = one_value($dbh, q{SELECT count(*) FROM event_sagas(status => 'compensating')});
    note("killed with " . left($dbh) . " sagas left, $compensating compensating");
    cmp_ok(left($dbh), '>', 0, "sagas are under way when the server is killed, round $round");
    eval { $dbh->disconnect };
    kill_everything($node);
    start_again($node);
    $dbh = connect_to($node);
}
wait_until('every saga has ended', sub { left($dbh) == 0 });
append_to_file($stop, '');
ok(wait_for_process($_), 'a runner ends well') for @workers;
my %ended = map { @$_ } @{ $dbh->selectall_arrayref('SELECT status, count(*) FROM event_sagas() GROUP BY 1') };
is_deeply([ sort keys %ended ], [ 'compensated', 'completed' ], 'transfers to a closed account are undone, the others done');
is($ended{compensated}, 200, 'as many as go to the closed account');
no_complaints([ faults($dbh) ], 'each step and compensation once, and no money lost');
store_is_sound($dbh, 'after all');

# A store that was dumped in the middle continues on another server.
start_transfers($dbh, 'dump-', 100);
$dbh->do('SELECT run_sagas(70)');
my $under_way = left($dbh);
cmp_ok($under_way, '>', 50, 'sagas are under way when they are dumped');
sub dump_to {
    my ($name, @options) = @_;
    $node->run_log([ 'pg_dump', @options, '-f', "$files/$name.sql", '-d', $node->connstr('postgres') ]) or die 'no dump';
    return "$files/$name.sql";
}

my @restored;
sub goes_on_elsewhere {
    my ($name, @dumps) = @_;
    my $database = 'restored_' . @restored;
    $dbh->do("CREATE DATABASE $database");
    for my $dump (@dumps) {
        local $ENV{PGOPTIONS} = '-c sierra_es.restore=on' if $dump =~ /data/;
        $node->run_log([ 'psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', $dump, '-d', $node->connstr($database) ])
          or die 'no restore';
    }
    push @restored, my $session = connect_to($node, $database);
    is(left($session), $under_way, "$name: the dump carries them");
    $session->do('SELECT run_sagas(1000)') while left($session);
    no_complaints([ faults($session) ], "$name: after a restore they continue where they were");
    return;
}
goes_on_elsewhere('whole', dump_to('whole'));
goes_on_elsewhere('schema and data apart', dump_to('schema', '--schema-only'), dump_to('data', '--data-only'));
$_->disconnect for @restored, $dbh;
$node->stop;
done_testing();
