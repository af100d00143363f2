"""A root key that stays in its device and wraps other keys there, in the format that keys in memory use.

AES-256-GCM (``CKM_AES_GCM``, PKCS #11 2.40, 2.12) with a nonce of 12 random bytes and a tag of 16. A device that has no
``C_WrapKey`` for it encrypts the bytes of the key to wrap, which are in this process anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from pkcs11 import GCMParams, Mechanism, PKCS11Error, Session
from pkcs11.types import SecretKey as TokenKey

from domain.errors import Tampered
from vault.primitives import KEY_BYTES, NONCE_BYTES, TAG_BYTES, SecretKey, new_nonce

_PROBE = b"casekeeper/probe"

T = TypeVar("T")


class Runner(Protocol):
    """Runs work with the device's session, see :meth:`Device.run`."""

    def __call__(self, work: Callable[[Session, int], T], *, fresh: bool = False) -> T:
        """Return what the work returns."""


class DeviceKey:
    """A root key in a token: the device wraps and unwraps. Its handle is looked up again in every new view."""

    def __init__(self, run: Runner, find: Callable[[Session], TokenKey]) -> None:
        self._run = run
        self._find = find
        self._found: tuple[int, TokenKey | None] = (0, None)

    def find(self) -> None:
        """Look the key up. Raises ``KeyMissing``."""
        self._run(self._key)

    def wrap(self, key: SecretKey, associated: bytes) -> bytes:
        """Return another key encrypted under this one: nonce (12), ciphertext (32), tag (16), as in files."""

        def encrypt(session: Session, view: int) -> bytes:
            nonce = new_nonce()
            return nonce + _encrypt(self._key(session, view), nonce, key.exposed(), associated)

        return self._run(encrypt)

    def unwrap(self, wrapped: bytes, associated: bytes) -> SecretKey:
        """Return the key that :meth:`wrap` encrypted. Raises ``Tampered`` when anything differs, ``KeyMissing``."""
        if len(wrapped) != NONCE_BYTES + KEY_BYTES + TAG_BYTES:
            raise Tampered("a wrapped key has another length")

        def decrypt(session: Session, view: int) -> bytes:
            device_key = self._key(session, view)
            nonce, ciphertext = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
            try:
                return _decrypt(device_key, nonce, ciphertext, associated)
            except PKCS11Error:
                # SoftHSM2 says CKR_GENERAL_ERROR for a wrong tag: if the key works otherwise and this fails again, it
                # was the tag. A device that failed for a moment, busy or failing over, must not look like tampering.
                probe = new_nonce()
                _decrypt(device_key, probe, _encrypt(device_key, probe, _PROBE, associated), associated)
            try:
                return _decrypt(device_key, nonce, ciphertext, associated)
            except PKCS11Error:
                raise Tampered("authentication failed") from None

        return SecretKey(self._run(decrypt))

    def _key(self, session: Session, view: int) -> TokenKey:
        if self._found[0] != view or self._found[1] is None:
            self._found = (view, self._find(session))
        assert self._found[1] is not None
        return self._found[1]


def _encrypt(key: Any, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    params = GCMParams(nonce, associated, 8 * TAG_BYTES)
    found: bytes = key.encrypt(plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=params)
    return found


def _decrypt(key: Any, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    params = GCMParams(nonce, associated, 8 * TAG_BYTES)
    found: bytes = key.decrypt(ciphertext, mechanism=Mechanism.AES_GCM, mechanism_param=params)
    return found
