"""The table and the JSON file."""

import json
import os
import platform
from statistics import median

HEAD = ("row", "clients", "sync", "sierra_es", "figure", "against", "figure", "unit", "ratio", "rounds", "bar", "")
RIGHT = {1, 4, 6, 8, 10}


def number(value):
    """A figure with the digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def rounds(figure):
    """Median and range of the ratios round by round."""
    ratios = figure.by_round
    if len(ratios) < 2:
        return ""
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def cells(figure, clients):
    """One line of the table."""
    def side(result):
        return (result.load.label, number(result.best)) if result else ("", "")

    compared = figure.subject and figure.rival
    return (figure.row.name, str(clients or figure.row.clients), figure.row.sync,
            *side(figure.subject), *side(figure.rival), figure.row.unit,
            f"{figure.ratio:.2f}" if compared else "",
            rounds(figure) if compared else "",
            f">= {figure.bar:.2f}" if compared and figure.bar else "",
            figure.verdict if compared else "")


def table(figures, options):
    """The whole table as text; a blank line between rows of different names."""
    lines = [cells(figure, options.clients) for figure in figures]
    widths = [max(len(line[i]) for line in [HEAD, *lines]) for i in range(len(HEAD))]

    def text(line):
        return "  ".join(cell.rjust(width) if i in RIGHT else cell.ljust(width)
                         for i, (cell, width) in enumerate(zip(line, widths))).rstrip()

    out = [text(HEAD), text(["-" * width for width in widths])]
    for line, previous in zip(lines, [None, *lines]):
        if previous and previous[:1] != line[:1]:
            out.append("")
        out.append(text(line))
    return "\n".join(out)


def summary(figures):
    """How many bars were met."""
    verdicts = [figure.verdict for figure in figures if figure.subject and figure.rival]
    return f"{verdicts.count('pass')} bars met, {verdicts.count('MISS')} missed"


def side(result):
    """One contender as JSON."""
    if not result:
        return None
    return {"label": result.load.label, "best": result.best, "samples": result.samples}


def document(figures, options, version):
    """Everything as JSON-ready data."""
    rows = [{
        "row": figure.row.name, "clients": options.clients or figure.row.clients, "sync": figure.row.sync,
        "unit": figure.row.unit, "subject": side(figure.subject), "rival": side(figure.rival),
        "ratio": figure.ratio if figure.subject and figure.rival else None,
        "by_round": figure.by_round if figure.subject and figure.rival else None, "bar": figure.bar,
        "verdict": figure.verdict if figure.subject and figure.rival else "",
    } for figure in figures]
    return {
        "server": version, "cpus": os.cpu_count(), "machine": platform.machine(),
        "seconds": options.seconds, "rounds": options.rounds, "big": options.big,
        "read_streams": options.read_streams, "size_events": options.size_events, "rows": rows,
    }


def write_json(path, *args):
    """Write the JSON file."""
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document(*args), file, indent=2)
        file.write("\n")
