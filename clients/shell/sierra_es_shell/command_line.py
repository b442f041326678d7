"""The command line: commands, options, help; what happens at the end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

import psycopg

from . import __version__, completion, operate, read, state, top, transfer
from .database import Database, connection_string
from .failure import ERROR, OK, USAGE, Failure, of_file, of_server
from .output import Output, print_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Command = Callable[[Database, Output, argparse.Namespace], int]

DESCRIPTION = "Shows and operates event stores of sierra_es, an extension of PostgreSQL."

EPILOG = """\
connection:
  -d takes a database or a connection string of libpq, as psql does.  What it
  does not say comes from PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD,
  PGSERVICE, ~/.pgpass and so on.  All commands use read-only transactions,
  except retry, skip, pause, resume and import.

exit status:
  0  all is well
  1  an error of the server, of the connection or of a file
  2  wrong usage
  3  nothing was found; or there is a problem (verify), a failure (failures),
     or a consumer that is behind (consumers --max-lag)

examples:
  sierra stats
  sierra tail 'order-*'
  sierra cat order-17 --at 3
  sierra consumers
  sierra -d 'host=db1 dbname=shop' --store billing top

`sierra COMMAND --help` has examples of each command.
"""


class Parser(argparse.ArgumentParser):
    """Errors as everywhere in this program."""

    def error(self, message: str) -> NoReturn:
        print_failure(Failure(message, hint=f"Try: {self.prog} --help"))
        sys.exit(USAGE)


def common_options(inherit: bool) -> Parser:
    """Options that may be before the command, or after it."""
    default = argparse.SUPPRESS if inherit else None
    parser = Parser(add_help=False)
    group = parser.add_argument_group("common options")
    add = group.add_argument
    add("-d", "--dbname", metavar="CONNINFO", default=default, help="database, or connection string of libpq")
    add("-s", "--store", default=default, help="event store (default: the setting sierra_es.store)")
    add("--json", action="store_true", default=default, help="a JSON object on each line")
    add("-w", "--wide", action="store_true", default=default, help="do not cut lines at the width of the terminal")
    add("-q", "--quiet", action="store_true", default=default, help="no notes, no progress bar")
    return parser


def number(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 86400")
    return value


def interval(text: str) -> float:
    return max(seconds(text), 0.1)


class Commands:
    def __init__(self) -> None:
        self.parser = Parser(
            prog="sierra",
            description=DESCRIPTION,
            epilog=EPILOG,
            parents=[common_options(inherit=False)],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.parser.add_argument("--version", action="version", version=f"sierra {__version__}")
        self.commands = self.parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", parser_class=Parser)
        self.common = common_options(inherit=True)
        self.parsers: dict[str, Parser] = {}

    def add(self, name: str, run: Command | None, summary: str, text: str, examples: str) -> Parser:
        parser: Parser = self.commands.add_parser(
            name,
            help=summary,
            description=text,
            epilog="examples:\n" + "".join(f"  {line}\n" for line in examples.strip().splitlines()),
            parents=[self.common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        parser.set_defaults(run=run)
        self.parsers[name] = parser
        return parser


def add_event_commands(commands: Commands) -> None:
    parser = commands.add(
        "tail",
        read.tail,
        "show the newest events, and follow the store",
        "Shows the last events that pass all filters, and then each event as soon as\n"
        "it is committed.  After a restart of the server, it connects again and\n"
        "continues with the next event.  Ctrl-C ends it.",
        "sierra tail\nsierra tail 'order-*' --event OrderPaid --event OrderShipped\n"
        "sierra tail --category order --last 0\nsierra tail --tag customer:7 --from 0 --no-follow --json\n"
        "sierra tail --correlation req-1234",
    )
    parser.add_argument("streams", nargs="*", metavar="STREAM", help="streams; * means any text (quote it)")
    parser.add_argument("-c", "--category", action="append", default=[], help="streams CATEGORY-*; repeatable")
    parser.add_argument("-e", "--event", action="append", default=[], metavar="NAME", help="event name; repeatable")
    parser.add_argument("-t", "--tag", action="append", default=[], help="events with one of these tags; repeatable")
    parser.add_argument("--correlation", metavar="ID", help="events with this correlation_id in their metadata")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--from", dest="start", type=number, metavar="POSITION", help="begin with the event at this position")
    where.add_argument("-n", "--last", type=number, default=10, metavar="N", help="begin with the last N events (default 10)")
    parser.add_argument(
        "-f", "--follow", action=argparse.BooleanOptionalAction, default=True, help="wait for more events (default)"
    )
    parser.add_argument("-l", "--long", action="store_true", help="all facts of each event")

    parser = commands.add(
        "cat",
        read.cat,
        "show the events of a stream",
        "Shows the events of a stream by version.",
        "sierra cat order-17\nsierra cat order-17 --at 3            # as it was at version 3\n"
        "sierra cat order-17 --reverse -n 1   # its last event\nsierra cat order-17 --long",
    )
    parser.add_argument("stream", metavar="STREAM")
    parser.add_argument("--at", type=number, metavar="VERSION", help="up to this version")
    parser.add_argument("--from", dest="start", type=number, metavar="VERSION", help="from this version on")
    parser.add_argument("-n", "--last", type=positive, metavar="N", help="the last N of these events")
    parser.add_argument("-r", "--reverse", action="store_true", help="the newest first")
    parser.add_argument("-l", "--long", action="store_true", help="all facts of each event")

    parser = commands.add(
        "get",
        read.get,
        "show an event by its id",
        "Shows all facts of events.",
        "sierra get 01a21d79-c31b-7da0-9d5b-afad31b9120e\nsierra get --json 01a21d79-c31b-7da0-9d5b-afad31b9120e | jq .payload",
    )
    parser.add_argument("event_id", nargs="+", metavar="EVENT_ID")

    parser = commands.add(
        "trace",
        read.trace,
        "show events that belong together, as a tree",
        "Shows the events with a correlation_id, each below the one that caused it.  The\n"
        "id of an event means the correlation_id of this event.  Without\n"
        "create_trace_index(), it reads the whole store.",
        "sierra trace req-1234\nsierra trace 01a21d79-c31b-7da0-9d5b-afad31b9120e\n"
        "sierra trace --causation 01a21d79-c31b-7da0-9d5b-afad31b9120e",
    )
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--causation", action="store_true", help="the events that ID caused, by causation_id")
    parser.add_argument("-m", "--max", type=positive, default=1000, metavar="N", help="at most N events (default 1000)")
    parser.add_argument("-l", "--long", action="store_true", help="all facts of each event")


def add_list_commands(commands: Commands) -> None:
    parser = commands.add(
        "streams",
        read.streams,
        "list streams",
        "Lists streams with their number of events, by name, or by their newest event.",
        "sierra streams\nsierra streams order-\nsierra streams --newest -m 20",
    )
    parser.add_argument("prefix", nargs="?", default="", metavar="PREFIX", help="only streams whose names begin with it")
    order = parser.add_mutually_exclusive_group()
    order.add_argument("--newest", action="store_true", help="those with the newest events first")
    order.add_argument("--after", metavar="STREAM", help="only streams after this name")
    parser.add_argument("-m", "--max", type=positive, default=100, metavar="N", help="at most N streams (default 100)")

    parser = commands.add(
        "names",
        read.names,
        "list event names",
        "Lists the names of the newest events, and how many events have each.",
        "sierra names\nsierra names --max 0",
    )
    parser.add_argument(
        "-m", "--max", type=number, default=100000, metavar="N", help="of the newest N events; 0: all (default 100000)"
    )


def add_state_commands(commands: Commands) -> None:
    parser = commands.add(
        "stats",
        state.stats,
        "show stores: events, rates, what holds back readers",
        "Shows the stores of the database, or the one that --store names.  Rates are\n"
        "those of the second in which the command runs.  READABLE is the position up to\n"
        "which readers of the whole store get events: a transaction that appends holds it\n"
        "back until it ends.",
        "sierra stats\nsierra stats --partitions --store es\nsierra stats --json --seconds 10",
    )
    parser.add_argument("-p", "--partitions", action="store_true", help="the partitions of each store too")
    parser.add_argument("--seconds", type=seconds, default=1, metavar="S", help="time to measure rates (default 1)")

    parser = commands.add(
        "consumers",
        state.consumers,
        "show subscriptions, groups, projections: lag",
        "Shows what processes the events of the store.  LAG is the number of events\n"
        "after the cursor, LAG TIME the age of the oldest one that waits.",
        "sierra consumers\nsierra consumers mails\nsierra consumers --max-lag 60 || echo 'somebody is behind'",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="only this one, with the members of its group")
    parser.add_argument(
        "--max-lag",
        type=seconds,
        metavar="S",
        help="only those that are stuck, failing, stopped, or more than S seconds behind; exit status 3 if there are any",
    )

    parser = commands.add(
        "failures",
        state.failures,
        "show what failed: events, projections, sagas, timers",
        "Shows everything that failed and waits: for its next attempt, or for somebody.\n"
        "The exit status is 3 if there is anything.",
        "sierra failures\nsierra failures mails\nsierra failures --json | jq -r .reason",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="only of this subscription, projection, saga or timer")

    parser = commands.add(
        "top",
        top.top,
        "show stores, consumers and failures, again and again",
        "Draws a picture every two seconds: what needs help comes first.  q ends it,\n"
        "space refreshes.",
        "sierra top\nsierra top --interval 10\nsierra top --once\nsierra top --json --interval 60 >> top.ndjson",
    )
    parser.add_argument("-i", "--interval", type=interval, default=2, metavar="S", help="seconds between pictures (default 2)")
    parser.add_argument("-1", "--once", action="store_true", help="one picture, and end")


def add_change_commands(commands: Commands) -> None:
    def add(name: str, run: Command, summary: str, text: str, examples: str) -> Parser:
        parser = commands.add(name, run, summary, text, examples)
        parser.add_argument("name", metavar="NAME")
        return parser

    parser = add(
        "retry",
        operate.retry,
        "let what failed be tried again at once",
        "Lets failed events of a subscription come again, a projection or process\n"
        "manager that has stopped or parked events continue, or a saga that is stuck try\n"
        "again.",
        "sierra retry mails\nsierra retry mails order-17\nsierra retry totals\nsierra retry --kind saga buy-1",
    )
    parser.add_argument("stream", nargs="?", metavar="STREAM", help="only the failed event of this stream (subscriptions)")
    add_kind(parser)

    parser = add(
        "skip",
        operate.skip,
        "give up, for good, an event that failed",
        "Gives up the failed event of a stream: the events that wait behind it come\n"
        "next.  Of a saga that is stuck, it gives up the compensation.  Asks before it\n"
        "does so.",
        "sierra skip mails order-17\nsierra skip totals --yes\nsierra skip --kind saga buy-1 --reason 'refunded by hand'",
    )
    parser.add_argument("stream", nargs="?", metavar="STREAM", help="the stream of the failed event")
    parser.add_argument("--reason", default="sierra skip", help="for the stream of a saga")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    add_kind(parser)

    add(
        "pause",
        operate.pause,
        "hold a projection or process manager",
        "Holds a projection or process manager, after a run that is in progress.",
        "sierra pause totals",
    )
    add(
        "resume",
        operate.resume,
        "let a paused projection or process manager continue",
        "Ends the pause of a projection or process manager.",
        "sierra resume totals",
    )


def add_kind(parser: Parser) -> None:
    parser.add_argument("--kind", choices=("subscription", "projection", "saga"), help="what NAME is, if it is not clear")


def add_store_commands(commands: Commands) -> None:
    parser = commands.add(
        "export",
        transfer.export,
        "write the events of the store as lines of JSON",
        "Writes a line of JSON for each event, by position, up to the last one that can\n"
        "be read now.",
        "sierra export > events.ndjson\nsierra export --output events.ndjson\n"
        "sierra export --output events.ndjson --continue   # the events that it lacks\n"
        "sierra export | gzip > events.ndjson.gz",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="file to write to, which must not exist yet")
    parser.add_argument(
        "--continue", dest="resume", action="store_true", help="continue after the last whole line of FILE"
    )
    parser.add_argument("--after", type=int, default=-1, metavar="POSITION", help="only events after this position")
    parser.add_argument("--to", type=number, metavar="POSITION", help="only events up to this position")
    parser.add_argument("--without-numbers", action="store_true", help="only what is the same in every store")

    parser = commands.add(
        "import",
        transfer.import_,
        "append events from lines of JSON",
        "Appends the events of a file, in its order, in batches; each batch is a\n"
        "transaction.  Events that are stored already, by their ids, are left out: after\n"
        "an error, run the same again.",
        "sierra import events.ndjson\nzcat events.ndjson.gz | sierra import -\n"
        "sierra -d old export | sierra -d new import -",
    )
    parser.add_argument("file", metavar="FILE", help="file, or - for standard input")
    parser.add_argument("--batch-size", type=positive, default=1000, metavar="N", help="lines of a batch (default 1000)")

    commands.add(
        "verify",
        transfer.verify,
        "check the store",
        "Checks that numbers have no gaps, ids are unique and tables belong together.\n"
        "It reads the whole store, and shows how far it is.  The exit status is 3 if\n"
        "there is a problem.",
        "sierra verify\nsierra verify --store billing --json",
    )


def add_completion(commands: Commands) -> None:
    parser = commands.add(
        "completion",
        None,
        "print the completion for bash, or the manual page",
        "Prints a script that completes commands, options and names in bash; or the\n"
        "manual page.",
        "sierra completion bash > ~/.local/share/bash-completion/completions/sierra\nsierra completion man | man -l -",
    )
    parser.add_argument("what", choices=("bash", "man", "words"), metavar="{bash,man}")
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)


def build() -> Commands:
    commands = Commands()
    add_event_commands(commands)
    add_list_commands(commands)
    add_state_commands(commands)
    add_change_commands(commands)
    add_store_commands(commands)
    add_completion(commands)
    return commands


def prepare_streams(as_json: bool) -> None:
    """A reader that ends early ends this program as it ends others; no character is an error."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # Without a standard output or error, Python has None here.
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_WRONLY)
            os.dup2(descriptor, number)
            setattr(sys, name, os.fdopen(number, "w"))
        if as_json and number == 1:
            getattr(sys, name).reconfigure(encoding="utf-8", errors="backslashreplace")
        else:
            getattr(sys, name).reconfigure(errors="backslashreplace")


