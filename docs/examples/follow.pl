#!/usr/bin/perl
# Follows a store: prints every event once, in order, as it is committed.
#
# usage: follow.pl DSN [POSITION]
#   follow.pl "dbname=shop host=/var/run/postgresql" 1234
use strict;
use warnings;

use DBI;
use IO::Select;

my ($dsn, $position) = @ARGV;
$position //= -1;
$| = 1;

my $db = DBI->connect("dbi:Pg:$dsn", undef, undef, { RaiseError => 1 });
my $socket = IO::Select->new($db->{pg_socket});

# First LISTEN, then look: events committed in between are seen or announced.
$db->do('LISTEN sierra_es');
while (1)
{
	while (1)
	{
		my $events = $db->selectall_arrayref('SELECT * FROM eall(?, 1000)', { Slice => {} }, $position);

		last unless @$events;
		foreach my $event (@$events)
		{
			print "$event->{global_position} $event->{stream_id} $event->{event_name}\n";
			$position = $event->{global_position};
		}
	}

	# A notification is a hint; look now and then without one.
	$socket->can_read(10);
	while ($db->pg_notifies) { }
}
