"""What the tests share: for each test an empty store, and a schema of its own for tables.

The server is named by POSTGRES_DBNAME, POSTGRES_HOST, POSTGRES_PORT, POSTGRES_USER and
POSTGRES_PASSWORD, the number of partitions by SIERRA_ES_PARTITIONS.
"""

from __future__ import annotations

import atexit
import os
from typing import Any
from unittest import TestCase
from uuid import uuid4

import psycopg
from eventsourcing.utils import Environment

from eventsourcing_sierra_es import SierraDatastore, SierraFactory

PERSISTENCE_MODULE = "eventsourcing_sierra_es"

# One store for all tests of a run: to clear it is faster than to make another one.
STORE = f"t_{uuid4().hex[:12]}_store"


def connect() -> psycopg.Connection[tuple[Any, ...]]:
    """A session of its own, around a pooler if the tests run through one."""
    env = os.environ
    return psycopg.connect(
        dbname=env["POSTGRES_DBNAME"],
        host=env.get("SIERRA_TEST_HOST") or env["POSTGRES_HOST"],
        port=env.get("SIERRA_TEST_PORT") or env["POSTGRES_PORT"],
        user=env["POSTGRES_USER"],
        password=env["POSTGRES_PASSWORD"],
        autocommit=True,
    )


def in_store(statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Rows of a statement that uses the store of the test."""
    with connect() as conn:
        conn.execute("SELECT set_config('sierra_es.store', %s, false)", [os.environ["SIERRA_ES_STORE"]])
        return conn.execute(statement, arguments).fetchall()


def stores_of_tests() -> list[str]:
    with connect() as conn:
        rows = conn.execute(
            "SELECT store FROM event_stores() WHERE starts_with(store, %s)", [STORE]
        ).fetchall()
        return [store for (store,) in rows]


@atexit.register
def drop_stores() -> None:
    with connect() as conn:
        for store in stores_of_tests():
            conn.execute("SELECT drop_event_store(%s, true)", [store])


class StoreTestCase(TestCase):
    """Each test gets an empty store; at its end everify() must find nothing."""

    def setUp(self) -> None:
        self.schema = os.environ["POSTGRES_SCHEMA"] = f"t_{uuid4().hex[:12]}"
        self.store = os.environ["SIERRA_ES_STORE"] = STORE
        os.environ["PERSISTENCE_MODULE"] = PERSISTENCE_MODULE
        self.env = Environment(env=dict(os.environ))
        self.factories: list[SierraFactory] = []
        with connect() as conn:
            conn.execute(f"CREATE SCHEMA {self.schema}")
        super().setUp()

    def tearDown(self) -> None:
        super().tearDown()
        for factory in self.factories:
            factory.close()
        problems = []
        with connect() as conn:
            for store in stores_of_tests():
                problems += conn.execute("SELECT * FROM everify(%s)", [store]).fetchall()
                end = "clear_event_store" if store == STORE else "drop_event_store"
                conn.execute(f"SELECT {end}(%s, true)", [store])
            conn.execute(f"DROP SCHEMA {self.schema} CASCADE")
        self.assertEqual([], problems)
        for variable in "POSTGRES_SCHEMA", "SIERRA_ES_STORE", "PERSISTENCE_MODULE":
            os.environ.pop(variable, None)

    def new_factory(self, **variables: str) -> SierraFactory:
        env = {"POSTGRES_POOL_SIZE": "1", **os.environ, **variables}
        factory = SierraFactory(Environment(env=env))
        self.factories.append(factory)
        return factory

    def new_datastore(self) -> SierraDatastore:
        return self.new_factory().datastore
