# Export to a file and import of it by psql, as docs/operations.md says: byte for byte, streamed,
# and continued after the import was killed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $node = new_server('export');
create_store($node, 8);
create_store($node, 8, 'copy');
create_store($node, 3, 'other');
my $dbh = connect_to($node);

# About 20 MB, in calls of several streams, with everything that a line has to keep.
$dbh->do(q{SELECT count(*) FROM generate_series(1, 400) AS i, LATERAL (SELECT emappend(NULL,
    ARRAY(SELECT format('stream "%s" \%s', (i + j) % 97, j) FROM generate_series(1, 50) AS j), array_fill('Happened'::text, ARRAY[50]),
    ARRAY(SELECT CASE j % 5 WHEN 0 THEN NULL WHEN 1 THEN 'null' WHEN 2 THEN E'{\n"i": 1.0 }' WHEN 3 THEN ' [] ' ELSE format('{"text": "\\\\\u00e9\"%s", "i": %s}', repeat('x', 4000), i) END FROM generate_series(1, 50) AS j)::sierra_json[],
    ARRAY(SELECT CASE j % 3 WHEN 0 THEN NULL ELSE '{"by": "ä\\n"}' END FROM generate_series(1, 50) AS j)::sierra_json[],
    payload_bytes => ARRAY(SELECT CASE j % 5 WHEN 0 THEN '\x00ff5c0a'::bytea END FROM generate_series(1, 50) AS j),
    tags => ARRAY(SELECT CASE j % 2 WHEN 0 THEN format('["t:%s", "a \\\\ b"]', j) END FROM generate_series(1, 50) AS j)::sierra_json[])) AS e});
$dbh->do(q{DO $$ BEGIN FOR i IN 1 .. 10 LOOP PERFORM eappend('own ' || i, 'Happened', partition_key => 'key ' || i % 3); END LOOP; END $$});
my $events = one_value($dbh, 'SELECT count(*) FROM es.events');

my $csv = q{(FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')};

sub export {
    my ($store, $file, $arguments) = @_;
    command_ok([ 'psql', '-X', '-d', $node->connstr('postgres'), '-o', $file, '-c',
            "COPY (SELECT export_events('$store'" . ($arguments // '') . ")) TO STDOUT $csv" ],
        "store $store is exported");
    return;
}

sub import_script {
    my ($file, $store, $size) = @_;
    return <<"SQL";
\\set ON_ERROR_STOP on
CREATE TEMP TABLE lines (line text);
\\copy lines FROM '$file' $csv
CALL import_events_from('lines', '$store', batch_size => $size);
SQL
}

my $directory = PostgreSQL::Test::Utils::tempdir();
my ($all, $plain) = map { "$directory/$_.ndjson" } qw(all plain);
my $temp_before = one_value($dbh, q{SELECT temp_bytes FROM pg_stat_database WHERE datname = 'postgres'});
export('es', $all);
export('es', $plain, ', numbers => false');
my $lines = slurp_file($all);
is(($lines =~ tr/\n//), $events, 'a line for each event');
my $returned = join '', map { "$_\n" } @{ $dbh->selectcol_arrayref('SELECT export_events()') };
utf8::encode($returned);
same_text($lines, $returned, 'each as the function returns it');
ok(index($lines, q{"stream_id":"stream \"2\" \\\\1",}) > 0, 'backslashes are not doubled');
cmp_ok(length $lines, '>', 10_000_000, 'more than fits into work_mem');
is(one_value($dbh, q{SELECT temp_bytes FROM pg_stat_database WHERE datname = 'postgres'}), $temp_before, 'nothing was collected on its way');

# The import is killed; then the same is done again, with other batches.
my $killed = fork_process(sub {
    my ($out, $err);
    $node->psql('postgres', import_script($all, 'copy', 700), stdout => \$out, stderr => \$err);
});
wait_until('a part is imported', sub { one_value($dbh, 'SELECT count(*) FROM copy.events') > 0 });
$dbh->do(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL import_events_from%' AND pid <> pg_backend_pid()});
ok(wait_for_process($killed), 'the import was killed');
my $part = one_value($dbh, 'SELECT count(*) FROM copy.events');
my ($out, $notice);
$node->psql('postgres', import_script($all, 'copy', 1000), stdout => \$out, stderr => \$notice);
like($notice, qr/NOTICE:  imported @{[ $events - $part ]} of $events events into event store "copy"/, "after $part events it is continued");
export('copy', "$directory/copied.ndjson", ', numbers => false');
same_text(slurp_file("$directory/copied.ndjson"), slurp_file($plain), 'byte_exact: the copy exports the same lines');

$node->psql('postgres', import_script($all, 'other', 5000), stderr => \$notice);
like($notice, qr/imported $events of $events events/, 'into a store with other partitions');
export('other', "$directory/other.ndjson", ', numbers => false');
same_text(slurp_file("$directory/other.ndjson"), slurp_file($plain), 'byte_exact: it exports the same lines');
is(one_value($dbh, q{SELECT count(DISTINCT h::text) FROM unnest('{es, copy, other}'::name[]) AS s, event_hashes(s, 16) AS h}), 16, 'and all hashes are equal');
$node->psql('postgres', import_script($plain, 'other', 5000), stderr => \$notice);
like($notice, qr/imported 0 of $events events/, 'lines without numbers are the same events');
store_is_sound($dbh, "store $_", $_) for qw(copy other);

# Into an empty store with the same partitions, nothing differs.
$dbh->do(q{SELECT clear_event_store('copy', force => true)});
$node->psql('postgres', import_script($all, 'copy', 1000), stderr => \$notice);
export('copy', "$directory/again.ndjson");
same_text(slurp_file("$directory/again.ndjson"), $lines, 'byte_exact: with numbers');

done_testing();
