"""What docs/drivers.md says of psycopg: prints each row of its table whose code works as it says."""
import datetime
import os
import uuid

import psycopg
from psycopg.types.json import Json, Jsonb

URL = os.environ["DATABASE_URL"]
conn = psycopg.connect(URL, autocommit=True)


def one(sql, *values):
    return conn.execute(sql, values).fetchone()[0]


def row(name, cell, code):
    try:
        print(f"{name} | {cell if code() else 'is not so'}")
    except Exception as error:
        print(f"{name} | {type(error).__name__}: {error}")


def documents():
    for document in (Json({"n": 1}), Jsonb({"n": 1}), '{"n": 1}', None):
        one("SELECT stream_version FROM eappend('documents', 'x', %s, %s)", document, document)
    return one("SELECT count(*) FROM escan('documents') WHERE (payload->>'n')::int = 1") == 3


def versions():
    version = one("SELECT stream_version FROM eappend('versions', 'x', expected_version => %s)", "empty")
    return one("SELECT stream_version FROM eappend('versions', 'x', expected_version => %s)", version) == 1


def several():
    events = [{"stream_id": "several", "event_name": "x", "payload": [n]} for n in range(3)]
    names, payloads = ["x", "y"], [Json({"n": 1}), None]
    return (one("SELECT count(*) FROM emappend(NULL, %s)", Json(events)) == 3
            and one("SELECT count(*) FROM emappend(NULL, %s, %s, %s::json[])", ["several"] * 2, names, payloads) == 2)


def late():
    conn.execute("SELECT esub('late')")
    conn.execute("SET statement_timeout = '100ms'")
    try:
        conn.execute("SELECT FROM enext('late', wait => '1 minute')")
    except psycopg.errors.QueryCanceled as error:
        return error.sqlstate == "57014"
    finally:
        conn.execute("RESET statement_timeout")


def pooled():
    for _ in range(9):
        pooler.execute("SELECT FROM eappend('pooled', 'x', %s)", ["{}"])
    return pooler.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0] == 0


def notified():
    with psycopg.connect(URL, autocommit=True) as listener:
        listener.execute("LISTEN sierra_es")
        conn.execute("SELECT pg_notify('sierra_es', '{}')")
        return next(listener.notifies(timeout=60)).payload == "{}"


def lost():
    with psycopg.connect(URL, autocommit=True) as other:
        try:
            other.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        except psycopg.OperationalError:
            return other.broken


pooler = psycopg.connect(URL, autocommit=True, prepare_threshold=None)
now = datetime.datetime.now(datetime.timezone.utc)
an_id = uuid.uuid4()
row("a document", "`Json(value)`, `Jsonb(value)` or a string", documents)
row("a document that is an array", "`Json([...])`; a list alone would be an array of SQL",
    lambda: one("SELECT stream_version FROM eappend('array', 'x', %s)", Json([1, {"n": 2}])) == 0)
row("an expected version", "`int` or `str`: `3`, `\"empty\"`", versions)
row("a position or version that was read", "`int`", lambda: one("SELECT ehead()") >= 0)
row("a payload that was read", "`dict`, `list` and so on",
    lambda: one("SELECT payload FROM escan('documents') LIMIT 1") == {"n": 1})
row("an event id", "`uuid.UUID` or `str`",
    lambda: one("SELECT event_id FROM eappend('ids', 'x', event_id => %s)", an_id) == an_id
    and one("SELECT event_id FROM eappend('ids', 'x', event_id => %s)", str(an_id)) == an_id)
row("tags", "a `list` of `str`", lambda: one("SELECT stream_version FROM eappend('tags', 'x', tags => %s)", ["a"]) == 0
    and one("SELECT tags FROM escan('tags')") == ["a"])
row("bytes", "`bytes`", lambda: one("SELECT stream_version FROM eappend('bytes', 'x', payload_bytes => %s)", b"\x00\xff") == 0
    and one("SELECT payload_bytes FROM escan('bytes')") == b"\x00\xff")
row("a time", "`datetime` with a time zone",
    lambda: one('SELECT "timestamp" FROM eappend(\'times\', \'x\', "timestamp" => %s)', now) == now)
row("several events", "`emappend(NULL, %s)` with `Json([...])`, or lists and `%s::json[]`", several)
row("a wait that takes too long", "`statement_timeout`: `QueryCanceled`", late)
row("behind a pooler", "`prepare_threshold=None`", pooled)
row("notifications", "`conn.notifies(timeout=10)`, with autocommit", notified)
row("a lost connection", "`OperationalError`", lost)
