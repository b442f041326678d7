"""The commands that show events: tail, cat, get, trace, streams, names."""

from __future__ import annotations

import json
import select
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import psycopg

from .database import is_lost, wait_for_event
from .event import COLUMNS, EventPrinter
from .failure import FOUND, OK, Failure, Usage, of_server
from .output import Column, count, iso, print_table, when

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from .database import Database, Row
    from .output import Output

PAGE = 500


# --- tail -----------------------------------------------------------------------------------------


class Tail:
    """Follows the store.  What was read last is known here, so a new session continues there.

    The position is always that of an event.  Positions of appends that rolled back can come again
    after a crash, so that it is not safe to continue behind them.
    """

    def __init__(self, database: Database, out: Output, options: Namespace) -> None:
        self.database = database
        self.out = out
        self.printer = EventPrinter(out, options.long)
        self.options = options
        self.streams = options.streams + [f"{category}-*" for category in options.category]
        self.position = -1
        self.horizon = -1
        # The newest event up to which everything was read: position and id.
        self.anchor: tuple[int, str] | None = None
        self.found = False

    def page(self, after: int, backward: bool = False, most: int = PAGE) -> list[Row]:
        return self.database.rows(
            f"SELECT {COLUMNS} FROM @.eall(%(after)s, %(most)s, %(streams)s, %(names)s, %(backward)s, %(tags)s) AS e",
            after=after,
            most=most,
            streams=self.streams or None,
            names=self.options.event or None,
            backward=backward,
            tags=self.options.tag or None,
        )

    def passes(self, event: Row) -> bool:
        wanted = self.options.correlation
        return wanted is None or correlation_of(event) == wanted

    def show(self, events: list[Row]) -> None:
        wanted = [(0, event) for event in events if self.passes(event)]
        self.printer.show_all(wanted)
        self.found = self.found or bool(wanted)

    def start(self) -> None:
        """Prints the last events, or goes to where --from begins."""
        if self.options.start is not None:
            self.position = self.options.start - 1
            return
        with self.database.transaction():
            self.anchor = self.event_at(-1, backward=True)
            last = list(self.last_events(self.options.last))
        positions = [event["global_position"] for event in last]
        self.position = max([self.anchor[0] if self.anchor else -1, *positions])
        self.show(last[::-1])

    def event_at(self, after: int, backward: bool = False) -> tuple[int, str] | None:
        """The first event after a position, or the newest of all, whatever the filters are."""
        rows = self.database.rows(
            "SELECT e.global_position, e.event_id FROM @.eall(%(after)s, 1, backward => %(backward)s) AS e",
            after=after,
            backward=backward,
        )
        return (rows[0]["global_position"], rows[0]["event_id"]) if rows else None

    def last_events(self, most: int) -> Iterator[Row]:
        """The newest events that pass all filters, the newest first."""
        after = -1
        while most > 0:
            size = most if self.options.correlation is None else max(most, PAGE)
            rows = self.page(after, backward=True, most=size)
            for event in filter(self.passes, rows):
                yield event
                most -= 1
                if most == 0:
                    return
            if len(rows) < size or rows[-1]["global_position"] == 0:
                return
            after = rows[-1]["global_position"]

    def catch_up(self) -> None:
        """Prints everything that can be read now."""
        while True:
            with self.database.transaction():
                self.horizon = self.database.value("SELECT @.ehead()")
                newest = self.event_at(-1, backward=True)
                rows = self.page(self.position)
            if self.anchor and (newest is None or newest[0] < self.anchor[0]):
                self.fail_for_lost_events()
            self.show(rows)
            if rows:
                self.position = rows[-1]["global_position"]
                self.anchor = self.position, rows[-1]["event_id"]
            if len(rows) < PAGE:
                # Everything up to it was read; what is not shown did not pass the filter.
                if newest and newest[0] > self.position:
                    self.position, self.anchor = newest[0], newest
                return

    def compare(self) -> None:
        """After a new connection: is the event up to which everything was read still there?"""
        if self.anchor:
            with self.database.transaction():
                found = self.event_at(self.anchor[0] - 1)
            if found != self.anchor:
                self.fail_for_lost_events()

    def fail_for_lost_events(self) -> NoReturn:
        position, event_id = self.anchor or (-1, "")
        raise Failure(
            "the server has lost events that were read",
            f"The event at position {position} was {event_id}.  It is not there any more.",
            "Look for the last event that is still the same, and start again with: sierra tail --from POSITION",
        )

    def follow(self) -> None:
        while True:
            try:
                self.catch_up()
                self.out.flush()
                wait_for_event(self.database, max(self.horizon, self.position) + 1, 10)
            except psycopg.Error as error:
                if not is_lost(error, self.database):
                    raise
                self.out.note(f"the connection is lost ({of_server(error).message}); waiting for the server")
                self.connect_again()
            if nobody_reads():
                return


    def connect_again(self) -> None:
        while True:
            reconnect(self.database)
            try:
                self.compare()
            except psycopg.Error as error:
                if not is_lost(error, self.database):
                    raise
            else:
                self.out.note("connected again")
                return


