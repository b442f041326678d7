# How the gateway starts and listens: TLS, sockets of systemd, settings and their documents; and what
# a client does not see that does not read its replies.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::INET;
use IO::Socket::UNIX;
use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraGateway;
use SierraResp;
use SierraTest;
use Socket;
use Test::More;

plan skip_all => 'the gateway is not built: libevent is missing' unless gateway_program();

my $node = new_server('gateway_start');
create_store($node, 32);
my $directory = $PostgreSQL::Test::Utils::tmp_check;
my $program   = gateway_program();

# ---- TLS ----

sub make_certificate {
    my ($name) = @_;
    system_or_bail('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', "$directory/$name.key", '-out', "$directory/$name.crt",
        '-days', 2, '-subj', "/CN=$name", '-addext', 'subjectAltName=IP:127.0.0.1');
    return;
}

# What a client with TLS is answered, "" if there is no connection.
sub ask_with_tls {
    my ($port, $commands, @options) = @_;
    my ($out, $err) = ('', '');
    IPC::Run::run([ 'openssl', 's_client', '-quiet', '-verify_return_error', '-connect', "127.0.0.1:$port", @options ],
        '<', \"$commands\r\nQUIT\r\n", '>', \$out, '2>', \$err, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
    return $out =~ s/\+OK\r\n\z//r;
}

make_certificate('one');
make_certificate('two');
my $secure = start_gateway($node, name => 'tls', listen => [ '', 'tls=on' ], tls_cert_file => "$directory/one.crt", tls_key_file => "$directory/one.key");
my ($plain_port, $tls_port) = @{ $secure->{ports} };
my @trust_one = ('-CAfile', "$directory/one.crt");
my @trust_two = ('-CAfile', "$directory/two.crt");
is(ask_with_tls($tls_port, 'PING', @trust_one), "+PONG\r\n", 'TLS');
is(ask_with_tls($tls_port, 'EAPPEND tls E', @trust_two), '', 'a client that does not trust the certificate');
like(ask_with_tls($tls_port, 'EAPPEND tls E PAYLOAD ' . 'x' x 50000, @trust_one), qr/stream_version\r\n:0\r\n/, 'a large command');
like(ask_with_tls($tls_port, 'ESCAN tls - +', @trust_one), qr/\$50000\r\nx{50000}\r\n/, 'a large reply');
my $deaf = SierraResp->new($tls_port);
$deaf->send_bytes(SierraResp::frame('PING'));
is($deaf->reply, undef, 'a client that speaks without TLS is closed');
is(ask_gateway($plain_port, 'PING'), '+PONG', 'the other address has no TLS');

# SIGHUP reads a new certificate, and keeps the old one if the new one is wrong.
append_to_file($secure->{config}, "tls_cert_file = '$directory/two.crt'\ntls_key_file = '$directory/two.key'\n");
kill 'HUP', $secure->{pid};
wait_until('SIGHUP takes over a certificate', sub { ask_with_tls($tls_port, 'PING', @trust_two) eq "+PONG\r\n" });
append_to_file($secure->{config}, "tls_cert_file = '$directory/three.crt'\ntls_key_file = '$directory/two.key'\n");
kill 'HUP', $secure->{pid};
wait_until('a certificate is missing', sub { gateway_log($secure) =~ /could not read the certificate .*three/ });
is(ask_with_tls($tls_port, 'PING', @trust_two), "+PONG\r\n", 'the certificate before is still there');

# Clients with a certificate of their own.
append_to_file($secure->{config}, "tls_cert_file = '$directory/one.crt'\ntls_key_file = '$directory/one.key'\ntls_ca_file = '$directory/two.crt'\n");
kill 'HUP', $secure->{pid};
wait_until('clients need a certificate', sub { ask_with_tls($tls_port, 'PING', @trust_one) eq '' });
is(ask_with_tls($tls_port, 'PING', @trust_one, '-cert', "$directory/two.crt", '-key', "$directory/two.key"), "+PONG\r\n", 'a client with one');
is(ask_with_tls($tls_port, 'PING', @trust_one, '-cert', "$directory/one.crt", '-key', "$directory/one.key"), '', 'a client with another');
is(stop_gateway($secure), 0, 'it stops');

# ---- systemd ----

{
    my $notify_path = PostgreSQL::Test::Utils::tempdir_short() . '/notify';
    my $notify = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $notify_path) or die "cannot make $notify_path: $!";
    my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "cannot listen: $!";
    my $config = "$directory/systemd.conf";
    append_to_file($config, sprintf "listen = '127.0.0.1:1 dialect=tutorial'\ndatabase = 'host=%s port=%s dbname=postgres'\n", $node->host, $node->port);
    my $log = "$PostgreSQL::Test::Utils::log_path/systemd.log";
    my $pid = fork // die "cannot fork: $!";
    if ($pid == 0) {
        POSIX::dup2(fileno $listen, 3);
        open STDERR, '>', $log or POSIX::_exit(1);
        @ENV{qw(LISTEN_PID LISTEN_FDS NOTIFY_SOCKET JOURNAL_STREAM)} = ($$, 1, $notify_path, '8:1');
        $^F = 3;
        exec $program, '--config', $config or POSIX::_exit(1);
    }

    # A connection that waits at the socket before the gateway runs is served, too.
    my $client = SierraResp->new($listen->sockport);
    is($client->call('ESVER', 'absent'), ':0', 'a socket of systemd, with the options of the first address');
    my $state = '';
    $notify->recv($state, 100);
    is($state, 'READY=1', 'systemd hears that the gateway is ready');
    kill 'HUP', $pid;
    $notify->recv($state, 100);
    is($state, 'RELOADING=1', 'that it reads its settings again');
    $notify->recv($state, 100);
    is($state, 'READY=1', 'and has done so');
    kill 'TERM', $pid;
    $notify->recv($state, 100);
    is($state, 'STOPPING=1', 'and that it stops');
    waitpid $pid, 0;
    is($?, 0, 'it stops');
    like(slurp_file($log), qr/^info: listening on 127/m, 'the journal has times of its own');
}

