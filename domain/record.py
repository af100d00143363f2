"""The one form of an event: the JSON bytes in the store are the record's value on Kafka.

::

    {"event_id": uuid, "type": "ConsentGranted", "schema_version": 1,
     "stream_id": uuid, "stream_version": 7,
     "occurred_at": time, "recorded_at": time,
     "actor": {"issuer": id, "id": id, "role": enum}, "producer": enum, "purpose": enum, "legal_basis": enum,
     "policy_version": id, "subject_ids": [uuid], "case_id": uuid or null,
     "correlation_id": uuid, "causation_id": uuid or null,
     "data": {clear fields, each of a declared kind},
     "sealed": {field: {"subject_id", "category", "scope_id", "value"}}}

The position is not inside: it is given when the event is appended and travels beside the record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from domain.instants import parse_instant
from domain.sealed import Binding, SealedField, SealedPart

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


@dataclass(frozen=True)
class Record:
    """A published event at its position, as projections and replay read it."""

    position: int
    event_id: UUID
    type: str
    schema_version: int
    stream_id: UUID
    stream_version: int
    occurred_at: datetime
    recorded_at: datetime
    actor: Actor
    producer: str
    purpose: str
    legal_basis: str
    policy_version: str
    subject_ids: tuple[UUID, ...]
    case_id: UUID | None
    correlation_id: UUID
    causation_id: UUID | None
    data: Mapping[str, Any]
    sealed: Mapping[str, SealedPart]

    @classmethod
    def parse(cls, position: int, value: bytes) -> Self:
        """Read a published record. Raises ``ValueError`` (also ``KeyError``, ``TypeError``) when it is none."""
        r = json.loads(value)
        return cls(
            position=position,
            event_id=UUID(r["event_id"]),
            type=r["type"],
            schema_version=r["schema_version"],
            stream_id=UUID(r["stream_id"]),
            stream_version=r["stream_version"],
            occurred_at=parse_instant(r["occurred_at"]),
            recorded_at=parse_instant(r["recorded_at"]),
            actor=Actor(**r["actor"]),
            producer=r["producer"],
            purpose=r["purpose"],
            legal_basis=r["legal_basis"],
            policy_version=r["policy_version"],
            subject_ids=tuple(UUID(s) for s in r["subject_ids"]),
            case_id=UUID(r["case_id"]) if r["case_id"] else None,
            correlation_id=UUID(r["correlation_id"]),
            causation_id=UUID(r["causation_id"]) if r["causation_id"] else None,
            data=r["data"],
            sealed={field: SealedPart.from_json(part) for field, part in r["sealed"].items()},
        )

    def sealed_field(self, field: str) -> SealedField | None:
        """Return one sealed part with its binding, or ``None`` when the event carries none under that name."""
        part = self.sealed.get(field)
        if part is None:
            return None
        binding = Binding(part.subject_id, self.stream_id, self.event_id, self.type, self.schema_version, field)
        return SealedField(part, binding)
