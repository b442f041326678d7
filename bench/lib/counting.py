"""Counts the instructions of statements: a server in single-user mode, run by valgrind's callgrind.

Single-user mode is one process, without autovacuum, checkpoints and other background work, so the same statements on
the same data take the same instructions. callgrind writes its counts each time that the server enters MARKER, a
function which is called before and after the executions of each series.
"""

import os
import random
import re
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

from . import events
from .cluster import BenchError, Cluster
from .contenders import CONTENDERS
from .operations import DATASETS, Difference, Series

MARKER = "pg_sleep"
MARK = f"SELECT {MARKER}(0)"
PADDING = 10_000
# Values that are long are kept in settings, of these types; the others are written into the statement.
LONG = {"names": "text[]", "payloads": "json[]", "metadatas": "json[]", "streams_of_n": "text", "leaves": "int[]"}


class QuietCluster(Cluster):
    """A cluster that is filled, shut down, and copied for each counted session."""

    def settings(self):
        """Nothing that depends on the clock, or runs beside the statements."""
        return {**super().settings(), "fsync": "off", "autovacuum": "off", "track_counts": "off", "jit": "off",
                "shared_buffers": "256MB", "min_wal_size": "32MB", "log_checkpoints": "off",
                "timezone": "'UTC'", "plan_cache_mode": "force_generic_plan"}

    def shut_down(self):
        """Stop the server so that a copy of its data starts without recovery."""
        self.server("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")
        self.started = False


