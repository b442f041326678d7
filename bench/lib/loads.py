"""How load is made: a pgbench script, or COPY through one psql. Each run gives a Sample."""

import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from . import events
from .cluster import SQL, BenchError

LEAVES = 32


@dataclass(frozen=True)
class Sample:
    """What one run of a load achieved.

    uncounted: how many more than units may have been done.
    """

    rate: float
    units: int
    times: tuple = ()
    uncounted: int = 0


@dataclass(frozen=True)
class Setting:
    """How a load is run: number of clients, synchronous_commit, length in seconds, number of the run."""

    clients: int
    sync: str
    seconds: float
    run: int
    transactions: int = 0


@dataclass(frozen=True)
class Script:
    """A pgbench script of bench/sql on one data set of one contender.

    per_transaction: units (events, pages) that one transaction counts for.
    appends: the units must be found in the data set afterwards.
    returns: rows that one execution must return, checked before measuring.
    options: settings of the sessions beside those of the contender.
    """

    contender: str
    file: str
    label: str
    dataset: str = "append"
    per_transaction: int = 1
    appends: bool = False
    returns: int = 0
    batch: bool = False
    options: dict = field(default_factory=dict)

    def variables(self, facts, setting):
        """All variables that the script may use."""
        values = {**events.variables(), **facts, "clients": setting.clients, "run": setting.run, "i": -1}
        if self.batch:
            values.update(events.batch_variables())
        return values

    def text(self):
        """The script; @LEAF@ in it asks for one copy per leaf."""
        return (SQL / self.file).read_text()

    def check(self, contender, dataset, facts):
        """Run the statement once and count the rows that it returns."""
        sql = re.sub(r"^\\set\b.*\n", "", self.text(), flags=re.M).strip().rstrip(";").replace("@LEAF@", "0")
        values = {"n": 0, "leaf": 0, "from_sequence": 0, "after": int(facts.get("first_position", 1)) - 1,
                  **facts}
        text = contender.cluster.psql(contender.database(dataset), f"SELECT count(*) FROM ({sql}) AS result",
                                      options=contender.options(dataset), variables=values)
        if int(text) != self.returns:
            raise BenchError(f"{self.label} ({self.file}) returned {text} rows, not {self.returns}")

    def run(self, contender, dataset, facts, setting):
        """Run pgbench once; any aborted client or failed transaction is an error."""
        options = {**contender.options(dataset), **self.options, "synchronous_commit": setting.sync}
        threads = min(setting.clients, os.cpu_count() or 1)
        length = ["-t", setting.transactions] if setting.transactions else ["-T", max(1, round(setting.seconds))]
        command = ["pgbench", "-n", "-M", "prepared", "-c", setting.clients, "-j", threads, *length]
        for name, value in self.variables(facts, setting).items():
            command += ["-D", f"{name}={value}"]
        with TemporaryDirectory() as scripts:
            for path in self.write_scripts(Path(scripts)):
                command += ["-f", path]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                                  env=contender.cluster.environment(contender.database(dataset), options))
        return self.sample(done)

    def write_scripts(self, directory):
        """Write the script, or one copy per leaf, to where pgbench can read it."""
        text = self.text()
        copies = range(LEAVES) if "@LEAF@" in text else [0]
        for leaf in copies:
            path = directory / f"{leaf}.sql"
            path.write_text(text.replace("@LEAF@", str(leaf)))
            yield path

    def sample(self, done):
        """Read what pgbench printed."""
        processed = re.search(r"transactions actually processed: (\d+)", done.stdout)
        rate = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
        failed = re.search(r"failed transactions: (\d+)", done.stdout)
        if (done.returncode or not processed or not rate or "aborted" in done.stdout + done.stderr
                or "ERROR:" in done.stderr or (failed and int(failed[1]))):
            raise BenchError(f"pgbench failed on {self.file}:\n{done.stdout}{done.stderr}")
        return Sample(float(rate[1]) * self.per_transaction, int(processed[1]) * self.per_transaction)


@dataclass(frozen=True)
class Copy:
    """COPY of one batch per transaction, all through one psql."""

    contender: str
    label: str
    dataset: str = "batch"
    spread: bool = False
    appends: bool = True
    returns: int = 0

    def run(self, contender, dataset, facts, setting):
        """Feed batches until the time is up; the clock stops when psql has sent the last one."""
        options = {**contender.options(dataset), "synchronous_commit": setting.sync}
        first = setting.run * 10**9
        chunks = 0
        psql = subprocess.Popen(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-"], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=contender.cluster.environment(contender.database(dataset), options))
        try:
            psql.stdin.write("\\echo ready\n")
            psql.stdin.flush()
            psql.stdout.readline()
            start = time.monotonic()
            while time.monotonic() - start < setting.seconds:
                text = events.copy_chunk(first + chunks * events.BATCH, self.spread)
                psql.stdin.write(f"COPY events FROM STDIN;\n{text}\\.\n")
                chunks += 1
        except BrokenPipeError:
            pass
        _, errors = psql.communicate()
        elapsed = time.monotonic() - start
        if psql.returncode or errors:
            raise BenchError(f"COPY failed:\n{errors}")
        return Sample(chunks * events.BATCH / elapsed, chunks * events.BATCH)


@dataclass(frozen=True)
class Peer:
    """Clients of bench/peer-client.py; what they do is a word of it."""

    contender: str
    label: str
    what: str
    dataset: str = "append"
    appends: bool = False
    returns: int = 0
    options: dict = field(default_factory=dict)

    def run(self, contender, dataset, facts, setting):
        """An error of any client is an error. The server need not log the refusals that are part of a decision."""
        numbers = [setting.clients, setting.seconds, facts["streams"], setting.run] if self.appends else \
            [setting.seconds, facts["streams"]]
        options = {**self.options, "synchronous_commit": setting.sync, "log_min_messages": "fatal"}
        units, elapsed = contender.run_client(dataset, self.what, *numbers, options=options)
        return Sample(int(units) / float(elapsed), int(units))
