# SierraTest.pm
#     What the TAP tests share: servers, sessions, and conditions that a store
#     must meet.

package SierraTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use DBI;
use Exporter qw(import);
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use POSIX ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
  new_server init_server create_store connect_to dsn_of sqlstate_of connection_is_lost
  all_rows one_value store_text same_text events_by_number number_faults everify_rows
  store_is_sound no_complaints append_continues wait_until kill_everything start_again
  fork_process wait_for_process work_until random_uuid
);

my $settings = dirname(abs_path(__FILE__)) . '/../sierra_es.conf';

# A server with the settings of all tests and the extension in database postgres.
# Options are those of init_server().
sub new_server {
    my ($name, %options) = @_;
    my $node = init_server($name, %options);
    $node->start;
    $node->safe_psql('postgres', 'CREATE EXTENSION sierra_es');
    return $node;
}

# The same, but neither started nor with the extension.  Options: install_path, of another
# PostgreSQL; initdb, more options of initdb; those of PostgreSQL::Test::Cluster::init.
sub init_server {
    my ($name, %options) = @_;
    my $path = delete $options{install_path};
    my $node = PostgreSQL::Test::Cluster->new($name, defined $path ? (install_path => $path) : ());

    # A store needs UTF8, whatever the locale of the user that runs the tests
    # is.
    $node->init(extra => [ '--encoding=UTF8', '--no-locale', @{ delete $options{initdb} // [] } ], %options);

    # init() of the new PostgreSQL writes it, and an older server does not know it.
    $node->adjust_conf('postgresql.conf', 'autovacuum_worker_slots', undef) if defined $path;
    $node->append_conf('postgresql.conf', slurp_file($settings));
    $node->append_conf('postgresql.conf', <<'CONF');
log_statement = none
max_connections = 50
shared_buffers = 32MB
restart_after_crash = on
deadlock_timeout = 200ms
CONF
    return $node;
}

sub create_store {
    my ($node, $partitions, $store) = @_;
    my $dbh = connect_to($node);
    $dbh->do('SELECT create_event_store(?, ?)', undef, $store // 'es', $partitions);
    $dbh->disconnect;
    return;
}

# With several servers: the one that can be written to.
sub dsn_of {
    my (@nodes) = @_;
    return sprintf 'dbi:Pg:dbname=postgres;host=%s;port=%s;target_session_attrs=%s',
      join(',', map { $_->host } @nodes), join(',', map { $_->port } @nodes),
      @nodes > 1 ? 'read-write' : 'any';
}

# A session that dies with the server's message when a statement fails.
# AutoInactiveDestroy: a forked child must not close the connections of its parent.
sub connect_to {
    my ($where, $database, $user) = @_;
    my $dsn = ref $where ? dsn_of($where) : $where;
    $dsn =~ s/dbname=postgres/dbname=$database/ if defined $database;
    return DBI->connect(
        $dsn, $user, undef,
        {
            RaiseError          => 1,
            PrintError          => 0,
            AutoCommit          => 1,
            AutoInactiveDestroy => 1
        });
}

# The SQLSTATE that a statement fails with, or '' if it does not.
sub sqlstate_of {
    my ($dbh, $statement, @values) = @_;
    return eval { $dbh->selectall_arrayref($statement, undef, @values); 1 } ? '' : $dbh->state;
}

# After an error: is the session gone, rather than the statement refused?
sub connection_is_lost {
    my ($dbh) = @_;
    return $dbh->state =~ /^57P0[123]$/ || !$dbh->ping;
}

sub all_rows {
    my ($dbh, $statement, @values) = @_;
    return $dbh->selectall_arrayref($statement, { Slice => {} }, @values);
}

sub one_value {
    my ($dbh, $statement, @values) = @_;
    return ($dbh->selectrow_array($statement, undef, @values))[0];
}

# Every byte of a store's tables, as text; equal for equal stores.
sub store_text {
    my ($dbh, $store) = @_;
    my $schema = $dbh->quote_identifier($store // 'es');
    my @lines;
    for my $table ([ events => 'partition_id, partition_sequence' ],
        [ stream_keys => 'stream_id' ], [ event_ids => 'event_id' ], [ event_tags => 'tag, global_position' ])
    {
        my ($name, $order) = @$table;
        push @lines, $name,
          @{ $dbh->selectcol_arrayref("SELECT t::text FROM $schema.$name AS t ORDER BY $order") };
    }
    return join "\n", @lines;
}

# Like is(), but shows the first lines that differ, not megabytes.
sub same_text {
    my ($got, $expected, $name) = @_;
    return pass($name) if $got eq $expected;
    my @got      = split /\n/, $got;
    my @expected = split /\n/, $expected;
    fail($name);
    diag(sprintf '%d lines, expected %d', scalar @got, scalar @expected);
    for my $i (0 .. ($#got > $#expected ? $#got : $#expected)) {
        my ($left, $right) = ($got[$i] // '(none)', $expected[$i] // '(none)');
        next if $left eq $right;
        diag("line $i: got $left\nexpected $right");
        last;
    }
    return 0;
}

# All events of a store, straight from its tables, in the order of partitions.
sub events_by_number {
    my ($dbh, $store) = @_;
    my $schema = $dbh->quote_identifier($store // 'es');
    return all_rows(
        $dbh,
        "SELECT *, md5(coalesce(payload::text, '')) AS payload_digest FROM $schema.events
          ORDER BY partition_id, partition_sequence"
    );
}

# What is wrong with the numbers of events_by_number().  The test counts them
# itself, and does not use everify(): that is tested too.
sub number_faults {
    my ($events) = @_;
    my (@faults, %next_sequence, %last_position, %versions, %position, %id);
    for my $event (@$events) {
        my $partition = $event->{partition_id};
        my $place     = "partition $partition, sequence $event->{partition_sequence}";
        my $wanted    = $next_sequence{$partition}++ // 0;
        push @faults, "$place: should be $wanted" if $event->{partition_sequence} != $wanted;
        push @faults, "$place: position $event->{global_position} does not grow"
          if $event->{global_position} <= ($last_position{$partition} // -1);
        $last_position{$partition} = $event->{global_position};
        push @faults, "$place: position $event->{global_position} is there twice"
          if $position{ $event->{global_position} }++;
        push @faults, "$place: id $event->{event_id} is there twice" if $id{ $event->{event_id} }++;
        push @{ $versions{ $event->{stream_id} } }, $event->{stream_version};
    }
    while (my ($stream, $found) = each %versions) {
        my @sorted = sort { $a <=> $b } @$found;
        push @faults, "stream $stream: versions @sorted"
          if grep { $sorted[$_] != $_ } 0 .. $#sorted;
    }
    return @faults;
}

# What everify() reports, a line for each row.
sub everify_rows {
    my ($dbh, $store) = @_;
    return map { "$_->{problem}: $_->{detail}" }
      @{ all_rows($dbh, 'SELECT * FROM everify(?)', $store // 'es') };
}

# One test: passes if there is nothing to complain about.
sub no_complaints {
    my ($complaints, $name) = @_;
    return pass($name) unless @$complaints;
    fail($name);
    my $shown = @$complaints > 20 ? 19 : $#$complaints;
    diag(join "\n", scalar(@$complaints) . ' complaints:', @$complaints[ 0 .. $shown ]);
    return 0;
}

# Two tests: the numbers are gapless, and everify() finds nothing.
sub store_is_sound {
    my ($dbh, $name, $store) = @_;
    no_complaints([ number_faults(events_by_number($dbh, $store)) ], "gapless: $name");
    no_complaints([ everify_rows($dbh, $store) ], "everify() finds nothing: $name");
    return;
}

# One test: an append to every stream given gets the numbers that come next.
sub append_continues {
    my ($dbh, $streams, $name, $store) = @_;
    my $schema = $dbh->quote_identifier($store // 'es');
    my @complaints;
    $dbh->do('SELECT set_config($1, $2, false)', undef, 'sierra_es.store', $store // 'es');
    for my $stream (@$streams) {
        my $position = one_value($dbh, "SELECT max(global_position) FROM $schema.events") // -1;

        # The statement's snapshot shows the store as it was before the append.
        my $row = $dbh->selectrow_hashref(
            'WITH done AS MATERIALIZED (SELECT * FROM eappend($1, $2))
             SELECT done.*, esver($1) AS version, epseq(partition_id) AS sequence FROM done',
            undef, $stream, 'Continued');
        my %before = (
            stream_version     => $row->{version}  // -1,
            partition_sequence => $row->{sequence} // -1,
        );
        push @complaints, map { "stream $stream: $_ $row->{$_} after $before{$_}" }
          grep { $row->{$_} != $before{$_} + 1 } sort keys %before;
        push @complaints, "stream $stream: position $row->{global_position} after $position"
          if $row->{global_position} <= $position;
    }
    $dbh->do('RESET sierra_es.store');
    return no_complaints(\@complaints, $name);
}

# Waits until the code returns something true.
sub wait_until {
    my ($what, $code) = @_;
    my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
    until ($code->()) {
        die "timed out waiting until $what" if time > $deadline;
        sleep 0.02;
    }
    return;
}

# kill -9 of the postmaster and of all its children at once.
sub kill_everything {
    my ($node) = @_;
    my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
    my $dbh = connect_to($node);

    # Stopped, it cannot start another child while the others are counted.
    kill 'STOP', $postmaster;
    my $pids = $dbh->selectcol_arrayref('SELECT pid FROM pg_stat_activity');
    kill 'KILL', @$pids, $postmaster;
    $node->kill9;
    wait_until('the postmaster is gone', sub { !kill 0, $postmaster });
    eval { $dbh->disconnect };
    return;
}

# Starts a server whose processes were killed.  One of them may still be ending.
sub start_again {
    my ($node) = @_;
    for (1 .. 20) {
        return 1 if $node->start(fail_ok => 1);
        sleep 0.5;
    }
    die 'the server does not start';
}

my %children;

# Runs code in a child.  The child leaves by _exit(): what this process has
# registered for its end (servers to stop, results to report) is not the
# child's.
sub fork_process {
    my ($code) = @_;
    my $pid = fork // die "cannot fork: $!";
    if ($pid) {
        $children{$pid} = 1;
        return $pid;
    }
    my $ok = eval { $code->(); 1 };
    print STDERR "# process $$: $@" unless $ok;
    POSIX::_exit($ok ? 0 : 1);
}

# Calls the code with a session until the file exists; a session that is killed is
# replaced.
sub work_until {
    my ($node, $stop, $code) = @_;
    until (-e $stop) {
        eval {
            my $session = connect_to($node);
            $session->do('SET client_min_messages = error');
            $code->($session) until -e $stop;
            1;
        } or sleep 0.05;
    }
    return;
}

# Waits for a child; true if it ended without an error.
sub wait_for_process {
    my ($pid) = @_;
    delete $children{$pid};
    my $deadline = time + 4 * $PostgreSQL::Test::Utils::timeout_default;
    while (waitpid($pid, POSIX::WNOHANG()) == 0) {
        if (time > $deadline) {
            kill 'KILL', $pid;
            waitpid $pid, 0;
            return 0;
        }
        sleep 0.02;
    }
    return $? == 0;
}

# A test that died has not waited for its children.
END { kill 'KILL', keys %children if %children }

sub random_uuid {
    return sprintf '%04x%04x-%04x-4%03x-%04x-%04x%04x%04x', map { int rand $_ } 65536, 65536,
      65536, 4096, 65536, 65536, 65536, 65536;
}

1;
