"""A recipient: whoever data is disclosed to, and the agreements that bind them (policy clause 3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from domain import rules
from domain.aggregate import DecidingAggregate
from domain.errors import RuleRefused
from domain.events.base import Context
from domain.events.parties import AgreementRegistered, RecipientRegistered
from domain.sealed import SealedField, SealedPart


@dataclass(frozen=True)
class Agreement:
    """One agreement: for which purposes, from when, until when (exclusive)."""

    id: UUID
    purposes: tuple[str, ...]
    valid_from: datetime
    valid_until: datetime | None

    def covers(self, purpose: str, at: datetime) -> bool:
        """Return whether the agreement is in force for a purpose at that moment."""
        in_time = self.valid_from <= at and (self.valid_until is None or at < self.valid_until)
        return in_time and purpose in self.purposes


class Recipient(DecidingAggregate):
    """A recipient's stream."""

    TOPIC = "Recipient"

    def __init__(self) -> None:
        """Start with no agreement."""
        self.identity: SealedField | None = None
        self.agreements: list[Agreement] = []

    def concerned(self) -> tuple[UUID, ...]:
        """Return the recipient itself: it may be a person."""
        return (self.id,)

    @classmethod
    def register(cls, context: Context, event_id: UUID, recipient_id: UUID, kind: str, identity: SealedPart) -> Self:
        """Register a recipient with its sealed name and address."""
        return cls._create(
            RecipientRegistered,
            id=recipient_id,
            timestamp=context.at,
            context=context,
            event_id=event_id,
            subject_ids=(recipient_id,),
            case_id=None,
            kind=kind,
            identity=identity,
        )

    def agree(
        self,
        context: Context,
        event_id: UUID,
        agreement_id: UUID,
        purposes: tuple[str, ...],
        valid_from: datetime,
        valid_until: datetime | None,
    ) -> None:
        """Record an agreement to confidentiality for these purposes."""
        self.record(
            AgreementRegistered,
            context,
            event_id,
            agreement_id=agreement_id,
            purposes=purposes,
            valid_from=valid_from,
            valid_until=valid_until,
        )

    def agreement_for(self, purpose: str, at: datetime) -> UUID:
        """Return the agreement in force for a purpose. Raises :class:`RuleRefused` when there is none."""
        for agreement in self.agreements:
            if agreement.covers(purpose, at):
                return agreement.id
        raise RuleRefused(rules.AGREEMENT_MISSING, recipient_id=self.id)

    def on_RecipientRegistered(self, event: RecipientRegistered) -> None:  # noqa: D102
        self.identity = event.sealed_field("identity")

    def on_AgreementRegistered(self, event: AgreementRegistered) -> None:  # noqa: D102
        self.agreements.append(Agreement(event.agreement_id, event.purposes, event.valid_from, event.valid_until))
