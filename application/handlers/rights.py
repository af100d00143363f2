"""People's requests: received, verified, previewed, approved (policy clauses 7.2 and 8)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from application.erasure_plan import plan_erasure, preview_id_of, preview_json
from application.handlers.sealing import seal_text
from application.unit_of_work import UnitOfWork
from domain.errors import FieldProblem, InvalidInput, NotFound
from domain.events.rights import RightsRequestReceived, RightsRequestRefused
from domain.instants import instant
from domain.rights import ErasureScope
from domain.subject import Subject

Ids = dict[str, UUID]


def receive_request(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Take a person's request in; it is always accepted and recorded (policy clause 7.2)."""
    subject = work.person(ids["subject_id"])
    request_id, event_id = work.new_id(), work.new_id()
    scope = body["scope"] or {}
    for number, case_id in enumerate(scope.get("case_ids") or ()):
        _check_case(work, subject, case_id, f"scope.case_ids.{number}")
    statement = seal_text(work, subject, RightsRequestReceived, event_id, "statement", body["statement"])
    subject.receive_request(
        work.context,
        event_id,
        request_id,
        body["right"],
        body["channel"],
        ErasureScope(tuple(scope.get("categories") or ()), tuple(scope.get("case_ids") or ())),
        statement,
    )
    return {"id": str(request_id), "due": instant(subject.request(request_id).due)}


def _check_case(work: UnitOfWork, subject: Subject, case_id: UUID, field: str) -> None:
    """Raise ``InvalidInput`` for a case that is not this person's; whether there is such a case is not said."""
    with suppress(NotFound):
        if work.case(case_id).subject_id == subject.id:
            return
    raise InvalidInput([FieldProblem(field, "is no case of this person")])


def verify_requester(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Record the check of the requester's identity."""
    subject = work.person(ids["subject_id"])
    subject.verify_requester(work.context, work.new_id(), ids["request_id"], body["method"], body["outcome"])
    return {"id": str(ids["request_id"]), "state": subject.request(ids["request_id"]).state}


def preview_erasure(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Show what an erasure would do now, and record that it was shown."""
    subject = work.person(ids["subject_id"])
    request = subject.request(ids["request_id"])
    plan = plan_erasure(work.vault, work.policies.in_force(work.now), subject, request.id)
    preview_id = preview_id_of(request.id, plan)
    subject.preview_erasure(work.context, work.new_id(), request.id, preview_id, plan)
    return {
        "preview_id": str(preview_id),
        **preview_json(work.vault, work.policies.in_force(work.now), subject, plan, work.now),
    }


def approve_erasure(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Approve a preview that still holds; what follows runs by itself."""
    subject = work.person(ids["subject_id"])
    request = subject.request(ids["request_id"])
    plan = plan_erasure(work.vault, work.policies.in_force(work.now), subject, request.id)
    subject.approve_erasure(
        work.context, work.new_id(), request.id, body["preview_id"], preview_id_of(request.id, plan), plan
    )
    return {"id": str(request.id), "state": "approved"}


def refuse_request(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Refuse a request on a ground the person can contest."""
    subject, event_id = work.person(ids["subject_id"]), work.new_id()
    explanation = seal_text(work, subject, RightsRequestRefused, event_id, "explanation", body["explanation"])
    subject.refuse_request(work.context, event_id, ids["request_id"], body["ground"], explanation)
    return {"id": str(ids["request_id"]), "state": "refused"}


def extend_request(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Extend a request's deadline (GDPR Art. 12(3))."""
    subject = work.person(ids["subject_id"])
    subject.extend_request(work.context, work.new_id(), ids["request_id"])
    return {"id": str(ids["request_id"]), "due": instant(subject.request(ids["request_id"]).due)}
