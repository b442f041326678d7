# Owners take turns, however slow the jobs of one of them are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTenants;
use SierraTest;
use Test::More;

my $node = new_server('turns');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 1
CONF
$node->restart;
my $dbh = connect_to($node);

# The OID of the first one is lower, so its turn comes first.
my @roles = qw(regress_sierra_turns_slow regress_sierra_turns_quick);
tenant_roles($dbh, @roles);

sub make_store {
    my ($role, $store, $handler, $projections) = @_;
    my $session = connect_to($node, 'postgres', $role);
    $session->do($_) for split /;;\n/, <<"SQL";
SELECT create_event_store('$store', 1);;
SET sierra_es.store = '$store';;
CREATE TABLE $store.seen (n int);;
CREATE SEQUENCE $store.calls;;
CREATE FUNCTION $store.see(e sierra_event) RETURNS void LANGUAGE sql AS '$handler';;
SELECT create_projection('p' || g, '$store.see(sierra_event)', batch_size => 1, retry_after => '0') FROM generate_series(1, $projections) AS g;;
SELECT count(eappend('a', 'x')) FROM generate_series(1, 10)
SQL
    return $session;
}

sub calls { return one_value($dbh, q{SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM slow.calls}) }

# The job of the slow owner takes so long that its runner is asked to leave meanwhile.
my $slow = make_store($roles[0], 'slow', q{SELECT nextval(''slow.calls''), pg_sleep(3)}, 4);
wait_until('the slow one runs', sub { calls() > 0 });
my $quick = make_store($roles[1], 'quick', 'INSERT INTO quick.seen VALUES (1)', 1);
wait_until('the quick one has its turns', sub { one_value($quick, 'SELECT count(*) FROM quick.seen') == 10 });
pass('an owner whose turn comes later is served');
my $calls = calls();
wait_until('the slow one has its turns', sub { calls() > $calls });
pass('and the others too');

# With more runners, jobs that never end take all places but one.
$slow->do(q{SELECT drop_projection('p' || g) FROM generate_series(1, 4) AS g});
$dbh->do(q{ALTER SYSTEM SET sierra_es.max_runners = 3});
$dbh->do('SELECT pg_reload_conf()');
$slow->do(q{CREATE FUNCTION slow.hang(e sierra_event) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(3600)'});
$slow->do(q{SELECT create_projection('hang' || g, 'slow.hang(sierra_event)') FROM generate_series(1, 6) AS g});
wait_until('they hang', sub { one_value($dbh, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND backend_type = 'sierra_es runner'}) == 2 });
for my $time (1 .. 3) {
    $quick->do(q{SELECT eappend('a', 'x')});
    wait_until('the quick one runs', sub { one_value($quick, 'SELECT count(*) FROM quick.seen') == 10 + $time });
    pass("an owner is served while jobs of another one hang, time $time");
    sleep 1;
}
is(one_value($dbh, q{SELECT count(*) FROM event_runners() WHERE job LIKE '%store slow'}), 2, 'these have all places but one');

done_testing();
