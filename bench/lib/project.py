"""Projections: how fast the events of a store get into read models, by whatever runs them."""

import json
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from .cluster import BenchError
from .events import array
from .libpq import Session
from .loads import Sample

EMMETT = Path(__file__).resolve().parent.parent / "emmett-project.mjs"
PAGE = 1000


@dataclass(frozen=True)
class Projected:
    """A new projection goes through all events of the data set, again and again. Events per second.

    project: takes a session, the environment of a client, and the data set; returns the seconds it took.
    check: a query that returns how many events are in the read model; more or less than there are is an error.
    """

    contender: str
    label: str
    project: object
    check: str
    clear: str
    dataset: str = "projected"
    appends: bool = False
    returns: int = 0
    options: dict = field(default_factory=dict)

    def run(self, contender, dataset, facts, setting):
        """Only whole passes count, and in each of them every event once."""
        options = {**contender.options(dataset), **self.options, "synchronous_commit": setting.sync}
        environment = contender.cluster.environment(contender.database(dataset), options)
        session = Session(environment)
        stored = contender.stored[dataset]
        passes, elapsed = 0, 0
        while not passes or elapsed < setting.seconds:
            for statement in self.clear.split(";"):
                session.query(statement.format(store=dataset))
            elapsed += self.project(session, environment, dataset)
            seen = int(session.query(self.check.format(store=dataset)).value(0, 0))
            if seen != stored:
                raise BenchError(f"{self.label}: {seen} of {stored} events are in the read model")
            passes += 1
        session.close()
        return Sample(stored * passes / elapsed, stored * passes)


# ---------------------------------------------------------------------------
# sierra_es: a projection, run by the server's own processes, or by a session if it has none
# ---------------------------------------------------------------------------


def projection(handler):
    """Makes a projection of the handler, and waits until it has handled everything."""

    def project(session, environment, dataset):
        # Runners exist only with a preloaded library, whatever their number is set to.
        runs_itself = session.query("SELECT current_setting('shared_preload_libraries') ~ 'sierra_es'"
                                    " AND current_setting('sierra_es.max_runners', true) <> '0'").value(0, 0) == "t"
        last = session.query(f'SELECT max(global_position) FROM "{dataset}".events').value(0, 0)
        start = time.monotonic()
        session.query(f"SELECT create_projection('bench', '{handler}', initial => '{{\"events\": 0}}')")
        if runs_itself:
            session.query("SELECT ewait_projection('bench', $1, '10 minutes')", last)
        else:
            while int(session.query("SELECT run_projections(10000)").value(0, 0)):
                pass
        elapsed = time.monotonic() - start
        # Their states go with drop_projection(), so what is counted afterwards is kept.
        session.query(f"""UPDATE bench_seen SET events = coalesce((SELECT sum((s.state->>'events')::bigint)
            FROM "{dataset}".projection_states AS s), 0)""")
        session.query("SELECT drop_projection('bench')")
        return elapsed

    return project


# ---------------------------------------------------------------------------
# A client that does the same, a page in a transaction
# ---------------------------------------------------------------------------


def client(write):
    """Reads pages with enext(), writes what the projection would, and acknowledges, all in one transaction."""

    def project(session, environment, dataset):
        session.query("SELECT esub('bench_client', start_from => 'earliest')")
        last = int(session.query(f'SELECT max(global_position) FROM "{dataset}".events').value(0, 0))
        cursor = -1
        start = time.monotonic()
        while cursor < last:
            session.query("BEGIN")
            page = session.query(f"SELECT global_position, stream_id, payload FROM enext('bench_client', {PAGE})")
            if len(page):
                write(session, [page.column(column) for column in range(3)])
                cursor = int(page.value(len(page) - 1, 0))
                session.query("SELECT eack('bench_client', $1)", cursor)
            session.query("COMMIT")
        elapsed = time.monotonic() - start
        session.query("SELECT eunsub('bench_client')")
        return elapsed

    return project


def fold_page(session, page):
    """Reads the states of all streams of the page at once, folds, and writes them at once."""
    _, streams, payloads = page
    found = session.query("SELECT stream_id, state FROM bench_states WHERE stream_id = ANY ($1::text[])",
                          array(set(streams)))
    states = {found.value(row, 0): json.loads(found.value(row, 1)) for row in range(len(found))}
    for stream, payload in zip(streams, payloads):
        state = states.get(stream, {"events": 0})
        states[stream] = {"events": state["events"] + 1, "last": json.loads(payload)["product"]}
    session.query("""INSERT INTO bench_states SELECT * FROM unnest($1::text[], $2::jsonb[])
        ON CONFLICT (stream_id) DO UPDATE SET state = excluded.state""",
                  array(states), array(map(json.dumps, states.values())))


def insert_each(session, page):
    """A statement for each event."""
    for position, stream, payload in zip(*page):
        session.query("INSERT INTO bench_rows VALUES ($1::bigint, $2, $3::json ->> 'product')",
                      position, stream, payload)


def insert_page(session, page):
    """One statement for the page."""
    session.query("""INSERT INTO bench_rows SELECT p, s, j ->> 'product'
        FROM unnest($1::bigint[], $2::text[], $3::json[]) AS n (p, s, j)""", *map(array, page))


# ---------------------------------------------------------------------------
# Emmett: its own consumer with a projector
# ---------------------------------------------------------------------------


def emmett(kind):
    """Runs a projector until no message is left; the program prints the seconds that its consumer ran."""

    def project(session, environment, dataset):
        done = subprocess.run(["node", str(EMMETT), kind, str(PAGE)], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(f"{EMMETT.name} {kind} failed:\n{done.stdout}{done.stderr}")
        return float(done.stdout)

    return project
