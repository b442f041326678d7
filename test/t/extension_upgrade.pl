# A database of version 0.1.0, full of events, is updated in place; afterwards it
# equals one where this version was created.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraLoad;
use SierraTest;
use Test::More;

my $node  = new_server('upgrade');
my $files = PostgreSQL::Test::Utils::tempdir();
my $other = 'The "other" store';
$node->safe_psql('postgres', 'CREATE ROLE keeper LOGIN; CREATE ROLE clerk LOGIN; CREATE ROLE reader LOGIN');
my $version = $node->safe_psql('postgres', q{SELECT default_version FROM pg_available_extensions WHERE name = 'sierra_es'});

# The same stores in both databases: two of the superuser, one of another role;
# the extension in a schema of its own.
sub make_database {
    my ($name, $from) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0");
    my $dbh = connect_to($node, $name);
    $dbh->do('CREATE SCHEMA "Tools"');
    $dbh->do(qq{CREATE EXTENSION sierra_es SCHEMA "Tools" VERSION '$from'});
    $dbh->do(qq{GRANT CREATE ON DATABASE $name TO keeper});
    $dbh->do('GRANT USAGE ON SCHEMA "Tools" TO PUBLIC');
    $dbh->do(qq{ALTER DATABASE $name SET search_path = public, "Tools"});
    $dbh->disconnect;
    $dbh = connect_to($node, $name);
    $dbh->do('REVOKE EXECUTE ON FUNCTION create_event_store(name, integer) FROM PUBLIC');
    $dbh->do('GRANT EXECUTE ON FUNCTION create_event_store(name, integer) TO keeper');
    $dbh->do('SELECT create_event_store($1, $2)', undef, @$_) for [ 'es', 8 ], [ $other, 3 ];
    my $keeper = connect_to($node, $name, 'keeper');
    $keeper->do(q{SELECT create_event_store('kept', 2)});
    $keeper->do('GRANT USAGE ON SCHEMA kept TO clerk');
    $keeper->do('GRANT SELECT, INSERT ON kept.events, kept.stream_keys, kept.event_ids TO clerk');
    $keeper->disconnect;
    $dbh->disconnect;
    return;
}

sub fill {
    my ($name) = @_;
    my $dsn = dsn_of($node) =~ s/dbname=postgres/dbname=$name/r;
    my $load = SierraLoad->new(dsn => $dsn, sessions => 2, seed => 104)->start;
    $load->wait_for(150);
    $load->stop or die 'the load failed';
    my $dbh = connect_to($node, $name);
    for my $store ($other, 'kept') {
        $dbh->do('SELECT set_config($1, $2, false)', undef, 'sierra_es.store', $store);
        $dbh->do(q{SELECT * FROM emappend('a key', ARRAY['a', 'b', 'a'], ARRAY['e', 'e', 'e'], ARRAY['{ "x" : 1.0 }', NULL, '[null ]']::json[])});
    }
    $dbh->disconnect;
    return;
}

