# SierraConsumer.pm
#     A consumer of a subscription that processes events until it gets a signal,
#     and the log of all its calls, answers and work.  SierraJudge reads these
#     logs.
#
# It acknowledges in one of two ways.  "least": it processes, then acknowledges
# in a transaction of its own.  "once": it polls, writes effects into the table
# effects, and acknowledges in one transaction.  With fails, its handler fails
# at random, and it calls enack().
#
# Lines of the log begin with a time.  Handled events are in the log before they
# are acknowledged, and a call is in the log before it is sent, so the log of a
# process that was killed shows what it may have done.
#
#     start                                   a process begins
#     next SENT AFTER EVENT...                enext() returned these
#     handled POSITION
#     sent CALL                               eack or enack is on its way
#     acked POSITION...                       these are acknowledged for sure
#     nacked SENT POSITION MS PARK ANSWER     enack() answered
#     refused SENT SQLSTATE                   of eack(), enack(), or fetching ahead
#     left
#     complaint ...

package SierraConsumer;

use strict;
use warnings;

use Digest::MD5 qw(md5);
use SierraTest;
use Time::HiRes qw(sleep time);

my %columns = (position => 'global_position', stream => 'stream_id', version => 'stream_version', name => 'event_name');
my $columns = join ', ', map { "$columns{$_} AS $_" } sort keys %columns;

# Options: dsn; subscription; window; mode; fails; consumer, in a group; log;
# seed; calm, a file that says that handlers are not to fail any more.
sub new {
    my ($class, %options) = @_;
    my $self = bless { hand => [], %options }, $class;
    open $self->{out}, '>>', $self->{log} or die "cannot write $self->{log}: $!";
    $self->{out}->autoflush(1);
    return $self;
}

sub write_log {
    my ($self, @words) = @_;
    printf { $self->{out} } "%.6f %s\n", time, join ' ', @words;
    return;
}

sub complain {
    my ($self, $complaint) = @_;
    $complaint =~ s/\s+/ /g;
    $self->write_log(complaint => $complaint);
    return;
}

# Until TERM, or, given a number, until enext() has returned nothing this number
# of times.
sub run {
    my ($self, $idle) = @_;
    my $finishing = 0;
    my $empty     = 0;
    local $SIG{TERM} = sub { $finishing = 1 };
    srand $self->{seed};
    $self->write_log('start');
    $self->connect;
    until ($finishing || $idle && $empty >= $idle) {
        my $got = $self->attempt(sub { $self->round }) // next;
        $empty = $got ? 0 : $empty + 1;
        sleep rand 0.02;
    }
    $self->leave if defined $self->{consumer} && rand() < 0.5;
    return;
}

# Connects, also again to a server that is just recovering.  The backend of the
# connection before may still be at work there.
sub connect {
    my ($self) = @_;
    my $name = join ' ', 'soak', $self->{subscription}, $self->{consumer} // 'alone';
    $self->{hand} = [];
    wait_until(
        'the server is back',
        sub {
            eval {
                my $dbh = $self->{dbh} = connect_to($self->{dsn});
                $dbh->do("SET statement_timeout = '60s'");
                wait_until(
                    "$name is gone",
                    sub {
                        one_value($dbh, 'SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = $1', $name);
                    });
                $dbh->do("SET application_name = '$name'");
                1;
            };
        });
    return;
}

# Runs code that uses the connection; undef if that failed.
sub attempt {
    my ($self, $code) = @_;
    my $result = eval { $code->() };
    return $result if defined $result;
    my ($complaint, $dbh) = ("$@", $self->{dbh});
    my $state = $dbh->state;
    $self->{hand} = [];
    if (connection_is_lost($dbh)) {
        $self->connect;
        return;
    }
    $dbh->rollback if !$dbh->{AutoCommit};
    my $answering = delete $self->{answering};
    if ($answering && $state =~ /^(?:SE008|22023)$/) {
        $self->write_log(refused => $answering, $state);
    }
    elsif ($state ne '40001' || !$self->{snapshot}) { $self->complain($complaint || 'no complaint') }
    return;
}

# One poll and its processing; the number of events, or undef.
sub round {
    my ($self) = @_;
    $self->{snapshot} = 0;
    return $self->round_once if $self->{mode} eq 'once';
    my $got = $self->poll;
    $self->poll_again($got)                                  if $got               && rand() < 0.2;
    $self->poll(after => $self->{hand}[-1]{position}) if @{ $self->{hand} } && rand() < 0.3;
    $self->process while @{ $self->{hand} };
    return $got;
}

sub round_once {
    my ($self) = @_;
    my $dbh = $self->{dbh};
    $self->{snapshot} = !defined $self->{consumer} && rand() < 0.2;
    $dbh->begin_work;
    $dbh->do('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ') if $self->{snapshot};
    my $got = $self->poll;
    my @answers = $self->process_once;
    if (rand() < 0.1) {
        $dbh->rollback;
        $self->{hand} = [];
        return $got;
    }
    $dbh->commit;
    $self->write_log(@$_) for @answers;
    $self->look_back(@answers);
    return $got;
}

# ---------------------------------------------------------------------------
# Polling
# ---------------------------------------------------------------------------

