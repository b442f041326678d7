"""A store in which every text wants to act, to hide, or to be too much."""

import hashlib
import json

STORE = '"><img src=x onerror=canary()>'
SCRIPT = "<script>window.canary=1</script>"
IMAGE = '"><img src=x onerror="window.canary=2">'
QUOTE = "' onmouseover='window.canary=3' x='"
LINK = "javascript:window.canary=4"
BIDI = "pay\u202etxt.exe\u2066\u200b\ufeff"
TEMPLATE = "{{ config }}{% raw %}${7*7}"
LONG = "w" * 255
NAMES = [SCRIPT, IMAGE, QUOTE, LINK, BIDI, TEMPLATE, LONG, "</title><svg onload=window.canary=5>", "a/../b?c=d&e#f%2e%00", "שלום-1"]

# What cannot be compressed, so that its size is seen without reading it.
RANDOM = "".join(hashlib.sha256(number.to_bytes(4, "big")).hexdigest() for number in range(12_000))
DEEP = "[" * 3000 + '"<b>"' + "]" * 3000
PAYLOADS = [
    json.dumps({name: name for name in NAMES}),
    '{"a": "\\u001b[31mred\\u001b[0m \\u0000 \\ud800 \\u202e", "b": 1.10, "b": 1e400, "c": 12345678901234567890.0}',
    DEEP,
    json.dumps("</pre></main><script>window.canary=6</script>" + "x" * 300_000 + RANDOM),
    '  {"open":"<!--", "n": null, "t": [true, false, {}, []]}  ',
    '"<script>window.canary=7</script>"',
    "null",
]


def make(conn):
    """Fills a store; returns how many events it has."""
    execute = conn.execute
    execute("SELECT create_event_store(%s, 4)", [STORE])
    execute("SELECT set_config('sierra_es.store', %s, false)", [STORE])
    first = None
    for number, name in enumerate(NAMES):
        metadata = {"correlation_id": name, "causation_id": first or name, name: name}
        row = execute(
            "SELECT event_id::text FROM eappend(%s, %s, %s, metadata => %s, tags => %s)",
            [name, name, PAYLOADS[number % len(PAYLOADS)], json.dumps(metadata), [name, "all"]],
        ).fetchone()
        first = first or row[0]
    execute("SELECT FROM eappend(%s, 'Bytes', payload_bytes => %s)", [SCRIPT, bytes(range(256)) * 20])
    execute("SELECT FROM eappend(%s, 'Nothing')", [SCRIPT])
    execute("""SELECT FROM eappend(%s, 'Odd', '{}', metadata => '{"correlation_id": "\\ud800", "causation_id": {"a": "\\u0000"}}')""", [SCRIPT])
    execute("""SELECT FROM eappend(%s, 'Old', '{}', "timestamp" => '4000-01-01 BC'), eappend(%s, 'Far', '{}', "timestamp" => '200000-01-01') AS f""", [SCRIPT, SCRIPT])
    execute("CREATE FUNCTION hostile_fold(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$ SELECT state || jsonb_build_object(e.event_name, e.stream_id) $$")
    for name in (SCRIPT, IMAGE):
        execute("SELECT create_aggregate(%s, 'hostile_fold')", [name])
    execute("CREATE FUNCTION hostile_error(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE '%', e.event_name; END $$")
    execute("SELECT create_projection(%s, 'hostile_error', max_attempts => 1, on_error => 'park')", [IMAGE])
    execute("SELECT run_projections()")
    for name in (SCRIPT, BIDI):
        execute("SELECT esub(%s, start_from => 'earliest')", [name])
        execute("SELECT enack(%s, min(global_position), reason => %s, park => true) FROM enext(%s)", [name, IMAGE + "\n" + BIDI, name])
    execute("SELECT eschedule(now() + interval '1 day', %s, %s)", [SCRIPT, IMAGE])
    execute("CREATE FUNCTION hostile_step(data jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE '%', data->>'error' USING ERRCODE = 'P0002'; END $$")
    execute("SELECT create_saga(%s, ARRAY[saga_step(%s, 'hostile_step', max_attempts => 1), saga_step(%s, 'hostile_step')])", [QUOTE, SCRIPT, IMAGE])
    execute("SELECT start_saga(%s, %s, %s)", [QUOTE, json.dumps({"error": IMAGE}), SCRIPT + "saga"])
    execute("SELECT run_sagas()")
    execute("SELECT create_trace_index()")
    execute("RESET sierra_es.store")
