# portable_positions, byte_exact: stores survive every kind of dump and restore
# with all their bytes and numbers, cursors stay valid, and appends continue.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraLoad;
use SierraTest;
use Test::More;

my $node  = new_server('dump');
my $files = PostgreSQL::Test::Utils::tempdir();
my $other = 'The "other" store';
my $known = '7f1d6a52-93c5-4a0e-8b86-0d7f3a3f7c11';

create_store($node, 8);
create_store($node, 3, $other);
my $source = connect_to($node);

# What a dump could spoil: bytes, spelling of JSON, long values, client's times.
$source->do(q{SELECT * FROM eappend('odd', 'Bytes', payload_bytes => '\x00ff5c0a09')});
$source->do(q{SELECT * FROM eappend('odd', 'Json',
    E'{ "b":1,  "a": "\\\\u0000",\n\t"a": 1e400, "ä": "\\\\\\\\N" }', '{"a": [null ]}', "timestamp" => '0044-03-15 BC')});
$source->do(q{SELECT * FROM eappend('odd', 'Long',
    to_json((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 3000) AS i)))});
$source->do(q{SELECT * FROM eappend(E'tab''\\.quote"ü', 'Null', tags => ARRAY[E'tab''\\.quote"ü', '{a,NULL}', 'NULL'])});
my $first = $source->selectrow_hashref(q{SELECT * FROM eappend('keyed', 'Began', event_id => ?,
    partition_key => 'a key of its own')}, undef, $known);
$source->begin_work;
$source->do(q{SELECT eappend('gone', 'RolledBack') FROM generate_series(1, 5)});
$source->rollback;
my $load = SierraLoad->new(dsn => dsn_of($node), sessions => 2, seed => 30)->start;
$load->wait_for(150);
$load->stop or die 'the load failed';
$source->do('SELECT set_config($1, $2, false)', undef, 'sierra_es.store', $other);
$source->do(q{SELECT * FROM emappend(NULL, ARRAY['a', 'b', 'a', 'c'], ARRAY['e', 'e', 'e', 'e'])});
$source->do('RESET sierra_es.store');

# A store whose other partitions are empty: they have no event that shows the
# current position.
create_store($node, 8, 'sparse');
$source->do('SET sierra_es.store = sparse');
$source->do('SELECT eappend($1, $2) FROM generate_series(1, 20)', undef, streams_of_partitions(0), 'e');
$source->do('RESET sierra_es.store');

my %text   = map { $_ => store_text($source, $_) } 'es', $other;
my $cursor = one_value($source,
    'SELECT global_position FROM es.events ORDER BY 1 OFFSET 100 LIMIT 1');

sub follow {
    my ($dbh, $after) = @_;
    return join "\n", @{ $dbh->selectcol_arrayref('SELECT e::text FROM eall(?, NULL) AS e', undef, $after) };
}
my $after_cursor = follow($source, $cursor);

my $databases = 0;

sub new_database {
    my $name = 'restored_' . ++$databases;
    $node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0");
    return $name;
}

sub dump_to {
    my ($file, @options) = @_;
    $node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', "$files/$file", @options ],
        "pg_dump @options");
    return "$files/$file";
}

sub psql_ok {
    my ($database, $file) = @_;
    $node->command_ok([ 'psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', $file ],
        'psql');
    return;
}

# Everything that must be true for a restored copy of the source.
sub is_restored {
    my ($database, $how, $user) = @_;
    subtest "portable_positions: $how" => sub {
        my $dbh = connect_to($node, $database, $user);
        for my $store ('es', $other) {
            same_text(store_text($dbh, $store), $text{$store}, "byte_exact: store $store");
            no_complaints([ everify_rows($dbh, $store) ], "everify() finds nothing in $store");
        }
        same_text(follow($dbh, $cursor), $after_cursor, 'a cursor continues where it was');
        is_usable($dbh);
        append_continues($dbh, [qw(a b c d)], "gapless: appends continue store $other", $other);
        no_complaints([ everify_rows($dbh, $other) ], 'everify() finds nothing after them');
        $dbh->disconnect;
    };
    return;
}

