"""The library's suites for projections, with a view that counts in a table."""

from __future__ import annotations

import unittest
from typing import Any, ClassVar

from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.tests import projection
from eventsourcing.utils import get_topic
from psycopg.sql import SQL, Identifier

from eventsourcing_sierra_es.compat import EVENTSOURCING_10

from .support import StoreTestCase


class Counters(PostgresTrackingRecorder):
    """Counters that change in the transaction of the tracking record."""

    def __init__(self, datastore: PostgresDatastore, **kwargs: Any) -> None:
        super().__init__(datastore, **kwargs)
        self.table = Identifier(datastore.schema, self.tracking_table_name + "_counters")
        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS {} (name text PRIMARY KEY, count bigint)").format(
                self.table
            )
        )

    def increment(self, name: str, tracking: Tracking) -> None:
        statement = SQL(
            "INSERT INTO {} AS c VALUES (%s, 1) ON CONFLICT (name) DO UPDATE SET count = c.count + 1"
        ).format(self.table)
        with self.datastore.transaction(commit=True) as curs:
            self._insert_tracking(curs, tracking)
            curs.execute(statement, [name], prepare=True)

    def count(self, name: str) -> int:
        statement = SQL("SELECT count FROM {} WHERE name = %s").format(self.table)
        with self.datastore.cursor() as curs:
            row = curs.execute(statement, [name]).fetchone()
            return 0 if row is None else row["count"]


if EVENTSOURCING_10:

    class View(Counters, projection.StudentAnalyticsView):
        def incr_student_registered_counter(self, tracking: Tracking) -> None:
            self.increment("registered", tracking)

        def incr_student_name_changed_counter(self, tracking: Tracking) -> None:
            self.increment("changed", tracking)

        def get_student_registered_counter(self) -> int:
            return self.count("registered")

        def get_student_name_changed_counter(self) -> int:
            return self.count("changed")

    ViewTestCase = projection.StudentAnalyticsViewTestCase
    AggregatesTestCase = projection.AggregateEventProjectionTestCase
    TaggedTestCase = projection.TaggedEventProjectionTestCase
    TAGGED_ENV: dict[str, str] = {}
else:
    from eventsourcing.dcb.msgpack import MessagePackMapper

    class View(Counters, projection.EventCountersView):
        def incr_created_event_counter(self, tracking: Tracking) -> None:
            self.increment("created", tracking)

        def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
            self.increment("subsequent", tracking)

        def get_created_event_counter(self) -> int:
            return self.count("created")

        def get_subsequent_event_counter(self) -> int:
            return self.count("subsequent")

    ViewTestCase = projection.EventCountersViewTestCase
    AggregatesTestCase = projection.AggregateEventCountersProjectionTestCase
    TaggedTestCase = projection.TaggedDecisionCountersProjectionTestCase
    TAGGED_ENV = {"MAPPER_TOPIC": get_topic(MessagePackMapper)}


class TestView(StoreTestCase, ViewTestCase):
    def construct_event_counters_view(self) -> View:
        return self.new_factory().tracking_recorder(View)


class TestProjection(StoreTestCase, AggregatesTestCase):
    view_class = View


class TestTaggedProjection(StoreTestCase, TaggedTestCase):
    view_class = View

    def setUp(self) -> None:
        super().setUp()
        self.env.update(TAGGED_ENV)


class TestEventSourcedProjection(StoreTestCase, projection.EventSourcedProjectionTestCase):
    """Two applications: each has a store of its own."""

    def setUp(self) -> None:
        super().setUp()
        downstream = "CounterAggregatesApplication" if EVENTSOURCING_10 else "Counters"
        self.env[f"{downstream.upper()}_SIERRA_ES_STORE"] = f"{self.store}_2"


del ViewTestCase, AggregatesTestCase, TaggedTestCase


if __name__ == "__main__":
    unittest.main()
