# PostgreSQL restarts, and backends, the server and the gateway are killed, while clients append:
# nothing that was answered is lost, nothing is stored twice, and clients keep their connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraGateway;
use SierraResp;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'the gateway is not built: libevent is missing' unless gateway_program();

my $clients = 8;
my $node    = new_server('gateway_failures', allows_streaming => 1);
create_store($node, 32);
my $gateway = start_gateway($node, retry_time => '2min');
my $port    = $gateway->{ports}[0];

# ---- under load ----

# Each client appends to a stream of its own, with ids and numbers of its own, one after the
# other, and repeats with the same id what was not answered.  It writes what was answered to a
# file: number, version.  Answers that are errors end it.
sub append_until_told {
    my ($number, $stop, $file) = @_;

    # Not the ids of the other clients.
    srand;
    open my $answered, '>', $file or die "cannot write $file: $!";
    $answered->autoflush(1);
    my $client;
    my $count = 0;
    until (-e $stop) {
        my $id = random_uuid();
        my $reply;
        until (defined $reply) {
            $client //= eval { SierraResp->new($port, hello => 3) };
            if (!$client) { sleep 0.05; next; }
            $reply = $client->send_bytes(SierraResp::frame('EAPPEND', "load-$number", 'E', 'EVENT_ID', $id, 'PAYLOAD', $count)) ? $client->reply : undef;
            if (!defined $reply) {
                print {$answered} "reconnected\n";
                undef $client;
            }
        }
        if (!ref $reply) {
            print {$answered} "error $reply\n";
            last;
        }
        printf {$answered} "%d %d\n", $count++, SierraResp::hash($reply)->{stream_version};
    }
    return;
}

my $round = 0;

