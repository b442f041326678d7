#!/usr/bin/env python3
"""The same random commands to SierraDB and to the gateway, both empty at first: equal answers.

Left out is what has to differ: ids, times of the server, transaction ids, has_more, ranges of one
event, a stream with two partition keys, a repeated id, and the last event of a range of EPSCAN, which
SierraDB leaves out.  Of errors, the code is compared, and of WRONGVER the sentence.

usage: differential.py PORT_OF_SIERRADB PORT_OF_GATEWAY SEED STEPS
"""
import random
import re
import sys
import time
import uuid

from checks import Checks
from wire import Connection, Error, Simple, plain

NAMESPACE = uuid.UUID("219bd637-e279-53e9-9e2b-eabe5d9120cc")
DOCUMENTS = [b"", b"{}", b'{"a":  1}', b"[]", b'"text"', b"null", b"\x00\xff", bytes(range(256)), "{\"é\": \"€\"}".encode(), b'{"$bytes": "AA=="}', b"x" * 5000]


class Script:
    """Makes random commands.  An event is named by the number of its append: its id differs."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.streams = [f"stream-{n}" for n in range(12)] + ["s", "x" * 64, "äöü €", "name with blanks"]
        # Streams with a key of their own must always be read with it.
        self.keys = {stream: str(uuid.UUID(int=self.random.getrandbits(128))) for stream in self.streams[:4]}
        self.group = {str(uuid.UUID(int=self.random.getrandbits(128))): [f"group-{g}-{n}" for n in range(3)] for g in range(3)}
        self.events = 0

    def options(self, known=()):
        chosen = []
        pick = self.random.random
        if pick() < 0.5:
            chosen.append(["EXPECTED_VERSION", self.random.choice(["any", "EMPTY", "exists", 0, 1, 2, 3, 4, "+2"])])
        if pick() < 0.3:
            chosen.append(["TIMESTAMP", self.random.choice([1, 1697641800123, 0, 18446744073710])])
        if pick() < 0.8:
            chosen.append(["PAYLOAD", self.random.choice(DOCUMENTS)])
        if pick() < 0.4:
            chosen.append(["METADATA", self.random.choice(DOCUMENTS)])
        chosen += known
        self.random.shuffle(chosen)
        return [word for option in chosen for word in option]

    def key_of(self, stream):
        return [["PARTITION_KEY", self.keys[stream]]] if stream in self.keys else []

    def append(self):
        stream = self.random.choice(self.streams)
        return ["EAPPEND", stream, self.random.choice(["Made", "E", "Ereignis ä"]), *self.options(self.key_of(stream))]

    def append_many(self):
        key = self.random.choice(list(self.group))
        words = ["EMAPPEND", key]
        for _ in range(self.random.randint(1, 5)):
            words += [self.random.choice(self.group[key]), "Made", *self.options()]
        return words

    def range(self):
        """Of more than one event."""
        start = self.random.choice(["-", 0, 1, 2, 3, 5, 9])
        end = self.random.choice(["+", 1, 2, 4, 6, 10])
        if start == end or (start in ("-", 0) and end == 0):
            end = "+"
        return [start, end, *(["COUNT", self.random.choice([1, 2, 3, 7, 200])] if self.random.random() < 0.5 else [])]

    def stream_words(self):
        if self.random.random() < 0.4:
            key = self.random.choice(list(self.group))
            return self.random.choice(self.group[key]), ["PARTITION_KEY", key]
        stream = self.random.choice(self.streams + ["nobody"])
        return stream, [word for option in self.key_of(stream) for word in option]

    def partition(self):
        return self.random.choice([*range(32), *self.group, *self.keys.values(), 32, 65535])

    def read(self):
        kind = self.random.randrange(5)
        stream, key = self.stream_words()
        if kind == 0:
            return ["ESCAN", stream, *self.range(), *key]
        if kind == 1:
            return ["EPSCAN", self.partition(), *self.range()]
        if kind == 2:
            return ["ESVER", stream, *key]
        if kind == 3:
            return ["EPSEQ", self.partition()]
        return ["EGET", self.random.randrange(self.events) if self.events and self.random.random() < 0.9 else uuid.UUID(int=0)]

    def wrong(self):
        return self.random.choice([
            ["EAPPEND"], ["EAPPEND", "s"], ["EAPPEND", "", "E"], ["EAPPEND", "s", "E", "PAYLOAD"], ["EAPPEND", "s", "E", "FOO", "1"],
            ["EAPPEND", "s", "E", "PAYLOAD", "1", "PAYLOAD", "2"], ["EAPPEND", "s", "E", "EVENT_ID", "x"], ["EAPPEND", "s", "E", "EXPECTED_VERSION", "-1"],
            ["EMAPPEND", next(iter(self.group))], ["ESCAN", "s"], ["ESCAN", "s", "+", "-"], ["ESCAN", "s", "0", "x"],
            ["ESCAN", "s", "-", "+", "COUNT"], ["EPSCAN", "x", "-", "+"], ["EPSCAN", "65536", "-", "+"], ["ESVER"], ["EPSEQ"], ["EPSEQ", "-1"], ["EGET", "x"], ["EGET"]])

    def step(self):
        kind = self.random.random()
        if kind < 0.4:
            return self.append()
        if kind < 0.5:
            return self.append_many()
        return self.wrong() if kind < 0.55 else self.read()


LEFT_OUT = {"event_id", "transaction_id", "has_more"}


def comparable(value, words):
    """The answer without what has to differ."""
    if isinstance(value, Error):
        sentence = re.match(r"WRONGVER current stream version is \S+ but expected \S+ for partition key \S+ and stream id .*?(?= \(wrong|$)", value, re.S)
        return sentence[0] if sentence else value.code
    if isinstance(value, dict):
        return {plain(key): "a time" if plain(key) == "timestamp" and not is_given(item, words) else comparable(item, words)
                for key, item in value.items() if plain(key) not in LEFT_OUT}
    if isinstance(value, list):
        return [comparable(item, words) for item in value if not is_end_of_partition_scan(item, words)]
    return f"+{value}" if isinstance(value, Simple) else value


def is_end_of_partition_scan(item, words):
    """Whether this is the event with the last sequence of the range."""
    return words[0] == "EPSCAN" and isinstance(item, dict) and plain(item)["partition_sequence"] == words[3]


def is_given(timestamp, words):
    """Whether a program has chosen this time: that of the server is later."""
    del words
    return timestamp < 1_700_000_000_000 or timestamp > 18_000_000_000_000


class Side:
    """One of the two servers."""

    def __init__(self, port):
        self.connection = Connection(port)
        self.ids = []

    def ask(self, words):
        if words[0] == "EGET" and len(words) == 2 and isinstance(words[1], int):
            words = ["EGET", self.ids[words[1]]]
        return self.connection.call(*(str(word) if isinstance(word, uuid.UUID) else word for word in words))

    def remember(self, answer):
        answer = plain(answer)
        self.ids += [answer["event_id"]] if "event_id" in answer else [event["event_id"] for event in answer["events"]]


def compare(sierradb, gateway, script, checks, number):
    """One command; whether the answers are equal.  SierraDB reads what it has confirmed a moment after the append."""
    words = script.step()
    for _ in range(50):
        left, right = sierradb.ask(words), gateway.ask(words)
        if comparable(left, words) == comparable(right, words) or words[0] in ("EAPPEND", "EMAPPEND"):
            break
        time.sleep(0.02)
    if comparable(left, words) != comparable(right, words):
        checks.ok(False, f"step {number}: {words!r:.300}: SierraDB {comparable(left, words)!r:.600}", comparable(right, words))
        return False
    if words[0] in ("EAPPEND", "EMAPPEND") and isinstance(left, dict):
        sierradb.remember(left)
        gateway.remember(right)
        script.events = len(gateway.ids)
    return True


def main():
    ports, seed, steps = [int(port) for port in sys.argv[1:3]], int(sys.argv[3]), int(sys.argv[4])
    checks, script = Checks(), Script(seed)
    sierradb, gateway = (Side(port) for port in ports)

    def differ():
        wrong = 0
        for number in range(steps):
            wrong += not compare(sierradb, gateway, script, checks, number)
            if wrong >= 20:
                break
        checks.ok(wrong == 0, f"{steps} answers with seed {seed} are equal, {script.events} events", wrong)
        checks.ok(script.events > steps / 10, "events were appended", script.events)

    checks.run(differ)


if __name__ == "__main__":
    main()
