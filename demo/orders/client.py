#!/usr/bin/python3
"""Follows orders in real time: prints every event once, as soon as it is committed.

The subscription "screen" keeps the client's place: stopped and started again,
the client continues where it was.  PGHOST and so on say where to connect to.
"""
import select

import psycopg2
from psycopg2.extras import NamedTupleCursor

NO_SUBSCRIPTION = "SE007"

LINES = {
    "OrderCreated": "is created by {customer_id}",
    "ItemAdded": "gets {quantity} x {item_id} at {price}",
    "ItemRemoved": "loses {quantity} x {item_id}",
    "PaymentProcessed": "is paid: {amount} by {payment_method}",
    "OrderShipped": "is on its way: {tracking_number}",
}


def show(text):
    print("[client] " + text, flush=True)


def print_events(conn):
    """Fetches, prints and acknowledges new events, until there are no more."""
    while True:
        with conn, conn.cursor() as cursor:
            cursor.execute("SELECT global_position, stream_id, event_name, payload FROM enext('screen')")
            events = cursor.fetchall()
            if not events:
                return
            for event in events:
                line = LINES.get(event.event_name, event.event_name)
                show(f"{event.stream_id} {line.format(**event.payload)}")
            cursor.execute("SELECT eack('screen', %s)", [events[-1].global_position])


def main():
    conn = psycopg2.connect("", cursor_factory=NamedTupleCursor)
    with conn, conn.cursor() as cursor:
        cursor.execute("LISTEN sierra_es")
    show("waiting for orders")
    try:
        while True:
            print_events(conn)
            # A notification is a hint: without one, look after five seconds.
            select.select([conn], [], [], 5)
            conn.poll()
            conn.notifies.clear()
    except psycopg2.Error as error:
        if error.pgcode != NO_SUBSCRIPTION:
            raise
        show("the subscription is gone; goodbye")


main()
