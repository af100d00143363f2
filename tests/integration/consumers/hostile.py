"""Whoever may write to a topic, and what they can make the service's readers meet."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import kafka.producer.kafka
import kafka.record.default_records
import pytest
from kafka import KafkaProducer
from log_copy import LogCopy

from application.logging import configure
from application.settings import Settings
from consumers.published import RecordMac

MARK = "Zanzibarova"
"""Stands in everything hostile; it may turn up nowhere else."""
RUN = 10_000
COMPRESSIBLE = MARK.encode() + b"x" * RUN
"""A value that gets smaller: producers send what does not as it is, and the broker then packs it itself."""
Headers = Sequence[tuple[str, bytes | None]]


class NotUtf8(str):
    """A header's name that goes out as bytes which are no UTF-8."""

    def encode(self, *_: Any, **__: Any) -> bytes:
        return b"\xff\xfe" + str.encode(self)


class Stranger:
    """A producer with an account on the brokers and nothing else."""

    def __init__(self, settings: Settings, **options: Any) -> None:
        self.settings = settings
        self._producer = KafkaProducer(bootstrap_servers=settings.kafka, max_request_size=20 * 1024 * 1024, **options)

    def put(
        self, topic: str, value: bytes | None, key: bytes | None = None, headers: Headers = (), partition: int = 0
    ) -> int:
        """Put one record on a topic, wait for the broker, return its offset."""
        name = self.settings.topic(topic)
        sent = self._producer.send(name, value=value, key=key, headers=list(headers), partition=partition)
        return int(sent.get(timeout=20).offset)

    def close(self) -> None:
        self._producer.close(timeout=5)


def signed(
    copy: LogCopy, position: int, value: bytes, stream_id: object, type_: str = "NoticeServed"
) -> tuple[bytes, Headers]:
    """Return key and headers of a record as the relay would publish these bytes."""
    key = str(stream_id).encode()
    return key, copy.mac.headers(position, key, value, type_, 1)


def of_another_key(position: int, value: bytes, stream_id: object) -> tuple[bytes, Headers]:
    """Return key and headers under a key that the relay has not, as one it had before."""
    key = str(stream_id).encode()
    return key, RecordMac(b"retired." * 4).headers(position, key, value, "NoticeServed", 1)


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Collect everything that is logged, as a worker would write it."""
    stream = io.StringIO()
    configure("debug", stream)
    try:
        yield stream
    finally:
        configure()


@contextmanager
def packing_with_zstd() -> Iterator[None]:
    """Let producers made in this block compress :data:`COMPRESSIBLE` with Zstandard (RFC 8878)."""

    def block(kind: int, size: int, content: bytes, *, last: bool = False) -> bytes:
        return struct.pack("<I", size << 3 | kind << 1 | last)[:3] + content

    def frame(payload: bytes) -> bytes:
        # One long run of the same byte is said once, so that the batch gets smaller and goes out compressed.
        before, run, after = payload.partition(b"x" * RUN)
        blocks = block(0, len(before), before) + block(1, len(run), b"x") + block(0, len(after), after, last=True)
        return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(payload)) + blocks

    with pytest.MonkeyPatch.context() as patch:
        compressors = kafka.producer.kafka.KafkaProducer._COMPRESSORS
        patch.setitem(compressors, "zstd", (lambda: True, compressors["zstd"][1]))
        patch.setattr(kafka.record.default_records.codecs, "has_zstd", lambda: True)
        patch.setattr(kafka.record.default_records, "zstd_encode", frame)
        yield
