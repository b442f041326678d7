"""python3 -m sierra_browser: serves the pages on 127.0.0.1."""

import argparse
import logging
import os
import signal
import sys

import psycopg
import waitress

from .app import Browser, create_app
from .database import Database


def arguments():
    parser = argparse.ArgumentParser(
        prog="sierra_browser",
        description="Shows the event stores of a database as web pages, on 127.0.0.1 only.",
        epilog="The address that is printed contains a key; without it, no page is shown."
        " The environment variable SIERRA_BROWSER_KEY sets the key.",
    )
    parser.add_argument("--connect", metavar="CONNINFO", default="", help="how to connect; default: PGHOST and so on")
    parser.add_argument("--port", type=int, default=8017, help="default: 8017; 0 takes any port that is free")
    parser.add_argument("--store", help="the store to show first; default: the setting sierra_es.store")
    parser.add_argument("--allow-changes", action="store_true", help="show buttons that change something")
    parser.add_argument("--timeout", type=float, default=10, metavar="SECONDS", help="for one page; default: 10")
    parser.add_argument("--sample", type=float, default=5, metavar="SECONDS", help="how often lags are noted; default: 5")
    parser.add_argument("--allow-superuser", action="store_true", help="connect as a superuser all the same")
    given = parser.parse_args()
    if given.timeout <= 0 or given.sample <= 0:
        parser.error("times must be more than 0")
    return given


def check_database(database, given):
    """Says at the start what would make every page fail; returns the store to begin with."""
    try:
        name = database.superuser()
        if name and not given.allow_superuser:
            sys.exit(
                f'sierra_browser: "{name}" is a superuser.\n'
                "Folds of aggregates run as the role of the browser, so it should have few rights.\n"
                "reader.sql, beside the README of the browser, gives a role the rights to read.\n"
                "With --allow-superuser it is used all the same."
            )
        with database.reading() as conn:
            stores = [row.store for row in conn.execute("SELECT store::text FROM event_stores() ORDER BY 1")]
            default = conn.execute("SELECT pg_catalog.current_setting('sierra_es.store')").fetchone()[0]
    except psycopg.Error as error:
        sys.exit(f"sierra_browser: {str(error).strip()}")
    if given.store or default in stores or not stores:
        return given.store or default
    return stores[0]


def main():
    given = arguments()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    store = check_database(Database(given.connect, given.timeout), given)
    browser = Browser(
        given.connect, store, given.allow_changes, given.timeout, given.sample, os.environ.get("SIERRA_BROWSER_KEY")
    )
    app = create_app(browser)
    try:
        server = waitress.create_server(app, host="127.0.0.1", port=given.port, threads=24, ident=None)
    except OSError as error:
        sys.exit(f"sierra_browser: port {given.port}: {error.strerror}; --port takes another")
    browser.samples.start()
    print(f"http://127.0.0.1:{server.effective_port}/?key={browser.key}", flush=True)
    # Pages that wait for events would hold up an orderly end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    server.run()


if __name__ == "__main__":
    main()
