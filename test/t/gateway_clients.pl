# Programs with clients of Redis and of SierraDB see what the clients of SierraDB expect, and
# what happens to bytes and subscriptions behind their backs.
# SIERRA_GATEWAY_CLIENTS: the directory in which test/gateway/build has built the clients;
# `test/gateway/build DIRECTORY all` builds those too that are not built by default.
# SIERRADB: the program of the real server, to which the answers are compared.
# SIERRA_TEST_EVENTS: events of the history that is read while others append.

use strict;
use warnings;

use File::Basename qw(basename);
use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraGateway;
use SierraTest;
use Test::More;

plan skip_all => 'the gateway is not built: libevent is missing' unless gateway_program();

my $programs = "$FindBin::Bin/../gateway";
my $python   = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
my $node     = new_server('gateway_clients');

# Passwords are asked for on TCP connections only.
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\n");
append_to_file($node->data_dir . '/pg_hba.conf.new', "local all all trust\nhost all ada 127.0.0.1/32 scram-sha-256\n");
rename $node->data_dir . '/pg_hba.conf.new', $node->data_dir . '/pg_hba.conf' or die "rename: $!";
$node->restart;
create_store($node, 32);
$node->safe_psql('postgres', q{CREATE ROLE ada LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA es TO ada; GRANT SELECT, INSERT ON es.events TO ada});


# A certificate of our own, for a listener with TLS.
my $certificate = "$PostgreSQL::Test::Utils::tmp_check/gateway.pem";
my @request = (qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost), '-keyout', $certificate, '-out', "$certificate.crt");
my $has_tls = eval { IPC::Run::run(\@request, '>&', \my $ignored) };
chmod 0600, $certificate;

my $gateway = start_gateway(
    $node,
    listen         => [ '', 'dialect=tutorial', ($has_tls ? 'tls=on' : ()) ],
    max_frame_size => '2MB',
    ($has_tls ? (tls_cert_file => "$certificate.crt", tls_key_file => $certificate) : ()));
my $strict = start_gateway(
    $node,
    name         => 'gateway_passwords',
    require_auth => 'on',
    database     => sprintf 'host=127.0.0.1 port=%s dbname=postgres', $node->port);
my @ports = (@{ $gateway->{ports} }[ 0, 1 ], $strict->{ports}[0]);

# ---------------------------------------------------------------------------
# The clients
# ---------------------------------------------------------------------------

# Where scripts/test has built them; else they are built here.
sub find_clients {
    return $ENV{SIERRA_GATEWAY_CLIENTS} if $ENV{SIERRA_GATEWAY_CLIENTS};
    my $directory = "$PostgreSQL::Test::Utils::tmp_check/gateway_clients";
    system("$programs/build '$directory' >&2") == 0 or die 'the clients cannot be built';
    return $directory;
}

my $clients = find_clients();
foreach my $client (sort map { basename($_) } glob "$clients/*") {
  SKIP: {
        skip "$client: " . slurp_file("$clients/$client/skipped") =~ s/\s+$//r, 1 if -e "$clients/$client/skipped";
        run_checks($client, "$clients/$client/check", @ports);
    }
}

