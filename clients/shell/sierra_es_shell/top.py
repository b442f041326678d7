"""The command top: a picture of the store that is drawn again and again."""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import time
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from .database import is_lost
from .failure import OK
from .output import cut, rate, safe, table_lines
from .read import reconnect
from .state import (
    NEEDS_HELP,
    Counters,
    consumer_rows,
    consumer_table,
    failure_rows,
    failure_table,
    holder_text,
    metrics,
    read_counters,
    store_table,
    stores,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from .database import Database
    from .output import Output


class Picture:
    """What top shows at one time."""

    def __init__(self, database: Database, before: Counters) -> None:
        self.at = time.strftime("%H:%M:%S")
        self.place = database.place()
        self.store = database.current_store()
        self.counters = read_counters(database)
        self.stores = stores(database, before, self.counters)
        self.consumers = consumer_rows(database)
        self.failures = failure_rows(database)
        self.work = work(database, self.store, before, self.counters)

    def record(self) -> dict[str, Any]:
        return {
            "kind": "top",
            "database": self.work,
            "stores": self.stores,
            "consumers": self.consumers,
            "failures": self.failures,
        }

    def lines(self, out: Output, height: int) -> list[str]:
        """The picture, as many of its lines as there is room for: what needs help comes first."""
        lines = [out.paint(out.cut(safe(f"{self.at}  {self.place}"), out.width), "dim"), out.cut(self.work_line(), out.width), ""]
        lines += table_lines(out, *store_table(out, self.stores))
        for store in self.stores:
            lines += [
                out.paint(out.cut(safe(f"readers of {store['store']} are held back for {holder_text(h)}"), out.width), "yellow")
                for h in store["horizon_holders"]
            ]
        failed = table_lines(out, *failure_table(out, self.failures)) if self.failures else []
        room = height - len(lines) - 2
        failed = shorten(failed, max(room // 3, 3), "failures")
        consumers = table_lines(out, *consumer_table(out, self.sorted_consumers()))
        consumers = shorten(consumers, max(room - len(failed) - 1, 3), "consumers")
        return lines + ["", *consumers] + (["", *failed] if failed else [])

    def sorted_consumers(self) -> list[dict[str, Any]]:
        """Those that need help, then those that are the furthest behind; groups stay together."""
        blocks: list[list[dict[str, Any]]] = []
        for row in self.consumers:
            if row["kind"] == "consumer" and blocks:
                blocks[-1].append(row)
            else:
                blocks.append([row])

        def urgency(block: list[dict[str, Any]]) -> tuple[bool, bool, float]:
            lag = block[0]["lag_seconds"] or 0
            return (block[0]["state"] not in NEEDS_HELP, not block[0].get("parked"), -lag)

        return [row for block in sorted(blocks, key=urgency) for row in block]

    def work_line(self) -> str:
        parts = [f"store {safe(self.store)}", *(f"{name} {value}" for name, value in self.work_texts().items())]
        return "   ".join(parts)

    def work_texts(self) -> dict[str, str]:
        work = self.work
        if not self.counters.allowed:
            return {"(rates and runners:": "for members of pg_monitor)"}
        if not self.counters.preloaded:
            return {"(rates and runners:": "need shared_preload_libraries)"}
        texts = {"runners": f"{work['runners']:.0f}/{work['runners_max']:.0f}", "waiting": f"{work['waiters']:.0f}"}
        if work["handled_per_second"] is not None:
            texts["handled"] = f"{rate(work['handled_per_second'])}/s"
        if work["timers_overdue"]:
            texts["timers overdue"] = f"{work['timers_overdue']:.0f}"
        if work["sagas"]:
            texts["sagas"] = ", ".join(f"{number:.0f} {status}" for status, number in work["sagas"].items())
        return texts


def shorten(lines: list[str], room: int, what: str) -> list[str]:
    if len(lines) <= room:
        return lines
    return [*lines[: room - 1], f"... and {len(lines) - room + 1} more {what}"]


def work(database: Database, store: str, before: Counters, after: Counters) -> dict[str, Any]:
    """What runners do, and what of sagas and timers is not done."""
    names = ("runners", "runners_max", "waiters", "waiters_max", "waiting_seconds")
    facts: dict[str, Any] = {name: after.values.get(("", f"sierra_es_database_{name}"), 0) for name in names}
    first, last = (c.values.get(("", "sierra_es_database_handled_total")) for c in (before, after))
    seconds = after.at - before.at
    known = first is not None and last is not None and last >= first and seconds > 0
    facts["handled_per_second"] = round((last - first) / seconds, 3) if known and last and first is not None else None
    facts["sagas"] = {}
    facts["timers_overdue"] = 0
    for row in (metrics(database, "saga", "timer") or []) if after.allowed else []:
        if row["store"] != store:
            continue
        if row["metric"] == "sierra_es_saga_instances" and row["status"] not in ("completed", "compensated"):
            facts["sagas"][row["status"]] = facts["sagas"].get(row["status"], 0) + row["value"]
        if row["metric"] == "sierra_es_timer_overdue":
            facts["timers_overdue"] = row["value"]
    return facts


@contextmanager
def screen(out: Output) -> Iterator[bool]:
    """The other screen of the terminal, and keys without Enter; true if there are keys."""
    keys = sys.stdin.isatty()
    saved = termios.tcgetattr(sys.stdin) if keys else None
    out.stream.write("\x1b[?1049h\x1b[?25l")
    try:
        if keys:
            # Keys that were pressed while it started count.
            tty.setcbreak(sys.stdin, termios.TCSADRAIN)
        yield keys
    finally:
        out.stream.write("\x1b[?25h\x1b[?1049l")
        out.flush()
        if saved:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)


def pause(seconds: float, keys: bool) -> bool:
    """Waits; true if q was pressed."""
    end = time.monotonic() + seconds
    while keys and (left := end - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            typed = os.read(sys.stdin.fileno(), 100)
            # The end of the input ends it too; 4 is Ctrl-D.
            if not typed or set(typed) & set(b"qQ\x04"):
                return True
            if set(typed) & set(b" \r\n"):
                return False
    if not keys:
        time.sleep(seconds)
    return False


def terminal_height() -> int:
    return shutil.get_terminal_size().lines


def top(database: Database, out: Output, options: Namespace) -> int:
    before = read_counters(database)
    if options.once:
        if before.preloaded:
            time.sleep(min(options.interval, 1))
        print_once(out, Picture(database, before))
        return OK
    if out.as_json or not out.is_terminal:
        while True:
            time.sleep(options.interval)
            picture = Picture(database, before)
            before = picture.counters
            print_once(out, picture)
    with screen(out) as keys:
        pause(min(options.interval, 0.5), keys)
        while True:
            try:
                picture = Picture(database, before)
                before = picture.counters
                draw(out, picture.lines(out, terminal_height()), keys)
            except psycopg.Error as error:
                if not is_lost(error, database):
                    raise
                draw(out, ["the connection is lost; waiting for the server"], keys)
                reconnect(database)
            if pause(options.interval, keys):
                return OK


def print_once(out: Output, picture: Picture) -> None:
    if out.as_json:
        out.record(picture.record())
    else:
        for line in picture.lines(out, 10**6):
            out.line(line)
    out.flush()


def draw(out: Output, lines: list[str], keys: bool) -> None:
    height = terminal_height()
    last = "q ends, space refreshes" if keys else "Ctrl-C ends"
    shown = lines[: height - 1]
    text = "\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in shown)
    text += "\x1b[J" + out.paint(cut(last, out.width), "dim")
    out.stream.write(text)
    out.flush()
