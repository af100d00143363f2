"""The cryptographic functions the vault uses, each from ``cryptography`` or the standard library, and nothing else.

AES-256-GCM with 96-bit nonces and 128-bit tags (NIST SP 800-38D), HKDF-SHA-256 (RFC 5869), HMAC-SHA-256 (RFC 2104).
The tests run published vectors against these very functions.
"""

from __future__ import annotations

import hmac
import secrets
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from domain.errors import Tampered

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
MAC_BYTES = 32

_SHA256 = SHA256()


def prefixed(*items: bytes) -> bytes:
    """Join byte strings, each after its length in 4 bytes, big-endian, so that no two different lists join alike."""
    return b"".join([len(item).to_bytes(4, "big") + item for item in items])


def new_key() -> bytes:
    """Return 32 random bytes from the operating system."""
    return secrets.token_bytes(KEY_BYTES)


def new_nonce() -> bytes:
    """Return 12 random bytes from the operating system."""
    return secrets.token_bytes(NONCE_BYTES)


def hkdf_extract(key: bytes, salt: bytes = b"") -> bytes:
    """Return the 32-byte pseudorandom key of an input key (RFC 5869, 2.2)."""
    return HKDF.extract(_SHA256, salt or None, key)


def hkdf_expand(pseudorandom_key: bytes, info: bytes, length: int = KEY_BYTES) -> bytes:
    """Return ``length`` bytes for one stated use (RFC 5869, 2.3). Raises ``ValueError`` past 8160."""
    return HKDFExpand(_SHA256, length, info).derive(pseudorandom_key)


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return the 32-byte HMAC-SHA-256 of a message (RFC 2104)."""
    return hmac.digest(key, message, "sha256")


def same(one: bytes, other: bytes) -> bool:
    """Compare two byte strings in a time that does not depend on where they differ."""
    return hmac.compare_digest(one, other)


def encrypt(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """Return the AES-256-GCM ciphertext with its 16-byte tag behind it."""
    return AESGCM(key).encrypt(nonce, plaintext, associated)


def decrypt(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    """Return the plaintext. Raises ``Tampered`` when key, nonce, ciphertext, tag or associated data do not fit."""
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, associated)
    except InvalidTag:
        raise Tampered("authentication failed") from None


class SecretKey:
    """32 secret bytes that wrap other keys or have keys derived from them. Neither printed nor pickled."""

    __slots__ = ("_bytes", "_pseudorandom")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise Tampered("a key is not 32 bytes long")
        self._bytes = key
        self._pseudorandom = b""

    @classmethod
    def new(cls) -> SecretKey:
        """Return a new random key."""
        return cls(new_key())

    def wrap(self, key: SecretKey, associated: bytes) -> bytes:
        """Return another key encrypted under this one: nonce (12), ciphertext (32), tag (16)."""
        nonce = new_nonce()
        return nonce + encrypt(self._bytes, nonce, key._bytes, associated)

    def unwrap(self, wrapped: bytes, associated: bytes) -> SecretKey:
        """Return the key that :meth:`wrap` encrypted. Raises ``Tampered`` when anything differs."""
        if len(wrapped) != NONCE_BYTES + KEY_BYTES + TAG_BYTES:
            raise Tampered("a wrapped key has another length")
        return SecretKey(decrypt(self._bytes, wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], associated))

    def exposed(self) -> bytes:
        """Return the bytes themselves, for a device that is to wrap them or a replica that is to hold them."""
        return self._bytes

    def derive(self, info: bytes, length: int = KEY_BYTES) -> bytes:
        """Return bytes derived from this key by HKDF-SHA-256 for one stated use."""
        self._pseudorandom = self._pseudorandom or hkdf_extract(self._bytes)
        return hkdf_expand(self._pseudorandom, info, length)

    def fingerprint(self) -> bytes:
        """Return 32 public bytes that name this key for ever and help nobody to guess it."""
        return self.derive(_FINGERPRINT)

    def __repr__(self) -> str:
        return "SecretKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is not to be pickled")


_FINGERPRINT = prefixed(b"casekeeper/fingerprint/1")
