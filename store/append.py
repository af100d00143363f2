"""What is appended: commands with their events, and everything the decision behind them relied on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from domain.errors import EventTooLarge
from domain.record import MAX_RECORD_BYTES, Record
from store.new_ids import new_id

_MAX_VERSION = 2**31 - 1
_MAX_NAME = 300


@dataclass(frozen=True)
class NewEvent:
    """An event to append: ``record`` is the published JSON, ``version`` counts the stream's events from 1.

    Raises ``EventTooLarge`` over ``MAX_RECORD_BYTES``, ``ValueError`` when version or type is out of range.
    """

    event_id: UUID
    stream_id: UUID
    version: int
    type: str
    record: bytes

    def __post_init__(self) -> None:
        if len(self.record) > MAX_RECORD_BYTES:
            raise EventTooLarge(len(self.record), MAX_RECORD_BYTES)
        if not 0 <= self.version <= _MAX_VERSION:
            raise ValueError("version out of range")
        _require_name("type", self.type)

    @classmethod
    def parse(cls, position: int, record: bytes) -> Self:
        """Read the identity of a published record. Raises ``ValueError``, ``KeyError``, ``TypeError`` if it is none."""
        r = Record.parse(position, record)
        return cls(r.event_id, r.stream_id, r.stream_version, r.type, record)


@dataclass(frozen=True)
class Fence:
    """A person (``subject``) or key scope (``scope``) for which nothing is appended from here on."""

    fenced_id: UUID
    kind: str
    certificate_id: UUID
    at: datetime

    def __post_init__(self) -> None:
        if self.kind not in ("subject", "scope"):
            raise ValueError("kind is subject or scope")
        if self.at.tzinfo is None:
            raise ValueError("at needs a time zone")


@dataclass(frozen=True)
class Idempotency:
    """What to remember of a command under its key: ``body_mac`` is an HMAC of the body under key ``mac_key_id``.

    ``answer`` holds identifiers only; the position is added by the store.
    """

    key: str
    operation: str
    body_mac: bytes
    mac_key_id: str
    status: int
    answer: Mapping[str, Any]

    def __post_init__(self) -> None:
        _require_name("key", self.key)
        _require_name("operation", self.operation)
        _require_name("mac_key_id", self.mac_key_id)
        if not 0 <= self.status <= 999:
            raise ValueError("status out of range")

    def to_json(self) -> dict[str, Any]:
        """Return the form in which the command's last record carries it, so that a refilled store remembers it."""
        return {
            "key": self.key,
            "operation": self.operation,
            "body_mac": self.body_mac.hex(),
            "mac_key_id": self.mac_key_id,
            "status": self.status,
            "answer": dict(self.answer),
        }

    @classmethod
    def carried_by(cls, record: bytes) -> Self | None:
        """Return what a published record carries of its command. Raises ``ValueError``, ``KeyError``, ``TypeError``."""
        carried = json.loads(record).get("idempotency")
        if carried is None:
            return None
        return cls(**{**carried, "body_mac": bytes.fromhex(carried["body_mac"])})


@dataclass(frozen=True)
class IdempotentAnswer:
    """What is remembered under an idempotency key."""

    operation: str
    body_mac: bytes
    mac_key_id: str
    status: int
    answer: Mapping[str, Any]
    position: int


@dataclass(frozen=True)
class AppendCommand:
    """Events that go in together or not at all, and what must still hold when they do.

    ``reads``: every stream the decision read and the version it had (0: not there), also those not written.
    ``uses``: ids of people and key scopes that must not be fenced. The expected version of a written stream follows
    from its first event. With idempotency and no events, only the outcome is recorded.

    Raises ``ValueError`` when an event id repeats, a stream's versions do not follow each other, ``reads``
    disagrees with the events, or fences come without the event they follow from.
    """

    events: tuple[NewEvent, ...]
    reads: Mapping[UUID, int] = field(default_factory=dict)
    uses: frozenset[UUID] = frozenset()
    fences: tuple[Fence, ...] = ()
    idempotency: Idempotency | None = None
    attempt_id: UUID = field(default_factory=new_id, compare=False)

    def __post_init__(self) -> None:
        if len({event.event_id for event in self.events}) < len(self.events):
            raise ValueError("an event id repeats")
        if self.fences and not self.events:
            raise ValueError("fences need the event they follow from")
        if not all(0 <= version <= _MAX_VERSION for version in self.reads.values()):
            raise ValueError("reads: version out of range")
        written = self._written()
        if any(self.reads.get(stream, version) != version for stream, version in written.items()):
            raise ValueError("reads disagrees with the first event of a stream")

    def expected(self) -> dict[UUID, int]:
        """Return every stream that must not have moved with the version it must have."""
        return {**self.reads, **self._written()}

    def size(self) -> int:
        """Return the bytes of all records."""
        return sum(len(event.record) for event in self.events)

    def _written(self) -> dict[UUID, int]:
        first: dict[UUID, int] = {}
        last: dict[UUID, int] = {}
        for event in self.events:
            expected = last.get(event.stream_id, event.version - 1)
            if event.version != expected + 1:
                raise ValueError("versions of a stream do not follow each other")
            first.setdefault(event.stream_id, expected)
            last[event.stream_id] = event.version
        return first


@dataclass(frozen=True)
class Appended:
    """Positions of a command's events, in the order given; durable when this is returned."""

    positions: tuple[int, ...]


AppendResult = Appended | Exception
"""What became of a command: its positions, or the error to raise."""


@dataclass(frozen=True)
class StoredRecord:
    """An event in the log."""

    position: int
    event_id: UUID
    stream_id: UUID
    version: int
    type: str
    record: bytes


class UnpublishedRecord(NamedTuple):
    """The part of an event in the log that is published: ``key`` is the stream's id as text."""

    position: int
    key: bytes
    type: str
    record: bytes


def _require_name(name: str, text: str) -> None:
    if not (0 < len(text) <= _MAX_NAME and text.isprintable()):
        raise ValueError(f"{name} must be 1 to {_MAX_NAME} printable characters")
