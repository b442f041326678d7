# SierraJudge.pm
#     Judges the consumers of a subscription by their logs, the effects that
#     they left, and the events in the tables.  It knows the rules by itself,
#     and calls none of the views of the extension.

package SierraJudge;

use strict;
use warnings;

use PostgreSQL::Test::Utils;

# Options: subscription, a hash of name, mode, fails, lease (seconds),
# max_attempts, and wants, code that decides whether an event matches it; logs;
# operator, a list of [retry|skip, sent, answered, stream, position].
sub new {
    my ($class, %options) = @_;
    return bless { positions => {}, offset => {}, %options }, $class;
}

# What the subscription must deliver, by stream, in order.
sub expect {
    my ($self, $events) = @_;
    my %streams;
    for my $event (sort { $a->{stream_version} <=> $b->{stream_version} } @$events) {
        next if !$self->{subscription}{wants}->($event);
        push @{ $streams{ $event->{stream_id} } }, $event->{global_position};
        $self->{event}{ $event->{global_position} } = $event;
    }
    $self->{streams} = \%streams;
    return;
}

# ---------------------------------------------------------------------------
# While it runs: what is missing yet?
# ---------------------------------------------------------------------------

# Reads what is new in the logs.
sub read_handled {
    my ($self) = @_;
    for my $log (grep { -e } @{ $self->{logs} }) {
        my $text = slurp_file($log, $self->{offset}{$log} // 0);
        $text =~ s/[^\n]*\z//;
        $self->{offset}{$log} += length $text;
        $self->{positions}{$_} = 1 for $text =~ /^\S+ handled (\d+)$/mg;
    }
    return;
}

# Events that are neither processed nor given up.
sub missing {
    my ($self, $effects) = @_;
    my $done = $self->{positions};
    if   ($self->{subscription}{mode} eq 'once') { $done = { map { $_ => 1 } @$effects } }
    else                                         { $self->read_handled }
    my %skipped = map { $_->[4] => 1 } grep { $_->[0] eq 'skip' } @{ $self->{operator} };
    return grep { !$done->{$_} && !$skipped{$_} } map { @$_ } values %{ $self->{streams} };
}

# ---------------------------------------------------------------------------
# In the end
# ---------------------------------------------------------------------------

# A list of complaints.  effects: positions in the order in which they were
# left.
sub complaints {
    my ($self, $effects) = @_;
    $self->{complaints} = [];
    $self->read_logs;
    my @processed = $self->{subscription}{mode} eq 'once' ? @$effects : @{ $self->{handled} };
    $self->judge_order(\@processed);
    $self->judge_times(\@processed) if $self->{subscription}{mode} eq 'once';
    $self->judge_deliveries;
    $self->judge_members if $self->{subscription}{group};
    $self->judge_failures;
    $self->judge_refusals;
    return map { "$self->{subscription}{name}: $_" } @{ $self->{complaints} };
}

sub complain {
    my ($self, $complaint) = @_;
    push @{ $self->{complaints} }, $complaint;
    return;
}

# Sorts the entries of all logs by time.
sub read_logs {
    my ($self) = @_;
    my @entries;
    for my $log (grep { -e } @{ $self->{logs} }) {
        my $process = 0;
        for my $line (split /\n/, slurp_file($log)) {
            my ($time, $what, @words) = split / /, $line;
            next if !defined $what;
            $process++ if $what eq 'start';
            push @entries, { time => $time, what => $what, words => \@words, log => $log, process => "$log $process" };
        }
    }
    @entries = sort { $a->{time} <=> $b->{time} } @entries;
    $self->{entries} = \@entries;
    $self->{handled} = [ map { $_->{words}[0] } grep { $_->{what} eq 'handled' } @entries ];
    $self->complain("@{ $_->{words} } ($_->{log}, $_->{time})") for grep { $_->{what} eq 'complaint' } @entries;
    return;
}

sub entries_of {
    my ($self, @whats) = @_;
    my %wanted = map { $_ => 1 } @whats;
    return grep { $wanted{ $_->{what} } } @{ $self->{entries} };
}

sub operations {
    my ($self, $what, $stream) = @_;
    return grep { $_->[0] eq $what && (!defined $_->[3] || !defined $stream || $_->[3] eq $stream) }
      @{ $self->{operator} };
}

# Each stream was processed for the first time in its order and without gaps.
sub judge_order {
    my ($self, $processed) = @_;
    my %skipped = map { $_->[4] => 1 } $self->operations('skip');
    my (%first, $place);
    $first{$_} //= ++$place for @$processed;
    $self->complain("processed $_, which it does not want") for grep { !$self->{event}{$_} } sort keys %first;
    for my $stream (sort keys %{ $self->{streams} }) {
        my $last = 0;
        for my $position (@{ $self->{streams}{$stream} }) {
            if (!$first{$position}) {
                $self->complain("$position of $stream was never processed") if !$skipped{$position};
                next;
            }
            $self->complain("$position of $stream was processed before an earlier one")
              if $first{$position} < $last && !$skipped{$position};
            $last = $first{$position} if $first{$position} > $last && !$skipped{$position};
        }
    }
    return;
}

sub judge_times {
    my ($self, $processed) = @_;
    my %times;
    $times{$_}++ for @$processed;
    $self->complain("$_ has effects $times{$_} times") for grep { $times{$_} > 1 } sort keys %times;
    return;
}

# Delivered events are those in the tables; acknowledged events do not come
# again, and are not acknowledged for a second consumer.
sub judge_deliveries {
    my ($self) = @_;
    my %done;
    for my $entry ($self->entries_of('acked')) {
        for my $position (@{ $entry->{words} }) {
            $self->complain("$position was acknowledged at $done{$position} and at $entry->{time}") if $done{$position};
            $done{$position} //= $entry->{time};
        }
    }
    $done{ $_->[4] } //= $_->[2] for $self->operations('skip');
    for my $entry ($self->entries_of('next')) {
        my ($sent, undef, @delivered) = @{ $entry->{words} };
        for (@delivered) {
            my ($position, $stream, $version) = split /\|/;
            my $event = $self->{event}{$position};
            $self->complain("delivered $_, which it does not want")
              if !$event || $event->{stream_id} ne $stream || $event->{stream_version} != $version;
            $self->complain("delivered $position at $entry->{time}, asked for at $sent, which was done at $done{$position}")
              if $done{$position} && $done{$position} < $sent;
        }
    }
    return;
}

# Entries about events that a member certainly has: events that it got in a
# transaction count only if that was committed.
sub sure_hands {
    my ($self) = @_;
    my (%sure, %open);
    for my $entry ($self->entries_of(qw(next acked))) {
        my $is_next = $entry->{what} eq 'next';
        $open{ $entry->{process} } = $entry if $is_next;
        my $next = $open{ $entry->{process} } or next;
        $sure{$next} = 1 if !$is_next || $self->{subscription}{mode} ne 'once';
    }
    return \%sure;
}

# No two members of a group have events of one stream at the same time.  A lease
# is certain for three quarters of its time after a member's last call; a member
# certainly has an event until it sends its answer.
sub judge_members {
    my ($self) = @_;
    my $sure = $self->sure_hands;
    my %hand;
    for my $entry (@{ $self->{entries} }) {
        my ($log, $what) = @$entry{qw(log what)};
        delete $hand{$log} if $what =~ /^(?:start|left|sent|next)$/;
        next if $what ne 'next';
        my ($sent, undef, @delivered) = @{ $entry->{words} };
        my %streams = map { (split /\|/)[1] => 1 } @delivered;
        for my $other (sort keys %hand) {
            next if $sent < $hand{$other}{since} || $entry->{time} > $hand{$other}{until};
            $self->complain("$log and $other have events of $_ in hand at $entry->{time}")
              for grep { $hand{$other}{streams}{$_} } sort keys %streams;
        }
        $hand{$log} = {
            since   => $entry->{time},
            until   => $sent + 0.75 * $self->{subscription}{lease},
            streams => \%streams
        } if $sure->{$entry};
    }
    return;
}

# A failed event comes again when its time has come; a parked one, when an
# operator retries it.
sub judge_failures {
    my ($self) = @_;
    my %nacked;
    push @{ $nacked{ $_->{words}[1] } }, $_ for $self->entries_of('nacked');
    my %nexts;
    for my $entry ($self->entries_of('next')) {
        my ($sent, undef, @delivered) = @{ $entry->{words} };
        push @{ $nexts{ (split /\|/)[0] } }, [ $sent, $entry->{time} ] for @delivered;
    }
    for my $position (sort keys %nacked) {
        my $event = $self->{event}{$position} or next;
        for my $entry (@{ $nacked{$position} }) {
            my ($sent, undef, $milliseconds, $park, $answer) = @{ $entry->{words} };
            my @again  = grep { $_->[0] > $entry->{time} } @{ $nexts{$position} };
            my $again  = $again[0] or next;
            my @let_go = grep { $_->[2] > $sent && $_->[1] < $again->[1] } $self->operations('retry', $event->{stream_id});
            next if @let_go;
            $self->complain("$position came again at $again->[1], though it was parked at $sent") if $answer eq 'parked';
            $self->complain("$position came again at $again->[1], though it failed at $sent for $milliseconds ms")
              if $answer eq 'retrying' && $again->[1] < $sent + $milliseconds / 1000;
        }
        $self->judge_attempts($position, $event, $nacked{$position});
    }
    return;
}

# It is parked after max_attempts failures since it was last retried by an
# operator, not sooner.
sub judge_attempts {
    my ($self, $position, $event, $entries) = @_;
    my @retries = $self->operations('retry', $event->{stream_id});
    my @unsure  = grep { $_->{words}[0] eq 'enack' && $_->{words}[1] == $position } $self->entries_of('sent');
    for my $entry (@$entries) {
        my ($sent, undef, undef, $park, $answer) = @{ $entry->{words} };
        my $surely = grep {
            my $earlier = $_;
            $earlier->{time} <= $entry->{time}
              && !grep { $_->[2] > $earlier->{words}[0] && $_->[1] < $entry->{time} } @retries;
        } @$entries;
        my $perhaps = grep {
            my $earlier = $_;
            $earlier->{time} <= $entry->{time}
              && !grep { $_->[1] > $earlier->{time} + 1 && $_->[2] < $sent } @retries;
        } @unsure;
        my $max = $self->{subscription}{max_attempts};
        $self->complain("$position was retried at $sent, though it failed $surely times") if $answer ne 'parked' && $surely >= $max;
        $self->complain("$position was parked at $sent, though it failed $perhaps times")
          if $answer eq 'parked' && !$park && $perhaps < $max;
        $self->complain("$position was not parked at $sent") if $park && $answer ne 'parked';
    }
    return;
}

# An event that the member no longer has: only after an operator took it back.
# Stale: only in a group, after the lease time.
sub judge_refusals {
    my ($self) = @_;
    my %last_next;
    for my $entry ($self->entries_of(qw(next refused))) {
        if ($entry->{what} eq 'next') { $last_next{ $entry->{log} } = $entry; next }
        my ($sent, $state) = @{ $entry->{words} };
        my $next  = $last_next{ $entry->{log} };
        my $since = $next->{words}[0];
        my $late  = $entry->{time} - $since > 0.75 * ($self->{subscription}{lease} // 1e9);
        next if $state eq 'SE008' && $late;
        next if $state eq '22023' && grep { $_->[2] > $since && $_->[1] < $entry->{time} } @{ $self->{operator} };
        $self->complain("$state at $sent, polled at $since ($entry->{log})");
    }
    return;
}

1;
