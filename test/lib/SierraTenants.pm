# SierraTenants.pm
#     Stores of roles that do not trust each other: each has a projection that runs by itself.

package SierraTenants;

use strict;
use warnings;

use Exporter qw(import);
use SierraTest;
use Test::More;

our @EXPORT = qw(tenant_roles tenant_store is_served);

# Creates roles, in this order, that may create stores.
sub tenant_roles {
    my ($dbh, @roles) = @_;
    $dbh->do("CREATE ROLE $_ LOGIN") for @roles;
    $dbh->do('GRANT CREATE ON DATABASE postgres TO ' . join ', ', @roles);
    return;
}

# Creates a store of a role; returns a session of the role that uses it.
sub tenant_store {
    my ($node, $role, $store) = @_;
    my $session = connect_to($node, 'postgres', $role);
    $session->do($_) for split /;;\n/, <<"SQL";
SELECT create_event_store('$store', 1);;
SET sierra_es.store = '$store';;
CREATE TABLE $store.seen (n int);;
CREATE FUNCTION $store.see(e sierra_event) RETURNS void LANGUAGE sql AS 'INSERT INTO $store.seen VALUES (1)';;
SELECT create_projection('p', '$store.see(sierra_event)')
SQL
    return $session;
}

# One test: after an append in this session, its projection runs.
sub is_served {
    my ($session, $when) = @_;
    my $store = one_value($session, 'SHOW sierra_es.store');
    my $count = one_value($session, "SELECT count(*) FROM $store.seen");
    $session->do(q{SELECT eappend('a', 'x')});
    wait_until("the projection of $store runs $when", sub { one_value($session, "SELECT count(*) FROM $store.seen") > $count });
    pass("the projection of $store runs $when");
    return;
}

1;
