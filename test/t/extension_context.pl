# Errors show their context without the extension's private functions, and with
# everything that users have written.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;

my $node = new_server('context');
create_store($node, 2);

# The error of a statement as psql shows it.
sub error_of {
    my ($sql) = @_;
    my ($stdout, $stderr);
    $node->psql('postgres', $sql, stdout => \$stdout, stderr => \$stderr, on_error_stop => 0);
    like($stderr, qr/ERROR: /, "an error: $sql");
    return $stderr;
}

$node->safe_psql('postgres', q{
    CREATE FUNCTION failing(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        PERFORM 1 /
                0;
    END $$;
    CREATE FUNCTION caller(projection text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        PERFORM run_projection(projection);
    END $$;
    CREATE FUNCTION private_name() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        RAISE 'refused' USING DETAIL = 'sierra_internal.f()';
    END $$});

for my $call (
    q{run_projection('none')},                    q{pause_projection('none')},
    q{estates('none')},                           q{esub('s', ARRAY[NULL])},
    q{esub(NULL)},                                q{create_projection('p', 'failing(sierra_event)', mode => 'x')},
    q{create_event_store('es')},                  q{drop_event_store('none')},
    q{start_saga('none')},                        q{eschedule(NULL, 's', 'E')},
    q{create_aggregate('a', 'failing(sierra_event)')}, q{everify('none')},
    q{event_subscriptions('none')},               q{ewait_projection('none', 0)}) {
    unlike(error_of("SELECT $call"), qr/sierra_internal/, 'no private function is in its context');
}

my $error = error_of(q{SELECT caller('none')});
like($error, qr/^CONTEXT: .*PL\/pgSQL function caller\(text\) line 2 at PERFORM$/ms, 'the function of a user is');
unlike($error, qr/sierra_internal/, 'without private ones');
like(error_of('SELECT private_name()'), qr/DETAIL:  sierra_internal\.f\(\)/, 'only the context is changed');

# A statement of several lines, in a handler that a private function calls.
$node->safe_psql('postgres', q{
    SELECT eappend('s', 'E');
    CREATE FUNCTION pass(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM failing(e); END $$;
    SELECT create_projection('inline', 'pass(sierra_event)', mode => 'inline', event_names => ARRAY['Fails'])});
$error = error_of(q{SELECT eappend('s', 'Fails')});
like($error, qr/division by zero/, 'a handler fails');
like($error, qr/SQL statement "SELECT failing\(e\)"\nPL\/pgSQL function pass\(sierra_event\)/, 'its context is complete');

$node->stop;
done_testing();
