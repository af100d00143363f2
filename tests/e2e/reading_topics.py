"""What a copy has on Kafka, read with kafka-python alone."""

from __future__ import annotations

import json
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from domain.sealed import SealedField
from tests.e2e.copy_of_service import Copy

TOPICS = ("cases.events.v1", "cases.inbox.v1", "cases.outcomes.v1", "cases.deadletters.v1")


def messages(copy: Copy, topic: str) -> list[Any]:
    """Return every message of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=copy.kafka, enable_auto_commit=False)
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends, found = consumer.end_offsets(partitions), []
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        for page in consumer.poll(timeout_ms=1000).values():
            found += page
    consumer.close()
    return found


def published(copy: Copy) -> list[tuple[dict[str, bytes], dict[str, Any]]]:
    """Return headers and record of every published event."""
    return [(dict(message.headers), json.loads(message.value)) for message in messages(copy, TOPICS[0])]


def sealed_fields(copy: Copy, subject_id: str) -> list[SealedField]:
    """Return every sealed part about a person that stands on the events topic."""
    found = []
    for _, record in published(copy):
        place = {name: record[name] for name in ("stream_id", "event_id", "schema_version")}
        for name, part in record["sealed"].items():
            if part["subject_id"] == subject_id:
                found.append(SealedField.from_json({**part, **place, "event_type": record["type"], "field": name}))
    return found
