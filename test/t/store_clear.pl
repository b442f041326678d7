# clear_event_store() on a server: the log, logical decoding, early lock release, runners and
# their notifications, sessions that append and read without a pause, a subscriber.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraDecoding;
use SierraListen;
use SierraTest;
use Test::More;

my $node = decoding_server('clear');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.sweep_interval = '1h'
sierra_es.early_lock_release = on
CONF
$node->restart;
create_store($node, 32);
my $dbh   = connect_to($node);
my $other = connect_to($node);

sub append {
    my ($dbh, $stream) = @_;
    return one_value($dbh, 'SELECT global_position FROM eappend($1, $2)', $stream, 'Happened');
}

sub clear { return one_value($_[0], q{SELECT clear_event_store('es', force => true)}) }

# ---------------------------------------------------------------------------
# The log
# ---------------------------------------------------------------------------

append($dbh, "stream-$_") for 1 .. 50;
my $offset = -s $node->logfile;
is(sqlstate_of($dbh, q{SELECT clear_event_store('es')}), '55000', 'refused without force');
$dbh->do('CREATE ROLE clerk LOGIN; GRANT USAGE ON SCHEMA es TO clerk');
my $clerk = connect_to($node, 'postgres', 'clerk');
is(sqlstate_of($clerk, q{SELECT clear_event_store('es', force => true)}), '42501', 'refused for others');
$clerk->disconnect;
unlike(slurp_file($node->logfile, $offset), qr/clears event store/, 'what is refused is not logged as done');
$dbh->do('SET client_min_messages = debug1');
is(clear($dbh), 50, 'it returns the number of events');
$dbh->do('RESET client_min_messages');
my $user = one_value($dbh, 'SELECT current_user');
my $log  = slurp_file($node->logfile, $offset);
like($log, qr/LOG:  sierra_es: role "$user" clears event store "es" of database "postgres"\n.*DETAIL:  Number of events: 50\.  The session is that of role "$user"\./,
    'the log says who, which store and how many events');
$dbh->do('ALTER ROLE clerk SUPERUSER; SET ROLE clerk');
clear($dbh);
$dbh->do('RESET ROLE; ALTER ROLE clerk NOSUPERUSER');
like(slurp_file($node->logfile, $offset), qr/role "clerk" clears .*\n.*The session is that of role "$user"/, 'and who has logged in');

# ---------------------------------------------------------------------------
# Other sessions, again and again: early lock release, warm caches
# ---------------------------------------------------------------------------

for my $round (1 .. 30) {
    my @sessions = ($round % 2 ? ($dbh, $other) : ($other, $dbh));
    my @got = map { append($sessions[ $_ % 2 ], 'stream-' . $_ % 7) } 1 .. 20;
    my $seen = one_value($sessions[1], q{SELECT string_agg(global_position::text, ' ' ORDER BY global_position) FROM eall()});
    next if "@got" eq join(' ', 0 .. 19) && $seen eq "@got" && clear($sessions[0]) == 20
      && !defined one_value($sessions[1], q{SELECT esver('stream-1')}) && one_value($sessions[1], 'SELECT ehead()') == -1;
    fail("round $round: positions @got, read $seen");
}
is(one_value($dbh, 'SELECT count(*) FROM es.events'), 0, 'cleared again and again, by two sessions in turn');
store_is_sound($dbh, 'after that');

# Sessions that append and read while the store is cleared: no error, and all numbers are right.
my $stop_file = $node->basedir . '/stop';
my @workers = map {
    my $number = $_;
    fork_process(sub {
        my $dbh = connect_to($node);
        until (-e $stop_file) {
            append($dbh, "stream-$number");
            my $gaps = one_value($dbh, q{SELECT count(*) FROM (SELECT stream_version - lag(stream_version, 1, -1::bigint) OVER (ORDER BY stream_version) AS step
                FROM escan($1)) AS e WHERE step <> 1}, "stream-$number");
            die "gaps in stream-$number" if $gaps > 0;
            my $back = one_value($dbh, q{SELECT count(*) FROM (SELECT global_position - lag(global_position, 1, -1::bigint) OVER () AS step FROM eall(max_count => NULL)) AS e WHERE step < 1});
            die 'positions go back' if $back > 0;
        }
    })
} 1 .. 3;
for my $round (1 .. 40) {
    wait_until('others have appended', sub { one_value($dbh, 'SELECT count(*) FROM es.events') > 2 });
    clear($dbh);
}
append_to_file($stop_file, 'now');
ok(wait_for_process($_), 'a session appends and reads beside clears') for @workers;
store_is_sound($dbh, 'and the store is sound');
clear($dbh);

