"""The one form of an event: the JSON bytes in the store are the record's value on Kafka.

::

    {"event_id": uuid, "type": "ConsentGranted", "schema_version": 1,
     "stream_id": uuid, "stream_version": 7,
     "occurred_at": time, "recorded_at": time,
     "actor": {"issuer": id, "id": id, "role": enum}, "producer": enum, "purpose": enum, "legal_basis": enum,
     "policy_version": id, "subject_ids": [uuid], "case_id": uuid or null,
     "correlation_id": uuid, "causation_id": uuid or null,
     "data": {clear fields, each of a declared kind},
     "sealed": {field: {"subject_id", "category", "scope_id", "value"}},
     "idempotency": {"key", "operation", "body_mac", "mac_key_id", "status", "answer"}}   (only the last of a command)

The position is not inside: it is given when the event is appended and travels beside the record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from domain.instants import parse_instant
from domain.sealed import SealedField, SealedPart

T = TypeVar("T")

MAX_RECORD_BYTES = 512 * 1024
"""Largest record the log takes; the topic's own limit is set well above."""


def encode(record: Mapping[str, Any]) -> bytes:
    """Return the canonical bytes of a record: sorted keys, no spaces, UTF-8. Raises ``ValueError`` on NaN."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


@dataclass(frozen=True)
class Actor:
    """Who acted: an authenticated principal (issuer and opaque id) in one role."""

    issuer: str
    id: str
    role: str

    @property
    def principal(self) -> tuple[str, str]:
        """Return what four-eyes rules compare."""
        return self.issuer, self.id


class _Made(Generic[T]):
    """An attribute made of what the envelope holds under the same name, whenever it is asked for."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: Record, owner: type) -> T:
        return self._make(record.envelope[self._name])


class Record:
    """A published event at its position, as projections and replay read it.

    ``envelope`` is the published JSON, checked, ids and times as text; ``stream``, ``occurred`` and ``recorded`` are
    the stream's id and the two times of it. The other attributes are made of it when asked for: most readers ask for
    few, and pass ids and times on as they stand.
    """

    __slots__ = ("envelope", "occurred", "position", "recorded", "stream")

    event_id = _Made(UUID)
    type = _Made(str)
    schema_version = _Made(int)
    stream_id = _Made(UUID)
    stream_version = _Made(int)
    occurred_at = _Made(parse_instant)
    recorded_at = _Made(parse_instant)
    actor = _Made(lambda actor: Actor(**actor))
    producer = _Made(str)
    purpose = _Made(str)
    legal_basis = _Made(str)
    policy_version = _Made(str)
    subject_ids = _Made(lambda ids: tuple(map(UUID, ids)))
    case_id = _Made(lambda text: UUID(text) if text else None)
    correlation_id = _Made(UUID)
    causation_id = _Made(lambda text: UUID(text) if text else None)
    data = _Made[Mapping[str, Any]](lambda data: data)
    sealed = _Made(lambda parts: {field: SealedPart.from_json(part) for field, part in parts.items()})

    def __init__(self, position: int, envelope: Mapping[str, Any]) -> None:
        self.position = position
        self.envelope = envelope
        self.stream: str = envelope["stream_id"]
        self.occurred: str = envelope["occurred_at"]
        self.recorded: str = envelope["recorded_at"]

    @classmethod
    def parse(cls, position: int, value: bytes) -> Self:
        """Read a published record. Raises ``ValueError`` (also ``KeyError``, ``TypeError``) when it is none."""
        envelope = json.loads(value.decode())
        _check(envelope)
        return cls(position, envelope)

    def sealed_field(self, field: str) -> SealedField | None:
        """Return one sealed part with its binding, or ``None`` when the event carries none under that name."""
        kept = self.sealed_json(field)
        return None if kept is None else SealedField.from_json(kept)

    def sealed_json(self, field: str) -> dict[str, Any] | None:
        """Return what ``to_json`` of :meth:`sealed_field` gives, without making it."""
        envelope = self.envelope
        part = envelope["sealed"].get(field)
        if part is None:
            return None
        return {
            "subject_id": part["subject_id"],
            "category": part["category"],
            "scope_id": part["scope_id"],
            "value": part["value"],
            "stream_id": envelope["stream_id"],
            "event_id": envelope["event_id"],
            "event_type": envelope["type"],
            "schema_version": envelope["schema_version"],
            "field": field,
        }


_ZERO = str.maketrans("123456789abcdef", "0" * 15)
_NIL = "00000000-0000-0000-0000-000000000000"
_IDS = itemgetter("event_id", "stream_id", "correlation_id")
_OPTIONAL_IDS = itemgetter("case_id", "causation_id")
_WORDS = itemgetter("type", "producer", "purpose", "legal_basis", "policy_version")
_NUMBERS = itemgetter("schema_version", "stream_version")
_PART_IDS = itemgetter("subject_id", "scope_id")
_PART_WORDS = itemgetter("category", "value")


def _check(envelope: Any) -> None:
    """Raise ``ValueError``, ``KeyError`` or ``TypeError`` unless everything has the form that attributes rely on."""
    ids = [*_IDS(envelope), *envelope["subject_ids"], *filter(None, _OPTIONAL_IDS(envelope))]
    words = [*_WORDS(envelope), *_actor(**envelope["actor"])]
    for part in envelope["sealed"].values():
        ids += _PART_IDS(part)
        words += _PART_WORDS(part)
    # With every hexadecimal digit made 0, all ids look the same: a quarter of the time of matching each of them.
    if " ".join(ids).translate(_ZERO) != " ".join([_NIL] * len(ids)):
        raise ValueError("not an id")
    "".join(words)
    parse_instant(envelope["occurred_at"])
    parse_instant(envelope["recorded_at"])
    if {*map(type, _NUMBERS(envelope))} != {int} or type(envelope["data"]) is not dict:
        raise TypeError("a number or the clear fields are of another type")


def _actor(issuer: str, id: str, role: str) -> tuple[str, str, str]:
    return issuer, id, role
