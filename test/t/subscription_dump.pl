# portable_positions: subscriptions survive every kind of dump and restore;
# their cursors stay valid, and consumption continues where it was.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraLoad;
use SierraTest;
use Test::More;

my $node  = new_server('sub_dump');
my $files = PostgreSQL::Test::Utils::tempdir();
my @tables = qw(subscriptions subscription_cursors subscription_consumers subscription_streams);
create_store($node, 8);
my $source = connect_to($node);
my $load = SierraLoad->new(dsn => dsn_of($node), sessions => 2, seed => 103)->start;
$load->wait_for(60);
$load->stop or die 'the load failed';

# Every kind of subscription, in the middle of its work.
$source->do(q{SELECT esub('half', start_from => 'earliest')});
$source->do(q{SELECT eack('half', max(global_position)) FROM enext('half', 40)});
$source->do(q{SELECT esub('latest')});
$source->do(q{SELECT esub(E'odd "name"\\\\', ARRAY['shared-*', 'tab\"\\\\,{}'], ARRAY['Happened'], '20', '{"shared-1": 1}', 50)});
$source->do(q{SELECT epsub('partitions', ARRAY[1, 5], start_from => 'earliest', start_sequences => '{"5": 2}')});
$source->do(q{SELECT esub('failed', start_from => 'earliest')});
my @first = @{ $source->selectcol_arrayref('SELECT min(global_position) FROM es.events GROUP BY stream_id ORDER BY 1 LIMIT 3') };
$source->do(q{SELECT enack('failed', $1, reason => 'E"\\', park => $2)}, undef, @$_)
  for [ $first[0], 1 ], [ $first[1], 0 ];
$source->do(q{SELECT * FROM enext('failed', 3)});
$source->do(q{SELECT esub('group', start_from => 'earliest', lease_time => '1 day')});
$source->do(q{SELECT eack('group', max(global_position), 'one') FROM enext('group', 30, consumer => 'one')});
$source->do(q{SELECT * FROM enext('group', 30, consumer => $1)}, undef, $_) for qw(one two one two);
$source->do(q{SELECT * FROM emappend(NULL, array_fill('shared-1'::text, ARRAY[30]), array_fill('Happened'::text, ARRAY[30]))});

# Every byte of the tables of subscriptions.
sub subscription_text {
    my ($dbh) = @_;
    return join "\n", map {
        my $table = $_;
        ($table, @{ $dbh->selectcol_arrayref("SELECT t::text FROM es.$table AS t ORDER BY t::text COLLATE \"C\"") })
    } @tables;
}

# What each subscription delivers, to the end; the calls are rolled back.
sub deliveries {
    my ($dbh) = @_;
    my %delivered;
    $dbh->begin_work;
    my $subscriptions = all_rows($dbh, q{SELECT subscription, c.consumer FROM es.subscriptions
          LEFT JOIN es.subscription_consumers AS c USING (subscription) ORDER BY 1, 2});
    for my $row (@$subscriptions) {
        my ($name, $consumer) = @$row{qw(subscription consumer)};
        my $key = "$name " . ($consumer // '');
        for (1 .. 200) {
            my $events = $dbh->selectcol_arrayref('SELECT global_position FROM enext($1, consumer => $2)', undef, $name, $consumer);
            last unless @$events;
            push @{ $delivered{$key} }, @$events;
            $dbh->do('SELECT eack($1, $2, $3)', undef, $name, $events->[-1], $consumer);
        }
    }
    $dbh->rollback;
    return \%delivered;
}

# A retried event will be due at some time; it must not become due in between.
$source->do(q{UPDATE es.subscription_streams SET retry_at = 'infinity' WHERE state = 'retrying'});
my $text      = subscription_text($source);
my $delivered = deliveries($source);
cmp_ok(scalar @{ $delivered->{$_} // [] }, '>', 10, "'$_' has events left")
  for 'half ', 'latest ', 'odd "name"\\ ', 'partitions ', 'failed ', 'group one', 'group two';
same_text(subscription_text($source), $text, 'looking left nothing');

my $databases = 0;

sub new_database {
    my $name = 'restored_' . ++$databases;
    $node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE template0");
    return $name;
}

sub dump_to {
    my ($file, @options) = @_;
    $node->command_ok([ 'pg_dump', '-d', 'postgres', '-f', "$files/$file", @options ], "pg_dump @options");
    return "$files/$file";
}

sub psql_ok {
    my ($database, $file) = @_;
    $node->command_ok([ 'psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-d', $database, '-f', $file ], 'psql');
    return;
}

sub is_restored {
    my ($database, $how) = @_;
    subtest "portable_positions: $how" => sub {
        my $dbh = connect_to($node, $database);
        same_text(subscription_text($dbh), $text, 'every row of every subscription is there');
        is_deeply(deliveries($dbh), $delivered, 'every subscription delivers what it did');
        is(one_value($dbh, q{SELECT esub('half')}), one_value($source, q{SELECT esub('half')}),
            'esub() finds it');
        my $after = one_value($dbh, q{SELECT eack('latest', max(global_position)) FROM enext('latest')});
        my $new = one_value($dbh, q{SELECT global_position FROM eappend('shared-2', 'Happened')});
        cmp_ok($new, '>', $after, 'new events are above the cursors');
        is(one_value($dbh, q{SELECT string_agg(global_position::text, ' ') FROM enext('latest')}), $new, 'and are delivered');
        is(sqlstate_of($dbh, q{SELECT eack('latest', $1)}, $new + 1), '22023', 'not more than that can be acknowledged');
        is(one_value($dbh, q{SELECT state FROM event_failures() WHERE global_position = $1}, $first[0]), 'parked', 'a parked event is parked');
        $dbh->do(q{SELECT eretry('failed')});
        is(one_value($dbh, q{SELECT min(global_position) FROM enext('failed')}), $first[0], 'and can be retried');
        $dbh->do(q{SELECT eunsub('failed')});
        is(one_value($dbh, q{SELECT count(*) FROM es.subscription_streams}), 0, 'constraints are there, too');
        store_is_sound($dbh, 'after that');
        $dbh->disconnect;
    };
    return;
}

my $database = new_database();
psql_ok($database, dump_to('plain'));
is_restored($database, 'plain');

$database = new_database();
dump_to('custom', '-Fc');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $database, "$files/custom" ], 'pg_restore');
is_restored($database, 'custom format');

my $schema = dump_to('schema', '--schema-only');
my $data   = dump_to('data', '--data-only');
for my $how ('psql', 'pg_restore') {
    my @restore = $how eq 'psql'
      ? ('psql', '-Xq', '-o', '/dev/null', '-v', 'ON_ERROR_STOP=1', '-f', $data)
      : ('pg_restore', '--exit-on-error', dump_to('data_custom', '-Fc', '--data-only'));
    $database = new_database();
    psql_ok($database, $schema);
    local $ENV{PGOPTIONS} = '-c sierra_es.restore=on';
    $node->command_ok([ @restore, '-d', $database ], "sierra_es.restore lets the data in ($how)");
    delete local $ENV{PGOPTIONS};
    is_restored($database, "schema and data apart ($how)");
}

# Without the sequence of positions, cursors are valid, too.
$database = new_database();
psql_ok($database, dump_to('no_sequence', '--exclude-table-data=*.global_position'));
is_restored($database, 'without the sequence');

done_testing();
