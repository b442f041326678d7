# Stores that their owners have damaged, beside runners: these say in
# the log what is wrong, serve the other stores, and do not end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraCalls;
use SierraMutilations;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_server('damaged');
my $runners = setting_of_runners($node);
$node->append_conf('postgresql.conf', <<"CONF");
shared_preload_libraries = 'sierra_es'
$runners = 0
sierra_es.sweep_interval = '500ms'
max_worker_processes = 16
log_min_error_statement = panic
CONF
$node->restart;
prepare_database($node);
my $superuser = connect_to($node);
my $started = one_value($superuser, 'SELECT pg_postmaster_start_time()');
my $owner = connect_to($node, 'postgres', 'regress_sierra_owner');
$owner->do('SET client_min_messages = error');

# Those that a runner meets, each in a store of its own.  Functions are left alone: the stores share them.
my $wanted = $ENV{SIERRA_TEST_MUTILATIONS} // '^(?:projections|timers|sagas|saga_instances|subscription_cursors|sequence): ';
my (%name_of, $tried);
for my $mutilation (mutilations_by_hand()) {
    next if $mutilation->{superuser} || $mutilation->{sql} =~ /CREATE (?:SCHEMA|AGGREGATE|PROCEDURE)|handlers\.step/ || $mutilation->{name} !~ /$wanted/ || $mutilation->{name} =~ /^function: /;
    my $store = 'damaged_' . ++$tried;
    my $sql = $mutilation->{sql} =~ s/\bes\./$store./gr =~ s/'es'/'$store'/gr;

    # Some are about what this store does not have.
    next unless eval { fill_for_runners($owner, $store); $owner->do($sql); 1 };
    $name_of{$store} = $mutilation->{name};
}
cmp_ok(scalar keys %name_of, '>=', $ENV{SIERRA_TEST_MUTILATIONS} ? 1 : 150, 'there are enough of them');
fill_for_runners($owner, 'sound');

$node->append_conf('postgresql.conf', "$runners = 2");
$node->reload;
my $alive = eval {
    my $last_busy = time;
    my $deadline = time + 60;
    while (time < $deadline && time < $last_busy + 4) {
        $last_busy = time if one_value($superuser, q{SELECT count(*) FROM event_runners() WHERE job IS NOT NULL});
        $owner->do(q{SELECT eappend('a', 'Happened')});
        sleep 0.2;
    }
    my $position = one_value($owner, q{SELECT global_position FROM eappend('a', 'Happened')});
    is(one_value($owner, q{SELECT ewait_projection('by_itself', $1, '150 s')}, $position), 1, 'the sound store is served')
      or diag(map {"runner: $_->{job} since $_->{since}\n"} grep { defined $_->{job} } @{ all_rows($superuser, 'SELECT * FROM event_runners()') });
    is(one_value($owner, q{SELECT count(*) FROM escan('late')}), 1, 'its timer has fired');
    wait_until('its saga has ended', sub { one_value($owner, q{SELECT status FROM event_sagas()}) eq 'completed' });
    1;
};
ok($alive, 'no session was lost') or diag($@);
wait_until('the server is there', sub { eval { $superuser = connect_to($node) } });
is(one_value($superuser, 'SELECT pg_postmaster_start_time()'), $started, 'the server is the same');
my $log = slurp_file($node->logfile);
unlike($log, qr/was terminated by signal|TRAP: /, 'no process has crashed');
my %internal = map { $_ => 1 } $log =~ /(?:cache lookup failed|unrecognized|invalid memory alloc|column \d+ of an event is null|unexpected)[^\n]*/g;
is(join("\n", sort keys %internal), '', 'no internal error in the log');

done_testing();
