# An owner who locks what is in a store keeps no runner from the stores of others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraListen;
use SierraTenants;
use SierraTest;
use Test::More;

my $node = new_server('locks');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 2
CONF
$node->restart;
my $dbh = connect_to($node);
tenant_roles($dbh, qw(regress_sierra_locker regress_sierra_waiter));

my $waiter = tenant_store($node, 'regress_sierra_waiter', 'waiter');
my $locker = tenant_store($node, 'regress_sierra_locker', 'locker');
is_served($_, 'at first') for $waiter, $locker;

# Runners that have just started have looked at nothing yet.
for my $lock ('LOCK TABLE locker.events IN ACCESS EXCLUSIVE MODE', 'LOCK TABLE locker.stream_keys IN ACCESS EXCLUSIVE MODE',
    'LOCK TABLE locker.event_ids IN ACCESS EXCLUSIVE MODE', 'REINDEX INDEX locker.events_0_sequence',
    'LOCK TABLE locker.timers IN ACCESS EXCLUSIVE MODE', 'REINDEX TABLE locker.projections')
{
    $locker->begin_work;
    $locker->do($lock);
    $dbh->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'sierra_es runner'});
    is_served($waiter, "during $lock") for 1 .. 2;
    $locker->rollback;
}
is_served($locker, 'after all locks');

# Many stores that are locked do not make the pauses between rounds of notifications long.
my @stores = map { "locked$_" } 1 .. 30;
for my $store (@stores) {
    $locker->do(q{SELECT create_event_store(?, 1)}, undef, $store);
}
my $listener = SierraListen->new($node);
my $caller = connect_to($node, 'postgres', 'regress_sierra_locker');
$locker->begin_work;
$locker->do("REINDEX INDEX $_.events_0_sequence") for @stores;
my $swept = '';
for my $time (1 .. 4) {
    for my $store (@stores) {
        $caller->do("SET sierra_es.store = '$store'");
        $caller->do('SELECT sierra_call_runners()');
    }
    wait_until('all stores are looked at', sub {
        my $last = one_value($dbh, q{SELECT last_sweep::text FROM event_databases() WHERE database = 'postgres'}) // '';
        my $is_new = $last ne $swept;
        $swept = $last;
        return $is_new;
    });
    pass("a sweep while stores are locked, time $time");
    my $position = one_value($waiter, q{SELECT global_position FROM eappend('a', 'x')});
    ok(($listener->heard_until('waiter', $position))[-1], "a notification while stores are locked, time $time");
}
$locker->rollback;

done_testing();
