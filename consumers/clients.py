"""Kafka clients with the settings we rely on, and their errors as ours.

``brokers`` says how they are reached; a plain text is taken for servers that are spoken to in the clear.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaConfigurationError, KafkaError

from application.brokers import Brokers
from casekeeper_client.batches import reading_on
from casekeeper_client.opening import opened
from domain.errors import KafkaUnavailable

BOOTSTRAP_MS = 5_000
"""Longest wait for a first answer from any broker, in milliseconds."""
REQUEST_MS = 10_000
CLOSE_MS = 1_000
MAX_RECORD_BYTES = 2 * 1024 * 1024
"""Largest record or batch that our topics take: well above the largest event."""
_METADATA_AGE_MS = 3_000
_LEAST_WAIT_SECONDS = 0.05


@contextmanager
def kafka_errors() -> Iterator[None]:
    """Turn an error of the client library into ``KafkaUnavailable``, which names its class and quotes nothing."""
    try:
        yield
    except KafkaConfigurationError:
        raise
    except KafkaError as error:
        raise KafkaUnavailable(f"Kafka: {type(error).__name__}") from None


def admin(brokers: Brokers | str) -> KafkaAdminClient:
    """Return an admin client; close it after use. Raises ``KafkaUnavailable``."""
    with kafka_errors():
        return opened(
            KafkaAdminClient,
            **Brokers.of(brokers).options(),
            bootstrap_timeout_ms=BOOTSTRAP_MS,
            request_timeout_ms=REQUEST_MS,
        )


def consumer(brokers: Brokers | str, *topics: str, **options: Any) -> KafkaConsumer:
    """Return a consumer that commits nothing by itself, makes no topics and reads past what cannot be read.

    Raises ``KafkaUnavailable``.
    """
    with kafka_errors():
        made = opened(
            KafkaConsumer,
            *topics,
            **{
                **Brokers.of(brokers).options(),
                "bootstrap_timeout_ms": BOOTSTRAP_MS,
                "request_timeout_ms": REQUEST_MS,
                "metadata_max_age_ms": _METADATA_AGE_MS,
                "max_partition_fetch_bytes": 2 * MAX_RECORD_BYTES,
                "fetch_max_wait_ms": 250,
                "reconnect_backoff_max_ms": 2_000,
                "enable_auto_commit": False,
                "allow_auto_create_topics": False,
                "metrics_enabled": False,
                **options,
            },
        )
    if "group_id" in options:
        _wait_between_polls(made)
        _finish_joins(made)
    return reading_on(made)


def producer(brokers: Brokers | str, **options: Any) -> KafkaProducer:
    """Return a producer with ``acks=all`` that makes no topics. Raises ``KafkaUnavailable``.

    It is idempotent unless told otherwise; that is stated, because the library turns it off in silence where another
    setting disagrees.
    """
    with kafka_errors():
        return opened(
            KafkaProducer,
            **{
                **Brokers.of(brokers).options(),
                "bootstrap_timeout_ms": BOOTSTRAP_MS,
                "request_timeout_ms": REQUEST_MS,
                "metadata_max_age_ms": _METADATA_AGE_MS,
                "max_block_ms": REQUEST_MS,
                "max_request_size": MAX_RECORD_BYTES,
                "reconnect_backoff_max_ms": 2_000,
                "enable_idempotence": True,
                "acks": "all",
                "compression_type": "lz4",
                "allow_auto_create_topics": False,
                "metrics_enabled": False,
                **options,
            },
        )


def close_producer(closing: KafkaProducer) -> None:
    """Close a producer within about a second, dropping what it could not send."""
    try:
        closing.close(timeout=CLOSE_MS / 1000)
    except KafkaError:
        # The library's close() gives up when its flush() does, and would leave the sending thread at work.
        closing._sender.force_close()


def _wait_between_polls(member: KafkaConsumer) -> None:
    """Have a poll wait a little although a heartbeat is due, which another thread of the library sends.

    While one waits for its answer, the library polls again and again at once, and keeps a core busy.
    """
    coordinator = member._coordinator
    due = coordinator.time_to_next_poll
    coordinator.time_to_next_poll = lambda: max(_LEAST_WAIT_SECONDS, due())


def _finish_joins(member: KafkaConsumer) -> None:
    """Have a join that takes longer than a poll go on in the next.

    The library forgets one that began because the topic's partitions had changed, or had become known after the first
    join: the member then has no partitions, sends no heartbeats and does not learn that it was put out of its group.
    """
    coordinator = member._coordinator
    needed = coordinator.need_rejoin
    coordinator.need_rejoin = lambda: coordinator.rejoining or needed()
