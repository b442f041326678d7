"""The commands that show how things are: stats, consumers, failures."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from .failure import FOUND, OK
from .output import Column, count, duration, iso, print_table, rate, size

if TYPE_CHECKING:
    from argparse import Namespace

    from .database import Database, Row
    from .output import Output

# --- stores ---------------------------------------------------------------------------------------

COUNTERS = {
    "events_per_second": "sierra_es_store_appended_events_total",
    "appends_per_second": "sierra_es_store_appends_total",
    "conflicts_per_second": "sierra_es_store_conflicts_total",
    "bytes_per_second": "sierra_es_store_appended_bytes_total",
}


@dataclass
class Counters:
    """Counters of the stores at a time; empty for a role that may not read them."""

    at: float
    values: dict[tuple[str, str], float] = field(default_factory=dict)
    preloaded: bool = False
    allowed: bool = True


def metrics(database: Database, *subjects: str) -> list[Row] | None:
    """Rows of event_metrics(), or None for a role that is not a monitor."""
    try:
        with database.transaction():
            return [
                row
                for subject in subjects
                for row in database.rows(
                    "SELECT m.metric, m.labels->>'store' AS store, m.labels->>'subject' AS subject,"
                    " m.labels->>'status' AS status, m.labels->>'saga' AS saga, m.labels->>'pid' AS pid,"
                    " m.labels->>'gid' AS gid, m.labels->>'role' AS role, m.labels->>'application' AS application,"
                    " nullif(m.value, 'NaN') AS value FROM @.event_metrics(%(subject)s) AS m",
                    subject=subject,
                )
            ]
    except psycopg.errors.InsufficientPrivilege:
        return None


def read_counters(database: Database) -> Counters:
    rows = metrics(database, "store", "database")
    counters = Counters(time.monotonic(), allowed=rows is not None)
    for row in rows or []:
        counters.values[row["store"] or "", row["metric"]] = row["value"]
        if row["metric"] == "sierra_es_database_preloaded":
            counters.preloaded = row["value"] == 1
    return counters


def rates(store: str, before: Counters, after: Counters) -> dict[str, float | None]:
    """What a store counted between two times, for each second."""
    result: dict[str, float | None] = {}
    seconds = after.at - before.at
    for name, metric in COUNTERS.items():
        first, last = before.values.get((store, metric)), after.values.get((store, metric))
        known = after.preloaded and seconds > 0 and first is not None and last is not None and last >= first
        result[name] = round((last - first) / seconds, 3) if known and first is not None and last is not None else None
    return result


def holders(database: Database) -> list[dict[str, Any]]:
    """The transactions that have held back readers for over a second."""
    found = []
    for row in metrics(database, "horizon") or []:
        if row["metric"] == "sierra_es_horizon_holder_seconds":
            names = ("store", "pid", "gid", "role", "application")
            found.append({name: row[name] for name in names if row[name]} | {"seconds": round(row["value"] or 0, 3)})
    return sorted(found, key=lambda holder: -holder["seconds"])


def stores(database: Database, before: Counters, after: Counters) -> list[dict[str, Any]]:
    """What is known of each store that the role may see, or of the one that --store names."""
    rows = database.read("SELECT s.* FROM @.event_stores() AS s ORDER BY s.store")
    result = []
    held = holders(database)
    for row in rows:
        name = row["store"]
        if database.store and name != database.store:
            continue
        seconds = after.values.get((name, "sierra_es_store_horizon_held_seconds"))
        result.append(
            {"kind": "store"}
            | row
            | {"readable_position": head(database, name), "horizon_held_seconds": seconds}
            | rates(name, before, after)
            | {"horizon_holders": [h for h in held if h.get("store") == name]}
        )
    return result


def head(database: Database, store: str) -> int | None:
    """Up to where the store can be read; not known on a standby, and without the right to read."""
    try:
        with database.transaction(store=store):
            position: int = database.value("SELECT @.ehead()")
            return position
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.InsufficientPrivilege):
        return None
    except psycopg.Error as error:
        if error.sqlstate == "SE005":
            return None
        raise


def partitions(database: Database, store: str) -> list[Row]:
    with database.transaction(store=store):
        rows = database.rows("SELECT p.* FROM @.event_partitions() AS p ORDER BY p.partition_id")
    return [{"kind": "partition", "store": store} | row for row in rows]


def holder_text(holder: dict[str, Any]) -> str:
    who = f"pid {holder['pid']}" if "pid" in holder else f"prepared transaction {holder.get('gid', '?')}"
    more = [f"role {holder['role']}" if "role" in holder else "", holder.get("application", "")]
    return f"{duration(holder['seconds'])} by {who}" + "".join(f", {text}" for text in more if text)


def store_table(out: Output, found: list[dict[str, Any]]) -> tuple[list[Column], list[list[Any]], list[str]]:
    columns = [
        Column("STORE", shrink=True),
        Column("PARTITIONS" if out.wide else "PARTS", right=True),
        Column("EVENTS", right=True),
        Column("SIZE" if out.is_terminal else "BYTES", right=True),
        Column("POSITION", right=True),
        Column("READABLE", right=True),
        Column("EVENTS/S", right=True),
        Column("APPENDS/S" if out.wide else "APP/S", right=True),
        Column("CONFLICTS/S" if out.wide else "CONFL/S", right=True),
    ]
    rows = []
    for store in found:
        plain = not out.is_terminal
        rows.append(
            [
                store["store"],
                store["partitions"],
                store["events"] if plain else count(store["events"]),
                store["bytes"] if plain else size(store["bytes"]),
                store["last_position"],
                store["readable_position"],
                rate(store["events_per_second"]),
                rate(store["appends_per_second"]),
                rate(store["conflicts_per_second"]),
            ]
        )
    return columns, rows, ["yellow" if store["horizon_holders"] else "" for store in found]


def stats(database: Database, out: Output, options: Namespace) -> int:
    before = read_counters(database)
    if before.preloaded and options.seconds > 0:
        time.sleep(options.seconds)
    after = read_counters(database) if before.preloaded else before
    found = stores(database, before, after)
    shown = [partition for store in found for partition in partitions(database, store["store"])] if options.partitions else []
    if not found:
        name = f' "{database.store}"' if database.store else ""
        out.note(f"there is no event store{name} in this database that you may read")
        return FOUND
    if out.as_json:
        for record in found + shown:
            out.record(record)
        return OK
    if out.is_terminal:
        out.line(database.place())
        out.line()
    print_table(out, *store_table(out, found))
    for store in found:
        for holder in store["horizon_holders"]:
            out.line(out.paint(f"readers of {store['store']} are held back for {holder_text(holder)}", "yellow"))
    if shown:
        out.line()
        print_partitions(out, shown)
    if not after.allowed:
        out.note("rates, and who holds back readers, are for members of pg_monitor")
    elif not after.preloaded:
        out.note("rates need shared_preload_libraries = 'sierra_es'")
    return OK


def print_partitions(out: Output, rows: list[Row]) -> None:
    columns = [Column("STORE", shrink=True)]
    columns += [Column(title, right=True) for title in ("PARTITION", "EVENTS", "SEQUENCE", "POSITION", "SIZE" if out.is_terminal else "BYTES")]
    cells = [
        [
            r["store"],
            r["partition_id"],
            count(r["events"]) if out.is_terminal else r["events"],
            r["last_sequence"],
            r["last_position"],
            size(r["bytes"]) if out.is_terminal else r["bytes"],
        ]
        for r in rows
    ]
    print_table(out, columns, cells)


# --- consumers ------------------------------------------------------------------------------------

NEEDS_HELP = ("stuck", "failing", "stopped", "gone")


def subscription_rows(database: Database) -> list[dict[str, Any]]:
    rows = database.read(
        "SELECT s.*, pg_catalog.date_part('epoch', s.lag) AS lag_seconds FROM @.event_subscriptions() AS s"
    )
    result = []
    for row in rows:
        # Projections have their own rows.
        if row["subscription"].startswith("projection:"):
            continue
        facts = {"kind": "subscription", "name": row.pop("subscription")} | row
        facts.pop("lag")
        result.append(facts | {name: iso(row[name]) for name in ("acknowledged_at", "last_error_at", "created_at")})
    return result


def member_rows(database: Database) -> list[dict[str, Any]]:
    rows = database.read("SELECT c.*, pg_catalog.date_part('epoch', c.lag) AS lag_seconds FROM @.event_consumers() AS c")
    result = []
    for row in rows:
        alive = row.pop("alive")
        facts = {"kind": "consumer", "name": row.pop("consumer"), "state": "alive" if alive else "gone"} | row
        facts.pop("lag")
        result.append(facts | {name: iso(row[name]) for name in ("joined_at", "seen_at")})
    return result


def projection_rows(database: Database) -> list[dict[str, Any]]:
    rows = database.read(
        "SELECT p.*, pg_catalog.date_part('epoch', p.lag) AS lag_seconds,"
        " pg_catalog.date_part('epoch', p.time_left) AS seconds_left FROM @.event_projections() AS p"
    )
    result = []
    for row in rows:
        what = "manager" if row["kind"] == "process" else "projection"
        handler_kind = row.pop("kind")
        facts = {"kind": what, "name": row.pop("projection"), "handler_kind": handler_kind} | row
        facts.pop("lag")
        facts.pop("time_left")
        result.append(facts | {name: iso(row[name]) for name in ("retry_at", "last_error_at", "updated_at")})
    return result


def consumer_rows(database: Database) -> list[dict[str, Any]]:
    """Subscriptions, each with the members of its group, then projections and process managers."""
    members: dict[str, list[dict[str, Any]]] = {}
    for row in member_rows(database):
        members.setdefault(row["subscription"], []).append(row)
    result = []
    for row in subscription_rows(database):
        group = members.get(row["name"], [])
        if group:
            row["kind"] = "group"
        result += [row, *group]
    return result + projection_rows(database)


def remark(row: dict[str, Any]) -> str:
    """What a person has to know of a consumer, the most important first."""
    parts = []
    if row["kind"] == "consumer":
        return f"{len(row['partitions'])} partitions"
    if row.get("parked"):
        parts.append(f"{row['parked']} parked")
    if row.get("retrying"):
        parts.append(f"{row['retrying']} retrying")
    if row["kind"] == "group":
        parts.append(f"{row['consumers']} alive")
    if "version" in row and not row["live"]:
        parts.append(f"version {row['version']} {(row['progress'] or 0) * 100:.0f} % built")
    running = row["state"] == "running" and row["lag_events"]
    if running and row.get("rate"):
        parts.append(f"{rate(row['rate'])}/s")
    if running and row.get("seconds_left") is not None:
        parts.append(f"{duration(row['seconds_left'])} left")
    if row.get("last_error"):
        parts.append(row["last_error"])
    return ", ".join(parts)


def consumer_table(out: Output, rows: list[dict[str, Any]]) -> tuple[list[Column], list[list[Any]], list[str]]:
    columns = [
        Column("KIND"),
        Column("NAME", shrink=True, least=14),
        Column("STATE"),
        Column("LAG", right=True),
        Column("LAG TIME" if out.is_terminal else "LAG SECONDS", right=True),
        Column("CURSOR", right=True),
        Column("REMARK", shrink=True, least=12),
    ]
    cells = []
    for row in rows:
        plain = not out.is_terminal
        name = row["name"] if plain or row["kind"] != "consumer" else "  " + row["name"]
        cells.append(
            [
                row["kind"],
                name,
                row["state"],
                row["lag_events"] if plain else count(row["lag_events"]),
                row["lag_seconds"] if plain else duration(row["lag_seconds"]),
                row.get("cursor"),
                remark(row),
            ]
        )
    return columns, cells, [color_of(row) for row in rows]


def color_of(row: dict[str, Any]) -> str:
    if row["state"] in NEEDS_HELP:
        return "red"
    return "yellow" if row.get("parked") or row["state"] in ("retrying", "paused") else ""


def consumers(database: Database, out: Output, options: Namespace) -> int:
    rows = consumer_rows(database)
    if options.name:
        rows = [row for row in rows if options.name in (row["name"], row.get("subscription"))]
    if options.max_lag is not None:
        rows = [row for row in rows if row["state"] in NEEDS_HELP or (row["lag_seconds"] or 0) > options.max_lag]
    if not rows:
        if options.max_lag is not None:
            return OK
        name = f' "{options.name}"' if options.name else ""
        out.note(f"there is no consumer{name} in this store")
        return FOUND
    if out.as_json:
        for row in rows:
            out.record(row)
    else:
        print_table(out, *consumer_table(out, rows))
    return FOUND if options.max_lag is not None else OK


# --- failures -------------------------------------------------------------------------------------


def failure_rows(database: Database) -> list[dict[str, Any]]:
    """Everything that failed and is not done: events, projections, sagas, timers."""
    projections = projection_rows(database)
    kinds = {row["name"]: row["kind"] for row in projections}
    failed = database.read("SELECT f.* FROM @.event_failures() AS f")
    result = [subscription_failure(row, kinds) for row in failed]
    for row in projections:
        if row["failed_position"] is not None:
            result.append(
                {
                    "kind": row["kind"],
                    "name": row["name"],
                    "state": row["state"],
                    "stream_id": row["failed_stream"],
                    "global_position": row["failed_position"],
                    "attempts": row["attempts"],
                    "waiting": row["lag_events"],
                    "reason": row["last_error"],
                    "failed_at": row["last_error_at"],
                    "retry_at": row["retry_at"],
                }
            )
    result += [saga_failure(row) for row in database.read("SELECT s.* FROM @.event_sagas(status => 'stuck') AS s")]
    timers = database.read("SELECT t.* FROM @.event_timers() AS t WHERE t.state = 'failing'")
    return result + [timer_failure(row) for row in timers]


def subscription_failure(row: Row, kinds: dict[str, str]) -> dict[str, Any]:
    kind, name = "subscription", row.pop("subscription")
    facts: dict[str, Any] = {}
    if name.startswith("projection:"):
        name, facts["version"] = name.removeprefix("projection:").rsplit(":", 1)
        kind = kinds.get(name, "projection")
    return {"kind": kind, "name": name} | facts | row | {k: iso(row[k]) for k in ("retry_at", "failed_at")}


def saga_failure(row: Row) -> dict[str, Any]:
    return {
        "kind": "saga",
        "name": row["saga_id"],
        "state": row["status"],
        "stream_id": row["saga_id"],
        "saga": row["saga"],
        "step": row["step"],
        "attempts": row["attempts"],
        "reason": row["last_error"],
        "failed_at": iso(row["updated_at"]),
    }


def timer_failure(row: Row) -> dict[str, Any]:
    return {
        "kind": "timer",
        "name": row["timer_id"],
        "state": row["state"],
        "stream_id": row["stream_id"],
        "event_name": row["event_name"],
        "attempts": row["attempts"],
        "reason": row["last_error"],
        "due_at": iso(row["due_at"]),
        "retry_at": iso(row["run_at"]),
    }


def failure_table(out: Output, rows: list[dict[str, Any]]) -> tuple[list[Column], list[list[Any]], list[str]]:
    columns = [
        Column("KIND"),
        Column("NAME", shrink=True),
        Column("STATE"),
        Column("STREAM", shrink=True),
        Column("POSITION" if out.wide else "POS", right=True),
        Column("TRIES", right=True),
        Column("WAITING" if out.wide else "WAIT", right=True),
        Column("REASON", shrink=True, least=16),
    ]
    names = ("kind", "name", "state", "stream_id", "global_position", "attempts", "waiting", "reason")
    colors = ["red" if row["state"] in ("parked", "stopped", "stuck") else "yellow" for row in rows]
    return columns, [[row.get(name) for name in names] for row in rows], colors


def failures(database: Database, out: Output, options: Namespace) -> int:
    rows = [row for row in failure_rows(database) if options.name in (None, row["name"])]
    if not rows:
        if not out.as_json:
            out.note("nothing has failed")
        return OK
    if out.as_json:
        for row in rows:
            out.record(row)
    else:
        print_table(out, *failure_table(out, rows))
    return FOUND
