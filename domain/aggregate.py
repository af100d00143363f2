"""The base of our aggregates: decides, records, and takes its own events in."""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID

from eventsourcing.domain import BaseAggregate

from domain.events.base import Context, Event


class Decisions:
    """A group of decisions of one aggregate, kept in a module of its own and mixed into the aggregate."""

    id: Any

    def record(
        self, event_class: type[Event], context: Context, event_id: UUID, *, case_id: UUID | None = None, **fields: Any
    ) -> None:
        """Trigger an event of this stream."""
        raise NotImplementedError


class DecidingAggregate(BaseAggregate[UUID]):
    """An aggregate whose events carry a context, an id of their own and the people they are about."""

    def record(
        self, event_class: type[Event], context: Context, event_id: UUID, *, case_id: UUID | None = None, **fields: Any
    ) -> None:
        """Trigger an event of this stream."""
        self.trigger_event(
            event_class,
            timestamp=context.at,
            context=context,
            event_id=event_id,
            subject_ids=self.concerned(),
            case_id=case_id,
            **fields,
        )

    def copy(self) -> Self:
        """Return this aggregate once more: collections of its own, whose items never change."""
        made = object.__new__(type(self))
        made.__dict__.update(
            {
                name: value.copy() if isinstance(value, dict | set | list) else value
                for name, value in vars(self).items()
            }
        )
        return made

    def concerned(self) -> tuple[UUID, ...]:
        """Return the people that this stream's events are about."""
        return ()

    def when(self, event: Event) -> None:
        """Take an event in: calls the method named for it, ``on_ConsentGranted`` for ``ConsentGranted``."""
        handler = getattr(self, f"on_{event.TOPIC}", None)
        if handler is not None:
            handler(event)
