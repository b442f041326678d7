"""The commands export, import and verify."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import psycopg
from psycopg.sql import Literal

from .failure import FOUND, OK, Failure, Usage
from .output import Column, Progress, count, print_table

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from .database import Database
    from .output import Output

POSITION = re.compile(rb'\{"global_position":(\d+)')

# A call of import_events() has no more text than this, however large its lines are.
MOST_BYTES = 8 * 1024 * 1024


# --- export ---------------------------------------------------------------------------------------


def export(database: Database, out: Output, options: Namespace) -> int:
    after = options.after
    if options.resume and not options.output:
        raise Usage("--continue needs --output, the file that an earlier export began")
    with open_output(options) as target:
        if options.resume:
            after = last_position(target, options.output, after)
        progress = Progress("export", options.quiet or (not options.output and sys.stdout.isatty()))
        with database.transaction():
            end = database.value("SELECT @.ehead()")
            end = end if options.to is None else min(end, options.to)
            number = copy_events(database, target, after, end, progress, not options.without_numbers)
        progress.end()
        target.flush()
        if options.output:
            os.fsync(target.fileno())
    if options.output:
        if out.as_json:
            out.record({"events": number, "after_position": after, "to_position": end, "file": options.output})
        else:
            out.note(f"exported {count(number)} events, up to position {end}, to {options.output}")
    return OK


def open_output(options: Namespace) -> BinaryIO:
    if not options.output:
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    path = Path(options.output)
    if options.resume and path.exists():
        return path.open("r+b")
    try:
        return path.open("xb")
    except FileExistsError:
        hint = "Choose another name, or continue an export that was interrupted with --continue."
        raise Failure(f"{path}: the file exists", hint=hint) from None


def last_position(target: BinaryIO, name: str, after: int) -> int:
    """The position of the last whole line; what follows it is cut off."""
    size = target.seek(0, os.SEEK_END)
    tail, block = b"", 65536
    while tail.count(b"\n") < 2 and len(tail) < size:
        target.seek(max(size - block, 0))
        tail = target.read()
        block *= 4
    whole = tail.rfind(b"\n") + 1
    start = tail.rfind(b"\n", 0, max(whole - 1, 0)) + 1
    target.seek(size - len(tail) + whole)
    target.truncate()
    if whole == 0:
        return after
    match = POSITION.match(tail[start:whole])
    if not match:
        raise Failure(f"{name}: the last line has no position", hint="It was exported with --without-numbers: begin again.")
    return int(match[1])


def copy_events(database: Database, target: BinaryIO, after: int, end: int, progress: Progress, numbers: bool) -> int:
    values = ", ".join(Literal(value).as_string(database.connection) for value in (after, end, numbers))
    query = (
        f"COPY (SELECT @.export_events(NULL, {values})) TO STDOUT"
        " (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02', ENCODING 'UTF8')"
    )
    number = 0
    with database.connection.cursor() as cursor, cursor.copy(database.text(query)) as copy:
        for line in copy:
            target.write(line)
            number += 1
            if number % 1000 == 0 and (match := POSITION.match(bytes(line[:64]))):
                progress.show(int(match[1]) - after, end - after, f"{count(number)} events")
    return number


# --- import ---------------------------------------------------------------------------------------


def import_(database: Database, out: Output, options: Namespace) -> int:
    source = sys.stdin.buffer if options.file == "-" else Path(options.file).open("rb")
    total = os.fstat(source.fileno()).st_size if options.file != "-" else None
    progress = Progress("import", options.quiet)
    imported = read = done_lines = done_bytes = 0
    with source:
        try:
            for first, lines, size in batches(source, options.batch_size):
                imported += import_batch(database, lines, first)
                read += sum(1 for line in lines if line)
                done_lines += len(lines)
                done_bytes += size
                progress.show(done_bytes, total, f"{count(read)} events")
        except BaseException as error:
            progress.end()
            if isinstance(error, (psycopg.Error, Failure)):
                out.note(f"{count(done_lines)} lines are imported; import the same again, and nothing is stored twice")
            raise
    progress.end()
    if out.as_json:
        out.record({"events": read, "imported": imported, "stored_already": read - imported})
    else:
        out.line(f"imported {count(imported)} of {count(read)} events; {count(read - imported)} were stored already")
    return OK


def batches(source: BinaryIO, most: int) -> Iterator[tuple[int, list[str], int]]:
    """Number of the first line, lines, and their bytes."""
    first, size = 1, 0
    lines: list[str] = []
    for number, raw in enumerate(source, 1):
        try:
            line = raw.decode().strip()
        except UnicodeDecodeError:
            yield from ([(first, lines, size)] if lines else [])
            raise Failure(f"line {number} is not UTF-8") from None
        lines.append(line)
        size += len(raw)
        if len(lines) >= most or size >= MOST_BYTES:
            yield first, lines, size
            first, lines, size = number + 1, [], 0
    if lines:
        yield first, lines, size


def import_batch(database: Database, lines: list[str], first: int) -> int:
    """Imports the lines, all or none; an error names the line of the file."""
    wanted = [(number, line) for number, line in enumerate(lines, first) if line]
    if not wanted:
        return 0
    for place, line in wanted:
        if "\0" in line:
            raise Failure(f"line {place} has a character with code 0")
    try:
        with database.transaction(write=True):
            imported: int = database.value(
                "SELECT @.import_events(%(lines)s::text[])", lines=[line for _, line in wanted]
            )
            return imported
    except psycopg.Error as error:
        number = failed_line(error, wanted)
        if number is None:
            raise
        diag = error.diag
        detail = re.sub(r"element \d+ of the array", "this line", diag.message_detail or "")
        raise Failure(f"line {number}: {diag.message_primary} ({diag.sqlstate})", detail, diag.message_hint or "") from None


def failed_line(error: psycopg.Error, wanted: list[tuple[int, str]]) -> int | None:
    """The line that the server names by its place in the call, or the first that is not JSON."""
    if match := re.search(r"import of line (\d+)", error.diag.context or ""):
        return wanted[int(match[1]) - 1][0]
    if error.sqlstate == "22P02":
        for number, line in wanted:
            try:
                json.loads(line)
            except (ValueError, RecursionError):
                return number
    return None


# --- verify ---------------------------------------------------------------------------------------


class Watcher(threading.Thread):
    """Shows how far everify() is, by a session of its own."""

    def __init__(self, watching: Database, pid: int, progress: Progress) -> None:
        super().__init__(daemon=True)
        self.watching = watching
        self.pid = pid
        self.progress = progress
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            while not self.ended.wait(0.2):
                self.look()
        except psycopg.Error:
            # Without the right to see it, or a second session, the check runs all the same.
            return

    def look(self) -> None:
        for row in self.rows():
            phase = row["phase"] or ""
            self.progress.show(row["done"] or 0, row["total"], f"{phase} {count(row['done'])}")

    def rows(self) -> list[dict[str, Any]]:
        try:
            rows = self.watching.read(
                "SELECT p.phase, p.done, p.total FROM @.event_progress() AS p WHERE p.pid = %(pid)s", pid=self.pid
            )
        except psycopg.errors.InsufficientPrivilege:
            rows = []
        if rows:
            return rows
        # A server that does not preload the library says it here, as in "everify: events 42 %".
        names = self.watching.read(
            "SELECT a.application_name AS name FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = %(pid)s", pid=self.pid
        )
        found = [re.fullmatch(r"everify: (.*?) ?(\d+) %", row["name"] or "") for row in names]
        return [{"phase": match[1], "done": int(match[2]), "total": 100} for match in found if match]

    def end(self) -> None:
        self.ended.set()
        self.join(2)
        self.progress.end()


def verify(database: Database, out: Output, options: Namespace) -> int:
    watcher = None
    progress = Progress("verify", options.quiet)
    if progress.shown:
        watcher = Watcher(database.another(), database.connection.info.backend_pid, progress)
        watcher.start()
    try:
        rows = database.read("SELECT v.* FROM @.everify() AS v")
    finally:
        if watcher:
            watcher.end()
    if out.as_json:
        for row in rows:
            out.record(row)
    elif rows:
        columns = [
            Column("PROBLEM", shrink=True, least=12),
            Column("PARTITION" if out.wide else "PART", right=True),
            Column("SEQUENCE" if out.wide else "SEQ", right=True),
            Column("STREAM", shrink=True),
            Column("VERSION" if out.wide else "VER", right=True),
            Column("DETAIL", shrink=True, least=20),
        ]
        names = ("problem", "partition_id", "partition_sequence", "stream_id", "stream_version", "detail")
        print_table(out, columns, [[row[name] for name in names] for row in rows])
    else:
        out.line(f"store {database.current_store()}: no problem")
    return FOUND if rows else OK
