"""Pages about events: the newest ones, one event, streams, search."""

import threading
import uuid
from collections import namedtuple

from flask import Blueprint, Response, abort, current_app, g, jsonify, redirect, render_template, request
from psycopg.types.json import Json

from . import show
from .database import try_execute

pages = Blueprint("events", __name__)

PAGE = 50
VERSIONS = 25
# How many positions a filter without an index looks at for one page, or events of a category with one.
WINDOW = 20000
MOST_RELATED = 200
# How many positions a page that follows may be behind.
MOST_LIVE = 2000
# Sessions that wait for new events at a time.
waiting = threading.BoundedSemaphore(12)

# What a list shows of an event.  A large value is not read for it.
LISTED = """
    e.global_position AS position, e.partition_id AS partition, e.partition_sequence AS sequence, e.stream_id,
    e.stream_version AS version, e.event_id::text AS event_id, e.event_name,
    (e."timestamp" AT TIME ZONE 'UTC')::text AS time, e.tags,
    CASE WHEN pg_catalog.pg_column_size(e.metadata) <= 8192 THEN e.metadata::text END AS metadata,
    CASE WHEN pg_catalog.pg_column_size(e.payload) <= 4096 THEN left(e.payload::text, 300) END AS excerpt,
    pg_catalog.pg_column_size(e.payload) AS stored_size,
    octet_length(e.payload_bytes) AS bytes_size
"""
# What the page of an event shows.
SHOWN = (
    LISTED
    + """,
    e.partition_key::text AS partition_key, e.transaction_id::text AS transaction_id,
    left(e.metadata::text, %(limit)s) AS metadata_text, octet_length(e.metadata::text) AS metadata_size,
    left(e.payload::text, %(limit)s) AS payload, octet_length(e.payload::text) AS payload_size,
    substring(e.payload_bytes FROM 1 FOR 1024) AS bytes
"""
)

Filters = namedtuple("Filters", "stream name tag correlation")


def browser():
    return current_app.extensions["browser"]


def link(*arguments, **values):
    return current_app.jinja_env.globals["link"](*arguments, **values)


def number_argument(name, default=None, most=2**63 - 2):
    """A number of the address, between 0 and what bigint has."""
    text = request.args.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit()):
        abort(400, f"{name} must be a number.")
    return min(int(text), most) if len(text) < 25 else most


def trace_id(event, member):
    """An id in the metadata of an event, as etrace() would find it."""
    value = show.parse_object(event.metadata).get(member)
    if not isinstance(value, str) or not show.can_be_sent(value) or not 1 <= len(value.encode()) <= 255:
        return None
    return str(value)


def with_ids(rows):
    """Rows of events with the two ids that their metadata have."""
    return [Event(row) for row in rows]


class Event:
    """A row, and what follows from it."""

    def __init__(self, row):
        self._row = row
        self.correlation = trace_id(row, "correlation_id")
        self.causation = trace_id(row, "causation_id")

    def __getattr__(self, name):
        return getattr(self._row, name)


def has_trace_index(conn, store):
    row = conn.execute(
        "SELECT count(*) FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname IN ('events_correlation', 'events_causation')",
        [store],
    ).fetchone()
    return row[0] == 2


def can_trace(conn, store):
    """Whether etrace() reads little: with its indexes, or in a small store."""
    if has_trace_index(conn, store):
        return True
    # A standby does not know the last position.
    rows, _ = try_execute(conn, "SELECT ehead() AS head")
    return bool(rows) and rows[0].head < WINDOW


def head_position(conn):
    return conn.execute("SELECT ehead()").fetchone()[0]


# ---------------------------------------------------------------------------
# The newest events
# ---------------------------------------------------------------------------


def read_filters():
    return Filters(*(request.args.get(name, "").strip() or None for name in Filters._fields))


def query_of(filters):
    """The query of equery() for name and tag."""
    item = {}
    if filters.name:
        item["types"] = [filters.name]
    if filters.tag:
        item["tags"] = [filters.tag]
    return Json([item] if item else [])


def like(pattern):
    """A pattern with * as LIKE wants it."""
    for sign in "\\%_":
        pattern = pattern.replace(sign, "\\" + sign)
    return pattern.replace("*", "%")


