# exactly_once, commit_order: a prepared transaction keeps what it consumes, and
# what it appends is delivered once it is committed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraTest;
use Test::More;

my $node = new_server('sub_prepared');
create_store($node, 4);
my $dbh = connect_to($node);
$dbh->do('CREATE TABLE done (position bigint)');
$dbh->do(q{SELECT esub('s', start_from => 'earliest')});
$dbh->do(q{SELECT esub('g', start_from => 'earliest', lease_time => '100 milliseconds')});

sub append {
    my (@streams) = @_;
    return @{ $dbh->selectcol_arrayref(q{SELECT global_position FROM emappend(NULL, $1::text[], array_fill('e'::text, ARRAY[$2::integer]))},
            undef, \@streams, scalar @streams) };
}

# Positions that a call of enext() returns.
sub next_of {
    my ($subscription, $consumer) = @_;
    return join ' ', @{ $dbh->selectcol_arrayref('SELECT global_position FROM enext($1, consumer => $2)',
            undef, $subscription, $consumer) };
}

# Polls, processes, acknowledges, and prepares all of that.
sub prepare_batch {
    my ($subscription, $consumer) = @_;
    my $session = connect_to($node);
    $session->begin_work;
    my $positions = $session->selectcol_arrayref(
        'INSERT INTO done SELECT global_position FROM enext($1, consumer => $2) RETURNING position',
        undef, $subscription, $consumer);
    $session->do('SELECT eack($1, $2, $3)', undef, $subscription, $positions->[-1], $consumer);
    $session->do(q{PREPARE TRANSACTION 'batch'});
    $session->disconnect;
    return join ' ', @$positions;
}

sub crash {
    kill_everything($node);
    start_again($node);
    $dbh = connect_to($node);
    return;
}

for my $crashes (0, 1) {
    for my $ending ('ROLLBACK PREPARED', 'COMMIT PREPARED') {
        my $how    = $ending . ($crashes ? ' after a crash' : '');
        my $events = join ' ', append(qw(a e d f a));
        $dbh->do('TRUNCATE done');
        is(prepare_batch('s'), $events, "$how: a batch is delivered and prepared");
        crash() if $crashes;
        $dbh->do('SET lock_timeout = 50');
        is(sqlstate_of($dbh, q{SELECT * FROM enext('s')}), '55P03', 'others wait for it');
        is(sqlstate_of($dbh, q{SELECT eack('s', 0)}), '55P03', 'also with what they acknowledge');
        $dbh->do('RESET lock_timeout');
        $dbh->do("$ending 'batch'");
        my $is_done = $ending eq 'COMMIT PREPARED';
        is(one_value($dbh, 'SELECT count(*) FROM done'), $is_done ? 5 : 0, "$how: the effects");
        is(next_of('s'), $is_done ? '' : $events, 'exactly_once: and what comes next');
        $dbh->do(q{SELECT eack('s', max(global_position)) FROM es.events});
    }
}

# A group: a member whose transaction is prepared keeps its leases.
$dbh->do(q{SELECT eack('g', max(global_position)) FROM es.events});
my $events = join ' ', append(qw(a e d f));
$dbh->do('TRUNCATE done');
is(prepare_batch('g', 'one'), $events, 'a member of a group prepares a batch');
wait_until('its lease time is over', sub {
    one_value($dbh, q{SELECT prepared < clock_timestamp() - interval '200 milliseconds' FROM pg_prepared_xacts})
});
$dbh->do('SET lock_timeout = 500');
like(sqlstate_of($dbh, q{SELECT * FROM enext('g', consumer => 'two')}), qr/^(?:|55P03)$/, 'another one comes');
$dbh->do('RESET lock_timeout');
crash();
$dbh->do(q{COMMIT PREPARED 'batch'});
my $again = '';
wait_until('the other one has taken over', sub {
    $again .= next_of('g', 'two');
    return one_value($dbh, q{SELECT count(*) FROM event_leases() WHERE subscription = 'g' AND consumer = 'two'}) > 0
});
is($again, '', 'exactly_once: what was acknowledged does not come to another one');
is(one_value($dbh, 'SELECT count(*) FROM done'), 4, 'exactly_once: the effects of the group');

# Appends.
$dbh->do('SELECT eleave($1, $2)', undef, 'g', $_) for qw(one two);
for my $crashes (0, 1) {
    for my $ending ('ROLLBACK PREPARED', 'COMMIT PREPARED') {
        my $how = $ending . ($crashes ? ' after a crash' : '');
        $dbh->do(q{SELECT eack('s', max(global_position)) FROM es.events});
        my $session = connect_to($node);
        $session->begin_work;
        my @held = @{ $session->selectcol_arrayref(q{SELECT global_position FROM emappend(NULL, ARRAY['a', 'd'], ARRAY['e', 'e'])}) };
        $session->do(q{PREPARE TRANSACTION 'append'});
        $session->disconnect;
        my @beside = append(qw(e f));
        crash() if $crashes;
        $dbh->do(q{SELECT esub($1)}, undef, "latest $how");
        is(next_of('s'), '', "commit_order: $how: nothing comes beside a prepared append");
        is(sqlstate_of($dbh, q{SELECT eack('s', $1)}, $beside[-1]), '22023', 'nor can it be acknowledged');
        $dbh->do("$ending 'append'");
        my @delivered = $ending eq 'COMMIT PREPARED' ? @held : ();
        is(one_value($dbh, q{SELECT string_agg(global_position::text, ' ') FROM enext('s', wait => '10 seconds')}),
            join(' ', @delivered, @beside), 'then all comes in order');
        is(next_of("latest $how"), join(' ', @delivered), "'latest' delivers what was in flight, and only that");
    }
}

# A session that waits is not woken by COMMIT PREPARED, but looks by itself.
$dbh->do(q{SELECT eack('s', max(global_position)) FROM es.events});
$dbh->begin_work;
my ($held) = append('a');
$dbh->do(q{PREPARE TRANSACTION 'append'});
my $waiter = fork_process(
    sub {
        my $session = connect_to($node);
        one_value($session, q{SELECT global_position FROM enext('s', wait => '1 hour')}) == $held
          or die 'wrong event';
    });
my $admin = connect_to($node);
wait_until('the other session waits',
    sub { one_value($admin, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1511}) });
$admin->do(q{COMMIT PREPARED 'append'});
ok(wait_for_process($waiter), 'a waiting consumer gets the event of COMMIT PREPARED');

# enext() and an append in one prepared transaction.
my $session = connect_to($node);
$session->begin_work;
$session->do(q{SELECT eack('s', max(global_position)) FROM enext('s')});
$session->do(q{SELECT * FROM eappend('reply', 'e')});
$session->do(q{PREPARE TRANSACTION 'both'});
$admin->do(q{COMMIT PREPARED 'both'});
is(one_value($admin, q{SELECT string_agg(stream_id, ' ') FROM enext('s')}), 'reply', 'an answer of a prepared transaction is delivered');
store_is_sound($admin, 'after all');

done_testing();
