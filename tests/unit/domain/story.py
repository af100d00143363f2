"""Given, when, then for one person: short names for what a test is not about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from domain.case import Case, IntakeForm
from domain.consents import ConsentTerms
from domain.disclosures import DisclosureTerms
from domain.events.base import Context
from domain.recipient import Recipient
from domain.record import Actor
from domain.sealed import SealedPart
from domain.subject import Subject

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
SERVICE = Actor("forms", "web-1", "service")
MANAGER = Actor("staff", "a1", "case_manager")
SECOND_MANAGER = Actor("staff", "a2", "case_manager")
OFFICER = Actor("staff", "p1", "privacy_officer")
SECOND_OFFICER = Actor("staff", "p2", "privacy_officer")


def context(actor: Actor = MANAGER, days: float = 0, purpose: str = "casework") -> Context:
    return Context(START + timedelta(days=days), actor, "api", purpose, "contract", "1", uuid4())


def sealed(subject_id: UUID, category: str = "identity") -> SealedPart:
    return SealedPart(subject_id, category, uuid4(), "ck1.AAAA")


class Story:
    """A registered person with an open case, an intake and a recipient with an agreement for treatment."""

    def __init__(self) -> None:
        subject_id = uuid4()
        self.subject = Subject.register(context(SERVICE), uuid4(), subject_id, "en", sealed(subject_id))
        self.case = Case.open(context(SERVICE), uuid4(), uuid4(), subject_id, "second_opinion", 1)
        parts = {"medical": sealed(subject_id, "medical"), "insurance": None}
        self.case.submit_intake(context(SERVICE), uuid4(), uuid4(), IntakeForm("medical_intake", 1, "1"), parts)
        recipient_id = uuid4()
        self.recipient = Recipient.register(context(OFFICER), uuid4(), recipient_id, "provider", sealed(recipient_id))
        self.recipient.agree(context(OFFICER), uuid4(), uuid4(), ("treatment",), START, START + timedelta(days=300))
        self.terms = ConsentTerms(
            "treatment", (recipient_id,), ("identity", "medical"), "1", "en", "web_form", START + timedelta(days=200)
        )
        for aggregate in (self.subject, self.case, self.recipient):
            aggregate.collect_events()

    def granted(self, **changes: object) -> UUID:
        consent_id = uuid4()
        self.subject.grant_consent(context(SERVICE), uuid4(), consent_id, replace(self.terms, **changes))
        return consent_id

    def disclosure_terms(self, consent_id: UUID, **changes: object) -> DisclosureTerms:
        terms = DisclosureTerms(
            self.case.id, self.recipient.id, "treatment", ("identity", "medical"), "consent", consent_id
        )
        return replace(terms, **changes)

    def requested(self, consent_id: UUID, days: float = 1, **changes: object) -> UUID:
        disclosure_id = uuid4()
        self.subject.request_disclosure(
            context(MANAGER, days),
            uuid4(),
            disclosure_id,
            self.disclosure_terms(consent_id, **changes),
            self.case,
            self.recipient,
        )
        return disclosure_id

    def authorized(self, consent_id: UUID) -> UUID:
        disclosure_id = self.requested(consent_id)
        self.subject.authorize_disclosure(context(SECOND_MANAGER, 2), uuid4(), disclosure_id)
        return disclosure_id

    def release(self, disclosure_id: UUID, days: float = 3) -> None:
        self.subject.release_disclosure(
            context(MANAGER, days), uuid4(), disclosure_id, self.case, self.recipient, [uuid4()]
        )

    def recorded(self) -> list[str]:
        """The types of the events decided since the story began."""
        return [type(e).__name__ for a in (self.subject, self.case, self.recipient) for e in a.collect_events()]
