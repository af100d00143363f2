"""A publishing service: who may put commands on the inbox, and the key it signs with."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from domain.aggregate import DecidingAggregate
from domain.events.base import Context
from domain.events.parties import PublisherRegistered, PublisherRevoked


class Publisher(DecidingAggregate):
    """A publisher's stream; its id is the ``kid`` of its signatures."""

    TOPIC = "Publisher"

    def __init__(self) -> None:
        """Start unrevoked."""
        self.service = ""
        self.public_key = ""
        self.revoked = False

    @classmethod
    def register(cls, context: Context, event_id: UUID, publisher_id: UUID, service: str, public_key: str) -> Self:
        """Register a service with its Ed25519 public key (base64url, RFC 8037)."""
        return cls._create(
            PublisherRegistered,
            id=publisher_id,
            timestamp=context.at,
            context=context,
            event_id=event_id,
            subject_ids=(),
            case_id=None,
            service=service,
            public_key=public_key,
        )

    def revoke(self, context: Context, event_id: UUID) -> None:
        """Stop accepting the key; a second revocation changes nothing."""
        if not self.revoked:
            self.record(PublisherRevoked, context, event_id)

    def on_PublisherRegistered(self, event: PublisherRegistered) -> None:  # noqa: D102
        self.service = event.service
        self.public_key = event.public_key

    def on_PublisherRevoked(self, event: PublisherRevoked) -> None:  # noqa: D102
        self.revoked = True
