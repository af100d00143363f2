"""Header names that are not UTF-8, which Kafka takes and the client library does not read.

The library gives up on the whole record, at every attempt, and with it on everything that lies behind it: whoever may
write to a topic could end all reading of it with one record. Here such a name is read with ``?`` for what is no ASCII.
"""

from __future__ import annotations

from typing import Any

from kafka.record.default_records import DefaultRecordBatch
from kafka.record.util import decode_varint

_read = DefaultRecordBatch._read_msg
_TO_ASCII = bytes(range(128)) + b"?" * 128


def install() -> None:
    """Have the client library of this process read such records."""
    DefaultRecordBatch._read_msg = _read_any


def _read_any(batch: Any, *given: Any) -> Any:
    at = batch._pos
    try:
        return _read(batch, *given)
    except UnicodeDecodeError:
        if not isinstance(batch._buffer, bytearray):
            # Copied once a batch: a batch may be large, and every record in it may need this.
            batch._buffer = bytearray(batch._buffer)
        _mend_names(batch._buffer, at)
        batch._pos = at
        return _read(batch, *given)


def _mend_names(buffer: bytearray, at: int) -> None:
    """Make the header names of the record that begins at ``at`` ASCII, with the same lengths."""
    _, at = decode_varint(buffer, at)  # the record's length
    for _ in ("attributes", "timestamp", "offset"):
        _, at = decode_varint(buffer, at)
    for _ in ("key", "value"):
        _, at = _field(buffer, at)
    headers, at = decode_varint(buffer, at)
    for _ in range(headers):
        start, end = _field(buffer, at)
        buffer[start:end] = buffer[start:end].translate(_TO_ASCII)
        _, at = _field(buffer, end)


def _field(buffer: bytearray, at: int) -> tuple[int, int]:
    """Return where the bytes of a field begin and end; a field that is null has none."""
    size, start = decode_varint(buffer, at)
    return start, start + max(0, size)
