# Whatever the owner of a store does to it: every function answers in full or fails
# with an error that says why.  It never crashes the server, and no reader is
# given fewer events than there are.
#
# Mutilations are lines of test/lib/SierraMutilations.pm.  Each is done in a transaction, every
# public function is called, and the transaction is rolled back: so the next
# one finds a fresh store.  worker_mutilation.pl does some for good, beside runners.
#
# All of them take about a quarter of an hour, so a run does one of 45.  SIERRA_TEST_SEED
# is which, by its remainder.  SIERRA_TEST_MUTILATIONS is a regular expression: all whose
# names match, '.' for every one.  SIERRA_TEST_CRASHES is how many calls to look for
# behind the crashes of one mutilation (default 1).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraCalls;
use SierraMutilations;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_server('mutilation');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
statement_timeout = 40s
log_min_messages = fatal
log_min_error_statement = panic
client_min_messages = error
max_stack_depth = 1MB
CONF
my $runners = setting_of_runners($node);
$node->append_conf('postgresql.conf', "$runners = 0\nsierra_es.notify = off");
$node->restart;
prepare_database($node);

my $superuser = connect_to($node);
my $owner     = session_of('regress_sierra_owner');
fill_store($owner, 'es');
my $name_of_superuser = one_value($superuser, 'SELECT current_user');
my $started = one_value($superuser, 'SELECT pg_postmaster_start_time()');

my @calls = eval { calls_of('es', public_functions($superuser)) };
is($@, '', 'there is a call of each public function') or BAIL_OUT($@);

# The server may be starting again after a crash.
sub session_of {
    my ($role) = @_;
    my $dbh;
    wait_until('the server is there', sub {
        eval {
            $dbh = connect_to($node, 'postgres', $role);
            $dbh->do('SET search_path = public; SET client_min_messages = error');
            1;
        };
    });
    return $dbh;
}

# What a reader and the superuser call; the others are tried by the owner alone.
my $of_readers = qr/^(?:eall|eappend|eget|equery|ehead|eload|enext|epeek|epscan|epseq|eproject|escan|estates|esver|eupcast|everify|ewait\w*|event_\w+|export_events)$/;
my $of_superuser = qr/^(?:eall|escan|everify|event_\w+|export_events|upgrade_event_store|guard_event_store)$/;

# What has to do with a table, by the first word of a mutilation's name; all calls for any other word.
my %concerned = (
    subscriptions => qr/^(?:esub|epsub|enext|epeek|eack|enack|eretry|eskip|eleave|ewait|eunsub|event_(?:subscriptions|leases|failures|consumers|projections|stores)
                        |run_projections?|create_projection|rebuild_projection|ewait_projection|everify|drop_event_store|clear_event_store|upgrade_event_store|eall)$/x,
    projections => qr/projection|^(?:cancel_rebuild|finish_rebuild|eproject|estates|create_process_manager|eappend|event_process_managers|event_stores|everify
                        |drop_event_store|clear_event_store|guard_event_store|upgrade_event_store|eall)$/x,
    aggregates => qr/aggregate|snapshots|upcaster|^(?:eload|edecide|eupcast|event_stores|everify|drop_event_store|clear_event_store|upgrade_event_store|run_projections?|eall)$/,
    sagas => qr/saga|timers|^(?:eschedule|ecancel|event_stores|everify|drop_event_store|clear_event_store|upgrade_event_store|eall)$/,
);
$concerned{$_} = $concerned{subscriptions} for qw(subscription_cursors subscription_consumers subscription_streams);
$concerned{projection_states} = $concerned{projections};
$concerned{$_} = $concerned{aggregates} for qw(snapshots upcasters);
$concerned{$_} = $concerned{sagas} for qw(saga_instances timers);

# The calls that a role makes after a mutilation.
sub calls_for {
    my ($mutilation, $role) = @_;
    my ($word) = $mutilation->{name} =~ /^(\w*)/;
    my $wanted = $concerned{$word};
    my $may = $role eq 'superuser' ? $of_superuser : $role eq 'regress_sierra_reader' ? $of_readers : qr/./;
    return [ grep { $_->[0] =~ $may && (!$wanted || $_->[0] =~ $wanted) } @calls ];
}

