"""A case: the work done for one person (policy clauses 1.2 and 2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from domain import rules
from domain.aggregate import DecidingAggregate
from domain.errors import RuleRefused
from domain.events.base import Context
from domain.events.case import (
    CaseAssigned,
    CaseClosed,
    CaseOpened,
    IntakeAmended,
    IntakeSubmitted,
    NoteAdded,
    TaskAdded,
    TaskCompleted,
)
from domain.sealed import SealedField, SealedPart


@dataclass(frozen=True)
class Intake:
    """The answers in force of one intake, by category, sealed."""

    id: UUID
    event_id: UUID
    parts: dict[str, SealedField]


@dataclass(frozen=True)
class IntakeForm:
    """Which form was filled in, and the notice shown with it."""

    form: str
    form_version: int
    notice_version: str


class Case(DecidingAggregate):
    """A case's stream."""

    TOPIC = "Case"

    def __init__(self) -> None:
        """Start open and empty."""
        self.subject_id = UUID(int=0)
        self.engagement = 0
        self.state = "open"
        self.intakes: dict[UUID, Intake] = {}
        self.open_tasks: set[UUID] = set()
        self.done_tasks: set[UUID] = set()

    def concerned(self) -> tuple[UUID, ...]:
        """Return the person whose case this is."""
        return (self.subject_id,)

    @classmethod
    def open(
        cls, context: Context, event_id: UUID, case_id: UUID, subject_id: UUID, kind: str, engagement: int
    ) -> Self:
        """Open a case for a person."""
        return cls._create(
            CaseOpened,
            id=case_id,
            timestamp=context.at,
            context=context,
            event_id=event_id,
            subject_ids=(subject_id,),
            case_id=case_id,
            kind=kind,
            engagement=engagement,
        )

    def submit_intake(
        self,
        context: Context,
        event_id: UUID,
        intake_id: UUID,
        form: IntakeForm,
        parts: dict[str, SealedPart | None],
    ) -> None:
        """Take in a filled-in form; ``parts`` by category (``medical``, ``insurance``)."""
        self._check_open()
        self._record_intake(IntakeSubmitted, context, event_id, intake_id, form, parts)

    def amend_intake(
        self,
        context: Context,
        event_id: UUID,
        intake_id: UUID,
        form: IntakeForm,
        parts: dict[str, SealedPart | None],
    ) -> None:
        """Correct an intake's answers (GDPR Art. 16); the former ones stay in the log."""
        self._check_open()
        if intake_id not in self.intakes:
            raise RuleRefused(rules.INTAKE_UNKNOWN, intake_id=intake_id)
        self._record_intake(IntakeAmended, context, event_id, intake_id, form, parts)

    def add_note(self, context: Context, event_id: UUID, note_id: UUID, note: SealedPart) -> None:
        """Write a note."""
        self._check_open()
        self.record(NoteAdded, context, event_id, case_id=self.id, note_id=note_id, note=note)

    def assign(self, context: Context, event_id: UUID, assignee: str) -> None:
        """Give the case to a case manager."""
        self._check_open()
        self.record(CaseAssigned, context, event_id, case_id=self.id, assignee=assignee)

    def add_task(
        self,
        context: Context,
        event_id: UUID,
        task_id: UUID,
        title: SealedPart,
        due: datetime | None,
        assignee: str | None,
    ) -> None:
        """Note something to be done."""
        self._check_open()
        self.record(
            TaskAdded, context, event_id, case_id=self.id, task_id=task_id, title=title, due=due, assignee=assignee
        )

    def complete_task(self, context: Context, event_id: UUID, task_id: UUID) -> None:
        """Tick a task off."""
        if task_id in self.done_tasks:
            raise RuleRefused(rules.TASK_DONE, task_id=task_id)
        if task_id not in self.open_tasks:
            raise RuleRefused(rules.TASK_UNKNOWN, task_id=task_id)
        self.record(TaskCompleted, context, event_id, case_id=self.id, task_id=task_id)

    def close(self, context: Context, event_id: UUID, reason: str, remark: SealedPart | None) -> None:
        """End the work on the case."""
        self._check_open()
        self.record(CaseClosed, context, event_id, case_id=self.id, reason=reason, remark=remark)

    def _check_open(self) -> None:
        if self.state != "open":
            raise RuleRefused(rules.CASE_CLOSED, case_id=self.id)

    def _record_intake(
        self,
        event_class: type[IntakeSubmitted] | type[IntakeAmended],
        context: Context,
        event_id: UUID,
        intake_id: UUID,
        form: IntakeForm,
        parts: dict[str, SealedPart | None],
    ) -> None:
        self.record(
            event_class,
            context,
            event_id,
            case_id=self.id,
            intake_id=intake_id,
            form=form.form,
            form_version=form.form_version,
            notice_version=form.notice_version,
            medical=parts["medical"],
            insurance=parts["insurance"],
        )

    def on_CaseOpened(self, event: CaseOpened) -> None:  # noqa: D102
        (self.subject_id,) = event.subject_ids
        self.engagement = event.engagement

    def on_IntakeSubmitted(self, event: IntakeSubmitted) -> None:  # noqa: D102
        self._take_intake(event)

    def on_IntakeAmended(self, event: IntakeAmended) -> None:  # noqa: D102
        self._take_intake(event)

    def _take_intake(self, event: IntakeSubmitted | IntakeAmended) -> None:
        sealed = {name: event.sealed_field(name) for name in ("medical", "insurance")}
        self.intakes[event.intake_id] = Intake(
            event.intake_id, event.event_id, {name: field for name, field in sealed.items() if field is not None}
        )

    def on_TaskAdded(self, event: TaskAdded) -> None:  # noqa: D102
        self.open_tasks.add(event.task_id)

    def on_TaskCompleted(self, event: TaskCompleted) -> None:  # noqa: D102
        self.open_tasks.discard(event.task_id)
        self.done_tasks.add(event.task_id)

    def on_CaseClosed(self, event: CaseClosed) -> None:  # noqa: D102
        self.state = "closed"
