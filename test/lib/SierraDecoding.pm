# SierraDecoding.pm
#     Functions that the tests of logical decoding share: slots, messages,
#     expected results.

package SierraDecoding;

use strict;
use warnings;

use Exporter qw(import);
use JSON::PP ();
use SierraTest;

our @EXPORT = qw(
  decoding_server allow_plugin make_slot drop_slot take_changes take_events take_binary expected_events
  decode_json read_binary places stream_of_partition
);

# A server that decodes, for clients too.
sub decoding_server {
    my ($name) = @_;
    my $node = new_server($name, allows_streaming => 'logical');
    allow_plugin($node);
    return $node;
}

# Servers since August 2026 load no plugin that is not listed; earlier ones do
# not know the setting.
sub allow_plugin {
    my ($node) = @_;
    my $setting = 'output_plugin_libraries';
    my $value = $node->safe_psql('postgres', "SELECT setting FROM pg_settings WHERE name = '$setting'");
    return if $value eq '';
    $node->append_conf('postgresql.conf', "$setting = '$value, sierra_es'");
    $node->restart;
    return;
}

sub make_slot {
    my ($dbh, $slot) = @_;
    $dbh->do(q{SELECT pg_create_logical_replication_slot($1, 'sierra_es')}, undef, $slot);
    return;
}

sub drop_slot {
    my ($dbh, $slot) = @_;
    $dbh->do('SELECT pg_drop_replication_slot($1)', undef, $slot);
    return;
}

# The messages that a slot has, as text; the slot moves past them unless {peek}.
sub take_changes {
    my ($dbh, $slot, %options) = @_;
    my $how = delete $options{peek} ? 'peek' : 'get';
    my $arguments = join '', map { ', ?' } %options;
    return @{ $dbh->selectcol_arrayref(
            "SELECT data FROM pg_logical_slot_${how}_changes(?, NULL, NULL$arguments)",
            undef, $slot, %options) };
}

# As above, events only.
sub take_events {
    my ($dbh, $slot, %options) = @_;
    return take_changes($dbh, $slot, include_transactions => 'false', %options);
}

sub take_binary {
    my ($dbh, $slot, %options) = @_;
    my $arguments = join '', map { ', ?' } %options;
    return map { pack 'H*', $_ } @{ $dbh->selectcol_arrayref(
            "SELECT encode(data, 'hex')
               FROM pg_logical_slot_get_binary_changes(?, NULL, NULL, 'format', 'binary'$arguments)",
            undef, $slot, %options) };
}

# What the plugin must say of the events of a store, by position.  row_to_json()
# embeds json as it is; only bytes are written in another way.
sub expected_events {
    my ($dbh, $store, $condition) = @_;
    $condition //= 'true';
    my $schema = $dbh->quote_identifier($store);
    return @{ $dbh->selectcol_arrayref(
            "SELECT '{\"type\":\"event\",\"store\":' || to_json(?::text) || ',' || substr(
                    CASE WHEN e.payload_bytes IS NULL THEN row_to_json(e)::text
                         ELSE replace(row_to_json(e)::text, to_json(e.payload_bytes)::text,
                              to_json(translate(encode(e.payload_bytes, 'base64'), E'\\n', ''))::text)
                    END, 2)
               FROM (SELECT global_position, partition_id, partition_sequence, stream_id,
                            stream_version, event_id, event_name, \"timestamp\", partition_key,
                            transaction_id, metadata, payload, payload_bytes, tags
                       FROM $schema.events WHERE $condition ORDER BY global_position) AS e",
            undef, $store) };
}

# The text of DBD::Pg is characters already.
sub decode_json { return JSON::PP->new->decode($_[0]) }

# 'partition/sequence' of messages in JSON.
sub places {
    return map { "$_->{partition_id}/$_->{partition_sequence}" }
      grep { $_->{type} eq 'event' } map { decode_json($_) } @_;
}

# Reads a message of the binary format, as docs/decoding.md describes it.
sub read_binary {
    my ($message) = @_;
    my ($type, $version, $rest) = unpack 'a C a*', $message;
    my %fields = (type => $type, version => $version);
    if ($type eq 'B') {
        @fields{qw(xid commit_lsn commit_time more)} = unpack 'N Q> q> a*', $rest;
    }
    elsif ($type eq 'C') {
        @fields{qw(xid commit_lsn end_lsn commit_time more)} = unpack 'N Q> Q> q> a*', $rest;
    }
    elsif ($type eq 'E') {
        (@fields{qw(global_position partition_id partition_sequence stream_version timestamp
              event_id partition_key transaction_id)}, $rest)
          = unpack 'q> l> q> q> q> H32 H32 H32 a*', $rest;
        for my $name (qw(store stream_id event_name metadata payload payload_bytes)) {
            (my $length, $rest) = unpack 'l> a*', $rest;
            $fields{$name} = $length < 0 ? undef : substr $rest, 0, $length, '';
        }
        (my $count, $rest) = unpack 'N a*', $rest;
        $fields{tags} = $count == 0 ? undef : [];
        for (1 .. $count) {
            (my $length, $rest) = unpack 'N a*', $rest;
            push @{ $fields{tags} }, substr $rest, 0, $length, '';
        }
        $fields{more} = $rest;
    }
    else {
        die "a message of type $type";
    }
    return \%fields;
}

# A stream in a partition of a store with this number of partitions.
sub stream_of_partition {
    my ($dbh, $partition, $partitions) = @_;
    return one_value($dbh, q{SELECT 's-' || i FROM generate_series(1, 10000) AS i
        WHERE sierra_partition_id(sierra_stream_key('s-' || i), $1) = $2 LIMIT 1},
        $partitions, $partition);
}

1;
