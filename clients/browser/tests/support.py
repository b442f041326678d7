"""What the tests share: the program, a client without a window, what a page must not have."""

import html.parser
import http.client
import os
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import psycopg

DATABASE = os.environ.get("SIERRA_BROWSER_DATABASE", "browser")


def connect(database=DATABASE, **values):
    """A session with the rights of the tests."""
    return psycopg.connect(dbname=database, autocommit=True, **values)


class Program:
    """The event browser, for a role."""

    def __init__(self, role, *options, database=DATABASE):
        connection = f"dbname={database} user={role} host={os.environ['PGHOST']} port={os.environ['PGPORT']}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sierra_browser", "--connect", connection, "--port", "0", "--sample", "1", "--timeout", "60", *options],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self.process.stdout.readline().strip()
        parts = urlsplit(self.address)
        self.host, self.port = parts.hostname, parts.port
        self.base = f"http://{self.host}:{self.port}"
        self.key = parse_qs(parts.query)["key"][0] if parts.query else None

    def close(self):
        self.process.terminate()
        self.process.stdout.close()
        return self.process.wait()

    def ask(self, path, method="GET", body=None, headers=None, cookie=True):
        """Status, headers and text of an answer; follows nothing."""
        client = http.client.HTTPConnection(self.host, self.port, timeout=120)
        values = dict(headers or {})
        if cookie:
            values["Cookie"] = f"sierra_browser_{self.port}={self.key}"
        if body is not None:
            values["Content-Type"] = "application/x-www-form-urlencoded"
        client.request(method, path, body, values)
        answer = client.getresponse()
        data = answer.read()
        client.close()
        return answer.status, answer.headers, data.decode("utf-8", "surrogateescape")

    def get(self, path):
        """Status and text of a page; follows redirects."""
        for _ in range(5):
            status, headers, text = self.ask(path)
            if status not in (302, 303):
                break
            path = headers["Location"]
        return status, text


class Page(html.parser.HTMLParser):
    """The links of a page, and whatever in it could act."""

    EMPTY = {"meta", "link", "input", "br", "img", "line", "polyline", "polygon", "circle"}

    BLOCKS = {"p", "div", "form", "details", "table", "pre", "ul", "ol", "dl", "section", "article", "h1", "h2", "h3", "figure"}

    def __init__(self, text):
        super().__init__()
        self.links, self.faults, self.open, self.title, self.heading = [], [], [], "", ""
        self.forms = []
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append(f"not closed: {self.open}")

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if len(values) != len(attrs):
            self.faults.append(f"an attribute twice: {attrs}")
        if "p" in self.open and tag in self.BLOCKS:
            self.faults.append(f"<{tag}> ends a <p>")
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag in ("script", "link", "img", "iframe", "object", "embed", "style", "base"):
            source = values.get("src") or values.get("href") or ""
            if not source.startswith("/static/"):
                self.faults.append(f"<{tag}> with {attrs}")
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "srcdoc", "formaction"):
                self.faults.append(f"attribute {name} of <{tag}>")
            if name in ("href", "src", "action") and not (value or "").startswith("/"):
                self.faults.append(f"{name}={value}")
        if tag == "a":
            self.links.append(values.get("href", ""))
        if tag == "form":
            self.forms.append(values)

    def handle_endtag(self, tag):
        if tag in self.EMPTY:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if "h1" in self.open:
            self.heading += data
