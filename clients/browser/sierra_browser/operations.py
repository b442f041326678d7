"""Pages about what runs: consumers, projections, sagas, timers, failures, stores; and the buttons."""

from flask import Blueprint, abort, current_app, g, redirect, render_template, request

from psycopg import sql

from . import show
from .database import try_execute
from .events import as_uuid, browser, has_trace_index, link
from .plot import LagPlot, sparkline

pages = Blueprint("operations", __name__)

PAGE = 50
# Longer lists than this are cut, and the page says so.
MOST = 300

SUBSCRIPTIONS = """
    SELECT subscription, state, lag_events, extract(epoch FROM lag)::float8 AS lag, window_used, window_size, cursor,
           consumers, retrying, parked, extract(epoch FROM clock_timestamp() - acknowledged_at)::float8 AS acknowledged,
           left(last_error, 2000) AS last_error,
           (last_error_at AT TIME ZONE 'UTC')::text AS last_error_at, streams, event_names, tags, partitions
      FROM event_subscriptions(%(store)s)
     WHERE %(name)s::text IS NULL OR subscription = %(name)s
     ORDER BY subscription LIMIT %(most)s
"""
CONSUMERS = """
    SELECT subscription, consumer, cardinality(partitions) AS count, partitions, acknowledged, delivered, lag_events,
           extract(epoch FROM lag)::float8 AS lag, alive,
           extract(epoch FROM clock_timestamp() - seen_at)::float8 AS seen
      FROM event_consumers(%(store)s)
     WHERE %(name)s::text IS NULL OR subscription = %(name)s
     ORDER BY subscription, consumer LIMIT %(most)s
"""
FAILURES = """
    SELECT subscription, stream_id, partition_id, state, global_position, event_id::text AS event_id, event_name,
           attempts, extract(epoch FROM retry_at - clock_timestamp())::float8 AS retry_in, left(reason, 2000) AS reason,
           (failed_at AT TIME ZONE 'UTC')::text AS failed_at, waiting
      FROM event_failures(%(store)s)
     WHERE %(name)s::text IS NULL OR subscription = %(name)s
     ORDER BY failed_at DESC, stream_id LIMIT %(most)s
"""
PROJECTIONS = """
    SELECT projection, version, live, mode, kind, state, cursor, lag_events, extract(epoch FROM lag)::float8 AS lag,
           progress, rate, extract(epoch FROM time_left)::float8 AS time_left, processed, states, parked, attempts,
           extract(epoch FROM retry_at - clock_timestamp())::float8 AS retry_in, failed_position, failed_stream,
           left(last_error, 2000) AS last_error, (last_error_at AT TIME ZONE 'UTC')::text AS last_error_at,
           handler, key, owner::text AS owner, subscription
      FROM event_projections(%(store)s)
     UNION ALL
    SELECT manager, 1, true, mode, 'process manager', state, cursor, lag_events, extract(epoch FROM lag)::float8,
           NULL, rate, extract(epoch FROM time_left)::float8, processed, processes, parked, attempts,
           extract(epoch FROM retry_at - clock_timestamp())::float8, failed_position, failed_stream,
           left(last_error, 2000), (last_error_at AT TIME ZONE 'UTC')::text, handler, key, owner::text, subscription
      FROM event_process_managers(%(store)s)
     ORDER BY projection, version LIMIT %(most)s
"""


def projection_of(subscription):
    """The projection that a subscription of its own belongs to, or None: projection:NAME:VERSION."""
    return subscription[len("projection:") :].rpartition(":")[0] if subscription.startswith("projection:") else None


def named(name=None):
    return {"store": g.store, "name": name, "most": MOST}


# ---------------------------------------------------------------------------
# Consumers
# ---------------------------------------------------------------------------


def sampling():
    """What a page says about the samples that it shows."""
    samples = browser().samples
    return {"since": samples.since.strftime("%Y-%m-%d %H:%M:%S"), "interval": samples.interval, "error": samples.error}


def gap():
    """After this time without a sample, a line is interrupted."""
    return max(60, 12 * browser().samples.interval)


@pages.get("/consumers")
def consumers():
    with browser().database.reading(g.store) as conn:
        rows = conn.execute(SUBSCRIPTIONS, named()).fetchall()
        groups = conn.execute(CONSUMERS, named()).fetchall()
    samples = browser().samples
    sparks = {row.subscription: sparkline(samples.of(g.store, row.subscription), gap()) for row in rows}
    return render_template(
        "consumers.html",
        subscriptions=rows,
        groups=groups,
        sparks=sparks,
        sampling=sampling(),
        cut=len(rows) == MOST,
    )


