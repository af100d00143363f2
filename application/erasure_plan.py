"""What an erasure would do at this moment: destroy, withhold with a ground, or find gone (policy clauses 7.1, 7.2)."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.instants import instant
from domain.policy import PolicyVersion
from domain.record import encode
from domain.rights import ErasurePlan, ErasureScope, months_after
from domain.sealed import KeyScope
from vault.vault import Vault


def plan_erasure(vault: Vault, policy: PolicyVersion, subject_id: UUID, scope: ErasureScope) -> ErasurePlan:
    """Sort a person's key scopes. Raises ``KeysUnavailable``."""
    erasable: list[UUID] = []
    withheld: dict[UUID, str] = {}
    gone: list[UUID] = []
    for row in sorted(vault.scopes_of(subject_id), key=lambda row: row.scope_id):
        if not _asked_for(row.scope, scope):
            continue
        if row.state == "destroyed":
            gone.append(row.scope_id)
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
    vault: Vault, policy: PolicyVersion, subject_id: UUID, plan: ErasurePlan, now: datetime
) -> dict[str, Any]:
    """Return the plan as an officer reads it: each scope with its category and case."""
    scopes = {row.scope_id: row.scope for row in vault.scopes_of(subject_id)}
    return {
        "erasable": [_entry(s, scopes[s]) for s in plan.erasable],
        "withheld": [
            {
                **_entry(s, scopes[s]),
                "ground": ground,
                "review_date": instant(months_after(now, policy.withholding[scopes[s].category].review_after_months)),
            }
            for s, ground in plan.withheld.items()
        ],
        "gone": [_entry(s, scopes[s]) for s in plan.gone],
    }


def _asked_for(key: KeyScope, asked: ErasureScope) -> bool:
    if asked.categories and key.category not in asked.categories:
        return False
    return not asked.case_ids or key.case_id in asked.case_ids


def _entry(scope_id: UUID, key: KeyScope) -> dict[str, Any]:
    return {
        "scope_id": str(scope_id),
        "category": key.category,
        "case_id": str(key.case_id) if key.case_id else None,
        "engagement": key.engagement,
    }
