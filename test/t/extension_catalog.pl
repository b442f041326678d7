# All that the catalogs say of the extension and of its stores is the same in a
# fresh database, in one that was dumped and restored, and in one that was updated
# from each version that was ever released.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraLoad;
use SierraTest;
use Test::More;

my $node  = new_server('catalog');
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
    $keeper->do('GRANT SELECT, INSERT ON kept.events, kept.stream_keys, kept.event_ids, kept.event_tags TO clerk');
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
        $dbh->do(q{SELECT * FROM emappend('a key', ARRAY['a', 'b', 'a'], ARRAY['e', 'e', 'e'], ARRAY['{ "x" : 1.0 }', NULL, '[null ]']::json[],
            tags => ARRAY['["course:1", "b"]', NULL, '["course:1"]']::json[])});
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
      WHERE n.nspname IN ('Tools', 'sierra_internal') AND p.prokind <> 'a'},
    types => q{SELECT t.oid::regtype, t.typlen, t.typbyval, t.typtype, t.typcategory, t.typalign, t.typstorage,
            t.typinput, t.typoutput, t.typreceive, t.typsend, t.typacl, pg_get_userbyid(t.typowner),
            obj_description(t.oid, 'pg_type')
       FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
      WHERE n.nspname IN ('es', 'kept', 'The "other" store', 'Tools', 'sierra_internal')},
    casts => q{SELECT c.castsource::regtype, c.casttarget::regtype, c.castfunc::regprocedure, c.castcontext, c.castmethod
       FROM pg_cast AS c JOIN pg_type AS t ON t.oid IN (c.castsource, c.casttarget) JOIN pg_namespace AS n ON n.oid = t.typnamespace
      WHERE n.nspname = 'Tools'},
    relations => q{SELECT c.oid::regclass, c.relkind, c.relpersistence, c.relreplident, c.relrowsecurity,
            c.reloptions, c.relacl, pg_get_userbyid(c.relowner), pg_get_expr(c.relpartbound, c.oid),
            pg_get_partkeydef(c.oid), obj_description(c.oid, 'pg_class'), t.reloptions
       FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
       LEFT JOIN pg_class AS t ON t.oid = c.reltoastrelid
      WHERE n.nspname IN ('es', 'kept', 'The "other" store', 'Tools', 'sierra_internal')},
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
       FROM pg_namespace AS n WHERE n.nspname IN ('es', 'kept', 'The "other" store', 'Tools', 'sierra_internal')},
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

