"""Consents of one person: what they were asked, granted, refused, withdrew, and whether one covers a disclosure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from domain import rules
from domain.aggregate import Decisions
from domain.errors import RuleRefused
from domain.events.base import Context
from domain.events.consent import (
    ConsentExpired,
    ConsentGranted,
    ConsentRefused,
    ConsentRequested,
    ConsentWithdrawn,
)
from domain.sealed import SealedPart

if TYPE_CHECKING:
    from domain.events.consent import _ConsentTerms as TermsEvent


@dataclass(frozen=True)
class ConsentTerms:
    """What a person is asked: purpose, to whom, which categories, under which notice, how and until when."""

    purpose: str
    recipient_ids: tuple[UUID, ...]
    categories: tuple[str, ...]
    notice_version: str
    language: str
    method: str
    valid_until: datetime | None


@dataclass(frozen=True)
class Consent:
    """One consent and its state: ``asked``, ``granted``, ``refused``, ``withdrawn`` or ``expired``."""

    id: UUID
    terms: ConsentTerms
    state: str

    def check_covers(self, purpose: str, recipient_id: UUID, categories: Collection[str], at: datetime) -> None:
        """Raise :class:`RuleRefused` unless this consent covers the disclosure at that moment (policy clause 3)."""
        refusal = {
            "asked": rules.CONSENT_NOT_GRANTED,
            "refused": rules.CONSENT_REFUSED,
            "withdrawn": rules.CONSENT_WITHDRAWN,
            "expired": rules.CONSENT_EXPIRED,
        }.get(self.state)
        if refusal is None and self.terms.valid_until is not None and at >= self.terms.valid_until:
            refusal = rules.CONSENT_EXPIRED
        if refusal is None and purpose != self.terms.purpose:
            refusal = rules.CONSENT_PURPOSE
        if refusal is None and recipient_id not in self.terms.recipient_ids:
            refusal = rules.CONSENT_RECIPIENT
        if refusal is None and not set(categories) <= set(self.terms.categories):
            refusal = rules.CONSENT_CATEGORY
        if refusal is not None:
            raise RuleRefused(refusal, consent_id=self.id)


class ConsentDecisions(Decisions):
    """The part of a person's aggregate that decides about consents."""

    consents: dict[UUID, Consent]

    def ask_consent(self, context: Context, event_id: UUID, consent_id: UUID, terms: ConsentTerms) -> None:
        """Record that the person was asked."""
        self._check_new(consent_id)
        self._record_terms(ConsentRequested, context, event_id, consent_id, terms)

    def grant_consent(self, context: Context, event_id: UUID, consent_id: UUID, terms: ConsentTerms) -> None:
        """Record that the person consented, unasked or on the terms they were asked."""
        self._check_terms_answerable(consent_id, terms, context.at)
        self._record_terms(ConsentGranted, context, event_id, consent_id, terms)

    def refuse_consent(self, context: Context, event_id: UUID, consent_id: UUID, terms: ConsentTerms) -> None:
        """Record that the person refused."""
        self._check_terms_answerable(consent_id, terms, None)
        self._record_terms(ConsentRefused, context, event_id, consent_id, terms)

    def withdraw_consent(self, context: Context, event_id: UUID, consent_id: UUID, reason: SealedPart | None) -> None:
        """Record a withdrawal; from here on nothing more is released under the consent."""
        state = self.consent(consent_id).state
        if state == "withdrawn":
            raise RuleRefused(rules.CONSENT_WITHDRAWN, consent_id=consent_id)
        if state not in ("granted", "expired"):
            raise RuleRefused(rules.CONSENT_NOT_GRANTED, consent_id=consent_id)
        self.record(ConsentWithdrawn, context, event_id, consent_id=consent_id, reason=reason)

    def expire_consent(self, context: Context, event_id: UUID, consent_id: UUID) -> None:
        """Record that a granted consent has run out."""
        consent = self.consent(consent_id)
        until = consent.terms.valid_until
        if consent.state != "granted" or until is None or context.at < until:
            raise RuleRefused(rules.CONSENT_NOT_GRANTED, consent_id=consent_id)
        self.record(ConsentExpired, context, event_id, consent_id=consent_id)

    def consent(self, consent_id: UUID) -> Consent:
        """Return one consent. Raises :class:`RuleRefused` (404) when the person gave no such consent."""
        try:
            return self.consents[consent_id]
        except KeyError:
            raise RuleRefused(rules.CONSENT_UNKNOWN, consent_id=consent_id) from None

    def _check_new(self, consent_id: UUID) -> None:
        if consent_id in self.consents:
            raise RuleRefused(rules.CONSENT_ANSWERED, consent_id=consent_id)

    def _check_terms_answerable(self, consent_id: UUID, terms: ConsentTerms, at: datetime | None) -> None:
        asked = self.consents.get(consent_id)
        if asked is not None and (
            asked.state != "asked" or replace(terms, method="") != replace(asked.terms, method="")
        ):
            raise RuleRefused(rules.CONSENT_ANSWERED, consent_id=consent_id)
        if at is not None and terms.valid_until is not None and at >= terms.valid_until:
            raise RuleRefused(rules.CONSENT_EXPIRED, consent_id=consent_id)

    def _record_terms(
        self, event_class: type[TermsEvent], context: Context, event_id: UUID, consent_id: UUID, terms: ConsentTerms
    ) -> None:
        self.record(
            event_class,
            context,
            event_id,
            consent_id=consent_id,
            consent_purpose=terms.purpose,
            recipient_ids=terms.recipient_ids,
            categories=terms.categories,
            notice_version=terms.notice_version,
            language=terms.language,
            method=terms.method,
            valid_until=terms.valid_until,
        )

    def on_ConsentRequested(self, event: ConsentRequested) -> None:  # noqa: D102
        self._take_terms(event, "asked")

    def on_ConsentGranted(self, event: ConsentGranted) -> None:  # noqa: D102
        self._take_terms(event, "granted")

    def on_ConsentRefused(self, event: ConsentRefused) -> None:  # noqa: D102
        self._take_terms(event, "refused")

    def on_ConsentWithdrawn(self, event: ConsentWithdrawn) -> None:  # noqa: D102
        self._take_state(event.consent_id, "withdrawn")

    def on_ConsentExpired(self, event: ConsentExpired) -> None:  # noqa: D102
        self._take_state(event.consent_id, "expired")

    def _take_terms(self, event: TermsEvent, state: str) -> None:
        terms = ConsentTerms(
            event.consent_purpose,
            event.recipient_ids,
            event.categories,
            event.notice_version,
            event.language,
            event.method,
            event.valid_until,
        )
        self.consents[event.consent_id] = Consent(event.consent_id, terms, state)

    def _take_state(self, consent_id: UUID, state: str) -> None:
        self.consents[consent_id] = replace(self.consents[consent_id], state=state)
