"""Sealed values as the domain sees them: opaque, with what binds them to their place.

The domain never opens one. ``vault`` seals and opens; events, snapshots and views carry only these types.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from domain.instants import instant


@dataclass(frozen=True)
class KeyScope:
    """What one data key covers: a person's data of one category, in one case or none, in one engagement."""

    subject_id: UUID
    category: str
    case_id: UUID | None
    engagement: int

    def within(self, categories: Collection[str], case_ids: Collection[UUID]) -> bool:
        """Return whether this is one of these categories and of these cases; none named means all."""
        return (not categories or self.category in categories) and (not case_ids or self.case_id in case_ids)


@dataclass(frozen=True)
class Binding:
    """Where a sealed value stands. It is authenticated with the value, so it does not open anywhere else."""

    subject_id: UUID
    stream_id: UUID
    event_id: UUID
    event_type: str
    schema_version: int
    field: str


@dataclass(frozen=True)
class SealedPart:
    """The sealed fields of one person and category in one event; ``value`` is the vault's text form ``ck1.…``."""

    subject_id: UUID
    category: str
    scope_id: UUID
    value: str

    def to_json(self) -> dict[str, str]:
        """Return the form that is published in an event's ``sealed`` object."""
        return {
            "subject_id": str(self.subject_id),
            "category": self.category,
            "scope_id": str(self.scope_id),
            "value": self.value,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the published form. Raises ``KeyError`` or ``ValueError`` on any other."""
        return cls(UUID(data["subject_id"]), data["category"], UUID(data["scope_id"]), data["value"])


@dataclass(frozen=True)
class SealedField:
    """A sealed part together with its binding: all that is needed to open it away from its event."""

    part: SealedPart
    binding: Binding

    def to_json(self) -> dict[str, Any]:
        """Return the form that views keep (JSON object of strings and one number)."""
        b = self.binding
        return {
            **self.part.to_json(),
            "stream_id": str(b.stream_id),
            "event_id": str(b.event_id),
            "event_type": b.event_type,
            "schema_version": b.schema_version,
            "field": b.field,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the form that :meth:`to_json` wrote."""
        part = SealedPart.from_json(data)
        binding = Binding(
            part.subject_id,
            UUID(data["stream_id"]),
            UUID(data["event_id"]),
            data["event_type"],
            data["schema_version"],
            data["field"],
        )
        return cls(part, binding)


def tombstone(at: str, certificate_id: str) -> dict[str, Any]:
    """Return what is shown wherever a value stood; ``at`` says since when it is erased (RFC 3339)."""
    return {"erased": {"at": at, "certificate_id": certificate_id}}


@dataclass(frozen=True)
class Erased:
    """What opening answers when the key was destroyed: not a value, not an outage."""

    scope_id: UUID
    at: datetime
    certificate_id: UUID

    def to_json(self) -> dict[str, Any]:
        """Return the tombstone shown wherever the value stood."""
        return tombstone(instant(self.at), str(self.certificate_id))
