# Notifications: what is announced, by which process, how often, and which
# changes send no signal.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use PostgreSQL::Test::Utils;
use SierraListen;
use SierraTest;
use Test::More;
use Time::HiRes qw(time);

my $node = new_server('notify');
create_store($node, 4);
my $dbh = connect_to($node);

sub append {
    my ($dbh, $stream, $store) = @_;
    $dbh->do('SELECT set_config($1, $2, false)', undef, 'sierra_es.store', $store // 'es');
    return one_value($dbh, 'SELECT global_position FROM eappend($1, $2)', $stream, 'Happened');
}

# A reload makes a runner look at all stores.  Returns when it has.
sub configure {
    my ($dbh, %settings) = @_;
    my $start = one_value($dbh, 'SELECT clock_timestamp()');
    $node->append_conf('postgresql.conf', "$_ = '$settings{$_}'") for keys %settings;
    $node->reload;
    wait_until('a runner has looked', sub {
        one_value($dbh, q{SELECT last_sweep > $1::timestamptz FROM event_databases() WHERE database = 'postgres'},
            $start)
    });
    return;
}

# So that nothing that was committed before is announced later.
sub settle {
    my ($dbh, $listener) = @_;
    configure($dbh);
    $listener->forget;
    return;
}

sub runner_pids {
    my ($database) = @_;
    return all_rows($dbh, 'SELECT pid FROM event_runners() WHERE database = $1', $database);
}

# ---------------------------------------------------------------------------
# Without shared_preload_libraries
# ---------------------------------------------------------------------------

my $listener = SierraListen->new($node);
is(one_value($dbh, 'SELECT count(*) FROM event_databases()'), 0, 'not preloaded: no runners');
append($dbh, 'silent');
$dbh->do('SET sierra_es.notify = transaction');
my $position = append($dbh, 'order-1');
my $heard = $listener->next_heard;
is($heard->{position}, $position, 'not preloaded: only sierra_es.notify = transaction announces');
is($heard->{pid}, $dbh->{pg_pid}, 'the transaction of the append does it');

$dbh->begin_work;
append($dbh, 'order-1') for 1 .. 3;
$position = append($dbh, 'order-2');
$dbh->commit;
$heard = $listener->next_heard;
is($heard->{position}, $position, 'the appends of a transaction share one notification');
$dbh->begin_work;
append($dbh, 'order-1');
is(sqlstate_of($dbh, q{PREPARE TRANSACTION 'p'}), '0A000', 'PREPARE TRANSACTION fails, as it does after NOTIFY');
$dbh->rollback;
$position = append($dbh, 'order-1');
is($listener->next_heard->{position}, $position, 'what rolls back is not announced');

# Stores beyond the number that is remembered are announced, too.
$dbh->do('SELECT create_event_store($1, 1)', undef, "many_$_") for 1 .. 20;
$dbh->begin_work;
append($dbh, 's', "many_$_") for 1 .. 20;
$dbh->commit;
is_deeply([ sort map { $listener->next_heard->{store} } 1 .. 20 ], [ sort map { "many_$_" } 1 .. 20 ],
    'a transaction announces each store that it wrote to');
$dbh->do('SELECT drop_event_store($1, true)', undef, "many_$_") for 1 .. 20;
$dbh->disconnect;
$listener->end;

# ---------------------------------------------------------------------------
# Runners
# ---------------------------------------------------------------------------

$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'sierra_es'
sierra_es.sweep_interval = '1h'
CONF
$node->restart;
$dbh = connect_to($node);
$listener = SierraListen->new($node);

# No sweep helps here: every notification comes from a signal.
$position = append($dbh, 'order-1');
$heard = ($listener->heard_until('es', $position))[-1];
delete $heard->{pid};
is_deeply($heard, { channel => 'sierra_es', store => 'es', position => $position }, 'a runner announces an append');

my $strange = q{we"ir\\d} . "\x{e4}";
utf8::encode($strange);
$dbh->do('SELECT create_event_store($1, 2)', undef, $strange);
$position = append($dbh, 's', $strange);
my $characters = $strange;
utf8::decode($characters);
is(($listener->heard_until($characters, $position))[-1]{position}, $position, 'any name of a store arrives');

# Many stores signal at once; next_heard() dies if one is missing.
$dbh->do('SELECT create_event_store($1, 1)', undef, "many_$_") for 1 .. 20;
$dbh->begin_work;
append($dbh, 's', "many_$_") for 1 .. 20;
$dbh->commit;
my %missing = map { ("many_$_" => 1) } 1 .. 20;
delete $missing{ $listener->next_heard->{store} } while %missing;
pass('more stores than the bell has room for are announced');
$dbh->do('SELECT drop_event_store($1, true)', undef, "many_$_") for 1 .. 20;

# Coalescing.
configure($dbh, 'sierra_es.notify_interval' => '200ms');
settle($dbh, $listener);
my $start = time;
$position = append($dbh, 'burst') for 1 .. 300;
my @heard = $listener->heard_until('es', $position);
my $rounds = 2 + (time - $start) / 0.2;
cmp_ok(scalar @heard, '<=', $rounds, "300 appends make @{[ scalar @heard ]} notifications, at most $rounds");
is_deeply([ sort { $a <=> $b } map { $_->{position} } @heard ], [ map { $_->{position} } @heard ],
    'their positions grow');
configure($dbh, 'sierra_es.notify_interval' => '10ms');

# Rollbacks, and changes that must send nothing.  Another store, which signals
# later, shows when a runner has looked.
sub is_silent {
    my ($what, $code) = @_;
    settle($dbh, $listener);
    $code->();
    my $sentinel = append($dbh, 's', $strange);
    my @stores = map { $_->{store} } $listener->heard_until($characters, $sentinel);
    is_deeply([ grep { $_ ne $characters } @stores ], [], "$what is not announced");
    return;
}

is_silent('what rolls back', sub {
    $dbh->begin_work;
    append($dbh, 'unhandled_wakeups');
    $dbh->rollback;
});
is_silent('an append with sierra_es.notify = off', sub {
    $dbh->do('SET sierra_es.notify = off');
    append($dbh, 'unhandled_wakeups');
    $dbh->do('RESET sierra_es.notify');
});

$dbh->do('SET sierra_es.notify = transaction');
$listener->forget;
$position = append($dbh, 'order-1');
is(($listener->heard_until('es', $position))[-1]{pid}, $dbh->{pg_pid},
    'sierra_es.notify = transaction: the session announces');
$dbh->do('RESET sierra_es.notify');

# A runner that comes announces what is new, and nothing else.
settle($dbh, $listener);
my %old = map { $_->{pid} => 1 } @{ runner_pids('postgres') };
$dbh->do('SELECT pg_terminate_backend($1)', undef, $_) for keys %old;
# Another one can come at once.
wait_until('they have gone', sub { !grep { $old{ $_->{pid} } } @{ runner_pids('postgres') } });
my $second_position = append($dbh, 's', $strange);
my @stores = map { $_->{store} } $listener->heard_until($characters, $second_position);
is_deeply(\@stores, [$characters], 'a runner that comes announces only what is new');

# ---------------------------------------------------------------------------
# Prepared transactions
# ---------------------------------------------------------------------------

settle($dbh, $listener);
$dbh->begin_work;
$position = append($dbh, 'order-1');
$dbh->do(q{PREPARE TRANSACTION 'p'});
settle($dbh, $listener);
$dbh->do(q{COMMIT PREPARED 'p'});
is($listener->next_heard->{position}, $position, 'COMMIT PREPARED is announced');

# A prepared append holds back readers of the whole store: when it ends, events
# that were announced before become readable.
my $other = one_value($dbh, q{SELECT 's-' || i FROM generate_series(1, 1000) AS i
    WHERE sierra_partition_id(sierra_stream_key('s-' || i), 4) <> sierra_partition_id(sierra_stream_key('order-1'), 4) LIMIT 1});
$dbh->begin_work;
my $held = append($dbh, 'order-1');
$dbh->do(q{PREPARE TRANSACTION 'p'});
$position = append($dbh, $other);
settle($dbh, $listener);
is(one_value($dbh, 'SELECT count(*) FROM eall($1)', $held - 1), 0, 'a prepared append holds back the readers');
$dbh->do(q{ROLLBACK PREPARED 'p'});
is($listener->next_heard->{position}, $position, 'ROLLBACK PREPARED announces what it held back');
is(one_value($dbh, 'SELECT count(*) FROM eall($1)', $held - 1), 1, 'which can be read then');

# The same when an ordinary transaction rolls back.
my $holder = connect_to($node);
$holder->begin_work;
append($holder, 'order-1');
$position = append($dbh, $other);
$listener->heard_until('es', $position);
is_silent('an append in flight', sub { });
$holder->rollback;
$holder->disconnect;
is(($listener->heard_until('es', $position))[-1]{position}, $position,
    'ROLLBACK announces what the transaction held back');

# ---------------------------------------------------------------------------
# Changes that send no signal are found by the sweep
# ---------------------------------------------------------------------------

# Rows of a dump.
configure($dbh, 'sierra_es.sweep_interval' => '100ms');
settle($dbh, $listener);
$dbh->begin_work;
$dbh->do('SET LOCAL sierra_es.restore = on');
$position = one_value($dbh, 'SELECT max(global_position) + 100 FROM es.events');
$dbh->do(q{INSERT INTO es.events SELECT coalesce(max(partition_sequence), -1) + 1, 0, $1, now(), gen_random_uuid(),
            gen_random_uuid(), gen_random_uuid(), 0, 'restored', 'Happened' FROM es.events_0}, undef, $position);
$dbh->commit;
is($listener->next_heard->{position}, $position, 'restored rows are announced');

# ---------------------------------------------------------------------------
# Two databases
# ---------------------------------------------------------------------------

configure($dbh, 'sierra_es.sweep_interval' => '1h');
$node->safe_psql('postgres', 'CREATE DATABASE second');
my $second = connect_to($node, 'second');
$second->do('CREATE EXTENSION sierra_es');
$second->do('SELECT create_event_store()');
my $second_listener = SierraListen->new($node, 'second');
append($second, "event-$_") for 1 .. 20;
settle($dbh, $listener);
my ($here, $there) = (append($dbh, 'order-1'), append($second, 'order-1'));
is($_->[0]->heard_until('es', $_->[1]) && 1, 1, 'both are announced')
  for [ $listener, $here ], [ $second_listener, $there ];
settle($dbh, $listener);
append($second, 'order-1');
$second_listener->heard_until('es', $there + 1);
$position = append($dbh, 'order-1');
is($listener->next_heard->{position}, $position, 'a database hears of its own stores only');
$second_listener->end;
$second->disconnect;

# ---------------------------------------------------------------------------
# The clients of the documents
# ---------------------------------------------------------------------------

my $examples = "$FindBin::Bin/../../docs/examples";
my $connection = $node->connstr . ' dbname=postgres';
for my $client ([ $^X, "$examples/follow.pl" ], [ '/usr/bin/python3', "$examples/follow.py" ]) {
    my ($name) = $client->[1] =~ m{([^/]+)$};
    my ($out, $err) = ('', '');
    my $from = one_value($dbh, 'SELECT max(global_position) FROM es.events');
    my $run = IPC::Run::start([ @$client, $connection, $from ], '>', \$out, '2>', \$err);
    my $expected = '';

    # One event that it finds when it starts, then some for which it must be
    # woken.
    for my $i (1 .. 5) {
        my $began = time;
        my $new = append($dbh, "live-$i");
        $expected .= "$new live-$i Happened\n";
        wait_until("$name prints an event", sub { $run->pump_nb; $out eq $expected || $err ne '' });
        cmp_ok(time - $began, '<', 5, "$name was woken") if $i > 1;
    }
    is($err . $out, $expected, "$name prints every event once");
    $run->signal('TERM');
    eval { $run->finish };
}

done_testing();
