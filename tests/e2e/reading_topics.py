"""What a copy has on Kafka, read with kafka-python alone."""

from __future__ import annotations

import json
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from tests.e2e.copy_of_service import Copy

TOPICS = ("cases.events.v1", "cases.inbox.v1", "cases.outcomes.v1", "cases.deadletters.v1")


def messages(copy: Copy, topic: str) -> list[Any]:
    """Return every message of a topic."""
    consumer = KafkaConsumer(bootstrap_servers=copy.status()["kafka"], enable_auto_commit=False)
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
