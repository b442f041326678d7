#!/usr/bin/perl
# Orders are streams of events; a table has their totals. See ../README.md.
use strict;
use warnings;

use DBI;
use Encode qw(decode);
use JSON::PP;

my $wrong_version = 'SE001';
my $condition_failed = 'SE009';
my $json = JSON::PP->new->canonical;

# PGHOST, PGDATABASE and so on say where.
sub connected
{
	return DBI->connect('dbi:Pg:', undef, undef, { RaiseError => 1, PrintError => 0 });
}

# The events of a stream in their order.
sub read_stream
{
	my ($db, $stream) = @_;
	return $db->selectall_array('SELECT stream_version AS version, event_name AS name, payload FROM escan(?)',
		{ Slice => {} }, $stream);
}

# Reads, decides, and appends with the version that it has read; on a conflict, begins again.
sub add
{
	my ($order, $item, $price) = @_;
	my ($db, $stream) = (connected(), "order-$order");

	while (1)
	{
		my @events = read_stream($db, $stream);
		return "$stream is paid" if grep { $_->{name} eq 'OrderPaid' } @events;
		my $expected = @events ? $events[-1]{version} : 'empty';
		my ($version) = eval {
			$db->selectrow_array(
				"SELECT stream_version FROM eappend(?, 'ItemAdded', ?, expected_version => ?)",
				undef, $stream, $json->encode({ item => $item, price => $price + 0 }), $expected);
		};
		return "$stream: $item, version $version" if defined $version;
		die $@ if $db->state ne $wrong_version;
	}
}

# Appends an event with an id: if the answer is lost, the same call again stores nothing twice.
sub pay
{
	my ($order, $payment) = @_;

	while (1)
	{
		my ($version) = eval {
			connected()->selectrow_array("SELECT stream_version FROM eappend(?, 'OrderPaid', event_id => ?)",
				undef, "order-$order", $payment);
		};
		return "order-$order: paid, version $version" if defined $version;
		die $@ if !is_transient($DBI::state);
		print STDERR "connecting again: $@";
		sleep 1;
	}
}

# Appends an event unless any stream has one with the same tag.
sub redeem
{
	my ($order, $coupon) = @_;
	my ($db, @tags) = (connected(), "coupon:$coupon");
	my ($version) = eval {
		$db->selectrow_array(
			"SELECT stream_version FROM eappend(?, 'CouponRedeemed', ?, tags => ?, condition => ?)",
			undef, "order-$order", $json->encode({ coupon => $coupon }),
			\@tags, $json->encode({ query => [{ tags => \@tags }], after => -1 }));
	};

	return "order-$order: $coupon, version $version" if defined $version;
	die $@ if $db->state ne $condition_failed;
	return "$coupon was redeemed before";
}

sub show
{
	my ($order) = @_;
	return join "\n", map {
		my $payload = $json->decode($_->{payload} // '{}');
		join ' ', $_->{version}, $_->{name}, grep { defined } @$payload{qw(item price coupon)};
	} read_stream(connected(), "order-$order");
}

# Keeps the table order_totals up to date; each event counts exactly once.
sub totals
{
	my ($consumer) = @_;

	while (1)
	{
		eval {
			my $db = connected();

			$db->do('CREATE TABLE IF NOT EXISTS order_totals'
				  . ' (stream_id text PRIMARY KEY, events bigint NOT NULL, total bigint NOT NULL)');
			$db->do("SELECT esub('order-totals', streams => ARRAY['order-*'],"
				  . " start_from => 'earliest', max_attempts => 3)");
			while (1)
			{
				print "$_->{stream_id} $_->{event_name}\n" foreach consume($db, $consumer);
			}
		};
		print STDERR "connecting again: $@";
		sleep 1;
	}
}

# Waits for events, counts and acknowledges them in one transaction: all of it, or nothing.
sub consume
{
	my ($db, $consumer) = @_;
	my (@done, $failed, $reason);

	$db->begin_work;
	my $events = $db->selectall_arrayref(
		"SELECT global_position, stream_id, event_name, payload->>'price' AS price"
		  . " FROM enext('order-totals', wait => '10 seconds', consumer => ?)",
		{ Slice => {} }, $consumer);
	foreach my $event (@$events)
	{
		$db->pg_savepoint('event');    # a failure takes back only this event
		if (!eval { count($db, $event); 1 })
		{
			($failed, $reason) = ($event, $@);
			die $reason if is_transient($db->state);
			$db->pg_rollback_to('event');
			last;
		}
		$db->pg_release('event');
		push @done, $event;
	}
	$db->do("SELECT eack('order-totals', ?, ?)", undef, $done[-1]{global_position}, $consumer) if @done;
	$db->do("SELECT enack('order-totals', ?, reason => ?, consumer => ?)",
		undef, $failed->{global_position}, $reason, $consumer)
	  if $failed;
	$db->commit;
	return @done;
}

sub count
{
	my ($db, $event) = @_;
	$db->do(
		'INSERT INTO order_totals AS t VALUES (?, 1, coalesce(?::bigint, 0))'
		  . ' ON CONFLICT (stream_id) DO UPDATE SET events = t.events + 1, total = t.total + excluded.total',
		undef, $event->{stream_id}, $event->{price});
	return;
}

# Whether it is not the fault of the statement: a deadlock, a lost connection.
sub is_transient
{
	my ($state) = @_;
	return $state =~ /^(08|40|53|55|57|58|22000$|S1000$)/;
}

$| = 1;
binmode STDOUT, ':encoding(UTF-8)';
my %commands = (add => \&add, pay => \&pay, redeem => \&redeem, show => \&show, totals => \&totals);
my ($command, @arguments) = map { decode('UTF-8', $_) } @ARGV;
print $commands{$command}->(@arguments), "\n";
