"""Publishes a run of records so that the broker takes it whole or not at all."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from application.brokers import Brokers
from consumers.clients import MAX_RECORD_BYTES, close_producer, kafka_errors, producer
from consumers.published import RecordMac
from domain.errors import KafkaUnavailable
from store.append import UnpublishedRecord

BATCH_BYTES = 1024 * 1024
_RECORD_OVERHEAD = 256
"""Bytes at most that key, codes and lengths add to a record, besides its type."""
_SCHEMA = re.compile(rb'"recorded_at":"[^"]*","schema_version":(\d+),"sealed":')
_FLUSH_SECONDS = 10.0
_LOOK_SECONDS = 1.0
_HOLD_MS = 60_000
"""Records are held until ``flush``: so those of one call form one batch, sent when the one before is acknowledged."""


class BatchProducer:
    """A producer with at most one batch under way, sent once. After any error it is spent: close it, make another.

    Not idempotent: a broker drops as a repeat what carries a producer's number and a sequence that was there before.
    Both stand in clear on the topic, so a stranger could use up the next. What is sent twice, readers skip.
    """

    def __init__(self, brokers: Brokers | str, topic: str, mac: RecordMac) -> None:
        self._topic = topic
        self._mac = mac
        self._producer: KafkaProducer = producer(
            brokers,
            linger_ms=_HOLD_MS,
            batch_size=BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            max_in_flight_requests_per_connection=1,
            enable_idempotence=False,
            retries=0,
        )

    def publish(self, records: Sequence[UnpublishedRecord], still_there: Callable[[], bool] = lambda: True) -> int:
        """Publish records that :func:`fitting` let through; return the offset of the first once all are acknowledged.

        ``still_there`` is asked every second whether the topic is the same still. Raises ``KafkaUnavailable`` when it
        is not certain that the records are on it.
        """
        with kafka_errors():
            sent = [self._send(record) for record in records]
            self.confirm(still_there)
            if not all(future.succeeded() for future in sent):
                raise KafkaUnavailable("Kafka did not take the batch")
            offsets = [future.value.offset for future in sent]
        if offsets != list(range(offsets[0], offsets[0] + len(offsets))):
            raise KafkaUnavailable("Kafka did not take the batch in one piece")
        return int(offsets[0])

    def confirm(self, still_there: Callable[[], bool]) -> None:
        """Send what is held and wait until the broker answers, at most 10 s."""
        deadline = time.monotonic() + _FLUSH_SECONDS
        while True:
            try:
                return self._producer.flush(timeout=_LOOK_SECONDS)
            except KafkaTimeoutError:
                if time.monotonic() > deadline or not still_there():
                    raise

    def close(self) -> None:
        """Drop what is under way and close."""
        close_producer(self._producer)

    def _send(self, record: UnpublishedRecord) -> Any:
        key, value = record.key, record.record
        headers = self._mac.headers(record.position, key, value, record.type, schema_of(value))
        return self._producer.send(self._topic, value=value, key=key, headers=headers, partition=0)


def schema_of(record: bytes) -> int:
    """Return the schema version that a record states."""
    # Records are canonical, their keys sorted: reading the whole JSON would take a quarter of the relay's time.
    found = _SCHEMA.search(record)
    return int(found[1] if found else json.loads(record)["schema_version"])


def fitting(records: Sequence[UnpublishedRecord]) -> Sequence[UnpublishedRecord]:
    """Return as many of the first records as fit into one batch, at least one."""
    size = 0
    for count, record in enumerate(records):
        size += len(record.record) + 4 * len(record.type) + _RECORD_OVERHEAD
        if size > BATCH_BYTES and count > 0:
            return records[:count]
    return records
