# A store that is slow to look at, since its owner has filled its tables, does not take the time of others.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTenants;
use SierraTest;
use Test::More;

my $node = new_server('looks');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 2
CONF
$node->restart;
my $dbh   = connect_to($node);
my @roles = qw(regress_sierra_looks_full regress_sierra_looks_small);
tenant_roles($dbh, @roles);

my $full  = tenant_store($node, $roles[0], 'full_store');
my $small = tenant_store($node, $roles[1], 'small');
is_served($full, 'at first');

# 10,000 projections, each of which waits for the first of the same 40,000 retries.
$full->do($_) for split /;;\n/, <<'SQL';
INSERT INTO full_store.subscription_streams
SELECT p.subscription, 's' || g, 0, 'retrying', 0, 0, NULL, 0, 0, 1, 'infinity', 'r', now()
  FROM full_store.projections AS p, generate_series(1, 40000) AS g;;
INSERT INTO full_store.projections
SELECT (jsonb_populate_record(p, jsonb_build_object('projection', 'q' || g, 'state', 'retrying', 'retry_at', 'infinity'))).*
  FROM full_store.projections AS p, generate_series(1, 10000) AS g
SQL
$dbh->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'sierra_es runner'});
is_served($small, 'beside a store with many rows') for 1 .. 3;

done_testing();
