# SierraProcessor.pm
#     Processes that consume a subscription until they get a signal.  The effect
#     of an event is a row of table effects, so the table shows afterwards how
#     often each event was processed, by which consumer, and in which order.
#
#     CREATE TABLE effects (place bigserial, subscription text, consumer text,
#                           stream_id text, stream_version bigint, global_position bigint)

package SierraProcessor;

use strict;
use warnings;

use SierraTest;
use Time::HiRes qw(sleep time);

# Options: dsn; subscription; consumer, for a member of a group; autocommit, for
# one that acknowledges after its effects are committed, instead of with them;
# batch; delay, seconds that a batch takes.
sub new {
    my ($class, %options) = @_;
    return bless { batch => 7, %options }, $class;
}

sub start {
    my ($self) = @_;
    $self->{pid} = fork_process(sub { $self->run });
    return $self;
}

# Lets it finish its batch; true if it ended without an error.
sub stop {
    my ($self) = @_;
    kill 'TERM', $self->{pid};
    return wait_for_process($self->{pid});
}

sub create_effects {
    my ($dbh) = @_;
    $dbh->do('CREATE TABLE effects (place bigserial, subscription text, consumer text,
        stream_id text, stream_version bigint, global_position bigint)');
    return;
}

# What is wrong with the effects of a subscription to all events of all streams.
# Options: repeats, if an event may be processed again.
sub complaints {
    my ($dbh, $subscription, %options) = @_;
    my (@complaints, %next, %times);
    for my $effect (@{ all_rows($dbh, 'SELECT * FROM effects WHERE subscription = $1 ORDER BY place', $subscription) }) {
        my ($stream, $version) = @$effect{qw(stream_id stream_version)};
        my $wanted = $next{$stream} // 0;
        push @complaints, "stream $stream: version $version was processed, expected $wanted"
          if $version > $wanted || $version < $wanted && !$options{repeats};
        $next{$stream} = $version + 1 if $version >= $wanted;
        $times{ $effect->{global_position} }++;
    }
    for my $position (@{ $dbh->selectcol_arrayref('SELECT global_position FROM es.events ORDER BY 1') }) {
        my $times = delete $times{$position} // 0;
        push @complaints, "event $position was processed $times times"
          if $times < 1 || $times > 1 && !$options{repeats};
    }
    push @complaints, map { "event $_ was processed, but is not there" } sort keys %times;
    return @complaints;
}

# Waits until a subscription has no event left.
sub wait_until_done {
    my ($dbh, $subscription) = @_;
    wait_until("subscription $subscription has caught up",
        sub { one_value($dbh, 'SELECT count(*) FROM epeek($1)', $subscription) == 0 });
    return;
}

# In the child.

sub run {
    my ($self) = @_;
    my $stop = 0;
    local $SIG{TERM} = sub { $stop = 1 };
    $self->connect;
    until ($stop) {
        next if eval { $self->process_batch; 1 };
        my $error = "$@";
        my $state = $self->{dbh}->state;
        if (connection_is_lost($self->{dbh})) {
            $self->reconnect;
        }
        elsif ($state =~ /^(?:SE008|40001|40P01)$/) {
            eval { $self->{dbh}->rollback } unless $self->{dbh}{AutoCommit};
        }
        else {
            die $error;
        }
    }
    return;
}

sub connect {
    my ($self) = @_;
    $self->{dbh} = connect_to($self->{dsn});
    $self->{dbh}->do(q{SET application_name = 'sierra consumer'});
    return;
}

sub reconnect {
    my ($self) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    while (time < $deadline) {
        return if eval { $self->connect; 1 };
        sleep 0.05;
    }
    die "cannot connect again: $@";
}

sub process_batch {
    my ($self) = @_;
    my $dbh = $self->{dbh};
    $dbh->begin_work unless $self->{autocommit};
    my $events = all_rows($dbh, q{SELECT * FROM enext($1, $2::integer, '100 milliseconds', consumer => $3)},
        $self->{subscription}, $self->{batch}, $self->{consumer});
    for my $event (@$events) {
        $dbh->do(
            'INSERT INTO effects (subscription, consumer, stream_id, stream_version, global_position)
             VALUES ($1, $2, $3, $4, $5)',
            undef, $self->{subscription}, $self->{consumer} // $$,
            @$event{qw(stream_id stream_version global_position)});
    }
    sleep $self->{delay} if $self->{delay} && @$events;
    $dbh->selectall_arrayref('SELECT eack($1, $2, $3)', undef, $self->{subscription},
        $events->[-1]{global_position}, $self->{consumer})
      if @$events;
    $dbh->commit unless $self->{autocommit};
    return;
}

1;
