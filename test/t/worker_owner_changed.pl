# A process that runs code of one owner runs none of another one.  Also not if what a
# runner found has got another owner by the time that the runner comes to it.

use strict;
use warnings;

use DBD::Pg qw(:async);
use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;

my $node = new_server('owner_changed');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 2
sierra_es.sweep_interval = '200ms'
CONF
$node->restart;
my $dbh = connect_to($node);
my $other = connect_to($node);
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE ROLE regress_sierra_old;;
CREATE ROLE regress_sierra_new LOGIN;;
SELECT create_event_store('es', 1);;
CREATE TABLE ran (n serial, pid int, who name, what text);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS $$ INSERT INTO ran (pid, who, what) VALUES (pg_backend_pid(), current_user, 'projection') $$;;
CREATE FUNCTION wait(data jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ran (pid, who, what) VALUES (pg_backend_pid(), current_user, 'first');
    PERFORM pg_advisory_xact_lock(4711);
END $$;;
CREATE FUNCTION act(data jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO ran (pid, who, what) VALUES (pg_backend_pid(), current_user, 'second') $$;;
GRANT INSERT ON ran TO PUBLIC;;
GRANT USAGE ON SEQUENCE ran_n_seq TO PUBLIC;;
GRANT USAGE ON SCHEMA es TO PUBLIC;;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA es TO PUBLIC
SQL

# The runner that waits for a lock.
sub runner_that_waits {
    my $pid;
    wait_until('a runner waits for a lock', sub {
        $pid = one_value($dbh, q{SELECT pid FROM pg_stat_activity
                                  WHERE backend_type = 'sierra_es runner' AND wait_event_type = 'Lock'});
    });
    return $pid;
}

sub rows_of {
    my ($what) = @_;
    return all_rows($other, 'SELECT pid, who FROM ran WHERE what = ? ORDER BY n', $what);
}

# A projection.  The lock lets a runner look, and keeps it from the row of the projection.
$dbh->do($_) for split /;;\n/, <<'SQL';
SELECT create_projection('p', 'see(sierra_event)'), alter_projection_owner('p', 'regress_sierra_old');;
SELECT eappend('a', 'x')
SQL
wait_until('the projection has run', sub { @{ rows_of('projection') } == 1 });
is(rows_of('projection')->[0]{who}, 'regress_sierra_old', 'a projection runs as its owner');
$dbh->begin_work;
$dbh->do('LOCK TABLE es.projections IN EXCLUSIVE MODE');
$other->do(q{SELECT eappend('a', 'x')});
my $waits = runner_that_waits();
$dbh->do(q{SELECT alter_projection_owner('p', 'regress_sierra_new')});
$dbh->commit;
wait_until('the projection has run again', sub { @{ rows_of('projection') } == 2 });
my $row = rows_of('projection')->[1];
is($row->{who}, 'regress_sierra_new', 'after that it runs as its new owner');
isnt($row->{pid}, $waits, 'and not in the process that was about to run it as the old one');

# Sagas.  The first is at work when the other gets another owner.
$dbh->do($_) for split /;;\n/, <<'SQL';
SELECT create_saga('first', ARRAY[saga_step('one', 'wait(jsonb)')]), create_saga('second', ARRAY[saga_step('one', 'act(jsonb)')]);;
SELECT alter_saga_owner('first', 'regress_sierra_old'), alter_saga_owner('second', 'regress_sierra_old');;
SELECT pg_advisory_lock(4711);;
SELECT start_saga('first', saga_id => 'saga-1'), start_saga('second', saga_id => 'saga-2')
SQL
$waits = runner_that_waits();
$other->do(q{SELECT alter_saga_owner('second', 'regress_sierra_new')});
$dbh->do('SELECT pg_advisory_unlock(4711)');
wait_until('both sagas have run', sub { @{ rows_of('first') } && @{ rows_of('second') } });
is_deeply(rows_of('first'), [ { pid => $waits, who => 'regress_sierra_old' } ], 'a saga runs as its owner');
$row = rows_of('second')->[0];
is($row->{who}, 'regress_sierra_new', 'the other one runs as its new owner');
isnt($row->{pid}, $waits, 'and not in the process that runs sagas of the old one');

done_testing();
