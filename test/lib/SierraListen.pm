# SierraListen.pm
#     A session that listens to sierra_es, and the notifications that it got.

package SierraListen;

use strict;
use warnings;

use IO::Select;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Utils;
use SierraTest;
use Time::HiRes qw(time);

sub new {
    my ($class, $where, $database) = @_;
    my $dbh = connect_to($where, $database);
    $dbh->do('LISTEN sierra_es');
    return bless { dbh => $dbh, heard => [] }, $class;
}

# The next notification, {pid, store, position}; dies if none comes in time.
sub next_heard {
    my ($self) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    my $socket = IO::Select->new($self->{dbh}{pg_socket});
    while (1) {
        my $notice = $self->{dbh}->pg_notifies;
        if ($notice) {
            my ($channel, $pid, $payload) = @$notice;
            return { channel => $channel, pid => $pid, %{ decode_json($payload) } };
        }
        die 'nothing was heard in time' if time > $deadline;
        $socket->can_read(0.1);
    }
}

# All notifications up to the first that says this of this store.
sub heard_until {
    my ($self, $store, $position) = @_;
    my @heard;
    do { push @heard, $self->next_heard }
      until $heard[-1]{store} eq $store && $heard[-1]{position} >= $position;
    return @heard;
}

# What has arrived, without waiting.
sub forget {
    my ($self) = @_;
    $self->{dbh}->do('SELECT 1');
    1 while $self->{dbh}->pg_notifies;
    return;
}

sub end {
    my ($self) = @_;
    $self->{dbh}->disconnect;
    return;
}

1;
