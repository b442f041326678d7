"""The connections of an application, and the store that their statements use."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import psycopg
from eventsourcing.persistence import IntegrityError
from eventsourcing.postgres import PostgresDatastore
from psycopg.rows import tuple_row

from .compat import ProgrammingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from psycopg import Connection, Cursor
    from psycopg.rows import DictRow, TupleRow

SET_FOR_SESSION = "SELECT set_config('sierra_es.store', %s, false), set_config('lock_timeout', %s, false)"
SET_FOR_TRANSACTION = "SELECT set_config('sierra_es.store', %s, true), set_config('lock_timeout', %s, true)"

STORE_EXISTS = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE n.nspname = %s AND c.relname = 'events')"
)

# SQLSTATEs of an append that is refused: another version, an event id that is in use,
# a condition that is not met.
REFUSALS = ("SE001", "SE003", "SE009")


class SierraDatastore(PostgresDatastore):
    """A pool of connections to one store.

    A connection of its own keeps its settings in its session.  A pooler such as PgBouncer
    may give each transaction another session, and that session to another client: there
    each transaction begins with the settings, and no statement is prepared.
    """

    def __init__(
        self, *args: Any, store: str, partitions: int | None = None, **kwargs: Any
    ) -> None:
        # The constructor of the pool asks for after_connect_func().
        self.store = store
        self.partitions = partitions
        super().__init__(*args, **kwargs)

    @classmethod
    def like(cls, other: PostgresDatastore, store: str, partitions: int | None) -> Self:
        """Makes a datastore with the settings of another one, whose pool is not open yet."""
        pool = other.pool
        options = cast("dict[str, Any]", pool.kwargs)
        return cls(
            dbname=options["dbname"],
            host=options["host"],
            port=options["port"],
            user=options["user"],
            password=options["password"],
            connect_timeout=pool.timeout,
            idle_in_transaction_session_timeout=other.idle_in_transaction_session_timeout,
            pool_size=pool.min_size,
            max_overflow=pool.max_size - pool.min_size,
            max_waiting=pool.max_waiting,
            conn_max_age=pool.max_lifetime,
            pre_ping=other.pre_ping,
            lock_timeout=other.lock_timeout,
            schema=other.schema,
            pool_open_timeout=other.pool_open_timeout,
            get_password_func=pool.get_password_func,
            single_row_tracking=other.single_row_tracking,
            originator_id_type=cast("Literal['uuid', 'text']", other.originator_id_type),
            store=store,
            partitions=partitions,
        )

    def settings(self) -> tuple[str, str]:
        return self.store, f"{self.lock_timeout}s"

    def after_connect_func(self) -> Callable[[Connection[Any]], None]:
        # Not a bound method: the pool must not keep the datastore alive.
        set_up_session = super().after_connect_func()
        settings = self.settings()

        def after_connect(conn: Connection[DictRow]) -> None:
            conn.autocommit = True
            if is_own_session(conn):
                set_up_session(conn)
                conn.execute(SET_FOR_SESSION, settings)
            else:
                conn.prepare_threshold = None

        return after_connect

    @contextmanager
    def store_cursor(self) -> Iterator[Cursor[TupleRow]]:
        """A cursor for one statement that uses the store."""
        with self.get_connection() as conn:
            if is_pooled(conn):
                with conn.transaction(), fast_cursor(conn) as curs:
                    curs.execute(SET_FOR_TRANSACTION, self.settings())
                    yield curs
            else:
                with fast_cursor(conn) as curs:
                    yield curs

    @contextmanager
    def store_transaction(self) -> Iterator[Connection[DictRow]]:
        """A transaction whose statements use the store."""
        with self.get_connection() as conn, conn.transaction():
            if is_pooled(conn):
                conn.execute(SET_FOR_TRANSACTION, self.settings())
            yield conn

    def create_store(self) -> None:
        """Makes the store, unless it exists."""
        with self.transaction(commit=True) as curs:
            # Two programs may start at the same time.
            curs.execute("SELECT pg_advisory_xact_lock(hashtext('sierra_es ' || %s))", [self.store])
            row = curs.execute(STORE_EXISTS, [self.store]).fetchone()
            if row is not None and not row["exists"]:
                # Without a number, the server has a default.
                arguments = [self.store] + [self.partitions] * (self.partitions is not None)
                try:
                    curs.execute(
                        f"SELECT create_event_store({', '.join(['%s'] * len(arguments))})",
                        arguments,
                    )
                except psycopg.errors.UndefinedFunction as e:
                    msg = (
                        "Extension sierra_es is not in this database."
                        " A superuser makes it: CREATE EXTENSION sierra_es"
                    )
                    raise ProgrammingError(msg) from e


def is_own_session(conn: Connection[DictRow]) -> bool:
    """Does the server process that answers belong to this connection?

    Between a pooler and its clients, process ids are the pooler's own numbers.
    """
    row = conn.execute("SELECT pg_backend_pid() AS pid").fetchone()
    return row is not None and row["pid"] == conn.info.backend_pid


def is_pooled(conn: Connection[Any]) -> bool:
    return conn.prepare_threshold is None


def fast_cursor(conn: Connection[Any]) -> Cursor[TupleRow]:
    return conn.cursor(binary=True, row_factory=tuple_row)


def sqlstate_of(error: BaseException) -> str | None:
    """The SQLSTATE behind an error of the library."""
    cause = error.__cause__
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


@contextmanager
def refusals_as_integrity_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.DatabaseError as e:
        if e.sqlstate in REFUSALS:
            raise IntegrityError(str(e)) from e
        raise
