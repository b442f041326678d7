"""All that differs between eventsourcing 9.5 and 10.

In 10 an event has an id and metadata, `insert_events()` returns one id, ids of originators
are always text, and some names are spelled in another way.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from eventsourcing.persistence import Notification, StoredEvent

from .metadata import own_metadata_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .metadata import Metadata

# mypy is called with --always-true or --always-false for this name.
EVENTSOURCING_10 = int(version("eventsourcing").partition(".")[0]) >= 10

if EVENTSOURCING_10:
    from eventsourcing.dcb.api import (
        DcbAppendCondition,
        DcbEvent,
        DcbQuery,
        DcbReadResponse,
        DcbRecorder,
        DcbSequencedEvent,
    )
    from eventsourcing.dcb.persistence import DcbListenNotifySubscription
    from eventsourcing.dcb.popo import SimpleDcbReadResponse
    from eventsourcing.dcb.postgres_tt import PostgresTTDcbFactory
    from eventsourcing.domain import NIL_UUID
    from eventsourcing.errors import InterfaceError, OperationalError, ProgrammingError
    from eventsourcing.persistence import (
        ListenNotifyApplicationRecorderSubscription as ListenNotifySubscription,
    )

    # Columns of an event that the library has fields for, after all others.
    OWN_COLUMNS = "metadata, event_id"

    InsertedIds: TypeAlias = int | None

    def inserted_ids(ids: range) -> InsertedIds:
        return ids[-1] if ids else None

    def id_of(event: StoredEvent | DcbEvent) -> UUID | None:
        return None if event.uuid == NIL_UUID else event.uuid

    def metadata_of(event: StoredEvent | DcbEvent) -> Mapping[str, str]:
        return event.metadata

    def event_fields(
        stream_id: str,
        id_type: str,
        version: int,
        topic: str,
        state: bytes,
        metadata: Metadata,
        event_id: UUID,
    ) -> dict[str, Any]:
        return {
            "originator_id": stream_id,
            "originator_version": version,
            "topic": topic,
            "state": state,
            "uuid": event_id,
            "metadata": own_metadata_of(metadata),
        }

    def dcb_event(
        type_: str,
        data: bytes,
        tags: list[str],
        event_id: UUID | None,
        metadata: dict[str, str],
    ) -> DcbEvent:
        return DcbEvent(
            type=type_, data=data, tags=tags, uuid=event_id or NIL_UUID, metadata=metadata
        )

else:
    from eventsourcing.dcb.api import (
        DCBAppendCondition as DcbAppendCondition,
        DCBEvent as DcbEvent,
        DCBQuery as DcbQuery,
        DCBReadResponse as DcbReadResponse,
        DCBRecorder as DcbRecorder,
        DCBSequencedEvent as DcbSequencedEvent,
    )
    from eventsourcing.dcb.persistence import (
        DCBListenNotifySubscription as DcbListenNotifySubscription,
    )
    from eventsourcing.dcb.popo import SimpleDCBReadResponse as SimpleDcbReadResponse
    from eventsourcing.dcb.postgres_tt import PostgresTTDCBFactory as PostgresTTDcbFactory
    from eventsourcing.persistence import (
        InterfaceError,
        ListenNotifySubscription,
        OperationalError,
        ProgrammingError,
    )

    OWN_COLUMNS = "metadata"

    InsertedIds: TypeAlias = "Sequence[int] | None"

    def inserted_ids(ids: range) -> InsertedIds:
        return list(ids) or None

    def id_of(event: StoredEvent | DcbEvent) -> UUID | None:
        return None

    def metadata_of(event: StoredEvent | DcbEvent) -> Mapping[str, str]:
        return {}

    def event_fields(
        stream_id: str,
        id_type: str,
        version: int,
        topic: str,
        state: bytes,
        metadata: Metadata,
    ) -> dict[str, Any]:
        return {
            "originator_id": UUID(stream_id) if id_type == "uuid" else stream_id,
            "originator_version": version,
            "topic": topic,
            "state": state,
        }

    def dcb_event(
        type_: str,
        data: bytes,
        tags: list[str],
        event_id: UUID | None,
        metadata: dict[str, str],
    ) -> DcbEvent:
        return DcbEvent(type=type_, data=data, tags=tags)


def stored_event(*columns: Any) -> StoredEvent:
    return StoredEvent(**event_fields(*columns))


def notification(notification_id: int, *columns: Any) -> Notification:
    return Notification(id=notification_id, **event_fields(*columns))


__all__ = [
    "EVENTSOURCING_10",
    "OWN_COLUMNS",
    "DcbAppendCondition",
    "DcbEvent",
    "DcbListenNotifySubscription",
    "DcbQuery",
    "DcbReadResponse",
    "DcbRecorder",
    "DcbSequencedEvent",
    "InsertedIds",
    "InterfaceError",
    "ListenNotifySubscription",
    "OperationalError",
    "PostgresTTDcbFactory",
    "ProgrammingError",
    "SimpleDcbReadResponse",
    "dcb_event",
    "id_of",
    "inserted_ids",
    "metadata_of",
    "notification",
    "stored_event",
]
