"""Compares the ratio of ours to bare of each operation with the one that is kept in a file."""

import json
from dataclasses import dataclass

TOLERANCE = 0.03
HEAD = ("operation", "sierra_es", "bare SQL", "ratio", "kept", "difference", "")


@dataclass(frozen=True)
class Compared:
    """One operation: its title, what was counted, and the ratio that is kept; None: there is none."""

    title: str
    ours: int
    bare: int
    kept: float = None

    @property
    def ratio(self):
        """Instructions of ours by those of the bare statement: less is better."""
        return self.ours / self.bare

    @property
    def difference(self):
        """How much worse than the ratio that is kept; below 0: better. Rounded: 3 % are not more than 3 %."""
        return round(self.ratio / self.kept - 1, 4)

    @property
    def verdict(self):
        """Worse and new ones fail; better ones ask for an update of the file."""
        if self.kept is None:
            return "NEW"
        if self.difference > TOLERANCE:
            return "WORSE"
        return "better" if self.difference < -TOLERANCE else "ok"

    @property
    def cells(self):
        """One line of the table."""
        kept = self.kept is not None
        return (self.title, f"{self.ours:,}", f"{self.bare:,}", f"{self.ratio:.3f}", f"{self.kept:.3f}" if kept else "",
                f"{self.difference:+.1%}" if kept else "", self.verdict)


def compare(operations, counts, kept):
    """The operations that were counted, beside what is kept of them."""
    return [Compared(one.title, *counts[one.name], kept.get(one.name)) for one in operations if one.name in counts]


def table(compared):
    """The whole table as text."""
    lines = [HEAD, *(one.cells for one in compared)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(cell.rjust(width) if 0 < i < 6 else cell.ljust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines)


def summary(compared, left_over):
    """What the comparison means: text, and whether it failed."""
    verdicts = [one.verdict for one in compared]
    worse, new, better = (verdicts.count(verdict) for verdict in ("WORSE", "NEW", "better"))
    lines = []
    if worse:
        lines.append(f"{worse} of {len(compared)}: over {TOLERANCE:.0%} more instructions than is kept, compared with "
                     "the bare statement. Make it faster, or keep the new ratio with --update and say why")
    if new:
        lines.append(f"{new} of {len(compared)}: no ratio is kept. Add it with --update")
    if left_over:
        lines.append(f"ratios are kept of what is not an operation: {', '.join(left_over)}. Remove them with --update")
    if better:
        lines.append(f"{better} of {len(compared)}: over {TOLERANCE:.0%} fewer instructions than is kept. "
                     "Keep that with --update")
    failed = bool(worse or new or left_over)
    return "\n".join(lines or ["all ratios are as they are kept"]), failed


def read(path):
    """The ratios that are kept, by the names of operations; none if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write(path, operations, counts, kept):
    """Keep the ratios that were counted, and those of the operations that were not."""
    ratios = {**kept, **{name: round(ours / bare, 3) for name, (ours, bare) in counts.items()}}
    lines = {one.name: ratios[one.name] for one in operations if one.name in ratios}
    path.write_text(json.dumps(lines, indent=2) + "\n", encoding="utf-8")