def category_of(pattern):
    """The one category of all streams that a pattern lets pass, or None."""
    category, dash, _ = pattern.partition("-")
    return category if "*" not in category and (dash or "*" not in pattern) else None


def has_category_index(conn, store):
    """Whether all partitions have the index that create_category_index() makes."""
    return (
        conn.execute(
            "SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
            "  JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid"
            " WHERE n.nspname = %s AND c.relname = 'events_category' AND i.indisvalid",
            [store],
        ).fetchone()
        is not None
    )


def read_newest(conn, filters, before):
    """A page of events, newest first; and the position from which the next page continues, if there may be one."""
    if filters.correlation:
        return read_correlated(conn, filters, before)
    head = head_position(conn)
    upper = min(before, head + 1) if before is not None else head + 1
    if upper <= 0:
        return [], None, None
    category = None if filters.tag or not filters.stream else category_of(filters.stream)
    if category is not None and has_category_index(conn, g.store):
        return read_category(conn, filters, category, upper)
    # Tags have an index.  All else looks at a part of the store at most.
    lower = None if filters.tag or not (filters.stream or filters.name) else max(upper - WINDOW, 0)
    rows = conn.execute(
        f"""SELECT {LISTED} FROM equery(%(query)s, after_position => %(upper)s, backward => true,
                   max_count => %(count)s, to_position => %(lower)s) AS e
             WHERE %(like)s::text IS NULL OR e.stream_id LIKE %(like)s LIMIT %(page)s""",
        {
            "query": query_of(filters),
            "upper": upper,
            "lower": lower if lower is not None else -1,
            "count": None if filters.stream else PAGE + 1,
            "like": like(filters.stream) if filters.stream else None,
            "page": PAGE + 1,
        },
    ).fetchall()
    if len(rows) > PAGE:
        return rows[:PAGE], rows[PAGE - 1].position, None
    if lower:
        return rows, lower, (lower, upper - 1)
    return rows, None, None


def read_category(conn, filters, category, upper):
    """The same for streams of one category, by its index."""
    whole = filters.stream == category + "-*" and not filters.name
    most = PAGE + 1 if whole else WINDOW
    rows = conn.execute(
        f"""WITH looked AS MATERIALIZED (
                 SELECT {LISTED} FROM eall(%(upper)s, %(most)s, %(streams)s, NULL, true) AS e)
            SELECT l.*, n.lowest, n.looked
              FROM (SELECT min(l.position) AS lowest, count(*) AS looked FROM looked AS l) AS n
              LEFT JOIN looked AS l ON l.stream_id LIKE %(like)s AND (%(name)s::text IS NULL OR l.event_name = %(name)s)
             ORDER BY l.position DESC LIMIT %(page)s""",
        {
            "upper": upper,
            "most": most,
            "streams": [category + "-*"] if whole else [category, category + "-*"],
            "like": like(filters.stream),
            "name": filters.name,
            "page": PAGE + 1,
        },
    ).fetchall()
    lowest, there_may_be_more = rows[0].lowest, rows[0].looked == most
    rows = [row for row in rows if row.position is not None]
    if len(rows) > PAGE:
        return rows[:PAGE], rows[PAGE - 1].position, None
    if there_may_be_more:
        return rows, lowest, (lowest, upper - 1)
    return rows, None, None


def read_correlated(conn, filters, before):
    """Events of one correlation."""
    if not can_trace(conn, g.store):
        abort(
            409,
            "To find events by their correlation, all events of this store would have to be read."
            " The owner of the store can make an index for that: SELECT create_trace_index();",
        )
    rows = conn.execute(
        f"""SELECT * FROM (SELECT {LISTED} FROM etrace(%(id)s, max_count => 1000) AS e) AS e
             WHERE (%(name)s::text IS NULL OR e.event_name = %(name)s)
               AND (%(tag)s::text IS NULL OR %(tag)s = ANY (e.tags))
               AND (%(like)s::text IS NULL OR e.stream_id LIKE %(like)s)
               AND (%(before)s::bigint IS NULL OR e.position < %(before)s)
             ORDER BY e.position DESC LIMIT %(page)s""",
        {
            "id": filters.correlation,
            "name": filters.name,
            "tag": filters.tag,
            "like": like(filters.stream) if filters.stream else None,
            "before": before,
            "page": PAGE + 1,
        },
    ).fetchall()
    return rows[:PAGE], rows[PAGE - 1].position if len(rows) > PAGE else None, None


