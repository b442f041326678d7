# SierraLoad.pm
#     Sessions that append at random until they get a signal, and the log that
#     shows afterwards what the store must contain.
#
# Each call has a token of its own, which its events carry as metadata
# {"token": "<session>-<call>"}.  A call is logged before it is sent, and when
# the server answered.  What was answered is acknowledged; a call without an
# answer is doubtful: the server may have committed it just before it died.

package SierraLoad;

use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Utils;
use SierraTest;
use Time::HiRes qw(sleep);

my $loads = 0;

# Options: dsn; sessions; seed; reconnect, to continue when the connection
# breaks and repeat there the doubtful calls that have event ids; store.
sub new {
    my ($class, %options) = @_;
    my $self = bless { sessions => 4, seed => 1, store => 'es', %options }, $class;
    $self->{directory} = PostgreSQL::Test::Utils::tempdir();
    $self->{name}      = 'load' . ++$loads;
    return $self;
}

sub start {
    my ($self) = @_;
    for my $session (1 .. $self->{sessions}) {
        my $log = "$self->{directory}/$session.log";
        push @{ $self->{logs} }, $log;
        push @{ $self->{pids} }, fork_process(
            sub {
                SierraLoad::Session->new($self, $session, $log)->run;
            });
    }
    return $self;
}

# Waits until the sessions together have had this number of calls acknowledged.
sub wait_for {
    my ($self, $calls) = @_;
    my $goal = $calls + $self->acknowledged;
    wait_until("$calls calls are acknowledged", sub { $self->acknowledged >= $goal });
    return;
}

