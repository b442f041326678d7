"""What makes the recorders of an application, from its environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventsourcing.postgres import PostgresFactory
from eventsourcing.utils import Environment, EnvType, resolve_topic

from .datastore import SierraDatastore
from .recorders import SierraApplicationRecorder, SierraProcessRecorder

if TYPE_CHECKING:
    from eventsourcing.persistence import ProcessRecorder

SIERRA_ES_STORE = "SIERRA_ES_STORE"
SIERRA_ES_PARTITIONS = "SIERRA_ES_PARTITIONS"


def store_of(env: Environment, kind: str) -> str:
    """The store that a variable names, or one for each application."""
    name = env.name.lower()
    return env.get(SIERRA_ES_STORE) or (f"{name}_{kind}" if name else kind)


def partitions_of(env: Environment) -> int | None:
    text = env.get(SIERRA_ES_PARTITIONS)
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        msg = f"{SIERRA_ES_PARTITIONS} must be a number of partitions: {text!r}"
        raise OSError(msg) from None


class SierraFactory(PostgresFactory):
    """Makes recorders that keep events in a store, and all else in tables.

    Snapshots and tracking records follow from events, so the library's own recorders keep
    them.
    """

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.datastore: SierraDatastore = SierraDatastore.like(
            self.datastore, store_of(self.env, "events"), partitions_of(self.env)
        )

    def application_recorder(self) -> SierraApplicationRecorder:  # type: ignore[override, unused-ignore]
        recorder_class = SierraApplicationRecorder
        topic = self.env.get(self.APPLICATION_RECORDER_TOPIC)
        if topic:
            recorder_class = resolve_topic(topic)
            assert issubclass(recorder_class, SierraApplicationRecorder)
        recorder = recorder_class(self.datastore)
        if self.env_create_table():
            recorder.create_table()
        return recorder

    def process_recorder(self) -> ProcessRecorder:
        recorder_class = SierraProcessRecorder
        topic = self.env.get(self.PROCESS_RECORDER_TOPIC)
        if topic:
            recorder_class = resolve_topic(topic)
            assert issubclass(recorder_class, SierraProcessRecorder)
        recorder = recorder_class(
            self.datastore,
            tracking_table_name=(self.env.name.lower() or "notification") + "_tracking",
        )
        if self.env_create_table():
            recorder.create_table()
        return recorder
