"""Opening, working and closing cases."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from application.unit_of_work import UnitOfWork
from domain import rules
from domain.case import Case, IntakeForm
from domain.errors import RuleRefused
from domain.events.base import Event
from domain.events.case import CaseClosed, IntakeAmended, IntakeSubmitted, NoteAdded, TaskAdded
from domain.sealed import KeyScope, SealedPart

Ids = dict[str, UUID]


def open_case(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Open a case for a registered person."""
    subject = work.person(body["subject_id"])
    subject.check_engaged()
    case_id = work.new_id()
    work.made(Case.open(work.context, work.new_id(), case_id, subject.id, body["kind"], subject.engagement))
    return {"id": str(case_id)}


def submit_intake(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Take in a filled-in form; the notice shown with it is recorded when it is new to the person."""
    case = work.case(ids["case_id"])
    _serve_notice(work, case, body)
    intake_id, event_id = work.new_id(), work.new_id()
    parts = _seal_answers(work, case, IntakeSubmitted, event_id, body["answers"])
    case.submit_intake(work.context, event_id, intake_id, _form(body), parts)
    return {"id": str(intake_id)}


def amend_intake(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Correct an intake (GDPR Art. 16); the body is the whole form anew."""
    case = work.case(ids["case_id"])
    _serve_notice(work, case, body)
    event_id = work.new_id()
    parts = _seal_answers(work, case, IntakeAmended, event_id, body["answers"])
    case.amend_intake(work.context, event_id, ids["intake_id"], _form(body), parts)
    return {"id": str(ids["intake_id"])}


def add_note(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Write a note on a case."""
    case = work.case(ids["case_id"])
    note_id, event_id = work.new_id(), work.new_id()
    note = _seal(work, case, NoteAdded, event_id, "note", "medical", {"text": body["text"]})
    case.add_note(work.context, event_id, note_id, note)
    return {"id": str(note_id)}


def assign_case(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Give a case to a case manager."""
    work.case(ids["case_id"]).assign(work.context, work.new_id(), body["assignee"])
    return {"id": str(ids["case_id"]), "assignee": body["assignee"]}


def add_task(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Note something to be done."""
    case = work.case(ids["case_id"])
    task_id, event_id = work.new_id(), work.new_id()
    title = _seal(work, case, TaskAdded, event_id, "title", "medical", {"title": body["title"]})
    case.add_task(work.context, event_id, task_id, title, body["due"], body["assignee"])
    return {"id": str(task_id)}


def complete_task(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Tick a task off."""
    work.case(ids["case_id"]).complete_task(work.context, work.new_id(), ids["task_id"])
    return {"id": str(ids["task_id"])}


def close_case(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """End the work on a case."""
    case = work.case(ids["case_id"])
    event_id = work.new_id()
    remark = None
    if body["remark"] is not None:
        remark = _seal(work, case, CaseClosed, event_id, "remark", "correspondence", {"text": body["remark"]})
    case.close(work.context, event_id, body["reason"], remark)
    return {"id": str(ids["case_id"]), "state": "closed"}


def _form(body: dict[str, Any]) -> IntakeForm:
    return IntakeForm(body["form"], body["form_version"], body["notice"]["policy_version"])


def _serve_notice(work: UnitOfWork, case: Case, body: dict[str, Any]) -> None:
    version = body["notice"]["policy_version"]
    work.policies.check_in_force(version, work.now)
    work.person(case.subject_id).serve_notice(work.context, work.new_id(), version)


def _seal_answers(
    work: UnitOfWork, case: Case, event: type[Event], event_id: UUID, answers: dict[str, Any]
) -> dict[str, SealedPart | None]:
    if case.state != "open":
        raise RuleRefused(rules.CASE_CLOSED, case_id=case.id)
    medical = {name: answers[name] for name in ("reason", "medical_history", "medications", "allergies")}
    insurance = answers["insurance"]
    return {
        "medical": _seal(work, case, event, event_id, "medical", "medical", medical),
        "insurance": None
        if insurance is None
        else _seal(work, case, event, event_id, "insurance", "insurance", insurance),
    }


def _seal(
    work: UnitOfWork,
    case: Case,
    event: type[Event],
    event_id: UUID,
    field: str,
    category: str,
    value: dict[str, Any],
) -> SealedPart:
    scope = KeyScope(case.subject_id, category, case.id, case.engagement)
    return work.seal(case.id, event, event_id, field, scope, value)
