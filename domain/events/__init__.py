"""The event vocabulary: past tense, one module per part of the domain.

Importing this package registers every event type in :data:`EVENT_TYPES`.
"""

from domain.events import case, certificate, consent, disclosure, hold, parties, person, rights
from domain.events.base import EVENT_TYPES, Context, CreatedEvent, Event

__all__ = [
    "EVENT_TYPES",
    "Context",
    "CreatedEvent",
    "Event",
    "case",
    "certificate",
    "consent",
    "disclosure",
    "hold",
    "parties",
    "person",
    "rights",
]