@pages.get("/consumer")
def consumer():
    name = request.args.get("name", "")
    with browser().database.reading(g.store) as conn:
        row = conn.execute(SUBSCRIPTIONS, named(name)).fetchone()
        if row is None:
            abort(404, f"The store has no subscription “{name}”.")
        groups = conn.execute(CONSUMERS, named(name)).fetchall()
        failures = conn.execute(FAILURES, named(name)).fetchall()
        rights = read_rights(conn)
    samples = browser().samples.of(g.store, name)
    return render_template(
        "consumer.html",
        subscription=row,
        groups=groups,
        failures=failures,
        rights=rights,
        seconds=LagPlot(samples, 2, "seconds", gap()).svg(),
        events=LagPlot(samples, 1, "events", gap()).svg(),
        sampling=sampling(),
        projection_of=projection_of,
    )


# ---------------------------------------------------------------------------
# Projections
# ---------------------------------------------------------------------------


@pages.get("/projections")
def projections():
    with browser().database.reading(g.store) as conn:
        rows = conn.execute(PROJECTIONS, named()).fetchall()
        rights = read_rights(conn)
    samples = browser().samples
    sparks = {row.subscription: sparkline(samples.of(g.store, row.subscription), gap()) for row in rows}
    return render_template("projections.html", projections=rows, rights=rights, sparks=sparks, sampling=sampling())


# ---------------------------------------------------------------------------
# Sagas
# ---------------------------------------------------------------------------

STATUSES = ("running", "waiting", "compensating", "stuck", "completed", "compensated")
SAGAS = """
    SELECT i.saga_id, i.saga, i.version, i.status, i.step, i.attempts, i.correlation_id, left(i.last_error, 2000) AS last_error,
           extract(epoch FROM i.run_at - clock_timestamp())::float8 AS run_in,
           extract(epoch FROM i.deadline - clock_timestamp())::float8 AS deadline_in,
           extract(epoch FROM coalesce(i.ended_at, clock_timestamp()) - i.started_at)::float8 AS age,
           (i.started_at AT TIME ZONE 'UTC')::text AS started_at, (i.ended_at AT TIME ZONE 'UTC')::text AS ended_at,
           d.steps::text AS steps
      FROM {store}.saga_instances AS i JOIN {store}.sagas AS d USING (saga, version)
"""


def saga_query(conn, condition):
    """Rows of the store's table: event_sagas() would read all of them."""
    return sql.SQL(SAGAS + condition).format(store=sql.Identifier(g.store))


def step_names(row):
    return [(step["step"], step.get("waits", False)) for step in show.parse(row.steps) or []]


STEP_EVENTS = """
    SELECT i.saga_id, e.event_id::text AS event_id, e.stream_version AS version, e.event_name,
           (e."timestamp" AT TIME ZONE 'UTC')::text AS time,
           CASE WHEN pg_catalog.pg_column_size(e.payload) <= 4096 THEN left(e.payload::text, 4096) END AS excerpt
      FROM unnest(%s::text[]) AS i (saga_id), escan(i.saga_id, max_count => %s) AS e
     ORDER BY i.saga_id, e.stream_version
"""


def boxes(row, events):
    """The steps of a saga as boxes, by its row and the events of its stream."""
    after = "done" if row.status == "completed" else "ahead"
    found = {name: {"name": name, "state": after, "note": ""} for name, _ in step_names(row)}
    for event in events:
        data = show.parse_object(event.excerpt)
        step = data.get("step")
        box = found.get(step) if isinstance(step, str) else None
        if box is None:
            continue
        if event.event_name == "SagaStepCompleted":
            box["state"], box["note"] = "done", ""
        elif event.event_name in ("SagaStepCompensated", "SagaCompensationSkipped"):
            skipped = event.event_name == "SagaCompensationSkipped"
            box["state"], box["note"] = ("skipped" if skipped else "undone"), ""
        elif event.event_name == "SagaStepTimedOut":
            box["state"], box["note"] = "failed", "timed out"
        elif event.event_name == "SagaStepFailed" and box["state"] != "done":
            box["state"], box["note"] = "failed", str(data.get("error", ""))[:300]
    current = found.get(row.step) if row.step else None
    if current and row.ended_at is None:
        current["state"] = {"waiting": "waiting", "compensating": "undoing", "stuck": "failed"}.get(row.status, "now")
        current["note"] = row.last_error or ""
    return list(found.values())


def with_boxes(conn, rows):
    """Sagas and their boxes; one statement reads the events of all."""
    ids = [row.saga_id for row in rows if row.status != "completed"]
    events, _ = try_execute(conn, STEP_EVENTS, [ids, 100]) if ids else ([], None)
    of_saga = {}
    for event in events or []:
        of_saga.setdefault(event.saga_id, []).append(event)
    return [(row, boxes(row, of_saga.get(row.saga_id, []))) for row in rows]


