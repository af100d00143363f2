"""Reading a topic past every batch that was made to stop its readers.

A broker looks into batches less closely than kafka-python (3.0.12), and keeps some at which the library gives up: at
every attempt, and with it on all that lies behind them. It measures them as they are packed, too, and LZ4 packs 255
bytes into one. So whoever may write to a topic could end all reading of it.

Here a batch whose checksum holds is read as far as it can be. In place of the rest comes one record at the batch's
last offset, without key, value and headers. So comes one in place of a record with too many headers, at its own offset.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import lz4.frame
from kafka import KafkaConsumer
from kafka.consumer.fetcher import Fetcher
from kafka.errors import UnsupportedCodecError
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

MOST_OPENED = 4 * 1024 * 1024
"""Most bytes of a batch's content: twice the largest batch that our topics take, and four times what we pack."""
MOST_HEADERS = 100
"""Most headers of a record. A header takes two bytes on the topic, and as an object forty times as much."""
_MOST_A_FETCH = 4 * MOST_OPENED
"""Content after which the rest of a fetch is dropped and fetched again: it may have hundreds of packed batches."""
_MAGIC = 2
_OPENERS = {
    DefaultRecordBatch.CODEC_GZIP: lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    DefaultRecordBatch.CODEC_LZ4: lz4.frame.LZ4FrameDecompressor,
}
_UNREADABLE = (ValueError, IndexError, RuntimeError, zlib.error)


def reading_on(consumer: KafkaConsumer) -> KafkaConsumer:
    """Have a consumer read past such batches, and return it. Others of the process stay as they are."""
    consumer._fetcher.PartitionRecords = _Fetched
    return consumer


class _Fetched(Fetcher.PartitionRecords):
    """What was fetched of one partition."""

    def take(self, n: int | None = None) -> list[Any]:
        """Return the next records, ``n`` at most. After an error nothing is left, and it is fetched again.

        The library keeps what is left until it ended, and an iterator that raised ends no more: the next poll would
        look for a record in it for ever.
        """
        try:
            taken: list[Any] = super().take(n)
        except Exception:
            self.drain()
            raise
        return taken

    def _unpack_records(self, partition: Any, records: Any, *deserializers: Any) -> Any:
        return super()._unpack_records(partition, _Batches(records), *deserializers)


class _Batches:
    """The batches of one fetch; there are no more once much was opened, and reading goes on behind the last."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self._last: _Batch | None = None
        self._opened = 0

    def next_batch(self) -> Any:
        """Return the next batch, or ``None``. Raises ``CorruptRecordError``."""
        if self._last is not None:
            self._opened += self._last.opened
        if self._opened > _MOST_A_FETCH:
            return None
        batch = self._records.next_batch()
        if batch is None or batch.magic != _MAGIC:
            return batch
        self._last = _Batch(batch)
        return self._last


class _Batch:
    """One of the library's batches, with records that are read here. ``opened``: bytes of its content, once known."""

    def __init__(self, batch: DefaultRecordBatch) -> None:
        self._batch = batch
        self.opened = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[DefaultRecord]:
        """Yield the records, at offsets that rise and are the batch's. Raises ``UnsupportedCodecError``."""
        reached, last = self._batch.base_offset - 1, self._batch.last_offset
        try:
            for record in self._records():
                if not reached < record.offset <= last:
                    break
                reached = record.offset
                yield record
        except _UNREADABLE:
            # Left to what follows: the record below says that there was something.
            pass
        if reached < last:
            yield DefaultRecord(0, last, self._batch.max_timestamp, self._batch.timestamp_type, None, None, [])

    def _records(self) -> Iterator[DefaultRecord]:
        content = _opened(self._batch)
        self.opened = len(content)
        at = 0
        for _ in range(self._batch.records_count):
            record, at = _record(self._batch, content, at)
            yield record


def _opened(batch: DefaultRecordBatch) -> bytes:
    """Return a batch's content, unpacked. A codec that is missing is no fault of the batch, and stays an error."""
    packed = bytes(memoryview(batch._buffer)[batch._pos :])
    if batch.compression_type == batch.CODEC_NONE:
        return packed
    if batch.compression_type not in _OPENERS:
        raise UnsupportedCodecError(f"codec {batch.compression_type}")
    content: bytes = _OPENERS[batch.compression_type]().decompress(packed, MOST_OPENED + 1)
    if len(content) > MOST_OPENED:
        raise ValueError("the batch is too large")
    return content


def _record(batch: DefaultRecordBatch, content: bytes, at: int) -> tuple[DefaultRecord, int]:
    """Return the record that begins at ``at``, and where it ends."""
    size, start = decode_varint(content, at)
    # The attributes are one byte without meaning, which the library takes for a number of variable length.
    later, at = decode_varint(content, start + 1)
    delta, at = decode_varint(content, at)
    key, at = _field(content, at)
    value, at = _field(content, at)
    headers, at = _headers(content, at)
    if headers is None:
        # Not looked into any further: what it says of its end is all there is to go on from.
        key, value, headers, at = None, None, [], max(at, start + size)
    if at != start + size or at > len(content):
        raise ValueError("the record does not end where it says")
    logged = batch.timestamp_type == batch.LOG_APPEND_TIME
    moment = batch.max_timestamp if logged else batch.first_timestamp + later
    record = DefaultRecord(size, batch.base_offset + delta, moment, batch.timestamp_type, key, value, headers)
    return record, at


def _headers(content: bytes, at: int) -> tuple[list[tuple[str, bytes | None]] | None, int]:
    """Return the headers behind their number, and where they end; ``None`` for too many, which are not read."""
    count, at = decode_varint(content, at)
    if count < 0:
        raise ValueError("the record has fewer headers than none")
    if count > MOST_HEADERS:
        return None, at
    headers = []
    for _ in range(count):
        name, at = _field(content, at)
        text, at = _field(content, at)
        # Kafka takes any bytes for a name; null it does not, and no name is as good.
        headers.append((str(name or b"", "utf-8", "replace"), text))
    return headers, at


def _field(content: bytes, at: int) -> tuple[bytes | None, int]:
    """Return the bytes behind their length, ``None`` for a length below nothing, and where they end."""
    size, start = decode_varint(content, at)
    if size < 0:
        return None, start
    return content[start : start + size], start + size