# Runs $disturb->() while clients append; then judges what they were answered.
sub under_load {
    my ($name, $reconnects, $disturb) = @_;
    $round++;
    my $stop  = "$PostgreSQL::Test::Utils::tmp_check/stop.$round";
    my @files = map { "$PostgreSQL::Test::Utils::tmp_check/answers.$round.$_" } 1 .. $clients;
    my @pids  = map { my $n = $_; fork_process(sub { append_until_told("$round-$n", $stop, $files[ $n - 1 ]) }) } 1 .. $clients;
    my $lines = sub { my ($file) = @_; return -e $file ? slurp_file($file) =~ tr/\n// : 0; };
    my $wait_for_more = sub {
        my @before = map { $lines->($_) } @files;
        wait_until("$name: all clients append", sub { !grep { $lines->($files[$_]) < $before[$_] + 5 } 0 .. $#files });
    };
    $wait_for_more->();
    $disturb->($wait_for_more);
    $wait_for_more->();
    append_to_file($stop, '');
    wait_for_process($_) foreach @pids;

    my (@wrong, $reconnected, $total);
    foreach my $n (1 .. $clients) {
        my @answers = split /\n/, slurp_file($files[ $n - 1 ]);
        $reconnected += grep { $_ eq 'reconnected' } @answers;
        @answers = grep { $_ ne 'reconnected' } @answers;
        push @wrong, grep { !/^(\d+) \1$/ } @answers;
        my $stored = $node->safe_psql('postgres', "SELECT count(*), max(payload::text::int), min(payload::text::int), count(DISTINCT payload::text) FROM escan('load-$round-$n')");
        my $count = @answers;
        push @wrong, "stream $n: $stored, but $count answers" if $stored ne join '|', $count, $count - 1, 0, $count;
        $total += $count;
    }
    is_deeply(\@wrong, [], "$name: what was answered is stored, once and in its order ($total appends)");
    if   ($reconnects) { cmp_ok($reconnected, '>', 0, "$name: clients have lost their connections, and came again"); }
    else               { is($reconnected // 0, 0, "$name: clients have kept their connections"); }
    return;
}

under_load('restart', 0, sub { my ($more) = @_; foreach (1 .. 2) { $node->restart; $more->(); } });
under_load('kill -9 of backends', 0, sub {
    my ($more) = @_;
    foreach (1 .. 3) {
        kill 'KILL', split /\n/, $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'sierra_gateway writer%' LIMIT 1});
        $node->poll_query_until('postgres', 'SELECT true') or die 'the server has not recovered';
        $more->();
    }
});
under_load('pg_terminate_backend', 0, sub {
    my ($more) = @_;
    foreach (1 .. 5) {
        $node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sierra_gateway%'});
        $more->();
    }
});
under_load('kill -9 of the server', 0, sub { my ($more) = @_; foreach (1 .. 2) { kill_everything($node); start_again($node); $more->(); } });
under_load('kill -9 of the gateway', 1, sub { my ($more) = @_; foreach (1 .. 3) { kill_gateway($gateway); restart_gateway($gateway); $more->(); } });
under_load('stop of the gateway', 1, sub { my ($more) = @_; is(stop_gateway($gateway), 0, 'it stops'); restart_gateway($gateway); $more->(); });

# ---- what was accepted is answered ----

{
    my $client = SierraResp->new($port, hello => 3);
    $client->call('EAPPEND', 'drain', 'E');

    # Another session holds the partition, so the appends cannot end before it does.
    my $dbh = connect_to($node);
    $dbh->begin_work;
    $dbh->do(q{SELECT FROM eappend('drain', 'E')});
    $client->send_bytes(join '', map { SierraResp::frame('EAPPEND', 'drain', 'E', 'PAYLOAD', $_) } 1 .. 50);
    wait_until('the gateway waits for the lock', sub {
        $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'sierra_gateway writer%' AND wait_event_type = 'Lock'}) > 0;
    });
    kill 'TERM', $gateway->{pid};
    wait_until('it has begun to stop', sub { gateway_log($gateway) =~ /stopping, after signal 15\n(?!.*stopping)/s });
    $dbh->commit;
    is_deeply([ map { my $reply = $client->reply; ref $reply ? SierraResp::hash($reply)->{stream_version} : $reply } 1 .. 50 ], [ 2 .. 51 ],
        'SIGTERM: everything accepted is answered');
    ok($client->is_ended, 'then the connection ends');
    $dbh->disconnect;
    waitpid $gateway->{pid}, 0;
    is($?, 0, 'and the program');
    restart_gateway($gateway);
}

# ---- one client's fault is not that of others ----

{
    # A trigger that raises an error makes a whole batch fail.
    $node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.event_name = 'Bad' THEN
        RAISE SQLSTATE 'ZZ001' USING MESSAGE = 'bad event';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION refuse();
SQL
    my @senders = map { SierraResp->new($port, hello => 3) } 1 .. 10;
    foreach my $n (0 .. 9) {
        $senders[$n]->send_bytes(join '', map { SierraResp::frame('EAPPEND', 'trigger', $n == 3 ? 'Bad' : 'Good') } 1 .. 20);
    }
    my %replies;
    foreach my $n (0 .. 9) {
        foreach (1 .. 20) {
            my $reply = $senders[$n]->reply;
            $replies{ ref $reply ? 'stored' : $reply }++;
        }
    }
    is_deeply(\%replies, { stored => 180, '-DBOPFAILED bad event' => 20 }, 'an event that makes its batch fail does not fail those of others');
    is($node->safe_psql('postgres', q{SELECT esver('trigger')}), 179, 'each of these is stored once');
    $node->safe_psql('postgres', 'DROP TRIGGER refuse ON es.events');
}

# ---- errors while PostgreSQL is away ----

stop_gateway($gateway);
{
    my $hasty  = start_gateway($node, name => 'hasty', retry_time => '200ms');
    my $client = SierraResp->new($hasty->{ports}[0], hello => 3);
    is(ref $client->call('EAPPEND', 'away', 'E'), 'ARRAY', 'an append');
    $node->stop;
    like($client->call('EAPPEND', 'away', 'E'), qr/^-CLUSTERDOWN no connection to the store: /, 'without PostgreSQL an append is refused');
    like($client->call('ESVER', 'away'), qr/^-CLUSTERDOWN no connection to the store: /, 'so is a read');
    is($client->call('PING'), '+PONG', 'the connection lives');
    $node->start;
    my $version;
    wait_until('it works again', sub { $version = $client->call('ESVER', 'away'); $version =~ /^:/ });
    is($version, ':0', 'what was refused was not stored');
    wait_until('appends work again', sub { ref $client->call('EAPPEND', 'away', 'E') });

    # The outcome of an append is not known; a read has none.
    foreach my $case ([ TRYAGAIN => 'EAPPEND', 'unknown', 'E', 'EVENT_ID' ], [ CLUSTERDOWN => 'ESVER', 'unknown' ]) {
        my ($code, @command) = @$case;
        my $id = random_uuid();
        push @command, $id if $code eq 'TRYAGAIN';
        my $holder = connect_to($node);
        $holder->begin_work;
        $holder->do('LOCK TABLE es.events');
        $client->send_bytes(SierraResp::frame(@command));
        wait_until("$command[0] waits for a lock", sub {
            $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'sierra_gateway%' AND wait_event_type = 'Lock'}) > 0;
        });
        $node->stop('immediate');
        like($client->reply, qr/^-$code .*/, "$command[0], whose connection is lost for long");

        # Its rollback fails, which must not be an error here.
        $holder->{RaiseError} = $holder->{PrintError} = 0;
        $holder->disconnect;
        $node->start;
        my $repeated;
        wait_until("$command[0] is repeated", sub { $repeated = $client->call(@command); $repeated !~ /^-CLUSTERDOWN/ });
        ok(ref $repeated || $repeated eq ':0', "$command[0], repeated");
    }
    is($client->call('ESVER', 'unknown'), ':0', 'the append was stored once');

    # A statement that takes too long.
    $node->safe_psql('postgres', 'ALTER SYSTEM SET lock_timeout = 100');
    $node->reload;
    wait_until('the timeout is set', sub { $node->safe_psql('postgres', 'SHOW lock_timeout') eq '100ms' });
    my $dbh = connect_to($node);
    $dbh->begin_work;
    $dbh->do(q{SELECT FROM eappend('away', 'E')});
    like($client->call('EAPPEND', 'away', 'E'), qr/^-TIMEOUT /, 'a lock that is not free in time');
    $dbh->rollback;
    $dbh->disconnect;
    $node->safe_psql('postgres', 'ALTER SYSTEM RESET lock_timeout');
    $node->reload;

    # The store is dropped, and made again.
    $node->safe_psql('postgres', q{SELECT drop_event_store('es', force => true)});
    like($client->call('ESVER', 'away'), qr/^-CLUSTERDOWN .*"es"/, 'without a store');
    $node->safe_psql('postgres', 'SELECT create_event_store()');
    is($client->call('ESVER', 'away'), '_', 'with a new one');
    is(stop_gateway($hasty), 0, 'it stops');
}

