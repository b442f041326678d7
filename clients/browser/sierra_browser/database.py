"""Connections: each page has one of its own, with one read-only transaction."""

from contextlib import contextmanager

import psycopg
from psycopg.rows import namedtuple_row

APPLICATION_NAME = "sierra_es browser"


class Database:
    """The database that all pages show."""

    def __init__(self, conninfo, timeout):
        self.conninfo = conninfo
        self.timeout = timeout

    def connect(self):
        # Without prepared statements, it works behind a pooler too.
        return psycopg.connect(
            self.conninfo,
            connect_timeout=5,
            fallback_application_name=APPLICATION_NAME,
            prepare_threshold=None,
            row_factory=namedtuple_row,
            client_encoding="UTF8",
        )

    @contextmanager
    def reading(self, store=None, timeout=None):
        """A transaction that cannot change anything."""
        with self._transaction(store, timeout, read_only=True) as conn:
            yield conn

    @contextmanager
    def changing(self, store):
        """A transaction for one of the buttons."""
        with self._transaction(store, None, read_only=False) as conn:
            yield conn

    @contextmanager
    def _transaction(self, store, timeout, read_only):
        milliseconds = str(int((timeout or self.timeout) * 1000))
        with self.connect() as conn:
            conn.read_only = read_only
            conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            # Within the transaction, as options of a session would not pass a pooler.
            settings = {
                "statement_timeout": milliseconds,
                "lock_timeout": "2000",
                "timezone": "UTC",
                # A session that waits for events ends soon after this program.
                "client_connection_check_interval": "2000",
            }
            if store is not None:
                settings["sierra_es.store"] = store
            conn.execute(
                "SELECT count(pg_catalog.set_config(s.name, s.setting, true)) FROM (VALUES "
                + ", ".join("(%s, %s)" for _ in settings)
                + ") AS s (name, setting)",
                [text for setting in settings.items() for text in setting],
            )
            yield conn

    def superuser(self):
        """The name of the role, if it is one: folds run as the role of the browser, and so would have all rights."""
        with self.reading() as conn:
            row = conn.execute(
                "SELECT rolname AS name, rolsuper AS super FROM pg_catalog.pg_roles WHERE rolname = current_user"
            ).fetchone()
        return row.name if row.super else None


def try_execute(conn, query, values=()):
    """Rows, or the error: what a statement says that may fail without the page."""
    try:
        with conn.transaction():
            return conn.execute(query, values).fetchall(), None
    except psycopg.OperationalError as error:
        if conn.closed:
            raise
        return None, error
    except psycopg.Error as error:
        return None, error
