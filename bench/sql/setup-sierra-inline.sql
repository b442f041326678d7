-- An inline projection that counts the events of each stream.
CREATE OR REPLACE FUNCTION bench_count(state jsonb, event sierra_event) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    RETURN to_jsonb(state::int + 1);
SELECT create_projection('counts', 'bench_count(jsonb, sierra_event)', initial => '0', mode => 'inline');
