# SierraConditions.pm
#     One session of the randomised test of append conditions, and the proof that its
#     answers are right.
#
# Each call is an append of a few tagged events, most of them under a condition that the
# session has read facts for.  The events carry the call's number and condition in their
# payload.  So everything that is stored can be judged, whether it was acknowledged or
# not.  Answers are logged as lines of JSON.

package SierraConditions;

use strict;
use warnings;

use JSON::PP;
use SierraTest;
use Time::HiRes qw(sleep);

my @tags    = map { "t$_" } 1 .. 6;
my @names   = qw(A B C);
my @streams = map { "s-$_" } 1 .. 12;
my $json    = JSON::PP->new->canonical->allow_nonref;

# Options: node; store; session; seed; calls; several, the share of transactions that have two
# calls; log and progress, files.
sub new {
    my ($class, %options) = @_;
    my $self = bless { %options, n => 0 }, $class;
    srand $self->{seed} * 1000 + $self->{session};
    for my $file (qw(log progress)) {
        open $self->{"${file}_file"}, '>>', $self->{$file} or die "cannot write $self->{$file}: $!";
        $self->{"${file}_file"}->autoflush(1);
    }
    return $self;
}

sub one_of { return $_[ rand @_ ] }

# Some of these, each once, in any order.
sub some_of {
    my ($count, @from) = @_;
    return map { splice @from, rand @from, 1 } 1 .. $count;
}

sub run {
    my ($self) = @_;
    while ($self->{n} < $self->{calls}) {
        $self->{dbh} = undef;
        eval {
            $self->{dbh} = connect_to($self->{node});
            $self->{dbh}->do("SET sierra_es.store = $self->{store}");
            $self->transaction while $self->{n} < $self->{calls};
            1;
        } and next;
        my $error = $@;
        die $error if $self->{dbh} && $self->{dbh}->ping;
        sleep 0.1;
    }
    return;
}

sub random_item {
    my %item;
    $item{tags}  = [ some_of(1 + int rand 2, @tags) ] if rand() < 0.93;
    $item{types} = [ some_of(1 + int rand 2, @names) ] if !$item{tags} || rand() < 0.4;
    return \%item;
}

# The condition of a call, with facts that are read now; undef for none.
sub condition {
    my ($self) = @_;
    my %condition;
    return if rand() < 0.25;
    if (rand() < 0.85) {
        my $head = one_value($self->{dbh}, 'SELECT ehead()');
        $condition{after} = $head > 5 && rand() < 0.1 ? $head - int rand 5 : 0 + $head;
        $condition{query} = rand() < 0.02 ? [] : [ map { random_item() } 1 .. 1 + int rand 2 ];
    }
    if (!%condition || rand() < 0.2) {
        for my $stream (some_of(1 + int rand 2, @streams)) {
            my $version = one_value($self->{dbh}, 'SELECT esver($1)', $stream);
            $condition{streams}{$stream} = defined $version ? 0 + $version : 'empty';
        }
    }
    sleep rand 0.01 if rand() < 0.3;
    return \%condition;
}

sub event {
    my ($self, $condition) = @_;
    my $checked = $condition && $condition->{streams} || {};
    my @tagged  = rand() < 0.9 ? some_of(1 + int rand 3, @tags) : ();
    return {
        stream_id  => one_of(grep { !exists $checked->{$_} } @streams),
        event_name => one_of(@names),
        @tagged ? (tags => \@tagged) : (),
        payload => { call => "$self->{session}-$self->{n}", condition => $condition }
    };
}

# One call; true if it was not refused.
sub call {
    my ($self, $entry) = @_;
    $self->{n}++;
    my $condition = $self->condition;
    my %append = (events => [ map { $self->event($condition) } 1 .. 1 + int rand 3 ]);
    $append{condition} = $condition if $condition;
    my %call = (call => "$self->{session}-$self->{n}", condition => $condition);
    push @{ $entry->{calls} }, \%call;
    return 1 if eval {
        $call{positions} = $self->{dbh}->selectcol_arrayref('SELECT global_position FROM emappend(NULL, $1)',
            undef, $json->encode(\%append));
        1;
    };
    @call{qw(state message)} = ($self->{dbh}->state, $self->{dbh}->errstr);
    die $@ if $call{state} !~ /^(?:SE|40)/ && connection_is_lost($self->{dbh});
    ($call{found}) = $call{message} =~ /query: position (\d+),/;
    return 0;
}

sub transaction {
    my ($self) = @_;
    my $dbh   = $self->{dbh};
    my $calls = rand() < $self->{several} ? 2 : 1;
    my %entry = (calls => [], isolated => rand() < 0.1 ? 1 : 0);
    $dbh->do($entry{isolated} ? 'BEGIN ISOLATION LEVEL REPEATABLE READ' : 'BEGIN');
    my $ok = 1;
    $ok &&= $self->call(\%entry) for 1 .. $calls;
    $dbh->do('SELECT pg_sleep($1)', undef, rand 0.01) if $ok && rand() < 0.3;
    $entry{committed} = $ok && rand() < 0.9 ? 1 : 0;
    $dbh->do($entry{committed} ? 'COMMIT' : 'ROLLBACK');
    print { $self->{log_file} } $json->encode(\%entry), "\n";
    syswrite $self->{progress_file}, '.' x $calls;
    return;
}

