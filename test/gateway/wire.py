"""Commands over a bare socket: what a client library hides, such as types of replies and where bytes are cut.

Each kind of reply has a type of its own in Python, so that `==` also compares the kind:
simple strings are Simple, bulk strings bytes, errors Error, pushes Push; the rest is as usual.
"""
import collections
import socket

DEFAULT_TIMEOUT = 60


class Simple(str):
    """A simple string."""

    __hash__ = str.__hash__

    def __eq__(self, other):
        return isinstance(other, Simple) and str.__eq__(self, other)

    def __ne__(self, other):
        return not self == other

    def __repr__(self):
        return "+" + str(self)


class Error(Simple):
    """An error; its first word is the code."""

    @property
    def code(self):
        return self.split(" ", 1)[0]

    def __repr__(self):
        return "-" + str(self)


class Push(list):
    """A push; not an answer to a command."""


class Closed(Exception):
    """The server has closed the connection."""


def frame(*words):
    """A command as bytes."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        if isinstance(word, int):
            word = str(word)
        if isinstance(word, str):
            word = word.encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
    return b"".join(parts)


class Connection:
    """A connection; after hello() it speaks RESP3.  Pushes wait in `pushes` until somebody looks."""

    def __init__(self, port, hello=True, timeout=DEFAULT_TIMEOUT):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        # What is before this place was read already.
        self.place = 0
        self.pushes = collections.deque()
        if hello:
            self.server = self.call("HELLO", 3)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def call(self, *words):
        """The answer to a command; errors are returned, too."""
        self.send(frame(*words))
        return self.answer()

    def answer(self):
        """The next reply that is not a push."""
        while True:
            value = self.read()
            if not isinstance(value, Push):
                return value
            self.pushes.append(value)

    def push(self, kind="message", timeout=DEFAULT_TIMEOUT):
        """The next push of this kind; others are dropped.  None: there was none in time."""
        self.socket.settimeout(timeout)
        try:
            while True:
                value = self.pushes.popleft() if self.pushes else self.read()
                if isinstance(value, Push) and str(value[0]) == kind:
                    return value
        except TimeoutError:
            return None
        finally:
            self.socket.settimeout(DEFAULT_TIMEOUT)

    def subscribe(self, *words):
        """The id of a new subscription, which must be followed by its confirmation."""
        answer = self.call(*words)
        if not isinstance(answer, Simple) or isinstance(answer, Error):
            raise ValueError(f"{words}: {answer!r}")
        confirmation = self.push("subscribe")
        if confirmation is None or confirmation[1] != answer:
            raise ValueError(f"{words}: {confirmation!r} after {answer!r}")
        return str(answer)

    def events(self, count, timeout=DEFAULT_TIMEOUT):
        """The next events of subscriptions, as (id, cursor, event); fewer if they do not come."""
        found = []
        while len(found) < count and (push := self.push(timeout=timeout)) is not None:
            found.append((str(push[1]), push[2], push[3]))
        return found

    def more(self):
        data = self.socket.recv(262144)
        if not data:
            raise Closed
        self.buffer = self.buffer[self.place:] + data
        self.place = 0

    def take(self, count):
        while len(self.buffer) - self.place < count:
            self.more()
        self.place += count
        return self.buffer[self.place - count:self.place]

    def line(self):
        while (end := self.buffer.find(b"\r\n", self.place)) < 0:
            self.more()
        return self.take(end + 2 - self.place)[:-2]

    def read(self):
        """The next reply or push."""
        line = self.line()
        kind, rest = line[:1], line[1:].decode()
        match kind:
            case b"+":
                return Simple(rest)
            case b"-":
                return Error(rest)
            case b":":
                return int(rest)
            case b"#":
                return {"t": True, "f": False}[rest]
            case b",":
                return float(rest)
            case b"_":
                return None
            case b"$":
                return None if rest == "-1" else self.take(int(rest) + 2)[:-2]
            case b"%":
                return dict((self.read(), self.read()) for _ in range(int(rest)))
            case b"*":
                return None if rest == "-1" else [self.read() for _ in range(int(rest))]
            case b">":
                return Push(self.read() for _ in range(int(rest)))
        raise ValueError(f"not a reply: {line!r}")


def plain(value):
    """The same value with str for all strings, so that keys can be looked up."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value) if isinstance(value, str) else value