# All that the catalogs say of the extension and of the stores, one line for each
# thing; no OIDs, and none of the server's own numbers.
my %catalog = (
    functions => q{SELECT p.oid::regprocedure, pg_get_functiondef(p.oid), pg_get_function_arguments(p.oid),
            pg_get_function_result(p.oid), p.prokind, p.procost, p.prorows, p.provolatile, p.proparallel,
            p.proisstrict, p.prosecdef, p.proleakproof, p.proconfig, p.probin, p.prosrc, p.proacl,
            pg_get_userbyid(p.proowner), obj_description(p.oid, 'pg_proc')
       FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
      WHERE n.nspname = 'Tools' AND p.prokind <> 'a'},
    types => q{SELECT t.oid::regtype, t.typlen, t.typbyval, t.typtype, t.typcategory, t.typalign, t.typstorage,
            t.typinput, t.typoutput, t.typreceive, t.typsend, t.typacl, pg_get_userbyid(t.typowner),
            obj_description(t.oid, 'pg_type')
       FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
      WHERE n.nspname = 'Tools' OR n.nspname IN ('es', 'kept', 'The "other" store')},
    casts => q{SELECT c.castsource::regtype, c.casttarget::regtype, c.castfunc::regprocedure, c.castcontext, c.castmethod
       FROM pg_cast AS c JOIN pg_type AS t ON t.oid = c.casttarget JOIN pg_namespace AS n ON n.oid = t.typnamespace
      WHERE n.nspname = 'Tools'},
    relations => q{SELECT c.oid::regclass, c.relkind, c.relpersistence, c.relreplident, c.relrowsecurity,
            c.reloptions, c.relacl, pg_get_userbyid(c.relowner), pg_get_expr(c.relpartbound, c.oid),
            pg_get_partkeydef(c.oid), obj_description(c.oid, 'pg_class'), t.reloptions
       FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
       LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid
      WHERE n.nspname IN ('es', 'kept', 'The "other" store', 'Tools')},
    columns => q{SELECT c.oid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attstorage, a.attcompression, a.attcollation::regcollation, ARRAY(SELECT o FROM unnest(a.attoptions) AS o WHERE o NOT LIKE 'pg\_%'), a.attacl, a.attisdropped,
            pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
       FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
       LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
      WHERE n.nspname IN ('es', 'kept', 'The "other" store', 'Tools') AND a.attnum > 0},
    constraints => q{SELECT x.conrelid::regclass, x.conname, x.contype, x.condeferrable, x.convalidated,
            pg_get_constraintdef(x.oid), obj_description(x.oid, 'pg_constraint')
       FROM pg_constraint AS x JOIN pg_namespace AS n ON n.oid = x.connamespace
      WHERE n.nspname IN ('es', 'kept', 'The "other" store')},
    indexes => q{SELECT i.indexrelid::regclass, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisunique, i.indisprimary
       FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname IN ('es', 'kept', 'The "other" store')},
    triggers => q{SELECT g.tgrelid::regclass, CASE WHEN g.tgisinternal THEN 'internal' ELSE g.tgname END, g.tgenabled,
            regexp_replace(pg_get_triggerdef(g.oid), '"RI_ConstraintTrigger_._\d+"', 'internal')
       FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
      WHERE n.nspname IN ('es', 'kept', 'The "other" store')},
    schemas => q{SELECT n.nspname, n.nspacl, pg_get_userbyid(n.nspowner), obj_description(n.oid, 'pg_namespace')
       FROM pg_namespace AS n WHERE n.nspname IN ('es', 'kept', 'The "other" store', 'Tools')},
    members => q{SELECT pg_describe_object(d.classid, d.objid, d.objsubid), d.deptype
       FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
      WHERE e.extname = 'sierra_es'},
    extension => q{SELECT e.extname, e.extversion, n.nspname, pg_get_userbyid(e.extowner), e.extrelocatable,
            e.extconfig, e.extcondition
       FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace},
);

