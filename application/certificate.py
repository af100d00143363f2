"""The certificate of an erasure as JSON, from the person's stream."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from domain import rules
from domain.errors import RuleRefused
from domain.instants import instant
from domain.rights import RightsRequest
from vault.vault import Vault

NOT_PROVEN = (
    "the memory of a process that held a key, until the time given as unrecoverable_after",
    "a copy of the file keyring made while the key lived",
    "data already disclosed to recipients",
    "commands on the inbox topic and among the dead letters, encrypted to an inbox key, until that key is destroyed "
    "(within three days)",
    "a guess at the body of a call of the last two days, confirmed by its idempotency record with the keyring at hand",
)
"""What a certificate does not prove, said on each."""


def certificate(subject_id: UUID, request: RightsRequest, vault: Vault) -> dict[str, Any]:
    """Return the certificate. Raises :class:`RuleRefused` until every view has purged, ``KeysUnavailable``."""
    fenced, destroyed, certified = request.fenced, request.destroyed, request.certified
    if fenced is None or destroyed is None or certified is None:
        raise RuleRefused(rules.CERTIFICATE_PENDING, request_id=request.id)
    scopes = {row.scope_id: row.scope for row in vault.scopes_of(subject_id)}
    return {
        "certificate_id": str(fenced.certificate_id),
        "request_id": str(request.id),
        "subject_id": str(subject_id),
        "state": request.state,
        "whole_person": fenced.whole_person,
        "fenced_at": instant(fenced.timestamp),
        "destroyed_at": instant(destroyed.destroyed_at),
        "unrecoverable_after": instant(destroyed.unrecoverable_after),
        "certified_at": instant(certified.timestamp),
        "scopes": [
            {
                "scope_id": str(scope_id),
                "category": scopes[scope_id].category,
                "case_id": str(scopes[scope_id].case_id) if scopes[scope_id].case_id else None,
            }
            for scope_id in destroyed.scope_ids
            if scope_id in scopes
        ],
        "withheld": [
            {"scope_id": str(scope_id), "ground": ground}
            for scope_id, ground in zip(fenced.withheld, fenced.withheld_grounds, strict=True)
        ],
        "root_epochs": {"before": destroyed.root_epoch_before, "after": destroyed.root_epoch_after},
        "fingerprints": list(destroyed.fingerprints),
        "views": dict(certified.view_positions),
        "not_proven": list(NOT_PROVEN),
    }
