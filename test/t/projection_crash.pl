# Projections: each event exactly once into states and into the tables of
# handlers, whatever is killed in the meantime; dumps include them; waiting for
# one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node  = new_server('projections');
my $files = PostgreSQL::Test::Utils::tempdir();
my $dump  = "$files/dump.sql";
create_store($node, 4);
my $dbh = connect_to($node);
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE TABLE seen (position bigint PRIMARY KEY);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO seen VALUES ($1.global_position)';;
CREATE TABLE poisoned (stream_id text, version bigint, PRIMARY KEY (stream_id, version));;
CREATE FUNCTION refuse(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO poisoned VALUES (e.stream_id, e.stream_version);
    IF e.stream_version % 7 = 3 THEN RAISE 'poison'; END IF;
END $$;;
CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN RETURN to_jsonb(state::text::bigint + 1); END $$;;
SELECT create_projection('rows', 'see(sierra_event)', batch_size => 20);;
SELECT create_projection('streams', 'tally(jsonb, sierra_event)', initial => '0', batch_size => 30);;
SELECT create_projection('users', 'tally(jsonb, sierra_event)', initial => '0', key => $$e.payload ->> 'user'$$);;
SELECT create_projection('inline', 'tally(jsonb, sierra_event)', initial => '0', mode => 'inline', key => $$e.payload ->> 'user'$$);;
SELECT create_projection('poison', 'refuse(sierra_event)', on_error => 'park', max_attempts => 1);;
SELECT create_projection('rebuilt', 'tally(jsonb, sierra_event)', initial => '0')
SQL
$dbh->disconnect;

# What is wrong with projection states and tables, counted from the events.
sub faults {
    my ($session) = @_;
    my @faults;
    my %wanted = (
        streams => 'SELECT stream_id, count(*) FROM es.events GROUP BY 1',
        rebuilt => 'SELECT stream_id, count(*) FROM es.events GROUP BY 1',
        users   => q{SELECT payload ->> 'user', count(*) FROM es.events GROUP BY 1},
        inline  => q{SELECT payload ->> 'user', count(*) FROM es.events GROUP BY 1},
    );
    for my $name (sort keys %wanted) {
        push @faults, map { "$name: $_->[0]: $_->[1], not $_->[2]" } @{ $session->selectall_arrayref(
            "SELECT coalesce(w.key, s.key), s.state, w.count
               FROM ($wanted{$name}) AS w (key, count) FULL JOIN estates('$name') AS s ON s.key = w.key
              WHERE s.state IS NULL OR w.count IS NULL OR s.state::text::bigint <> w.count") };
    }
    push @faults, map { "rows: $_->[0]" } @{ $session->selectall_arrayref(
        'SELECT coalesce(e.global_position, s.position)
           FROM es.events AS e FULL JOIN seen AS s ON s.position = e.global_position
          WHERE s.position IS NULL OR e.global_position IS NULL') };
    # A parked stream stopped where it failed, the others are processed.
    push @faults, map { "poison: $_->[0] $_->[1]" } @{ $session->selectall_arrayref(
        'SELECT e.stream_id, e.stream_version
           FROM es.events AS e FULL JOIN poisoned AS p
             ON (p.stream_id, p.version) = (e.stream_id, e.stream_version)
          WHERE (p.version IS NOT NULL) <> (e.stream_version < 3) OR e.stream_id IS NULL') };
    return @faults;
}

# eproject() never disagrees with the events that the same snapshot shows.
sub look {
    my ($session) = @_;
    my $user = 'user-' . int rand 3;
    my ($count, @states) = $session->selectrow_array(
        q{SELECT (SELECT count(*) FROM es.events WHERE payload ->> 'user' = $1),
                 eproject('users', $1), eproject('inline', $1)}, undef, $user);
    for my $state (@states) {
        next if $state == $count;
        $session->disconnect;
        open my $file, '>>', "$files/stale";
        print $file "$user: $state, not $count\n";
        close $file;
    }
}

my $rounds = 6;
for my $round (1 .. $rounds) {
    my $stop    = "$files/stop.$round";
    my @workers = map { my $n = $_; fork_process(sub {
        srand($round * 10 + $n);
        work_until($node, $stop, sub {
            my ($session) = @_;
            $session->selectall_arrayref(q{SELECT eappend($1, 'E', json_build_object('user', $2::text))}, undef,
                'stream-' . int(rand 8), 'user-' . int(rand 3));
        }) }) } 1 .. 2;
    push @workers, fork_process(sub { work_until($node, $stop, sub { $_[0]->do('SELECT run_projections(15)'); sleep 0.01 }) });
    push @workers, fork_process(sub { srand($round); work_until($node, $stop, sub {
        my ($session) = @_;
        my @names = qw(rows streams users rebuilt poison);
        $session->do('SELECT run_projection(?, 7)', undef, $names[ rand @names ]);
    }) });
    push @workers, fork_process(sub { srand($round + 5); work_until($node, $stop, \&look) });

    # A rebuild is running when everything is killed, and one may have ended.
    my $session = connect_to($node);
    my $before  = one_value($session, 'SELECT count(*) FROM es.events');
    $session->do(q{SELECT rebuild_projection('rebuilt')})
      unless one_value($session, q{SELECT count(*) - 1 FROM event_projections() WHERE projection = 'rebuilt'});
    wait_until('events are appended and handled', sub {
        one_value($session, 'SELECT count(*) FROM es.events') > $before + 60
          && one_value($session, 'SELECT count(*) FROM seen') > $before;
    });
    if ($round % 2) {
        $session->disconnect;
        kill_everything($node);
        start_again($node);
    }
    else {
        # One backend of many: the server restarts all processes by itself.
        my $pid;
        wait_until('a projection runs', sub {
            $pid = one_value($session,
                q{SELECT pid FROM pg_stat_activity WHERE query LIKE '%run_projection%' AND state = 'active'
                     AND pid <> pg_backend_pid() LIMIT 1});
        });
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
    1 while one_value($session, 'SELECT run_projections(1000)');
    no_complaints([ faults($session) ], "round $round: each event is in every projection once");
    $session->disconnect;
}
ok(!-e "$files/stale", 'eproject() was never stale') or diag(slurp_file("$files/stale"));

$dbh = connect_to($node);
cmp_ok(one_value($dbh, 'SELECT count(*) FROM es.events'), '>', 60 * $rounds, 'there were events');
cmp_ok(one_value($dbh, q{SELECT max(version) FROM event_projections() WHERE projection = 'rebuilt'}),
    '>', 1, 'a new version took over');
store_is_sound($dbh, 'after all rounds');

# Read your writes: waiting ends when another session has run the projection.
my $position = one_value($dbh, q{SELECT (eappend('stream-1', 'E', '{"user": "user-1"}')).global_position});
is(one_value($dbh, q{SELECT ewait_projection('rows', ?, '50 ms')}, $position), 0, 'not handled yet');
is(one_value($dbh, q{SELECT ewait_projection('inline', ?, '0')}, $position), 1, 'inline it is');
my $runner = fork_process(sub {
    my $session = connect_to($node);
    wait_until('the other session waits', sub {
        one_value($session, q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%ewait_projection%' AND state = 'active' AND pid <> pg_backend_pid()});
    });
    $session->do(q{SELECT run_projections()});
});
is(one_value($dbh, q{SELECT ewait_projection('rows', ?, '1 minute')}, $position), 1, 'handled');
ok(wait_for_process($runner), 'the runner ended well');

# A version is dropped while a session waits for it.
$dbh->do(q{SELECT rebuild_projection('rebuilt', automatic => false)});
$position = one_value($dbh, q{SELECT (eappend('stream-1', 'E', '{"user": "user-1"}')).global_position});
$runner = fork_process(sub {
    my $session = connect_to($node);
    wait_until('the other session waits', sub {
        one_value($session, q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%ewait_projection%' AND state = 'active' AND pid <> pg_backend_pid()});
    });
    $session->do(q{SELECT finish_rebuild('rebuilt')});
});
is(one_value($dbh, q{SELECT ewait_projection('rebuilt', ?, '1 minute')}, $position), 1, 'handled by the new version');
ok(wait_for_process($runner), 'the rebuild ended well');

# A dump includes projections with their states and progress.
$dbh->do(q{SELECT run_projections(10)});
$dbh->do(q{SELECT rebuild_projection('streams')});
$dbh->do(q{SELECT eappend('stream-' || n, 'E', '{"user": "user-2"}') FROM generate_series(0, 20) AS n});
my $states = q{SELECT string_agg(s::text, ',' ORDER BY s.projection, s.version, s.key) FROM es.projection_states AS s};
my $status = q{SELECT string_agg(concat_ws(' ', projection, version, live, mode, state, cursor, lag_events, processed, parked), ',' ORDER BY projection, version) FROM event_projections()};
$node->run_log([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ]);
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->safe_psql('restored', 'CREATE EXTENSION sierra_es');
$node->safe_psql('postgres', q{ALTER DATABASE restored SET sierra_es.restore = on});
$node->command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'restored');
$node->safe_psql('postgres', q{ALTER DATABASE restored RESET sierra_es.restore});
my $restored = connect_to($node, 'restored');
for my $query ($states, $status) {
    same_text(one_value($restored, $query), one_value($dbh, $query), 'the restored store has the same');
}
$restored->do('SET client_min_messages = error');
$restored->do(q{SELECT eappend('stream-' || n, 'E', '{"user": "user-1"}') FROM generate_series(0, 9) AS n});
1 while one_value($restored, 'SELECT run_projections(1000)');
no_complaints([ faults($restored) ], 'the restored store continues');
$restored->disconnect;
$dbh->disconnect;
$node->stop;
done_testing();