@pages.get("/sagas")
def sagas():
    status, after = request.args.get("status") or None, request.args.get("after") or None
    if status is not None and status not in STATUSES:
        abort(400, "There is no such status.")
    with browser().database.reading(g.store) as conn:
        rows = conn.execute(
            saga_query(
                conn,
                " WHERE (%(status)s::text IS NULL OR i.status = %(status)s)"
                " AND (%(after)s::text IS NULL OR i.saga_id > %(after)s) ORDER BY i.saga_id LIMIT %(page)s",
            ),
            {"status": status, "after": after, "page": PAGE + 1},
        ).fetchall()
        listed = with_boxes(conn, rows[:PAGE])
    more = rows[PAGE - 1].saga_id if len(rows) > PAGE else None
    return render_template(
        "sagas.html",
        sagas=listed,
        status=status,
        statuses=STATUSES,
        after=after,
        more=more,
    )


@pages.get("/saga")
def saga():
    saga_id = request.args.get("id", "")
    with browser().database.reading(g.store) as conn:
        row = conn.execute(saga_query(conn, " WHERE i.saga_id = %(id)s"), {"id": saga_id}).fetchone()
        if row is None:
            abort(404, f"The store has no saga “{saga_id}”.")
        events, _ = try_execute(conn, STEP_EVENTS, [[saga_id], MOST])
        rights = read_rights(conn)
    return render_template(
        "saga.html", saga=row, boxes=boxes(row, events or []), events=events or [], rights=rights
    )


# ---------------------------------------------------------------------------
# Timers
# ---------------------------------------------------------------------------

TIMERS = """
    SELECT timer_id::text AS timer_id, (due_at AT TIME ZONE 'UTC')::text AS due_at, run_at::text AS run_at,
           extract(epoch FROM due_at - clock_timestamp())::float8 AS due_in, stream_id, event_name, attempts,
           left(last_error, 2000) AS last_error,
           CASE WHEN attempts > 0 THEN 'failing' WHEN due_at <= clock_timestamp() THEN 'due' ELSE 'scheduled' END AS state
      FROM {store}.timers
     WHERE %(run_at)s::timestamptz IS NULL OR (run_at, timer_id) > (%(run_at)s::timestamptz, %(timer_id)s::uuid)
     ORDER BY run_at, timer_id LIMIT %(page)s
"""


@pages.get("/timers")
def timers():
    """Rows of the store's table: event_timers() would read all of them."""
    run_at, timer_id = request.args.get("after") or None, as_uuid(request.args.get("timer", ""))
    if run_at is not None and timer_id is None:
        abort(400, "The address names no timer.")
    with browser().database.reading(g.store) as conn:
        rows = conn.execute(
            sql.SQL(TIMERS).format(store=sql.Identifier(g.store)),
            {"run_at": run_at, "timer_id": timer_id, "page": PAGE + 1},
        ).fetchall()
    more = rows[PAGE - 1] if len(rows) > PAGE else None
    return render_template("timers.html", timers=rows[:PAGE], more=more, after=run_at)


# ---------------------------------------------------------------------------
# Failures
# ---------------------------------------------------------------------------


@pages.get("/failures")
def failures():
    with browser().database.reading(g.store) as conn:
        rows = conn.execute(FAILURES, named()).fetchall()
        stopped = [
            row
            for row in conn.execute(PROJECTIONS, named()).fetchall()
            if row.failed_position is not None or row.parked or row.last_error and row.state != "running"
        ]
        stuck = conn.execute(
            saga_query(conn, " WHERE i.status = 'stuck' ORDER BY i.saga_id LIMIT %(page)s"), {"page": PAGE}
        ).fetchall()
        stuck = with_boxes(conn, stuck)
        late = conn.execute(
            sql.SQL(
                "SELECT timer_id::text AS timer_id, stream_id, event_name, attempts, left(last_error, 2000) AS last_error,"
                " (due_at AT TIME ZONE 'UTC')::text AS due_at"
                " FROM {store}.timers WHERE attempts > 0 ORDER BY run_at, timer_id LIMIT 50"
            ).format(store=sql.Identifier(g.store))
        ).fetchall()
        rights = read_rights(conn)
    return render_template(
        "failures.html",
        failures=rows,
        projection_of=projection_of,
        projections=stopped,
        sagas=stuck,
        timers=late,
        rights=rights,
        cut=len(rows) == MOST,
    )


# ---------------------------------------------------------------------------
# Stores
# ---------------------------------------------------------------------------


