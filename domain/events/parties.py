"""Events about other parties: recipients and their agreements, publishing services, and who read what."""

from __future__ import annotations

from domain.events.base import CreatedEvent, Event, published
from domain.registry import (
    ActorId,
    Id,
    Number,
    OptionalTime,
    PublicKey,
    Purposes,
    RecipientKind,
    Resource,
    SealedIdentity,
    Time,
)


@published
class RecipientRegistered(CreatedEvent):
    """A party to whom data may be disclosed was registered; its name is sealed, for it may be a person."""

    AGGREGATE = "Recipient"

    kind: RecipientKind
    identity: SealedIdentity


@published
class AgreementRegistered(Event):
    """The recipient agreed to confidentiality and to these purposes (policy clause 3)."""

    agreement_id: Id
    purposes: Purposes
    valid_from: Time
    valid_until: OptionalTime


@published
class PublisherRegistered(CreatedEvent):
    """A service may publish commands on the inbox, signing with this Ed25519 key (RFC 8037)."""

    AGGREGATE = "Publisher"

    service: ActorId
    public_key: PublicKey


@published
class PublisherRevoked(Event):
    """The service's key is no longer accepted."""


@published
class AccessRecorded(Event):
    """Somebody read personal data: who, about whom and for what purpose stand in the envelope.

    These events form a stream of their own, a reader's day, so that reading never contends with deciding.
    """

    resource: Resource
    fields_opened: Number
    fields_erased: Number
