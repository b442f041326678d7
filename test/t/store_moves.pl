# portable_positions: stores in the middle of all their work are recovered to a point in time,
# rebuilt, moved to other tablespaces, and get other names and owners.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraLoad;
use SierraMoves;
use SierraTest;
use Test::More;

my $node  = new_server('moves', has_archiving => 1, allows_streaming => 1);
my $moves = SierraMoves->new($node);
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'sierra_es'");
$node->restart;
my $dbh = connect_to($node);

# ---------------------------------------------------------------------------
# Recovery to a point in time
# ---------------------------------------------------------------------------

$node->backup('base');
$moves->append_more;
$dbh->do(q{SELECT pg_create_restore_point('before')});
$dbh->do(q{SELECT eappend('later', 'Happened') FROM generate_series(1, 10)});
my $segment = one_value($dbh, 'SELECT pg_walfile_name(pg_switch_wal())');
wait_until('the WAL is archived', sub { one_value($dbh, 'SELECT coalesce(last_archived_wal, $2) >= $1 FROM pg_stat_archiver', $segment, '') });

my $recovered = PostgreSQL::Test::Cluster->new('recovered');
$recovered->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
$recovered->append_conf('postgresql.conf', <<'CONF');
archive_mode = off
recovery_target_name = 'before'
recovery_target_action = promote
CONF
$recovered->start;
wait_until('the server is recovered', sub { $recovered->safe_psql('postgres', 'SELECT pg_is_in_recovery()') eq 'f' });
$moves->is_there(connect_to($recovered), 'recovered to a point in time');
$moves->continues($recovered, 'postgres', 'recovered to a point in time');
$recovered->stop;
$moves->note_contents;

# ---------------------------------------------------------------------------
# Rebuilt and moved, while sessions append and consume
# ---------------------------------------------------------------------------

my $place = PostgreSQL::Test::Utils::tempdir();
$dbh->do("CREATE TABLESPACE spare LOCATION '$place'");
my $kinds = q{SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace IN ('es'::regnamespace, 'running'::regnamespace) AND c.relkind = $1 ORDER BY 1};
my @tables  = @{ $dbh->selectcol_arrayref($kinds, undef, 'r') };
my @indexes = @{ $dbh->selectcol_arrayref($kinds, undef, 'i') };
my %primary = map { @$_ } @{ $dbh->selectall_arrayref(
        q{SELECT indrelid::regclass::text, (SELECT relname FROM pg_class WHERE oid = indexrelid) FROM pg_index WHERE indisprimary}) };
cmp_ok(scalar @tables, '>', 30, 'there are tables');
my @rounds = (
    [ 'VACUUM FULL', map {"VACUUM FULL $_"} @tables ],
    [ 'CLUSTER', map {"CLUSTER $_ USING $primary{$_}"} grep { $primary{$_} } @tables ],
    [ 'REINDEX SCHEMA CONCURRENTLY', map {"REINDEX SCHEMA CONCURRENTLY $_"} qw(es running) ],
    [ 'REINDEX TABLESPACE', map {"REINDEX (TABLESPACE spare) SCHEMA CONCURRENTLY $_"} qw(es running) ],
    [ 'SET TABLESPACE', map {"ALTER TABLE $_ SET TABLESPACE spare"} @tables ],
    [ 'back again', (map {"ALTER TABLE $_ SET TABLESPACE pg_default"} @tables), map {"ALTER INDEX $_ SET TABLESPACE pg_default"} @indexes ],
);

my $load = SierraLoad->new(dsn => dsn_of($node), sessions => 2, seed => 1690)->start;
my @consumers = SierraMoves::consumers(dsn_of($node));
for my $round (@rounds) {
    my ($name, @statements) = @$round;
    no_complaints([ map { my $state = sqlstate_of($dbh, $_); $state ? "$_: $state" : () } @statements ], "$name beside load");
    $load->wait_for(5);
}

