"""The relay: publishes every event of the store to the topic, in order, and keeps the two copies in agreement.

One is active. It never trusts a saved cursor: it finds how far the topic goes by reading its end, when it starts and
after anything unexpected. Only when store and topic were compared does the store take writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from threading import Event

import structlog

from application import metrics
from application.settings import Settings
from consumers import topics
from consumers.batch_producer import BatchProducer
from consumers.leadership import Leadership
from consumers.published import RecordMac
from consumers.reconcile import Reconciler
from consumers.store_ahead import StoreAhead
from consumers.tail import Bounds, TopicTail
from consumers.topic_reader import TopicReader
from consumers.travel_log import TravelLog
from domain.errors import KafkaUnavailable, StoreUnavailable
from store.log import EventLog
from store.refill import admit_without_topic

_ELECTION_SECONDS = 1.0
_WAIT_SECONDS = 0.5
_LOOK_SECONDS = 1.0

log = structlog.get_logger()


class Relay:
    """Runs in one thread, while it leads. ``report`` is told how it is: a state and an error's class.

    ``before_admitting`` is called whenever the store is about to take writes, and given what says that it goes on.
    """

    grace_seconds = 10.0
    """How long the topic may be out of reach before the store takes writes without having been compared with it."""

    def __init__(
        self,
        settings: Settings,
        store: EventLog,
        mac: RecordMac,
        report: Callable[[str, str], None],
        before_admitting: Callable[[Callable[[], None]], object] = lambda alive: None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._mac = mac
        self._report = report
        self._before_admitting = before_admitting
        self._topic = settings.topic(topics.EVENTS)
        self._looked = 0.0
        self._heard = 0.0
        self._lost_at: float | None = None
        self._seen = 0
        self._position = 0
        self._acknowledged = 0.0
        self._travel = TravelLog("published", topic=self._topic)

    def run(self, stop: Event) -> None:
        """Wait to lead, then publish until told to stop, somebody else leads, or the topic has to be looked at anew.

        Raises ``RetriableError``: then run again. ``LogDiverged``, ``LogGap``: then it is halted, and the store takes
        no writes that it has not admitted yet.
        """
        name = f"{self._settings.topic_prefix}relay"
        with Leadership(self._settings.events_dsn, name, StoreUnavailable) as leadership:
            while not leadership.acquire():
                self._report("waiting", "")
                # Another leads and tells how far it is. This one, when it leads again, goes on from what it knew.
                metrics.relay_position.number = metrics.relay_acknowledged.number = None
                self._forget_outage()
                if stop.wait(_ELECTION_SECONDS):
                    return
            self._acknowledged = self._acknowledged or time.time()
            self._tell()
            tail, bounds = self._begin(leadership)
            try:
                self._lead(tail, bounds, leadership, stop)
            finally:
                self._travel.close()
                tail.close()

    def producer(self) -> BatchProducer:
        """Return a new producer for the topic. Raises ``KafkaUnavailable``."""
        return BatchProducer(self._settings.brokers, self._topic, self._mac)

    def _tell(self) -> None:
        """Tell what is known of the topic, also where no broker was ever reached: an alert compares these two."""
        metrics.relay_position.number, metrics.relay_acknowledged.number = self._position, self._acknowledged

    def _begin(self, leadership: Leadership) -> tuple[TopicTail, Bounds]:
        """Reach the topic and compare the store with it; while that cannot be done for long, do without."""
        self._heard = time.monotonic()
        try:
            topics.ensure_topics(self._settings)
            with ExitStack() as opened:
                tail = TopicTail(self._settings.brokers, self._topic, self._mac)
                opened.callback(tail.close)
                bounds = self._agree(tail, leadership)
                opened.pop_all()
            return tail, bounds
        except KafkaUnavailable:
            self._do_without(leadership)
            raise

    def _forget_outage(self) -> None:
        """Count an outage that comes from its own beginning, where whoever leads has seen the end of the one before."""
        if self._lost_at is not None:
            with suppress(StoreUnavailable):
                self._lost_at = None if self._store.admission().admitted else self._lost_at

    def _do_without(self, leadership: Leadership) -> None:
        """Let writes go on, on the word of this machine's head file, once the topic was out of reach for long.

        Out of reach is also one partition without a leader, while brokers answer.
        """
        self._lost_at = self._lost_at or self._heard
        if not leadership.held():
            return
        if time.monotonic() - self._lost_at > self.grace_seconds and not self._store.admission().admitted:
            # A store that was found behind the topic stays closed until the rest of it could be copied back.
            alive = self._leading(leadership)
            self._before_admitting(alive)
            alive()
            admit_without_topic(self._store, self._seen)
            log.warning("writes admitted without the topic")

    def _lead(self, tail: TopicTail, agreed: Bounds, leadership: Leadership, stop: Event) -> None:
        sending, store = self.producer(), StoreAhead(self._store)
        bounds: Bounds | None = agreed
        try:
            while bounds is not None and not stop.is_set() and leadership.held():
                self._report("running", "")
                bounds = self._publish(store, sending, tail, bounds) if self._still_agreed(tail, bounds) else None
        finally:
            store.close()
            sending.close()

    def _agree(self, tail: TopicTail, leadership: Leadership) -> Bounds:
        """Compare store and topic, mend what is behind, and admit writes; return where the topic ends."""
        self._report("running", "")
        reader = partial(TopicReader, self._settings.brokers, self._topic, self._mac)
        reconciler = Reconciler(self._store, tail, reader, self._leading(leadership), self._before_admitting)
        try:
            agreed = reconciler.agree()
        finally:
            self._seen = max(self._seen, tail.seen)
        self._looked = time.monotonic()
        self._lost_at = None
        self._position = agreed.position
        self._tell()
        log.info("relay agrees", position=agreed.position, offset=agreed.bounds.end)
        return agreed.bounds

    def _leading(self, leadership: Leadership) -> Callable[[], None]:
        """Return what is called during a comparison: it says that it goes on, and ends it once somebody else leads."""
        asked = time.monotonic()

        def alive() -> None:
            nonlocal asked
            self._heard = time.monotonic()
            self._report("running", "")
            if time.monotonic() - asked < _LOOK_SECONDS:
                return
            if not leadership.held():
                raise StoreUnavailable("another worker leads the relay now")
            asked = time.monotonic()

        return alive

    def _still_agreed(self, tail: TopicTail, bounds: Bounds) -> bool:
        """Look now and then whether the topic was remade or the database restarted: then all is compared anew."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return True
        self._looked = time.monotonic()
        return self._same_topic(tail, bounds) and self._store.admission().admitted

    def _same_topic(self, tail: TopicTail, then: Bounds) -> bool:
        now = tail.bounds()
        return now is not None and (now.topic_id, now.begin) == (then.topic_id, then.begin) and now.end >= then.end

    def _publish(self, store: StoreAhead, sending: BatchProducer, tail: TopicTail, bounds: Bounds) -> Bounds | None:
        """Publish what follows, or wait for it; return where the topic ends then.

        ``None`` when the broker put it where it cannot be in this topic.
        """
        records = store.batch(self._position + 1)
        self._travel.look()
        if not records:
            self._store.wait_for_append(_WAIT_SECONDS)
            return bounds
        offset = sending.publish(records, lambda: self._same_topic(tail, bounds))
        if offset < bounds.end:
            return None
        self._position = records[-1].position
        self._seen = max(self._seen, self._position)
        self._acknowledged = time.time()
        self._tell()
        metrics.RELAY_PUBLISHED.inc(by=len(records))
        self._travel.moved(records[0].position, records[-1].position, offset=offset)
        return Bounds(bounds.topic_id, bounds.begin, offset + len(records))
