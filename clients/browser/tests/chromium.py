"""Chromium without a window, over the pipe of its DevTools: needs nothing but the program."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find_program():
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class Failed(Exception):
    """What the page, or Chromium, did not do."""


class Chromium:
    """One Chromium with one page."""

    def __init__(self, program=None, patience=60):
        self.patience = patience
        self.home = tempfile.mkdtemp(prefix="chromium.")
        to_chromium, self._write = os.pipe()
        self._read, from_chromium = os.pipe()
        command = [
            program or find_program(),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--hide-scrollbars",
            f"--user-data-dir={self.home}",
            "--remote-debugging-pipe",
            "about:blank",
        ]

        def connect():
            # Chromium reads from 3 and writes to 4.
            first, second = os.dup(to_chromium), os.dup(from_chromium)
            os.dup2(first, 3)
            os.dup2(second, 4)

        self._process = subprocess.Popen(
            command,
            preexec_fn=connect,
            close_fds=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"HOME": self.home, "PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"},
        )
        os.close(to_chromium)
        os.close(from_chromium)
        self._buffer = b""
        self._last = 0
        self._session = None
        # What the page said by itself: errors, dialogs, requests.
        self.complaints = []
        self.responses = {}
        self.requests = []
        self._loaded = False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)
        shutil.rmtree(self.home, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _receive(self, until):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(until - time.monotonic(), 0))
            data = os.read(self._read, 1 << 20) if ready else b""
            if not data:
                raise Failed("Chromium does not answer" if not ready else "Chromium has ended")
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _note(self, message):
        method, values = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Runtime.exceptionThrown":
            self.complaints.append("exception: " + json.dumps(values["exceptionDetails"])[:600])
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            self.complaints.append("console: " + json.dumps(values["args"])[:600])
        elif method == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.complaints.append("log: " + values["entry"]["text"][:600])
        elif method == "Page.javascriptDialogOpening":
            self.complaints.append("dialog: " + values["message"][:200])
            self._send("Page.handleJavaScriptDialog", {"accept": True})
        elif method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif method == "Network.responseReceived":
            self.responses[values["response"]["url"]] = values["response"]["status"]

    def _send(self, method, values):
        self._last += 1
        message = {"id": self._last, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        return self._last

    def call(self, method, **values):
        """Calls a method of the DevTools protocol."""
        until = time.monotonic() + self.patience
        number = self._send(method, values)
        while True:
            message = self._receive(until)
            if message.get("id") == number:
                if "error" in message:
                    raise Failed(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def value(self, expression):
        """What an expression of the page is."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise Failed(f"{expression}: {json.dumps(result['exceptionDetails'])[:600]}")
        return result["result"].get("value")

    def open(self, url):
        """Loads a page; returns its status."""
        self._loaded = False
        self.responses.clear()
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            raise Failed(f"{url}: {answer['errorText']}")
        self.wait_for_load()
        return self.responses.get(self.value("location.href"), self.responses.get(url))

    def wait_for_load(self):
        until = time.monotonic() + self.patience
        while not self._loaded:
            self._note(self._receive(until))

    def press(self, expression):
        """Clicks the element of an expression, and waits for the page that follows."""
        self._loaded = False
        self.value(f"({expression}).click()")
        self.wait_for_load()

    def wait_for(self, expression):
        """Waits until an expression of the page is true."""
        until = time.monotonic() + self.patience
        while not self.value(expression):
            if time.monotonic() > until:
                raise Failed(f"never true: {expression}")
            time.sleep(0.05)

    def size(self, width, height=900):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def colours(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, path, whole=False):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
