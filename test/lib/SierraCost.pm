# SierraCost.pm
#     What a call costs the process of its session: memory and processor time.

package SierraCost;

use strict;
use warnings;

use Exporter qw(import);
use POSIX ();
use PostgreSQL::Test::Utils;

our @EXPORT = qw(small_server_settings peak_of seconds_of);

# The peak of a process counts the shared pages that it has touched; so let there be few.
sub small_server_settings { return "shared_buffers = 1MB\nwork_mem = 64kB\nautovacuum = off\n" }

sub peak {
    my ($pid) = @_;
    my ($kilobytes) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m;
    return 1024 * ($kilobytes // die "the peak of process $pid is not known");
}

sub reset_peak {
    my ($pid) = @_;
    open my $file, '>', "/proc/$pid/clear_refs" or die "cannot reset the peak of process $pid: $!";
    print {$file} '5';
    close $file or die "cannot reset the peak of process $pid: $!";
    return;
}

# How many bytes of memory some calls add to what the process of the session has, at their
# peak.  Make the same calls with little data before, so that caches are not counted.
sub peak_of {
    my ($dbh, $calls) = @_;
    reset_peak($dbh->{pg_pid});
    my $before = peak($dbh->{pg_pid});
    $calls->();
    return peak($dbh->{pg_pid}) - $before;
}

# The processor time of the process of a session, in seconds.  Unlike that of a clock, it
# does not depend on what else the machine does.
sub seconds_of {
    my ($dbh) = @_;
    my ($fields) = slurp_file("/proc/$dbh->{pg_pid}/stat") =~ /.*\) (.*)/s;
    my ($user, $system) = (split / /, $fields)[ 11, 12 ];
    return ($user + $system) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

1;
