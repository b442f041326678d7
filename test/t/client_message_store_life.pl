# Extension sierra_message_store beside other sessions, other roles, dumps and itself: what the
# comparison with message-db does not see.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node  = new_server('message_store');
my $files = PostgreSQL::Test::Utils::tempdir();
my $store = 'message_store';

$node->safe_psql('postgres', 'CREATE EXTENSION sierra_message_store');
my $owner = connect_to($node);

# A session of a client: its role finds the functions by its own name.
sub client {
    my ($database) = @_;
    return connect_to($node, $database, 'message_store');
}

sub write_to {
    my ($dbh, $stream, $expected, $id) = @_;
    return one_value($dbh, q{SELECT write_message(coalesce($1, gen_random_uuid()::text), $2, 'Written', '{"a": 1}',
        '{"correlationStreamName": "other-1"}', $3)}, $id, $stream, $expected);
}

sub streams {
    my ($dbh, $statement, @values) = @_;
    return join ' ', @{ $dbh->selectcol_arrayref("SELECT stream_name || ':' || position FROM $statement", undef, @values) };
}

# The SQLSTATE and the text of an error.
sub error_of {
    my ($dbh, $statement, @values) = @_;
    return '' if eval { $dbh->selectall_arrayref($statement, undef, @values); 1 };
    return $dbh->state . ' ' . $dbh->errstr =~ s/\n.*//sr;
}

# ---------------------------------------------------------------------------
# A writer that has not committed
# ---------------------------------------------------------------------------

# Streams of different partitions, so that nobody waits.
sub streams_apart {
    my ($count) = @_;
    return map { "apart-$_" } @{ $owner->selectcol_arrayref(q{
        SELECT min(n) FROM generate_series(1, 500) AS n GROUP BY sierra_partition_id(sierra_stream_key('apart-' || n), 8)
         ORDER BY 1 LIMIT $1}, undef, $count) };
}

sub check_horizon {
    my ($reader, $writer, $other) = map { client() } 1 .. 3;
    my ($first, $second, $third) = streams_apart(3);
    write_to($other, $first);
    $writer->begin_work;
    write_to($writer, $second);
    write_to($other, $third);
    my $all      = 'messages ORDER BY global_position';
    my $category = q{get_category_messages('apart')};
    my $before   = "$first:0";
    is(streams($reader, $all),      $before, 'the view messages does not go beyond a message that is not committed');
    is(streams($reader, $category), $before, 'nor does a category');
    is(streams($reader, 'get_all_messages()'), $before, 'nor get_all_messages()');
    is(streams($reader, 'get_stream_messages($1)', $third), "$third:0", 'a stream does');
    is(streams($other, 'get_last_stream_message($1)', $third), "$third:0", 'and its last message');
    is(streams($writer, $category), "$first:0 $second:0 $third:0", 'the session that writes sees its own message');
    is(streams($writer, $all),      "$first:0 $second:0 $third:0", 'in the view too');
    is(one_value($writer, 'SELECT stream_version($1)', $second), 0, 'and the version of its stream');
    $writer->commit;
    is(streams($reader, $all),      "$first:0 $second:0 $third:0", 'after the commit all are there, in the order of positions');
    is(streams($reader, $category), "$first:0 $second:0 $third:0", 'in the category too');
    is(one_value($reader, q{SELECT string_agg(x, ' ') FROM (SELECT write_message(gen_random_uuid()::varchar, $1, 'T', '{}')::text AS x
        UNION ALL SELECT stream_version($1)::text) AS y}, $first), '1 1', 'a function sees what the same statement has written');
    return;
}