SKIP: {
    skip 'pg_repack is not installed', 2
      unless one_value($dbh, q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_repack'});
    $dbh->do('CREATE EXTENSION pg_repack');
    my $files = q{SELECT string_agg(relfilenode::text, ' ' ORDER BY oid) FROM pg_class WHERE relkind = 'r' AND oid = ANY ($1::text[]::regclass[])};
    my @repacked = grep {/^es\./} @tables;
    my %before = map { $_ => one_value($dbh, $files, [$_]) } @repacked;
    $node->command_ok([ 'pg_repack', '-d', 'postgres', '--no-kill-backend', '--wait-timeout=600', '--schema', 'es' ],
        'pg_repack beside load');
    no_complaints([ grep { $before{$_} == one_value($dbh, $files, [$_]) } @repacked ], 'pg_repack has rebuilt every table');
    $dbh->do('DROP EXTENSION pg_repack');
    $load->wait_for(5);
}
ok($load->stop, 'appends continued');
ok($_->stop, "a consumer of '$_->{subscription}' continued") for @consumers;
no_complaints([ $load->complaints($dbh) ], 'durable: no append failed, and every one is there');
push @{ $moves->{loads} }, $load;

# Without CONCURRENTLY, a consumer can wait for it and it for the consumer.
is(sqlstate_of($dbh, "REINDEX SCHEMA $_"), '', "REINDEX SCHEMA $_") for qw(es running);
$moves->note_contents;
$moves->is_there($dbh, 'rebuilt and moved');

# ---------------------------------------------------------------------------
# Another name of the store
# ---------------------------------------------------------------------------

my $other = connect_to($node);
is(one_value($other, q{SELECT esver('later')}), 9, 'a session knows the store');
$dbh->do(q{ALTER SCHEMA es RENAME TO "Other name"});
is(sqlstate_of($other, q{SELECT esver('later')}), 'SE005', 'the store has its old name no more');
$moves->is_there($dbh, 'renamed', names => { es => 'Other name' });
$other->do(q{SET sierra_es.store = 'Other name'});
$other->begin_work;
is(one_value($other, q{SELECT stream_version FROM eappend('later', 'Happened')}), 10, 'it takes appends');
is(one_value($other, q{SELECT count(*) FROM escan('later')}), 11, 'and reads');
for my $call (q{run_projection('counts')}, q{run_projections()}, q{run_timers()}, q{complete_saga_step('saga-1', 'two')}, q{eload('thing', 'order-1')},
    q{eproject('at_once', 'later')}, q{eack('once', max(global_position)) FROM enext('once', 1000)}, q{eschedule(now(), 'a', 'Due')}, q{retry_projection('counts')})
{
    is(sqlstate_of($other, "SELECT $call"), '', "renamed: $call");
}
$other->rollback;
$dbh->do(q{ALTER SCHEMA "Other name" RENAME TO es});
$other->do('RESET sierra_es.store');
is(one_value($other, q{SELECT esver('later')}), 9, 'the store has its old name again');
$other->disconnect;

# ---------------------------------------------------------------------------
# Another owner
# ---------------------------------------------------------------------------

$dbh->do('CREATE ROLE keeper LOGIN');
$dbh->do('REASSIGN OWNED BY regress_sierra_owner TO keeper');
is(sqlstate_of($dbh, q{SELECT eappend('later', 'Happened')}), '42501', 'the projection of the old owner cannot run any more');
my $keeper = connect_to($node, 'postgres', 'keeper');
for my $store (qw(es running)) {
    $keeper->do("SET sierra_es.store = $store");
    $keeper->do(q{SELECT alter_projection_owner(projection, 'keeper') FROM event_projections() WHERE live});
    $keeper->do(qq{SELECT alter_saga_owner(saga, 'keeper') FROM (SELECT DISTINCT saga FROM $store.sagas) AS s});
}
$keeper->disconnect;
$dbh->do('DROP OWNED BY regress_sierra_owner');
$dbh->do('DROP ROLE regress_sierra_owner');
$moves->note_contents;
$moves->is_there($dbh, 'REASSIGN OWNED');
$dbh->disconnect;

# ---------------------------------------------------------------------------
# Another name and place of the database
# ---------------------------------------------------------------------------

# CREATE DATABASE does not copy the settings of the template.
$node->append_conf('postgresql.conf', 'sierra_es.run_jobs = off');
$node->restart;
$node->safe_psql('template1', $_) for 'ALTER DATABASE postgres RENAME TO moved', 'ALTER DATABASE moved SET TABLESPACE spare', 'CREATE DATABASE copied TEMPLATE moved';
for my $database (qw(moved copied)) {
    $dbh = connect_to($node, $database);
    $moves->is_there($dbh, "database $database");
    $dbh->disconnect;
}
$moves->continues($node, 'moved', 'after all');

done_testing();
