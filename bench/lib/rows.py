"""The rows of the table: what is measured against what, and the bars.

A new row is one Row: a key, a unit, the load of sierra_es, and the rivals with their bars.
"""

from dataclasses import dataclass
from functools import partial

from . import events
from .contenders import RARE
from .derived import Sagas, Timers, one_by_one, run_rows, run_sagas, run_timers, start_rows, start_sagas
from .follow import (CatchUp, Decoding, EmmettConsumer, Enext, Followed, Latency, Listen, ListenOnly, PollCategory,
                     enext_pages, table_pages)
from .growth import FromMiddle, Verify
from .loads import Copy, Peer, Script
from .project import Projected, client, emmett, fold_page, insert_each, insert_page, projection
from .redis import IdleConnections, RedisBenchmark

# Every plan of the bare partitioned reads is the generic one: it was the fastest form measured.
GENERIC = {"plan_cache_mode": "force_generic_plan"}


@dataclass(frozen=True)
class Dataset:
    """streams with `versions` events each; 0 versions: empty. facts: positions are needed too.

    tagged: each event has a tag; as many tags as streams, each in events that are far from each other.
    rare: one event in this number has another name, a multiple of 1000; 0: none.
    setup: what is run once the data set is filled, setup-<contender>-<setup>.sql of bench/sql, if there is one.
    """

    streams: int
    versions: int = 0
    facts: bool = False
    rare: int = 0
    setup: str = ""
    tagged: bool = False


@dataclass(frozen=True)
class Rival:
    """A load to compare with, and the least ratio that is wanted, if any."""

    load: object
    bar: float = None


@dataclass(frozen=True)
class Row:
    """One measurement: the subject alternates with all its rivals. preload: in a cluster with the library preloaded."""

    name: str
    unit: str
    subject: object
    rivals: tuple
    clients: int = 1
    sync: str = "on"
    preload: bool = False

    less_is_better = False

    @property
    def key(self):
        """What --only matches."""
        return f"{self.name}/{self.clients}/{self.sync}"


@dataclass(frozen=True)
class MemoryRow(Row):
    """Bytes for each of many connections."""

    less_is_better = True


@dataclass(frozen=True)
class SizeRow:
    """Bytes per event after every contender appended the same number of events its own way."""

    name: str
    subject: Script
    rivals: tuple
    clients: int = 4
    sync: str = "off"
    unit: str = "bytes/event"
    preload: bool = False

    key = Row.key
    less_is_better = True


@dataclass(frozen=True)
class LatencyRow:
    """How soon events arrive: one line of the table for each percentile."""

    name: str
    subject: Latency
    rivals: tuple
    clients: int = 1
    sync: str = "on"
    unit: str = "ms"
    preload: bool = True
    percentiles: tuple = (50, 99)

    key = Row.key
    less_is_better = True


