# The programs of docs/examples, one for each language, do what docs/examples/session.txt shows.
# They repeat an append whose answer is lost, and begin again on a conflict.  Their table of totals
# stays equal to the events while they are killed in the middle of a batch, while the server
# restarts, while an event fails, and while two of them share the work.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Select;
use IO::Socket::INET;
use IPC::Run;
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep);

my $examples = "$FindBin::Bin/../../docs/examples";
my $node     = new_server('client_languages');

# JDBC connects by TCP only.  A session ends soon after its program was killed.
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\nclient_connection_check_interval = 100ms\n");
$node->restart;
$node->safe_psql('postgres', 'CREATE ROLE ada LOGIN');
$ENV{LC_ALL} = 'C.UTF-8';

# ---------------------------------------------------------------------------
# The programs
# ---------------------------------------------------------------------------

# Where scripts/test has built the programs; else they are built here.
sub find_programs {
    return $ENV{SIERRA_EXAMPLES} if $ENV{SIERRA_EXAMPLES};
    my $directory = "$PostgreSQL::Test::Utils::tmp_check/examples";
    system("$examples/build --with '$FindBin::Bin/../drivers' '$directory' >&2") == 0 or die 'the programs cannot be built';
    return $directory;
}

# A database with a store of an ordinary role, for a program that connects to it.
sub make_case {
    my ($language, $program, $options) = @_;
    my $name     = join ' ', $language, grep { defined } $options;
    my $database = lc $name =~ s/\W+/_/gr;
    $node->safe_psql('postgres', "CREATE DATABASE $database OWNER ada");
    $node->safe_psql($database, q{CREATE EXTENSION sierra_es; SET ROLE ada; SELECT create_event_store('es', 4)});
    return {
        name     => $name,
        database => $database,
        program  => $program,
        options  => $options ? "&$options" : '',
        dbh      => connect_to($node, $database),
    };
}

# Programs that were started; none outlives the test, whatever it dies of.
my @runs;

# Starts a program; it connects to the port of the server, or to another one.
sub start_program {
    my ($case, $arguments, $port) = @_;
    $arguments //= [];
    my %run = (out => '', err => '');
    $port //= $node->port;
    local $ENV{DATABASE_URL} = "postgresql://127.0.0.1:$port/$case->{database}?user=ada$case->{options}";
    local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ('127.0.0.1', $port, 'ada', $case->{database});
    push @runs, \%run;
    $run{run} = IPC::Run::start([ $case->{program}, @$arguments ], '<', \undef, '>', \$run{out}, '2>', \$run{err});
    return \%run;
}

# Collects what a program has printed; whether it still runs.
sub collect {
    my ($run) = @_;

    # It may end just before pump_nb(), which then dies.
    return eval { $run->{run}->pump_nb; 1 } && $run->{run}->pumpable;
}

# Waits for the end of a program; returns what it printed.
sub finish_program {
    my ($run) = @_;
    wait_until('the program has ended', sub { !collect($run) });
    $run->{run}->finish;
    return $run->{err} . $run->{out};
}

sub run_program { return finish_program(start_program(@_)); }

# kill -9: the program has no chance to clean up.
sub kill_program {
    my ($run) = @_;
    $run->{run}->kill_kill(grace => 0);
    return;
}

END {
    my $status = $?;
    eval { kill_program($_) } foreach grep { $_->{run} && eval { $_->{run}->pumpable } } @runs;
    $? = $status;
}

# Waits until the program has printed this, or something else.
sub is_printed {
    my ($run, $expected, $name) = @_;
    wait_until($name, sub { !collect($run) || length $run->{out} >= length $expected });
    is($run->{err} . $run->{out}, $expected, $name);
    return;
}

my $programs = find_programs();
my @cases;
foreach my $language (qw(perl python node go java rust)) {
  SKIP: {
        skip "$language: " . slurp_file("$programs/$language/skipped") =~ s/\s+$//r, 1 if -e "$programs/$language/skipped";
        push @cases, make_case($language, "$programs/$language/shop");
        ok(-x $cases[-1]{program}, "$language: there is a program");
    }
}

# ---------------------------------------------------------------------------
# What the documents show
# ---------------------------------------------------------------------------

