# SierraMoves.pm
#     Stores in the middle of all their work, and what must be true of them after they were
#     moved: to another server, another version of PostgreSQL, another database, other names.
#
# Store es has something of everything, random appends, and consumers that have processed a
# part of the events.  Store running has what runners run: nothing runs until continues().

package SierraMoves;

use strict;
use warnings;

use SierraCalls;
use SierraLoad;
use SierraProcessor;
use SierraTest;
use Test::More;

my @stores = qw(es running);
my $seed   = 1600;

# Fills a server whose library is not preloaded.
sub new {
    my ($class, $node) = @_;
    my $self = bless { node => $node, loads => [] }, $class;
    prepare_database($node);
    my $owner = connect_to($node, 'postgres', 'regress_sierra_owner');
    fill_store($owner, 'es');
    fill_for_runners($owner, 'running');
    $owner->disconnect;
    my $dbh = connect_to($node);
    $dbh->do('ALTER DATABASE postgres SET sierra_es.run_jobs = off');
    SierraProcessor::create_effects($dbh);
    $dbh->do(q{SELECT esub($1, start_from => 'earliest', lease_time => '2 seconds')}, undef, $_) for qw(once together);
    my @consumers = consumers(dsn_of($node));
    $self->append_more;
    wait_until('consumers have processed something', sub {
        one_value($dbh, q{SELECT count(*) > 20 FROM effects WHERE subscription = $1}, 'once')
          && one_value($dbh, q{SELECT count(*) > 20 FROM effects WHERE subscription = $1}, 'together');
    });
    $_->stop or die 'a consumer failed' for @consumers;
    $dbh->disconnect;
    $self->append_more;
    return $self;
}

sub consumers {
    my ($dsn) = @_;
    return map { SierraProcessor->new(dsn => $dsn, %$_)->start }
      ({ subscription => 'once' }, map { { subscription => 'together', consumer => $_ } } qw(one two));
}

# Appends to store es, and notes what is in the stores now.
sub append_more {
    my ($self) = @_;
    my $load = SierraLoad->new(dsn => dsn_of($self->{node}), sessions => 2, seed => ++$seed)->start;
    $load->wait_for(60);
    $load->stop or die 'the load failed';
    push @{ $self->{loads} }, $load;
    $self->note_contents;
    return;
}

sub note_contents {
    my ($self) = @_;
    my $dbh = connect_to($self->{node});
    $self->{text}   = { map { $_ => stored_text($dbh, $_) } @stores };
    $self->{events} = { map { $_ => count_events($dbh, $_) } @stores };
    $dbh->disconnect;
    return;
}

# Every row of every table of a store, by the names of the tables.
sub stored_text {
    my ($dbh, $store) = @_;
    my $tables = $dbh->selectcol_arrayref(
        q{SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
           ORDER BY relname COLLATE "C"}, undef, $dbh->quote_identifier($store));
    return join "\n", map {
        my $table = $dbh->quote_identifier($store) . ".$_";
        ($_, @{ $dbh->selectcol_arrayref(qq{SELECT t::text FROM $table AS t ORDER BY t::text COLLATE "C"}) })
    } @$tables;
}

sub count_events {
    my ($dbh, $store) = @_;
    return one_value($dbh, sprintf 'SELECT count(*) FROM %s.events', $dbh->quote_identifier($store));
}

# Tests: the stores have what they had, and are sound.  Options: names, of stores that have
# other names now; allowed, what everify() may report.
sub is_there {
    my ($self, $dbh, $how, %options) = @_;
    my $allowed = $options{allowed} // qr/(?!)/;
    for my $store (@stores) {
        my $name = $options{names}{$store} // $store;
        is(count_events($dbh, $name), $self->{events}{$store}, "$how: events of store $store");
        same_text(stored_text($dbh, $name), $self->{text}{$store}, "byte_exact: $how: every row of store $store");
        no_complaints([ number_faults(events_by_number($dbh, $name)) ], "gapless: $how, store $store");
        no_complaints([ grep { !/^$allowed/ } everify_rows($dbh, $name) ], "everify() finds nothing: $how, store $store");
    }
    return;
}

