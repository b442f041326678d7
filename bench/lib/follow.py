"""Following a store: how soon an event arrives, what followers cost appenders, how fast one catches up."""

import json
import random
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import events
from .cluster import BenchError
from .libpq import Session
from .loads import Sample, Script

EMMETT = Path(__file__).resolve().parent.parent / "emmett-consumer.mjs"
POLL_SECONDS = 0.05
PAGE = 1000


# ---------------------------------------------------------------------------
# Ways to follow. Each calls seen(stream) for every new event, until it is told to stop.
# ---------------------------------------------------------------------------


class Follower(threading.Thread):
    """A session in a thread of its own."""

    heard = None

    def __init__(self, contender, dataset, seen):
        super().__init__(daemon=True)
        self.environment = contender.cluster.environment(contender.database(dataset), contender.options(dataset))
        self.bindir = contender.cluster.bindir
        self.seen = seen
        self.stopping = False
        self.ready = threading.Event()
        self.error = None

    def run(self):
        try:
            self.follow()
        except BenchError as error:
            self.error = error
        finally:
            self.ready.set()

    def follow(self):
        """Follow until self.stopping; set self.ready when what comes next will be seen."""
        raise NotImplementedError

    def begin(self):
        """Start, and wait until it follows."""
        self.start()
        self.ready.wait()

    def end(self):
        """Stop; what went wrong is an error of the run."""
        self.stopping = True
        self.join(timeout=30)
        if self.error or self.is_alive():
            raise self.error or BenchError(f"{type(self).__name__} does not end")


class Enext(Follower):
    """enext() waits; eack() after each batch."""

    def follow(self):
        session = Session(self.environment)
        session.query("SELECT esub('bench_follow')")
        self.ready.set()
        while not self.stopping:
            rows = session.query("SELECT global_position, stream_id FROM enext('bench_follow', 1000, '200 ms')")
            for stream in rows.column(1):
                self.seen(stream)
            if len(rows):
                session.query("SELECT eack('bench_follow', $1)", rows.value(len(rows) - 1, 0))
        session.query("SELECT eunsub('bench_follow')")
        session.close()


class Listen(Follower):
    """LISTEN, and eall() at every notification."""

    def follow(self):
        session = Session(self.environment)
        session.query("LISTEN sierra_es")
        position = session.query("SELECT ehead()").value(0, 0)
        self.heard = 0
        self.ready.set()
        while not self.stopping:
            count = session.notified(0.2)
            self.heard += count
            while count:
                rows = session.query("SELECT global_position, stream_id FROM eall($1, 1000)", position)
                for stream in rows.column(1):
                    self.seen(stream)
                if not len(rows):
                    break
                position = rows.value(len(rows) - 1, 0)
        session.close()

    def end(self):
        super().end()
        if not self.heard:
            raise BenchError("nothing was heard on channel sierra_es")


class ListenOnly(Listen):
    """LISTEN, and read nothing."""

    def follow(self):
        session = Session(self.environment)
        session.query("LISTEN sierra_es")
        self.heard = 0
        self.ready.set()
        while not self.stopping:
            self.heard += session.notified(0.2)
        session.close()


class PollCategory(Follower):
    """message-db: its query for a category, at once after a page with messages, else 50 ms later."""

    def follow(self):
        session = Session(self.environment)
        position = int(session.query("SELECT coalesce(max(global_position), 0) + 1 FROM messages").value(0, 0))
        self.ready.set()
        while not self.stopping:
            rows = session.query("SELECT global_position, stream_name FROM get_category_messages('order', $1, 1000)",
                                 position)
            for stream in rows.column(1):
                self.seen(stream)
            if len(rows):
                position = int(rows.value(len(rows) - 1, 0)) + 1
            else:
                time.sleep(POLL_SECONDS)
        session.close()


class Program(Follower):
    """A program that prints a line for each event after the newest of now."""

    def command(self):
        """The command line."""
        raise NotImplementedError

    def line(self, line):
        """What to do with a line."""
        raise NotImplementedError

    def follow(self):
        command = self.command()
        self.ready.set()
        program = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        waiter = threading.Thread(target=self.wait_for_end, args=(program,), daemon=True)
        waiter.start()
        for line in program.stdout:
            self.line(line)
        waiter.join()
        errors = program.stderr.read()
        if program.wait() not in (0, -signal.SIGINT) and not self.stopping:
            raise BenchError(f"{command[0]} failed:\n{errors}")

    def wait_for_end(self, program):
        """Interrupt the program when it is time."""
        while not self.stopping and program.poll() is None:
            time.sleep(0.05)
        if program.poll() is None:
            program.send_signal(signal.SIGINT)


class EmmettConsumer(Program):
    """Emmett's consumer as it comes; the program says itself when it handled an event."""

    def command(self):
        session = Session(self.environment)
        position = session.query("SELECT coalesce(max(global_position), 0) FROM emt_messages").value(0, 0)
        session.close()
        return ["node", str(EMMETT), position]

    def line(self, line):
        when, stream = line.split()
        self.seen(stream, int(when) / 1e9)


class Decoding(Program):
    """Logical decoding by pg_recvlogical, as JSON."""

    slot = "bench_follow"

    def command(self):
        return [str(self.bindir / "pg_recvlogical"), "-d", self.environment["PGDATABASE"], "-S", self.slot, "-f", "-",
                "-F", "0", "-s", "1", "-o", "include_transactions=off", "--start"]

    def follow(self):
        session = Session(self.environment)
        session.query(f"SELECT pg_create_logical_replication_slot('{self.slot}', 'sierra_es')")
        super().follow()
        while session.query("SELECT active FROM pg_replication_slots").value(0, 0) == "t":
            time.sleep(0.05)
        session.query(f"SELECT pg_drop_replication_slot('{self.slot}')")
        session.close()

    def line(self, line):
        self.seen(json.loads(line)["stream_id"])


