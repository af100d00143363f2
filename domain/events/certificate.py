"""Events that follow a certified erasure: its signed documents, and what supplements it (GDPR Art. 19, clause 7.2).

They are in the person's stream, and carry nothing sealed: they can be recorded about a person whose keys are gone.
"""

from __future__ import annotations

from typing import Annotated

from domain.certificate_form import SIGNED_DOCUMENT
from domain.events.base import Event, published
from domain.registry import Channel, Delivery, DestructionMethod, Id, Ids, Number, PublicKey, Time

SignedDocument = Annotated[str, SIGNED_DOCUMENT]


@published
class CertificateSigned(Event):
    """The certificate (number 0), or a supplement to it (from 1 on), as it was signed under this Ed25519 key."""

    request_id: Id
    certificate_id: Id
    number: Number
    signing_key: PublicKey
    document: SignedDocument


@published
class RecipientNotificationScheduled(Event):
    """A recipient of what was erased is to be told of the erasure until then (GDPR Art. 19)."""

    request_id: Id
    certificate_id: Id
    recipient_id: Id
    disclosure_ids: Ids
    due: Time


@published
class RecipientNotifiedOfErasure(Event):
    """A recipient was sent word of the erasure; it was delivered, or came back."""

    request_id: Id
    certificate_id: Id
    recipient_id: Id
    channel: Channel
    sent: Time
    delivery: Delivery


@published
class RecipientAcknowledgedErasure(Event):
    """A recipient confirmed that it was told of the erasure."""

    request_id: Id
    certificate_id: Id
    recipient_id: Id
    channel: Channel
    acknowledged: Time


@published
class PaperDestructionReported(Event):
    """Somebody destroyed paper records of the person; a second person has yet to confirm it."""

    request_id: Id
    certificate_id: Id
    report_id: Id
    method: DestructionMethod
    documents: Number
    destroyed: Time


@published
class PaperRecordsDestroyed(Event):
    """A second person confirmed that paper records were destroyed as reported."""

    request_id: Id
    certificate_id: Id
    report_id: Id
    method: DestructionMethod
    documents: Number
    destroyed: Time
