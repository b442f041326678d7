# SierraProducer.pm
#     A session that appends at random for subscribers: single events and batches,
#     several calls in one transaction, slow transactions, rollbacks.
#
# It needs no log: subscribers must see exactly the events that are in the
# tables in the end.

package SierraProducer;

use strict;
use warnings;

use SierraTest;
use Time::HiRes qw(sleep time);

our @names   = qw(Opened Changed Paid Closed);
our @streams = ((map { "order-$_" } 0 .. 7), (map { "invoice-$_" } 0 .. 4), (map { "tenant-$_" } 0 .. 3), 'audit');

# Options: dsn; session; seed; transactions; progress, a file that grows by a
# byte with each transaction.
sub new {
    my ($class, %options) = @_;
    my $self = bless {%options}, $class;
    srand $self->{seed} * 1000 + $self->{session};
    open $self->{progress_file}, '>>', $self->{progress} or die "cannot write $self->{progress}: $!";
    $self->{progress_file}->autoflush(1);
    return $self;
}

sub run {
    my ($self) = @_;
    $self->connect;
    for (1 .. $self->{transactions}) {
        if (!eval { $self->transaction; 1 }) {
            my $dbh = $self->{dbh};

            # Two transactions that append to two partitions each can deadlock.
            my $complaint = $@;
            my $deadlock  = $dbh->state eq '40P01';
            if    (connection_is_lost($dbh)) { $self->connect }
            elsif ($deadlock)                { $dbh->rollback if !$dbh->{AutoCommit} }
            else                             { die $complaint }
        }
        syswrite $self->{progress_file}, '.';
        sleep rand 0.02;
    }
    return;
}

sub connect {
    my ($self) = @_;
    wait_until('the server is back', sub { eval { $self->{dbh} = connect_to($self->{dsn}); 1 } });
    return eval { $self->{dbh}->do("SET application_name = 'soak producer'"); 1 } || $self->connect;
}

sub transaction {
    my ($self) = @_;
    my $dbh    = $self->{dbh};
    my $calls  = rand() < 0.2 ? 1 + int rand 3 : 1;
    my $undone = rand() < 0.1;
    return $self->append if $calls == 1 && !$undone;
    $dbh->begin_work;
    for (1 .. $calls) {
        my $savepoint = rand() < 0.2;
        $dbh->do('SAVEPOINT here') if $savepoint;
        $self->append;
        $dbh->do('ROLLBACK TO here') if $savepoint && rand() < 0.5;

        # Others commit higher positions in the meantime.
        sleep rand 0.03 if rand() < 0.3;
    }
    $undone ? $dbh->rollback : $dbh->commit;
    return;
}

sub append {
    my ($self) = @_;
    my $count  = rand() < 0.5 ? 1 : 1 + int rand 8;
    my $stream = $streams[ rand @streams ];

    # Streams of a tenant are together in the partition of its key.
    my $key     = $stream =~ /^tenant/ ? 'all tenants' : undef;
    my @streams = map { defined $key ? 'tenant-' . int rand 4 : (grep { !/^tenant/ } @streams)[ rand 14 ] } 1 .. $count;
    my @names   = map { $names[ rand @names ] } 1 .. $count;
    $self->{dbh}->selectall_arrayref('SELECT * FROM emappend($1, $2, $3)', undef, $key, \@streams, \@names);
    return;
}

1;
