"""Events of the disclosure ledger, in the person's stream (policy clause 3)."""

from __future__ import annotations

from domain.events.base import Event, published
from domain.registry import BasisType, Categories, Id, Ids, Purpose, SealedCorrespondence


@published
class DisclosureRequested(Event):
    """Somebody asked that data of these categories be disclosed to a recipient, on this basis."""

    disclosure_id: Id
    recipient_id: Id
    disclosure_purpose: Purpose
    categories: Categories
    basis_type: BasisType
    basis_id: Id


@published
class DisclosureAuthorized(Event):
    """A second person authorised the disclosure."""

    disclosure_id: Id


@published
class DisclosureDenied(Event):
    """A second person denied the disclosure."""

    disclosure_id: Id
    reason: SealedCorrespondence


@published
class DisclosureReleased(Event):
    """The data went out. Names the consent it went out under and the events it was taken from."""

    disclosure_id: Id
    recipient_id: Id
    disclosure_purpose: Purpose
    categories: Categories
    basis_type: BasisType
    basis_id: Id
    agreement_id: Id
    source_event_ids: Ids


@published
class DisclosureCancelled(Event):
    """The disclosure was called off before release."""

    disclosure_id: Id
    reason: SealedCorrespondence
