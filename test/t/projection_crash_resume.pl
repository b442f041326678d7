# kill -9 in the middle of everything that derives from events: folds, handlers
# of events and of batches, rebuilds and their take-over, inline projections,
# snapshots, timers, command handlers.  Afterwards every effect exists once, in
# order: as SQL folds and counts it from the events.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep);

my $seed = $ENV{SIERRA_TEST_SEED} // 20261;
note("SIERRA_TEST_SEED=$seed");
srand $seed;

my $node  = new_server('projection_crash');
my $files = PostgreSQL::Test::Utils::tempdir();
create_store($node, 4);

# nap() stops a session in the middle of its work: at times it naps at the place
# that the test names, and has uncommitted effects then.  A state has a chain
# that shows in which order events came into it.
my $dbh = connect_to($node);
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE FUNCTION nap(place name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('test.place', true) = place AND random() < current_setting('test.odds', true)::float THEN PERFORM pg_sleep(0.2); END IF;
END $$;;
CREATE FUNCTION chain(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nap('fold');
    RETURN jsonb_build_object('events', (state ->> 'events')::int + 1,
                              'chain', md5(concat(state ->> 'chain', ' ', e.global_position)));
END $$;;
CREATE AGGREGATE chained(sierra_event) (SFUNC = chain, STYPE = jsonb, INITCOND = '{"events": 0, "chain": ""}');;
CREATE TABLE rows_of_events (position bigint, nth bigserial);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN INSERT INTO rows_of_events VALUES (e.global_position); PERFORM nap('event'); END $$;;
CREATE TABLE rows_of_batches (position bigint);;
CREATE FUNCTION see_batch(e sierra_event[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN INSERT INTO rows_of_batches SELECT global_position FROM unnest(e); PERFORM nap('batch'); END $$;;
CREATE FUNCTION fold_number(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE
    RETURN to_jsonb(state::bigint + 1);;
CREATE FUNCTION decide_number(state jsonb, command jsonb) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nap('decide');
    RETURN json_build_array(json_build_object('event_name', 'Numbered', 'payload', state),
                            json_build_object('event_name', 'Numbered', 'payload', state::bigint + 1));
END $$;;
CREATE FUNCTION nap_after() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.nap(TG_TABLE_NAME); RETURN NULL; END $$;;
SELECT create_projection('fold', 'chain(jsonb, sierra_event)', initial => '{"events": 0, "chain": ""}', batch_size => 20);;
SELECT create_projection('rebuilt', 'chain(jsonb, sierra_event)', initial => '{"events": 0, "chain": ""}', batch_size => 20);;
SELECT create_projection('keyed', 'chain(jsonb, sierra_event)', initial => '{"events": 0, "chain": ""}', key => $$e.payload ->> 'user'$$, batch_size => 50);;
SELECT create_projection('inline', 'chain(jsonb, sierra_event)', initial => '{"events": 0, "chain": ""}', mode => 'inline');;
SELECT create_projection('shared', 'chain(jsonb, sierra_event)', initial => '{"events": 0, "chain": ""}', mode => 'inline', key => $$coalesce(e.payload ->> 'user', e.stream_id)$$);;
SELECT create_projection('event', 'see(sierra_event)', batch_size => 20);;
SELECT create_projection('batch', 'see_batch(sierra_event[])', batch_size => 20);;
SELECT create_aggregate('number', 'fold_number(jsonb, sierra_event)', '0', snapshot_every => 5);;
CREATE TRIGGER nap_after AFTER UPDATE OF live ON es.projections FOR EACH ROW EXECUTE FUNCTION nap_after();;
CREATE TRIGGER nap_after AFTER INSERT OR UPDATE ON es.snapshots FOR EACH ROW EXECUTE FUNCTION nap_after();;
CREATE TRIGGER nap_after AFTER DELETE ON es.timers FOR EACH ROW EXECUTE FUNCTION nap_after()
SQL
$dbh->disconnect;


# ---------------------------------------------------------------------------
# What sessions do, again and again
# ---------------------------------------------------------------------------

sub append {
    my ($session) = @_;
    $session->selectall_arrayref(q{SELECT eappend($1, 'E', json_build_object('user', $2::text))}, undef,
        'stream-' . int(rand 6), 'user-' . int(rand 3));
    return;
}

sub decide {
    my ($session) = @_;
    $session->selectall_arrayref(q{SELECT edecide('number', $1, 'decide_number(jsonb, jsonb)', '{}', 1000000)},
        undef, 'number-' . int(rand 2));
    return;
}

sub load {
    my ($session) = @_;
    my $stream = 'number-' . int rand 2;
    $session->do(q{SELECT drop_snapshots('number', $1)}, undef, $stream);
    $session->do(q{SELECT eload('number', $1)}, undef, $stream);
    return;
}

sub run_one {
    my ($session, $name) = @_;
    $session->do('SELECT run_projection(?, 200)', undef, $name);
    sleep 0.01;
    return;
}

sub rebuild {
    my ($session) = @_;
    # Refused while the other session's is running.
    my $state = sqlstate_of($session, q{SELECT rebuild_projection('rebuilt')}) // '';
    die $session->errstr if $state && $state ne '55000';
    run_one($session, 'rebuilt');
    return;
}

sub run_timers { $_[0]->do('SELECT run_timers(20)'); sleep 0.01; return }

# Works until the file exists.  A session that is killed is replaced; any other
# error is a fault.
sub work {
    my ($stop, $code, $place, $odds) = @_;
    $place //= '';
    until (-e $stop) {
        my $session = eval { connect_to($node) };
        if (!$session) {
            sleep 0.05;
            next;
        }
        eval {
            $session->do('SET client_min_messages = error');
            $session->do("SET test.place = '$place'");
            $session->do("SET test.odds = '$odds'") if $place;
            $place = '';
            $code->($session) until -e $stop;
            1;
        } or connection_is_lost($session) or die $@;
        eval { $session->disconnect };
    }
    return;
}

# The work during which the server is killed: where a nap is, how often, and
# what two sessions do.
my @phases = (
    [ 'a batch of a fold',        'fold',        0.01, sub { run_one($_[0], 'fold') } ],
    [ 'a handler of events',      'event',       0.02, sub { run_one($_[0], 'event') } ],
    [ 'a handler of batches',     'batch',       0.3, sub { run_one($_[0], 'batch') } ],
    [ 'a rebuild',                'fold',        0.005, \&rebuild ],
    [ 'a take-over',              'projections', 1, \&rebuild ],
    [ 'an append, inline',        'fold',        0.2, \&append ],
    [ 'eload() with a snapshot',  'snapshots',   0.5, \&load ],
    [ 'run_timers()',             'timers',      0.05, \&run_timers ],
    [ 'edecide() with conflicts', 'decide',      0.3, \&decide ],
);
my @others = (
    (map { sub { append($_[0]); sleep 0.003 } } 1 .. 2),
    sub { $_[0]->do('SELECT run_projections(150)'); sleep 0.01 },
    sub { decide($_[0]); sleep 0.003 },
    sub { run_timers($_[0]); sleep 0.02 });

# ---------------------------------------------------------------------------
# The expected result
# ---------------------------------------------------------------------------

my %key = (
    fold    => 'e.stream_id',
    rebuilt => 'e.stream_id',
    keyed   => q{e.payload ->> 'user'},
    inline  => 'e.stream_id',
    shared  => q{coalesce(e.payload ->> 'user', e.stream_id)});

sub faults {
    my ($session, $timers) = @_;
    my @faults;
    my $look = sub {
        my ($what, $query, @values) = @_;
        push @faults, map { "$what: " . join ' ', map { $_ // 'NULL' } @$_ }
          @{ $session->selectall_arrayref($query, undef, @values) };
    };
    for my $name (sort keys %key) {
        # Appends to several streams reach a state that they share in any order.
        my $compared = $name eq 'shared' ? q{-> 'events'} : '';
        $look->("state of $name", qq{SELECT coalesce(w.key, s.key), s.state, w.state
              FROM (SELECT $key{$name}, chained(e ORDER BY e.global_position) FROM eall(-1, 10000000) AS e
                     WHERE $key{$name} IS NOT NULL GROUP BY 1) AS w (key, state)
              FULL JOIN estates('$name') AS s ON s.key = w.key
             WHERE s.state $compared IS DISTINCT FROM w.state $compared});
    }
    $look->("$_, times", qq{SELECT coalesce(e.global_position, s.position), count(s.position)
          FROM eall(-1, 10000000) AS e FULL JOIN $_ AS s ON s.position = e.global_position
         GROUP BY 1, e.global_position HAVING count(s.position) <> 1 OR e.global_position IS NULL})
      for qw(rows_of_events rows_of_batches);
    $look->('handled before its predecessor', q{SELECT s.position FROM (SELECT r.position,
           lag(r.position) OVER (PARTITION BY e.stream_id ORDER BY r.nth) > r.position AS wrong
          FROM rows_of_events AS r JOIN es.events AS e ON e.global_position = r.position) AS s WHERE s.wrong});
    $look->('timer, events', q{SELECT n, count(e.event_id) FROM generate_series(1, ?) AS n
          LEFT JOIN es.events AS e ON e.event_name = 'Due' AND e.payload::text = n::text
         GROUP BY 1 HAVING count(e.event_id) <> 1}, $timers);
    $look->('decided on another state', q{SELECT stream_id, stream_version, payload FROM es.events
         WHERE event_name = 'Numbered' AND payload::text <> stream_version::text});
    $look->('state of aggregate', q{SELECT s.stream_id, l.state, l.version, s.count
          FROM (SELECT stream_id, count(*) FROM eall(-1, 10000000) GROUP BY 1) AS s, eload('number', s.stream_id) AS l
         WHERE l.state <> to_jsonb(s.count) OR l.version <> s.count - 1});
    $look->('projection', q{SELECT projection, version, state, last_error FROM event_projections()
         WHERE state <> 'running' OR last_error IS NOT NULL});
    return @faults;
}

my $timers = 0;

sub schedule {
    my ($session) = @_;
    $session->do(q{SELECT eschedule('2020-01-01', 'timer-' || n % 7, 'Due', to_json(n))
                     FROM generate_series($1::int + 1, $1::int + 500) AS n}, undef, $timers);
    $timers += 500;
    return;
}

# ---------------------------------------------------------------------------
# Kill
# ---------------------------------------------------------------------------

# Kills the server, or one backend of it: then it restarts all processes by
# itself.
sub kill_it {
    my ($session, $pid) = @_;
    if (int rand 2) {
        kill_everything($node);
        start_again($node);
        return;
    }
    kill 'KILL', $pid;
    wait_until('the server ends all sessions', sub { !$session->ping });
    wait_until('the server is back', sub { eval { connect_to($node)->disconnect; 1 } });
    return;
}

for my $phase (@phases) {
    my ($name, $place, $odds, $code) = @$phase;
    my $stop     = "$files/stop." . join '', $name =~ /(\w+)/g;
    my $session  = connect_to($node);
    my @children = map { my $each = $_; my $random = int rand 1_000_000;
        fork_process(sub { srand $random; work($stop, @$each) }) }
      ([ $code, $place, $odds ], [ $code, $place, $odds ], map { [$_] } @others);
    schedule($session);
    sleep 0.2 + rand 0.3;
    my $pid;
    wait_until("somebody is in the middle of $name", sub {
        $pid = one_value($session, q{SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' LIMIT 1});
    });
    kill_it($session, $pid);
    eval { $session->disconnect };
    open my $file, '>', $stop or die "$stop: $!";
    close $file;
    is(scalar(grep { !wait_for_process($_) } @children), 0, "$name: sessions met no other error");

    $session = connect_to($node);
    1 while one_value($session, 'SELECT run_timers(1000)');
    1 while one_value($session, 'SELECT run_projections(10000)');
    no_complaints([ faults($session, $timers) ], "killed in $name: every effect is there once");
    $session->disconnect;
}

$dbh = connect_to($node);
cmp_ok(one_value($dbh, q{SELECT max(version) FROM event_projections() WHERE projection = 'rebuilt'}),
    '>', 1, 'a new version took over');
cmp_ok(one_value($dbh, q{SELECT count(*) FROM es.events WHERE event_name = 'Numbered'}), '>', 100, 'commands were handled');
store_is_sound($dbh, 'after all');
$dbh->disconnect;
$node->stop;
done_testing();
