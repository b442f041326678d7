# Clients append and subscribe while the server restarts, crashes and loses sessions, and while
# the gateway is killed: what was answered is stored once, and subscribers miss nothing.
# SIERRA_TEST_SECONDS: how long (default 10).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IPC::Run;
use PostgreSQL::Test::Utils;
use SierraGateway;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'the gateway is not built: libevent is missing' unless gateway_program();

my $seconds = $ENV{SIERRA_TEST_SECONDS} // 10;
my $seed    = $ENV{SIERRA_TEST_SEED}    // int rand 1_000_000;
srand $seed;
note("seed $seed");
my $python = -x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3';
my $node   = new_server('gateway_soak');
create_store($node, 32);
my $gateway = start_gateway($node);

my $file = "$PostgreSQL::Test::Utils::tmp_check/answered";
my %run  = (out => '', err => '');
$run{run} = IPC::Run::start([ $python, '-B', "$FindBin::Bin/../gateway/soak.py", $gateway->{ports}[0], $seconds, $file ],
    '<', \undef, '>', \$run{out}, '2>', \$run{err});
my $is_running = sub { return eval { $run{run}->pump_nb; 1 } && $run{run}->pumpable; };
END { my $status = $?; eval { $run{run}->kill_kill(grace => 0) } if $run{run}; $? = $status; }
wait_until('the clients have started', sub { !$is_running->() || $run{out} =~ /started/ });

# What happens to them; each leaves a server and a gateway that run.
my %disasters = (
    'a restart of the server'   => sub { $node->restart },
    'a crash of the server'     => sub { $node->stop('immediate'); $node->start },
    'lost sessions'             => sub {
        $node->psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'});
    },
    'a killed gateway'          => sub { kill_gateway($gateway); restart_gateway($gateway) },
    'a stopped gateway'         => sub { is(stop_gateway($gateway), 0, 'the gateway stops'); restart_gateway($gateway) },
    'a gateway that was paused' => sub { kill 'STOP', $gateway->{pid}; sleep 0.5; kill 'CONT', $gateway->{pid} },
    'a server without a gateway' => sub { kill_gateway($gateway); $node->restart; restart_gateway($gateway) },
);
my %happened;
my $end    = time + $seconds;
my @always = sort keys %disasters;
while (time < $end) {
    my $name = $always[ rand @always ];
    $disasters{$name}->();
    $happened{$name}++;
    sleep 0.5 + rand 1;
    last unless $is_running->();
}
note("$_: $happened{$_}") foreach sort keys %happened;
{
    # They end by themselves if one of them gets nothing more, and say which.
    local $PostgreSQL::Test::Utils::timeout_default = 900 + 10 * $seconds;
    wait_until('the clients have ended', sub { !$is_running->() });
}
$run{run}->finish;

count_checks('clients', $run{out}, $run{err});

# The server knows better than the gateway what is stored.
my $dbh = connect_to($node);
$dbh->do('CREATE TABLE answered (event_id uuid, stream_id text, stream_version bigint)');
$dbh->do(q{COPY answered FROM STDIN WITH (DELIMITER ' ')});
$dbh->pg_putcopydata($_) foreach map { "$_\n" } split /\n/, slurp_file($file);
$dbh->pg_putcopyend;
my $missing = q{SELECT count(*) FROM answered AS a FULL JOIN es.events AS e USING (event_id, stream_id, stream_version)
                 WHERE a.ctid IS NULL OR e.event_name IS NULL};
cmp_ok(one_value($dbh, 'SELECT count(*) FROM answered'), '>', 100, 'appends were answered');
is(one_value($dbh, $missing), 0, 'what was answered is stored with its version, and nothing else is');
is(one_value($dbh, 'SELECT count(*) - count(DISTINCT event_id) FROM answered'), 0, 'nothing is answered twice');
store_is_sound($dbh, 'after all disasters');
is(stop_gateway($gateway), 0, 'the gateway stops');
unlike(gateway_log($gateway), qr/Sanitizer|assertion/i, 'it has logged no error of itself');
$dbh->disconnect;
$node->stop;
done_testing();