# One transaction: the mutilation, then calls of one role after another.  Each of
# @work is a role and its calls.  Returns rows of role, function, call and result,
# or how it went wrong: crash or hang.
sub mutilate_and_call {
    my ($dbh, $mutilation, @work) = @_;
    my @results;
    my $done = eval {
        $dbh->begin_work;
        $dbh->do('SET LOCAL ROLE regress_sierra_owner') unless $mutilation->{superuser};
        $dbh->do($mutilation->{sql}) if $mutilation->{sql};
        $dbh->do('RESET ROLE');
        for my $work (@work) {
            my ($role, $calls) = @$work;
            $dbh->do("SET LOCAL ROLE $role") unless $role eq 'superuser';
            my $got = $dbh->selectcol_arrayref('SELECT testing.try(c.call) FROM unnest($1::text[]) WITH ORDINALITY AS c (call, n) ORDER BY c.n',
                undef, [ map { $_->[1] } @$calls ]);
            push @results, map { [ $role, @{ $calls->[$_] }, $got->[$_] ] } 0 .. $#$calls;
            $dbh->do('RESET ROLE') unless $role eq 'superuser';
        }
        $dbh->rollback;
        1;
    };
    return \@results if $done;
    my $error = $@;
    if (!connection_is_lost($dbh)) {
        my $code = $dbh->state;
        eval { $dbh->rollback };
        return 'hang' if $code eq '57014';
        return [ [ 'nobody', '', $mutilation->{sql}, "$error" ] ];
    }
    eval { $dbh->disconnect };

    # Until the postmaster knows, it lets sessions in that will not live.
    sleep 0.3;
    return 'crash';
}

# What is wrong with a result, or ''.
sub fault_of {
    my ($mutilation, $expected, $role, $function, $call, $result) = @_;
    return "cannot be mutilated: $result" if $role eq 'nobody';
    return $result if $result =~ /^(?:XX|57014|58|slow)/;
    return '' if $mutilation->{fewer} || $result !~ /^done/ || !is_read($function) || !exists $expected->{$call};
    return $result eq $expected->{$call} ? '' : "$result instead of $expected->{$call}";
}

# Looks for the calls behind a crash or a hang, one after another.
sub crashing_calls {
    my ($mutilation, @roles) = @_;
    my $wanted = $ENV{SIERRA_TEST_CRASHES} // 1;
    my @found;
    my $dbh = session_of($name_of_superuser);
    for my $role (@roles) {
        for my $call (@{ calls_for($mutilation, $role) }) {
            $dbh->do(q{SET statement_timeout = '10s'});
            my $got = mutilate_and_call($dbh, $mutilation, [ $role, [$call] ]);
            next if ref $got;
            push @found, "$got of $role: $call->[1]";
            $dbh = session_of($name_of_superuser);
            return @found if @found >= $wanted;
        }
    }
    return @found ? @found : ('only after other calls');
}

my $warm = session_of($name_of_superuser);
my %expected = map { $_->[2] => $_->[3] } @{ mutilate_and_call($warm, { sql => '' }, [ 'regress_sierra_owner', \@calls ]) };
{
    my @failed = grep { $expected{$_} !~ /^done/ && !/^(?:(?:drop|clear)_event_store\('es'\)|create_event_store|drop_saga|(?:count\(\*\) FROM )?event_(?:runners|databases|metrics|progress))/ } map { $_->[1] } @calls;
    is(join("\n", map {"$_: $expected{$_}"} @failed), '', 'calls succeed in a sound store');
}

my $pattern = $ENV{SIERRA_TEST_MUTILATIONS};
my $seed    = $ENV{SIERRA_TEST_SEED} // 0;
my @all = (mutilations_by_hand(), mutilations_of_columns($superuser));
cmp_ok(scalar @all, '>=', 1000, 'there are enough of them');
my @chosen = $pattern ? grep { $_->{name} =~ /$pattern/ } @all : @all[ grep { $_ % 45 == $seed % 45 } 0 .. $#all ];
my @roles = qw(regress_sierra_owner regress_sierra_reader superuser);
for my $mutilation (@chosen) {

    # A session that knew the store, and for what sessions keep also one that did not.
    my @complaints;
    for my $kind (qw(warm cold)) {
        next if $kind eq 'cold' && $mutilation->{name} !~ /^(?:leaf|events|stream_keys|event_ids|event_tags|sequence|guard|type): /;
        my $dbh = $kind eq 'warm' ? $warm : session_of($name_of_superuser);
        my $results = mutilate_and_call($dbh, $mutilation, map { [ $_, calls_for($mutilation, $_) ] } $kind eq 'warm' ? @roles : $roles[1]);
        if (!ref $results) {
            push @complaints, map {"$kind: $_"} crashing_calls($mutilation, @roles);
            $warm = session_of($name_of_superuser);
            last;
        }
        for my $result (@$results) {
            my $fault = fault_of($mutilation, \%expected, @$result);
            push @complaints, "$kind, $result->[0]: " . substr($result->[2], 0, 200) . ": $fault" if $fault ne '';
        }
    }
    # PostgreSQL keeps plans with a type that was altered, and after ROLLBACK those with the altered one.
    $warm = session_of($name_of_superuser) if $mutilation->{name} =~ /^type: /;
    splice @complaints, 6, -1, '...' if @complaints > 8;
    no_complaints(\@complaints, $mutilation->{name});
}

is(one_value($superuser = connect_to($node), 'SELECT pg_postmaster_start_time()'), $started, 'the server is the same');
unlike(slurp_file($node->logfile), qr/was terminated by signal|TRAP: /, 'no process has crashed');

done_testing();