sub next_events {
    my ($self, %options) = @_;
    my $sent = sprintf '%.6f', time;
    $self->{answering} = $sent if defined $options{after} && defined $self->{consumer};
    my $wait = $self->{snapshot} ? 0 : $options{wait} // (0, 0.1, 0.5)[ rand 3 ];
    my $rows = all_rows(
        $self->{dbh},
        "SELECT $columns FROM enext(\$1, \$2, make_interval(secs => \$3), \$4, \$5)",
        $self->{subscription}, $options{count} // 1 + int rand 40,
        $wait, $options{after}, $self->{consumer});
    delete $self->{answering};
    $self->write_log(next => $sent, $options{after} // '-', map { "$_->{position}|$_->{stream}|$_->{version}" } @$rows)
      if @$rows;
    return @$rows;
}

# Takes events into processing; with after, more of them.
sub poll {
    my ($self, %options) = @_;
    my @events = $self->next_events(%options);
    my @hand   = (@{ $self->{hand} }, @events);
    $self->complain(sprintf '%d events in hand, the window has %d', scalar @hand, $self->{window})
      if @hand > $self->{window};
    $self->complain("$events[$_]{position} came before $events[ $_ - 1 ]{position}")
      for grep { $events[$_]{position} <= $events[ $_ - 1 ]{position} } 1 .. $#events;
    $self->{hand} = \@hand;
    return scalar @events;
}

# The same again, because nothing was acknowledged; less of it, while an append
# is in flight.  A stream that becomes due in the meantime comes first.
sub poll_again {
    my ($self, $count) = @_;
    my @before = map { $_->{position} } @{ $self->{hand} };
    $self->{hand} = [];
    $self->poll(count => $count, wait => 0);
    my @again = map { $_->{position} } @{ $self->{hand} };
    $self->complain("enext() returned @before, and then @again")
      if !$self->{fails} && "@again" ne "@before[ 0 .. $#again ]";
    return;
}

# ---------------------------------------------------------------------------
# Processing
# ---------------------------------------------------------------------------

# Some events are harder than others.
sub handler_fails {
    my ($self, $event) = @_;
    return 0 if !$self->{fails} || -e $self->{calm};
    my $is_hard = ord(md5("$self->{subscription} $event->{position}")) < 5;
    return rand() < ($is_hard ? 0.7 : 0.01);
}

# Takes what is processed next: some events, and one that failed.
sub take {
    my ($self) = @_;
    my $count = 1 + int rand @{ $self->{hand} };
    my @handled;

    # Some work takes longer than the lease of a group.
    sleep rand 1 if defined $self->{consumer} && rand() < 0.01;
    while (@handled < $count) {
        my $event = shift @{ $self->{hand} };
        return (\@handled, $event) if $self->handler_fails($event);
        push @handled, $event;
    }
    return (\@handled, undef);
}

sub process {
    my ($self) = @_;
    my ($handled, $failed) = $self->take;
    for my $event (@$handled) {
        $self->write_log(handled => $event->{position});
        sleep rand 0.002 if rand() < 0.1;
    }
    my @answers;
    push @answers, $self->acknowledge($handled) if @$handled && (!$failed || rand() < 0.7);
    if ($failed) {
        $self->{hand} = [];
        push @answers, $self->reject($failed) if rand() < 0.9;
    }
    $self->write_log(@$_) for @answers;
    $self->look_back(@answers);

    # A consumer that got no answer asks again.
    $self->acknowledge($handled) if @$handled && !$failed && rand() < 0.1;
    return;
}

# The same within a transaction: the handled events are in the table.
sub process_once {
    my ($self) = @_;
    my @answers;
    while (@{ $self->{hand} }) {
        my ($handled, $failed) = $self->take;
        if (@$handled) {
            $self->{dbh}->do('INSERT INTO effects (subscription, position) SELECT $1, unnest($2::bigint[])',
                undef, $self->{subscription}, [ map { $_->{position} } @$handled ]);
            push @answers, $self->acknowledge($handled);
        }
        if ($failed) {
            push @answers, $self->reject($failed);
            $self->{hand} = [];
        }
    }
    return @answers;
}

sub call {
    my ($self, $statement, @values) = @_;
    my ($name) = $statement =~ /(\w+)\(/;
    $self->{answering} = $self->{sent} = sprintf '%.6f', time;
    $self->write_log(sent => $name, map { $_ // '-' } @values[ 1 .. $#values ]);
    my $answer = one_value($self->{dbh}, $statement, @values);
    delete $self->{answering};
    return $answer;
}

# Entries that go into the log once they are certain.
sub acknowledge {
    my ($self, $handled) = @_;
    $self->call('SELECT eack($1, $2, $3)', $self->{subscription}, $handled->[-1]{position}, $self->{consumer});
    return [ acked => map { $_->{position} } @$handled ];
}

sub reject {
    my ($self, $failed) = @_;
    my $milliseconds = int rand 400;
    my $park         = rand() < 0.2 ? 1 : 0;
    my $answer       = $self->call(
        q{SELECT enack($1, $2, make_interval(secs => $3::integer / 1000.0), 'handler failed', $4, $5)},
        $self->{subscription}, $failed->{position}, $milliseconds, $park, $self->{consumer});
    return [ nacked => $self->{sent}, $failed->{position}, $milliseconds, $park, $answer ];
}

# ewait() says, too, that acknowledged events are processed.
sub look_back {
    my ($self, @answers) = @_;
    my ($acked) = grep { $_->[0] eq 'acked' } @answers;
    return if !$acked || rand() > 0.1;
    my $position = $acked->[ 1 + rand $#$acked ];
    $self->complain("ewait() says that $position is not processed")
      if !one_value($self->{dbh}, q{SELECT ewait($1, $2, '0')}, $self->{subscription}, $position);
    return;
}

sub leave {
    my ($self) = @_;
    $self->attempt(
        sub {
            one_value($self->{dbh}, 'SELECT eleave($1, $2)', $self->{subscription}, $self->{consumer});
            $self->write_log('left');
            1;
        });
    return;
}

1;
