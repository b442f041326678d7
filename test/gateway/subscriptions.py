#!/usr/bin/env python3
"""Subscriptions: every event once and in order, whatever happens meanwhile.

usage: subscriptions.py PORT EVENTS      EVENTS: how many a history has
"""
import statistics
import sys
import threading
import time
import uuid

from checks import Checks
from wire import Closed, Connection, Error, Push, Simple, frame, plain

PORT, EVENTS = int(sys.argv[1]), int(sys.argv[2])
PATIENCE = 300 + EVENTS / 100
checks = Checks()
writer = Connection(PORT)


def name(kind="sub"):
    return f"{kind}-{uuid.uuid4()}"


def prefix():
    return f"p{uuid.uuid4().hex[:12]}"


def append(stream, count=1, connection=writer):
    """Appends events in one batch of commands."""
    connection.send(b"".join(frame("EAPPEND", stream, "E") for _ in range(count)))
    return [plain(connection.answer()) for _ in range(count)]


def versions(found):
    return [plain(event)["stream_version"] for _, _, event in found]


def check_first_bytes():
    with Connection(PORT) as connection:
        stream = name()
        append(stream)
        connection.send(frame("ESUB", stream, "FROM", 0))
        answer, confirmation, message = connection.read(), connection.read(), connection.read()
        checks.ok(type(answer) is Simple and Simple(uuid.UUID(answer)) == answer, "ESUB answers an id, a simple string", answer)
        checks.ok(confirmation == Push([Simple("subscribe"), answer, 1]), "then comes the confirmation", confirmation)
        checks.ok(message[:3] == [Simple("message"), answer, 0], "then the events, with a cursor from 0", message)
        keys = ["event_id", "partition_key", "partition_id", "transaction_id", "partition_sequence", "stream_version", "timestamp", "stream_id", "event_name", "metadata", "payload"]
        checks.equal([str(key) for key in message[3]], keys, "an event has these keys")
        checks.ok(all(type(key) is Simple for key in message[3]), "keys are simple strings")
        kinds = {str(key): type(value).__name__ for key, value in message[3].items()}
        checks.equal([kinds[key] for key in keys], ["Simple", "Simple", "int", "Simple", "int", "int", "int", "bytes", "bytes", "bytes", "bytes"], "and values of these kinds")
        checks.equal(connection.call("ESVER", stream), 0, "other commands are still allowed")
        second = connection.call("ESUB", name())
        confirmation = connection.push("subscribe")
        checks.ok(confirmation[1:] == [second, 2], "the confirmation counts the subscriptions of the connection", confirmation)


def check_windows():
    with Connection(PORT) as connection:
        stream = name()
        append(stream, 6)
        subscription = connection.subscribe("ESUB", stream, "FROM", 0, "WINDOW", 1)
        checks.equal(versions(connection.events(1)), [0], "window 1: one event")
        checks.equal(connection.events(1, timeout=0.3), [], "and not a second one")
        checks.equal(connection.call("EACK", subscription, 0), Simple("OK"), "EACK")
        checks.equal(versions(connection.events(1)), [1], "opens the window")
        for cursor in (1, 0, 1):
            connection.call("EACK", subscription, cursor)
        checks.equal(versions(connection.events(1)), [2], "out of order: it never moves back")
        checks.equal(connection.events(1, timeout=0.3), [], "and opens no more than that")
        with Connection(PORT) as other:
            checks.equal(other.call("EACK", subscription, 2), Simple("OK"), "another connection may acknowledge")
        checks.equal(versions(connection.events(1)), [3], "and opens it")
        for words, code in ((("EACK", str(uuid.uuid4()), 1), "NOTFOUND"), (("EACK", "x", 1), "INVALIDARG"), (("EACK", subscription), "INVALIDARG"),
                            (("ESUB", name(), "WINDOW", 0), "INVALIDARG"), (("ESUB", name(), "FROM"), "INVALIDARG"), (("ESUB",), "INVALIDARG"),
                            (("EPSUB", "x-y"), "INVALIDARG"), (("EPSUB", "*", "FROM", "MAP"), "INVALIDARG"), (("EPSUB", "*", "WINDOW", 1, "FROM", 0), "INVALIDARG")):
            found = connection.call(*words)
            checks.ok(isinstance(found, Error) and found.code == code, f"{words[0]} {words[-1]}: {code}", found)
        checks.equal(connection.call("EACK", subscription, 999), Simple("OK"), "a cursor that was not sent yet")
        checks.equal(versions(connection.events(2)), [4, 5], "opens the window")


def check_latest():
    with Connection(PORT) as connection:
        stream, kind = name(), prefix()
        for words in (("ESUB", stream), ("ESUB", stream, "FROM", "LATEST"), ("ESUB", f"{kind}-*"), ("ESUB", f"{kind}-*", "FROM", "LATEST", "WINDOW", 1000)):
            append(stream, 3)
            append(f"{kind}-1", 3)
            subscription = connection.subscribe(*words)
            first = {stream: append(stream, 2), f"{kind}-1": append(f"{kind}-1", 2)}
            found = []
            while len(found) < 2 and (more := connection.events(1, timeout=20)):
                found += [event for event in more if event[0] == subscription]
            expected = [event["event_id"] for event in first[stream if words[1] == stream else f"{kind}-1"]]
            checks.equal([plain(event)["event_id"] for _, _, event in found][:2], expected, f"{' '.join(map(str, words[2:])) or 'by default'}, {'a pattern' if '*' in words[1] else 'a stream'}: exactly what comes later")