@pages.get("/")
def start():
    return redirect(link("events.newest"))


@pages.get("/events")
def newest():
    filters, before = read_filters(), number_argument("before")
    if filters.stream and "*" not in filters.stream and not (filters.name or filters.tag or filters.correlation):
        return redirect(link("events.stream", id=filters.stream))
    with browser().database.reading(g.store) as conn:
        head = head_position(conn)
        rows, older, looked = read_newest(conn, filters, before)
    return render_template(
        "events.html", events=with_ids(rows), filters=filters, before=before, older=older, looked=looked, head=head
    )


@pages.get("/live")
def live():
    """Events after a position: waits until there are some."""
    filters, after = read_filters(), number_argument("after", 0) if request.args.get("after") != "-1" else -1
    if not waiting.acquire(blocking=False):
        abort(429, "Too many pages wait for events.")
    try:
        with browser().database.reading(g.store, timeout=30) as conn:
            conn.execute("SELECT ewait(NULL, %s, '15 seconds')", [after + 1])
            head = head_position(conn)
            # A page that was hidden for long is loaded again.
            if head - after > MOST_LIVE:
                return jsonify(reload=True)
            rows = read_after(conn, filters, after, head)
    finally:
        waiting.release()
    more = len(rows) > PAGE
    rows = rows[:PAGE]
    html = render_template("rows.html", events=with_ids(reversed(rows))) if rows else ""
    return jsonify(after=rows[-1].position if more else max(head, after), count=len(rows), html=html)


def read_after(conn, filters, after, head):
    if head <= after:
        return []
    rows = conn.execute(
        f"""SELECT {LISTED} FROM equery(%(query)s, after_position => %(after)s, to_position => %(head)s,
                   max_count => %(count)s) AS e
             WHERE %(like)s::text IS NULL OR e.stream_id LIKE %(like)s LIMIT %(count)s""",
        {
            "query": query_of(filters),
            "after": after,
            "head": head,
            "count": PAGE + 1 if not (filters.stream or filters.correlation) else MOST_LIVE,
            "like": like(filters.stream) if filters.stream else None,
        },
    ).fetchall()
    if filters.correlation:
        rows = [row for row in rows if trace_id(row, "correlation_id") == filters.correlation]
    return rows


# ---------------------------------------------------------------------------
# One event, and what belongs to it
# ---------------------------------------------------------------------------


def read_event(conn, event_id):
    row = conn.execute(f"SELECT {SHOWN} FROM eget(%(id)s) AS e", {"id": event_id, "limit": show.LARGE}).fetchone()
    return Event(row) if row else None


def as_uuid(text):
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


def read_causes(conn, event):
    """The event's cause, the cause of that, and so on."""
    found, cause = {}, event.causation
    while cause and as_uuid(cause) and cause not in found and len(found) < 20:
        row = conn.execute(f"SELECT {LISTED} FROM eget(%s) AS e", [as_uuid(cause)]).fetchone()
        if row is None:
            break
        found[row.event_id] = Event(row)
        cause = found[row.event_id].causation
    return found


def read_related(conn, event):
    """Events with the same correlation, and those that this one caused; whether that is all, and could be read."""
    found, complete = {}, True
    if not can_trace(conn, g.store):
        return found, complete, False
    wanted = [("causation_id", event.event_id)]
    if event.correlation:
        wanted.append(("correlation_id", event.correlation))
    for argument, value in wanted:
        rows, error = try_execute(
            conn, f"SELECT {LISTED} FROM etrace({argument} => %s, max_count => %s) AS e", [value, MOST_RELATED + 1]
        )
        # As with row-level security.
        if error:
            return {}, True, False
        complete = complete and len(rows) <= MOST_RELATED
        found.update((row.event_id, Event(row)) for row in rows[:MOST_RELATED])
    return found, complete, True


