"""The library's suite for dynamic consistency boundaries, and what it does not ask for."""

from __future__ import annotations

import os
import unittest
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any
from uuid import uuid4

from eventsourcing.dcb import tests
from eventsourcing.persistence import IntegrityError
from eventsourcing.utils import Environment

from eventsourcing_sierra_es import SierraDCBFactory, SierraDCBRecorder
from eventsourcing_sierra_es.compat import (
    EVENTSOURCING_10,
    DcbAppendCondition,
    DcbEvent,
    DcbQuery,
    dcb_event,
)

from .support import StoreTestCase, connect, in_store

if EVENTSOURCING_10:
    from eventsourcing.dcb.api import DcbQueryItem

    SuiteTestCase = tests.DcbRecorderTestCase
else:
    from eventsourcing.dcb.api import DCBQueryItem as DcbQueryItem

    SuiteTestCase = tests.DCBRecorderTestCase


def event(type_: str, *tags: str, data: bytes = b"") -> DcbEvent:
    return dcb_event(type_, data, list(tags), uuid4(), {})


def tagged(*tags: str, types: Any = ()) -> DcbQuery:
    return DcbQuery(items=[DcbQueryItem(types=list(types), tags=list(tags))])


class DCBTestCase(StoreTestCase):
    def new_recorder(self) -> SierraDCBRecorder:
        factory = SierraDCBFactory(Environment(env=dict(os.environ)))
        self.addCleanup(factory.close)
        recorder = factory.dcb_recorder()
        assert isinstance(recorder, SierraDCBRecorder)
        return recorder


class TestSuite(DCBTestCase, SuiteTestCase):
    def test_append_read(self) -> None:
        self._test_append_read(self.new_recorder())

    def test_append_subscribe(self) -> None:
        self._test_append_subscribe(self.new_recorder())


del SuiteTestCase


class TestDCB(DCBTestCase):
    def test_one_winner(self) -> None:
        """Of many threads that want one seat, one gets it; others do not disturb."""
        recorder = self.new_recorder()

        def enrol(number: int) -> bool:
            course, student = f"course:{number % 3}", f"student:{number}"
            condition = DcbAppendCondition(tagged(course, types=["Enrolled"]))
            try:
                recorder.append([event("Enrolled", course, student)], condition)
            except IntegrityError:
                return False
            return True

        with ThreadPoolExecutor(12) as executor:
            results = list(executor.map(enrol, range(36)))
        self.assertEqual(3, sum(results))
        self.assertEqual(3, len(list(recorder.read())))

    def test_decisions_of_many_threads(self) -> None:
        """Threads read, decide and append; each counts on from what it finds."""
        recorder = self.new_recorder()

        def count_up(number: int) -> None:
            for wanted in range(20):
                tag = f"counter:{number}"
                while True:
                    response = recorder.read(tagged(tag))
                    seen = len(list(response))
                    condition = DcbAppendCondition(tagged(tag), after=response.head)
                    try:
                        recorder.append([event("Counted", tag, data=b"%d" % seen)], condition)
                    except IntegrityError:
                        continue
                    break
                self.assertEqual(wanted, seen)

        with ThreadPoolExecutor(8) as executor:
            list(executor.map(count_up, range(8)))
        self.assertEqual(160, len(list(recorder.read())))

    def test_what_comes_back(self) -> None:
        recorder = self.new_recorder()
        data = [b'{"json": [1,  2]}', b"{ not json", b"\x00\xff", b"", b"[NaN]"]
        events = [event("Stored", "b:1", "a:1", "b:1", data=each) for each in data]
        self.assertEqual(len(events), recorder.append(events))
        recorder.append([event("Untagged", data=b"{}")])
        found = list(recorder.read())
        self.assertEqual([*data, b"{}"], [each.event.data for each in found])
        self.assertEqual(["b:1", "a:1"], found[0].event.tags)
        self.assertEqual([], found[-1].event.tags)
        self.assertEqual([1, 2, 3, 4, 5, 6], [each.position for each in found])
        if EVENTSOURCING_10:
            self.assertEqual(events[0].uuid, found[0].event.uuid)

    def test_types_without_tags(self) -> None:
        """A query that the library's own PostgreSQL module refuses."""
        recorder = self.new_recorder()
        recorder.append([event("A", "x"), event("B", "y"), event("C", "z")])
        query = DcbQuery(items=[DcbQueryItem(types=["A", "B"])])
        self.assertEqual([1, 2], [each.position for each in recorder.read(query)])
        with self.assertRaises(IntegrityError):
            recorder.append([event("D")], DcbAppendCondition(query))
        recorder.append([event("D")], DcbAppendCondition(query, after=2))

    def test_streams(self) -> None:
        """Each event is in the stream of its first tag."""
        recorder = self.new_recorder()
        recorder.append([event("A", "x:1", "y:1"), event("B", "y:1"), event("C")])
        rows = in_store("SELECT stream_id, event_name FROM eall()")
        self.assertEqual([("x:1", "A"), ("y:1", "B"), ("C", "C")], rows)

    def test_read_waits_for_own_event(self) -> None:
        """A read does not miss what its recorder has appended, if others are still appending."""
        recorder = self.new_recorder()
        recorder.append([event("A", "x")])
        partition = (
            "SELECT sierra_partition_id(sierra_stream_key(%s), count(*)::integer)"
            " FROM event_partitions()"
        )
        [(others,)] = in_store(partition, "other")
        tags = [f"tag:{n}" for n in range(20)]
        own = next((tag for tag in tags if in_store(partition, tag) != [(others,)]), None)
        if own is None:
            self.skipTest("the store has one partition")
        with connect() as conn, ThreadPoolExecutor(1) as executor:
            conn.execute("BEGIN")
            conn.execute("SELECT set_config('sierra_es.store', %s, true)", [self.store])
            conn.execute("SELECT eappend('other', 'Other')")
            self.assertEqual(3, recorder.append([event("A", own)]))
            reading = executor.submit(recorder.read)
            sleep(0.1)
            conn.execute("COMMIT")
            self.assertEqual([1, 2, 3], [each.position for each in reading.result()])


if __name__ == "__main__":
    unittest.main()
