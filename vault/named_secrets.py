"""Named secrets of the keyring, as those see them who make keys of them."""

from __future__ import annotations

from typing import Protocol


class Secrets(Protocol):
    """The part of the vault that keeps them. Every method may raise ``KeysUnavailable``."""

    def secret(self, name: str) -> bytes:
        """Return 32 random bytes kept by name, made at the first call."""

    def secrets(self) -> list[str]:
        """Return the names of all secrets that are kept."""

    def destroy_secret(self, name: str) -> None:
        """Destroy a secret."""