def datasets(big, read_streams):
    """Data sets by name; the part after an underscore distinguishes fresh copies of one kind."""
    return {
        "append": Dataset(10_000),
        "hot": Dataset(1),
        "batch": Dataset(10_000),
        "size": Dataset(10_000),
        "read": Dataset(read_streams, 100, facts=True),
        "big": Dataset(big // 5, 5, facts=True, setup="ids"),
        "small": Dataset(2_000, 5, facts=True, setup="ids"),
        "latency": Dataset(1),
        "long": Dataset(1, setup="long"),
        "decide": Dataset(10_000, setup="derived"),
        "timers": Dataset(1_000),
        "sagas": Dataset(1_000, setup="sagas"),
        "projected": Dataset(read_streams // 8, 50, facts=True, setup="projected"),
        "inline": Dataset(10_000, setup="inline"),
        "tagged": Dataset(big // 10_000 * 100, 100, tagged=True, setup="tagged"),
        "rare": Dataset(read_streams, 100, facts=True, rare=1_000),
    }


def append(contender, label, what="append", **more):
    """A load that appends one event per transaction."""
    return Script(contender, f"{contender}-{what}.sql", label, appends=True, **more)


def batch(contender, label, what):
    """A load that appends a hundred events per transaction."""
    return Script(contender, f"{contender}-batch-{what}.sql", label, dataset="batch", per_transaction=100,
                  appends=True, batch=True)


def read(contender, label, what, returns, dataset="read", **more):
    """A load that reads one page per transaction."""
    return Script(contender, f"{contender}-{what}.sql", label, dataset=dataset, returns=returns, **more)


def append_rows():
    """eappend against the bare INSERT, message-db and Emmett; with fsync also against servers that always do it."""
    bars = {1: (0.95, 1.3, 1.3, None), 16: (1.0, 3.0, 1.8, 1.0), 64: (None, None, None, 1.0)}
    for sync, numbers in (("on", (1, 16, 64)), ("off", (1, 16))):
        for clients in numbers:
            bare, message_db, emmett, umadb = bars[clients] if sync == "on" else (None, None, None, None)
            servers = (
                Rival(Peer("umadb", "UmaDB", "append", appends=True), umadb),
                Rival(Peer("sierradb", "SierraDB", "append", appends=True)),
            ) if sync == "on" else ()
            yield Row("append", "events/s", append("sierra", "eappend"), (
                Rival(append("bare", "bare INSERT"), bare),
                Rival(append("bare", "bare INSERT, spread", "append-spread", dataset="append_spread")),
                Rival(append("message-db", "message-db"), message_db),
                Rival(append("emmett", "Emmett"), emmett),
                *servers,
            ), clients, sync)


def expected_rows():
    """The same with an expected version, in streams of five events."""
    for clients in (1, 16):
        yield Row("append-expected", "events/s", append("sierra", "eappend", "append-expected"), (
            Rival(append("message-db", "message-db", "append-expected")),
            Rival(append("emmett", "Emmett", "append-expected")),
        ), clients)


def contention_rows():
    """message-db at its best (32 categories, so 32 locks), and everybody on one stream."""
    yield Row("append-categories", "events/s", append("sierra", "eappend"), (
        Rival(append("message-db", "message-db, 32 categories", "append-categories")),
    ), 16)
    yield Row("append-hot-stream", "events/s", append("sierra", "eappend", "append-hot", dataset="hot"), (
        Rival(append("message-db", "message-db", "append-hot", dataset="hot")),
    ), 16)
    yield Row("append-hot-stream-early", "events/s", append(
        "sierra", "eappend, early release", "append-hot", dataset="hot",
        options={"sierra_es.early_lock_release": "on"}), (
        Rival(append("sierra", "eappend", "append-hot", dataset="hot")),
        Rival(append("message-db", "message-db", "append-hot", dataset="hot"), 2.5),
    ), 16, preload=True)


def early_rows():
    """Appends with a flush by more sessions than the store has partitions for, with early lock release."""
    for clients in (16, 64):
        yield Row("append-early", "events/s", append(
            "sierra", "eappend, early release", options={"sierra_es.early_lock_release": "on"}), (
            Rival(append("sierra", "eappend")),
            Rival(append("bare", "bare INSERT, spread", "append-spread", dataset="append_spread")),
            Rival(Peer("umadb", "UmaDB", "append", appends=True)),
        ), clients, preload=True)


def condition_rows():
    """Appends with a condition on a tag: one that nobody else has, and one that everybody has."""
    for sync, numbers in (("on", (1, 16)), ("off", (1, 16))):
        servers = (Rival(Peer("umadb", "UmaDB, the same condition", "append-condition", appends=True)),) \
            if sync == "on" else ()
        for clients in numbers:
            yield Row("append-condition", "events/s", append("sierra", "eappend, a tag and a condition",
                                                             "append-condition", dataset="append_condition"), (
                Rival(append("sierra", "eappend", dataset="append_plain"), 0.8),
                *servers,
            ), clients, sync)

    def decide(contender, label, **more):
        return Peer(contender, label, "decide", "hot_decide", appends=True, **more)

    yield Row("append-hot-tag", "events/s", decide("sierra", "equery, eappend with a condition"), (
        Rival(decide("message-db", "message-db, expected version"), 1.0),
        Rival(decide("umadb", "UmaDB, the same condition"), 1.0),
    ), 16)
    yield Row("append-hot-tag-early", "events/s", decide(
        "sierra", "the same, early release", options={"sierra_es.early_lock_release": "on"}), (
        Rival(decide("sierra", "equery, eappend with a condition")),
        Rival(decide("umadb", "UmaDB, the same condition")),
    ), 16, preload=True)


def batch_rows():
    """A hundred events per call: into one stream, and into a hundred streams of all partitions."""
    for what, spread in (("stream", False), ("streams", True)):
        yield Row(f"batch-{what}", "events/s", batch("sierra", "emappend of 100", what), (
            Rival(batch("bare", "multi-row INSERT", what), 1.5),
            Rival(Copy("bare", "COPY", spread=spread)),
        ))


def read_rows():
    """Streams, partitions and everything, in pages."""
    yield Row("read-stream", "pages/s", read("sierra", "escan of 100", "scan", 100), (
        Rival(read("bare", "bare SELECT", "scan", 100, options=GENERIC), 0.9),
        Rival(read("bare", "SELECT from the leaf", "scan-leaf", 100)),
        Rival(read("message-db", "message-db", "scan", 100), 1.3),
    ))
    yield Row("read-partition", "pages/s", read("sierra", "epscan of 1000", "partition-scan", 1000), (
        Rival(read("bare", "SELECT from the leaf", "partition-scan", 1000)),
    ))
    for order in ("random", "sequential"):
        what = f"all-{order}"
        yield Row(f"read-{what}", "pages/s", read("sierra", "eall of 1000", what, 1000), (
            Rival(read("flat", "one table", what, 1000), 0.8),
            Rival(read("message-db", "message-db category", what, 1000)),
            Rival(Peer("umadb", "UmaDB", f"read-pages-{order}", "read")),
        ))
    yield Row("query-tag", "pages/s", read("sierra", "equery of 100", "query-tag", 100, "tagged"), (
        Rival(read("sierra", "escan of 100", "scan", 100, "tagged"), 0.5),
        Rival(read("flat", "one table, and one of tags", "query-tag", 100, "tagged")),
        Rival(Peer("umadb", "UmaDB, 100 of a tag", "read-tag", "tagged")),
    ))
    yield Row("read-all-pattern", "pages/s", read("sierra", "eall, order-*", "all-pattern", 1000), (
        Rival(read("message-db", "message-db category", "all-random", 1000)),
    ))


def message_store_rows():
    """The interface of message-db over sierra_es against message-db itself: the same statements in both."""
    def both(label, what, bar, clients=1, sync="on", **more):
        ours, theirs = (Script(contender, f"message-db-{what}.sql", contender, **more)
                        for contender in ("message-store", "message-db"))
        unit = "messages/s" if more.get("appends") else "pages/s"
        return Row(f"message-store-{label}", unit, ours, (Rival(theirs, bar),), clients, sync)

    for sync in ("on", "off"):
        for clients in (1, 16):
            yield both("write", "append", 1.3, clients, sync, appends=True)
            yield both("write-expected", "append-expected", 1.3, clients, sync, appends=True)
    yield both("read-stream", "scan", 1.3, dataset="read", returns=100)
    yield both("read-category", "all-random", 1.0, dataset="read", returns=1000)
    yield both("read-messages", "messages", 1.0, dataset="read", returns=1000)
    yield Row("message-store-read-all", "pages/s",
              Script("message-store", "message-store-all.sql", "get_all_messages", dataset="read", returns=1000), (
                  Rival(Script("message-db", "message-db-messages.sql", "message-db", dataset="read", returns=1000), 1.0),
              ))


def growth_rows():
    """Does anything slow down as the store grows? The reads come first: they count on streams of five events."""
    def beside(name, unit, what, load):
        return Row(f"{name}-at-big", unit, load(f"{what} at {{big}}", "big"),
                   (Rival(load(f"{what} at 10k", "small_read")),))

    def page(what, returns):
        return lambda label, dataset: read("sierra", label, what, returns, dataset=dataset)

    yield beside("read", "streams/s", "escan of 5", page("scan", 5))
    yield beside("get", "events/s", "eget", page("get", 1))
    yield beside("all", "pages/s", "eall of 1000", page("all-random", 1000))
    yield beside("next", "events/s", "enext, from the middle", partial(FromMiddle, "sierra"))
    for clients, sync, bar in ((1, "on", 0.9), (16, "on", 0.9), (1, "off", None)):
        yield Row("append-at-big", "events/s", append("sierra", "eappend at {big}", dataset="big"), (
            Rival(append("sierra", "eappend at 10k", dataset=f"small_{clients}_{sync}_{{round}}"), bar),
        ), clients, sync)
    yield beside("verify", "events/s", "everify", partial(Verify, "sierra"))


def size_rows():
    """Bytes on disk."""
    yield SizeRow("size", append("sierra", "eappend", dataset="size"), (
        Rival(append("bare", "bare INSERT", dataset="size")),
        Rival(append("message-db", "message-db", dataset="size")),
        Rival(append("emmett", "Emmett", dataset="size")),
    ))


def followed_rows():
    """What it costs appenders that somebody listens, and that somebody reads all they append."""
    yield Row("append-listened", "events/s", followed("sierra", "eappend, listened to", "listened", (ListenOnly,)), (
        Rival(append("sierra", "eappend, alone", dataset="append_alone"), 0.95),
    ), 16, preload=True)
    yield Row("append-followed", "events/s", followed("sierra", "eappend, followed", "followed", (Enext, ListenOnly)), (
        Rival(append("sierra", "eappend, alone", dataset="append_alone")),
        Rival(followed("sierra", "NOTIFY in the transaction", "notify", (Enext, ListenOnly),
                       {"sierra_es.notify": "transaction"})),
        Rival(followed("bare-notify", "bare INSERT, NOTIFY by trigger", "notify", (ListenOnly,),
                       file="bare-append.sql")),
    ), 16, preload=True)


def followed(contender, label, dataset, followers, options=None, file="sierra-append.sql"):
    """A load that appends while others follow."""
    return Followed(contender, file, label, dataset=f"append_{dataset}", appends=True, followers=followers,
                    options=options or {})


def latency_rows():
    """From the commit of an event to its arrival at who follows."""
    sierra = "SELECT stream_version FROM eappend($1, 'OrderItemAdded', $2, $3) WHERE $4::bigint >= 0"
    message_db = "SELECT write_message(lpad($4, 32, '0'), $1, 'OrderItemAdded', $2::jsonb, $3::jsonb)"
    emmett = """SELECT * FROM emt_append_to_stream(ARRAY[lpad($4, 32, '0')]::text[], ARRAY[$2]::jsonb[],
        ARRAY[$3]::jsonb[], ARRAY['1']::text[], ARRAY['OrderItemAdded']::text[], ARRAY['E']::text[],
        $1, 'order', NULL, 'emt:default')"""
    yield LatencyRow("latency", Latency("sierra", "enext, waiting", sierra, Enext), (
        Rival(Latency("sierra", "LISTEN and eall", sierra, Listen)),
        Rival(Latency("sierra", "logical decoding", sierra, Decoding)),
        Rival(Latency("message-db", "message-db, polled every 50 ms", message_db, PollCategory)),
        Rival(Latency("emmett", "Emmett's consumer", emmett, EmmettConsumer)),
    ))


def catch_up_rows():
    """How fast a subscription gets through what is there."""
    for sync in ("on", "off"):
        yield Row("catch-up", "events/s", CatchUp("sierra", "enext of 1000, eack", enext_pages()), (
            Rival(CatchUp("flat", "one table", table_pages), 0.7),
            *([Rival(Peer("umadb", "UmaDB, one read of all", "read-all", "read"))] if sync == "on" else []),
        ), sync=sync)
    yield Row("catch-up-filtered", "events/s",
              CatchUp("sierra", "enext, 1 in 1000 wanted", enext_pages(RARE), "rare", share=0.001), (
                  Rival(CatchUp("sierra", "enext, all wanted", enext_pages(), "rare")),
              ))


def derived_rows():
    """States, commands, timers and sagas."""
    yield Row("load-long", "states/s", Script("sierra", "sierra-load.sql", "eload, snapshots", "long", returns=1), (
        Rival(Script("sierra", "sierra-load-all.sql", "eload, no snapshots", "long", returns=1), 10.0),
        Rival(Script("sierra", "sierra-load-aggregate.sql", "aggregate over escan", "long", returns=1)),
    ))
    for clients in (1, 16):
        yield Row("decide", "events/s", append("sierra", "edecide", "decide", dataset="decide_server"), (
            Rival(append("sierra", "three round trips", "decide-client", dataset="decide_client"), 1.0),
        ), clients)
    for sync in ("on", "off"):
        yield Row("timers", "events/s", Timers("sierra", "run_timers", run_timers, "timers_server"), (
            Rival(Timers("sierra", "a client, one by one", one_by_one, "timers_client"), 1.0),
        ), sync=sync)
        yield Row("sagas", "sagas/s", Sagas("sierra", "run_sagas", start_sagas, run_sagas, "sagas_server"), (
            Rival(Sagas("sierra", "a client, step by step", start_rows, run_rows, "sagas_client"), 1.0),
        ), sync=sync)


def projected_rows():
    """Read models, by projections and by clients that do the same."""
    fold = ("SELECT events FROM bench_seen", "TRUNCATE bench_states, bench_rows; UPDATE bench_seen SET events = 0")
    rows = ("SELECT count(*) FROM bench_rows", "TRUNCATE bench_rows")
    states = ("SELECT sum((state->>'events')::bigint) FROM bench_states", "TRUNCATE bench_states")
    documents = ("SELECT sum((data->>'events')::bigint) FROM bench_states",
                 "TRUNCATE bench_states; DELETE FROM emt_processors; DELETE FROM emt_projections")
    emmett_rows = (rows[0], f"{rows[1]}; DELETE FROM emt_processors; DELETE FROM emt_projections")
    yield Row("project-fold", "events/s",
              Projected("sierra", "fold", projection("bench_fold(jsonb, sierra_event)"), *fold), (
                  Rival(Projected("sierra", "a client, page by page", client(fold_page), *states), 1.0),
                  Rival(Projected("emmett", "Emmett's projector, Pongo", emmett("fold"), *documents)),
              ))
    yield Row("project-rows", "events/s",
              Projected("sierra", "handler of an event", projection("bench_row(sierra_event)"), *rows), (
                  Rival(Projected("sierra", "a client, event by event", client(insert_each), *rows), 1.0),
                  Rival(Projected("emmett", "Emmett's projector, raw SQL", emmett("rows"), *emmett_rows)),
              ))
    yield Row("project-pages", "events/s",
              Projected("sierra", "handler of a batch", projection("bench_page(sierra_event[])"), *rows), (
                  Rival(Projected("sierra", "a client, page by page", client(insert_page), *rows), 1.0),
                  Rival(Projected("emmett", "Emmett's projector, raw batch SQL", emmett("pages"), *emmett_rows)),
              ))
    for clients in (1, 16):
        yield Row("append-inline", "events/s", append("sierra", "eappend, inline count", dataset="inline"), (
            Rival(Script("bare-count", "bare-append.sql", "bare INSERT, trigger counts", appends=True)),
            Rival(append("sierra", "eappend alone", dataset="append_alone")),
        ), clients)


def by_redis(contender, label, words, **more):
    """A command of SierraDB's protocol, by redis-benchmark."""
    return RedisBenchmark(contender, label, words, **more)


def gateway_rows():
    """Appends and reads through the gateway, against the same by pgbench without it, and against SierraDB."""
    event = (events.NAME, "PAYLOAD", events.PAYLOAD, "METADATA", events.METADATA)
    spread, hot = ("EAPPEND", "order-__rand_int__", *event), ("EAPPEND", "hot-1", *event)
    bars = {1: (0.5, None), 16: (None, None), 32: (2.0, 10.0), 128: (2.0, 10.0)}
    for clients, (eappend, sierradb) in bars.items():
        yield Row("gateway-append", "events/s", by_redis("gateway", "EAPPEND", spread, appends=True), (
            Rival(append("sierra", "eappend"), eappend),
            Rival(by_redis("sierradb", "SierraDB", spread, appends=True), sierradb),
        ), clients)
    yield Row("gateway-append-pipelined", "events/s", by_redis("gateway", "EAPPEND, 16 deep", spread, pipeline=16, appends=True), (
        Rival(append("sierra", "eappend"), 5.0),
        Rival(by_redis("sierradb", "SierraDB", spread, pipeline=16, appends=True)),
    ))
    yield Row("gateway-hot-stream", "events/s", by_redis("gateway", "EAPPEND", hot, dataset="hot", appends=True), (
        Rival(append("sierra", "eappend", "append-hot", dataset="hot"), 3.0),
        Rival(by_redis("sierradb", "SierraDB", hot, dataset="hot", appends=True)),
    ), 32)
    for clients in (1, 16):
        scan = by_redis("gateway", "ESCAN of 100", ("ESCAN", "order-__rand_int__", "-", "+"), dataset="read", events=100)
        yield Row("gateway-scan", "pages/s", scan, (Rival(read("sierra", "escan of 100", "scan", 100), 0.8),), clients)
    yield LatencyRow("gateway-latency", by_redis("gateway", "EAPPEND", spread, appends=True), (
        Rival(by_redis("sierradb", "SierraDB", spread, appends=True)),), clients=32, preload=False)
    yield MemoryRow("gateway-idle", "bytes", IdleConnections("gateway", "10,000 idle connections"), ())


def all_rows():
    """Every row, in the order of the table."""
    for rows in (append_rows, expected_rows, contention_rows, early_rows, condition_rows, batch_rows, read_rows,
                 message_store_rows, growth_rows, size_rows, followed_rows, latency_rows, catch_up_rows, derived_rows,
                 projected_rows, gateway_rows):
        yield from rows()
