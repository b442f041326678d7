"""An event: how it is read, and how it is printed."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from .output import clock, iso, pad, safe, safe_json, to_json, width_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .database import Row
    from .output import Output

COLUMNS = (
    "e.global_position, e.partition_id, e.partition_sequence, e.stream_id, e.stream_version, e.event_id,"
    ' e.event_name, e."timestamp", e.partition_key, e.transaction_id, e.metadata, e.payload, e.payload_bytes, e.tags'
)


def json_line(event: Row) -> str:
    """The event as a line of JSON, with payload and metadata as they are stored.

    Only line breaks between their members become spaces, and what is not printable an escape.
    """
    members = []
    for name, value in event.items():
        if value is None:
            continue
        if name in ("payload", "metadata"):
            text = safe_json(value)
        elif name == "timestamp":
            text = to_json(iso(value))
        elif name == "payload_bytes":
            text = to_json(base64.b64encode(value).decode())
        else:
            text = to_json(value)
        members.append(f'"{name}":{text}')
    return "{" + ",".join(members) + "}"


def payload_text(event: Row) -> str:
    """The payload on one line."""
    if event["payload_bytes"] is not None:
        return "\\x" + bytes(event["payload_bytes"]).hex()
    return safe_json(event["payload"] or "")


def pretty(document: str) -> str:
    """JSON over several lines; numbers keep their digits."""
    try:
        value = json.loads(document, parse_float=Digits, parse_int=Digits, object_pairs_hook=Members)
        return "\n".join(safe_json(line) for line in lines_of(value).split("\n"))
    except (ValueError, RecursionError):
        return safe_json(document)


class Digits(str):
    """A number as it is written."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """The members of an object, also if two have the same name."""


def lines_of(value: Any, depth: int = 0) -> str:
    inner = "  " * (depth + 1)
    if isinstance(value, Digits):
        return str(value)
    if isinstance(value, Members):
        members = [f"{inner}{json.dumps(k, ensure_ascii=False)}: {lines_of(v, depth + 1)}" for k, v in value]
        if not members:
            return "{}"
        return "{\n" + ",\n".join(members) + "\n" + "  " * depth + "}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(inner + lines_of(v, depth + 1) for v in value) + "\n" + "  " * depth + "]"
    return json.dumps(value, ensure_ascii=False)


class EventPrinter:
    """Prints events one after the other: lines that fit a terminal, or all facts, or JSON."""

    def __init__(self, out: Output, long: bool = False) -> None:
        self.out = out
        self.long = long
        self.date = ""
        self.widths = [5, 12, 10]

    def show_all(self, events: Sequence[tuple[int, Row]]) -> None:
        """Events with their depths; the columns fit all of them from the first line on."""
        if self.out.is_terminal and not self.out.as_json and not self.long:
            for depth, event in events:
                self.fields(event, depth)
        for depth, event in events:
            self.show(event, depth)

    def show(self, event: Row, depth: int = 0) -> None:
        if self.out.as_json:
            self.out.line(json_line(event))
        elif self.long:
            self.show_long(event)
        elif self.out.is_terminal:
            self.show_short(event, depth)
        else:
            fields = [
                event["global_position"],
                iso(event["timestamp"]),
                event["stream_id"],
                event["stream_version"],
                event["event_name"],
                payload_text(event),
            ]
            self.out.line("\t".join(safe(str(field)) for field in fields))

    def fit(self, place: int, text: str, most: int) -> str:
        """The text in a column that grows with what it has to hold, up to a width."""
        text = text if self.out.wide else self.out.cut(text, most)
        self.widths[place] = max(self.widths[place], min(width_of(text), most))
        return text

    def fields(self, event: Row, depth: int) -> tuple[str, str, str]:
        """Position, stream and name as far as they are shown, for which the columns make room."""
        position = self.fit(0, str(event["global_position"]), 20)
        version = f"@{event['stream_version']}"
        stream = self.out.cut(safe(event["stream_id"]), 10**9 if self.out.wide else max(24 - len(version), 8)) + version
        stream = self.fit(1, "  " * min(depth, 8) + stream, 24 + 2 * min(depth, 8))
        return position, stream, self.fit(2, safe(event["event_name"]), 20)

    def show_short(self, event: Row, depth: int) -> None:
        date, time = clock(event["timestamp"])
        if date != self.date:
            self.date = date
            self.out.line(self.out.paint(f"-- {date} --", "dim"))
        position, stream, name = self.fields(event, depth)
        line = f"{pad(position, self.widths[0], right=True)} {time} {pad(stream, self.widths[1])} {pad(name, self.widths[2])} "
        rest = self.out.cut(payload_text(event), max(self.out.width - width_of(line), 0))
        line = self.out.cut(line.rstrip() if not rest else line, self.out.width)
        self.out.line(line.replace(name, self.out.paint(name, "bold"), 1) + rest if self.out.colored else line + rest)

    def show_long(self, event: Row) -> None:
        facts = {
            "event": f"{event['event_name']}  {event['event_id']}",
            "stream": f"{event['stream_id']} @ {event['stream_version']}",
            "position": f"{event['global_position']} (partition {event['partition_id']},"
            f" sequence {event['partition_sequence']})",
            "time": iso(event["timestamp"]),
            "transaction": event["transaction_id"],
            "partition key": event["partition_key"],
            "tags": ", ".join(event["tags"] or ()),
        }
        for name, value in facts.items():
            if value:
                self.out.line(f"{self.out.paint(f'{name:14}', 'dim')}{safe(value)}")
        for name in ("metadata", "payload"):
            if event[name] is not None:
                self.block(name, pretty(event[name]))
        if event["payload_bytes"] is not None:
            self.block("payload bytes", bytes(event["payload_bytes"]).hex(" ", 4))
        self.out.line()

    def block(self, name: str, text: str) -> None:
        for place, line in enumerate(text.split("\n")):
            title = f"{name:14}" if place == 0 else " " * 14
            self.out.line(self.out.paint(title, "dim") + line)
