"""What the metadata of an event say: the application's own, and what this package adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

# As they are read.
Metadata: TypeAlias = "Mapping[str, Any] | None"

# A stream begins with this version, unless the metadata of its events say otherwise.
DEFAULT_FIRST_VERSION = 1

# Members that are not the application's.
OWN_PREFIX = "eventsourcing_"
FIRST_VERSION = OWN_PREFIX + "first_version"
EVENT_UUID = OWN_PREFIX + "uuid"


def own_metadata_of(metadata: Metadata) -> dict[str, str]:
    """What the application has put into metadata, and the setting sierra_es.metadata."""
    if metadata is None:
        return {}
    return {key: str(value) for key, value in metadata.items() if not key.startswith(OWN_PREFIX)}


def first_version_of(metadata: Metadata) -> int:
    """The version of the first event of a stream, of whose events one has these metadata."""
    if metadata is None:
        return DEFAULT_FIRST_VERSION
    version: int = metadata.get(FIRST_VERSION, DEFAULT_FIRST_VERSION)
    return version
