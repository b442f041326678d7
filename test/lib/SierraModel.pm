# SierraModel.pm
#     One session of the randomised test: random transactions against a store,
#     and a model that knows what each call must answer.
#
# A session has streams of its own, to which no other session appends: there it
# knows every answer.  It knows nothing of the shared streams before it uses
# them; from then to the end of the transaction they are locked, and it knows
# everything.  Commands are events with fixed ids that all sessions try to
# append.
#
# When the connection breaks, the session connects again and finds out whether
# the transaction that it was about to commit is stored, so the model is exact
# again.  Committed events are logged as lines of JSON; so are errors.

package SierraModel;

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use JSON::PP;
use SierraTest;
use Time::HiRes qw(sleep time);

use constant {
    STREAMS        => 5,      # own streams in use
    SHARED_STREAMS => 8,
    STREAM_LIMIT   => 300,    # an own stream with more events is no longer used
};

my @numbers =
  qw(event_id partition_key partition_id partition_sequence stream_id stream_version timestamp
  transaction_id global_position);

# Options: dsn; session; seed; transactions; log, a file; progress, a file that
# grows by a byte with each transaction.
sub new {
    my ($class, %options) = @_;
    my $self = bless { %options, streams => {}, created => 0, transaction => 0 }, $class;
    srand $self->{seed} * 1000 + $self->{session};
    for my $file (qw(log progress)) {
        open $self->{"${file}_file"}, '>>', $self->{$file} or die "cannot write $self->{$file}: $!";
        $self->{"${file}_file"}->autoflush(1);
    }
    return $self;
}

sub run {
    my ($self) = @_;
    $self->connect;
    while ($self->{transaction} < $self->{transactions}) {
        $self->{transaction}++;
        $self->{calls}   = 0;
        $self->{history} = [];
        $self->transaction;
        syswrite $self->{progress_file}, '.';
    }
    return;
}

sub write_log {
    my ($self, %entry) = @_;
    print { $self->{log_file} } JSON::PP->new->canonical->encode(\%entry), "\n";
    return;
}

sub complain {
    my ($self, $complaint) = @_;
    $complaint =~ s/\s+/ /g;
    $self->write_log(complaint => join ' ', "session $self->{session}, transaction $self->{transaction}: $complaint;",
        "it did: @{ $self->{history} }");
    return;
}

sub count {
    my ($self, $what) = @_;
    $self->write_log(count => $what);
    return;
}

# ---------------------------------------------------------------------------
# Connections
# ---------------------------------------------------------------------------

