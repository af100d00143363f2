"""Reads the events topic: every position once, in order, whatever else lies on it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError

from application.brokers import Brokers
from consumers.clients import CLOSE_MS, consumer, kafka_errors
from consumers.published import Published, RecordMac
from domain.errors import LogGap
from domain.record import Record

PAGE = 500
_LOOK_AGAIN_SECONDS = 2.0
_ANSWER_MS = 2_000
_MOVED = (LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError)


class TopicReader:
    """A reader for one thread at a time. Close it after use.

    A record without the relay's code is set aside and counted in ``foreign``; a position seen before is skipped.
    ``begun``: how often reading began at another place than where it was, as after the topic was made anew.
    ``at_end``: when last looked, every record of the topic had been read, and none was of a position still to come.
    Every position takes at least one offset, so position p + 1 cannot lie before the p-th record: that is where
    reading after p starts, and no offset need be remembered. The topic may be deleted and made anew meanwhile.
    """

    def __init__(self, brokers: Brokers | str, topic: str, mac: RecordMac) -> None:
        self.foreign = 0
        self.at_end = False
        self.begun = 0
        self._brokers = brokers
        self._partition = TopicPartition(topic, 0)
        self._mac = mac
        self._consumer: KafkaConsumer | None = None
        self._reached: int | None = None
        self._searched: int | None = None
        self._one_seen = False
        self._highest = 0
        self._checked = 0.0
        self._stuck_at: int | None = None

    def read(self, after: int, *, limit: int = PAGE, timeout: float = 0.5) -> list[Published]:
        """Return records ``after + 1``, ``after + 2``, …, at most ``limit``; empty if none came in ``timeout`` seconds.

        Raises ``LogGap`` when the topic, read from its start, goes on with a later position; ``KafkaUnavailable``.
        """
        with kafka_errors():
            client = self._client()
            if self._reached != after:
                self._seek(client, after)
            try:
                page = client.poll(timeout_ms=int(timeout * 1000), max_records=limit).get(self._partition, ())
            except _MOVED:
                self._reached = None
                return []
            self.at_end = self.at_end and not page
            if not page:
                self._look_again(client)
        found: list[Published] = []
        for message in page:
            if not self._take(message, found):
                break
        return found

    def records(self, after: int = 0) -> Iterator[Record]:
        """Yield the events after a position up to the end of the topic at the time of the call."""
        for published in self.published(after):
            yield published.record()

    def published(self, after: int = 0) -> Iterator[Published]:
        """Yield the published records after a position up to the end of the topic at the time of the call."""
        end = self._end()
        self._reached = None
        while self._reached is None or self._offset() < end:
            page = self.read(after)
            for published in page:
                after = published.position
                yield published
            if not page:
                end = min(end, self._end())

    def close(self) -> None:
        """Close the connection to Kafka."""
        if self._consumer is not None:
            self._consumer.close(timeout_ms=CLOSE_MS)
            self._consumer = None
            self._reached = None

    def _client(self) -> KafkaConsumer:
        if self._consumer is None:
            self._consumer = consumer(self._brokers, auto_offset_reset="none")
            self._consumer.assign([self._partition])
        return self._consumer

    def _offset(self) -> int:
        with kafka_errors():
            return int(self._client().position(self._partition, timeout_ms=_ANSWER_MS) or 0)

    def _end(self) -> int:
        with kafka_errors():
            return self._bounds(self._client())[1]

    def _bounds(self, client: KafkaConsumer) -> tuple[int, int]:
        begin = client.beginning_offsets([self._partition], timeout_ms=_ANSWER_MS)[self._partition]
        end = client.end_offsets([self._partition], timeout_ms=_ANSWER_MS)[self._partition]
        return begin, end

    def _seek(self, client: KafkaConsumer, after: int, *, from_start: bool = False) -> None:
        begin, end = self._bounds(client)
        client.seek(self._partition, begin if from_start else min(begin + after, end))
        self._reached = after
        self.begun += 1
        self._one_seen = self.at_end = False
        self._highest = 0
        self._checked = time.monotonic()

    def _take(self, message: object, found: list[Published]) -> bool:
        """Take one message in; return False when reading starts over from the topic's start."""
        published = self._mac.verified(message)
        assert self._reached is not None
        if published is None:
            self.foreign += 1
            return True
        self._highest = max(self._highest, published.position)
        self._one_seen = self._one_seen or published.position == 1
        if published.position == self._reached + 1:
            found.append(published)
            self._reached += 1
        elif published.position > self._reached + 1:
            if found:
                # What came before it is handed out first; the next call meets this one again.
                self._reached = None
                return False
            return self._ahead(published)
        return True

    def _ahead(self, published: Published) -> bool:
        """A position too high: a gap, unless the topic was made anew and begins with what was under way just then."""
        assert self._reached is not None
        if self._searched != self._reached:
            # Perhaps another topic of the same name by now: what comes next is looked for from its start, once.
            self._searched = self._reached
            with kafka_errors():
                self._seek(self._client(), self._reached, from_start=True)
            return False
        if self._one_seen:
            raise LogGap(self._reached + 1, published.position)
        return True

    def _look_again(self, client: KafkaConsumer) -> None:
        """Make sure, now and then, that silence means the end: not a topic made anew, nor a client that hangs."""
        if time.monotonic() - self._checked < _LOOK_AGAIN_SECONDS:
            return
        self._checked = time.monotonic()
        _, end = self._bounds(client)
        offset = client.position(self._partition, timeout_ms=_ANSWER_MS)
        self.at_end = offset == end and self._highest <= (self._reached or 0)
        if offset is None or offset > end or offset == self._stuck_at:
            self.close()
        self._stuck_at = offset if offset is not None and offset < end else None