# ---------------------------------------------------------------------------
# Runners
# ---------------------------------------------------------------------------

$dbh->do(q{CREATE FUNCTION count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb($1::text::bigint + 1)'});
$dbh->do(q{SELECT create_projection('counts', 'count(jsonb, sierra_event)', initial => '0')});
my $listener = SierraListen->new($node);
for my $round (1 .. 3) {
    my $position = (map { append($dbh, "stream-$_") } 1 .. 5)[-1];
    is($position, 4, "round $round: the same positions as before");
    ok(($listener->heard_until('es', 4))[-1], 'NOTIFY is sent');
    # The same numbers of events and positions as in the round before: it must run all the same.
    wait_until('the projection has run', sub { one_value($dbh, q{SELECT processed FROM event_projections()}) == 5 });
    is(one_value($dbh, q{SELECT sum(state::text::bigint) FROM estates('counts')}), 5, 'and counts from the start');
    is(clear($dbh), 5, 'cleared');
    $listener->forget;
}
# A position that becomes readable when an append rolls back is announced, though it is a low one.
append($dbh, "stream-$_") for 1 .. 20;
$listener->heard_until('es', 19);
clear($dbh);
$listener->forget;
$other->begin_work;
append($other, 'stream-1');
append($dbh, 'stream-2');
$listener->heard_until('es', 1);
$listener->forget;
$other->rollback;
ok(($listener->heard_until('es', 1))[-1], 'an event that an append in flight held back is announced');
$dbh->do(q{SELECT drop_projection('counts')});
clear($dbh);

# ---------------------------------------------------------------------------
# Logical decoding, and replication
# ---------------------------------------------------------------------------

$dbh->do(q{SELECT pg_create_logical_replication_slot('slot', 'sierra_es')});
append($dbh, 'stream-1') for 1 .. 3;
clear($dbh);
append($dbh, 'stream-1');
$dbh->do(q{SELECT count(*) FROM emappend(NULL, array_fill('stream-1'::text, ARRAY[30000]), array_fill('Many'::text, ARRAY[30000]))});
clear($dbh);
append($dbh, 'stream-1');
my $decoded = $dbh->selectcol_arrayref(q{SELECT (data::json ->> 'event_name') || ' ' || (data::json ->> 'global_position')
    FROM pg_logical_slot_get_changes('slot', NULL, NULL) WHERE data::json ->> 'type' = 'event'});
is(join(', ', @$decoded[ 0 .. 4 ], $decoded->[-1]), 'Happened 0, Happened 1, Happened 2, Happened 0, Many 1, Happened 0',
    'a slot sends the events as they were appended, and nothing for the clears');
is(scalar @$decoded, 30005, 'all of them');
$dbh->do(q{SELECT pg_drop_replication_slot('slot')});

my $subscriber = new_server('subscriber', allows_streaming => 'logical');
create_store($subscriber, 32);
$dbh->do('CREATE PUBLICATION whole_store FOR TABLES IN SCHEMA es');
my $copy = connect_to($subscriber);
$copy->do(sprintf q{CREATE SUBSCRIPTION follower CONNECTION '%s dbname=postgres' PUBLICATION whole_store}, $node->connstr);
$subscriber->wait_for_subscription_sync($node, 'follower');
is(sqlstate_of($copy, q{SELECT clear_event_store('es', force => true)}), '55000', 'a subscriber is not cleared');
$copy->do('DROP SUBSCRIPTION follower');
is(clear($copy), 1, 'but without the subscription it is');
is(append($copy, 'stream-1'), 0, 'and begins again');
store_is_sound($copy, 'afterwards');

# ---------------------------------------------------------------------------
# A crash
# ---------------------------------------------------------------------------

clear($dbh);
append($dbh, 'stream-1') for 1 .. 3;
clear($dbh);
my @before = map { append($dbh, 'stream-1') } 1 .. 2;
kill_everything($node);
start_again($node);
$dbh = connect_to($node);
is(one_value($dbh, q{SELECT string_agg(global_position::text, ' ') FROM eall()}), "@before", 'after a crash the cleared store is cleared');
ok(append($dbh, 'stream-1') > $before[-1], 'and appends continue');
store_is_sound($dbh, 'after the crash');

done_testing();
