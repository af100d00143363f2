"""Events of people's requests and of forgetting, in the person's stream (policy clauses 7.2 and 8)."""

from __future__ import annotations

from typing import Annotated

from domain.events.base import Event, published
from domain.registry import (
    Categories,
    Channel,
    Fingerprints,
    Flag,
    Id,
    Ids,
    Number,
    RefusalGround,
    Right,
    SealedCorrespondence,
    Time,
    VerificationMethod,
    VerificationOutcome,
    ViewPositions,
    words,
)
from domain.vocabulary import WITHHOLDING_GROUNDS

Grounds = Annotated[tuple[str, ...], words("withholding_grounds", WITHHOLDING_GROUNDS)]


@published
class RightsRequestReceived(Event):
    """A person's request came in; empty categories and cases mean everything."""

    request_id: Id
    right: Right
    channel: Channel
    categories: Categories
    case_ids: Ids
    due: Time
    statement: SealedCorrespondence


@published
class RequesterVerified(Event):
    """The requester's identity was checked, with this outcome."""

    request_id: Id
    method: VerificationMethod
    outcome: VerificationOutcome


@published
class RightsRequestRefused(Event):
    """The request was refused, on a ground the person can contest."""

    request_id: Id
    ground: RefusalGround
    explanation: SealedCorrespondence


@published
class RightsRequestExtended(Event):
    """The deadline was extended (GDPR Art. 12(3))."""

    request_id: Id
    due: Time


@published
class ErasurePreviewed(Event):
    """An officer was shown what would be erased, what would be withheld and what is already gone."""

    request_id: Id
    preview_id: Id
    erasable: Ids
    withheld: Ids
    withheld_grounds: Grounds
    gone: Ids


@published
class ErasureApproved(Event):
    """A second officer approved a preview."""

    request_id: Id
    preview_id: Id


@published
class ErasureFenced(Event):
    """The point of no return: nothing sealed to these scopes can be appended after this event."""

    request_id: Id
    certificate_id: Id
    whole_person: Flag
    scope_ids: Ids
    withheld: Ids
    withheld_grounds: Grounds


@published
class ErasureDrained(Event):
    """The keys are handed out no more; this many processes that kept keys have let go of them, or have not said so."""

    request_id: Id
    certificate_id: Id
    processes_acknowledged: Number
    processes_unanswered: Number


@published
class ErasureWithheld(Event):
    """Nothing of what was approved can be erased for now: all of it is withheld, on these grounds."""

    request_id: Id
    withheld: Ids
    withheld_grounds: Grounds


@published
class ErasureResumed(Event):
    """What was withheld can be erased now: the approved erasure goes on, under a certificate of its own."""

    request_id: Id


@published
class SuppressionEntered(Event):
    """Before the identity was erased, keyed MACs of what the person is recognised by were entered, until this time."""

    request_id: Id
    certificate_id: Id
    expires_at: Time


@published
class ErasureKeysDestroyed(Event):
    """The keys are gone; every view purges these scopes when it meets this event."""

    request_id: Id
    certificate_id: Id
    whole_person: Flag
    scope_ids: Ids
    destroyed_at: Time
    unrecoverable_after: Time
    root_epoch_before: Number
    root_epoch_after: Number
    fingerprints: Fingerprints


@published
class ErasureCertified(Event):
    """Every view has purged; the certificate stands."""

    request_id: Id
    certificate_id: Id
    view_positions: ViewPositions
