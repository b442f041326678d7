# SierraMessages.pm
#     The same random calls to message-db and to extension sierra_message_store.
#
# Sessions take turns, so that the answers do not depend on time.  While a session is in a
# transaction, the others only read streams: message-db would let them wait for the category of a
# message that is not committed, we for its partition, or hide messages after it.
#
# What is not compared: times, the numbers of global positions (their order is), and what the
# README of the extension lists.

package SierraMessages;

use strict;
use warnings;

use DBI;
use SierraTest;

my @categories = ('account', 'order', 'order:command', 'x:position', 'UPPER', "\x{fc}n\x{ef} c\x{f6}de", '*', 'a*b', '');
my @ids = ('1', '1', '2', '2+3', '2+4', 'a-b', '', '+', '%s', "0a1b2c3d-0000-4000-8000-00000000000\x{e9}");
my @types = ('Opened', 'Opened', 'Closed', 'closed', "Ge\x{e4}ndert", 'a b%');
my @data = (
    '{}', '{"amount": 1}', '{"amount":2.50,"by":"a\"b"}', "{\"name\": \"\x{e4}\x{20ac}\", \"list\": [1, null, {\"x\": 1e5}]}",
    '[1,2,3]', '"text"', '7', 'null', 'true', '{"b":1,"a":2,"a":3}', '{"amount": 1e400}', '{"nested": {"deep": [[]]}}', undef, '{broken');
my @conditions = (
    "data->>'amount' = '1'", "messages.type = 'Opened'", 'position > 1', 'global_position > 0 AND position % 2 = 0', 'true', 'false',
    "metadata->>'correlationStreamName' LIKE 'order-%'", 'id IS NOT NULL AND time IS NOT NULL', "stream_name ~ '[0-9]\$'",
    'nonsense = 1', 'true AND', "data @> '{\"amount\": 1}'", '(SELECT count(*) FROM messages) > 0', '1', '');
my @names = ('account-1', 'account', 'a-b-c', '-', '--', '', '+', 'a-+', 'a-1+2+3', "\x{fc}-\x{e9}+\x{20ac}", undef);

# An object: two servers' databases, and a generator of calls.
#     stock, ours    where to connect
#     sessions       how many, in each
#     seed
sub new {
    my ($class, %arguments) = @_;
    my $self = bless { known => [], streams => {}, calls => 0, refused => 0, complaints => [], %arguments }, $class;
    srand $self->{seed};
    for my $side (qw(stock ours)) {
        $self->{sides}{$side} = [ map { $self->_open($self->{$side}) } 1 .. $self->{sessions} ];
    }
    $self->{open} = [ map { 0 } 1 .. $self->{sessions} ];
    return $self;
}

sub _open {
    my ($self, $dsn) = @_;
    my $dbh = connect_to($dsn, undef, 'message_store');
    $dbh->{pg_enable_utf8} = 1;
    # The driver would roll back a transaction that failed, to give up its prepared statements.
    $dbh->{pg_server_prepare} = 0;
    $dbh->do('SET client_min_messages = error');
    $dbh->do('SET message_store.sql_condition = off');
    return $dbh;
}

sub _pick { return $_[ int rand @_ ] }

sub _chance { return rand() < $_[0] }

sub _stream {
    my ($self) = @_;
    my $category = _pick(@categories);
    # The empty name is one that we refuse.
    return $category if $category ne '' && _chance(0.08);
    return $category . '-' . _pick(@ids);
}

# A stream that probably has messages.
sub _some_stream {
    my ($self) = @_;
    my @streams = sort keys %{ $self->{streams} };
    return @streams && _chance(0.8) ? _pick(@streams) : $self->_stream;
}

sub _id {
    my ($self) = @_;
    my $known  = $self->{known};
    my $chance = rand;
    return undef          if $chance < 0.01;
    return _pick(@$known) if $chance < 0.07 && @$known;
    return _pick('abc', '', '{}', '1234', 'g' x 32, random_uuid() . '0', '{' . random_uuid(), random_uuid() =~ s/-/--/r) if $chance < 0.10;
    my $id = join '', map { sprintf '%04x', rand 65536 } 1 .. 8;
    return _pick($id, uc $id, "{$id}", $id =~ s/(....)(?=.)/$1-/gr, $id =~ s/^(.{8})(.{4})(.{4})(.{4})/$1-$2-$3-$4-/r);
}

