"""Timers: how fast many that are due get through, by run_timers() and by a client."""

import time
from dataclasses import dataclass

from . import events
from .cluster import BenchError
from .libpq import Session
from .loads import Sample

TIMERS = 10_000


@dataclass(frozen=True)
class Timers:
    """Schedules timers that are due, then has their events appended, again and again. Events per second.

    drain: takes a session, returns how many events it appended; only its time counts.
    """

    contender: str
    label: str
    drain: object
    dataset: str
    appends: bool = True
    returns: int = 0

    def run(self, contender, dataset, facts, setting):
        """Every timer of every pass must have led to one event."""
        options = {**contender.options(dataset), "synchronous_commit": setting.sync}
        session = Session(contender.cluster.environment(contender.database(dataset), options))
        passes, elapsed = 0, 0
        while not passes or elapsed < setting.seconds:
            session.query(f"""SELECT count(eschedule(now() - interval '1 day', 'order-' || n % {facts["streams"]},
                'OrderItemAdded', $1, $2)) FROM generate_series(1, {TIMERS}) AS n""", *payload_and_metadata())
            start = time.monotonic()
            appended = self.drain(session, dataset)
            elapsed += time.monotonic() - start
            if appended != TIMERS:
                raise BenchError(f"{self.label}: {appended} of {TIMERS} events")
            passes += 1
        session.close()
        return Sample(TIMERS * passes / elapsed, TIMERS * passes)


def payload_and_metadata():
    """The event of all rows."""
    values = events.variables()
    return values["payload"], values["metadata"]


def run_timers(session, dataset):
    """Calls run_timers() until nothing is due."""
    appended = 0
    while done := int(session.query("SELECT run_timers()").value(0, 0)):
        appended += done
    return appended


def one_by_one(session, dataset):
    """What a client would do: read a page of what is due, append and delete each in a transaction."""
    appended = 0
    while len(rows := session.query(f"""SELECT timer_id, stream_id, event_name, payload, metadata
            FROM "{dataset}".timers WHERE due_at <= now() ORDER BY due_at LIMIT 1000""")):
        for row in range(len(rows)):
            values = [rows.value(row, column) for column in range(5)]
            session.query(f"""WITH gone AS (DELETE FROM "{dataset}".timers WHERE timer_id = $1::uuid RETURNING timer_id)
                SELECT stream_version FROM gone, eappend($2, $3, $4, $5, event_id => timer_id)""", *values)
            appended += 1
    return appended
