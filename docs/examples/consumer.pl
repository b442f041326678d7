#!/usr/bin/perl
# Keeps a table of order totals up to date; every event counts exactly once.
#
# usage: consumer.pl DSN
#   consumer.pl "dbname=shop;host=/var/run/postgresql"
#
# You can stop it at any time: an unfinished transaction rolls back, and its
# events come again.
use strict;
use warnings;

use DBI;
use JSON::PP qw(decode_json);

my $subscription = 'order-totals';

# Makes the table and the subscription, if they do not exist yet.
sub prepare
{
	my ($db) = @_;

	$db->do('CREATE TABLE IF NOT EXISTS order_totals (stream_id text PRIMARY KEY,'
		  . ' customer text NOT NULL, total numeric NOT NULL, status text NOT NULL)');
	$db->do("SELECT esub(?, streams => ARRAY['order-*'], start_from => 'earliest',"
		  . ' max_attempts => 3)', undef, $subscription);
	return;
}

# Applies one event to the table.
sub process
{
	my ($db, $event) = @_;
	my $payload = defined $event->{payload} ? decode_json($event->{payload}) : {};

	if ($event->{event_name} eq 'OrderCreated')
	{
		$db->do("INSERT INTO order_totals VALUES (?, ?, 0, 'created')",
			undef, $event->{stream_id}, $payload->{customer});
	}
	elsif ($event->{event_name} eq 'ItemAdded')
	{
		$db->do('UPDATE order_totals SET total = total + ? WHERE stream_id = ?',
			undef, $payload->{price}, $event->{stream_id});
	}
	elsif ($event->{event_name} eq 'OrderPaid')
	{
		$db->do("UPDATE order_totals SET status = 'paid' WHERE stream_id = ?",
			undef, $event->{stream_id});
	}
	return;
}

# Processes one event; if that fails, rolls back its effects only, and returns the error.
sub try_to_process
{
	my ($db, $event) = @_;

	$db->pg_savepoint('event');
	if (!eval { process($db, $event); 1 })
	{
		my $problem = $@;

		# Not the event's fault: a deadlock, a lost connection.
		die $problem if $db->state =~ /^40/ || !$db->ping;
		$db->pg_rollback_to('event');
		return $problem;
	}
	$db->pg_release('event');
	return;
}

# Polls, processes and acknowledges in one transaction.
sub consume_batch
{
	my ($db) = @_;
	my ($done, $failed, $problem);

	$db->begin_work;
	my $events = $db->selectall_arrayref("SELECT * FROM enext(?, wait => '10 seconds')",
		{ Slice => {} }, $subscription);
	foreach my $event (@$events)
	{
		$problem = try_to_process($db, $event);
		if (defined $problem)
		{
			$failed = $event->{global_position};
			last;
		}
		$done = $event->{global_position};
	}
	$db->do('SELECT eack(?, ?)', undef, $subscription, $done) if defined $done;
	$db->do('SELECT enack(?, ?, reason => ?)', undef, $subscription, $failed, $problem)
	  if defined $failed;
	$db->commit;
	return;
}

while (1)
{
	eval {
		my $db = DBI->connect("dbi:Pg:$ARGV[0]", undef, undef, { RaiseError => 1, PrintError => 0 });

		prepare($db);
		consume_batch($db) while 1;
	};
	print STDERR "connecting again: $@";
	sleep 1;
}
