# clients/moving: the events of Python's eventsourcing, written by the library itself, come into
# stores with all that they say, and the library reads them there.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IPC::Run;
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $clients = "$FindBin::Bin/../../clients";
my $version = '9.5.6';

# An interpreter with the library in a private directory, or why there is none.
sub install_library {
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my $output    = '';

    IPC::Run::run([ '/usr/bin/python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 11))' ], '>&', \$output)
      or return (undef, 'eventsourcing needs Python 3.11');
    IPC::Run::run([ '/usr/bin/python3', '-m', 'venv', $directory ], '>&', \$output)
      or return (undef, 'Python cannot make a virtual environment');
    IPC::Run::run([ "$directory/bin/pip", 'install', '--quiet', '--no-cache-dir', '--retries', '1', '--timeout', '30', "eventsourcing[postgres]==$version" ],
        '>&', \$output)
      or return (undef, "pip cannot install eventsourcing $version");
    return ("$directory/bin/python", undef);
}

my ($python, $why) = install_library();
plan skip_all => $why unless $python;

my $node = new_server('moving_python');
$node->safe_psql('postgres', 'CREATE DATABASE bank');
$node->safe_psql('bank',     'CREATE EXTENSION sierra_es');

sub run_bank {
    my ($mode, $module, $dcb_module) = @_;
    my ($output, $errors) = ('', '');
    local $ENV{PYTHONPATH}       = "$clients/python";
    local $ENV{PYTHONIOENCODING} = 'utf-8';
    IPC::Run::run([ $python, "$FindBin::Bin/../lib/moving_bank.py", $mode, 'bank', $node->host, $node->port, $module, $dcb_module ],
        '<', \undef, '>', \$output, '2>', \$errors)
      or die "moving_bank.py $mode: $errors";
    return $output;
}

my @stock = ('eventsourcing.postgres', 'eventsourcing.dcb.postgres_tt');
run_bank('fill', @stock);
my $shown = run_bank('show', @stock);
like($shown, qr/^Vault \d+$/m, 'the library has filled its tables');

sub load_scripts {
    my ($database) = @_;
    IPC::Run::run([
        'psql', '-X', '-q', '-d', $node->connstr($database), '-f', "$clients/moving/moving.sql", '-f',
        "$clients/moving/eventsourcing.sql"
    ]) or die "cannot load the scripts into $database";
    return;
}
load_scripts('bank');

my $dbh = connect_to($node, 'bank');
$dbh->do('SET client_min_messages = warning');

# Tests that the events of a table come into a store; returns how many there are.
sub move {
    my ($map, $table, $source, $store) = @_;
    my $events = one_value($dbh, "SELECT count(*) FROM $table");
    $dbh->do('SELECT create_event_store(?, 8)', undef, $store);
    $dbh->do("SELECT sierra_moving.$map(?)", undef, $table);
    is_deeply(all_rows($dbh, 'SELECT * FROM sierra_moving.check_source(?)', $source), [], "$table: nothing speaks against the move");
    # Interrupted after some batches; and a second time with nothing to do.
    $dbh->do(sprintf 'SELECT sierra_moving.move_batch(%s, %s, 100, 30)', map { $dbh->quote($_) } $source, $store);
    $dbh->do("CALL sierra_moving.move('$source', '$store', 50)") foreach 1, 2;
    my $row = all_rows($dbh, 'SELECT * FROM sierra_moving.verify(?, ?, 100)', $source, $store)->[0];
    is_deeply(
        [ @$row{qw(same source_events store_events not_moved first_difference)} ],
        [ 1, $events, $events, 0, undef ],
        "$table: verify() finds all the same"
    );
    store_is_sound($dbh, $table, $store);
    return $events;
}

# The test compares by itself.
sub differences {
    my ($table, $store, $first_version) = @_;
    return @{ $dbh->selectcol_arrayref(<<"SQL") };
SELECT coalesce(o.notification_id, e.global_position + 1) || ': ' || coalesce(o::text, 'none') || ' became ' || coalesce(e::text, 'none')
  FROM $table AS o
  FULL JOIN $store.events AS e ON e.global_position = o.notification_id - 1
 WHERE (o.originator_id::text, o.originator_version, o.topic, o.state)
       IS DISTINCT FROM
       (e.stream_id, e.stream_version + coalesce((e.metadata->>'eventsourcing_first_version')::bigint, 1), e.event_name,
        coalesce(e.payload_bytes, convert_to(e.payload::text, 'UTF8')))
 ORDER BY 1
SQL
}

