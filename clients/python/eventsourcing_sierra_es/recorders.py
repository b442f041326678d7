"""Recorders of events: an aggregate is a stream, an application is a store.

The notification id of an event is its global position + 1.  All events of a call have
positions that follow each other, whatever the number of partitions.
"""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    InternalError,
    Notification,
    ProcessRecorder,
    StoredEvent,
)
from eventsourcing.postgres import PostgresRecorder, PostgresTrackingRecorder
from eventsourcing.utils import retry
from psycopg.types.numeric import Int8

from .batch import Batch
from .compat import (
    OWN_COLUMNS,
    InsertedIds,
    InterfaceError,
    OperationalError,
    inserted_ids,
    notification,
    stored_event,
)
from .datastore import SierraDatastore, fast_cursor, refusals_as_integrity_errors, sqlstate_of
from .metadata import DEFAULT_FIRST_VERSION, first_version_of
from .subscription import SierraSubscription

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from eventsourcing.persistence import Tracking
    from psycopg import Cursor
    from psycopg.rows import TupleRow

TOO_MANY_WAIT = "53400"
CANNOT_WAIT_IN_SNAPSHOT = "25001"
WRONG_VERSION = "SE001"

POLL_SECONDS = 0.1
IN_FLIGHT_SECONDS = 0.01

# How many first versions a recorder remembers; then it forgets all of them.
REMEMBERED = 100_000

# Both kinds of payload are read as the bytes that were stored.
STATE = "coalesce(payload_bytes, convert_to(payload::text, 'UTF8'))"

APPEND_ONE = "SELECT (eappend(%s, %s, %s, %s, %s, %s, NULL, NULL, %s)).global_position"
APPEND_MANY = "SELECT min(global_position) FROM emappend(NULL, %s)"
POSITION_OF_ID = "SELECT global_position FROM eget(%s)"
FIRST_EVENTS = (
    "SELECT s.stream_id, e.metadata"
    " FROM unnest(%s::text[]) AS s (stream_id), escan(s.stream_id, 0, 0) AS e"
)
SELECT_EVENTS = (
    f"SELECT stream_version, event_name, {STATE}, {OWN_COLUMNS}"
    " FROM escan(%s, %s, %s, %s, %s)"
)
SELECT_NOTIFICATIONS = (
    f"SELECT global_position, stream_id, stream_version, event_name, {STATE}, {OWN_COLUMNS}"
    " FROM eall(%s, %s, NULL, %s)"
)
MAX_POSITION = "SELECT global_position FROM eall(max_count => 1, backward => true)"
HEAD = "SELECT ehead()"
WAIT_FOR_POSITION = "SELECT ewait(NULL, %s, %s)"


class SierraRecorder(PostgresRecorder):
    """What all recorders of events have in common."""

    datastore: SierraDatastore

    def __init__(self, datastore: SierraDatastore) -> None:
        super().__init__(datastore)
        self.check_identifier_length(datastore.store)

    def create_table(self) -> None:
        self.datastore.create_store()
        super().create_table()

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def wait_for_head(self, head: int, seconds: float) -> int:
        """The position up to which the store can be read, once it is not `head` any more.

        After this time it is returned anyway.
        """
        there = False
        try:
            with self.datastore.store_cursor() as curs:
                curs.execute(WAIT_FOR_POSITION, [Int8(head + 1), f"{seconds}s"], prepare=True)
                there = bool(one_value(curs))
        except (OperationalError, InternalError) as e:
            if sqlstate_of(e) not in (TOO_MANY_WAIT, CANNOT_WAIT_IN_SNAPSHOT):
                raise
            sleep(POLL_SECONDS)
        # Asked whatever the answer was: an append that was rolled back leaves its position
        # unused, and then nothing ends the wait for it.
        reached = self.read_head()
        if there and reached == head:
            # The event is there, and cannot be read before an append in flight has ended.
            sleep(IN_FLIGHT_SECONDS)
        return reached

    def read_head(self) -> int:
        """The position up to which the store can be read, -1 if it is empty."""
        with self.datastore.store_cursor() as curs:
            curs.execute(HEAD, prepare=True)
            return one_value(curs)