# A reader that pages through everything while others write: it gets each message once.
sub check_pages {
    my $count = 4;
    my @writers = map { my $n = $_; fork_process(sub {
        my $dbh = client();
        srand $n;
        for my $i (1 .. 60) {
            $dbh->begin_work;
            # One stream: transactions that write several can wait for each other.
            my $stream = "paged$n-" . int rand 20;
            write_to($dbh, $stream) for 1 .. 1 + rand 3;
            rand() < 0.2 ? $dbh->rollback : $dbh->commit;
        }
    }) } 1 .. $count;
    my $dbh  = client();
    my %page = (
        view     => 'SELECT id, global_position FROM messages WHERE global_position > $1 ORDER BY global_position LIMIT 10',
        function => 'SELECT id, global_position FROM get_all_messages($1 + 1, 10)',
        category => q{SELECT id, global_position FROM get_category_messages('paged1', $1 + 1, 10)});
    my (%after, %seen) = map { $_ => 0 } keys %page;
    my $turn = sub {
        my ($kind) = @_;
        my $rows = all_rows($dbh, $page{$kind}, $after{$kind});
        push @{ $seen{$kind} }, map { $_->{id} } @$rows;
        $after{$kind} = $rows->[-1]{global_position} if @$rows;
        return @$rows;
    };
    for (1 .. 100) { $turn->($_) for keys %page }
    ok(wait_for_process($_), 'a writer came to its end') for @writers;
    for my $kind (sort keys %page) {
        1 while $turn->($kind);
        my $where = $kind eq 'category' ? q{WHERE stream_id LIKE 'paged1-%'} : '';
        my $there = one_value($owner, "SELECT string_agg(event_id::text, ' ' ORDER BY global_position) FROM message_store.events $where");
        is("@{ $seen{$kind} }", $there, "$kind: pages beside writers skip nothing and repeat nothing");
    }
    return;
}

# ---------------------------------------------------------------------------
# Several sessions, one stream
# ---------------------------------------------------------------------------

sub check_race {
    my ($sessions, $rounds, $stream) = (4, 80, 'race-1');
    my @children = map { my $n = $_; fork_process(sub {
        my $dbh = client();
        my ($won, $lost) = (0, 0);
        while ($won < $rounds) {
            my $version = one_value($dbh, 'SELECT stream_version($1)', $stream) // -1;
            my $got = eval { write_to($dbh, $stream, $version) };
            if (defined $got) {
                die "expected $version, got $got" if $got != $version + 1;
                $won++;
                next;
            }
            die $dbh->errstr if $dbh->state ne 'P0001'
              || $dbh->errstr !~ /^ERROR:  Wrong expected version: $version \(Stream: race-1, Stream Version: (\d+)\)$/m || $1 <= $version;
            $lost++;
        }
    }) } 1 .. $sessions;
    ok(wait_for_process($_), 'a racing session ends without another error') for @children;
    is(one_value($owner, q{SELECT count(*) || ' ' || max(stream_version) FROM message_store.events WHERE stream_id = $1}, $stream),
        $sessions * $rounds . ' ' . ($sessions * $rounds - 1), 'each version was written once');
    return;
}

# All sessions write the same message at the same time.
sub check_idempotent {
    my ($setting, $stream) = @_;
    my @ids = map { random_uuid() } 1 .. 40;
    my @children = map { my $n = $_; fork_process(sub {
        my $dbh = client();
        $dbh->do("SET message_store.idempotent = $setting");
        for my $i (0 .. $#ids) {
            my $position = eval { write_to($dbh, "$stream-" . $i % 7, undef, $ids[$i]) };
            next if defined $position && $position == int($i / 7);
            die "position $position for message $i" if defined $position;
            die $dbh->errstr if $setting ne 'off' || $dbh->state ne '23505' || $dbh->errstr !~ /"messages_id"/;
        }
    }) } 1 .. 4;
    ok(wait_for_process($_), "idempotent = $setting: a session gets the positions, or the error, that it should") for @children;
    is(one_value($owner, 'SELECT count(*) FROM message_store.events WHERE stream_id LIKE $1', "$stream-%"), scalar @ids,
        "idempotent = $setting: each message is there once");
    return;
}

