"""The commands that change something: retry, skip, pause, resume."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import psycopg

from .failure import FOUND, OK, Failure, Usage
from .output import safe
from .state import failure_rows

if TYPE_CHECKING:
    from argparse import Namespace

    from .database import Database
    from .output import Output


def kind_of(database: Database, options: Namespace) -> str:
    """Is it a subscription, a projection (or process manager), or a saga?"""
    if options.kind:
        return str(options.kind)
    names = {
        "subscription": "SELECT 1 FROM @.event_subscriptions() AS s WHERE s.subscription = %(name)s",
        "projection": "SELECT 1 FROM @.event_projections() AS p WHERE p.projection = %(name)s",
    }
    found = [kind for kind, query in names.items() if database.read(query, name=options.name)]
    if len(found) > 1:
        raise Usage(f'a subscription and a projection have the name "{options.name}"', "Say which with --kind.")
    return found[0] if found else "saga"


def change(database: Database, query: str, options: Namespace, **values: Any) -> Any:
    """Calls a function that changes something."""
    try:
        with database.transaction(write=True):
            return database.value(query, **values)
    except psycopg.Error as error:
        if error.sqlstate == "42704" and not options.kind:
            raise Failure(
                f'no subscription, projection or saga has the name "{options.name}"',
                f'The store is "{database.current_store()}".',
                "`sierra consumers` and `sierra failures` show the names.",
            ) from None
        raise


def report(out: Output, options: Namespace, done: bool, text: str, **facts: Any) -> int:
    if out.as_json:
        out.record({"name": options.name, "done": done} | facts)
    else:
        out.line(safe(text))
    return OK if done else FOUND


def retry(database: Database, out: Output, options: Namespace) -> int:
    kind = kind_of(database, options)
    if kind != "subscription" and options.stream:
        raise Usage(f"a {kind} is tried again as a whole", "Leave out the stream.")
    if kind == "subscription":
        query = "SELECT @.eretry(%(name)s, %(stream)s)"
        number = change(database, query, options, name=options.name, stream=options.stream)
        text = f"{number} failed event{'' if number == 1 else 's'} of {options.name} will come again now"
        where = f"stream {options.stream} of {options.name}" if options.stream else options.name
        return report(out, options, number > 0, text if number else f"nothing has failed in {where}", events=number)
    if kind == "projection":
        done = change(database, "SELECT @.retry_projection(%(name)s)", options, name=options.name)
        text = f"{options.name} will try again now" if done else f"nothing has failed in {options.name}"
        return report(out, options, done, text)
    change(database, "SELECT @.retry_saga(%(name)s)", options, name=options.name)
    return report(out, options, True, f"saga {options.name} will try again now")


def skip(database: Database, out: Output, options: Namespace) -> int:
    kind = kind_of(database, options)
    if kind == "subscription" and not options.stream:
        raise Usage(
            "skip needs the stream whose failed event is to be given up",
            f"`sierra failures {options.name}` shows the streams.",
        )
    confirm(database, kind, options)
    if kind == "subscription":
        query = "SELECT @.eskip(%(name)s, %(stream)s)"
    elif kind == "projection":
        query = "SELECT @.skip_projection_event(%(name)s, %(stream)s)"
    else:
        query = "SELECT @.skip_saga_step(%(name)s, %(reason)s)"
    given_up = change(database, query, options, name=options.name, stream=options.stream, reason=options.reason)
    if given_up is None:
        return report(out, options, False, f"nothing has failed there in {options.name}")
    if kind == "saga":
        return report(out, options, True, f"gave up the compensation of step {given_up} of {options.name}", step=given_up)
    text = f"gave up the event at position {given_up} for {options.name}"
    return report(out, options, True, text, global_position=given_up)


def confirm(database: Database, kind: str, options: Namespace) -> None:
    """Asks before something is given up for good."""
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise Usage("skip gives up an event for good, and nobody can be asked", "Add --yes.")
    sys.stderr.write("This gives up, for good:\n")
    for row in failure_rows(database):
        kinds = ("projection", "manager") if kind == "projection" else (kind,)
        if row["name"] == options.name and row["kind"] in kinds and options.stream in (None, row["stream_id"]):
            place = f"step {row['step']}" if kind == "saga" else f"position {row['global_position']}, stream {row['stream_id']}"
            sys.stderr.write(f"  {safe(options.name)}: {safe(place)}: {safe(row['reason'] or 'no reason')}\n")
    sys.stderr.write("Continue? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("nothing was skipped")


def pause(database: Database, out: Output, options: Namespace) -> int:
    done = change_projection(database, "SELECT @.pause_projection(%(name)s)", options)
    text = f"{options.name} is paused" if done else f"{options.name} was paused already"
    report(out, options, done, text)
    return OK


def resume(database: Database, out: Output, options: Namespace) -> int:
    done = change_projection(database, "SELECT @.resume_projection(%(name)s)", options)
    text = f"{options.name} runs again" if done else f"{options.name} was not paused"
    report(out, options, done, text)
    return OK


def change_projection(database: Database, query: str, options: Namespace) -> Any:
    try:
        with database.transaction(write=True):
            return database.value(query, name=options.name)
    except psycopg.Error as error:
        if error.sqlstate == "42704":
            raise Failure(
                f'no projection or process manager has the name "{options.name}"',
                f'The store is "{database.current_store()}".  A subscription cannot be paused: stop its consumer.',
                "`sierra consumers` shows the names.",
            ) from None
        raise
