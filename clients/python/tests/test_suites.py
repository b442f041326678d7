"""The suites that the library has for persistence modules."""

from __future__ import annotations

import os
import unittest

from eventsourcing.persistence import AggregateRecorder, ProcessRecorder
from eventsourcing.postgres import PostgresAggregateRecorder, PostgresTrackingRecorder
from eventsourcing.tests import application, persistence

from eventsourcing_sierra_es import (
    SierraApplicationRecorder,
    SierraFactory,
    SierraProcessRecorder,
)

from .support import StoreTestCase

REPEAT = int(os.environ.get("SIERRA_TEST_REPEAT", "3"))


class TestAggregateRecorder(StoreTestCase, persistence.AggregateRecorderTestCase):
    """Snapshots: they are kept by the library's own recorder."""

    def create_recorder(self) -> AggregateRecorder:
        return self.new_factory().aggregate_recorder()


class TestApplicationRecorder(StoreTestCase, persistence.ApplicationRecorderTestCase):
    recorder_supports_idempotent_appends = True

    def create_recorder(self) -> SierraApplicationRecorder:
        return self.new_factory().application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderFromVersion0(TestApplicationRecorder):
    INITIAL_VERSION = 0

    # These write what they write above.
    test_concurrent_no_conflicts = None
    test_concurrent_throughput = None
    test_performance = None


class TestTrackingRecorder(StoreTestCase, persistence.TrackingRecorderTestCase):
    def create_recorder(self) -> PostgresTrackingRecorder:
        return self.new_factory().tracking_recorder()


class TestProcessRecorder(StoreTestCase, persistence.ProcessRecorderTestCase):
    def create_recorder(self) -> ProcessRecorder:
        return self.new_factory().process_recorder()


class TestNonInterleaving(StoreTestCase, persistence.NonInterleavingNotificationIDsBaseCase):
    """Again and again: a race does not show at the first try."""

    def create_recorder(self) -> SierraApplicationRecorder:
        return self.recorder

    def test(self) -> None:
        self.recorder = self.new_factory().application_recorder()
        for _ in range(REPEAT):
            super().test()


class ApplicationRecorderSubclass(SierraApplicationRecorder):
    pass


class TrackingRecorderSubclass(PostgresTrackingRecorder):
    pass


class ProcessRecorderSubclass(SierraProcessRecorder):
    pass


class TestFactory(StoreTestCase, persistence.InfrastructureFactoryTestCase):
    def expected_factory_class(self) -> type[SierraFactory]:
        return SierraFactory

    def expected_aggregate_recorder_class(self) -> type[PostgresAggregateRecorder]:
        return PostgresAggregateRecorder

    def expected_application_recorder_class(self) -> type[SierraApplicationRecorder]:
        return SierraApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[PostgresTrackingRecorder]:
        return PostgresTrackingRecorder

    def expected_process_recorder_class(self) -> type[SierraProcessRecorder]:
        return SierraProcessRecorder

    def application_recorder_subclass(self) -> type[SierraApplicationRecorder]:
        return ApplicationRecorderSubclass

    def tracking_recorder_subclass(self) -> type[PostgresTrackingRecorder]:
        return TrackingRecorderSubclass

    def process_recorder_subclass(self) -> type[SierraProcessRecorder]:
        return ProcessRecorderSubclass


class TestExampleApplication(StoreTestCase, application.ExampleApplicationTestCase):
    expected_factory_topic = "eventsourcing_sierra_es.factory:SierraFactory"


class TestApplication(StoreTestCase, application.ApplicationTestCase):
    pass


if __name__ == "__main__":
    unittest.main()
