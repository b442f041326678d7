# What is in monitoring/: the rules and their tests, the queries of the exporter, the dashboard; and a real scrape.
#
# promtool and prometheus-postgres-exporter are looked for in PATH; scripts/test gets them from Debian.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SierraTest;
use Test::More;
use Time::HiRes qw(sleep);

my $top = "$FindBin::Bin/../..";
my $node = new_server('monitoring');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'sierra_es'");
$node->restart;
create_store($node, 4);
my $dbh = connect_to($node);

my %defined = map { $_ => 1 } @{ $dbh->selectcol_arrayref(q{SELECT format('sierra_es_%s_%s', subject, metric) FROM sierra_internal.metric_definitions()}) };

# A word of PromQL that begins like one of our metrics is one.
foreach my $file (qw(rules.yml rules_test.yml dashboard.json)) {
    my %used = map { $_ => 1 } slurp_file("$top/monitoring/$file") =~ /\b(sierra_es_[a-z]+_\w+)/g;
    cmp_ok(keys %used, '>', 5, "$file: uses metrics");
    is_deeply([ grep { !$defined{$_} } sort keys %used ], [], "$file: all of them exist");
}
my $dashboard = decode_json(slurp_file("$top/monitoring/dashboard.json"));
cmp_ok(scalar @{ $dashboard->{panels} }, '>', 10, 'dashboard.json: has panels');
is(scalar(grep { !@{ $_->{targets} } } @{ $dashboard->{panels} }), 0, 'and each shows something');

my %alerts = map { $_ => 1 } slurp_file("$top/monitoring/rules.yml") =~ /^ +- alert: (\w+)$/mg;
my %tested = map { $_ => 1 } slurp_file("$top/monitoring/rules_test.yml") =~ /^ +alertname: (\w+)$/mg;
is_deeply([ sort keys %tested ], [ sort keys %alerts ], 'each alert has a test');
my $page = slurp_file("$top/docs/monitoring.md");
is_deeply([ grep { $page !~ /`$_`/ } sort keys %alerts ], [], 'docs/monitoring.md says what to do about each');

local $ENV{PATH} = $node->config_data('--bindir') . ":$ENV{PATH}";
my ($made, $err);
IPC::Run::run([ "$top/monitoring/make_queries", '-d', $node->connstr('postgres') ], '>', \$made, '2>', \$err) or die $err;
is($made, slurp_file("$top/monitoring/postgres_exporter.yml"), 'postgres_exporter.yml is what make_queries prints');
foreach my $metric (sort keys %defined) {
    my ($namespace, $column) = $metric eq 'sierra_es_saga_overdue_seconds' ? ('sierra_es_saga_overdue', 'seconds') : $metric =~ /^(sierra_es_[a-z]+)_(\w+)$/;
    like($made, qr/^\Q$namespace\E:(?:(?!^\S).)*^    - $column: /ms, "it has $metric");
}

