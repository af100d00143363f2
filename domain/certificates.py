"""What follows a certified erasure, decided in the person's stream: signed documents, notices, paper.

GDPR Art. 19 and policy clause 7.2.

Nothing here is sealed, and nothing uses a key scope: it goes on after the person is fenced.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from domain import rules
from domain.erasure_runs import ErasureRuns
from domain.errors import RuleRefused
from domain.events.base import Context
from domain.events.certificate import (
    CertificateSigned,
    PaperDestructionReported,
    PaperRecordsDestroyed,
    RecipientAcknowledgedErasure,
    RecipientNotificationScheduled,
    RecipientNotifiedOfErasure,
)
from domain.events.rights import ErasureCertified
from domain.rights import months_after

MONTHS_TO_TELL = 1
"""How long after the destruction every recipient is to be told (GDPR Art. 19, with the month of Art. 12(3))."""


@dataclass(frozen=True)
class Notice:
    """What is owed to one recipient: told until ``due`` about these disclosures; when it was, and acknowledged."""

    recipient_id: UUID
    disclosure_ids: tuple[UUID, ...]
    due: datetime
    sent: datetime | None = None
    acknowledged: datetime | None = None


@dataclass(frozen=True)
class PaperDestruction:
    """One reported destruction of paper records; ``reporter`` is the principal who reported it."""

    method: str
    documents: int
    destroyed: datetime
    reporter: tuple[str, str]
    confirmed: bool = False


@dataclass(frozen=True)
class Certificate:
    """A certified run of an erasure and what has followed; ``documents`` are the signed ones, the certificate first."""

    id: UUID
    destroyed_at: datetime
    notices: Mapping[UUID, Notice] = field(default_factory=dict)
    paper: Mapping[UUID, PaperDestruction] = field(default_factory=dict)
    documents: tuple[str, ...] = ()


class CertificateDecisions(ErasureRuns):
    """The part of a person's aggregate that decides about what follows a certified erasure.

    An erasure that was resumed has several certificates, one for each run; ``certificates`` has all of them by their
    ids. What is reported of a request supplements one of them: each event names it.
    """

    certificates: dict[UUID, Certificate]

    def certificate(self, request_id: UUID) -> Certificate:
        """Return the latest certificate of a request. Raises :class:`RuleRefused` (404) until there is one."""
        return self.certificates_of(request_id)[-1]

    def certificates_of(self, request_id: UUID) -> list[Certificate]:
        """Return the certificates of a request, the first one first. Raises :class:`RuleRefused` (404) for none."""
        found = [self.certificates[run.fenced.certificate_id] for run in self.request(request_id).runs()]
        if not found:
            raise RuleRefused(rules.CERTIFICATE_PENDING, request_id=request_id)
        return found

    def disclosed_to(self, erased: Collection[tuple[str, UUID | None]]) -> dict[UUID, tuple[UUID, ...]]:
        """Return recipient → the released disclosures that took from any of these (category, case or none)."""
        found: dict[UUID, tuple[UUID, ...]] = {}
        for disclosure in self.disclosures.values():
            terms = disclosure.terms
            took = any(c in terms.categories and case in (None, terms.case_id) for c, case in erased)
            if disclosure.state == "released" and took:
                found[terms.recipient_id] = (*found.get(terms.recipient_id, ()), disclosure.id)
        return found

    def schedule_notification(
        self, context: Context, event_id: UUID, request_id: UUID, recipient_id: UUID, disclosure_ids: tuple[UUID, ...]
    ) -> None:
        """Record that a recipient is to be told, within a month of the destruction."""
        certificate = self.certificate(request_id)
        self.record(
            RecipientNotificationScheduled,
            context,
            event_id,
            request_id=request_id,
            certificate_id=certificate.id,
            recipient_id=recipient_id,
            disclosure_ids=disclosure_ids,
            due=months_after(certificate.destroyed_at, MONTHS_TO_TELL),
        )

    def sign(
        self,
        context: Context,
        event_id: UUID,
        request_id: UUID,
        certificate_id: UUID,
        signing_key: str,
        document: str,
    ) -> None:
        """Record the next signed document of a certificate: the certificate first, then its supplements."""
        self.record(
            CertificateSigned,
            context,
            event_id,
            request_id=request_id,
            certificate_id=certificate_id,
            number=len(self.certificates[certificate_id].documents),
            signing_key=signing_key,
            document=document,
        )

    def notify_recipient(
        self,
        context: Context,
        event_id: UUID,
        request_id: UUID,
        recipient_id: UUID,
        channel: str,
        sent: datetime,
        delivery: str,
    ) -> None:
        """Record that word was sent to a recipient; one that came back leaves the recipient to be told."""
        certificate = self._waiting(request_id, recipient_id, lambda notice: notice.sent is None)
        if certificate.notices[recipient_id].sent is not None:
            raise RuleRefused(rules.RECIPIENT_TOLD, recipient_id=recipient_id)
        _check_time(context, sent, certificate.destroyed_at)
        self.record(
            RecipientNotifiedOfErasure,
            context,
            event_id,
            request_id=request_id,
            certificate_id=certificate.id,
            recipient_id=recipient_id,
            channel=channel,
            sent=sent,
            delivery=delivery,
        )

    def acknowledge_erasure(
        self,
        context: Context,
        event_id: UUID,
        request_id: UUID,
        recipient_id: UUID,
        channel: str,
        acknowledged: datetime,
    ) -> None:
        """Record that a recipient who was told has confirmed it."""
        certificate = self._waiting(
            request_id, recipient_id, lambda notice: notice.sent is not None and notice.acknowledged is None
        )
        notice = certificate.notices[recipient_id]
        if notice.sent is None:
            raise RuleRefused(rules.RECIPIENT_NOT_TOLD, recipient_id=recipient_id)
        if notice.acknowledged is not None:
            raise RuleRefused(rules.RECIPIENT_ACKNOWLEDGED, recipient_id=recipient_id)
        _check_time(context, acknowledged, notice.sent)
        self.record(
            RecipientAcknowledgedErasure,
            context,
            event_id,
            request_id=request_id,
            certificate_id=certificate.id,
            recipient_id=recipient_id,
            channel=channel,
            acknowledged=acknowledged,
        )

    def report_paper_destruction(
        self,
        context: Context,
        event_id: UUID,
        request_id: UUID,
        report_id: UUID,
        method: str,
        documents: int,
        destroyed: datetime,
    ) -> None:
        """Record that paper was destroyed, for a second person to confirm (policy clause 7.2)."""
        certificate = self._signed(request_id)[-1]
        _check_time(context, destroyed, self.request(request_id).received)
        self.record(
            PaperDestructionReported,
            context,
            event_id,
            request_id=request_id,
            certificate_id=certificate.id,
            report_id=report_id,
            method=method,
            documents=documents,
            destroyed=destroyed,
        )

    def confirm_paper_destruction(self, context: Context, event_id: UUID, request_id: UUID, report_id: UUID) -> None:
        """Confirm what another person reported. Principals are compared, not names."""
        certificate = next((c for c in self._signed(request_id) if report_id in c.paper), None)
        if certificate is None:
            raise RuleRefused(rules.PAPER_UNKNOWN, report_id=report_id)
        report = certificate.paper[report_id]
        if report.confirmed:
            raise RuleRefused(rules.PAPER_CONFIRMED, report_id=report_id)
        if report.reporter == context.actor.principal:
            raise RuleRefused(rules.CONFIRMED_BY_REPORTER, report_id=report_id)
        self.record(
            PaperRecordsDestroyed,
            context,
            event_id,
            request_id=request_id,
            certificate_id=certificate.id,
            report_id=report_id,
            method=report.method,
            documents=report.documents,
            destroyed=report.destroyed,
        )

    def _signed(self, request_id: UUID) -> list[Certificate]:
        """Return the certificates of which there is something signed to supplement."""
        signed = [certificate for certificate in self.certificates_of(request_id) if certificate.documents]
        if not signed:
            raise RuleRefused(rules.CERTIFICATE_PENDING, request_id=request_id)
        return signed

    def _waiting(self, request_id: UUID, recipient_id: UUID, waits: Callable[[Notice], bool]) -> Certificate:
        """Return the first certificate whose notice to a recipient waits; if none does, the last that has one."""
        owing = [certificate for certificate in self._signed(request_id) if recipient_id in certificate.notices]
        if not owing:
            raise RuleRefused(rules.RECIPIENT_NOT_OWED, recipient_id=recipient_id)
        return next((certificate for certificate in owing if waits(certificate.notices[recipient_id])), owing[-1])

    def on_ErasureCertified(self, event: ErasureCertified) -> None:  # noqa: D102
        super().on_ErasureCertified(event)
        destroyed_at = self.request(event.request_id).runs()[-1].destroyed.destroyed_at
        self.certificates[event.certificate_id] = Certificate(event.certificate_id, destroyed_at)

    def on_CertificateSigned(self, event: CertificateSigned) -> None:  # noqa: D102
        certificate = self.certificates[event.certificate_id]
        documents = (*certificate.documents, event.document)
        self.certificates[certificate.id] = replace(certificate, documents=documents)

    def on_RecipientNotificationScheduled(self, event: RecipientNotificationScheduled) -> None:  # noqa: D102
        self._take_notice(event.certificate_id, Notice(event.recipient_id, event.disclosure_ids, event.due))

    def on_RecipientNotifiedOfErasure(self, event: RecipientNotifiedOfErasure) -> None:  # noqa: D102
        if event.delivery == "delivered":
            notice = self.certificates[event.certificate_id].notices[event.recipient_id]
            self._take_notice(event.certificate_id, replace(notice, sent=event.sent))

    def on_RecipientAcknowledgedErasure(self, event: RecipientAcknowledgedErasure) -> None:  # noqa: D102
        notice = self.certificates[event.certificate_id].notices[event.recipient_id]
        self._take_notice(event.certificate_id, replace(notice, acknowledged=event.acknowledged))

    def on_PaperDestructionReported(self, event: PaperDestructionReported) -> None:  # noqa: D102
        report = PaperDestruction(event.method, event.documents, event.destroyed, event.context.actor.principal)
        self._take_paper(event.certificate_id, event.report_id, report)

    def on_PaperRecordsDestroyed(self, event: PaperRecordsDestroyed) -> None:  # noqa: D102
        report = self.certificates[event.certificate_id].paper[event.report_id]
        self._take_paper(event.certificate_id, event.report_id, replace(report, confirmed=True))

    def _take_notice(self, certificate_id: UUID, notice: Notice) -> None:
        certificate = self.certificates[certificate_id]
        notices = {**certificate.notices, notice.recipient_id: notice}
        self.certificates[certificate_id] = replace(certificate, notices=notices)

    def _take_paper(self, certificate_id: UUID, report_id: UUID, report: PaperDestruction) -> None:
        certificate = self.certificates[certificate_id]
        self.certificates[certificate_id] = replace(certificate, paper={**certificate.paper, report_id: report})


def _check_time(context: Context, moment: datetime, earliest: datetime) -> None:
    if not earliest <= moment <= context.at:
        raise RuleRefused(rules.SUPPLEMENT_TIME)
