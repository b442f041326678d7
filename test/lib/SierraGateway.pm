# SierraGateway.pm
#     Starts and stops sierra_gateway for the tests, and runs the programs of
#     test/gateway, which print a line for each check.

package SierraGateway;

use strict;
use warnings;

use Exporter qw(import);
use IO::Socket::INET;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use SierraTest;
use Test::More;

our @EXPORT = qw(
  gateway_program start_gateway restart_gateway stop_gateway kill_gateway gateway_log
  run_checks count_checks ask_gateway
);

# Where `make install` has put it; undef if the gateway was not built.
sub gateway_program {
    my $directory = `pg_config --bindir`;
    chomp $directory;
    my $program = "$directory/sierra_gateway";
    return -x $program ? $program : undef;
}

my %running;

# Starts a gateway for database postgres of the server.  listen: options of each listener,
# such as 'dialect=tutorial'; the others are settings of sierra_gateway.conf.  Returns what the
# functions below take; its ports are in {ports}, in the order of the listeners.
sub start_gateway {
    my ($node, %settings) = @_;
    my $listeners = delete $settings{listen} // [''];
    # Tests that run one after the other share a directory.
    my $name      = $node->name . '_' . (delete $settings{name} // 'gateway');
    my $gateway   = {
        config => "$PostgreSQL::Test::Utils::tmp_check/$name.conf",
        log    => "$PostgreSQL::Test::Utils::log_path/$name.log",
        ports  => [ map { PostgreSQL::Test::Cluster::get_free_port() } @$listeners ],
    };
    my @listen = map { "listen = '127.0.0.1:$gateway->{ports}[$_] $listeners->[$_]'" =~ s/ '$/'/r } 0 .. $#$listeners;
    $settings{database} //= sprintf 'host=%s port=%s dbname=postgres', $node->host, $node->port;
    append_to_file($gateway->{config}, join '', map { "$_\n" } @listen, map { "$_ = '$settings{$_}'" } sort keys %settings);
    return restart_gateway($gateway);
}

# Starts the same one again, on the same ports.
sub restart_gateway {
    my ($gateway) = @_;
    my $program = gateway_program() // die 'sierra_gateway is not installed';
    $gateway->{pid} = fork // die "cannot fork: $!";
    if ($gateway->{pid} == 0) {

        # Memory that was freed has other bytes: what uses it crashes, and does not seem to be right.
        $ENV{MALLOC_PERTURB_} //= 165;
        open STDIN,  '<',  '/dev/null'      or POSIX::_exit(1);
        open STDOUT, '>>', $gateway->{log}  or POSIX::_exit(1);
        open STDERR, '>&', \*STDOUT         or POSIX::_exit(1);
        exec $program, '--config', $gateway->{config} or POSIX::_exit(1);
    }
    $running{ $gateway->{pid} } = 1;
    foreach my $port (@{ $gateway->{ports} }) {
        wait_until("the gateway listens on port $port", sub {
            die 'the gateway has ended: ' . gateway_log($gateway) if waitpid($gateway->{pid}, POSIX::WNOHANG()) != 0;
            return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
        });
    }
    return $gateway;
}

# Ends it; returns its exit status as in $?.
sub end_gateway {
    my ($gateway, $signal) = @_;
    kill $signal, $gateway->{pid};
    waitpid $gateway->{pid}, 0;
    my $status = $?;
    delete $running{ $gateway->{pid} };
    check_sanitizers($gateway);
    return $status;
}

# A gateway that was built with sanitizers (GATEWAY_SANITIZE) reports here.
sub check_sanitizers {
    my ($gateway) = @_;
    my ($report) = gateway_log($gateway) =~ /((?:^==\d+==ERROR: |^\S+ runtime error: ).*)/ms;
    return unless defined $report;
    fail('the sanitizers find nothing in the gateway');
    diag(substr $report, 0, 8000);
    return;
}

sub stop_gateway { return end_gateway($_[0], 'TERM'); }
sub kill_gateway { return end_gateway($_[0], 'KILL'); }

# None outlives the test, whatever it dies of.
END {
    my $status = $?;
    kill 'KILL', keys %running if %running;
    $? = $status;
}

sub gateway_log {
    my ($gateway) = @_;
    return -e $gateway->{log} ? slurp_file($gateway->{log}) : '';
}

# The answer to an inline command, without its line end.
sub ask_gateway {
    my ($port, $command) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "cannot connect: $!";
    print {$socket} "$command\r\n";
    my $answer = readline $socket;
    return defined $answer ? $answer =~ s/\s+$//r : undef;
}

# Runs a program that prints its checks, and makes tests of them.  Returns whether all is well.
sub run_checks {
    my ($name, @command) = @_;
    my ($out, $err) = ('', '');
    IPC::Run::run(\@command, '<', \undef, '>', \$out, '2>', \$err);
    return count_checks($name, $out, $err);
}

# The same with what such a program has printed: "ok NAME" or "not ok NAME" for each check and
# "done N" at its end.
sub count_checks {
    my ($name, $out, $err) = @_;
    my $checks = 0;
    my $failed = 0;
    foreach my $line (split /\n/, $out) {
        if ($line =~ /^(not )?ok (.*)/) {
            ok(!$1, "$name: $2") or $failed++;
            $checks++;
        }
        else {
            note($line);
        }
    }
    my ($done) = $out =~ /^done (\d+)$/m;
    my $complete = is($done // 'died', $checks, "$name: it has made all its checks");
    diag($err) if $err ne '' && ($failed || !$complete);
    return !$failed && $complete;
}

1;
