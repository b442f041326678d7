# Whatever a user sets, for a session, a role or a database: every function does what it does under
# the defaults.  Each setting that a user may set is given each odd value: a boolean the other one,
# an enum all others, a number its bounds.  A new session with some of them then makes every public
# call.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraCalls;
use SierraTest;
use Test::More;

my $node = new_server('settings');
$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
log_min_messages = fatal
log_min_error_statement = panic
max_connections = 100
# Beside enable_seqscan = off, whose cost is enormous, it would compile everything.
jit = off
CONF
my $runners = setting_of_runners($node);
$node->append_conf('postgresql.conf', "$runners = 0\nsierra_es.notify = off");
$node->restart;
prepare_database($node);
my $superuser = connect_to($node);
my $owner     = connect_to($node, 'postgres', 'regress_sierra_owner');
fill_store($owner, 'es');

# What depends on how long ago that was would differ.
$owner->do(q{UPDATE es.subscriptions SET lease_time = '1 day'});
$owner->disconnect;

# What makes a statement fail or do nothing by its meaning, or belongs to one transaction.
my %not_tried = map { $_ => 1 } qw(
  statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout
  transaction_isolation transaction_read_only transaction_deferrable
  default_transaction_isolation default_transaction_read_only
  exit_on_error sierra_es.restore sierra_es.metadata sierra_es.run_jobs sierra_es.paused_stores
);

# What changes how values look: only the counts and errors of calls are compared.
my $of_formats = qr/^(?:DateStyle|IntervalStyle|TimeZone|bytea_output|extra_float_digits|timezone_abbreviations|xmlbinary|quote_all_identifiers)$/;