# Appends to store es of a restored database.
sub is_usable {
    my ($dbh) = @_;
    my $again = $dbh->selectrow_hashref(q{SELECT * FROM eappend('keyed', 'Began', event_id => ?)},
        undef, $known);
    is_deeply($again, $first, 'idempotency: an old event id returns its first numbers');
    is(sqlstate_of($dbh, q{SELECT * FROM eappend('elsewhere', 'Began', event_id => ?)}, $known),
        'SE003', 'and is refused elsewhere');
    is(sqlstate_of($dbh, q{SELECT * FROM eappend('keyed', 'More', partition_key => 'another')}),
        'SE002', 'one_partition: a stream keeps its own key');
    is(one_value($dbh, q{SELECT partition_key FROM eappend('keyed', 'More')}),
        $first->{partition_key}, 'and uses it');
    append_continues($dbh, [ 'odd', 'new', SierraLoad->streams ], 'gapless: appends continue');
    is(sqlstate_of($dbh, 'DELETE FROM es.events'), 'SE006', 'append_only: guards are back');
    store_is_sound($dbh, 'after appends');
    return;
}

# ---------------------------------------------------------------------------
# Complete dumps
# ---------------------------------------------------------------------------

my $database = new_database();
psql_ok($database, dump_to('plain'));
is_restored($database, 'plain');

$database = new_database();
psql_ok($database, dump_to('inserts', '--inserts', '--rows-per-insert=7', '--load-via-partition-root'));
is_restored($database, 'INSERT statements through the partitioned table');

$database = new_database();
dump_to('custom', '-Fc');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $database, "$files/custom" ], 'pg_restore');
is_restored($database, 'custom format');

$database = new_database();
dump_to('directory', '-Fd', '-j2');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j2', '-d', $database, "$files/directory" ],
    'pg_restore -j2');
is_restored($database, 'directory format, two jobs');

# ---------------------------------------------------------------------------
# Schema and data separately
# ---------------------------------------------------------------------------

my $schema = dump_to('schema', '--schema-only');
my $data   = dump_to('data', '--data-only');
my $empty  = join "\n", qw(events stream_keys event_ids event_tags);

for my $how ('psql', 'pg_restore', 'pg_restore of INSERT statements') {
    my @restore =
        $how eq 'psql' ? ('psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', $data)
      : $how eq 'pg_restore' ? ('pg_restore', '--exit-on-error', '--data-only', "$files/custom")
      :   ('pg_restore', '--exit-on-error', dump_to('data_inserts', '-Fc', '--data-only', '--inserts'));
    $database = new_database();
    psql_ok($database, $schema);
    $node->command_checks_all([ @restore, '-d', $database ], $how eq 'psql' ? 3 : 1, [],
        [qr/append-only/], "append_only: data alone is refused ($how)");
    my $dbh = connect_to($node, $database);
    is(store_text($dbh), $empty, 'and leaves nothing');
    no_complaints([ everify_rows($dbh) ], 'a store without data is sound');
    $dbh->disconnect;
    local $ENV{PGOPTIONS} = '-c sierra_es.restore=on';
    $node->command_ok([ @restore, '-d', $database ], "sierra_es.restore lets it in ($how)");
    delete local $ENV{PGOPTIONS};
    is_restored($database, "schema and data apart ($how)");
}

# ---------------------------------------------------------------------------
# Without the sequence of positions
# ---------------------------------------------------------------------------

sub is_behind {
    my ($database, $how, $stores) = @_;
    my $dbh = connect_to($node, $database);
    my @problems = map { everify_rows($dbh, $_) } @$stores;
    is(scalar(grep { /^position sequence: / } @problems), @$stores, "everify() sees that the sequence is behind ($how)");
    is(scalar @problems, @$stores, 'and nothing else');
    same_text(follow($dbh, -1), follow($source, -1), 'eall() returns everything before the first append');
    $dbh->disconnect;
    return;
}

