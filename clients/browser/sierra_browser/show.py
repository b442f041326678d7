"""How values are shown: nothing that a payload or a name contains may act, or hide."""

import json
import re

from markupsafe import Markup, escape

# Control characters, what changes the direction of text, what has no width, and halves of
# characters, which UTF-8 does not have.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\ud800-\udfff"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

# What is shown of one payload, and of a text in a table.
LARGE = 65536
SHORT = 300


def visible(text):
    """The text with names in the place of characters that would not be seen."""
    return INVISIBLE.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def finalize(value):
    """For each value that a template prints, before it is escaped."""
    if value is None:
        return ""
    if isinstance(value, Markup):
        return value
    return visible(value) if isinstance(value, str) else value


def as_typed(text):
    """For the value of an input field, which must come back as it is."""
    return Markup(escape("" if text is None else text))


def can_be_sent(text):
    """Whether a text can be part of an address, and be passed to PostgreSQL."""
    try:
        return "\0" not in text and text.encode("utf-8") is not None
    except UnicodeEncodeError:
        return False


# ---------------------------------------------------------------------------
# JSON, as it is stored: numbers, order and repeated members stay
# ---------------------------------------------------------------------------

TOKEN = re.compile(
    r'(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)'
    r'|(?P<open>[\[{])|(?P<close>[\]}])|(?P<comma>,)|(?P<colon>:)|(?P<space>\s+)|(?P<rest>.)',
    re.DOTALL,
)
# Deeper levels are not indented further.
INDENTED = 24


class _Printer:
    """Writes tokens on lines of their own; needs no recursion, so any depth will do."""

    def __init__(self):
        self.parts = []
        self.depth = 0
        self.fresh = None

    def line(self):
        self.parts.append("\n" + "  " * min(self.depth, INDENTED))

    def before_value(self):
        if self.fresh:
            self.line()
        self.fresh = None

    def value(self, kind, text):
        self.before_value()
        self.parts.append(Markup('<span class="{}">{}</span>').format(kind, visible(text)))

    def open(self, text):
        self.before_value()
        self.parts.append(text)
        self.depth += 1
        self.fresh = True

    def close(self, text):
        self.depth = max(self.depth - 1, 0)
        if not self.fresh:
            self.line()
        self.fresh = None
        self.parts.append(text)

    def comma(self):
        self.parts.append(",")
        self.fresh = True

    def key_or_string(self, text, is_key):
        self.value("k" if is_key else "s", text)


def pretty(text):
    """JSON in lines, with colours; also the beginning of one."""
    printer = _Printer()
    tokens = [(found.lastgroup, found[0]) for found in TOKEN.finditer(text) if found.lastgroup != "space"]
    for index, (kind, token) in enumerate(tokens):
        if kind == "string":
            printer.key_or_string(token, tokens[index + 1 : index + 2] == [("colon", ":")])
        elif kind in ("number", "word"):
            printer.value("n" if kind == "number" else "w", token)
        elif kind == "open":
            printer.open(token)
        elif kind == "close":
            printer.close(token)
        elif kind == "comma":
            printer.comma()
        elif kind == "colon":
            printer.parts.append(": ")
        else:
            printer.parts.append(visible(token))
    return Markup("").join(printer.parts)


class Number(str):
    """A number as it is written."""


def parse(text):
    """The document, or None if it cannot be compared: too large, too deep."""
    if text is None or len(text) > LARGE:
        return None
    try:
        return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=Number)
    except (ValueError, RecursionError):
        return None


def parse_object(text):
    document = parse(text)
    return document if isinstance(document, dict) else {}


def flatten(document, limit=5000):
    """The values of a document by their paths."""
    values = {}
    waiting = [((), document)]
    while waiting and len(values) < limit:
        path, value = waiting.pop()
        members = None
        if isinstance(value, dict):
            members = list(value.items())
        elif isinstance(value, list):
            members = list(enumerate(value))
        if members:
            waiting.extend(((*path, key), member) for key, member in reversed(members))
        else:
            values[path] = value
    return values


def path_text(path):
    """A path as people write it: items.laptop.price, list[0]."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[\w-]+", part):
            text += ("." if text else "") + part
        else:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
    return text or "(all)"


def value_text(value):
    return value if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)


def differences(before, after):
    """What changed from one document to the next: path, kind, old and new value."""
    old, new = flatten(before), flatten(after)
    # An object that had members, and one that gets some, are not values.
    empty = ({}, [])
    rows = []
    for path in [*new, *(path for path in old if path not in new)]:
        was, is_now = old.get(path, Ellipsis), new.get(path, Ellipsis)
        if was == is_now and type(was) is type(is_now):
            continue
        if (was is Ellipsis and is_now in empty and _has_below(old, path)) or (
            is_now is Ellipsis and was in empty and _has_below(new, path)
        ):
            continue
        kind = "new" if was is Ellipsis else "gone" if is_now is Ellipsis else "changed"
        rows.append(
            {
                "path": path_text(path),
                "kind": kind,
                "before": None if was is Ellipsis else value_text(was),
                "after": None if is_now is Ellipsis else value_text(is_now),
            }
        )
    return rows


def _has_below(values, path):
    return any(other[: len(path)] == path for other in values)


# ---------------------------------------------------------------------------
# Other values
# ---------------------------------------------------------------------------


def hex_lines(data, width=16):
    """Bytes as hexdump shows them."""
    lines = []
    for start in range(0, len(data), width):
        part = data[start : start + width]
        digits = " ".join(f"{byte:02x}" for byte in part)
        signs = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:06x}  {digits:<{width * 3}} {signs}")
    return "\n".join(lines)


def duration(seconds):
    """A time as people say it: 40 ms, 3.2 s, 5 min 12 s, 2 d 4 h."""
    if seconds is None:
        return ""
    sign, seconds = ("-" if seconds < 0 else ""), abs(float(seconds))
    if seconds < 1:
        return f"{sign}{seconds * 1000:.0f} ms"
    whole = int(seconds)
    if seconds < 10:
        return f"{sign}{whole} s" if seconds == whole else f"{sign}{seconds:.1f} s"
    if whole < 60:
        return f"{sign}{whole} s"
    for size, name, below, below_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            first, rest = divmod(whole, size)
            second = rest // below
            return f"{sign}{first} {name}" + (f" {second} {below_name}" if second else "")
    return ""


def number(value):
    """12 345 678, with spaces that do not break."""
    return "" if value is None else f"{value:,}".replace(",", "\u202f")


def size(value):
    if value is None:
        return ""
    value = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1024:
            break
        value /= 1024
    else:
        unit = "TB"
    return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"


def moment(text):
    """A time without what is smaller than a millisecond."""
    return re.sub(r"(\.\d{3})\d+", r"\1", text) if text else ""


def category(stream_id):
    return stream_id.split("-", 1)[0]
