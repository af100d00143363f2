"""What holds the root key and the named secrets: the interface that a file keyring keeps and an HSM can.

The tree asks a root key to wrap and unwrap one key, never for its bytes, so that it may stay inside a device.
Each root key has an epoch and a random id, so that a process which was paused and wakes late can only ever destroy
the key it meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from domain.errors import KeyringMismatch
from vault.named_secrets import Secrets
from vault.primitives import SecretKey


@dataclass(frozen=True, order=True)
class RootRef:
    """Names one root key: its epoch (1, 2, 3, …) and its random id."""

    epoch: int
    key_id: UUID


class KeyMissing(LookupError):
    """The keyring answers and has no such key: to be judged by whoever asked (destroyed meanwhile, or mismatch)."""


def lacks(keyring: Keyring, in_force: RootRef) -> KeyringMismatch:
    """Return the error for a keyring that has not the root key in force, saying which of the two is of the past."""
    if all(ref.epoch > in_force.epoch for ref in keyring.roots()):
        return KeyringMismatch("the keyring lacks the root key in force: the keys cluster is older than the keyring")
    return KeyringMismatch("the keyring lacks the root key in force: the keyring is older than the keys cluster")


class WrappingKey(Protocol):
    """A key that wraps other keys: a ``SecretKey`` in memory or an object in a device."""

    def wrap(self, key: SecretKey, associated: bytes) -> bytes:
        """Return the other key encrypted, bound to the associated data."""

    def unwrap(self, wrapped: bytes, associated: bytes) -> SecretKey:
        """Return the key that was wrapped. Raises ``Tampered``."""


class Keyring(Secrets, Protocol):
    """Keeps root keys and named secrets of one installation. Every method may raise ``KeysUnavailable``.

    What ``create_root`` and ``destroy_root`` did is durable, in every replica there is, when they return.
    """

    def create_root(self, epoch: int, in_force: RootRef | None = None) -> RootRef:
        """Make a new random root key, only where the one in force is, if there is one: else it is an outage."""

    def load_root(self, ref: RootRef) -> WrappingKey:
        """Return a root key. Raises ``KeyMissing``, or ``KeyringMismatch`` for another installation or version."""

    def destroy_root(self, ref: RootRef) -> None:
        """Destroy a root key; one that is gone already is no error."""

    def roots(self) -> list[RootRef]:
        """Return the root keys there are, oldest first."""

    def settle(self, in_force: RootRef, confirm: Callable[[], RootRef]) -> None:
        """Bring all replicas to one state, without copies of keys that a kill left under a temporary name.

        ``confirm`` reads the root key in force again, from the session that locks. Only whoever holds the lock of
        destructions may ask for this.
        """

    def leftovers(self) -> int:
        """Return how many copies of keys a kill has left under a temporary name."""