sub check_session {
    my ($case) = @_;
    my @commands = slurp_file("$examples/session.txt") =~ /^\$ shop (.*\n(?:(?!\$ ).*\n)*)/mg;
    cmp_ok(scalar @commands, '>', 8, 'there are commands');
    foreach my $command (@commands) {
        my ($arguments, $expected) = split /\n/, $command, 2;
        my $run = start_program($case, [ split ' ', $arguments ]);
        if ($arguments eq 'totals') {
            is_printed($run, $expected, "$case->{name}: shop $arguments");
            kill_program($run);
        }
        else {
            is(finish_program($run), $expected, "$case->{name}: shop $arguments");
        }
    }
    is(one_value($case->{dbh}, 'SELECT count(*) FROM es.events'), 4, "$case->{name}: each event is stored once");
    is(one_value($case->{dbh}, q{SELECT events || ' ' || total FROM order_totals}), '4 250', "$case->{name}: and counted once");
    return;
}

check_session($_) foreach @cases;

# Rows of the tables in docs/drivers.md: a probe prints those that are as the page says.
my %sections = (
    python => 'Python: psycopg 3',
    node   => 'Node.js: pg',
    go     => 'Go: pgx 5',
    java   => 'Java: JDBC',
    rust   => 'Rust: tokio-postgres',
);

sub check_rows {
    my ($language) = @_;
    my $page = slurp_file("$FindBin::Bin/../../docs/drivers.md");
    my ($section) = $page =~ /^## \Q$sections{$language}\E\n(.*?)(?=^## |\z)/ms or die "no section of $language";
    my @rows = $section =~ /^\| (\w.*) \|$/mg;
    my $case = make_case("$language probe", "$programs/$language/probe");
    cmp_ok(scalar @rows, '>', 10, "$language: docs/drivers.md has rows");
    is(run_program($case), join('', map { "$_\n" } @rows), "$language: they are right");
    $case->{dbh}->disconnect;
    return;
}

check_rows($_->{name}) foreach grep { $sections{ $_->{name} } } @cases;

