# SierraResp.pm
#     A client of the gateway over a bare socket.
#
# Replies keep their types: a simple string is '+text', a bulk string '$text', an integer ':5',
# an error '-TEXT', null '_', a boolean '#t', a double ',0.5'; an array is ['*', ...], a map
# ['%', key, value, ...], a push ['>', ...].

package SierraResp;

use strict;
use warnings;

use Errno;
use IO::Select;
use IO::Socket::INET;
use List::Util qw(max);
use Socket qw(PF_INET SOCK_STREAM SOL_SOCKET SO_RCVBUF inet_aton pack_sockaddr_in);
use Time::HiRes qw(time);

my $patience = $ENV{PG_TEST_TIMEOUT_DEFAULT} || 180;

# Options: socket, of an own connection such as one with TLS; hello, the protocol; ahead, how
# many bytes the system receives before somebody reads.
sub new {
    my ($class, $port, %options) = @_;
    my $socket = $options{socket} // connect_to($port, $options{ahead});
    binmode $socket;
    my $self = bless { socket => $socket, bytes => '', pushes => [] }, $class;
    $self->call('HELLO', $options{hello}) if $options{hello};
    return $self;
}

sub connect_to {
    my ($port, $ahead) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'tcp') // die "cannot make a socket: $!";
    socket $socket, PF_INET, SOCK_STREAM, getprotobyname('tcp') or die "cannot make a socket: $!";
    # before the connection begins, so that the other side learns of it
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, pack 'i', $ahead if $ahead;
    connect $socket, pack_sockaddr_in($port, inet_aton('127.0.0.1')) or die "cannot connect to port $port: $!";
    return $socket;
}

sub frame {
    my (@words) = @_;
    return join '', '*' . @words . "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @words;
}

sub send_bytes {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sent = 0;
    while ($sent < length $bytes) {
        my $step = syswrite $self->{socket}, $bytes, length($bytes) - $sent, $sent;
        return 0 unless defined $step;
        $sent += $step;
    }
    return 1;
}

# Sends a command, and returns its reply.
sub call {
    my ($self, @words) = @_;
    $self->send_bytes(frame(@words));
    return $self->reply;
}

# Is there something to read, in this time?  A child process that ends interrupts the wait.
sub is_readable {
    my ($self, $seconds) = @_;
    my $end = time + $seconds;
    do {
        $! = 0;
        return 1 if IO::Select->new($self->{socket})->can_read(max(0, $end - time));
    } while ($!{EINTR});
    return 0;
}

# More bytes; false at the end of the connection.
sub more {
    my ($self) = @_;
    my $ready = $self->{socket}->can('pending') && $self->{socket}->pending;
    die "no reply for $patience seconds" unless $ready || $self->is_readable($patience);
    my $count;
    do { $count = sysread $self->{socket}, $self->{bytes}, 65536, length $self->{bytes} } until defined $count || !$!{EINTR};
    return $count;
}

sub line {
    my ($self) = @_;
    my $end;
    while (($end = index $self->{bytes}, "\r\n") < 0) { $self->more or return undef; }
    # without a pattern, which would copy all bytes for each line
    my $line = substr $self->{bytes}, 0, $end, '';
    substr $self->{bytes}, 0, 2, '';
    return $line;
}

# The next reply or push; undef at the end of the connection.
sub reply {
    my ($self) = @_;
    my $line = $self->line // return undef;
    my ($type, $rest) = $line =~ /\A(.)(.*)\z/s;
    return $line if $type =~ /[-+:#,]/;
    return '_' if $type eq '_' || $line eq '$-1';
    if ($type eq '$') {
        while (length $self->{bytes} < $rest + 2) { $self->more or return undef; }
        my $text = substr $self->{bytes}, 0, $rest + 2, '';
        return '$' . substr $text, 0, $rest;
    }
    die "not a reply: $line" unless $type =~ /[*%>]/;
    return [ $type, map { $self->reply } 1 .. $rest * ($type eq '%' ? 2 : 1) ];
}

# ---- pushes ----

# A reply as values of Perl: strings and numbers, hashes and arrays, undef for null.  An error
# keeps its '-'.
sub plain {
    my ($reply) = @_;
    if (!ref $reply) {
        return undef if !defined $reply || $reply eq '_';
        return $reply if $reply =~ /\A-/;
        return $reply eq '#t' ? 1 : $reply eq '#f' ? 0 : substr $reply, 1;
    }
    my ($type, @items) = @$reply;
    @items = map { scalar plain($_) } @items;
    return $type eq '%' ? {@items} : \@items;
}

# The next reply as values of Perl; pushes before it are kept.
sub next_answer {
    my ($self) = @_;
    for (;;) {
        my $reply = $self->reply // die "the connection has ended\n";
        return plain($reply) unless ref $reply && $reply->[0] eq '>';
        push @{ $self->{pushes} }, plain($reply);
    }
}

# Sends a command, and returns its reply as values of Perl.
sub ask {
    my ($self, @words) = @_;
    $self->send_bytes(frame(@words));
    return $self->next_answer;
}

# The next push; undef if none comes in this time.
sub next_push {
    my ($self, $seconds) = @_;
    return shift @{ $self->{pushes} } if @{ $self->{pushes} };
    return undef if $self->{bytes} eq '' && !$self->is_readable($seconds // $patience);
    my $reply = $self->reply // die "the connection has ended\n";
    die 'a reply that nobody waits for' unless ref $reply && $reply->[0] eq '>';
    return plain($reply);
}

# The next event of any subscription, as [id, cursor, event]; undef as above.
sub next_message {
    my ($self, $seconds) = @_;
    while (my $push = $self->next_push($seconds)) {
        return [ @$push[ 1 .. 3 ] ] if $push->[0] eq 'message';
    }
    return undef;
}

# That number of events, as texts "stream version".
sub messages {
    my ($self, $count) = @_;
    return [ map { my $event = ($self->next_message // die 'an event is missing')->[2]; "$event->{stream_id} $event->{stream_version}" } 1 .. $count ];
}

# Has nothing come that was sent before this?
sub is_silent {
    my ($self) = @_;
    $self->ask('PING');
    return !grep { $_->[0] ne 'subscribe' } @{ $self->{pushes} };
}

sub end {
    my ($self) = @_;
    return close $self->{socket};
}

# Is the connection ended by the other side, with nothing more to read?
sub is_ended {
    my ($self) = @_;
    return $self->{bytes} eq '' && !$self->more;
}

# A map, or RESP2's array of keys and values, as a hash with keys and values without types.
sub hash {
    my ($reply) = @_;
    my @items = @$reply[ 1 .. $#$reply ];
    my %hash;
    while (my ($key, $value) = splice @items, 0, 2) {
        $hash{ substr $key, 1 } = ref $value ? $value : $value eq '_' ? undef : substr $value, 1;
    }
    return \%hash;
}

# The events of ESCAN and EPSCAN, as hashes.
sub events {
    my ($reply) = @_;
    my $events = hash($reply)->{events};
    return [ map { hash($_) } @$events[ 1 .. $#$events ] ];
}

1;
