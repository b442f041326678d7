#!/usr/bin/env python3
"""Orders are streams of events; a table has their totals. See ../README.md."""
import os
import sys
import time

import psycopg
from psycopg.rows import namedtuple_row
from psycopg.types.json import Json

WRONG_VERSION = "SE001"
CONDITION_FAILED = "SE009"


def connect():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, row_factory=namedtuple_row)


def read(conn, stream):
    """The events of a stream in their order."""
    return conn.execute(
        "SELECT stream_version AS version, event_name AS name, payload FROM escan(%s)", [stream]
    ).fetchall()


def add(order, item, price):
    """Reads, decides, and appends with the version that it has read; on a conflict, begins again."""
    stream = f"order-{order}"
    with connect() as conn:
        while True:
            events = read(conn, stream)
            if any(event.name == "OrderPaid" for event in events):
                return f"{stream} is paid"
            expected = events[-1].version if events else "empty"
            try:
                added = conn.execute(
                    "SELECT stream_version AS version"
                    " FROM eappend(%s, 'ItemAdded', %s, expected_version => %s)",
                    [stream, Json({"item": item, "price": int(price)}), expected],
                ).fetchone()
                return f"{stream}: {item}, version {added.version}"
            except psycopg.Error as error:
                if error.sqlstate != WRONG_VERSION:
                    raise


def pay(order, payment):
    """Appends an event with an id: if the answer is lost, the same call again stores nothing twice."""
    while True:
        try:
            with connect() as conn:
                paid = conn.execute(
                    "SELECT stream_version AS version FROM eappend(%s, 'OrderPaid', event_id => %s)",
                    [f"order-{order}", payment],
                ).fetchone()
                return f"order-{order}: paid, version {paid.version}"
        except psycopg.OperationalError as error:
            print(f"connecting again: {error}", file=sys.stderr)
            time.sleep(1)


def redeem(order, coupon):
    """Appends an event unless any stream has one with the same tag."""
    tag = f"coupon:{coupon}"
    with connect() as conn:
        try:
            redeemed = conn.execute(
                "SELECT stream_version AS version"
                " FROM eappend(%s, 'CouponRedeemed', %s, tags => %s, condition => %s)",
                [f"order-{order}", Json({"coupon": coupon}), [tag],
                 Json({"query": [{"tags": [tag]}], "after": -1})],
            ).fetchone()
            return f"order-{order}: {coupon}, version {redeemed.version}"
        except psycopg.Error as error:
            if error.sqlstate != CONDITION_FAILED:
                raise
            return f"{coupon} was redeemed before"


def show(order):
    with connect() as conn:
        return "\n".join(
            " ".join(str(part) for part in [event.version, event.name, *(event.payload or {}).values()])
            for event in read(conn, f"order-{order}"))


def totals(consumer=None):
    """Keeps the table order_totals up to date; each event counts exactly once."""
    while True:
        try:
            with connect() as conn:
                conn.execute("CREATE TABLE IF NOT EXISTS order_totals"
                             " (stream_id text PRIMARY KEY, events bigint NOT NULL, total bigint NOT NULL)")
                conn.execute("SELECT esub('order-totals', streams => ARRAY['order-*'],"
                             " start_from => 'earliest', max_attempts => 3)")
                while True:
                    for event in consume(conn, consumer):
                        print(event.stream_id, event.event_name, flush=True)
        except psycopg.Error as error:
            print(f"connecting again: {error}", file=sys.stderr)
            time.sleep(1)


def consume(conn, consumer):
    """Waits for events, counts and acknowledges them in one transaction: all of it, or nothing."""
    done, failed, reason = [], None, None
    with conn.transaction():
        events = conn.execute(
            "SELECT global_position, stream_id, event_name, payload->>'price' AS price"
            " FROM enext('order-totals', wait => '10 seconds', consumer => %s)", [consumer]).fetchall()
        for event in events:
            try:
                with conn.transaction():  # a savepoint: a failure takes back only this event
                    count(conn, event)
                done.append(event)
            except psycopg.OperationalError:
                raise  # not the fault of the event: a deadlock, a lost connection
            except psycopg.Error as error:
                failed, reason = event, str(error)
                break
        if done:
            conn.execute("SELECT eack('order-totals', %s, %s)", [done[-1].global_position, consumer])
        if failed:
            conn.execute("SELECT enack('order-totals', %s, reason => %s, consumer => %s)",
                         [failed.global_position, reason, consumer])
    return done


def count(conn, event):
    conn.execute(
        "INSERT INTO order_totals AS t VALUES (%s, 1, coalesce(%s::bigint, 0))"
        " ON CONFLICT (stream_id) DO UPDATE SET events = t.events + 1, total = t.total + excluded.total",
        [event.stream_id, event.price])


if __name__ == "__main__":
    commands = {"add": add, "pay": pay, "redeem": redeem, "show": show, "totals": totals}
    print(commands[sys.argv[1]](*sys.argv[2:]))