def as_tree(events):
    """Events in the order in which a tree shows them, with their depths; a circle of causes is cut."""
    effects, roots = {}, []
    for event in sorted(events.values(), key=lambda event: event.position):
        if event.causation in events and event.causation != event.event_id:
            effects.setdefault(event.causation, []).append(event)
        else:
            roots.append(event)
    lines, seen = [], set()
    for first in [*roots, *sorted(events.values(), key=lambda event: event.position)]:
        stack = [(first, 0)]
        while stack:
            event, depth = stack.pop()
            if event.event_id in seen:
                continue
            seen.add(event.event_id)
            lines.append((event, depth))
            stack.extend((effect, depth + 1) for effect in reversed(effects.get(event.event_id, [])))
    return lines


@pages.get("/event")
def event():
    event_id = as_uuid(request.args.get("id", ""))
    if event_id is None:
        abort(400, "The id of an event is a UUID.")
    with browser().database.reading(g.store) as conn:
        found = read_event(conn, event_id)
        if found is None:
            abort(404, "The store has no event with this id.")
        related = read_causes(conn, found)
        more, complete, traced = read_related(conn, found)
        related.update(more)
    related[found.event_id] = found
    return render_template(
        "event.html",
        event=found,
        tree=as_tree(related),
        known=related,
        complete=complete,
        traced=traced,
        hexdump=show.hex_lines(found.bytes) if found.bytes is not None else None,
    )


@pages.get("/payload")
def payload():
    """The whole payload, to be saved: never shown by the browser as a page."""
    event_id = as_uuid(request.args.get("id", ""))
    if event_id is None:
        abort(400, "The id of an event is a UUID.")
    with browser().database.reading(g.store) as conn:
        row = conn.execute("SELECT payload::text AS json, payload_bytes AS bytes FROM eget(%s)", [event_id]).fetchone()
    if row is None:
        abort(404, "The store has no event with this id.")
    data, suffix = (row.json.encode(), "json") if row.json is not None else (row.bytes or b"", "bin")
    return Response(
        data,
        mimetype="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{event_id}.{suffix}"'},
    )


# ---------------------------------------------------------------------------
# Streams
# ---------------------------------------------------------------------------

STREAMS = """
    SELECT stream_id, partition_id, events, last_version, last_position, last_event_name,
           (first_at AT TIME ZONE 'UTC')::text AS first_at, (last_at AT TIME ZONE 'UTC')::text AS last_at
      FROM event_streams(%(store)s, prefix => %(prefix)s, after => %(after)s, max_count => %(count)s,
                         newest_first => %(newest)s)
"""


@pages.get("/streams")
def streams():
    prefix, after = request.args.get("prefix", ""), request.args.get("after") or None
    newest_first = request.args.get("order") != "name" and not prefix
    with browser().database.reading(g.store) as conn:
        rows = conn.execute(
            STREAMS,
            {
                "store": g.store,
                "prefix": prefix,
                "after": None if newest_first else after,
                "count": PAGE if newest_first else PAGE + 1,
                "newest": newest_first,
            },
        ).fetchall()
    return render_template(
        "streams.html",
        streams=rows[:PAGE],
        prefix=prefix,
        newest_first=newest_first,
        after=after,
        more=rows[PAGE - 1].stream_id if len(rows) > PAGE else None,
    )


