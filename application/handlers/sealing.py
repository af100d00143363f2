"""Sealing free text that belongs to a person as a whole: reasons, statements, explanations."""

from __future__ import annotations

from uuid import UUID

from application.unit_of_work import UnitOfWork
from domain.events.base import Event
from domain.sealed import KeyScope, SealedPart
from domain.subject import Subject


def seal_text(
    work: UnitOfWork, subject: Subject, event: type[Event], event_id: UUID, field: str, text: str | None
) -> SealedPart | None:
    """Return text sealed as the person's correspondence, or ``None`` when there is none."""
    if text is None:
        return None
    scope = KeyScope(subject.id, "correspondence", None, subject.engagement)
    return work.seal(subject.id, event, event_id, field, scope, {"text": text})
