# Runners come to a database when they are needed there, leave for statements that need
# exclusive use of it, and come back afterwards.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraListen;
use SierraTest;
use Test::More;

my $node = new_server('visits', allows_streaming => 1);
create_store($node, 4);

# DROP DATABASE ... WITH (FORCE) refuses to end a worker of autovacuum for an owner who is
# not a superuser.
$node->append_conf('postgresql.conf', <<'CONF');
autovacuum = off
shared_preload_libraries = 'sierra_es'
sierra_es.sweep_interval = '200ms'
CONF
$node->restart;

my $dbh = connect_to($node);

sub row_of {
    my ($database, $session) = @_;
    return all_rows($session // $dbh, 'SELECT * FROM event_databases() WHERE database = $1', $database)->[0] // {};
}

# Waits until a runner has been in a database.
sub is_visited {
    my ($database, $session) = @_;
    wait_until("a runner has come to $database", sub {
        my $row = row_of($database, $session);
        $row->{last_visit} || ($row->{runners} // 0) > 0
    });
    return;
}

# Appends, and waits until a database has a runner, another than the given one; returns
# its pid.
sub running_runner {
    my ($database, $old) = @_;
    my $pid;
    my $session = connect_to($node, $database);
    append($session);
    $session->disconnect;
    wait_until("a runner is in $database", sub {
        $pid = one_value($dbh, 'SELECT min(pid) FROM event_runners() WHERE database = $1 AND pid <> $2', $database, $old // 0)
    });
    return $pid;
}

sub append {
    my ($session) = @_;
    return one_value($session, q{SELECT global_position FROM eappend('order-1', 'Happened')});
}

# A session that is closed ends a moment later.
sub wait_for_sessions_to_end {
    my ($database) = @_;
    wait_until("the sessions of $database have ended", sub {
        one_value($dbh, q{SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'}, $database) == 0
    });
    return;
}

# One test: an append is announced.
sub announces {
    my ($name, $database, $where) = @_;
    my $listener = SierraListen->new($where // $node, $database);
    my $session = connect_to($where // $node, $database);
    my $position = append($session);
    ok(scalar($listener->heard_until('es', $position)), "$name: an append is announced");
    $session->disconnect;
    $listener->end;
    return;
}

is_visited('postgres');
announces('at the start', 'postgres');

# ---------------------------------------------------------------------------
# CREATE and DROP EXTENSION
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE shop');
my $shop = connect_to($node, 'shop');
$shop->begin_work;
$shop->do('CREATE EXTENSION sierra_es');
$shop->rollback;
$shop->do('CREATE EXTENSION sierra_es');
is_visited('shop');
pass('CREATE EXTENSION brings a runner');
wait_until('it has left', sub { row_of('shop')->{state} eq 'quiet' });
pass('which does not stay, because there is no store');
$shop->do('SELECT create_event_store($1, 2)', undef, 'es');
announces('a new database', 'shop');
$shop->do('DROP EXTENSION sierra_es CASCADE');
wait_until('the runner is gone', sub { row_of('shop')->{state} eq 'no extension' && row_of('shop')->{runners} == 0 });
pass('DROP EXTENSION ends it');
$shop->do('CREATE EXTENSION sierra_es');
$shop->do('SELECT guard_event_store()');
wait_until('a runner has come', sub { row_of('shop')->{state} ne 'no extension' });
announces('the extension is back', 'shop');
$shop->disconnect;

# ---------------------------------------------------------------------------
# Statements that need exclusive use of the database
# ---------------------------------------------------------------------------

my $tablespace = PostgreSQL::Test::Utils::tempdir();
$dbh->do("CREATE TABLESPACE elsewhere LOCATION '$tablespace'");
for my $statement (
    'CREATE DATABASE copy TEMPLATE shop',
    'ALTER DATABASE shop SET TABLESPACE elsewhere',
    'ALTER DATABASE shop RENAME TO store',
    'ALTER DATABASE store RENAME TO shop',
    )
{
    my ($name) = $statement =~ /RENAME TO (\w+)/;
    my ($old) = $statement =~ /DATABASE (\w+) RENAME/;
    my $before = running_runner($old // 'shop');
    is(sqlstate_of($dbh, $statement), '', $statement);
    isnt(running_runner($name // 'shop', $before), $before, 'and a runner comes back');
}
announces('the copy', 'copy');

# In a transaction that continues, and rolls back.
running_runner('shop');
$dbh->begin_work;
is(sqlstate_of($dbh, 'ALTER DATABASE shop RENAME TO store'), '', 'RENAME in a transaction');
is(sqlstate_of($dbh, 'ALTER DATABASE store RENAME TO market'), '', 'and again');
$dbh->rollback;
announces('rolled back', 'shop');

# Statements that fail.
my $guest = connect_to($node, 'shop');
running_runner('shop');
is(sqlstate_of($dbh, 'DROP DATABASE shop'), '55006', 'DROP DATABASE fails because of another session');
$guest->disconnect;
announces('after the error', 'shop');
$dbh->do('CREATE ROLE regress_sierra_stranger LOGIN');
my $before = running_runner('shop');
my $stranger = connect_to($node, 'postgres', 'regress_sierra_stranger');
is(sqlstate_of($stranger, 'DROP DATABASE shop'), '42501', 'who may not drop a database');
is(one_value($dbh, q{SELECT count(*) FROM event_runners() WHERE pid = $1}, $before), 1, 'does not send its runner away');

# Owners that are not superusers.
$dbh->do('CREATE ROLE regress_sierra_owner LOGIN CREATEDB');
$dbh->do('ALTER DATABASE shop OWNER TO regress_sierra_owner');
my $owner = connect_to($node, 'postgres', 'regress_sierra_owner');
running_runner('shop');
wait_for_sessions_to_end('shop');
is(sqlstate_of($owner, 'DROP DATABASE shop WITH (FORCE)'), '', 'DROP DATABASE shop by its owner');
is(sqlstate_of($dbh, 'DROP DATABASE copy'), '', 'DROP DATABASE copy');
is(one_value($dbh, 'SELECT string_agg(database, $1) FROM event_databases()', ', '), 'postgres', 'they are forgotten');
$owner->disconnect;

$dbh->do('DROP TABLESPACE elsewhere');

# A database may be dropped and created again many times: its slot is free
# again.
for my $i (1 .. 3) {
    $node->safe_psql('postgres', 'CREATE DATABASE again');
    $node->safe_psql('again', 'CREATE EXTENSION sierra_es; SELECT create_event_store()');
    running_runner('again');
    $node->safe_psql('postgres', 'DROP DATABASE again');
}
is(one_value($dbh, 'SELECT count(*) FROM event_databases()'), 1, 'CREATE and DROP DATABASE again and again');

# ---------------------------------------------------------------------------
# Runners that end
# ---------------------------------------------------------------------------

$before = running_runner('postgres');
$dbh->do('SELECT pg_terminate_backend($1)', undef, $before);
announces('after pg_terminate_backend()', 'postgres');

my $launcher = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'sierra_es launcher'};
my $old_launcher = one_value($dbh, $launcher);
$before = running_runner('postgres');
$dbh->do('SELECT pg_terminate_backend($1)', undef, $old_launcher);
wait_until('there is another launcher', sub { (one_value($dbh, $launcher) // $old_launcher) != $old_launcher });
$dbh->do('SELECT pg_terminate_backend($1)', undef, $before);
announces('with another launcher', 'postgres');

# SIGHUP.
$before = running_runner('postgres');
$node->append_conf('postgresql.conf', q{sierra_es.sweep_interval = '1h'});
$node->reload;
wait_until('the runner sweeps no more', sub {
    one_value($dbh, q{SELECT clock_timestamp() - last_sweep > '1s' FROM event_databases() WHERE database = 'postgres'})
});
pass('SIGHUP: a runner goes by its new settings');

# A crash.
$before = running_runner('postgres');
kill 'KILL', $before;
wait_until('the server has restarted', sub { !$dbh->ping && eval { connect_to($node)->disconnect; 1 } });
$dbh = connect_to($node);
announces('after kill -9', 'postgres');

# ---------------------------------------------------------------------------
# Shutdown, standby, promotion
# ---------------------------------------------------------------------------

$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('worker_standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
my $on_standby = connect_to($standby);
is(one_value($on_standby, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'sierra_es%'}), 0,
    'a standby has no runners');
$_->disconnect for $dbh, $stranger;
$node->stop('fast');
pass('fast shutdown');
$node->start;
$dbh = connect_to($node);
is_visited('postgres');
$dbh->disconnect;
$node->stop('smart');
pass('smart shutdown');
$standby->promote;
is_visited('postgres', $on_standby);
announces('after the promotion', 'postgres', $standby);
$on_standby->disconnect;
$standby->stop;

# ---------------------------------------------------------------------------
# No room
# ---------------------------------------------------------------------------

$node->append_conf('postgresql.conf', <<'CONF');
max_worker_processes = 1
max_logical_replication_workers = 0
CONF
$node->start;
$dbh = connect_to($node);
cmp_ok(append($dbh), '>', 0, 'no room for a runner: appends continue');
wait_until('the log says so', sub { slurp_file($node->logfile) =~ /could not start a runner of sierra_es/ });
like(slurp_file($node->logfile), qr/HINT:  Increase "max_worker_processes"/, 'with a hint');
wait_until('event_databases() shows it', sub { row_of('postgres')->{state} eq 'waiting' });
like(row_of('postgres')->{hint}, qr/^All 1 background workers are in use\. Increase "max_worker_processes"/, 'so does event_databases()');
$dbh->disconnect;
$node->append_conf('postgresql.conf', <<'CONF');
max_worker_processes = 8
sierra_es.max_databases = 1
sierra_es.sweep_interval = '100ms'
CONF
$node->restart;
$dbh = connect_to($node);
is_visited('postgres');
announces('the only database that has a place', 'postgres');
$node->safe_psql('postgres', 'CREATE DATABASE second');
my $second = connect_to($node, 'second');
$second->do('CREATE EXTENSION sierra_es');
$second->do('SELECT create_event_store($1, 1)', undef, 'es');
cmp_ok(append($second), '>=', 0, 'no place for a database: appends continue');
like(slurp_file($node->logfile), qr/sierra_es has no place for database \d+\n.*DETAIL.*\n.*HINT:  Increase "sierra_es\.max_databases"/, 'the log says so');
is(row_of('second')->{state}, 'no place', 'event_databases() shows it');
like(row_of('second')->{hint}, qr/^All 1 places are taken\. Increase "sierra_es\.max_databases"/, 'with a hint');
$second->do(q{SELECT esub('s', start_from => 'earliest')});
is(one_value($second, q{SELECT count(*) FROM enext('s', wait => '1 s')}), 1, 'and sessions read');
$second->disconnect;
$node->safe_psql('postgres', 'DROP DATABASE second');
is(row_of('second')->{state}, undef, 'a database that is dropped waits no longer');
$dbh->disconnect;

# ---------------------------------------------------------------------------
# Rights
# ---------------------------------------------------------------------------

$node->append_conf('postgresql.conf', 'sierra_es.max_databases = 10');
$node->restart;
$dbh = connect_to($node);
is_visited('postgres');
$stranger = connect_to($node, 'postgres', 'regress_sierra_stranger');
is(sqlstate_of($stranger, 'SELECT * FROM event_databases()'), '42501', 'event_databases() is not for everybody');
$dbh->do('GRANT pg_monitor TO regress_sierra_stranger');
is(sqlstate_of($stranger, 'SELECT * FROM event_databases()'), '', 'but for pg_monitor');

# A table that looks like a store's may be an attack: code that runs when the
# table is opened.
$dbh->do('CREATE SCHEMA trap AUTHORIZATION regress_sierra_stranger');
$dbh->do('GRANT USAGE ON SCHEMA es TO regress_sierra_stranger');
$dbh->do('GRANT SELECT ON ALL TABLES IN SCHEMA es TO regress_sierra_stranger');
$stranger->do(<<'SQL');
CREATE FUNCTION trap.spring(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RAISE LOG 'the trap runs as %', current_user;
    RETURN $1;
END $$;
CREATE TABLE trap.events (LIKE es.events) PARTITION BY LIST ((partition_id + trap.spring(0)));
CREATE TABLE trap.events_0 PARTITION OF trap.events (PRIMARY KEY (partition_sequence)) FOR VALUES IN (0);
CREATE TABLE trap.stream_keys (LIKE es.stream_keys INCLUDING INDEXES);
CREATE TABLE trap.event_ids (LIKE es.event_ids INCLUDING INDEXES);
CREATE TABLE trap.event_tags (LIKE es.event_tags INCLUDING INDEXES);
CREATE SEQUENCE trap.global_position CACHE 1;
CREATE TRIGGER sierra_guard BEFORE INSERT ON trap.events EXECUTE FUNCTION sierra_internal.guard_events(1);
SQL
my $seen = length slurp_file($node->logfile);
running_runner('postgres');
wait_until('a runner has found the trap',
    sub { substr(slurp_file($node->logfile), $seen) =~ /cannot look at event store "trap"/ });
unlike(substr(slurp_file($node->logfile), $seen), qr/LOG:  the trap runs as/,
    'a runner runs nothing that the owner of a store has written');
announces('beside a trap', 'postgres');

# A session that locks a store does not delay the others.
$dbh->do(q{SELECT create_event_store('locked', 1)});
$dbh->begin_work;
$dbh->do('LOCK TABLE locked.events IN ACCESS EXCLUSIVE MODE');
my $locked_at = one_value($dbh, 'SELECT clock_timestamp()');
running_runner('postgres');
wait_until('a runner has met the lock', sub {
    one_value($dbh, q{SELECT last_sweep > $1::timestamptz FROM event_databases() WHERE database = 'postgres'}, $locked_at)
});
announces('beside a locked store', 'postgres');
$dbh->rollback;
$_->disconnect for $dbh, $stranger;

done_testing();