sub check_idempotent_errors {
    my $dbh = client();
    my $id  = random_uuid();
    is(write_to($dbh, 'once-1', -1, $id), 0, 'a message is written');
    is(error_of($dbh, q{SELECT write_message($1, 'once-1', 'Written', '{}')}, $id),
        '23505 ERROR:  duplicate key value violates unique constraint "messages_id"', 'its id is refused, as in message-db');
    is(error_of($dbh, q{SELECT write_message($1, 'once-1', 'Written', '{}', NULL, 4)}, $id),
        'P0001 ERROR:  Wrong expected version: 4 (Stream: once-1, Stream Version: 0)', 'after the version');
    $dbh->do('SET message_store.idempotent = on');
    is(write_to($dbh, 'once-1', -1, $id), 0, 'idempotent: the same message gets its position again');
    write_to($dbh, 'once-1');
    is(write_to($dbh, 'once-1', -1, $id), 0, 'also when others are after it');
    is(error_of($dbh, q{SELECT write_message($1, 'once-2', 'Written', '{}')}, $id),
        '23505 ERROR:  duplicate key value violates unique constraint "messages_id"', 'in another stream it is refused');
    $dbh->do('SET message_store.idempotent = maybe');
    is(error_of($dbh, q{SELECT write_message($1, 'once-1', 'Written', '{}')}, $id),
        '22023 ERROR:  parameter "message_store.idempotent" requires a Boolean value', 'another value of the setting is an error');
    return;
}

# ---------------------------------------------------------------------------
# Groups, correlations, conditions
# ---------------------------------------------------------------------------