def check_selectors():
    kind, key = prefix(), str(uuid.uuid4())
    answer = plain(writer.call("EMAPPEND", key, f"{kind}-a", "E", f"{kind}-b", "E", f"{kind}-a", "E", f"{kind}-c", "E"))
    partition, sequence = answer["partition_id"], answer["first_partition_sequence"]
    names = ["a 0", "b 0", "a 1", "c 0"]
    cases = [
        (("ESUB", f"{kind}-*", "FROM", 0), names), (("ESUB", f"{kind}-*", "FROM", 1), ["a 1"]), (("ESUB", f"{kind}-a", f"{kind}-c", "FROM", 0), ["a 0", "a 1", "c 0"]),
        (("ESUB", f"{kind}-a", f"{kind}-b", "FROM", "MAP", f"{kind}-a=1", f"{kind}-b=0"), ["b 0", "a 1"]),
        (("ESUB", f"{kind}-a", "PARTITION_KEY", key, f"{kind}-b", "PARTITION_KEY", key, "FROM", 0), ["a 0", "b 0", "a 1"]),
        (("ESUB", f"{kind}-a", "FROM", "MAP", f"{kind}-a=1", "other=0"), ["a 1"]),
        (("EPSUB", partition, "FROM", sequence), names), (("EPSUB", key, "FROM", sequence + 1), names[1:]), (("EPSUB", f"{partition}-{partition}", "FROM", sequence + 2), names[2:]),
        (("EPSUB", f"{partition},689,40000", "FROM", sequence), names), (("EPSUB", f"{key},{(partition + 1) % 32}", "FROM", "MAP", f"{partition}={sequence}"), names),
        (("EPSUB", "*", "FROM", "MAP", f"{partition}={sequence + 3}"), names[3:]),
        (("epsub", "*", "from", "map", f"{partition}={sequence + 3}", "default", 1_000_000), names[3:]),
    ]
    for words, expected in cases:
        with Connection(PORT) as connection:
            connection.subscribe(*words)
            found = connection.events(len(expected), timeout=20)
            text = [f"{event['stream_id'][-1]} {event['stream_version']}" for event in (plain(event) for _, _, event in found)]
            order = sorted if words[0] == "ESUB" and words[1] != f"{kind}-*" else list
            checks.equal(order(text), order(expected), " ".join(map(str, words)).replace(kind, "p").replace(key, "KEY"))
            checks.equal([cursor for _, cursor, _ in found], list(range(len(expected))), "cursors count from 0")


STREAMS = 20


