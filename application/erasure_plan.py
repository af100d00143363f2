"""What an erasure would do at this moment: destroy, withhold with a ground, or find gone (policy clauses 7.1, 7.2)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from application.unit_of_work import UnitOfWork
from domain.instants import instant
from domain.policy import PolicyVersion
from domain.record import encode
from domain.rights import ErasurePlan, months_after
from domain.sealed import KeyScope
from domain.subject import Subject
from vault.vault import Vault


def plan_erasure(vault: Vault, policy: PolicyVersion, subject: Subject, request_id: UUID) -> ErasurePlan:
    """Sort the key scopes that a request asks for, by the person's holds and the policy. Raises ``KeysUnavailable``."""
    request = subject.request(request_id)
    erasable: list[UUID] = []
    withheld: dict[UUID, str] = {}
    gone: list[UUID] = []
    for row in vault.scopes_of(subject.id):
        if not request.concerns(row.scope_id, row.scope):
            continue
        if row.state == "destroyed" or row.scope_id in subject.fenced_scopes:
            gone.append(row.scope_id)
        elif hold := subject.held(row.scope):
            withheld[row.scope_id] = hold.terms.ground
        elif row.scope.category in policy.withholding:
            withheld[row.scope_id] = policy.withholding[row.scope.category].ground
        else:
            erasable.append(row.scope_id)
    return ErasurePlan(tuple(erasable), withheld, tuple(gone))


def preview_id_of(request_id: UUID, plan: ErasurePlan) -> UUID:
    """Return the identifier of exactly this plan: another plan has another one. Made of random ids only."""
    listed = {
        "request": str(request_id),
        "erasable": [str(s) for s in plan.erasable],
        "withheld": {str(s): ground for s, ground in plan.withheld.items()},
        "gone": [str(s) for s in plan.gone],
    }
    return UUID(bytes=hashlib.sha256(encode(listed)).digest()[:16], version=5)


def preview_json(
    vault: Vault, policy: PolicyVersion, subject: Subject, plan: ErasurePlan, now: datetime
) -> dict[str, Any]:
    """Return the plan as an officer reads it: each scope with its category and case."""
    scopes = {row.scope_id: row.scope for row in vault.scopes_of(subject.id)}
    return {
        "erasable": [_entry(s, scopes[s]) for s in plan.erasable],
        "withheld": [
            {
                **_entry(s, scopes[s]),
                "ground": ground,
                "review_date": review_date(policy, subject, scopes[s], now),
            }
            for s, ground in plan.withheld.items()
        ],
        "gone": [_entry(s, scopes[s]) for s in plan.gone],
    }


def resume_erasures(work: UnitOfWork, subject: Subject) -> None:
    """Let the person's erasures go on of which more can be erased now. Raises ``KeysUnavailable``."""
    for request in list(subject.requests.values()):
        if request.right == "erasure" and request.state in ("withheld", "certified") and not subject.fenced:
            plan = plan_erasure(work.vault, work.policies.in_force(work.now), subject, request.id)
            subject.resume_erasure(work.context, work.new_id(), request.id, plan)


def review_date(policy: PolicyVersion, subject: Subject, key: KeyScope, at: datetime) -> str | None:
    """Return when to look again at what is withheld at a moment, by a hold or by the policy in force then."""
    if hold := subject.held(key, at):
        return instant(hold.terms.review_date)
    if key.category in policy.withholding:
        return instant(months_after(at, policy.withholding[key.category].review_after_months))
    return None


def _entry(scope_id: UUID, key: KeyScope) -> dict[str, Any]:
    return {
        "scope_id": str(scope_id),
        "category": key.category,
        "case_id": str(key.case_id) if key.case_id else None,
        "engagement": key.engagement,
    }
