"""Events in a person's stream about the person: registration, notices, engagement."""

from __future__ import annotations

from domain.events.base import CreatedEvent, Event, published
from domain.registry import Language, Number, PolicyVersion, SealedIdentity


@published
class SubjectRegistered(CreatedEvent):
    """A person was registered with their identity (policy clauses 1.1 and 1.2)."""

    AGGREGATE = "Subject"

    engagement: Number
    language: Language
    identity: SealedIdentity


@published
class EngagementStarted(Event):
    """The person engaged the service once more: what is recorded from here on is sealed under keys of its own."""

    engagement: Number
    language: Language
    identity: SealedIdentity


@published
class NoticeServed(Event):
    """The privacy notice of one policy version was shown to the person (policy clause 1.1)."""

    notice_version: PolicyVersion
    language: Language
