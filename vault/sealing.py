"""Sealed values, format 1: personal data encrypted for exactly one place in one event.

Text form ``ck1.`` and base64url without padding (RFC 4648, section 5) of::

    format version   1 byte, 0x01
    key scope id    16 bytes
    nonce           12 bytes, random
    ciphertext      size class + 16 bytes: AES-256-GCM of the padded canonical JSON
    commitment      32 bytes: HMAC-SHA-256

``prefixed`` puts each item's length in 4 bytes, big-endian, before it. Then::

    associated data  = prefixed("ck1", subject, stream, event id, event type, schema version, field path, scope id)
    event key        = HKDF-SHA-256(data key, info = prefixed(event id, field path, format version))
    encryption key ‖ commitment key = HKDF-Expand-SHA-256(event key, info = prefixed("ck1/keys"), 64 bytes)
    commitment       = HMAC-SHA-256(commitment key, prefixed("ck1/commitment", associated data, nonce))

AES-GCM alone commits to nothing: one ciphertext can be made to open under two keys. The commitment fixes the one event
key, associated data and nonce, and is checked before anything is decrypted; so whoever is handed the event key (an
*opening*: it opens one field of one event) sees what was recorded and nothing else.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from domain.errors import FieldProblem, InvalidInput, Tampered
from domain.record import encode
from domain.sealed import Binding
from vault import padding
from vault.primitives import (
    KEY_BYTES,
    MAC_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    SecretKey,
    decrypt,
    encrypt,
    hkdf_expand,
    hmac_sha256,
    new_nonce,
    prefixed,
    same,
)

PREFIX = "ck1."
FORMAT = b"\x01"
_LABEL = b"ck1"
_KEYS = prefixed(b"ck1/keys")
_COMMITMENT = b"ck1/commitment"
_HEAD_BYTES = len(FORMAT) + 16 + NONCE_BYTES
_SMALLEST_BYTES = _HEAD_BYTES + padding.SMALLEST + TAG_BYTES + MAC_BYTES
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")
"""What is no letter of the URL alphabet becomes what strict decoding refuses."""


@dataclass(frozen=True)
class SealedValue:
    """The parts of a sealed value: nothing in it is secret."""

    scope_id: UUID
    nonce: bytes
    ciphertext: bytes
    commitment: bytes

    def text(self) -> str:
        """Return the text form ``ck1.…``."""
        raw = FORMAT + self.scope_id.bytes + self.nonce + self.ciphertext + self.commitment
        return PREFIX + binascii.b2a_base64(raw, newline=False).rstrip(b"=").translate(_TO_URL).decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; only the one spelling that :meth:`text` writes is taken. Raises ``Tampered``."""
        try:
            body = text.removeprefix(PREFIX).encode("ascii").translate(_FROM_URL)
            raw = binascii.a2b_base64(body + b"=" * (-len(body) % 4), strict_mode=True)
        except (ValueError, AttributeError):
            raise Tampered("not a sealed value") from None
        tail = raw[len(raw) - len(raw) % 3 :]
        if not text.startswith(PREFIX) or not body.endswith(binascii.b2a_base64(tail, newline=False).rstrip(b"=")):
            raise Tampered("not the canonical text of a sealed value")
        if len(raw) < _SMALLEST_BYTES or raw[:1] != FORMAT:
            raise Tampered("not a sealed value of format 1")
        return cls(
            scope_id=UUID(bytes=raw[1:17]),
            nonce=raw[17:_HEAD_BYTES],
            ciphertext=raw[_HEAD_BYTES:-MAC_BYTES],
            commitment=raw[-MAC_BYTES:],
        )


def associated_data(binding: Binding, scope_id: UUID) -> bytes:
    """Return the bytes that tie a sealed value to its person, stream, event, field and key scope."""
    return prefixed(
        _LABEL,
        binding.subject_id.bytes,
        binding.stream_id.bytes,
        binding.event_id.bytes,
        binding.event_type.encode(),
        str(binding.schema_version).encode(),
        binding.field.encode(),
        scope_id.bytes,
    )


def event_key(data_key: SecretKey, binding: Binding) -> bytes:
    """Return the 32-byte key of one field of one event; handed to a reader, it opens that field and no other."""
    return data_key.derive(prefixed(binding.event_id.bytes, binding.field.encode(), FORMAT))


def seal(key: bytes, scope_id: UUID, binding: Binding, value: Mapping[str, Any]) -> str:
    """Return the text form of a value sealed under its event key, with a nonce of its own each time.

    Raises ``InvalidInput`` (naming the field) for what JSON cannot hold, ``EventTooLarge`` past 384 KiB.
    """
    try:
        plaintext = encode(value)
    except (ValueError, TypeError, RecursionError):
        raise InvalidInput([FieldProblem(binding.field, "cannot be written as JSON")]) from None
    nonce = new_nonce()
    associated = associated_data(binding, scope_id)
    encryption_key, commitment_key = _keys(key)
    ciphertext = encrypt(encryption_key, nonce, padding.pad(plaintext), associated)
    return SealedValue(scope_id, nonce, ciphertext, _commit(commitment_key, associated, nonce)).text()


def unseal(key: bytes, sealed: SealedValue, binding: Binding) -> dict[str, Any]:
    """Return the value sealed under an event key at this very place. Raises ``Tampered`` when anything differs."""
    associated = associated_data(binding, sealed.scope_id)
    encryption_key, commitment_key = _keys(key)
    if not same(sealed.commitment, _commit(commitment_key, associated, sealed.nonce)):
        raise Tampered("the commitment does not fit")
    plaintext = padding.unpad(decrypt(encryption_key, sealed.nonce, sealed.ciphertext, associated))
    try:
        value = json.loads(plaintext)
    except ValueError:
        raise Tampered("the sealed bytes are no JSON") from None
    if not isinstance(value, dict):
        raise Tampered("the sealed JSON is no object")
    return value


def _keys(key: bytes) -> tuple[bytes, bytes]:
    both = hkdf_expand(key, _KEYS, 2 * KEY_BYTES)
    return both[:KEY_BYTES], both[KEY_BYTES:]


def _commit(commitment_key: bytes, associated: bytes, nonce: bytes) -> bytes:
    return hmac_sha256(commitment_key, prefixed(_COMMITMENT, associated, nonce))
