"""The topics: their names, how long each keeps its records, and making those that are missing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import TopicAlreadyExistsError, for_code

from application.settings import Settings
from consumers.clients import MAX_RECORD_BYTES, REQUEST_MS, admin, kafka_errors

log = structlog.get_logger()

EVENTS = "cases.events.v1"
INBOX = "cases.inbox.v1"
OUTCOMES = "cases.outcomes.v1"
DEADLETTERS = "cases.deadletters.v1"

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
INBOX_RETENTION_MS = DAY_MS
INBOX_SEGMENT_MS = HOUR_MS
INBOX_PARTITIONS = 4
OUTCOMES_RETENTION_MS = 7 * DAY_MS
OUTCOMES_SEGMENT_MS = DAY_MS


@dataclass(frozen=True)
class Topic:
    """One topic; ``retention_ms`` -1: for ever; ``segment_ms`` bounds how late an old record is deleted.

    ``compression`` is the broker's: what comes compressed otherwise, it packs anew. So nobody can put a batch on a
    topic that our readers have no codec for. On one kept ``uncompressed`` no batch grows when it is opened; on the
    others a batch may to 255 times its size, and readers open it up to a bound (:mod:`casekeeper_client.batches`).
    """

    name: str
    partitions: int
    retention_ms: int
    segment_ms: int
    compression: str = "lz4"

    def configs(self) -> Mapping[str, str]:
        """Return the settings of the topic. Times are the broker's, so that no publisher can prolong retention."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "retention.bytes": "-1",
            "segment.ms": str(self.segment_ms),
            "max.message.bytes": str(MAX_RECORD_BYTES),
            "message.timestamp.type": "LogAppendTime",
            "compression.type": self.compression,
        }


TOPICS = (
    Topic(EVENTS, 1, -1, 7 * DAY_MS),
    Topic(INBOX, INBOX_PARTITIONS, INBOX_RETENTION_MS, INBOX_SEGMENT_MS, "uncompressed"),
    Topic(OUTCOMES, INBOX_PARTITIONS, OUTCOMES_RETENTION_MS, OUTCOMES_SEGMENT_MS),
    Topic(DEADLETTERS, 1, 90 * DAY_MS, 7 * DAY_MS),
)
"""``EVENTS`` has one partition per event store, so that offset order is position order."""

_ERROR = re.compile(r"\[Error (-?\d+)\] ")


def ensure_topics(settings: Settings) -> list[str]:
    """Make the topics that are missing and return their full names. Raises ``KafkaUnavailable``.

    The events topic, if it is there, is given back its settings: it must take the largest batch and lose nothing. All
    are given back their compression, which keeps what lies on them readable. Where the broker refuses that for good,
    as to who may not change settings, the log says so and the topics are used as they are.
    """
    client = admin(settings.brokers)
    try:
        with kafka_errors():
            there = set(client.list_topics())
            missing = [topic for topic in TOPICS if settings.topic(topic.name) not in there]
            kept = [topic for topic in TOPICS if topic not in missing]
            if kept:
                _give_back(client, [_given_back(settings, topic) for topic in kept])
            return [name for topic in missing if _make(client, name := settings.topic(topic.name), topic)]
    finally:
        client.close()


def _given_back(settings: Settings, topic: Topic) -> ConfigResource:
    configs = dict(topic.configs()) if topic.name == EVENTS else {"compression.type": topic.compression}
    return ConfigResource("TOPIC", settings.topic(topic.name), configs)


def _give_back(client: KafkaAdminClient, wanted: list[ConfigResource]) -> None:
    """Set the settings. Where the broker does not, the client library raises nothing: it answers with the error."""
    for topic, answer in client.alter_configs(wanted)["topic"].items():
        if refused := _ERROR.match(answer):
            error = for_code(int(refused[1]))
            if error.retriable:
                raise error
            log.warning("topic settings refused", topic=topic, error=error.__name__)


def _make(client: KafkaAdminClient, name: str, topic: Topic) -> bool:
    """Make one topic; False when another process was faster."""
    wanted = {"num_partitions": topic.partitions, "replication_factor": -1, "configs": dict(topic.configs())}
    try:
        client.create_topics({name: wanted}, timeout_ms=REQUEST_MS, wait_for_metadata=True)
    except TopicAlreadyExistsError:
        return False
    return True
