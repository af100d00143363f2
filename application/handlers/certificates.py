"""What follows a certified erasure: shown, recipients told, paper destroyed (GDPR Art. 19, policy clause 7.2).

The person may be fenced as a whole: these commands load the stream without using the person or any key scope, and
their events carry nothing sealed.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from application.certificate import shown, supplement
from application.unit_of_work import UnitOfWork
from domain.subject import Subject

Ids = dict[str, UUID]


def erasure_certificate(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Show an erasure's certificate. Raises :class:`RuleRefused` (404) until it stands."""
    return shown(work, work.load(Subject, ids["subject_id"]), ids["request_id"])


def notify_recipient(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Record that word of the erasure was sent to a recipient, and sign it as a supplement."""
    subject, request_id = work.load(Subject, ids["subject_id"]), ids["request_id"]
    subject.notify_recipient(
        work.context,
        work.new_id(),
        request_id,
        body["recipient_id"],
        body["channel"],
        body["sent"],
        body["delivery"],
    )
    return _supplemented(work, subject, request_id)


def acknowledge_erasure(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Record that a recipient confirmed it was told, and sign it as a supplement."""
    subject, request_id = work.load(Subject, ids["subject_id"]), ids["request_id"]
    subject.acknowledge_erasure(
        work.context, work.new_id(), request_id, body["recipient_id"], body["channel"], body["acknowledged"]
    )
    return _supplemented(work, subject, request_id)


def report_paper_destruction(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Record that paper records were destroyed; it counts when a second person confirms it."""
    subject, report_id = work.load(Subject, ids["subject_id"]), work.new_id()
    subject.report_paper_destruction(
        work.context,
        work.new_id(),
        ids["request_id"],
        report_id,
        body["method"],
        body["documents"],
        body["destroyed"],
    )
    return {"id": str(ids["request_id"]), "report_id": str(report_id)}


def confirm_paper_destruction(work: UnitOfWork, ids: Ids, body: dict[str, Any]) -> dict[str, Any]:
    """Confirm what another person reported, and sign it as a supplement."""
    subject, request_id = work.load(Subject, ids["subject_id"]), ids["request_id"]
    subject.confirm_paper_destruction(work.context, work.new_id(), request_id, body["report_id"])
    return _supplemented(work, subject, request_id)


def _supplemented(work: UnitOfWork, subject: Subject, request_id: UUID) -> dict[str, Any]:
    certificate_id, number = supplement(work, subject, request_id)
    return {"id": str(request_id), "certificate_id": str(certificate_id), "number": number}
