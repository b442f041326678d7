# A store can be dropped at any moment of a look at it, or of a job: no process of
# the extension ends of that.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_server('dropped');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 2
sierra_es.sweep_interval = '100ms'
CONF
$node->restart;
my $dbh = connect_to($node);
my $started = one_value($dbh, 'SELECT pg_postmaster_start_time()');
$dbh->do(q{CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS ''});
my $alive = 1;
for my $round (1 .. 60) {
    $alive &&= eval {
        $dbh->do(q{SELECT create_event_store('es', 2)});
        $dbh->do(q{SELECT create_projection('p', 'see(sierra_event)')});
        $dbh->do(q{SELECT eschedule('2020-01-01', 'late', 'Due')});
        $dbh->do(q{SELECT eappend('a', 'x')});

        # The processes wait for the locks of the session that drops it, and then it is gone.
        $dbh->begin_work;
        $dbh->do(q{SELECT drop_event_store('es', force => true)});
        sleep $round % 4 * 0.04;
        $dbh->commit;
        1;
    };
}
ok($alive, 'no session was lost') or diag($@);
$dbh = connect_to($node) unless $alive && $dbh->ping;
wait_until('the server is there', sub { eval { $dbh = connect_to($node) } });
is(one_value($dbh, 'SELECT pg_postmaster_start_time()'), $started, 'the server is the same');
unlike(slurp_file($node->logfile), qr/was terminated by signal|TRAP: /, 'no process has crashed');

done_testing();
