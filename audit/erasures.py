"""What was destroyed, as the log itself says it: every sealed part is shown as sealed or as its tombstone, never
opened."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain.instants import instant
from domain.record import Record
from domain.sealed import SealedPart, tombstone

Shown = dict[str, Any]


class Erasures:
    """The key scopes and people whose keys were destroyed, whenever that was: what is gone now is gone in the past,
    too."""

    def __init__(self) -> None:
        self._scopes: dict[str, Shown] = {}
        self._people: dict[UUID, Shown] = {}

    def see(self, record: Record) -> None:
        """Take the next record of the log in."""
        if record.type != "ErasureKeysDestroyed":
            return
        data = record.data
        shown = tombstone(data["destroyed_at"], data["certificate_id"])
        for scope_id in data["scope_ids"]:
            self._scopes.setdefault(scope_id, shown)
        if data["whole_person"]:
            for subject_id in record.subject_ids:
                self._people.setdefault(subject_id, shown)

    def show(self, part: SealedPart) -> Shown:
        """Return a sealed part as a replay shows it."""
        gone = self._scopes.get(str(part.scope_id)) or self._people.get(part.subject_id)
        return gone or {"sealed": {"category": part.category, "scope_id": str(part.scope_id)}}

    def show_field(self, record: Record, field: str) -> Shown | None:
        """Return one sealed field of a record as shown, or ``None`` when it has none."""
        part = record.sealed.get(field)
        return None if part is None else self.show(part)

    def entry(self, record: Record) -> Shown:
        """Return a record as an entry of a history."""
        return {
            "position": record.position,
            "event_id": str(record.event_id),
            "type": record.type,
            "stream_id": str(record.stream_id),
            "stream_version": record.stream_version,
            "occurred_at": instant(record.occurred_at),
            "recorded_at": instant(record.recorded_at),
            "actor": {"issuer": record.actor.issuer, "id": record.actor.id, "role": record.actor.role},
            "producer": record.producer,
            "purpose": record.purpose,
            "legal_basis": record.legal_basis,
            "policy_version": record.policy_version,
            "case_id": None if record.case_id is None else str(record.case_id),
            "data": dict(record.data),
            "sealed": {field: self.show(part) for field, part in sorted(record.sealed.items())},
        }