def reconnect(database: Database) -> None:
    """Tries until there is a session.  Only an answer such as "no such extension" ends it."""
    pause = 0.1
    while True:
        try:
            database.reconnect()
        except psycopg.Error:
            time.sleep(pause)
            pause = min(2 * pause, 5)
        else:
            return


def nobody_reads() -> bool:
    """Has the program behind the pipe ended?"""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(flags & (select.POLLERR | select.POLLNVAL) for _, flags in poll.poll(0))


def correlation_of(event: Row) -> str | None:
    return member(event, "correlation_id")


def member(event: Row, name: str) -> str | None:
    """A member of the metadata, if it is a string or a number."""
    try:
        value = json.loads(event["metadata"] or "{}", parse_float=str, parse_int=str).get(name)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) else None


def tail(database: Database, out: Output, options: Namespace) -> int:
    command = Tail(database, out, options)
    command.start()
    if options.follow:
        command.follow()
        return OK
    command.catch_up()
    return OK if command.found else FOUND


# --- cat, get, trace ------------------------------------------------------------------------------


def stream_pages(database: Database, options: Namespace) -> Iterator[list[Row]]:
    """The events of a stream, in pages, each in a transaction of its own."""
    low, high, left = options.start or 0, options.at, options.last
    backward = options.reverse or left is not None
    while True:
        size = PAGE if left is None else min(PAGE, left)
        rows = database.read(
            f"SELECT {COLUMNS} FROM @.escan(%(stream)s, %(low)s, %(high)s, %(size)s, %(backward)s) AS e",
            stream=options.stream,
            low=low,
            high=high,
            size=size,
            backward=backward,
        )
        yield rows
        left = None if left is None else left - len(rows)
        if len(rows) < size or left == 0:
            return
        last = rows[-1]["stream_version"]
        if backward:
            if last <= low:
                return
            high = last - 1
        else:
            low = last + 1


def cat(database: Database, out: Output, options: Namespace) -> int:
    printer = EventPrinter(out, options.long)
    found = False
    pages = stream_pages(database, options)
    if options.last is not None and not options.reverse:
        rows = [row for page in pages for row in page]
        pages = iter([rows[::-1]])
    for page in pages:
        found = found or bool(page)
        printer.show_all([(0, event) for event in page])
        out.flush()
    if not found:
        version = database.read("SELECT @.esver(%(stream)s) AS version", stream=options.stream)[0]["version"]
        if version is None:
            return nothing(out, f'stream "{options.stream}" does not exist')
        return nothing(out, f'stream "{options.stream}" has no event in these versions; it is at version {version}')
    return OK


def nothing(out: Output, text: str) -> int:
    out.note(text)
    return FOUND


def get(database: Database, out: Output, options: Namespace) -> int:
    printer = EventPrinter(out, long=True)
    status = OK
    for event_id in options.event_id:
        rows = event_by_id(database, check_uuid(event_id))
        for event in rows:
            printer.show(event)
        if not rows:
            status = nothing(out, f"no event has the id {event_id}")
    return status


def check_uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Usage(f'"{text}" is not an event id', "It is a UUID, as `sierra cat --long STREAM` shows it.") from None


def event_by_id(database: Database, event_id: str) -> list[Row]:
    return database.read(f"SELECT {COLUMNS} FROM @.eget(%(id)s) AS e", id=event_id)


