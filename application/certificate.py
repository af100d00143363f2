"""The certificates of an erasure, one a run: put together from the stream, signed once, shown as they were signed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from application import inbox_keys, signed_documents
from application.erasure_plan import review_date
from application.signing_keys import CERTIFICATES, current_key, public_jwk
from application.unit_of_work import UnitOfWork
from domain.certificate_form import CERTIFICATE, FORMAT, SUPPLEMENT, payload_of
from domain.certificates import Notice
from domain.events.base import Event
from domain.instants import instant
from domain.policy import PolicyVersion
from domain.registry import Kind, fields_of
from domain.rights import CertifiedErasure
from domain.sealed import KeyScope
from domain.subject import Subject
from vault.blind_index import residue_until

NOT_PROVEN = (
    "the memory of a process that held a key: it gives out nothing opened with it after the time given as "
    "unrecoverable_after, but freed memory is not wiped",
    "an answer that had left the keys before they were recalled and was still on its way",
    "a copy of the file keyring made while the key lived",
    "data already disclosed to recipients",
    "commands on the inbox topic and among the dead letters, encrypted to an inbox key of before the fence, until the "
    "time given as inbox_keys_destroyed_by",
    "a guess at a name, date of birth, e-mail address, telephone or record number, confirmed by a deleted entry of the "
    "search index with the keyring at hand, until the time given as index_residue_until",
    "a guess at name with birth date, or at the e-mail address, confirmed by the suppression entry with the keyring at "
    "hand, until the time given as suppressed_until",
    "a guess at the body of a call of the last two days, confirmed by its idempotency record with the keyring at hand",
    "a guess at the idempotency key of a call, or at the record number of an imported document, confirmed with the "
    "keyring at hand by the identifier that was made of it",
)
"""What a certificate does not prove, said on each."""


def issue(work: UnitOfWork, subject: Subject, request_id: UUID) -> None:
    """Sign the certificate of an erasure that this work has just certified, and schedule who is to be told of it.

    Raises ``KeysUnavailable``: then nothing of the work may be appended.
    """
    scopes = _scopes(work, subject.id)
    destroyed = subject.request(request_id).destroyed
    assert destroyed is not None
    erased = [(scopes[s].category, scopes[s].case_id) for s in destroyed.scope_ids if s in scopes]
    for recipient_id, disclosure_ids in subject.disclosed_to(erased).items():
        subject.schedule_notification(work.context, work.new_id(), request_id, recipient_id, disclosure_ids)
    run = subject.request(request_id).runs()[-1]
    _sign(work, subject, request_id, _certificate(work, subject, request_id, run))


def supplement(work: UnitOfWork, subject: Subject, request_id: UUID) -> tuple[UUID, int]:
    """Sign a supplement that reports what this work last decided; return which certificate's it is, and its number.

    The certificate is the one that the fact names, which need not be the latest of the request. Raises
    ``KeysUnavailable``.
    """
    fact: Any = subject.pending_events[-1]
    certificate = subject.certificates[fact.certificate_id]
    number = len(certificate.documents)
    document = {
        "document": SUPPLEMENT,
        "format": FORMAT,
        "certificate_id": str(certificate.id),
        "request_id": str(request_id),
        "certificate_sha256": signed_documents.digest(certificate.documents[0]),
        "number": number,
        "recorded_at": instant(fact.timestamp),
        "event_id": str(fact.event_id),
        "fact": fact.TOPIC,
        "data": _clear_fields(fact),
    }
    _sign(work, subject, request_id, document)
    return certificate.id, number


def shown(work: UnitOfWork, subject: Subject, request_id: UUID) -> dict[str, Any]:
    """Return the latest certificate as it was signed, with the signed documents and how far recipients are told.

    ``preceding``: the certificates of earlier runs, shown in the same way, the first one first.
    ``index_residue_until`` is later than what was signed while the replacement of an index key is overdue. One that was
    certified before certificates were signed has no ``jws``. Raises :class:`RuleRefused` until every view
    has purged, ``KeysUnavailable``.
    """
    subject.certificate(request_id)
    *earlier, latest = (_shown(work, subject, request_id, run) for run in subject.request(request_id).runs())
    return {**latest, "preceding": earlier}


def _shown(work: UnitOfWork, subject: Subject, request_id: UUID, run: CertifiedErasure) -> dict[str, Any]:
    certificate = subject.certificates[run.fenced.certificate_id]
    documents = certificate.documents
    said = payload_of(documents[0]) if documents else _certificate(work, subject, request_id, run)
    residue_until_now = instant(_residue_until(work, run.certified.timestamp))
    return {
        **said,
        "index_residue_until": max(said["index_residue_until"], residue_until_now),
        "state": "certified",
        "recipients": [_recipient(notice) for notice in certificate.notices.values()],
        "jws": documents[0] if documents else None,
        "supplements": [_supplement(document) for document in documents[1:]],
    }


def _certificate(work: UnitOfWork, subject: Subject, request_id: UUID, run: CertifiedErasure) -> dict[str, Any]:
    fenced, destroyed, certified = run.fenced, run.destroyed, run.certified
    notices = subject.certificates[fenced.certificate_id].notices
    scopes = _scopes(work, subject.id)
    return {
        "document": CERTIFICATE,
        "format": FORMAT,
        "certificate_id": str(fenced.certificate_id),
        "request_id": str(request_id),
        "subject_id": str(subject.id),
        "whole_person": fenced.whole_person,
        "fenced_at": instant(fenced.timestamp),
        "destroyed_at": instant(destroyed.destroyed_at),
        "unrecoverable_after": instant(destroyed.unrecoverable_after),
        "certified_at": instant(certified.timestamp),
        "inbox_keys_destroyed_by": instant(inbox_keys.gone_by(fenced.timestamp)),
        "index_residue_until": instant(_residue_until(work, certified.timestamp)),
        "suppressed_until": instant(run.suppressed_until) if run.suppressed_until else None,
        "events": {
            "fenced": str(fenced.event_id),
            "destroyed": str(destroyed.event_id),
            "certified": str(certified.event_id),
        },
        "processes": _processes(run),
        "scopes": [_scope(s, scopes[s]) for s in destroyed.scope_ids if s in scopes],
        "withheld": _withheld(run, scopes, subject, work.policies.in_force(fenced.timestamp)),
        "root_epochs": {"before": destroyed.root_epoch_before, "after": destroyed.root_epoch_after},
        "fingerprints": list(destroyed.fingerprints),
        "views": dict(certified.view_positions),
        "recipients": [_owed(notice) for notice in notices.values()],
        "not_proven": list(NOT_PROVEN),
    }


def _processes(run: CertifiedErasure) -> dict[str, int] | None:
    drained = run.drained
    if drained is None:
        return None
    return {"acknowledged": drained.processes_acknowledged, "unanswered": drained.processes_unanswered}


def _residue_until(work: UnitOfWork, purged_at: datetime) -> datetime:
    return residue_until(work.vault, purged_at, work.now, work.index_days)


def _sign(work: UnitOfWork, subject: Subject, request_id: UUID, document: dict[str, Any]) -> None:
    certificate_id = UUID(document["certificate_id"])
    key = current_key(work.vault, work.now, CERTIFICATES)
    signed = signed_documents.sign(document, key)
    subject.sign(work.context, work.new_id(), request_id, certificate_id, public_jwk(key)["x"], signed)


def _scopes(work: UnitOfWork, subject_id: UUID) -> dict[UUID, KeyScope]:
    return {row.scope_id: row.scope for row in work.vault.scopes_of(subject_id)}


def _scope(scope_id: UUID, scope: KeyScope) -> dict[str, Any]:
    case_id = str(scope.case_id) if scope.case_id else None
    return {"scope_id": str(scope_id), "category": scope.category, "case_id": case_id}


def _withheld(
    run: CertifiedErasure, scopes: Mapping[UUID, KeyScope], subject: Subject, policy: PolicyVersion
) -> list[dict[str, Any]]:
    """Return what was withheld, why, and when it is looked at again: by the hold that stood when it was fenced, or by
    the policy in force then.
    """
    at = run.fenced.timestamp
    return [
        {
            **_scope(scope_id, scopes[scope_id]),
            "ground": ground,
            "review_date": review_date(policy, subject, scopes[scope_id], at),
        }
        for scope_id, ground in zip(run.fenced.withheld, run.fenced.withheld_grounds, strict=True)
    ]


def _owed(notice: Notice) -> dict[str, Any]:
    return {
        "recipient_id": str(notice.recipient_id),
        "disclosure_ids": [str(d) for d in notice.disclosure_ids],
        "due": instant(notice.due),
    }


def _recipient(notice: Notice) -> dict[str, Any]:
    sent = instant(notice.sent) if notice.sent else None
    acknowledged = instant(notice.acknowledged) if notice.acknowledged else None
    return {**_owed(notice), "sent": sent, "acknowledged": acknowledged}


def _supplement(document: str) -> dict[str, Any]:
    said = payload_of(document)
    return {name: said[name] for name in ("number", "recorded_at", "fact", "data")} | {"jws": document}


def _clear_fields(event: Event) -> dict[str, Any]:
    kinds = {name: kind for name, kind in fields_of(type(event)).items() if isinstance(kind, Kind)}
    return {name: kind.encode(getattr(event, name)) for name, kind in kinds.items()}
