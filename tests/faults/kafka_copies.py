"""Compares store and topic position by position: kafka-python, psycopg2, and nothing of the service."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import psycopg2
from kafka import KafkaConsumer, TopicPartition

EVENTS = TopicPartition("cases.events.v1", 0)


@dataclass
class Topic:
    """What lies on the topic of events, as a reader that takes p + 1 and skips what it has sees it."""

    digests: dict[int, str] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    offsets: int = 0
    repeats: int = 0
    differing: list[int] = field(default_factory=list)

    @property
    def gapless(self) -> bool:
        return self.order == list(range(1, len(self.order) + 1))


def read_topic(bootstrap: str) -> Topic:
    """Read the topic from its start to its present end."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), enable_auto_commit=False)
    found = Topic()
    try:
        consumer.assign([EVENTS])
        consumer.seek_to_beginning(EVENTS)
        end = consumer.end_offsets([EVENTS])[EVENTS]
        while consumer.position(EVENTS) < end:
            for message in consumer.poll(timeout_ms=500).get(EVENTS, []):
                _take(found, message)
    finally:
        consumer.close()
    return found


def _take(found: Topic, message) -> None:
    headers = sorted((name, value) for name, value in message.headers)
    digest = (
        hashlib.sha256(message.value).hexdigest() + hashlib.sha256(repr((message.key, headers)).encode()).hexdigest()
    )
    position = int(dict(headers)["ck-position"])
    found.offsets += 1
    if position not in found.digests:
        found.digests[position] = digest
        found.order.append(position)
    elif found.digests[position] == digest:
        found.repeats += 1
    else:
        found.differing.append(position)


def read_store(dsn: str) -> dict[int, str]:
    """Return position → SHA-256 of the stored record."""
    connection = psycopg2.connect(dsn)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT position, encode(sha256(record), 'hex') FROM events ORDER BY position")
            return dict(cursor.fetchall())
    finally:
        connection.close()


def assert_identical(bootstrap: str, dsn: str) -> Topic:
    """Assert that the topic is the store's copy: gapless, in order, the same bytes; repeats only exact ones."""
    stored = read_store(dsn)
    topic = read_topic(bootstrap)
    assert list(stored) == list(range(1, len(stored) + 1))
    assert topic.gapless, [p for p in topic.order if p != topic.order.index(p) + 1][:5]
    assert topic.differing == []
    assert {position: digest[:64] for position, digest in topic.digests.items()} == stored
    return topic