def trace(database: Database, out: Output, options: Namespace) -> int:
    wanted, by = options.id, "causation_id" if options.causation else "correlation_id"
    if not options.causation and is_uuid(wanted):
        # The id of an event means the events that belong together with it.
        for event in event_by_id(database, wanted):
            wanted = correlation_of(event) or wanted
    rows = database.read(
        f"SELECT {COLUMNS} FROM @.etrace({by} => %(id)s, max_count => %(most)s) AS e", id=wanted, most=options.max
    )
    if not rows:
        return nothing(out, f'no event has the {by} "{wanted}"')
    printer = EventPrinter(out, options.long)
    printer.show_all(tree(rows))
    if len(rows) == options.max:
        out.note(f"these are the first {options.max} events; --max shows more")
    return OK


def is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def tree(events: list[Row]) -> list[tuple[int, Row]]:
    """Each event after the one that caused it, with its depth."""
    known = {event["event_id"] for event in events}
    effects: dict[str | None, list[Row]] = {}
    for event in events:
        cause = member(event, "causation_id")
        cause = cause if cause in known and cause != event["event_id"] else None
        effects.setdefault(cause, []).append(event)
    ordered: list[tuple[int, Row]] = []
    waiting = [(0, event) for event in reversed(effects.pop(None, []))]
    while waiting:
        depth, event = waiting.pop()
        ordered.append((depth, event))
        waiting += [(depth + 1, effect) for effect in reversed(effects.pop(event["event_id"], []))]
    # Events that cause each other in a circle, which only wrong metadata can say.
    ordered += [(0, event) for rest in effects.values() for event in rest]
    return ordered


# --- streams, names -------------------------------------------------------------------------------


def times_to_iso(row: Row, *names: str) -> dict[str, Any]:
    return {name: iso(value) if name in names else value for name, value in row.items()}


def streams(database: Database, out: Output, options: Namespace) -> int:
    rows = database.read(
        "SELECT s.* FROM @.event_streams(prefix => %(prefix)s, after => %(after)s, max_count => %(most)s,"
        " newest_first => %(newest)s) AS s",
        prefix=options.prefix.removesuffix("*"),
        after=options.after,
        most=options.max,
        newest=options.newest,
    )
    if not rows:
        return nothing(out, "no stream is found")
    if out.as_json:
        for row in rows:
            out.record(times_to_iso(row, "first_at", "last_at"))
    else:
        columns = [
            Column("STREAM", shrink=True, least=12),
            Column("EVENTS", right=True),
            Column("POSITION", right=True),
            Column("LAST EVENT", shrink=True),
            Column("LAST AT"),
        ]
        cells = [
            [r["stream_id"], amount(out, r["events"]), r["last_position"], r["last_event_name"], when(r["last_at"])]
            for r in rows
        ]
        print_table(out, columns, cells)
    if len(rows) == options.max:
        more = "--max shows more" if options.newest else "--max, or --after with the last name, shows more"
        out.note(f"these are {options.max} streams; {more}")
    return OK


def amount(out: Output, number: int | None) -> str | int | None:
    """A number for a person, or for a program."""
    return count(number) if out.is_terminal else number


def names(database: Database, out: Output, options: Namespace) -> int:
    rows = database.read("SELECT n.* FROM @.event_names(max_events => %(most)s) AS n", most=options.max or None)
    if not rows:
        return nothing(out, "the store has no events")
    if out.as_json:
        for row in rows:
            out.record(times_to_iso(row, "first_at", "last_at"))
    else:
        columns = [
            Column("NAME", shrink=True, least=12),
            Column("EVENTS", right=True),
            Column("POSITION", right=True),
            Column("LAST AT"),
            Column("FIRST AT"),
        ]
        cells = [
            [r["event_name"], amount(out, r["events"]), r["last_position"], when(r["last_at"]), when(r["first_at"])]
            for r in rows
        ]
        if not out.wide:
            columns, cells = columns[:-1], [row[:-1] for row in cells]
        print_table(out, columns, cells)
    if options.max and sum(row["events"] for row in rows) >= options.max:
        out.note(f"these are the names of the newest {options.max} events; --max 0 reads all")
    return OK
