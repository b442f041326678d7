"""The event browser in headless Chromium, and as a client of HTTP sees it.

The database is that of demo/browser; SIERRA_BROWSER_SERVER is the program that stops and
starts the server, with "stop" or "start" as its argument.
"""

import hmac
import os
import re
import subprocess
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import psycopg

from sierra_browser import show
from tests import hostile
from tests.chromium import Chromium
from tests.support import DATABASE, Page, Program, connect

HERE = Path(__file__).parent.parent
PAGES = {
    "events": "/events",
    "category": "/events?stream=order-*",
    "stream": "/stream?id=order-1001&v=5",
    "streams": "/streams",
    "consumers": "/consumers",
    "consumer": "/consumer?name=warehouse",
    "projections": "/projections",
    "sagas": "/sagas",
    "saga": "/saga?id=journey-1",
    "timers": "/timers",
    "failures": "/failures",
    "stores": "/stores",
    "store": "/store",
    "search": "/search?q=request-7001",
}
PICTURES = os.environ.get("SIERRA_BROWSER_PICTURES")


def grant(script, role, store, database=DATABASE):
    subprocess.run(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-v", f"role={role}", "-v", f"store={store}", "-f", HERE / script],
        check=True,
    )


class BrowserTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.conn = connect()
        cls.addClassCleanup(cls.conn.close)
        if not cls.value("SELECT count(*) FROM event_stores() WHERE store = %s", hostile.STORE):
            with connect() as conn:
                hostile.make(conn)
            grant("reader.sql", "event_browser", hostile.STORE)
        cls.reader = Program("event_browser")
        cls.addClassCleanup(cls.reader.close)
        cls.operator = Program("event_operator", "--allow-changes")
        cls.addClassCleanup(cls.operator.close)
        cls.chromium = Chromium()
        cls.addClassCleanup(cls.chromium.close)
        cls.chromium.open(cls.reader.address)
        cls.chromium.open(cls.operator.address)

    @classmethod
    def value(cls, query, *values):
        row = cls.conn.execute(query, values).fetchone()
        return row[0] if row else None

    def tearDown(self):
        complaints = list(self.chromium.complaints)
        self.chromium.complaints.clear()
        self.assertEqual(complaints, [], "Chromium has nothing to complain about")

    def event_page(self):
        return "/event?id=" + self.value("SELECT event_id::text FROM escan('payment-7001', 1, 1)")

    # -----------------------------------------------------------------------
    # Every page, every link
    # -----------------------------------------------------------------------

    def walk(self, starts, most):
        """Follows all links, of each kind of page up to a number; returns how many pages there were."""
        seen, waiting, counts = set(), list(starts), {}
        with ThreadPoolExecutor(6) as pool:
            while waiting:
                answers = list(pool.map(self.reader.get, waiting))
                found = []
                for path, (status, text) in zip(waiting, answers):
                    self.assertEqual(status, 200, path)
                    if "/payload" not in path:
                        found += self.check_page(path, text)
                waiting = []
                for path in found:
                    kind = urlsplit(path).path
                    if path not in seen and counts.get(kind, 0) < most:
                        seen.add(path)
                        counts[kind] = counts.get(kind, 0) + 1
                        waiting.append(path)
        return counts

    def check_page(self, path, text):
        """A page has what its address says, and nothing that acts; returns its links."""
        page = Page(text)
        self.assertEqual(page.faults, [], path)
        self.assertIsNone(show.INVISIBLE.search(page.heading), path)
        query = parse_qs(urlsplit(path).query)
        about = {"/stream": "id", "/saga": "id", "/consumer": "name"}.get(urlsplit(path).path)
        if about:
            self.assertEqual(page.heading, show.visible(query[about][0]), path)
        if urlsplit(path).path == "/event":
            self.assertIn(query["id"][0], text, path)
        self.assertFalse([form for form in page.forms if form.get("method") == "post"], "a reader has no buttons")
        return page.links

    def test_every_link_of_the_demo(self):
        counts = self.walk(["/"], 12)
        self.assertLessEqual(
            {"/events", "/event", "/stream", "/streams", "/consumer", "/consumers", "/projections", "/sagas", "/saga", "/timers",
             "/failures", "/store", "/stores"}, set(counts))

    def test_every_link_of_a_hostile_store(self):
        store = "?" + urlencode({"store": hostile.STORE})
        starts = [f"{path}{store}" for path in ("/events", "/streams", "/consumers", "/projections", "/sagas", "/timers", "/failures", "/store")]
        starts += [f"/search{store}&" + urlencode({"q": name}) for name in hostile.NAMES]
        counts = self.walk(starts, 14)
        self.assertGreater(counts["/stream"], 8)

    def test_every_page_in_chromium(self):
        pages = {**PAGES, "event": self.event_page()}
        for scheme, width in (("light", 1400), ("dark", 390)):
            self.chromium.colours(scheme)
            self.chromium.size(width)
            for name, path in pages.items():
                with self.subTest(page=name, width=width):
                    self.assertEqual(self.chromium.open(self.reader.base + path), 200)
                    self.assertLessEqual(self.chromium.value("document.documentElement.scrollWidth - innerWidth"), 0)
                    self.assertEqual(self.chromium.value("document.styleSheets.length"), 1)
                    if PICTURES:
                        self.chromium.picture(f"{PICTURES}/{name}-{width}.png")

    def test_nothing_hostile_acts(self):
        self.chromium.size(390)
        base, store = self.reader.base, "&" + urlencode({"store": hostile.STORE})
        paths = [f"{path}?{store}" for path in ("/events", "/streams", "/consumers", "/projections", "/sagas", "/failures", "/store")]
        paths += [f"/stream?id={quote(name)}{store}&aggregate={quote(hostile.SCRIPT)}" for name in hostile.NAMES[:6]]
        paths += [f"/saga?id={quote(hostile.SCRIPT + 'saga')}{store}", f"/search?q={quote(hostile.IMAGE)}{store}",
                  f"/consumer?name={quote(hostile.SCRIPT)}{store}", f"/stream?id={quote(hostile.SCRIPT)}{store}&v=4"]
        for path in paths:
            with self.subTest(path=path):
                self.assertEqual(self.chromium.open(base + path), 200)
                self.assertIsNone(self.chromium.value("window.canary"))
                self.assertLessEqual(self.chromium.value("document.documentElement.scrollWidth - innerWidth"), 0)
        self.assertFalse([url for url in self.chromium.requests if not url.startswith(("http://127.0.0.1:", "about:"))])

    def test_values_are_shown_as_they_are(self):
        """Numbers, repeated members, depth; large payloads in part; bytes as numbers."""
        store = "&" + urlencode({"store": hostile.STORE})
        _, text = self.reader.get(f"/stream?id={quote(hostile.IMAGE)}{store}")
        for wanted in ("1.10", "1e400", "12345678901234567890.0", r"\u001b[31mred", r"\ud800"):
            self.assertIn(wanted, text)
        self.assertIn("⟨U+202E⟩", self.reader.get(f"/stream?id={quote(hostile.BIDI)}{store}")[1])
        _, text = self.reader.get(f"/stream?id={quote(hostile.LINK)}{store}")
        self.assertLess(len(text), 150_000)
        status, listed = self.reader.get(f"/events?{store}")
        self.assertIn("large payload, ", listed)
        self.assertLess(len(listed), 150_000)
        whole = re.search(r'href="(/payload\?[^"]*)"', text)[1].replace("&amp;", "&")
        status, headers, data = self.reader.ask(whole)
        self.assertEqual((status, len(data)), (200, len(hostile.PAYLOADS[3])))
        self.assertIn("attachment", headers["Content-Disposition"])
        self.assertIn("5.0 kB, not JSON", self.reader.get(f"/stream?id={quote(hostile.SCRIPT)}{store}&v=1")[1])

    # -----------------------------------------------------------------------
    # What changes by itself
    # -----------------------------------------------------------------------

    def append(self, stream, name, payload="{}"):
        self.conn.execute("SELECT FROM eappend(%s, %s, %s)", [stream, name, payload])

    def test_events_arrive(self):
        self.chromium.open(self.reader.base + "/events?name=Wanted")
        self.chromium.wait_for("document.getElementById('livestate').textContent == 'live'")
        self.append("live-1", "Unwanted")
        self.append("live-1", "Wanted", '{"text": "<img src=x onerror=window.canary=9>"}')
        self.chromium.wait_for("document.querySelectorAll('tr.arrived').length == 1")
        self.assertIn("<img src=x", self.chromium.value("document.querySelector('tr.arrived .payload').textContent"))
        self.append("live-1", "Unwanted")
        self.append("live-2", "Wanted")
        self.chromium.wait_for("document.querySelectorAll('tr.arrived').length == 2")
        self.assertIn("live-2", self.chromium.value("document.querySelector('tr.ev').textContent"))
        self.assertIsNone(self.chromium.value("window.canary"))

    def test_numbers_are_read_again(self):
        self.chromium.open(self.reader.base + "/consumer?name=reports")
        shown = "document.querySelectorAll('.numbers b')[2].textContent"
        before = self.chromium.value(shown)
        self.append("live-3", "Refreshed")
        self.chromium.wait_for(f"{shown} != {before!r}")
        self.chromium.wait_for("document.querySelectorAll('.plot .line').length == 2")

    # -----------------------------------------------------------------------
    # Buttons
    # -----------------------------------------------------------------------

    def button(self, action, **values):
        """The button of a form, as an expression."""
        conditions = "".join(
            f" && f.elements[{name!r}] && f.elements[{name!r}].value == {value!r}" for name, value in values.items())
        return f"[...document.forms].find(f => f.getAttribute('action') == '/do/{action}'{conditions}).querySelector('button')"

    def press(self, page, action, **values):
        self.chromium.open(self.operator.base + page)
        self.assertEqual(Page(self.operator.get(page)[1]).faults, [])
        self.chromium.press(self.button(action, **values))
        self.assertTrue(self.chromium.value("!!document.querySelector('.notice[role=status]')"), action)

    def test_buttons(self):
        state = "SELECT state FROM event_projections() WHERE projection = %s"
        failed = "SELECT count(*) FROM event_failures() WHERE subscription = 'warehouse' AND stream_id = %s AND (retry_at > now() OR state = 'parked')"
        self.assertEqual(self.value(failed, "shipment-7001"), 1)
        self.press("/failures", "retry-event", stream="shipment-7001")
        self.assertEqual(self.value(failed, "shipment-7001"), 0)
        self.assertEqual(self.value(failed, "order-1001"), 1)
        self.press("/consumer?name=warehouse", "skip-event", stream="order-1001")
        self.assertEqual(self.value(failed, "order-1001"), 0)
        self.assertEqual(self.value(state, "names"), "paused")
        self.press("/projections", "resume-projection", projection="names")
        self.assertEqual(self.value(state, "names"), "running")
        self.press("/projections", "pause-projection", projection="names")
        self.assertEqual(self.value(state, "names"), "paused")
        self.assertEqual(self.value(state, "payments"), "stopped")
        self.press("/projections", "retry-projection", projection="payments")
        self.assertEqual(self.value(state, "payments"), "running")
        self.conn.execute("SELECT run_projections()")
        self.assertEqual(self.value(state, "payments"), "stopped")
        self.press("/failures", "skip-projection", projection="payments")
        self.conn.execute("SELECT run_projections()")
        self.assertEqual(self.value(state, "payments"), "running")
        self.conn.execute("SELECT FROM eappend('parked-1', 'AccountOpened', '{}')")
        self.conn.execute(
            "CREATE FUNCTION refuse(e sierra_event) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused' USING ERRCODE = 'P0001'; END $$")
        self.conn.execute("SELECT create_projection('parks', 'refuse', streams => '{parked-*}', on_error => 'park', max_attempts => 1)")
        self.conn.execute("SELECT run_projections()")
        parked = "SELECT count(*) FROM event_failures() WHERE subscription LIKE 'projection:parks:%'"
        self.assertEqual(self.conn.execute(parked).fetchone()[0], 1)
        self.press("/failures", "skip-projection-stream", stream="parked-1")
        self.assertEqual(self.conn.execute(parked).fetchone()[0], 0)
        saga = "SELECT status FROM event_sagas() WHERE saga_id = 'journey-1'"
        self.assertEqual(self.value(saga), "stuck")
        self.press("/saga?id=journey-1", "retry-saga", saga="journey-1")
        self.assertEqual(self.value(saga), "compensating")
        self.conn.execute("SELECT run_sagas()")
        self.assertEqual(self.value(saga), "stuck")
        self.press("/saga?id=journey-1", "skip-saga", saga="journey-1")
        self.conn.execute("SELECT run_sagas()")
        self.assertEqual(self.value(saga), "compensated")

    def test_buttons_need_rights(self):
        self.assertNotIn("/do/", self.reader.get("/projections")[1])
        program = Program("event_browser", "--allow-changes")
        self.addCleanup(program.close)
        self.assertNotIn("/do/", program.get("/projections")[1])
        page = self.operator.get("/projections")[1]
        token = re.search(r'name="csrf" value="(\w+)"', page)[1]
        form = urlencode({"csrf": token, "projection": "order-list", "store": "es"})
        # A role that may, in a program that must not: it has no forms, so its token is made here.
        only_shows = Program("event_operator")
        self.addCleanup(only_shows.close)
        self.assertNotIn("/do/", only_shows.get("/projections")[1])
        own_token = hmac.new(only_shows.key.encode(), b"csrf", "sha256").hexdigest()
        paused = "SELECT state FROM event_projections() WHERE projection = 'order-list'"
        before = self.value(paused)
        refused = [
            self.operator.ask("/do/pause-projection", "POST", form.replace(token, "0" * 64)),
            self.operator.ask("/do/pause-projection", "POST", form, {"Origin": "http://example.org"}),
            self.operator.ask("/do/pause-projection", "POST", form, cookie=False),
            self.operator.ask("/do/pause-projection", "POST", form, {"Host": "example.org"}),
            only_shows.ask("/do/pause-projection", "POST", form.replace(token, own_token)),
            self.operator.ask("/do/pause-projection?" + form),
            self.operator.ask("/do/drop", "POST", form),
            self.operator.ask("/do/pause-projection", "POST", "csrf=" + token),
        ]
        self.assertEqual([answer[0] for answer in refused], [403, 403, 403, 400, 403, 405, 404, 400])
        self.assertEqual(self.value(paused), before)
        status, _, text = self.operator.ask("/do/retry-saga", "POST", urlencode({"csrf": token, "saga": "no such"}))
        self.assertEqual(status, 409)
        self.assertIn("42704", text)

    # -----------------------------------------------------------------------
    # Protection
    # -----------------------------------------------------------------------

    def test_only_with_the_key(self):
        self.assertEqual(self.reader.ask("/events", cookie=False)[0], 403)
        self.assertEqual(self.reader.ask("/events?key=wrong", cookie=False)[0], 403)
        status, headers, _ = self.reader.ask("/events?key=" + self.reader.key, cookie=False)
        self.assertEqual(status, 302)
        self.assertNotIn("key=", headers["Location"])
        self.assertRegex(headers["Set-Cookie"], "HttpOnly.*SameSite=Strict")
        for host in ("example.org", "example.org:80", "127.0.0.1.example.org", "localhost.example.org", ""):
            self.assertEqual(self.reader.ask("/events", headers={"Host": host})[0], 400, host)
        self.assertEqual(self.reader.ask("/events", headers={"Host": "localhost:9000"}, cookie=False)[0], 403)

    def test_headers(self):
        for path in ("/events", "/stream?id=none", "/static/style.css", "/nothing"):
            _, headers, text = self.reader.ask(path)
            policy = headers["Content-Security-Policy"]
            for wanted in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "form-action 'self'"):
                self.assertIn(wanted, policy, path)
            self.assertNotIn("unsafe", policy)
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
            self.assertNotIn("Traceback", text)

    def test_bad_addresses(self):
        for path, wanted in {
            "/stream?id=none": 404,
            "/stream": 400,
            "/stream?id=order-1001&v=x": 400,
            "/stream?id=order-1001&v=99999999999999999999999": 200,
            "/stream?id=order-1001&v=0&to=0&aggregate=%3Cb%3E": 200,
            "/stream?id=%00": 400,
            "/events?before=-1": 400,
            "/events?before=99999999999999999999999": 200,
            "/events?before=0": 200,
            "/events?stream=" + "a" * 300 + "*": 200,
            "/events?tag=" + "a" * 300: 400,
            "/event?id=1": 400,
            "/event?id=00000000-0000-0000-0000-000000000000": 404,
            "/payload?id=00000000-0000-0000-0000-000000000000": 404,
            "/events?store=none": 404,
            "/events?store=" + "x" * 200: 400,
            "/saga?id=none": 404,
            "/sagas?status=none": 400,
            "/consumer?name=none": 404,
            "/timers?after=x&timer=00000000-0000-0000-0000-000000000000": 400,
            "/search?q=" + "%F0%9F%A6%81" * 200: 200,
            "/search?q=%27%20OR%201=1": 200,
            "/search?q=%25": 200,
            "/live?after=x": 400,
            "/nothing": 404,
        }.items():
            with self.subTest(path=path):
                status, text = self.reader.get(path)
                self.assertEqual(status, wanted, text[-800:])
                self.assertNotIn("Traceback", text)
                self.assertEqual(Page(text).faults, [])

    def test_roles(self):
        with connect(user="event_browser") as conn:
            for query in ("SELECT FROM eappend('order-1', 'X')", "SELECT eskip('warehouse', 'order-1001')"):
                with self.assertRaises(psycopg.Error):
                    conn.execute(query)
                conn.execute("SET default_transaction_read_only = off")
                with self.assertRaises(psycopg.errors.InsufficientPrivilege):
                    conn.execute(query)
        me = self.value("SELECT current_user")
        program = Program(me)
        self.assertEqual(program.address, "")
        self.assertNotEqual(program.close(), 0)

    def test_other_roles(self):
        """A role without pg_monitor, and one that sees a part of the events."""
        for role in ("event_plain", "event_tenant"):
            self.conn.execute(f"CREATE ROLE {role} LOGIN")
            grant("reader.sql", role, "es")
            self.conn.execute(f"REVOKE pg_monitor FROM {role}")
        self.conn.execute("CREATE POLICY part ON es.events TO event_tenant USING (stream_id LIKE 'order-%')")
        self.conn.execute("CREATE POLICY whole ON es.events TO event_browser, event_operator, event_plain USING (true)")
        plain = Program("event_plain")
        self.addCleanup(plain.close)
        deadline = time.monotonic() + 180
        while "<polyline" not in plain.get("/consumer?name=ledger")[1]:
            self.assertLess(time.monotonic(), deadline, "samples without pg_monitor")
            time.sleep(0.2)
        self.assertIn("Only members of pg_read_all_stats", plain.get("/stores")[1])
        self.conn.execute("ALTER TABLE es.events ENABLE ROW LEVEL SECURITY")
        self.addCleanup(self.conn.execute, "ALTER TABLE es.events DISABLE ROW LEVEL SECURITY")
        tenant = Program("event_tenant", "--sample", "3600")
        self.addCleanup(tenant.close)
        status, text = tenant.get("/events")
        self.assertEqual(status, 200)
        self.assertIn("order-1001", text)
        self.assertNotIn("account-", text)
        self.assertEqual(Page(tenant.get("/search?q=order-1001")[1]).heading, "order-1001")
        order = self.value("SELECT event_id::text FROM escan('order-1001', 0, 0)")
        self.assertEqual(Page(tenant.get(f"/event?id={order}")[1]).heading, "OrderCreated")
        self.assertEqual(tenant.get(self.event_page())[0], 404)
        self.assertEqual(tenant.get("/stream?id=account-alice")[0], 404)
        self.assertEqual(tenant.get("/streams")[0], 403)

    def test_a_fold_cannot_write(self):
        """A page is a read-only transaction, whatever the role may do."""
        self.conn.execute(
            "CREATE FUNCTION writing_fold(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM FROM eappend('written-1', 'Written'); RETURN state; END $$")
        self.conn.execute("SELECT create_aggregate('writing', 'writing_fold')")
        self.append("writing-1", "Asked")
        status, text = self.operator.get("/stream?id=writing-1")
        self.assertEqual(status, 200)
        self.assertIn("read-only transaction", text)
        self.assertIsNone(self.value("SELECT esver('written-1')"))

    # -----------------------------------------------------------------------
    # What a page reads
    # -----------------------------------------------------------------------

    def blocks_of(self, program, path):
        """How many blocks the session of a page reads: it is the only one in its database."""
        count = "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = 'large'"
        before = self.value(count)
        status, text = program.get(path)
        self.assertEqual(status, 200, text)
        # The session counts what it has read when it ends, which may be after the answer.
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'large'"
        while self.value(sessions):
            time.sleep(0.01)
        return self.value(count) - before

    def test_pages_read_what_they_show(self):
        """In a store of 100,000 events, no page reads much more than in one of 3,000."""
        stores = {"few": 3_000, "many": 100_000}
        self.conn.execute("CREATE DATABASE large")
        with connect("large") as conn:
            conn.execute("CREATE EXTENSION sierra_es")
            for store, count in stores.items():
                conn.execute("SELECT create_event_store(%s, 8)", [store])
                conn.execute("SELECT set_config('sierra_es.store', %s, false)", [store])
                for start in range(0, count, 5000):
                    conn.execute(
                        """SELECT count(*) FROM emappend(NULL, ARRAY(SELECT 'order-' || i %% 300 FROM generate_series(%(a)s::int, %(b)s::int) AS i),
                             ARRAY(SELECT 'Name' || i %% 20 FROM generate_series(%(a)s::int, %(b)s::int) AS i),
                             ARRAY(SELECT json_build_object('i', i) FROM generate_series(%(a)s::int, %(b)s::int) AS i)::sierra_json[],
                             tags => ARRAY(SELECT json_build_array('tag' || i %% 1000) FROM generate_series(%(a)s::int, %(b)s::int) AS i)::sierra_json[])""",
                        {"a": start, "b": min(start + 5000, count) - 1})
            conn.execute("VACUUM ANALYZE")
        for store in stores:
            grant("reader.sql", "event_browser", store, "large")
        program = Program("event_browser", "--sample", "3600", database="large")
        self.addCleanup(program.close)
        # How many blocks a page may read beyond those of the small store.  Most of what is read
        # are catalogs, in each new session.
        paths = dict.fromkeys(
            ("/events?", "/events?before=1500&", "/events?tag=tag7&", "/events?name=Name7&", "/stream?id=order-7&v=5&", "/streams?",
             "/streams?order=name&", "/streams?prefix=order-1&", "/search?q=1700&", "/sagas?", "/timers?", "/failures?", "/projections?"), 300)
        # These look at more events, up to a bound that the small store does not reach.
        paths |= {"/events?stream=order-7*&": 1200, "/store?": 600}
        for path, most in paths.items():
            with self.subTest(path=path):
                few, many = (min(self.blocks_of(program, f"{path}store={store}") for _ in range(3)) for store in stores)
                self.assertLess(many - few, most, f"{few} blocks, {many} blocks")

        # A rare category, by its index: as many events as the page shows, wherever they are.
        with connect("large") as conn:
            conn.execute("SELECT set_config('sierra_es.store', 'many', false)")
            conn.execute("SELECT count(eappend('rare-' || i % 7, 'Rare' || i)) FROM generate_series(1, 60) AS i")
            conn.execute(
                "SELECT count(*) FROM emappend(NULL, ARRAY(SELECT 'order-' || i % 300 FROM generate_series(1, 25000) AS i), array_fill('Late'::text, '{25000}'))"
            )
            self.assertIn("None of the events at positions", program.get("/events?stream=rare-*&store=many")[1])
            conn.execute("SELECT create_category_index('many')")
            conn.execute("VACUUM ANALYZE")
        # Catalogs are read for the index of each partition, too.
        self.assertLess(self.blocks_of(program, "/events?stream=rare-*&store=many"), self.blocks_of(program, "/events?store=many") + 1200)
        for query, shown, older in (
            ("stream=rare-*", "Rare60", True),
            ("stream=rare-3*", "Rare59", False),
            ("stream=rare-4&name=Rare4", "Rare4", False),
            ("stream=rare-*&name=Rare7", "Rare7", False),
            ("stream=order-299*&name=Late", "Late", True),
        ):
            with self.subTest(query=query):
                text = program.get(f"/events?{query}&store=many")[1]
                self.assertIn(f">{shown}<", text)
                self.assertEqual("before=" in text, older)
        # Events of the category that the filter leaves out are passed, and the next page continues behind them.
        text = program.get("/events?stream=order-*&name=Name7&store=many")[1]
        self.assertIn("None of the events at positions", text)
        text = program.get("/events?" + re.search(r"before=(\d+)", text)[0] + "&stream=order-*&name=Name7&store=many")[1]
        self.assertIn(">Name7<", text)

    def test_grants_say_what_is_missing(self):
        for script in ("reader.sql", "operator.sql"):
            with self.subTest(script=script):
                result = subprocess.run(
                    ["psql", "-X", "-q", "-d", DATABASE, "-v", "role=event_browser", "-f", HERE / script], capture_output=True, text=True, check=False
                )
                self.assertEqual(result.returncode, 3)
                self.assertIn('ERROR:  the variables "role" and "store" must be set', result.stderr)
                self.assertNotIn("syntax error", result.stderr)

    # -----------------------------------------------------------------------
    # A server that goes away
    # -----------------------------------------------------------------------

    def test_server_restarts(self):
        control = os.environ["SIERRA_BROWSER_SERVER"]
        self.chromium.open(self.reader.base + "/events?name=Back")
        self.conn.close()
        subprocess.run([control, "stop"], check=True, stdout=subprocess.DEVNULL)
        try:
            status, text = self.reader.get("/events")
            self.assertEqual(status, 503)
            self.assertIn("The database does not answer", text)
            self.chromium.wait_for("document.getElementById('livebar').classList.contains('lost')")
        finally:
            subprocess.run([control, "start"], check=True, stdout=subprocess.DEVNULL)
            type(self).conn = connect()
        self.assertEqual(self.reader.get("/events")[0], 200)
        self.append("back-1", "Back")
        self.chromium.wait_for("document.querySelectorAll('tr.arrived').length == 1")
        # What a fetch that failed leaves in the console.
        self.chromium.complaints[:] = [text for text in self.chromium.complaints if "Failed to load resource" not in text]


