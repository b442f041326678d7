"""The application: which requests are answered, which answers errors get, and what every page has."""

import hmac
import logging
import secrets
from hashlib import sha256
from urllib.parse import urlsplit

import psycopg
from flask import Flask, abort, current_app, g, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from . import events, operations, show
from .database import Database
from .samples import Samples

OWN_NAMES = {"127.0.0.1", "localhost", "::1"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class Browser:
    """What the pages share."""

    def __init__(self, conninfo, store, allow_changes, timeout, interval, key=None):
        self.database = Database(conninfo, timeout)
        self.samples = Samples(self.database, interval)
        self.store = store
        self.allow_changes = allow_changes
        self.key = key or secrets.token_urlsafe(24)
        self.csrf = hmac.new(self.key.encode(), b"csrf", sha256).hexdigest()


def create_app(browser):
    app = Flask(__name__)
    app.extensions["browser"] = browser
    app.config["MAX_CONTENT_LENGTH"] = 65536
    app.jinja_env.finalize = show.finalize
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        as_typed=show.as_typed,
        pretty=show.pretty,
        duration=show.duration,
        number=show.number,
        size=show.size,
        moment=show.moment,
    )
    app.jinja_env.globals.update(link=link, csrf=browser.csrf)
    app.register_blueprint(events.pages)
    app.register_blueprint(operations.pages)
    app.before_request(check_request)
    app.after_request(add_headers)
    app.context_processor(page_values)
    app.register_error_handler(psycopg.Error, database_error)
    app.register_error_handler(HTTPException, http_error)
    app.register_error_handler(Exception, unknown_error)
    return app


def link(endpoint, **values):
    """The address of a page, about the store of this page."""
    values.setdefault("store", g.get("store"))
    if values["store"] == current_app.extensions["browser"].store:
        del values["store"]
    return url_for(endpoint, **{name: value for name, value in values.items() if value is not None})


def page_values():
    browser = current_app.extensions["browser"]
    return {
        "store": g.get("store") or browser.store,
        "default_store": browser.store,
        "allow_changes": browser.allow_changes,
        "limit": show.LARGE,
    }


# ---------------------------------------------------------------------------
# Who may ask
# ---------------------------------------------------------------------------


def cookie_name():
    # Cookies do not distinguish ports.
    return f"sierra_browser_{urlsplit(request.host_url).port or 80}"


def check_request():
    """Only this machine's own names, only with the key, and changes only from our own pages."""
    browser = current_app.extensions["browser"]
    if urlsplit(request.host_url).hostname not in OWN_NAMES:
        abort(400, "This address is not one of this program. Use http://127.0.0.1 and the port.")
    if request.endpoint == "static":
        return None
    given = request.args.get("key")
    if given is not None and request.method == "GET" and same(given, browser.key):
        return accept_key(browser)
    if not same(request.cookies.get(cookie_name(), ""), browser.key):
        abort(403, "Open the address that the program has printed: it has the key.")
    if request.method not in ("GET", "HEAD"):
        check_change(browser)
    store = request.values.get("store", browser.store)
    for text in [*request.args.values(), *request.form.values(), store]:
        if not show.can_be_sent(text):
            abort(400, "The address has a character that text in the database cannot have.")
    g.store = store
    return None


def accept_key(browser):
    """Keeps the key in a cookie, and takes it out of the address."""
    values = {name: value for name, value in request.args.items() if name != "key"}
    answer = redirect(url_for(request.endpoint or "events.newest", **(request.view_args or {}), **values))
    answer.set_cookie(cookie_name(), browser.key, httponly=True, samesite="Strict")
    return answer


def check_change(browser):
    if not browser.allow_changes:
        abort(403, "This browser only shows. To change something, start it with --allow-changes.")
    origin = request.headers.get("Origin")
    if origin is not None and origin != request.host_url.rstrip("/"):
        abort(403, "The request came from another site.")
    if not same(request.form.get("csrf", ""), browser.csrf):
        abort(403, "The page is too old. Load it again, and press the button again.")


def same(given, wanted):
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def add_headers(answer):
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["X-Frame-Options"] = "DENY"
    # Without referrers, Chromium would not say from where a form comes.
    answer.headers["Referrer-Policy"] = "same-origin"
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    answer.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    if request.endpoint != "static":
        answer.headers["Cache-Control"] = "no-store"
    return answer


# ---------------------------------------------------------------------------
# Errors
# ---------------------------------------------------------------------------


def error_page(status, title, message, **more):
    return render_template("error.html", status=status, title=title, message=message, **more), status


def database_error(error):
    """What PostgreSQL says, with the way out."""
    diagnostics = error.diag
    sqlstate = error.sqlstate
    message = diagnostics.message_primary or str(error).strip()
    more = {"detail": diagnostics.message_detail, "hint": diagnostics.message_hint, "sqlstate": sqlstate}
    if sqlstate is None and isinstance(error, psycopg.OperationalError) or (sqlstate or "").startswith(("08", "57P")):
        more["hint"] = more["hint"] or "Is the server running? This page can be loaded again at any time."
        return error_page(503, "The database does not answer", message, retry=True, **more)
    if sqlstate == "57014":
        seconds = current_app.extensions["browser"].database.timeout
        more["hint"] = f"A page may take {seconds:g} seconds; --timeout changes that."
        return error_page(504, "This would take too long", message, **more)
    if sqlstate == "42501":
        more["hint"] = more["hint"] or "The README of the browser has the GRANT statements that a role needs."
        return error_page(403, "The role of the browser may not do that", message, **more)
    if sqlstate == "SE005":
        return error_page(404, "There is no such store", message, **more)
    if sqlstate == "0A000":
        return error_page(501, "This server cannot do that", message, **more)
    if sqlstate == "42883":
        more["hint"] = "Is the extension in this database, and in the search_path of the role?"
    status = 400 if (sqlstate or "").startswith("22") else 409 if (sqlstate or "").startswith(("SE", "55", "42704")) else 500
    return error_page(status, "The database refused", message, **more)


def http_error(error):
    if error.code and error.code < 400:
        return error
    return error_page(error.code or 500, error.name, error.description)


def unknown_error(error):
    logging.exception("error of the browser")
    return error_page(500, "The browser failed", f"{type(error).__name__}: the log of the program says more.")
