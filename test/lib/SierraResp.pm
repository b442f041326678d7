# SierraResp.pm
#     A client of the gateway over a bare socket.
#
# Replies keep their types: a simple string is '+text', a bulk string '$text', an integer ':5',
# an error '-TEXT', null '_', a boolean '#t', a double ',0.5'; an array is ['*', ...], a map
# ['%', key, value, ...], a push ['>', ...].

package SierraResp;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;

my $patience = $ENV{PG_TEST_TIMEOUT_DEFAULT} || 180;

# Options: socket, of an own connection such as one with TLS; hello, the protocol.
sub new {
    my ($class, $port, %options) = @_;
    my $socket = $options{socket} // IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
    die "cannot connect to port $port: $!" unless $socket;
    binmode $socket;
    my $self = bless { socket => $socket, bytes => '' }, $class;
    $self->call('HELLO', $options{hello}) if $options{hello};
    return $self;
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

# More bytes; false at the end of the connection.
sub more {
    my ($self) = @_;
    my $ready = $self->{socket}->can('pending') && $self->{socket}->pending;
    die "no reply for $patience seconds" unless $ready || IO::Select->new($self->{socket})->can_read($patience);
    return sysread $self->{socket}, $self->{bytes}, 65536, length $self->{bytes};
}

sub line {
    my ($self) = @_;
    while ($self->{bytes} !~ /\r\n/) { $self->more or return undef; }
    $self->{bytes} =~ s/\A(.*?)\r\n//s;
    return $1;
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
