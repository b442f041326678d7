# durable, exactly once: command handlers, snapshots and timers through crashes
# at any moment, dump and restore, and on a standby.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node  = new_server('derived', allows_streaming => 1);
my $files = PostgreSQL::Test::Utils::tempdir();
create_store($node, 8);

# Every event numbers its stream from the state that was loaded: a decision on a
# stale or a wrong state shows as a number that is not its version.
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION fold_number(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN to_jsonb(state::bigint + 1);
CREATE FUNCTION decide_number(state jsonb, command jsonb) RETURNS json LANGUAGE sql IMMUTABLE
    RETURN json_build_array(json_build_object('event_name', 'Numbered', 'payload', state),
                            json_build_object('event_name', 'Numbered', 'payload', state::bigint + 1));
CREATE FUNCTION upcast_number(payload jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN jsonb_build_object('n', payload);
SELECT create_aggregate('number', 'fold_number(jsonb, sierra_event)', '0', snapshot_every => 5);
SQL
my @streams = map { "stream-$_" } 1 .. 3;
my $timers  = 3000;
my $round   = 0;

sub schedule {
    my ($from, $to) = @_;
    $node->safe_psql('postgres', <<"SQL");
SELECT count(eschedule('2020-01-01'::timestamptz + n * interval '1 second', 'timer-' || n % 40, 'Due', to_json(n),
                       timer_id => ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid))
  FROM generate_series($from, $to) AS n;
SQL
    return;
}

# A child that calls a statement again and again, each time with other values,
# until the server is gone, and logs the results.
sub repeat_until_lost {
    my ($name, $statement, @values) = @_;
    return fork_process(sub {
        open my $log, '>>', "$files/$name.$round" or die $!;
        $log->autoflush(1);
        my $dbh = connect_to($node);
        for (my $i = 0; ; $i++) {
            my $rows = eval {
                $dbh->selectall_arrayref($statement, undef, map { ref $_ ? $_->[ $i % @$_ ] : $_ } @values);
            };
            if (!$rows) {
                last if connection_is_lost($dbh);
                die $dbh->errstr;
            }
            print {$log} map { join("\t", map { $_ // '' } @$_) . "\n" } @$rows;
        }
    });
}

sub written {
    my ($name) = @_;
    my @lines;
    for my $file (glob "$files/$name.*") {
        push @lines, grep { /\n\z/ } map { "$_\n" } split /\n/, slurp_file($file);
    }
    chomp @lines;
    return @lines;
}

# The payloads of streams are 0, 1, 2, ..., and states are the result of folding
# all events.
sub decisions_are_right {
    my ($dbh, $when) = @_;
    no_complaints(
        [ map { "$_->{stream_id}: $_->{payload} at version $_->{stream_version}" } @{ all_rows($dbh,
            q{SELECT stream_id, stream_version, payload FROM es.events
               WHERE event_name = 'Numbered' AND payload::text <> stream_version::text}) } ],
        "each event was decided on the state before it: $when");
    my %version = map { $_ => one_value($dbh, 'SELECT esver(?)', $_) } @streams;
    no_complaints(
        [ grep { my ($stream, $number) = split /\t/; $number > ($version{$stream} // -1) } written('decide') ],
        "durable: every acknowledged decision is there: $when");
    states_are_right($dbh, $when);
    return;
}

sub states_are_right {
    my ($dbh, $when) = @_;
    no_complaints(
        [ map { "$_->{stream_id}: $_->{state}, but $_->{count} events" } @{ all_rows($dbh,
            q{SELECT s.stream_id, l.state, l.version, s.count
                FROM (SELECT stream_id, count(*) FROM es.events GROUP BY 1) AS s, eload('number', s.stream_id) AS l
               WHERE l.state <> to_jsonb(s.count) OR l.version <> s.count - 1}) } ],
        "eload() folds every event once: $when");
    return;
}

# For each timer, either the timer still exists or its event does, once.
sub timers_are_right {
    my ($dbh, $wanted, $when) = @_;
    no_complaints($dbh->selectcol_arrayref(
            q{SELECT format('%s: %s timers, %s events', n, t.count, e.count) FROM generate_series(1, ?) AS n,
                     LATERAL (SELECT count(*) FROM es.timers WHERE payload::text = n::text) AS t,
                     LATERAL (SELECT count(*) FROM es.events WHERE event_name = 'Due' AND payload::text = n::text) AS e
               WHERE t.count + e.count <> 1}, undef, $wanted),
        "each timer is there or has run, once: $when");
    my $ran      = one_value($dbh, q{SELECT count(*) FROM es.events WHERE event_name = 'Due'});
    my $reported = 0;
    $reported += $_ for written('timers');
    cmp_ok($ran, '>=', $reported, "durable: what was reported to have run has: $when");
    return;
}

# ---------------------------------------------------------------------------
# kill -9 at any moment
# ---------------------------------------------------------------------------

for (1 .. 3) {
    $round++;
    schedule(($round - 1) * $timers / 3 + 1, $round * $timers / 3);
    my $dbh    = connect_to($node);
    my $before = one_value($dbh, 'SELECT count(*) FROM es.events');
    my @pids = (
        (map { repeat_until_lost('decide',
                q{SELECT stream_id, stream_version FROM edecide('number', ?, 'decide_number(jsonb, jsonb)', '{}', 1000000)},
                \@streams) } 1 .. 3),
        (map { repeat_until_lost('timers', 'SELECT run_timers(7)') } 1 .. 3),
        repeat_until_lost('dropped', q{SELECT drop_snapshots('number', ?)}, \@streams),
        repeat_until_lost('loaded', q{SELECT state, version + 1 FROM eload('number', ?) WHERE version IS NOT NULL}, \@streams));
    wait_until('decisions and timers are under way', sub {
        one_value($dbh, q{SELECT count(*) FILTER (WHERE event_name = 'Due') > 100 + $1 AND count(*) FILTER (WHERE event_name = 'Numbered') > 200 * $1
                            FROM es.events}, $round);
    });
    $dbh->disconnect;
    kill_everything($node);
    is(scalar(grep { !wait_for_process($_) } @pids), 0, "round $round: all sessions continued until the crash");
    start_again($node);
    $dbh = connect_to($node);
    decisions_are_right($dbh, "after crash $round");
    timers_are_right($dbh, $round * $timers / 3, "after crash $round");
    store_is_sound($dbh, "after crash $round");
    $dbh->disconnect;
}
no_complaints([ grep { my ($state, $number) = split /\t/; $state ne $number } written('loaded') ],
    'every state that was loaded beside them fits its version');
cmp_ok(scalar(grep { $_ > 0 } written('dropped')), '>', 0, 'snapshots were dropped beside them');

# Everything that the crashes left runs now, also timers that the crash
# interrupted.
my $dbh = connect_to($node);
1 while one_value($dbh, 'SELECT run_timers(500)') > 0;
is(one_value($dbh, 'SELECT count(*) FROM es.timers'), 0, 'every timer has run');
timers_are_right($dbh, $timers, 'in the end');

# ---------------------------------------------------------------------------
# Dump and restore
# ---------------------------------------------------------------------------

$dbh->do(q{SELECT create_upcaster('Numbered', 1, 'upcast_number(jsonb)')});
$dbh->do(q{SELECT eschedule('2020-01-01', 'timer-0', 'Due', '0', timer_id => '00000000-0000-4000-8000-000000000000')});
$dbh->do(q{SELECT eschedule('2200-01-01', 'timer-0', 'Later', '{ "exact" :  1 }', '{ }', 'a key')});
$dbh->do(q{SELECT state FROM eload('number', ?)}, undef, $_) for @streams;

my %query = (
    aggregates => 'SELECT a::text FROM es.aggregates AS a',
    snapshots  => 'SELECT s::text FROM es.snapshots AS s ORDER BY 1',
    timers     => 'SELECT t::text FROM es.timers AS t ORDER BY 1',
    upcasters  => 'SELECT u::text FROM es.upcasters AS u',
    states     => q{SELECT l::text FROM generate_series(1, 3) AS n, eload('number', 'stream-' || n) AS l},
    old_states => q{SELECT l::text FROM generate_series(1, 3) AS n, eload('number', 'stream-' || n, at_version => 7) AS l},
    upcast     => q{SELECT u::text FROM escan('stream-1', max_count => 5) AS e, eupcast(e) AS u});

sub text_of {
    my ($where, $name) = @_;
    return join "\n", @{ $where->selectcol_arrayref($query{$name}) };
}
my %text = map { $_ => text_of($dbh, $_) } sort keys %query;
cmp_ok(length $text{snapshots}, '>', 0, 'there are snapshots to dump');

$node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', "$files/dump.sql" ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-d', 'restored', '-f', "$files/dump.sql" ], 'psql');
my $restored = connect_to($node, 'restored');
same_text(text_of($restored, $_), $text{$_}, "restored: $_") for sort keys %query;
$restored->do(q{UPDATE es.snapshots SET state = '-1000000'});
cmp_ok(one_value($restored, q{SELECT state FROM eload('number', 'stream-1')}), '<', 0, 'restored snapshots are used');
is(one_value($restored, 'SELECT run_timers()'), 1, 'a restored timer runs');
is(one_value($restored, q{SELECT count(*) FROM es.events WHERE event_id = '00000000-0000-4000-8000-000000000000'}), 1, 'once');
is(one_value($restored, 'SELECT count(*) FROM drop_snapshots($1)', 'number'), 1, 'snapshots can go');
states_are_right($restored, 'restored');
store_is_sound($restored, 'restored');
$restored->disconnect;

# ---------------------------------------------------------------------------
# A standby
# ---------------------------------------------------------------------------

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$dbh->do(q{SELECT stream_version FROM edecide('number', 'stream-1', 'decide_number(jsonb, jsonb)', '{}') AS d});
$dbh->do(q{SELECT drop_snapshots('number')});
%text = map { $_ => text_of($dbh, $_) } qw(states old_states upcast);
$dbh->do(q{SELECT drop_snapshots('number')});
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
my $on_standby = connect_to($standby);
same_text(text_of($on_standby, $_), $text{$_}, "on the standby: $_") for sort keys %text;
states_are_right($on_standby, 'on the standby');
is(one_value($on_standby, 'SELECT count(*) FROM es.snapshots'), 0, 'loading there needs, and takes, no snapshots');
for my $call (q{edecide('number', 'stream-1', 'decide_number(jsonb, jsonb)', '{}')}, q{eschedule(now(), 's', 'e')},
    'run_timers()', q{ecancel(gen_random_uuid())}, q{drop_snapshots('number')})
{
    is(sqlstate_of($on_standby, "SELECT * FROM $call"), '25006', "$call refuses there");
}
$on_standby->disconnect;
$standby->promote;
$on_standby = connect_to($standby);
is(one_value($on_standby, 'SELECT run_timers()'), 1, 'promoted, it runs the timers that are due');
is(one_value($on_standby, q{SELECT count(*) FROM edecide('number', 'stream-2', 'decide_number(jsonb, jsonb)', '{}')}), 2,
    'and handles commands');
decisions_are_right($on_standby, 'promoted');
store_is_sound($on_standby, 'promoted');
$_->disconnect for $on_standby, $dbh;

done_testing();
