"""Clients that pgbench cannot be: each a thread with a connection, in several processes.

usage: peer-client.py umadb|sierradb PORT append CLIENTS SECONDS STREAMS RUN
       peer-client.py umadb PORT append-condition CLIENTS SECONDS STREAMS RUN
       peer-client.py sierra|message-db|umadb PORT decide CLIENTS SECONDS STREAMS RUN
       peer-client.py umadb|sierradb PORT count
       peer-client.py umadb PORT fill STREAMS VERSIONS
       peer-client.py umadb PORT read-all|read-pages-random|read-pages-sequential|read-tag SECONDS STREAMS

PORT is "libpq" for sierra and message-db, whose address is in the environment.
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
import uuid

PAGE = 1000
PARTITIONS = 32
HOT = "hot-1"


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

    def append_new(self, stream, tag):
        """Append one with a tag that no event may have yet."""
        event = self.umadb.Event(self.event["name"], self.data, [stream, tag], None, self.metadata)
        self.client.append([event], self.condition(tag, None))

    def query(self, tag):
        """The events with this tag."""
        return self.umadb.Query([self.umadb.QueryItem(tags=[tag])])

    def condition(self, tag, after):
        """No event with this tag above this position."""
        return self.umadb.AppendCondition(self.query(tag), after)

    def decide(self, stream):
        """Read the last event of the hot tag, then append one if that is still the last; false if it is not."""
        _, head = self.client.read(self.query(HOT), backwards=True, limit=1).collect_with_head()
        event = self.umadb.Event(self.event["name"], self.data, [stream, HOT], None, self.metadata)
        try:
            self.client.append([event], self.condition(HOT, head))
        except self.umadb.IntegrityError:
            return False
        return True

    def tagged(self, tag):
        """How many events have a tag."""
        return len(self.client.read(self.query(tag)).next_batch())

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
        self.socket = socket.create_connection(("127.0.0.1", int(port)))
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


class Sierra:
    """A session that decides over the events of a tag."""

    query = json.dumps([{"tags": [HOT]}])
    # Both functions use the snapshot of the statement, so the event that is found is the last one up to the head.
    read = """SELECT head, payload FROM ehead() AS head
        LEFT JOIN LATERAL equery($1, after_position => head + 1, max_count => 1, backward => true) ON true"""
    append = "SELECT (eappend($1, $2, $3, $4, tags => $5, condition => $6)).stream_version"

    def __init__(self, _, event):
        from lib.libpq import Session

        self.event = event
        self.session = Session(os.environ)

    def decide(self, stream):
        """Read the last event of the hot tag, then append one if that is still the last; false if it is not."""
        head = int(self.session.query(self.read, self.query).value(0, 0))
        condition = json.dumps({"query": [{"tags": [HOT]}], "after": head})
        return self.session.query(self.append, stream, self.event["name"], self.event["payload"],
                                  self.event["metadata"], f"{{{HOT}}}", condition, refusal="SE009") is not None


class MessageDb:
    """A session that decides over the events of a stream."""

    read = "SELECT position, data FROM get_last_stream_message($1)"
    append = "SELECT write_message($1, $2, $3, $4, $5, $6)"

    def __init__(self, _, event):
        from lib.libpq import Session

        self.event = event
        self.session = Session(os.environ)

    def decide(self, _):
        """Read the last message of the hot stream, then write one if that is still the last; false if it is not."""
        rows = self.session.query(self.read, HOT)
        version = rows.value(0, 0) if len(rows) else -1
        # The only error that its functions raise by themselves is that of a wrong version.
        return self.session.query(self.append, uuid.uuid4(), HOT, self.event["name"], self.event["payload"],
                                  self.event["metadata"], version, refusal="P0001") is not None


KINDS = {"umadb": UmaDb, "sierradb": SierraDb, "sierra": Sierra, "message-db": MessageDb}


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
        barrier.abort()
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


def append(connect, what, clients, seconds, streams, number):
    """Each client appends to random streams of its own, so that no two share one. Counts what was appended."""
    def work(connection, client):
        count, turn, end = 0, 0, time.monotonic() + seconds
        while time.monotonic() < end:
            stream = f"order-{random.randrange(max(1, streams // clients)) * clients + client}"
            turn += 1
            if what == "decide":
                count += connection.decide(stream)
                continue
            if what == "append-condition":
                connection.append_new(stream, f"payment-{number}-{client}-{turn}")
            else:
                connection.append(stream)
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


def read(connect, what, seconds, streams):
    """Read all, or pages of all or of a tag, again and again. Units: events, or pages."""
    def work(connection, _):
        last = connection.head()
        units, turn, end = 0, 0, time.monotonic() + seconds
        while not units or time.monotonic() < end:
            if what == "read-all":
                found, wanted = connection.everything(), last
            elif what == "read-tag":
                found, wanted = connection.tagged(f"order-{random.randrange(streams)}"), last // streams
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
        return KINDS[kind](port, event)

    if what in ("append", "append-condition", "decide"):
        append(connect, what, int(numbers[0]), float(numbers[1]), *map(int, numbers[2:]))
    elif what == "fill":
        fill(connect, *map(int, numbers))
    elif what == "count":
        connection = connect()
        print(connection.head() or 0)
    else:
        read(connect, what, float(numbers[0]), int(numbers[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
