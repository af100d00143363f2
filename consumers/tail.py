"""How far the events topic really goes, found by reading its end: no saved cursor can be trusted to say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from kafka import KafkaConsumer, TopicPartition

from application.brokers import Brokers
from consumers.clients import CLOSE_MS, REQUEST_MS, admin, consumer, kafka_errors
from consumers.published import Published, RecordMac
from domain.errors import KafkaUnavailable

GLANCE = 64_000
"""Offsets at each end of the topic among which a glance looks for our records: some seconds' reading."""
_WINDOW = 1_000
_POLL_MS = 250
_FETCH_BYTES = 256 * 1024
"""Small, so that a slow connection, too, is seen to progress; a batch that is larger comes whole all the same."""
_SILENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Bounds:
    """Which topic this is and its first and next offsets; another ``topic_id`` means deleted and made anew."""

    topic_id: UUID
    begin: int
    end: int


@dataclass(frozen=True)
class Tail:
    """The last record of the topic, ``None`` when it has none of ours.

    ``whole``: positions follow one another as far as was read. Not so, the topic was made anew under a send, or has
    lost its beginning.
    """

    bounds: Bounds
    last: Published | None
    whole: bool

    @property
    def position(self) -> int:
        """Return the position that the topic has come to, 0 when empty."""
        return self.last.position if self.last else 0


class TopicTail:
    """Looks at the ends of the events topic. For one thread; close it after use. Methods raise ``KafkaUnavailable``."""

    def __init__(self, brokers: Brokers | str, topic: str, mac: RecordMac) -> None:
        self._topic = topic
        self._mac = mac
        self._partition = TopicPartition(topic, 0)
        self.seen = 0
        """The highest position of ours that was read, also where reading ended in an error."""
        self._admin = admin(brokers)
        self._consumer: KafkaConsumer = consumer(
            brokers, auto_offset_reset="none", max_partition_fetch_bytes=_FETCH_BYTES
        )
        self._consumer.assign([self._partition])

    def bounds(self) -> Bounds | None:
        """Return the topic's identity and offsets, ``None`` when there is no such topic."""
        with kafka_errors():
            described = self._admin.describe_topics([self._topic])[0]
            if described["error_code"] != 0:
                return None
            begin = self._consumer.beginning_offsets([self._partition], timeout_ms=REQUEST_MS)[self._partition]
            end = self._consumer.end_offsets([self._partition], timeout_ms=REQUEST_MS)[self._partition]
        return Bounds(UUID(str(described["topic_id"])), begin, end)

    def read(self, bounds: Bounds, alive: Callable[[], None] = lambda: None) -> Tail:
        """Read the topic's first record and its last ones; everything, where these do not follow one another.

        ``alive`` is called from time to time.
        """
        first = next(self._between(bounds.begin, bounds.end, alive), None)
        if first is None:
            return Tail(bounds, None, whole=True)
        last, whole = self._from_end(bounds, bounds.begin, alive)
        if last is None or not whole or first.position != 1 or not _fills(last, bounds):
            last, whole = _follow(self.everything(bounds, alive))
        return Tail(bounds, last, whole=whole and first.position == 1)

    def glance(self, bounds: Bounds) -> tuple[int | None, int | None]:
        """Return the positions of our first and our last record: 0 where there is none, ``None`` where noise hides it.

        Noise: the :data:`GLANCE` offsets at that end have no record of ours, and there are more.
        """
        stop, start = min(bounds.end, bounds.begin + GLANCE), max(bounds.begin, bounds.end - GLANCE)
        first = next(self._between(bounds.begin, stop, lambda: None), None)
        last, _ = self._from_end(bounds, start, lambda: None)
        nowhere = 0 if stop == bounds.end else None
        return first.position if first else nowhere, last.position if last else nowhere

    def everything(self, bounds: Bounds, alive: Callable[[], None]) -> Iterator[Published]:
        """Yield all our records in the order of their offsets."""
        return self._between(bounds.begin, bounds.end, alive)

    def discard(self, bounds: Bounds) -> None:
        """Delete what the topic holds, so that it can be published again from position 1."""
        with kafka_errors():
            self._admin.delete_records({self._partition: bounds.end})

    def close(self) -> None:
        """Close the connections to Kafka."""
        self._consumer.close(timeout_ms=CLOSE_MS)
        self._admin.close()

    def _from_end(self, bounds: Bounds, least: int, alive: Callable[[], None]) -> tuple[Published | None, bool]:
        """Return what :func:`_follow` does of the last offsets that have records of ours, none of them below ``least``.

        What was read is not read again, and each step back is twice as long: so strangers' records, however many, take
        time in proportion.
        """
        start, window, last, whole = bounds.end, _WINDOW, None, True
        while last is None and start > least:
            start, stop, window = max(least, start - window), start, 2 * window
            last, whole = _follow(self._between(start, stop, alive))
        return last, whole

    def _between(self, start: int, stop: int, alive: Callable[[], None]) -> Iterator[Published]:
        """Yield our records at offsets from ``start`` to before ``stop``."""
        offset, progressed = start, time.monotonic()
        while offset < stop:
            alive()
            with kafka_errors():
                if offset == start:
                    self._consumer.seek(self._partition, start)
                page = self._consumer.poll(timeout_ms=_POLL_MS).get(self._partition, ())
                reached = int(self._consumer.position(self._partition, timeout_ms=REQUEST_MS) or 0)
            if reached > offset:
                offset, progressed = reached, time.monotonic()
            elif time.monotonic() - progressed > _SILENCE_SECONDS:
                raise KafkaUnavailable("Kafka: records are there and do not come")
            for message in page:
                published = self._mac.verified(message)
                if published is not None and message.offset < stop:
                    self.seen = max(self.seen, published.position)
                    yield published


def _fills(last: Published, bounds: Bounds) -> bool:
    """Return whether every offset up to the record has a position of its own.

    Where one has not, somebody's records or copies of ours lie between, and what stands last need not be the end.
    """
    return last.offset - bounds.begin + 1 == last.position


def _follow(records: Iterable[Published]) -> tuple[Published | None, bool]:
    """Return the record with the highest position, and whether positions follow one another without a gap."""
    last, whole = None, True
    for published in records:
        if last is None or published.position > last.position:
            whole = whole and (last is None or published.position == last.position + 1)
            last = published
    return last, whole
