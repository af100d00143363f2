"""What every event has: who, why, on what basis, when, and which people it is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from eventsourcing.domain import CanInitAggregate, CanMutateAggregate, DomainEvent
from eventsourcing.utils import register_topic

from domain.record import Actor
from domain.sealed import Binding, SealedField, SealedPart


@dataclass(frozen=True)
class Context:
    """The circumstances of a command, the same for all its events."""

    at: datetime
    actor: Actor
    producer: str
    purpose: str
    legal_basis: str
    policy_version: str
    correlation_id: UUID
    causation_id: UUID | None = None


class Event(CanMutateAggregate[UUID], DomainEvent):
    """An event of casekeeper; its topic in the log is its class name, which therefore never changes."""

    event_id: UUID
    context: Context
    subject_ids: tuple[UUID, ...]
    case_id: UUID | None

    TOPIC: ClassVar[str]
    SCHEMA: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.TOPIC = cls.__name__

    def apply(self, aggregate: Any) -> None:
        """Let the aggregate take the event in."""
        aggregate.when(self)

    def sealed_field(self, field: str) -> SealedField | None:
        """Return a sealed part of this event with its binding, or ``None`` when it carries none."""
        part: SealedPart | None = getattr(self, field)
        if part is None:
            return None
        return SealedField(
            part,
            Binding(part.subject_id, self.originator_id, self.event_id, self.TOPIC, self.SCHEMA, field),
        )


class CreatedEvent(CanInitAggregate[UUID], Event):
    """The first event of a stream; ``AGGREGATE`` is the topic of the aggregate it creates."""

    originator_topic: str

    AGGREGATE: ClassVar[str]


EVENT_TYPES: dict[str, type[Event]] = {}
"""Every event type by its topic."""


def published(event_class: type[Event]) -> type[Event]:
    """Register an event class under its topic, for the log, the registry of fields and the schemas."""
    register_topic(event_class.TOPIC, event_class)
    EVENT_TYPES[event_class.TOPIC] = event_class
    return event_class
