#!/usr/bin/env python3
"""Keeps a table of order totals up to date; every event counts exactly once.

usage: consumer.py DSN
  consumer.py "dbname=shop host=/var/run/postgresql"

You can stop it at any time: an unfinished transaction rolls back, and its events come again.
"""
import sys
import time

import psycopg2
from psycopg2.extras import NamedTupleCursor

SUBSCRIPTION = "order-totals"


def prepare(conn):
    """Makes the table and the subscription, if they do not exist yet."""
    with conn, conn.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS order_totals (stream_id text PRIMARY KEY,"
            " customer text NOT NULL, total numeric NOT NULL, status text NOT NULL)")
        cursor.execute(
            "SELECT esub(%s, streams => ARRAY['order-*'], start_from => 'earliest',"
            " max_attempts => 3)", [SUBSCRIPTION])


def process(cursor, event):
    """Applies one event to the table."""
    if event.event_name == "OrderCreated":
        cursor.execute("INSERT INTO order_totals VALUES (%s, %s, 0, 'created')",
                       [event.stream_id, event.payload["customer"]])
    elif event.event_name == "ItemAdded":
        cursor.execute("UPDATE order_totals SET total = total + %s WHERE stream_id = %s",
                       [event.payload["price"], event.stream_id])
    elif event.event_name == "OrderPaid":
        cursor.execute("UPDATE order_totals SET status = 'paid' WHERE stream_id = %s",
                       [event.stream_id])


def try_to_process(cursor, event):
    """Processes one event; if that fails, rolls back its effects only, and returns the error."""
    cursor.execute("SAVEPOINT event")
    try:
        process(cursor, event)
    except (psycopg2.OperationalError, psycopg2.InterfaceError):
        raise  # not the event's fault: a lost connection, a deadlock
    except Exception as error:
        cursor.execute("ROLLBACK TO SAVEPOINT event")
        return f"{type(error).__name__}: {error}"
    cursor.execute("RELEASE SAVEPOINT event")
    return None


def consume_batch(conn):
    """Polls, processes and acknowledges in one transaction."""
    with conn, conn.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute("SELECT * FROM enext(%s, wait => '10 seconds')", [SUBSCRIPTION])
        done = failed = problem = None
        for event in cursor.fetchall():
            problem = try_to_process(cursor, event)
            if problem:
                failed = event.global_position
                break
            done = event.global_position
        if done is not None:
            cursor.execute("SELECT eack(%s, %s)", [SUBSCRIPTION, done])
        if failed is not None:
            cursor.execute("SELECT enack(%s, %s, reason => %s)", [SUBSCRIPTION, failed, problem])


def main(dsn):
    while True:
        try:
            conn = psycopg2.connect(dsn)
            prepare(conn)
            while True:
                consume_batch(conn)
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            print(f"connecting again: {error}", file=sys.stderr)
            time.sleep(1)


if __name__ == "__main__":
    main(sys.argv[1])