# A stream for each of these partitions.
sub streams_of_partitions {
    return map {
        one_value($source, q{SELECT 'first-' || i FROM generate_series(1, 1000) AS i
                              WHERE sierra_partition_id(sierra_stream_key('first-' || i), 8) = $1 LIMIT 1},
            $_)
    } @_;
}

# The first append of a session puts the sequence above the events: so do both
# sessions, if two begin at once.
sub goes_above {
    my ($database, $how, @sessions) = @_;
    my $newest = one_value($source, 'SELECT max(global_position) FROM es.events');
    push @sessions, connect_to($node, $database) while @sessions < 2;
    my @streams  = streams_of_partitions(0, 1);
    $_->begin_work for @sessions;
    my @positions =
      map { one_value($sessions[$_], 'SELECT global_position FROM eappend($1, $2)', $streams[$_], 'e') }
      0, 1;
    $_->commit for reverse @sessions;
    cmp_ok($positions[0], '>', $newest, "portable_positions: the first append goes above ($how)");
    cmp_ok($positions[1], '>', $positions[0], 'and so does that of another session');
    is_usable($sessions[0]);
    $_->disconnect for @sessions;
    return;
}

$database = new_database();
psql_ok($database, dump_to('no_sequence', '--exclude-table-data=*.global_position'));
is_behind($database, 'dump without it', [ 'es', $other ]);
goes_above($database, 'dump without it');
my $sparse = connect_to($node, $database);
is(scalar(everify_rows($sparse, 'sparse')), 1, 'the sequence of another store is still behind');
append_continues($sparse, [ streams_of_partitions(1, 0, 2) ],
    'portable_positions: the first append to an empty partition goes above', 'sparse');
store_is_sound($sparse, 'in the sparse store', 'sparse');
$sparse->disconnect;

$database = new_database();
$node->safe_psql($database, q{CREATE EXTENSION sierra_es; SELECT create_event_store('es', 8)});

# This session has appended before: it must notice rows that another session
# loads.
my $early = connect_to($node, $database);
$early->begin_work;
$early->do(q{SELECT * FROM eappend('early', 'Undone')});
$early->rollback;
for my $table ((map { "events_$_" } 0 .. 7), 'stream_keys', 'event_ids', 'event_tags') {
    $node->safe_psql('postgres', qq{\\copy es.$table to '$files/$table'});
    $node->safe_psql($database, qq{SET sierra_es.restore = on; \\copy es.$table from '$files/$table'});
}
my $copied = connect_to($node, $database);
same_text(store_text($copied), $text{es}, 'byte_exact: COPY of every table');
is_behind($database, 'COPY', ['es']);
goes_above($database, 'COPY', $early);

# ---------------------------------------------------------------------------
# Restored by an owner who is not a superuser
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE ROLE keeper LOGIN; CREATE ROLE clerk LOGIN');
my @owned = (new_database(), new_database());
$node->safe_psql($_, qq{CREATE EXTENSION sierra_es; GRANT CREATE ON DATABASE $_ TO keeper}) for @owned;
my $keeper = connect_to($node, $owned[0], 'keeper');
$keeper->do(q{SELECT create_event_store('es', 4)});
$keeper->do(q{SELECT create_category_index()});
$keeper->do(q{SELECT * FROM emappend('k', ARRAY['a', 'b'], ARRAY['e', 'e'], tags => ARRAY['["a", "b"]', NULL]::json[])});
$keeper->do(q{GRANT USAGE ON SCHEMA es TO clerk});
$keeper->do(q{GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA es TO clerk});
$node->command_ok([ 'pg_dump', '-U', 'keeper', '-n', 'es', '-Fc', '-d', $owned[0], '-f', "$files/owned" ],
    'the owner dumps the store');
$node->command_ok([ 'pg_restore', '-U', 'keeper', '--exit-on-error', '-d', $owned[1], "$files/owned" ],
    'and restores it elsewhere');

