"""An event as it travels on the topic, and the code by which a stranger's record is told apart.

::

    key      stream id
    value    the record's bytes, as stored
    headers  ck-position, ck-type, ck-schema (decimal and text), ck-mac (hex)

``ck-mac`` is HMAC-SHA256 (RFC 2104) under the relay's key over position, key, value, type and schema, each preceded
by its length as 8 bytes, so that no two different records have the same input.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass, field
from typing import Any

from domain.record import Record

MAC_SECRET = "relay-mac"  # noqa: S105  (the secret's name)
_MAX_POSITION_DIGITS = 19
_SIZE = struct.Struct(">Q").pack


@dataclass(slots=True)
class Published:
    """One verified record of the events topic; several views hold it, and only its event, once decoded, is added."""

    position: int
    offset: int
    key: bytes
    type: str
    schema: int
    value: bytes
    _record: Record | None = field(default=None, init=False, repr=False, compare=False)

    def record(self) -> Record:
        """Return the event, which is decoded once.

        Raises ``ValueError`` when it is not the one its headers name, and that or another of Python's own errors when
        the value is no record.
        """
        if self._record is None:
            record = Record.parse(self.position, self.value)
            if (record.stream.encode(), record.type) != (self.key, self.type):
                raise ValueError("the record is of another stream or type than its headers")
            self._record = record
        return self._record


class RecordMac:
    """Makes and checks the headers of published records under the relay's key (32 bytes)."""

    def __init__(self, key: bytes) -> None:
        # A copy of a keyed HMAC costs a good deal less than keying one for each record.
        self._keyed = hmac.new(key, digestmod="sha256")

    def headers(self, position: int, key: bytes, value: bytes, event_type: str, schema: int) -> list[tuple[str, bytes]]:
        """Return the headers of a record about to be published."""
        clear = (str(position).encode(), event_type.encode(), str(schema).encode())
        return [
            ("ck-position", clear[0]),
            ("ck-type", clear[1]),
            ("ck-schema", clear[2]),
            ("ck-mac", self._tag(key, value, *clear)),
        ]

    def verified(self, message: Any) -> Published | None:
        """Return a consumed message as a published record, or ``None`` when the relay did not write it."""
        given = message.headers or ()
        headers = dict(given)
        if len(headers) != len(given):
            # One name twice: two readers could take two different values for it. The relay writes each once.
            return None
        position, event_type = headers.get("ck-position") or b"", headers.get("ck-type") or b""
        schema, tag = headers.get("ck-schema") or b"", headers.get("ck-mac") or b""
        key, value = message.key or b"", message.value or b""
        if not hmac.compare_digest(tag, self._tag(key, value, position, event_type, schema)):
            return None
        if not (position.isdigit() and schema.isdigit() and len(position) <= _MAX_POSITION_DIGITS):
            return None
        return Published(int(position), message.offset, key, event_type.decode(), int(schema), value)

    def _tag(self, key: bytes, value: bytes, position: bytes, event_type: bytes, schema: bytes) -> bytes:
        code = self._keyed.copy()
        # Written out: it is done for every record of every reader, and a loop takes twice the time.
        code.update(
            b"".join(
                (
                    *(_SIZE(len(position)), position, _SIZE(len(key)), key, _SIZE(len(value)), value),
                    *(_SIZE(len(event_type)), event_type, _SIZE(len(schema)), schema),
                )
            )
        )
        return code.hexdigest().encode()