sub _metadata {
    my ($self) = @_;
    return undef if _chance(0.4);
    return _pick('{}', '{"a": 1}', '{"correlationStreamName": null}', '{"correlationStreamName": 7}', '{"correlationStreamName": {"a": 1}}') if _chance(0.3);
    my $stream = $self->_some_stream =~ s/"/\\"/gr;
    return qq({"correlationStreamName": "$stream", "n": [1.10, "\\u00e4"]});
}

sub _expected {
    my ($self, $stream) = @_;
    return undef                                   if _chance(0.5);
    return $self->{streams}{ $stream // '' } // -1 if _chance(0.7);
    return _pick(-9223372036854775808, -2, -1, 0, 1, 2, 3, 7, 9223372036854775807);
}

# A global position of each store: that of a message that both have, or, to read from it on, one
# after it or any.
sub _global_position {
    my ($self, $exact) = @_;
    my $known = $self->{positions} // [];
    return @$known && _chance(0.7) ? @{ _pick(@$known) } : (0, 0) if $exact;
    my ($stock, $ours) = _chance(0.3) || !@$known ? map { $_, $_ } (_pick(undef, 1, 1, 0, -1, -7)) : @{ _pick(@$known) };
    my $plus = defined $stock && $stock > 1 ? _pick(0, 0, 1) : 0;
    return $plus ? ($stock + 1, $ours + 1) : ($stock, $ours);
}

sub _batch { return _pick(1000, 1000, -1, undef, 0, 1, 2, 3, 5, 10, -2) }

sub _condition { return _chance(0.25) ? _pick(@conditions) : undef }

# Statements: name, SQL, values for stock, values for ours, whether it writes.
sub _write {
    my ($self)   = @_;
    my $stream   = _chance(0.01) ? undef : $self->_stream;
    my $expected = $self->_expected($stream);
    my $id       = $self->_id;
    my $type     = _chance(0.01) ? undef : _pick(@types);
    my @values   = ($id, $stream, $type, _pick(@data), $self->_metadata, $expected);
    return { what => 'write', sql => 'SELECT write_message($1, $2, $3, $4, $5, $6)', values => \@values, writes => 1, id => $id, stream => $stream };
}

my $columns = 'id, stream_name, type, position, global_position, data, metadata, time IS NOT NULL AS time';

sub _get_stream {
    my ($self) = @_;
    my $name = _chance(0.05) ? _pick(@categories, undef) : $self->_some_stream;
    return { what => 'get_stream_messages', sql => "SELECT $columns FROM get_stream_messages(\$1, \$2, \$3, \$4)",
        values => [ $name, _pick(0, 0, 0, 1, 2, 5, -1, -5, undef, 1000), _batch(), _condition() ] };
}

sub _get_category {
    my ($self)        = @_;
    my $name          = _chance(0.05) ? $self->_some_stream : _chance(0.02) ? undef : _pick(@categories);
    my ($stock, $ours) = $self->_global_position;
    my $correlation   = _chance(0.25) ? _pick(@categories, 'account', 'order', 'a-b') : undef;
    my @group = _chance(0.3) ? _pick([ 0, 1 ], [ 0, 2 ], [ 1, 2 ], [ 2, 3 ], [ 0, 3 ], [ 5, 32767 ]) : [ undef, undef ];
    @group = _pick([ 1, undef ], [ undef, 2 ], [ 0, 0 ], [ -1, 2 ], [ 2, 2 ], [ 3, 2 ], [ 0, 32768 ], [ -1, 0 ]) if _chance(0.06);
    my @rest = (_batch(), $correlation, @{ $group[0] }, _condition());
    return { what => 'get_category_messages', sql => "SELECT $columns FROM get_category_messages(\$1, \$2, \$3, \$4, \$5, \$6, \$7)",
        values => [ $name, $stock, @rest ], ours => [ $name, $ours, @rest ] };
}

sub _get_last {
    my ($self) = @_;
    return { what => 'get_last_stream_message', sql => "SELECT $columns FROM get_last_stream_message(\$1, \$2)",
        values => [ _chance(0.02) ? undef : $self->_some_stream, _pick(undef, undef, @types, 'none') ] };
}

sub _table {
    my ($self) = @_;
    my ($stock, $ours) = $self->_global_position;
    my ($stock_after, $ours_after) = $self->_global_position(1);
    my $stream = $self->_some_stream;
    my $all    = "SELECT id::varchar, stream_name::varchar, type::varchar, position::bigint, global_position::bigint, data::varchar,
        metadata::varchar, time IS NOT NULL AS time FROM messages";
    return _pick(
        { sql => "$all WHERE global_position > \$1 ORDER BY global_position LIMIT 10", values => [$stock_after], ours => [$ours_after] },
        { sql => "$all ORDER BY global_position DESC LIMIT 3", values => [] },
        { sql => "$all WHERE stream_name = \$1 ORDER BY position", values => [$stream] },
        { sql => "$all WHERE category(stream_name) = category(\$1::varchar) AND global_position >= \$2 ORDER BY global_position",
            values => [ $stream, $stock ], ours => [ $stream, $ours ] },
        { sql => 'SELECT count(*), count(data), max(position) FROM messages', values => [] },
        { sql => 'SELECT DISTINCT substring(stream_name from position(\'-\' in stream_name) + 1) COLLATE "C" FROM message_store.messages
            WHERE stream_name LIKE $1 ORDER BY 1', values => [ _pick('account-%', 'order%', '%-1') ] },
        map({ { sql => qq(SELECT * FROM $_->[0]_summary ORDER BY $_->[1] COLLATE "C", $_->[2] COLLATE "C"), values => [] } }
            [ 'stream', 'stream_name', 'stream_name' ], [ 'type', 'type', 'type' ], [ 'stream_type', 'stream_name', 'type' ],
            [ 'type_stream', 'type', 'stream_name' ], [ 'category_type', 'category', 'type' ], [ 'type_category', 'type', 'category' ]));
}

sub _helper {
    my ($self) = @_;
    my $function = _pick(qw(category id cardinal_id is_category hash_64 stream_version acquire_lock message_store_version));
    return { sql => 'SELECT message_store_version()', values => [] } if $function eq 'message_store_version';
    return { sql => "SELECT $function(\$1)", values => [ _chance(0.5) ? _pick(@names) : $self->_some_stream ] };
}

sub _named {
    my ($self) = @_;
    my $stream = $self->_some_stream;
    return _pick(
        { sql => "SELECT $columns FROM get_stream_messages(stream_name => \$1, batch_size => 2)", values => [$stream] },
        { sql => "SELECT $columns FROM get_stream_messages(\$1)", values => [$stream] },
        { sql => "SELECT $columns FROM get_category_messages(\$1)", values => [ _pick(@categories) ] },
        { sql => "SELECT $columns FROM get_category_messages('order', consumer_group_size => 2, consumer_group_member => 1)", values => [] },
        { sql => "SELECT $columns FROM get_last_stream_message(type => 'Opened', stream_name => \$1)", values => [$stream] },
        { sql => 'SELECT pg_typeof(m) FROM get_stream_messages($1) AS m', values => [$stream] });
}

sub _setting { return { sql => 'SET message_store.sql_condition = ' . _pick('on', 'on', 'off', 'true'), values => [] } }

my @kinds = (
    [ 40, \&_write ], [ 14, \&_get_stream ], [ 14, \&_get_category ], [ 6, \&_get_last ], [ 8, \&_table ], [ 8, \&_helper ],
    [ 4, \&_named ], [ 2, \&_setting ]);

sub _call {
    my ($self) = @_;
    my $choice = rand 96;
    for my $kind (@kinds) {
        return $kind->[1]->($self) if ($choice -= $kind->[0]) < 0;
    }
    die 'no kind of call';
}

# What one store answers, as a text; global positions are left out, but must ascend.
sub _ask {
    my ($self, $dbh, $call, $values) = @_;
    my $rows = eval {
        my $statement = $dbh->prepare($call->{sql});
        $statement->execute(@$values);
        $statement->{NUM_OF_FIELDS} ? $statement->fetchall_arrayref({}) : [];
    };
    if (!$rows) {
        my ($line) = $dbh->errstr =~ /^(.*)$/m;
        return $dbh->state . " $line";
    }
    $_->{metadata} = undef for grep { ($_->{metadata} // '') eq 'null' } @$rows;
    return join "\n", map { _row_text($_) } @$rows;
}

sub _row_text {
    my ($row) = @_;
    return join ', ', map { "$_=" . (defined $row->{$_} ? "<$row->{$_}>" : 'NULL') } grep { $_ ne 'global_position' } sort keys %$row;
}

sub _complain {
    my ($self, $session, $call, $stock, $ours) = @_;
    my @values = map { defined $_ ? "'$_'" : 'NULL' } @{ $call->{values} };
    push @{ $self->{complaints} },
      "seed $self->{seed}, call $self->{calls}, session $session: $call->{sql}\nwith @values\nstock: $stock\nours:  $ours";
    return;
}

# One call of a session in both stores; returns the answer of message-db, or undef after an error.
sub _compare {
    my ($self, $session, $call) = @_;
    my ($stock, $ours) = map { $self->_ask($self->{sides}{$_}[$session], $call, $_ eq 'ours' && $call->{ours} || $call->{values}) } qw(stock ours);
    $self->{calls}++;
    my $failed = $stock =~ /^[0-9A-Z]{5} ERROR:/;
    $self->{refused}++ if $failed;
    $self->_complain($session, $call, $stock, $ours) if $stock ne $ours;
    return $failed ? undef : $stock;
}

sub _statement { my ($sql) = @_; return { sql => $sql, values => [] } }

# What a write leaves behind for later calls, once it is committed.
sub _learn {
    my ($self, @writes) = @_;
    for my $write (@writes) {
        my ($call, $answer) = @$write;
        push @{ $self->{known} }, $call->{id} if defined $call->{id};
        ($self->{streams}{ $call->{stream} }) = $answer =~ /write_message=<(\d+)>/;
        next unless @{ $self->{known} } % 7 == 0;
        my $sql = 'SELECT global_position FROM messages WHERE id = $1';
        push @{ $self->{positions} }, [ map { one_value($self->{sides}{$_}[0], $sql, $call->{id}) } qw(stock ours) ];
    }
    return;
}

sub _bystander {
    my ($self) = @_;
    return _pick($self->_get_stream, $self->_get_last, { sql => 'SELECT stream_version($1)', values => [ $self->_some_stream ] });
}

# A transaction of a session: some calls, and then commit or rollback.  It keeps the turn.
sub _transaction {
    my ($self, $session) = @_;
    my (@writes, $broken);
    $self->_compare($session, _statement('BEGIN'));
    for (1 .. 1 + rand 5) {
        $self->_compare(($session + 1) % $self->{sessions}, $self->_bystander) if _chance(0.3);
        my $call   = $self->_call;
        my $answer = $self->_compare($session, $call);
        $broken ||= !defined $answer;
        push @writes, [ $call, $answer ] if $call->{writes} && defined $answer;
    }
    my $commit = !$broken && _chance(0.75);
    $self->_compare($session, _statement($commit || _chance(0.5) ? 'COMMIT' : 'ROLLBACK'));
    # COMMIT of a broken transaction is a rollback.
    $self->_learn(@writes) if $commit;
    return;
}

# This number of calls, or, if the time is up before, as many as there are then, but at least some.
sub run {
    my ($self, $calls, $end) = @_;
    while ($self->{calls} < $calls && ($self->{calls} < 300 || time < $end) && @{ $self->{complaints} } < 5) {
        my $session = int rand $self->{sessions};
        if (_chance(0.12)) {
            $self->_transaction($session);
            next;
        }
        my $call   = $self->_call;
        my $answer = $self->_compare($session, $call);
        $self->_learn([ $call, $answer ]) if $call->{writes} && defined $answer;
    }
    return;
}

# Both stores in the end: all messages in the order of their global positions.
sub compare_everything {
    my ($self) = @_;
    my $sql = 'SELECT id, stream_name, type, position, data::text, nullif(metadata, \'null\')::text AS metadata FROM messages ORDER BY global_position';
    $self->_compare(0, _statement($sql));
    return;
}

sub disconnect {
    my ($self) = @_;
    $_->disconnect for map { @$_ } values %{ $self->{sides} };
    return;
}

1;
