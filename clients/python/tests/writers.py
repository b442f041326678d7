"""Appends from several threads until a file exists, and says what was acknowledged.

usage: python -m tests.writers DIRECTORY

Each acknowledged call is a line of DIRECTORY/acknowledged.  The server may be killed and
started again meanwhile.  Once DIRECTORY/stop exists, the program compares the store with what
was acknowledged, and exits with an error unless all is there, once.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from threading import Lock, Thread
from time import sleep
from typing import Any
from uuid import uuid4

from eventsourcing.persistence import IntegrityError, StoredEvent, Tracking
from eventsourcing.utils import Environment

from eventsourcing_sierra_es import SierraFactory
from eventsourcing_sierra_es.compat import EVENTSOURCING_10, InterfaceError, OperationalError

LOST = (InterfaceError, OperationalError)


class Writers:
    def __init__(self, directory: Path) -> None:
        self.stop = directory / "stop"
        self.file = (directory / "acknowledged").open("w")
        self.lock = Lock()
        self.acknowledged: list[str] = []
        self.followed: list[int] = []
        self.factory = SierraFactory(Environment(env=dict(os.environ)))
        self.recorder = self.factory.process_recorder()
        self.tracked = 0

    def run(self) -> None:
        threads = [Thread(target=self.write, args=(n,)) for n in range(4)]
        threads.append(Thread(target=self.follow))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def write(self, number: int) -> None:
        """Calls with 1 to 3 events of one aggregate; the first writer also tracks."""
        originator: Any = str(uuid4()) if EVENTSOURCING_10 else uuid4()
        version = number % 2
        calls = 0
        while not self.stop.exists():
            call = f"{number}-{calls}"
            calls += 1
            state = json.dumps({"call": call}).encode()
            count = calls % 3 + 1
            batch = [
                StoredEvent(
                    originator_id=originator,
                    originator_version=version + n,
                    topic="Done",
                    state=state,
                )
                for n in range(count)
            ]
            tracking = {"tracking": Tracking("upstream", calls)} if number == 0 else {}
            try:
                self.recorder.insert_events(batch, **tracking)
            except (*LOST, IntegrityError) as e:
                # All attempts failed, so it is not known whether it was committed.
                print(f"call {call}: {e}", file=sys.stderr)
                version = self.next_version(originator, number % 2)
            else:
                version += count
                self.acknowledge(call, calls if number == 0 else 0)

    def next_version(self, originator: Any, first: int) -> int:
        while True:
            try:
                last = self.recorder.select_events(originator, desc=True, limit=1)
            except LOST:
                sleep(0.2)
            else:
                return last[0].originator_version + 1 if last else first

    def acknowledge(self, call: str, tracked: int) -> None:
        with self.lock:
            self.acknowledged.append(call)
            self.tracked = max(self.tracked, tracked)
            print(call, file=self.file, flush=True)

    def follow(self) -> None:
        """A subscription that begins again where it was, if the server is away too long."""
        while not self.stop.exists():
            last = self.followed[-1] if self.followed else None
            try:
                with self.recorder.subscribe(gt=last) as subscription:
                    for notification in subscription:
                        self.followed.append(notification.id)
                        if self.stop.exists():
                            break
            except LOST as e:
                print(f"subscription: {e}", file=sys.stderr)

    def problems(self) -> list[str]:
        found: Counter[str] = Counter()
        versions: dict[Any, list[int]] = {}
        ids: list[int] = []
        start = None
        while page := self.recorder.select_notifications(start, 500, inclusive_of_start=False):
            for notification in page:
                found[json.loads(notification.state)["call"]] += 1
                versions.setdefault(notification.originator_id, []).append(
                    notification.originator_version
                )
                ids.append(notification.id)
            start = page[-1].id
        problems = [f"call {call} is lost" for call in self.acknowledged if call not in found]
        for call, count in found.items():
            wanted = (int(call.partition("-")[2]) + 1) % 3 + 1
            if count != wanted:
                problems.append(f"call {call} has {count} events, not {wanted}")
        for originator, all_versions in versions.items():
            begin = all_versions[0]
            if all_versions != list(range(begin, begin + len(all_versions))):
                problems.append(f"versions of {originator}: {all_versions}")
        if self.followed != ids[: len(self.followed)]:
            problems.append("the subscription did not see what the store has")
        tracked = self.recorder.max_tracking_id("upstream") or 0
        if tracked < self.tracked:
            problems.append(f"tracking record {tracked}, acknowledged {self.tracked}")
        return problems


def main() -> None:
    writers = Writers(Path(sys.argv[1]))
    writers.run()
    problems = writers.problems()
    print("\n".join(problems))
    print(
        f"{len(writers.acknowledged)} calls acknowledged, {len(writers.followed)} events followed"
    )
    writers.factory.close()
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
