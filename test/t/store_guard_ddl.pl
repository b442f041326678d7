# A store does not lose its guard, nor anything else, in the eyes of sessions that
# look it up while rights, triggers or columns of its tables change.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(time);

my $node = new_server('guard_ddl');
create_store($node, 4);
my $dbh = connect_to($node);
$dbh->do(q{SELECT eappend('a', 'x')});
$dbh->do(q{CREATE ROLE regress_sierra_somebody});
$dbh->do(q{CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'});
my $directory = PostgreSQL::Test::Utils::tempdir();

# Until told to stop, what fails goes into a file.
sub meanwhile {
    my ($name, $code) = @_;
    return fork_process(sub {
        my $end = time + 12;
        my %seen;
        while (time < $end) {
            eval { $code->(); 1 } or $seen{$@}++;
        }
        append_to_file("$directory/complaints", join '', map {"$name: $seen{$_} times: $_\n"} keys %seen);
    });
}

append_to_file("$directory/complaints", '');
my @pids = (
    (map { meanwhile('a new session', sub {
        my $session = connect_to($node);
        $session->selectrow_array($_) for q{SELECT esver('a')}, q{SELECT count(*) FROM eall()}, q{SELECT stream_version FROM eappend('b', 'x')};
        $session->disconnect;
    }) } 1 .. 3),
    meanwhile('rights', sub {
        my $session = connect_to($node);
        for (1 .. 50) {
            $session->do($_) for 'GRANT SELECT ON es.events TO regress_sierra_somebody', 'REVOKE SELECT ON es.events FROM regress_sierra_somebody',
              'GRANT SELECT ON es.stream_keys TO regress_sierra_somebody', 'REVOKE ALL ON es.stream_keys FROM regress_sierra_somebody';
        }
        $session->disconnect;
    }),
    meanwhile('triggers', sub {
        my $session = connect_to($node);
        $session->do($_) for 'CREATE TRIGGER another AFTER UPDATE ON es.events FOR EACH STATEMENT EXECUTE FUNCTION nothing()', 'DROP TRIGGER another ON es.events',
          q{COMMENT ON FUNCTION nothing() IS 'x'}, 'ALTER FUNCTION nothing() STABLE';
        $session->disconnect;
    }));
is(scalar(grep { !wait_for_process($_) } @pids), 0, 'all ended well');
my $complaints = slurp_file("$directory/complaints");

# DDL beside DDL can be a deadlock; that is not what is looked for.
is(join('', grep { !/deadlock|concurrently updated/ } split /^(?=\w[\w ]*: \d+ times)/m, $complaints), '', 'nobody finds anything missing');

# Where the server can drop what it has cached at any time, one look is enough.
my $discards = one_value($dbh, q{SELECT setting FROM pg_settings WHERE name = 'debug_discard_caches' AND max_val::int > 0});
if (defined $discards) {
    my $session = connect_to($node);
    $session->do('SET debug_discard_caches = 1');
    is(one_value($session, q{SELECT esver('a')}), 0, 'a look at a store whose caches are discarded all the time');
    is(one_value($session, q{SELECT count(*) FROM eall() WHERE stream_id = 'a'}), 1, 'a read');
    is(one_value($session, q{SELECT stream_version FROM eappend('a', 'x')}), 1, 'an append');
    is(sqlstate_of($session, q{DELETE FROM es.events}), 'SE006', 'the guard');
}
is(one_value($dbh, q{SELECT count(*) FROM everify()}), 0, 'everify() finds nothing');

done_testing();
