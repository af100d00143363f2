"""Named secrets of the keyring, as those see them who make keys of them."""

from __future__ import annotations

from typing import Protocol


class Secrets(Protocol):
    """What keeps them: a keyring, and the vault in front of it. Every method may raise ``KeysUnavailable``."""

    def secret(self, name: str) -> bytes:
        """Return 32 random bytes kept under a name, made at the first call, the same for every process."""

    def secrets(self) -> list[str]:
        """Return the names of the secrets there are, sorted."""

    def destroy_secret(self, name: str) -> None:
        """Destroy a named secret; one that is gone already is no error."""
