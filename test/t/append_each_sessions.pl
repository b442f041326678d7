# Statements with many calls in several sessions, beside eappend() and emappend(): each takes all its
# locks in order before it decides, so none of them ever ends in a deadlock, whatever streams, keys,
# tags and conditions its calls have.  What they say was appended is there, and no more.
#
# SIERRA_TEST_SEED repeats the random choices; SIERRA_TEST_STATEMENTS sets the length.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $seed       = $ENV{SIERRA_TEST_SEED}       // time % 1_000_000;
my $statements = $ENV{SIERRA_TEST_STATEMENTS} // 120;
my $sessions   = 5;
diag("SIERRA_TEST_SEED=$seed SIERRA_TEST_STATEMENTS=$statements");

my $node = new_server('each_sessions');
$node->append_conf('postgresql.conf', 'deadlock_timeout = 10ms');
$node->reload;
create_store($node, 8);
my $dbh = connect_to($node);
$dbh->do($_) for split /^--;\n/m, <<'SQL';
CREATE FUNCTION some_tags() RETURNS json LANGUAGE sql VOLATILE
    AS $$ SELECT CASE WHEN random() < 0.4 THEN json_build_array('t' || floor(random() * 12), 'u' || floor(random() * 12)) END $$;
--;
CREATE FUNCTION some_condition() RETURNS json LANGUAGE sql VOLATILE
    AS $$ SELECT CASE WHEN random() < 0.7 THEN NULL
                      WHEN random() < 0.03 THEN json_build_object('query', json_build_array(json_build_object('types', ARRAY['None'])), 'after', -1)
                      WHEN random() < 0.3 THEN json_build_object('streams', json_build_object('c' || floor(random() * 40), 'exists'))
                      ELSE json_build_object('query', json_build_array(json_build_object('tags', ARRAY['t' || floor(random() * 12), 'never']),
                                                                       json_build_object('tags', ARRAY['u' || floor(random() * 12)], 'types', ARRAY['None'])),
                                             'after', -1) END $$;
--;
-- Appends what random choices say, in one of three ways; returns the number of new events.
CREATE FUNCTION append_something() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    calls constant int := 1 + floor(random() * 10);
    way constant float := random();
    appended bigint := 0;
    streams text[]; tags json[]; conditions json[]; keys text[]; ids uuid[]; numbers int[];
BEGIN
    SELECT array_agg(stream), array_agg(t), array_agg(CASE WHEN i = 1 THEN condition END), array_agg(key), array_agg(id), array_agg(call)
      INTO streams, tags, conditions, keys, ids, numbers
      FROM (SELECT call, i, CASE WHEN random() < 0.8 THEN 'c' || floor(random() * 40) ELSE gen_random_uuid()::text END AS stream, some_tags() AS t,
                   CASE WHEN random() < 0.5 THEN gen_random_uuid() END AS id, condition, key
              FROM (SELECT call, some_condition() AS condition, CASE WHEN random() < 0.3 THEN 'k' || floor(random() * 20) END AS key
                      FROM generate_series(1, calls) AS call OFFSET 0) AS c,
                   LATERAL generate_series(1, 1 + floor(random() * 3)::int + call * 0) AS i OFFSET 0) AS e;
    IF way < 0.7 THEN
        SELECT count(*) INTO appended
          FROM eappend_each(streams, array_fill('E'::text, ARRAY[cardinality(streams)]), tags => tags, conditions => conditions,
                            partition_keys => keys, event_ids => ids, calls => numbers) AS r
         WHERE r.status = 'appended';
    ELSIF way < 0.85 THEN
        SELECT count(*) INTO appended
          FROM emappend(NULL, streams, array_fill('E'::text, ARRAY[cardinality(streams)]), tags => tags, event_ids => ids, condition => conditions[1]);
    ELSE
        SELECT count(*) INTO appended FROM eappend(streams[1], 'E', event_id => ids[1], condition => conditions[1], tags => ARRAY['t1', 'u1']);
    END IF;
    RETURN appended;
EXCEPTION
    WHEN SQLSTATE 'SE001' OR SQLSTATE 'SE009' OR SQLSTATE '22023' THEN
        IF way < 0.7 THEN
            RAISE;
        END IF;
        RETURN 0;
END $$;
SQL

my $directory = PostgreSQL::Test::Utils::tempdir();

# One session; writes how many events it appended, or its first error.
sub run_session {
    my ($number) = @_;
    my $session = connect_to($node);
    $session->do('SELECT setseed(?)', undef, ($seed + $number) % 1_000_000 / 1_000_000);
    my $events = 0;
    eval {
        $events += $session->selectrow_array('SELECT append_something()') for 1 .. $statements;
        1;
    } or $events = $@;
    append_to_file("$directory/$number", $events);
    return;
}

my @processes = map {
    my $number = $_;
    fork_process(sub { run_session($number) })
} 1 .. $sessions;
ok(wait_for_process($_), 'a session has finished') for @processes;

my $events = 0;
for my $number (1 .. $sessions) {
    my $said = slurp_file("$directory/$number");
    like($said, qr/^\d+$/, "session $number ends without an error");
    $events += $1 if $said =~ /^(\d+)$/;
}
is(one_value($dbh, 'SELECT count(*) FROM es.events'), $events, 'what the sessions say was appended is there');
ok($events > $statements, "$events events were appended");
is(one_value($dbh, 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), 0, 'there was no deadlock');
store_is_sound($dbh, 'after all sessions');
$dbh->disconnect;
$node->stop;
done_testing();
