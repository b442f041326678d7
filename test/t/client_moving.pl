# clients/moving: every message of a real message-db comes into a store with all that it says,
# whatever is killed, and while others write to it.
use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IPC::Run;
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $scripts = "$FindBin::Bin/../../clients/moving";
my $stock   = '@eventide/message-db@1.3.1';
my $source  = 'sierra_moving.message_db';

# Unpacks message-db into a private directory; returns that of its scripts, or why there is none.
sub fetch_message_db {
    my $directory = PostgreSQL::Test::Utils::tempdir();
    my $output    = '';

    eval { IPC::Run::run([ 'npm', '--version' ], '>&', \$output) } or return (undef, 'npm is not installed');
    IPC::Run::run(
        [
            'npm', 'pack', $stock, '--silent', '--pack-destination', $directory, '--cache', "$directory/cache",
            '--fetch-retries=1', '--fetch-timeout=30000'
        ],
        '<', \undef, '>&', \$output
    ) or return (undef, "npm cannot get $stock");
    my ($archive) = glob "$directory/*.tgz";
    IPC::Run::run([ 'tar', '-xzf', $archive, '-C', $directory ]) or die "cannot unpack $archive";
    return ("$directory/package/database", undef);
}

my ($message_db, $why) = fetch_message_db();
plan skip_all => $why unless $message_db;

my $node = new_server('moving');

{
    local %ENV = (
        %ENV,
        PGHOST        => $node->host,
        PGPORT        => $node->port,
        DATABASE_NAME => 'old',
        PGOPTIONS     => '-c client_min_messages=warning'
    );
    my $output = '';
    IPC::Run::run([ 'bash', "$message_db/install.sh" ], '<', \undef, '>&', \$output)
      or die "cannot install message-db: $output";
}
$node->safe_psql('old', 'CREATE EXTENSION sierra_es');

sub load_scripts {
    my ($database) = @_;
    IPC::Run::run([
        'psql', '-X', '-q', '-d', $node->connstr($database), '-f', "$scripts/moving.sql", '-f',
        "$scripts/message_db.sql"
    ]) or die "cannot load the scripts into $database";
    return;
}

# A session with message-db, as its clients have it.
sub connect_to_stock {
    my $dbh = connect_to($node, 'old');
    $dbh->do('SET search_path = message_store, public');
    $dbh->do('SET client_min_messages = warning');
    return $dbh;
}

# Messages of all kinds.  Numbers of a transaction that fails are missing afterwards.
sub write_messages {
    my ($dbh, $count, $seed) = @_;
    $dbh->do('SELECT setseed(?)', undef, $seed);
    $dbh->do(<<'SQL');
CREATE OR REPLACE FUNCTION pg_temp.some(VARIADIC texts text[]) RETURNS text LANGUAGE sql VOLATILE
    RETURN texts[1 + floor(random() * cardinality(texts))::integer]
SQL
    $dbh->do(sprintf <<'SQL', $count);
DO $$
DECLARE
    stream text;
BEGIN
    FOR i IN 1 .. %d LOOP
        stream := pg_temp.some('account', 'account:command', 'transfer:position', 'ünï ☃ 𝄞', 'a b', 'x')
            || CASE WHEN random() < 0.9 THEN '-' || floor(random() * 60) ELSE '' END
            || CASE WHEN random() < 0.2 THEN '+' || floor(random() * 5) ELSE '' END;
        PERFORM write_message(gen_random_uuid()::text, stream, pg_temp.some('Opened', 'Größe', 'a', repeat('t', 255)),
            CASE WHEN random() < 0.01 THEN to_jsonb(repeat('large ', 3000))
                 ELSE pg_temp.some(NULL, 'null', '{}', '[]', '"text"', '7', '{"b": 1, "a": {"c": [1, 2.50, -0.0]}}',
                     '{"number": 123456789012345678901234567890.123456789012345678901234567890}', '{"large": 1e300}',
                     '{"text": "line\nbreak \\ \" \u0001 \ud834\udd1e é"}', '{"": null, " ": " "}')::jsonb END,
            pg_temp.some(NULL, NULL, '{}', '{"correlationStreamName": "transfer-7", "properties": {"x": [null]}}',
                         '{"é": 0.10}')::jsonb);
        IF random() < 0.05 THEN
            BEGIN
                PERFORM write_message((SELECT id FROM messages LIMIT 1)::text, 'burnt', 'Number', NULL);
                RAISE EXCEPTION 'an id came in twice';
            EXCEPTION WHEN unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$$
SQL
    return;
}

