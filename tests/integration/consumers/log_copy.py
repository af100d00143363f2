"""A log, its relay and its topic, as the tests of the consumers use them. Events are written by hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

from kafka import KafkaConsumer, TopicPartition

from application.settings import Settings
from consumers.clients import admin
from consumers.parts import Part, Report
from consumers.published import RecordMac
from consumers.relay import Relay
from consumers.topic_reader import TopicReader
from consumers.topics import EVENTS
from consumers.worker import made_once
from store.append import AppendCommand, NewEvent
from store.log import EventLog

MAC_KEY = bytes(range(32))
AT = "2026-03-01T10:00:00.000000Z"


def record(
    type_: str = "NoticeServed", *, stream_id: UUID | None = None, version: int = 1, data: dict[str, Any] | None = None
) -> NewEvent:
    """Return an event of a new stream, its record written by hand in the published form."""
    event_id, stream = uuid4(), stream_id or uuid4()
    value = {
        "event_id": str(event_id),
        "type": type_,
        "schema_version": 1,
        "stream_id": str(stream),
        "stream_version": version,
        "occurred_at": AT,
        "recorded_at": AT,
        "actor": {"issuer": "https://issuer.example", "id": "service-1", "role": "service"},
        "producer": "api",
        "purpose": "intake",
        "legal_basis": "contract",
        "policy_version": "1",
        "subject_ids": [str(stream)],
        "case_id": None,
        "correlation_id": str(uuid4()),
        "causation_id": None,
        "data": data or {"notice_version": "1", "language": "en"},
        "sealed": {},
    }
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return NewEvent(event_id, stream, version, type_, text.encode())


class LogCopy:
    """One log and what belongs to it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = EventLog(settings.events_dsn)
        self.mac = RecordMac(MAC_KEY)
        self.topic = settings.topic(EVENTS)
        self.partition = TopicPartition(self.topic, 0)
        self._raw: KafkaConsumer | None = None

    def admit(self) -> None:
        self.log.admit_writes(self.log.admission().incarnation, 0)

    def close_admission(self) -> None:
        """Have the store take no writes, as after a restart."""
        with self.log._reads.transaction() as cursor:
            cursor.execute("UPDATE log_head SET admitted_for = 'an earlier incarnation'")

    def append(self, *events: NewEvent) -> list[int]:
        """Append events, 20 new ones by default; return their positions."""
        chosen = events or tuple(record() for _ in range(20))
        return [self.log.append(AppendCommand((event,))).positions[0] for event in chosen]

    def append_together(self, *events: NewEvent) -> None:
        """Append events in one command, so that the relay meets them together."""
        self.log.append(AppendCommand(events))

    def stored(self) -> list[bytes]:
        return [stored.record for stored in self.log.read_from(1, 10_000)]

    def relay(self, report: Report = lambda state, code="": None) -> Relay:
        return Relay(self.settings, self.log, self.mac, report)

    def reader(self) -> TopicReader:
        return TopicReader(self.settings.kafka, self.topic, self.mac)

    def read(self, after: int = 0) -> list[bytes]:
        """Return what a reader that applies p + 1 and skips what it has makes of the topic."""
        reader = self.reader()
        try:
            return [published.value for published in reader.published(after)]
        finally:
            reader.close()

    def raw(self) -> list[Any]:
        """Return every message on the topic, ours or not."""
        if self._raw is None:
            self._raw = KafkaConsumer(bootstrap_servers=self.settings.kafka, enable_auto_commit=False)
        return everything(self._raw, self.partition)

    def positions(self) -> list[int]:
        return [int(dict(message.headers)["ck-position"]) for message in self.raw()]

    def delete_topic(self) -> None:
        client = admin(self.settings.kafka)
        client.delete_topics([self.topic])
        client.close()

    @contextmanager
    def relaying(self, make: Callable[[Report], Relay] | None = None) -> Iterator[Part]:
        """Run the relay as the worker does, restarts included."""
        with running("relay", made_once(lambda report: (make or self.relay)(report).run)) as part:
            yield part

    def close(self) -> None:
        self.log.close()
        if self._raw is not None:
            self._raw.close()


@contextmanager
def running(name: str, make: Callable[[Report], Callable[[threading.Event], None]]) -> Iterator[Part]:
    """Run a part in a thread of its own until the block ends."""
    stop = threading.Event()
    part = Part(name, make, stop)
    part.start()
    try:
        yield part
    finally:
        stop.set()
        part.join(20)
    assert not part.is_alive()


def everything(consumer: KafkaConsumer, *partitions: TopicPartition) -> list[Any]:
    """Return every message in these partitions, one partition after the other."""
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    found: list[Any] = []
    for partition, end in consumer.end_offsets(partitions).items():
        while consumer.position(partition) < end:
            for page in consumer.poll(timeout_ms=500).values():
                found += page
    return sorted(found, key=lambda message: (message.partition, message.offset))


def values(events: Sequence[NewEvent]) -> list[bytes]:
    return [event.record for event in events]
