#!/usr/bin/env python3
"""Follows a store: prints every event once, in order, as it is committed.

usage: follow.py DSN [POSITION]
  follow.py "dbname=shop host=/var/run/postgresql" 1234
"""
import select
import sys

import psycopg2


def follow(dsn, position):
    db = psycopg2.connect(dsn)
    db.autocommit = True
    cursor = db.cursor()

    # First LISTEN, then look: events committed in between are seen or announced.
    cursor.execute("LISTEN sierra_es")
    while True:
        while True:
            cursor.execute(
                "SELECT global_position, stream_id, event_name FROM eall(%s, 1000)",
                (position,),
            )
            events = cursor.fetchall()
            if not events:
                break
            for position, stream_id, event_name in events:
                print(position, stream_id, event_name, flush=True)

        # A notification is a hint; look now and then without one.
        select.select([db], [], [], 10)
        db.poll()
        db.notifies.clear()


if __name__ == "__main__":
    follow(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else -1)