# ---------------------------------------------------------------------------
# The proof
# ---------------------------------------------------------------------------

sub item_matches {
    my ($item, $event) = @_;
    return 0 if $item->{types} && !grep { $_ eq $event->{event_name} } @{ $item->{types} };
    my %has = map { $_ => 1 } @{ $event->{tags} // [] };
    return !grep { !$has{$_} } @{ $item->{tags} // [] };
}

sub matches {
    my ($query, $event) = @_;
    return !@$query || grep { item_matches($_, $event) } @$query;
}

# The first event between two positions, both excluded, that a query matches.
sub first_match {
    my ($events, $query, $after, $before) = @_;
    for my $event (@$events) {
        next if $event->{global_position} <= $after;
        last if $event->{global_position} >= $before;
        return $event if matches($query, $event);
    }
    return;
}

# Was the condition of a stored call true when the call was made?
sub false_success {
    my ($events, $own, $condition) = @_;
    my $position = $own->{global_position};
    if ($condition->{query}) {
        my $other = first_match($events, $condition->{query}, $condition->{after}, $position);
        return "event $other->{global_position} lies between its position $condition->{after} and $position" if $other;
    }
    for my $stream (sort keys %{ $condition->{streams} // {} }) {
        my $count = grep { $_->{stream_id} eq $stream && $_->{global_position} < $position } @$events;
        my $wanted = $condition->{streams}{$stream};
        return "stream $stream had $count events, and it expected $wanted"
          if $count != ($wanted eq 'empty' ? 0 : $wanted + 1);
    }
    return;
}

# Is there a reason for a failed condition?  Own events of the transaction can be one too.
sub false_refusal {
    my ($events, $by_position, $call, $own) = @_;
    return unless $call->{state} eq 'SE009';
    my $found = $call->{found} // return "it does not name an event: $call->{message}";
    return if $own->{$found};
    my $event = $by_position->{$found} // return "event $found is not stored";
    my ($query, $after) = @{ $call->{condition} }{qw(query after)};
    return "event $found does not match" unless $found > $after && matches($query, $event);
    my $first = first_match($events, $query, $after, $found);
    return "event $first->{global_position} is before $found" if $first;
    return;
}

# What a call may fail with.  Transactions of several calls take locks in any order, and
# then another transaction can be the victim of their deadlock.
sub may_fail_with {
    my ($state, $entry, $several) = @_;
    return 1 if $state =~ /^SE00[19]$/ || $several && $state eq '40P01';
    return $entry->{isolated} && $state eq '40001';
}

# Judges a store and the answers of its sessions: returns complaints, and counts of what
# there was.
sub judge {
    my ($dbh, $store, $several, @lines) = @_;
    my $events = all_rows($dbh, "SELECT global_position, stream_id, event_name, tags, payload FROM $store.events ORDER BY 1");
    my (@complaints, %count, %stored, %by_position);
    for my $event (@$events) {
        my $payload = $json->decode($event->{payload});
        $by_position{ $event->{global_position} } = $event;
        $stored{ $payload->{call} } //= { first => $event, condition => $payload->{condition} };
        push @{ $stored{ $payload->{call} }{positions} }, $event->{global_position};
    }
    for my $call (sort keys %stored) {
        next unless $stored{$call}{condition};
        $count{'stored under a condition'}++;
        my $complaint = false_success($events, $stored{$call}{first}, $stored{$call}{condition});
        push @complaints, "call $call succeeded, but $complaint" if $complaint;
    }
    for my $line (@lines) {
        my $entry = $json->decode($line);
        my %own = map { $_ => 1 } map { @{ $_->{positions} // [] } } @{ $entry->{calls} };
        for my $call (@{ $entry->{calls} }) {
            my $state = $call->{state} // ($entry->{committed} ? 'committed' : 'rolled back');
            $count{$state}++;
            my $there = join ',', @{ ($stored{ $call->{call} } // {})->{positions} // [] };
            push @complaints, "call $call->{call} was acknowledged at @{ $call->{positions} }, and is stored at ($there)"
              if $state eq 'committed' && $there ne join ',', @{ $call->{positions} };
            push @complaints, "call $call->{call} was rolled back, and is stored at $there"
              if $state ne 'committed' && $there ne '';
            my $complaint = $call->{state} && false_refusal($events, \%by_position, $call, \%own);
            push @complaints, "call $call->{call} was refused, but $complaint" if $complaint;
            push @complaints, "call $call->{call} failed with $call->{state}: $call->{message}"
              if $call->{state} && !may_fail_with($call->{state}, $entry, $several);
        }
    }
    return (\@complaints, \%count);
}

1;
