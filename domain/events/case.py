"""Events in a case's stream (policy clauses 1.2 and 2.1)."""

from __future__ import annotations

from domain.events.base import CreatedEvent, Event, published
from domain.registry import (
    ActorId,
    CaseKind,
    ClosureReason,
    Form,
    Id,
    Number,
    OptionalActorId,
    OptionalTime,
    PolicyVersion,
    SealedCorrespondence,
    SealedInsurance,
    SealedMedical,
)


@published
class CaseOpened(CreatedEvent):
    """A case was opened for a person."""

    AGGREGATE = "Case"

    kind: CaseKind
    engagement: Number


@published
class IntakeSubmitted(Event):
    """An intake form came in; its answers are sealed by category."""

    intake_id: Id
    form: Form
    form_version: Number
    notice_version: PolicyVersion
    medical: SealedMedical
    insurance: SealedInsurance


@published
class IntakeAmended(Event):
    """An intake's answers were corrected; the former answers stay in the log."""

    intake_id: Id
    form: Form
    form_version: Number
    notice_version: PolicyVersion
    medical: SealedMedical
    insurance: SealedInsurance


@published
class NoteAdded(Event):
    """A case manager wrote a note."""

    note_id: Id
    note: SealedMedical


@published
class CaseAssigned(Event):
    """The case was given to a case manager."""

    assignee: ActorId


@published
class TaskAdded(Event):
    """Something is to be done on the case."""

    task_id: Id
    due: OptionalTime
    assignee: OptionalActorId
    title: SealedMedical


@published
class TaskCompleted(Event):
    """A task was done."""

    task_id: Id


@published
class CaseClosed(Event):
    """Work on the case ended."""

    reason: ClosureReason
    remark: SealedCorrespondence
