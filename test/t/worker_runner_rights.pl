# Runners are superusers, and run code that others have written: as its owner,
# and the code can neither become another role nor leave anything behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep);

my $node = new_server('runners_rights');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 1
CONF
$node->restart;
my $dbh = connect_to($node);
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE ROLE regress_sierra_mallory LOGIN;;
GRANT CREATE ON DATABASE postgres TO regress_sierra_mallory;;
GRANT CREATE ON SCHEMA public TO regress_sierra_mallory;;
CREATE TABLE treasure (n integer);;
REVOKE ALL ON treasure FROM PUBLIC
SQL

my $mallory = connect_to($node, 'postgres', 'regress_sierra_mallory');
$mallory->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('lair', 2);;
SET sierra_es.store = 'lair';;
CREATE TABLE lair.tried (n serial, place text, what text, got text);;
CREATE FUNCTION lair.try(place text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    attempt text;
    got text;
BEGIN
    FOREACH attempt IN ARRAY ARRAY[
        'SELECT current_user',
        'RESET ROLE',
        'SET ROLE postgres',
        'SET SESSION AUTHORIZATION DEFAULT',
        'RESET SESSION AUTHORIZATION',
        'ALTER ROLE regress_sierra_mallory SUPERUSER',
        'INSERT INTO public.treasure VALUES (1)',
        'SET session_replication_role = replica',
        'CREATE TEMP TABLE trap (n integer)',
        'DECLARE c CURSOR WITH HOLD FOR SELECT 1',
        'LISTEN sierra_es'] LOOP
        BEGIN
            IF attempt LIKE 'SELECT %' THEN
                EXECUTE attempt INTO got;
            ELSE
                EXECUTE attempt;
                got := 'done';
            END IF;
        EXCEPTION WHEN OTHERS THEN
            got := SQLSTATE;
        END;
        INSERT INTO lair.tried (place, what, got) VALUES (place, attempt, got);
    END LOOP;
    -- Left behind, were it not put back.
    PERFORM set_config('search_path', 'lair', false), set_config('work_mem', '12345kB', false);
    PERFORM pg_advisory_lock(42);
END $$;;
CREATE FUNCTION lair.handle(e sierra_event) RETURNS void LANGUAGE plpgsql
AS $$ BEGIN PERFORM lair.try('handler'); END $$;;
CREATE FUNCTION lair.spring() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM lair.try('trigger'); RETURN NULL; END $$;;
SELECT create_projection('evil', 'lair.handle(sierra_event)');;
CREATE TRIGGER evil AFTER INSERT ON lair.events FOR EACH ROW EXECUTE FUNCTION lair.spring();;
SELECT eschedule(clock_timestamp(), 'order-1', 'Due')
SQL
wait_until('both have tried', sub { one_value($dbh, 'SELECT count(DISTINCT place) = 2 FROM lair.tried') });

for my $place (qw(handler trigger)) {
    my %got = map { $_->{what} => $_->{got} } @{ all_rows($dbh, 'SELECT what, got FROM lair.tried WHERE place = $1', $place) };
    is(delete $got{'SELECT current_user'}, 'regress_sierra_mallory', "a $place runs as the owner");
    is(scalar(keys %got), 10, "the $place tried all");
    is($got{$_}, '42501', "a $place may not: $_") for sort keys %got;
}
is(one_value($dbh, 'SELECT count(*) FROM treasure'), 0, 'nothing was written as somebody else');
is(one_value($dbh, q{SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_sierra_mallory'}), 0, 'and she is not a superuser');
wait_until('locks of the session are gone', sub { one_value($dbh, q{SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 42}) });
pass('locks that a handler left are let go of');

# Settings of one job are not visible to the next one.
$dbh->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('es', 2);;
CREATE TABLE settings (name text, value text);;
CREATE FUNCTION note(e sierra_event) RETURNS void LANGUAGE sql AS $$
    INSERT INTO settings SELECT s, current_setting(s) FROM unnest(ARRAY['work_mem', 'search_path', 'sierra_es.store']) AS s
$$;;
SELECT create_projection('noting', 'note(sierra_event)', search_path => 'public');;
SELECT eappend('order-1', 'Happened')
SQL
wait_until('it is handled', sub { one_value($dbh, 'SELECT count(*) = 3 FROM settings') });
my %value = map { $_->{name} => $_->{value} } @{ all_rows($dbh, 'SELECT * FROM settings') };
isnt($value{work_mem}, '12345kB', 'settings are put back after a job');
like($value{search_path}, qr/^public\b/, 'a projection has its own search_path');
is($value{'sierra_es.store'}, 'es', 'and its own store');

# Deferred triggers would run when the job commits: as the runner.
$mallory->do($_) for split /;;\n/, <<'SQL';
SET sierra_es.store = 'lair';;
DROP TRIGGER evil ON lair.events;;
SELECT drop_projection('evil');;
TRUNCATE lair.tried;;
CREATE TABLE lair.deferring (n integer);;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON lair.deferring DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION lair.spring();;
CREATE FUNCTION lair.defer(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO lair.deferring VALUES (1)';;
SELECT create_projection('deferring', 'lair.defer(sierra_event)', max_attempts => 1);;
SELECT eappend('order-1', 'Happened')
SQL
wait_until('it has failed', sub { one_value($dbh, q{SELECT state = 'stopped' FROM event_projections('lair') WHERE projection = 'deferring'}) });
like(one_value($dbh, q{SELECT last_error FROM event_projections('lair') WHERE projection = 'deferring'}),
    qr/deferred trigger/, 'a deferred trigger is refused');
is(one_value($dbh, 'SELECT count(*) FROM lair.tried'), 0, 'and has not run');

is(sqlstate_of($mallory, 'SELECT * FROM event_runners()'), '42501', 'event_runners() is not for everybody');
$dbh->do('GRANT pg_monitor TO regress_sierra_mallory');
is(sqlstate_of($mallory, 'SELECT * FROM event_runners()'), '', 'but for pg_monitor');

# A store whose tables are locked does not delay the others.
$mallory->begin_work;
$mallory->do('LOCK TABLE lair.projections, lair.timers, lair.events IN ACCESS EXCLUSIVE MODE');
my $position = one_value($dbh, q{SELECT global_position FROM eappend('order-1', 'Happened')});
is(one_value($dbh, q{SELECT ewait_projection('noting', $1, '10 s')}, $position), 1, 'beside a store that is locked');
$mallory->rollback;

# An error of a job is in the log once, and in event_runners().
$dbh->do(q{ALTER TABLE lair.timers RENAME COLUMN run_at TO ran_at});
wait_until('the error is logged', sub { slurp_file($node->logfile) =~ /ERROR:  event store "lair" is not complete/ });
sleep 3;
my @told = slurp_file($node->logfile) =~ /ERROR:  event store "lair" is not complete/g;
is(@told, 1, 'an error that comes again is logged once');
$position = one_value($dbh, q{SELECT global_position FROM eappend('order-1', 'Happened')});
is(one_value($dbh, q{SELECT ewait_projection('noting', $1, '10 s')}, $position), 1, 'and the others continue');

$_->disconnect for $dbh, $mallory;
$node->stop;
done_testing();