def run(commands: Commands, options: argparse.Namespace) -> int:
    out = Output(bool(options.json), bool(options.wide), bool(options.quiet))
    if options.command == "completion":
        return completion.completion(commands, options)
    database = Database(connection_string(options.dbname), options.store, options.command, utc=out.as_json)
    try:
        if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        command: Command = options.run
        status = command(database, out, options)
        out.flush()
        return status
    except KeyboardInterrupt:
        # A second one ends it at once.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        database.cancel()
        raise
    finally:
        database.close()


def main(arguments: Sequence[str] | None = None) -> int:
    commands = build()
    options = commands.parser.parse_args(arguments)
    if options.command is None:
        commands.parser.print_help()
        return USAGE
    prepare_streams(bool(options.json))
    status = guarded(commands, options)
    try:
        sys.stdout.flush()
    except OSError as error:
        # What cannot be written now must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if status == OK:
            print_failure(of_file(error))
            status = ERROR
    return status


def guarded(commands: Commands, options: argparse.Namespace) -> int:
    """Runs the command; every error becomes a message and an exit status."""
    try:
        return run(commands, options)
    except KeyboardInterrupt:
        # The normal end of what runs until then.
        return OK if options.command in ("tail", "top") else 130
    except Failure as failure:
        print_failure(failure)
        return failure.status
    except psycopg.Error as error:
        print_failure(of_server(error))
        return ERROR
    except OSError as error:
        print_failure(of_file(error))
        return ERROR
    except UnicodeEncodeError:
        print_failure(Failure("an argument is not valid text in the encoding of the terminal"))
        return USAGE
