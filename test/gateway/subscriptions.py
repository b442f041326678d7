#!/usr/bin/env python3
"""Subscriptions: every event once and in order, whatever happens meanwhile.

usage: subscriptions.py PORT EVENTS      EVENTS: how many a history has
"""
import socket
import statistics
import sys
import threading
import time
import uuid

from checks import Checks
from wire import Closed, Connection, Error, Push, Simple, frame, plain

PORT, EVENTS = int(sys.argv[1]), int(sys.argv[2])
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


def check_history_while_appending():
    """No gap and no duplicate where history meets what is appended meanwhile."""
    kind, stop, counts = prefix(), threading.Event(), {}
    per_stream = EVENTS // 20
    for number in range(20):
        counts[f"{kind}-{number}"] = 0
        for _ in range(0, per_stream, 500):
            counts[f"{kind}-{number}"] += len(append(f"{kind}-{number}", min(500, per_stream - counts[f"{kind}-{number}"])))

    def append_more(first):
        with Connection(PORT) as connection:
            while not stop.is_set():
                for number in range(first, 20, 2):
                    counts[f"{kind}-{number}"] += len(append(f"{kind}-{number}", 5, connection))

    appenders = [threading.Thread(target=append_more, args=(first,)) for first in (0, 1)]
    for thread in appenders:
        thread.start()
    collectors = [Collector(f"{kind}-*", *words) for words in (("FROM", 0), ("FROM", 0, "WINDOW", 100), ("FROM", per_stream // 2))]
    for collector in collectors:
        collector.start()
    time.sleep(2)
    stop.set()
    for thread in appenders:
        thread.join()
    for collector in collectors:
        first = 0 if "FROM 0" in collector.label else per_stream // 2
        collector.finish({stream: list(range(first, count)) for stream, count in counts.items()})


class Collector(threading.Thread):
    """Collects the events of a subscription; acknowledges if it has a window."""

    def __init__(self, pattern, *words):
        super().__init__(daemon=True)
        self.label = " ".join(map(str, words))
        self.connection = Connection(PORT)
        self.acknowledge = "WINDOW" in words
        self.subscription = self.connection.subscribe("ESUB", pattern, *words)
        self.found, self.number, self.cursors = {}, 0, []

    def run(self):
        try:
            while True:
                for _, cursor, event in self.connection.events(1, timeout=300):
                    event = plain(event)
                    self.found.setdefault(event["stream_id"], []).append(event["stream_version"])
                    self.cursors.append(cursor)
                    self.number += 1
                    if self.acknowledge and self.number % 50 == 0:
                        self.connection.call("EACK", self.subscription, cursor)
        except (Closed, OSError):
            pass

    def finish(self, expected):
        wanted = sum(map(len, expected.values()))
        for _ in range(6000):
            if self.number >= wanted:
                break
            time.sleep(0.05)
        time.sleep(0.2)
        right = self.found == expected
        wrong = [(stream, len(self.found.get(stream, [])), len(events)) for stream, events in expected.items() if self.found.get(stream) != events]
        checks.ok(right, f"history of {wanted} events while others append, {self.label}: each once, in order", (self.number, wrong[:3]))
        checks.ok(self.cursors == list(range(self.number)), "cursors without gap")
        self.connection.socket.shutdown(socket.SHUT_RDWR)


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