class SierraApplicationRecorder(SierraRecorder, ApplicationRecorder):
    """Records the events of an application in a store."""

    def __init__(self, datastore: SierraDatastore) -> None:
        super().__init__(datastore)
        self._first_versions: dict[str, int] = {}

    # Appending

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> InsertedIds:
        batch = Batch(stored_events)
        position = self._insert_batch(batch, **kwargs)
        if position is None:
            return None
        return inserted_ids(range(position + 1, position + 1 + len(stored_events)))

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def _insert_batch(self, batch: Batch, **kwargs: Any) -> int | None:
        """Appends all events or none; returns the position of the first one.

        If the connection was lost in an earlier attempt, that one may have been committed.
        """
        batch.attempts += 1
        try:
            return self._append_batch(batch, **kwargs)
        except IntegrityError:
            if batch.attempts > 1:
                position = self._position_of(batch)
                if position is not None:
                    return position
            raise

    def _append_batch(self, batch: Batch, **kwargs: Any) -> int | None:
        """One attempt, with what is known about the first versions of its streams."""
        first_versions = self._assume_first_versions(batch)
        while True:
            try:
                position = self._append_in_transaction(batch, first_versions, **kwargs)
            except IntegrityError as e:
                if sqlstate_of(e) != WRONG_VERSION:
                    raise
                found = batch.first_versions | self._find_first_versions(batch.first_versions)
                if found == first_versions:
                    raise
                first_versions = found
            else:
                self._remember(first_versions)
                return position

    def _append_in_transaction(
        self, batch: Batch, first_versions: Mapping[str, int], **_: Any
    ) -> int | None:
        if not batch.events:
            return None
        with self.datastore.store_cursor() as curs:
            return append(curs, batch, first_versions)

    def _position_of(self, batch: Batch) -> int | None:
        """The position of the first event, if the call with these ids was committed."""
        if not batch.events:
            return None
        with self.datastore.store_cursor() as curs:
            curs.execute(POSITION_OF_ID, [batch.event_ids[batch.own_id]])
            row = curs.fetchone()
            return None if row is None else row[0] - batch.own_id

    # The version of the first event of a stream is 0, 1, or what the application likes.

    def _assume_first_versions(self, batch: Batch) -> dict[str, int]:
        """First versions as they are, or as they would be if the call began the streams.

        If such a guess is wrong, the append is refused, because the stream is not empty.
        """
        assumed = {}
        to_find = []
        for stream, version in batch.first_versions.items():
            assumed[stream] = self._first_versions.get(stream, version)
            if version > DEFAULT_FIRST_VERSION and stream not in self._first_versions:
                to_find.append(stream)
        if to_find:
            assumed |= self._find_first_versions(to_find)
        return assumed

    def _find_first_versions(self, streams: Iterable[str]) -> dict[str, int]:
        with self.datastore.store_cursor() as curs:
            curs.execute(FIRST_EVENTS, [list(streams)], prepare=True)
            return {stream: first_version_of(metadata) for stream, metadata in curs.fetchall()}

    def _remember(self, first_versions: Mapping[str, int]) -> None:
        if len(self._first_versions) > REMEMBERED:
            self._first_versions = {}
        self._first_versions.update(first_versions)

    # Reading

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        stream = str(originator_id)
        lower, upper = 0, None
        if gt is not None or lte is not None:
            if stream not in self._first_versions:
                self._remember(self._find_first_versions([stream]))
            first_version = self._first_versions.get(stream)
            if first_version is None:
                return []
            lower = 0 if gt is None else max(gt + 1 - first_version, 0)
            upper = None if lte is None else lte - first_version
            if upper is not None and upper < lower:
                return []
        with self.datastore.store_cursor() as curs:
            curs.execute(
                SELECT_EVENTS,
                [stream, Int8(lower), int8_or_none(upper), int8_or_none(limit), desc],
                prepare=True,
            )
            rows = curs.fetchall()
        if not rows:
            return []
        # All events of a stream say the same.
        first_version = first_version_of(rows[0][3])
        self._remember({stream: first_version})
        id_type = self.datastore.originator_id_type
        return [
            stored_event(stream, id_type, version + first_version, *more)
            for version, *more in rows
        ]

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        after = -1 if start is None else max(start - 1 - inclusive_of_start, -1)
        with self.datastore.store_cursor() as curs:
            curs.execute(
                SELECT_NOTIFICATIONS,
                [Int8(after), Int8(limit), list(topics) or None],
                prepare=True,
            )
            rows = curs.fetchall()
        id_type = self.datastore.originator_id_type
        return [
            notification(
                position + 1,
                stream,
                id_type,
                version + (DEFAULT_FIRST_VERSION if more[2] is None else first_version_of(more[2])),
                *more,
            )
            for position, stream, version, *more in rows
            if stop is None or position < stop
        ]

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def max_notification_id(self) -> int | None:
        with self.datastore.store_cursor() as curs:
            curs.execute(MAX_POSITION, prepare=True)
            row = curs.fetchone()
            return None if row is None else row[0] + 1

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> SierraSubscription:
        return SierraSubscription(recorder=self, gt=gt, topics=topics)


class SierraProcessRecorder(PostgresTrackingRecorder, SierraApplicationRecorder, ProcessRecorder):
    """Records events, and which event of another application led to them, in one transaction."""

    def __init__(
        self,
        datastore: SierraDatastore,
        *,
        tracking_table_name: str = "notification_tracking",
    ) -> None:
        super().__init__(datastore, tracking_table_name=tracking_table_name)

    def _append_in_transaction(
        self,
        batch: Batch,
        first_versions: Mapping[str, int],
        *,
        tracking: Tracking | None = None,
        **kwargs: Any,
    ) -> int | None:
        if tracking is None:
            return super()._append_in_transaction(batch, first_versions, **kwargs)
        with self.datastore.store_transaction() as conn:
            self._insert_tracking(conn.cursor(), tracking)
            if not batch.events:
                return None
            with fast_cursor(conn) as curs:
                return append(curs, batch, first_versions)


def append(curs: Cursor[TupleRow], batch: Batch, first_versions: Mapping[str, int]) -> int:
    """Appends the events; returns the position of the first one."""
    with refusals_as_integrity_errors():
        if len(batch.events) == 1:
            curs.execute(APPEND_ONE, batch.arguments(first_versions), prepare=True)
        else:
            curs.execute(APPEND_MANY, [batch.json(first_versions)], prepare=True)
        return one_value(curs)


def one_value(curs: Cursor[TupleRow]) -> int:
    row = curs.fetchone()
    assert row is not None
    value: int = row[0]
    return value


def int8_or_none(value: int | None) -> Int8 | None:
    return None if value is None else Int8(value)
