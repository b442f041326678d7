"""Reading a store that has grown: from its middle by a subscription, and all of it by everify()."""

import time
from dataclasses import dataclass

from .cluster import BenchError
from .libpq import Session
from .loads import Sample

PAGE = 1000
PAGES = 4


@dataclass(frozen=True)
class FromMiddle:
    """A new subscription that starts in the middle reads some full pages, again and again. Events per second."""

    contender: str
    label: str
    dataset: str
    appends: bool = False
    returns: int = 0

    def run(self, contender, dataset, facts, setting):
        """A page with fewer events than asked for is an error: the middle has as many before it as after it."""
        options = {**contender.options(dataset), "synchronous_commit": setting.sync}
        session = Session(contender.cluster.environment(contender.database(dataset), options))
        middle = (int(facts["first_position"]) + int(facts["last_position"])) // 2
        passes = 0
        start = time.monotonic()
        while not passes or time.monotonic() - start < setting.seconds:
            session.query("SELECT esub('bench_middle', start_from => $1)", middle)
            for _ in range(PAGES):
                rows = session.query(f"SELECT * FROM enext('bench_middle', {PAGE})")
                if len(rows) != PAGE:
                    raise BenchError(f"{self.label}: a page of {len(rows)} events")
                session.query("SELECT eack('bench_middle', $1)", rows.value(PAGE - 1, 0))
            session.query("SELECT eunsub('bench_middle')")
            passes += 1
        elapsed = time.monotonic() - start
        session.close()
        return Sample(PAGE * PAGES * passes / elapsed, PAGE * PAGES * passes)


@dataclass(frozen=True)
class Verify:
    """everify() of a whole store, again and again. Events of the store per second."""

    contender: str
    label: str
    dataset: str
    appends: bool = False
    returns: int = 0

    def run(self, contender, dataset, facts, setting):
        """A violation is an error."""
        session = Session(contender.cluster.environment(contender.database(dataset), contender.options(dataset)))
        passes = 0
        start = time.monotonic()
        while not passes or time.monotonic() - start < setting.seconds:
            violations = len(session.query("SELECT * FROM everify()"))
            if violations:
                raise BenchError(f"{self.label}: {violations} violations")
            passes += 1
        elapsed = time.monotonic() - start
        session.close()
        stored = contender.stored[dataset]
        return Sample(stored * passes / elapsed, stored * passes)
