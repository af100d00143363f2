"""Dead letters: what could not be processed, as far as it may be kept, with the class of the error and its place."""

from __future__ import annotations

from dataclasses import dataclass

from kafka import KafkaProducer

from application.brokers import Brokers
from application.logging import location
from consumers.clients import close_producer, kafka_errors, producer
from domain.errors import KafkaUnavailable

_FLUSH_SECONDS = 10.0


@dataclass(frozen=True)
class DeadLetter:
    """What could not be processed: where it lay and what went wrong, as a class and ``package/module.py:line``."""

    key: bytes | None
    value: bytes | None
    source: str
    error: str
    where: str

    @classmethod
    def of(cls, key: bytes | None, value: bytes | None, source: str, error: BaseException) -> DeadLetter:
        """Return the dead letter for an exception; its text is left out, for it may quote what was sent."""
        return cls(key, value, source, type(error).__name__, location(error))


class DeadLetters:
    """Writes to the topic of dead letters. For one thread at a time; close it after use."""

    def __init__(self, brokers: Brokers | str, topic: str) -> None:
        self._brokers = brokers
        self._topic = topic
        self._producer: KafkaProducer | None = None

    def put(self, letter: DeadLetter) -> None:
        """Write one dead letter; returns when it is durable. Raises ``KafkaUnavailable``."""
        headers = [
            ("ck-error", letter.error.encode()),
            ("ck-where", letter.where.encode()),
            ("ck-source", letter.source.encode()),
        ]
        try:
            with kafka_errors():
                if self._producer is None:
                    self._producer = producer(self._brokers)
                # A record needs a key or a value; one with neither is kept as an empty value.
                value = letter.value if letter.value is not None or letter.key is not None else b""
                sent = self._producer.send(self._topic, key=letter.key, value=value, headers=headers)
                self._producer.flush(timeout=_FLUSH_SECONDS)
                sent.get(timeout=0)
        except KafkaUnavailable:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection to Kafka."""
        closing, self._producer = self._producer, None
        if closing is not None:
            close_producer(closing)
