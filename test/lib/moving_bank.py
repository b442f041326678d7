"""Applications of Python's eventsourcing whose events are moved.

usage: moving_bank.py fill|show DBNAME HOST PORT PERSISTENCE_MODULE DCB_PERSISTENCE_MODULE

"show" prints all that the applications read, with whatever module keeps their events.
"""

import sys
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from eventsourcing.application import Application
from eventsourcing.dcb.api import DCBEvent, DCBQuery, DCBQueryItem
from eventsourcing.dcb.persistence import DCBInfrastructureFactory
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import IntegrityError, StoredEvent
from eventsourcing.utils import Environment


class Account(Aggregate):
    @event("Opened")
    def __init__(self, owner):
        self.owner = owner
        self.balance = Decimal(0)

    @event("Credited")
    def credit(self, amount):
        self.balance += amount

    @staticmethod
    def create_id(owner):
        return uuid5(NAMESPACE_URL, f"account {owner}")


class Ledger(Aggregate):
    """Its versions begin with 0."""

    INITIAL_VERSION = 0

    @event("Begun")
    def __init__(self, name):
        self.name = name
        self.lines = []

    @event("Written")
    def write(self, line):
        self.lines.append(line)

    @staticmethod
    def create_id(name):
        return uuid5(NAMESPACE_URL, f"ledger {name}")


class Bank(Application):
    """States are JSON."""

    is_snapshotting_enabled = True


class Vault(Application):
    """States are compressed."""

    env = {"COMPRESSOR_TOPIC": "zlib"}


def names(kind):
    return [f"{kind} {n} ünï ☃" for n in range(20)]


def fill(app):
    recorder = app.recorder
    for n, name in enumerate(names(app.name)):
        account = Account(name)
        ledger = Ledger(name)
        app.save(account, ledger)
        for amount in range(n):
            account.credit(Decimal(amount) / 100)
            ledger.write(f"line \\ \"{amount}\" \u0001 𝄞")
            app.save(account, ledger)
        if n % 5 == 0:
            # What is refused takes a number, which is missing from then on.
            try:
                recorder.insert_events([StoredEvent(account.id, 1, "again", b"{}")])
            except IntegrityError:
                pass
            else:
                raise AssertionError("a version came in twice")
    for version, state in enumerate([b"", b"{", b"[1, 2", b"{}", b"[ ]\n", b'{"a":\x00}', b"\xff{", b'{"a": NaN}'], 1):
        recorder.insert_events([StoredEvent(uuid5(NAMESPACE_URL, "odd"), version, "odd", state)])
    if app.name == "Bank":
        app.take_snapshot(Account.create_id(names(app.name)[7]))


def show(app):
    start = None
    while notifications := app.recorder.select_notifications(start, 100):
        for n in notifications:
            print(app.name, n.id, n.originator_id, n.originator_version, n.topic, n.state)
        start = notifications[-1].id + 1
    print(app.name, app.recorder.max_notification_id())
    for name in names(app.name):
        for aggregate_id in (Account.create_id(name), Ledger.create_id(name)):
            aggregate = app.repository.get(aggregate_id)
            print(app.name, {k: str(v) for k, v in aggregate.__dict__.items()})
    print(app.name, app.repository.get(Ledger.create_id(names(app.name)[7]), version=3).lines)
    print(app.name, app.recorder.select_events(uuid5(NAMESPACE_URL, "odd"), gt=2, lte=4))


def fill_tagged(recorder):
    for n in range(100):
        tags = [f"account:{n % 7}", f"ünï:{n % 3}", f"all:{n % 3}"][: 1 + n % 3]
        data = b'{"n": %d}' % n if n % 2 else b"\x00\x01" * n
        recorder.append([DCBEvent(f"Type{n % 4}", data, tags), DCBEvent("Pair", b"", ["pair", "twice"])])


def show_tagged(recorder):
    for query in (None, DCBQuery([DCBQueryItem(["Type1"], ["account:3"]), DCBQueryItem([], ["ünï:1"])])):
        response = recorder.read(query, after=5)
        for e in response:
            print("tagged", e.position, e.event)
        print("tagged", response.head)


def main():
    mode, dbname, host, port, module, dcb_module = sys.argv[1:]
    postgres = {
        "POSTGRES_DBNAME": dbname,
        "POSTGRES_HOST": host,
        "POSTGRES_PORT": port,
        "POSTGRES_USER": "postgres",
        "POSTGRES_PASSWORD": "none",
    }
    for kind in (Bank, Vault):
        with kind(env={**postgres, "PERSISTENCE_MODULE": module}) as app:
            fill(app) if mode == "fill" else show(app)
    env = Environment("Shop", {**postgres, "PERSISTENCE_MODULE": dcb_module})
    with DCBInfrastructureFactory.construct(env) as factory:
        recorder = factory.dcb_recorder()
        fill_tagged(recorder) if mode == "fill" else show_tagged(recorder)


if __name__ == "__main__":
    main()
