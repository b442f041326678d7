#!/usr/bin/env python3
"""Frames: whole, cut at every byte, endless, wrong; nobody else suffers from them.

usage: frames.py PORT      the gateway must have max_frame_size = 2MB
"""
import itertools
import socket
import sys
import threading
import time
import uuid

from checks import Checks
from wire import Closed, Connection, Error, Simple, frame, plain

PORT = int(sys.argv[1])
checks = Checks()
witness = Connection(PORT)


def name(kind="frame"):
    return f"{kind}-{uuid.uuid4()}"


def check_witness(what):
    """A connection that was open all the time still works."""
    checks.equal(witness.call("PING"), Simple("PONG"), f"{what}: others are served")


def a_session(stream):
    """Commands of all kinds, with what is answered."""
    data = bytes(range(256))
    return [
        (frame("PING"), lambda found: found == Simple("PONG")),
        (frame("EAPPEND", stream, "E", "PAYLOAD", data, "METADATA", data), lambda found: plain(found)["stream_version"] == 0),
        (b"*2\r\n+ESVER\r\n$%d\r\n%s\r\n" % (len(stream), stream.encode()), lambda found: found == 0),
        (b"*6\r\n$7\r\nEAPPEND\r\n$%d\r\n%s\r\n+E\r\n$16\r\nEXPECTED_VERSION\r\n:0\r\n$0\r\n\r\n" % (len(stream), stream.encode()),
         lambda found: isinstance(found, Error) and found.code == "INVALIDARG"),
        (b"*5\r\n$7\r\nEAPPEND\r\n$%d\r\n%s\r\n+E\r\n$16\r\nEXPECTED_VERSION\r\n:0\r\n" % (len(stream), stream.encode()),
         lambda found: plain(found)["stream_version"] == 1),
        (b"PING\r\n", lambda found: found == Simple("PONG")),
        (frame("ESCAN", stream, "-", "+"), lambda found: [event["payload"] for event in plain_keys(found)] == [data, b""]),
        (frame("NOSUCH"), lambda found: isinstance(found, Error)),
    ]


def plain_keys(page):
    return [{str(key): value for key, value in event.items()} for event in next(value for key, value in page.items() if str(key) == "events")]


def check_cuts():
    wrong = []
    length = sum(len(request) for request, _ in a_session(name()))
    for cut in range(1, length):
        session = a_session(name())
        data = b"".join(request for request, _ in session)
        with Connection(PORT) as connection:
            connection.send(data[:cut])
            time.sleep(0.0005)
            connection.send(data[cut:])
            wrong += [(cut, request[:30], found) for request, right in session if not right(found := connection.answer())]
    checks.equal(wrong, [], f"cut at each of {length} bytes, the commands are the same")
    session = a_session(name())
    with Connection(PORT) as connection:
        for byte in b"".join(request for request, _ in session):
            connection.send(bytes([byte]))
        checks.ok(all(right(connection.answer()) for _, right in session), "byte by byte, too")


def check_ends():
    data = b"".join(request for request, _ in a_session(name()))
    for cut in range(0, len(data), 3):
        with Connection(PORT) as connection:
            connection.send(data[:cut])
            connection.socket.shutdown(socket.SHUT_WR)
            try:
                while True:
                    connection.read()
            except Closed:
                pass
    for cut in range(0, len(data), 3):
        connection = Connection(PORT)
        connection.send(data[:cut])
        # Without a farewell: the connection is reset.
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    check_witness("connections that end in the middle of a frame")


def check_pipeline():
    stream, count = name(), 10_000
    with Connection(PORT) as connection:
        requests = b"".join(frame("EAPPEND", stream, "E") if n % 3 == 0 else frame("ESVER", stream) if n % 3 == 1 else frame("PING") for n in range(count))
        sender = threading.Thread(target=connection.send, args=(requests,))
        sender.start()
        wrong = []
        for n in range(count):
            found = connection.answer()
            expected = n // 3 if n % 3 < 2 else Simple("PONG")
            if (plain(found)["stream_version"] if n % 3 == 0 and isinstance(found, dict) else found) != expected:
                wrong.append((n, found))
        sender.join()
    checks.equal(wrong[:3], [], f"a pipeline of {count} commands: each answer is that of its command")


def check_large():
    with Connection(PORT) as connection:
        stream, data = name(), bytes(range(256)) * 4096
        connection.call("EAPPEND", stream, "Large", "PAYLOAD", data, "METADATA", data[:500_000])
        found = connection.call("ESCAN", stream, "-", "+")
        checks.ok(plain_keys(found)[0]["payload"] == data, "a payload of 1 MB comes back")
        answer = connection.call("EAPPEND", stream, "Large", "PAYLOAD", b"x" * 1_900_000)
        checks.ok(isinstance(answer, dict), "almost max_frame_size", answer)
    outcomes = []
    for request in (frame("EAPPEND", name(), "Large", "PAYLOAD", b"x" * 2_200_000), b"*1\r\n$999999999\r\n", b"*3\r\n$1\r\na\r\n$99999999999999999999\r\n"):
        outcomes.append(last_words(request))
    checks.ok(all(isinstance(words, Error) for words in outcomes), "a frame that is larger is an error, and the end", outcomes)
    check_witness("large frames")


