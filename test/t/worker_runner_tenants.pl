# One process runs what different roles own, one after another: nothing that a
# handler of one leaves behind in the session is there for a handler of another.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node = new_server('tenants');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 1
sierra_es.sweep_interval = '200ms'
CONF
$node->restart;
my $dbh = connect_to($node);
$dbh->do($_) for split /;;\n/, <<'SQL';
CREATE EXTENSION dblink;;
CREATE ROLE regress_sierra_one LOGIN;;
CREATE ROLE regress_sierra_two LOGIN;;
GRANT CREATE ON DATABASE postgres TO regress_sierra_one, regress_sierra_two;;
CREATE TABLE secret (n integer);;
INSERT INTO secret VALUES (42);;
GRANT SELECT ON secret TO regress_sierra_one;;
GRANT EXECUTE ON FUNCTION dblink_connect_u(text, text) TO regress_sierra_one
SQL
my $here = sprintf 'host=%s port=%s dbname=postgres user=regress_sierra_one', $node->host, $node->port;

# One leaves behind whatever a session keeps.
my $one = connect_to($node, 'postgres', 'regress_sierra_one');
$one->do($_) for split /;;\n/, <<"SQL";
SELECT create_event_store('one', 1);;
SET sierra_es.store = 'one';;
CREATE TABLE one.pids (pid int, what text);;
CREATE FUNCTION one.leave(e sierra_event) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
    attempt text;
BEGIN
    INSERT INTO one.pids VALUES (pg_backend_pid(), 'ran');
    FOREACH attempt IN ARRAY ARRAY[
        'PREPARE left_behind AS SELECT * FROM public.secret',
        'SELECT public.dblink_connect_u(''left_behind'', ''$here'')',
        'SELECT set_config(''left.behind'', ''yes'', false)',
        'SELECT set_config(''search_path'', ''one'', false)',
        'SELECT set_config(''sierra_es.store'', ''one'', false)',
        'SELECT set_config(''sierra_es.metadata'', ''{"correlation_id": "one"}'', false)',
        'SELECT pg_advisory_lock(4711)',
        'SELECT setseed(0.5)',
        'DECLARE left_behind CURSOR WITH HOLD FOR SELECT * FROM public.secret',
        'CREATE TEMP TABLE left_behind AS SELECT 1',
        'LISTEN left_behind',
        'LOAD ''auto_explain'''] LOOP
        BEGIN
            EXECUTE attempt;
            INSERT INTO one.pids VALUES (pg_backend_pid(), 'done: ' || attempt);
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO one.pids VALUES (pg_backend_pid(), SQLSTATE || ': ' || attempt);
        END;
    END LOOP;
END \$\$;;
SELECT create_projection('p', 'one.leave(sierra_event)');;
SELECT eappend('a', 'x')
SQL
wait_until('one has run', sub { one_value($one, 'SELECT count(*) FROM one.pids') });

# Two looks for it.
my $two = connect_to($node, 'postgres', 'regress_sierra_two');
$two->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('two', 1);;
SET sierra_es.store = 'two';;
CREATE TABLE two.found (what text);;
CREATE TABLE two.pids (pid int);;
CREATE FUNCTION two.look(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    got text;
BEGIN
    INSERT INTO two.found SELECT 'prepared statement ' || name FROM pg_prepared_statements;
    INSERT INTO two.found SELECT 'cursor ' || name FROM pg_cursors WHERE name = 'left_behind';
    INSERT INTO two.found SELECT 'connection ' || c FROM unnest(public.dblink_get_connections()) AS c;
    INSERT INTO two.found SELECT 'setting ' || s FROM current_setting('left.behind', true) AS s WHERE s <> '';
    INSERT INTO two.found SELECT 'setting of the store ' || s FROM current_setting('sierra_es.store', true) AS s WHERE s = 'one';
    INSERT INTO two.found SELECT 'metadata ' || s FROM current_setting('sierra_es.metadata', true) AS s WHERE s LIKE '%one%';
    INSERT INTO two.found SELECT 'lock ' || l.objid FROM pg_locks AS l WHERE l.pid = pg_backend_pid() AND l.locktype = 'advisory' AND l.objid = 4711;
    INSERT INTO two.found SELECT 'table ' || c.relname FROM pg_class AS c WHERE c.relname = 'left_behind';
    INSERT INTO two.found SELECT 'channel ' || c FROM pg_listening_channels() AS c;
    BEGIN
        SELECT n INTO got FROM public.dblink('left_behind', 'SELECT n FROM public.secret') AS d (n text);
        INSERT INTO two.found VALUES ('read over the connection: ' || got);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    BEGIN
        EXECUTE 'EXECUTE left_behind' INTO got;
        INSERT INTO two.found VALUES ('read by the statement: ' || got);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    INSERT INTO two.pids VALUES (pg_backend_pid());
END $$;;
SELECT create_projection('p', 'two.look(sierra_event)');;
SELECT eappend('a', 'x')
SQL
wait_until('two has run', sub { one_value($two, 'SELECT count(*) FROM two.pids') });
$two->do(q{SELECT eappend('a', 'x')});
wait_until('two has run again', sub { one_value($two, 'SELECT count(*) FROM two.pids') > 1 });
cmp_ok(one_value($dbh, q{SELECT count(*) FROM one.pids WHERE what LIKE 'done: %'}), '>', 2, 'one could leave something');
is(join("\n", @{ $dbh->selectcol_arrayref('SELECT DISTINCT what FROM two.found ORDER BY 1') }), '', 'two finds nothing of it');

done_testing();
