"""Clients of a peer that is a server of its own: each a thread with a connection, in several processes.

usage: peer-client.py umadb|sierradb PORT append CLIENTS SECONDS STREAMS
       peer-client.py umadb|sierradb PORT count
       peer-client.py umadb PORT fill STREAMS VERSIONS
       peer-client.py umadb PORT read-all|read-pages-random|read-pages-sequential SECONDS

The event comes as JSON through standard input. Prints the units (events, pages) and the seconds that they took, or
the number of events that are stored.
Python runs the bytecode of one thread of a process at a time; it does not while a call to a server waits. With a
process for each core, the clients have all cores, as the threads of pgbench have.
"""

import json
import multiprocessing
import os
import random
import socket
import sys
import threading
import time

PAGE = 1000
PARTITIONS = 32


class UmaDb:
    """A connection by UmaDB's own client."""

    def __init__(self, port, event):
        import umadb

        self.umadb = umadb
        self.event = event
        self.data = event["payload"].encode()
        self.metadata = json.loads(event["metadata"])
        self.client = umadb.Client(f"http://127.0.0.1:{port}", batch_size=PAGE)

    def new(self, stream):
        """An event whose tag is its stream."""
        return self.umadb.Event(self.event["name"], self.data, [stream], None, self.metadata)

    def append(self, stream):
        """Append one; returns when it is durable."""
        self.client.append([self.new(stream)])

    def append_all(self, streams):
        """Append one to each of these streams, at once."""
        self.client.append([self.new(stream) for stream in streams])

    def page(self, start):
        """How many events a page from this position has."""
        return len(self.client.read(start=start, limit=PAGE).next_batch())

    def everything(self):
        """How many events a read of everything returns, in one stream of batches."""
        response = self.client.read()
        count = 0
        while batch := response.next_batch():
            count += len(batch)
        return count

    def head(self):
        """The last position; the first is 1."""
        return self.client.head()


class SierraDb:
    """A connection by RESP; only the kind of a reply to an append is looked at."""

    def __init__(self, port, event):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.event = event

    def append(self, stream):
        """Append one; any reply but a map is an error."""
        self.send("EAPPEND", stream, self.event["name"], "PAYLOAD", self.event["payload"],
                  "METADATA", self.event["metadata"])
        reply = self.reply()
        if not isinstance(reply, dict):
            raise RuntimeError(f"EAPPEND was answered by {reply!r}")

    def head(self):
        """Events stored in all partitions; the last sequence of a partition begins at 0, and is null without events."""
        count = 0
        for partition in range(PARTITIONS):
            self.send("EPSEQ", str(partition))
            last = self.reply()
            count += int(last) + 1 if last else 0
        return count

    def send(self, *words):
        """One command."""
        self.socket.sendall(f"*{len(words)}\r\n".encode() + b"".join(
            f"${len(word)}\r\n{word}\r\n".encode() for word in words))

    def reply(self):
        """One reply of those types that an append can have."""
        line = self.file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"%":
            return {self.reply(): self.reply() for _ in range(int(rest))}
        if kind == b"$":
            return self.file.read(int(rest) + 2)[:-2]
        if kind == b"-" or not kind:
            raise RuntimeError(f"the server answered {line!r}")
        return rest


KINDS = {"umadb": UmaDb, "sierradb": SierraDb}


def run_clients(connect, numbers, work, barrier, results):
    """One process: connects all its clients, then a thread for each of them works."""
    counts, errors = [], []

    def one(connection, number):
        try:
            counts.append(work(connection, number))
        except Exception as error:
            errors.append(repr(error))

    elapsed = 0
    try:
        connections = [connect() for _ in numbers]
        threads = [threading.Thread(target=one, args=pair) for pair in zip(connections, numbers)]
        barrier.wait(timeout=60)
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.monotonic() - start
    except Exception as error:
        errors.append(repr(error))
    results.put((sum(counts), elapsed, errors))


def run(connect, clients, work):
    """Spread the clients over a process for each core; print what they did together."""
    context = multiprocessing.get_context("fork")
    processes = min(clients, os.cpu_count() or 1)
    barrier, results = context.Barrier(processes), context.Queue()
    children = [context.Process(target=run_clients, daemon=True,
                                args=(connect, range(first, clients, processes), work, barrier, results))
                for first in range(processes)]
    for child in children:
        child.start()
    done = [results.get() for _ in children]
    for child in children:
        child.join()
    errors = [error for _, _, found in done for error in found]
    if errors:
        sys.exit("\n".join(errors[:5]))
    print(sum(count for count, _, _ in done), max(elapsed for _, elapsed, _ in done))


def append(connect, clients, seconds, streams):
    """Each client appends to random streams of its own, so that no two share one."""
    def work(connection, client):
        count, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            stream = random.randrange(streams // clients) * clients + client
            connection.append(f"order-{stream}")
            count += 1
        return count

    run(connect, clients, work)


def fill(connect, streams, versions):
    """The events in the order of a busy day: version 0 of every stream, then version 1, and so on."""
    def work(connection, _):
        for _ in range(versions):
            for first in range(0, streams, PAGE):
                connection.append_all(f"order-{n}" for n in range(first, min(first + PAGE, streams)))
        return streams * versions

    run(connect, 1, work)


def read(connect, what, seconds):
    """Read all, or pages of all, again and again. Units: events, or pages."""
    def work(connection, _):
        last = connection.head()
        units, turn, end = 0, 0, time.monotonic() + seconds
        while not units or time.monotonic() < end:
            if what == "read-all":
                found, wanted = connection.everything(), last
            else:
                step = random.randrange(last - PAGE) if what == "read-pages-random" else turn * PAGE % (last - PAGE)
                found, wanted = connection.page(1 + step), PAGE
            if found != wanted:
                raise RuntimeError(f"{found} events were read, not {wanted}")
            units += found if what == "read-all" else 1
            turn += 1
        return units

    run(connect, 1, work)


def main(kind, port, what, *numbers):
    """Do what the command line says."""
    event = json.load(sys.stdin)

    def connect():
        return KINDS[kind](int(port), event)

    if what == "append":
        append(connect, int(numbers[0]), float(numbers[1]), int(numbers[2]))
    elif what == "fill":
        fill(connect, *map(int, numbers))
    elif what == "count":
        connection = connect()
        print(connection.head() or 0)
    else:
        read(connect, what, float(numbers[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