# Tests: in a database whose runners are started here, all work continues where it was.
sub continues {
    my ($self, $node, $database, $how) = @_;
    my $dsn = dsn_of($node) =~ s/dbname=postgres/dbname=$database/r;
    my $dbh = connect_to($dsn);
    my $missing = missing_inline($dbh);
    $dbh->do("ALTER DATABASE $database SET sierra_es.run_jobs = on");
    $dbh->do(q{SELECT sierra_call_runners()});
    my $load = SierraLoad->new(dsn => $dsn, sessions => 2, seed => ++$seed)->start;
    my @consumers = consumers($dsn);
    $load->wait_for(40);
    ok($load->stop, "$how: appends continue");
    $dbh->do(q{SELECT complete_saga_step('saga-1', 'two')});
    wait_for_jobs($dbh);
    SierraProcessor::wait_until_done($dbh, $_) for qw(once together);
    ok($_->stop, "$how: a consumer of '$_->{subscription}' continues") for @consumers;
    no_complaints([ map { $_->complaints($dbh) } @{ $self->{loads} }, $load ], "durable: $how: every append is there, with its numbers");
    no_complaints([ SierraProcessor::complaints($dbh, $_) ], "exactly_once: $how: effects of '$_'") for qw(once together);
    is(missing_inline($dbh), $missing, "exactly_once: $how: the inline projection");
    jobs_are_done($dbh, $how);
    store_is_sound($dbh, "$how, afterwards, store $_", $_) for @stores;
    $dbh->disconnect;
    return;
}

# Events that the inline projection was made too late for.
sub missing_inline {
    my ($dbh) = @_;
    return one_value($dbh, q{SELECT (SELECT count(*) FROM es.events) - sum(state::text::bigint) FROM estates('at_once')});
}

# In both stores, until runners have nothing left to do: sagas and timers append, then
# projections follow.
sub wait_for_jobs {
    my ($dbh) = @_;
    for my $store (@stores) {
        wait_until("timers and sagas of store $store have run", sub {
            one_value($dbh, q{SELECT NOT EXISTS (SELECT FROM event_timers($1) AS t WHERE t.overdue > '0')}, $store)
              && one_value($dbh, q{SELECT count(*) FROM event_sagas($1) WHERE saga_id = 'saga-1' AND status = 'completed'}, $store)
              && one_value($dbh, q{SELECT NOT EXISTS (SELECT FROM event_sagas($1) AS s WHERE s.run_at <= now())}, $store);
        });
        wait_until("projections of store $store have caught up", sub {
            one_value($dbh, q{SELECT max(lag_events) = 0 FROM event_projections($1) WHERE projection = 'by_itself'}, $store);
        });
    }
    return;
}

# Tests: what was half done at the move has been done once.
sub jobs_are_done {
    my ($dbh, $how) = @_;
    my @complaints;
    for my $store (@stores) {
        $dbh->do("SET sierra_es.store = $store");
        push @complaints, map {"store $store: $_->{event_name} was counted $_->{counted} times of $_->{events}"} @{ all_rows($dbh, qq{
            SELECT coalesce(e.event_name, s.key) AS event_name, coalesce(s.state::text, 'no') AS counted, e.events
              FROM (SELECT event_name, count(*) AS events FROM $store.events GROUP BY event_name) AS e
              FULL JOIN estates('by_itself') AS s ON s.key = e.event_name
             WHERE s.state::text::bigint IS DISTINCT FROM e.events}) };
        my $due = one_value($dbh, qq{SELECT count(*) FROM $store.events WHERE event_name = 'Due'});
        push @complaints, "store $store: the timer ran $due times" if $due != 1;
    }
    $dbh->do('SET sierra_es.store = es');
    1 while one_value($dbh, q{SELECT run_projection('counts')});
    my $counted = one_value($dbh, q{SELECT eproject('counts', 'a')});
    my $events  = one_value($dbh, q{SELECT count(*) FROM escan('a')});
    push @complaints, "the projection counted $counted of $events events" if $counted != $events;
    no_complaints(\@complaints, "exactly_once: $how: projections and timers");
    return;
}

1;
