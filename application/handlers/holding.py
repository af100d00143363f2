"""Legal holds: what keeps a person's data from erasure, and until when (GDPR Art. 17(3))."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from application.erasure_plan import resume_erasures
from application.unit_of_work import UnitOfWork
from domain import rules
from domain.case import Case
from domain.errors import RuleRefused
from domain.holds import Hold, HoldTerms
from domain.instants import instant
from domain.subject import Subject

Ids = dict[str, UUID]


def place_hold(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Place a hold; what is fenced for erasure already is told, also of a person who is erased whole."""
    subject = work.load(Subject, ids["subject_id"])
    scope = body["scope"] or {}
    case_ids = tuple(scope.get("case_ids") or ())
    for case_id in case_ids:
        if work.load(Case, case_id).subject_id != subject.id:
            raise RuleRefused(rules.CASE_OF_ANOTHER, case_id=case_id)
    terms = HoldTerms(
        body["ground"],
        body["instrument_id"],
        tuple(scope.get("categories") or ()),
        case_ids,
        body["review_date"],
    )
    hold_id = work.new_id()
    scopes = {row.scope_id: row.scope for row in work.vault.scopes_of(subject.id)}
    subject.place_hold(work.context, work.new_id, hold_id, terms, scopes)
    hold = subject.hold(hold_id)
    return {"id": str(hold_id), "state": hold.state, "ineffective": _ineffective(hold)}


def release_hold(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Lift a hold; erasures that it held up go on by themselves."""
    subject = work.load(Subject, ids["subject_id"])
    subject.release_hold(work.context, work.new_id(), ids["hold_id"])
    resume_erasures(work, subject)
    return {"id": str(ids["hold_id"]), "state": "released"}


def list_holds(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Show all holds on a person's data, the first one first."""
    subject = work.load(Subject, ids["subject_id"])
    return {"items": [_shown(hold) for hold in subject.holds.values()], "next": None}


def _shown(hold: Hold) -> dict[str, Any]:
    return {
        "id": str(hold.id),
        "state": hold.state,
        "ground": hold.terms.ground,
        "instrument_id": str(hold.terms.instrument_id),
        "scope": {
            "categories": list(hold.terms.categories) or None,
            "case_ids": [str(case_id) for case_id in hold.terms.case_ids] or None,
        },
        "review_date": instant(hold.terms.review_date),
        "placed_at": instant(hold.placed_at),
        "released_at": instant(hold.released_at) if hold.released_at else None,
        "ineffective": _ineffective(hold),
    }


def _ineffective(hold: Hold) -> list[dict[str, Any]]:
    return [
        {
            "reason": part.reason,
            "certificate_id": str(part.certificate_id),
            "scope_ids": [str(scope_id) for scope_id in part.scope_ids],
        }
        for part in hold.ineffective
    ]
