#!/usr/bin/env python3
"""How long an event takes from its commit to a subscriber, alone and beside connections that append.

The answer to the append comes after the commit, and the append is sent before it.  So the time from
the commit lies between the one from the answer and the one from the append; both are printed.

usage: latency.py PORT EVENTS APPENDERS
"""
import multiprocessing
import select
import sys
import time
import uuid

from checks import Checks
from wire import Connection, frame, plain

PORT, EVENTS, APPENDERS = (int(argument) for argument in sys.argv[1:4])
checks = Checks()
# The default of newer versions of Python imports this program once more for each process.
processes = multiprocessing.get_context("fork")


def append_all_the_time(number, stop):
    with Connection(PORT) as connection:
        while not stop.is_set():
            for _ in range(10):
                connection.call("EAPPEND", f"other-{number}", "E", "PAYLOAD", '{"text": "as others do"}')


def arrivals(writer, reader, pause):
    """Milliseconds from append and answer to the push, of an event after the other."""
    stream = f"live-{uuid.uuid4()}"
    reader.subscribe("ESUB", stream)
    times = []
    for number in range(EVENTS):
        time.sleep(pause)
        sent = time.monotonic()
        writer.send(frame("EAPPEND", stream, "E", "PAYLOAD", '{"n": 1}'))
        answered = pushed = None
        while answered is None or pushed is None:
            ready, _, _ = select.select([socket for socket, at in ((writer.socket, answered), (reader.socket, pushed)) if at is None], [], [], 60)
            now = time.monotonic()
            if not ready:
                raise TimeoutError(f"event {number} does not come")
            if reader.socket in ready:
                pushed = now
                if plain(reader.push()[3])["stream_version"] != number:
                    raise ValueError(f"another event instead of {number}")
            if writer.socket in ready:
                answered = now
                writer.answer()
        times.append((1000 * (pushed - sent), 1000 * max(0, pushed - answered)))
    return times


def percentile(numbers, part):
    return sorted(numbers)[int(part * (len(numbers) - 1))]


def measure(label, pause):
    with Connection(PORT) as writer, Connection(PORT) as reader:
        times = arrivals(writer, reader, pause)
    checks.equal(len(times), EVENTS, f"{label}: each event arrives")
    for name, numbers in zip(("append", "answer"), zip(*times)):
        print(f"# {label}, from the {name} to the push: p50 {percentile(numbers, .5):.2f} ms, p99 {percentile(numbers, .99):.2f} ms, longest {max(numbers):.2f} ms")


def check_alone():
    measure("alone", 0.002)


def check_beside_others():
    stop = processes.Event()
    others = [processes.Process(target=append_all_the_time, args=(number, stop), daemon=True) for number in range(APPENDERS)]
    for other in others:
        other.start()
    before, begin = count(), time.monotonic()
    measure(f"beside {APPENDERS} appending connections", 0.002)
    print(f"# they appended {(count() - before) / (time.monotonic() - begin):.0f} events/s")
    stop.set()
    for other in others:
        other.join(60)


def count():
    with Connection(PORT) as connection:
        versions = [connection.call("ESVER", f"other-{number}") for number in range(APPENDERS)]
    return sum(version + 1 for version in versions if version is not None)


checks.run(check_alone, check_beside_others)
