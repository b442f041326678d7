"""The events of one call, as the store takes them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Never
from uuid import UUID, uuid4

from eventsourcing.persistence import IntegrityError

from .compat import ProgrammingError, id_of, metadata_of
from .metadata import DEFAULT_FIRST_VERSION, FIRST_VERSION, OWN_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventsourcing.persistence import StoredEvent


class Batch:
    """The events of one call, with ids by which the call is recognised if it is repeated."""

    def __init__(self, events: Sequence[StoredEvent]) -> None:
        self.events = events
        self.attempts = 0
        self.first_versions = self._first_versions()
        self.event_ids, self.own_id = self._event_ids()

    def _first_versions(self) -> dict[str, int]:
        """The first version of each stream in the call; versions must follow each other."""
        first: dict[str, int] = {}
        next_versions: dict[str, int] = {}
        for event in self.events:
            stream = str(event.originator_id)
            version = event.originator_version
            first.setdefault(stream, version)
            wanted = next_versions.get(stream, version)
            if version != wanted:
                msg = f"Version {version} of {stream} must be {wanted}"
                raise IntegrityError(msg)
            next_versions[stream] = version + 1
        return first

    def _event_ids(self) -> tuple[list[UUID | None], int]:
        """Ids of events, and the index of one that no other call can have.

        An id that the call chooses costs an entry of an index, so one is enough.
        """
        ids = [id_of(event) for event in self.events]
        own = ids.index(None) if None in ids else 0
        if ids and ids[own] is None:
            ids[own] = uuid4()
        return ids, own

    def arguments(self, first_versions: Mapping[str, int]) -> list[Any]:
        """Arguments of eappend() for the only event."""
        event = self.events[0]
        text = json_text(event.state)
        return [
            str(event.originator_id),
            event.topic,
            text,
            self._metadata(event, first_versions),
            self._expected_version(event, first_versions),
            self.event_ids[0],
            event.state if text is None else None,
        ]

    def json(self, first_versions: Mapping[str, int]) -> str:
        """The argument of emappend() for all events."""
        members = []
        for event, event_id in zip(self.events, self.event_ids, strict=True):
            expected = self._expected_version(event, first_versions)
            metadata = self._metadata(event, first_versions)
            members.append(
                event_json(
                    str(event.originator_id),
                    event.topic,
                    event.state,
                    metadata,
                    f', "expected_version": "{expected}"'
                    + ("" if event_id is None else f', "event_id": "{event_id}"'),
                )
            )
        return f"[{', '.join(members)}]"

    @staticmethod
    def _expected_version(event: StoredEvent, first_versions: Mapping[str, int]) -> str:
        """What the version of the stream must be before this event."""
        version = event.originator_version - first_versions[str(event.originator_id)]
        if version < 0:
            msg = f"{event.originator_id} begins with a later version than {event.originator_version}"
            raise IntegrityError(msg)
        return str(version - 1) if version else "empty"

    @staticmethod
    def _metadata(event: StoredEvent, first_versions: Mapping[str, int]) -> str | None:
        metadata: dict[str, Any] = checked_metadata(metadata_of(event))
        first_version = first_versions[str(event.originator_id)]
        if first_version != DEFAULT_FIRST_VERSION:
            metadata[FIRST_VERSION] = first_version
        return json.dumps(metadata) if metadata else None


def event_json(stream: str, name: str, state: bytes, metadata: str | None, more: str) -> str:
    """An event as a member of the argument of emappend()."""
    text = json_text(state)
    payload = (
        f'"payload": {text}'
        if text is not None
        else f'"payload_bytes": "{b64encode(state).decode()}"'
    )
    return (
        f'{{"stream_id": {json.dumps(stream)}, "event_name": {json.dumps(name)}, {payload}'
        + ("" if metadata is None else f', "metadata": {metadata}')
        + more
        + "}"
    )


def checked_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    """A copy of the application's metadata."""
    for key in metadata:
        if key.startswith(OWN_PREFIX):
            msg = f"Metadata must not have a key that begins with {OWN_PREFIX!r}: {key!r}"
            raise ProgrammingError(msg)
    return dict(metadata)


def json_text(state: bytes) -> str | None:
    """The state as text, if it is a JSON object or array: the store keeps it as it is.

    Then events can be read and queried in SQL.  White space around it would get lost in an
    array of events, so a state that has some is kept as bytes.
    """
    if state[:1] not in (b"{", b"[") or state[-1:] not in (b"}", b"]"):
        return None
    try:
        text = state.decode()
        json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        return None
    return text


def refuse_constant(constant: str) -> Never:
    """NaN and Infinity are not JSON."""
    raise ValueError(constant)