# ---- clients that do not read ----

{
    my $gateway = start_gateway($node, name => 'stall', output_limit => '256kB', stall_time => '500ms');
    my $port    = $gateway->{ports}[0];
    my $good    = SierraResp->new($port, hello => 3);
    $good->call('EAPPEND', 'stall', 'E', 'PAYLOAD', 'x' x 100_000);
    my $lazy = SierraResp->new($port);
    $lazy->{socket}->blocking(0);
    my $frame = SierraResp::frame('ESCAN', 'stall', '-', '+');

    # It sends as much as the gateway takes.
    wait_until('the client is closed', sub {
        local $SIG{PIPE} = 'IGNORE';
        syswrite $lazy->{socket}, $frame x 100;
        die 'a client that reads is not served' if $good->call('PING') ne '+PONG';
        return gateway_log($gateway) =~ /did not read its replies, closed/;
    });
    pass('a client that does not read its replies is closed, and others are served');
    my ($kilobytes) = slurp_file("/proc/$gateway->{pid}/status") =~ /VmHWM:\s+(\d+)/;
    cmp_ok($kilobytes, '<', 100_000, 'it has not filled the memory of the gateway');

    # One that reads late gets everything.
    my $late = SierraResp->new($port);
    my $sender = fork_process(sub { $late->send_bytes($frame x 200); });
    my @replies = map { $late->reply } 1 .. 200;
    is(scalar(grep { length SierraResp::events($_)->[0]{payload} == 100_000 } @replies), 200, 'a client that reads gets more than output_limit, one after the other');
    wait_for_process($sender);
    is(stop_gateway($gateway), 0, 'it stops');
}

# ---- documents ----

{
    my ($help)   = run_command([ $program, '--help' ]);
    my $page     = slurp_file("$FindBin::Bin/../../docs/gateway.md");
    my $manual   = slurp_file("$FindBin::Bin/../../gateway/sierra_gateway.1");
    my $sample   = slurp_file("$FindBin::Bin/../../gateway/sierra_gateway.conf.sample");
    my @settings = grep { $_ ne 'config' && $_ ne 'version' && $_ ne 'help' && $_ ne 'check-config' } $help =~ /^  --([a-z_-]+) /mg;
    cmp_ok(scalar @settings, '>', 20, 'settings of --help');
    is_deeply([ grep { $page !~ /^\| .*`\Q$_\E`.* \|/m } @settings ], [], 'each is in the table of docs/gateway.md');
    is_deeply([ grep { $manual !~ /\\fB\Q$_\E\\fR/ } @settings ], [], 'in the manual page');
    is_deeply([ grep { $sample !~ /^#\Q$_\E = /m } @settings ], [], 'and in the sample');

    my %defaults = map { /^  --([a-z_]+) .*\(default (.*)\)$/ ? ($1 => $2) : () } split /\n/, $help;
    is_deeply([ grep { $page !~ /^\| (?:`\w+`\*?, )?`\Q$_\E`.* \| `\Q$defaults{$_}\E` \|/m } sort keys %defaults ], [], 'docs/gateway.md has the defaults');

    my ($wings) = slurp_file("$FindBin::Bin/../../scripts/lint-wings") =~ /^gateway_wings='(.*)'/m;
    my @rows = slurp_file("$FindBin::Bin/../../gateway/README.md") =~ /^\| (\w+) \| (?!what)/mg;
    is("@rows", $wings, 'gateway/README.md has the wings in their order');

    my $commented = "$directory/sample.conf";
    append_to_file($commented, $sample =~ s/^#(?=[a-z_]+ = )//gmr =~ s/^listen.*tls=on.*\n//mr);
    my ($out) = run_command([ $program, '--config', $commented, '--check-config' ]);
    is($out, 'the settings are right', 'the sample is right, also without its comment signs');
}

$node->stop;
done_testing();
