"""Loads that speak Redis' protocol: redis-benchmark, and connections that do nothing."""

import re
import resource
import shutil
import socket
import subprocess
from dataclasses import dataclass

from .cluster import BenchError
from .loads import Sample

PROGRAM = "redis-benchmark"


def why_missing():
    """Why redis-benchmark cannot be used, or an empty string."""
    return "" if shutil.which(PROGRAM) else f"{PROGRAM} is not installed (Debian: redis-tools)"


@dataclass(frozen=True)
class RedisBenchmark:
    """One command by redis-benchmark; __rand_int__ in a word becomes the number of a stream, with 12 digits.

    pipeline: commands that a client sends before it waits for their answers.
    events: how many a reply must have, checked before measuring.
    """

    contender: str
    label: str
    words: tuple
    dataset: str = "append"
    pipeline: int = 1
    appends: bool = False
    events: int = 0

    @property
    def returns(self):
        """What Runner looks at, whether there is something to check."""
        return self.events

    def check(self, contender, dataset, facts):
        """Run the command once by redis-cli and count the events."""
        words = [word.replace("__rand_int__", f"{0:012}") for word in self.words]
        done = subprocess.run(["redis-cli", "-3", "-p", str(contender.address(dataset)), *words], capture_output=True, text=True)
        found = len(re.findall(r"\bevent_id\b", done.stdout))
        if done.returncode or found != self.events:
            raise BenchError(f"{self.label}: {found} events, not {self.events}:\n{done.stdout[:500]}{done.stderr}")

    def run(self, contender, dataset, facts, setting):
        """A short run says how many commands fill the time."""
        port = contender.address(dataset)
        first = self.measure(port, facts, setting, 50 * setting.clients * self.pipeline)
        sample = self.measure(port, facts, setting, max(first.units, round(first.rate * setting.seconds)))
        return Sample(sample.rate, first.units + sample.units, sample.times, first.uncounted + sample.uncounted)

    def measure(self, port, facts, setting, number):
        """Run redis-benchmark once. It does not count errors: an append that failed is missed afterwards.

        It ends when it has that number of answers, and does not read those of other clients that are on their way.
        """
        command = [PROGRAM, "-3", "-h", "127.0.0.1", "-p", port, "-c", setting.clients, "-n", number, "-P", self.pipeline,
                   "-r", facts["streams"], *self.words]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        rate = re.search(r"throughput summary: ([\d.]+) requests per second", done.stdout)
        percentiles = re.findall(r"([\d.]+)% <= ([\d.]+) milliseconds", done.stdout)
        if done.returncode or not rate or not percentiles:
            raise BenchError(f"{PROGRAM} failed:\n{done.stdout[-2000:]}{done.stderr}")
        return Sample(float(rate[1]), number, self.times(percentiles), setting.clients * self.pipeline)

    @staticmethod
    def times(percentiles):
        """A hundred times with the distribution that was printed."""
        pairs = sorted((float(percent), float(time)) for percent, time in percentiles)
        return tuple(next((time for percent, time in pairs if percent >= rank), pairs[-1][1]) for rank in range(100))


@dataclass(frozen=True)
class IdleConnections:
    """Bytes of memory of the server for each connection that says HELLO and then nothing."""

    contender: str
    label: str
    number: int = 10_000
    dataset: str = "append_idle{round}"
    appends: bool = False
    returns: int = 0

    def run(self, contender, dataset, facts, setting):
        """The server is one process."""
        allow_connections(self.number)
        connections = []
        before = resident_bytes(contender.process(dataset))
        try:
            for _ in range(self.number):
                connection = socket.create_connection(("127.0.0.1", contender.address(dataset)), timeout=60)
                connections.append(connection)
                connection.sendall(b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n")
                if not connection.recv(4096).startswith(b"%"):
                    raise BenchError(f"{self.label}: connection {len(connections)} got no answer to HELLO")
            return Sample((resident_bytes(contender.process(dataset)) - before) / self.number, 0)
        finally:
            for connection in connections:
                connection.close()


def allow_connections(number):
    """Raises the limit of open files, for this process and the servers that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number + 1000
    if soft >= wanted or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchError(f"{wanted} open files are not allowed here: ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def resident_bytes(pid):
    """Memory of a process that is in use now."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status.read(), re.M)[1]) * 1024
