"""Batches written byte by byte and put on a topic by hand: what no client library would send, though brokers keep it.

The forms are those of Kafka's protocol guide: record batches (magic 2), message sets (magic 0 and 1), Produce 3.
"""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Sequence

import crc32c

PLAIN, GZIP, LZ4 = 0, 1, 3
Headers = Sequence[tuple[bytes, bytes | None]]


class Refused(Exception):
    """The broker did not take the batch; ``code`` is its error code, -1 where it hung up."""

    def __init__(self, code: int) -> None:
        super().__init__(f"error code {code}")
        self.code = code


def varint(number: int) -> bytes:
    """Return a number as a zigzag varint of as many bytes as it takes."""
    rest, written = (number << 1) if number >= 0 else (-number << 1) - 1, bytearray()
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*written, rest])


def field(content: bytes | None) -> bytes:
    """Return bytes behind their length; ``None`` as -1."""
    return varint(-1) if content is None else varint(len(content)) + content


def record(
    value: bytes | None = b"x",
    key: bytes | None = None,
    headers: Headers = (),
    *,
    delta: int = 0,
    attributes: bytes = b"\x00",
    time: int = 0,
) -> bytes:
    """Return one record, its length before it; ``delta`` is where it lies in its batch."""
    named = b"".join(field(name) + field(content) for name, content in headers)
    parts = attributes, varint(time), varint(delta), field(key), field(value), varint(len(headers)), named
    return field(b"".join(parts))


def batch(
    content: bytes,
    count: int = 1,
    *,
    codec: int = PLAIN,
    attributes: int = 0,
    last_delta: int | None = None,
    magic: int = 2,
    wrong: int = 0,
    time: int = 0,
    producer: tuple[int, int, int] = (-1, -1, -1),
) -> bytes:
    """Return a batch of ``count`` records, whose content is packed already; ``wrong`` is put into its checksum.

    ``producer``: its number, its epoch and the batch's first sequence.
    """
    last = count - 1 if last_delta is None else last_delta
    checked = struct.pack(">hiqqqhii", attributes | codec, last, time, time, *producer, count) + content
    return struct.pack(">qiibI", 0, len(checked) + 9, -1, magic, crc32c.crc32c(checked) ^ wrong) + checked


def message_set(value: bytes, magic: int) -> bytes:
    """Return one message as it was written before record batches (magic 0 or 1)."""
    checked = struct.pack(">bb", magic, 0) + (struct.pack(">q", 0) if magic else b"")
    checked += struct.pack(">ii", -1, len(value)) + value
    return struct.pack(">qiI", 0, len(checked) + 4, zlib.crc32(checked)) + checked


def put(bootstrap: str, topic: str, written: bytes, partition: int = 0) -> int:
    """Put a batch on a topic and return the offset of its first record. Raises :class:`Refused`."""
    host, _, port = bootstrap.partition(",")[0].rpartition(":")
    name = topic.encode()
    request = struct.pack(">hhih4shhi", 0, 3, 1, 4, b"hand", -1, -1, 10_000)
    request += struct.pack(f">ih{len(name)}s", 1, len(name), name)
    request += struct.pack(">iii", 1, partition, len(written)) + written
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = connection.makefile("rb")
        size = answer.read(4)
        if len(size) < 4:
            raise Refused(-1)
        said = answer.read(struct.unpack(">i", size)[0])
    code, offset = struct.unpack_from(">hq", said, 4 + 4 + 2 + len(name) + 4 + 4)
    if code:
        raise Refused(code)
    return int(offset)