foreach my $name (qw(bank vault)) {
    my $table = "public.${name}_events";
    move('map_eventsourcing', $table, 'sierra_moving.eventsourcing', "${name}_events");
    no_complaints([ differences($table, "${name}_events") ], "$table: every event is there, once, with all that it says");
}
cmp_ok(one_value($dbh, 'SELECT max(global_position) + 1 - count(*) FROM bank_events.events'), '>', 0, 'numbers that are missing stay missing');
is(one_value($dbh, q{SELECT count(*) FROM bank_events.events WHERE event_name <> 'odd' AND payload IS NULL}), 0, 'states that are JSON can be read in SQL');
is(
    one_value($dbh, q{SELECT count(*) FROM bank_events.events WHERE event_name <> 'odd' AND "timestamp" IS DISTINCT FROM (payload #>> '{timestamp,_data_}')::timestamptz}),
    0, 'events have the time that their state has');
is(one_value($dbh, q{SELECT count(*) FROM vault_events.events WHERE payload IS NOT NULL AND event_name <> 'odd'}), 0, 'compressed states are bytes');
my ($id, $stream, $number) = $dbh->selectrow_array('SELECT event_id, stream_id, stream_version + 1 FROM vault_events.events ORDER BY global_position LIMIT 1');
my $by_python = '';
IPC::Run::run(
    [
        $python, '-c',
        "import uuid; print(uuid.uuid5(uuid.UUID('219bd637-e279-53e9-9e2b-eabe5d9120cc'), 'eventsourcing:$stream:$number'), end='')"
    ],
    '>', \$by_python
);
is($id, $by_python, 'the id of an event follows from what it is');

move('map_eventsourcing_dcb', 'public.shop_events_tt_main', 'sierra_moving.eventsourcing_dcb', 'shop_dcb_events');
is_deeply(
    $dbh->selectcol_arrayref(<<'SQL'), [], 'every tagged event is there, once, with all that it says');
SELECT coalesce(o.id, e.global_position + 1)
  FROM public.shop_events_tt_main AS o
  FULL JOIN shop_dcb_events.events AS e ON e.global_position = o.id - 1
 WHERE (o.type, o.data, o.tags)
       IS DISTINCT FROM (e.event_name, coalesce(e.payload_bytes, convert_to(e.payload::text, 'UTF8')), e.tags)
SQL

SKIP: {
    skip 'the package eventsourcing_sierra_es is not in clients/python', 1 unless -e "$clients/python/eventsourcing_sierra_es/__init__.py";
    same_text(run_bank('show', ('eventsourcing_sierra_es') x 2), $shown, 'the applications read the same from the stores as from the tables');
}

# From another database: several tables of one server.
$node->safe_psql('postgres', sprintf <<'SQL', $node->host, $node->port);
CREATE EXTENSION postgres_fdw;
CREATE SERVER old FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'bank');
CREATE USER MAPPING FOR current_user SERVER old;
CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'other');
SQL
my $here = $dbh;
$dbh = connect_to($node);
$dbh->do('SET client_min_messages = warning');
load_scripts('postgres');
foreach my $table (qw(bank_events vault_events)) {
    $dbh->do(q{SELECT sierra_moving.attach_source('old', 'public', ?)}, undef, $table);
    move('map_eventsourcing', "sierra_moving.$table", 'sierra_moving.eventsourcing', $table);
    no_complaints([ differences("sierra_moving.$table", $table) ], "$table: from another database every event is there, once, with all that it says");
}
is(sqlstate_of($dbh, q{SELECT sierra_moving.attach_source('old', 'public', 'nothing')}), '42P01', 'a table that is not there is refused');
is(sqlstate_of($dbh, q{SELECT sierra_moving.attach_source('other', 'public', 'bank_events')}), '55000', 'a second server is refused');
$dbh = $here;

# Version 10: ids are text, and an event can have an id and metadata.
$dbh->do(<<'SQL');
CREATE TABLE ten_events (
    originator_id text NOT NULL, originator_version bigint NOT NULL, topic text, state bytea, event_id uuid,
    metadata jsonb, notification_id bigserial, PRIMARY KEY (originator_id, originator_version));
CREATE UNIQUE INDEX ON ten_events (notification_id);
INSERT INTO ten_events (originator_id, originator_version, topic, state, event_id, metadata)
VALUES ('course-é', 1, 'a', '{"timestamp": "2026-05-04T03:02:01.000001+02:00"}', '11111111-1111-4111-8111-111111111111', '{"user": "ada"}'),
       ('ledger', 0, 'b', '{"timestamp": "yesterday"}', '00000000-0000-0000-0000-000000000000', '{"user": "bob"}'),
       ('ledger', 1, 'b', '{}', NULL, '{}'),
       ('course-é', 2, 'a', '\x00', '11111111-1111-4111-8111-111111111112', NULL);
CREATE TABLE ten_events_tt_main (id bigserial, type text NOT NULL, data bytea, tags text[] NOT NULL, uuid uuid, metadata jsonb);
CREATE UNIQUE INDEX ON ten_events_tt_main (id) INCLUDE (type);
INSERT INTO ten_events_tt_main (type, data, tags, uuid, metadata)
VALUES ('a', '{}', '{z,a,z}', '11111111-1111-4111-8111-111111111111', '{"user": "ada"}'),
       ('a', '\x01', '{}', '11111111-1111-4111-8111-111111111111', NULL),
       ('b', '[]', '{a}', '00000000-0000-0000-0000-000000000000', '{}');
SQL
move('map_eventsourcing', 'ten_events', 'sierra_moving.eventsourcing', 'ten_events');
is_deeply(
    $dbh->selectall_arrayref(<<'SQL'),
SELECT stream_id, stream_version, event_id = sierra_moving.id_of(stream_id, version::text) AS derived, metadata,
       CASE WHEN "timestamp" < '2026-05-05' THEN "timestamp" AT TIME ZONE 'utc' END
  FROM (SELECT *, stream_version + coalesce((metadata->>'eventsourcing_first_version')::bigint, 1) AS version FROM ten_events.events) AS e
 ORDER BY global_position
SQL
    [
        [ 'course-é', 0, 0, '{"user": "ada"}', '2026-05-04 01:02:01.000001' ],
        [ 'ledger', 0, 1, '{"user": "bob", "eventsourcing_first_version": 0}', undef ],
        [ 'ledger', 1, 1, '{"eventsourcing_first_version": 0}', undef ],
        [ 'course-é', 1, 0, undef, undef ]
    ],
    'version 10: ids, metadata and times'
);
move('map_eventsourcing_dcb', 'ten_events_tt_main', 'sierra_moving.eventsourcing_dcb', 'ten_dcb_events');
is_deeply(
    $dbh->selectall_arrayref('SELECT stream_id, tags, metadata FROM ten_dcb_events.events ORDER BY global_position'),
    [
        [ 'z', [qw(z a)], '{"user": "ada", "eventsourcing_uuid": "11111111-1111-4111-8111-111111111111"}' ],
        [ 'a', undef, '{"eventsourcing_uuid": "11111111-1111-4111-8111-111111111111"}' ],
        [ 'a', ['a'], undef ]
    ],
    'version 10: tags and metadata of tagged events'
);

# Versions that begin elsewhere, and gaps.
$dbh->do(q{CREATE TABLE odd_events (LIKE ten_events INCLUDING ALL)});
$dbh->do(q{INSERT INTO odd_events (originator_id, originator_version, topic, state, notification_id) VALUES ('five', 5, 'a', '', 1), ('gap', 1, 'a', '', 2), ('gap', 3, 'a', '', 3)});
$dbh->do(q{SELECT sierra_moving.map_eventsourcing('odd_events')});
is_deeply(
    $dbh->selectall_arrayref(q{SELECT events, first_position, first_stream FROM sierra_moving.check_source('sierra_moving.eventsourcing')}),
    [ [ 2, 1, 'five' ] ],
    'versions that a store cannot hold are found'
);

done_testing();
