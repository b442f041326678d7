# Extension sierra_message_store answers as message-db does: the same random calls to both give
# the same answers and errors, their catalogs have the same functions, types and columns, and a
# client that was written for message-db works with it.
#
# SIERRA_TEST_CALLS: how many calls for each seed; without it, those that 20 seconds allow.
# SIERRA_TEST_SEEDS: how many seeds; SIERRA_TEST_SEED: the first.
# message-db comes from npm, the client from PyPI; without them, what needs them is skipped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraMessages;
use SierraTest;
use Test::More;

my $seeds   = $ENV{SIERRA_TEST_SEEDS} // 1;
my $seed    = $ENV{SIERRA_TEST_SEED}  // int rand 1_000_000;
my $calls   = $ENV{SIERRA_TEST_CALLS} // 4000;
my $seconds = $ENV{SIERRA_TEST_CALLS} ? 86400 : 20;

my $node  = new_server('messages');
my $files = PostgreSQL::Test::Utils::tempdir();

# The first line of what a program complained about, or undef if all is well.
sub failure_of {
    my (@command) = @_;
    my ($output, $done) = ('', 0);
    $done = eval { IPC::Run::run(\@command, '<', \undef, '>&', \$output, IPC::Run::timeout(120)) };
    return $done ? undef : (grep { /\S/ } split(/\n/, $output), $@ // '', "$command[0] failed")[0];
}

# Installs message-db into a database of this name; the reason why not, or undef.
sub install_stock {
    my ($database) = @_;
    my $failure = failure_of('sh', '-c', qq(cd "$files" && npm pack --silent \@eventide/message-db\@1.3.1 && tar xzf eventide-message-db-1.3.1.tgz));
    return "npm does not give message-db: $failure" if defined $failure;
    local %ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, DATABASE_NAME => $database);
    $failure = failure_of('bash', "$files/package/database/install.sh");
    die "message-db does not install: $failure" if defined $failure;
    return;
}

sub new_database {
    my ($name, $template) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE $template");
    return dsn_of($node) =~ s/dbname=postgres/dbname=$name/r;
}

# What programs can see in the catalogs.
my $catalog = q{
    SELECT format('function %s(%s) returns %s', p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid))
      FROM pg_proc AS p WHERE p.pronamespace = 'message_store'::regnamespace
     UNION ALL
    SELECT format('%s %s: column %s %s %s', CASE c.relkind WHEN 'c' THEN 'type' ELSE 'table' END, c.relname, a.attnum, a.attname,
                  format_type(a.atttypid, a.atttypmod))
      FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'message_store'::regnamespace AND c.relkind IN ('r', 'v', 'c')
     UNION ALL
    SELECT format('%s: the role may %s', t.name, string_agg(r.name, ', ' ORDER BY r.name))
      FROM unnest('{messages, stream_summary, type_summary, stream_type_summary, type_stream_summary, category_type_summary,
                    type_category_summary}'::text[]) AS t (name),
           unnest('{SELECT, UPDATE, DELETE, TRUNCATE}'::text[]) AS r (name)
     WHERE has_table_privilege('message_store', 'message_store.' || t.name, r.name)
     GROUP BY t.name};

sub compare_catalogs {
    my %lines = map { my $dbh = connect_to($node, $_); $_ => $dbh->selectcol_arrayref($catalog) } qw(stock ours);
    my %ours  = map { $_ => 1 } @{ $lines{ours} };
    cmp_ok(scalar @{ $lines{stock} }, '>', 50, 'message-db is in the catalogs');
    no_complaints([ grep { !$ours{$_} } @{ $lines{stock} } ], 'all that message-db has in the catalogs is there');
    return;
}

sub run_calls {
    my ($number) = @_;
    my $store = SierraMessages->new(
        stock    => new_database("stock_$number", 'stock'),
        ours     => new_database("ours_$number",  'ours'),
        sessions => 4,
        seed     => $number);
    $store->run($calls, time + $seconds);
    $store->compare_everything;
    no_complaints($store->{complaints}, "seed $number: $store->{calls} calls, $store->{refused} of them refused, have the same answers");
    cmp_ok($store->{calls},   '>', 200, "seed $number: there were enough calls");
    cmp_ok($store->{refused}, '>', 20,  "seed $number: and enough of them were refused");
    $store->disconnect;
    my $dbh = connect_to($node, "ours_$number");
    store_is_sound($dbh, "seed $number", 'message_store');
    $dbh->disconnect;
    $node->safe_psql('postgres', "DROP DATABASE $_\_$number") for qw(stock ours);
    return;
}

$node->safe_psql('postgres', 'CREATE DATABASE ours TEMPLATE template0');
$node->safe_psql('ours',     'CREATE EXTENSION sierra_message_store CASCADE');

SKIP: {
    my $reason = install_stock('stock');
    skip $reason, 1 if defined $reason;
    compare_catalogs();
    run_calls($_) for $seed .. $seed + $seeds - 1;
}

SKIP: {
    my $failure = failure_of('/usr/bin/python3', '-m', 'pip', 'install', '--quiet', '--no-deps', '--ignore-requires-python',
        '--disable-pip-version-check', '--target', "$files/python", 'message-db-py==0.3.5');
    skip "pip does not give message-db-py: $failure", 1 if defined $failure;
    local $ENV{PYTHONPATH} = "$files/python";
    my ($output, $errors) = ('', '');
    my $done = IPC::Run::run([ '/usr/bin/python3', "$FindBin::Bin/../lib/message_db_client.py", $node->host, $node->port, 'ours' ],
        '<', \undef, '>', \$output, '2>', \$errors);
    ok($done, 'message-db-py works') or diag($errors);
    like($output, qr/^all is well$/m, 'and came to its end');
    my $dbh = connect_to($node, 'ours');
    store_is_sound($dbh, 'message-db-py', 'message_store');
}

$node->stop;
done_testing();
