# durable: an append that was acknowledged is there after a crash, also if it repeated
# one whose commit had not waited for the disk; so is a timer, and the start of a saga.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node = new_server('repeat');

# Nothing writes the log unless a commit waits for it.
$node->append_conf('postgresql.conf', <<'CONF');
autovacuum = off
wal_writer_delay = 10s
checkpoint_timeout = 1h
max_wal_size = 2GB
wal_buffers = 16MB
CONF
$node->restart;
create_store($node, 2);
my $dbh = connect_to($node);
$dbh->do(q{CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1'});
$dbh->do(q{SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')])});
$dbh->do(q{SELECT start_saga('saga', saga_id => 'warm')});

# Stops the process that would write the log by itself.
sub stop_wal_writer {
    my ($session) = @_;
    kill 'STOP', one_value($session, q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'});
    return;
}

# Does it without waiting, freezes what was written if wanted, repeats it, and kills the server.
sub is_durable {
    my ($name, $statement, $table, $there) = @_;
    my $session = connect_to($node);
    $session->do('CHECKPOINT');
    stop_wal_writer($session);
    $session->do('SET synchronous_commit = off');
    $session->do($statement);
    $session->do("VACUUM (FREEZE) $table") if $table;
    $session->do('SET synchronous_commit = on');
    $session->do($statement);
    kill_everything($node);
    eval { $session->disconnect };
    start_again($node);
    $session = connect_to($node);
    is(one_value($session, $there), 1, "durable: $name");
    $session->disconnect;
    return;
}

for my $round (1 .. 2) {
    my $id = "00000000-0000-4000-8000-00000000000$round";
    is_durable("an append that was repeated ($round)", "SELECT eappend('a', 'x', event_id => '$id')", undef,
        "SELECT count(*) FROM eget('$id')");
    $id = "00000000-0000-4000-8000-0000000000a$round";
    is_durable("an append that was frozen and repeated ($round)", "SELECT eappend('a', 'x', event_id => '$id')", 'es.events_0, es.events_1',
        "SELECT count(*) FROM eget('$id')");
    $id = "00000000-0000-4000-8000-0000000000b$round";
    is_durable("a batch that was frozen and repeated ($round)", "SELECT count(*) FROM emappend(NULL, ARRAY['a'], ARRAY['x'], event_ids => ARRAY['$id']::uuid[])",
        'es.events_0, es.events_1', "SELECT count(*) FROM eget('$id')");
    $id = "00000000-0000-4000-8000-0000000000d$round";
    is_durable("a call of many that was frozen and repeated ($round)",
        "SELECT count(*) FROM eappend_each(ARRAY['a', 'a'], ARRAY['x', 'x'], event_ids => ARRAY[NULL, '$id']::uuid[], "
            . "expected_versions => ARRAY['7777', 'any']::expected_version[])",
        'es.events_0, es.events_1', "SELECT count(*) FROM eget('$id')");
    $id = "00000000-0000-4000-8000-0000000000c$round";
    is_durable("a timer that was repeated ($round)", "SELECT eschedule('2999-01-01', 'a', 'Due', timer_id => '$id')", undef,
        "SELECT count(*) FROM event_timers() WHERE timer_id = '$id'");
    is_durable("a saga whose start was repeated ($round)", "SELECT start_saga('saga', saga_id => 's$round')", undef,
        "SELECT count(*) FROM escan('s$round')");
}
store_is_sound(connect_to($node), 'after all');

done_testing();
