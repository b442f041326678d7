# durable, append_only: events are the user's data, not the extension's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;

my $node = new_server('extension');
create_store($node, 4);
create_store($node, 2, 'second');
my $dbh   = connect_to($node);
my $other = connect_to($node);

# A function of the extension may be the first function that a session calls.
for my $call ('everify()', 'event_partitions()', 'event_stores()', 'guard_event_store()',
    q{esver('s')}, 'eall()')
{
    my $fresh = connect_to($node);
    is(sqlstate_of($fresh, "SELECT * FROM $call"), '', "a session can begin with $call");
    $fresh->disconnect;
}

for my $store (qw(es second)) {
    $dbh->do("SET sierra_es.store = $store");
    $dbh->do(q{SELECT * FROM emappend('key', ARRAY['a', 'b'], ARRAY['e', 'e'], event_ids => ARRAY[gen_random_uuid(), gen_random_uuid()])});
    $dbh->do(q{SELECT eappend('c', 'e', '{ "spelled" : 1.0 }') FROM generate_series(1, 10)});
}
$dbh->do('RESET sierra_es.store');
$other->do(q{SELECT * FROM eappend('c', 'e')});
my %text = map { $_ => store_text($dbh, $_) } qw(es second);

# ---------------------------------------------------------------------------
# DROP EXTENSION
# ---------------------------------------------------------------------------

is(sqlstate_of($dbh, 'DROP EXTENSION sierra_es'), '2BP01', 'DROP EXTENSION refuses while there is a store');
is(sqlstate_of($dbh, 'DROP SCHEMA es'), '2BP01', 'so does DROP SCHEMA');
same_text(store_text($dbh, 'es'), $text{es}, 'nothing is lost');
$dbh->do('DROP EXTENSION sierra_es CASCADE');
same_text(store_text($dbh, $_), $text{$_}, "durable: CASCADE keeps the events of $_") for qw(es second);
is(sqlstate_of($other, q{SELECT * FROM eappend('c', 'e')}), '42883', 'there are no functions left');

# ---------------------------------------------------------------------------
# CREATE EXTENSION again
# ---------------------------------------------------------------------------

$dbh->do('CREATE EXTENSION sierra_es');
for my $store (qw(es second)) {
    my $tables = $store eq 'es' ? 4 + 4 : 2 + 4;
    is(scalar(grep { /^guard missing: / } everify_rows($dbh, $store)), $tables,
        "everify() misses the guards of $store");
    is(scalar(everify_rows($dbh, $store)), $tables, 'and nothing else');
    is(one_value($dbh, 'SELECT guard_event_store($1)', $store), $tables + 5,
        'guard_event_store() puts them back, and those of the tables of definitions');
    is(one_value($dbh, 'SELECT guard_event_store($1)', $store), 0, 'once');
    store_is_sound($dbh, "store $store", $store);
    same_text(store_text($dbh, $store), $text{$store}, "durable: store $store is as it was");
    is(sqlstate_of($dbh, "$_ $store.events_0"), 'SE006', "append_only: $_ of $store")
      for 'DELETE FROM', 'TRUNCATE';
    append_continues($_, [qw(a b c d)], "gapless: appends continue in $store", $store)
      for $dbh, $other;
    store_is_sound($dbh, "store $store after appends", $store);
}
is(sqlstate_of($dbh, 'DROP EXTENSION sierra_es'), '2BP01', 'DROP EXTENSION refuses again');

# ---------------------------------------------------------------------------
# Elsewhere
# ---------------------------------------------------------------------------

# The extension in a schema that is not in the search path.
$node->safe_psql('postgres', 'CREATE DATABASE apart');
my $apart = connect_to($node, 'apart');
$apart->do('CREATE SCHEMA "Tools"');
$apart->do('CREATE EXTENSION sierra_es SCHEMA "Tools"');
$apart->do('SELECT "Tools".create_event_store($1, 3)', undef, 'es');
is(one_value($apart, q{SELECT stream_version FROM "Tools".eappend('s', 'e', expected_version => 'empty')}),
    0, 'the extension works in a schema of its own');
is(sqlstate_of($apart, 'DELETE FROM es.events'), 'SE006', 'append_only: there, too');
is(one_value($apart, 'SELECT count(*) FROM "Tools".everify()'), 0, 'everify() works there');
is(one_value($apart, 'SELECT count(*) FROM "Tools".eall()'), 1, 'so does eall()');
$apart->do('DROP EXTENSION sierra_es CASCADE');
$apart->do('CREATE EXTENSION sierra_es');
is(one_value($apart, 'SELECT guard_event_store()'), 7 + 5, 'the extension may come back in another schema');
append_continues($apart, [qw(s t)], 'gapless: and appends continue');
store_is_sound($apart, 'in another schema');
$_->disconnect for $apart, $other, $dbh;

# With the library loaded at the start of the server.
$node->append_conf('postgresql.conf', q{shared_preload_libraries = 'sierra_es'});
$node->restart;
$dbh = connect_to($node);
append_continues($dbh, [qw(a b c d)], 'gapless: preloaded, appends continue');
store_is_sound($dbh, 'preloaded');
is(one_value($dbh, 'SELECT count(*) FROM eall()'), one_value($dbh, 'SELECT count(*) FROM es.events'),
    'preloaded, eall() returns everything');

done_testing();
