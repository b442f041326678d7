# clients/shell: every command of the tool as text and as JSON, exit statuses, what a restart of the
# server does to a tail, payloads that would control a terminal, completion and help.

use strict;
use warnings;
use utf8;

use Cwd qw(abs_path);
use Encode qw(decode encode);
use FindBin;
use lib "$FindBin::Bin/../lib";
use IPC::Run;
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;

my $clients = abs_path("$FindBin::Bin/../../clients/shell");
my $python  = '/usr/bin/python3';
my $ignored = '';
plan skip_all => 'the tool needs Python 3.11 with psycopg 3 in /usr/bin/python3'
  unless -x $python
  && IPC::Run::run([ $python, '-c', 'import psycopg, sys; sys.exit(sys.version_info < (3, 11))' ], '>&', \$ignored);

# As it is copied to other machines: one file.
my $work = PostgreSQL::Test::Utils::tempdir_short;
mkdir "$work/bin";
mkdir "$work/source";
system('cp', '-r', map({"$clients/$_"} qw(__main__.py sierra_es_shell)), "$work/source") == 0 or die 'cannot copy';
my $program = "$work/bin/sierra";
ok(IPC::Run::run([ $python, '-m', 'zipapp', "$work/source", '-p', $python, '-o', $program ], '>&', \$ignored), 'the tool becomes one file')
  or diag($ignored);
$ENV{PATH}     = "$work/bin:$ENV{PATH}";
$ENV{LC_ALL}   = 'C.UTF-8';
$ENV{TERM}     = 'xterm';
$ENV{COLUMNS}  = 80;
delete @ENV{qw(NO_COLOR PGOPTIONS PGTZ)};

# Not preloaded at first: the restart below changes that.
my $node = new_server('client_shell');
my $dbh  = connect_to($node);
$ENV{PGHOST}     = $node->host;
$ENV{PGPORT}     = $node->port;
$ENV{PGDATABASE} = 'postgres';

# --- running it -----------------------------------------------------------------------------------

# Whatever a command prints: no control character, no traceback.  What broke this rule.
my @dangerous;

sub check_output {
    my ($what, @texts) = @_;
    for my $text (@texts) {
        push @dangerous, "$what: control character in: $1" if $text =~ /^(.*[^\P{Cc}\n\t].*)$/m || $text =~ /^(.*[\p{Cf}\p{Zl}\p{Zp}].*)$/m;
        push @dangerous, "$what: traceback: $text" if $text =~ /Traceback/;
    }
    return;
}

