"""Brings store and topic into agreement before the store takes writes.

The topic is behind: nothing to do here, the relay publishes the rest. The store is behind, restored from before:
what the topic has more is verified and copied back, fences included. The topic has lost its beginning, or was made
anew while a batch was under way: once nothing on it is missing from the store, it is emptied, to be published again
from position 1. Where the two differ at one position, everything stops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

import structlog

from consumers.published import Published
from consumers.tail import Bounds, Tail, TopicTail
from consumers.topic_reader import TopicReader
from domain.errors import KafkaUnavailable, LogDiverged, LogGap
from domain.record import Record
from store.append import Fence, NewEvent
from store.log import EventLog
from store.refill import bring_up_to_topic

log = structlog.get_logger()


@dataclass(frozen=True)
class Agreed:
    """The position up to which the topic is the store's copy, and the topic's bounds at that moment."""

    position: int
    bounds: Bounds


class Reconciler:
    """Compares store and topic. ``alive`` is called during what may take long, and before anything is changed.

    ``before_admitting`` is called before writes are admitted, every time: whether events were copied back, by whom, and
    what followed is not known after a failure. It is given ``alive``; what it raises leaves the store closed.
    """

    def __init__(
        self,
        store: EventLog,
        tail: TopicTail,
        reader: Callable[[], TopicReader],
        alive: Callable[[], None],
        before_admitting: Callable[[Callable[[], None]], object] = lambda alive: None,
    ) -> None:
        self._store = store
        self._tail = tail
        self._reader = reader
        self._alive = alive
        self._before_admitting = before_admitting

    def agree(self) -> Agreed:
        """Compare, mend and admit writes.

        Raises ``LogDiverged`` when store and topic differ, ``LogGap`` when the store lacks what the topic has lost too;
        ``KafkaUnavailable``, ``StoreUnavailable``, and what ``before_admitting`` raises.
        """
        bounds = self._tail.bounds()
        if bounds is None:
            raise KafkaUnavailable("Kafka: the topic of events is missing")
        found = self._tail.read(bounds, self._alive)
        admission = self._store.admission()
        self._bring_up(found, admission.head)
        agreed = Agreed(found.position, bounds) if found.whole else self._empty(bounds)
        if not admission.admitted:
            self._before_admitting(self._alive)
            self._alive()
            self._store.admit_writes(admission.incarnation, found.position)
        return agreed

    def _bring_up(self, found: Tail, head: int) -> None:
        """Compare what both have last, and copy back what only the topic has."""
        if found.position <= head:
            bring_up_to_topic(self._store, _events([found.last] if found.last else []), fences_of)
            return
        log.warning("store behind topic", position=head, found=found.position)
        reader = self._reader()
        try:
            reached = bring_up_to_topic(
                self._store, _events(self._watched(reader.published(max(0, head - 1)))), fences_of
            )
        finally:
            reader.close()
        if reached.end < found.position:
            raise LogGap(reached.end + 1, found.position)
        log.info("store refilled", first=head + 1, last=reached.end, count=reached.copied)

    def _empty(self, bounds: Bounds) -> Agreed:
        """Empty the topic, when the store has all that is on it."""
        for published in self._watched(self._tail.everything(bounds, self._alive)):
            bring_up_to_topic(self._store, _events([published]), fences_of)
        log.warning("topic not whole: published again", offset=bounds.end)
        self._alive()
        self._tail.discard(bounds)
        return Agreed(0, Bounds(bounds.topic_id, bounds.end, bounds.end))

    def _watched(self, records: Iterable[Published]) -> Iterator[Published]:
        for published in records:
            self._alive()
            yield published


def fences_of(record: bytes) -> Iterator[Fence]:
    """Yield what a record fences if it is ``ErasureFenced``: its key scopes and, for a whole person, the person."""
    event = Record.parse(0, record)
    if event.type != "ErasureFenced":
        return
    certificate_id = UUID(event.data["certificate_id"])
    if event.data["whole_person"]:
        yield Fence(event.stream_id, "subject", certificate_id, event.occurred_at)
    for scope_id in event.data["scope_ids"]:
        yield Fence(UUID(scope_id), "scope", certificate_id, event.occurred_at)


def _events(records: Iterable[Published]) -> Iterator[tuple[int, NewEvent]]:
    for published in records:
        try:
            yield published.position, NewEvent.parse(published.position, published.value)
        except (ValueError, KeyError, TypeError):
            raise LogDiverged(published.position) from None
