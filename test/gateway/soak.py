#!/usr/bin/env python3
"""Clients and subscribers that survive restarts of the gateway and of the server.

Each event has an id of its client, which repeats an append until it is answered: so what is
answered is stored, once, and nothing else is.  A subscriber remembers the next sequence of
each partition, and subscribes again from there: so it gets every event once.

usage: soak.py PORT SECONDS FILE      FILE gets a line "id stream version" for each answered event
"""
import collections
import random
import sys
import threading
import time
import uuid

from checks import Checks
from wire import Closed, Connection, Error, frame, plain

PORT, SECONDS, FILE = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
PARTITIONS = 32
PATIENCE = 180
checks = Checks()
stop = threading.Event()
lock = threading.Lock()
counts = collections.Counter()
complaints = []
answered = open(FILE, "w", encoding="utf-8")  # pylint: disable=consider-using-with


def complain(text):
    with lock:
        counts["complaints"] += 1
        if len(complaints) < 10:
            complaints.append(text)


def note(event_id, stream, version):
    with lock:
        answered.write(f"{event_id} {stream} {version}\n")
        counts["answered"] += 1


class Client(threading.Thread):
    """Has a connection, and makes a new one when it breaks."""

    def __init__(self, number):
        super().__init__(daemon=True)
        self.number, self.random, self.connection = number, random.Random(number), None

    def connect(self):
        deadline = time.monotonic() + PATIENCE
        while self.connection is None:
            try:
                self.connection = Connection(PORT, timeout=PATIENCE)
                if isinstance(self.connection.server, Error):
                    raise Closed
            except (OSError, Closed):
                self.disconnect()
                with lock:
                    counts["connection attempts that failed"] += 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def disconnect(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def run(self):
        try:
            self.work()
        except Exception as error:  # pylint: disable=broad-except
            complain(f"{type(self).__name__} {self.number}: {error!r}")


class Writer(Client):
    """Appends events one by one, in pipelines, and in batches; repeats what was not answered."""

    def work(self):
        own, version = f"own-{self.number}-{uuid.uuid4()}", -1
        key = str(uuid.uuid4())
        while not stop.is_set():
            kind = self.random.randrange(4)
            if kind == 0:
                version += 1
                expected = version - 1 if version else "empty"
                self.append([["EAPPEND", own, "Own", "EVENT_ID", uuid.uuid4(), "EXPECTED_VERSION", expected, "PAYLOAD", '{"n": 1}']])
            elif kind == 1:
                self.append([["EAPPEND", f"shared-{self.random.randrange(20)}", "Shared", "EVENT_ID", uuid.uuid4(), "METADATA", b"\xff\x00"]])
            elif kind == 2:
                self.append([["EAPPEND", f"shared-{self.random.randrange(20)}", "Shared", "EVENT_ID", uuid.uuid4()] for _ in range(self.random.randrange(1, 30))])
            else:
                words = ["EMAPPEND", key]
                for number in range(self.random.randrange(1, 5)):
                    words += [f"batch-{self.number}-{number}-{key}", "Batch", "EVENT_ID", uuid.uuid4(), "PAYLOAD", "x" * self.random.randrange(3000)]
                self.append([words])

    def append(self, commands):
        """Sends commands together, and those again that were not answered, until all are."""
        deadline = time.monotonic() + PATIENCE
        while commands:
            if time.monotonic() > deadline:
                complain(f"no answer to {commands[0][:5]}")
                return
            self.connect()
            commands = self.send(commands)

    def send(self, commands):
        left = list(commands)
        try:
            self.connection.send(b"".join(frame(*(str(word) if isinstance(word, uuid.UUID) else word for word in command)) for command in commands))
            for command in commands:
                answer = self.connection.answer()
                if not isinstance(answer, Error):
                    self.note(command, plain(answer))
                    left.remove(command)
                elif answer.code in ("TRYAGAIN", "CLUSTERDOWN", "TIMEOUT", "LOADING", "READONLY"):
                    with lock:
                        counts[answer.code] += 1
                else:
                    complain(f"{command[:8]}: {answer}")
                    left.remove(command)
        except (OSError, Closed):
            self.disconnect()
            with lock:
                counts["connections lost"] += 1
        if left:
            time.sleep(0.05)
        return left

    @staticmethod
    def note(command, answer):
        for event in answer.get("events", [answer]):
            note(event["event_id"], event.get("stream_id", command[1]), event["stream_version"])
        sent = [str(word) for word in command if isinstance(word, uuid.UUID)]
        if sent != [event["event_id"] for event in answer.get("events", [answer])]:
            complain(f"{command[:5]}: ids of {answer}")


class Subscriber(Client):
    """Follows all partitions."""

    window = ()

    def work(self):
        self.next = [0] * PARTITIONS
        while not self.has_everything():
            self.connect()
            try:
                self.follow()
            except (OSError, Closed):
                self.disconnect()
                with lock:
                    counts["subscriptions again"] += 1

    def follow(self):
        words = [f"{partition}={sequence}" for partition, sequence in enumerate(self.next)]
        answer = self.connection.call("EPSUB", "*", "FROM", "MAP", *words, *self.window)
        if isinstance(answer, Error):
            time.sleep(0.1)
            return
        cursors = 0
        while not self.has_everything():
            for subscription, cursor, event in self.connection.events(1, timeout=1):
                if subscription != str(answer):
                    continue
                event = plain(event)
                partition, sequence = event["partition_id"], event["partition_sequence"]
                if sequence != self.next[partition] or cursor != cursors:
                    complain(f"partition {partition}: sequence {sequence} instead of {self.next[partition]}, cursor {cursor} instead of {cursors}")
                self.next[partition] = sequence + 1
                cursors += 1
                self.received(answer, cursor)

    def has_everything(self):
        return final is not None and all(mine >= last for mine, last in zip(self.next, final))

    def received(self, subscription, cursor):
        pass


class WindowSubscriber(Subscriber):
    """Acknowledges, so that its window opens again."""

    window = ("WINDOW", 20)

    def received(self, subscription, cursor):
        if cursor % 7 == 6:
            self.connection.call("EACK", subscription, cursor)


class SlowSubscriber(Subscriber):
    """Pauses often."""

    def received(self, subscription, cursor):
        if cursor % 100 == 99 and not stop.is_set():
            time.sleep(0.2)


class LeavingSubscriber(Subscriber):
    """Breaks its connection by itself."""

    def received(self, subscription, cursor):
        if cursor % 500 == 499 and not stop.is_set():
            raise Closed


final = None


def last_sequences():
    """How many events each partition has."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with Connection(PORT) as connection:
                found = [connection.call("EPSEQ", partition) for partition in range(PARTITIONS)]
            if not any(isinstance(sequence, Error) for sequence in found):
                return [0 if sequence is None else sequence + 1 for sequence in found]
        except (OSError, Closed):
            pass
        time.sleep(0.1)
    raise TimeoutError("EPSEQ is not answered")


def wait_while_they_advance(subscribers):
    """Until all have everything, or one of them has got nothing for a long time."""
    deadlines = {}
    while waiting := [thread for thread in subscribers if thread.is_alive()]:
        for thread in waiting:
            place = sum(thread.next)
            if deadlines.setdefault((thread, place), time.monotonic() + PATIENCE) < time.monotonic():
                return
        time.sleep(0.1)


def soak():
    global final  # pylint: disable=global-statement
    writers = [Writer(number) for number in range(8)]
    subscribers = [kind(number) for number, kind in enumerate((Subscriber, Subscriber, WindowSubscriber, SlowSubscriber, LeavingSubscriber))]
    for thread in writers + subscribers:
        thread.start()
    print("started", flush=True)
    time.sleep(SECONDS)
    stop.set()
    for thread in writers:
        thread.join(PATIENCE)
    final = last_sequences()
    wait_while_they_advance(subscribers)
    answered.close()
    checks.ok(not any(thread.is_alive() for thread in writers), "all appends were answered")
    behind = [(type(thread).__name__, sum(final) - sum(thread.next)) for thread in subscribers if thread.is_alive() or thread.next != final]
    checks.equal(behind, [], "all subscribers have everything")
    checks.equal(sum(final), counts["answered"], "as many events are stored as were answered")
    checks.equal(complaints, [], "every event came once and in order, every answer was right")
    checks.ok(counts["answered"] > 100, "there were appends", counts)
    print(f"# {dict(counts)}")


checks.run(soak)