sub check_groups {
    my $dbh = client();
    write_to($dbh, "grouped-$_") for 1 .. 30, map { "$_+x" } 1 .. 30;
    write_to($dbh, 'grouped');
    my %members;
    for my $member (0 .. 2) {
        push @{ $members{ s/\+.*//r } }, $member
          for @{ $dbh->selectcol_arrayref(q{SELECT stream_name FROM get_category_messages('grouped', 1, -1, NULL, $1, 3)}, undef, $member) };
    }
    is(scalar keys %members, 30, 'a group gets all streams with an id');
    no_complaints([ grep { my @of = @{ $members{$_} }; @of != 2 || $of[0] != $of[1] } keys %members ],
        'each member has its own, and all of a cardinal id');
    is(streams($dbh, q{get_category_messages('grouped', 1, 2, 'other', 0, 1)}), 'grouped-1:0 grouped-2:0', 'with a correlation and a batch size');
    is(streams($dbh, q{get_category_messages('grouped', 1, 2, 'others')}), '', 'another correlation finds nothing');
    return;
}

sub check_conditions {
    my $dbh = client();
    my $refused = 'P0001 ERROR:  Retrieval with SQL condition is not activated';
    $dbh->do(q{SELECT count(write_message(gen_random_uuid()::text, 'long-' || n, 'Written', '{}')) FROM generate_series(1, 600) AS n, generate_series(1, 3)});
    my $call = q{SELECT count(*) FROM get_category_messages('long', 1, $1, NULL, NULL, NULL, 'position = 2')};
    is(error_of($dbh, $call, 1), $refused, 'conditions are off');
    $dbh->begin_work;
    $dbh->do('SET LOCAL message_store.sql_condition = on');
    is(one_value($dbh, $call, -1), 600, 'when they are on, all pages are searched');
    is(one_value($dbh, $call, 450), 450, 'until the batch is full');
    is(streams($dbh, q{get_stream_messages('long-5', 0, 1, $1)}, 'true) OR (true'), 'long-5:0', 'a condition does not reach beyond the stream');
    $dbh->commit;
    is(error_of($dbh, $call, 1), $refused, 'after the transaction they are off again');
    return;
}

# ---------------------------------------------------------------------------
# Rights
# ---------------------------------------------------------------------------

sub check_rights {
    my $dbh = client();
    $owner->do('CREATE ROLE stranger LOGIN');
    my $stranger = connect_to($node, undef, 'stranger');
    is(sqlstate_of($stranger, $_), '42501', "a stranger is refused: $_")
      for q{SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')}, 'SELECT * FROM message_store.messages',
      q{SELECT * FROM message_store.get_stream_messages('a-1')};
    $owner->do('GRANT USAGE ON SCHEMA message_store TO stranger');
    $owner->do('GRANT SELECT ON message_store.events, message_store.messages TO stranger');
    is(sqlstate_of($stranger, q{SELECT * FROM message_store.get_category_messages('a')}), '', 'SELECT lets it read');
    is(sqlstate_of($stranger, 'SELECT * FROM message_store.messages LIMIT 1'), '', 'the view too');
    is(sqlstate_of($stranger, q{SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')}), '42501', 'but not write');
    isnt(sqlstate_of($dbh, $_), '', "the role message_store may not: $_")
      for 'DELETE FROM events', 'UPDATE events SET stream_version = 1', 'TRUNCATE events', 'INSERT INTO events DEFAULT VALUES', 'DROP TABLE events',
      'DELETE FROM messages', 'CREATE TABLE message_store.mine ()', 'DROP FUNCTION message_store.id(varchar)';
    return;
}

# ---------------------------------------------------------------------------
# The store, and the extension over it
# ---------------------------------------------------------------------------

sub text_of {
    my ($dbh) = @_;
    return store_text($dbh, $store) . "\n" . join "\n", @{ $dbh->selectcol_arrayref('SELECT m::text FROM message_store.messages AS m ORDER BY global_position') };
}

my $members = q{SELECT string_agg(x, ' ' ORDER BY x) FROM (
    SELECT pg_describe_object(classid, objid, objsubid) AS x FROM pg_depend
     WHERE refobjid = (SELECT oid FROM pg_extension WHERE extname = 'sierra_message_store') AND deptype = 'e') AS y};

my $databases = 0;

sub new_database {
    my $name = 'life_' . ++$databases;
    $node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0");
    return $name;
}

# All is there and works: the messages, the functions, the rights and the indexes.
sub is_alive {
    my ($server, $database, $text, $how) = @_;
    subtest $how => sub {
        my $dbh = connect_to($server, $database);
        $dbh->do(q{SELECT set_config('search_path', extnamespace::regnamespace::text, false) FROM pg_extension WHERE extname = 'sierra_es'});
        same_text(text_of($dbh), $text, 'all messages are there');
        is(one_value($dbh, $members), one_value($owner, $members), 'the extension has its functions, types and views, and nothing else');
        is(one_value($dbh, q{SELECT count(*) FROM sierra_internal.category_indexes('message_store') AS c WHERE c.valid AND NOT c.attached}), 1,
            'the category index is there');
        $dbh->do('SET enable_seqscan = off');
        like(join("\n", @{ $dbh->selectcol_arrayref('EXPLAIN SELECT * FROM message_store.messages WHERE global_position > 5 ORDER BY global_position LIMIT 5') }),
            qr/Merge Append.*Index Scan.*Index Cond: .*\(global_position \+ 1\) > 5/s, 'the view is read by an index');
        my $client = connect_to($server, $database, 'message_store');
        my $stream = 'alive-' . random_uuid();
        is(write_to($client, $stream, -1), 0, 'the role writes');
        is(streams($client, 'get_stream_messages($1)', $stream), "$stream:0", 'and reads');
        is(streams($client, 'messages WHERE stream_name = $1', $stream), "$stream:0", 'the view too');
        is(sqlstate_of($client, 'DELETE FROM events'), '42501', 'and has no other rights');
        store_is_sound($dbh, $how, $store);
        $_->disconnect for $client, $dbh;
    };
    return;
}

sub check_dumps {
    my $text = text_of($owner);
    my %dumps = (plain => [], custom => ['-Fc'], directory => [ '-Fd', '-j2' ], schema => ['--schema-only'], store => [ '-Fc', '-n', 'message_store' ]);
    for my $name (sort keys %dumps) {
        $node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', "$files/$name", @{ $dumps{$name} } ], "pg_dump: $name");
    }
    my @psql    = ('psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1');
    my @restore = ('pg_restore', '--exit-on-error');
    my %ways = (
        plain                        => [ @psql, '-f', "$files/plain" ],
        'plain, single transaction'  => [ @psql, '-1', '-f', "$files/plain" ],
        'custom, single transaction' => [ @restore, '--single-transaction', "$files/custom" ],
        'directory, two jobs'        => [ @restore, '-j2', "$files/directory" ]);
    for my $way (sort keys %ways) {
        my $database = new_database();
        $node->command_ok([ @{ $ways{$way} }, '-d', $database ], "restored: $way");
        is_alive($node, $database, $text, $way);
    }
    my $database = new_database();
    $node->command_ok([ @psql, '-d', $database, '-f', "$files/schema" ], 'restored: schema alone');
    {
        local $ENV{PGOPTIONS} = '-c sierra_es.restore=on';
        $node->command_ok([ @restore, '--data-only', '-d', $database, "$files/custom" ], 'and data after it');
    }
    is_alive($node, $database, $text, 'schema and data apart');
    $node->command_ok([ @restore, '--clean', '--if-exists', '--single-transaction', '-d', $database, "$files/custom" ], 'restored over itself');
    is_alive($node, $database, $text, 'restored over itself');

    # As pg_upgrade does, the tables come before anything of the extension works.
    $database = new_database();
    $node->safe_psql($database, 'CREATE EXTENSION sierra_es');
    $node->command_ok([ @restore, '-d', $database, "$files/store" ], 'restored: the store alone');
    $node->safe_psql($database, 'CREATE EXTENSION sierra_message_store');
    is_alive($node, $database, $text, 'the store alone, and then the extension');

    $node->command_ok([ 'pg_dumpall', '-f', "$files/all" ], 'pg_dumpall');
    my $fresh = new_server('fresh_messages');
    $fresh->safe_psql('postgres', 'DROP EXTENSION sierra_es');
    my (undef, $complaint) = run_command([ 'psql', '-Xq', '-d', $fresh->connstr('postgres'), '-f', "$files/all" ]);
    like($complaint, qr/\A.*role ".*" already exists\z/, 'psql restores the whole server');
    is_alive($fresh, 'postgres', $text, 'another server, with the role');
    $fresh->stop;
    return;
}

sub check_extension_again {
    my $text = text_of($owner);
    $owner->do('DROP EXTENSION sierra_message_store');
    is(one_value($owner, 'SELECT count(*) FROM message_store.events'), one_value($owner, q{SELECT events FROM event_stores() WHERE store = 'message_store'}),
        'DROP EXTENSION leaves the store');
    cmp_ok(one_value($owner, 'SELECT count(*) FROM message_store.events'), '>', 1000, 'and all its events');
    $owner->do('CREATE EXTENSION sierra_message_store');
    is_alive($node, 'postgres', $text, 'created again over the store');
    return;
}

# The user makes the store, with another number of partitions; makes the extension twice; has an empty schema; or has message-db there.
sub check_other_beginnings {
    my $database = new_database();
    my $dbh = connect_to($node, $database);
    $dbh->do('CREATE SCHEMA tools; CREATE EXTENSION sierra_es SCHEMA tools');
    $dbh->do(q{SELECT tools.create_event_store('message_store', 2)});
    $dbh->do(q{SELECT set_config('search_path', 'tools, public', false)});
    $dbh->do(q{SET sierra_es.store = message_store});
    $dbh->do(q{SELECT eappend('native-1', 'Happened', '{ "a":1 }', payload_bytes => NULL), eappend('native-1', 'Bytes', payload_bytes => '\x00')});
    $dbh->do('CREATE EXTENSION sierra_message_store');
    my $client = client($database);
    is(one_value($client, q{SELECT string_agg(coalesce(data, 'NULL'), ' ') FROM get_stream_messages('native-1')}), '{ "a":1 } NULL',
        'events that were appended natively are messages, with their text as it was written');
    is(write_to($client, 'native-1', 1), 2, 'a store that the user has made is used');
    $dbh->do(q{RESET search_path; RESET sierra_es.store});
    is(one_value($dbh, $members), one_value($owner, $members), 'and does not become part of the extension');
    $node->command_ok([ 'pg_dump', '-Fc', '-d', $database, '-f', "$files/two" ], 'pg_dump');
    my $restored = new_database();
    $node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $restored, "$files/two" ], 'restored: a store that the user has made');
    is_alive($node, $restored, text_of($dbh), 'a store that the user has made, restored');

    # The extension is not in the schema message_store, also if that is where the session makes things.
    $database = new_database();
    $dbh = connect_to($node, $database);
    $dbh->do('SET search_path = message_store, public; CREATE EXTENSION sierra_message_store CASCADE');
    write_to($dbh, 'kept-1');
    $dbh->do("$_ EXTENSION sierra_message_store") for 'DROP', 'CREATE';
    is(write_to($dbh, 'kept-1'), 1, 'dropped and made again, with message_store first in search_path');

    $database = new_database();
    $dbh = connect_to($node, $database);
    $dbh->do('CREATE EXTENSION sierra_es; CREATE SCHEMA message_store; CREATE EXTENSION sierra_message_store');
    is(error_of($dbh, q{SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')}) =~ s/ .*//r, 'SE005',
        'without a store in the schema, calls say that there is none');

    $database = new_database();
    $dbh = connect_to($node, $database);
    $dbh->do('CREATE EXTENSION sierra_es; CREATE SCHEMA message_store');
    $dbh->do('CREATE TABLE message_store.messages (global_position bigserial PRIMARY KEY)');
    is(sqlstate_of($dbh, 'CREATE EXTENSION sierra_message_store'), '42P07', 'beside message-db, the extension is refused');
    return;
}

# A role that may create objects where the extension comes to gets no rights by that.
sub check_hostile_owner {
    my $database = new_database();
    my $superuser = connect_to($node, $database);
    $superuser->do($_) for split /;;\n/, <<"SQL";
CREATE ROLE regress_sierra_mallory LOGIN;;
CREATE EXTENSION sierra_es;;
GRANT CREATE ON DATABASE $database TO regress_sierra_mallory;;
GRANT CREATE ON SCHEMA public TO regress_sierra_mallory
SQL
    my $mallory = connect_to($node, $database, 'regress_sierra_mallory');
    $mallory->do($_) for split /;;\n/, <<'SQL';
SELECT create_event_store('message_store', 2);;
CREATE FUNCTION public.take_rights() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        ALTER ROLE regress_sierra_mallory SUPERUSER;
    END IF;
END$$;;
CREATE FUNCTION public.equal(a oid, b regclass) RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN PERFORM public.take_rights(); RETURN a = b::oid; END$$;;
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = public.equal);;
CREATE FUNCTION public.different(a oid, b regclass) RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN PERFORM public.take_rights(); RETURN a <> b::oid; END$$;;
CREATE OPERATOR public.<> (LEFTARG = oid, RIGHTARG = regclass, FUNCTION = public.different);;
CREATE FUNCTION public.equal(a regclass, b regclass) RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN PERFORM public.take_rights(); RETURN a::oid = b::oid; END$$;;
CREATE OPERATOR public.= (LEFTARG = regclass, RIGHTARG = regclass, FUNCTION = public.equal);;
CREATE FUNCTION public.share(a bigint, b numeric) RETURNS numeric LANGUAGE plpgsql AS
    $$BEGIN PERFORM public.take_rights(); RETURN 1; END$$;;
CREATE OPERATOR public./ (LEFTARG = bigint, RIGHTARG = numeric, FUNCTION = public.share);;
CREATE FUNCTION public.create_category_index(store text) RETURNS void LANGUAGE sql AS 'SELECT public.take_rights()';;
CREATE FUNCTION public.create_event_store(name text, partitions integer) RETURNS void LANGUAGE sql AS 'SELECT public.take_rights()';;
CREATE FUNCTION message_store.category(stream_name text) RETURNS varchar LANGUAGE plpgsql AS
    $$BEGIN PERFORM public.take_rights(); RETURN stream_name; END$$;;
CREATE FUNCTION message_store.get_stream_messages(varchar, bigint, bigint) RETURNS SETOF text LANGUAGE sql AS 'SELECT public.take_rights()'
SQL
    $superuser->do('CREATE EXTENSION sierra_message_store');
    $superuser->do(q{SELECT message_store.write_message(gen_random_uuid()::varchar, 'a-1', 'T', '{}')});
    $superuser->do('SET message_store.sql_condition = on');
    is(streams($superuser, q{message_store.get_stream_messages('a-1', 0, 10, 'true')}), 'a-1:0', 'a condition finds messages');
    is(one_value($superuser, 'SELECT category FROM message_store.category_type_summary'), 'a', 'and a view its categories');
    ok(!one_value($superuser, q{SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_sierra_mallory'}),
        'functions and operators of another role do not run as the superuser who creates the extension or uses it');

    # The owner of the schema renames it, and puts a function with other columns in its place.
    $mallory->do($_) for split /;;\n/, <<'SQL';
ALTER SCHEMA message_store RENAME TO renamed;;
SELECT create_event_store('message_store'::name, 2);;
CREATE FUNCTION message_store.sierra_filter(boolean, varchar, bigint, bigint, varchar, bigint, bigint, varchar)
RETURNS TABLE (a bigint, b bigint, c bigint, d bigint, e bigint, f bigint, g bigint, h bigint) LANGUAGE sql
AS 'SELECT 1::bigint, 2::bigint, 3::bigint, 4::bigint, 5::bigint, 6::bigint, 7::bigint, 8::bigint';;
SET message_store.sql_condition = on
SQL
    is(sqlstate_of($mallory, q{SELECT * FROM renamed.get_stream_messages('a-1', 0, 10, 'true')}), '42883',
        'a function of this name that does not belong to the extension is not called');
    is(sqlstate_of($mallory, q{SELECT * FROM renamed.get_category_messages('a', condition => 'true')}), '42883', 'not for a category either');
    $mallory->disconnect;
    return;
}

sub check_limits {
    my $dbh = client();
    my $write = q{SELECT write_message(gen_random_uuid()::varchar, $1, $2, '{}', $3)};
    is(sqlstate_of($dbh, $write, @$_), '22023', 'a limit of ours: ' . join ' ', map { substr(($_ // 'NULL'), 0, 20) =~ s/\n/newline/r } @$_)
      for [ '', 'T', undef ], [ 'a-1', '', undef ], [ 'a-' . 'x' x 254, 'T', undef ], [ "a-\n", 'T', undef ], [ 'a-1', 'T', '[1]' ], [ 'a-1', 'T', '7' ];
    is(sqlstate_of($dbh, $write, 'limit-1', 'T', 'null'), '', 'metadata that are null are stored as none');
    is(one_value($dbh, q{SELECT count(*) FROM get_stream_messages('limit-1') WHERE metadata IS NULL}), 1, 'and come back as NULL');
    $dbh->do('SET default_transaction_read_only = on');
    is(sqlstate_of($dbh, $write, 'a-1', 'T', undef), '25006', 'nothing is written in a read-only transaction');
    is(sqlstate_of($dbh, $_), '', "but read: $_")
      for q{SELECT * FROM get_stream_messages('limit-1')}, q{SELECT * FROM get_category_messages('limit')}, 'SELECT * FROM messages';
    return;
}

# The store is emptied as its users empty theirs, and begins again with 1.
sub check_clear {
    my $dbh = client();
    write_to($dbh, 'cleared-1') for 1 .. 3;
    is(streams($dbh, 'messages'), 'cleared-1:0 cleared-1:1 cleared-1:2', 'a store begins');
    $owner->do(q{SELECT clear_event_store('message_store', force => true)});
    is(streams($dbh, 'messages'), '', 'it is empty again');
    write_to($dbh, 'cleared-1', -1);
    is(one_value($dbh, 'SELECT min(global_position) FROM messages'), 1, 'and begins with 1');
    is(streams($dbh, q{get_category_messages('cleared')}), 'cleared-1:0', 'which a category finds');
    $owner->do(q{SELECT clear_event_store('message_store', force => true)});
    return;
}

check_clear();
check_horizon();
check_pages();
check_race();
check_idempotent('off', 'off');
check_idempotent('on',  'on');
check_idempotent_errors();
check_groups();
check_conditions();
check_rights();
check_limits();
store_is_sound($owner, 'after all that', $store);
check_dumps();
check_extension_again();
check_other_beginnings();
check_hostile_owner();
store_is_sound($owner, 'in the end', $store);

$node->stop;
done_testing();
