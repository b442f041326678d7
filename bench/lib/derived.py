"""Timers and sagas: how fast many that are due get through, by run_timers() or run_sagas() and by a client."""

import time
from dataclasses import dataclass

from . import events
from .cluster import BenchError
from .libpq import Session
from .loads import Sample

TIMERS = 10_000
SAGAS = 1_000
STEPS = ("reserve", "charge")


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


@dataclass(frozen=True)
class Sagas:
    """Starts sagas of two steps, then has them taken to their end, again and again. Sagas per second.

    start: takes a session and the data of as many sagas; drain: takes a session, to the end of all. Only the time
    of both counts.
    """

    contender: str
    label: str
    start: object
    drain: object
    dataset: str
    appends: bool = True
    returns: int = 0

    def run(self, contender, dataset, facts, setting):
        """Every saga of every pass must have led to its own events and those of its steps."""
        options = {**contender.options(dataset), "synchronous_commit": setting.sync}
        session = Session(contender.cluster.environment(contender.database(dataset), options))
        passes, elapsed = 0, 0
        while not passes or elapsed < setting.seconds:
            begin = time.monotonic()
            self.start(session, f"""SELECT jsonb_build_object('stream', 'order-' || n % {facts["streams"]}, 'payload', $1::jsonb)
                AS data FROM generate_series(1, {SAGAS}) AS n""", payload_and_metadata()[0])
            self.drain(session)
            elapsed += time.monotonic() - begin
            passes += 1
        session.close()
        # SagaStarted, SagaStepCompleted and the event of an action for each step, SagaCompleted
        return Sample(SAGAS * passes / elapsed, SAGAS * passes * (2 + 2 * len(STEPS)))


def start_sagas(session, data, payload):
    """Starts them in one transaction."""
    session.query(f"SELECT count(start_saga('bench', data)) FROM ({data}) AS d", payload)


def run_sagas(session):
    """Calls run_sagas() until all have ended, also those that runners of the server have in hand."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if int(session.query("SELECT run_sagas(1000)").value(0, 0)):
            continue
        if not int(session.query("SELECT count(*) FROM event_sagas() WHERE status <> 'completed'").value(0, 0)):
            session.query("SELECT forget_sagas(now())")
            return
        time.sleep(0.002)
    raise BenchError("a saga has not ended")


def start_rows(session, data, payload):
    """What a client would keep: a row and a stream for each."""
    session.query(f"""WITH new AS (INSERT INTO bench_sagas SELECT 'saga-' || gen_random_uuid(), 0, 'running', data FROM ({data}) AS d
        RETURNING saga_id, data) SELECT count(e.event_id) FROM new, eappend(saga_id, 'SagaStarted', data::json) AS e""", payload)


def run_rows(session):
    """What a client would do: each step in a transaction, with the row and an event that say so."""
    while len(rows := session.query("SELECT saga_id FROM bench_sagas WHERE status = 'running' LIMIT 1000")):
        for saga_id in rows.column(0):
            for step in STEPS:
                session.query("BEGIN")
                session.query("SELECT step FROM bench_sagas WHERE saga_id = $1 FOR UPDATE", saga_id)
                session.query("SELECT bench_step(data) FROM bench_sagas WHERE saga_id = $1", saga_id)
                session.query("""SELECT stream_version FROM eappend($1, 'SagaStepCompleted',
                    json_build_object('step', $2::text))""", saga_id, step)
                session.query("UPDATE bench_sagas SET step = step + 1 WHERE saga_id = $1", saga_id)
                session.query("COMMIT")
            session.query("""WITH done AS (UPDATE bench_sagas SET status = 'completed' WHERE saga_id = $1 RETURNING saga_id)
                SELECT stream_version FROM done, eappend(saga_id, 'SagaCompleted')""", saga_id)
    session.query("TRUNCATE bench_sagas")
