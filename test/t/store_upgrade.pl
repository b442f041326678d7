# portable_positions: stores in the middle of all their work move to a new version of
# PostgreSQL: by pg_upgrade, in copy and in link mode, by logical replication, by dumps.
#
# SIERRA_TEST_OLD_SERVER is where the older PostgreSQL is, with this extension: the directory
# that has bin.  Without it, the stores move between servers of one version.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Cwd qw(getcwd);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraMoves;
use SierraTest;
use Test::More;

my $old_path = $ENV{SIERRA_TEST_OLD_SERVER};
my ($from, $to) = map { major_version($_) } $old_path, undef;
note("from PostgreSQL $from to $to");
my $files = PostgreSQL::Test::Utils::tempdir();
my $old   = new_server('old', allows_streaming => 'logical', install_path => $old_path);

# An empty server of the new version, with runners.  pg_upgrade wants data checksums on both
# sides or on none; initdb makes them by default since 18.
sub new_version {
    my ($name) = @_;
    my $node = init_server($name, initdb => $to >= 18 && $from < 18 ? ['--no-data-checksums'] : []);
    $node->append_conf('postgresql.conf', "shared_preload_libraries = 'sierra_es'");
    return $node;
}

sub major_version {
    my ($path) = @_;
    my ($version) = `@{[ bin_of($path) ]}/postgres --version` =~ /PostgreSQL\) (\d+)/ or die 'which version is this?';
    return $version;
}

# Where programs are: of an older PostgreSQL, or of the one that is tested.
sub bin_of {
    my ($path) = @_;
    return defined $path ? "$path/bin" : `pg_config --bindir` =~ s/\n//r;
}

# Roles are not part of a dump.
sub copy_roles {
    my ($node) = @_;
    command_ok([ 'pg_dumpall', '--roles-only', '-d', $old->connstr('postgres'), '-f', "$files/roles" ], 'pg_dumpall --roles-only');
    my (undef, $complaint) = run_command([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-f', "$files/roles" ]);
    like($complaint, qr/\A[^\n]*role ".*" already exists\z/, 'roles are there');
    return;
}

sub dump_old {
    my ($file, @options) = @_;
    command_ok([ 'pg_dump', '-d', $old->connstr('postgres'), '-f', "$files/$file", @options ], "pg_dump @options");
    return "$files/$file";
}

# A database in which nothing runs by itself yet.
sub new_database {
    my ($node, $database) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
    $node->safe_psql('postgres', "ALTER DATABASE $database SET sierra_es.run_jobs = off");
    return $node->connstr($database);
}

my $fresh = new_version('fresh');
$fresh->start;

# A minor version can be too old for what a newer one of the older major version writes: then
# no table can be moved.
$old->safe_psql('postgres', 'CREATE TABLE plain (a integer)');
run_command([ 'pg_dump', '-d', $old->connstr('postgres'), '-t', 'plain', '-f', "$files/plain" ]);
my (undef, $refusal) = run_command([ 'psql', '-Xq', '-o', "$files/out", '-d', $fresh->connstr('postgres'), '-f', "$files/plain" ]);
plan skip_all => "this PostgreSQL $to cannot load a plain table of this PostgreSQL $from: $refusal" if $refusal =~ /ERROR/;
$_->safe_psql('postgres', 'DROP TABLE plain') for $old, $fresh;

my $moves = SierraMoves->new($old);

# ---------------------------------------------------------------------------
# Logical replication to the new version, and switch-over
# ---------------------------------------------------------------------------

copy_roles($fresh);
my $switched = new_database($fresh, 'switched');
command_ok([ 'psql', '-Xq', '-o', "$files/out", '-v', 'ON_ERROR_STOP=1', '-d', $switched, '-f', dump_old('schema', '--schema-only') ],
    'the new version gets all tables, empty');
$old->safe_psql('postgres', 'CREATE PUBLICATION moving FOR ALL TABLES');
my $publisher = $old->connstr . ' dbname=postgres';
$fresh->safe_psql('switched', "CREATE SUBSCRIPTION moving CONNECTION '$publisher' PUBLICATION moving");
$fresh->wait_for_subscription_sync($old, 'moving', 'switched');
$moves->append_more;

# The switch-over: nothing writes to the old server any more, and what it wrote has arrived.
$old->safe_psql('postgres', 'ALTER DATABASE postgres SET default_transaction_read_only = on');
$old->wait_for_catchup('moving');
$fresh->safe_psql('switched', 'DROP SUBSCRIPTION moving');
$old->safe_psql('template1', 'ALTER DATABASE postgres RESET default_transaction_read_only');
$old->safe_psql('postgres', 'DROP PUBLICATION moving');
my $dbh = connect_to($fresh, 'switched');

# Sequences of other tables are not replicated.
$dbh->do(q{SELECT setval('effects_place_seq', (SELECT max(place) FROM effects))});

# The sequence of positions is put above the events by the first append.
$moves->is_there($dbh, 'logical replication', allowed => qr/position sequence: /);
$moves->continues($fresh, 'switched', 'logical replication');

# ---------------------------------------------------------------------------
# Dumps: to another name, under other roles
# ---------------------------------------------------------------------------

my $dump    = dump_old('dump', '-Fc');
my $renamed = new_database($fresh, 'renamed');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $renamed, $dump ], 'pg_restore into a database of another name');
$moves->is_there(connect_to($fresh, 'renamed'), 'dump and restore');
$moves->continues($fresh, 'renamed', 'dump and restore');