# Each start of the program would cost the time that Python takes to load its modules.  So one
# process has loaded them, and continues as a copy of itself for each command.
my $server = <<'PYTHON';
import json, os, sys
sys.path.insert(0, sys.argv[1])
from sierra_es_shell.command_line import main
for line in sys.stdin:
    request = json.loads(line)
    if request is None:
        break
    child = os.fork()
    if child == 0:
        os.dup2(os.open(request["in"], os.O_RDONLY), 0)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdin = os.fdopen(0)
        try:
            status = main(request["arguments"])
        except SystemExit as end:
            status = end.code
        sys.stdout.flush()
        os._exit(status or 0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
PYTHON
my ($request, $answer) = ('', '');
my $harness = IPC::Run::start([ $python, '-c', $server, "$work/source" ],
    '<', \$request, '>', \$answer, IPC::Run::timer(10 * $PostgreSQL::Test::Utils::timeout_default, exception => 'a command hangs'));

# Exit status, standard output and standard error, with a text as standard input.
sub sierra_with {
    my ($input, @arguments) = @_;
    my %files = map { $_ => "$work/$_" } qw(in out err);
    open my $in, '>:raw', $files{in} or die $!;
    print {$in} encode('UTF-8', $input);
    close $in or die $!;
    $answer = '';
    $request .= JSON::PP->new->canonical->ascii->encode({ %files, arguments => [ map {"$_"} @arguments ] }) . "\n";
    $harness->pump until $answer =~ /\n/;
    my ($status) = $answer =~ /^(-?\d+)$/;
    my ($out, $err) = map { decode('UTF-8', slurp_file($files{$_})) } qw(out err);
    check_output("sierra @arguments", $out, $err);
    return ($status, $out, $err);
}

sub sierra { return sierra_with('', @_) }

# What is on each line of the output.
sub records {
    my (@arguments) = @_;
    my ($status, $out) = sierra(@arguments, '--json');
    return [ map { JSON::PP->new->decode($_) } split /\n/, $out ];
}

# One test: status, and what the output, or the message on standard error, is like.
sub prints {
    my ($arguments, $expected, $out_like, $err_like, $name) = @_;
    my ($status, $out, $err) = sierra(@$arguments);
    my $ok = $status == $expected && $out =~ $out_like && $err =~ $err_like;
    ok($ok, $name // "sierra @$arguments") or diag("status $status, expected $expected\n$out\n$err");
    return;
}

# In a terminal with 80 columns: status, and what is on the screen.  When that is like the pattern,
# the keys are typed.
sub in_terminal {
    my ($pattern, $keys, $setup, @arguments) = @_;
    my ($in, $out) = ('', '');
    my $command  = join ' ', $setup, 'sierra', map {"'$_'"} @arguments;
    my $terminal = IPC::Run::start([ qw(script -qec), encode('UTF-8', "stty cols 80 rows 24; $command"), '/dev/null' ],
        '<', \$in, '>', \$out, IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default, exception => "$command hangs"));
    if (defined $pattern) {
        $terminal->pump until $out =~ $pattern;
        $in = $keys;
        $terminal->pump while length $in;
    }
    $terminal->finish;
    return ($? >> 8, decode('UTF-8', $out));
}

# --- a store with everything ----------------------------------------------------------------------

my $evil = "é \x{7f}\x{85}\x{9b}31mred\x{202e}\x{2028}漢字";
create_store($node, 4);
$dbh->do(<<'SQL');
SELECT FROM eappend('order-1', 'OrderCreated', '{"customer": "ada"}', '{"correlation_id": "req-1"}');
SELECT FROM eappend('order-1', 'ItemAdded', E'{\n  "price": 1.10,\n  "price": 12345678901234567890\n}', '{"correlation_id": "req-1"}');
SELECT FROM eappend('order-2', 'OrderCreated', '{"customer": "bob"}', '{"correlation_id": "req-2"}', tags => '{customer:bob}');
SELECT FROM eappend('bytes-1', 'Stored', payload_bytes => '\x1b5b33316d00ff');
SELECT FROM eappend('order-1', 'Shipped', '{"deep": "\u0000\u001b[31m"}',
                    json_build_object('correlation_id', 'req-1', 'causation_id', (SELECT event_id FROM escan('order-1', 1, 1))));
SQL
$dbh->do(q{SELECT FROM eappend('kunde-漢字', 'Evil', json_build_object('text', $1::text))}, undef, $evil);
$dbh->do(<<'SQL');
SELECT esub('mails', start_from => 'earliest', streams => '{order-*}'), esub('group', start_from => 'earliest', lease_time => '1 day');
SELECT FROM enext('group', consumer => 'worker-1');
SELECT enack('mails', 0, reason => 'no such account', park => true);
SELECT enack('mails', 2, reason => 'time-out of the bank', retry_after => '1 hour');
CREATE FUNCTION count_events(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF event.event_name = 'Stored' THEN
        RAISE EXCEPTION 'cannot count %', event.event_name;
    END IF;
    RETURN '{}';
END $$;
SELECT create_projection('totals', 'count_events', mode => 'manual', max_attempts => 1);
SELECT run_projection('totals');
CREATE FUNCTION react(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
SELECT create_process_manager('reactor', 'react', mode => 'manual');
CREATE FUNCTION works(data jsonb) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION fails(data jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
SELECT create_saga('buy', ARRAY[saga_step('reserve', 'works', compensation => 'fails', max_attempts => 1), saga_step('pay', 'fails')]);
SELECT start_saga('buy', saga_id => 'buy-1');
SELECT run_sagas();
SQL
my $head   = one_value($dbh, 'SELECT ehead()');
my $events = all_rows($dbh, 'SELECT * FROM eall(max_count => NULL)');
my $second = $events->[1]{event_id};

# --- events ---------------------------------------------------------------------------------------

prints([ 'cat', 'order-1' ], 0, qr/^0\t\S+T\S+\torder-1\t0\tOrderCreated\t\{"customer": "ada"\}\n1\t.*\n4\t.*\n$/, qr/^$/);
prints([ 'cat', 'order-1', '--at', '1', '--reverse' ], 0, qr/^1\t.*"price": 1\.10, "price": 12345678901234567890.*\n0\t.*\n$/, qr/^$/);
prints([ 'cat', 'order-1', '--from', '1', '-n', '1' ], 0, qr/^4\t.*\n$/, qr/^$/);
prints([ 'cat', 'nothing' ], 3, qr/^$/, qr/^sierra: stream "nothing" does not exist$/);
prints([ 'cat', 'order-1', '--from', '9' ], 3, qr/^$/, qr/it is at version 2$/);
prints([ 'cat', 'order-1', '--long', '--at', '1' ], 0, qr/^payload +\{\n +"price": 1\.10,\n +"price": 12345678901234567890\n +\}$/m, qr/^$/);
my ($line) = (sierra('cat', 'order-1', '--at', '1', '-n', '1', '--json'))[1];
like($line, qr/"payload":\{ "price": 1\.10, "price": 12345678901234567890 \}/, 'JSON has the digits of the payload, on one line');
my ($shown) = @{ records('cat', 'kunde-漢字') };
is_deeply(
    $shown,
    {
        (map { $_ => $events->[5]{$_} } qw(partition_id partition_sequence global_position stream_id stream_version event_id event_name partition_key transaction_id)),
        timestamp => one_value($dbh, q{SELECT to_jsonb("timestamp" AT TIME ZONE 'UTC')#>>'{}' || '+00:00' FROM escan('kunde-漢字')}),
        payload   => { text => $evil }
    },
    'JSON has all members, and the text of the payload');
prints([ 'get', $second ], 0, qr/^event +ItemAdded  $second\nstream +order-1 \@ 1\n/, qr/^$/);
is(records('get', $second)->[0]{stream_version}, 1, 'get --json');
prints([ 'get', $second, '01a21d79-c31b-7da0-9d5b-000000000000' ], 3, qr/ItemAdded/, qr/^sierra: no event has the id/);
prints([ 'get', 'x' ], 2, qr/^$/, qr/^sierra: "x" is not an event id\nHINT: /);
prints([ 'trace', 'req-1' ], 0, qr/^0\t.*\n1\t.*\n4\t.*\n$/, qr/^$/);
prints([ 'trace', $second ],                0, qr/^0\t.*\n1\t.*\n4\t.*\n$/, qr/^$/, 'trace by the id of an event');
prints([ 'trace', '--causation', $second ], 0, qr/^4\t.*\n$/,               qr/^$/, 'trace by the cause');
prints([ 'trace', 'nothing' ],              3, qr/^$/,                      qr/correlation_id "nothing"/);
is_deeply([ map { $_->{global_position} } @{ records('trace', 'req-1') } ], [ 0, 1, 4 ], 'trace --json');
prints([ 'streams', 'order-*' ], 0, qr/^STREAM\tEVENTS\t.*\norder-1\t3\t4\tShipped\t.*\norder-2\t1\t/, qr/^$/);
prints([ 'streams', '--newest', '-m', '1' ], 0, qr/\nbuy-1\t/, qr/these are 1 streams/);
prints([ 'streams', 'z' ], 3, qr/^$/, qr/no stream/);
is_deeply([ map {"$_->{stream_id} $_->{last_version}"} @{ records('streams', 'order-') } ], [ 'order-1 2', 'order-2 0' ], 'streams --json');
prints(['names'], 0, qr/^NAME\t.*\nOrderCreated\t2\t/ms, qr/^$/);
is(scalar(grep { $_->{event_name} eq 'OrderCreated' && $_->{events} == 2 } @{ records('names') }), 1, 'names --json');

# --- tail, as far as the store goes ---------------------------------------------------------------

sub positions { return join ' ', map { $_->{global_position} } @{ records('tail', '--no-follow', @_) } }
is(positions('--from', 0),                                     join(' ', 0 .. $head), 'tail from the beginning');
is(positions('-n', 2),                                         join(' ', $head - 1, $head), 'the last two');
is(positions('order-*', '-e', 'OrderCreated'),                 '0 2',   'by stream and name');
is(positions('-c', 'order', '-n', 3),                          '1 2 4', 'by category');
is(positions('-t', 'customer:bob', '--from', 0),               '2',     'by tag');
is(positions('--correlation', 'req-1', '-n', 2),               '1 4',   'by correlation');
prints([ 'tail', '--no-follow', 'nothing-*' ], 3, qr/^$/, qr/^$/);

# --- how things are -------------------------------------------------------------------------------

prints([ 'stats', '-p' ], 0, qr/^STORE\t.*\nes\t4\t@{[ $head + 1 ]}\t\d+\t$head\t$head\t\t\t\n\nSTORE\tPARTITION\t(?:.*\n){5}$/, qr/shared_preload_libraries/);
is_deeply([ map { $_->{kind} } @{ records('stats', '-p') } ], [ 'store', ('partition') x 4 ], 'stats --json');
prints(['consumers'], 0, qr/^group\tgroup\tmoving\t.*\nconsumer\tworker-1\talive\t.*\nsubscription\tmails\t.*1 parked, 1 retrying.*\nmanager\treactor\trunning\t.*\nprojection\ttotals\tstopped\t/m, qr/^$/);
is_deeply([ map {"$_->{kind} $_->{name}"} @{ records('consumers', 'group') } ], [ 'group group', 'consumer worker-1' ], 'consumers --json');
prints([ 'consumers', 'nothing' ], 3, qr/^$/, qr/no consumer "nothing"/);
prints([ 'consumers', '--max-lag', '3600' ], 3, qr/^KIND.*\nsubscription\tmails\tfailing\t.*\nprojection\ttotals\tstopped\t.*\n$/, qr/^$/, 'consumers --max-lag shows what cannot continue');
prints([ 'consumers', 'group', '--max-lag', '3600' ], 0, qr/^$/, qr/^$/, 'and nothing of a consumer that is not so far behind');
prints(['failures'], 3, qr/^subscription\tmails\tparked\torder-1\t0\t1\t2\tno such account\nsubscription\tmails\tretrying\torder-2\t2\t.*\nprojection\ttotals\tstopped\tbytes-1\t3\t.*\nsaga\tbuy-1\tstuck\t/m, qr/^$/);
is_deeply([ map {"$_->{kind} $_->{name} $_->{state}"} @{ records('failures', 'mails') } ], [ 'subscription mails parked', 'subscription mails retrying' ], 'failures --json');
prints([ 'top', '--once', '-i', '0.1' ], 0, qr/PostgreSQL.*\nes\t4\t.*\nprojection\ttotals\tstopped.*\nsaga\tbuy-1\tstuck/s, qr/^$/);
my ($picture) = @{ records('top', '--once') };
is_deeply([ map { scalar @{ $picture->{$_} } } qw(stores consumers failures) ], [ 1, 5, 4 ], 'top --json');

# --- what changes something -----------------------------------------------------------------------

prints([ 'retry', 'mails', 'order-2' ], 0, qr/^1 failed event of mails will come again now$/, qr/^$/);
prints([ 'retry', 'group' ],            3, qr/^nothing has failed in group$/,                 qr/^$/);
prints([ 'skip', 'mails' ],             2, qr/^$/,                                            qr/needs the stream.*\nHINT: `sierra failures mails`/);
prints([ 'skip', 'mails', 'order-1' ],  2, qr/^$/,                                            qr/nobody can be asked\nHINT: Add --yes/);
is_deeply(records('skip', 'mails', 'order-1', '--yes')->[0], { name => 'mails', done => JSON::PP::true, global_position => 0 }, 'skip --json');
prints([ 'skip', 'mails', 'order-1', '-y' ], 3, qr/nothing has failed there/, qr/^$/);
prints([ 'pause', 'mails' ],                 1, qr/^$/,                       qr/cannot be paused/);
prints([ 'retry', 'totals', 'order-1' ],     2, qr/^$/,                       qr/as a whole/);
prints([ 'retry', 'totals' ],                0, qr/^totals will try again now$/, qr/^$/);
prints([ 'pause', 'totals' ],                0, qr/^totals is paused$/,       qr/^$/);
is_deeply(records('pause', 'totals')->[0], { name => 'totals', done => JSON::PP::false }, 'pause --json, a second time');
is(one_value($dbh, q{SELECT state FROM event_projections() WHERE projection = 'totals'}), 'paused', 'it is paused');
prints([ 'resume', 'totals' ], 0, qr/^totals runs again$/, qr/^$/);
prints([ 'retry',  'buy-1' ],  0, qr/^saga buy-1 will try again now$/, qr/^$/);
$dbh->do('SELECT run_sagas()');
prints([ 'skip',  'buy-1', '-y', '--reason', 'by hand' ], 0, qr/compensation of step reserve/, qr/^$/);
prints([ 'retry', 'nothing' ], 1, qr/^$/, qr/^sierra: no subscription, projection or saga has the name "nothing"\nDETAIL: /);

# --- export, import, verify -----------------------------------------------------------------------

# The extension in a schema that needs quotes, and that is not in the search_path.
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE template0');
$node->safe_psql('copy', 'CREATE SCHEMA "Odd name"; CREATE EXTENSION sierra_es SCHEMA "Odd name"; SELECT "Odd name".create_event_store(partitions => 2)');
my $file = "$work/events.ndjson";
prints([ 'export', '-o', $file, '--to', 3 ], 0, qr/^$/, qr/exported 4 events, up to position 3/);
append_to_file($file, '{"global_position":4,"partit');
prints([ 'export', '-o', $file ], 1, qr/^$/, qr/the file exists\nHINT: .*--continue/);
is(records('export', '-o', $file, '--continue')->[0]{after_position}, 3, 'an export that was interrupted continues');
my $exported = decode('UTF-8', slurp_file($file));
is($exported, join('', map {"$_\n"} @{ $dbh->selectcol_arrayref('SELECT export_events()') }), 'byte for byte what export_events() returns');
my @lines = split /\n/, $exported;
prints([ 'import', $file, '-d', 'copy', '--batch-size', '3' ], 0, qr/^imported ${\scalar @lines} of ${\scalar @lines} events; 0 were/, qr/^$/);
my ($status, $out, $err) = sierra_with("$exported\n", qw(-d copy import - --json));
is_deeply(JSON::PP->new->decode($out), { events => scalar @lines, imported => 0, stored_already => scalar @lines }, 'and a second time');
is($node->safe_psql('copy', 'SELECT hash FROM "Odd name".event_hashes()'), one_value($dbh, 'SELECT hash FROM event_hashes()'), 'the same events');
($status, $out, $err) = sierra_with(qq($lines[0]\n$lines[1]\n\n{"stream_id": "x"\n), qw(-d copy import - --batch-size 2));
is($status, 1, 'a line that is not JSON') or diag($err);
like($err, qr/^sierra: 2 lines are imported.*\nsierra: line 4: invalid input syntax for type json/, 'and which it is');
($status, $out, $err) = sierra_with(qq($lines[0]\n$lines[1]\n$lines[2]\n{"stream_id": "x"}\n), qw(-d copy import - --batch-size 2));
like($err, qr/\nsierra: line 4: member "event_name".*\nDETAIL: It is missing in this line\./, 'a line that is refused');
prints([ '-d', 'copy', $_->[0] ], 0, $_->[1], qr/^/, "$_->[0] with the extension in another schema")
  for [ 'names', qr/Evil/ ], [ 'stats', qr/es\t2/ ];
prints([ 'verify', '-d', 'copy' ], 0, qr/^store es: no problem$/, qr/^$/);
$node->safe_psql('copy', q{SELECT setval('es.global_position', 1)});
prints([ 'verify', '-d', 'copy' ], 3, qr/^PROBLEM\t.*\n.*position/, qr/^$/, 'verify finds a problem');
ok(exists records('verify', '-d', 'copy')->[0]{problem}, 'verify --json');

# --- errors ---------------------------------------------------------------------------------------

$dbh->do('CREATE ROLE nobody LOGIN');
prints([ 'names', '-d', 'user=nobody' ], 1, qr/^$/, qr/^sierra: permission denied .* \(42501\)\nHINT: /, 'a missing right');
prints([ 'names', '-d', 'host=/nowhere' ], 1, qr/^$/, qr/^sierra: cannot connect: .*\nDETAIL: .*\nHINT: .*\n$/s, 'no server');
prints([ 'names', '-d', 'template1' ], 1, qr/^$/, qr/^sierra: database "template1" does not have the extension/, 'no extension');
prints([ 'names', '-d', 'nonsense=1' ], 2, qr/^$/, qr/^sierra: invalid connection option/, 'not a connection string');
prints([ 'names', '-s', 'nothing' ], 1, qr/^$/, qr/^sierra: no event store "nothing" \(SE005\)\nDETAIL: .*\nHINT: /, 'no such store');
prints([ 'tail', '--from', '-1' ], 2, qr/^$/, qr/^sierra: .*\nHINT: Try: sierra tail --help$/, 'a bad number');
prints(['nonsense'], 2, qr/^$/, qr/^sierra: /);
prints([ 'import', "$work/nothing" ], 1, qr/^$/, qr/^sierra: \S+nothing: No such file or directory$/, 'no such file');
is(system("sierra names >/dev/full 2>$work/full") >> 8, 1, 'a disk that is full');
like(slurp_file("$work/full"), qr/^sierra: No space left on device\n$/, 'is one message');
is(system("bash -c 'set -o pipefail; sierra cat order-1 | head -n 0; exit 0' 2>$work/pipe"), 0, 'a reader that ends early');
is(slurp_file("$work/pipe"), '', 'is not worth a message');

# --- a terminal -----------------------------------------------------------------------------------

my %screens = (
    'cat'       => [ 'cat', 'kunde-漢字' ],
    'failures'  => ['failures'],
    'consumers' => ['consumers'],
    'streams'   => ['streams'],
    'top'       => [ 'top', '--once' ],
);
for my $name (sort keys %screens) {
    my ($code, $screen) = in_terminal(undef, '', '', @{ $screens{$name} });
    $screen =~ s/\e\[[0-9;]*m//g;
    my @wide = grep { length(s/\p{East_Asian_Width=Wide}/xx/gr) > 80 } split /\r?\n/, $screen;
    is(@wide, 0, "$name fits 80 columns") or diag(@wide);
    check_output("$name in a terminal", $screen =~ s/\r//gr);
}
like((in_terminal(undef, '', '', 'consumers'))[1], qr/\e\[/, 'a terminal gets colors');
unlike((in_terminal(undef, '', 'NO_COLOR=1', 'consumers'))[1], qr/\e/, 'not with NO_COLOR');
my ($code, $screen) = in_terminal(qr/q ends/, 'q', '', 'top');
is($code, 0, 'q ends top');
like($screen, qr/\e\[\?1049h.*totals.*\e\[\?1049l/s, 'which used the other screen of the terminal');
($code, $screen) = in_terminal(qr/y\/N/, "n\n", '', 'skip', 'totals');
ok($code == 1 && $screen =~ /position 3.*\[y\/N\].*nothing was skipped/s, 'skip asks') or diag($screen);

# --- a tail, over a restart that also preloads the library ------------------------------------------

my @tails;
for my $arguments ([ '-n', 0 ], [ '--json', '--from', 2, '-e', 'Live' ]) {
    my %tail = (out => "$work/tail" . @tails, err => "$work/err" . @tails);
    $tail{pid} = fork_process(sub {
        open STDOUT, '>', $tail{out} or die $!;
        open STDERR, '>', $tail{err} or die $!;
        $SIG{INT} = 'DEFAULT';
        exec $program, 'tail', @$arguments or die $!;
    });
    push @tails, \%tail;
}
my @wanted;

sub append_live {
    my ($session) = @_;
    push @wanted, one_value($session, q{SELECT global_position FROM eappend('live-1', 'Live', '{}')});
    return;
}
sub shown_by { my ($tail) = @_; return unless -e $tail->{out}; return slurp_file($tail->{out}) =~ /^(?:\{"global_position":)?(\d+)/mg }

sub has_shown { my ($tail, $position) = @_; return scalar grep { $_ == $position } shown_by($tail) }

# The first of them begins with what is appended after its start.
wait_until('the tails follow', sub {
    append_live($dbh);
    return @tails == grep { shown_by($_) } @tails;
});
$dbh->disconnect;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'sierra_es'\nsierra_es.max_runners = 0\n");
$node->stop('immediate');
wait_until('both notice it', sub { @tails == grep { slurp_file($_->{err}) =~ /connection is lost/ } @tails });
start_again($node);
$dbh = connect_to($node);
append_live($dbh) for 1 .. 3;
wait_until('the tails show the last event', sub { @tails == grep { has_shown($_, $wanted[-1]) } @tails });
append_live($dbh) for 1 .. 2;
wait_until('and those after it', sub { @tails == grep { has_shown($_, $wanted[-1]) } @tails });
is_deeply([ shown_by($tails[1]) ], \@wanted, 'a tail over a restart shows each event once');
my ($first) = shown_by($tails[0]);
is_deeply([ shown_by($tails[0]) ], [ grep { $_ >= $first } @wanted ], 'so does one that began with the newest');
for my $tail (@tails) {
    kill 'INT', $tail->{pid};
    ok(wait_for_process($tail->{pid}), 'Ctrl-C is the normal end of a tail');
    like(slurp_file($tail->{err}), qr/^sierra: the connection is lost .*\nsierra: connected again\n$/, 'it says what happened');
}

# A server that has lost what was read, as a crash with synchronous_commit = off may lose it.
my $lost = fork_process(sub {
    open STDOUT, '>', "$work/lost" or die $!;
    open STDERR, '>&', \*STDOUT or die $!;
    exec $program, 'tail', '-n', '1', '-d', 'copy' or die $!;
});
wait_until('it shows the last event', sub { -s "$work/lost" });
$node->safe_psql('copy', 'SELECT "Odd name".clear_event_store(\'es\', force => true)');
$node->restart;
ok(!wait_for_process($lost), 'a tail does not continue if the server has lost events');
like(slurp_file("$work/lost"), qr/\nsierra: the server has lost events that were read\nDETAIL: .*\nHINT: .*\n$/, 'and says so');
$dbh = connect_to($node);

# --- with the library preloaded, and a transaction that holds back readers --------------------------

my $holder = connect_to($node);
$holder->begin_work;
$holder->do(q{SELECT eappend('slow-1', 'Slow')});
wait_until('it is shown', sub { one_value($dbh, q{SELECT count(*) FROM event_metrics('horizon')}) > 0 });
prints([ 'stats', '--seconds', '0.2' ], 0, qr/\t0\.0\t0\.0\t0\.0\nreaders of es are held back for \S+ by pid $holder->{pg_pid}/, qr/^$/, 'who holds back readers');
my ($store) = @{ records('stats', '--seconds', '0.1') };
is($store->{horizon_holders}[0]{pid}, $holder->{pg_pid}, 'stats --json');
is($store->{events_per_second}, 0, 'and rates');
$holder->rollback;
$holder->disconnect;

# --- completion, help, manual ---------------------------------------------------------------------

sub completes {
    my (@words) = @_;
    my $words = join ' ', map {"'$_'"} @words;
    my $out   = '';
    IPC::Run::run(
        [
            'bash', '-c',
            "source <(sierra completion bash) && COMP_WORDS=(sierra $words) COMP_CWORD=" . @words . ' && _sierra && printf "%s\n" "${COMPREPLY[@]}"'
        ],
        '>', \$out);
    return join ' ', split /\n/, $out;
}
is(completes('co'),                      'consumers completion', 'bash completes commands');
is(completes('tail', '--no'),            '--no-follow',          'options');
is(completes('cat', 'order-'),           'order-1 order-2',      'streams');
$dbh->do(q{SELECT FROM eappend('$(touch ' || $1 || '/run)', 'Happened')}, undef, $work);
like(completes('cat', '$('), qr/^\\\$\\\(touch/, 'and a name is text only');
ok(!-e "$work/run", 'which is never run');
is(completes('consumers', 'm'),          'mails',                'consumers');
is(completes('pause', ''),               'reactor totals',       'projections and process managers');
is(completes('tail', '-e', 'It'),        'ItemAdded',            'event names');
is(completes('import', "$work/ev"),      "$work/events.ndjson",  'files');
is(completes('-s', 'e'),                 'es',                   'stores');
is(completes('tail', '-n', ''),          '',                     'and no value that is a number');

my (undef, $help) = sierra('--help');
my @commands = $help =~ /^    (\w+) {2,}\w/mg;
is(scalar @commands, 18, 'the help lists all commands');
is_deeply([ grep { length > 80 } split /\n/, $help ], [], 'and fits 80 columns');

# In one process, because each start of Python takes its time.
my $check = <<'PYTHON';
import contextlib, io, shlex, sys
sys.path.insert(0, sys.argv[1])
from sierra_es_shell.command_line import build
commands = build()
for name, parser in commands.parsers.items():
    text = parser.format_help()
    for line in text.split("\n"):
        if len(line) > 80:
            print(f"{name}: too long: {line}")
    examples = text.split("examples:\n")[1].strip().split("\n")
    for example in examples:
        found = False
        for part in example.replace("||", "|").split("|"):
            words = shlex.split(part.split(">")[0], comments=True)
            if words[:1] == ["sierra"]:
                found = True
                try:
                    commands.parser.parse_args(words[1:])
                except SystemExit:
                    print(f"{name}: wrong example: {example}")
        if not found:
            print(f"{name}: not an example: {example}")
PYTHON
IPC::Run::run([ $python, '-c', $check, "$work/source" ], '>&', \my $faults);
is($faults, '', 'the help of each command fits, and its examples are right');
my (undef, $manual) = sierra('completion', 'man');
is_deeply([ $manual =~ /^\.SS (\S+)/mg ], \@commands, 'the manual page has all commands');

# Half of a character, which JSON of PostgreSQL may have.
$dbh->do(q{SELECT eappend('half-1', 'Half', '{"half": "\ud800"}')});
prints([ 'cat', 'half-1', $_ ], 0, qr/"half": ?"\\ud800"/, qr/^$/) for '--long', '--json';

# The server of the tests has inherited the other end, so there is no end of the input.
$request .= "null\n";
$harness->finish;
is_deeply(\@dangerous, [], 'nothing printed controls a terminal, and no error is a traceback');
$dbh->disconnect;

done_testing();