sub catalog_text {
    my ($dbh, $what) = @_;
    return join "\n", sort map { join ' | ', map { $_ // '(null)' } map { ref ? "{@$_}" : $_ } @$_ }
      @{ $dbh->selectall_arrayref($catalog{$what}) };
}

sub dump_text {
    my ($database, @options) = @_;
    $node->command_ok([ 'pg_dump', '-d', $database, '-f', "$files/dump", @options ], "pg_dump @options");
    return slurp_file("$files/dump") =~ s/^\\(?:un)?restrict .*$//mgr;
}

sub stores_equal {
    my ($database, $expected, $when) = @_;
    my ($dbh, $like) = map { connect_to($node, $_) } $database, $expected;
    same_text(catalog_text($dbh, $_), catalog_text($like, $_), "$when: $_") for sort keys %catalog;
    $_->disconnect for $dbh, $like;
    same_text(dump_text($database, '--schema-only', '--no-comments') =~ s/\b$database\b/$expected/gr,
        dump_text($expected, '--schema-only', '--no-comments'), "$when: a dump of the schema");
    same_text(dump_text($database, '--schema-only') =~ s/\b$database\b/$expected/gr,
        dump_text($expected, '--schema-only'), "$when: with comments");
    return;
}

make_database('old', '0.1.0');
make_database('new', $version);
fill('old');
my $old = connect_to($node, 'old');
my %text = map { $_ => store_text($old, $_) } 'es', $other, 'kept';
isnt(catalog_text($old, 'functions'), do { my $new = connect_to($node, 'new'); catalog_text($new, 'functions') },
    'before the update there are other functions');
my $files_of_events = q{SELECT string_agg(c.relname || ' ' || pg_relation_filenode(c.oid), ' ' ORDER BY c.oid)
     FROM pg_class AS c WHERE c.relname LIKE 'events%'};
my $files_before = one_value($old, $files_of_events);

# A session that began before continues.
my $early = connect_to($node, 'old');
$early->do(q{SELECT * FROM eappend('early', 'e')});
$text{es} = store_text($old, 'es');

is(sqlstate_of($old, 'ALTER EXTENSION sierra_es UPDATE'), '', "from 0.1.0 to $version");
is(one_value($old, q{SELECT extversion FROM pg_extension WHERE extname = 'sierra_es'}), $version, 'the version is told');
stores_equal('old', 'new', 'updated');
same_text(store_text($old, $_), $text{$_}, "durable: events of store $_ are untouched") for sort keys %text;
is(one_value($old, $files_of_events), $files_before, 'no table of events was rewritten');

# What was there works, and so does what is new.
append_continues($early, [ 'early', 'more', SierraLoad->streams ], 'gapless: a session from before the update appends');
for my $store (sort keys %text) {
    $old->do('SELECT set_config($1, $2, false)', undef, 'sierra_es.store', $store);
    is(one_value($old, q{SELECT esub('s', start_from => 'earliest')}), -1, "store $store: a subscription");
    is_deeply(
        $old->selectcol_arrayref(q{SELECT global_position FROM enext('s', 10000)}),
        $old->selectcol_arrayref('SELECT global_position FROM eall() LIMIT 1000'),
        'from the first event on'
    );
    is(one_value($old, 'SELECT upgrade_event_store($1)', $store), 0, 'no store was left out');
    store_is_sound($old, "store $store", $store);
}
$old->do('RESET sierra_es.store');
my $keeper = connect_to($node, 'old', 'keeper');
$keeper->do('SET sierra_es.store = kept');
is(one_value($keeper, q{SELECT count(*) FROM enext('s')}), 3, 'the owner of a store consumes');
my $clerk = connect_to($node, 'old', 'clerk');
$clerk->do('SET sierra_es.store = kept');
is(sqlstate_of($clerk, q{SELECT * FROM enext('s')}), '42501', 'others need rights, as in a new store');
$keeper->do('GRANT SELECT, INSERT, UPDATE, DELETE ON kept.subscriptions, kept.subscription_cursors,
    kept.subscription_consumers, kept.subscription_streams TO clerk');
is(one_value($clerk, q{SELECT count(*) FROM enext('s')}), 3, 'and get them');

# DROP EXTENSION as before: it refuses, and with CASCADE keeps all data.
is(sqlstate_of($old, 'DROP EXTENSION sierra_es'), '2BP01', 'DROP EXTENSION refuses while there is a store');
$text{es} = store_text($old, 'es');
$old->do('DROP EXTENSION sierra_es CASCADE');
same_text(store_text($old, $_), $text{$_}, "durable: CASCADE keeps the events of $_") for sort keys %text;
is(one_value($old, 'SELECT count(*) FROM es.subscriptions'), 1, 'and subscriptions');
$old->do('CREATE EXTENSION sierra_es SCHEMA "Tools"');
$old->do('SELECT guard_event_store($1)', undef, $_) for sort keys %text;
is(one_value($old, q{SELECT count(*) FROM enext('s')}), 100, 'which continue when the extension is back');

# A store of 0.1.0 that comes with a dump, when the extension is of this version.
make_database('dumped', '0.1.0');
fill('dumped');
$node->safe_psql('postgres', 'CREATE DATABASE loaded TEMPLATE template0');
$node->safe_psql('loaded', 'CREATE SCHEMA "Tools"; CREATE EXTENSION sierra_es SCHEMA "Tools"; ALTER DATABASE loaded SET search_path = public, "Tools"');
$node->command_ok([ 'pg_dump', '-d', 'dumped', '-n', 'es', '-f', "$files/store" ], 'pg_dump of one store');
$node->command_ok([ 'psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-d', 'loaded', '-f', "$files/store" ], 'loaded elsewhere');
my $loaded = connect_to($node, 'loaded');
is(sqlstate_of($loaded, $_), 'SE005', "without the tables it needs: $_")
  for q{SELECT esub('s')}, q{SELECT * FROM enext('s')}, q{SELECT * FROM event_subscriptions()};
is(one_value($loaded, 'SELECT upgrade_event_store()'), 1, 'upgrade_event_store() makes them');
$loaded->do(q{SELECT esub('s', start_from => 'earliest')});
cmp_ok(one_value($loaded, q{SELECT count(*) FROM enext('s')}), '==', 100, 'and a subscription delivers');
store_is_sound($loaded, 'loaded and upgraded');

done_testing();