# The test compares by itself, row by row, up to the last message; verify() is tested too.
sub differences {
    my ($messages, $store) = @_;
    my $dbh = connect_to($node, $messages->{database});
    my $old = $messages->{table};
    return @{ $dbh->selectcol_arrayref(<<"SQL") };
SELECT coalesce(m.global_position, e.global_position + 1) || ': ' || coalesce(m::text, 'none') || ' became ' || coalesce(e::text, 'none')
  FROM $old AS m
  FULL JOIN (SELECT * FROM $store.events WHERE global_position < (SELECT max(global_position) FROM $old)) AS e
    ON e.global_position = m.global_position - 1
 WHERE (m.global_position IS NULL) OR (e.global_position IS NULL)
    OR (m.stream_name, m.position, m.id, m.type, m.time, m.data::text, m.metadata::text)
       IS DISTINCT FROM (e.stream_id, e.stream_version, e.event_id, e.event_name, e."timestamp" AT TIME ZONE 'utc',
                         e.payload::text, e.metadata::text)
 ORDER BY 1
SQL
}

sub count_events {
    my ($dbh, $store) = @_;
    return one_value($dbh, "SELECT count(*) FROM $store.events");
}

# One test: verify() finds both sides equal, and nothing left to move.
sub verified {
    my ($dbh, $store, $events, $name) = @_;
    my $row = all_rows($dbh, 'SELECT * FROM sierra_moving.verify(?, ?, 500)', $source, $store)->[0];
    is_deeply(
        [ @$row{qw(same source_events store_events not_moved first_difference)} ],
        [ 1, $events, $events, 0, undef ],
        "$name: verify() finds all the same"
    );
    is($row->{source_digest}, $row->{store_digest}, "$name: the digests are equal");
    return;
}

# A session that moves; the exit status says whether it came to the end.
sub start_move {
    my ($database, $store, $batch_size) = @_;
    return fork_process(
        sub {
            my $dbh = connect_to($node, $database);
            $dbh->do('SET client_min_messages = warning');
            $dbh->do("CALL sierra_moving.move('$source', '$store', $batch_size)");
        });
}

my $stock_dbh = connect_to_stock();
write_messages($stock_dbh, 100, $_ / 50) foreach 1 .. 30;
my $messages = one_value($stock_dbh, 'SELECT count(*) FROM messages');
cmp_ok($messages, '>=', 3000, 'message-db has some thousand messages');
isnt(one_value($stock_dbh, 'SELECT max(global_position) FROM messages'), $messages, 'and numbers without message');

# ---------------------------------------------------------------------------
# Within one database, killed in the middle of a batch
# ---------------------------------------------------------------------------

create_store_in('old', 'moved', 8);
load_scripts('old');
my $dbh = connect_to($node, 'old');
$dbh->do('SET client_min_messages = warning');
$dbh->do(q{SELECT sierra_moving.map_message_db('message_store.messages')});
is_deeply(all_rows($dbh, 'SELECT * FROM sierra_moving.check_source(?)', $source), [], 'nothing speaks against the move');

sub create_store_in {
    my ($database, $store, $partitions) = @_;
    my $session = connect_to($node, $database);
    $session->do('SELECT create_event_store(?, ?)', undef, $store, $partitions);
    $session->disconnect;
    return;
}

# The move stops in the middle of a batch, behind the event at this position, and waits for a lock.
sub stop_at {
    my ($session, $position) = @_;
    $session->do(<<'SQL');
CREATE OR REPLACE FUNCTION wait_here() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$
SQL
    $session->do('DROP TRIGGER IF EXISTS wait_here ON moved.events');
    $session->do("CREATE TRIGGER wait_here AFTER INSERT ON moved.events FOR EACH ROW WHEN (NEW.global_position = $position) EXECUTE FUNCTION wait_here()");
    $session->do('SELECT pg_advisory_lock(1)');
    return;
}