@pages.get("/stores")
def stores():
    with browser().database.reading() as conn:
        facts = conn.execute(
            "SELECT current_database()::text AS database, current_user::text AS role,"
            " pg_catalog.current_setting('server_version') AS server"
        ).fetchone()
        rows = conn.execute(
            "SELECT store::text AS store, owner::text AS owner, partitions, events, last_position, bytes"
            " FROM event_stores() ORDER BY store LIMIT %s",
            [MOST],
        ).fetchall()
        runners, no_runners = try_execute(
            conn,
            "SELECT pid, job, jobs, events, left(last_error, 2000) AS last_error,"
            " extract(epoch FROM clock_timestamp() - since)::float8 AS age"
            " FROM event_runners() WHERE database = current_database() ORDER BY pid LIMIT 100",
        )
        progress, _ = try_execute(
            conn,
            "SELECT store::text AS store, operation, subject, phase, done, total,"
            " extract(epoch FROM clock_timestamp() - started_at)::float8 AS age"
            " FROM event_progress() WHERE database = current_database() LIMIT 100",
        )
    return render_template(
        "stores.html", facts=facts, stores=rows, runners=runners, no_runners=no_runners, progress=progress or []
    )


@pages.get("/store")
def store():
    with browser().database.reading(g.store) as conn:
        partitions = conn.execute(
            "SELECT partition_id, events, last_sequence, last_position, bytes FROM event_partitions(%s) ORDER BY 1",
            [g.store],
        ).fetchall()
        names, no_names = try_execute(
            conn,
            "SELECT event_name, events, last_position, (last_at AT TIME ZONE 'UTC')::text AS last_at"
            " FROM event_names(%s, max_events => 10000) ORDER BY events DESC, event_name LIMIT 100",
            [g.store],
        )
        aggregates, _ = try_execute(
            conn,
            "SELECT aggregate, fold::text AS fold, snapshot_every, fold_version FROM event_aggregates(%s) LIMIT 100",
            [g.store],
        )
        trace = has_trace_index(conn, g.store)
    return render_template(
        "store.html",
        partitions=partitions,
        most=max([row.events or 0 for row in partitions] + [1]),
        names=names or [],
        no_names=no_names,
        aggregates=aggregates or [],
        trace=trace,
    )


# ---------------------------------------------------------------------------
# Buttons
# ---------------------------------------------------------------------------

# What each button calls, the values of its form, and the page that it returns to.
ACTIONS = {
    "retry-event": ("SELECT eretry(%s, %s)", ("subscription", "stream"), "operations.failures"),
    "skip-event": ("SELECT eskip(%s, %s)", ("subscription", "stream"), "operations.failures"),
    "pause-projection": ("SELECT pause_projection(%s)", ("projection",), "operations.projections"),
    "resume-projection": ("SELECT resume_projection(%s)", ("projection",), "operations.projections"),
    "retry-projection": ("SELECT retry_projection(%s)", ("projection",), "operations.projections"),
    "skip-projection": ("SELECT skip_projection_event(%s)", ("projection",), "operations.projections"),
    "skip-projection-stream": ("SELECT skip_projection_event(%s, %s)", ("projection", "stream"), "operations.failures"),
    "retry-saga": ("SELECT retry_saga(%s)", ("saga",), "operations.saga"),
    "skip-saga": ("SELECT skip_saga_step(%s, 'skipped in the event browser')", ("saga",), "operations.saga"),
}
# The rights without which a button would only fail.
RIGHTS = {
    "events": (("subscription_streams", "UPDATE"), ("subscription_cursors", "UPDATE")),
    "projections": (("projections", "UPDATE"), ("subscription_cursors", "UPDATE"), ("subscription_streams", "INSERT")),
    "sagas": (("saga_instances", "UPDATE"), ("events", "INSERT")),
}


def read_rights(conn):
    """Which kinds of buttons this page has."""
    if not browser().allow_changes:
        return dict.fromkeys(RIGHTS, False)
    return {
        kind: all(
            conn.execute(
                "SELECT pg_catalog.has_table_privilege(pg_catalog.format('%%I.%%I', %s::text, %s::text), %s)",
                [g.store, table, right],
            ).fetchone()[0]
            for table, right in needed
        )
        for kind, needed in RIGHTS.items()
    }


@pages.post("/do/<action>")
def do(action):
    if action not in ACTIONS:
        abort(404, "There is no such button.")
    call, names, page = ACTIONS[action]
    values = [request.form.get(name, "") for name in names]
    if not all(values):
        abort(400, "The form is not complete.")
    with browser().database.changing(g.store) as conn:
        conn.execute(call, values)
    # Runners look at once, not after their next round.
    return redirect(link(page, id=values[0] if page == "operations.saga" else None, done=action), code=303)
