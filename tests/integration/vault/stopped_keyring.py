"""A keyring whose process is stopped at one of its calls while something else happens."""

from __future__ import annotations

from collections.abc import Callable

from vault_keys import Keys

from vault.keyring import RootRef, WrappingKey


class StoppedKeyring:
    """Calls ``meanwhile`` once, "before" or "after" the first call of one method."""

    def __init__(self, keys: Keys, call: str, when: str, meanwhile: Callable[[], object]) -> None:
        self._keyring = keys.keyring()
        self._at = (call, when)
        self._meanwhile = meanwhile
        self.was_stopped = False

    def create_root(self, epoch: int, in_force: RootRef | None = None) -> RootRef:
        self._stop("create_root", "before")
        ref = self._keyring.create_root(epoch, in_force)
        self._stop("create_root", "after")
        return ref

    def load_root(self, ref: RootRef) -> WrappingKey:
        self._stop("load_root", "before")
        key = self._keyring.load_root(ref)
        self._stop("load_root", "after")
        return key

    def destroy_root(self, ref: RootRef) -> None:
        self._stop("destroy_root", "before")
        self._keyring.destroy_root(ref)
        self._stop("destroy_root", "after")

    def roots(self) -> list[RootRef]:
        self._stop("roots", "before")
        found = self._keyring.roots()
        self._stop("roots", "after")
        return found

    def settle(self, in_force: RootRef, confirm: Callable[[], RootRef]) -> None:
        self._keyring.settle(in_force, confirm)

    def _stop(self, *at: str) -> None:
        if at == self._at and not self.was_stopped:
            self.was_stopped = True
            self._meanwhile()