sub acknowledged {
    my ($self) = @_;
    my $count = 0;
    for my $log (grep { -e } @{ $self->{logs} }) {
        $count += () = slurp_file($log) =~ /^\{"answer":/mg;
    }
    return $count;
}

# Lets the sessions finish their calls; true if all ended well.
sub stop {
    my ($self) = @_;
    kill 'TERM', @{ $self->{pids} };
    return $self->wait;
}

# Waits for sessions that end by themselves, as their server is gone.
sub wait {
    my ($self) = @_;
    my @failed = grep { !wait_for_process($_) } @{ $self->{pids} };
    $self->{pids} = [];
    return !@failed;
}

# The log: token => { call, answer (rows), refused (message) }.
sub calls {
    my ($self) = @_;
    my %calls;
    for my $log (grep { -e } @{ $self->{logs} }) {
        for my $line (split /\n/, slurp_file($log)) {
            my $entry = decode_json($line);
            $calls{ $entry->{token} } = { %{ $calls{ $entry->{token} } // {} }, %$entry };
        }
    }
    return \%calls;
}

# Differences between the store and the log.  others: pattern of tokens that
# other loads wrote.
sub complaints {
    my ($self, $dbh) = @_;
    my $calls = $self->calls;
    my (%stored, @complaints);
    for my $event (@{ events_by_number($dbh, $self->{store}) }) {
        my ($load, $token) = ($event->{metadata} // '') =~ /"token": "(\w+) ([^"]+)"/ or next;
        next if $load ne $self->{name};
        push @{ $stored{$token} }, $event;
        push @complaints, "event of unknown call $token" unless $calls->{$token};
        my ($i) = $event->{payload} =~ /"i": +(\d+)/;
        push @complaints, "event $event->{event_id} of stream $event->{stream_id} has other tags"
          if join(' ', @{ $event->{tags} // [] }) ne join ' ', tags_of($event->{stream_id}, $i);
    }
    for my $token (sort keys %$calls) {
        my $call   = $calls->{$token};
        my @events = @{ $stored{$token} // [] };
        if ($call->{answer}) {
            push @complaints, map { "call $token: $_" } different_rows($call->{answer}, \@events);
        }
        elsif ($call->{refused} || $call->{rolls_back}) {
            push @complaints, "call $token was refused, but left events" if @events;
        }
        elsif (@events && @events != $call->{count}) {
            push @complaints,
              sprintf 'call %s is half there: %d of %d events', $token, scalar @events,
              $call->{count};
        }
        push @complaints, "call $token: $call->{refused}" if $call->{refused};
    }
    return @complaints;
}

# Compares rows of an answer with stored events.
sub different_rows {
    my ($answer, $events) = @_;
    my %stored = map { $_->{event_id} => $_ } @$events;
    my @different;
    push @different, sprintf '%d events, acknowledged %d', scalar @$events, scalar @$answer
      if @$events != @$answer;
    for my $row (@$answer) {
        my $event = $stored{ $row->{event_id} };
        if (!$event) {
            push @different, "event $row->{event_id} of stream $row->{stream_id} is lost";
            next;
        }
        push @different,
          map { "event $row->{event_id}: $_ is $event->{$_}, acknowledged $row->{$_}" }
          grep { $event->{$_} ne $row->{$_} } keys %$row;
    }
    return @different;
}

# Every second event of a call has tags: some are those of many events.
sub tags_of {
    my ($stream, $i) = @_;
    return $i % 2 ? () : ("number:$i", "stream:$stream");
}

sub streams {
    return ((map { "shared-$_" } 0 .. 11), (map { "tenant-$_" } 0 .. 5));
}

package SierraLoad::Session;

use strict;
use warnings;

use JSON::PP;
use SierraTest;
use Time::HiRes qw(sleep time);

sub new {
    my ($class, $load, $session, $log) = @_;
    open my $out, '>>', $log or die "cannot write $log: $!";
    $out->autoflush(1);
    srand $load->{seed} * 1000 + $session;
    return bless { %$load, session => $session, log => $out, call => 0 }, $class;
}

sub write_log {
    my ($self, %entry) = @_;
    print { $self->{log} } JSON::PP->new->canonical->encode(\%entry), "\n";
    return;
}

sub run {
    my ($self) = @_;
    my $stop = 0;
    local $SIG{TERM} = sub { $stop = 1 };
    $self->connect;
    while (!$stop) {
        my $call = $self->choose;
        $self->write_log(
            token => $call->{token},
            count => scalar @{ $call->{events} },
            $call->{rolls_back} ? (rolls_back => 1) : ());
        last unless $self->send_until_answered($call, \$stop);
    }
    return;
}

sub connect {
    my ($self) = @_;
    $self->{dbh} = connect_to($self->{dsn});
    $self->{dbh}->do("SET sierra_es.store = '$self->{store}'");
    $self->{dbh}->do("SET application_name = 'sierra load'");
    return;
}

# Tries until a server answers again; false if that takes too long.
sub reconnect {
    my ($self) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $deadline) {
        return 1 if eval { $self->connect; 1 };
        sleep 0.05;
    }
    die "cannot connect again: $@";
}

# False when the session must end.
sub send_until_answered {
    my ($self, $call, $stop) = @_;
    for (;;) {
        my $rows = eval { $self->send($call) };
        if ($rows) {
            $self->write_log(answer => $rows, token => $call->{token}) unless $call->{rolls_back};
            return 1;
        }
        my $message = "$@";
        if (!connection_is_lost($self->{dbh})) {
            $self->write_log(token => $call->{token}, refused => $message);
            return 1;
        }
        return 0 unless $self->{reconnect};
        $self->reconnect;

        # Event ids make it safe to repeat a call that may have been done.
        return 1 unless $call->{with_ids};
    }
}

# A random call, spread over streams with and without keys of their own.
sub choose {
    my ($self) = @_;
    my $token  = join '-', $self->{session}, ++$self->{call};
    my $form   = (qw(single single json arrays))[ rand 4 ];
    my $count  = $form eq 'single' ? 1 : 1 + int rand 6;
    my $tenant = rand() < 0.3 ? int rand 6 : undef;
    my @events;
    for my $i (0 .. $count - 1) {
        push @events,
          {
            stream_id  => defined $tenant ? "tenant-$tenant" : 'shared-' . int rand 12,
            event_name => 'Happened',
            metadata   => qq({"token": "$self->{name} $token"}),
            payload    => sprintf('{"i":  %d, "pad": "%s"}', $i, 'x' x int rand 200),
          };
        my @tags = SierraLoad::tags_of($events[-1]{stream_id}, $i);
        $events[-1]{tags} = encode_json(\@tags) if @tags;
    }
    my $with_ids = rand() < 0.4;
    $_->{event_id} = random_uuid() for $with_ids ? @events : ();
    return {
        token      => $token,
        form       => $form,
        key        => defined $tenant ? "the tenant $tenant" : undef,
        events     => \@events,
        with_ids   => $with_ids,
        rolls_back => rand() < 0.1,
    };
}

my %send = (
    single => sub {
        my ($dbh, $key, $event) = @_;
        return all_rows(
            $dbh,
            'SELECT * FROM eappend($1, $2, $3, $4, event_id => $5, partition_key => $6,
                 tags => ARRAY(SELECT json_array_elements_text($7::json)))',
            @$event{qw(stream_id event_name payload metadata event_id)}, $key, $event->{tags});
    },
    json => sub {
        my ($dbh, $key, @events) = @_;
        my @members = map {
            my $event = $_;
            sprintf '{%s, "payload": %s, "metadata": %s, "tags": %s}',
              join(', ', map { qq("$_": "$event->{$_}") }
                grep { exists $event->{$_} } qw(stream_id event_name event_id)),
              @$event{qw(payload metadata)}, $event->{tags} // 'null';
        } @events;
        return all_rows($dbh, 'SELECT * FROM emappend($1, $2::json)',
            $key, '[' . join(', ', @members) . ']');
    },
    arrays => sub {
        my ($dbh, $key, @events) = @_;
        my @columns = map {
            my $name = $_;
            [ map { $_->{$name} } @events ]
        } qw(stream_id event_name payload metadata event_id tags);
        return all_rows(
            $dbh,
            'SELECT * FROM emappend($1, $2, $3, $4::json[], $5::json[], NULL, $6::uuid[], tags => $7::json[])',
            $key, @columns);
    },
);

sub send {
    my ($self, $call) = @_;
    my $dbh = $self->{dbh};
    $dbh->begin_work if $call->{rolls_back};
    my $rows = $send{ $call->{form} }->($dbh, $call->{key}, @{ $call->{events} });
    $dbh->rollback if $call->{rolls_back};
    return $rows;
}

1;
