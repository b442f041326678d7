# Drivers send parameters without a type, as text, or with the type that they take a value
# for.  A call must mean the same then as with the values written into it, prepared by the
# server or by the driver.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use DBD::Pg qw(:pg_types);
use SierraTest;
use Test::More;

my $node = new_server('drivers');
create_store($node, 32);
my $dbh = connect_to($node);
$dbh->do(q{SELECT count(*) FROM generate_series(1, 500) AS n, eappend('stream-' || n, 'Happened')});

# The key 5 leads to another partition than that of number 5.
my $of_key = one_value($dbh, q{SELECT sierra_partition_id(sierra_partition_key('5'), 32)});
isnt($of_key, 5, 'the key 5 is not in partition 5');

foreach my $prepared (0, 1) {
    my $by = $prepared ? 'prepared by the server' : 'prepared by the driver';
    $dbh->{pg_server_prepare} = $prepared;
    $dbh->{pg_switch_prepared} = 1 if $prepared;
    my $scan = $dbh->prepare('SELECT count(*), min(partition_id), max(partition_id) FROM epscan($1)');
    my $last = $dbh->prepare('SELECT epseq($1)');
    my ($events, $sequences) = (0, 0);
    my @elsewhere;
    foreach my $partition (0 .. 31) {
        my ($count, $min, $max) = $dbh->selectrow_array($scan, undef, $partition);
        my ($sequence) = $dbh->selectrow_array($last, undef, "$partition");
        push @elsewhere, "epscan($partition) read partitions $min to $max" if $count && ($min != $partition || $max != $partition);
        $events    += $count;
        $sequences += ($sequence // -1) + 1;
    }
    no_complaints(\@elsewhere, "$by: each call reads the partition that it names");
    is($events,    500, "$by: epscan() reads all events");
    is($sequences, 500, "$by: epseq() knows all events");
    is(one_value($dbh, 'SELECT min(partition_id) FROM epscan(partition_key => $1)', '5'), $of_key, "$by: a key has its name");
    ok(!eval { $dbh->selectrow_array($scan, undef, 'stream-1'); 1 }, "$by: a key is not taken for a partition");
    like($@, qr/invalid input syntax for type integer: "stream-1"/, "$by: and the error says so");
}
# The types that drivers send, and those of their arrays.
my %types = (
    'no type' => [ 0,          0 ],
    unknown   => [ PG_UNKNOWN, PG_UNKNOWN ],
    json      => [ PG_JSON,    PG_JSONARRAY ],
    jsonb     => [ PG_JSONB,   PG_JSONBARRAY ],
    text      => [ PG_TEXT,    PG_TEXTARRAY ],
    varchar   => [ PG_VARCHAR, PG_VARCHARARRAY ],
);
# Newer releases of DBD::Pg send parameters without a type instead of unknown.
delete $types{unknown} unless eval { $dbh->prepare('SELECT $1::text')->bind_param(1, 'x', { pg_type => PG_UNKNOWN }); 1 };

# The result of a statement whose parameters have these values and types; 0: the driver sends no type.
sub call {
    my ($statement, @parameters) = @_;
    my $sth = $dbh->prepare($statement);
    for my $n (1 .. @parameters) {
        my ($value, $type) = @{ $parameters[ $n - 1 ] };
        $sth->bind_param($n, $value, $type ? { pg_type => $type } : undef);
    }
    $sth->execute;
    return join ' ', map { join ',', map { $_ // 'null' } @$_ } @{ $sth->fetchall_arrayref };
}

# What a stream has; jsonb changes the white space.
sub events_of {
    my ($stream) = @_;
    return one_value($dbh, q{SELECT string_agg(concat_ws(' ', event_name, payload, metadata), '; ' ORDER BY stream_version) FROM escan($1)}, $stream);
}

$dbh->do(q{CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql RETURN data});
$dbh->do(q{SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)')])});
$dbh->{pg_server_prepare} = $dbh->{pg_switch_prepared} = 1;
foreach my $name (sort keys %types) {
    my ($type, $array) = @{ $types{$name} };
    my ($stream, $space) = ("document $name", $name eq 'jsonb' ? ' ' : '  ');
    call('SELECT stream_version FROM eappend($1, $2, $3, $4)', [$stream], ['one'], [ '{"n":  1}', $type ], [ '{"m":  1}', $type ]);
    call('SELECT count(*) FROM emappend(NULL, $1)', [ qq([{"stream_id": "$stream", "event_name": "json", "payload": {"n":  2}}]), $type ]);
    call('SELECT count(*) FROM emappend(NULL, $1, $2, $3, $4)', [ [ $stream, $stream ] ], [ [ 'three', 'four' ] ],
        [ '{"{\"n\":  3}",NULL}', $array ], [ '{NULL,"{\"m\":  4}"}', $array ]);
    is(events_of($stream), qq(one {"n":${space}1} {"m":${space}1}; json {"n":${space}2}; three {"n":${space}3}; four {"m":${space}4}),
        "documents of type $name are appended");
    is(call('SELECT start_saga($1, $2, $3)', ['saga'], [ '{"n":  1}', $type ], ["saga-$name"]), "saga-$name", "data of type $name start a saga");
    like(events_of("saga-$name"), qr/"data": \{"n": 1\}/, "and are an object");
    is(call(q{SELECT esub($1, start_from => 'earliest', start_versions => $2)}, ["of $name"], [ '{"a": 1}', $type ]), -1, "$name says where a subscription begins");
    ok(!eval { call('SELECT eappend($1, $2, $3)', [$stream], ['x'], [ '{"n":', $type ]); 1 }, "$name that is not JSON is refused");
    like($@, qr/invalid input syntax for type json/, 'as json refuses it');
}
is(events_of('document no type'), events_of('document json'), 'a document without a type is stored like json');

# Versions, places to start from and functions.
my %numbers = ('no type' => 0, smallint => PG_INT2, integer => PG_INT4, bigint => PG_INT8, text => PG_TEXT, varchar => PG_VARCHAR);
foreach my $name (sort keys %numbers) {
    my $type = $numbers{$name};
    is(call(q{SELECT stream_version FROM eappend($1, 'x', expected_version => $2) UNION ALL SELECT esver($1)}, ["version $name"], [ 'empty', $name =~ /int/ ? 0 : $type ]), '0 null', "a stream for $name");
    is(call(q{SELECT stream_version FROM eappend($1, 'x', expected_version => $2)}, ["version $name"], [ 0, $type ]), 1, "an expected version of type $name is right");
    ok(!eval { call(q{SELECT eappend($1, 'x', expected_version => $2)}, ["version $name"], [ 0, $type ]); 1 }, 'or wrong');
    like($@, qr/wrong expected version/, 'and the error says so');
    is(call('SELECT esub($1, start_from => $2)', ["start $name"], [ 17, $type ]), 17, "a subscription starts from $name");
    next if $name =~ /int/;
    is(call('SELECT esub($1, start_from => $2)', ["earliest $name"], [ 'earliest', $type ]), -1, "and from a word as $name");
    is(call('SELECT create_upcaster($1, $2, $3)', [$name], [ 1, PG_INT4 ], [ 'act', $type ]), '', "a function is named as $name");
}
is(one_value($dbh, q{SELECT string_agg(DISTINCT upcast, ' ') FROM es.upcasters}), 'public.act(pg_catalog.jsonb)', 'and is stored with the types of its arguments');

# Statements that the server has prepared survive a change of the function, as by an update of the
# extension, but not DROP EXTENSION.
my $append = $dbh->prepare('SELECT stream_version FROM eappend($1, $2, $3)');
my $prepared_version = sub { ($dbh->selectrow_array($append, undef, 'prepared', 'x', '{}'))[0] };
$prepared_version->() for 1 .. 3;
$dbh->do(one_value($dbh, q{SELECT pg_get_functiondef('eappend'::regproc)}));
is($prepared_version->(), 3, 'a prepared statement calls a function that was replaced');
$dbh->do('SET client_min_messages = error; DROP EXTENSION sierra_es CASCADE; CREATE EXTENSION sierra_es; SELECT guard_event_store()');
ok(!eval { $prepared_version->(); 1 }, 'a statement that was prepared before DROP EXTENSION fails');
like($@, qr/cache lookup failed for type/, 'since the types have other numbers');
$dbh->disconnect;
$dbh = connect_to($node);
is(one_value($dbh, 'SELECT stream_version FROM eappend($1, $2, $3)', 'prepared', 'x', '{}'), 4, 'a new session appends');

$dbh->disconnect;
$node->stop;
done_testing();
