# commit_order, no_stall: two sessions follow the whole store while others
# append to few partitions, so that locks are taken, waited for and released, by
# commits, rollbacks, savepoints, refusals and deadlocks, all the time.  Both
# must have seen every event exactly once.
#
# SIERRA_TEST_SECONDS sets how long.

use strict;
use warnings;

use FindBin;
use IPC::Run;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $seconds = $ENV{SIERRA_TEST_SECONDS} // 8;

my $node = new_server('follow');
$node->append_conf('postgresql.conf', 'deadlock_timeout = 20ms');
$node->reload;
create_store($node, 6);
$node->safe_psql(
    'postgres', 'CREATE TABLE seen (reader integer, position bigint);
                 CREATE TABLE appenders_are_through ()');

# Any transaction of an appender may end in a deadlock, and is tried again.
my $appender = PostgreSQL::Test::Utils::tempdir() . '/appender.sql';
append_to_file($appender, <<'SQL');
\set n random(1, 40)
\set m random(1, 40)
\set kind random(1, 9)
\if :kind < 3
BEGIN;
SELECT FROM eappend('s-' || :n, 'E');
SAVEPOINT a;
SELECT FROM eappend('s-' || :m, 'E', event_id => gen_random_uuid());
ROLLBACK TO a;
SELECT FROM eappend('s-' || :n, 'E', event_id => gen_random_uuid());
COMMIT;
\elif :kind < 5
SELECT FROM emappend(NULL, ARRAY['s-' || :n, 's-' || :m], ARRAY['E', 'E'],
    event_ids => ARRAY[gen_random_uuid(), gen_random_uuid()]);
\elif :kind < 6
SELECT FROM eappend('own-' || gen_random_uuid(), 'E', partition_key => 'key-' || :n);
\elif :kind < 7
BEGIN;
SELECT FROM eappend('s-' || :n, 'E');
ROLLBACK;
\else
SELECT FROM eappend('s-' || :n, 'E', event_id => gen_random_uuid());
\endif
SQL

# Pages of random size, one transaction each, to the end of what the appenders
# have left.
sub follow {
    my ($reader) = @_;
    return IPC::Run::start(
        [ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-c', <<"SQL" ],
DO \$\$
DECLARE
    cursor bigint := -1;
BEGIN
    WHILE NOT EXISTS (SELECT FROM appenders_are_through)
          OR cursor < (SELECT max(global_position) FROM es.events) LOOP
        WITH page AS (
            INSERT INTO seen
            SELECT $reader, global_position FROM eall(cursor, 1 + (random() * 300)::integer)
            RETURNING position)
        SELECT coalesce(max(position), cursor) INTO cursor FROM page;
        COMMIT;
    END LOOP;
END
\$\$
SQL
        '>', \my $out, '2>', \my $err);
}

my @readers = map { follow($_) } 1, 2;
my $output  = '';
my $done    = IPC::Run::run(
    [
        'pgbench', '--no-vacuum', '--max-tries=0', '--client=8', '--jobs=2',
        "--time=$seconds", "--file=$appender", '-d', $node->connstr('postgres')
    ],
    '>', \$output, '2>&1');
ok($done, 'the appenders are through') or diag($output);
$node->safe_psql('postgres', 'INSERT INTO appenders_are_through DEFAULT VALUES');
ok((!grep { !$_->finish } @readers), 'the readers are through');

my $dbh = connect_to($node);
cmp_ok(one_value($dbh, 'SELECT count(*) FROM es.events'), '>', 200, 'there are events');
for my $reader (1, 2) {
    is(
        one_value(
            $dbh, "SELECT string_agg(global_position::text, ' ' ORDER BY global_position)
               FROM es.events WHERE global_position NOT IN
                    (SELECT position FROM seen WHERE reader = $reader)"),
        undef,
        "reader $reader skipped nothing");
    is(
        one_value($dbh, "SELECT count(*) FROM (SELECT FROM seen WHERE reader = $reader
                          GROUP BY position HAVING count(*) > 1) AS twice"),
        0,
        "reader $reader saw nothing twice");
}
store_is_sound($dbh, 'after all');

done_testing();
