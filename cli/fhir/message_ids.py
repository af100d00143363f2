"""Message ids that an import can work out again: the same person and content always give the same id.

They are keyed hashes (HMAC-SHA256, RFC 2104) in the form of UUIDs version 8 (RFC 9562): without the key, which stays in
the keyring, they say nothing about the person. With it they confirm a guess, and a record number of few possible ones
is found by trying all: see docs/threat-model.md.
"""

from __future__ import annotations

import hmac
import json
from typing import Any
from uuid import UUID


class MessageIds:
    """Makes ids under an import key (32 bytes). ``source`` keeps the records of different systems apart."""

    def __init__(self, key: bytes, source: str) -> None:
        self._key = key
        self._source = source

    def of(self, command: str, identity: tuple[str, ...], content: Any, attempt: int) -> UUID:
        """Return the id of a message: what it does, for whom, with what content (JSON), and the how manieth attempt.

        An attempt counts up only when the service refused the one before it.
        """
        said = json.dumps([self._source, command, list(identity), content, attempt], sort_keys=True)
        digest = hmac.digest(self._key, said.encode(), "sha256")[:16]
        return UUID(int=int.from_bytes(digest) & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62)