def last_words(request):
    """The first answer to bytes, if the connection ends after it; what else happens is returned as text."""
    with Connection(PORT, hello=False) as connection:
        try:
            connection.send(request)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            answer = connection.read()
        except Closed:
            return "closed without an answer"
        except ConnectionResetError:
            return Error("reset")
        try:
            connection.socket.settimeout(20)
            return f"continued with {connection.read()!r}"
        except (Closed, ConnectionResetError):
            return answer
        except TimeoutError:
            return f"not closed after {answer!r}"


def check_malformed():
    for request in (b"*x\r\n", b"*1\r\n$x\r\n", b"*1\r\n$-2\r\n", b"*1\r\n$4\r\nPINGxx", b"*-5\r\n", b"*1000000000\r\n", b"*1\r\n*1\r\n$4\r\nPING\r\n",
                    b"*1\r\n$4\r\nPING\n\n", b"*1\r\n%1\r\n", b"*99999999999999999999\r\n", b"*1\r\n$ 4\r\nPING\r\n", b"*1\r\nPING\r\n"):
        answer = last_words(request)
        checks.ok(isinstance(answer, Error) and "Protocol error" in answer, f"{request!r}: a protocol error ends the connection", answer)
    for request in (b"\x00" * 100_000, b"x" * 3_000_000, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b'PING "unbalanced\r\n', b"\x16\x03\x01\x02\x00\x01\x00"):
        with Connection(PORT, hello=False) as connection:
            try:
                connection.send(request)
                connection.socket.shutdown(socket.SHUT_WR)
                while True:
                    connection.read()
            except (Closed, ConnectionResetError, BrokenPipeError, ValueError):
                pass
    check_witness("malformed frames")


def check_inline():
    stream = name()
    with Connection(PORT, hello=False) as connection:
        for request, right in (
                ("PING\r\n", lambda found: found == Simple("PONG")), ("PING\n", lambda found: found == Simple("PONG")), ("\r\nping hello\r\n", lambda found: found == b"hello"),
                (f"EAPPEND {stream} \"a name\" PAYLOAD '{{\"a\": 1}}'\r\n", lambda found: isinstance(found, list) and len(found) == 12),
                (f"  ESVER   {stream}  \r\n", lambda found: found == 0), (f'EAPPEND {stream} E PAYLOAD "\\x00\\n\\"\\\\"\n', lambda found: isinstance(found, list))):
            connection.send(request.encode())
            found = connection.answer()
            checks.ok(right(found), f"inline: {request.strip()}", found)
        connection.call("HELLO", 3)
        events = plain_keys(connection.call("ESCAN", stream, "-", "+"))
        checks.equal([(event["event_name"], event["payload"]) for event in events], [(b"a name", b'{"a": 1}'), (b"E", b'\x00\n"\\')], "quotes as in redis-cli")


def check_connection():
    with Connection(PORT, hello=False) as connection:
        for words, right in (
                (("HELLO", 4), lambda found: found.code == "NOPROTO"), (("HELLO", 2), lambda found: isinstance(found, list) and found[:2] == [b"server", b"sierradb"]),
                (("HELLO", 3, "SETNAME", "me"), lambda found: list(plain(found))[:6] == ["server", "version", "proto", "id", "mode", "role"]),
                (("CLIENT", "GETNAME"), lambda found: plain(found) == "me"), (("CLIENT", "SETINFO", "LIB-NAME", "x"), lambda found: found == Simple("OK")),
                (("CLIENT", "TRACKING", "ON"), lambda found: isinstance(found, Error)), (("CLIENT", "MAINT_NOTIFICATIONS", "ON"), lambda found: isinstance(found, Error)),
                (("CLIENT", "ID"), lambda found: isinstance(found, int)), (("COMMAND",), lambda found: found == []), (("COMMAND", "DOCS"), lambda found: found in ({}, [])),
                (("CONFIG", "GET", "save"), lambda found: found in ({}, [])), (("SELECT", 0), lambda found: found == Simple("OK")), (("SELECT", 99), lambda found: isinstance(found, Error)),
                (("ECHO", "x"), lambda found: found == b"x"), (("INFO",), lambda found: b"redis_version:" in found and b"loading:0" in found and b"role:master" in found),
                (("INFO", "CACHE"), lambda found: "hit_ratio" in plain(found)), (("MULTI",), lambda found: isinstance(found, (Error, Simple))),
                (("RESET",), lambda found: found == Simple("RESET")), (("ESVER", name()), lambda found: found is None), (("READONLY",), lambda found: found == Simple("OK"))):
            found = connection.call(*words)
            checks.ok(right(found), " ".join(map(str, words)), found)
        checks.equal(connection.call("QUIT"), Simple("OK"), "QUIT")
        try:
            checks.ok(False, "QUIT ends the connection", connection.read())
        except Closed:
            checks.ok(True, "QUIT ends the connection")


def check_slow_reader():
    """It asks for far more than it reads: others are served, and the memory of the gateway is bounded."""
    stream = name()
    for _ in range(20):
        witness.call("EAPPEND", stream, "E", "PAYLOAD", b"x" * 50_000)
    slow = Connection(PORT)
    slow.socket.setblocking(False)
    sent = 0
    try:
        for _ in itertools.repeat(None, 5000):
            sent += slow.socket.send(frame("ESCAN", stream, "-", "+"))
    except BlockingIOError:
        pass
    check_witness(f"a client that asked for much ({sent} bytes) and reads nothing")
    slow.socket.setblocking(True)
    found = slow.read()
    checks.ok(isinstance(found, dict), "it can still read its first answer", found)
    slow.close()


checks.run(check_connection, check_inline, check_cuts, check_ends, check_pipeline, check_large, check_malformed, check_slow_reader)
