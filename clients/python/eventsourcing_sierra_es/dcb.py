"""Dynamic consistency boundaries: events with tags, and appends with a condition.

The position of an event is its global position + 1.  An event is in the stream that its
first tag names, so that events about different things do not wait for each other.
"""

from __future__ import annotations

import json
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import UUID

from eventsourcing.utils import retry
from psycopg.types.numeric import Int8

from .batch import checked_metadata, event_json, json_text
from .compat import (
    DcbAppendCondition,
    DcbEvent,
    DcbListenNotifySubscription,
    DcbQuery,
    DcbReadResponse,
    DcbRecorder,
    DcbSequencedEvent,
    InterfaceError,
    OperationalError,
    PostgresTTDcbFactory,
    SimpleDcbReadResponse,
    dcb_event,
    id_of,
    metadata_of,
)
from .datastore import SierraDatastore, refusals_as_integrity_errors
from .factory import partitions_of, store_of
from .metadata import EVENT_UUID, own_metadata_of
from .recorders import IN_FLIGHT_SECONDS, STATE, SierraRecorder, int8_or_none, one_value
from .subscription import WatchesHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventsourcing.utils import Environment, EnvType

APPEND_ONE = (
    "SELECT (eappend(%s, %s, %s, %s, payload_bytes => %s, tags => %s, condition => %s)).global_position"
)
APPEND_MANY = "SELECT max(global_position) FROM emappend(NULL, %s)"

COLUMNS = f"e.global_position, e.event_name, {STATE}, e.tags, e.metadata"
READ_SOME = f"SELECT NULL, {COLUMNS} FROM equery(%s, %s, %s) AS e"
# All events up to a position, and this position.
READ_ALL = (
    "WITH h AS MATERIALIZED (SELECT ehead() AS head)"
    f" SELECT h.head, {COLUMNS} FROM h LEFT JOIN equery(%s, %s, NULL, false, h.head) AS e ON true"
)

# How long a read waits for events of others below one that this recorder has appended.
READ_OWN_SECONDS = 2.0


class SierraDCBRecorder(DcbRecorder, SierraRecorder):
    """Records events with tags in a store."""

    def __init__(self, datastore: SierraDatastore) -> None:
        super().__init__(datastore)
        self._appended = -1

    def append(
        self, events: Sequence[DcbEvent], condition: DcbAppendCondition | None = None
    ) -> int:
        assert len(events) > 0
        with self.datastore.store_cursor() as curs, refusals_as_integrity_errors():
            if len(events) == 1:
                curs.execute(APPEND_ONE, append_arguments(events[0], condition), prepare=True)
            else:
                curs.execute(APPEND_MANY, [append_json(events, condition)], prepare=True)
            position = one_value(curs)
        self._appended = max(self._appended, position)
        return position + 1

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def read(
        self,
        query: DcbQuery | None = None,
        *,
        after: int | None = None,
        limit: int | None = None,
    ) -> DcbReadResponse:
        """All events up to a position that match, which the response calls its head.

        The head is below the first position at which another append may still commit.  So
        that this recorder finds what it has appended itself, it waits for such an append.
        """
        arguments = [None if query is None else query_json(query), Int8((after or 0) - 1)]
        if limit is not None:
            events, _ = self._read(READ_SOME, [*arguments, Int8(limit)])
            head = events[-1].position if events else None
            return SimpleDcbReadResponse(iter(events), head)
        appended = self._appended
        events, head = self._read(READ_ALL, arguments)
        if appended >= (head or 0):
            self._wait_for(appended)
            events, head = self._read(READ_ALL, arguments)
        return SimpleDcbReadResponse(iter(events), head)

    def _read(
        self, statement: str, arguments: list[Any]
    ) -> tuple[list[DcbSequencedEvent], int | None]:
        with self.datastore.store_cursor() as curs:
            curs.execute(statement, arguments, prepare=True)
            rows = curs.fetchall()
        events = [
            DcbSequencedEvent(
                event=dcb_event(
                    name,
                    data,
                    tags or [],
                    uuid_of(metadata),
                    own_metadata_of(metadata),
                ),
                position=position + 1,
            )
            for _, position, name, data, tags, metadata in rows
            if position is not None
        ]
        head = rows[0][0] if rows else None
        return events, None if head is None or head < 0 else head + 1

    def _wait_for(self, position: int) -> None:
        deadline = monotonic() + READ_OWN_SECONDS
        while self.read_head() < position and monotonic() < deadline:
            sleep(IN_FLIGHT_SECONDS)

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def head(self) -> int | None:
        """The position up to which the store can be read, None if it is empty."""
        return self.read_head() + 1 or None

    def subscribe(
        self, query: DcbQuery | None = None, *, after: int | None = None
    ) -> SierraDCBSubscription:
        return SierraDCBSubscription(recorder=self, query=query, after=after)


class SierraDCBSubscription(WatchesHead, DcbListenNotifySubscription[SierraDCBRecorder]):
    pass


class SierraDCBFactory(PostgresTTDcbFactory):
    """Makes recorders of events with tags, from the variables of an application."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.datastore: SierraDatastore = SierraDatastore.like(
            self.datastore, store_of(self.env, "dcb_events"), partitions_of(self.env)
        )

    def dcb_recorder(self) -> DcbRecorder:
        recorder = SierraDCBRecorder(self.datastore)
        if self.env_create_table():
            recorder.create_table()
        return recorder


def tags_of(event: DcbEvent) -> list[str]:
    """Tags in their order; the store refuses a tag that an event has twice."""
    return list(dict.fromkeys(event.tags))


def stream_of(event: DcbEvent) -> str:
    return event.tags[0] if event.tags else event.type


def append_arguments(event: DcbEvent, condition: DcbAppendCondition | None) -> list[Any]:
    """Arguments of eappend()."""
    text = json_text(event.data)
    return [
        stream_of(event),
        event.type,
        text,
        metadata_json(event),
        event.data if text is None else None,
        tags_of(event) or None,
        None if condition is None else condition_json(condition),
    ]


def append_json(events: Sequence[DcbEvent], condition: DcbAppendCondition | None) -> str:
    """The argument of emappend()."""
    members = [
        event_json(
            stream_of(event),
            event.type,
            event.data,
            metadata_json(event),
            f', "tags": {json.dumps(tags_of(event))}',
        )
        for event in events
    ]
    more = "" if condition is None else f', "condition": {condition_json(condition)}'
    return f'{{"events": [{", ".join(members)}]{more}}}'


def condition_json(condition: DcbAppendCondition) -> str:
    query = query_json(condition.fail_if_events_match)
    return f'{{"query": {query}, "after": {(condition.after or 0) - 1}}}'


def query_json(query: DcbQuery) -> str:
    return json.dumps([{"types": item.types, "tags": item.tags} for item in query.items])


def metadata_json(event: DcbEvent) -> str | None:
    """Metadata, and the id of the event.

    In this part of the library an id is not unique: an event may be appended again.
    """
    metadata = checked_metadata(metadata_of(event))
    event_id = id_of(event)
    if event_id is not None:
        metadata[EVENT_UUID] = str(event_id)
    return json.dumps(metadata) if metadata else None


def uuid_of(metadata: dict[str, Any] | None) -> UUID | None:
    text = None if metadata is None else metadata.get(EVENT_UUID)
    return None if text is None else UUID(text)
