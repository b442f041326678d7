"""The command completion: the script for bash, the manual page, and names of the database."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import psycopg

from .database import Database, connection_string
from .failure import OK, Failure
from .output import safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .command_line import Commands

# What completes the positional argument of a command, or the value of an option.
NAMES = {
    "streams": "SELECT s.stream_id AS word FROM @.event_streams(prefix => %(prefix)s, max_count => 50) AS s",
    "subscriptions": "SELECT s.subscription AS word FROM @.event_subscriptions() AS s"
    " WHERE s.subscription NOT LIKE 'projection:%%' UNION SELECT p.projection FROM @.event_projections() AS p",
    "projections": "SELECT DISTINCT p.projection AS word FROM @.event_projections() AS p",
    "names": "SELECT n.event_name AS word FROM @.event_names(max_events => 10000) AS n",
    "stores": "SELECT s.store AS word FROM @.event_stores() AS s",
}
POSITIONALS = {
    "tail": "streams",
    "cat": "streams",
    "streams": "streams",
    "consumers": "subscriptions",
    "failures": "subscriptions",
    "retry": "subscriptions",
    "skip": "subscriptions",
    "pause": "projections",
    "resume": "projections",
    "import": "files",
    "completion": "bash man",
}

BASH = """\
# Completion of sierra for bash; made by `sierra completion bash`.
_sierra() {
    local cur prev words cword command='' word i store=() database=()
    COMPREPLY=()
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref -n := cur prev words cword
    else
        cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
    fi
    for ((i = 1; i < cword; i++)); do
        word=${words[i]}
        case $word in
            -d | --dbname) database=(-d "${words[++i]//[\\'\\"]/}") ;;
            -s | --store) store=(-s "${words[++i]//[\\'\\"]/}") ;;
            -*) ;;
            *) [ -n "$command" ] || command=$word ;;
        esac
    done
    _sierra_names() {
        # Not by compgen, which would run a name like $(command).
        local name quoted
        while IFS= read -r name; do
            printf -v quoted %q "$name"
            COMPREPLY+=("$quoted")
        done < <(sierra "${database[@]}" "${store[@]}" completion words "$1" "$cur" 2>/dev/null)
        if declare -F __ltrim_colon_completions >/dev/null; then
            __ltrim_colon_completions "$cur"
        fi
    }
    _sierra_files() {
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        compopt -o filenames 2>/dev/null || true
    }
    case $prev in
        -s | --store) _sierra_names stores; return ;;
        -e | --event) _sierra_names names; return ;;
        -o | --output) _sierra_files; return ;;
        --kind) COMPREPLY=($(compgen -W 'subscription projection saga' -- "$cur")); return ;;
        VALUES) return ;;
    esac
    case $command in
COMMANDS
        *) word='' ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$word" -- "$cur"))
        return
    fi
    case $command in
        '') COMPREPLY=($(compgen -W 'ALL' -- "$cur")) ;;
POSITIONALS
    esac
}
complete -F _sierra sierra
"""


def options_of(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if action.option_strings and action.help != argparse.SUPPRESS:
            yield action


def bash(commands: Commands) -> str:
    special = {"-s", "--store", "-e", "--event", "-o", "--output", "--kind"}
    values: set[str] = set()
    cases, positionals = [], []
    for name, parser in [("", commands.parser), *commands.parsers.items()]:
        words = [word for action in options_of(parser) for word in action.option_strings]
        values |= {
            word for action in options_of(parser) if action.nargs is None and action.metavar != ""
            for word in action.option_strings
            if word not in special and takes_value(action)
        }
        cases.append(f"        {name or repr('')}) word='{' '.join(words)}' ;;")
        kind = POSITIONALS.get(name)
        if kind == "files":
            positionals.append(f"        {name}) _sierra_files ;;")
        elif kind in NAMES:
            positionals.append(f"        {name}) _sierra_names {kind} ;;")
        elif kind:
            positionals.append(f"        {name}) COMPREPLY=($(compgen -W '{kind}' -- \"$cur\")) ;;")
    return (
        BASH.replace("VALUES", " | ".join(sorted(values)))
        .replace("COMMANDS", "\n".join(cases))
        .replace("POSITIONALS", "\n".join(positionals))
        .replace("ALL", " ".join(commands.parsers))
    )


def takes_value(action: argparse.Action) -> bool:
    return action.nargs != 0 and not isinstance(action, argparse.BooleanOptionalAction)


def words(options: argparse.Namespace) -> Iterator[str]:
    """Names of the database, for the shell; none if they cannot be had."""
    kind, prefix = [*options.words, "", ""][:2]
    if kind not in NAMES:
        return
    try:
        database = Database(connection_string(options.dbname), options.store, "completion")
        try:
            for row in database.read(NAMES[kind], prefix=prefix):
                if row["word"].startswith(prefix) and row["word"] == safe(row["word"]):
                    yield row["word"]
        finally:
            database.close()
    except (psycopg.Error, Failure):
        return


def completion(commands: Commands, options: argparse.Namespace) -> int:
    if options.what == "bash":
        sys.stdout.write(bash(commands))
    elif options.what == "man":
        from .manual import manual

        sys.stdout.write(manual(commands))
    else:
        for word in words(options):
            print(word)
    return OK
