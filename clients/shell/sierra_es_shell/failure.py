"""What goes wrong, and the exit statuses."""

from __future__ import annotations

import os
import re

import psycopg

OK = 0
ERROR = 1
USAGE = 2
FOUND = 3


class Failure(Exception):
    """Ends the command with a message, and perhaps facts and the way out."""

    def __init__(self, message: str, detail: str = "", hint: str = "", status: int = ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint
        self.status = status


class Usage(Failure):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint, status=USAGE)


def of_server(error: psycopg.Error) -> Failure:
    """The same as the server, or the client library, reports it."""
    diag = error.diag
    if diag.message_primary:
        code = f" ({diag.sqlstate})" if diag.sqlstate else ""
        detail = diag.message_detail or ""
        if line := re.match(r"import of line \d+", diag.context or ""):
            detail = f"{detail} ({line[0]})"
        return Failure(diag.message_primary + code, detail, diag.message_hint or hint_for(diag.sqlstate))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    message = re.sub(r"^connection (is bad|failed): ", "cannot connect: ", lines[0])
    hint = "Name the server with -d, or with PGHOST and PGPORT." if message != lines[0] else ""
    return Failure(message, " ".join(lines[1:]), hint)


def hint_for(sqlstate: str | None) -> str:
    hints = {
        "42501": "The page docs/security.md says which rights a role needs.",
        "42883": "The extension is of another version than this tool: ALTER EXTENSION sierra_es UPDATE.",
        "SE005": "`sierra stats` shows the stores of the database; --store chooses one.",
        "SE007": "`sierra consumers` shows the subscriptions of the store.",
    }
    return hints.get(sqlstate or "", "")


def of_file(error: OSError) -> Failure:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return Failure(f"{error.filename}: {reason}" if error.filename else reason)
