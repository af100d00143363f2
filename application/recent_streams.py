"""Aggregates that were just used, so that the next command on one of them reads and folds only what is new.

They hold what their events hold: personal data sealed. Nothing is trusted because it is kept: the last event known is
read again with what follows it, and where the log has another event at its place (a database put back to an older
state) the whole stream is read anew. What a decision relied on is checked once more when it is appended.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from application.record_mapper import RecordMapper
from domain.aggregate import DecidingAggregate
from domain.events.base import Event
from store.append import NewEvent, StoredRecord
from store.log import EventLog

MOST_BYTES = 32 * 1024 * 1024
"""Most bytes of records whose state is kept; beyond, the aggregate that was used longest ago is forgotten."""
LONGEST_BYTES = 4 * 1024 * 1024
"""An aggregate of more than these is not kept."""


@dataclass(frozen=True)
class _Known:
    """The state after a stream's event ``last_id``, and the bytes of all records it was made of."""

    aggregate: DecidingAggregate
    last_id: UUID
    size: int


class RecentStreams:
    """Makes aggregates of their streams, for all threads of a process."""

    def __init__(self, log: EventLog, mapper: RecordMapper, most_bytes: int = MOST_BYTES) -> None:
        self._log = log
        self._mapper = mapper
        self._most = most_bytes
        self._lock = threading.Lock()
        self._size = 0
        self._known: OrderedDict[UUID, _Known] = OrderedDict()

    def load(self, stream_id: UUID) -> DecidingAggregate | None:
        """Return an aggregate as its stream is in the log now, the caller's own. Raises ``StoreUnavailable``."""
        known = self._find(stream_id)
        if known is not None:
            records = self._log.read_stream(stream_id, known.aggregate.version - 1)
            if records and records[0].event_id == known.last_id:
                return self._fold(known.aggregate.copy(), known.size, records[1:])
        records = self._log.read_stream(stream_id)
        return self._fold(None, 0, records) if records else None

    def appended(self, aggregates: Sequence[DecidingAggregate], events: Sequence[NewEvent]) -> None:
        """Keep aggregates that were just appended to; they are nobody else's any more."""
        for aggregate in aggregates:
            own = [event for event in events if event.stream_id == aggregate.id]
            known = self._find(aggregate.id)
            before = known.size if known is not None else 0
            if own and (known is not None or own[0].version == 1):
                self._keep(aggregate, own[-1].event_id, before + sum(len(event.record) for event in own))

    def _find(self, stream_id: UUID) -> _Known | None:
        with self._lock:
            known = self._known.get(stream_id)
            if known is not None:
                self._known.move_to_end(stream_id)
            return known

    def _fold(self, aggregate: DecidingAggregate | None, size: int, new: Sequence[StoredRecord]) -> DecidingAggregate:
        for record in new:
            stored = StoredEvent(record.stream_id, record.version, record.type, record.record)
            aggregate = cast(Event, self._mapper.to_domain_event(stored)).mutate(aggregate)
        assert aggregate is not None
        if new:
            self._keep(aggregate.copy(), new[-1].event_id, size + sum(len(record.record) for record in new))
        return aggregate

    def _keep(self, aggregate: DecidingAggregate, last_id: UUID, size: int) -> None:
        with self._lock:
            replaced = self._known.pop(aggregate.id, None)
            self._size -= replaced.size if replaced else 0
            if size <= LONGEST_BYTES:
                self._known[aggregate.id] = _Known(aggregate, last_id, size)
                self._size += size
            while self._size > self._most:
                self._size -= self._known.popitem(last=False)[1].size