sub connect {
    my ($self) = @_;
    my $deadline = time + 120;
    until (eval { $self->{dbh} = connect_to($self->{dsn}) }) {
        die "cannot connect: $@" if time > $deadline;
        sleep 0.05;
    }
    my $ok = eval {
        $self->{dbh}->do("SET application_name = 'sierra session'");
        $self->{dbh}->do("SET statement_timeout = '60s'");

        # The backend of the connection before may still be at work.
        until (one_value($self->{dbh},
                'SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $1', $self->{backend} // 0))
        {
            sleep 0.005;
        }
        $self->{backend} = $self->{dbh}{pg_pid};
        1;
    };
    return $ok || $self->connect;
}

# Disconnects without waiting for the answer.
sub abandon {
    my ($self, $statement) = @_;
    $self->{dbh}->do($statement, { pg_async => DBD::Pg::PG_ASYNC() });
    sleep rand 0.002;
    $self->{dbh}->disconnect;
    return;
}

# Runs code that uses the connection: '' if it went well, 'lost' if the
# connection broke, else the SQLSTATE.
sub attempt {
    my ($self, $code) = @_;
    return '' if eval { $code->(); 1 };
    my $message = $@;
    my $state   = $self->{dbh}->state;
    die $message if $message !~ /^DBD::Pg/;
    return 'lost' if connection_is_lost($self->{dbh});
    $self->{message} = $message;
    return $state;
}

# As above on connections that are made again until one works.
sub attempt_until_answered {
    my ($self, $code) = @_;
    for (1 .. 20) {
        my $state = $self->attempt($code);
        return $state if $state ne 'lost' && $state ne '40P01';
        $self->connect if $state eq 'lost';
    }
    die 'the connection breaks again and again';
}

# For code that must not fail.
sub insist {
    my ($self, $code) = @_;
    my $state = $self->attempt_until_answered($code);
    $self->complain("$state while settling: $self->{message}") if $state;
    return $state;
}

# ---------------------------------------------------------------------------
# Transactions
# ---------------------------------------------------------------------------

# What a transaction has done so far; savepoints keep copies.
sub begin_state {
    my ($self) = @_;
    $self->{state} = { streams => {}, shared => {}, events => [], commands => [] };
    return;
}

sub copy_state {
    my ($state) = @_;
    return {
        streams  => { map { $_ => copy_stream($state->{streams}{$_}) } keys %{ $state->{streams} } },
        shared   => { %{ $state->{shared} } },
        events   => [ @{ $state->{events} } ],
        commands => [ @{ $state->{commands} } ],
    };
}

sub copy_stream {
    my ($stream) = @_;
    return { %$stream, rows => [ @{ $stream->{rows} } ] };
}

sub transaction {
    my ($self) = @_;
    $self->begin_state;
    if (rand() < 0.5) {
        $self->{isolation} = 'READ COMMITTED';
        my $outcome = $self->call(0);
        $self->settle_single if $outcome eq 'lost';
        $self->commit_state;
        return;
    }
    $self->{isolation} = (('READ COMMITTED') x 8, 'REPEATABLE READ', 'SERIALIZABLE')[ rand 10 ];
    push @{ $self->{history} }, "BEGIN $self->{isolation};";
    my $outcome = $self->attempt(sub { $self->{dbh}->do("BEGIN ISOLATION LEVEL $self->{isolation}") });
    $outcome = $self->body if $outcome eq '';
    if ($outcome eq '') {
        return $self->finish;
    }
    $self->begin_state;
    $outcome = $self->attempt(sub { $self->{dbh}->do('ROLLBACK') }) if $outcome ne 'lost';
    $self->connect if $outcome eq 'lost';
    return;
}

# Some calls, some of them inside savepoints.  Returns '' or how it ended.
sub body {
    my ($self) = @_;
    my $dbh = $self->{dbh};
    for (1 .. 1 + int rand 4) {
        my $savepoint = rand() < 0.5;
        my $before    = copy_state($self->{state});
        my $outcome   = '';
        $outcome = $self->attempt(sub { $dbh->do('SAVEPOINT s') }) if $savepoint;
        push @{ $self->{history} }, 'SAVEPOINT;' if $savepoint;
        return $outcome if $outcome;
        $outcome = $self->call(1);
        return $outcome if $outcome =~ /^(?:lost|restart)$/ || ($outcome && !$savepoint);
        next if !$savepoint;
        if ($outcome || rand() < 0.3) {
            $outcome = $self->attempt(sub { $dbh->do('ROLLBACK TO s') });
            $self->{state} = $before;
            push @{ $self->{history} }, 'ROLLBACK TO;';
        }
        else {
            $outcome = $self->attempt(sub { $dbh->do('RELEASE s') });
        }
        return $outcome if $outcome;
    }
    return '';
}

sub finish {
    my ($self) = @_;
    my $dice = rand;
    if ($dice < 0.2) {
        my $outcome = $self->attempt(sub { $self->{dbh}->do('ROLLBACK') });
        $self->connect if $outcome eq 'lost';
        $self->count('rollback');
        return;
    }
    return $self->finish_prepared if $dice < 0.3;
    my $outcome = $self->attempt(
        sub { rand() < 0.05 ? $self->abandon('COMMIT') : $self->{dbh}->do('COMMIT') });
    if ($outcome eq 'lost' || !$self->{dbh}{Active}) {
        $self->connect;
        return $self->settle_commit;
    }
    return $self->commit_state if $outcome eq '';
    $self->unexpected($outcome, 'COMMIT');
    return;
}

# PREPARE TRANSACTION, and what ends it; either may meet a broken connection.
sub finish_prepared {
    my ($self) = @_;
    my $gid     = "session $self->{session}-$self->{transaction}";
    my $outcome = $self->attempt(sub { $self->{dbh}->do("PREPARE TRANSACTION '$gid'") });
    if ($outcome eq 'lost') {
        $self->connect;
        $self->is_prepared($gid) or return $self->count('prepare lost');
    }
    elsif ($outcome) {
        $self->unexpected($outcome, 'PREPARE');
        return;
    }
    sleep rand 0.03;
    my $ending = rand() < 0.7 ? 'COMMIT' : 'ROLLBACK';
    while ($self->attempt(sub { $self->{dbh}->do("$ending PREPARED '$gid'") }) eq 'lost') {
        $self->connect;
        last if !$self->is_prepared($gid);
    }
    $self->count("$ending PREPARED");
    $self->commit_state if $ending eq 'COMMIT';
    return;
}

sub is_prepared {
    my ($self, $gid) = @_;
    my $prepared;
    $self->insist(
        sub {
            $prepared = one_value($self->{dbh}, 'SELECT count(*) FROM pg_prepared_xacts WHERE gid = $1', $gid);
        });
    return $prepared;
}

# SERIALIZABLE transactions may fail in the end; READ COMMITTED ones may not.
sub unexpected {
    my ($self, $outcome, $where) = @_;
    if ($outcome eq '40001' && $self->{isolation} ne 'READ COMMITTED') { $self->count('40001') }
    else { $self->complain("$where failed with $outcome: $self->{message}") }
    return;
}

# The transaction is committed: so are its streams and events.
sub commit_state {
    my ($self) = @_;
    my $state = $self->{state};
    for my $name (keys %{ $state->{streams} }) {
        my $stream = $state->{streams}{$name};
        if (@{ $stream->{rows} } > STREAM_LIMIT) { delete $self->{streams}{$name} }
        else                                     { $self->{streams}{$name} = $stream }
    }
    $self->write_log(committed => $_) for @{ $state->{events} };
    $self->write_log(command   => $_) for @{ $state->{commands} };
    $self->begin_state;
    return;
}

# Was the transaction committed whose COMMIT got no answer?  One of its events
# shows it.
sub settle_commit {
    my ($self) = @_;
    my ($event) = @{ $self->{state}{events} };
    my $there = 0;
    if ($event) {
        $self->insist(sub { $there = one_value($self->{dbh}, 'SELECT count(*) FROM eget($1)', $event->{event_id}) });
    }
    $self->count($there ? 'doubtful and there' : 'doubtful and not there');
    return $there ? $self->commit_state : $self->begin_state;
}

# Was the call done that got no answer?  With event ids it can be repeated.
sub settle_single {
    my ($self) = @_;
    $self->connect;
    my $call = $self->{last_call} or return;
    return if $call->{fault} || $call->{read};
    my $rows;
    if (!grep { !defined $_->{event_id} } @{ $call->{events} }) {
        my $state = $self->attempt_until_answered(sub { $rows = $self->send($call) });
        $self->judge($call, $state) if $state;
        return if $state;
    }
    else {
        my @tokens = map { $_->{token} } @{ $call->{events} };
        $self->insist(
            sub {
                $rows = all_rows(
                    $self->{dbh},
                    'SELECT e.* FROM es.events AS e
                       JOIN unnest($1::text[]) WITH ORDINALITY AS t (token, n) ON t.token = metadata::text
                      WHERE e.stream_id = ANY ($2) ORDER BY t.n',
                    \@tokens, [ map { $_->{stream_id} } @{ $call->{events} } ]);
            });
        $self->count(@$rows ? 'doubtful and there' : 'doubtful and not there');
        return if !@$rows;
        $self->complain('a call is half there') if @$rows != @{ $call->{events} };
    }
    $self->note_rows($call, $rows);
    return;
}

# ---------------------------------------------------------------------------
# Calls
# ---------------------------------------------------------------------------

# A random call.  Returns '' when it was answered as it had to be, 'refused'
# when it was refused as it had to be, 'restart', or 'lost'.
sub call {
    my ($self, $in_transaction) = @_;
    my $dice = rand;
    my $call =
        $dice < 0.35 ? $self->choose_own
      : $dice < 0.50 ? $self->choose_shared
      : $dice < 0.65 ? $self->choose_mixed
      : $dice < 0.75 ? $self->choose_repetition
      : $dice < 0.85 ? $self->choose_fault
      : $dice < 0.92 ? $self->choose_command
      :                { read => 1 };
    $call ||= $self->choose_own;
    $self->{last_call} = $call;
    return $self->read_own($in_transaction) if $call->{read};

    my $rows;
    my $outcome = $self->attempt(sub { $rows = $self->send($call) });
    push @{ $self->{history} }, describe($call) . ($outcome ? ": $outcome;" : ';');
    return $outcome                         if $outcome eq 'lost';
    return $self->judge($call, $outcome)    if $outcome;
    if ($call->{fault}) {
        $self->complain("expected $call->{fault} for " . describe($call));
    }
    $self->note_rows($call, $rows);
    return '';
}

sub describe {
    my ($call) = @_;
    return join ', ', ($call->{key} // 'no key'),
      map { join ' ', $_->{stream_id}, $_->{expected}, $_->{event_id} // () } @{ $call->{events} };
}

# An error: is it the one that had to come?
sub judge {
    my ($self, $call, $state) = @_;

    # Appends to several partitions in one transaction can deadlock.
    if ($state eq '40P01' || ($state eq '40001' && $self->{isolation} ne 'READ COMMITTED')) {
        $self->count($state);
        return 'restart';
    }
    if ($call->{fault} && $call->{fault} eq $state) {
        $self->count($state);
        return 'refused';
    }
    if ($state eq 'SE001' && $call->{may_conflict}) {
        my ($expected, $current) = $self->{message} =~ /expected version (\w+), current version (\w+)/;
        my $fits =
            $expected eq 'exists' ? $current ne 'empty'
          : $expected eq 'empty'  ? $current eq 'empty'
          :                         $expected eq $current;
        $self->complain("refused although it fits: $self->{message}") if $fits;
        $self->count('SE001 on a shared stream');
        return 'refused';
    }
    $self->complain(($call->{fault} // 'nothing') . ' expected: ' . $self->{message} . ' for ' . describe($call));
    return 'restart';
}

# A stream of this session, as the transaction sees it.
sub own_stream {
    my ($self, $name) = @_;
    return $self->{state}{streams}{$name} //= copy_stream($self->{streams}{$name});
}

sub any_own_stream {
    my ($self) = @_;
    my @names = sort keys %{ { %{ $self->{streams} }, %{ $self->{state}{streams} } } };
    if (@names < STREAMS || rand() < 0.02) {
        my $name = "own-$self->{session}-" . ++$self->{created};
        my $key  = rand() < 0.4 ? (random_uuid(), 'key ' . int rand 20)[ rand 2 ] : undef;
        $self->{state}{streams}{$name} = { name => $name, key => $key, rows => [] };
        return $self->{state}{streams}{$name};
    }
    return $self->own_stream($names[ rand @names ]);
}

# An expected version that matches a stream with this number of events.
sub fitting {
    my ($count) = @_;
    return rand() < 0.3 ? 'any' : rand() < 0.5 ? 'exists' : $count - 1 if $count;
    return rand() < 0.3 ? 'any' : 'empty';
}

sub wrong {
    my ($count) = @_;
    return ('empty', $count, $count + int rand 5, $count > 1 ? int rand($count - 1) : 'empty')[ rand 4 ] if $count;
    return ('exists', int rand 3)[ rand 2 ];
}

sub new_event {
    my ($self, $stream_id, $expected, $with_id) = @_;
    my $dice    = rand;
    my $size    = $dice < 0.9 ? int rand 200 : $dice < 0.98 ? 3000 : 20000;
    my $text    = join '', map { ('a' .. 'z', ' ', '\\\\', '\\n', "\x{fc}", '\\u0000')[ rand 31 ] } 1 .. $size;
    my $payload = sprintf '%s{"text":%s"%s" }', ' ' x (rand() < 0.1), ' ' x rand 3, $text;
    my $is_bytes = rand() < 0.1;
    my $event    = {
        stream_id  => $stream_id,
        expected   => $expected,
        event_name => 'Event' . int rand 5,
        token      => sprintf('{"token": "%d-%d-%d"}', $self->{session}, $self->{transaction}, ++$self->{calls}),
        event_id   => $with_id ? random_uuid() : undef,
        payload    => $is_bytes ? undef : $payload,
        bytes      => $is_bytes ? join('', map { chr int rand 256 } 0 .. $size % 300) : undef,
    };
    utf8::encode(my $digested = $payload);
    $event->{digest} = md5_hex($is_bytes ? $event->{bytes} : $digested);
    return $event;
}

# Appends to one stream of its own.
sub choose_own {
    my ($self) = @_;
    my $stream   = $self->any_own_stream;
    my $count    = (1, 1, 1, 1, 2, 3, 5, 20)[ rand 8 ];
    my $with_ids = rand() < 0.4;
    $count = 270 if rand() < 0.01;
    my $have = @{ $stream->{rows} };
    return {
        key    => !$have || rand() < 0.5 ? $stream->{key} : undef,
        events => [ map { $self->new_event($stream->{name}, fitting($have + $_), $with_ids || rand() < 0.1) } 0 .. $count - 1 ],
    };
}

# Appends to one stream of all.
sub choose_shared {
    my ($self) = @_;
    my $name  = 'shared-' . int rand SHARED_STREAMS;
    my $known = $self->{state}{shared}{$name};
    my $right = defined $known && rand() < 0.7;
    my $guess = $right ? fitting($known + 1) : ('any', 'any', 'exists', 'empty', int rand 300)[ rand 5 ];
    $guess = one_value_or($self, $name) if !$right && rand() < 0.3;
    my @events = $self->new_event($name, $guess, rand() < 0.3);
    push @events, map { $self->new_event($name, 'any', rand() < 0.3) } 1 .. int rand 3;
    return { key => undef, events => \@events, $right ? () : (may_conflict => 1) };
}

# What a client would do: read the version, then append.
sub one_value_or {
    my ($self, $name) = @_;
    my $version;
    my $outcome = $self->attempt(sub { $version = one_value($self->{dbh}, 'SELECT esver($1)', $name) });
    return $outcome ? 'any' : $version // 'empty';
}

# Appends to several streams, own and shared, in one call.
sub choose_mixed {
    my ($self) = @_;
    my (@events, %count);
    for (1 .. 2 + int rand 6) {
        if (rand() < 0.5) {
            my $stream = $self->any_own_stream;

            # The call has no key, and a new stream with a key needs one.
            next if defined $stream->{key} && !@{ $stream->{rows} };
            my $have = @{ $stream->{rows} } + ($count{ $stream->{name} }++ // 0);
            push @events, $self->new_event($stream->{name}, fitting($have), rand() < 0.2);
        }
        else {
            push @events, $self->new_event('shared-' . int rand SHARED_STREAMS, 'any', rand() < 0.2);
        }
    }
    return @events ? { key => undef, events => \@events } : undef;
}

# A contiguous part of the events of one of its streams.
sub some_run {
    my ($self, $least) = @_;
    my $stream = $self->any_own_stream;
    my $rows   = $stream->{rows};
    return if @$rows < $least;
    my $length = $least + int rand 4;
    $length = @$rows if $length > @$rows;
    my $from = int rand(@$rows - $length + 1);
    return ($stream, @$rows[ $from .. $from + $length - 1 ]);
}

sub again {
    my ($self, $stream_id, $row, $expected) = @_;
    my $event = $self->new_event($stream_id, $expected, 0);
    $event->{event_id} = $row->{event_id};
    return $event;
}

# The same ids again, with any version: the first numbers come back.
sub choose_repetition {
    my ($self) = @_;
    my ($stream, @rows) = $self->some_run(1) or return;
    return {
        key     => rand() < 0.5 ? $stream->{key} : undef,
        repeats => \@rows,
        events  => [ map { $self->again($stream->{name}, $_, (qw(any exists empty), int rand 50)[ rand 4 ]) } @rows ],
    };
}

# A call with exactly one thing wrong.
sub choose_fault {
    my ($self) = @_;
    my @faults = (\&fault_version, \&fault_key, \&fault_id, \&fault_order, \&fault_part, \&fault_twice);
    return $faults[ rand @faults ]->($self);
}

sub fault_version {
    my ($self) = @_;
    my $stream = $self->any_own_stream;
    my $have   = @{ $stream->{rows} };
    my @events = map { $self->new_event($stream->{name}, fitting($have + $_), rand() < 0.3) } 0 .. int rand 3;
    my $at     = int rand @events;
    $events[$at]{expected} = wrong($have + $at);
    return { fault => 'SE001', key => $stream->{key}, events => \@events };
}

sub fault_key {
    my ($self) = @_;
    my $stream = $self->any_own_stream;
    return if !@{ $stream->{rows} };
    return { fault => 'SE002', key => random_uuid(), events => [ $self->new_event($stream->{name}, 'any', rand() < 0.3) ] };
}

# An id that exists in one stream, for another.
sub fault_id {
    my ($self) = @_;
    my ($stream, $row) = $self->some_run(1) or return;
    my $other = $self->any_own_stream;
    return if $other->{name} eq $stream->{name};
    return { fault => 'SE003', key => $other->{key}, events => [ $self->again($other->{name}, $row, 'any') ] };
}

sub fault_order {
    my ($self) = @_;
    my ($stream, @rows) = $self->some_run(2) or return;
    return { fault => 'SE003', key => undef, events => [ map { $self->again($stream->{name}, $_, 'any') } reverse @rows ] };
}

# Some events exist, others do not.
sub fault_part {
    my ($self) = @_;
    my ($stream, @rows) = $self->some_run(1) or return;
    my @events = map { $self->again($stream->{name}, $_, 'any') } @rows;
    splice @events, int rand(@events + 1), 0, $self->new_event($stream->{name}, 'any', rand() < 0.5);
    return { fault => 'SE003', key => undef, events => \@events };
}

sub fault_twice {
    my ($self) = @_;
    my $stream = $self->any_own_stream;
    my @events = map { $self->new_event($stream->{name}, 'any', 1) } 1 .. 3;
    $events[2]{event_id} = $events[0]{event_id};
    return { fault => 'SE003', key => $stream->{key}, events => \@events };
}

# An event that every session wants to append, once.
sub choose_command {
    my ($self) = @_;
    my $number = int rand 200;
    my $event  = $self->new_event('shared-' . $number % SHARED_STREAMS, 'any', 0);
    $event->{event_id} = sprintf 'c0c0c0c0-0000-4000-8000-%012d', $number;
    $event->{token}    = '{"command": true}';
    return { key => undef, command => 1, events => [$event] };
}

# Reads of its own streams, in the midst of the transaction.
sub read_own {
    my ($self, $in_transaction) = @_;
    my $stream = $self->any_own_stream;
    my $rows;
    my $outcome = $self->attempt(
        sub { $rows = all_rows($self->{dbh}, 'SELECT * FROM escan($1)', $stream->{name}) });
    if ($outcome) {
        return $outcome if $outcome eq 'lost';
        $self->unexpected($outcome, 'escan');
        return 'restart';
    }
    my ($seen, $known) = map { join ' ', map { $_->{event_id} } @$_ } $rows, $stream->{rows};
    $self->complain("reads $seen in stream $stream->{name}, not $known") if $seen ne $known;
    return '';
}

# ---------------------------------------------------------------------------
# Sending, and what came back
# ---------------------------------------------------------------------------

sub send {
    my ($self, $call) = @_;
    my @events = @{ $call->{events} };
    my $form   = @events == 1 ? int rand 3 : 1 + int rand 2;

    # JSON has no place for bytes, nor for spaces before a member's value.
    $form = 2 if $form == 1 && grep { defined $_->{bytes} || $_->{payload} =~ /^ / } @events;
    return $form == 0 ? $self->send_single($call)
      : $form == 1    ? $self->send_json($call)
      :                 $self->send_arrays($call);
}

sub send_single {
    my ($self, $call) = @_;
    my ($event) = @{ $call->{events} };
    my $statement = $self->{dbh}->prepare(
        'SELECT * FROM eappend($1, $2, $3, $4, $5, $6, $7, payload_bytes => $8)');
    $statement->bind_param(8, undef, { pg_type => DBD::Pg::PG_BYTEA() });
    $statement->execute(@$event{qw(stream_id event_name payload token expected event_id)},
        $call->{key}, $event->{bytes});
    return $statement->fetchall_arrayref({});
}

sub send_json {
    my ($self, $call) = @_;
    my @members = map {
        my $event = $_;
        sprintf '{"stream_id": "%s", "event_name": "%s", "payload": %s, "metadata": %s, "expected_version": %s%s}',
          @$event{qw(stream_id event_name payload token)},
          $event->{expected} =~ /^\d+$/ ? $event->{expected} : qq("$event->{expected}"),
          defined $event->{event_id} ? qq(, "event_id": "$event->{event_id}") : '';
    } @{ $call->{events} };
    return all_rows($self->{dbh}, 'SELECT * FROM emappend($1, $2::json)', $call->{key}, '[' . join(",\n", @members) . ']');
}

sub send_arrays {
    my ($self, $call) = @_;
    my @columns = map {
        my $name = $_;
        [ map { $_->{$name} } @{ $call->{events} } ]
    } qw(stream_id event_name payload token expected event_id);
    my @bytes = map { defined $_->{bytes} ? '\\x' . unpack 'H*', $_->{bytes} : undef } @{ $call->{events} };
    return all_rows(
        $self->{dbh},
        'SELECT * FROM emappend($1, $2, $3, $4::json[], $5::json[], $6::text[]::expected_version[],
                                $7::uuid[], NULL, $8::text[]::bytea[])',
        $call->{key}, @columns, \@bytes);
}

# Checks the rows of an answer and remembers them.
sub note_rows {
    my ($self, $call, $rows) = @_;
    my @events = @{ $call->{events} };
    if (@$rows != @events) {
        $self->complain(sprintf '%d rows for %d events', scalar @$rows, scalar @events);
        return;
    }
    for my $i (0 .. $#events) {
        my ($event, $row) = ($events[$i], { map { $_ => $rows->[$i]{$_} } @numbers });
        $self->complain("stream $row->{stream_id} for $event->{stream_id}") if $row->{stream_id} ne $event->{stream_id};
        $self->complain("id $row->{event_id} for $event->{event_id}")
          if defined $event->{event_id} && $row->{event_id} ne $event->{event_id};
        if ($call->{repeats}) { $self->compare_row($call->{repeats}[$i], $row); next }
        if ($call->{command}) { $self->note_command($row) }
        else                  { $self->note_new($event, $row) }
    }
    return;
}

# idempotency: a repetition returns what the first call returned.
sub compare_row {
    my ($self, $first, $row) = @_;
    for my $column (@numbers) {
        $self->complain("repetition of $row->{event_id}: $column $row->{$column}, at first $first->{$column}")
          if $first->{$column} ne $row->{$column};
    }
    return;
}

# A command may have been new or a repetition: its version shows which, if the
# stream is known.
sub note_command {
    my ($self, $row) = @_;
    my $known = $self->{state}{shared}{ $row->{stream_id} };
    $self->{state}{shared}{ $row->{stream_id} } = $row->{stream_version}
      if defined $known && $row->{stream_version} > $known;
    push @{ $self->{state}{commands} }, $row;
    return;
}

sub note_new {
    my ($self, $event, $row) = @_;
    my ($version, $expected) = ($row->{stream_version}, $event->{expected});
    my $fits =
        $expected eq 'any'    ? 1
      : $expected eq 'exists' ? $version > 0
      : $expected eq 'empty'  ? $version == 0
      :                         $version == $expected + 1;
    $self->complain("version $version although $expected was expected") if !$fits;

    my $known;
    if ($event->{stream_id} =~ /^own-/) {
        my $stream = $self->own_stream($event->{stream_id});
        $known = $#{ $stream->{rows} };
        push @{ $stream->{rows} }, $row;
    }
    else {
        $known = $self->{state}{shared}{ $event->{stream_id} };
        $self->{state}{shared}{ $event->{stream_id} } = $version;
    }
    $self->complain("gapless: stream $event->{stream_id} got version $version after $known")
      if defined $known && $version != $known + 1;
    push @{ $self->{state}{events} }, { %$row, metadata => $event->{token}, digest => $event->{digest} };
    return;
}

1;
