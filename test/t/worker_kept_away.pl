# A role without any right on a database cannot keep the processes of the extension
# away from it: neither by statements that are refused, nor by a transaction that
# stays open.  What a role may run keeps them away only until it is undone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node = new_server('kept_away');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 4
sierra_es.sweep_interval = '200ms'
CONF
$node->restart;
my $dbh = connect_to($node);
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE ROLE regress_sierra_creator LOGIN CREATEDB;;
CREATE ROLE regress_sierra_nobody LOGIN;;
CREATE ROLE regress_sierra_owner LOGIN;;
CREATE DATABASE other;;
CREATE DATABASE owned OWNER regress_sierra_owner;;
SELECT create_event_store('es', 1);;
CREATE TABLE seen (n int);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO seen VALUES (1)';;
SELECT create_projection('p', 'see(sierra_event)')
SQL

sub runner_of {
    my ($database) = @_;
    return one_value($dbh, q{SELECT min(pid) FROM event_runners() WHERE database = $1}, $database);
}

sub runs {
    my ($when) = @_;
    my $position = one_value($dbh, q{SELECT global_position FROM eappend('a', 'x')});
    is(one_value($dbh, q{SELECT ewait_projection('p', $1, '10 s')}, $position), 1, "jobs run $when");
    return;
}
runs('at first');
for my $role (qw(regress_sierra_creator regress_sierra_nobody)) {
    for my $statement ('ALTER DATABASE postgres RENAME TO mine',
        'DROP DATABASE postgres',
        'DROP DATABASE postgres WITH (FORCE)',
        'CREATE DATABASE mine TEMPLATE postgres',
        'ALTER DATABASE postgres SET TABLESPACE pg_default')
    {
        my $session = connect_to($node, 'other', $role);
        my $pid     = runner_of('postgres');
        $session->begin_work;
        $session->do('SAVEPOINT before');
        my $code = sqlstate_of($session, $statement);
        isnt($code, '', "$statement is refused ($code)");
        $session->do('ROLLBACK TO before');
        runs("beside a transaction of $role in which it was tried: $statement");
        is(runner_of('postgres'), $pid, 'the runner is the same');
        $session->rollback;
        $session->disconnect;
    }
}

# The owner of a database who may not create databases may not rename it either.
my $session = connect_to($node, 'owned');
$session->do($_) for split /;;\n/, <<'SQL';
CREATE EXTENSION sierra_es;;
SELECT create_event_store('es', 1);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS '';;
SELECT create_projection('p', 'see(sierra_event)');;
SELECT eappend('a', 'x')
SQL
$session->disconnect;
wait_until('the other database has a runner', sub { runner_of('owned') });
my $pid = runner_of('owned');
$session = connect_to($node, 'other', 'regress_sierra_owner');
$session->begin_work;
is(sqlstate_of($session, 'ALTER DATABASE owned RENAME TO mine'), '42501', 'an owner without CREATEDB may not rename');
is(runner_of('owned'), $pid, 'and does not disturb');
$session->rollback;
$session->disconnect;

# Who may: the processes come back when the statement is undone, fails, or is done.
$dbh->do('ALTER ROLE regress_sierra_owner CREATEDB');
$session = connect_to($node, 'other', 'regress_sierra_owner');
$session->begin_work;
$session->do('SAVEPOINT before');
$session->do('ALTER DATABASE owned RENAME TO mine');
is(runner_of('owned') // '', '', 'the runner has left');
$session->do('ROLLBACK TO before');
wait_until('it is back after the savepoint', sub { runner_of('owned') });
pass('it is back after the savepoint');
is(sqlstate_of($session, 'ALTER DATABASE owned RENAME TO other'), '42P04', 'a statement that fails');
$session->do('ROLLBACK TO before');
wait_until('it is back after a failure', sub { runner_of('owned') });
pass('it is back after a failure');
$session->do('SAVEPOINT within');
$session->do('ALTER DATABASE owned RENAME TO mine');
$session->do('RELEASE within');
is(runner_of('owned') // '', '', 'it stays away until the statement is undone');
$session->do('ROLLBACK TO before');
wait_until('it is back', sub { runner_of('owned') });
$session->do('ALTER DATABASE owned RENAME TO mine');
$session->commit;
wait_until('it is back after the commit', sub { runner_of('mine') });
pass('it is back after the commit');

done_testing();