sub position_of_row {
    my ($offset) = @_;
    return one_value(connect_to_stock(), 'SELECT global_position - 1 FROM messages ORDER BY global_position OFFSET ? LIMIT 1', $offset);
}

sub move_is_stopped {
    my ($session) = @_;
    return one_value($session, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
}

# The session that moves is ended.
stop_at($dbh, position_of_row(777));
my $mover = start_move('old', 'moved', 100);
wait_until('the move is in the middle of a batch', sub { move_is_stopped($dbh) });
is(count_events($dbh, 'moved'), 700, 'seven batches are there while the eighth is moved');
$dbh->do(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
ok(!wait_for_process($mover), 'the session that moves is killed');
is(count_events($dbh, 'moved'), 700, 'nothing of its batch is there');

# The whole server is killed.
$dbh->do('SELECT pg_advisory_unlock_all()');
stop_at($dbh, position_of_row(1555));
$mover = start_move('old', 'moved', 100);
wait_until('the move is in the middle of a batch', sub { move_is_stopped($dbh) });
kill_everything($node);
ok(!wait_for_process($mover), 'the server is killed while events are moved');
start_again($node);
$dbh = connect_to($node, 'old');
$dbh->do('SET client_min_messages = warning');
is(count_events($dbh, 'moved'), 1500, 'whole batches are there');
$dbh->do('DROP TRIGGER wait_here ON moved.events');
$dbh->do("CALL sierra_moving.move('$source', 'moved', 100)");
no_complaints([ differences({ database => 'old', table => 'message_store.messages' }, 'moved') ],
    'after two kills every message is there, once, with all that it says');
verified($dbh, 'moved', $messages, 'after two kills');
store_is_sound($dbh, 'after two kills', 'moved');
$dbh->do("CALL sierra_moving.move('$source', 'moved')");
is(count_events($dbh, 'moved'), $messages, 'another move has nothing to do');

# ---------------------------------------------------------------------------
# Differences are found, and strange events
# ---------------------------------------------------------------------------

sub first_difference {
    my ($change, @values) = @_;
    $dbh->begin_work;
    $dbh->do($change, undef, @values);
    my ($same, $first) = $dbh->selectrow_array('SELECT same, first_difference FROM sierra_moving.verify(?, ?, 500)', undef, $source, 'moved');
    $dbh->rollback;
    return $same ? 'none' : $first;
}

foreach my $change (
    [ 'a number',   q{data = '{"b": 1, "a": {"c": [1, 2.5, 0.0]}}'} ], [ 'a time', q{time = time + interval '1 microsecond'} ],
    [ 'an id',      'id = gen_random_uuid()' ], [ 'a type', q{type = type || '.'} ],
    [ 'metadata',   q{metadata = coalesce(metadata, '{}') || '{"other": 1}'} ], [ 'a stream', q{stream_name = 'other', position = 0} ]
  )
{
    my ($what, $set) = @$change;
    my $at = position_of_row(1234) + 1;
    is(first_difference("UPDATE message_store.messages SET $set WHERE global_position = ?", $at), $at, "verify() finds $what that differs");
}
my $at = position_of_row(2345) + 1;
is(first_difference('DELETE FROM message_store.messages WHERE global_position = ?', $at), $at, 'verify() finds an event too many');

$dbh->do(q{SELECT set_config('sierra_es.store', 'moved', false)});
$dbh->begin_work;
$dbh->do(q{SELECT FROM eappend('alien', 'Landed')});
is(sqlstate_of($dbh, "CALL sierra_moving.move('$source', 'moved', 1000, true)"),
    '55000', 'a store that somebody else appended to is refused');
$dbh->rollback;

# What a store cannot hold.
$dbh->do('CREATE TABLE odd (LIKE message_store.messages)');
$dbh->do(<<'SQL');
INSERT INTO odd (global_position, position, time, stream_name, type, data, metadata, id)
VALUES (0, 0, now(), 'zero', 'a', '1', NULL, gen_random_uuid()),
       (2, 0, now(), '', 'a', NULL, NULL, gen_random_uuid()),
       (3, 0, now(), repeat('é', 128), 'a', NULL, NULL, gen_random_uuid()),
       (4, 0, now(), E'line\n', 'a', NULL, NULL, gen_random_uuid()),
       (5, 0, now(), E'c1 \u0085', 'a', NULL, NULL, gen_random_uuid()),
       (6, 1, now(), 'gap', 'a', NULL, NULL, gen_random_uuid()),
       (7, 1, now(), 'turned', 'a', NULL, NULL, gen_random_uuid()),
       (8, 0, now(), 'turned', 'a', NULL, NULL, gen_random_uuid()),
       (9, 0, now(), 'type', '', NULL, NULL, gen_random_uuid()),
       (10, 0, now(), 'tab', E'a\t', NULL, NULL, gen_random_uuid()),
       (11, 0, 'infinity', 'time', 'a', NULL, NULL, gen_random_uuid()),
       (12, 0, now(), 'metadata', 'a', NULL, '[1]', gen_random_uuid()),
       (13, 0, now(), 'twice', 'a', NULL, NULL, '00000000-0000-0000-0000-000000000001'),
       (14, 1, now(), 'twice', 'a', NULL, NULL, '00000000-0000-0000-0000-000000000001'),
       (15, 0, now(), 'good', 'a', NULL, '{}', gen_random_uuid())
SQL
$dbh->do(q{SELECT sierra_moving.map_message_db('odd')});
is_deeply(
    [ map { "$_->{first_position} $_->{events} $_->{problem}" } @{ all_rows($dbh, 'SELECT * FROM sierra_moving.check_source(?)', $source) } ],
    [
        '0 1 position below 1',
        '2 2 stream without name, or longer than 255 bytes',
        '4 2 control character in stream name',
        '6 3 versions of the stream are not 0, 1, 2, ... in the order of positions',
        '9 1 event without name, or longer than 255 bytes',
        '10 1 control character in event name',
        '11 1 infinite time',
        '12 1 metadata are not a JSON object',
        '13 2 event id more than once'
    ],
    'check_source() finds all that a store cannot hold'
);
# It finds them all: what it does not complain about can be moved, and each of the others cannot.
create_store_in('old', 'odd_store', 4);
my $odd = $dbh->selectcol_arrayref('SELECT global_position FROM odd ORDER BY 1');
my @movable;
foreach my $position (@$odd) {
    $dbh->do("CREATE OR REPLACE VIEW one_odd AS SELECT * FROM odd WHERE global_position = $position OR (global_position = 13 AND $position = 14)");
    $dbh->do(q{SELECT sierra_moving.map_message_db('one_odd')});
    $dbh->begin_work;
    push @movable, $position
      if eval { $dbh->do("CALL sierra_moving.move('$source', 'odd_store', 10, true)"); $dbh->selectrow_array('SELECT count(*) > 0 FROM odd_store.events') };
    $dbh->rollback;
}
is("@movable", '8 13 15', 'what check_source() finds cannot be moved, and all else can');

# ---------------------------------------------------------------------------
# The switch-over within one database
# ---------------------------------------------------------------------------

# Clients write while it happens.  Each notes the ids of messages that were acknowledged.
my $notes         = PostgreSQL::Test::Utils::tempdir();
my $has_extension = one_value($dbh, q{SELECT count(*) FROM pg_available_extensions WHERE name = 'sierra_message_store'});

sub start_client {
    my ($number) = @_;
    return fork_process(
        sub {
            my ($session, $failures) = (connect_to_stock(), 0);
            srand $number;
            open my $note, '>', "$notes/$number" or die $!;
            until (-e "$notes/stop" || (!$has_extension && $failures > 3)) {
                my $id = random_uuid();
                if (eval { one_value($session, q{SELECT write_message(?, ?, 'Acknowledged', '{}')}, $id, "client$number-" . int rand 5); 1 }) {
                    syswrite $note, "$id\n";
                } else {
                    $failures++;
                }
            }
        });
}

sub acknowledged {
    return map { split /\n/, slurp_file("$notes/$_") } 1, 2;
}

write_messages($stock_dbh = connect_to_stock(), 300, 0.99);
my @clients = map { start_client($_) } 1, 2;
wait_until('clients write', sub { -s "$notes/1" && -s "$notes/2" });
$dbh->do(q{SELECT sierra_moving.map_message_db('message_store.messages')});
$dbh->do("CALL sierra_moving.move('$source', 'moved', 100)");
$dbh->do('BEGIN');
$dbh->do('ALTER TABLE message_store.messages ADD CONSTRAINT moved_to_sierra_es CHECK (false) NOT VALID');
$dbh->do("CALL sierra_moving.move('$source', 'moved', 100, true)");
verified($dbh, 'moved', one_value($dbh, 'SELECT count(*) FROM message_store.messages'), 'before the switch-over');
$dbh->do('ALTER SCHEMA message_store RENAME TO message_store_old');
$dbh->do('ALTER SCHEMA moved RENAME TO message_store');
$dbh->do('CREATE EXTENSION sierra_message_store') if $has_extension;
$dbh->do('COMMIT');
my $after = one_value($dbh, 'SELECT max(global_position) FROM message_store.events');
wait_until('clients write to the store', sub { one_value($dbh, 'SELECT max(global_position) FROM message_store.events') > $after + 50 }) if $has_extension;
append_to_file("$notes/stop", '');
ok(wait_for_process($_), 'a client has written') foreach @clients;
no_complaints([ differences({ database => 'old', table => 'message_store_old.messages' }, 'message_store') ],
    'after the switch-over the store has every message');
store_is_sound($dbh, 'after the switch-over', 'message_store');
my %stored = map { $_ => 1 } @{ $dbh->selectcol_arrayref(q{SELECT event_id FROM message_store.events WHERE event_name = 'Acknowledged'}) };
no_complaints([ grep { !$stored{$_} } acknowledged() ], 'the store has all that was acknowledged to clients');
$stock_dbh->do('SET search_path = message_store_old, public');
is(sqlstate_of($stock_dbh, q{SELECT write_message(gen_random_uuid()::text, 'late-1', 'Late', '{}')}),
    '23514', 'nothing can be written to the old table');

SKIP: {
    skip 'extension sierra_message_store is not installed', 1 unless $has_extension;
    my $read = sub {
        my ($schema) = @_;
        my $session = connect_to($node, 'old');
        $session->do("SET search_path = $schema, public");
        return join "\n", @{ $session->selectcol_arrayref(<<"SQL") };
SELECT m::text
  FROM (SELECT DISTINCT stream_name FROM message_store_old.messages WHERE stream_name LIKE '%-%' AND stream_name NOT LIKE 'client%' ORDER BY 1 LIMIT 100) AS s,
       get_stream_messages(s.stream_name) AS m
UNION ALL
SELECT m::text FROM get_category_messages('account') AS m
SQL
    };
    same_text($read->('message_store'), $read->('message_store_old'), 'clients read the same messages from the store');
}

# The old table is needed for the part that follows.
$dbh->do('ALTER TABLE message_store_old.messages DROP CONSTRAINT moved_to_sierra_es');
$dbh->do('DROP EXTENSION IF EXISTS sierra_message_store');
$dbh->do('ALTER SCHEMA message_store RENAME TO moved');
$dbh->do('ALTER SCHEMA message_store_old RENAME TO message_store');
$stock_dbh = connect_to_stock();
create_store_in('old', 'again', 1);

# ---------------------------------------------------------------------------
# From another database, while messages are written
# ---------------------------------------------------------------------------

$node->safe_psql('postgres', sprintf <<'SQL', $node->host, $node->port);
CREATE EXTENSION postgres_fdw;
CREATE SERVER old FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'old');
CREATE USER MAPPING FOR current_user SERVER old;
SQL
create_store($node, 32, 'message_store');
load_scripts('postgres');
my $target = connect_to($node);
$target->do('SET client_min_messages = warning');
$target->do(q{SELECT sierra_moving.attach_source('old', 'message_store', 'messages')});
$target->do(q{SELECT sierra_moving.map_message_db('sierra_moving.messages')});
is_deeply(all_rows($target, 'SELECT * FROM sierra_moving.check_source(?)', $source), [], 'nothing speaks against the move from another database');
is(sqlstate_of($target, "CALL sierra_moving.move('$source', 'message_store', 1000, true)"),
    '0A000', 'a source in another database is not moved in one transaction');

# A number that is taken, and not yet to be seen, is waited for, here and there.
sub an_open_transaction {
    my ($session, $database, $store) = @_;
    my $open = connect_to_stock();
    my $before = count_events($session, $store);
    $open->begin_work;
    my $first = one_value($open, q{SELECT write_message(gen_random_uuid()::text, 'slow-1', 'Late', '{}')});
    one_value($stock_dbh, q{SELECT write_message(gen_random_uuid()::text, 'quick-1', 'Early', '{}')});
    my $waiting = start_move($database, $store, 1000);
    wait_until('the move waits for the transaction',
        sub { one_value($session, q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL sierra_moving.move%' AND wait_event = 'PgSleep'}) });
    is(count_events($session, $store), $before, "$database: nothing is moved while a lower number may come");
    $open->commit;
    ok(wait_for_process($waiting), "$database: the move continues when the transaction has ended");
    my $dbh = connect_to($node, $database);
    is_deeply(
        $dbh->selectcol_arrayref("SELECT stream_id FROM $store.events ORDER BY global_position DESC LIMIT 2"),
        [ 'quick-1', 'slow-1' ], "$database: both events are there, in the order of their numbers");
    return;
}
$dbh->do("CALL sierra_moving.move('$source', 'again')");
an_open_transaction($dbh, 'old', 'again');
$target->do("CALL sierra_moving.move('$source', 'message_store')");
an_open_transaction($target, 'postgres', 'message_store');

# Writers that do not stop before the table is closed.  Some of what they write is rolled back.
sub start_writer {
    my ($number) = @_;
    return fork_process(
        sub {
            my $session = connect_to_stock();
            my $write   = q{SELECT write_message(gen_random_uuid()::text, ?, 'Written', '{"n": 1}')};
            srand $number;
            while (1) {
                $session->begin_work;
                foreach my $n (1 .. 1 + int rand 3) {
                    if (!eval { one_value($session, $write, "writer$number-" . int rand 5); 1 }) {
                        die $@ unless $session->state eq '23514';
                        return;
                    }
                    select undef, undef, undef, 0.002 * rand;
                }
                rand() < 0.1 ? $session->rollback : $session->commit;
            }
        });
}
my @writers = map { start_writer($_) } 1 .. 3;
foreach my $pass (1 .. 5) {
    my $written = one_value($stock_dbh, 'SELECT count(*) FROM messages');
    wait_until('more is written', sub { one_value($stock_dbh, 'SELECT count(*) FROM messages') > $written + 50 });
    $target->do("CALL sierra_moving.move('$source', 'message_store', 20)");
}
$stock_dbh->do('ALTER TABLE messages ADD CONSTRAINT moved_to_sierra_es CHECK (false) NOT VALID');
ok(wait_for_process($_), 'a writer writes until the table is closed') foreach @writers;
$target->do("CALL sierra_moving.move('$source', 'message_store')");
verified($target, 'message_store', one_value($stock_dbh, 'SELECT count(*) FROM messages'), 'from another database');
$target->do('CREATE TABLE messages AS SELECT * FROM sierra_moving.messages');
no_complaints([ differences({ database => 'postgres', table => 'messages' }, 'message_store') ],
    'from another database every message is there, once, with all that it says');
store_is_sound($target, 'from another database', 'message_store');

# An operator in the schema of the extension that fits better than that of the server.
$target->do($_) foreach 'CREATE TABLE public.used ()',
  'CREATE FUNCTION public.equal(a oid, b regclass) RETURNS boolean LANGUAGE sql AS $$INSERT INTO public.used DEFAULT VALUES; SELECT a = b::oid$$',
  'CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = public.equal)';
one_value($target, "SELECT sierra_moving.writers_of('$source')");
is(one_value($target, 'SELECT count(*) FROM public.used'), 0, 'an operator that others have made is not used');

$target->do('DROP SCHEMA sierra_moving CASCADE');
is(one_value($target, q{SELECT count(*) FROM everify('message_store')}), 0, 'the store does not need what moved the events');

done_testing();
