# An owner with many stores, none of which is slow to look at, does not take the time in
# which runners look at stores of others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTenants;
use SierraTest;
use Test::More;
use Time::HiRes qw(time);

my $count = 24;
my $node  = new_server('budget');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 1
autovacuum = off
CONF
$node->restart;
my $dbh   = connect_to($node);
my @roles = qw(regress_sierra_budget_many regress_sierra_budget_one);
tenant_roles($dbh, @roles);

my @many = map { "many_$_" } 1 .. $count;
my $many;
$many = tenant_store($node, $roles[0], $_) for @many;
my $one = tenant_store($node, $roles[1], 'one');
is_served($one, 'at first');

# Events to be retried are read in each look at a store.
sub fill {
    my ($store, $from, $to) = @_;
    $many->do(<<"SQL");
INSERT INTO $store.subscription_streams
SELECT p.subscription, 's' || g, 0, 'retrying', 0, 0, NULL, 0, 0, 1, 'infinity', 'r', now()
  FROM $store.projections AS p, generate_series($from, $to) AS g
SQL
    return;
}

sub seconds_of_look {
    my ($store) = @_;
    my $fastest = 60;
    for (1 .. 3) {
        my $began = time;
        $many->do('SELECT count(*) FROM sierra_internal.list_jobs($1)', undef, $store);
        $fastest = time - $began if time - $began < $fastest;
    }
    return $fastest;
}

# All looks together take more than the time of an owner; none is slow.
my ($rows, $step) = (0, 2000);
while (seconds_of_look($many[0]) < 0.01) {
    fill($many[0], $rows + 1, $rows + $step);
    $rows += $step;
}
fill($_, 1, $rows) for @many[ 1 .. $#many ];

# While there are no timers, only a look reads the table of timers of a store.
sub looks_at {
    my ($store) = @_;
    return one_value($dbh, q{SELECT sum(seq_scan + idx_scan) FROM pg_stat_all_tables WHERE relname = 'timers' AND schemaname ~ $1}, "^$store");
}
my %before = map { $_ => looks_at($_) } qw(one many_);
is_served($one, "beside $count stores of another role") for 1 .. 40;
my %looks;
wait_until('the looks are counted', sub { ($looks{one} = looks_at('one') - $before{one}) > 30 });
$looks{many} = (looks_at('many_') - $before{many_}) / $count;
cmp_ok($looks{one}, '>', 1.25 * $looks{many}, 'runners look at the only store of a role more often');
wait_until('they look at each store', sub {
    $one->do(q{SELECT eappend('a', 'x')});
    !grep { !looks_at($_) } @many;
});

# Each of the many is served.
$many->do("SET sierra_es.store = $many[$_]"), is_served($many, "as one of many: $_") for 0, $#many;

done_testing();
