"""What the library's suites do not ask for."""

from __future__ import annotations

import os
import unittest
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from uuid import UUID, uuid4

from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking

from eventsourcing_sierra_es import SierraApplicationRecorder, recorders
from eventsourcing_sierra_es.compat import EVENTSOURCING_10, OperationalError, ProgrammingError
from eventsourcing_sierra_es.datastore import is_pooled

from .support import StoreTestCase, connect, in_store

if TYPE_CHECKING:
    from collections.abc import Iterator


def new_id() -> Any:
    return str(uuid4()) if EVENTSOURCING_10 else uuid4()


def event(originator: Any, version: int, state: bytes = b"{}", topic: str = "Done") -> StoredEvent:
    return StoredEvent(
        originator_id=originator, originator_version=version, topic=topic, state=state
    )


def events(originator: Any, *versions: int) -> list[StoredEvent]:
    return [event(originator, version) for version in versions]


def versions(found: Any) -> list[int]:
    return [each.originator_version for each in found]


class TestRecorder(StoreTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.recorder = self.new_factory().application_recorder()

    def another(self) -> SierraApplicationRecorder:
        """A recorder that has not seen anything yet, as in another process."""
        return SierraApplicationRecorder(self.recorder.datastore)

    def test_first_versions(self) -> None:
        """Streams that begin with 0, 1, and other numbers, written and read by two processes."""
        first, second = self.recorder, self.another()
        for begin in (0, 1, 2, 7, -3):
            originator = new_id()
            first.insert_events(events(originator, begin))
            second.insert_events(events(originator, begin + 1, begin + 2))
            first.insert_events(events(originator, begin + 3))
            for recorder in first, second, self.another():
                all_versions = list(range(begin, begin + 4))
                self.assertEqual(all_versions, versions(recorder.select_events(originator)))
                self.assertEqual(
                    all_versions[2:3],
                    versions(self.another().select_events(originator, gt=begin + 1, lte=begin + 2)),
                )
                for wrong in (begin - 1, begin, begin + 1, begin + 3, begin + 5):
                    with self.assertRaises(IntegrityError):
                        recorder.insert_events(events(originator, wrong))
                    with self.assertRaises(IntegrityError):
                        self.another().insert_events(events(originator, wrong))
            found = first.select_notifications(None, 1000)
            self.assertEqual(
                all_versions, [n.originator_version for n in found if n.originator_id == originator]
            )

    def test_bounds(self) -> None:
        originator = new_id()
        self.recorder.insert_events(events(originator, 0, 1, 2))
        for gt, lte, expected in [
            (None, -1, []),
            (-5, None, [0, 1, 2]),
            (2, None, []),
            (0, 0, []),
            (0, 1, [1]),
            (None, 99, [0, 1, 2]),
        ]:
            found = self.recorder.select_events(originator, gt=gt, lte=lte)
            self.assertEqual(expected, versions(found))
        self.assertEqual([], self.another().select_events(new_id(), gt=0))

    def test_gaps_are_refused(self) -> None:
        originator = new_id()
        with self.assertRaises(IntegrityError):
            self.recorder.insert_events(events(originator, 1, 3))
        self.recorder.insert_events(events(originator, 1))
        with self.assertRaises(IntegrityError):
            self.recorder.insert_events(events(originator, 3))

    def test_several_aggregates(self) -> None:
        """All or nothing, with events of aggregates in any order."""
        one, two, three = new_id(), new_id(), new_id()
        self.recorder.insert_events([event(one, 1), event(two, 0), event(one, 2), event(two, 1)])
        with self.assertRaises(IntegrityError):
            self.another().insert_events([event(three, 1), event(two, 2), event(one, 2)])
        self.assertEqual([], self.recorder.select_events(three))
        self.another().insert_events([event(three, 1), event(two, 2), event(one, 3)])
        found = self.recorder.select_notifications(None, 10)
        self.assertEqual([1, 2, 3, 4, 5, 6, 7], [n.id for n in found])
        self.assertEqual(
            [(one, 1), (two, 0), (one, 2), (two, 1), (three, 1), (two, 2), (one, 3)],
            [(n.originator_id, n.originator_version) for n in found],
        )

    def test_states(self) -> None:
        """A state comes back byte for byte; SQL sees JSON as such."""
        states = [
            b'{"a":  1,\n "b": "\\u0000 \\ud800 \xc3\xa4"}',
            b"[1.10, 1e400]",
            b'{"n": NaN}',
            b'{"a": 1',
            b"{\xff}",
            b"[" * 100_000 + b"]" * 100_000,
            b"\x00\x01",
            b"",
            b'"text"',
        ]
        originator = new_id()
        for version, state in enumerate(states):
            self.recorder.insert_events([event(originator, version, state)])
        more = [event(originator, len(states) + n, state) for n, state in enumerate(states)]
        self.recorder.insert_events(more)
        found = self.recorder.select_events(originator)
        self.assertEqual(states * 2, [each.state for each in found])
        kinds = in_store("SELECT payload IS NOT NULL FROM escan(%s)", str(originator))
        self.assertEqual([(n in (0, 1),) for n in range(len(states))] * 2, kinds)

    def test_text_ids(self) -> None:
        recorder = self.new_factory(ORIGINATOR_ID_TYPE="text").application_recorder()
        recorder.insert_events([event("dog-\u00e4 \"1\"", 1), event("dog-2", 1)])
        found = recorder.select_notifications(None, 10)
        self.assertEqual(["dog-\u00e4 \"1\"", "dog-2"], [n.originator_id for n in found])
        self.assertEqual([1], versions(recorder.select_events("dog-\u00e4 \"1\"")))

    def test_repeated_after_lost_answer(self) -> None:
        """The answer to a commit is lost: the call is repeated, and its events are there once."""
        one, two = new_id(), new_id()
        for batch in ([event(one, 1)], [event(one, 2), event(two, 0)], [event(two, 1)]):
            with lost_answer():
                self.recorder.insert_events(batch)
        found = self.recorder.select_notifications(None, 10)
        self.assertEqual([1, 2, 3, 4], [n.id for n in found])

    def test_ids_after_lost_answer(self) -> None:
        originator = new_id()
        self.recorder.insert_events(events(originator, 1))
        with lost_answer():
            inserted = self.recorder.insert_events(events(originator, 2, 3, 4))
        self.assertEqual(4 if EVENTSOURCING_10 else [2, 3, 4], inserted)

    def test_conflict_after_lost_answer(self) -> None:
        """If the first attempt was not committed, the second one is refused as any other."""
        originator = new_id()
        self.recorder.insert_events(events(originator, 1))
        with lost_answer(before=True), self.assertRaises(IntegrityError):
            self.recorder.insert_events(events(originator, 1))

    def test_horizon(self) -> None:
        """Notifications are never skipped: a reader stops before an append in flight."""
        self.recorder.insert_events(events(new_id(), 1))
        with connect() as conn:
            conn.execute("BEGIN")
            conn.execute("SELECT set_config('sierra_es.store', %s, true)", [self.store])
            conn.execute("SELECT eappend('other', 'Other')")
            with ThreadPoolExecutor(1) as executor:
                inserting = executor.submit(
                    lambda: [self.recorder.insert_events(events(new_id(), 1)) for _ in range(50)]
                )
                self.assertEqual([1], [n.id for n in self.recorder.select_notifications(None, 99)])
                self.assertEqual(1, self.recorder.max_notification_id())
                conn.execute("ROLLBACK")
                inserting.result()
        found = [n.id for n in self.recorder.select_notifications(None, 99)]
        self.assertEqual([1, *range(3, 53)], found)
        self.assertEqual(52, self.recorder.max_notification_id())

    def test_subscription(self) -> None:
        """A subscription is idle, not busy, behind a position that nobody uses any more."""
        with connect() as conn:
            conn.execute("BEGIN")
            conn.execute("SELECT set_config('sierra_es.store', %s, true)", [self.store])
            conn.execute("SELECT eappend('other', 'Other')")
            conn.execute("ROLLBACK")
        reads = 0
        select = self.recorder.select_notifications

        def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal reads
            reads += 1
            return select(*args, **kwargs)

        with (
            patch.object(self.recorder, "select_notifications", counting),
            self.recorder.subscribe(gt=None, topics=["Wanted"]) as subscription,
        ):
            Event().wait(0.5)
            self.assertLess(reads, 5)
            self.recorder.insert_events([event(new_id(), 1)])
            self.recorder.insert_events([event(new_id(), 1, topic="Wanted")])
            self.assertEqual(3, next(subscription).id)

    def test_too_many_wait(self) -> None:
        """Subscriptions look now and then if the server has no place to wait for them."""
        self.check_subscription("53400")

    def test_default_isolation(self) -> None:
        """So they do if each transaction has one snapshot."""
        self.check_subscription("25001")

    def check_subscription(self, sqlstate: str) -> None:
        refuse = f"SELECT sierra_test_refuse('{sqlstate}', %s, %s)"
        with connect() as conn:
            conn.execute(
                "CREATE OR REPLACE FUNCTION sierra_test_refuse(text, bigint, text) RETURNS boolean"
                " LANGUAGE plpgsql AS $$BEGIN RAISE 'no' USING ERRCODE = $1; END$$"
            )
        with (
            patch.object(recorders, "WAIT_FOR_POSITION", refuse),
            self.recorder.subscribe() as subscription,
        ):
            for expected in 1, 2:
                self.recorder.insert_events(events(new_id(), 1))
                self.assertEqual(expected, next(subscription).id)

    def test_many_subscriptions(self) -> None:
        """Small pools serve more subscriptions than they have connections."""
        recorder = self.new_factory(
            POSTGRES_POOL_SIZE="1", POSTGRES_MAX_OVERFLOW="0"
        ).application_recorder()
        found: list[int] = []

        def follow() -> None:
            with recorder.subscribe() as subscription:
                found.append(next(subscription).id)

        threads = [Thread(target=follow) for _ in range(4)]
        for thread in threads:
            thread.start()
        recorder.insert_events(events(new_id(), 1))
        for thread in threads:
            thread.join()
        self.assertEqual([1, 1, 1, 1], found)

    def test_process_recorder(self) -> None:
        """Tracking records and events are in one transaction, also when it is repeated."""
        recorder = self.new_factory().process_recorder()
        originator = new_id()
        recorder.insert_events(events(originator, 0), tracking=Tracking("upstream", 1))
        with self.assertRaises(IntegrityError):
            recorder.insert_events(events(originator, 0), tracking=Tracking("upstream", 2))
        self.assertEqual(1, recorder.max_tracking_id("upstream"))
        with self.assertRaises(IntegrityError):
            recorder.insert_events(events(originator, 1), tracking=Tracking("upstream", 1))
        self.assertEqual([0], versions(recorder.select_events(originator)))
        # Its first version is not known to this one.
        another = self.new_factory().process_recorder()
        another.insert_events(events(originator, 1), tracking=Tracking("upstream", 2))
        with lost_answer():
            recorder.insert_events(events(originator, 2, 3), tracking=Tracking("upstream", 3))
        self.assertEqual([0, 1, 2, 3], versions(recorder.select_events(originator)))
        self.assertEqual(3, recorder.max_tracking_id("upstream"))

    def test_two_stores(self) -> None:
        """Two applications with one pooler, or one server, do not see each other's events."""
        other = self.new_factory(SIERRA_ES_STORE=f"{self.store}_2").application_recorder()
        originator = new_id()

        def insert(recorder: SierraApplicationRecorder, topic: str) -> None:
            for version in range(1, 21):
                recorder.insert_events([event(originator, version, topic=topic)])
                recorder.max_notification_id()

        with ThreadPoolExecutor(2) as executor:
            list(executor.map(insert, [self.recorder, other], ["one", "two"]))
        for recorder, topic in (self.recorder, "one"), (other, "two"):
            found = recorder.select_notifications(None, 99)
            self.assertEqual(list(range(1, 21)), versions(found))
            self.assertEqual({topic}, {n.topic for n in found})

    def test_pooler_is_recognised(self) -> None:
        with self.recorder.datastore.get_connection() as conn:
            self.assertEqual("SIERRA_TEST_PORT" in os.environ, is_pooled(conn))

    def test_settings(self) -> None:
        recorder = self.new_factory(POSTGRES_LOCK_TIMEOUT="1").application_recorder()
        originator = new_id()
        recorder.insert_events(events(originator, 1))
        with connect() as conn:
            conn.execute("BEGIN")
            conn.execute("SELECT set_config('sierra_es.store', %s, true)", [self.store])
            conn.execute("SELECT eappend(%s, 'Other')", [str(originator)])
            with patch("eventsourcing.utils.sleep", lambda _: conn.execute("ROLLBACK")):
                recorder.insert_events(events(originator, 2))
        self.assertEqual([1, 2], versions(recorder.select_events(originator)))
        with self.assertRaises(OSError):
            self.new_factory(SIERRA_ES_PARTITIONS="many")

    def test_store_is_made_once(self) -> None:
        name = f"{self.store}_3"
        factories = [self.new_factory(SIERRA_ES_STORE=name) for _ in range(6)]
        with ThreadPoolExecutor(6) as executor:
            list(executor.map(lambda factory: factory.application_recorder(), factories))
        factories[0].application_recorder().insert_events(events(new_id(), 1))

    def test_extension_is_missing(self) -> None:
        name = f"{self.store}_db"
        with connect() as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            factory = self.new_factory(
                POSTGRES_DBNAME=name,
                POSTGRES_HOST=os.environ.get("SIERRA_TEST_HOST", os.environ["POSTGRES_HOST"]),
                POSTGRES_PORT=os.environ.get("SIERRA_TEST_PORT", os.environ["POSTGRES_PORT"]),
                POSTGRES_SCHEMA="public",
            )
            with self.assertRaisesRegex(ProgrammingError, "CREATE EXTENSION sierra_es"):
                factory.application_recorder()
            factory.close()
        finally:
            with connect() as conn:
                conn.execute(f"DROP DATABASE {name} WITH (FORCE)")

    @unittest.skipUnless(EVENTSOURCING_10, "events of 9.5 have neither an id nor metadata")
    def test_ids_and_metadata(self) -> None:
        originator = new_id()
        made = [
            replace(event(originator, 0), uuid=uuid4(), metadata={"causation_id": "\u00e4"}),
            replace(event(originator, 1), uuid=uuid4()),
        ]
        self.recorder.insert_events(made)
        self.assertEqual(made, self.recorder.select_events(originator))
        rows = in_store("SELECT metadata ->> 'causation_id' FROM eget(%s)", made[0].uuid)
        self.assertEqual([("\u00e4",)], rows)
        # The same call again is recognised, another one with an id of it is not.
        self.recorder.insert_events(made)
        with self.assertRaises(IntegrityError):
            self.recorder.insert_events([replace(event(new_id(), 0), uuid=made[0].uuid)])
        with self.assertRaises(ProgrammingError):
            self.recorder.insert_events(
                [replace(event(new_id(), 0), metadata={"eventsourcing_x": "1"})]
            )


@contextmanager
def lost_answer(*, before: bool = False) -> Iterator[None]:
    """The connection breaks once: after the commit of the next append, or before the append."""
    done = False
    append = recorders.append

    def lose() -> None:
        nonlocal done
        done = True
        raise OperationalError("the connection is lost")

    def appending(*args: Any) -> Any:
        if not done and before:
            lose()
        return append(*args)

    real = SierraApplicationRecorder._append_in_transaction
    process = recorders.SierraProcessRecorder._append_in_transaction

    def losing(method: Any) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = method(self, *args, **kwargs)
            if not done and not before:
                lose()
            return result

        return call

    with (
        patch.object(recorders, "append", appending),
        patch.object(SierraApplicationRecorder, "_append_in_transaction", losing(real)),
        patch.object(recorders.SierraProcessRecorder, "_append_in_transaction", losing(process)),
    ):
        yield
    assert done


if __name__ == "__main__":
    unittest.main()
