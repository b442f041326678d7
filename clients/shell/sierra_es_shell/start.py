"""The start of the program, while its modules are not loaded yet."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    # Ctrl-C ends it quietly at any time; commands that have something to undo catch it later.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from .command_line import main as run
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        sys.stderr.write("sierra: Python's module psycopg is missing\n")
        sys.stderr.write("HINT: Install it: apt install python3-psycopg, or pip install psycopg.\n")
        return 1
    except ImportError as error:
        # psycopg loads the client library of PostgreSQL.
        sys.stderr.write(f"sierra: {str(error).splitlines()[0]}\n")
        sys.stderr.write("HINT: Install the client library of PostgreSQL (Debian: libpq5).\n")
        return 1
    return run()
