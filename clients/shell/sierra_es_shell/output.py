"""What is printed: text that cannot control a terminal, tables, lines of JSON, progress."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import unicodedata
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .failure import Failure

    Cell = str | int | float | None


def safe(text: str) -> str:
    """The text with everything that is not printable as an escape, so also ESC and line breaks."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else escape(c) for c in text)


def escape(character: str) -> str:
    code = ord(character)
    names = {9: "\\t", 10: "\\n", 13: "\\r"}
    if code < 0x100:
        return names.get(code, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


BREAKS = re.compile(r"[ \t]*[\t\r\n][ \t\r\n]*")


def safe_json(text: str) -> str:
    """A text of JSON as one line without control characters, with the same meaning.

    Between the members there are only space, tab and line breaks; other characters that are not
    printable can only be in strings.
    """
    if text.isprintable():
        return text
    text = BREAKS.sub(" ", text)
    return "".join(c if c.isprintable() else escape_json(c) for c in text)


def escape_json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def to_json(value: Any) -> str:
    return safe_json(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def width_of(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, width: int, mark: str = "…") -> str:
    """The text, cut to this width of a terminal."""
    if width_of(text) <= width:
        return text
    if width <= 0:
        return ""
    kept, used = [], 1
    for character in text:
        used += width_of(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + mark


def pad(text: str, width: int, right: bool = False) -> str:
    space = " " * (width - width_of(text))
    return space + text if right else text + space


COLORS = {"bold": "1", "dim": "2", "red": "31", "yellow": "33", "green": "32"}


class Output:
    """Where a command prints to, and in which form."""

    def __init__(self, as_json: bool = False, wide: bool = False, quiet: bool = False) -> None:
        self.stream: TextIO = sys.stdout
        self.quiet = quiet
        self.as_json = as_json
        self.is_terminal = self.stream.isatty()
        self.wide = wide or not self.is_terminal
        self.colored = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.mark = "…" if (self.stream.encoding or "").lower().replace("-", "") == "utf8" else "~"

    @property
    def width(self) -> int:
        """The width of the terminal, read again each time: it may change."""
        return 10**9 if self.wide else shutil.get_terminal_size().columns

    def paint(self, text: str, color: str) -> str:
        return f"\x1b[{COLORS[color]}m{text}\x1b[0m" if self.colored and color and text else text

    def line(self, text: str = "") -> None:
        self.stream.write(text + "\n")

    def record(self, value: dict[str, Any]) -> None:
        """A line of JSON."""
        self.line(to_json(value))

    def note(self, text: str) -> None:
        """For the person at the terminal, not part of the result."""
        if not self.quiet:
            self.flush()
            sys.stderr.write(f"sierra: {safe(text)}\n")
            sys.stderr.flush()

    def flush(self) -> None:
        self.stream.flush()

    def cut(self, text: str, width: int) -> str:
        return cut(text, width, self.mark)


class Column:
    """A column of a table.  One that may shrink is cut when the terminal is narrow."""

    def __init__(self, title: str, right: bool = False, shrink: bool = False, least: int = 8) -> None:
        self.title = title
        self.right = right
        self.shrink = shrink
        self.least = least


def column_widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    widths = [max([width_of(c.title)] + [width_of(row[i]) for row in rows]) for i, c in enumerate(columns)]
    too_much = sum(widths) + 2 * (len(widths) - 1) - width
    while too_much > 0:
        shrinkable = [i for i, c in enumerate(columns) if c.shrink and widths[i] > c.least]
        if not shrinkable:
            break
        widest = max(shrinkable, key=lambda i: widths[i])
        widths[widest] -= 1
        too_much -= 1
    return widths


def table_lines(out: Output, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], colors: Sequence[str] = ()) -> list[str]:
    """The lines of a table; outside of a terminal, its values separated by tabs."""
    cells = [["" if value is None else safe(str(value)) for value in row] for row in rows]
    if not out.is_terminal:
        return ["\t".join(c.title for c in columns), *("\t".join(row) for row in cells)]
    widths = column_widths(columns, cells, out.width)
    lines = []
    for place, row in enumerate([[c.title for c in columns], *cells]):
        parts = [
            pad(out.cut(text, width), width, column.right)
            for text, width, column in zip(row, widths, columns, strict=True)
        ]
        text = out.cut("  ".join(parts).rstrip(), out.width)
        color = "bold" if place == 0 else colors[place - 1] if colors else ""
        lines.append(out.paint(text, color))
    return lines


def print_table(out: Output, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], colors: Sequence[str] = ()) -> None:
    for line in table_lines(out, columns, rows, colors):
        out.line(line)


def print_failure(failure: Failure) -> None:
    lines = [f"sierra: {safe(failure.message)}"]
    lines += [f"DETAIL: {safe(failure.detail)}"] if failure.detail else []
    lines += [f"HINT: {safe(failure.hint)}"] if failure.hint else []
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()


# --- values ---------------------------------------------------------------------------------------


def count(number: float | None) -> str | None:
    return None if number is None else f"{number:,.0f}"


def rate(number: float | None) -> str | None:
    return None if number is None else f"{number:,.1f}"


def size(number: float | None) -> str | None:
    if number is None:
        return None
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TB"


def duration(seconds: float | None) -> str | None:
    """Two units at most: 3.4 s, 2 min 5 s, 4 h 10 min, 3 d 2 h."""
    if seconds is None:
        return None
    if seconds < 60:
        return f"{max(seconds, 0):.1f}s"
    whole = int(seconds)
    for unit, name, next_unit, next_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= unit:
            return f"{whole // unit}{name}{whole % unit // next_unit:02d}{next_name}"
    return f"{whole}s"


TIME = re.compile(r"(?P<date>.+?)[ T](?P<time>\d\d:\d\d:\d\d)(?P<fraction>\.\d+)?(?P<zone>[+-]\d\d(?::?\d\d)?)?(?P<era> BC)?")


def when(text: str | None) -> str | None:
    """A time of the server for a person: without fractions, in the time zone of the session."""
    match = TIME.fullmatch(text or "")
    return f"{match['date']} {match['time']}{match['era'] or ''}" if match else text


def clock(text: str) -> tuple[str, str]:
    """The date, and the time of the day."""
    match = TIME.fullmatch(text)
    return (match["date"] + (match["era"] or ""), match["time"]) if match else (text, "")


def iso(text: str | None) -> str | None:
    """A time of the server as ISO 8601 has it."""
    match = TIME.fullmatch(text or "")
    if not match:
        return text
    zone = match["zone"] or ""
    return f"{match['date']}T{match['time']}{match['fraction'] or ''}{zone}{':00' if len(zone) == 3 else ''}{match['era'] or ''}"


class Progress:
    """A bar on standard error, if that is a terminal."""

    def __init__(self, title: str, quiet: bool = False) -> None:
        self.title = title
        self.shown = sys.stderr.isatty() and not quiet
        self.started = time.monotonic()
        self.drawn = 0.0

    def show(self, done: float, total: float | None, text: str = "") -> None:
        now = time.monotonic()
        if not self.shown or (now - self.drawn < 0.1 and self.drawn):
            return
        self.drawn = now
        columns = shutil.get_terminal_size().columns
        if total and total > 0:
            part = min(max(done / total, 0), 1)
            left = (now - self.started) * (1 - part) / part if part > 0.01 else None
            tail = f" {part * 100:3.0f} %  {text}" + (f"  {duration(left)} left" if left is not None else "")
            room = min(max(columns - len(self.title) - len(tail) - 5, 5), 40)
            full = int(part * room)
            line = f"{self.title} [{'#' * full}{'.' * (room - full)}]{tail}"
        else:
            line = f"{self.title} {text}"
        sys.stderr.write("\r" + cut(line, columns - 1) + "\x1b[K")
        sys.stderr.flush()

    def end(self) -> None:
        if self.drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self.drawn = 0.0
