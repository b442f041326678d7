"""The few calls of libpq that following a store needs. PostgreSQL brings the library; no driver does."""

import ctypes
import select
import time

from .cluster import BenchError, pg_config

CONNECTION_OK, COMMAND_OK, TUPLES_OK = 0, 1, 2
SQLSTATE = ord("C")


class Notify(ctypes.Structure):
    """PGnotify, up to where it is public."""

    _fields_ = [("channel", ctypes.c_char_p), ("pid", ctypes.c_int), ("payload", ctypes.c_char_p)]


def load():
    """Load libpq and declare the types that are not int."""
    for name in (pg_config("libdir") / "libpq.so.5", "libpq.so.5"):
        try:
            library = ctypes.CDLL(str(name))
            break
        except OSError:
            continue
    else:
        raise BenchError("libpq.so.5 is not there")
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    for function, result, arguments in (
            ("PQconnectdb", pointer, [text]), ("PQstatus", ctypes.c_int, [pointer]),
            ("PQerrorMessage", text, [pointer]), ("PQfinish", None, [pointer]),
            ("PQprepare", pointer, [pointer, text, text, ctypes.c_int, pointer]),
            ("PQexecPrepared", pointer, [pointer, text, ctypes.c_int, pointer, pointer, pointer, ctypes.c_int]),
            ("PQresultStatus", ctypes.c_int, [pointer]), ("PQclear", None, [pointer]),
            ("PQresultErrorField", text, [pointer, ctypes.c_int]),
            ("PQntuples", ctypes.c_int, [pointer]), ("PQgetvalue", text, [pointer, ctypes.c_int, ctypes.c_int]),
            ("PQsocket", ctypes.c_int, [pointer]), ("PQconsumeInput", ctypes.c_int, [pointer]),
            ("PQnotifies", ctypes.POINTER(Notify), [pointer]), ("PQfreemem", None, [pointer])):
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    return library


class Rows:
    """A result: how many rows, and single values as text. The rest stays where it arrived."""

    def __init__(self, library, result):
        self.library, self.result = library, result

    def __len__(self):
        return self.library.PQntuples(self.result)

    def value(self, row, column):
        """One value as text."""
        return self.library.PQgetvalue(self.result, row, column).decode()

    def column(self, column):
        """All values of a column."""
        return [self.value(row, column) for row in range(len(self))]

    def __del__(self):
        self.library.PQclear(self.result)


class Session:
    """A connection with prepared statements. An error is fatal, unless it is one that is expected."""

    library = None

    def __init__(self, environment):
        if Session.library is None:
            Session.library = load()
        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname", "PGOPTIONS": "options"}
        text = " ".join(f"{option}='{environment[name]}'" for name, option in names.items())
        self.connection = self.library.PQconnectdb(text.encode())
        self.prepared = set()
        if self.library.PQstatus(self.connection) != CONNECTION_OK:
            self.fail("connect")

    def fail(self, what):
        """Raise the error of libpq."""
        raise BenchError(f"{what}:\n{self.library.PQerrorMessage(self.connection).decode()}")

    def prepare(self, sql):
        """Prepare a statement once."""
        result = self.library.PQprepare(self.connection, sql.encode(), sql.encode(), 0, None)
        status = self.library.PQresultStatus(result)
        self.library.PQclear(result)
        if status != COMMAND_OK:
            self.fail(sql)
        self.prepared.add(sql)

    def query(self, sql, *values, refusal=None):
        """Run a statement with its values as text. Nothing if it failed with the SQLSTATE `refusal`."""
        if sql not in self.prepared:
            self.prepare(sql)
        texts = (ctypes.c_char_p * max(1, len(values)))(*(str(value).encode() for value in values))
        result = self.library.PQexecPrepared(self.connection, sql.encode(), len(values), texts, None, None, 0)
        if self.library.PQresultStatus(result) not in (COMMAND_OK, TUPLES_OK):
            state = self.library.PQresultErrorField(result, SQLSTATE)
            self.library.PQclear(result)
            if refusal is None or state != refusal.encode():
                self.fail(sql)
            return None
        return Rows(self.library, result)

    def notified(self, seconds):
        """How many notifications came; waits for the first of them, at most this time."""
        deadline = time.monotonic() + seconds
        while True:
            count = 0
            while notify := self.library.PQnotifies(self.connection):
                self.library.PQfreemem(notify)
                count += 1
            left = deadline - time.monotonic()
            if count or left <= 0:
                return count
            if select.select([self.library.PQsocket(self.connection)], [], [], left)[0]:
                self.library.PQconsumeInput(self.connection)

    def close(self):
        """End the session."""
        self.library.PQfinish(self.connection)
