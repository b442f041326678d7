# What large calls cost: the memory of a call of emappend() is in proportion to its input, and
# a call ends soon when it is cancelled.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;
use POSIX ();
use PostgreSQL::Test::Utils;

my $node = new_server('append_cost');

# The peak of a process counts the shared pages that it has touched; so let there be few.
$node->append_conf('postgresql.conf', "shared_buffers = 1MB\nwork_mem = 64kB\nautovacuum = off");
$node->restart;
create_store($node, 4);

my $owner = connect_to($node);
$owner->do(<<'SQL');
CREATE FUNCTION events(count int, streams int, more text DEFAULT '') RETURNS json LANGUAGE sql RETURN
    (SELECT '[' || string_agg(format('{"stream_id":"s-%s","event_name":"E","payload":{"n":%s}%s}', i % streams, i,
                                     replace(more, '$id', gen_random_uuid()::text)), ',') || ']'
       FROM generate_series(1, count) AS i)::json;
CREATE TABLE inputs (name text, size int DEFAULT 100, events json, streams text[], names text[], payloads json[]);
ALTER TABLE inputs ALTER events SET STORAGE EXTERNAL;
INSERT INTO inputs (name, size, events)
SELECT i.name, n.size, events(n.size, i.streams, i.more)
  FROM (VALUES ('few streams', 1000, ''), ('many streams', 1000000, ''),
               ('metadata', 1000, ',"metadata":{"by":"me"}')) AS i(name, streams, more),
       unnest(ARRAY[300, 20000, 100000]) AS n(size);
INSERT INTO inputs (name, size, events) VALUES ('few streams', 500000, events(500000, 1000));
INSERT INTO inputs (name, size, streams, names, payloads)
SELECT 'arrays', n, array_agg('s-' || i % 1000), array_agg('E'::text), array_agg(json_build_object('n', i))
  FROM unnest(ARRAY[300, 100000, 500000]) AS n, generate_series(1, n) AS i GROUP BY n;
SQL

my $json = 'SELECT count(*) FROM emappend(NULL, (SELECT events FROM inputs WHERE (name, size) = ($1, $2)))';
my $arrays = 'SELECT count(*) FROM inputs, emappend(NULL, streams, names, payloads) WHERE (name, size) = ($1, $2)';
my %statement = (arrays => $arrays);

# A number from a file of /proc, in kilobytes.
sub kilobytes {
    my ($pid, $what) = @_;
    open my $status, '<', "/proc/$pid/status" or die "cannot read the memory of process $pid: $!";
    my ($found) = map { /^$what:\s+(\d+) kB/ } <$status>;
    return $found // die "process $pid has no $what";
}

sub reset_peak {
    my ($pid) = @_;
    open my $peak, '>', "/proc/$pid/clear_refs" or die "cannot reset the peak of process $pid: $!";
    print {$peak} '5';
    close $peak or die "cannot reset the peak of process $pid: $!";
    return;
}

# How many bytes a call adds to the peak of a session that has made one with few events.
sub peak_of {
    my ($input, $size, @settings) = @_;
    my $dbh  = connect_to($node);
    my $call = $dbh->prepare($statement{$input} // $json);
    $dbh->do($_) for @settings;
    $dbh->begin_work;
    $call->execute($input, 300);
    reset_peak($dbh->{pg_pid});
    my $before = kilobytes($dbh->{pg_pid}, 'VmHWM');
    $call->execute($input, $size);
    my $bytes = 1024 * (kilobytes($dbh->{pg_pid}, 'VmHWM') - $before);
    die "$size events expected" if $call->fetchrow_array != $size;
    $call->finish;
    $dbh->rollback;
    $dbh->disconnect;
    return $bytes;
}

# One test: the peak of a call is at most that many times its input.
sub peak_is_at_most {
    my ($times, $input, $size, $name, @settings) = @_;
    my $bytes = peak_of($input, $size, @settings);
    my $text  = one_value($owner,
        'SELECT octet_length(events::text) FROM inputs WHERE (name, size) = ($1, $2)', $input, $size);
    note(sprintf '%s: %d bytes, %.2f times the input of %d', $name, $bytes, $bytes / $text, $text);
    return cmp_ok($bytes, '<=', $times * $text, "memory: $name");
}

# The processor time of a process, in seconds.  Unlike that of a clock, it does not depend on
# what else the machine does.
sub seconds_of {
    my ($pid) = @_;
    my ($fields) = slurp_file("/proc/$pid/stat") =~ /.*\) (.*)/s;
    my ($user, $system) = (split / /, $fields)[ 11, 12 ];
    return ($user + $system) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# Two tests: a call that is cancelled after some milliseconds takes at most a second more.
sub ends_in_time {
    my ($input, $size, $milliseconds) = @_;
    my $dbh  = connect_to($node);
    my $call = $dbh->prepare($statement{$input} // $json);
    my $before = seconds_of($dbh->{pg_pid});
    $dbh->do("SET statement_timeout = $milliseconds");
    ok(!eval { $call->execute($input, $size) } && $dbh->state eq '57014',
        "cancelled: $size events, $input, after $milliseconds ms");
    my $seconds = seconds_of($dbh->{pg_pid}) - $before;
    cmp_ok($seconds, '<=', $milliseconds / 1000 + 1, "time: $size events, $input, after $milliseconds ms");
    $dbh->disconnect;
    return;
}

peak_is_at_most(4, 'few streams',  100000, 'few streams');
peak_is_at_most(4, 'many streams', 100000, 'a stream for each event');
peak_is_at_most(4, 'metadata',     100000, 'metadata');
peak_is_at_most(4, 'metadata', 100000, 'metadata that the session adds',
    q(SET sierra_es.metadata = '{"tenant": "a-name-that-is-added-to-each-event"}'));

my $bytes = peak_of('arrays', 100000);
cmp_ok($bytes, '<=', 100000 * 250, 'memory: arrays');
note("arrays: $bytes bytes for 100000 events");

# Rows that the executor writes, because the partition has a trigger of a user.
$owner->do(<<'SQL');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER nothing BEFORE INSERT ON es.events FOR EACH ROW EXECUTE FUNCTION nothing();
SQL
peak_is_at_most(4, 'metadata', 20000, 'rows by the executor',
    q(SET sierra_es.metadata = '{"tenant": "a-name-that-is-added-to-each-event"}'));
$owner->do('DROP TRIGGER nothing ON es.events');

ends_in_time('few streams', 500000, $_) for 100, 500, 1000;
ends_in_time('arrays',      500000, $_) for 100, 500, 1000;
is(one_value($owner, 'SELECT count(*) FROM es.events'), 0, 'nothing is left of all that');

done_testing();
