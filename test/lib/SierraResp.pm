# SierraResp.pm
#     A client of the gateway for the tests: commands, replies and pushes over a bare socket.
#
# Strings and integers are Perl's, maps are hashes, null is undef, an error is an object of
# SierraResp::Error.  Pushes are kept apart from replies.

package SierraResp;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Socket qw(IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_RCVBUF);
use Time::HiRes qw(time);

# Options: hello => 0, does not ask for RESP3; buffer, bytes that the system receives ahead.
sub new {
    my ($class, $port, %options) = @_;
    my $socket = IO::Socket::INET->new(Proto => 'tcp', Blocking => 1) // die "no socket: $!";
    socket $socket, Socket::PF_INET(), Socket::SOCK_STREAM(), getprotobyname('tcp') or die "no socket: $!";
    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, pack('i', $options{buffer}) if $options{buffer};
    connect $socket, Socket::pack_sockaddr_in($port, Socket::inet_aton('127.0.0.1')) or die "cannot connect: $!";
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, pack 'i', 1;
    my $self = bless { socket => $socket, in => '', pushes => [] }, $class;
    $self->call('HELLO', 3) if $options{hello} // 1;
    return $self;
}

sub send_command {
    my ($self, @words) = @_;
    my $frame = '*' . @words . "\r\n" . join '', map { '$' . length($_) . "\r\n$_\r\n" } @words;
    my $sent  = 0;
    while ($sent < length $frame) {
        my $count = syswrite $self->{socket}, $frame, length($frame) - $sent, $sent;
        die "cannot write: $!" unless defined $count;
        $sent += $count;
    }
    return;
}

# Parses one value at pos($self->{in}); dies with 'more' if it is not whole.
sub parse {
    my ($self) = @_;
    my $in = \$self->{in};
    $$in =~ /\G(.)([^\r]*)\r\n/gc or die "more\n";
    my ($type, $text) = ($1, $2);
    if ($type eq '$') {
        return undef if $text < 0;
        my $start = pos $$in;
        die "more\n" if length($$in) < $start + $text + 2;
        pos($$in) = $start + $text + 2;
        return substr $$in, $start, $text;
    }
    return $text                              if $type eq '+' || $type eq ':';
    return bless { text => $text }, 'SierraResp::Error' if $type eq '-';
    return undef                              if $type eq '_';
    return $text eq 't' ? 1 : 0               if $type eq '#';
    return { map { ($self->parse, $self->parse) } 1 .. $text } if $type eq '%';
    return [ map { scalar $self->parse } 1 .. $text ] if $type eq '*';
    return bless [ map { scalar $self->parse } 1 .. $text ], 'SierraResp::Push' if $type eq '>';
    die "what is this: $type$text";
}

# Reads a reply or push; undef after so many seconds without one.  Dies when the connection ends.
sub read_frame {
    my ($self, $seconds) = @_;
    my $deadline = time + ($seconds // $PostgreSQL::Test::Utils::timeout_default);
    for (;;) {
        pos($self->{in}) = $self->{at} //= 0;
        my $frame = eval { [ $self->parse ] };
        if ($frame) {
            $self->{at} = pos $self->{in};
            return $frame->[0];
        }
        die $@ if $@ ne "more\n";
        substr $self->{in}, 0, $self->{at}, '';
        $self->{at} = 0;
        my $left = $deadline - time;
        return undef if $left <= 0 || !IO::Select->new($self->{socket})->can_read($left);
        my $count = sysread $self->{socket}, $self->{in}, 262144, length $self->{in};
        die "the connection has ended\n" unless $count;
    }
}

# The next reply; pushes before it are kept.
sub reply {
    my ($self) = @_;
    for (;;) {
        my $frame = $self->read_frame;
        return $frame unless ref $frame eq 'SierraResp::Push';
        push @{ $self->{pushes} }, $frame;
    }
}

sub call {
    my ($self, @words) = @_;
    $self->send_command(@words);
    return $self->reply;
}

# The next push; undef if there is none in this time.
sub next_push {
    my ($self, $seconds) = @_;
    return shift @{ $self->{pushes} } if @{ $self->{pushes} };
    my $frame = $self->read_frame($seconds);
    die 'a reply that nobody waits for' if defined $frame && ref $frame ne 'SierraResp::Push';
    return $frame;
}

# The next event of any subscription, as [id, cursor, event]; undef as above.
sub next_message {
    my ($self, $seconds) = @_;
    while (my $push = $self->next_push($seconds)) {
        return [ @$push[ 1 .. 3 ] ] if $push->[0] eq 'message';
    }
    return undef;
}

# So many events, as strings "stream version".
sub messages {
    my ($self, $count) = @_;
    return [ map { my $e = ($self->next_message // die 'an event is missing')->[2]; "$e->{stream_id} $e->{stream_version}" } 1 .. $count ];
}

# Is nothing there that was sent before this?
sub is_silent {
    my ($self) = @_;
    $self->call('PING');
    return !grep { $_->[0] ne 'subscribe' } @{ $self->{pushes} };
}

sub close { return close $_[0]{socket}; }

package SierraResp::Error;

use overload '""' => sub { $_[0]{text} }, fallback => 1;

1;