# The extension and the store are made again, with other types, functions and partitions.  Positions and
# versions begin again, so subscriptions end with their connections.
{
    $node->safe_psql('postgres', 'CREATE DATABASE renewed');
    $node->safe_psql('renewed',  'CREATE EXTENSION sierra_es; SELECT create_event_store()');
    my $renewed = start_gateway($node, name => 'renewed', database => sprintf 'host=%s port=%s dbname=renewed', $node->host, $node->port);
    my ($client, $subscriber) = map { SierraResp->new($renewed->{ports}[0], hello => 3) } 1 .. 2;
    $subscriber->ask('ESUB', '*');
    $client->call('EAPPEND', 'renewed', 'E') foreach 1 .. 2;
    is($subscriber->next_message->[2]{stream_version}, 0, 'a subscription');
    $node->safe_psql('renewed', <<'SQL');
BEGIN;
SELECT drop_event_store('es', force => true);
DROP EXTENSION sierra_es CASCADE;
CREATE EXTENSION sierra_es;
SELECT create_event_store(partitions => 8);
COMMIT;
SQL
    my $reply;
    wait_until('the gateway knows the new extension', sub { $reply = $client->call('EAPPEND', 'renewed', 'E'); ref $reply });
    is(SierraResp::hash($reply)->{stream_version}, 0, 'the first event of the new store');
    wait_until('and reads from it', sub { $client->call('ESVER', 'renewed') eq ':0' });
    is(SierraResp::hash($client->call('HELLO', 3))->{num_partitions}, 8, 'its partitions are known');
    1 while defined $subscriber->reply;
    pass('the connection of a subscription ends');
    like(gateway_log($renewed), qr/the store of \S+ was dropped/, 'and the log says why');
    is(stop_gateway($renewed), 0, 'it stops');
}