sub is_kept {
    my ($server, $database, $how) = @_;
    my $dbh = connect_to($server, $database, 'keeper');
    same_text(store_text($dbh), store_text($keeper), "byte_exact: $how");
    is(one_value($dbh, q{SELECT count(*) FROM sierra_internal.category_indexes('es') AS c WHERE c.valid}), 1 + 4, "$how: the category index is there");
    append_continues($dbh, [qw(a b c)], "gapless: $how, the owner continues");
    no_complaints([ everify_rows($dbh) ], "$how, everify() finds nothing");
    my $clerk = connect_to($server, $database, 'clerk');
    append_continues($clerk, [qw(a b c)], "$how, others have their rights");
    $clerk->do('SET sierra_es.restore = on');
    is(sqlstate_of($clerk, "INSERT INTO es.$_"), 'SE006', "append_only: sierra_es.restore is for owners: $_")
      for 'event_ids VALUES (gen_random_uuid(), 0)', q{event_tags VALUES ('a', 0, 0, 0)};
    is(one_value($clerk, q{SELECT count(*) FROM eappend('a', 'e', tags => ARRAY['a']) AS e, eall(tags => ARRAY['a'])}), 1, "$how, others find events by tags, and append them");
    is(one_value($clerk, q{SELECT count(*) FROM eall(tags => ARRAY['a'])}), 2, "$how, and these too");
    is(sqlstate_of($clerk, 'UPDATE es.events SET stream_version = 0'),
        '42501', 'and gives no rights');
    $_->disconnect for $clerk, $dbh;
    return;
}

$node->command_ok([ 'pg_dumpall', '-f', "$files/all" ], 'pg_dumpall');
is_kept($node, $owned[1], 'restored by its owner');

my $fresh = new_server('fresh');
$fresh->safe_psql('postgres', 'DROP EXTENSION sierra_es');
my ($out, $complaint) = run_command([ 'psql', '-Xq', '-d', $fresh->connstr('postgres'), '-f', "$files/all" ]);
like($complaint, qr/\A.*role ".*" already exists\z/, 'psql restores the whole server');
is_kept($fresh, $owned[0], 'restored from pg_dumpall');
my $whole = connect_to($fresh);
same_text(store_text($whole, $_), $text{$_}, "byte_exact: store $_ from pg_dumpall") for 'es', $other;

# ---------------------------------------------------------------------------
# Over a store that has events
# ---------------------------------------------------------------------------

my $clean = dump_to('clean', '-Fc');
$database = new_database();
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $database, $clean ], 'pg_restore');
is(sqlstate_of(connect_to($node, $database), 'DROP SCHEMA es CASCADE'), '55000', 'DROP SCHEMA does not delete events');
$node->command_ok([ qw(pg_restore --clean --if-exists --exit-on-error --single-transaction -d), $database, $clean ], 'pg_restore --clean');
is_restored($database, 'restored over itself');

# ---------------------------------------------------------------------------
# While appends run
# ---------------------------------------------------------------------------

$load = SierraLoad->new(dsn => dsn_of($node), sessions => 3, seed => 31)->start;
$load->wait_for(50);
my @acknowledged = map { $_->{event_id} } map { @{ $_->{answer} // [] } } values %{ $load->calls };
my $busy = dump_to('busy', '-Fd', '-j2');
$load->wait_for(50);
ok($load->stop, 'appends continue beside a dump');
$database = new_database();
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j2', '-d', $database, $busy ], 'pg_restore');
my $restored = connect_to($node, $database);
store_is_sound($restored, 'dumped while appends ran');
my %there = map { $_->{event_id} => 1 } @{ events_by_number($restored) };
no_complaints([ grep { !$there{$_} } @acknowledged ],
    'durable: what was acknowledged before the dump is in it');
cmp_ok(scalar keys %there, '<', one_value($source, 'SELECT count(*) FROM es.events'),
    'appends did run beside the dump');
append_continues($restored, [ SierraLoad->streams ], 'gapless: appends continue');
store_is_sound($restored, 'and leave it sound');

done_testing();