@pages.get("/stream")
def stream():
    stream_id = request.args.get("id", "")
    if not stream_id:
        abort(400, "The address names no stream.")
    with browser().database.reading(g.store) as conn:
        last = conn.execute("SELECT esver(%s)", [stream_id]).fetchone()[0]
        if last is None:
            abort(404, f"The store has no stream “{stream_id}”.")
        version = min(number_argument("v", last), last)
        upper = min(number_argument("to", min(last, version + VERSIONS // 2)), last)
        rows = conn.execute(
            f"SELECT {LISTED} FROM escan(%s, %s, %s, backward => true) AS e",
            [stream_id, max(upper - VERSIONS + 1, 0), upper],
        ).fetchall()
        selected = conn.execute(
            f"SELECT {SHOWN} FROM escan(%(id)s, %(version)s, %(version)s) AS e",
            {"id": stream_id, "version": version, "limit": show.LARGE},
        ).fetchone()
        if selected is None:
            abort(404, "The role of the browser cannot see this version.")
        state = read_state(conn, stream_id, version)
    return render_template(
        "stream.html",
        stream_id=stream_id,
        last=last,
        version=version,
        versions=rows,
        upper=upper,
        lower=max(upper - VERSIONS + 1, 0),
        page=VERSIONS,
        event=Event(selected),
        hexdump=show.hex_lines(selected.bytes) if selected.bytes is not None else None,
        state=state,
    )


def read_state(conn, stream_id, version):
    """The state of an aggregate at a version, and at the one before."""
    names, error = try_execute(conn, "SELECT aggregate FROM event_aggregates(%s) ORDER BY 1 LIMIT 1000", [g.store])
    if error:
        return {"names": [], "error": error, "chosen": None}
    names = [row.aggregate for row in names]
    chosen = request.args.get("aggregate", show.category(stream_id))
    state = {"names": names, "chosen": chosen if chosen in names else None, "error": None}
    if state["chosen"] is None:
        return state
    states = []
    for at_version in (version, version - 1):
        rows, error = try_execute(
            conn,
            "SELECT left(state::text, %s) AS state FROM eload(%s, %s, at_version => %s)",
            [show.LARGE + 1, chosen, stream_id, at_version],
        )
        if error:
            state["error"] = error
            return state
        states.append(rows[0].state)
    now, before = states
    state["large"] = now is not None and len(now) > show.LARGE
    state["text"] = now[: show.LARGE] if now is not None else None
    documents = [show.parse(text) for text in states]
    state["compared"] = all(text is None or document is not None or text == "null" for text, document in zip(states, documents))
    state["differences"] = show.differences(documents[1], documents[0]) if state["compared"] else []
    return state


# ---------------------------------------------------------------------------
# Search
# ---------------------------------------------------------------------------


@pages.get("/search")
def search():
    """Looks for a text as everything that it may be; each look is cheap."""
    text = request.args.get("q", "").strip()
    if not text:
        return redirect(link("events.newest"))
    with browser().database.reading(g.store) as conn:
        found = {"event": None, "position": None, "streams": [], "names": [], "tagged": [], "correlated": []}
        if as_uuid(text):
            found["event"] = first_event(conn, "eget(%s)", [as_uuid(text)])
        if text.isascii() and text.isdigit() and len(text) < 18:
            found["position"] = first_event(
                conn, "equery('[]', after_position => %s, to_position => %s)", [int(text) - 1, int(text)]
            )
        # Lists are refused where row-level security holds; then a stream is found by its whole name.
        rows, refused = try_execute(
            conn, STREAMS, {"store": g.store, "prefix": text, "after": None, "count": 21, "newest": False}
        )
        found["streams"] = rows or []
        if refused and conn.execute("SELECT esver(%s)", [text]).fetchone()[0] is not None:
            return redirect(link("events.stream", id=text))
        rows, _ = try_execute(
            conn,
            "SELECT event_name, events FROM event_names(%s, max_events => %s)"
            " WHERE event_name ILIKE %s ORDER BY 2 DESC LIMIT 20",
            [g.store, WINDOW, "%" + like(text) + "%"],
        )
        found["names"] = rows or []
        # What cannot be a tag is an error.
        rows, _ = try_execute(
            conn,
            f"SELECT {LISTED} FROM equery(%s, backward => true, max_count => 10) AS e",
            [query_of(Filters(None, None, text, None))],
        )
        found["tagged"] = with_ids(rows or [])
        traced = len(text.encode()) <= 255 and can_trace(conn, g.store)
        if traced:
            rows, _ = try_execute(conn, f"SELECT {LISTED} FROM etrace(%s, max_count => 10) AS e", [text])
            found["correlated"] = with_ids(rows or [])
    return render_template("search.html", q=text, found=found, traced=traced, any=any(found.values()))


def first_event(conn, source, values):
    row = conn.execute(f"SELECT {LISTED} FROM {source} AS e LIMIT 1", values).fetchone()
    return Event(row) if row else None
