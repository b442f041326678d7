"""The connection: each piece of work is a transaction of its own, read-only unless it must write.

Settings hold for a transaction only, so that they do not stay in a session that a pooler gives to
other clients.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row
from psycopg.sql import Identifier, Literal
from psycopg.types.string import TextLoader

from .failure import Failure, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = dict[str, Any]

# A peer that is gone is noticed, also while nothing is sent.
KEEPALIVES = {"keepalives_idle": "15", "keepalives_interval": "5", "keepalives_count": "3"}

# Of these types, Python's values would lose something, such as the year 20000 or digits.
AS_TEXT = ("timestamptz", "json", "jsonb", "uuid", "interval", "numeric")


def connection_string(database: str | None) -> str:
    """What -d names: a connection string, or a database."""
    if database is None:
        return ""
    if "=" in database or database.startswith(("postgresql://", "postgres://")):
        return database
    return make_conninfo(dbname=database)


class Database:
    """A database with the extension, and the store in it."""

    def __init__(self, conninfo: str, store: str | None, command: str, utc: bool = False) -> None:
        self.conninfo = conninfo
        try:
            self.given = conninfo_to_dict(conninfo)
        except psycopg.ProgrammingError as error:
            raise Usage(str(error).strip(), "-d takes a database or a connection string, such as 'host=db1 dbname=shop'.") from None
        self.command = command
        self.store = store
        self.utc = utc
        self.connection = self.connect()
        self.schema, self.version = self.find_extension()

    def connect(self) -> psycopg.Connection[Row]:
        parameters = {"fallback_application_name": f"sierra {self.command}"} | KEEPALIVES | self.given
        connection = psycopg.connect(
            make_conninfo("", **parameters),
            client_encoding="utf8",
            autocommit=True,
            row_factory=dict_row,
            prepare_threshold=None,
        )
        for name in AS_TEXT:
            connection.adapters.register_loader(name, TextLoader)
        return connection

    def find_extension(self) -> tuple[str, str]:
        row = self.connection.execute(
            "SELECT n.nspname, e.extversion FROM pg_catalog.pg_extension AS e"
            "  JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'sierra_es'"
        ).fetchone()
        if row is None:
            raise Failure(
                f'database "{self.connection.info.dbname}" does not have the extension sierra_es',
                hint="Name another database with -d, or run CREATE EXTENSION sierra_es in this one.",
            )
        return Identifier(row["nspname"]).as_string(self.connection), row["extversion"]

    def another(self) -> Database:
        """One more session of the same kind."""
        return Database(self.conninfo, self.store, self.command, self.utc)

    def reconnect(self) -> None:
        self.close()
        self.connection = self.connect()
        self.schema, self.version = self.find_extension()

    def close(self) -> None:
        self.connection.close()

    def cancel(self) -> None:
        """Ends what the server does for this session, so that it does not continue alone."""
        if not self.connection.closed:
            self.connection.cancel()
            self.connection.close()

    @contextmanager
    def transaction(self, write: bool = False, store: str | None = None) -> Iterator[None]:
        begin = f"BEGIN ISOLATION LEVEL READ COMMITTED {'READ WRITE' if write else 'READ ONLY'}"
        settings = {"DateStyle": "ISO"}
        if self.utc:
            settings["TimeZone"] = "UTC"
        if store := store or self.store:
            settings["sierra_es.store"] = store
        commands = [begin]
        for name, value in settings.items():
            commands.append(f"SET LOCAL {name} = {Literal(value).as_string(self.connection)}")
        self.connection.execute("; ".join(commands).encode())
        try:
            yield
        except BaseException:
            if not self.connection.closed and not self.connection.broken:
                if self.connection.info.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
                    self.connection.cancel()
                    self.connection.close()
                else:
                    self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def text(self, query: str) -> bytes:
        """The query, in which @ is the schema of the extension."""
        return query.replace("@", self.schema).encode()

    def rows(self, query: str, **values: Any) -> list[Row]:
        return self.connection.execute(self.text(query), values or None).fetchall()

    def value(self, query: str, **values: Any) -> Any:
        row = self.connection.execute(self.text(query), values or None).fetchone()
        return next(iter(row.values())) if row else None

    def read(self, query: str, **values: Any) -> list[Row]:
        """The rows of a query in a transaction of its own."""
        with self.transaction():
            return self.rows(query, **values)

    def current_store(self) -> str:
        """The store that is used, by the option or by the setting of the session."""
        return self.store or self.read(
            "SELECT coalesce(nullif(pg_catalog.current_setting('sierra_es.store', true), ''), 'es') AS store"
        )[0]["store"]

    def place(self) -> str:
        info = self.connection.info
        version = divmod(info.server_version, 10000)
        return f"{info.dbname} on {info.host}:{info.port}, PostgreSQL {version[0]}.{version[1]}, sierra_es {self.version}"


def is_lost(error: psycopg.Error, database: Database) -> bool:
    """Is the session gone, rather than the statement refused?"""
    if database.connection.closed or database.connection.broken:
        return True
    return (error.sqlstate or "") in ("57P01", "57P02", "57P03")


def wait_for_event(database: Database, position: int, seconds: float) -> None:
    """Waits until the event at the position can be read, or the time is over."""
    try:
        with database.transaction():
            database.value("SELECT @.ewait(NULL, %(position)s, %(seconds)s * interval '1 second')", position=position, seconds=seconds)
    except psycopg.Error as error:
        # As many sessions wait as may; or statement_timeout ends the wait.
        if error.sqlstate not in ("53400", "57014"):
            raise
        time.sleep(1)