# What a person types.
SKIP: {
    my $redis_cli = (grep { -x } map { "$_/redis-cli" } split /:/, $ENV{PATH})[0] or skip 'redis-cli is not there', 1;
    my $ask = sub {
        my ($input, @arguments) = @_;
        my $out = '';
        IPC::Run::run([ $redis_cli, '-p', $ports[0], @arguments ], '<', \$input, '>', \$out, '2>&1');
        return $out;
    };
    is($ask->('', 'PING'), "PONG\n", 'redis-cli: PING');
    like($ask->('', 'EAPPEND', 'cli-1', 'Made', 'PAYLOAD', '{"a": 1}'), qr/^event_id\n[0-9a-f-]{36}\n.*\nstream_version\n0\n/s, 'redis-cli: EAPPEND');
    like($ask->('', '-3', 'EAPPEND', 'cli-1', 'Made'), qr/^stream_version 1$/m, 'redis-cli -3: EAPPEND');
    like($ask->('', '-3', 'ESCAN', 'cli-1', '-', '+'), qr/^has_more \(?false\)?$/m, 'redis-cli -3: ESCAN');
    like($ask->('', 'EAPPEND', 'cli-1', 'Made', 'EXPECTED_VERSION', '7'), qr/^WRONGVER current stream version is 1 but expected 7 /, 'redis-cli: a conflict');
    like($ask->("PING\nESVER cli-1\nEAPPEND cli-1 Made METADATA \"\\x00\"\nESVER cli-1\n"), qr/^PONG\n1\nevent_id\n.*\n2\n$/s, 'redis-cli: commands of a file');
    like($ask->('', '--json', '-3', 'ESVER', 'cli-1'), qr/^2$/m, 'redis-cli --json');
    my $benchmark = $redis_cli =~ s/cli$/benchmark/r;
    if (-x $benchmark) {
        my $out = '';
        IPC::Run::run([ $benchmark, '-p', $ports[0], qw(-c 8 -n 400 -r 10 EAPPEND load-__rand_int__ E PAYLOAD), '{"n": 1}' ], '<', \undef, '>', \$out, '2>&1');
        like($out, qr/400 requests completed/, 'redis-benchmark ends well');
        unlike($out, qr/^Error/m, 'and gets no errors');
        is($node->safe_psql('postgres', q{SELECT count(*) FROM es.events WHERE stream_id LIKE 'load-%'}), 400, 'and all that it has appended is there');
    }
    my @tls = ('-p', $gateway->{ports}[2] // 0, '--tls', '--cacert', "$certificate.crt");
    skip 'openssl is not there, or redis-cli has no TLS', 2 unless $has_tls && $ask->('', '--help') =~ /--tls/;
    is($ask->('', @tls, 'PING'), "PONG\n", 'redis-cli --tls');
    my $text = 'x' x 300_000;
    $ask->(qq(EAPPEND cli-tls Made PAYLOAD "$text"\n), @tls);
    cmp_ok(index($ask->('', @tls, '-3', 'ESCAN', 'cli-tls', '-', '+'), $text), '>', 0, 'a large event over TLS');
    unlike($ask->('', '-p', $gateway->{ports}[2], 'PING'), qr/PONG/, 'without TLS there is no answer');
}

# ---------------------------------------------------------------------------
# Behind the backs of the clients
# ---------------------------------------------------------------------------

run_checks('frames',        $python, '-B', "$programs/frames.py",        $ports[0]);
run_checks('subscriptions', $python, '-B', "$programs/subscriptions.py", $ports[0], $ENV{SIERRA_TEST_EVENTS} // 2000);

my $dbh = connect_to($node);
store_is_sound($dbh, 'after all clients');

# ---------------------------------------------------------------------------
# The real server
# ---------------------------------------------------------------------------

# Starts SierraDB; returns its port and process.
sub start_sierradb {
    my ($program) = @_;
    my $directory = PostgreSQL::Test::Utils::tempdir;
    my $port      = PostgreSQL::Test::Cluster::get_free_port();
    append_to_file("$directory/sierradb.toml", <<"CONF");
[append]
strict_versioning = false
[network]
cluster_enabled = false
mdns = false
client_address = "127.0.0.1:$port"
[node]
count = 1
index = 0
[replication]
factor = 1
[bucket]
count = 4
[partition]
count = 32
[sync]
interval_ms = 1
max_batch_size = 1
min_bytes = 1
CONF
    my $pid = fork_process(sub {
        exec $program, '-l', 'warn', '--dir', "$directory/data", '--config', "$directory/sierradb.toml" or die "$program: $!";
    });
    wait_until('SierraDB listens', sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) });
    return ($port, $pid);
}

SKIP: {
    my ($program) = grep { -x } $ENV{SIERRADB} // map { "$_/sierradb" } split /:/, $ENV{PATH};
    skip 'SierraDB is not installed', 1 unless $program;
    my ($port, $pid) = start_sierradb($program);
    $node->safe_psql('postgres', 'CREATE DATABASE fresh');
    $node->safe_psql('fresh', q{CREATE EXTENSION sierra_es; SELECT create_event_store('es', 32)});
    my $fresh = start_gateway($node, name => 'gateway_fresh', database => sprintf 'host=%s port=%s dbname=fresh', $node->host, $node->port);
    my $seed = $ENV{SIERRA_TEST_SEED} // int rand 1_000_000;
    run_checks('beside SierraDB', $python, '-B', "$programs/differential.py", $port, $fresh->{ports}[0], $seed, $ENV{SIERRA_TEST_STEPS} // 1000);
    kill 'TERM', $pid;
    waitpid $pid, 0;
    is(stop_gateway($fresh), 0, 'the gateway stops');
}

is(stop_gateway($_), 0, 'the gateway stops') foreach $gateway, $strict;
unlike(gateway_log($_), qr/secret|Sanitizer|assertion/i, 'it has logged neither a password nor an error of itself') foreach $gateway, $strict;
$dbh->disconnect;
$node->stop;
done_testing();
