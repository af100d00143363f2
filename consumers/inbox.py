"""The inbox: takes commands from other services off Kafka, has each carried out once, and answers it.

An offset is committed only after the outcomes before it are durable, so a message comes at least once; the store's
record of its id makes its effect one, and its outcome the same each time. During an outage, or with a wrong keyring,
nothing is committed: the message is held and tried again, in its place in its partition.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Lock
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from application.settings import Settings
from consumers import inbox_journal, topics
from consumers.clients import CLOSE_MS, REQUEST_MS, close_producer, consumer, kafka_errors, producer
from consumers.dead_letters import DeadLetters
from consumers.inbox_handler import HELD, InboxHandler, Outcome, Raw
from domain.errors import CasekeeperError, KafkaUnavailable

GROUP = "casekeeper-inbox"
_PAGE = 400
_TAKE_SECONDS = 20.0
"""Begin no further message of a page after this long: far below the 300 s after which a member that does not poll is
put out of its group (``max.poll.interval.ms``), and whoever joins waits no longer for this one."""
_POLL_MS = 300
_FLUSH_SECONDS = 10.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_LOOK_AGAIN_SECONDS = 10.0
_CALENDAR_ENDS_MS = 253_402_300_799_000
"""The last second of the year 9999."""


@dataclass(frozen=True)
class _Lane:
    """How far a partition's page was handled: the next offset, and why it stopped there if it did."""

    partition: TopicPartition
    next_offset: int
    held: CasekeeperError | None


class Inbox:
    """One member of the inbox's consumer group.

    ``report`` is told how it is, a state and an error's class, from several threads.
    """

    def __init__(self, settings: Settings, handler: InboxHandler, report: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._handler = handler
        self._report = report
        self._dead_letters = DeadLetters(settings.brokers, settings.topic(topics.DEADLETTERS))
        self._dead_lock = Lock()
        self._pause = 0.0
        self._held = ""
        self._looked = 0.0
        self._behind: Mapping[TopicPartition, int] = {}

    def run(self, stop: Event) -> None:
        """Take messages until told to stop. Raises ``RetriableError``: then run again; nothing is lost."""
        outcomes = producer(self._settings.brokers, linger_ms=2)
        member: KafkaConsumer | None = None
        try:
            member = self._join()
            with ThreadPoolExecutor(topics.INBOX_PARTITIONS, "inbox") as lanes:
                while not stop.is_set():
                    self._say()
                    with kafka_errors():
                        pages = member.poll(timeout_ms=_POLL_MS, max_records=_PAGE)
                    if pages:
                        self._take(member, outcomes, lanes, pages, stop)
                    else:
                        self._look_again(member)
        finally:
            if member is not None:
                member.close(timeout_ms=CLOSE_MS)
            close_producer(outcomes)
            self._dead_letters.close()

    def _say(self) -> None:
        self._report("retrying" if self._held else "running", self._held)

    def _join(self) -> KafkaConsumer:
        topic = self._settings.topic(topics.INBOX)
        member = consumer(
            self._settings.brokers,
            group_id=self._settings.topic(GROUP),
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
        )
        with kafka_errors():
            # A member that leads the group before it knows the topic's partitions gives them to nobody.
            member.partitions_for_topic(topic)
            member.subscribe([topic])
        return member

    def _take(
        self,
        member: KafkaConsumer,
        outcomes: KafkaProducer,
        lanes: ThreadPoolExecutor,
        pages: Mapping[TopicPartition, Sequence[Any]],
        stop: Event,
    ) -> None:
        sent: list[Any] = []
        done = list(lanes.map(lambda page: self._lane(page[0], page[1], outcomes, sent, stop), pages.items()))
        with kafka_errors():
            outcomes.flush(timeout=_FLUSH_SECONDS)
            for future in sent:
                future.get(timeout=0)
            handled = {lane.partition: OffsetAndMetadata(lane.next_offset, "", -1) for lane in done}
            member.commit(handled, timeout_ms=REQUEST_MS)
            for lane in done:
                if lane.next_offset <= pages[lane.partition][-1].offset:
                    member.seek(lane.partition, lane.next_offset)
        held = next((lane.held for lane in done if lane.held is not None), None)
        if held is None:
            self._pause, self._held = 0.0, ""
            return
        self._pause, self._held = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE), type(held).__name__
        self._report("retrying", self._held)
        stop.wait(self._pause)

    def _look_again(self, member: KafkaConsumer) -> None:
        """Make sure, now and then, that silence means the end: a client that hangs is replaced by a new one.

        One that was given no partitions looks whether anybody takes what is there: they may be given to nobody.
        """
        if time.monotonic() - self._looked < _LOOK_AGAIN_SECONDS:
            return
        self._looked = time.monotonic()
        with kafka_errors():
            at = self._at(member)
            ends = member.end_offsets(list(at), timeout_ms=REQUEST_MS)
        behind = {partition: offset for partition, offset in at.items() if offset < ends[partition]}
        if behind.items() & self._behind.items():
            raise KafkaUnavailable("Kafka: messages are there and do not come")
        self._behind = behind

    def _at(self, member: KafkaConsumer) -> dict[TopicPartition, int]:
        """Return how far this member is in its partitions; with none, how far the group is in all."""
        if mine := member.assignment():
            return {partition: int(member.position(partition, timeout_ms=REQUEST_MS) or 0) for partition in mine}
        topic = self._settings.topic(topics.INBOX)
        every = [TopicPartition(topic, number) for number in member.partitions_for_topic(topic)]
        begins = member.beginning_offsets(every, timeout_ms=REQUEST_MS)
        return {p: max(begins[p], int(member.committed(p, timeout_ms=REQUEST_MS) or 0)) for p in every}

    def _lane(
        self, partition: TopicPartition, page: Sequence[Any], outcomes: KafkaProducer, sent: list[Any], stop: Event
    ) -> _Lane:
        """Handle a partition's messages in order, until one must be held or it has taken long; the rest comes again."""
        next_offset, until = page[0].offset, time.monotonic() + _TAKE_SECONDS
        for message in page:
            if stop.is_set() or time.monotonic() > until:
                break
            # Said for each message: a slow store makes a page take minutes, and that is no part that hangs.
            self._say()
            raw = _raw(partition, message)
            try:
                with inbox_journal.noted(raw) as note:
                    handled = note.handled = self._handler.handle(raw)
                    if handled.dead_letter is not None:
                        with self._dead_lock:
                            self._dead_letters.put(handled.dead_letter)
                    if handled.outcome is not None:
                        sent.append(self._answer(outcomes, handled.outcome, raw))
            except HELD as error:
                return _Lane(partition, next_offset, error)
            next_offset = message.offset + 1
        return _Lane(partition, next_offset, None)

    def _answer(self, outcomes: KafkaProducer, outcome: Outcome, raw: Raw) -> Any:
        topic = self._settings.topic(topics.OUTCOMES)
        value = self._handler.signed(outcome, raw)
        with kafka_errors():
            return outcomes.send(topic, key=str(outcome.message_id).encode(), value=value)


def _raw(partition: TopicPartition, message: Any) -> Raw:
    # Where somebody else made the topic, the time may be the sender's, and any number.
    sent_ms = min(max(message.timestamp or 0, 0), _CALENDAR_ENDS_MS)
    source = f"{partition.topic}/{partition.partition}/{message.offset}"
    return Raw(message.key, message.value, source, datetime.fromtimestamp(sent_ms / 1000, UTC))