class Appender(threading.Thread):
    """Appends to its share of the streams while the history is read: as long as it is read, but not faster."""

    def __init__(self, first, counts, readers):
        super().__init__(daemon=True)
        self.names, self.counts, self.readers = list(counts)[first::2], counts, readers

    def run(self):
        number, deadline = 0, time.monotonic() + PATIENCE
        with Connection(PORT) as connection:
            while any(reader.number < EVENTS // 2 for reader in self.readers) and time.monotonic() < deadline:
                if number * 8 > max(reader.number for reader in self.readers):
                    time.sleep(0.002)
                    continue
                for stream in self.names:
                    self.counts[stream] += len(append(stream, 5, connection))
                    number += 5


def check_history_while_appending():
    """No gap and no duplicate where history meets what is appended meanwhile."""
    kind, half = prefix(), EVENTS // STREAMS // 2
    counts = {f"{kind}-{number}": 0 for number in range(STREAMS)}
    first = {stream: half for stream in counts}
    sequences = {partition: writer.call("EPSEQ", partition) for partition in range(32)}
    begin = [f"{partition}={0 if last is None else last + 1}" for partition, last in sequences.items()]
    for stream in counts:
        while counts[stream] < EVENTS // STREAMS:
            counts[stream] += len(append(stream, min(500, EVENTS // STREAMS - counts[stream])))
    readers = [Reader(kind, "ESUB", f"{kind}-*", "FROM", 0), Reader(kind, "ESUB", *counts, "FROM", 0),
               Reader(kind, "ESUB", f"{kind}-*", "FROM", half, first=first), Reader(kind, "ESUB", *counts, "FROM", "MAP", *(f"{stream}={half}" for stream in counts), first=first),
               Reader(kind, "EPSUB", "*", "FROM", 0), Reader(kind, "EPSUB", "0-31", "FROM", "MAP", *begin), ClosingReader(kind, "ESUB", f"{kind}-*", "FROM", 0, "WINDOW", 100),
               ClosingReader(kind, "EPSUB", "*", "FROM", "MAP", *begin, "WINDOW", 100), SlowReader(kind, "ESUB", f"{kind}-*", "FROM", 0), SlowReader(kind, "ESUB", *counts, "FROM", 0)]
    appenders = [Appender(number, counts, readers) for number in (0, 1)]
    for thread in readers + appenders:
        thread.start()
    for thread in appenders:
        thread.join()
    for reader in readers:
        reader.finish(counts)


class Reader(threading.Thread):
    """Reads a subscription to streams of a kind; events of others come to it, too, if it follows partitions."""

    def __init__(self, kind, *words, first=None):
        super().__init__(daemon=True)
        self.kind, self.words, self.first, self.next, self.number, self.cursor = kind, words, first or {}, {}, 0, 0
        self.label = " ".join(str(word) for word in words if "=" not in str(word) and (not str(word).startswith(f"{kind}-") or str(word).endswith("*"))).replace(kind, "p")
        self.wanted, self.faults, self.begin, self.seconds = None, [], time.monotonic(), 0
        self.connection = Connection(PORT, timeout=PATIENCE)
        self.subscription = self.connection.call(*words)

    def run(self):
        try:
            while self.wanted is None or self.number < self.wanted:
                for _, cursor, event in self.connection.events(1, timeout=0.5):
                    self.take(cursor, plain(event))
                    self.pause()
        except (Closed, OSError) as error:
            self.faults.append(repr(error))

    def take(self, cursor, event):
        stream, version = event["stream_id"], event["stream_version"]
        if cursor != self.cursor:
            self.faults.append(f"cursor {cursor} instead of {self.cursor}")
        self.cursor = cursor + 1
        if stream.startswith(f"{self.kind}-"):
            expected = self.next.get(stream, self.first.get(stream, 0))
            if version != expected:
                self.faults.append(f"{stream}: {version} instead of {expected}")
            self.next[stream] = version + 1
            self.number += 1
            self.seconds = time.monotonic() - self.begin

    def pause(self):
        pass

    def finish(self, counts):
        """Everything is appended: now it reads to the end, and no further."""
        self.wanted = sum(counts.values()) - sum(self.first.values())
        self.join(PATIENCE)
        for _, cursor, event in self.connection.events(1, timeout=0.05) if not self.is_alive() else []:
            self.take(cursor, plain(event))
        checks.ok(self.next == counts and not self.faults, f"{self.label}{type(self).label}: the history while others append, each event once and in order",
                  (self.number, self.wanted, self.faults[:3]))
        print(f"# {self.label}{type(self).label}: {self.number} events in {self.seconds:.1f} s, {self.number / max(self.seconds, 0.001):.0f} events/s")
        self.connection.close()

    label = ""


class ClosingReader(Reader):
    """Acknowledges half of its window at a time, and pauses while it is closed."""

    label = ", closed now and then"

    def pause(self):
        if self.cursor % 50 == 0:
            if self.cursor % 5000 == 0:
                time.sleep(0.2)
            self.connection.call("EACK", self.subscription, self.cursor - 1)


class SlowReader(Reader):
    """Does not read for a while, again and again, so that its socket is full."""

    label = ", read slowly"

    def pause(self):
        if self.cursor % 5000 == 0:
            time.sleep(0.5)


def check_slow_reader():
    """A subscriber that does not read holds up nobody, and gets everything when it reads."""
    stream = name()
    slow = Connection(PORT)
    slow.subscribe("ESUB", stream, "FROM", 0)
    with Connection(PORT) as quick:
        quick.subscribe("ESUB", stream, "FROM", 0)
        payload = "x" * 20_000
        for _ in range(10):
            writer.send(b"".join(frame("EAPPEND", stream, "E", "PAYLOAD", payload) for _ in range(100)))
            for _ in range(100):
                writer.answer()
        checks.equal(versions(quick.events(1000)), list(range(1000)), "20 MB: a subscriber that reads gets them")
        checks.equal(quick.call("PING"), Simple("PONG"), "and can send commands")
    checks.equal(versions(slow.events(1000)), list(range(1000)), "another one reads them later")
    slow.close()


def check_disconnect():
    stream = name()
    for _ in range(50):
        connection = Connection(PORT)
        connection.subscribe("ESUB", stream, "FROM", 0)
        connection.close()
        append(stream)
    with Connection(PORT) as connection:
        connection.subscribe("ESUB", stream, "FROM", 0)
        checks.equal(versions(connection.events(50)), list(range(50)), "subscribers that leave do not disturb the others")
        connection.call("RESET")
        connection.call("HELLO", 3)
        append(stream)
        checks.equal(connection.events(1, timeout=0.5), [], "RESET ends subscriptions")


def check_latency():
    stream = name()
    with Connection(PORT) as connection:
        connection.subscribe("ESUB", stream)
        times = []
        for _ in range(50):
            append(stream)
            start = time.monotonic()
            checks_pending = connection.events(1)
            times.append((time.monotonic() - start) * 1000)
            if not checks_pending:
                break
        checks.equal(len(times), 50, "each event arrives live")
        print(f"# from the answer to the append to the event: median {statistics.median(times):.2f} ms, longest {max(times):.2f} ms")


checks.run(check_first_bytes, check_windows, check_latest, check_selectors, check_history_while_appending, check_slow_reader, check_disconnect, check_latency)
