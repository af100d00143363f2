"""Events of the consent ledger, in the person's stream (policy clauses 1.2, 2 and 3)."""

from __future__ import annotations

from domain.events.base import Event, published
from domain.registry import (
    Categories,
    Id,
    Ids,
    Language,
    Method,
    OptionalTime,
    PolicyVersion,
    Purpose,
    SealedCorrespondence,
)


class _ConsentTerms(Event):
    consent_id: Id
    consent_purpose: Purpose
    recipient_ids: Ids
    categories: Categories
    notice_version: PolicyVersion
    language: Language
    method: Method
    valid_until: OptionalTime


@published
class ConsentRequested(_ConsentTerms):
    """The person was asked for consent on these terms."""


@published
class ConsentGranted(_ConsentTerms):
    """The person consented to these terms."""


@published
class ConsentRefused(_ConsentTerms):
    """The person refused these terms: a recorded answer, not a missing one."""


@published
class ConsentWithdrawn(Event):
    """The person withdrew a consent; what was disclosed before stays lawful (GDPR Art. 7(3))."""

    consent_id: Id
    reason: SealedCorrespondence


@published
class ConsentExpired(Event):
    """A consent ran out."""

    consent_id: Id
