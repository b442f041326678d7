# A dump names the roles that projections and sagas run as.  With pg_restore --no-owner,
# the role that restores becomes the owner of the store, but not of these: it gives
# them to itself, and until then the errors say how.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node  = new_server('owner');
my $files = PostgreSQL::Test::Utils::tempdir();

$node->safe_psql('postgres', <<'SQL');
CREATE ROLE maker LOGIN;
CREATE ROLE app;
CREATE ROLE keeper LOGIN;
GRANT app TO maker;
GRANT CREATE ON DATABASE postgres TO maker;
SET ROLE maker;
SELECT create_event_store('es', 4);
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA es, app TO app;
GRANT ALL ON ALL TABLES IN SCHEMA es TO app;
CREATE TABLE app.ran (what text, who name);
GRANT INSERT ON app.ran TO app;
CREATE FUNCTION app.see(e sierra_event) RETURNS void LANGUAGE sql
    AS $$ INSERT INTO app.ran VALUES (e.event_name, current_user) $$;
CREATE FUNCTION app.act(data jsonb) RETURNS void LANGUAGE sql
    AS $$ INSERT INTO app.ran VALUES ('action', current_user) $$;
SELECT create_projection('seen', 'app.see(sierra_event)', mode => 'inline');
SELECT alter_projection_owner('seen', 'app');
SELECT create_saga('saga', ARRAY[saga_step('one', 'app.act(jsonb)')]);
SELECT alter_saga_owner('saga', 'app');
SELECT start_saga('saga', saga_id => 'saga-1');
SELECT eappend('a', 'Before');
SQL
is($node->safe_psql('postgres', q{SELECT DISTINCT who FROM app.ran}), 'app', 'the owner runs the projection');
$node->command_ok([ 'pg_dump', '-n', 'es', '-n', 'app', '-Fc', '-d', 'postgres', '-f', "$files/dump" ], 'pg_dump');

# The SQLSTATE and the HINT of a statement that fails.
sub hint_of {
    my ($dbh, $statement) = @_;
    eval { $dbh->do($statement); 1 } and return 'no error';
    return $dbh->state . ' ' . ($@ =~ /HINT:\s+(.*)/ ? $1 : 'without a hint');
}

sub becomes_usable {
    my ($server, $how) = @_;
    my $dbh = connect_to($server, 'copy', 'keeper');
    $dbh->do('SET client_min_messages = error');
    like(hint_of($dbh, q{SELECT eappend('a', 'After')}), qr/^42501 Give it to another role with alter_projection_owner\(\)/,
        "$how: an append says how to continue");
    like(hint_of($dbh, q{SELECT sierra_internal.run_saga('saga-1', true, 0)}), qr/^42501 Give it to another role with alter_saga_owner\(\)/,
        'so does a run of a saga');
    is(scalar(grep { /^owner missing: / } everify_rows($dbh)), 2, 'everify() reports both');
    $dbh->do(q{SELECT alter_projection_owner('seen', 'keeper'), alter_saga_owner('saga', 'keeper')});
    append_continues($dbh, ['a'], 'gapless: appends continue');
    is(one_value($dbh, q{SELECT who FROM app.ran WHERE what = 'Continued'}), 'keeper', 'the projection runs as its new owner');
    $dbh->do('UPDATE es.saga_instances SET run_at = now()');
    cmp_ok(one_value($dbh, 'SELECT run_sagas()'), '>', 0, 'the saga runs');
    is(one_value($dbh, q{SELECT who FROM app.ran WHERE what = 'action'}), 'keeper', 'as its new owner');
    store_is_sound($dbh, $how);
    $dbh->disconnect;
    return;
}

sub new_copy {
    my ($server) = @_;
    $server->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE template0');
    $server->safe_psql('copy', 'CREATE EXTENSION sierra_es; GRANT CREATE ON DATABASE copy TO keeper');
    return;
}
my @restore = ('pg_restore', '--no-owner', '--no-privileges', '-U', 'keeper', '-d', 'copy', "$files/dump");

# In the same server, where the roles exist.
new_copy($node);
$node->command_ok([ @restore, '--exit-on-error' ], 'pg_restore --no-owner');
becomes_usable($node, 'the role exists');

# In a server without them, the rows cannot be loaded.
my $fresh = new_server('fresh');
$fresh->safe_psql('postgres', 'CREATE ROLE keeper LOGIN');
new_copy($fresh);
$fresh->command_checks_all([@restore], 1, [], [qr/role "app" does not exist/], 'pg_restore reports roles that are missing');
my $dbh = connect_to($fresh, 'copy', 'keeper');
like(hint_of($dbh, q{SELECT eappend('a', 'After')}), qr/^42704 Load its row, or drop its trigger/,
    'an append says what is missing');
$dbh->disconnect;

# With roles that are made for the restore only, they can.
$fresh->safe_psql('postgres', 'DROP DATABASE copy');
$fresh->safe_psql('postgres', 'CREATE ROLE app');
new_copy($fresh);
$fresh->command_ok([ @restore, '--exit-on-error' ], 'pg_restore, with the role');
becomes_usable($fresh, 'a role for the restore');
$fresh->safe_psql('postgres', 'DROP ROLE app');
$dbh = connect_to($fresh, 'copy', 'keeper');
append_continues($dbh, ['a'], 'gapless: the role is not needed any more');
no_complaints([ everify_rows($dbh) ], 'and everify() does not miss it');
$dbh->disconnect;

# A role that was dropped while it still owned a projection: the dump has its number.
$node->safe_psql('postgres', 'DROP OWNED BY app; DROP ROLE app');
like(hint_of(connect_to($node), q{SELECT eappend('a', 'After')}), qr/^42704 Give it to another role with alter_projection_owner\(\)/,
    'a role that does not exist any more: an append says how to continue');
$node->safe_psql('postgres', q{SELECT alter_projection_owner('seen', 'maker'), alter_saga_owner('saga', 'maker')});
append_continues(connect_to($node), ['a'], 'gapless: appends continue with the new owner');

done_testing();
