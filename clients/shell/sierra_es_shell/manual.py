"""The manual page, made from the command line."""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING

from . import __version__
from .completion import options_of

if TYPE_CHECKING:
    from .command_line import Commands


def roff(text: str) -> str:
    """Text in which nothing means anything to roff."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line[:1] in (".", "'") else line for line in text.split("\n"))


def manual(commands: Commands) -> str:
    parser = commands.parser
    lines = [
        f'.TH SIERRA 1 "" "sierra {__version__}" "sierra_es"',
        ".SH NAME",
        "sierra \\- shows and operates event stores of sierra_es",
        ".SH SYNOPSIS",
        ".B sierra",
        ".RI [ options ] \" \" command \" \" [ arguments ]",
        ".SH DESCRIPTION",
        roff(parser.description or ""),
        ".SH OPTIONS",
        *option_lines(parser),
        ".SH COMMANDS",
    ]
    common = {string for action in options_of(parser) for string in action.option_strings}
    for name, command in commands.parsers.items():
        usage = " ".join(command.format_usage().removeprefix("usage: ").split())
        lines += [f".SS {roff(name)}", ".nh", roff(shorten(usage)), ".hy", ".PP", roff(command.description or "")]
        lines += option_lines(command, common)
        lines += [".PP", "Examples:", ".PP", ".nf", ".RS 4", roff(textwrap.dedent((command.epilog or "").split("\n", 1)[1]).strip()), ".RE", ".fi"]
    for section in (parser.epilog or "").split("\n\n"):
        title, _, text = section.partition(":\n")
        if text:
            lines += [f".SH {roff(title.upper())}", ".nf", roff("\n".join(line[2:] for line in text.rstrip().split("\n"))), ".fi"]
    lines += [".SH SEE ALSO", ".BR psql (1)"]
    return "\n".join(lines) + "\n"


def shorten(usage: str) -> str:
    """The usage without the options that every command has."""
    for common in ("[-h] ", "[-d CONNINFO] ", "[-s STORE] ", "[--json] ", "[-w] ", "[-q] "):
        usage = usage.replace(common, "", 1)
    return usage


def option_lines(parser: argparse.ArgumentParser, without: set[str] | None = None) -> list[str]:
    lines = []
    for action in options_of(parser):
        if without and without & set(action.option_strings):
            continue
        value = ""
        if action.nargs != 0 and not isinstance(action, argparse.BooleanOptionalAction):
            value = f" {action.metavar or action.dest.upper()}"
            if action.choices:
                value = " " + "|".join(action.choices)
        lines += [".TP", roff(", ".join(action.option_strings) + value), roff((action.help or "").replace("%%", "%"))]
    return lines
