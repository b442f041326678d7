# What large batches of projections cost: memory is for the events and states of a batch, not
# for all that is done with them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use SierraCost;
use SierraTest;
use Test::More;

my $node = new_server('projection_cost');
$node->append_conf('postgresql.conf', small_server_settings());
$node->restart;
create_store($node, 4);

my $dbh = connect_to($node);
$dbh->do(<<'SQL');
SET client_min_messages = error;
CREATE FUNCTION modern(payload jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE RETURN payload || '{"modern": true}';
SELECT create_upcaster('Old', 1, 'modern(jsonb)');
CREATE FUNCTION look(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF e.payload ->> 'n' = '19999' THEN
        RAISE 'no';
    END IF;
END
$$;
CREATE FUNCTION remember(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql
    RETURN jsonb_build_object('pad', repeat('x', 100000), 'n', e.payload ->> 'n');
SELECT create_projection('handled', 'look(sierra_event)', event_names => '{Old}', batch_size => 100000);
SELECT create_process_manager('managed', 'remember(jsonb, sierra_event)', event_names => '{New}', batch_size => 100000);

CREATE FUNCTION append(event_name text, count int) RETURNS void LANGUAGE sql AS $$
    SELECT FROM emappend(NULL, array_fill('s'::text, ARRAY[count]), array_fill(event_name, ARRAY[count]),
                         (SELECT array_agg(json_build_object('n', i)) FROM generate_series(1, count) AS i))
$$;
SELECT append('Old', 100), append('New', 10);
SELECT run_projection('handled', 100000), run_projection('managed', 100000);
SELECT append('Old', 20000), append('New', 2000);
SQL

# A batch is read once, and its parts are tried until the one event that fails is found.
my $bytes = peak_of($dbh, sub { $dbh->do(q{SELECT run_projection('handled', 100000)}) });
note("upcast and tried again: $bytes bytes for 20000 events");
cmp_ok($bytes, '<=', 20000 * 1000, 'memory: a batch that is upcast, and tried in parts');
is(one_value($dbh, q{SELECT processed FROM es.projections WHERE projection = 'handled'}), 100 + 19998,
    'and all events before the one that fails are handled');

# Each call of the handler returns a state of 100 kB.
$bytes = peak_of($dbh, sub { $dbh->do(q{SELECT run_projection('managed', 100000)}) });
note("states: $bytes bytes for 2000 events");
cmp_ok($bytes, '<=', 5_000_000, 'memory: a large state that changes with each event');
is(one_value($dbh, q{SELECT state ->> 'n' FROM estates('managed')}), 2000, 'and is saved');

done_testing();