class Counter:
    """Holds the filled cluster, and the processes that work on copies of it."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.contenders = {}
        self.facts = {}
        self.running = []
        self.lock = threading.Lock()

    def prepare(self, sessions):
        """Fill all data sets that the sessions need, then stop the server."""
        for key, dataset, _ in sessions:
            if key not in self.contenders:
                self.contenders[key] = CONTENDERS[key](self.cluster)
                self.contenders[key].install()
            self.facts[key, dataset] = self.contenders[key].prepare(dataset, DATASETS[dataset])
            self.cluster.psql(self.contenders[key].database(dataset), "VACUUM (FREEZE, ANALYZE)")
        self.cluster.shut_down()

    def count(self, sessions, jobs):
        """Run the sessions, some side by side; return the instructions of one execution by contender and series."""
        with ThreadPoolExecutor(jobs) as pool:
            try:
                return {key: value for counts in pool.map(lambda session: self.session(*session), sessions)
                        for key, value in counts.items()}
            finally:
                with self.lock:
                    pool.shutdown(wait=False, cancel_futures=True)
                    for process in self.running:
                        process.terminate()

    def session(self, key, dataset, series):
        """Count all series of one contender on one data set, in one process on its own copy of the data."""
        session = Session(self, key, dataset)
        for one in series:
            session.add(one)
        return session.run()


class Session:
    """The input of a server in single-user mode, and what is read from its output."""

    def __init__(self, counter, key, dataset):
        self.counter = counter
        self.contender = counter.contenders[key]
        self.key, self.dataset = key, dataset
        self.home = counter.cluster.home / f"{key}-{dataset}"
        self.facts = counter.facts[key, dataset]
        self.lines = []
        self.prepared = 0
        self.plan = []
        self.calibrate()

    def say(self, text):
        """A statement; with -j it may have several lines, and ends with a semicolon and an empty line."""
        self.lines.append(text + ";\n\n")

    def calibrate(self):
        """What the marker itself costs, and what it costs to read a statement, by character."""
        values = {**events.variables(), **events.batch_variables()}
        for name in LONG:
            self.say(f"SET bench.{name} = {literal(values[name])}")
        for _ in range(8):
            self.say(MARK)
        self.say(" " * PADDING + MARK)

    def add(self, series):
        """Add a series: what is not counted, then what is, between two marks."""
        side = series.ours if self.key == "sierra" else series.bare
        names = [self.prepare(text) for text in series.statements(side)]
        warm = series.count if series.again else series.warm
        rng = random.Random(series.name)
        runs = [series.values(number, rng, self.facts)
                for number in range(series.count if series.again else warm + series.count)]
        if series.again:
            runs += runs
        for run in runs[:warm]:
            self.execute(names, run)
        self.say(MARK)
        before = sum(map(len, self.lines))
        for run in runs[warm:]:
            self.execute(names, run)
        self.plan.append((series, sum(map(len, self.lines)) - before))
        self.say(MARK)

    def prepare(self, text):
        """PREPARE as pgbench does: each variable becomes a parameter, whose type the server finds."""
        variables = []

        def parameter(match):
            if match[1] not in variables:
                variables.append(match[1])
            return f"${variables.index(match[1]) + 1}"

        text = re.sub(r"(?<!:):([a-z_]+)", parameter, text)
        self.prepared += 1
        name = f"s{self.prepared}"
        self.say(f"PREPARE {name} AS {text}")
        return name, variables

    def execute(self, names, run):
        """EXECUTE each statement once."""
        values = {**events.variables(), **self.facts, **run}
        for name, variables in names:
            arguments = [f"current_setting('bench.{variable}')::{LONG[variable]}" if variable in LONG
                         else literal(values[variable]) for variable in variables]
            self.say(f"EXECUTE {name}({', '.join(arguments)})" if arguments else f"EXECUTE {name}")

    def run(self):
        """Run the server; return the instructions of one execution of each series."""
        self.say(f"SELECT count(*) AS stored FROM {self.contender.table(self.dataset)}")
        cluster = self.counter.cluster
        shutil.copytree(cluster.data, self.home / "data", symlinks=True)
        (self.home / "input.sql").write_text("".join(self.lines), encoding="utf-8")
        if cluster.as_server:
            for path in (self.home, *self.home.rglob("*")):
                shutil.chown(path, "postgres")
        try:
            output = self.callgrind(cluster)
            self.check(output)
            return self.counts()
        finally:
            shutil.rmtree(self.home / "data", ignore_errors=True)

    def callgrind(self, cluster):
        """Run postgres --single; return what it printed."""
        options = [f"-c{name}={value}" for name, value in self.contender.options(self.dataset).items()]
        command = [*cluster.as_server, "valgrind", "--tool=callgrind", f"--dump-before={MARKER}",
                   f"--callgrind-out-file={self.home}/counts", f"--log-file={self.home}/valgrind.log",
                   str(cluster.bindir / "postgres"), "--single", "-j", *options, "-D", str(self.home / "data"),
                   self.contender.database(self.dataset)]
        with open(self.home / "input.sql", "rb") as lines, open(self.home / "output", "wb") as output, \
                open(self.home / "server.log", "wb") as log:
            with self.counter.lock:
                process = subprocess.Popen(command, stdin=lines, stdout=output, stderr=log, cwd=self.home)
                self.counter.running.append(process)
            status = process.wait()
        log = (self.home / "server.log").read_text(errors="replace")
        if status or re.search(r"\b(WARNING|ERROR|FATAL|PANIC): ", log):
            raise BenchError(f"{self.key}, {self.dataset}: postgres --single ended with status {status}:\n{log}")
        return (self.home / "output").read_text(errors="replace")

    def check(self, output):
        """Every statement must have done what it should."""
        parts = re.split(rf"\b{MARKER} = ", output)[9:]
        for number, (series, _) in enumerate(self.plan):
            found = re.findall(r'\bcount = "(\d+)"', parts[2 * number + 1])
            wanted = series.returns or (series.appends if series.appends > 1 and self.key == "sierra" else None)
            if wanted and found != [str(wanted)] * series.count:
                raise BenchError(f"{self.key}, {series.name}: returned {sorted(set(found))} {len(found)} times, "
                                 f"not {wanted} {series.count} times")
        added = sum(series.appends * (series.count + series.warm) for series, _ in self.plan)
        stored = re.findall(r'\bstored = "(\d+)"', output)
        if stored != [str(self.contender.stored[self.dataset] + added)]:
            raise BenchError(f"{self.key}, {self.dataset}: {stored} events are stored, not "
                             f"{self.contender.stored[self.dataset]} and {added}")

    def counts(self):
        """The dumps, in order: eight marks, one with padding, then two for each series."""
        totals = []
        for number in range(1, 10 + 2 * len(self.plan)):
            path = self.home / f"counts.{number}"
            found = path.exists() and re.search(r"^totals: (\d+)", path.read_text(), re.M)
            if not found:
                raise BenchError(f"callgrind did not notice call {number} of {MARKER}()")
            totals.append(int(found[1]))
        mark, padded = totals[7], totals[8]
        character = (padded - mark) / PADDING
        return {(self.key, series.name): (totals[10 + 2 * number] - mark - length * character) / series.count
                for number, (series, length) in enumerate(self.plan)}


def literal(value):
    """A string constant."""
    return "'" + str(value).replace("'", "''") + "'"


def sessions_of(operations):
    """Contender, data set and series of each session that the operations need; the longest first."""
    sessions = {}
    for series in operations:
        if isinstance(series, Series):
            for side in (series.ours, series.bare):
                sessions.setdefault((side.contender, series.dataset), []).append(series)
    # Reads come first: appends change what they would find.
    plan = [(*key, sorted(group, key=lambda one: one.appends)) for key, group in sessions.items()]
    order = [("sierra", "read"), ("sierra", "short"), ("bare", "short")]
    return sorted(plan, key=lambda one: order.index(one[:2]) if one[:2] in order else len(order))


def measure(operations, options):
    """Count everything in a cluster of its own; return for each operation the counts of ours and of bare."""
    if not shutil.which("valgrind"):
        raise BenchError("valgrind is not installed")
    cluster = QuietCluster(options.dir)
    try:
        cluster.start()
        counter = Counter(cluster)
        sessions = sessions_of(operations)
        counter.prepare(sessions)
        counts = counter.count(sessions, options.jobs or os.cpu_count() or 1)
        return {one.name: pair(one, operations, counts) for one in operations}
    finally:
        cluster.stop(options.keep)


def pair(operation, operations, counts):
    """Instructions of ours and of bare for one execution, or for one step."""
    if isinstance(operation, Difference):
        named = {one.name: one for one in operations}
        more, less = (pair(named[name], operations, counts) for name in (operation.more, operation.less))
        return [round((a - b) / operation.steps) for a, b in zip(more, less)]
    return [round(counts[side.contender, operation.name]) for side in (operation.ours, operation.bare)]