# Started before PostgreSQL is there.
{
    $node->stop;
    my $early  = start_gateway($node, name => 'early', retry_time => '2min');
    my $client = SierraResp->new($early->{ports}[0], hello => 3);
    $client->send_bytes(SierraResp::frame('EAPPEND', 'early', 'E'));
    $node->start;
    is(SierraResp::hash($client->reply)->{stream_version}, 0, 'a gateway that starts first waits for PostgreSQL');
    is(stop_gateway($early), 0, 'it stops');
}

# A gateway that must end before PostgreSQL answers.
{
    my $short  = start_gateway($node, name => 'short', drain_time => '100ms');
    my $holder = connect_to($node);
    my @client = map { SierraResp->new($short->{ports}[0], hello => 3) } 1 .. 4;
    like($client[0]->call('ESUB', 'short', 'FROM', 0), qr/^\+/, 'a subscription');
    is($client[0]->reply->[0], '>', 'its push');
    $holder->begin_work;
    $holder->do('LOCK TABLE es.events');

    # Of each, the first request is under way, and the second would use other connections, or waits
    # for the end of the first batch.
    $client[0]->send_bytes(SierraResp::frame('ESCAN', 'short', '-', '+') . SierraResp::frame('EAPPEND', 'short', 'E'));
    $client[1]->send_bytes(SierraResp::frame('EAPPEND', 'short', 'E') . SierraResp::frame('ESVER', 'short'));
    $client[2]->send_bytes(SierraResp::frame('ESUB', 'other') . SierraResp::frame('ESVER', 'other'));
    wait_until('three statements wait for a lock', sub {
        $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'sierra_gateway%' AND wait_event_type = 'Lock'}) >= 3;
    });
    $client[3]->send_bytes(SierraResp::frame('EAPPEND', 'short', 'E') x 2);
    is(stop_gateway($short), 0, 'a gateway whose clients have no answers stops after drain_time');
    like(gateway_log($short), qr/warning: 4 clients are closed without an answer/, 'it says how many');
    like($client[2]->reply, qr/^-ERR the connection is closed/, 'a subscription that has not begun is answered');
    is($client[$_]->reply, undef, 'a client without an answer') foreach 0 .. 3;
    $holder->rollback;
    $holder->disconnect;
}

# A server that takes no connection of this user.
{
    $node->safe_psql('postgres', 'CREATE ROLE crowd LOGIN CONNECTION LIMIT 0');
    my $crowd  = start_gateway($node, name => 'crowd', retry_time => '200ms', database => sprintf 'host=%s port=%s dbname=postgres user=crowd', $node->host, $node->port);
    my $client = SierraResp->new($crowd->{ports}[0], hello => 3);
    like($client->call('ESVER', 'early'), qr/^-TRYAGAIN no connection to the store: .*too many connections/, 'too many connections');
    $node->safe_psql('postgres', 'ALTER ROLE crowd CONNECTION LIMIT -1');
    my $reply;
    wait_until('the user may connect', sub { $reply = $client->call('ESVER', 'early'); $reply !~ /^-TRYAGAIN/ });
    like($reply, qr/^-(?:NOPERM|CLUSTERDOWN) .*permission denied/, 'this user may not read');
    is(stop_gateway($crowd), 0, 'it stops');
}

