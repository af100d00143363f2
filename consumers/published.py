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
from dataclasses import dataclass
from typing import Any

from domain.record import Record

MAC_SECRET = "relay-mac"  # noqa: S105  (the secret's name)
_MAX_POSITION_DIGITS = 19


@dataclass(frozen=True)
class Published:
    """One verified record of the events topic."""

    position: int
    offset: int
    key: bytes
    type: str
    schema: int
    value: bytes

    def record(self) -> Record:
        """Return the event. Raises ``ValueError``, ``KeyError`` or ``TypeError`` when the value is no record."""
        return Record.parse(self.position, self.value)


class RecordMac:
    """Makes and checks the headers of published records under the relay's key (32 bytes)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

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
        headers = dict(message.headers or ())
        position, event_type, schema = (headers.get(f"ck-{name}") or b"" for name in ("position", "type", "schema"))
        key, value, tag = message.key or b"", message.value or b"", headers.get("ck-mac") or b""
        if not hmac.compare_digest(tag, self._tag(key, value, position, event_type, schema)):
            return None
        if not (position.isdigit() and schema.isdigit() and len(position) <= _MAX_POSITION_DIGITS):
            return None
        return Published(int(position), message.offset, key, event_type.decode(), int(schema), value)

    def _tag(self, key: bytes, value: bytes, position: bytes, event_type: bytes, schema: bytes) -> bytes:
        parts = (position, key, value, event_type, schema)
        text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, text, "sha256").hex().encode()
