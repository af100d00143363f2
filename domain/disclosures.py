"""Disclosures of one person's data: asked for, authorised by a second person, released after a second check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from domain import rules
from domain.case import Case
from domain.consents import ConsentDecisions
from domain.errors import RuleRefused
from domain.events.base import Context, Event
from domain.events.disclosure import (
    DisclosureAuthorized,
    DisclosureCancelled,
    DisclosureDenied,
    DisclosureReleased,
    DisclosureRequested,
)
from domain.recipient import Recipient
from domain.sealed import SealedPart


@dataclass(frozen=True)
class DisclosureTerms:
    """What is to go out: of which case, to whom, for what, which categories, and under which consent."""

    case_id: UUID
    recipient_id: UUID
    purpose: str
    categories: tuple[str, ...]
    basis_type: str
    basis_id: UUID


@dataclass(frozen=True)
class Disclosure:
    """One disclosure; state ``requested``, ``authorized``, ``denied``, ``released`` or ``cancelled``."""

    id: UUID
    terms: DisclosureTerms
    state: str
    requester: tuple[str, str]
    source_event_ids: tuple[UUID, ...] = ()


class DisclosureDecisions(ConsentDecisions):
    """The part of a person's aggregate that decides about disclosures (policy clause 3)."""

    disclosures: dict[UUID, Disclosure]

    def request_disclosure(
        self,
        context: Context,
        event_id: UUID,
        disclosure_id: UUID,
        terms: DisclosureTerms,
        case: Case,
        recipient: Recipient,
    ) -> None:
        """Record the wish to disclose; checks consent, agreement and case as they stand now."""
        self._check_basis(context, terms, case, recipient)
        self.record(
            DisclosureRequested,
            context,
            event_id,
            case_id=terms.case_id,
            disclosure_id=disclosure_id,
            recipient_id=terms.recipient_id,
            disclosure_purpose=terms.purpose,
            categories=terms.categories,
            basis_type=terms.basis_type,
            basis_id=terms.basis_id,
        )

    def authorize_disclosure(self, context: Context, event_id: UUID, disclosure_id: UUID) -> None:
        """Record the second person's yes. Principals are compared, not names."""
        disclosure = self._check_second_person(context, disclosure_id)
        self.record(
            DisclosureAuthorized, context, event_id, case_id=disclosure.terms.case_id, disclosure_id=disclosure_id
        )

    def deny_disclosure(self, context: Context, event_id: UUID, disclosure_id: UUID, reason: SealedPart | None) -> None:
        """Record the second person's no."""
        disclosure = self._check_second_person(context, disclosure_id)
        self.record(
            DisclosureDenied,
            context,
            event_id,
            case_id=disclosure.terms.case_id,
            disclosure_id=disclosure_id,
            reason=reason,
        )

    def check_release(self, context: Context, disclosure_id: UUID, case: Case, recipient: Recipient) -> Disclosure:
        """Return the disclosure if its data may go out now; consent and agreement are checked anew."""
        disclosure = self.disclosure(disclosure_id)
        if disclosure.state not in ("authorized", "released"):
            refusal = rules.DISCLOSURE_NOT_AUTHORISED if disclosure.state == "requested" else rules.DISCLOSURE_STATE
            raise RuleRefused(refusal, disclosure_id=disclosure_id)
        self._check_basis(context, disclosure.terms, case, recipient)
        return disclosure

    def release_disclosure(
        self,
        context: Context,
        event_id: UUID,
        disclosure_id: UUID,
        case: Case,
        recipient: Recipient,
        source_event_ids: Sequence[UUID],
    ) -> None:
        """Record that the data goes out, naming the events it is taken from."""
        disclosure = self.check_release(context, disclosure_id, case, recipient)
        if disclosure.state == "released":
            raise RuleRefused(rules.DISCLOSURE_STATE, disclosure_id=disclosure_id)
        terms = disclosure.terms
        self.record(
            DisclosureReleased,
            context,
            event_id,
            case_id=terms.case_id,
            disclosure_id=disclosure_id,
            recipient_id=terms.recipient_id,
            disclosure_purpose=terms.purpose,
            categories=terms.categories,
            basis_type=terms.basis_type,
            basis_id=terms.basis_id,
            agreement_id=recipient.agreement_for(terms.purpose, context.at),
            source_event_ids=tuple(source_event_ids),
        )

    def cancel_disclosure(
        self, context: Context, event_id: UUID, disclosure_id: UUID, reason: SealedPart | None
    ) -> None:
        """Call a disclosure off before release."""
        disclosure = self.disclosure(disclosure_id)
        if disclosure.state not in ("requested", "authorized"):
            raise RuleRefused(rules.DISCLOSURE_STATE, disclosure_id=disclosure_id)
        self.record(
            DisclosureCancelled,
            context,
            event_id,
            case_id=disclosure.terms.case_id,
            disclosure_id=disclosure_id,
            reason=reason,
        )

    def disclosure(self, disclosure_id: UUID) -> Disclosure:
        """Return one disclosure. Raises :class:`RuleRefused` (404) when the person has no such disclosure."""
        try:
            return self.disclosures[disclosure_id]
        except KeyError:
            raise RuleRefused(rules.DISCLOSURE_UNKNOWN, disclosure_id=disclosure_id) from None

    def _check_basis(self, context: Context, terms: DisclosureTerms, case: Case, recipient: Recipient) -> None:
        if case.subject_id != self.id:
            raise RuleRefused(rules.CASE_OF_ANOTHER, case_id=case.id)
        self.consent(terms.basis_id).check_covers(terms.purpose, terms.recipient_id, terms.categories, context.at)
        recipient.agreement_for(terms.purpose, context.at)

    def _check_second_person(self, context: Context, disclosure_id: UUID) -> Disclosure:
        disclosure = self.disclosure(disclosure_id)
        if disclosure.state != "requested":
            raise RuleRefused(rules.DISCLOSURE_STATE, disclosure_id=disclosure_id)
        if disclosure.requester == context.actor.principal:
            raise RuleRefused(rules.AUTHORISED_BY_REQUESTER, disclosure_id=disclosure_id)
        return disclosure

    def on_DisclosureRequested(self, event: DisclosureRequested) -> None:  # noqa: D102
        assert event.case_id is not None
        terms = DisclosureTerms(
            event.case_id,
            event.recipient_id,
            event.disclosure_purpose,
            event.categories,
            event.basis_type,
            event.basis_id,
        )
        self.disclosures[event.disclosure_id] = Disclosure(
            event.disclosure_id, terms, "requested", event.context.actor.principal
        )

    def on_DisclosureAuthorized(self, event: DisclosureAuthorized) -> None:  # noqa: D102
        self._take_disclosure(event, "authorized")

    def on_DisclosureDenied(self, event: DisclosureDenied) -> None:  # noqa: D102
        self._take_disclosure(event, "denied")

    def on_DisclosureReleased(self, event: DisclosureReleased) -> None:  # noqa: D102
        self._take_disclosure(event, "released")
        self.disclosures[event.disclosure_id] = replace(
            self.disclosures[event.disclosure_id], source_event_ids=event.source_event_ids
        )

    def on_DisclosureCancelled(self, event: DisclosureCancelled) -> None:  # noqa: D102
        self._take_disclosure(event, "cancelled")

    def _take_disclosure(self, event: Event, state: str) -> None:
        disclosure_id = event.disclosure_id  # type: ignore[attr-defined]
        self.disclosures[disclosure_id] = replace(self.disclosures[disclosure_id], state=state)