# What else a store may have: of each kind of trigger one, and rows that say what to run.
sub define {
    my ($dbh) = @_;
    $dbh->do($_) for
      q{CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql
          SET search_path = pg_catalog RETURN to_jsonb(coalesce((state #>> '{}')::int, 0) + 1)},
      q{CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql RETURN '{"done": true}'::jsonb},
      q{CREATE FUNCTION newer(payload jsonb) RETURNS jsonb LANGUAGE sql RETURN payload || '{"new": 1}'::jsonb},
      q{SELECT create_projection('inline', 'tally(jsonb, sierra_event)', initial => NULL, mode => 'inline')},
      q{SELECT create_projection('manual', 'tally(jsonb, sierra_event)', initial => NULL, mode => 'manual')},
      q{SELECT create_aggregate('count', 'tally(jsonb, sierra_event)', initial => NULL)},
      q{SELECT create_upcaster('old', 1, 'newer(jsonb)')},
      q{SELECT create_saga('saga', ARRAY[saga_step('only', 'act(jsonb)')])},
      q{SELECT start_saga('saga', saga_id => 'saga-1')},
      q{SELECT eschedule('2000-01-01', 'timed', 'e')},
      q{SELECT esub('s', start_from => 'earliest')};
    return;
}

sub use_all {
    my ($dbh, $how) = @_;
    append_continues($dbh, [ 'early', 'more', SierraLoad->streams ], "gapless: $how, appends continue");
    is(one_value($dbh, 'SELECT run_timers()'), 1, "$how, a timer runs");
    is(one_value($dbh, 'SELECT run_sagas()'), 1, 'a saga runs');
    is(one_value($dbh, q{SELECT status FROM event_sagas()}), 'completed', 'to its end');
    cmp_ok(one_value($dbh, q{SELECT run_projection('manual', 100000)}), '>', 150, 'a projection runs');
    is(one_value($dbh, q{SELECT count(*) FROM estates('inline') AS i JOIN estates('manual') AS m USING (key, state)}),
        one_value($dbh, q{SELECT count(*) FROM estates('manual')}), 'the inline projection has the same states');
    is(one_value($dbh, q{SELECT count(*) FROM enext('s')}), 100, 'a subscription delivers');
    is(sqlstate_of($dbh, q{UPDATE es.sagas SET steps = '[]'}),    '55000', 'sagas are guarded');
    is(sqlstate_of($dbh, q{UPDATE es.projections SET key = 'x'}), '55000', 'so are projections');
    is(sqlstate_of($dbh, 'DELETE FROM es.events'), 'SE006', 'append_only: and events');
    is(one_value($dbh, 'SELECT guard_event_store($1)', $_), 0, "no trigger of store $_ is missing") for 'es', $other, 'kept';
    store_is_sound($dbh, "$how, store $_", $_) for 'es', $other, 'kept';
    return;
}

# ---------------------------------------------------------------------------
# Dumped and restored
# ---------------------------------------------------------------------------

make_database('fresh', $version);
fill('fresh');
my $fresh = connect_to($node, 'fresh');
define($fresh);
my %text = map { $_ => store_text($fresh, $_) } 'es', $other, 'kept';

for my $format ([ plain => 'psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f' ],
    [ custom => 'pg_restore', '--exit-on-error' ])
{
    my ($name, @restore) = @$format;
    my $database = "restored_$name";
    $node->command_ok([ 'pg_dump', '-d', 'fresh', "--format=$name", '-f', "$files/$name" ], "pg_dump, format $name");
    $node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
    $node->safe_psql('postgres', qq{GRANT CREATE ON DATABASE $database TO keeper; ALTER DATABASE $database SET search_path = public, "Tools"});
    $node->command_ok([ @restore, $name eq 'plain' ? ("$files/$name", '-d', $database) : ('-d', $database, "$files/$name") ], 'restored');
    stores_equal($database, 'fresh', "restored, $name");
    my $dbh = connect_to($node, $database);
    same_text(store_text($dbh, $_), $text{$_}, "durable: events of store $_") for sort keys %text;
    use_all($dbh, "restored, $name");
    $dbh->disconnect;
}

# ---------------------------------------------------------------------------
# Updated
# ---------------------------------------------------------------------------

# Versions that were released before this one, with an update script from each.
my @origins = ();

for my $origin (@origins) {
    my $database = "from_$origin" =~ tr/./_/r;
    make_database($database, $origin);
    fill($database);
    my $dbh   = connect_to($node, $database);
    my $early = connect_to($node, $database);
    $early->do(q{SELECT * FROM eappend('early', 'e')});
    define($dbh);
    my %before = map { $_ => store_text($dbh, $_) } sort keys %text;
    my $files_of_events = q{SELECT string_agg(c.relname || ' ' || pg_relation_filenode(c.oid), ' ' ORDER BY c.oid)
         FROM pg_class AS c WHERE c.relname LIKE 'events%'};
    my $files_before = one_value($dbh, $files_of_events);

    is(sqlstate_of($dbh, 'ALTER EXTENSION sierra_es UPDATE'), '', "from $origin to $version");
    is(one_value($dbh, q{SELECT extversion FROM pg_extension WHERE extname = 'sierra_es'}), $version, 'the version is shown');
    stores_equal($database, 'fresh', "updated from $origin");
    same_text(store_text($dbh, $_), $before{$_}, "durable: events of store $_ are untouched") for sort keys %before;
    is(one_value($dbh, $files_of_events), $files_before, 'no table of events was rewritten');
    use_all($_, "updated from $origin") for $early;
    $_->disconnect for $early, $dbh;
}

# DROP EXTENSION with CASCADE keeps all data, and what it takes comes back.
$fresh->do('DROP EXTENSION sierra_es CASCADE');
same_text(store_text($fresh, $_), $text{$_}, "durable: CASCADE keeps the events of $_") for sort keys %text;
is(one_value($fresh, 'SELECT count(*) FROM es.subscriptions WHERE subscription = $1', 's'), 1, 'and subscriptions');
$fresh->do('CREATE EXTENSION sierra_es SCHEMA "Tools"');
$fresh->do('REVOKE EXECUTE ON FUNCTION create_event_store(name, integer) FROM PUBLIC');
$fresh->do('GRANT EXECUTE ON FUNCTION create_event_store(name, integer) TO keeper');
$fresh->do(q{CREATE FUNCTION tally(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql
    SET search_path = pg_catalog RETURN to_jsonb(coalesce((state #>> '{}')::int, 0) + 1)});
$fresh->do('SELECT guard_event_store($1)', undef, $_) for sort keys %text;
stores_equal('fresh', 'restored_custom', 'dropped and guarded again');
use_all($fresh, 'dropped and guarded again');

done_testing();