# A server that has lost its newest events, as one after a failover to a standby that was behind:
# new events take their places.
{
    my $followed = start_gateway($node, name => 'followed', retry_time => '2min');
    my $connect  = sub { SierraResp->new($followed->{ports}[0], hello => 3) };
    my $writer   = $connect->();
    my $append   = sub { my ($stream) = @_; SierraResp::hash($writer->call('EAPPEND', $stream, 'E'))->{stream_version} };
    my %words    = (
        'a pattern'   => [qw(ESUB lost-*)],
        'a stream'    => [qw(ESUB lost-1 FROM 0)],
        'partitions'  => [ 'EPSUB', '*' ],
        'a channel'   => [qw(PSUBSCRIBE lost-*)],
        'a window'    => [qw(ESUB lost-* FROM 0 WINDOW 1)],
    );
    is($append->('lost-1'), 0, 'an event that is not lost');
    $node->stop;
    my $copy = $node->data_dir . '.copy';
    system_or_bail('cp', '-a', $node->data_dir, $copy);
    $node->start;
    my %listeners;
    foreach my $name (sort keys %words) {
        $listeners{$name} = $connect->();
        if ($words{$name}[0] eq 'PSUBSCRIBE') {
            $listeners{$name}->send_bytes(SierraResp::frame(@{ $words{$name} }));
            $listeners{$name}->next_push;
        }
        else { $listeners{$name}->ask(@{ $words{$name} }); }
    }
    is($append->('lost-1'), $_, 'one that is lost') foreach 1 .. 3;
    foreach my $name (grep { $_ ne 'a channel' } sort keys %words) {
        my $last = $name eq 'a window' ? 0 : 3;
        my $message;
        do { $message = $listeners{$name}->next_message } until $message->[2]{stream_version} == $last;
    }
    $node->restart;
    is($append->('lost-1'), 4, 'after a restart that loses nothing');
    is($listeners{'a pattern'}->next_message->[2]{stream_version}, 4, 'subscriptions continue');

    $node->stop('immediate');
    system_or_bail('rm', '-r', $node->data_dir);
    rename $copy, $node->data_dir or die "rename: $!";
    $node->start;
    is($append->('lost-1'), 1, 'a version that was used before');
    foreach my $name (sort keys %words) {
        ok(!eval { $listeners{$name}->next_push while 1; 1 } && $@ =~ /connection has ended/, "$name: the connection of a subscriber ends");
    }
    my $again = $connect->();
    $again->ask(qw(ESUB lost-* FROM 0));
    is_deeply($again->messages(2), [ 'lost-1 0', 'lost-1 1' ], 'it connects again, and reads what is there');
    is($append->('lost-1'), 2, 'the next event');
    is_deeply($again->messages(1), ['lost-1 2'], 'comes');
    like(gateway_log($followed), qr/the store of \S+ has lost events that were read/, 'the log says why');

    # Nothing was lost of its connection, but all of the store.
    $node->safe_psql('postgres', q{SELECT drop_event_store('es', force => true); SELECT create_event_store()});
    ok(!eval { $again->next_push; 1 }, 'a store that is dropped and made again ends it, too');
    is(stop_gateway($followed), 0, 'it stops');
    $node->safe_psql('postgres', q{SELECT FROM eappend('early', 'E')});
}

# A standby that is not ready to be read from.
{
    $node->backup('backup');
    my $standby = PostgreSQL::Test::Cluster->new('gateway_loading');
    $standby->init_from_backup($node, 'backup', has_streaming => 1);
    $standby->append_conf('postgresql.conf', "hot_standby = off\n");

    # pg_ctl would wait for connections.
    system_or_bail('pg_ctl', '-W', '-D', $standby->data_dir, '-l', $standby->logfile, 'start');
    my $loading = start_gateway($standby, name => 'loading', retry_time => '200ms');
    my $client  = SierraResp->new($loading->{ports}[0], hello => 3);
    my $reply;
    wait_until('the standby answers', sub { $reply = $client->call('ESVER', 'early'); $reply !~ /^-CLUSTERDOWN/ });
    like($reply, qr/^-LOADING no connection to the store: .*the database system/, 'a server that is not ready yet');
    is(stop_gateway($loading), 0, 'it stops');
    system_or_bail('pg_ctl', '-D', $standby->data_dir, '-m', 'immediate', 'stop');
}

# A standby is read from.
{
    my $standby = PostgreSQL::Test::Cluster->new('gateway_standby');
    $standby->init_from_backup($node, 'backup', has_streaming => 1);
    $standby->start;
    $node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
    my $reader = start_gateway($standby, name => 'standby');
    my $client = SierraResp->new($reader->{ports}[0], hello => 3);
    is(SierraResp::hash($client->call('HELLO', 3))->{role}, 'replica', 'HELLO of a standby');
    is($client->call('ESVER', 'early'), ':0', 'reads on a standby');
    like($client->call('EAPPEND', 'early', 'E'), qr/^-READONLY /, 'appends on a standby');
    $standby->promote;
    my $reply;
    wait_until('a promoted standby takes appends', sub { $reply = $client->call('EAPPEND', 'early', 'E'); ref $reply });
    is(SierraResp::hash($reply)->{stream_version}, 1, 'they continue the stream');
    is(stop_gateway($reader), 0, 'it stops');
    $standby->stop;
}

my $dbh = connect_to($node);
store_is_sound($dbh, 'after all this');
$dbh->disconnect;
$node->stop;

done_testing();