$fresh->safe_psql('postgres', 'CREATE ROLE newcomer LOGIN');
my $given = new_database($fresh, 'given');
$fresh->safe_psql('given', 'CREATE EXTENSION sierra_es; GRANT CREATE ON DATABASE given TO newcomer; GRANT CREATE ON SCHEMA public TO newcomer');
command_ok([ qw(pg_restore --exit-on-error --no-owner --no-privileges -U newcomer -d), $given, $_ ], 'pg_restore --no-owner, as another role')
  for dump_old('schemas', '-Fc', map { ('-n', $_) } qw(es running handlers)), dump_old('effects', '-Fc', '-t', 'effects');
$moves->is_there(connect_to($fresh, 'given'), '--no-owner', allowed => qr/owner missing: /);
my $newcomer = connect_to($fresh, 'given', 'newcomer');
for my $store (qw(es running)) {
    $newcomer->do("SET sierra_es.store = $store");
    $newcomer->do(q{SELECT alter_projection_owner(projection, 'newcomer') FROM event_projections() WHERE live});
    $newcomer->do(qq{SELECT alter_saga_owner(saga, 'newcomer') FROM (SELECT DISTINCT saga FROM $store.sagas) AS s});
}
$newcomer->disconnect;
$moves->continues($fresh, 'given', '--no-owner');

# ---------------------------------------------------------------------------
# pg_upgrade
# ---------------------------------------------------------------------------

$moves->append_more;
$old->stop;
$fresh->stop;

# It writes into the current directory.
my $here = getcwd();
chdir $files or die "cannot enter $files: $!";
for my $mode ('copy', 'link') {
    my $new = new_version("by_$mode");
    command_ok(
        [ 'pg_upgrade', '-d', $old->data_dir, '-D', $new->data_dir, '-b', bin_of($old_path), '-B', bin_of(undef), '-s', $new->host,
            '-p', $old->port, '-P', $new->port, $mode eq 'link' ? '--link' : () ],
        "pg_upgrade from $from to $to, $mode mode");
    $new->start;
    $moves->is_there(connect_to($new), "pg_upgrade, $mode mode");
    $moves->continues($new, 'postgres', "pg_upgrade, $mode mode");
    $new->stop;
}
chdir $here or die "cannot return to $here: $!";

done_testing();