# Other ways of sending parameters, which a driver has.
my %modes = (
    go   => [ map { "default_query_exec_mode=$_" } qw(simple_protocol exec describe_exec cache_describe) ],
    java => [ 'preferQueryMode=simple', 'prepareThreshold=1&binaryTransfer=true' ],
);
foreach my $case (@cases) {
    check_session(make_case($case->{name}, $case->{program}, $_)) foreach @{ $modes{ $case->{name} } // [] };
}

# ---------------------------------------------------------------------------
# Conflicts and lost answers
# ---------------------------------------------------------------------------

# The program reads before, and appends after another session has appended.
sub check_conflict {
    my ($case) = @_;
    my ($dbh, $other) = ($case->{dbh}, connect_to($node, $case->{database}));
    $other->begin_work;
    one_value($other, q{SELECT stream_version FROM eappend('order-2', 'ItemAdded', '{"item": "chair", "price": 90}')});
    my $run = start_program($case, [qw(add 2 table 300)]);
    wait_until("$case->{name} waits for the other session", sub {
        one_value($dbh, q{SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%eappend%'});
    });
    $other->commit;
    $other->disconnect;
    is(finish_program($run), "order-2: table, version 1\n", "$case->{name}: on a conflict it begins again");
    return;
}

# Passes on bytes in both directions until one side has closed.  If the answer to an append is to be
# lost, it is thrown away, and ends this, too; then the result is true.
sub relay {
    my ($client, $lose) = @_;
    my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $node->port) or die "cannot connect: $!";
    my $select = IO::Select->new($client, $server);
    my ($asked, $answered) = ('', '');
    while (1) {
        foreach my $socket ($select->can_read) {
            my $from_client = $socket == $client;
            sysread $socket, my $bytes, 65536 or return 0;
            if ($from_client) { $asked .= $bytes }
            elsif ($asked =~ /eappend/) { $answered .= $bytes }

            # The message that a SELECT of one row has ended; it is sent after the commit.
            return 1 if $lose && $answered =~ /C\0\0\0\x0dSELECT 1\0/;
            syswrite $from_client ? $server : $client, $bytes;
        }
    }
}

# The connection breaks after the commit, before the program gets the answer.
sub check_lost_answer {
    my ($case) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die "cannot listen: $!";
    fork_process(sub {
        # A driver that is refused TLS may connect a second time, so the first connection need not append.
        my $lost = 0;
        while (1) {
            my $client = $listener->accept;
            $lost = 1 if relay($client, !$lost);
        }
    });
    my $run = start_program($case, [ 'pay', 2, '0191d2f0-5b7c-7c3e-8a51-0f2b6c4d7e92' ], $listener->sockport);
    finish_program($run);
    is($run->{out}, "order-2: paid, version 2\n", "$case->{name}: an append is repeated after its answer was lost");
    like($run->{err}, qr/connecting again: /, "$case->{name}: the connection was lost");
    is(one_value($case->{dbh}, q{SELECT count(*) FROM escan('order-2') WHERE event_name = 'OrderPaid'}),
        1, "$case->{name}: and is stored once");
    return;
}

foreach my $case (@cases) {
    check_conflict($case);
    check_lost_answer($case);
}

# ---------------------------------------------------------------------------
# Exactly once
# ---------------------------------------------------------------------------

sub append {
    my ($case, $stream, $price) = @_;
    return one_value($case->{dbh}, q{SELECT global_position FROM eappend($1, 'ItemAdded', json_build_object('price', $2::text::json))},
        $stream, $price);
}

sub append_orders {
    my ($case, $name, $count) = @_;
    my $last;
    foreach my $order (1 .. $count) {
        $last = append($case, "order-$name-$order", $_) foreach 1 .. 3;
    }
    return $last;
}

# Lines of streams, numbers of events and totals, counted from the events; an event that fails is left out,
# and so are streams that wait behind one.
my $expected_totals = q{
    SELECT string_agg(line, chr(10) ORDER BY line)
      FROM (SELECT concat_ws(' ', stream_id, count(*), coalesce(sum((payload->>'price')::bigint), 0)) AS line
              FROM es.events
             WHERE stream_id LIKE 'order-%' AND payload->>'price' IS DISTINCT FROM 'much'
               AND stream_id NOT IN (SELECT stream_id FROM event_failures()) GROUP BY stream_id) AS lines};
my $totals = q{
    SELECT string_agg(concat_ws(' ', stream_id, events, total), chr(10) ORDER BY concat_ws(' ', stream_id, events, total))
      FROM order_totals WHERE stream_id NOT IN (SELECT stream_id FROM event_failures())};

# The event at the position is processed.
sub wait_for_event {
    my ($case, $position, $name) = @_;
    my $timeout = $PostgreSQL::Test::Utils::timeout_default;
    is(one_value($case->{dbh}, q{SELECT ewait('order-totals', $1, make_interval(secs => $2))}, $position, $timeout),
        1, "$case->{name}, $name: processed");
    return;
}

sub is_right {
    my ($case, $name) = @_;
    is(one_value($case->{dbh}, $totals), one_value($case->{dbh}, $expected_totals), "$case->{name}, $name: the totals are right");
    return;
}

# Everything but failed streams is counted, and the table is as expected.
sub is_up_to_date {
    my ($case, $position, $name) = @_;
    wait_for_event($case, $position, $name);
    is_right($case, $name);
    return;
}

# A consumer of a group has processed the event at the position, others may have events before it.
sub is_up_to_date_in_group {
    my ($case, $position, $name) = @_;
    wait_for_event($case, $position, $name);
    my $sum = q{SELECT coalesce(sum(events), 0) FROM order_totals};
    my $count = one_value($case->{dbh}, q{SELECT count(*) FROM es.events WHERE payload->>'price' IS DISTINCT FROM 'much'});
    wait_until("$case->{name}, $name: all are counted", sub { one_value($case->{dbh}, $sum) >= $count });
    is_right($case, $name);
    return;
}

# It is stopped between two events of a batch by a row that it cannot lock.
sub check_kill {
    my ($case) = @_;
    my ($dbh, $blocker) = ($case->{dbh}, connect_to($node, $case->{database}));
    $case->{run} = start_program($case, ['totals']);
    is_up_to_date($case, append_orders($case, 'first', 4), 'orders come in');
    my $before = one_value($dbh, $totals);
    $blocker->begin_work;
    $blocker->do(q{SELECT FROM order_totals WHERE stream_id = 'order-first-2' FOR UPDATE});
    my $position = one_value($dbh, q{
        SELECT max(global_position) FROM emappend(NULL, '[
            {"stream_id": "order-first-1", "event_name": "ItemAdded", "payload": {"price": 1000}},
            {"stream_id": "order-first-2", "event_name": "ItemAdded", "payload": {"price": 2000}}]')});
    wait_until("$case->{name} waits for the second order", sub {
        one_value($dbh, q{SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                             AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO order_totals%'});
    });
    kill_program($case->{run});
    $blocker->rollback;
    $blocker->disconnect;
    is_gone($case);
    is(one_value($dbh, $totals), $before, "$case->{name}, killed in the middle of a batch: nothing is half done");
    $case->{run} = start_program($case, ['totals']);
    is_up_to_date($case, $position, 'started again');
    return;
}

# The sessions of programs that were killed have ended.
sub is_gone {
    my ($case, $left) = @_;
    wait_until("the sessions of $case->{name} have ended", sub {
        one_value($case->{dbh}, q{SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'ada'}) <= ($left // 0);
    });
    return;
}

# The server has restarted while the program ran.
sub check_restart {
    my ($case) = @_;
    $case->{dbh} = connect_to($node, $case->{database});
    is_up_to_date($case, append_orders($case, 'second', 4), 'after a restart of the server');
    ok(collect($case->{run}), "$case->{name}: it is still the same process");
    return;
}

# An event that fails is parked, and delays its own stream only.
sub append_failing {
    my ($case) = @_;
    append($case, 'order-broken', 5);
    append($case, 'order-broken', '"much"');
    $case->{behind} = append($case, 'order-broken', 7);
    $case->{others} = append_orders($case, 'third', 2);
    return;
}

sub check_failing {
    my ($case) = @_;
    my $dbh = $case->{dbh};
    wait_until('the event is parked',
        sub { one_value($dbh, q{SELECT count(*) FROM event_failures() WHERE state = 'parked'}) });
    is_up_to_date($case, $case->{others}, 'beside a parked event');
    is(one_value($dbh, q{SELECT attempts || ' ' || waiting FROM event_failures()}),
        '3 1', "$case->{name}: it was tried three times, and one event waits behind it");
    like(one_value($dbh, q{SELECT reason FROM event_failures()}), qr/much/, "$case->{name}: the reason is kept");
    $dbh->do(q{SELECT eskip('order-totals', 'order-broken')});
    is_up_to_date($case, $case->{behind}, 'after the event is skipped');
    kill_program($case->{run});
    is_gone($case);
    return;
}

# Two programs share the work; one of them is killed and comes back.
sub check_group {
    my ($case) = @_;
    my $dbh = $case->{dbh};
    my %run = map { $_ => start_program($case, [ 'totals', $_ ]) } qw(one two);
    wait_until("$case->{name}: both have partitions", sub {
        one_value($dbh, q{SELECT count(*) FROM event_consumers() WHERE partitions <> '{}'}) == 2;
    });
    my $position = append_orders($case, 'fourth', 16);
    is_up_to_date_in_group($case, $position, 'two consumers');
    foreach my $consumer (qw(one two)) {
        wait_until("consumer $consumer printed something", sub { collect($run{$consumer}); $run{$consumer}{out} ne '' });
    }

    # It may be in the middle of these.
    append_orders($case, 'fifth', 4);
    kill_program($run{one});
    append_orders($case, 'sixth', 4);
    is_gone($case, 1);
    $dbh->do(q{SELECT eleave('order-totals', 'one')});
    $run{one} = start_program($case, [ 'totals', 'one' ]);
    $position = append_orders($case, 'seventh', 4);
    is_up_to_date_in_group($case, $position, 'one of two consumers was killed');
    kill_program($_) foreach values %run;
    return;
}

check_kill($_) foreach @cases;
$_->{dbh}->disconnect foreach @cases;
$node->restart;
check_restart($_)  foreach @cases;
append_failing($_) foreach @cases;
check_failing($_)  foreach @cases;
check_group($_)    foreach @cases;

$_->{dbh}->disconnect foreach @cases;
$node->stop;
done_testing();