class ShowTest(unittest.TestCase):
    """How values are shown, without a page."""

    def test_pretty_changes_spaces_only(self):
        for text in hostile.PAYLOADS[:3] + ['{"a":{"b":[1,2,{"c":"}{"}]},"d":[],"e":{}}', "[", '{"a": "x', "1", ""]:
            shown = re.sub(r"<[^>]*>", "", show.pretty(text)).replace("&#34;", '"').replace("&lt;", "<").replace("&gt;", ">")
            shown = shown.replace("&#39;", "'").replace("&amp;", "&")
            plain = re.compile(r"\s")
            self.assertEqual(plain.sub("", shown), plain.sub("", show.visible(text)))

    def test_differences(self):
        before = show.parse('{"a": 1, "b": {"c": [1, 2]}, "gone": null, "e": {}}')
        after = show.parse('{"a": 1.0, "b": {"c": [1, 3, 4]}, "e": {"f": true}}')
        rows = [(row["path"], row["kind"], row["before"], row["after"]) for row in show.differences(before, after)]
        self.assertEqual(
            sorted(rows),
            [("a", "changed", "1", "1.0"), ("b.c[1]", "changed", "2", "3"), ("b.c[2]", "new", None, "4"), ("e.f", "new", None, "true"),
             ("gone", "gone", "null", None)])
        self.assertEqual(show.differences(after, after), [])

    def test_durations(self):
        self.assertEqual([show.duration(s) for s in (0, 0.04, 5, 9.94, 61, 3600, 90000)], ["0 ms", "40 ms", "5 s", "9.9 s", "1 min 1 s", "1 h", "1 d 1 h"])


if __name__ == "__main__":
    unittest.main()
