# No role keeps others from being served: neither by a handler that sleeps, nor by a schema that looks like a
# store and is slow to look at.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraListen;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_server('starved');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 3
sierra_es.sweep_interval = '200ms'
CONF
$node->restart;
my $dbh = connect_to($node);
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE ROLE regress_sierra_slow LOGIN;;
GRANT CREATE ON DATABASE postgres TO regress_sierra_slow;;
SELECT create_event_store('es', 1);;
CREATE TABLE seen (n int);;
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO seen VALUES (1)';;
SELECT create_projection('p', 'see(sierra_event)')
SQL

sub runs {
    my ($when) = @_;
    my $position = one_value($dbh, q{SELECT global_position FROM eappend('a', 'x')});
    is(one_value($dbh, q{SELECT ewait_projection('p', $1, '10 s')}, $position), 1, "jobs run $when");
    return;
}

sub notifies {
    my ($when) = @_;
    my $listener = SierraListen->new($node);
    my $position = one_value($dbh, q{SELECT global_position FROM eappend('a', 'x')});
    my $began = time;
    my $heard = eval { local $PostgreSQL::Test::Utils::timeout_default = 10; ($listener->heard_until('es', $position))[-1] };
    ok($heard, "appends are announced $when");
    $listener->end;
    return;
}
runs('at first');
notifies('at first');

my $slow = connect_to($node, 'postgres', 'regress_sierra_slow');

# A handler that sleeps: there are free places.
$slow->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('slow', 1);;
SET sierra_es.store = 'slow';;
CREATE FUNCTION slow.sleep(e sierra_event) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(120)';;
SELECT create_projection('p', 'slow.sleep(sierra_event)');;
SELECT eappend('a', 'x')
SQL
wait_until('it sleeps', sub { one_value($dbh, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) });
runs('while a handler of another role sleeps');
notifies('while a handler of another role sleeps');
$slow->do(q{CREATE OR REPLACE FUNCTION slow.sleep(e sierra_event) RETURNS void LANGUAGE sql AS ''});
$dbh->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
runs('afterwards');

# What looks like a store, and is partitioned by an expression that sleeps for every session
# that looks at it, as soon as the trap is set.
$slow->do($_) for split /;;\n/, <<'SQL';
CREATE SCHEMA lure;;
CREATE TABLE lure.trap (n int);;
CREATE FUNCTION lure.slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN IF EXISTS (SELECT FROM lure.trap) THEN PERFORM pg_sleep(120); END IF; RETURN n; END';;
CREATE TABLE lure.events (LIKE slow.events) PARTITION BY LIST ((lure.slow(0) + partition_id));;
CREATE TABLE lure.events_0 PARTITION OF lure.events FOR VALUES IN (0);;
CREATE TABLE lure.stream_keys (stream_id text COLLATE "C" PRIMARY KEY, partition_key uuid NOT NULL);;
CREATE TABLE lure.event_ids (event_id uuid PRIMARY KEY, partition_id int NOT NULL);;
CREATE TABLE lure.event_tags (LIKE slow.event_tags INCLUDING INDEXES);;
CREATE SEQUENCE lure.global_position MINVALUE 0 START 0;;
CREATE INDEX ON slow.events_0 ((lure.slow(0) + partition_id));;
CREATE INDEX ON slow.projections ((lure.slow(0) + version));;
SELECT 1
SQL
$dbh->do(q{CREATE TRIGGER sierra_guard BEFORE INSERT ON lure.events FOR EACH STATEMENT EXECUTE FUNCTION sierra_internal.guard_events('1')});
$slow->do($_) for 'INSERT INTO lure.trap VALUES (1)', q{COMMENT ON TABLE lure.events IS 'looked at again'};
sleep 1;
notifies('beside what looks like a store');
runs('beside what looks like a store');
done_testing();