# Something of each kind.
$dbh->do(q{SELECT eappend('a', 'Happened', '{}')});
$dbh->do(q{SELECT esub('stuck "\\', start_from => 'earliest')});
$dbh->do(q{SELECT epsub('group', start_from => 'earliest')});
$dbh->do(q{SELECT count(*) FROM enext('group', consumer => 'one')});
$dbh->do(q{CREATE FUNCTION counts(state jsonb, event sierra_event) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$});
$dbh->do(q{SELECT create_projection('counts', 'counts', mode => 'manual')});
$dbh->do(q{CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{}'::jsonb $$});
$dbh->do(q{SET sierra_es.run_jobs = off});
$dbh->do(q{SELECT create_saga('order', ARRAY[saga_step('one', 'act', waits => true)])});
$dbh->do(q{SELECT start_saga('order')});
$dbh->do(q{CREATE ROLE regress_sierra_monitor LOGIN IN ROLE pg_monitor});

SKIP: {
    skip 'promtool is not installed (Debian: prometheus)', 4 if !is_installed('promtool');
    is(run_tool(undef, qw(promtool check rules), "$top/monitoring/rules.yml"), '', 'promtool check rules');
    is(run_tool(undef, qw(promtool test rules), "$top/monitoring/rules_test.yml"), '', 'promtool test rules');
    my $text = one_value($dbh, 'SELECT event_metrics_text()');
    is(run_tool($text, qw(promtool check metrics)), '', 'promtool check metrics: the text format');
    isnt(run_tool($text . "sierra_es_wrong{ 1\n", qw(promtool check metrics)), '', 'which it would refuse if it were wrong');
}

SKIP: {
    skip 'prometheus and prometheus-postgres-exporter are not installed', 9 if !is_installed('prometheus-postgres-exporter') || !is_installed('prometheus');
    my $port = PostgreSQL::Test::Cluster::get_free_port();
    local $ENV{DATA_SOURCE_NAME} = sprintf 'user=regress_sierra_monitor host=%s port=%s dbname=postgres sslmode=disable', $node->host, $node->port;
    my $exporter = IPC::Run::start(
        [   'prometheus-postgres-exporter', "--web.listen-address=127.0.0.1:$port", '--disable-default-metrics', '--disable-settings-metrics',
            "--extend.query-path=$top/monitoring/postgres_exporter.yml"
        ],
        '>', "$PostgreSQL::Test::Utils::log_path/exporter.out", '2>', "$PostgreSQL::Test::Utils::log_path/exporter.err");
    my $scraped;
    wait_until('the exporter answers', sub {
        my $response = HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port/metrics");
        $scraped = $response->{content};
        $response->{success} && $scraped =~ /^sierra_es_/m;
    });
    unlike($scraped, qr/^pg_exporter_last_scrape_error\{?[^\n]* 1$/m, 'without an error');

    my @missing = grep { $scraped !~ /^\Q$_\E\{/m } grep { $_ ne 'sierra_es_horizon_holder_seconds' } sort keys %defined;
    is_deeply(\@missing, [], 'every metric is scraped') or diag(slurp_file("$PostgreSQL::Test::Utils::log_path/exporter.err"));

    # What does not change meanwhile has the same value: name, labels without those of the exporter, value.
    my %by_exporter = map { $_ => 1 } map { same_form($_) } $scraped =~ /^(sierra_es_.*)$/mg;
    my @ours = grep { !/seconds|wakeups|jobs|handled|runners|notifications|_bytes/ } map { same_form($_) } one_value($dbh, 'SELECT event_metrics_text()') =~ /^(sierra_es_.*)$/mg;
    is_deeply([ grep { !$by_exporter{$_} } @ours ], [], 'with the values of event_metrics()');
    cmp_ok(scalar @ours, '>', 30, 'of which there are many');
    alerts_of_a_stopped_consumer($port);
    $exporter->kill_kill;
}

$dbh->disconnect;
$node->stop;
done_testing();

# A consumer has taken an event, which is an hour old, and its process is stopped before it acknowledges it: Prometheus
# raises the alert.  When it runs again, the alert ends.
sub alerts_of_a_stopped_consumer {
    my ($exporter_port) = @_;
    my $dir = PostgreSQL::Test::Utils::tempdir();
    my $port = PostgreSQL::Test::Cluster::get_free_port();
    my $log = "$PostgreSQL::Test::Utils::log_path/prometheus";
    append_to_file("$dir/prometheus.yml",
        "rule_files: [$top/monitoring/rules.yml]\nscrape_configs:\n  - job_name: event_stores\n    scrape_interval: 1s\n    static_configs: [{targets: ['127.0.0.1:$exporter_port']}]\n");
    my $prometheus = IPC::Run::start([ 'prometheus', "--config.file=$dir/prometheus.yml", "--storage.tsdb.path=$dir/data", "--web.listen-address=127.0.0.1:$port" ], '>', "$log.out", '2>', "$log.err");

    $dbh->do(q{SELECT esub('mails', streams => '{mails}', start_from => 'earliest')});
    $dbh->do(q{SELECT eappend('mails', 'Happened', "timestamp" => now() - interval '1 hour')});
    my $consumer = fork_process(sub {
        my $session = connect_to($node);
        my $position = one_value($session, q{SELECT global_position FROM enext('mails')});
        append_to_file("$dir/taken", '');
        sleep 0.1 until -e "$dir/continue";
        $session->do(q{SELECT eack('mails', ?)}, undef, $position);
    });
    wait_until('the consumer has an event', sub { -e "$dir/taken" });
    kill 'STOP', $consumer;
    my $alert = 'SierraConsumerStuck mails';
    wait_until('Prometheus raises the alert', sub { (alerts($port)->{$alert} // '') eq 'firing' });
    is(alerts($port)->{$alert}, 'firing', 'a consumer that is stopped');
    my ($lag) = one_value($dbh, q{SELECT value FROM event_metrics('subscription') WHERE metric = 'sierra_es_subscription_lag_seconds' AND labels ->> 'subscription' = 'mails'});
    cmp_ok($lag, '>=', 3600, 'event_metrics() shows it');
    is(one_value($dbh, q{SELECT date_trunc('hour', lag) FROM event_subscriptions() WHERE subscription = 'mails'}), '01:00:00', 'event_subscriptions() too');
    append_to_file("$dir/continue", '');
    kill 'CONT', $consumer;
    ok(wait_for_process($consumer), 'it continues');
    wait_until('the alert ends', sub { !alerts($port)->{$alert} });
    is(alerts($port)->{$alert}, undef, 'the alert ends');
    $prometheus->kill_kill;
    return;
}

# The alerts that are pending or firing, and their states.
sub alerts {
    my ($port) = @_;
    my $response = HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port/api/v1/alerts");
    return {} if !$response->{success};
    return { map { ("$_->{labels}{alertname} " . ($_->{labels}{subscription} // '') => $_->{state}) } @{ decode_json($response->{content})->{data}{alerts} } };
}

sub is_installed { return scalar grep { -x "$_/$_[0]" } split /:/, $ENV{PATH} }

# What a program prints if it fails; '' if it does not.
sub run_tool {
    my ($input, @command) = @_;
    my ($out, $errors);
    return IPC::Run::run(\@command, '<', \($input // ''), '>', \$out, '2>', \$errors) ? '' : "$out$errors failed";
}

sub same_form {
    my ($name, $labels, $value) = $_[0] =~ /^(\w+)\{(.*)\} (\S+)$/ or die "what is $_[0]?";
    my @labels = sort grep { !/^server=/ } $labels =~ /(\w+="(?:[^"\\]|\\.)*")/g;
    return sprintf '%s{%s} %s', $name, join(',', @labels), $value + 0;
}
