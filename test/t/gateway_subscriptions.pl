# Subscriptions of the gateway: every event once and in order, whatever happens meanwhile, and
# nobody waits for anybody.
#
# SIERRA_TEST_EVENTS: how many events the history has.
# SIERRA_TEST_LATENCIES: how many events are measured, alone and beside 16 connections that append.

use strict;
use warnings;

use FindBin;
use List::Util qw(sum);
use lib "$FindBin::Bin/../lib";
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraGateway;
use SierraResp;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'the gateway was not built' unless gateway_program();

my $events  = $ENV{SIERRA_TEST_EVENTS} // 3000;
my $streams = 7;
my @measure = (
    (-x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3'),
    '-B', "$FindBin::Bin/../gateway/latency.py");
my @measured = ($ENV{SIERRA_TEST_LATENCIES} // 20, 16);

my $node = new_server('subscriptions');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'sierra_es'\n");
$node->restart;
my $dbh = connect_to($node);
$dbh->do('SELECT create_event_store()');
my $gateway = start_gateway($node, listen => [ '', 'esub_reply=batch' ]);
my ($port, $batch_port) = @{ $gateway->{ports} };
my $writer = SierraResp->new($port, hello => 3);

sub append {
    my ($stream, $count) = @_;
    my $answer;
    $answer = $writer->ask('EAPPEND', $stream, 'E', 'PAYLOAD', '{"a": 1}') for 1 .. $count // 1;
    return $answer;
}

# Subscribes, and reads the confirmation.
sub subscribe {
    my ($client, @words) = @_;
    my $id = $client->ask(@words);
    die $id if $id =~ /^-/;
    my $push = $client->next_push;
    is("@$push[0, 1]", "subscribe $id", "@words[0 .. 1]: a confirmation follows") if $push->[0] ne 'subscribe';
    return $id;
}

sub code_of { return $_[0] =~ /^-(\S+)/ ? $1 : $_[0]; }

# ---- bytes, errors ----

{
    my $client = SierraResp->new($port, hello => 3);
    append('bytes-1');
    my $id   = $client->ask('ESUB', 'bytes-1', 'FROM', 0);
    my $push = $client->next_push;
    like($id, qr/^[0-9a-f]{8}-[0-9a-f]{4}-4/, 'ESUB answers a random id');
    is_deeply([@$push], [ 'subscribe', $id, 1 ], 'then comes the number of subscriptions');
    my $message = $client->next_message;
    is_deeply([ @$message[ 0, 1 ], @{ $message->[2] }{qw(stream_id stream_version payload metadata)} ],
        [ $id, 0, 'bytes-1', 0, '{"a": 1}', '' ], 'then the event');
    is($client->ask('ESVER', 'bytes-1'), 0, 'other commands are allowed');
    $client->ask('EPSUB', '689');
    is($client->next_push->[2], 2, 'EPSUB counts too, also of a partition that does not exist');

    my %errors = (
        'ESUB s FROM'             => 'INVALIDARG',
        'ESUB s WINDOW 0'         => 'INVALIDARG',
        'ESUB s FROM MAP s'       => 'INVALIDARG',
        'ESUB s WINDOW 1 FROM 1'  => 'INVALIDARG',
        'EPSUB x'                 => 'INVALIDARG',
        'EPSUB 3-1'               => 'INVALIDARG',
        'EPSUB 1,,2'              => 'INVALIDARG',
        'EPSUB 70000'             => 'INVALIDARG',
        'EACK x 1'                => 'INVALIDARG',
        "EACK $id x"              => 'INVALIDARG',
        'EACK ' . random_uuid() . ' 1' => 'NOTFOUND',
    );
    is(code_of($client->ask(split / /)), $errors{$_}, "$_: $errors{$_}") for sort keys %errors;
    is_deeply([ $client->is_silent ? 1 : 0 ], [1], 'and nothing else came');
}

# ---- where a subscription begins ----

{
    my $client = SierraResp->new($port, hello => 3);
    my $open   = connect_to($node);
    my %partition = map { ($_ => append($_)->{partition_id}) } qw(latest-1 latest-2), map { "other-$_" } 1 .. 5;
    my $partition = $partition{'latest-1'};
    append('latest-1');
    $open->begin_work;
    $open->do("SELECT FROM eappend('latest-1', 'Open')");
    $open->do("SELECT FROM eappend('latest-2', 'Open')");
    # an append waits for those of its partition that are open
    append($_) for grep { $partition{$_} != $partition && $partition{$_} != $partition{'latest-2'} } sort keys %partition;
    my @ids = map { subscribe($client, @$_) } [qw(ESUB latest-1)], [qw(ESUB latest-*)], [ 'EPSUB', '*' ], [ 'EPSUB', $partition ];
    my $pubsub = SierraResp->new($port, hello => 3);
    $pubsub->ask('PING');
    $pubsub->send_bytes(SierraResp::frame(qw(PSUBSCRIBE latest-*)));
    is($pubsub->next_push->[0], 'psubscribe', 'PSUBSCRIBE is confirmed');
    ok($client->is_silent, 'LATEST: nothing of what was there, and nothing of an open transaction');
    $open->commit;
    my %found = map { $_ => [] } @ids;
    for (1 .. 6) {
        my $message = $client->next_message // die 'an event is missing';
        push @{ $found{ $message->[0] } }, "$message->[2]{stream_id} $message->[2]{stream_version}";
    }
    is_deeply($found{ $ids[0] }, ['latest-1 2'], 'LATEST of a stream is what was committed later');
    is_deeply([ sort @{ $found{ $ids[1] } } ], [ 'latest-1 2', 'latest-2 1' ], '... of a pattern');
    is_deeply([ sort @{ $found{ $ids[2] } } ], [ 'latest-1 2', 'latest-2 1' ], '... of all partitions');
    is_deeply($found{ $ids[3] }, ['latest-1 2'], '... of a partition');
    is_deeply([ sort map { decode_json($pubsub->next_push->[3])->{stream_version} } 1, 2 ], [ 1, 2 ], '... of PSUBSCRIBE');
    ok($client->is_silent, 'each once');
}

{
    append('from-a', 3);
    append('from-b', 2);
    my $p = append('from-c', 1)->{partition_id};
    my %wanted = (
        'ESUB from-a FROM 1'                              => [ 'from-a 1', 'from-a 2' ],
        'ESUB from-a PARTITION_KEY x from-b FROM 1'       => [ 'from-a 1', 'from-a 2', 'from-b 1' ],
        'ESUB from-* FROM 1'                              => [ 'from-a 1', 'from-a 2', 'from-b 1' ],
        'ESUB from-a from-b FROM MAP from-b=0 nobody=0'   => [ 'from-b 0', 'from-b 1' ],
        'ESUB from-* FROM MAP from-a=2 nobody=0 WINDOW 9' => ['from-a 2'],
        'ESUB f*-a FROM 2'                                => ['from-a 2'],
        'ESUB from-_ FROM 0'                              => [],
    );
    for my $command (sort keys %wanted) {
        my $client = SierraResp->new($port, hello => 3);
        subscribe($client, split / /, $command);
        is_deeply([ sort @{ $client->messages(scalar @{ $wanted{$command} }) } ], $wanted{$command}, $command);
        append('from-live') if $command =~ /\*/;
        sleep 0.05;
        ok((!grep { $_->[0] eq 'message' && $_->[3]{stream_id} ne 'from-live' } $client->is_silent ? () : @{ $client->{pushes} }), "$command: no more");
    }
    my $count = one_value($dbh, "SELECT count(*) FROM epscan($p)");
    my $all   = one_value($dbh, 'SELECT count(*) FROM eall(max_count => NULL)');
    my $key   = append('from-key')->{partition_key};
    my ($of_key) = $dbh->selectrow_array('SELECT count(*) FROM epscan(partition_key => $1)', undef, $key);
    my %counts = (
        "EPSUB $p FROM 0"                     => $count,
        "EPSUB $p,689 FROM MAP $p=1 689=0"    => $count - 1,
        "EPSUB * FROM MAP $p=0 DEFAULT 99999" => $count,
        "EPSUB $p-$p FROM 0"                  => $count,
        "EPSUB $key FROM 0"                   => $of_key,
        'EPSUB * FROM 0'                      => $all + 1,
        'EPSUB 0-65535 FROM 0'                => $all + 1,
    );
    for my $command (sort keys %counts) {
        my $client = SierraResp->new($port, hello => 3);
        subscribe($client, split / /, $command);
        is(scalar @{ $client->messages($counts{$command}) }, $counts{$command}, $command);
        ok($client->is_silent, "$command: no more");
    }
}

# Events that are committed while a subscription begins, before or after the follower sees them.
{
    my $client = SierraResp->new($port, hello => 3);
    my $faults = 0;
    for my $round (1 .. 42) {
        my $stream  = "begin-$round-a";
        my $command = ("$stream FROM 1", "begin-$round-* FROM 1", "none-* $stream FROM MAP $stream=1")[ $round % 3 ];
        append($stream, 3);
        $client->send_bytes(SierraResp::frame(split / /, "ESUB $command"));
        append($stream);
        $client->next_answer;
        my $found = join ' ', map { ($client->next_message // die "an event is missing: ESUB $command")->[2]{stream_version} } 1 .. 3;
        $faults++ if $found ne '1 2 3';
    }
    is($faults, 0, 'nothing is left out when a subscription begins while others append');
}

# ---- windows ----

{
    my $client = SierraResp->new($port, hello => 3);
    append('window-1', 6);
    my $id = subscribe($client, qw(ESUB window-1 FROM 0 WINDOW 1));
    # The cursors of the next events, of which there must not be more.
    my $cursors = sub {
        my ($count) = @_;
        my @cursors = map { $client->next_message->[1] } 1 .. $count;
        push @cursors, 'more' unless $client->is_silent;
        return "@cursors";
    };
    is($cursors->(1), '0', 'window 1: one event');
    is($client->ask('EACK', $id, 0), 'OK', 'EACK');
    is($cursors->(1), '1', 'the next one');
    is($client->ask('EACK', $id, 0), 'OK', 'EACK again');
    is($cursors->(0), '', 'does not open the window');
    is($writer->ask('EACK', $id, 2), 'OK', 'EACK ahead, and from another connection');
    is($cursors->(2), '2 3', 'opens it so far');
    $client->ask('EACK', $id, 1);
    is($cursors->(0), '', 'EACK of less does not close or open it');
    $client->ask('EACK', $id, 3);
    is($cursors->(1), '4', 'and so on');
    my $other = SierraResp->new($port, hello => 3);
    my $two   = subscribe($other, qw(ESUB window-* FROM 0 WINDOW 2));
    is(scalar @{ $other->messages(2) }, 2, 'two subscriptions have windows of their own');
    $client->ask('EACK', $id, 9_000_000_000_000_000_000);
    is($cursors->(1), '5', 'a number far ahead opens the window wide');
}

# ---- history while others append ----

# Each stream: its versions from 0 on, without gap, duplicate or disorder.
sub reads_all {
    my ($name, $client, $total) = @_;
    my %next;
    my $faults = 0;
    for (1 .. $total) {
        my $message = $client->next_message // die "$name: an event is missing";
        my ($stream, $version) = @{ $message->[2] }{qw(stream_id stream_version)};
        $faults++ if $version != ($next{$stream} // 0) || $message->[1] != $_ - 1;
        $next{$stream} = $version + 1;
    }
    is($faults, 0, "$name: $total events, each once and in order");
    ok($client->is_silent, "$name: no more");
    return;
}

sub append_many {
    my ($session, $count, $names) = @_;
    $session->do(q{SELECT count(*) FROM generate_series(1, $1::int) AS i,
        LATERAL eappend($2 || '-' || i % $3::int, 'E', '{"text": "some words that make the event a little longer"}')},
        undef, $count, $names, $streams);
    return;
}

{
    append_many($dbh, $events, 'history');
    my $appender = fork_process(sub {
        my $session = connect_to($node);
        append_many($session, $events / 100, 'history') for 1 .. 50;
    });
    my $before    = one_value($dbh, "SELECT count(*) FROM eall(max_count => NULL) WHERE stream_id NOT LIKE 'history-%'");
    my $other     = one_value($dbh, 'SELECT count(*) FROM eall(max_count => NULL)');
    my %clients   = map { $_ => SierraResp->new($port, hello => 3) } qw(streams pattern partitions range);
    my $total     = $events + 50 * int($events / 100);
    subscribe($clients{streams}, 'ESUB', (map { "history-$_" } 0 .. $streams - 1), 'FROM', 0);
    subscribe($clients{pattern}, 'ESUB', 'history-*', 'FROM', 0);
    subscribe($clients{partitions}, 'EPSUB', '*', 'FROM', 0);
    subscribe($clients{range}, 'EPSUB', '0-65535', 'FROM', 0);
    reads_all($_, $clients{$_}, $total) for qw(streams pattern);
    reads_all($_, $clients{$_}, $total + $before) for qw(partitions range);
    wait_for_process($appender);
}

# ---- slow and fast ----

sub percentile {
    my ($part, @numbers) = @_;
    return (sort { $a <=> $b } @numbers)[ int($part * $#numbers) ];
}

# Appends to streams that a client follows; the times from the answer of EAPPEND to the push.
sub measure {
    my ($name, $client, $count) = @_;
    my @latencies;
    for (1 .. $count) {
        append("fast-$name-$_");
        my $committed = time;
        $client->next_message // die 'an event is missing';
        push @latencies, 1000 * (time - $committed);
        sleep 0.01 if $_ % 10 == 0;
    }
    note(sprintf '%s: from the answer of EAPPEND to the push: p50 %.1f ms, p99 %.1f ms', $name, percentile(0.5, @latencies), percentile(0.99, @latencies));
    return scalar @latencies;
}

{
    my $slow   = SierraResp->new($port, hello => 3, ahead => 4096);
    my $closed = SierraResp->new($port, hello => 3);
    my $fast   = SierraResp->new($port, hello => 3);
    $slow->send_bytes(SierraResp::frame(qw(ESUB history-* FROM 0)));
    subscribe($closed, qw(ESUB fast-* history-* FROM 0 WINDOW 3));
    subscribe($fast,   qw(ESUB fast-*));
    is(measure('beside', $fast, 100), 100, 'a fast reader gets its events beside a slow one and a closed window');
    # a position that nobody uses
    $dbh->begin_work;
    $dbh->do("SELECT FROM eappend('rolled-back', 'E')");
    $dbh->rollback;
    is(measure('behind', $fast, 1), 1, '... and behind an append that was rolled back');
    run_checks('preloaded', @measure, $port, @measured);
    my $id = $slow->next_answer;
    is($slow->next_push->[1], $id, 'the slow one reads at last');
    my $total = one_value($dbh, "SELECT count(*) FROM eall(max_count => NULL) WHERE stream_id LIKE 'history-%'");
    reads_all('slow', $slow, $total);
    is(scalar @{ $closed->messages(3) }, 3, 'the closed window has got what it allows');
    ok($closed->is_silent, 'and no more');
}

# ---- restarts ----

{
    my $live   = SierraResp->new($port, hello => 3);
    my $behind = SierraResp->new($port, hello => 3);
    my $total  = one_value($dbh, "SELECT count(*) FROM eall(max_count => NULL) WHERE stream_id LIKE 'history-%'");
    my $window = subscribe($behind, 'ESUB', 'history-*', 'FROM', 0, 'WINDOW', int($total / 2));
    my %next   = map { $_ => one_value($dbh, 'SELECT esver($1)', "history-$_") + 1 } 0 .. $streams - 1;
    subscribe($live, 'ESUB', map { "history-$_" } 0 .. $streams - 1);
    append_many($dbh, 70, 'history');
    # from now on nobody wakes sessions that wait
    $node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
    $node->restart;
    $dbh = connect_to($node);
    append_many($dbh, 70, 'history');
    my $faults = 0;
    for (1 .. 140) {
        my $event = ($live->next_message // die 'an event is missing')->[2];
        my ($name) = $event->{stream_id} =~ /(\d+)/;
        $faults++ if $event->{stream_version} != $next{$name}++;
    }
    is($faults, 0, 'after a restart of PostgreSQL, a live subscription continues where it was');
    $behind->ask('EACK', $window, 10 * $total);
    reads_all('behind a restart of PostgreSQL', $behind, $total + 140);

    my $fast = SierraResp->new($port, hello => 3);
    subscribe($fast, qw(ESUB fast-*));
    is(measure('without preloading', $fast, 20), 20, 'events come without preloading too');
    run_checks('without preloading', @measure, $port, @measured);
    $dbh->do('ALTER SYSTEM SET sierra_es.max_waiters = 0');
    $dbh->do('SELECT pg_reload_conf()');
    is(measure('without a place to wait', $fast, 20), 20, '... and when no session may wait');
    $dbh->do('ALTER SYSTEM RESET ALL');
    $dbh->do('SELECT pg_reload_conf()');

    my $id = subscribe($live, qw(ESUB restart-1 FROM 0));
    append('restart-1', 2);
    $live->messages(2);
    restart_gateway($gateway) if defined stop_gateway($gateway);
    ok(!eval { $live->next_push; 1 }, 'the end of the gateway ends its connections');
    $writer = SierraResp->new($port, hello => 3);
    $live   = SierraResp->new($port, hello => 3);
    is(code_of($live->ask('EACK', $id, 1)), 'NOTFOUND', 'the new one knows no subscription of the old one');
    append('restart-1', 1);
    subscribe($live, qw(ESUB restart-1 FROM 2));
    is_deeply($live->messages(1), ['restart-1 2'], 'a client continues with the version that it remembers');
}

# ---- the end of subscriptions ----

sub followers {
    return one_value($dbh, q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%follower%'});
}

{
    my $client = SierraResp->new($port, hello => 3);
    my $id     = subscribe($client, qw(ESUB end-*));
    is($client->ask('RESET'), 'RESET', 'RESET');
    append('end-1');
    is($client->ask('HELLO', 3)->{proto}, 3, 'RESP3 again');
    ok($client->is_silent, 'after RESET nothing is subscribed to');
    is(code_of($writer->ask('EACK', $id, 0)), 'NOTFOUND', 'nor is the subscription known');
    subscribe($client, qw(ESUB end-*));
    is($client->ask('QUIT'), 'OK', 'QUIT');
    $client = SierraResp->new($port, hello => 3);
    subscribe($client, qw(ESUB end-*));
    $client->end;
    append('end-1');
    wait_until('there is a follower no longer, when nobody is subscribed', sub { followers() == 0 });
    pass('without subscriptions nobody follows the store');
    $client = SierraResp->new($port, hello => 3);
    subscribe($client, qw(ESUB end-1));
    append('end-1');
    is_deeply($client->messages(1), ['end-1 2'], 'and it begins again with the next subscription');
}

# ---- many channels ----

# Channels of one SUBSCRIBE, more than begin at a time, some of them twice.
{
    my $client = SierraResp->new($port, hello => 3);
    my @names  = map { 'channel-' . $_ % 300 } 1 .. 400;
    $client->send_bytes(SierraResp::frame('SUBSCRIBE', @names));
    is_deeply([ map { my $push = $client->next_push; "@$push" } @names ],
        [ map { "subscribe $names[$_] " . ($_ < 300 ? $_ + 1 : 300) } 0 .. $#names ], 'SUBSCRIBE with 300 channels');
    $client->send_bytes(SierraResp::frame('UNSUBSCRIBE', map { "channel-$_" } 0 .. 298));
    is_deeply([ map { $client->next_push->[2] } 0 .. 298 ], [ reverse 1 .. 299 ], 'UNSUBSCRIBE of all but one');
    append('channel-298');
    append('channel-299');
    is($client->next_push->[1], 'channel-299', 'which is still there');
}

# While a client subscribes, others read in between: here both wait for a table.
{
    my $fair  = start_gateway($node, name => 'fair', readers => 1, log_level => 'debug');
    my $admin = SierraResp->new($fair->{ports}[0]);
    my ($many, $one) = map { SierraResp->new($fair->{ports}[0], hello => 3) } 1 .. 2;
    $one->ask(qw(ESVER fair));
    my $asked  = 0;
    my $arrived = sub { $asked++; $admin->ask('INFO', 'STATS') =~ /total_commands_processed:(\d+)/ ? $1 - $asked : die 'no number of commands' };
    my $commands = $arrived->();
    $dbh->begin_work;
    $dbh->do('LOCK TABLE es.events IN ACCESS EXCLUSIVE MODE');
    $many->send_bytes(SierraResp::frame('SUBSCRIBE', map { "fair-$_" } 1 .. 100));
    wait_until('SUBSCRIBE has arrived', sub { $arrived->() == $commands + 1 });
    $one->send_bytes(SierraResp::frame(qw(ESVER fair)));
    wait_until('ESVER has arrived', sub { $arrived->() == $commands + 2 });
    $dbh->commit;
    $one->next_answer;
    $many->next_push foreach 1 .. 100;
    like(gateway_log($fair), qr/ESVER fair took.*ESVER fair took.*SUBSCRIBE took/s, 'a client that subscribes to many channels lets others read');
    stop_gateway($fair);
}

# ---- plain pub/sub, and clients that want something else ----

{
    my %clients = (2 => SierraResp->new($port), 3 => SierraResp->new($port, hello => 3));
    for my $protocol (2, 3) {
        my $client = $clients{$protocol};
        my $next   = $protocol == 2 ? sub { $client->next_answer } : sub { $client->next_push };
        $client->send_bytes(SierraResp::frame(qw(SUBSCRIBE pub-1 pub-2 pub-1)));
        is_deeply([ map { [ @{ $next->() } ] } 1 .. 3 ], [ [ 'subscribe', 'pub-1', 1 ], [ 'subscribe', 'pub-2', 2 ], [ 'subscribe', 'pub-1', 2 ] ],
            "RESP$protocol: SUBSCRIBE");
        $client->send_bytes(SierraResp::frame(qw(PSUBSCRIBE pub-*)));
        is_deeply([ @{ $next->() } ], [ 'psubscribe', 'pub-*', 3 ], "RESP$protocol: PSUBSCRIBE");
        append('pub-1');
        my %messages = map { $_->[0] => [@$_] } map { $next->() } 1, 2;
        is_deeply([ @{ $messages{message} }[ 0, 1 ], @{ $messages{pmessage} }[ 0 .. 2 ] ], [qw(message pub-1 pmessage pub-* pub-1)],
            "RESP$protocol: an event comes to both");
        is_deeply([ @{ decode_json($messages{message}[2]) }{qw(stream_id event_name payload metadata)} ], [ 'pub-1', 'E', { a => 1 }, undef ],
            "RESP$protocol: as JSON");
        if ($protocol == 2) {
            is(code_of($client->ask(qw(ESVER pub-1))), 'ERR', 'RESP2: other commands are refused');
            is_deeply($client->ask('PING'), [ 'pong', '' ], 'RESP2: PING answers an array');
        }
        $client->send_bytes(SierraResp::frame(qw(PUNSUBSCRIBE)));
        is_deeply([ @{ $next->() } ], [ 'punsubscribe', 'pub-*', 2 ], "RESP$protocol: PUNSUBSCRIBE");
        $client->send_bytes(SierraResp::frame(qw(UNSUBSCRIBE pub-2 pub-1)));
        is_deeply([ map { [ @{ $next->() } ] } 1, 2 ], [ [ 'unsubscribe', 'pub-2', 1 ], [ 'unsubscribe', 'pub-1', 0 ] ], "RESP$protocol: UNSUBSCRIBE");
        $client->send_bytes(SierraResp::frame('UNSUBSCRIBE'));
        is_deeply([ @{ $next->() } ], [ 'unsubscribe', undef, 0 ], "RESP$protocol: UNSUBSCRIBE without any");
        is($client->ask('ESVER', 'pub-2'), undef, "RESP$protocol: other commands again");
    }

    my $client = SierraResp->new($port);
    $client->ask(qw(CLIENT SETINFO LIB-NAME some-library));
    is(code_of($client->ask(qw(ESUB pub-1))), 'ERR', 'a library that speaks RESP2 cannot ESUB');
    $client = SierraResp->new($port, hello => 3);
    $client->ask(qw(CLIENT SETINFO LIB-NAME), 'node-redis');
    like($client->ask(qw(ESUB pub-1)), qr/^[0-9a-f-]{36}$/, 'ESUB from node-redis');
    is($client->ask('PING') . @{ $client->{pushes} }, 'PONG0', 'is not confirmed by a push');
    $client = SierraResp->new($port, hello => 3);
    $client->send_bytes(join '', SierraResp::frame(qw(ESUB pub-1)), (SierraResp::frame('PING')) x 3);
    is_deeply([ map { my $reply = $client->reply; ref $reply ? $reply->[0] : length $reply } 1 .. 5 ], [ 37, 5, 5, 5, '>' ],
        'the confirmation does not come between replies');
}

{
    my $client = SierraResp->new($batch_port);
    append('batch-1', 3);
    is(scalar @{ $client->ask(qw(ESUB batch-* FROM 0)) }, 3, 'esub_reply=batch: ESUB answers events');
    is(scalar @{ $client->ask(qw(ESUB batch-* FROM 0 WINDOW 2)) }, 2, 'no more than its window');
    $client->send_bytes(SierraResp::frame(qw(ESUB batch-* FROM LATEST)));
    $client->send_bytes(SierraResp::frame('PING'));
    is($client->next_push(0.3), undef, 'it waits for the next one');
    append('batch-2');
    my %event = @{ $client->next_answer->[0] };
    is($event{stream_id}, 'batch-2', 'and then answers');
    is($client->next_answer, 'PONG', 'and then the commands behind it');
    append('batch-2');
    is($client->ask('PING'), 'PONG', 'it leaves no subscription');
    $client->send_bytes(SierraResp::frame(qw(ESUB batch-* FROM LATEST)) x 2);
    my $gone = SierraResp->new($batch_port);
    $gone->send_bytes(SierraResp::frame(qw(ESUB batch-* FROM LATEST)));
    $gone->end;
    $writer->ask('PING');
    is(stop_gateway($gateway), 0, 'an ESUB that waits does not hold up the end of the gateway');
    unlike(gateway_log($gateway), qr/without an answer/, 'nor does the one behind it');
    is_deeply($client->next_answer, [], 'and is answered');
}

done_testing();
