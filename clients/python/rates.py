#!/usr/bin/env python3
"""Compares rates with those of the library's own PostgreSQL module, on the same server.

usage: rates.py [--rounds N] [--seconds S] [--partitions N]

The server is named by POSTGRES_DBNAME, POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USER and
POSTGRES_PASSWORD; the user is a superuser.  The script works in a database of its own, which
it drops at the end.

Both modules take turns, for a short time each, in many rounds.  What counts is the ratio: the
median of the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
from eventsourcing.dcb import postgres_tt
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment

from eventsourcing_sierra_es import SierraDCBFactory, SierraFactory
from eventsourcing_sierra_es.compat import (
    EVENTSOURCING_10,
    DcbAppendCondition,
    DcbQuery,
    PostgresTTDcbFactory,
    dcb_event,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DcbQueryItem = postgres_tt.DcbQueryItem if EVENTSOURCING_10 else postgres_tt.DCBQueryItem

STATE = b'{"timestamp":{"_type_":"datetime_iso","_data_":"2026-01-01T00:00:00+00:00"},"name":"Fido"}'
DATABASE = "sierra_es_rates"


def connect(database: str) -> psycopg.Connection[tuple[Any, ...]]:
    env = os.environ
    return psycopg.connect(
        dbname=database,
        host=env["POSTGRES_HOST"],
        port=env["POSTGRES_PORT"],
        user=env["POSTGRES_USER"],
        password=env["POSTGRES_PASSWORD"],
        autocommit=True,
    )


def new_event(originator_id: Any, version: int) -> StoredEvent:
    event = StoredEvent(
        originator_id=originator_id,
        originator_version=version,
        topic="school:Registered",
        state=STATE,
    )
    return replace(event, uuid=uuid4()) if EVENTSOURCING_10 else event


class Saves:
    """Events of new aggregates, each call with `count` of them."""

    def __init__(self, recorder: Any, count: int) -> None:
        self.recorder = recorder
        self.count = count

    def step(self) -> int:
        originator_id: Any = str(uuid4()) if EVENTSOURCING_10 else uuid4()
        self.recorder.insert_events([new_event(originator_id, n + 1) for n in range(self.count)])
        return self.count


class Notifications:
    """Pages of the notification log, as subscriptions read them; again from the beginning."""

    def __init__(self, recorder: Any) -> None:
        self.recorder = recorder
        self.start: int | None = None

    def step(self) -> int:
        found = self.recorder.select_notifications(self.start, 500, inclusive_of_start=False)
        self.start = found[-1].id if len(found) == 500 else None
        return len(found)


class Appends:
    """Each thread appends events with tags of its own, under a condition on them."""

    def __init__(self, recorder: Any) -> None:
        self.recorder = recorder

    def step(self) -> int:
        tag = f"student:{uuid4()}"
        query = DcbQuery(items=[DcbQueryItem(types=["Registered"], tags=[tag])])
        event = dcb_event("Registered", STATE, [tag, "school"], uuid4(), {})
        self.recorder.append([event], DcbAppendCondition(fail_if_events_match=query))
        return 1


def rate(step: Callable[[], int], seconds: float, threads: int) -> float:
    """How many a second."""
    begin = time.perf_counter()
    end = begin + seconds

    def work() -> int:
        count = 0
        while time.perf_counter() < end:
            count += step()
        return count

    if threads == 1:
        count = work()
    else:
        with ThreadPoolExecutor(threads) as executor:
            count = sum(future.result() for future in [executor.submit(work) for _ in range(threads)])
    return count / (time.perf_counter() - begin)


def compare(name: str, own: Any, ours: Any, threads: int, rounds: int, seconds: float) -> float:
    """Prints a row; returns the ratio."""
    sides = [own.step, ours.step]
    for step in sides:
        rate(step, seconds / 4, threads)
    rates: list[tuple[float, float]] = []
    for turn in range(rounds):
        order = (0, 1) if turn % 2 == 0 else (1, 0)
        measured = {side: rate(sides[side], seconds, threads) for side in order}
        rates.append((measured[0], measured[1]))
    ratios = sorted(ours_rate / own_rate for own_rate, ours_rate in rates)
    ratio = statistics.median(ratios)
    print(
        f"{name:32}"
        f" {statistics.median(r[0] for r in rates):12,.0f}"
        f" {statistics.median(r[1] for r in rates):12,.0f}"
        f" {ratio:8.2f}   {ratios[0]:.2f} to {ratios[-1]:.2f}",
        flush=True,
    )
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--partitions", type=int, default=32)
    options = parser.parse_args()
    env = Environment(
        "rates",
        {
            **os.environ,
            "POSTGRES_DBNAME": DATABASE,
            "SIERRA_ES_PARTITIONS": str(options.partitions),
            "POSTGRES_POOL_SIZE": "8",
        },
    )
    drop_database()
    with connect(os.environ["POSTGRES_DBNAME"]) as conn:
        conn.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8'")
    with connect(DATABASE) as conn:
        conn.execute("CREATE EXTENSION sierra_es")
    factories = [
        PostgresFactory(env),
        SierraFactory(env),
        PostgresTTDcbFactory(env),
        SierraDCBFactory(env),
    ]
    try:
        own, ours = factories[0].application_recorder(), factories[1].application_recorder()
        own_dcb, our_dcb = factories[2].dcb_recorder(), factories[3].dcb_recorder()
        print(f"{'':32} {'postgres':>12} {'sierra_es':>12} {'ratio':>8}   rounds", flush=True)
        arguments = (options.rounds, options.seconds)
        compare("saves of 1 event, events/s", Saves(own, 1), Saves(ours, 1), 1, *arguments)
        compare("saves of 50 events, events/s", Saves(own, 50), Saves(ours, 50), 1, *arguments)
        compare("notifications read/s", Notifications(own), Notifications(ours), 1, *arguments)
        compare("DCB appends, 1 thread", Appends(own_dcb), Appends(our_dcb), 1, *arguments)
        compare("DCB appends, 8 threads", Appends(own_dcb), Appends(our_dcb), 8, *arguments)
    finally:
        for factory in factories:
            factory.close()
        drop_database()


def drop_database() -> None:
    with connect(os.environ["POSTGRES_DBNAME"]) as conn:
        conn.execute("SET client_min_messages = warning")
        conn.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


if __name__ == "__main__":
    main()
