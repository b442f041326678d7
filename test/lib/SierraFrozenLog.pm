# SierraFrozenLog.pm
#     A server whose WAL cannot be flushed: what commits now is lost if it crashes.
#
# A process of the server holds the lock that every write of the WAL needs, and is
# stopped.  So whatever has to wait for the WAL waits until the server is killed, however
# slow the machine is.

package SierraFrozenLog;

use strict;
use warnings;

use DBD::Pg qw(:async);
use SierraTest;

# For the settings of the server: nothing else writes the WAL or needs it to be written.
sub settings {
    return <<'CONF';
shared_preload_libraries = 'sierra_es'
sierra_es.max_runners = 0
fsync = on
autovacuum = off
bgwriter_lru_maxpages = 0
checkpoint_timeout = 1h
max_wal_senders = 5
wal_buffers = 16MB
max_connections = 150
CONF
}

sub new {
    my ($class, $node) = @_;
    my $self = bless { node => $node, sessions => [] }, $class;
    $self->{watcher} = connect_to($node);
    return $self;
}

# Stops a session in the pause that commit_delay makes before a flush, under the lock.
sub freeze {
    my ($self) = @_;
    kill 'STOP', one_value($self->{watcher}, q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'});
    my $commits = $self->session;
    $commits->do('SET commit_siblings = 0');
    $commits->do('SET commit_delay = 100000');
    my $pid = $commits->{pg_pid};
    $self->start($commits, q{DO $$ BEGIN LOOP PERFORM pg_logical_emit_message(true, 'x', 'x'); COMMIT; END LOOP; END $$});
    for (;;) {
        kill 'STOP', $pid;
        wait_until('the session is stopped', sub { `ps -o state= -p $pid` =~ /^T/ });
        my $probe = $self->session;
        $self->start($probe, q{SELECT pg_logical_emit_message(true, 'x', 'x')});
        return if $self->outcome($probe) eq 'flush';
        kill 'CONT', $pid;
    }
}

# A session that is kept until the server is killed.
sub session {
    my ($self, @settings) = @_;
    my $dbh = connect_to($self->{node});
    $dbh->do("SET $_") for @settings;
    push @{ $self->{sessions} }, $dbh;
    return $dbh;
}

# Begins a statement and does not wait for it.
sub start {
    my ($self, $dbh, $statement) = @_;
    my $sth = $dbh->prepare($statement, { pg_async => PG_ASYNC, pg_direct => 1 });
    $sth->execute;
    push @{ $self->{statements} }, $sth;
    return;
}

# Waits until the statement was answered ('answer'), or waits for the WAL ('flush') or
# for a lock ('lock').
sub outcome {
    my ($self, $dbh) = @_;
    my $outcome = '';
    wait_until(
        'a statement is answered or waits',
        sub {
            return $outcome = 'answer' if $dbh->pg_ready;
            my ($type, $event) = $self->{watcher}->selectrow_array(
                q{SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE pid = $1}, undef, $dbh->{pg_pid});
            $outcome = 'flush' if ($event // '') eq 'WALWrite';
            $outcome = 'lock' if ($type // '') eq 'Lock';
            return $outcome;
        });
    return $outcome;
}

# The error of a statement that was answered, or ''.
sub error_of {
    my ($self, $dbh) = @_;
    return eval { $dbh->pg_result; 1 } ? '' : $dbh->state;
}

# Kills the server; what was not flushed is lost.
sub crash {
    my ($self) = @_;
    kill_everything($self->{node});
    for my $dbh (@{ $self->{sessions} }, $self->{watcher}) {
        $dbh->{PrintWarn} = 0;
        eval { local $SIG{__WARN__} = sub { }; $dbh->disconnect };
    }
    start_again($self->{node});
    return;
}

1;