@contextmanager
def following(kinds, contender, dataset, seen):
    """Follow with each kind at once."""
    followers = [kind(contender, dataset, seen) for kind in kinds]
    for follower in followers:
        follower.begin()
    try:
        yield followers
    finally:
        for follower in followers:
            follower.stopping = True
    for follower in followers:
        follower.end()


# ---------------------------------------------------------------------------
# Loads
# ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Followed(Script):
    """A pgbench script beside sessions that follow what it appends."""

    followers: tuple = ()

    def run(self, contender, dataset, facts, setting):
        """The script's sample; a follower that failed or heard nothing is an error."""
        with following(self.followers, contender, dataset, lambda stream: None):
            return super().run(contender, dataset, facts, setting)


@dataclass(frozen=True)
class Latency:
    """One session appends an event now and then, another follows; times are in milliseconds.

    append: a statement with the parameters stream, payload, metadata and a number.
    """

    contender: str
    label: str
    append: str
    follower: type
    dataset: str = "latency"
    appends: bool = True
    returns: int = 0

    def run(self, contender, dataset, facts, setting):
        """The times from the answer of an append to the arrival of its event."""
        arrived, answered = {}, {}

        def seen(stream, when=None):
            if stream in arrived:
                raise BenchError(f"{self.label}: {stream} arrived twice")
            arrived[stream] = when or time.monotonic()

        options = {**contender.options(dataset), "synchronous_commit": setting.sync}
        session = Session(contender.cluster.environment(contender.database(dataset), options))
        with following([self.follower], contender, dataset, seen) as (follower,):
            # The first is not counted: a program takes its time to start.
            first = self.append_one(session, answered, setting)
            self.wait_for(follower, arrived, answered)
            end = time.monotonic() + setting.seconds
            while time.monotonic() < end or len(answered) < 2:
                self.append_one(session, answered, setting)
                time.sleep(random.uniform(0.01, 0.05))
            self.wait_for(follower, arrived, answered)
        session.close()
        times = [max(0.01, 1000 * (arrived[stream] - when)) for stream, when in answered.items() if stream != first]
        return Sample(len(times) / setting.seconds, len(answered), tuple(times))

    def append_one(self, session, answered, setting):
        """Append an event to a stream of its own; return the stream."""
        number = setting.run * 10**6 + len(answered)
        stream = f"order-{number}"
        session.query(self.append, stream, events.PAYLOAD, events.METADATA, number)
        answered[stream] = time.monotonic()
        return stream

    def wait_for(self, follower, arrived, answered):
        """Every event that was appended must arrive."""
        deadline = time.monotonic() + 10
        while len(arrived) < len(answered):
            if time.monotonic() > deadline or follower.error:
                raise follower.error or BenchError(
                    f"{self.label}: {len(answered)} events were appended, {len(arrived)} arrived")
            time.sleep(0.01)


@dataclass(frozen=True)
class CatchUp:
    """From the first event to the last, page by page, again and again. Events of the store per second.

    pages: takes a session and the facts of the data set, yields the number of events of each page.
    share: the part of the events that must arrive.
    """

    contender: str
    label: str
    pages: object
    dataset: str = "read"
    share: float = 1.0
    appends: bool = False
    returns: int = 0
    options: dict = field(default_factory=dict)

    def run(self, contender, dataset, facts, setting):
        """Only whole passes count; a pass that sees another number of events is an error."""
        options = {**contender.options(dataset), **self.options, "synchronous_commit": setting.sync}
        session = Session(contender.cluster.environment(contender.database(dataset), options))
        stored = contender.stored[dataset]
        passes = 0
        start = time.monotonic()
        while not passes or time.monotonic() - start < setting.seconds:
            seen = sum(self.pages(session, facts))
            if seen != round(stored * self.share):
                raise BenchError(f"{self.label}: saw {seen} of {stored} events")
            passes += 1
        elapsed = time.monotonic() - start
        session.close()
        return Sample(stored * passes / elapsed, stored * passes)


def enext_pages(event_names=None):
    """Pages of enext(), each acknowledged, from a new subscription."""
    names = f"'{{{event_names}}}'" if event_names else "NULL"

    def pages(session, facts):
        session.query(f"SELECT esub('bench_catch_up', event_names => {names}, start_from => 'earliest')")
        cursor = -1
        while cursor < int(facts["last_rare" if event_names else "last_position"]):
            rows = session.query(f"SELECT * FROM enext('bench_catch_up', {PAGE})")
            if len(rows):
                cursor = int(rows.value(len(rows) - 1, 0))
                session.query("SELECT eack('bench_catch_up', $1)", cursor)
            yield len(rows)
        session.query("SELECT eunsub('bench_catch_up')")

    return pages


def table_pages(session, facts):
    """Pages of one table by its primary key."""
    after = int(facts["first_position"]) - 1
    while True:
        rows = session.query(f"""SELECT global_position, partition_id, partition_sequence, stream_id, stream_version,
            event_id, event_name, "timestamp", partition_key, transaction_id, metadata, payload, payload_bytes, tags
            FROM events WHERE global_position > $1 ORDER BY global_position LIMIT {PAGE}""", after)
        if not len(rows):
            return
        yield len(rows)
        after = int(rows.value(len(rows) - 1, 0))