my %odd_strings = (
    'DateStyle'               => ['SQL, DMY', 'German'],
    'TimeZone'                => ['Asia/Kathmandu', 'UTC-14'],
    'search_path'             => ['public, testing'],
    'timezone_abbreviations'  => ['Australia'],
    'default_text_search_config' => ['pg_catalog.german'],
    'temp_tablespaces'        => ['pg_default'],
    'plpgsql.extra_errors'    => ['all'],
    'plpgsql.extra_warnings'  => ['all'],
    'application_name'        => [q{it's "\\"}],
);

# Each a setting and a value.
sub odd_values {
    my @odd;
    my $settings = all_rows($superuser, q{
        SELECT name, vartype, setting, min_val, max_val, enumvals::text[] FROM pg_settings WHERE context = 'user' ORDER BY name});
    for my $setting (@$settings) {
        next if $not_tried{ $setting->{name} };
        my @values =
            $setting->{vartype} eq 'bool' ? ($setting->{setting} eq 'on' ? 'off' : 'on')
          : $setting->{vartype} eq 'enum' ? grep { $_ ne $setting->{setting} } @{ $setting->{enumvals} }
          : $setting->{vartype} eq 'string' ? @{ $odd_strings{ $setting->{name} } // [] }
          :   grep { $_ ne $setting->{setting} } @$setting{qw(min_val max_val)};
        push @odd, map { [ $setting->{name}, $_ ] } @values;
    }
    return @odd;
}

my @calls = calls_of('es', public_functions($superuser));

# The literals of the calls must not be what means something else.
my @texts = map { $_->[1] =~ s/'\\x/E'\\\\x/gr =~ s/'2020-01-01'/'2020-01-01 00:00+00'/gr } @calls;

# The results of all calls in a session with these settings, in the order of the calls.
sub results_under {
    my (@settings) = @_;
    my $dbh = connect_to($node, 'postgres', 'regress_sierra_owner');
    $dbh->do('SET client_min_messages = error');
    my $results = eval {
        $dbh->do('SELECT set_config($1, $2, false)', undef, @$_) for @settings;
        $dbh->selectcol_arrayref('SELECT testing.try(c.call) FROM unnest($1::text[]) WITH ORDINALITY AS c (call, n) ORDER BY c.n', undef, \@texts);
    };
    my $error = $@;
    $dbh->disconnect;
    return $results // "the session cannot be used: $error";
}

my $expected = results_under();
my $again    = results_under();
my @stable   = map { $expected->[$_] eq $again->[$_] } 0 .. $#texts;
cmp_ok(scalar(grep {$_} @stable), '>', 100, 'most calls give the same again');

# A result without what looks different.
sub outline { return $_[0] =~ s/^(done: \d*|done|\w{5}: ).*/$1/sr }

sub difference {
    my ($results, @settings) = @_;
    return ($results) if !ref $results;
    my $formats = grep { $_->[0] =~ $of_formats } @settings;
    return map {
        my ($was, $is) = ($expected->[$_], $results->[$_]);
        ($was, $is) = map { outline($_) } $was, $is if $formats;
        ($was, $is) = map { /^done/ ? 'done' : $_ } $was, $is if !$stable[$_];
        $was eq $is ? () : "$texts[$_]: $results->[$_] instead of $expected->[$_]";
    } 0 .. $#texts;
}

# Which of these settings make a difference: all at once first, and halves of them if they do.
sub complaints_of {
    my (@settings) = @_;
    my $began = time;
    my @differences = difference(results_under(@settings), @settings);
    note(sprintf "%d settings from %s: %d s, %d differences", scalar @settings, $settings[0][0], time - $began, scalar @differences);
    return if !@differences;
    if (@settings > 1) {
        my @first = splice @settings, 0, @settings / 2;
        my @found = (complaints_of(@first), complaints_of(@settings));
        return @found if @found;
    }
    splice @differences, 6 if @differences > 6;
    my $names = join ', ', map {"$_->[0] = $_->[1]"} @settings;
    return map { "$names: " . substr($_, 0, 300) } @differences;
}

# The values of one setting come into different rounds; a round is cut into pieces.
my @odd = odd_values();
cmp_ok(scalar @odd, '>', 150, 'there are enough odd values');
my (%times, @rounds, @jit);
push @{ $_->[0] =~ /^jit/ ? \@jit : $rounds[ $times{ $_->[0] }++ ] }, $_ foreach @odd;
push @rounds, \@jit;
my @complaints;
foreach my $round (@rounds) {
    while (my @piece = splice @$round, 0, 16) {
        push @complaints, complaints_of(@piece);
    }
}
no_complaints(\@complaints, 'every call does under every setting what it does under the defaults');

# ---- runners, whose sessions have the settings of the database ----

$owner = connect_to($node, 'postgres', 'regress_sierra_owner');
fill_for_runners($owner, 'running');
$owner->disconnect;
$node->append_conf('postgresql.conf', "$runners = 2");
%times = @rounds = ();
push @{ $rounds[ $times{ $_->[0] }++ ] }, $_ foreach grep { $_->[0] !~ /^jit/ } odd_values();
foreach my $round (@rounds) {
    my $first = join ' = ', @{ $round->[0] };
    $superuser->do("ALTER DATABASE postgres SET $_->[0] = " . $superuser->quote($_->[1])) foreach grep { $_->[0] ne 'search_path' } @$round;
    $superuser->disconnect;

    # Runners start new, and find the settings.
    $node->restart;
    $superuser = connect_to($node);
    $superuser->do('SET client_min_messages = warning; SET DateStyle = ISO');
    $superuser->do(q{SET sierra_es.store = 'running'});
    my $saga = one_value($superuser, q{SELECT start_saga('saga')});
    $superuser->do(q{SELECT eappend('a', 'Happened', '{}'), eschedule(now(), 'due', 'Due')});
    wait_until("with $first and others, runners run everything", sub {
        return one_value($superuser, q{SELECT status = 'completed' FROM event_sagas('running') WHERE saga_id = $1}, $saga)
          && one_value($superuser, q{SELECT NOT EXISTS (SELECT FROM running.timers AS t WHERE t.due_at < now())})
          && one_value($superuser, q{SELECT bool_and(state = 'running' AND lag_events = 0) FROM event_projections('running')});
    });
    is(one_value($superuser, q{SELECT string_agg(projection || ': ' || last_error, '; ') FROM event_projections('running') WHERE last_error IS NOT NULL}),
        undef, 'without a failure');
    $superuser->do('ALTER DATABASE postgres RESET ALL');
}

done_testing();
