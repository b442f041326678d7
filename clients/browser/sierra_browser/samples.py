"""Samples of lags over time, in the memory of this process."""

import logging
import threading
import time
from collections import deque
from datetime import datetime, timezone

import psycopg

from .database import try_execute

# Of a series: an hour, if a sample is taken every 5 seconds.
MOST_SAMPLES = 720
MOST_SERIES = 200

BY_METRICS = """
    SELECT m.labels->>'store' AS store,
           coalesce(m.labels->>'subscription',
                    'projection:' || (m.labels->>'projection') || ':' || (m.labels->>'version')) AS subscription,
           m.labels->>'consumer' AS consumer,
           max(m.value) FILTER (WHERE m.metric LIKE '%%_lag_events') AS events,
           max(m.value) FILTER (WHERE m.metric LIKE '%%_lag_seconds') AS seconds
      FROM event_metrics(%s) AS m WHERE m.metric LIKE '%%_lag_%%'
     GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT %s
"""
BY_SUBSCRIPTIONS = """
    SELECT %(store)s::text AS store, s.subscription, NULL AS consumer, s.lag_events AS events,
           extract(epoch FROM s.lag)::float8 AS seconds
      FROM event_subscriptions(%(store)s) AS s
     UNION ALL
    SELECT %(store)s::text, c.subscription, c.consumer, c.lag_events, extract(epoch FROM c.lag)::float8
      FROM event_consumers(%(store)s) AS c
     ORDER BY 2, 3 LIMIT %(most)s
"""


class Samples:
    """Asks again and again how far each consumer is behind."""

    def __init__(self, database, interval):
        self.database = database
        self.interval = interval
        self.since = datetime.now(timezone.utc)
        self.error = None
        self._series = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def start(self):
        threading.Thread(target=self._run, name="samples", daemon=True).start()

    def stop(self):
        self._stop.set()

    def of(self, store, subscription, consumer=None):
        """Samples of one consumer: time, events, seconds."""
        with self._lock:
            return list(self._series.get((store, subscription, consumer), ()))

    def _run(self):
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self.take()
                self.error = None
            except psycopg.Error as error:
                self.error = str(error).strip()
                logging.warning("no sample: %s", self.error.splitlines()[0] if self.error else error.sqlstate)
            # The server has nine tenths of its time for others.
            self._stop.wait(max(self.interval, 9 * (time.monotonic() - started)))

    def take(self):
        """One sample of everything."""
        now = time.time()
        rows = self._read()
        with self._lock:
            for row in rows[:MOST_SERIES]:
                key = (row.store, row.subscription, row.consumer)
                series = self._series.setdefault(key, deque(maxlen=MOST_SAMPLES))
                series.append((now, row.events or 0, row.seconds))
            # A series ends some time after what it was about.
            for key in [key for key, series in self._series.items() if now - series[-1][0] > 3600]:
                del self._series[key]
            while len(self._series) > MOST_SERIES:
                del self._series[min(self._series, key=lambda key: self._series[key][-1][0])]

    def _read(self):
        with self.database.reading() as conn:
            rows = []
            if conn.execute("SELECT pg_catalog.pg_has_role('pg_monitor', 'USAGE')").fetchone()[0]:
                for subject in ("subscription", "projection", "consumer"):
                    rows += conn.execute(BY_METRICS, [subject, MOST_SERIES]).fetchall()
                return rows
            for (store,) in conn.execute("SELECT store::text FROM event_stores() ORDER BY 1").fetchall():
                # A role need not have the rights for each store.
                found, _ = try_execute(conn, BY_SUBSCRIPTIONS, {"store": store, "most": MOST_SERIES})
                rows += found or []
            return rows
